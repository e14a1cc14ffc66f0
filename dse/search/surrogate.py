"""A model of what the mapper will say, given what its bound already says.

For each objective it learns the *gap* between the value and the bound of the cheapest level
(:mod:`dse.search.bound`): log(value / bound) where all are positive, else the difference. It learns
over the parameters and over the bounds themselves: they know the physics (area, peak rates,
compulsory traffic), so that designs that are alike for the roofline are near each other. A further
process learns how far a design is from meeting its requirements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.search.process import Floats, Process

#: Designs that the processes' parameters are fitted on, at most.
FIT_ROWS = 300
#: Designs that the processes know, at most: their memory grows with the square of it. Beyond, they
#: begin again with half as many, drawn from all.
MOST_ROWS = 3000
#: Growth of the data after which they are fitted again.
GROWTH = 1.5
#: Violations above this teach nothing more.
LARGEST_VIOLATION = 5.0
#: Predictions are rounded to this many decimals, so that the last bit of a sum decides nothing.
DECIMALS = 9
#: Expected violation (as log1p) at which a design is as likely to serve as not, and how sharply.
EDGE = 0.01
#: Losses below this are taken for this where logarithms are taken.
TINY = 1e-300
#: Spread below which values count as one.
FLAT = 1e-9


@dataclass(frozen=True)
class Scale:
    """How an objective's losses are turned before learning: logarithm if all are positive.

    ``bounded``: whether its bound is known for every design.
    """

    logarithmic: bool
    bounded: bool

    def turned(self, losses: Floats) -> Floats:
        return np.log(np.maximum(losses, TINY)) if self.logarithmic else losses

    def plain(self, turned: Floats) -> Floats:
        """The losses again."""
        return np.exp(turned) if self.logarithmic else turned


@dataclass(frozen=True)
class Prediction:
    """Expected turned losses (n x m) and the chance that all requirements hold (n)."""

    losses: Floats
    feasible: Floats


class Surrogate:
    """Learns from evaluated designs, predicts others."""

    def __init__(self) -> None:
        self.scales: list[Scale] = []
        self._fitted_on = 0
        self._models: list[Process | float] = []
        self._rows: NDArray[np.int_] = np.empty(0, np.int_)
        self._seen = 0
        self._low: Floats = np.empty(0)
        self._span: Floats = np.empty(0)

    def learn(
        self, x: Floats, losses: Floats, bounds: Floats, violation: Floats, seed: int
    ) -> None:
        """Learn from ``losses`` (n x m), ``bounds`` (-inf where there is none), ``violation``.

        Rows of earlier calls come first, in the same order.
        """
        scales = [_scale(losses[:, k], bounds[:, k]) for k in range(losses.shape[1])]
        values = [
            s.turned(losses[:, k]) - (s.turned(bounds[:, k]) if s.bounded else 0.0)
            for k, s in enumerate(scales)
        ]
        values.append(np.log1p(np.minimum(violation, LARGEST_VIOLATION)))
        flat = [float(np.ptp(y)) < FLAT for y in values]
        known = [isinstance(model, float) for model in self._models]
        rows = np.concatenate([self._rows, np.arange(self._seen, len(x))])
        fit = scales != self.scales or flat != known or len(x) >= GROWTH * self._fitted_on
        fit = fit or len(rows) > MOST_ROWS
        if fit:
            kept = self._models if scales == self.scales else []
            self.scales, self._fitted_on = scales, len(x)
            turned = self._turned(bounds)
            self._low = turned.min(axis=0, initial=np.inf)
            self._span = np.maximum(turned.max(axis=0, initial=-np.inf) - self._low, FLAT)
            earlier = [m if isinstance(m, Process) else Process() for m in kept]
            earlier += [Process() for _ in values[len(earlier) :]]
            rows = _some(len(x), len(x) if len(x) <= MOST_ROWS else MOST_ROWS // 2, seed)
        self._rows, self._seen = rows, len(x)
        inputs = self._inputs(x, bounds)
        if fit:
            few = _some(len(x), FIT_ROWS, seed)
            self._models = []
            for y, one, process in zip(values, flat, earlier, strict=True):
                if not one:
                    process.fit(inputs[few], y[few])
                self._models.append(float(y[0]) if one else process)
        for k, y in enumerate(values):
            model = self._models[k]
            if isinstance(model, float):
                self._models[k] = float(y[0])
            else:
                model.learn(inputs[rows], y[rows])

    def predict(self, x: Floats, bounds: Floats) -> Prediction:
        """Turned losses and feasibility of designs at ``x``, given their bounds."""
        inputs = self._inputs(x, bounds)
        columns = []
        for k, scale in enumerate(self.scales):
            mean = _mean(self._models[k], inputs)
            if scale.bounded:
                # The gap of a bound is never negative.
                mean = np.maximum(mean, 0.0) + scale.turned(bounds[:, k])
            columns.append(mean)
        model = self._models[-1]
        if isinstance(model, float):
            chance = np.full(len(x), float(model <= FLAT))
        else:
            odds = np.clip((_mean(model, inputs) - EDGE) / EDGE, -50.0, 50.0)
            chance = 1.0 / (1.0 + np.exp(odds))
        expected: Floats = np.stack(columns, axis=1).astype(np.float64)
        return Prediction(np.round(expected, DECIMALS), np.round(chance, DECIMALS))

    def deviation(self, x: Floats, bounds: Floats) -> Floats:
        """How far off the expected turned losses may be (n x m), as standard deviations."""
        inputs = self._inputs(x, bounds)
        models = self._models[: len(self.scales)]
        columns = [
            np.zeros(len(x)) if isinstance(model, float) else model.deviation(inputs)
            for model in models
        ]
        return np.round(_columns(columns, len(x)), DECIMALS)

    def turned(self, losses: Floats) -> Floats:
        """Losses (n x m) in the scales that were learnt in."""
        return _columns([s.turned(losses[:, k]) for k, s in enumerate(self.scales)], len(losses))

    def plain(self, turned: Floats) -> Floats:
        """The opposite of :meth:`turned`."""
        return _columns([s.plain(turned[:, k]) for k, s in enumerate(self.scales)], len(turned))

    def _turned(self, bounds: Floats) -> Floats:
        """The bounds that are known for all designs."""
        kept = [s.turned(bounds[:, k]) for k, s in enumerate(self.scales) if s.bounded]
        return _columns(kept, len(bounds))

    def _inputs(self, x: Floats, bounds: Floats) -> Floats:
        """Parameters, and bounds on 0..1 as they were when the processes were fitted."""
        return np.hstack([x, (self._turned(bounds) - self._low) / self._span])


def _scale(losses: Floats, bounds: Floats) -> Scale:
    bounded = bool(np.all(np.isfinite(bounds)))
    positive = losses.min() > 0 and (not bounded or bounds.min() > 0)
    return Scale(bool(positive), bounded)


def _some(of: int, count: int, seed: int) -> NDArray[np.int_]:
    """``count`` of the numbers below ``of`` in ascending order, drawn at random; all if fewer."""
    if of <= count:
        return np.arange(of)
    return np.sort(np.random.default_rng(seed).permutation(of)[:count])


def _columns(columns: Sequence[Floats], rows: int) -> Floats:
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0))


def _mean(model: Process | float, x: Floats) -> Floats:
    return np.full(len(x), model) if isinstance(model, float) else model.mean(x)
