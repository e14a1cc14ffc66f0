"""On which cores a stream or a model runs: those it names, else the kind the objective prefers.

The rule, on a chip with several kinds of cores: a load is tried on every kind that it may use. Of
the kinds that can run all of it and meet its deadline alone, it takes the one with the least
objective of a job: latency; energy; or a product of their powers. If none meets the deadline, the
fastest; ties go to the kind that comes first in the chip's file. Nothing depends on what else runs.

The energy of a model alone is all that the chip draws in an inference, before conversion. That of a
stream is what a job adds to a chip that would rest without it
(:meth:`dse.evaluation.loads.Load.energy_j`): what the die draws anyway does not count for a faster
core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dse.apps import App, Stream
from dse.errors import ImpossibleChipError, UnmappableError
from dse.evaluation.energy import dynamic_by_scope_j, static_by_scope_w
from dse.hardware.chip import Chip, CoreKind
from dse.hardware.kinds import core_kinds, kind_named
from dse.mapping import (
    Objective,
    Pins,
    Program,
    exponents,
    map_network,
    objective_value,
    program_latency_s,
    restarted,
)
from dse.workload import Workload

Built = TypeVar("Built")


@dataclass(frozen=True)
class Seat:
    """A kind of core that a stream may run on.

    Attributes:
        kind: its name; empty on a chip of equal cores.
        cores: those of its cores that the stream may use.
        width: how many of them a job takes together.
        view: the chip as they see it.
        mapped_on: the view that mappings are made for (the same design at nominal technology).
        chip: the whole chip.
    """

    kind: str
    cores: tuple[int, ...]
    width: int
    view: Chip
    mapped_on: Chip
    chip: Chip


def seats(stream: Stream, chip: Chip, mapped_on: Chip | None = None) -> list[Seat]:
    """Where a stream may run on a chip, in the order of the chip's kinds.

    Raises:
        ImpossibleChipError: it names a core or a kind that the chip lacks, or its pipeline needs
            more cores than it may use.
    """
    named = {kind.name: kind.cores for kind in chip.kinds}
    allowed = stream.cores_of(chip.cores, named)
    out = []
    for kind, nominal in zip(core_kinds(chip), core_kinds(mapped_on or chip), strict=True):
        cores = tuple(core for core in allowed if core in kind.cores)
        if len(cores) >= (stream.pipeline or 1):
            wide = stream.together or kind.chip.execution == "pipelined"
            width = len(cores) if wide else 1
            out.append(Seat(kind.name, cores, width, kind.chip, nominal.chip, chip))
    if not out:
        raise ImpossibleChipError(
            f"stream {stream.id!r} is a pipeline over {stream.pipeline} cores of one kind, it may "
            f"use {len(allowed)} of chip {chip.name}",
            field=f"app.{stream.id}.pipeline",
            mend="lower pipeline, allow more cores, or take a chip with more",
        )
    return out


def laid_in_space(app: App, chip: Chip) -> App:
    """The app as a chip takes it that runs networks pipelined in space: a stream that is a pipeline
    over so many cores has its layers side by side on these, and is one task.

    Raises:
        ImpossibleChipError: a pipeline over more cores than it may use.
    """
    if chip.execution != "pipelined" or all(one.pipeline is None for one in app.streams):
        return app
    streams = []
    for stream in app.streams:
        if stream.pipeline is not None:
            cores = seats(stream, chip)[0].cores[: stream.pipeline]
            values = {"pipeline": None, "cores": cores, "split": True}
            stream = stream.model_copy(update=values)
        streams.append(stream)
    return app.model_copy(update={"streams": tuple(streams)})


def preferred(
    options: Sequence[tuple[str, Callable[[], tuple[Built, float, float]]]],
    objective: Objective,
    due_s: float | None = None,
) -> tuple[int, Built]:
    """The option that the rule takes, and what it built.

    Args:
        options: name of a kind, and what builds the load on it: the load, latency (s) and energy
            (J) of a job.
        due_s: the deadline of a job.

    Raises:
        UnmappableError: no kind can run it; the error says of each why.
    """
    found = built(options)
    timely = [one for one in found if due_s is None or one[1][1] <= due_s]
    if timely:
        number, made = min(timely, key=lambda one: _score(one[1][1], one[1][2], objective))
    else:
        number, made = min(found, key=lambda one: one[1][1])
    return number, made[0]


def built(options: Sequence[tuple[str, Callable[[], Built]]]) -> list[tuple[int, Built]]:
    """What can be built of the options, each with its number.

    Args:
        options: name of a kind, and what builds the load on it.

    Raises:
        UnmappableError: no kind can run it; the error says of each why.
    """
    found: list[tuple[int, Built]] = []
    faults: list[tuple[str, UnmappableError]] = []
    for number, (name, build) in enumerate(options):
        try:
            found.append((number, build()))
        except UnmappableError as error:
            faults.append((name, error))
    if not found:
        raise _nowhere(faults)
    return found


def _score(latency_s: float, energy_j: float, objective: Objective) -> tuple[float, float]:
    """What is minimised; ties go to less energy where only time counts, else to less time."""
    energy, _ = exponents(objective)
    return objective_value(objective, latency_s, energy_j), latency_s if energy else energy_j


def _nowhere(faults: Sequence[tuple[str, UnmappableError]]) -> UnmappableError:
    """Why no kind runs a load: the one fault itself on a chip of equal cores."""
    name, first = faults[0]
    if not name:
        return first
    if len(faults) == 1:
        return UnmappableError(
            f"on the {name} cores: {first.message}",
            field=first.field,
            mend=first.mend,
            layer=first.layer,
        )
    told = "; ".join(f"on {kind}: {error.message}" for kind, error in faults)
    return UnmappableError(
        f"no kind of core can run it ({told})", mend=first.mend, layer=first.layer
    )


def mapped_model(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    *,
    kind: str | None = None,
    cores: int = 1,
    mapped_on: Chip | None = None,
    fuse: bool = True,
    pins: Pins | None = None,
    legal: bool = False,
    finer: bool = False,
) -> tuple[CoreKind, Program]:
    """A model alone on the kind of core it names, or on the one that the rule takes.

    ``fuse``, ``pins``, ``legal`` and ``finer`` are those of ``map_network``.

    Raises:
        ImpossibleChipError: no such kind.
        UnmappableError: the kind, or none of them, can run it.
    """
    whole = mapped_on or chip

    def build(on: CoreKind) -> tuple[Program, float, float]:
        view = on.chip
        made = map_network(
            workload, view, objective, cores=cores, fuse=fuse, pins=pins, legal=legal, finer=finer
        )
        latency_s = program_latency_s(made, view)
        busy = made.cores if made.contexts else cores
        static_w = static_by_scope_w(whole, {on.name: float(busy)})["die_dram"]
        energy_j = dynamic_by_scope_j(made, view)["die_dram"] + static_w * latency_s
        return made, latency_s, energy_j

    options = [(one.name, partial(build, one)) for one in usable(whole, kind, cores)]
    number, program = preferred(options, objective)
    view = usable(chip, kind, cores)[number]
    return view, program if mapped_on is None else restarted(program, view.chip)


def usable(chip: Chip, kind: str | None, cores: int = 1) -> tuple[CoreKind, ...]:
    """The kinds that a model alone may run on; one of equal cores whatever their number."""
    every = core_kinds(chip) if kind is None else (kind_named(chip, kind, "kind"),)
    if not chip.kinds:
        return every
    wide = tuple(one for one in every if len(one.cores) >= cores)
    if not wide:
        raise ImpossibleChipError(
            f"{cores} cores of one kind asked of chip {chip.name}, which has "
            + ", ".join(f"{len(one.cores)} {one.name}" for one in every),
            field="cores",
            mend="ask for fewer",
        )
    return wide
