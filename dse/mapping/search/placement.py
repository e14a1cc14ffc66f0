"""One mapping of a layer, and its cost by the same functions that the searches use."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.mapping.cost import costs as k
from dse.mapping.cost.levels_cost import HOLDS, group_counts, holds, moves, up_side
from dse.mapping.cost.records import ArraySide, Cost, Groups, Move, Operands, Tile
from dse.mapping.cost.register_rows import fill_passes
from dse.mapping.cost.tile_rows import fill_row, fill_rows
from dse.mapping.cost.units import E_TILES, ENTRY_FIELDS, fill_outer, side_of
from dse.mapping.search.evaluated import AT_COST, FIELDS, RECORDS, SIZES, evaluate_tiles
from dse.mapping.search.levels import HOLD_TABLES, kept_lines, room_taken
from dse.mapping.space.candidates import FloatArray, spatial_row
from dse.mapping.space.choices import fits_axes, input_rows
from dse.mapping.space.hierarchy import Outer, constants_by_mask
from dse.mapping.space.problem import Problem
from dse.registry import cached
from dse.workload.layer import DIMS


@dataclass(frozen=True, slots=True)
class Placement:
    """One mapping of a problem.

    Attributes:
        spatial: unrolling and filter tile (fields ``S_*``).
        tiles: buffer tile sizes of G, B, K, C, OY, OX.
        flow, order: codes, indices into ``flows.FLOWS`` and ``costs.CLASSES``.
        registers: sizes in a PE of all eight dims; None without registers.
        outer: L2 tiles; None if nothing is tiled there.
        hold: uneven cut (see ``levels_cost.HOLDS``); 0 for none.
    """

    spatial: FloatArray
    tiles: tuple[int, ...]
    flow: int
    order: int
    registers: FloatArray | None = None
    outer: Outer | None = None
    hold: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """All of it, to be compared."""
        registers = None if self.registers is None else self.registers.tobytes()
        where = (self.flow, self.order, self.hold, self.outer)
        return (self.tiles, *where, self.spatial.tobytes(), registers)


@dataclass(slots=True)
class Evaluation:
    """One mapping of a problem, evaluated: what the kernels know of it.

    ``rows`` are those of the buffer tiles (None without L2 tiles and registers);
    ``array``, ``tile``, ``footprint``, ``move`` and ``result`` are what the functions of
    those names (``side_of``, ``tile_side``, ``room_taken``, ``moves``, ``step_side``) return; ``c``
    the constants used, ``q`` what ``fill_passes`` says of the filter; ``above`` are bytes between
    the homes and L2: W, I and O loaded, O stored. ``single`` is the footprint of one copy of each
    tile, all that the last step needs.
    """

    c: Any
    rows: Any
    array: ArraySide
    tile: Tile
    inside: Groups
    outside: Groups
    footprint: Operands
    single: Operands
    move: Move
    q: Any
    above: tuple[float, float, float, float]
    result: Cost

    @property
    def latency_s(self) -> float:
        return float(self.result.latency_s)

    @property
    def energy_j(self) -> float:
        """Of one core, its share of static energy included."""
        return float(self.result.energy_j)

    @property
    def need(self) -> tuple[float, str, float]:
        """Bytes of the buffer that the tiles take, and the operand that takes most, with its."""
        names = ("W", "I", "O", "side input")
        sizes = {n: float(b) for n, b in zip(names, self.footprint, strict=True)}
        largest = max(sizes, key=lambda name: sizes[name])
        return sum(sizes.values()), largest, sizes[largest]

    @property
    def fits(self) -> bool:
        """Whether the tiles fit the buffer, the accumulators hold a step and the order is real."""
        fits = bool(k.fits(self.c, self.footprint))
        return fits and bool(self.array.usable) and bool(self.result.allowed)


def unrolled(problem: Problem, spatial: Mapping[Any, int], taps: tuple[int, int]) -> FloatArray:
    """The row of an unrolling (fields ``S_*``) with filter tiles of ``taps`` along FY and FX.

    Args:
        spatial: factors by dim, one where a dim is missing.

    Raises:
        UnmappableError: a factor beyond the layer's size (padded, if the array pads), or units
            that the axes do not offer so.
    """
    factors = tuple(int(spatial.get(d, 1)) for d in DIMS)
    align = (*(int(v) for v in problem.align), 1, 1)
    for dim, factor, length, grain in zip(DIMS, factors, problem.sizes, align, strict=True):
        size = -(-length // grain) * grain  # an array that pads a dim unrolls the padding, too
        if not 1 <= factor <= size:
            raise UnmappableError(
                f"layer {problem.layer.name}: {dim} cannot be unrolled {factor} times",
                layer=problem.layer.name,
                field=f"spatial.{dim}",
                mend=f"use 1 to {size}",
            )
    axes = problem.chip.array.axes
    if not (problem.on_vector or factors in problem.choices or _offered(problem, factors)):
        asked = " ".join(f"{d}={n}" for d, n in zip(DIMS, factors, strict=True) if n > 1)
        offered = "; ".join(f"{axis.size} of {'/'.join(axis.dims)}" for axis in axes)
        raise UnmappableError(
            f"layer {problem.layer.name}: {asked} needs {math.prod(factors)} units in a way the "
            f"array's axes do not offer ({offered})",
            layer=problem.layer.name,
            field="spatial",
            mend="unroll dims that the axes allow, each up to its size",
        )
    volumes = tuple(float(v) for v in problem.spatial[0][k.S_W : k.S_O + 1])
    return np.array(spatial_row(factors, taps, problem.sizes, align, volumes), np.float64)


def _offered(problem: Problem, factors: tuple[int, ...]) -> bool:
    """Whether the array's axes offer an unrolling."""
    array = problem.chip.array
    if array.row_inputs == "one":
        window = tuple(int(v) for v in problem.nest[2:])
        inputs = (a.size for a in array.axes if not {"K", "OX", "OY"} & set(a.dims))
        if input_rows(factors, window) > math.prod(inputs):
            return False
    return fits_axes(factors, array.axes)


