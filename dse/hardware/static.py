"""Power that flows without work, component by component and scope by scope."""

from __future__ import annotations

from collections.abc import Mapping

from dse.errors import InputError
from dse.hardware.area import AreaNode
from dse.hardware.blocks import number
from dse.hardware.chip import StaticPower
from dse.hardware.dies import further_dies
from dse.hardware.external import externals
from dse.hardware.floorplan import other_leaking_mm2
from dse.hardware.modes import SleepState
from dse.hardware.prices import HostClock
from dse.hardware.spec import ChipSpec
from dse.hardware.widths import widths_of
from dse.technology import FloorFacts, OperatingPoint, Technology

_GIB = float(1 << 30)


def block_mm2(area: AreaNode) -> dict[str, float]:
    """Area by block name, mm2 (names are unique in a chip's tree)."""
    return {node.name: node.own_mm2 for _, node in area.walk()}


def static_power(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    area: AreaNode,
    floor: FloorFacts,
    host: HostClock,
    prices: Mapping[str, float],
) -> tuple[StaticPower, ...]:
    """All static components of a chip, W."""
    blocks = block_mm2(area)
    parts = _npu_static(tech, point, spec, blocks, floor, prices)
    plls = spec.die.pll_count + further_dies(area)
    parts += _die_static(tech, point, spec, blocks, floor, host, plls)
    parts += _dram_static(tech, spec)
    return tuple(parts)


def _npu_static(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    blocks: Mapping[str, float],
    floor: FloorFacts,
    prices: Mapping[str, float],
) -> list[StaticPower]:
    density = tech.logic_leakage_w_per_mm2(point)
    logic = ("array", "vector", "control", "noc")
    mm2 = sum(blocks[name] for name in logic) / spec.cores
    leak = mm2 * density
    units = spec.array.rows * spec.array.cols * spec.array.depth
    clock = units * point.f_hz * prices["array.idle_mac"]
    root = clock * number("root_clock_share")
    waiting = root if spec.power.clock_gating else clock
    stopped = 0.0 if spec.power.gating else waiting
    off = number("gated_leak_share") if spec.power.gating else 1.0
    charge = number("domain_nf_per_mm2") * 1e-9 * mm2 * point.voltage_v**2
    wake = floor.wake_s if spec.power.gating else 0.0
    bits = 8.0 * (spec.buffer.bytes + widths_of(spec).accumulators)
    sram = bits * tech.sram_leakage_w_per_bit(point)
    keep = _retention(tech, point, bits, spec.power.gating)
    pulse = charge if wake else 0.0
    clocks, drowsy, held = _sleeps(tech, point, spec, root, leak, charge, bits)
    if clocks:
        waiting = clock  # it stops later
    parts = [
        StaticPower(
            "logic_leakage", "npu", leak, leak, leak * off, True, wake, pulse, sleeps=drowsy
        ),
        StaticPower("clock_root", "npu", root, waiting, stopped, True, sleeps=clocks),
        StaticPower("buffer_leakage", "npu", sram, sram, keep, True, sleeps=held),
    ]
    if spec.l2.bytes:
        l2_bits = 8.0 * spec.l2.bytes
        l2 = l2_bits * tech.sram_leakage_w_per_bit(point)
        low = _retention(tech, point, l2_bits, spec.power.gating)
        parts.append(StaticPower("l2_leakage", "npu", l2, l2, low))
    return parts


def _sleeps(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    root_w: float,
    leak_w: float,
    charge_j: float,
    bits: float,
) -> tuple[tuple[SleepState, ...], ...]:
    """The further sleep states of a core's clock, logic and buffer, shallow ones first."""
    clocks: list[SleepState] = []
    drowsy: tuple[SleepState, ...] = ()
    held: tuple[SleepState, ...] = ()
    if "clock_gated" in spec.power.sleep_states:
        clocks.append(SleepState("clock_gated", root_w, wake_s=number("clock_wake_s")))
    if "retention" in spec.power.sleep_states:
        wake = number("retention_wake_s")
        clocks.append(SleepState("retention", 0.0, wake_s=wake))
        low = leak_w * number("retention_leak_share")
        energy = charge_j * number("retention_charge_share")
        drowsy = (SleepState("retention", low, wake_s=wake, wake_j=energy),)
        kept = _retention(tech, point, bits, gating=True)
        held = (SleepState("retention", kept, wake_s=wake),)
    return tuple(clocks), drowsy, held


