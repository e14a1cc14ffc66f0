"""Resolution of what changes while a chip runs: operating points, temperature, core network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from dse.errors import InputError
from dse.hardware.blocks import number
from dse.hardware.chip import Chip, Dvfs, StaticPower
from dse.hardware.dies import die_link
from dse.hardware.modes import COLDEST_C, HOTTEST_C, CoreNetwork, Thermal
from dse.hardware.spec import ChipSpec
from dse.technology import OperatingPoint, Technology

#: Junction temperatures at which leakage is tabulated, C; linear in its logarithm between.
_GRID_C = tuple(float(t) for t in range(int(COLDEST_C), int(HOTTEST_C) + 1, 15))

Statics = Callable[[OperatingPoint[float], ChipSpec], tuple[StaticPower, ...]]


def lower_points(
    spec: ChipSpec, chip: Chip, resolve_one: Callable[[ChipSpec], Chip]
) -> Dvfs | None:
    """The chip's operating points; None if it has only its own.

    Args:
        spec: what the chip says; a voltage that it pins is not exceeded at lower clocks.
        chip: at its own point.
        resolve_one: gives the chip of a spec without operating points.

    Raises:
        InputError: a point that the node cannot run at.
    """
    wanted = spec.power.dvfs
    if not wanted.points:
        return None
    points = []
    for share in sorted(wanted.points):
        values: dict[str, object] = {"f_hz": chip.f_hz * share, "power.dvfs": {}, "voltage_v": None}
        if spec.sram_rail == "shared":
            values["sram_voltage_v"] = None
        for kind in chip.kinds[1:]:
            if spec.kinds[kind.name].own_point:
                values[f"kinds.{kind.name}.f_hz"] = kind.chip.f_hz * share
                values[f"kinds.{kind.name}.voltage_v"] = None
                if spec.sram_rail == "shared":
                    values[f"kinds.{kind.name}.sram_voltage_v"] = None
        lower = resolve_one(spec.with_values({**values, "power.thermal": {}}))
        points.append(lower)
    seconds, joules = wanted.transition_s, wanted.transition_j
    return Dvfs(
        points=tuple(points),
        transition_s=number("dvfs_transition_s") if seconds is None else seconds,
        transition_j=number("dvfs_transition_j") if joules is None else joules,
        margin=number("governor_margin"),
        governor=wanted.governor,
    )


def thermal(
    spec: ChipSpec, tech: Technology, point: OperatingPoint[float], statics: Statics
) -> Thermal | None:
    """The thermal model; None if the chip gives no resistance.

    Args:
        point: the chip's own operating point; rails stay, leakage follows the temperature.
        statics: static power at an operating point and a spec that states its temperature.
    """
    given = spec.power.thermal
    resistance = given.resistance_k_per_w
    if resistance is None:
        return None
    capacitance = given.capacitance_j_per_k or number("thermal_capacitance_j_per_k")
    if given.limit_c <= given.ambient_c:
        raise InputError(
            f"the junction limit of {given.limit_c:g} C is not above the ambient "
            f"{given.ambient_c:g} C",
            field="power.thermal.limit_c",
            mend="give a limit above the ambient temperature",
        )
    own = _by_component(statics(point, spec))
    scale: dict[str, list[float]] = {name: [] for name in own}
    for celsius in _GRID_C:
        there = tech.operating_point(
            spec.node_nm,
            voltage_v=point.voltage_v,
            sram_voltage_v=None if spec.sram_rail == "shared" else point.sram_voltage_v,
            guard_band=spec.guard_band,
            junction_c=celsius,
            vt=spec.vt,
            corner=spec.corner,
            sram_rail=spec.sram_rail,
            speed_factor=spec.speed_factor,
            sram_assist=spec.sram_assist,
        )
        hot = statics(replace(there, f_hz=point.f_hz), spec.with_values({"junction_c": celsius}))
        for name, watts in _by_component(hot).items():
            scale[name].append(watts / own[name] if own[name] > 0.0 else 1.0)
    return Thermal(
        resistance_k_per_w=resistance,
        capacitance_j_per_k=capacitance,
        ambient_c=given.ambient_c,
        start_c=given.ambient_c if given.start_c is None else given.start_c,
        limit_c=given.limit_c,
        hysteresis_k=given.hysteresis_k,
        tick_s=given.tick_s or resistance * capacitance / 500.0,
        grid_c=_GRID_C,
        scale={name: tuple(values) for name, values in scale.items()},
    )


def core_network(
    spec: ChipSpec, tech: Technology, f_hz: float, prices: Mapping[str, float]
) -> CoreNetwork | None:
    """The network between the cores as a resource; None if the chip leaves it out."""
    noc = spec.noc
    if noc.topology == "none":
        return None
    link = die_link(spec, tech)
    hop_j = prices["noc.bit"] if noc.hop_j_per_bit is None else noc.hop_j_per_bit
    return CoreNetwork(
        topology=noc.topology,
        bytes_per_s=noc.bytes_per_cycle * f_hz,
        hop_s=noc.hop_cycles / f_hz,
        hop_j_per_bit=hop_j,
        chiplets=noc.chiplets,
        die_bytes_per_s=noc.die_bytes_per_s or 0.0,
        die_s=link.latency_s,
        die_j_per_bit=link.j_per_bit,
        private=noc.memories == "private",
    )


def _by_component(parts: tuple[StaticPower, ...]) -> dict[str, float]:
    out: dict[str, float] = {}
    for part in parts:
        out[part.component] = out.get(part.component, 0.0) + part.active_w
    return out
