"""A mapping as a loop nest in words, outermost loop first."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dse.mapping.cost import costs as k
from dse.mapping.cost.flows import DATAFLOWS, STAYS
from dse.mapping.layer.traffic import Traffic
from dse.mapping.search.placement import Evaluation, Placement, evaluate, held_over
from dse.mapping.space.choices import TILED
from dse.mapping.space.problem import Problem
from dse.workload.layer import DIMS

#: Tile loops of each order class: those outside, then the innermost group.
ORDERS = {
    "W": (("G", "K", "C", "FY", "FX"), ("B", "OY", "OX")),
    "I": (("G", "B", "C", "OY", "OX", "FY", "FX"), ("K",)),
    "O": (("G", "B", "K", "OY", "OX"), ("C", "FY", "FX")),
}


class Lines(Sequence[str]):
    """Lines of text, written when they are first read; copied and filed as a tuple of them."""

    def __init__(self, write: Callable[[], tuple[str, ...]]) -> None:
        self._write = write

    @functools.cached_property
    def _lines(self) -> tuple[str, ...]:
        return self._write()

    def __getitem__(self, at: Any) -> Any:
        return self._lines[at]

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._lines == tuple(other)

    def __repr__(self) -> str:
        return repr(self._lines)

    def __reduce__(self) -> Any:
        return tuple, (self._lines,)


def loop_nest(problem: Problem, placed: Placement) -> tuple[str, ...]:
    """The mapping with per-level tiles, traffic and reuse, one line each."""
    found = evaluate(problem, placed)
    homes, sizes = problem.homes, dict(zip(DIMS, problem.sizes, strict=True))
    tiles = dict(zip(TILED, placed.tiles, strict=True))
    tiles |= {"FY": int(placed.spatial[k.S_FY]), "FX": int(placed.spatial[k.S_FX])}
    kept = k.CLASSES[placed.order]
    second = " (the second input, an activation)" if problem.layer.w_is_activation else ""
    side = f", side {homes.side}" if problem.layer.side_elements else ""
    lines = [f"homes: W {homes.W}{second}, I {homes.I}, O {homes.O}{side}"]
    if problem.cores > 1:
        lines.append(f"on each of {problem.cores} cores: {_sizes(sizes)}")
    if placed.outer is not None:
        outer = dict(zip(TILED, placed.outer.tiles, strict=True))
        up = Traffic(problem, placed, found).upper_bytes()
        lines.append(
            f"through L2: {', '.join(placed.outer.operands)}; to and from homes: "
            + ", ".join(f"{name} {amount:,.0f} B" for name, amount in up.items() if amount)
        )
        lines.extend(_loops(sizes, outer, k.CLASSES[placed.outer.order], "L2 tiles"))
        lines.append(f"  L2 tile {_sizes(outer)}")
        sizes |= outer
    inside = [_crossing(problem, found)]
    loops = _loops(sizes, tiles, kept, "tiles")
    inside.extend(loops)
    if loops:
        inside.append(f"  {kept} stays in the buffer while the innermost group of loops runs")
    inside.append(f"  buffer tile {_sizes(tiles)}: {_room(problem, found)}")
    for name, over in held_over(placed.order, placed.hold).items():
        inside.append(f"  {name} is held in the buffer beyond its tile, over {' '.join(over)}")
    inside.extend(f"  {line}" for line in _array(problem, placed, found, tiles))
    indent = "" if placed.outer is None else "  "
    lines.extend(indent + line for line in inside)
    return tuple(lines)


def _sizes(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{d}:{n}" for d, n in sizes.items() if n > 1) or "one of each dim"


def _crossing(problem: Problem, found: Evaluation) -> str:
    """Bytes between the buffer and the levels above it."""
    totals = found.result.totals
    amounts = {
        "W in": totals.w,
        "I in": totals.i,
        "side in": totals.side,
        "partial sums of O in": totals.spilled,
        "O out": totals.o,
    }
    moved = {name: float(amount) for name, amount in amounts.items()}
    named = ", ".join(f"{name} {amount:,.0f} B" for name, amount in moved.items() if amount)
    if named:
        return f"across the edge of the buffer: {named}"
    return "nothing crosses the edge of the buffer: all operands are in it"


def _room(problem: Problem, found: Evaluation) -> str:
    room = dict(zip(("W", "I", "O", "side"), (float(v) for v in found.footprint), strict=True))
    taken = " + ".join(f"{name} {amount:,.0f}" for name, amount in room.items() if amount)
    if not taken:
        return f"takes no room of its own of the {problem.room:,.0f} B left"
    twice = (
        ", two copies of what the next tile replaces" if problem.chip.buffer.double_buffered else ""
    )
    return f"{taken} = {sum(room.values()):,.0f} B of {problem.room:,.0f} B{twice}"


def _array(
    problem: Problem, placed: Placement, found: Evaluation, tiles: Mapping[str, int]
) -> list[str]:
    """What the array does with a tile, and what that moves."""
    unit = "vector lanes" if problem.on_vector else "array"
    factors = {d: int(f) for d, f in zip(DIMS, placed.spatial[:8], strict=True)}
    dataflow = DATAFLOWS[placed.flow]
    lines = [
        f"on the {unit} ({dataflow}: {STAYS[dataflow]}): {_sizes(factors)} in parallel, "
        f"{math.prod(factors.values())} units"
    ]
    if placed.registers is not None:
        asked = dict(zip(DIMS, (int(v) for v in placed.registers), strict=True))
        own = {d: min(n, -(-tiles[d] // factors[d])) for d, n in asked.items()}
        lines.append(f"in the registers of a PE: {_sizes(own)}")
    c = problem.c
    cycles, w, i, updates, sums = (float(v) for v in found.array[:5])
    stored = max(float(placed.spatial[k.S_W]), 1.0)
    lines.append(
        f"buffer to array: W {w * c[k.C_WB]:,.0f} B (each weight {w / stored:.3g} times), "
        f"I {i * c[k.C_IB]:,.0f} B"
    )
    if updates:
        lines.append(f"sums: {updates:,.0f} updates in the accumulators")
    if sums:
        lines.append(f"sums: {sums:,.0f} read from the buffer and as many written to it")
    lines.append(f"{cycles:,.0f} cycles of the {unit}")
    return lines


def _loops(sizes: Mapping[str, int], tiles: Mapping[str, int], kept: str, what: str) -> list[str]:
    out = []
    for dim in (*ORDERS[kept][0], *ORDERS[kept][1]):
        count = -(-sizes[dim] // tiles.get(dim, sizes[dim]))
        if count > 1:
            inner = " (innermost group)" if dim in ORDERS[kept][1] else ""
            out.append(f"for {dim} in {count} {what} of {tiles[dim]}{inner}")
    return out
