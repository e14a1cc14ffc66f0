"""Contexts of a pipeline in space: parts of a network that are loaded onto the chip in turn.

A network whose weights fit the chip is one context: they stay there, and calls follow each other
at the pace of the slowest stage. Else it is cut into contexts. Each takes all cores; a call loads
its weights, passes the whole batch through its pipeline, and goes on to the next. What one context
makes for a later one waits outside the chip. Loading does not overlap computing: the buffers are
full. So

    call = sum over contexts of loaded bytes / link + starts
           + max((depth + batch - 1) x slowest stage, batch x bytes in and out / link)

with ``depth`` the frame times that the first frame takes. The cuts with the shortest call are found
exactly: a context's cost depends on where it begins and ends, so it is a shortest path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dse.mapping.network.lines import Rows, depth, held_bytes, lags
from dse.mapping.network.stages import Balance, Share, Task, balance
from dse.workload.layer import STORED, Workload


@dataclass(frozen=True)
class Context:
    """Layers that are on the chip together, pipelined.

    ``needs``: weights and rows that each layer holds, bytes; ``stage_s`` of the slowest stage,
    ``interval_s`` from frame to frame (that, or what the link takes for what goes in and out);
    ``depth`` of a frame in intervals; ``load_bytes`` of weights, and what goes in and out by frame.
    """

    shares: tuple[Share, ...]
    needs: tuple[float, ...]
    stage_s: float
    interval_s: float
    depth: float
    load_bytes: float
    in_bytes: float
    out_bytes: float

    @property
    def first(self) -> int:
        return self.shares[0].first

    @property
    def last(self) -> int:
        return self.shares[-1].last


@dataclass(frozen=True)
class Ground:
    """What the contexts of a network are made from.

    ``weights`` of each layer, bytes; ``passing``: bytes into and out of the chip by a frame of the
    layers from one to another; ``room`` of one core's buffer; ``rate`` of the link outside, bytes/s
    (0 if there is none); ``start_s``: to start a layer.
    """

    tasks: Sequence[Task]
    rows: Sequence[Rows]
    weights: Sequence[float]
    passing: Callable[[int, int], tuple[float, float]]
    cores: int
    room: float
    rate: float
    start_s: float


def one_context(ground: Ground) -> Context | None:
    """The whole network on the chip at once; None if it does not fit."""
    count, needs = len(ground.tasks), needs_of(ground, 0)
    found = balance(ground.tasks, needs, ground.cores, ground.room)
    return _context(ground, found, needs) if found.layers == count else None


def needs_of(ground: Ground, first: int) -> tuple[float, ...]:
    """Bytes that each layer holds, from the first one of a context on: weights and rows."""
    rows = ground.rows[first:]
    held = held_bytes(rows, lags(rows))
    return tuple(w + h for w, h in zip(ground.weights[first:], held, strict=True))


def best_contexts(ground: Ground, batch: int) -> tuple[Context, ...] | None:
    """The contexts with the shortest call; None if a layer alone does not fit the chip.

    Args:
        batch: frames that pass through a context before the next is loaded.
    """
    count = len(ground.tasks)
    cost = [0.0] + [float("inf")] * count
    before: list[Context | None] = [None] * (count + 1)
    for first in range(count):
        if not np.isfinite(cost[first]):
            continue
        needs = needs_of(ground, first)
        found = balance(ground.tasks, needs, ground.cores, ground.room, first)
        for layers in range(1, found.layers + 1):
            made = _context(ground, found, needs[:layers])
            total = cost[first] + call_s(ground, made, batch)
            if total < cost[first + layers]:
                cost[first + layers], before[first + layers] = total, made
    if before[count] is None:
        return None
    out: list[Context] = []
    at = count
    while at:
        step = before[at]
        assert step is not None
        out.append(step)
        at = step.first
    return tuple(reversed(out))


def call_s(ground: Ground, context: Context, batch: int) -> float:
    """A context of one call of so many frames: loaded, started, and the batch passed through, s."""
    loading = context.load_bytes / ground.rate
    starts = ground.start_s * (context.last - context.first + 1)
    moved = batch * (context.in_bytes + context.out_bytes) / ground.rate
    return loading + starts + max((context.depth + batch - 1) * context.stage_s, moved)


def passing_bytes(workload: Workload) -> Callable[[int, int], tuple[float, float]]:
    """Bytes of activations into and out of layers ``first`` to ``last``, for any of them."""
    tensors = workload.tensors
    made: dict[str, int] = {}
    read: dict[str, int] = {}
    for number, layer in enumerate(workload.layers):
        for name in (*layer.inputs, *((layer.w_tensor,) if layer.w_tensor else ())):
            if name in tensors and tensors[name].role not in STORED:
                read[name] = number
        made |= dict.fromkeys((n for n in layer.outputs if n in tensors), number)
    read |= dict.fromkeys(workload.outputs, len(workload.layers))
    readers: list[list[str]] = [[] for _ in workload.layers]
    for number, layer in enumerate(workload.layers):
        for name in dict.fromkeys((*layer.inputs, *((layer.w_tensor,) if layer.w_tensor else ()))):
            if name in tensors and tensors[name].role not in STORED:
                readers[number].append(name)

    def passing(first: int, last: int) -> tuple[float, float]:
        names = {n for group in readers[first : last + 1] for n in group if made.get(n, -1) < first}
        gone = (
            n for layer in workload.layers[first : last + 1] for n in layer.outputs if n in made
        )
        leaving = {n for n in gone if read.get(n, -1) > last}
        return (
            float(sum(tensors[n].bytes for n in names)),
            float(sum(tensors[n].bytes for n in leaving)),
        )

    return passing


def _context(ground: Ground, found: Balance, needs: tuple[float, ...]) -> Context:
    first, layers = found.first, len(needs)
    stop = first + layers
    taken, given = ground.passing(first, stop - 1)
    interval = slowest = found.interval_s(layers)
    if ground.rate > 0.0:
        interval = max(interval, (taken + given) / ground.rate)
    busy = [min(1.0, task.alone_s / interval) for task in ground.tasks[first:stop]]
    rows = ground.rows[first:stop]
    return Context(
        shares=found.shares(layers),
        needs=needs,
        stage_s=slowest,
        interval_s=interval,
        depth=depth(rows, lags(rows, busy)),
        load_bytes=sum(ground.weights[first:stop]),
        in_bytes=taken,
        out_bytes=given,
    )
