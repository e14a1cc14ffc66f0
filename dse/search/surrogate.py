"""A Gaussian-process model of what the mapper will say, given what its bound already says.

For each objective it learns the *gap* between the value and the bound of the cheapest level
(:mod:`dse.search.bound`): log(value / bound) where all are positive, else the difference. The bound
knows the physics (area, peak rates, compulsory traffic); the gap is small, smooth, and learned from
few designs. A further process learns how far a design is from meeting its requirements.

Kernel: constant x squared exponential with a length per coordinate + noise (Rasmussen and Williams
2006, ch. 2, 5); its parameters by marginal likelihood, again each time the data has doubled.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Designs that hyperparameters are fitted on, at most.
FIT_ROWS = 160
#: Growth of the data after which they are fitted again.
GROWTH = 2.0
#: Violations above this teach nothing more.
LARGEST_VIOLATION = 5.0
#: Predictions are rounded to this many decimals, so that the last bit of a sum decides nothing.
DECIMALS = 9
#: Expected violation (as log1p) at which a design is as likely to serve as not, and how sharply.
EDGE = 0.01


@dataclass(frozen=True)
class Scale:
    """How an objective's losses are turned before learning: logarithm if all are positive."""

    logarithmic: bool

    def turned(self, losses: Floats) -> Floats:
        return np.log(losses) if self.logarithmic else losses


@dataclass(frozen=True)
class Prediction:
    """Expected turned losses (n x m) and the chance that all requirements hold (n)."""

    losses: Floats
    feasible: Floats


class Surrogate:
    """Learns from evaluated designs, predicts others. Keeps kernels between fits."""

    def __init__(self, objectives: int) -> None:
        self._kernels: list[Any] = [None] * (objectives + 1)
        self._fitted_on = 0
        self._models: list[Any] = []
        self.scales: list[Scale] = []
        self._bounded: list[bool] = []

    def learn(
        self, x: Floats, losses: Floats, bounds: Floats, violation: Floats, seed: int
    ) -> None:
        """Fit to ``losses`` (n x m), their ``bounds`` (-inf where there is none), ``violation``."""
        fit = self._fitted_on == 0 or len(x) >= GROWTH * self._fitted_on
        rows = np.arange(len(x))
        if len(x) > FIT_ROWS:
            rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:FIT_ROWS])
        self.scales, self._bounded, self._models = [], [], []
        for k in range(losses.shape[1]):
            bounded = bool(np.all(np.isfinite(bounds[:, k])))
            positive = losses[:, k].min() > 0 and (not bounded or bounds[:, k].min() > 0)
            scale = Scale(bool(positive))
            y = scale.turned(losses[:, k])
            if bounded:
                y = y - scale.turned(bounds[:, k])
            self.scales.append(scale)
            self._bounded.append(bounded)
            self._models.append(self._process(k, x, y, rows, fit))
        y = np.log1p(np.minimum(violation, LARGEST_VIOLATION))
        self._models.append(self._process(len(self.scales), x, y, rows, fit))
        if fit:
            self._fitted_on = len(x)

    def _process(self, k: int, x: Floats, y: Floats, rows: NDArray[np.int_], fit: bool) -> Any:
        """A fitted process, or a number if there is nothing to learn."""
        if float(np.ptp(y)) < 1e-9:
            return float(y[0])
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        if fit or self._kernels[k] is None:
            kernel = self._kernels[k]
            if kernel is None:
                smooth = RBF(np.ones(x.shape[1]), (0.05, 20.0))
                kernel = ConstantKernel(1.0) * smooth + WhiteKernel(1e-4, (1e-7, 1e-1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = GaussianProcessRegressor(kernel, normalize_y=True).fit(x[rows], y[rows])
            self._kernels[k] = found.kernel_
        made = GaussianProcessRegressor(self._kernels[k], optimizer=None, normalize_y=True)
        return made.fit(x, y)

    def predict(self, x: Floats, bounds: Floats) -> Prediction:
        """Turned losses and feasibility of designs at ``x``, given their bounds."""
        columns = []
        for k, scale in enumerate(self.scales):
            mean = _mean(self._models[k], x)
            if self._bounded[k]:
                # The gap of a bound is never negative.
                mean = np.maximum(mean, 0.0) + scale.turned(bounds[:, k])
            columns.append(mean)
        model = self._models[-1]
        if isinstance(model, float):
            chance = np.full(len(x), float(model <= 1e-9))
        else:
            odds = np.clip((_mean(model, x) - EDGE) / EDGE, -50.0, 50.0)
            chance = 1.0 / (1.0 + np.exp(odds))
        expected: Floats = np.stack(columns, axis=1).astype(np.float64)
        return Prediction(np.round(expected, DECIMALS), np.round(chance, DECIMALS))


def _mean(model: Any, x: Floats) -> Floats:
    if isinstance(model, float):
        return np.full(len(x), model)
    found: Floats = model.predict(x)
    return found
