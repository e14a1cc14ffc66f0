"""A batch of designs from what is expected of them: picked one by one, for volume and for cover.

Two aims take turns. *Volume*: the hypervolume that a design adds, in the metrics' own units; it
soon finds what matters, the knees. *Cover*: the least amount by which a design improves on every
member of the front in some objective (the additive epsilon indicator of Zitzler et al. 2003, in
turned scales over the range of the front), if it turns out a standard deviation better than it is
expected; it fills the gaps, also where little volume is left, and tries what is least certain.
Picked designs join the front at their expected place before the next one is picked, so that a batch
spreads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Objectives up to which volumes are exact; with more they are counted in points.
EXACT = 4
#: Points that volumes are counted in.
POINTS = 4096
#: Share of a box below which what is left of it is taken for nothing.
ROUNDING = 1e-10
#: What a probably infeasible design loses of its cover, in ranges of the front.
PENALTY = 3.0


@dataclass(frozen=True)
class Expected:
    """What is expected of n candidates.

    Attributes:
        turned: losses in the scales of the surrogate, over the range of the front (n x m).
        hoped: the same, if they turn out a deviation better (n x m).
        plain: losses in the metrics' own units (n x m).
        feasible: chance that all requirements hold (n).
    """

    turned: Floats
    hoped: Floats
    plain: Floats
    feasible: Floats


@dataclass(frozen=True)
class Front:
    """A front to improve on, in both scales of :class:`Expected`, and who may improve on it.

    Attributes:
        turned, plain: its rows.
        reference: what volumes are below, in the metrics' own units (m).
        owned: which candidates count (n).
        feasible: whether it is a front, or what comes nearest to meeting the requirements.
    """

    turned: Floats
    plain: Floats
    reference: Floats
    owned: NDArray[np.bool_]
    feasible: bool


class Aim(Protocol):
    """A score of candidates that only falls as others are picked."""

    def best(self, free: NDArray[np.bool_]) -> int | None:
        """The best of the free candidates; None if none is worth it."""

    def join(self, index: int) -> None:
        """A candidate was picked."""


def picks(expected: Expected, fronts: Sequence[Front], count: int) -> list[int]:
    """Up to ``count`` indices of candidates, the most promising first.

    The fronts take turns, and for each of them volume, volume and cover.
    """
    volumes = [_Volume(expected, front) for front in fronts]
    covers = [_Cover(expected, front) for front in fronts]
    turns: list[Aim] = [*volumes, *volumes, *covers]
    free = np.ones(len(expected.turned), dtype=bool)
    found: list[int] = []
    while len(found) < count:
        turn = len(found) % len(turns)
        fallback = (turns[turn], covers[turn % len(fronts)], covers[0])
        best = next((b for aim in fallback if (b := aim.best(free)) is not None), None)
        if best is None:
            break
        found.append(best)
        free[best] = False
        for aim in turns:
            aim.join(best)
    return found


def cover(places: Floats, front: Floats) -> Floats:
    """By how much each place is better than every row of ``front`` in some objective."""
    gains: Floats = np.full(len(places), np.inf)
    columns = np.ascontiguousarray(places.T)  # much faster than rows of a few objectives
    for row in front:
        np.minimum(gains, np.max(row[:, None] - columns, axis=0), out=gains)
    return gains


class _Cover:
    """Candidates by :func:`cover`, at the places that may be hoped for."""

    def __init__(self, expected: Expected, front: Front) -> None:
        self._places, self._hoped = expected.turned, expected.hoped
        self._doubt = PENALTY * np.maximum(0.0, 0.5 - expected.feasible)
        gains = cover(expected.hoped, front.turned)
        self._gains: Floats = np.where(front.owned, gains, -np.inf)

    def best(self, free: NDArray[np.bool_]) -> int | None:
        scores = np.where(free, self._gains - self._doubt, -np.inf)
        index = int(np.argmax(scores))
        return index if np.isfinite(scores[index]) else None

    def join(self, index: int) -> None:
        closer = np.max(self._places[index][None, :] - self._hoped, axis=1)
        self._gains = np.minimum(self._gains, closer)


class _Volume:
    """Candidates by the volume they are expected to add.

    What a candidate adds only shrinks as others join, so an old figure is an upper limit: only
    the first in the order is computed again, until it stays the first.
    """

    def __init__(self, expected: Expected, front: Front) -> None:
        self._places, self._chance = expected.plain, expected.feasible
        self._volume = volume_of(front.plain, expected.plain, front.reference)
        self._limits: Floats = np.zeros(len(expected.plain))
        if front.feasible:
            better = cover(expected.turned, front.turned) > 0.0
            for index in np.flatnonzero(front.owned & better):
                self._limits[index] = self._gain(int(index))
        self._stale = np.zeros(len(expected.plain), dtype=bool)

    def _gain(self, index: int) -> float:
        return self._volume.gain(self._places[index]) * float(self._chance[index])

    def best(self, free: NDArray[np.bool_]) -> int | None:
        while True:
            scores = np.where(free, self._limits, 0.0)
            index = int(np.argmax(scores))
            if scores[index] <= 0.0:
                return None
            if not self._stale[index]:
                return index
            self._limits[index] = self._gain(index)
            self._stale[index] = False

    def join(self, index: int) -> None:
        self._volume.join(self._places[index])
        self._stale[:] = True


class Volume(Protocol):
    """The hypervolume below a reference that a front leaves free."""

    def gain(self, place: Floats) -> float:
        """What a place would add."""

    def join(self, place: Floats) -> None:
        """A place joins the front."""


def volume_of(front: Floats, places: Floats, reference: Floats) -> Volume:
    """For a front (k x m), places that may be asked about (n x m), and a reference (m)."""
    if front.shape[1] <= EXACT:
        return _ExactVolume(front, reference)
    return _CountedVolume(front, reference, np.minimum(front.min(axis=0), places.min(axis=0)))


class _ExactVolume:
    """A place adds its box less what the front, clipped to that box, covers of it."""

    def __init__(self, front: Floats, reference: Floats) -> None:
        from moocore import Hypervolume

        self._front, self._reference = np.ascontiguousarray(front.T), reference
        self._covered = Hypervolume(ref=reference) if len(reference) > 1 else None

    def gain(self, place: Floats) -> float:
        if np.any(place >= self._reference):
            return 0.0
        box = float(np.prod(self._reference - place))
        clipped = np.maximum(self._front, place[:, None])
        clipped = clipped[:, np.all(clipped < self._reference[:, None], axis=0)]
        if not clipped.size:
            return box
        if self._covered is None:
            return box - float(self._reference[0] - clipped.min())
        left = box - float(self._covered(clipped.T))
        return left if left > ROUNDING * box else 0.0

    def join(self, place: Floats) -> None:
        self._front = np.hstack([self._front, place[:, None]])


class _CountedVolume:
    """Volumes as numbers of points of a Sobol sequence, between the best values and the reference.

    An exact volume takes too long with five objectives or more.
    """

    def __init__(self, front: Floats, reference: Floats, ideal: Floats) -> None:
        from scipy.stats import qmc

        draws = qmc.Sobol(len(reference), scramble=False).random(POINTS)
        self._points = ideal + draws * (reference - ideal)
        for row in front:
            self.join(row)

    def gain(self, place: Floats) -> float:
        return float(np.count_nonzero(np.all(self._points >= place, axis=1)))

    def join(self, place: Floats) -> None:
        self._points = self._points[~np.all(self._points >= place, axis=1)]
