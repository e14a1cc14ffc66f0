"""What to expect of a set of steps before it is mapped: the order in which sets are looked at.

The analytic level is asked about single steps, and says how much of every limit each of them uses
against the design as it is. Steps together are expected to act one upon the other: their ratios are
multiplied, from the largest part of the set that was looked at. What the bound says is never
undercut, and of what it knows exactly (cost, area, quality) it alone is asked. A step further on a
ladder that was not looked at acts as its bound does, and what the nearest step on its ladder does
beyond its bound, as often as it is rungs away. Expectations decide no answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.explanation.ladders import Move, side
from dse.explanation.sets import Changes, Judged

#: Share of its limit that each demand uses: 1 is at the limit. By the demand's key.
Usage = Mapping[str, float]


def usage(judged: Judged) -> dict[str, float]:
    """What each demand uses of its limit, as far as the level knows it."""
    return {
        demand.key: 1.0 - demand.room
        for demand in judged.demands
        if demand.room is not None and math.isfinite(demand.room) and demand.room < 1.0
    }


class Forecast:
    """Learns from designs that were looked at."""

    def __init__(self, bound: Judged, start: Judged) -> None:
        """The design without any step: its bound, and at the analytic level."""
        self._looked: dict[Changes, Usage] = {(): usage(start)}
        self._bound = usage(bound)
        self._bounds: dict[Move, Usage] = {}
        self._played: dict[str, float] = {}

    def learn_bound(self, move: Move, bound: Judged) -> None:
        """What the bound said of a single step."""
        self._bounds[move] = _ratio(usage(bound), self._bound)

    def learn(self, changes: Changes, judged: Judged) -> None:
        """What the analytic level said of a set."""
        if not judged.impossible:
            self._looked[changes] = usage(judged)

    def learn_play(self, changes: Changes, judged: Judged) -> None:
        """What a play said of a set that was mapped: how far it is above."""
        below = self._looked.get(changes, {})
        for key, used in usage(judged).items():
            if below.get(key, 0.0) > 0.0:
                above = max(1.0, used / below[key])
                self._played[key] = min(above, self._played.get(key, math.inf))

    def expected(self, changes: Changes, bound: Judged) -> float:
        """The sum of broken demands to be expected of a set with this bound."""
        if bound.impossible:
            return math.inf
        model, total = self._usage(changes), 0.0
        for demand in bound.demands:
            if demand.room is None:
                continue
            used = 1.0 - demand.room
            if not demand.exact:
                above = max(used, model.get(demand.key, used))
                used = above * self._played.get(demand.key, 1.0)
            total += max(0.0, used - 1.0)
        return max(total, 0.0 if bound.holds else bound.violation)

    def _usage(self, changes: Changes) -> Usage:
        """What a set is expected to use at the analytic level."""
        if changes in self._looked:
            return self._looked[changes]
        parts = [
            (rest, move)
            for move in changes
            if len(rest := tuple(one for one in changes if one is not move))
            and rest in self._looked
        ]
        if parts:
            found = [self._after(self._looked[rest], [move]) for rest, move in parts]
            keys = dict.fromkeys(key for one in found for key in one)
            return {key: _mean([one[key] for one in found if key in one]) for key in keys}
        return self._after(self._looked[()], changes)

    def _after(self, before: Usage, moves: Sequence[Move]) -> Usage:
        """``before`` with each of the moves upon it."""
        out = dict(before)
        for move in moves:
            for key, ratio in self._ratios(move).items():
                if key in out:
                    out[key] *= ratio
        return out

    def _ratios(self, move: Move) -> Usage:
        """What a single step does to each demand, as far as it is known."""
        start, own = self._looked[()], self._looked.get((move,))
        if own is not None:
            return _ratio(own, start)
        below = self._bounds.get(move, {})
        near = [
            (abs(other.rungs - move.rungs), other.rungs, other)
            for (other, *more) in filter(None, self._looked)
            if not more and other.path == move.path and side(other.step) == side(move.step)
        ]
        if not near:
            return below
        _, rungs, other = min(near, key=lambda one: one[:2])
        seen, other_below = _ratio(self._looked[(other,)], start), self._bounds.get(other, {})
        return {
            key: below.get(key, 1.0)
            * (seen[key] / other_below.get(key, 1.0)) ** (move.rungs / rungs)
            for key in seen
        }


def _ratio(used: Usage, start: Usage) -> Usage:
    """Each demand's use over that without the step."""
    return {
        key: value / start[key]
        for key, value in used.items()
        if start.get(key, 0.0) > 0.0 and value > 0.0
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
