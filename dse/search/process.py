"""A Gaussian process that grows with its data.

Kernel: Matern 5/2 with a length per coordinate, and noise (Rasmussen and Williams 2006, ch. 2,
4.2, 5.4): what mapping makes of a design is rarely smooth in its parameters. Kernel parameters by
marginal likelihood with its gradient. Between fits the Cholesky factor of the covariance is kept
and only extended by the rows that were added, which costs O(n^2) each and not O(n^3).
"""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Ranges of length (coordinates are on 0..1), and of variances (values have variance 1).
LENGTHS = (0.05, 20.0)
SIGNALS = (1e-2, 1e3)
NOISES = (1e-7, 1e-1)
#: Values expected in one go: their covariances with all known rows are in memory at once.
PIECE = 2048
#: Steps of the likelihood's ascent, at most.
STEPS = 100


class Process:
    """One value learnt over designs. Rows once added stay; :meth:`fit` begins anew."""

    def __init__(self) -> None:
        self._theta: Floats | None = None
        self._x: Floats = np.empty((0, 0))
        self._factor: Floats = np.empty((0, 0))
        self._weights: Floats = np.empty(0)
        self._centre, self._scale = 0.0, 1.0

    def fit(self, x: Floats, y: Floats) -> None:
        """Kernel parameters for the rows ``x`` (n x d) and values ``y`` (n); keeps no rows."""
        from scipy.optimize import minimize

        centre, scale = float(y.mean()), max(float(y.std()), 1e-12)
        normal = (y - centre) / scale
        theta = self._theta
        if theta is None:
            theta = np.log(np.array([1.0, 1e-3] + [1.0] * x.shape[1]))
        limits = np.log(np.array([SIGNALS, NOISES] + [LENGTHS] * x.shape[1]))
        squares = (x[:, None, :] - x[None, :, :]) ** 2
        found = minimize(
            _loss,
            theta,
            (squares, normal),
            "L-BFGS-B",
            True,
            bounds=limits,
            options={"maxiter": STEPS},
        )
        self._theta = np.asarray(found.x, dtype=np.float64)
        self._x = np.empty((0, x.shape[1]))
        self._factor = np.empty((0, 0))

    def learn(self, x: Floats, y: Floats) -> None:
        """Know the rows ``x`` with values ``y``; the first rows are those known already."""
        from scipy.linalg import solve_triangular

        assert self._theta is not None
        old, new = len(self._x), x[len(self._x) :]
        if len(new):
            own = self._kernel(new, new) + np.eye(len(new)) * np.exp(self._theta[1])
            whole = np.zeros((len(x), len(x)))
            whole[:old, :old] = self._factor
            if old:
                beside = solve_triangular(
                    self._factor, self._kernel(self._x, new), lower=True, check_finite=False
                )
                whole[old:, :old] = beside.T
                own -= beside.T @ beside
            whole[old:, old:] = _root(own, float(np.exp(self._theta[0])))
            self._factor, self._x = whole, x
        self._centre, self._scale = float(y.mean()), max(float(y.std()), 1e-12)
        half = solve_triangular(
            self._factor, (y - self._centre) / self._scale, lower=True, check_finite=False
        )
        self._weights = solve_triangular(
            self._factor, half, lower=True, trans=1, check_finite=False
        )

    def mean(self, x: Floats) -> Floats:
        """Expected values at ``x``."""
        parts = [
            self._kernel(x[start : start + PIECE], self._x) @ self._weights
            for start in range(0, len(x), PIECE)
        ]
        found: Floats = np.concatenate(parts or [np.empty(0)]) * self._scale + self._centre
        return found

    def deviation(self, x: Floats) -> Floats:
        """Standard deviations of the values at ``x``, without noise."""
        from scipy.linalg import solve_triangular

        assert self._theta is not None
        known = solve_triangular(
            self._factor, self._kernel(self._x, x), lower=True, check_finite=False
        )
        left = np.exp(self._theta[0]) - np.sum(known**2, axis=0)
        found: Floats = np.sqrt(np.maximum(left, 0.0)) * self._scale
        return found

    def _kernel(self, a: Floats, b: Floats) -> Floats:
        assert self._theta is not None
        lengths = np.exp(self._theta[2:])
        a, b = a / lengths, b / lengths
        squares = np.sum(a**2, 1)[:, None] + np.sum(b**2, 1)[None, :] - 2.0 * (a @ b.T)
        r = np.sqrt(5.0 * np.maximum(squares, 0.0, out=squares), out=squares)
        found: Floats = np.exp(-r)
        found *= (r * (1.0 / 3.0) + 1.0) * r + 1.0
        found *= np.exp(self._theta[0])
        return found


def _root(matrix: Floats, signal: float) -> Floats:
    """The Cholesky factor; where rounding leaves none, of the matrix with a little more noise.

    Raises:
        np.linalg.LinAlgError: if even noise as large as the ``signal`` does not help.
    """
    unit = np.eye(len(matrix)) * signal
    for share in (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2):
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.asarray(np.linalg.cholesky(matrix + share * unit), np.float64)
    return np.asarray(np.linalg.cholesky(matrix + unit), np.float64)


def _loss(theta: Floats, squares: Floats, y: Floats) -> tuple[float, Floats]:
    """Negative log likelihood of ``y`` and its gradient in the logarithms ``theta``."""
    signal, noise, lengths = np.exp(theta[0]), np.exp(theta[1]), np.exp(theta[2:])
    scaled = squares / lengths**2
    r = np.sqrt(5.0 * scaled.sum(axis=2))
    fall = np.exp(-r)
    plain = signal * (1.0 + r + r * r / 3.0) * fall
    n = len(y)
    try:
        factor = np.linalg.cholesky(plain + noise * np.eye(n))
    except np.linalg.LinAlgError:
        return 1e25, np.zeros_like(theta)
    inverse = np.linalg.inv(factor)
    inverse = inverse.T @ inverse
    weights = inverse @ y
    value = 0.5 * y @ weights + np.log(np.diag(factor)).sum() + 0.5 * n * np.log(2 * np.pi)
    slope = np.outer(weights, weights) - inverse  # twice the slope of the likelihood in K
    by_length = np.einsum("ij,ijk->k", slope * (signal * 5.0 / 3.0 * (1.0 + r) * fall), scaled)
    gradient = np.concatenate([[np.sum(slope * plain)], [noise * np.trace(slope)], by_length])
    return float(value), -0.5 * gradient
