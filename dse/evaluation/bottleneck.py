"""What a program waits for: by layer, and over the whole network."""

from __future__ import annotations

from dse.hardware.chip import LINKS, Chip
from dse.mapping import BOTTLENECKS, ENGINES, Program, layer_rows, link_rates


def resource_use(program: Program, chip: Chip) -> dict[str, float]:
    """Share of one inference's time in which each engine and link is busy, alone on the chip."""
    rates, f_hz = link_rates(chip), chip.f_hz
    total, launch = program.invoke_s, 0.0
    engines, links = [0.0] * len(ENGINES), [0.0] * len(LINKS)
    for segment in program.segments:
        count, cycles, moved = segment.count, segment.cycles, segment.link_bytes
        total += count * segment.step_s(f_hz, rates)
        if segment.stage == "launch":
            launch += count * max(cycles) / f_hz
            continue
        for n, amount in enumerate(cycles):
            if amount:
                engines[n] += count * amount / f_hz
        for n, amount in enumerate(moved):
            if amount > 0.0 and rates[n] > 0.0:
                links[n] += count * amount / rates[n]
    names = (*ENGINES, *LINKS, "launch")
    busy = dict(zip(names, (*engines, *links, launch), strict=True))
    return {
        BOTTLENECKS.get(name, name): seconds / total
        for name, seconds in busy.items()
        if seconds > 0.0
    }


def bottleneck(program: Program, chip: Chip) -> str:
    """The resource that is busy for the largest share of an inference."""
    use = resource_use(program, chip)
    return max(use, key=lambda name: use[name]) if use else "none"


def worst_layer(program: Program, chip: Chip) -> tuple[str, str]:
    """The layer that takes longest: its name, and with what bounds it in words."""
    rows = layer_rows(program, chip)
    worst = max(rows, key=lambda row: row.latency_s)
    share = worst.latency_s / max(sum(row.latency_s for row in rows), 1e-30)
    text = f"layer {worst.name} ({share:.0%} of its time, bound by {worst.bottleneck})"
    return worst.name, text
