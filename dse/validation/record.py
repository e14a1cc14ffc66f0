"""Rows and sections of a validation, and their summaries."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: ``judged``: counts. ``fitted``: a constant was fitted on it, so it proves nothing. ``bracket``:
#: the chip's parameters are not public enough; only whether the figure lies between two of ours.
Role = Literal["judged", "fitted", "bracket"]
Kind = Literal["silicon", "vendor estimate", "tool", "paper"]


@dataclass(frozen=True)
class Row:
    """One published figure beside ours. ``ratio`` is ours / published.

    ``ours`` is None where nothing can be said, with the reason in ``note``. Of a bracket ``low``
    and ``high`` are our two figures and ``ours`` the nearest one to the published figure.
    """

    item: str
    quantity: str
    published: float
    ours: float | None
    role: Role
    kind: Kind
    note: str = ""
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None or not self.published else self.ours / self.published

    def to_dict(self) -> dict[str, Any]:
        out = asdict(self)
        shown = {k: out[k] for k in ("item", "quantity", "published", "ours")}
        shown |= {"ratio": self.ratio, "role": self.role, "kind": self.kind}
        if self.role == "bracket":
            shown |= {"low": self.low, "high": self.high}
        return {**shown, **self.details, "note": self.note}


def bracket(
    item: str, quantity: str, published: float, low: float, high: float, kind: Kind, note: str = ""
) -> Row:
    """A row that says whether ``published`` lies between two of our figures."""
    low, high = min(low, high), max(low, high)
    nearest = min(max(published, low), high)
    text = f"between {low:.3g} and {high:.3g}"
    return Row(
        item,
        quantity,
        published,
        nearest,
        "bracket",
        kind,
        "; ".join(t for t in (text, note) if t),
        low,
        high,
    )


@dataclass(frozen=True)
class Target:
    """What a section is asked to reach: ``value`` at most ``limit``."""

    name: str
    value: float | None
    limit: float

    @property
    def met(self) -> bool:
        return self.value is not None and self.value <= self.limit

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "limit": self.limit, "met": self.met}


@dataclass(frozen=True)
class Section:
    """A named group of rows with the summary of its judged ones.

    ``null_errors`` are median absolute errors of null models on the same rows, by name; empty
    where a null model makes no sense. ``tables`` are further tables by title, each a list of rows.
    """

    name: str
    rows: tuple[Row, ...]
    null_errors: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    @property
    def judged(self) -> tuple[Row, ...]:
        """Rows that count and have a figure of ours."""
        return tuple(row for row in self.rows if row.role == "judged" and row.ratio)

    @property
    def summary(self) -> dict[str, float | int | None]:
        """Geometric-mean ratio, median and worst absolute error of the judged rows.

        ``worst_factor`` is the largest factor between ours and a published figure, either way.
        """
        ratios = [row.ratio for row in self.judged if row.ratio]
        inside = [row for row in self.rows if row.role == "bracket" and row.ratio]
        out: dict[str, float | int | None] = {
            "rows": len(self.rows),
            "judged": len(ratios),
            "geometric_mean_ratio": geometric_mean(ratios),
            "median_absolute_error": median_error(ratios),
            "worst": max((abs(ratio - 1.0) for ratio in ratios), default=None),
            "worst_factor": max((max(r, 1.0 / r) for r in ratios), default=None),
            "null_model_median_absolute_error": min(self.null_errors.values(), default=None),
        }
        if inside:
            out["brackets"] = len(inside)
            out["inside"] = sum(abs((row.ratio or 0.0) - 1.0) < 1e-9 for row in inside)
        return out

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "rows": [row.to_dict() for row in self.rows],
            "summary": self.summary,
            "null_models": dict(self.null_errors),
            "targets": [target.to_dict() for target in self.targets],
            "notes": list(self.notes),
            "tables": {name: [dict(row) for row in rows] for name, rows in self.tables.items()},
        }


def median_error(ratios: Sequence[float]) -> float | None:
    """Median of |ratio - 1|; None if there are none."""
    return statistics.median(abs(ratio - 1.0) for ratio in ratios) if ratios else None


def geometric_mean(ratios: Sequence[float]) -> float | None:
    """Geometric mean of positive ratios; None if there are none."""
    good = [ratio for ratio in ratios if ratio > 0]
    return math.exp(sum(math.log(ratio) for ratio in good) / len(good)) if good else None