def _retention(tech: Technology, point: OperatingPoint[float], bits: float, gating: bool) -> float:
    """Power of a memory that sleeps but keeps its contents, W; never above its leakage."""
    leak = bits * tech.sram_leakage_w_per_bit(point)
    return min(leak, bits * tech.sram_retention_w_per_bit(point)) if gating else leak


def _die_static(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    blocks: Mapping[str, float],
    floor: FloorFacts,
    host: HostClock,
    plls: int,
) -> list[StaticPower]:
    density = tech.logic_leakage_w_per_mm2(point)
    host_leak = blocks["host"] * density
    full = host.count * host.f_hz * host.core.j_per_cycle
    background = full * number("host_background_share")
    parts = [
        _steady("host", host_leak + background),
    ]
    others = other_leaking_mm2(tech, point.node_nm, spec) + blocks.get("dram_controller", 0.0)
    others += blocks.get("die_links", 0.0)
    if others:
        slow = _other_point(tech, point, spec)
        leak = others * tech.logic_leakage_w_per_mm2(slow)
        parts.append(_steady("other_leakage", leak))
    if spec.power.other_w:
        watts = spec.power.other_w
        parts.append(_steady("other_active", watts))
    pll = floor.pll_power_w * plls
    if pll:
        parts.append(_steady("pll", pll))
    io = floor.io_static_w_per_pad * spec.die.io_pads
    if io:
        parts.append(_steady("io", io))
    given = spec.power.always_on_w
    on = floor.always_on_w + floor.analog_power_w if given is None else given
    parts.append(_steady("always_on", on))
    if outside := externals(spec):
        phy = sum(tech.dram(one.kind).phy_idle_w_per_channel * one.channels for one in outside)
        wake = number("dram_wake_s")
        low = phy if spec.dram.reserved_fraction else phy * number("phy_gated_share")
        parts.append(StaticPower("phy_idle", "die", phy, phy, low, False, wake, phy * wake))
    return parts


def _other_point(
    tech: Technology, point: OperatingPoint[float], spec: ChipSpec
) -> OperatingPoint[float]:
    """Where the rest of the die runs: the NPU's rail, its own threshold flavour."""
    try:
        return tech.operating_point(
            point.node_nm,
            voltage_v=point.voltage_v,
            junction_c=spec.junction_c,
            vt=spec.die.other_vt,
            corner=spec.corner,
            sram_rail="split",
        )
    except InputError as error:
        field = "die.other_vt" if error.field == "vt" else error.field
        raise InputError(error.message, field=field, mend=error.mend) from None


def _steady(component: str, watts: float) -> StaticPower:
    """A component of the die that the NPU's waiting does not change."""
    return StaticPower(component, "die", watts, watts, watts)


def _dram_static(tech: Technology, spec: ChipSpec) -> list[StaticPower]:
    """Standby, power-down while waiting, self-refresh while gated.

    A memory that others use too (``reserved_fraction`` above 0: cameras, CPU, display) is never
    put to self-refresh, and its PHY stays up.
    """
    outside = [(tech.dram(one.kind), one) for one in externals(spec)]
    if not outside:
        return []
    active = sum(kind.background_w_per_channel * one.channels for kind, one in outside)
    refresh = sum(kind.self_refresh_w_per_gib * one.capacity_bytes / _GIB for kind, one in outside)
    idle = max(active * number("dram_idle_share"), refresh)
    wake = number("dram_wake_s")
    low = idle if spec.dram.reserved_fraction else min(refresh, idle)
    return [
        StaticPower("dram_background", "die_dram", active, idle, low, False, wake, active * wake)
    ]
