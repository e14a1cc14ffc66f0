"""From the indices of the best mapping to a :class:`LayerSchedule`, and the mapping as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.hardware.chip import LINKS
from dse.mapping import costs as k
from dse.mapping.kernel import fill_rows, tile_counts, volumes
from dse.mapping.problem import Problem
from dse.mapping.schedule import Bytes, LayerSchedule, Phase
from dse.mapping.space import TILED
from dse.mapping.streaming import Counts, add, merge, transfer_counts
from dse.workload.layer import DIMS

#: Tile loops of each order class: those outside, then the innermost group.
ORDERS = {
    "W": (("G", "K", "C"), ("B", "OY", "OX")),
    "I": (("G", "B", "C", "OY", "OX"), ("K",)),
    "O": (("G", "B", "K", "OY", "OX"), ("C",)),
}


@dataclass(frozen=True)
class Evaluation:
    """One mapping of a problem, evaluated: what the kernels know of it."""

    rows: Any
    array: Any
    tile: Any
    counts: Any
    footprint: Any
    volumes: Any
    result: Any

    @property
    def latency_s(self) -> float:
        return float(self.result[0])

    @property
    def energy_j(self) -> float:
        """Of one core, its share of static energy included."""
        return float(self.result[1])


def evaluate(
    problem: Problem, spatial: Sequence[float], tiles: Sequence[int], flow: int, order: int
) -> Evaluation:
    """Cost of one mapping.

    Args:
        spatial: one row of ``problem.spatial``.
        tiles: tile sizes of G, B, K, C, OY, OX.
        flow, order: indices into ``DATAFLOWS`` and ``CLASSES``.
    """
    c = problem.c
    rows = np.ones((7, 1, k.ROW_FIELDS))
    one = rows[6, 0]
    one[k.R_RAG] = one[k.R_NRAG] = 0.0
    sizes = np.array(tiles, np.float64).reshape(6, 1)
    lengths = np.ones(6, np.int64)
    fill_rows(rows, problem.dims, sizes, lengths, problem.align, spatial, problem.nest)
    g, b, ko, r, y, x = (rows[d, 0] for d in range(6))
    tile = k.tile_side(c, g, b, ko, r, y, x)
    n = tile_counts(g, b, ko, r, y, x)
    vol = volumes(problem.dims, spatial, y, x)
    array = k.array_side(c, flow, spatial, one, g, b, ko, r, y, x)
    room = k.footprint(c, array[5], tile[3], tile[4], tile[5], n)
    result = k.class_side(c, order, array, tile, n, vol)
    return Evaluation(rows, array, tile, n, room, vol, result)


def schedule(problem: Problem, best: Sequence[int]) -> LayerSchedule:
    """The schedule of the mapping at the indices that ``search`` returned."""
    spatial = problem.spatial[best[0]]
    tiles = [int(problem.tiles[d, best[1 + d]]) for d in range(6)]
    flow, order = int(problem.flows[best[7]]), int(best[8])
    found = evaluate(problem, spatial, tiles, flow, order)
    layer, chip, cores = problem.layer, problem.chip, problem.cores
    _, _, _, steps, bytes1, bytes2, ends, totals, rest = found.result
    fill_weight = _links(problem, ends[0], 0.0, 0.0, 0.0)
    fill_other = _links(problem, 0.0, ends[1], 0.0, ends[2])
    if layer.w_is_activation:
        fill_other = _links(problem, ends[0], ends[1], 0.0, ends[2])
        fill_weight = (0.0,) * len(LINKS)
    phases = _phases(problem, steps, bytes1, bytes2, rest)
    if problem.tail:
        # The pass after the layer: the layer's last store, then the pass with its own ends.
        first, last = problem.tail_ends
        phases = (
            *phases,
            Phase(1, link_bytes=_scaled(first, cores)),
            *(_of_cores(phase, cores) for phase in problem.tail),
            Phase(1, link_bytes=_scaled(last, cores)),
        )
    counts = {action: amount * cores for action, amount in _counts(problem, found).items()}
    names = dict(zip(TILED, tiles, strict=True))
    names["FY"], names["FX"] = problem.sizes[6], problem.sizes[7]
    if not problem.on_vector:
        macs = f"mac.{problem.pair.replace('x', '.')}"
        surplus = counts[macs] - layer.macs  # a ragged split over cores works on padding
        counts[macs] = float(layer.macs)
        if surplus > 0:
            add(counts, "array.idle_mac", surplus / problem.rate)
    unit = "vector" if problem.on_vector else "array"
    dataflow = k.DATAFLOWS[flow]
    factors = {d: int(f) for d, f in zip(DIMS, spatial[:8], strict=True) if f > 1}
    text = _loop_nest(problem, found, names, factors, dataflow, k.CLASSES[order], totals, rest)
    peak = chip.array.macs_per_cycle * (
        problem.rate if not problem.on_vector else max(chip.array.rates.values())
    )
    return LayerSchedule(
        layer=layer.name,
        op=layer.op,
        kind=layer.kind,
        unit=unit,
        macs=layer.macs,
        cores=cores,
        launch_cycles=chip.overheads.launch_cycles,
        fill_weight=fill_weight,
        fill_other=fill_other,
        phases=phases,
        drain=_links(problem, 0.0, 0.0, ends[3], 0.0),
        counts=counts,
        ideal_cycles=layer.macs / (peak * cores),
        spatial=factors,
        tiles=names,
        dataflow=dataflow,
        order=_order(k.CLASSES[order], problem.sizes, names),
        loop_nest=text,
        homes=problem.homes.to_dict(),
        dims=dict(zip(DIMS, layer.nest.sizes, strict=True)) if layer.nest else {},
    )


def _links(problem: Problem, w: float, i: float, o: float, side: float) -> Bytes:
    """Bytes of the operands of all cores, by link."""
    homes = problem.homes
    pairs = ((homes.W, w), (homes.I, i), (homes.O, o), (homes.side, side))
    return tuple(
        problem.cores * float(sum(amount for home, amount in pairs if home == link))
        for link in LINKS
    )


def _scaled(amounts: Bytes, cores: int) -> Bytes:
    return tuple(amount * cores for amount in amounts)


def _of_cores(phase: Phase, cores: int) -> Phase:
    return replace(phase, link_bytes=_scaled(phase.link_bytes, cores))


def _phases(problem: Problem, steps: Any, bytes1: Any, bytes2: Any, rest: Any) -> tuple[Phase, ...]:
    array, vector, often, port1, port2, port3, dma1, dma2 = (float(v) for v in steps)
    count1, count2 = round(float(rest[4])), round(float(rest[5]))
    link1, link2 = _links(problem, *bytes1), _links(problem, *bytes2)
    if problem.chip.buffer.double_buffered:
        phases = (
            Phase(count1, array, vector + often, port1, dma1, link_bytes=link1),
            Phase(count2, array, vector, port2, dma2, link_bytes=link2),
            Phase(1, array, vector + often, port3),
        )
    else:
        phases = (
            Phase(count1, 0.0, 0.0, port1, dma1, link_bytes=link1),
            Phase(count2, 0.0, 0.0, port2, dma2, link_bytes=link2),
            Phase(count1 + count2 + 1, array, vector, port3),
        )
    return tuple(phase for phase in phases if phase.count)


def _counts(problem: Problem, found: Evaluation) -> Counts:
    """Actions of one core."""
    reads, writes, w, i, spilled = (float(v) for v in found.result[7])
    stored, side, idle, jobs = (float(v) for v in found.result[8][:4])
    layer, homes = problem.layer, problem.homes
    counts = dict(problem.fixed_counts)
    if not problem.on_vector:
        add(counts, "array.idle_mac", idle)
    updates = float(found.array[3]) * layer.acc_bits
    add(counts, "accumulator.read_bit", updates)
    add(counts, "accumulator.write_bit", updates)
    add(counts, "buffer.read_bit", 8.0 * reads)
    add(counts, "buffer.write_bit", 8.0 * writes)
    add(counts, "descriptor", jobs)
    for home, amount, write in (
        (homes.W, w, False),
        (homes.I, i, False),
        (homes.O, spilled, False),
        (homes.side, side, False),
        (homes.O, stored, True),
    ):
        moved = transfer_counts(home, amount, write=write)
        # The buffer's own accesses are in ``reads`` and ``writes`` already.
        moved.pop("buffer.read_bit", None)
        moved.pop("buffer.write_bit", None)
        merge(counts, moved)
    return counts


def _order(kept: str, sizes: Sequence[int], tiles: dict[str, int]) -> str:
    """Tile loops outermost first, those of one tile left out; the stationary operand named."""
    cut = {d for d, size in zip(TILED, sizes, strict=False) if tiles[d] < size}
    outer, inner = (" ".join(d for d in group if d in cut) for group in ORDERS[kept])
    loops = " | ".join(part for part in (outer, inner) if part)
    return f"{loops or 'one tile'} ({kept} stays)"


def _loop_nest(
    problem: Problem,
    found: Evaluation,
    tiles: dict[str, int],
    spatial: dict[str, int],
    dataflow: str,
    kept: str,
    totals: Any,
    rest: Any,
) -> tuple[str, ...]:
    homes, sizes = problem.homes, dict(zip(DIMS, problem.sizes, strict=True))
    w, i, spilled, stored, side = (float(v) for v in (*totals[2:5], rest[0], rest[1]))
    room = [float(v) for v in found.footprint]
    lines = [f"homes: W {homes.W}, I {homes.I}, O {homes.O}"]
    if problem.cores > 1:
        part = " ".join(f"{d}={n}" for d, n in sizes.items() if n > 1)
        lines.append(f"on each of {problem.cores} cores: {part}")
    lines.append(
        f"to and from homes: W {w:.0f} B, I {i:.0f} B, side {side:.0f} B, "
        f"O {stored:.0f} B stored, {spilled:.0f} B of partial sums loaded"
    )
    for row in (*ORDERS[kept][0], *ORDERS[kept][1]):
        count = -(-sizes[row] // tiles[row])
        if count > 1:
            inner = " (innermost group)" if row in ORDERS[kept][1] else ""
            lines.append(f"for {row} in {count} tiles of {tiles[row]}{inner}")
    lines.append(
        f"  buffer tile: W {room[0]:.0f} B, I {room[1]:.0f} B, O {room[2]:.0f} B, "
        f"side {room[3]:.0f} B of {problem.room:.0f} B"
    )
    if w:
        again = float(found.array[1]) / max(float(found.volumes[0]), 1.0)
        lines.append(
            f"  reuse in the buffer: W {again:.1f} "
            f"array loads per weight, {kept} stationary across tiles"
        )
    unit = "vector lanes" if problem.on_vector else "array"
    unrolled = " ".join(f"{d}:{f}" for d, f in spatial.items()) or "nothing"
    lines.append(f"  on the {unit} ({dataflow}): {unrolled} in parallel")
    lines.append(
        f"  to the array: W {float(found.array[1]) * problem.c[k.C_WB]:.0f} B, "
        f"I {float(found.array[2]) * problem.c[k.C_IB]:.0f} B; "
        f"{float(found.array[3]):.0f} accumulator updates, "
        f"{float(found.array[4]):.0f} partial sums through the buffer"
    )
    lines.append(f"  {float(found.array[0]):.0f} array cycles")
    return tuple(lines)