#: Loops of each group, named by the operand that does not depend on them.
GROUPS = {"W": ("B", "OY", "OX"), "I": ("K",), "O": ("C", "FY", "FX")}


@cached(256)
def held_over(order: int, hold: int) -> Mapping[str, tuple[str, ...]]:
    """Operands held beyond their tile, and the loops that takes their room."""
    over, held = np.zeros((3, 3)), np.zeros(4)
    holds(order, hold, over, held)
    groups = tuple(GROUPS.values())
    return {
        name: tuple(d for g in range(3) if over[n, g] and g != n for d in groups[g])
        for n, name in enumerate(k.CLASSES)
        if held[n]
    }


def hold_code(order: int, held: Mapping[Any, Collection[Any]]) -> int:
    """The uneven cut that holds operands over the given loops.

    Raises:
        InputError: none does, with those of the order.
    """
    wanted = {name: set(loops) for name, loops in held.items()}
    known = [held_over(order, hold) for hold in range(HOLDS)]
    for hold, one in enumerate(known):
        if {name: set(loops) for name, loops in one.items()} == wanted:
            return hold
    ways = ("; ".join(f"{n} over {' '.join(d)}" for n, d in one.items()) for one in known[1:])
    asked = "; ".join(f"{name} over {' '.join(loops)}" for name, loops in held.items())
    raise InputError(
        f"no cut holds {asked} while {k.CLASSES[order]} stays",
        field="held",
        mend=f"use one of: {' | '.join(ways)}",
    )


def evaluate(problem: Problem, placed: Placement) -> Evaluation:
    """Cost of one mapping; its room is reported, not enforced."""
    if placed.outer is None and placed.registers is None:
        return _compiled(problem, placed)
    return _plain(problem, placed)


