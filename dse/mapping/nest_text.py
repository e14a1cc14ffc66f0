"""A mapping as a loop nest in words, outermost loop first."""

from __future__ import annotations

from dse.mapping import costs as k
from dse.mapping.placement import Evaluation, Placement, held_over
from dse.mapping.problem import Problem
from dse.mapping.space import TILED
from dse.mapping.traffic import Traffic
from dse.workload.layer import DIMS

#: Tile loops of each order class: those outside, then the innermost group.
ORDERS = {
    "W": (("G", "K", "C", "FY", "FX"), ("B", "OY", "OX")),
    "I": (("G", "B", "C", "OY", "OX", "FY", "FX"), ("K",)),
    "O": (("G", "B", "K", "OY", "OX"), ("C", "FY", "FX")),
}


def loop_nest(
    problem: Problem, placed: Placement, found: Evaluation, traffic: Traffic
) -> tuple[str, ...]:
    """The mapping with per-level tiles, traffic and reuse, one line each."""
    homes, sizes = problem.homes, dict(zip(DIMS, problem.sizes, strict=True))
    totals, rest = found.result[7], found.result[8]
    w, i, spilled, stored, side = (float(v) for v in (*totals[2:5], rest[0], rest[1]))
    room = [float(v) for v in found.footprint]
    tiles = dict(zip(TILED, placed.tiles, strict=True))
    tiles |= {"FY": int(placed.spatial[k.S_FY]), "FX": int(placed.spatial[k.S_FX])}
    kept = k.CLASSES[placed.order]
    lines = [f"homes: W {homes.W}, I {homes.I}, O {homes.O}"]
    if problem.cores > 1:
        part = " ".join(f"{d}={n}" for d, n in sizes.items() if n > 1)
        lines.append(f"on each of {problem.cores} cores: {part}")
    if placed.outer is not None:
        outer = dict(zip(TILED, placed.outer.tiles, strict=True))
        up = traffic.upper_bytes()
        lines.append(
            f"through L2: {', '.join(placed.outer.operands)}; to and from homes: "
            + ", ".join(f"{name} {amount:.0f} B" for name, amount in up.items() if amount)
        )
        lines.extend(_loops(sizes, outer, k.CLASSES[placed.outer.order], "L2 tiles"))
        lines.append("  L2 tile: " + " ".join(f"{d}:{n}" for d, n in outer.items() if n > 1))
        sizes |= outer
    lines.append(
        f"to and from the buffer: W {w:.0f} B, I {i:.0f} B, side {side:.0f} B, "
        f"O {stored:.0f} B stored, {spilled:.0f} B of partial sums loaded"
    )
    lines.extend(_loops(sizes, tiles, kept, "tiles"))
    held = "; ".join(
        f"{name} over {' '.join(loops)}"
        for name, loops in held_over(placed.order, placed.hold).items()
    )
    lines.append(
        f"  buffer tile: W {room[0]:.0f} B, I {room[1]:.0f} B, O {room[2]:.0f} B, "
        f"side {room[3]:.0f} B of {problem.room:.0f} B"
        + (f"; held beyond it: {held}" if held else "")
    )
    if w:
        again = float(found.array[1]) / max(float(placed.spatial[k.S_W]), 1.0)
        lines.append(
            f"  reuse in the buffer: W {again:.1f} "
            f"array loads per weight, {kept} stationary across tiles"
        )
    unit = "vector lanes" if problem.on_vector else "array"
    factors = {d: int(f) for d, f in zip(DIMS, placed.spatial[:8], strict=True) if f > 1}
    unrolled = " ".join(f"{d}:{f}" for d, f in factors.items()) or "nothing"
    dataflow = k.DATAFLOWS[placed.flow]
    lines.append(f"  on the {unit} ({dataflow}): {unrolled} in parallel")
    if placed.registers is not None:
        own = " ".join(
            f"{d}:{int(v)}" for d, v in zip(DIMS, placed.registers, strict=True) if v > 1
        )
        lines.append(f"  in the registers of a PE: {own or 'one of each'}")
    lines.append(
        f"  to the array: W {float(found.array[1]) * problem.c[k.C_WB]:.0f} B, "
        f"I {float(found.array[2]) * problem.c[k.C_IB]:.0f} B; "
        f"{float(found.array[3]):.0f} accumulator updates, "
        f"{float(found.array[4]):.0f} partial sums through the buffer"
    )
    lines.append(f"  {float(found.array[0]):.0f} array cycles")
    return tuple(lines)


def _loops(sizes: dict[str, int], tiles: dict[str, int], kept: str, what: str) -> list[str]:
    out = []
    for dim in (*ORDERS[kept][0], *ORDERS[kept][1]):
        count = -(-sizes[dim] // tiles.get(dim, sizes[dim]))
        if count > 1:
            inner = " (innermost group)" if dim in ORDERS[kept][1] else ""
            out.append(f"for {dim} in {count} {what} of {tiles[dim]}{inner}")
    return out
