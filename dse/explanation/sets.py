"""What a search for several steps at once is made of: demands, sets of changes, and its answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dse.evaluation.design import Value
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity
from dse.explanation.ladders import Move

#: Bounds that are computed for each evaluation allowed.
BOUNDS_PER_TRY = 30

#: Changes, in the order of the moves they come from.
Changes = tuple[Move, ...]


@dataclass(frozen=True)
class Demand:
    """One demand on a design: what was found, what is allowed, and the room left (negative: broken,
    None: the level does not know).

    ``key`` is the same at every level, ``name`` is for people; ``exact``: every level knows it.
    """

    key: str
    name: str
    metric: str
    value: float | None
    limit: float
    room: float | None
    exact: bool = False


@dataclass(frozen=True)
class Judged:
    """A design with some changes at one level.

    ``violation``: the sum of its broken demands, 0 if it holds, infinite if it cannot be built or
    mapped; ``record`` is None if it cannot be built.
    """

    record: Evaluation | None
    demands: tuple[Demand, ...]
    violation: float
    reasons: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is broken at this level."""
        return self.violation == 0.0 and not self.reasons

    @property
    def impossible(self) -> bool:
        """Whether it cannot be built or mapped."""
        return math.isinf(self.violation)


#: The design with changed settings (by path), at a level.
Judge = Callable[[Fidelity, Mapping[str, Value]], Judged]
#: Told what is done, how often so far, and how often at most.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Limits:
    """How far a search goes.

    Attributes:
        together: steps in one set, at most.
        tries: designs mapped or played, at most; :data:`BOUNDS_PER_TRY` times as many are held
            against the bound.
        ways: answers wanted.
    """

    together: int = 4
    tries: int = 200
    ways: int = 3

    @property
    def bounds(self) -> int:
        return BOUNDS_PER_TRY * self.tries


@dataclass(frozen=True)
class Way:
    """A set of changes after which the design holds at the fidelity asked.

    ``minimal``: it was shown that it does not hold without any one of them, nor with a smaller one
    in its place (False: the evaluations were used up before that).
    """

    changes: Changes
    judged: Judged
    minimal: bool

    @property
    def cost(self) -> int:
        """Cost of change: rungs on all ladders together."""
        return cost_of(self.changes)


@dataclass
class SizeCount:
    """What became of the sets of one size.

    ``sets`` there are, ``bounded`` of them were held against the bound: ``impossible`` or
    ``infeasible`` by it, or ``left`` to look at; ``mapped`` and ``played`` of these.
    """

    changes: int
    sets: int
    bounded: int = 0
    impossible: int = 0
    infeasible: int = 0
    left: int = 0
    mapped: int = 0
    played: int = 0
    feasible: int = 0


@dataclass(frozen=True)
class Found:
    """The answer of a search.

    Attributes:
        ways: sets that help, fewest changes first, then least cost of change.
        sizes: what was tried, by number of changes.
        closest: where nothing helps, the set with the least left broken, known or expected, and
            how it was judged (by the bound, if no more).
        bounds, tries: evaluations used at the bound, and mapped or played.
        spent: whether the evaluations were used up.
    """

    ways: tuple[Way, ...]
    sizes: tuple[SizeCount, ...]
    closest: tuple[Changes, Judged] | None
    bounds: int
    tries: int
    spent: bool


def cost_of(changes: Changes) -> int:
    """Rungs of all changes together."""
    return sum(move.rungs for move in changes)


def settings_of(changes: Changes) -> dict[str, Value]:
    """The changes as settings by path."""
    return {move.path: move.step.after for move in changes}


def _by_path(moves: Sequence[Move]) -> list[list[Move]]:
    found: dict[str, list[Move]] = {}
    for move in moves:
        found.setdefault(move.path, []).append(move)
    return list(found.values())


def every_set(moves: Sequence[Move], size: int) -> Iterator[Changes]:
    """All sets of ``size`` moves on different paths, in the order of the moves."""
    for ladders in itertools.combinations(_by_path(moves), size):
        yield from itertools.product(*ladders)


def sets_of(moves: Sequence[Move], size: int) -> int:
    """How many there are: the elementary symmetric sum of the ladders' lengths."""
    sums = [1] + [0] * size
    for ladder in _by_path(moves):
        for k in range(size, 0, -1):
            sums[k] += sums[k - 1] * len(ladder)
    return sums[size]
