"""What a program waits for: by layer, and over the whole network."""

from __future__ import annotations

from dse.hardware.chip import LINKS, Chip
from dse.mapping.network import layer_rows
from dse.mapping.schedule import BOTTLENECKS, ENGINES, Program, link_rates


def resource_use(program: Program, chip: Chip) -> dict[str, float]:
    """Share of one inference's time in which each engine and link is busy, alone on the chip."""
    rates = link_rates(chip)
    total = program.invoke_s
    busy = dict.fromkeys((*ENGINES, *LINKS, "launch"), 0.0)
    for segment in program.segments:
        total += segment.count * segment.step_s(chip.f_hz, rates)
        if segment.stage == "launch":
            busy["launch"] += segment.count * max(segment.cycles) / chip.f_hz
            continue
        for name, cycles in zip(ENGINES, segment.cycles, strict=True):
            busy[name] += segment.count * cycles / chip.f_hz
        for name, amount, rate in zip(LINKS, segment.link_bytes, rates, strict=True):
            if amount > 0.0 and rate > 0.0:
                busy[name] += segment.count * amount / rate
    return {
        BOTTLENECKS.get(name, name): seconds / total
        for name, seconds in busy.items()
        if seconds > 0.0
    }


def bottleneck(program: Program, chip: Chip) -> str:
    """The resource that is busy for the largest share of an inference."""
    use = resource_use(program, chip)
    return max(use, key=lambda name: use[name]) if use else "none"


def worst_layer(program: Program, chip: Chip) -> str:
    """The layer that takes longest and what bounds it, in words."""
    rows = layer_rows(program, chip)
    worst = max(rows, key=lambda row: row["latency_s"])
    share = worst["latency_s"] / max(sum(row["latency_s"] for row in rows), 1e-30)
    return f"layer {worst['name']} ({share:.0%} of its time, bound by {worst['bottleneck']})"