def _plain(problem: Problem, placed: Placement) -> Evaluation:
    """Any mapping, by the same functions, which mean the same on Python's own numbers."""
    outer = placed.outer
    c = problem.c if outer is None else constants_by_mask(problem, (outer.mask,))[outer.mask]
    s, flow, order, hold = placed.spatial, placed.flow, placed.order, placed.hold
    size = k.REGISTER_FIELDS
    rows: Any = np.ones((6, 1, size))
    one: Any = np.ones(size)
    one[k.R_RAG] = one[k.R_NRAG] = 0.0
    sizes = np.array(placed.tiles, np.float64).reshape(6, 1)
    each = np.ones(6, np.int64)
    nest, dims, align = problem.nest, problem.dims, problem.align
    fill_rows(rows, dims, sizes, each, align, s, nest)
    q = np.ones(3)
    if placed.registers is not None:
        fill_passes(rows, each, dims, align, s, placed.registers, nest, q)
    whole = rows[:, 0].copy()
    for d in range(6):
        if sizes[d, 0] != dims[d]:
            fill_row(whole[d], d, dims[d], dims, align, s, nest)
    full = problem.spatial[0]
    slides = rows[4:, :, k.R_SLIDE]
    above: Any = whole
    if outer is not None:
        entry = np.zeros(ENTRY_FIELDS)
        entry[E_TILES : E_TILES + 6] = outer.tiles
        rows0, slides = np.ones((6, 1, k.ROW_FIELDS)), np.ones((2, 1))
        fill_outer(rows0, slides, entry, sizes, each, dims, align, full, nest)
        above = tuple(rows0[d, 0] for d in range(6))
    # Python's own numbers are faster one by one than those of an array, and round the same.
    c, s, one, dims = c.tolist(), s.tolist(), one.tolist(), dims.tolist()
    g, b, ko, r, y, x = (rows[d, 0].tolist() for d in range(6))
    tile = k.tile_side(c, s[k.S_TAPS], g, b, ko, r, y, x)
    inside = group_counts(s, g, b, ko, r, y, x)
    outside = NO_L2_TILES if outer is None else group_counts(full, *above)
    deep, z = dims[0] * dims[1] * dims[3], s[k.S_O]
    up: Any = k.NOTHING
    real0: Any = True
    above_bytes = (0.0, 0.0, 0.0, 0.0)
    order0 = 0 if outer is None else outer.order
    if outer is not None:
        up, real0, total = up_side(c, order0, full, z, deep, *above, tile)
        w, i, loaded, stored = (float(v) for v in total)
        above_bytes = (w, i, loaded, stored)
    kept = kept_lines(s, nest, deep, y, x, slides[0, 0], slides[1, 0], whole)
    over, held = np.zeros((3, 3)), np.zeros(4)
    holds(order, hold, over, held)
    move, real = moves(order, order0, held, inside, outside, kept, s[k.S_W], z)
    array = side_of(c, flow, s, q if placed.registers is not None else None, one, g, b, ko, r, y, x)
    wide = array.partial
    room = single = room_taken(c, hold, wide, over, s, tile, inside, g, b, ko, r, y, x, whole)
    if c[k.C_DOUBLE] > 0.0:
        once = c.copy()
        once[k.C_DOUBLE] = 0.0
        single = room_taken(once, hold, wide, over, s, tile, inside, g, b, ko, r, y, x, whole)
    result = k.step_side(c, order, array, tile, move, up, real & real0)
    return Evaluation(
        c, rows, array, tile, inside, outside, room, single, move, q, above_bytes, result
    )


_ONES = np.ones(3)
#: Where nothing is tiled in L2.
NO_L2_TILES = Groups(1.0, 1.0, 1.0, 1.0)


def _compiled(problem: Problem, placed: Placement) -> Evaluation:
    """:func:`evaluate` without L2 tiles and registers."""
    out = np.empty(FIELDS)
    order, hold = placed.order, placed.hold
    over, held = HOLD_TABLES
    tiles = np.array(placed.tiles, np.float64).reshape(6, 1)
    evaluate_tiles(
        problem.c, placed.spatial, placed.flow, order, hold, problem.dims, tiles, problem.align,
        problem.nest, over[order, hold], held[order, hold], out,
    )  # fmt: skip
    flat = out.tolist()
    parts: list[Any] = []
    at = 0
    for record, size in zip(RECORDS, SIZES, strict=True):
        if record is not None:
            parts.append(record._make(flat[at : at + size]))
        at += size
    array, tile, inside, room, single, move, *rest = parts
    latency_s, energy_j, allowed = flat[AT_COST : AT_COST + 3]
    return Evaluation(
        c=problem.c,
        rows=None,
        array=array._replace(partial=array.partial > 0.0, usable=array.usable > 0.0),
        tile=tile,
        inside=inside,
        outside=NO_L2_TILES,
        footprint=room,
        single=single,
        move=move,
        q=_ONES,
        above=(0.0, 0.0, 0.0, 0.0),
        result=Cost(latency_s, energy_j, allowed > 0.0, *rest),
    )
