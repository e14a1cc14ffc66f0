"""A network on fewer cores than it may take, and a batch in parts: taken where that is better.

Both are searched over whole programs, the fewest first: one with more cores, or with more of a
batch at once, is taken if it is better by the objective and worse in nothing that must not get
worse. So a network never takes longer on more cores, and an inference of a batch neither longer nor
more energy than of a smaller batch that divides it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective, objective_value
from dse.mapping.ir.schedule import (
    LayerSchedule,
    Program,
    price,
    program_latency_s,
    repeated,
)
from dse.mapping.ir.starting import invoke_s, least_invoke_s
from dse.mapping.network.bounds import Roofline, roofline
from dse.workload.layer import Workload
from dse.workload.parts import batch_of, in_parts

#: Fewer cores that a network split over more is tried on: all numbers up to 8, then in steps.
FEWER_CORES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128)
#: Parts into which a batch is cut, at most: each has segments of its own in the program.
MOST_PARTS = 64
#: What is lost in rounding, as a share.
_HAIR = 1e-9


class Mapped(NamedTuple):
    """A program with what it costs: the value of the objective, J, and s."""

    value: float
    energy_j: float
    latency_s: float
    program: Program


def on_fewer_cores(
    workload: Workload, chip: Chip, objective: Objective, cores: int, on: Callable[[int], Mapped]
) -> Mapped:
    """The best program of at most ``cores`` cores, which ``on`` maps; more never take longer.

    Raises:
        UnmappableError: none of them can run it; that of all cores.
    """
    if cores == 1:
        return on(1)
    whole = _tried(on, cores)
    best: Mapped | None = None
    for used in FEWER_CORES:
        if used >= cores:
            break
        if whole is not None and _beats(whole, roofline(workload, chip, used), objective):
            continue
        best = _better(best, _tried(on, used))
    best = _better(best, whole)
    return on(cores) if best is None else best


def in_batches(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    cores: int,
    on: Callable[[Workload], Mapped],
) -> Mapped:
    """The best program of the batch, whole or part by part, each of which ``on`` maps onto at most
    ``cores`` cores.

    Raises:
        UnmappableError: the chip can run no part of it; that of the whole batch.
    """
    batch = batch_of(workload)
    best: Mapped | None = None
    for size in range(1, batch + 1):
        parts = batch // size
        if batch % size or parts > MOST_PARTS:
            continue
        part = in_parts(workload, parts)
        if part is None or (best is not None and _hopeless(best, part, parts, chip, cores)):
            continue
        try:
            made = on(part)
        except UnmappableError:
            continue
        found = made if parts == 1 else _repeated(made, parts, workload, chip, objective)
        thrifty = best is None or found.energy_j <= best.energy_j * (1.0 + _HAIR)
        best = _better(best, found) if thrifty else best
    return on(workload) if best is None else best


def _tried(on: Callable[[int], Mapped], used: int) -> Mapped | None:
    try:
        return on(used)
    except UnmappableError:
        return None


def _better(best: Mapped | None, other: Mapped | None) -> Mapped | None:
    """``other``, if it is better by the objective and takes no longer."""
    if best is None or other is None:
        return best or other
    in_time = other.latency_s <= best.latency_s * (1.0 + _HAIR)
    return other if in_time and other[:3] < best[:3] else best


def _beats(found: Mapped, least: Roofline, objective: Objective) -> bool:
    """Whether nothing within bounds is faster than what was found, or better."""
    value = objective_value(objective, least.latency_s, least.energy_j)
    return least.latency_s >= found.latency_s and value >= found.value


def _hopeless(best: Mapped, part: Workload, parts: int, chip: Chip, cores: int) -> bool:
    """Whether parts of this size take longer or more energy than the best, whatever their
    mapping."""
    least = roofline(part, chip, cores)
    invoke = least_invoke_s(chip, language=part.language)
    latency = invoke + parts * (least.latency_s - invoke)
    energy = parts * least.dynamic_j + chip.mapping_static_w * latency
    return latency > best.latency_s * (1.0 + _HAIR) or energy > best.energy_j * (1.0 + _HAIR)


def _repeated(
    made: Mapped, parts: int, workload: Workload, chip: Chip, objective: Objective
) -> Mapped:
    """A part's program so many times in a row, invoked once."""
    one = made.program
    program = replace(
        one,
        name=workload.name,
        schedules=tuple(_times(schedule, parts) for schedule in one.schedules),
        segments=repeated(one.schedules, parts, prefetch=chip.prefetches),
        parts=parts,
        invoke_s=invoke_s(chip, parts * len(one.schedules), language=one.language),
        notes=(*one.notes, f"the batch runs in {parts} parts, one after the other"),
    )
    latency = program_latency_s(program, chip)
    dynamic = sum(sum(price(s.counts, chip).values()) for s in program.schedules)
    energy = dynamic + chip.mapping_static_w * latency
    return Mapped(objective_value(objective, latency, energy), energy, latency, program)


def _times(schedule: LayerSchedule, parts: int) -> LayerSchedule:
    """A layer's schedule with the work and counts of all parts; its steps are those of one."""
    return replace(
        schedule,
        macs=schedule.macs * parts,
        counts={action: amount * parts for action, amount in schedule.counts.items()},
        ideal_cycles=schedule.ideal_cycles * parts,
    )
