"""Rows and sections of a validation, and their summaries."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Role = Literal["judged", "fitted"]
Kind = Literal["silicon", "vendor estimate", "tool", "paper"]


@dataclass(frozen=True)
class Row:
    """One published figure beside ours. ``ratio`` is ours / published."""

    item: str
    quantity: str
    published: float
    ours: float | None
    role: Role
    kind: Kind
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None or not self.published else self.ours / self.published

    def to_dict(self) -> dict[str, Any]:
        out = asdict(self)
        return {
            **{k: out[k] for k in ("item", "quantity", "published", "ours")},
            "ratio": self.ratio,
            "role": self.role,
            "kind": self.kind,
            "note": self.note,
        }


@dataclass(frozen=True)
class Section:
    """A named group of rows with the summary of its judged ones.

    ``null_error`` is the median absolute error of the best null model on the same rows, None where
    a null model makes no sense.
    """

    name: str
    rows: tuple[Row, ...]
    null_error: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, float | int | None]:
        """Geometric-mean ratio, median absolute error and worst error of the judged rows."""
        ratios = [row.ratio for row in self.rows if row.role == "judged" and row.ratio]
        errors = [abs(ratio - 1.0) for ratio in ratios]
        return {
            "rows": len(self.rows),
            "geometric_mean_ratio": geometric_mean(ratios),
            "median_absolute_error": statistics.median(errors) if errors else None,
            "worst": max(errors) if errors else None,
            "null_model_median_absolute_error": self.null_error,
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "rows": [row.to_dict() for row in self.rows],
            "summary": self.summary,
            "notes": list(self.notes),
        }


def geometric_mean(ratios: Sequence[float]) -> float | None:
    """Geometric mean of positive ratios; None if there are none."""
    good = [ratio for ratio in ratios if ratio > 0]
    return math.exp(sum(math.log(ratio) for ratio in good) / len(good)) if good else None
