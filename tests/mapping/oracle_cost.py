"""Latency and energy of one mapping from the literal walks of :mod:`oracle`."""

from __future__ import annotations

import math
from typing import Any

from dse.hardware.chip import LINKS
from dse.mapping.ir.homes import READ_ACTIONS, WRITE_ACTIONS
from dse.mapping.space.choices import TILED
from dse.workload.precision import bits_of

from .oracle import (
    RELEVANT,
    Case,
    Choice,
    Walk,
    elements,
    fits,
    touched,
    walk_array,
    walk_tiles,
)


def descriptors(case: Case, tiles: tuple[int, ...]) -> dict[str, int]:
    """DMA descriptors of one full tile: strided two-dimensional blocks of channel-last tensors."""
    layer, limit = case.layer, case.chip.overheads.max_descriptor_bytes
    tile = dict(zip(TILED, tiles, strict=True))
    part = {d: tile[d] < case.sizes[d] for d in TILED}
    size = elements(case, tile)
    nest = layer.nest
    assert nest is not None
    rows_in = touched(tile["OY"], nest.FY, nest.stride_y, nest.dilation_y)
    out = {"W": math.ceil(size["W"] * bits_of(layer.w_format) / 8 / limit)}
    for operand, channel, rows, form in (
        ("I", "C", rows_in, layer.i_format),
        ("O", "K", tile["OY"], layer.o_format),
    ):
        channels = part["G"] or part[channel]
        runs = rows if channels and part["OX"] else 1
        if part["OX"] or (channels and part["OY"]):
            runs *= tile["B"]
        out[operand] = max(runs, math.ceil(size[operand] * bits_of(form) / 8 / limit))
    return out


