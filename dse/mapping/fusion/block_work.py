"""One member of a fused group over all blocks: what a block moves and does, added up."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.hardware.chip import Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import Objective
from dse.mapping.cost.streaming import Counts, add, merge
from dse.mapping.fusion.blocks import Blocks, Member, cut, part
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import NO_BYTES, Bytes, LayerSchedule, add_bytes
from dse.mapping.layer.build import Amounts, amounts, schedule
from dse.mapping.layer.mapper import map_layer
from dse.mapping.search.best import best_mapping
from dse.mapping.search.placement import Placement
from dse.mapping.space.choices import TILED
from dse.mapping.space.legal import is_legal, rule
from dse.mapping.space.problem import Problem, pack
from dse.workload.layer import Layer


@dataclass(frozen=True)
class Work:
    """One member over all blocks: what makes the schedule of a full block, and totals.

    ``port``: cycles of the slowest port, ``shared``: of the two of all, which fills also pass.
    ``room`` is the buffer that a block may take; ``need`` what it takes, if more room would change
    nothing else; infinite if it might.
    """

    make: Callable[[float], LayerSchedule]
    room: float
    need: float
    counts: Counts
    held: float
    array: float
    vector: float
    port: float
    shared: float
    dma: float
    streamed: Bytes

    @property
    def schedule(self) -> LayerSchedule:
        """The schedule of a full block."""
        return self.make(self.room)


def over_blocks(
    member: Member,
    blocks: Blocks,
    chip: Chip,
    axis: str,
    stays: bool,
    room: float,
    objective: Objective,
    watts: float,
    *,
    legal: bool,
) -> Work:
    """Map the full and the ragged block of a member and add up over all blocks.

    Args:
        axis: the loop dim along which rows are cut; stays: whether the weights stay in the buffer;
            room: bytes of buffer that a block's tiles may take.

    Raises:
        UnmappableError: a block overflows the room.
    """
    layer = member.layer
    inside = Homes(
        "buffer" if stays or not layer.w_elements else member.homes.W,
        "buffer",
        "buffer",
        "buffer",
    )
    full, count, last = cut(member.rows, blocks.bands)
    parts = [(full, (count - 1) * blocks.heads), (last, blocks.heads)]
    if full == last:
        parts = [(full, count * blocks.heads)]
    counts: Counts = {}
    sums, shared = [0.0] * 5, 0.0
    streamed = NO_BYTES
    make: Callable[[float], LayerSchedule] | None = None
    need = 0.0
    for rows, times in parts:
        if not times:
            continue
        sub = part(layer, axis, rows, member.rows, blocks.heads)
        block = _block(sub, chip, inside, room, objective, watts, legal=legal)
        make, need, made = make or block.make, max(need, block.need), block.numbers
        merge(counts, {action: n * times for action, n in made.counts.items()})
        moved = add_bytes(add_bytes(made.fill_weight, made.fill_other), made.drain)
        for phase in made.phases:
            if any(phase.link_bytes) or any((*phase.cycles[:3], phase.host_cycles)):
                sums[0] += times * phase.count * max(phase.cycles)  # else it waits for the DMA
            for index, cycles in enumerate(phase.cycles[:4]):
                sums[1 + index] += times * phase.count * cycles
            moved = add_bytes(moved, tuple(b * phase.count for b in phase.link_bytes))
        shared += times * _shared_port(chip, made)
        streamed = add_bytes(streamed, tuple(b * times for b in moved))
    assert make is not None
    launches = counts.pop("launch", 0.0)
    counts["launch"] = 1.0
    add(counts, "descriptor", launches)
    sums[4] += launches * chip.overheads.descriptor_cycles / chip.overheads.dma_channels
    held, array, vector, port, dma = sums
    return Work(make, room, need, counts, held, array, vector, port, shared, dma, streamed)


def _shared_port(chip: Chip, made: Amounts | LayerSchedule) -> float:
    """Cycles of the ports of all that a block's work takes, without those of one operand."""
    if not chip.buffer.own_ports:
        return sum(phase.count * phase.port_cycles for phase in made.phases)
    read, write = (made.counts.get(f"buffer.{side}_bit", 0.0) / 8.0 for side in ("read", "write"))
    return max(read / chip.buffer.read_bytes_per_cycle, write / chip.buffer.write_bytes_per_cycle)


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of a member: what makes its schedule, and its numbers; ``need`` as in a Work."""

    make: Callable[[float], LayerSchedule]
    need: float
    numbers: Amounts | LayerSchedule


def _block(
    layer: Layer, chip: Chip, homes: Homes, room: float, objective: Objective, watts: float, *,
    legal: bool,
) -> _Block:  # fmt: skip
    """One block of a member: as one tile if it works on the buffer alone and its sums fit.

    Cut into tiles it would not move less between buffer and array.
    """
    if layer.nest is not None and homes.W == "buffer":
        problem = pack(layer, chip, homes, room, layer.nest.sizes, 1, 1.0, watts, legal=legal)
        sizes, one = np.array(layer.nest.sizes[:6], np.float64).reshape(6, 1), np.ones(6, np.int64)
        if not legal or all(
            is_legal(n, n, rule(chip.legality, d, layer.nest.sizes))
            for d, n in zip(TILED, layer.nest.sizes[:6], strict=True)
        ):
            made = _one_tile(problem, sizes, one, objective)
            if made is not None:
                return made
    found = map_layer(
        layer, chip, objective, homes=homes, room_bytes=room, time_price_w=watts, legal=legal,
        uneven=False,
    )  # fmt: skip
    return _Block(lambda _: found, math.inf, found)


def _one_tile(problem: Problem, sizes: Any, one: Any, objective: Objective) -> _Block | None:
    """The only tile of a problem, of ``sizes``, if it fits; ``one`` are the lengths of the lists.

    The best way to work on it is the best in any room that it fits.
    """
    rooms = (problem.room,) if problem.tail else (math.inf, problem.room)
    for room in rooms:  # (the pass after a layer is cut by its room)
        c = problem.c.copy()
        c[k.C_ROOM] = room
        whole = Problem.of(
            problem, c=c, room=room, tiles=sizes, lengths=one, level_tiles=sizes, level_lengths=one
        )
        found = best_mapping(whole, objective, uneven=False)
        if found is None:
            return None
        made, placed = amounts(whole, found.placement), found.placement
        w, i, o, side = made.found.footprint
        need = w + i + o + side
        if need <= problem.room or room < math.inf:
            make = functools.partial(_scheduled, whole, placed)
            return _Block(make, need if room == math.inf else math.inf, made)
    return None


def _scheduled(problem: Problem, placed: Placement, room: float) -> LayerSchedule:
    return schedule(Problem.of(problem, room=room), placed)
