"""Null models: what anyone could guess without a simulator. Ours must beat them.

Each predicts a latency from a few numbers and is fitted on other rows than the one it predicts:
``one out`` on all other rows of the same family of chips, ``family out`` on the rows of all other
families (what is known of a chip that nobody has measured yet). The first kind knows the network
alone: ``a MACs``, ``a bytes`` (of weights), ``a + b MACs + c bytes``. Of an unknown chip that says
nothing, so ``family out`` also tries the same on ideal times: MACs over the chip's peak and bytes
over its external bandwidth. Fits are least squares on relative errors, no term negative.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One measured latency, s, with what a null model may know of network and chip.

    ``compute_s`` is MACs over the chip's peak, ``memory_s`` weight bytes over its bandwidth.
    """

    family: str
    macs: float
    weight_bytes: float
    latency_s: float
    compute_s: float = 0.0
    memory_s: float = 0.0


Terms = Callable[[Sample], list[float]]
#: What each null model adds up, and rows below which it is not fitted.
NETWORK_MODELS: dict[str, tuple[Terms, int]] = {
    "a MACs": (lambda s: [s.macs], 1),
    "a bytes": (lambda s: [s.weight_bytes], 1),
    "a + b MACs + c bytes": (lambda s: [1.0, s.macs, s.weight_bytes], 4),
}
CHIP_MODELS: dict[str, tuple[Terms, int]] = {
    "a MACs/peak": (lambda s: [s.compute_s], 1),
    "a + b MACs/peak + c bytes/bandwidth": (lambda s: [1.0, s.compute_s, s.memory_s], 4),
}


def null_errors(samples: Sequence[Sample]) -> dict[str, float]:
    """Median absolute relative error by null model and way of leaving out."""
    found: dict[str, float] = {}
    for name, (terms, least) in NETWORK_MODELS.items():
        _note(found, f"{name}, one out", _errors(samples, terms, least, family_out=False))
    for name, (terms, least) in (NETWORK_MODELS | CHIP_MODELS).items():
        _note(found, f"{name}, family out", _errors(samples, terms, least, family_out=True))
    return found


def predictions(
    samples: Sequence[Sample], terms: Terms, least: int, *, family_out: bool
) -> list[float | None]:
    """What the null model says of every sample; None where it has too few others to fit on."""
    out: list[float | None] = []
    for index, sample in enumerate(samples):
        others = [
            other
            for number, other in enumerate(samples)
            if number != index and (other.family == sample.family) != family_out
        ]
        enough = len(others) >= least
        out.append(_predict(others, sample, terms) if enough else None)
    return out


def _errors(
    samples: Sequence[Sample], terms: Terms, least: int, *, family_out: bool
) -> list[float]:
    said = predictions(samples, terms, least, family_out=family_out)
    return [abs(p / s.latency_s - 1.0) for p, s in zip(said, samples, strict=True) if p is not None]


def _note(found: dict[str, float], name: str, errors: Iterable[float]) -> None:
    errors = list(errors)
    if errors:
        found[name] = statistics.median(errors)


def _predict(others: Sequence[Sample], sample: Sample, terms: Terms) -> float:
    """Least squares on relative errors; terms that would be negative are dropped."""
    columns = np.array([terms(o) for o in others])
    target = np.array([o.latency_s for o in others])
    if columns.shape[1] == 1:
        rate = statistics.geometric_mean(
            [t / c for t, c in zip(target, columns[:, 0], strict=True)]
        )
        return float(rate * terms(sample)[0])
    scale = columns.max(axis=0)
    scale[scale == 0.0] = 1.0
    design = columns / scale / target[:, None]
    active = list(range(columns.shape[1]))
    while active:
        found, *_ = np.linalg.lstsq(design[:, active], np.ones(len(others)), rcond=None)
        if np.all(found >= 0) or len(active) == 1:
            break
        active.pop(int(np.argmin(found)))
    row = np.array(terms(sample)) / scale
    return float(row[active] @ np.maximum(found, 0.0))


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two equally long lists; None below three pairs."""
    if len(left) != len(right) or len(left) < 3:
        return None
    a, b = _ranks(left), _ranks(right)
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else None


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 1; ties share the mean of theirs."""
    array = np.asarray(values)
    return np.array([(array < v).sum() + ((array == v).sum() + 1) / 2 for v in array])
