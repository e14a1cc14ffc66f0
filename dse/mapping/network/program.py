"""A whole network on a chip: memory plan, one mapping per distinct layer, and the layer table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.kinds import one_kind
from dse.mapping.cost.objectives import Objective, plain
from dse.mapping.given.pins import NO_PINS, Pins
from dse.mapping.ir.homes import has_link, spills
from dse.mapping.ir.layer_row import LayerRow
from dse.mapping.ir.schedule import (
    LayerSchedule,
    Program,
    layer_latencies_s,
    link_rates,
    price,
    program_latency_s,
    unroll,
)
from dse.mapping.ir.starting import crossed, invoke_s
from dse.mapping.layer.text import component_j
from dse.mapping.memory.plan import INSIDE_SHARES, SHARES, MemoryPlan, plan_memory
from dse.mapping.network.choose import Candidates, Choice
from dse.mapping.network.divided import Mapped, in_batches, on_fewer_cores
from dse.mapping.network.fallback import on_chip
from dse.mapping.network.spatial import map_in_space
from dse.mapping.network.why import lanes_busy, losses, time_by_cause, why
from dse.mapping.space.legal import check_profile
from dse.workload.layer import Workload

#: Memory plans whose first score is within this share of the best are refined.
CLOSE = 0.01


class Company(NamedTuple):
    """Whether other networks run on the chip too, the room for weights that is this one's, and the
    tensors that parts of a pipeline hand each other."""

    shared: bool
    keep_bytes: float
    handed: frozenset[str]


def map_network(
    workload: Workload,
    chip: Chip,
    objective: Objective = "edp",
    *,
    cores: int = 1,
    shared: bool = False,
    keep_bytes: float = 0.0,
    handed: frozenset[str] = frozenset(),
    fuse: bool = True,
    pins: Pins | None = None,
    legal: bool = False,
    finer: bool = False,
) -> Program:
    """One inference of a network under the best memory plan, its layers mapped for the whole.

    Several memory plans are tried (see :data:`SHARES`), each with every layer at its own optimum;
    those close to the best, and the one that leaves the buffer to fused groups, are refined (see
    :mod:`dse.mapping.network.choose`) and the best by ``objective`` is kept. ``shared`` says that
    other networks run on the chip too, and ``keep_bytes`` how much of the L2 or buffer is for the
    weights of this one all the same, ``handed`` what parts of a pipeline hand each other, see
    :func:`plan_memory`; ``fuse`` lets groups of layers run
    fused, if the chip's buffer allows it; ``pins`` are mappings fixed by hand. ``legal`` keeps
    every layer and group to what the chip's compiler can express (``chip.legality``). Otherwise,
    where the chip has such a profile, the legal program is made too and taken if it is better: it
    never beats the ideal one. ``finer``: every layer is searched again among all whole numbers as
    tile sizes (see :mod:`dse.mapping.layer.certificate`), and taken so where that is better.

    Raises:
        UnmappableError: a layer that no unit runs, or tensors that do not fit the chip.
        InputError: ``legal`` on a chip without a profile; pins of no layer, or on several cores; a
            chip with several kinds of cores (give the view of one).
    """
    if not workload.layers:
        raise InputError(
            f"network {workload.name} has no layers", mend="give a network that computes something"
        )
    one_kind(chip)
    objective = plain(objective)
    if legal:
        check_profile(chip)
    pins = pins or NO_PINS
    if chip.execution == "pipelined":
        return _in_space(
            workload, chip, objective, cores, keep_bytes if shared else None, pins, legal
        )
    workload = on_chip(workload, chip)
    company = Company(shared, keep_bytes, handed)
    if pins.pins or pins.sized:
        pins.check(workload.layers)
        if cores > 1:
            raise InputError(
                "pinned mappings are of one core", field="cores", mend="map on one core"
            )

    def mapped(one: Workload) -> Mapped:
        def on(used: int) -> Mapped:
            ideal = _mapped(one, chip, objective, used, company, fuse, pins, legal, finer)
            if legal or not chip.legality.stated:
                return ideal
            try:
                other = _mapped(one, chip, objective, used, company, fuse, pins, True, False)
            except UnmappableError:
                return ideal
            better = other[:3] < ideal[:3]
            return other._replace(program=_as_ideal(other.program)) if better else ideal

        return on_fewer_cores(one, chip, objective, cores, on)

    if pins.pins or pins.sized:
        return mapped(workload).program
    return in_batches(workload, chip, objective, cores, mapped).program


def _in_space(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    cores: int,
    keeps: float | None,
    pins: Pins,
    legal: bool,
) -> Program:
    """A network on a chip whose compiler lays layers out side by side: over all of its cores,
    unless it may use some (more than one) of them."""
    if pins.pins or pins.sized:
        raise InputError(
            "pinned mappings are of layers in turn, this chip runs them side by side",
            field="execution",
            mend="leave the pins out, or set chip.execution=layerwise",
        )
    used = cores if cores > 1 else chip.cores
    return map_in_space(workload, chip, objective, cores=used, keeps=keeps, legal=legal)


def _as_ideal(program: Program) -> Program:
    """A legal program as the best of all that there are."""
    schedules = tuple(replace(made, legality="ideal") for made in program.schedules)
    return replace(program, schedules=schedules, legality="ideal")


def _mapped(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    cores: int,
    company: Company,
    fuse: bool,
    pins: Pins,
    legal: bool,
    finer: bool,
) -> Mapped:
    """The program of :func:`map_network` within one space, and its score."""
    tried: list[tuple[tuple[float, float, float], int, Candidates, Choice]] = []
    first_error: UnmappableError | None = None
    seen: list[MemoryPlan] = []
    fused = fuse and chip.buffer.fuses and chip.buffer.parts is None and cores == 1
    for share in _shares(chip):
        try:
            plan = plan_memory(workload, chip, share, cores, **company._asdict())
            if plan in seen:
                continue
            seen.append(plan)
            candidates = Candidates(workload, chip, objective, plan, cores, fused, pins, legal)
            choice = candidates.alone()
        except UnmappableError as error:
            first_error = first_error or error
            continue
        tried.append((choice.score(objective), len(tried), candidates, choice))
    if not tried:
        assert first_error is not None
        raise first_error
    limit = min(tried)[0][0] * (1.0 + CLOSE)
    best: tuple[tuple[float, float, float], Candidates, Choice] | None = None
    close = [entry for entry in tried if entry[0][0] <= limit]
    for _, _, candidates, choice in [*close, *tried[:1]]:
        if best is not None and (candidates is best[1] or not candidates.promises(choice, best[0])):
            continue
        found = candidates.refined(choice)
        score = found.score(objective)
        if best is None or score < best[0]:
            best = (score, candidates, found)
    assert best is not None
    score, candidates, choice = best
    if finer and not legal:
        choice = candidates.finer(choice)
        score = choice.score(objective)
    return Mapped(*score, _program(candidates, choice))


def _shares(chip: Chip) -> Sequence[float]:
    if not spills(chip) or has_link(chip, "l2") or not chip.buffer.keeps_results:
        return (0.0,)
    inside = not chip.links["dram"].holds_activations
    return INSIDE_SHARES if inside else SHARES


def _program(candidates: Candidates, choice: Choice) -> Program:
    workload, chip, plan = candidates.workload, candidates.chip, candidates.plan
    made = [schedule for item in choice.items for schedule in item.made()]
    legality = "legal" if candidates.legal else "ideal"
    named = (
        schedule.renamed(layer.name, layer.op, legality)
        for schedule, layer in zip(made, workload.layers, strict=True)
    )
    schedules = crossed(tuple(named), chip)
    fused = {made.fused for made in schedules if made.fused}
    note = (
        f"{len(plan.kept)} activations and {len(plan.resident_weights)} weight tensors on the chip"
    )
    if fused:
        note += f"; {len(fused)} groups of layers run fused"
    if plan.top_bytes:
        note += (
            f"; activations take {plan.top_bytes / 1024:.0f} KiB of the {plan.store}, "
            f"{plan.fragmentation:.0%} of it lost between them"
        )
    notes = (note, *_on_the_host(schedules))
    return Program(
        name=workload.name,
        schedules=schedules,
        segments=unroll(schedules, prefetch=chip.prefetches),
        cores=candidates.cores,
        invoke_s=invoke_s(chip, len(schedules), language=workload.language),
        resident_bytes=dict(plan.resident_bytes),
        notes=notes,
        legality=legality,
        activation_bytes={plan.store: plan.top_bytes, "dram": plan.outside_bytes},
        language=workload.language,
        outside_weight_bytes=plan.outside_weight_bytes,
        room_bytes=plan.room_bytes,
        l2_room_bytes=plan.l2_room_bytes,
    )


def _on_the_host(schedules: Sequence[LayerSchedule]) -> tuple[str, ...]:
    """What the host runs, and how often the work changes sides; nothing if it runs nothing."""
    ops = [made.op for made in schedules if made.unit == "host"]
    if not ops:
        return ()
    named = ", ".join(f"{op} {ops.count(op)}" for op in dict.fromkeys(ops))
    changes = sum(made.crosses for made in schedules)
    return (f"on the host: {named}; {changes} changes between host and accelerator",)


def program_energy_j(program: Program, chip: Chip) -> float:
    """Energy of one inference alone: counts . prices + ``mapping_static_w`` * latency, J."""
    dynamic = sum(sum(price(s.counts, chip).values()) for s in program.schedules)
    return dynamic + chip.mapping_static_w * program_latency_s(program, chip)


def energy_breakdown_j(schedule: LayerSchedule, chip: Chip) -> dict[str, float]:
    """Dynamic energy of a layer by component (the part of an action's name before the dot), J."""
    return component_j(schedule.counts, chip)


def layer_rows(program: Program, chip: Chip) -> list[LayerRow]:
    """The layer table: one row per layer, in execution order.

    Energies are dynamic (static power is a row of its own in an evaluation). ``losses`` are shares
    of the time that keep a layer below peak and add up to 1 - utilization, see
    :func:`dse.mapping.network.why.losses`.
    """
    latencies = layer_latencies_s(program, chip)
    causes = time_by_cause(program.segments, program.schedules, chip, link_rates(chip))
    rows = []
    for number, (made, latency) in enumerate(zip(program.schedules, latencies, strict=True)):
        breakdown = energy_breakdown_j(made, chip)
        cycles = latency * chip.f_hz
        row = LayerRow(
            name=made.layer,
            op=made.op,
            unit=made.unit,
            macs=made.macs,
            cycles=cycles,
            latency_s=latency,
            utilization=made.ideal_cycles / cycles if cycles > 0.0 else 0.0,
            bottleneck=_largest(causes[number][0]),
            energy_j=sum(breakdown.values()),
            energy_breakdown_j=breakdown,
            dims=dict(made.dims),
            dataflow=made.dataflow,
            spatial=dict(made.spatial),
            tiles=dict(made.tiles),
            order=made.order,
            homes=dict(made.homes),
            fused=made.fused,
            legality=made.legality,
            lanes=lanes_busy(made, chip),
        )
        row = replace(row, losses=losses(row, *causes[number]))
        rows.append(replace(row, why=why(row)))
    return rows


def _largest(causes: Mapping[str, float]) -> str:
    return max(causes, key=lambda name: causes[name]) if causes else "none"
