"""Candidates of one batch, what is expected of them, and the best of them for the fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dse.search.picks import Expected, Front, cover, picks
from dse.search.surrogate import Surrogate

Floats = NDArray[np.float64]

#: Candidates of each front that are looked at closely: those with the best expected cover.
SHORT = 400
#: The reference of volumes lies this share of the range beyond the worst values.
MARGIN = 0.1
#: Range of losses below which another measure of range is needed, over their size.
FLAT = 1e-9


class Ranking:
    """Grows by :meth:`add`; :meth:`best` says which candidates to take."""

    def __init__(
        self,
        surrogate: Surrogate,
        known: Floats,
        fronts: Sequence[Floats],
        feasible: Sequence[bool],
    ) -> None:
        """For fronts to improve on.

        Args:
            known: losses of all designs the surrogate learnt from (n x m).
            fronts: losses of each front (k x m).
            feasible: whether each is a front, or what comes nearest to meeting the requirements.
        """
        self.surrogate = surrogate
        self.keys: list[str] = []
        turned = surrogate.turned
        self._unit = _range(turned(fronts[0]), turned(known))
        self._fronts = fronts
        self._turned = [turned(front) / self._unit for front in fronts]
        self._known = known
        self._feasible = feasible
        self._places: Floats = np.empty((0, known.shape[1]))
        self._inputs: Floats = np.empty((0, 0))
        self._bounds: Floats = np.empty((0, known.shape[1]))
        self._doubt: Floats = np.empty((0, known.shape[1]))
        self._chance: Floats = np.empty(0)
        self._cover: Floats = np.empty((0, len(fronts)))

    def add(self, keys: Sequence[str], x: Floats, bounds: Floats, owned: NDArray[np.bool_]) -> None:
        """More candidates (n): their inputs to the surrogate, and for which fronts (n x fronts)."""
        if not keys:
            return
        found = self.surrogate.predict(x, bounds)
        places = found.losses / self._unit
        gains = np.stack([cover(places, front) for front in self._turned], axis=1)
        self.keys.extend(keys)
        self._places = np.vstack([self._places, places])
        self._inputs = np.vstack([self._inputs.reshape(-1, x.shape[1]), x])
        self._bounds = np.vstack([self._bounds, bounds])
        self._doubt = np.vstack([self._doubt, np.full_like(places, np.nan)])
        self._chance = np.concatenate([self._chance, found.feasible])
        self._cover = np.vstack([self._cover, np.where(owned, gains, -np.inf)])

    def best(self, count: int) -> list[str]:
        """Up to ``count`` candidates, the most promising first."""
        order = np.argsort(-self._cover, axis=0, kind="stable")[:SHORT]
        short = np.unique(order)
        places = self._places[short]
        plain = self.surrogate.plain(places * self._unit)
        fronts = [
            Front(
                self._turned[k],
                self._fronts[k],
                self._reference(k, plain[self._cover[short, k] > 0.0]),
                np.isfinite(self._cover[short, k]),
                self._feasible[k],
            )
            for k in range(len(self._fronts))
        ]
        hoped = places - self._deviation(short)
        found = picks(Expected(places, hoped, plain, self._chance[short]), fronts, count)
        return [self.keys[int(short[index])] for index in found]

    def _deviation(self, short: NDArray[np.int_]) -> Floats:
        """Standard deviations of places, each computed once."""
        new = short[np.isnan(self._doubt[short, 0])]
        if len(new):
            found = self.surrogate.deviation(self._inputs[new], self._bounds[new])
            self._doubt[new] = found / self._unit
        return self._doubt[short]

    def _reference(self, k: int, hopeful: Floats) -> Floats:
        """A margin beyond a front and those that are expected to join it, such as its next ends."""
        rows = np.vstack([self._fronts[k], hopeful])
        found: Floats = rows.max(axis=0) + MARGIN * _range(rows, self._known)
        return found


def _range(front: Floats, known: Floats) -> Floats:
    """Range of a front in each objective (m); where it is nothing, that of all losses, or 1."""
    tiny = FLAT * np.abs(known).max(axis=0)
    span, wide = np.ptp(front, axis=0), np.ptp(known, axis=0)
    found: Floats = np.where(span > tiny, span, np.where(wide > tiny, wide, 1.0))
    return found
