"""What a program waits for: by layer, and over the whole network."""

from __future__ import annotations

from dse.hardware.chip import LINKS, Chip
from dse.mapping.schedule import ENGINES, Program, layer_latencies_s, link_rates


def layer_bottlenecks(program: Program, chip: Chip) -> list[str]:
    """For each layer the resource that sets most of its time.

    ``launch`` for the start of the layer, ``fill`` for the first load and the last store, else the
    engine or link that is the slowest in the steps.
    """
    rates = link_rates(chip)
    times: list[dict[str, float]] = [{} for _ in program.schedules]
    for segment in program.segments:
        seconds = segment.count * segment.step_s(chip.f_hz, rates)
        if segment.stage == "launch":
            name = "launch"
        elif segment.stage in ("fill", "drain"):
            name = "fill"
        else:
            name = segment.bottleneck(chip.f_hz, rates)
        found = times[segment.layer]
        found[name] = found.get(name, 0.0) + seconds
    return [max(found, key=lambda name: found[name]) if found else "none" for found in times]


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
    return {name: seconds / total for name, seconds in busy.items() if seconds > 0.0}


def bottleneck(program: Program, chip: Chip) -> str:
    """The resource that is busy for the largest share of an inference."""
    use = resource_use(program, chip)
    return max(use, key=lambda name: use[name]) if use else "none"


def worst_layer(program: Program, chip: Chip) -> str:
    """The layer that takes longest and what bounds it, in words."""
    seconds = layer_latencies_s(program, chip)
    index = max(range(len(seconds)), key=lambda i: seconds[i])
    resource = layer_bottlenecks(program, chip)[index]
    share = seconds[index] / max(sum(seconds), 1e-30)
    return f"layer {program.schedules[index].layer} ({share:.0%} of its time, bound by {resource})"