def cost(case: Case, choice: Choice, rate: float, pair: str, cached: dict[Any, Any]) -> Any:
    """Latency and energy of one mapping from the walks, or None if it is not allowed."""
    layer, chip, homes = case.layer, case.chip, case.homes.to_dict()
    key = (choice.spatial, choice.tiles, choice.flow)
    if key not in cached:
        cached[key] = walk_array(case, choice.spatial, choice.tiles, choice.flow, rate)
    inside = cached[key]
    if inside is None or not fits(case, choice.tiles, inside.partial):
        return None
    key2 = (choice.tiles, choice.loops)
    if key2 not in cached:
        cached[key2] = walk_tiles(case, choice.tiles, choice.loops)
    walk: Walk = cached[key2]
    if homes["O"] == "buffer" and walk.events.get("reload"):
        return None
    f, steps, kept = chip.f_hz, walk.steps, choice.kept
    rates = {name: chip.links[name].bytes_per_s for name in LINKS}

    def link_s(amounts: dict[str, float]) -> float:
        by_link = dict.fromkeys(LINKS, 0.0)
        for operand, amount in amounts.items():
            if amount and homes[operand] != "buffer":
                by_link[homes[operand]] += amount
        return max(b / rates[name] if b else 0.0 for name, b in by_link.items())

    jobs = descriptors(case, choice.tiles)
    present = {op: homes[op] != "buffer" for op in homes}
    has_side = bool(layer.side_elements) and present["side"]
    outer = walk.events[kept]
    total = {op: sum(v) for op, v in walk.loads.items()}
    first = {op: v[0] for op, v in walk.loads.items()}
    stored, last = sum(walk.stores), walk.stores[-1]
    often: dict[str, float] = dict.fromkeys(homes, 0.0)
    every: dict[str, float] = dict.fromkeys(homes, 0.0)
    job_often = job_every = 0.0
    moving = max(steps - 1, 1)
    for operand in ("W", "I"):
        later, count = total[operand] - first[operand], jobs[operand] * present[operand]
        if operand == kept:
            often[operand] += later / max(outer - 1, 1)
            job_often += count
        else:
            every[operand] += later / moving
            job_every += count
    side_later, out_jobs = total["side"] - first["side"], jobs["O"] * present["O"]
    side_jobs = jobs["O"] * has_side
    store_every = store_often = reload_every = 0.0
    if kept == "O":
        often["side"] += side_later / max(outer - 1, 1)
        store_often = (stored - last) / max(outer - 1, 1)
        job_often += out_jobs + side_jobs
    else:
        every["side"] += side_later / moving
        store_every = (stored - last) / moving
        reload_every = walk.reloads / moving
        seen = walk.events.get("reload", 0)
        job_every += out_jobs * (1 + seen / steps) + side_jobs
    vector = sum(n / chip.vector.ops_per_cycle[fn] for fn, n in layer.vector_ops)
    wb, ib = bits_of(layer.w_format) / 8, bits_of(layer.i_format) / 8
    ab, ob = layer.acc_bits / 8, bits_of(layer.o_format) / 8
    outputs = math.prod(case.sizes[d] for d in RELEVANT["O"])
    reads = inside.w_reads * wb + inside.i_reads * ib + inside.partial_sums * ab + layer.side_bytes
    writes = inside.partial_sums * ab + outputs * ob
    buffer = chip.buffer

    def port(out: float, into: float) -> float:
        return max(out / buffer.read_bytes_per_cycle, into / buffer.write_bytes_per_cycle)

    # Ports that carry one operand, or what comes from the links: nothing waits where there is none.
    def alone_on(name: str, amount: float) -> float:
        width = getattr(buffer, f"{name}_bytes_per_cycle")
        return amount / width if width else 0.0

    def edge(into: dict[str, float], out: float) -> float:
        shut = {op for op, home in homes.items() if home == "buffer"}
        moved = {op: amount for op, amount in into.items() if op not in shut}
        waits = 0.0
        for op, amount in moved.items():
            narrow = alone_on("fill", amount)
            if homes[op] == "dram":
                narrow = max(narrow, alone_on("fetch", amount))
            waits += narrow
        return max(waits, alone_on("fill", out))

    def outward() -> float:
        sums = inside.partial_sums * ab / steps
        if not buffer.result_bytes_per_cycle:  # then results leave as sums do
            sums += outputs * ob / steps
        return max(alone_on("result", outputs * ob / steps), alone_on("sum", sums))

    bus = max(
        alone_on("weight", inside.w_reads * wb / steps),
        alone_on("input", inside.i_reads * ib / steps),
        outward(),
    )
    if chip.array.preload == "paid":  # while what stays is loaded, only that moves
        name = choice.flow[0]
        loaded = {"ws": inside.w_reads * wb, "is": inside.i_reads * ib, "os": 0.0}[name]
        others = [port((reads - loaded) / steps, writes / steps)]
        others.append(outward())
        if name == "ws":
            others.append(alone_on("input", inside.i_reads * ib / steps))
        if name == "is":
            others.append(alone_on("weight", inside.w_reads * wb / steps))
        bus = max(bus, inside.still / steps + max(others))
    per = chip.overheads.descriptor_cycles / chip.overheads.dma_channels
    loads2 = sum(every.values()) + reload_every
    loads1 = loads2 + sum(often.values())
    link1 = {op: every[op] + often[op] for op in homes}
    link2 = dict(every)
    link1["O"] += reload_every + store_every + store_often
    link2["O"] += reload_every + store_every
    dma1, dma2 = (job_often + job_every) * per, job_every * per
    work = inside.cycles / steps
    vec1, vec2 = (vector / outer, 0.0) if kept == "O" else (vector / steps, vector / steps)
    store1, store2 = store_every + store_often, store_every
    into1 = {op: every[op] + often[op] for op in homes}
    into2 = dict(every)
    into1["O"] = into2["O"] = reload_every
    edge1, edge2 = edge(into1, store1), edge(into2, store2)
    alone = max(port(reads / steps, writes / steps), bus)
    if buffer.double_buffered:
        port1 = max(port(reads / steps + store1, writes / steps + loads1), bus, edge1)
        port2 = max(port(reads / steps + store2, writes / steps + loads2), bus, edge2)
        body = (outer - 1) * max(max(work, vec1, port1, dma1) / f, link_s(link1))
        body += (steps - outer) * max(max(work, vec2, port2, dma2) / f, link_s(link2))
        body += max(work, vec1, alone) / f
    else:
        port1 = max(port(store1, loads1), edge1)
        port2 = max(port(store2, loads2), edge2)
        body = (outer - 1) * max(max(port1, dma1) / f, link_s(link1))
        body += (steps - outer) * max(max(port2, dma2) / f, link_s(link2))
        body += steps * max(work, vector / steps, alone) / f
    fill = link_s({op: first[op] for op in first})
    drain = link_s({"O": last})
    # Of the first tile (its weights, unless the layer before brings them) and the last store.
    first_jobs = sum(jobs[op] * present[op] for op in ("W", "I")) + side_jobs
    wait = max(0.0, first_jobs * per / f - fill) + max(0.0, out_jobs * per / f - drain)
    latency = chip.overheads.launch_cycles / f + fill + wait + body + drain
    prices = chip.prices
    energy = layer.macs * prices[f"mac.{pair}"] + prices["launch"]
    for fn, n in layer.vector_ops:
        energy += n * prices[f"vector.{fn}"]
    idle = inside.cycles * chip.array.macs_per_cycle - layer.macs / rate
    energy += max(idle, 0.0) * prices["array.idle_mac"]
    acc = prices["accumulator.read_bit"] + prices["accumulator.write_bit"]
    energy += inside.updates * layer.acc_bits * acc
    energy += 8 * (reads + stored) * prices["buffer.read_bit"]
    energy += 8 * (writes + sum(total.values()) + walk.reloads) * prices["buffer.write_bit"]
    for operand, amount in (*total.items(), ("O", walk.reloads)):
        energy += 8 * amount * sum(prices[a] for a in READ_ACTIONS[homes[operand]])
    energy += 8 * stored * sum(prices[a] for a in WRITE_ACTIONS[homes["O"]])
    energy += (outer * job_often + steps * job_every) * prices["descriptor"]
    return latency, energy + chip.mapping_static_w * latency
