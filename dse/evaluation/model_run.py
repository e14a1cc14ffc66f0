"""One model alone on a chip, at any of the three fidelities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dse.errors import UnmappableError
from dse.evaluation.economics import economics, lifetime_carbon_kg
from dse.evaluation.energy import (
    dynamic_by_scope_j,
    layer_energy_j,
    static_by_component_w,
    static_by_scope_w,
)
from dse.evaluation.record import Evaluation, LayerRow
from dse.hardware.chip import LINKS, SCOPES, Chip
from dse.mapping import Objective, map_network, network_bottleneck, roofline, segment_bottlenecks
from dse.mapping.schedule import Program, layer_latencies_s, program_latency_s
from dse.quality import quality
from dse.simulation import Policy, Task, Timeline, Trace, peak_power_w, simulate
from dse.workload import Workload

Fidelity = Literal["roofline", "analytic", "simulate"]
FIDELITIES: tuple[Fidelity, ...] = ("roofline", "analytic", "simulate")


@dataclass(frozen=True)
class Terms:
    """What the record needs to know beside model and chip: volume, lifetime, grid, split."""

    volume: float = 1e6
    volumes: tuple[float, ...] = (1e5, 1e6, 1e7)
    lifetime_years: float = 5.0
    duty: float = 1.0
    grid: str = "japan"
    cores: int = 1
    objective: Objective = "edp"
    seed: int = 0


@dataclass(frozen=True)
class _Run:
    """Latency and energy of one inference, however they were obtained."""

    latency_s: float
    layer_s: Sequence[float]
    scope_j: Mapping[str, float]
    static_j: Mapping[str, float]
    module_j: float
    peak_w: Mapping[str, float]


def evaluate_model(
    workload: Workload, chip: Chip, fidelity: Fidelity = "simulate", terms: Terms | None = None
) -> Evaluation:
    """One inference of ``workload`` on an otherwise idle ``chip``.

    Returns:
        The record; ``feasible`` is False with the reason if the chip cannot run the model.
    """
    terms = terms or Terms()
    try:
        if fidelity == "roofline":
            return _roofline(workload, chip, terms)
        program = map_network(workload, chip, terms.objective, cores=terms.cores)
    except UnmappableError as error:
        return _record(workload, chip, fidelity, terms, None, None, (error.describe(),))
    run = _analytic(program, chip) if fidelity == "analytic" else _simulated(program, chip, terms)
    return _record(workload, chip, fidelity, terms, program, run, ())


def _analytic(program: Program, chip: Chip) -> _Run:
    latency = program_latency_s(program, chip)
    layer_s = layer_latencies_s(program, chip)
    static_w = static_by_component_w(chip, program.cores)
    dynamic = dynamic_by_scope_j(program, chip)
    by_scope = static_by_scope_w(chip, program.cores)
    scope_j = {scope: dynamic[scope] + by_scope[scope] * latency for scope in dynamic}
    module_j = chip.pmic.input_w(scope_j["die_dram"] / latency) * latency
    static_j = {name: watts * latency for name, watts in static_w.items()}
    edges, watts = [0.0], []
    for schedule, seconds in zip(program.schedules, layer_s, strict=True):
        if seconds > 0.0:
            edges.append(edges[-1] + seconds)
            joules = sum(layer_energy_j(schedule, chip).values())
            watts.append(joules / seconds + by_scope["die_dram"])
    peak = peak_power_w(edges, watts, 1e-3)
    module_peak = chip.pmic.input_w(peak)
    peaks = {"npu": None, "die": None, "die_dram": peak, "module": module_peak}
    return _Run(latency, layer_s, scope_j, static_j, module_j, {k: v for k, v in peaks.items() if v})


def _simulated(program: Program, chip: Chip, terms: Terms) -> _Run:
    def play(horizon_s: float) -> Timeline:
        task = Task("model", program, Trace((0.0,)), cores=tuple(range(chip.cores)))
        policy = Policy("fifo", "none", horizon_s, terms.seed)
        return simulate(chip, [task], policy, trace=True)

    horizon = 1.5 * program_latency_s(program, chip) + 1e-3
    timeline = play(horizon)
    while timeline.jobs[0].finish_s is None:
        horizon *= 2.0
        timeline = play(horizon)
    finish = timeline.jobs[0].finish_s
    timeline = play(finish)
    layer_s = [0.0] * len(program.schedules)
    where = {schedule.layer: index for index, schedule in enumerate(program.schedules)}
    for interval in timeline.intervals:
        if interval.layer in where:
            layer_s[where[interval.layer]] += (interval.end_s - interval.start_s)
    if program.cores > 1:
        layer_s = [seconds / program.cores for seconds in layer_s]
    names = {part.component for part in chip.static}
    static_j = {k: v for k, v in timeline.energy_j.items() if k in names}
    module_j = timeline.scope_energy_j["module"]
    return _Run(
        finish, layer_s, timeline.scope_energy_j, static_j, module_j, timeline.peak_power_w
    )


def _record(
    workload: Workload,
    chip: Chip,
    fidelity: Fidelity,
    terms: Terms,
    program: Program | None,
    run: _Run | None,
    reasons: tuple[str, ...],
) -> Evaluation:
    money = economics(chip, terms.volume, terms.volumes)
    found = quality(workload.family, workload.settings, workload.precision)
    detail: tuple[dict[str, Any], ...] = ()
    if found is not None:
        detail = (
            {
                "stream": "model",
                "metric": found.metric,
                "float_value": found.float_value,
                "value": found.value,
                "drop_median": found.drop_median,
                "drop_p90": found.drop_p90,
                "method": found.method,
                "sources": list(found.sources),
            },
        )
    layers: tuple[LayerRow, ...] = ()
    breakdown: dict[str, float] = {}
    energy = power = peak = utilization = dram_bytes = carbon = None
    by_scope: dict[str, dict[str, float | None]] = {
        scope: {
            "energy_j": None,
            "average_power_w": None,
            "peak_power_w": None,
            "area_mm2": chip.area.scope_mm2(scope),
        }
        for scope in SCOPES
    }
    usage: dict[str, float] = {}
    bottleneck = "unmappable"
    if run is not None and program is not None:
        layers, breakdown = layer_rows(program, chip, run.layer_s, run.static_j, run.module_j)
        energy = run.module_j
        power = energy / run.latency_s
        peak = run.peak_w["module"]
        for scope in SCOPES:
            joules = energy if scope == "module" else run.scope_j[scope]
            by_scope[scope] |= {
                "energy_j": joules,
                "average_power_w": joules / run.latency_s,
                "peak_power_w": run.peak_w.get(scope),
            }
        ideal = sum(schedule.ideal_cycles for schedule in program.schedules)
        utilization = ideal / (run.latency_s * chip.f_hz)
        dram_bytes = link_totals(program)["dram"]
        carbon = lifetime_carbon_kg(
            chip, power, lifetime_years=terms.lifetime_years, duty=terms.duty, grid=terms.grid
        )
        bottleneck, usage = network_bottleneck(program, chip)
    return Evaluation(
        kind="model",
        subject=workload.name,
        chip=chip.name,
        template=chip.template,
        node=f"{chip.node_nm}nm",
        f_hz=chip.f_hz,
        voltage_v=chip.voltage_v,
        precision=workload.precision.name,
        fidelity=fidelity,
        feasible=not reasons,
        reasons=reasons,
        latency_s=run.latency_s if run else None,
        energy_j=energy,
        average_power_w=power,
        peak_power_w=peak,
        throughput_per_s=1.0 / run.latency_s if run else None,
        macs=workload.macs,
        utilization=utilization,
        dram_bytes=dram_bytes,
        area_mm2=chip.area_mm2,
        die_cost_usd=money.die_cost_usd,
        unit_cost_usd=money.unit_cost_usd,
        volume=terms.volume,
        unit_cost_by_volume_usd=money.by_volume_usd,
        cost_breakdown_usd=money.parts_usd,
        carbon_kg=carbon,
        quality=found.value if found else None,
        quality_detail=detail,
        by_scope=by_scope,
        energy_breakdown_j=breakdown,
        resource_utilization=usage,
        bottleneck=bottleneck,
        layers=layers,
        notes=program.notes if program else (),
    )


def layer_rows(
    program: Program,
    chip: Chip,
    layer_s: Sequence[float],
    static_j: Mapping[str, float],
    module_j: float,
) -> tuple[tuple[LayerRow, ...], dict[str, float]]:
    """Rows that add up to the module energy, and the energy by component at module scope.

    Every row carries its share of the conversion losses: the ratio of module to ``die_dram`` energy
    is applied to all. The time between layers (driver call) is in the row ``idle``.
    """
    per_layer = [layer_energy_j(schedule, chip) for schedule in program.schedules]
    below = sum(sum(parts.values()) for parts in per_layer) + sum(static_j.values())
    factor = module_j / below if below else 1.0
    bottlenecks = segment_bottlenecks(program, chip)
    rows: list[LayerRow] = []
    breakdown: dict[str, float] = {}
    for schedule, parts, seconds, slow in zip(
        program.schedules, per_layer, layer_s, bottlenecks, strict=True
    ):
        cycles = seconds * chip.f_hz
        rows.append(
            LayerRow(
                name=schedule.layer,
                op=schedule.op,
                macs=schedule.macs,
                cycles=cycles,
                latency_s=seconds,
                energy_j=sum(parts.values()) * factor,
                utilization=schedule.ideal_cycles / cycles if cycles else 0.0,
                bottleneck=slow,
                energy_breakdown_j={k: v * factor for k, v in sorted(parts.items())},
                spatial=schedule.spatial,
                tiles=schedule.tiles,
                dataflow=schedule.dataflow,
                order=schedule.order,
                homes=schedule.homes,
            )
        )
        for name, joules in parts.items():
            breakdown[name] = breakdown.get(name, 0.0) + joules * factor
    statics = {name: joules * factor for name, joules in sorted(static_j.items())}
    breakdown |= {f"static.{name}": joules for name, joules in statics.items()}
    rows.append(_extra("static", sum(statics.values()), 0.0, statics))
    rows.append(_extra("idle", 0.0, program.invoke_s, {}))
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


def _roofline(workload: Workload, chip: Chip, terms: Terms) -> Evaluation:
    bound = roofline(workload, chip, cores=terms.cores)
    record = _record(workload, chip, "roofline", terms, None, None, ())
    from dataclasses import replace

    module_w = bound.energy_j / bound.latency_s
    return replace(
        record,
        feasible=None,
        latency_s=bound.latency_s,
        energy_j=bound.energy_j,
        average_power_w=module_w,
        throughput_per_s=1.0 / bound.latency_s,
        utilization=bound.compute_s / bound.latency_s,
        dram_bytes=bound.dram_bytes,
        bottleneck=bound.bottleneck,
        resource_utilization={
            "array": bound.compute_s / bound.latency_s,
            "dram": bound.dram_s / bound.latency_s,
        },
        layers=bound.rows,
    )
