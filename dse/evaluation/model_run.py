"""One model alone on a chip, at any of the three fidelities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from dse.errors import UnmappableError
from dse.evaluation.bottleneck import resource_use
from dse.evaluation.core_choice import built, mapped_model, usable
from dse.evaluation.economics import lifetime_carbon_kg
from dse.evaluation.energy import (
    dynamic_by_scope_j,
    static_by_component_w,
    static_by_scope_w,
)
from dse.evaluation.finite import with_finite_verdict
from dse.evaluation.frame import frame, scope_table, unmappable
from dse.evaluation.placed import placed
from dse.evaluation.record import Evaluation, LayerRow
from dse.evaluation.terms import Fidelity, Terms, check_fidelity
from dse.hardware.chip import LINKS, Chip, CoreKind
from dse.mapping import (
    Program,
    Roofline,
    energy_breakdown_j,
    layer_latencies_s,
    layer_rows,
    program_interval_s,
    program_latency_s,
    roofline,
)
from dse.model_quality import Quality, quality
from dse.simulation.plot import write_power_plot
from dse.simulation.power import window_peak
from dse.simulation.run import simulate_alone
from dse.simulation.trace import write_trace
from dse.workload import Workload


@dataclass(frozen=True)
class _Run:
    """Latency and energy of one inference, however they were obtained."""

    latency_s: float
    layer_s: Sequence[float]
    scope_j: Mapping[str, float]
    static_j: Mapping[str, float]
    peak_w: Mapping[str, float]

    @property
    def module_j(self) -> float:
        return self.scope_j["module"]


def evaluate_model(
    workload: Workload,
    chip: Chip,
    fidelity: Fidelity = "simulate",
    terms: Terms | None = None,
    *,
    trace: str | None = None,
    power_plot: str | None = None,
    mapped_on: Chip | None = None,
    program: Program | None = None,
) -> Evaluation:
    """One inference of ``workload`` on an otherwise idle ``chip``.

    Args:
        workload: the network at its precision.
        chip: the chip.
        fidelity: ``roofline`` bounds, ``analytic`` sums, ``simulate`` plays.
        terms: volume and lifetime, options of the mapper.
        trace: a file for the Chrome trace of the simulation.
        power_plot: a file for the page that shows its power over time.
        mapped_on: take the mapping of this chip (the same design at nominal technology).
        program: the network as mapped already, in place of a search, onto the kind of core that
            ``terms`` names (the first one unless named).

    Returns:
        The record; ``feasible`` is False with the reason if the chip cannot run the model.
    """
    check_fidelity(fidelity)
    terms = terms or Terms()
    base = frame(
        "model",
        workload.name,
        workload.precision.name,
        chip,
        fidelity,
        volume=terms.volume,
        volumes=terms.volumes,
        macs=workload.macs,
    )
    found = quality(workload.family, workload.settings, workload.precision)
    base = replace(
        base,
        quality=found.value if found else None,
        quality_detail=_detail(found),
        notes=(*base.notes, *workload.notes),
    )
    try:
        if fidelity == "roofline":
            return with_finite_verdict(_bounded(base, workload, chip, terms))
        if program is None:
            kind, program = mapped_model(
                workload,
                chip,
                terms.objective,
                kind=terms.kind,
                cores=terms.cores,
                mapped_on=mapped_on,
                legal=terms.legal,
            )
        else:
            kind = usable(chip, terms.kind, terms.cores)[0]
    except UnmappableError as error:
        return unmappable(base, error)
    run = (
        _analytic(program, chip, kind)
        if fidelity == "analytic"
        else _simulated(program, chip, kind, trace, power_plot)
    )
    return with_finite_verdict(_filled(_on(base, kind), program, kind.chip, run, terms))


def _on(base: Evaluation, kind: CoreKind) -> Evaluation:
    """The record of a model on one kind of core."""
    if not kind.name:
        return base
    view = kind.chip
    return replace(base, core_kind=kind.name, f_hz=view.f_hz, voltage_v=view.voltage_v)


def _detail(found: Quality | None) -> tuple[dict[str, Any], ...]:
    return ({"stream": "model", **asdict(found)},) if found else ()


def _analytic(program: Program, whole: Chip, kind: CoreKind) -> _Run:
    """Sums over the schedule; peak over 1 ms from the power of each layer held for its time, and
    from that at rest while the last results of a pipeline in space come out.

    The converter's losses are those of each layer's own load, as in a play: an efficiency that
    bends makes the loss at the mean load another one (5 % of a chip whose layers differ much).
    """
    chip, working = kind.chip, {kind.name: float(program.cores)}
    latency = program_latency_s(program, chip)
    layer_s = layer_latencies_s(program, chip)
    dynamic = dynamic_by_scope_j(program, chip)
    static, rest = static_by_scope_w(whole, working), static_by_scope_w(whole, {})
    drain = latency - program_interval_s(program, chip)
    scope_j = {
        scope: dynamic[scope] + static[scope] * (latency - drain) + rest[scope] * drain
        for scope in dynamic
    }
    edges, watts, carried = [0.0], [], 0.0
    for schedule, seconds in zip(program.schedules, layer_s, strict=True):
        joules = sum(energy_breakdown_j(schedule, chip).values())
        if seconds > 0.0:
            edges.append(edges[-1] + seconds)
            watts.append((joules + carried) / seconds + static["die_dram"])
            joules = carried = 0.0
        carried += joules  # of a layer without time: its neighbour's
    if drain:
        edges.append(edges[-1] + drain)
        watts.append(rest["die_dram"])
    scope_j["module"] = _module_j(chip, edges, watts, carried, static["die_dram"], latency)
    peak = window_peak(np.array(edges), np.array(watts), 1e-3)
    return _Run(
        latency,
        layer_s,
        scope_j,
        _static_j(whole, working, latency - drain, drain),
        {"die_dram": peak, "module": chip.pmic.input_w(peak)},
    )


def _static_j(
    whole: Chip, working: Mapping[str, float], busy_s: float, drain_s: float
) -> dict[str, float]:
    """Static energy by component: with cores at work, and while the last results come out, J."""
    rest = static_by_component_w(whole, {}) if drain_s else {}
    return {
        name: watts * busy_s + rest.get(name, 0.0) * drain_s
        for name, watts in static_by_component_w(whole, working).items()
    }


def _module_j(
    chip: Chip,
    edges: Sequence[float],
    watts: Sequence[float],
    carried_j: float,
    static_w: float,
    latency_s: float,
) -> float:
    """Energy at the module's supply: of each layer, and of the call before them, J.

    Args:
        carried_j: energy of layers at the end that take no time.
    """
    loads = [(end - start, load) for start, end, load in zip(edges, edges[1:], watts, strict=False)]
    call = latency_s - edges[-1]
    if carried_j and loads:
        seconds, load = loads[-1]
        loads[-1] = (seconds, load + carried_j / seconds)
    elif carried_j:
        static_w += carried_j / call
    loads.append((max(call, 0.0), static_w))
    return sum(chip.pmic.input_w(load) * seconds for seconds, load in loads)


def _simulated(
    program: Program, chip: Chip, kind: CoreKind, trace: str | None, power_plot: str | None
) -> _Run:
    timeline = simulate_alone(chip, program, trace=True, kind=kind.name or None)
    if trace is not None:
        write_trace(timeline, trace)
    if power_plot is not None:
        write_power_plot(timeline, power_plot)
    layer_s = [0.0] * len(program.schedules)
    where = {schedule.layer: index for index, schedule in enumerate(program.schedules)}
    for interval in timeline.intervals:
        if interval.core == kind.cores[0] and interval.layer in where:
            layer_s[where[interval.layer]] += interval.end_s - interval.start_s
    return _Run(
        timeline.horizon_s,
        layer_s,
        timeline.scope_energy_j,
        timeline.static_j,
        timeline.peak_power_w,
    )


def _filled(base: Evaluation, program: Program, chip: Chip, run: _Run, terms: Terms) -> Evaluation:
    layers, breakdown = module_rows(program, chip, run.layer_s, run.static_j, run.module_j)
    power = run.module_j / run.latency_s
    usage = resource_use(program, chip)
    ideal = sum(schedule.ideal_cycles for schedule in program.schedules)
    interval = run.latency_s - program.drain_cycles / chip.f_hz
    return replace(
        base,
        feasible=True,
        latency_s=run.latency_s,
        energy_j=run.module_j,
        average_power_w=power,
        peak_power_w=run.peak_w["module"],
        throughput_per_s=1.0 / interval,
        utilization=ideal / (interval * chip.f_hz),
        dram_bytes=sum(link_totals(program)[name] for name in chip.outside),
        memory=placed(program, chip),
        carbon_kg=lifetime_carbon_kg(
            chip, power, lifetime_years=terms.lifetime_years, duty=terms.duty, grid=terms.grid
        ),
        by_scope=scope_table(chip, run.scope_j, run.peak_w, run.latency_s),
        energy_breakdown_j=breakdown,
        resource_utilization=usage,
        bottleneck=max(usage, key=lambda name: usage[name]),
        layers=layers,
        notes=(*base.notes, *program.notes),
    )


def module_rows(
    program: Program,
    chip: Chip,
    layer_s: Sequence[float],
    static_j: Mapping[str, float],
    module_j: float,
) -> tuple[tuple[LayerRow, ...], dict[str, float]]:
    """Rows that add up to the module energy and the latency, and the energy by component.

    Every row carries its share of the conversion losses: the ratio of module to ``die_dram`` energy
    is applied to all. The time of the driver call, and that of the last results of a pipeline in
    space after its cores are free, is in the row ``idle``; the static energy of the
    whole inference in the row ``static``.
    """
    table = layer_rows(program, chip)
    below = sum(row.energy_j for row in table) + sum(static_j.values())
    factor = module_j / below if below else 1.0
    rows: list[LayerRow] = []
    breakdown: dict[str, float] = {}
    for row, schedule, seconds in zip(table, program.schedules, layer_s, strict=True):
        cycles = seconds * chip.f_hz
        parts = {k: v * factor for k, v in sorted(row.energy_breakdown_j.items())}
        rows.append(
            replace(
                row,
                cycles=cycles,
                latency_s=seconds,
                energy_j=row.energy_j * factor,
                utilization=schedule.ideal_cycles / cycles if cycles else 0.0,
                energy_breakdown_j=parts,
            )
        )
        for name, joules in parts.items():
            breakdown[name] = breakdown.get(name, 0.0) + joules
    statics = {name: joules * factor for name, joules in sorted(static_j.items())}
    breakdown |= {f"static.{name}": joules for name, joules in statics.items()}
    rows.append(_extra("static", sum(statics.values()), 0.0, statics))
    rows.append(_extra("idle", 0.0, program.invoke_s + program.drain_cycles / chip.f_hz, {}))
    return tuple(rows), breakdown


def _extra(name: str, energy_j: float, latency_s: float, parts: Mapping[str, float]) -> LayerRow:
    return LayerRow(name, name, 0, 0.0, latency_s, energy_j, 0.0, name, parts)


def link_totals(program: Program) -> dict[str, float]:
    """Bytes of one inference over each link."""
    out = dict.fromkeys(LINKS, 0.0)
    for segment in program.segments:
        for name, amount in zip(LINKS, segment.link_bytes, strict=True):
            out[name] += segment.count * amount
    return out


def _least_bound(workload: Workload, chip: Chip, terms: Terms) -> tuple[Roofline, str]:
    """The bounds that hold on every kind of core that can run the model, and its name if alone."""
    kinds = usable(chip, terms.kind, terms.cores)
    found = built([(one.name, partial(roofline, workload, one.chip, terms.cores)) for one in kinds])
    if len(found) == 1:
        number, bound = found[0]
        return bound, kinds[number].name
    least = {
        field.name: min(getattr(bound, field.name) for _, bound in found)
        for field in fields(Roofline)
    }
    return Roofline(**least), ""


def _bounded(base: Evaluation, workload: Workload, chip: Chip, terms: Terms) -> Evaluation:
    """The network-level bounds; layer rows carry nothing but their MACs."""
    bound, kind = _least_bound(workload, chip, terms)
    base = replace(base, core_kind=kind)
    latency, energy = bound.latency_s, bound.energy_j
    use = {"compute": bound.compute_s / latency, "dram": bound.link_s / latency}
    rows = tuple(
        LayerRow(layer.name, layer.op, layer.macs, 0.0, 0.0, 0.0, 0.0, "bound", {})
        for layer in workload.layers
    )
    return replace(
        base,
        latency_s=latency,
        energy_j=energy,
        average_power_w=energy / latency,
        by_scope=scope_table(chip, {"die_dram": energy, "module": energy}, {}, latency),
        throughput_per_s=1.0 / bound.interval_s,
        utilization=workload.macs / (chip.peak_macs_per_s * bound.interval_s),
        dram_bytes=bound.dram_bytes,
        resource_utilization=use,
        bottleneck=max(use, key=lambda name: use[name]),
        layers=rows,
    )
