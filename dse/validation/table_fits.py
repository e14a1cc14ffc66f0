"""Null models and error bands of the public table, each fitted with the judged family left out.

A null model knows of a chip what ours is told first, its peak at the row's precision and its
external bandwidth, and of a network what anyone can count. Fits are least squares of relative
errors with no term negative; every family weighs the same, however many rows it has.

* ``MACs + layers``: a MACs/peak + b layers,
* ``MACs + bytes + layers``: a MACs/peak + b weight bytes/bandwidth + c activation bytes/bandwidth
  + d layers,
* ``roofline``: layer by layer the longer of MACs/peak and bytes/bandwidth; nothing is fitted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Facts:
    """What a null model may know of a measured row: times in s, ``layers`` as a number."""

    family: str
    measured_s: float
    compute_s: float
    weights_s: float
    activations_s: float
    layers: float
    roofline_s: float


Terms = Callable[[Facts], list[float]]
FITTED: Mapping[str, Terms] = {
    "MACs + layers": lambda f: [f.compute_s, f.layers],
    "MACs + bytes + layers": lambda f: [f.compute_s, f.weights_s, f.activations_s, f.layers],
}
ROOFLINE = "roofline"
NULLS = (*FITTED, ROOFLINE)
#: Share of the rows of other families outside a band, on each side.
TAIL = 0.05


def null_times(rows: Sequence[Facts]) -> dict[str, list[float | None]]:
    """What each null model says of every row (s), fitted on the rows of all other families.

    None where there is no other family.
    """
    said: dict[str, list[float | None]] = {ROOFLINE: [row.roofline_s for row in rows]}
    for name, terms in FITTED.items():
        factors: dict[str, np.ndarray | None] = {}
        for family in dict.fromkeys(row.family for row in rows):
            others = [row for row in rows if row.family != family]
            factors[family] = _fit(others, terms) if others else None
        said[name] = []
        for row in rows:
            found = factors[row.family]
            said[name].append(None if found is None else float(np.dot(terms(row), found)))
    return said


def _fit(rows: Sequence[Facts], terms: Terms) -> np.ndarray:
    weights = np.sqrt(family_weights([row.family for row in rows]))
    columns = np.array([terms(row) for row in rows]) / np.array([[row.measured_s] for row in rows])
    scale = columns.max(axis=0)
    scale[scale == 0.0] = 1.0
    found, _ = nnls(columns / scale * weights[:, None], weights)
    return np.asarray(found / scale)


def family_weights(names: Sequence[str]) -> np.ndarray:
    """A weight for each row so that every family has the same sum, all together 1."""
    sizes = Counter(names)
    return np.array([1.0 / sizes[name] / len(sizes) for name in names])


def quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the weight lies (the middle of two at the border)."""
    order = np.argsort(values)
    ordered, heavy = np.asarray(values)[order], np.asarray(weights)[order]
    below = np.cumsum(heavy) / heavy.sum()
    at = int(np.searchsorted(below, share - 1e-12))
    if at + 1 < len(ordered) and math.isclose(below[at], share, rel_tol=0.0, abs_tol=1e-9):
        return float((ordered[at] + ordered[at + 1]) / 2)
    return float(ordered[min(at, len(ordered) - 1)])


def bands(families: Sequence[str], ratios: Sequence[float]) -> list[tuple[float, float] | None]:
    """Factors on our figure of every row between which the measured one lies in 90 % of rows.

    They are quantiles of measured over ours on the rows of all other families; None where there
    is no other family.
    """
    found: dict[str, tuple[float, float] | None] = {}
    for family in dict.fromkeys(families):
        others = [
            (name, -math.log(r)) for name, r in zip(families, ratios, strict=True) if name != family
        ]
        if not others:
            found[family] = None
            continue
        weights = list(family_weights([name for name, _ in others]))
        logs = [value for _, value in others]
        low, high = (math.exp(quantile(logs, weights, share)) for share in (TAIL, 1.0 - TAIL))
        found[family] = (low, high)
    return [found[family] for family in families]


@dataclass(frozen=True)
class Score:
    """How ratios (said over measured) lie, with equal weight of families."""

    rows: int
    families: int
    median_error: float
    geometric_mean: float
    beyond_2x: float

    def to_dict(self) -> dict[str, float]:
        return {
            "rows": self.rows,
            "median_error": self.median_error,
            "geometric_mean": self.geometric_mean,
            "beyond_2x": self.beyond_2x,
        }


def score(families: Sequence[str], ratios: Sequence[float]) -> Score | None:
    """Median of |ratio - 1|, geometric mean, and share off by more than 2; None of no rows."""
    if not ratios:
        return None
    weights = family_weights(families)
    errors = [abs(ratio - 1.0) for ratio in ratios]
    logs = np.log(ratios)
    return Score(
        len(ratios),
        len(set(families)),
        quantile(errors, list(weights), 0.5),
        math.exp(float(weights @ logs)),
        float(weights @ (np.abs(logs) > math.log(2.0))),
    )
