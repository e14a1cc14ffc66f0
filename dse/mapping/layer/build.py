"""From the indices of the best mapping to a :class:`LayerSchedule`, and the mapping as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dse.hardware.chip import LINKS
from dse.mapping.cost import costs as k
from dse.mapping.cost.flows import DATAFLOWS
from dse.mapping.cost.streaming import Counts, add, merge
from dse.mapping.cost.zeros import winograd_adds
from dse.mapping.ir.schedule import Bytes, LayerSchedule, Phase
from dse.mapping.layer.nest_text import ORDERS, Lines, loop_nest
from dse.mapping.layer.traffic import Traffic, register_counts
from dse.mapping.search.placement import Evaluation, Placement, evaluate, held_over
from dse.mapping.space.choices import TILED
from dse.mapping.space.problem import Problem
from dse.mapping.space.shape import WINOGRAD_SUMS
from dse.workload.layer import DIMS


class Amounts(NamedTuple):
    """What a mapping moves and does: the numbers of its schedule, fields of the same names.

    ``last_bytes`` is the room that the last step takes, bytes; ``found`` is what all of it comes
    from.
    """

    cores: int
    launch_cycles: float
    fill_weight: Bytes
    fill_other: Bytes
    phases: tuple[Phase, ...]
    drain: Bytes
    counts: Counts
    spare_bytes: float
    last_bytes: float
    found: Evaluation


class Draft:
    """A mapping of a problem: its numbers and its schedule, each made when first asked for.

    Most mappings that are found are not chosen: nobody asks for their schedules.
    """

    __slots__ = ("_amounts", "_schedule", "placed", "problem")

    def __init__(self, problem: Problem, placed: Placement, amounts: Amounts | None = None) -> None:
        self.problem, self.placed = problem, placed
        self._amounts = amounts
        self._schedule: LayerSchedule | None = None

    @property
    def amounts(self) -> Amounts:
        """The numbers of the schedule."""
        if self._amounts is None:
            self._amounts = amounts(self.problem, self.placed)
        return self._amounts

    @property
    def schedule(self) -> LayerSchedule:
        """The schedule, under the name of the layer that was mapped first."""
        if self._schedule is None:
            self._schedule = _schedule(self.problem, self.placed, self.amounts)
        return self._schedule

    @property
    def footprint_bytes(self) -> float:
        """Buffer that the tiles take, bytes."""
        return float(sum(float(v) for v in self.amounts.found.footprint))

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys of drafts of a layer, with the same homes and room, mean equal phases."""
        problem = self.problem
        return (problem.sizes, problem.cores, problem.saved.winograd, self.placed.key)

    def in_room(self, room: float) -> Draft:
        """The same mapping with ``room`` bytes of buffer (of a layer without a pass after it)."""
        made = self.amounts
        made = made._replace(spare_bytes=max(0.0, room - made.last_bytes))
        return Draft(self.problem.in_room(room), self.placed, made)


def numbers_of(found: Draft | LayerSchedule) -> Amounts | LayerSchedule:
    """What a mapping moves and does, by the names of a schedule's fields."""
    return found.amounts if isinstance(found, Draft) else found


def schedule_of(found: Draft | LayerSchedule) -> LayerSchedule:
    """The schedule of a mapping, made now if it is not yet."""
    return found.schedule if isinstance(found, Draft) else found


def amounts(problem: Problem, placed: Placement) -> Amounts:
    """The numbers of the schedule of a mapping."""
    found = evaluate(problem, placed)
    layer, cores = problem.layer, problem.cores
    first = found.result.ends
    traffic = Traffic(problem, placed, found)
    if layer.w_is_activation:
        fill_weight = (0.0,) * len(LINKS)
        fill_other = traffic.ends(first.w, first.i, 0.0, first.side)
    else:
        fill_weight = traffic.ends(first.w, 0.0, 0.0, 0.0)
        fill_other = traffic.ends(0.0, first.i, 0.0, first.side)
    phases = _phases(problem, found, traffic)
    if problem.exchange.cycles:
        phases = (Phase(1, dma_cycles=problem.exchange.cycles), *phases)
    last = float(sum(float(v) for v in found.single))  # room that the last step takes
    if problem.tail:
        # The pass after the layer: the layer's last store, then the pass with its own ends.
        load, store = problem.tail_ends
        phases = (
            *phases,
            Phase(1, link_bytes=_scaled(load, cores)),
            *(_of_cores(phase, cores) for phase in problem.tail),
            Phase(1, link_bytes=_scaled(store, cores)),
        )
        last = sum(store)
    counts = _counts(problem, placed, found, traffic)
    if cores > 1:
        counts = {action: amount * cores for action, amount in counts.items()}
    if not problem.on_vector:
        macs = f"mac.{problem.pair.replace('x', '.')}"
        worked = layer.macs * problem.saved.worked
        surplus = counts[macs] - worked  # a ragged split over cores works on padding
        counts[macs] = float(worked)
        if surplus > 0:
            add(counts, "array.idle_mac", surplus / problem.rate)
    return Amounts(
        cores=cores,
        launch_cycles=problem.chip.overheads.launch_cycles,
        fill_weight=fill_weight,
        fill_other=fill_other,
        phases=phases,
        drain=traffic.ends(0.0, 0.0, first.o, 0.0),
        counts=counts,
        spare_bytes=max(0.0, problem.room - last),
        last_bytes=last,
        found=found,
    )


