"""The mapping of a layer as text: its loop nest, what moves at each level, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping

from dse.hardware.chip import LINKS, Chip
from dse.mapping.schedule import BOTTLENECKS, ENGINES, LayerSchedule, price

#: Levels of memory, the outermost first, with the actions that read and write them.
LEVELS = ("dram", "l2", "nvm", "buffer", "accumulator")


def explain(schedule: LayerSchedule, chip: Chip | None = None) -> str:
    """The mapping of one layer as a loop nest with tiles, traffic and reuse, as text.

    Args:
        schedule: the layer as mapped.
        chip: with it, also the energy by component.
    """
    head = f"{schedule.layer} ({schedule.op}), {schedule.macs} MACs on the {schedule.unit}"
    cores = f" of {schedule.cores} cores" if schedule.cores > 1 else ""
    dims = " ".join(f"{d}={n}" for d, n in schedule.dims.items() if n > 1)
    lines = [head + cores]
    if dims:
        lines.append(f"dims: {dims}")
    lines += schedule.loop_nest
    lines += _traffic(schedule)
    steps = sum(phase.count for phase in schedule.phases)
    for number, phase in enumerate(schedule.phases, 1):
        engines = ", ".join(
            f"{BOTTLENECKS[name]} {cycles:.0f}"
            for name, cycles in zip(ENGINES, phase.cycles, strict=True)
            if cycles
        )
        links = ", ".join(
            f"{name} {amount:.0f}"
            for name, amount in zip(LINKS, phase.link_bytes, strict=True)
            if amount
        )
        lines.append(
            f"phase {number}: {phase.count} of {steps} steps; cycles a step: {engines or 'none'}; "
            f"bytes a step: {links or '0'}"
        )
    fill = sum(schedule.fill_weight) + sum(schedule.fill_other)
    lines.append(
        f"fill {fill:.0f} B before ({sum(schedule.fill_weight):.0f} B of it weights), "
        f"drain {sum(schedule.drain):.0f} B after"
    )
    if chip is not None:
        lines.append(_energy(schedule, chip))
    return "\n".join(lines)


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
        lines.append(f"{level}: {read:.0f} B read, {written:.0f} B written{reuse}")
    return lines


def _energy(schedule: LayerSchedule, chip: Chip) -> str:
    parts = component_j(schedule.counts, chip)
    total = sum(parts.values())
    shares = ", ".join(
        f"{name} {joules / total:.1%}"
        for name, joules in sorted(parts.items(), key=lambda part: -part[1])
        if joules
    )
    return f"energy {total * 1e6:.4g} uJ (dynamic): {shares}"


def component_j(counts: Mapping[str, float], chip: Chip) -> dict[str, float]:
    """Dynamic energy by component (the part of an action's name before the dot), J."""
    out: dict[str, float] = {}
    for action, joules in price(counts, chip).items():
        component = action.partition(".")[0]
        out[component] = out.get(component, 0.0) + joules
    return out
