"""Addresses of what lives in a memory: which bytes a tensor takes, and how much is lost between.

Tensors alive at the same time must not overlap. They are placed one after the other, the longest
lived and then the biggest first, each at the lowest address of the tightest gap that is free for
its whole life (best fit by lifetime). What an optimal placement could save is not searched for; the
peak of bytes alive bounds it from below, and the difference is reported as fragmentation.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Tensors start at multiples of this many bytes, if they are larger (assumed: one DMA word line).
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Interval:
    """A tensor of ``bytes`` alive from step ``first`` to step ``last``."""

    name: str
    bytes: float
    first: int
    last: int


@dataclass(frozen=True)
class Allocation:
    """Where tensors lie.

    Attributes:
        offsets: first byte of each.
        top_bytes: end of the highest one.
        peak_bytes: most bytes alive at once, which no allocation can be below.
    """

    offsets: Mapping[str, int]
    top_bytes: int
    peak_bytes: float

    @property
    def fragmentation(self) -> float:
        """Share of the room that is lost: 1 - peak / top."""
        return 1.0 - self.peak_bytes / self.top_bytes if self.top_bytes else 0.0


def aligned(amount: float) -> int:
    """Bytes a tensor takes: whole ones, a multiple of the alignment if it is larger than that."""
    whole = -int(-amount // 1)
    return whole if whole < ALIGNMENT else -(-whole // ALIGNMENT) * ALIGNMENT


def peak_bytes(intervals: Iterable[Interval]) -> float:
    """Most bytes alive at once."""
    steps: dict[int, float] = {}
    for one in intervals:
        steps[one.first] = steps.get(one.first, 0.0) + one.bytes
        steps[one.last + 1] = steps.get(one.last + 1, 0.0) - one.bytes
    alive = most = 0.0
    for step in sorted(steps):
        alive += steps[step]
        most = max(most, alive)
    return most


class Arena:
    """A memory being filled; tensors can be tried one by one."""

    def __init__(self, capacity_bytes: float) -> None:
        self.capacity_bytes = capacity_bytes
        self.offsets: dict[str, int] = {}
        self._placed: list[tuple[int, int, Interval]] = []  # begin, end, tensor; by begin

    def place(self, tensor: Interval) -> bool:
        """Give a tensor its address; False (and nothing changes) if no gap is large enough."""
        size = aligned(tensor.bytes)
        if size == 0:
            self.offsets[tensor.name] = 0
            return True
        best: tuple[int, int] | None = None
        cursor = 0
        for begin, end, other in self._placed:
            if other.last < tensor.first or tensor.last < other.first:
                continue
            gap = begin - cursor
            if gap >= size and (best is None or gap < best[0]):
                best = (gap, cursor)
            cursor = max(cursor, end)
        tail = int(self.capacity_bytes) - cursor
        if tail >= size and best is None:
            best = (tail, cursor)
        if best is None:
            return False
        begin = best[1]
        self.offsets[tensor.name] = begin
        bisect.insort(self._placed, (begin, begin + size, tensor), key=lambda entry: entry[:2])
        return True

    def allocation(self) -> Allocation:
        """What has been placed so far."""
        top = max((end for _, end, _ in self._placed), default=0)
        peak = peak_bytes(tensor for _, _, tensor in self._placed)
        return Allocation(dict(self.offsets), top, peak)


def allocate(
    intervals: Sequence[Interval], capacity_bytes: float
) -> tuple[Allocation | None, Interval | None]:
    """Addresses for all tensors.

    Returns:
        the allocation, or None and the tensor for which there is no gap.
    """
    first_failure: Interval | None = None
    for order in _orders(intervals):
        arena = Arena(capacity_bytes)
        for tensor in order:
            if not arena.place(tensor):
                first_failure = first_failure or tensor
                break
        else:
            return arena.allocation(), None
    return None, first_failure


def _orders(intervals: Sequence[Interval]) -> Iterable[list[Interval]]:
    """Orders of placement that are tried in turn: long-lived first, big first, by time."""
    yield sorted(intervals, key=lambda t: (-(t.last - t.first), -t.bytes, t.first, t.name))
    yield sorted(intervals, key=lambda t: (-t.bytes, t.first, t.name))
    yield sorted(intervals, key=lambda t: (t.first, -t.bytes, t.name))
