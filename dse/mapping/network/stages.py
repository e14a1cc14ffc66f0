"""Stages of a pipeline in space: layers dealt out over cores so that the slowest takes least.

A stage is a run of layers in execution order that share one core and take turns on it, or one layer
split over several. Its time for a frame is the sum of its layers'. Among all such stages on at most
so many cores the shortest slowest stage is found exactly, by a dynamic program over cuts and cores:

    best(k, j) = min( max(best(k - 1, i), time of layers i to j on a core)   over runs,
                      max(best(k - m, j - 1), time of layer j on m cores)    over m )

A time on m cores is the least on up to m: cores may be left idle. So more cores never are worse.
Weights and rows of all stages must fit the buffers together: what a stage's own do not hold lies in
those of others, and comes over the wires. So a run of layers fits, or it does not, however it is
cut into stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Cores that one layer is split over: all numbers up to 8, then in steps.
SPLITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)


class Share(NamedTuple):
    """Layers ``first`` to ``last`` on ``cores`` cores."""

    first: int
    last: int
    cores: int


@dataclass(frozen=True)
class Task:
    """A layer as the partition sees it: s on each number of cores it may be split over,
    ascending."""

    seconds: tuple[tuple[int, float], ...]

    @property
    def alone_s(self) -> float:
        """Time on one core, s."""
        return self.seconds[0][1]

    def on(self, cores: int) -> float:
        """Time on at most so many cores, s."""
        return min(seconds for number, seconds in self.seconds if number <= cores)


@dataclass(frozen=True)
class Balance:
    """Shortest slowest stages of the runs of layers that begin at ``first``.

    ``seconds[k, j]``: of the ``j`` layers from there on at most ``k`` cores; ``steps`` says how the
    last stage of each is made: (layers, cores).
    """

    first: int
    seconds: npt.NDArray[np.float64]
    steps: npt.NDArray[np.int64]

    @property
    def layers(self) -> int:
        """How many layers from the first on fit the chip together."""
        return int(self.seconds.shape[1]) - 1

    def interval_s(self, count: int) -> float:
        """Of so many layers on all cores, s (infinite if they do not fit)."""
        return float(self.seconds[-1, count]) if count <= self.layers else float("inf")

    def shares(self, count: int) -> tuple[Share, ...]:
        """The stages of so many layers."""
        # The fewest cores that are as fast: what is left over stays idle.
        column = self.seconds[:, count]
        cores = int(np.argmax(column <= column[-1]))
        out: list[Share] = []
        while count:
            layers, number = (int(n) for n in self.steps[cores, count])
            last = self.first + count - 1
            out.append(Share(last - layers + 1, last, number))
            count -= layers
            cores -= number
        return tuple(reversed(out))


def balance(
    tasks: Sequence[Task], needs: Sequence[float], cores: int, room: float, first: int = 0
) -> Balance:
    """The best stages of every run of layers that begins at ``first``, on up to ``cores`` cores.

    Args:
        needs: bytes of weights and rows of the layers from ``first`` on.
        room: bytes of one core's buffer; runs that do not fit all of them are left out.
    """
    count = _fitting(needs, cores * room)
    best = np.full((cores + 1, count + 1), np.inf)
    steps = np.zeros((cores + 1, count + 1, 2), dtype=np.int64)
    best[:, 0] = 0.0
    for last in range(count):
        column, made = best[:, last + 1], steps[:, last + 1]
        whole = sum(task.alone_s for task in tasks[first : first + last + 1])
        _take(column, made, np.full(cores, whole), (last + 1, 1))
        seconds = 0.0
        for begin in range(last, 0, -1):
            seconds += tasks[first + begin].alone_s
            _take(column, made, np.maximum(best[:-1, begin], seconds), (last - begin + 1, 1))
            if seconds >= column[min(2, cores)]:
                break  # beside another stage, longer runs are no faster on any number of cores
        _split(best, steps, last, tasks[first + last])
    return Balance(first, best, steps)


def _fitting(needs: Sequence[float], room: float) -> int:
    """How many layers from the first on fit so many bytes together."""
    need, count = 0.0, 0
    for one in needs:
        need += one
        if need > room:
            break
        count += 1
    return count


def _split(
    best: npt.NDArray[np.float64],
    steps: npt.NDArray[np.int64],
    last: int,
    task: Task,
) -> None:
    """The last of so many layers on several cores of its own."""
    column, made = best[:, last + 1], steps[:, last + 1]
    for number in SPLITS[1:]:
        if number >= len(best):
            break
        found = np.maximum(best[:-number, last], task.on(number))
        _take(column, made, found, (1, number))


def _take(
    column: npt.NDArray[np.float64],
    made: npt.NDArray[np.int64],
    found: npt.NDArray[np.float64],
    step: tuple[int, int],
) -> None:
    """What is faster than what is there; ``found`` is for the cores that are left beside it."""
    there = column[step[1] :]
    better = found < there
    there[better] = found[better]
    made[step[1] :][better] = step
