"""The part of a record that is known before anything runs: chip, area, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dse.errors import UnmappableError
from dse.evaluation.causes import Cause
from dse.evaluation.economics import economics
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import SCOPES, Chip

ScopeTable = dict[str, dict[str, float | None]]


def frame(
    kind: str,
    subject: str,
    precision: str,
    chip: Chip,
    fidelity: Fidelity,
    *,
    volume: float,
    volumes: Sequence[float],
    macs: int = 0,
    horizon_s: float | None = None,
) -> Evaluation:
    """A record with everything about the chip and nothing yet about what runs on it."""
    money = economics(chip, volume, volumes)
    return Evaluation(
        kind=kind,
        subject=subject,
        chip=chip.name,
        template=chip.template,
        node=f"{chip.node_nm}nm",
        f_hz=chip.f_hz,
        voltage_v=chip.voltage_v,
        precision=precision,
        fidelity=fidelity,
        feasible=None,
        reasons=(),
        latency_s=None,
        energy_j=None,
        average_power_w=None,
        peak_power_w=None,
        throughput_per_s=None,
        macs=macs,
        utilization=None,
        dram_bytes=None,
        area_mm2=chip.area_mm2,
        die_cost_usd=money.die_cost_usd,
        unit_cost_usd=money.unit_cost_usd,
        volume=volume,
        unit_cost_by_volume_usd=money.by_volume_usd,
        cost_breakdown_usd=money.parts_usd,
        carbon_kg=None,
        quality=None,
        quality_detail=(),
        by_scope=scope_table(chip, {}, {}, None),
        energy_breakdown_j={},
        resource_utilization={},
        bottleneck="unmappable",
        horizon_s=horizon_s,
        junction_c=chip.junction_c,
        notes=chip.notes,
    )


def unmappable(base: Evaluation, error: UnmappableError) -> Evaluation:
    """The record of what the chip cannot run."""
    why = Cause(error.describe(), "unmappable", layer=error.layer)
    return replace(base, feasible=False, reasons=(why,))


def scope_table(
    chip: Chip,
    energy_j: Mapping[str, float],
    peak_w: Mapping[str, float],
    time_s: float | None,
) -> ScopeTable:
    """Energy, mean and peak power and area in the four scopes; None where unknown."""
    out: ScopeTable = {}
    for scope in SCOPES:
        joules = energy_j.get(scope)
        out[scope] = {
            "energy_j": joules,
            "average_power_w": None if joules is None or not time_s else joules / time_s,
            "peak_power_w": peak_w.get(scope),
            "area_mm2": chip.area.scope_mm2(scope),
        }
    return out
