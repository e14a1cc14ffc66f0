"""Null models: what anyone could guess without a simulator. Ours must beat them.

Each predicts a latency from the network alone and is fitted, per family of chips, on all rows but
the one it predicts (leave one out), in the logarithm: ``a * MACs``, ``a * weight bytes`` and, for
families of at least five rows, ``a + b * MACs + c * bytes`` by non-negative least squares on
relative errors.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One measured latency, s, with what a null model may know of it."""

    family: str
    macs: float
    weight_bytes: float
    latency_s: float


def null_errors(samples: Sequence[Sample]) -> dict[str, float]:
    """Median absolute relative error of each null model over all rows that it can predict."""
    errors: dict[str, list[float]] = {"MACs": [], "weight bytes": [], "a + b MACs + c bytes": []}
    for index, sample in enumerate(samples):
        others = [
            other
            for number, other in enumerate(samples)
            if number != index and other.family == sample.family
        ]
        if not others:
            continue
        for name, field in (("MACs", "macs"), ("weight bytes", "weight_bytes")):
            rate = statistics.geometric_mean([o.latency_s / getattr(o, field) for o in others])
            errors[name].append(abs(rate * getattr(sample, field) / sample.latency_s - 1.0))
        if len(others) >= 4:
            predicted = _affine(others, sample)
            errors["a + b MACs + c bytes"].append(abs(predicted / sample.latency_s - 1.0))
    return {name: statistics.median(found) for name, found in errors.items() if found}


def _affine(others: Sequence[Sample], sample: Sample) -> float:
    """Least squares on relative errors; terms that would be negative are dropped."""
    columns = np.array([[1.0, o.macs, o.weight_bytes] for o in others])
    target = np.array([o.latency_s for o in others])
    scale = columns.max(axis=0)
    design = columns / scale / target[:, None]
    active = [0, 1, 2]
    while active:
        found, *_ = np.linalg.lstsq(design[:, active], np.ones(len(others)), rcond=None)
        if np.all(found >= 0) or len(active) == 1:
            break
        active.pop(int(np.argmin(found)))
    row = np.array([1.0, sample.macs, sample.weight_bytes]) / scale
    return float(row[active] @ np.maximum(found, 0.0))
