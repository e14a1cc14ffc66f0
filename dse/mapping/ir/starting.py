"""What starting an inference and its layers costs beside their work.

A *crossing* is a change between accelerator and host from one layer to the next: caches are
flushed, tensors copied or converted, a queue is waited for. It takes ``crossing_s`` before the
layer behind it, while the host is busy. A run of a language model costs at least ``token_s`` beside
its work, with the call and the starts of its layers: its software prepares the run meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from dse.hardware.chip import Chip
from dse.mapping.ir.schedule import LayerSchedule, Program, repeated


def invoke_s(chip: Chip, layers: int, *, language: bool) -> float:
    """Seconds per inference of so many layers beside them."""
    overheads = chip.overheads
    if not language:
        return overheads.invoke_s
    return max(overheads.invoke_s, overheads.token_s - layers * overheads.launch_cycles / chip.f_hz)


def least_invoke_s(chip: Chip, *, language: bool) -> float:
    """What call and starts of an inference take together at least, s."""
    overheads = chip.overheads
    return max(overheads.invoke_s, overheads.token_s) if language else overheads.invoke_s


def crossings(on_host: Sequence[bool]) -> tuple[bool, ...]:
    """Before which layers of a network the work changes sides; it begins on the first one's."""
    return (False, *(a != b for a, b in pairwise(on_host)))[: len(on_host)]


def crossed(schedules: Sequence[LayerSchedule], chip: Chip) -> tuple[LayerSchedule, ...]:
    """The schedules of one inference, with the crossings before them."""
    changes = crossings([made.unit == "host" for made in schedules])
    if not any(changes):
        return tuple(schedules)
    return tuple(
        _behind_a_crossing(made, chip) if change else made
        for made, change in zip(schedules, changes, strict=True)
    )


def restarted(program: Program, chip: Chip) -> Program:
    """A program made for another draw of the same chip, with this one's costs of starting.

    Part of a pipeline that the host does not call is not called here either.
    """
    schedules = program.schedules  # (a context's starts are in its first layer)
    if not program.contexts:
        schedules = tuple(_launched(made, chip) for made in schedules)
    layers = len(schedules) * program.parts
    call = invoke_s(chip, layers, language=program.language) if program.invoke_s > 0.0 else 0.0
    same = all(a is b for a, b in zip(schedules, program.schedules, strict=True))
    if same and call == program.invoke_s:
        return program
    segments = program.segments
    if not same:
        segments = repeated(schedules, program.parts, prefetch=chip.prefetches)
    return replace(program, schedules=schedules, segments=segments, invoke_s=call)


def _behind_a_crossing(made: LayerSchedule, chip: Chip) -> LayerSchedule:
    seconds = chip.overheads.crossing_s
    counts = dict(made.counts)
    if busy := seconds * chip.host.ops_per_s:
        counts["host.op"] = counts.get("host.op", 0.0) + busy
    cycles = made.launch_cycles + seconds * chip.f_hz
    return replace(made, launch_cycles=cycles, counts=counts, crosses=True)


def _launched(made: LayerSchedule, chip: Chip) -> LayerSchedule:
    cycles = chip.overheads.launch_cycles
    if made.crosses:
        cycles += chip.overheads.crossing_s * chip.f_hz
    return made if cycles == made.launch_cycles else replace(made, launch_cycles=cycles)
