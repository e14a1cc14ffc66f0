"""The mapping of a layer as text: its loop nest, what moves at each level, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping

from dse.hardware.chip import LINKS, Chip
from dse.mapping.ir.schedule import BOTTLENECKS, ENGINES, LayerSchedule, price
from dse.registry import cached

#: Levels of memory, the outermost first, with the actions that read and write them.
LEVELS = ("dram", "l2", "nvm", "buffer", "accumulator", "register.w", "register.i", "register.o")
UNITS = {"vector": "vector unit", "dma": "DMA"}
#: Least share of the energy that is named.
NAMED = 1e-3


def explain(schedule: LayerSchedule, chip: Chip | None = None) -> str:
    """The mapping of one layer as a loop nest with tiles, traffic and reuse, as text.

    Args:
        schedule: the layer as mapped.
        chip: with it, also the energy by component.
    """
    cores = f" of {schedule.cores} cores" if schedule.cores > 1 else ""
    unit = UNITS.get(schedule.unit, schedule.unit)
    work = f"{schedule.macs:,} MACs on" if schedule.macs else "on"
    lines = [f"{schedule.layer} ({schedule.op}), {work} the {unit}{cores}"]
    dims = " ".join(f"{d}={n}" for d, n in schedule.dims.items() if n > 1)
    if dims:
        lines.append(f"dims: {dims}")
    lines.append(f"mapping: {schedule.legality}{', Winograd' if schedule.transform else ''}")
    lines += schedule.loop_nest
    lines.append("the whole layer:")
    lines += [f"  {line}" for line in _traffic(schedule)]
    lines += _phases(schedule)
    if chip is not None:
        lines.append(_energy(schedule, chip))
    return "\n".join(lines)


def _phases(schedule: LayerSchedule) -> list[str]:
    """What runs side by side in the steps of each phase, and what goes before and after."""
    whole = sum(phase.count for phase in schedule.phases)
    shared = "this layer's share of the group's steps" if schedule.fused else "steps"
    lines = [f"{shared}, cycles and bytes of each; what is listed runs side by side:"]
    for number, phase in enumerate(schedule.phases, 1):
        engines = ", ".join(
            f"{BOTTLENECKS[name]} {cycles:,.0f}"
            for name, cycles in zip(ENGINES, phase.cycles, strict=True)
            if cycles
        )
        links = ", ".join(
            f"{name} {amount:,.0f} B"
            for name, amount in zip(LINKS, phase.link_bytes, strict=True)
            if amount
        )
        what = "; ".join(part for part in (engines, links) if part) or "nothing"
        lines.append(f"  phase {number}, {phase.count} of {whole}: {what}")
    fill = sum(schedule.fill_weight) + sum(schedule.fill_other)
    weights = sum(schedule.fill_weight)
    before = f"{fill:,.0f} B in" + (f" ({weights:,.0f} B of it weights)" if weights else "")
    after = sum(schedule.drain)
    if fill or after:
        lines.append(f"  before the first: {before}; after the last: {after:,.0f} B out")
    return lines


def _traffic(schedule: LayerSchedule) -> list[str]:
    """Bytes read and written at each level, and MACs (or results) for each byte read there."""
    work = float(schedule.macs)
    lines = []
    for level in LEVELS:
        read = schedule.counts.get(f"{level}.read_bit", 0.0) / 8
        written = schedule.counts.get(f"{level}.write_bit", 0.0) / 8
        if not read and not written:
            continue
        reuse = f"; {work / read:.3g} MACs a byte read" if work and read else ""
        lines.append(f"{level}: {read:,.0f} B read, {written:,.0f} B written{reuse}")
    return lines


def _energy(schedule: LayerSchedule, chip: Chip) -> str:
    parts = component_j(schedule.counts, chip)
    total = sum(parts.values())
    shares = ", ".join(
        f"{name} {joules / total:.1%}"
        for name, joules in sorted(parts.items(), key=lambda part: -part[1])
        if joules >= NAMED * total
    )
    return f"energy {total * 1e6:.4g} uJ (dynamic): {shares}"


@cached(256)
def component_of(action: str) -> str:
    """The part of an action's name before the dot."""
    return action.partition(".")[0]


def component_j(counts: Mapping[str, float], chip: Chip) -> dict[str, float]:
    """Dynamic energy by component (the part of an action's name before the dot), J."""
    out: dict[str, float] = {}
    for action, joules in price(counts, chip).items():
        component = component_of(action)
        out[component] = out.get(component, 0.0) + joules
    return out