def schedule(problem: Problem, placed: Placement) -> LayerSchedule:
    """The schedule of a mapping of a problem."""
    return Draft(problem, placed).schedule


def _schedule(problem: Problem, placed: Placement, made: Amounts) -> LayerSchedule:
    spatial, flow, found = placed.spatial, placed.flow, made.found
    layer, chip, cores = problem.layer, problem.chip, problem.cores
    names = dict(zip(TILED, placed.tiles, strict=True))
    names["FY"], names["FX"] = int(spatial[k.S_FY]), int(spatial[k.S_FX])
    unit = "vector" if problem.on_vector else "array"
    dataflow = DATAFLOWS[flow]
    factors = {d: int(f) for d, f in zip(DIMS, spatial[:8], strict=True) if f > 1}
    kept = k.CLASSES[placed.order]
    peak = chip.array.macs_per_cycle * (
        problem.rate if not problem.on_vector else max(chip.array.rates.values())
    )
    return LayerSchedule(
        layer=layer.name,
        op=layer.op,
        kind=layer.kind,
        unit=unit,
        macs=layer.macs,
        cores=cores,
        launch_cycles=made.launch_cycles,
        fill_weight=made.fill_weight,
        fill_other=made.fill_other,
        phases=made.phases,
        drain=made.drain,
        counts=made.counts,
        ideal_cycles=layer.macs / (peak * cores),
        spatial=factors,
        tiles=names,
        dataflow=dataflow,
        order=_order(kept, problem.sizes, names),
        loop_nest=Lines(lambda: loop_nest(problem, placed)),
        homes=problem.homes.to_dict(),
        dims=dict(zip(DIMS, layer.nest.sizes, strict=True)) if layer.nest else {},
        legality="legal" if problem.legal else "ideal",
        footprint_bytes=float(sum(float(v) for v in found.footprint)),
        levels=_levels(placed),
        transform="winograd" if problem.saved.winograd else "",
        held=held_over(placed.order, placed.hold),
        spare_bytes=made.spare_bytes,
    )


def _levels(placed: Placement) -> dict[str, dict[str, int]]:
    """Tiles of the levels beside the buffer: L2 and the registers of a PE."""
    out: dict[str, dict[str, int]] = {}
    if placed.outer is not None:
        out["l2"] = dict(zip(TILED, placed.outer.tiles, strict=True))
    if placed.registers is not None:
        sizes = (int(v) for v in placed.registers)
        out["register"] = {d: v for d, v in zip(DIMS, sizes, strict=True) if v > 1}
    return out


def _scaled(amounts: Bytes, cores: int) -> Bytes:
    return tuple(amount * cores for amount in amounts)


def _of_cores(phase: Phase, cores: int) -> Phase:
    return replace(phase, link_bytes=_scaled(phase.link_bytes, cores))


def _phases(problem: Problem, found: Evaluation, traffic: Traffic) -> tuple[Phase, ...]:
    bytes1, bytes2, totals = found.result.bytes1, found.result.bytes2, found.result.totals
    parts = (float(v) for v in found.result.parts)
    array, vector, often, port1, port2, port3, dma1, dma2, wait = parts
    count1, count2 = round(float(totals.count1)), round(float(totals.count2))
    link1 = traffic.steps(*bytes1)
    link2 = link1 if bytes2 == bytes1 else traffic.steps(*bytes2)
    if problem.chip.buffer.double_buffered:
        phases = (
            Phase(count1, array, vector + often, port1, dma1, link_bytes=link1),
            Phase(count2, array, vector, port2, dma2, link_bytes=link2),
            Phase(1, array, vector + often, port3),
        )
    else:
        phases = (
            Phase(count1, 0.0, 0.0, port1, dma1, link_bytes=link1),
            Phase(count2, 0.0, 0.0, port2, dma2, link_bytes=link2),
            Phase(count1 + count2 + 1, array, vector, port3),
        )
    ends = (Phase(1, dma_cycles=wait),) if wait > 0.0 else ()
    return (*ends, *(phase for phase in phases if phase.count))


def _counts(problem: Problem, placed: Placement, found: Evaluation, traffic: Traffic) -> Counts:
    """Actions of one core."""
    layer, array, totals = problem.layer, found.array, found.result.totals
    counts = dict(problem.fixed_counts)
    if not problem.on_vector:
        add(counts, "array.idle_mac", float(totals.idle))
    updates = float(array.updates) * layer.acc_bits
    if problem.saved.winograd:
        updates *= WINOGRAD_SUMS
        add(counts, "vector.add.wide", float(array.i_reads) * winograd_adds()[0])
    add(counts, "accumulator.read_bit", updates)
    add(counts, "accumulator.write_bit", updates)
    if placed.registers is not None:
        merge(counts, register_counts(problem, placed, found))
    add(counts, "buffer.read_bit", 8.0 * float(totals.reads))
    add(counts, "buffer.write_bit", 8.0 * float(totals.writes))
    add(counts, "descriptor", float(totals.jobs))
    merge(counts, traffic.counts())
    return counts


def _order(kept: str, sizes: Sequence[int], tiles: dict[str, int]) -> str:
    """Tile loops outermost first, those of one tile left out; the stationary operand named."""
    cut = {d for d, size in zip(TILED, sizes, strict=False) if tiles[d] < size}
    outer, inner = (" ".join(d for d in group if d in cut) for group in ORDERS[kept])
    loops = " | ".join(part for part in (outer, inner) if part)
    return f"{loops or 'one tile'} ({kept} stays)"
