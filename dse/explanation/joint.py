"""Several steps together: the smallest sets of changes after which a broken design holds.

The search goes by size, fewest changes first. Of each size the sets are held against the bound
first (the roofline, some thousandths of a second): a set whose bound breaks a demand is out. What
is left is mapped (``analytic``), and what still holds is played at the fidelity asked. All sets of
one size are held against the bound where that is not more than the share of bounds it has; else
those that extend the most promising smaller sets by the most promising steps. What promises most is
looked at first (:mod:`dse.explanation.forecast`): promise decides the order, never an answer.

Nothing depends on a clock or on chance: the same request gives the same answer, and its cost is a
number of evaluations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dse.evaluation.terms import Fidelity
from dse.explanation.forecast import Forecast
from dse.explanation.ladders import Move
from dse.explanation.sets import (
    Changes,
    Found,
    Judge,
    Judged,
    Limits,
    Progress,
    SizeCount,
    Way,
    cost_of,
    every_set,
    sets_of,
    settings_of,
)

#: Sets over the same parameters that are extended, at most: values vary less than parameters do.
ALIKE = 3
#: A set that is expected to break less than this in all is expected to hold.
HOPEFUL = 1e-9


@dataclass
class _Set:
    """A set of changes that was held against the bound, and what may be expected of it."""

    changes: Changes
    bound: Judged
    expected: float
    judged: Judged | None = None

    @property
    def merit(self) -> float:
        """What is known, else expected, to be broken: less is better."""
        return self.expected if self.judged is None else self.judged.violation


class JointSearch:
    """One search around one design; :meth:`run` does it."""

    def __init__(
        self,
        moves: Sequence[Move],
        judge: Judge,
        fidelity: Fidelity,
        limits: Limits | None = None,
        on_try: Progress | None = None,
    ) -> None:
        """
        Args:
            moves: the changes there are, those of one path together.
            judge: evaluates.
            fidelity: what decides: ``analytic`` or ``simulate``.
            limits: how far to go.
            on_try: called after each evaluation.
        """
        self.moves = tuple(moves)
        self.judge, self.limits, self._on_try = judge, limits or Limits(), on_try
        self.levels: tuple[Fidelity, ...] = (
            ("analytic",) if fidelity == "analytic" else ("analytic", "simulate")
        )
        self.bounds = self.tries = 0
        self._place = {move: index for index, move in enumerate(self.moves)}
        self._known: dict[tuple[str, Changes], Judged] = {}
        start = judge("analytic", {})
        self._forecast = Forecast(judge("roofline", {}), start)
        if start.holds and fidelity == "simulate":
            # Only the play breaks something: how far it is above is what is to be mended.
            self._forecast.learn_play((), judge("simulate", {}))
        self._sets: dict[Changes, _Set] = {}

    def run(self) -> Found:
        """The sets that help, of the first size of which any does."""
        sizes: list[SizeCount] = []
        parents: list[_Set] = []
        for size in range(1, self.limits.together + 1):
            left = self.limits.together + 1 - size
            row = SizeCount(size, sets_of(self.moves, size))
            if row.sets == 0:
                break
            sizes.append(row)
            parents = self._bounded(row, parents, (self.limits.bounds - self.bounds) // left)
            if size == 1:
                self._learn_steps(row, parents)
            most = self.tries + math.ceil((self.limits.tries - self.tries) / left)
            ways = self._looked_at(row, parents, most)
            if ways:
                return self._found(ways, sizes)
        return self._found([], sizes)

    def _found(self, ways: Sequence[Way], sizes: Sequence[SizeCount]) -> Found:
        closest = None
        if not ways:
            closest = self._closest()
        ranked = sorted(ways, key=lambda way: (len(way.changes), way.cost, self._rank(way.changes)))
        spent = self.tries >= self.limits.tries
        return Found(tuple(ranked), tuple(sizes), closest, self.bounds, self.tries, spent)

    def _closest(self) -> tuple[Changes, Judged] | None:
        """The set with the least broken, as far as known, of those that are known to break some."""
        able = [
            one
            for one in self._sets.values()
            if not math.isinf(one.merit) and (one.judged or one.bound).reasons
        ]
        if not able:
            return None
        best = min(able, key=lambda one: (one.merit, len(one.changes), self._order(one)))
        return best.changes, best.judged or best.bound

    def promise(self, changes: Changes) -> float:
        """The sum of broken demands that is known or expected of a set."""
        return self._bound(self._sorted(changes)).merit

    # ---- sets of one size ---------------------------------------------------------------------

    def _bounded(self, row: SizeCount, parents: Sequence[_Set], most: int) -> list[_Set]:
        """Sets of one size held against the bound, the most promising first."""
        out = []
        for changes in itertools.islice(self._candidates(row, parents, most), most):
            one = self._bound(changes)
            row.bounded += 1
            row.impossible += one.bound.impossible
            row.infeasible += not one.bound.holds and not one.bound.impossible
            row.left += one.bound.holds
            out.append(one)
        return sorted(out, key=lambda one: (one.expected, self._order(one)))

    def _candidates(self, row: SizeCount, parents: Sequence[_Set], most: int) -> Iterator[Changes]:
        """All sets of a size if there is room for them, else extensions of promising ones."""
        if row.sets <= most or row.changes == 1:
            yield from every_set(self.moves, row.changes)
            return
        for one in self._sets.values():
            one.expected = self._expected(one.changes, one.bound)
        kept = [one for one in _varied(parents) if not math.isinf(one.merit)]
        alone = [(self._sets.get((move,)), index) for index, move in enumerate(self.moves)]
        merit = sorted((one.merit, index) for one, index in alone if one is not None)
        order = [self.moves[index] for _, index in merit]
        pairs = (
            (i / max(len(kept), 1) + j / len(order), i, j)
            for i in range(len(kept))
            for j in range(len(order))
        )
        made: set[Changes] = set()
        for _, i, j in sorted(pairs):
            if order[j].path in {move.path for move in kept[i].changes}:
                continue
            changes = self._sorted((*kept[i].changes, order[j]))
            if changes not in made:
                made.add(changes)
                yield changes

    def _looked_at(self, row: SizeCount, sets: Sequence[_Set], most: int) -> list[Way]:
        """Sets that the bound lets through, mapped and played, until enough of them hold."""
        ways: dict[Changes, Way] = {}
        waiting = [one for one in sets if one.bound.holds]
        while waiting and len(ways) < self.limits.ways:
            for one in waiting:
                one.expected = self._expected(one.changes, one.bound)
            one = min(waiting, key=self._turn)
            if ways and one.expected > HOPEFUL:
                break  # something helps, and of the rest nothing is expected to
            waiting.remove(one)
            if any(set(way) <= set(one.changes) for way in ways):
                continue
            judged = self._verified(one, row, most)
            if judged is None:
                break
            if judged.holds:
                way = self._minimal(one, judged, row, most)
                ways.setdefault(way.changes, way)
        row.feasible = len(ways)
        return list(ways.values())

    def _turn(self, one: _Set) -> tuple[bool, float, float, tuple[int, ...]]:
        """Whose turn it is: what should hold by the least change, then what comes closest."""
        hopeful, cost = one.expected <= HOPEFUL, cost_of(one.changes)
        return not hopeful, 0.0 if hopeful else one.expected, cost, self._order(one)

    def _minimal(self, one: _Set, judged: Judged, row: SizeCount, most: int) -> Way:
        """``one`` without what it does not need, and each change as small as does."""
        changes, best = one.changes, judged
        while True:
            for other in self._smaller(changes):
                tried = self._bound(other)
                found = self._verified(tried, row, most) if tried.bound.holds else tried.bound
                if found is None:
                    return Way(changes, best, minimal=False)
                if found.holds:
                    changes, best = other, found
                    break
            else:
                return Way(changes, best, minimal=True)

    def _smaller(self, changes: Changes) -> Iterator[Changes]:
        """Without one of the changes, or with a nearer value in its place."""
        if len(changes) > 1:
            for move in sorted(changes, key=lambda move: -move.rungs):
                yield tuple(other for other in changes if other is not move)
        for move in changes:
            for nearer in self.moves:
                if nearer.path == move.path and nearer.rungs < move.rungs:
                    yield tuple(nearer if other is move else other for other in changes)

    # ---- evaluations ---------------------------------------------------------------------------

    def _bound(self, changes: Changes) -> _Set:
        if changes not in self._sets:
            bound = self.judge("roofline", settings_of(changes))
            self.bounds += 1
            self._tell("sets held against the bound", self.bounds, self.limits.bounds)
            if len(changes) == 1:
                self._forecast.learn_bound(changes[0], bound)
            self._sets[changes] = _Set(changes, bound, self._expected(changes, bound))
        return self._sets[changes]

    def _verified(self, one: _Set, row: SizeCount, most: int) -> Judged | None:
        """The set at the first level that breaks something, else at the last; None: used up."""
        judged: Judged | None = one.bound
        for level in self.levels:
            judged = self._at(level, one, row, most)
            if judged is None or not judged.holds:
                break
        return judged

    def _at(self, level: Fidelity, one: _Set, row: SizeCount, most: int) -> Judged | None:
        """The set at a level, evaluated once; None: the evaluations are used up."""
        key = (level, one.changes)
        if key not in self._known:
            if self.tries >= most:
                return None
            self._known[key] = self.judge(level, settings_of(one.changes))
            self.tries += 1
            row.mapped += level == "analytic"
            row.played += level == "simulate"
            self._tell("sets mapped or played", self.tries, self.limits.tries)
            learn = self._forecast.learn_play if level == "simulate" else self._forecast.learn
            learn(one.changes, self._known[key])
        one.judged = self._known[key]
        return one.judged

    def _tell(self, what: str, done: int, most: int) -> None:
        if self._on_try is not None:
            self._on_try(what, done, most)

    # ---- promise -------------------------------------------------------------------------------

    def _learn_steps(self, row: SizeCount, sets: Sequence[_Set]) -> None:
        """Map single steps to the next rung, what promises most first: what others are made of."""
        near = [one for one in sets if one.changes[0].rungs == 1 and not one.bound.impossible]
        for one in near:
            if self._at("analytic", one, row, self.limits.tries // 2) is None:
                return

    def _expected(self, changes: Changes, bound: Judged) -> float:
        """The sum of broken demands that is to be expected of a set."""
        return self._forecast.expected(changes, bound)

    # ---- order ---------------------------------------------------------------------------------

    def _sorted(self, changes: Sequence[Move]) -> Changes:
        return tuple(sorted(changes, key=lambda move: self._place[move]))

    def _rank(self, changes: Changes) -> tuple[int, ...]:
        return tuple(self._place[move] for move in changes)

    def _order(self, one: _Set) -> tuple[int, ...]:
        return (cost_of(one.changes), *self._rank(one.changes))


def _varied(sets: Sequence[_Set]) -> list[_Set]:
    """Sets by merit, few over the same parameters (all of single changes)."""
    taken: dict[tuple[str, ...], int] = {}
    out = []
    for one in sorted(sets, key=lambda one: one.merit):
        paths = tuple(move.path for move in one.changes)
        taken[paths] = taken.get(paths, 0) + 1
        if len(paths) == 1 or taken[paths] <= ALIKE:
            out.append(one)
    return out
