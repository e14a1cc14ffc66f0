"""The candidates above and below the buffer: L2 tiles with what bypasses L2, and register tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.hardware.chip import LINKS
from dse.mapping.cost import costs as k
from dse.mapping.cost.outer_tiles import find_entries, outer_bytes
from dse.mapping.cost.tile_rows import fill_row
from dse.mapping.cost.units import (
    E_JOULES,
    E_SECONDS,
    E_TILES,
    ENTRY_FIELDS,
)
from dse.mapping.ir.homes import Home, byte_price, has_link, load_cycles, price_of
from dse.mapping.ir.schedule import link_rates
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.choices import Factors, tile_sizes
from dse.mapping.space.problem import Problem
from dse.registry import Remembered, cached

#: Most L2 tile sizes tried of G, B, K, C, OY, OX, and most L2 tiles (with mask and order) kept.
OUTER_LIMITS = (4, 3, 7, 7, 6, 6)
ENTRY_LIMIT = 96
#: Operands by bit of a mask.
OPERANDS = ("W", "I", "O")


@dataclass(frozen=True)
class Outer:
    """L2 tiles of a mapping: sizes of G, B, K, C, OY, OX; ``mask`` of the operands that pass
    through L2 (1 W, 2 I, 4 O); the operand that stays while the innermost L2 loops run."""

    tiles: tuple[int, ...]
    mask: int
    order: int

    @property
    def operands(self) -> tuple[str, ...]:
        return tuple(name for n, name in enumerate(OPERANDS) if self.mask >> n & 1)


def can_tile(problem: Problem) -> int:
    """Mask of the operands that may pass through L2: those with a home beyond it."""
    if not has_link(problem.chip, "l2"):
        return 0
    homes = problem.homes
    found = (homes.W in ("dram", "nvm"), homes.I == "dram", homes.O == "dram")
    return sum(1 << n for n, may in enumerate(found) if may)


def constants_by_mask(problem: Problem, masks: tuple[int, ...]) -> FloatArray:
    """Constants of the problem with the operands of each mask coming from L2 (row: mask)."""
    out = np.tile(problem.c, (8, 1))
    chip, cores = problem.chip, problem.cores
    rates = dict(zip(LINKS, link_rates(chip), strict=True))
    inward, outward = (8.0 * price_of(chip, f"l2.{side}_bit") for side in ("write", "read"))
    homes: tuple[Home, ...] = (problem.homes.W, problem.homes.I, problem.homes.O)
    for mask in masks:
        c = out[mask]
        for number, home in enumerate(homes):
            if not mask >> number & 1:
                continue
            first = k.C_LINK + 3 * number
            c[first : first + 3] = 0.0
            c[first + LINKS.index("l2")] = cores / rates["l2"]
            ends = k.C_ENDS + 3 * number
            c[ends : ends + 3] = 0.0
            # What passes to or from the home also passes L2's port once more.
            c[ends + LINKS.index("l2")] = 2.0 * cores / rates["l2"]
            c[ends + LINKS.index(home)] = cores / rates[home]
            c[(k.C_IN_W, k.C_IN_I, k.C_IN_O)[number]] = 1.0
            c[(k.C_LOAD_W, k.C_LOAD_I, k.C_LOAD_O)[number]] = load_cycles(chip, "l2")
            load = byte_price(chip, home, write=False) + inward
            if number == 0:
                c[k.C_P_W], c[k.C_UP_W] = byte_price(chip, "l2", write=False), load
            elif number == 1:
                c[k.C_P_I], c[k.C_UP_I] = byte_price(chip, "l2", write=False), load
            else:
                c[k.C_P_O_LOAD] = byte_price(chip, "l2", write=False)
                c[k.C_P_O_STORE] = byte_price(chip, "l2", write=True)
                c[k.C_UP_O_LOAD] = load
                c[k.C_UP_O_STORE] = byte_price(chip, home, write=True) + outward
    return out


def whole_entry(problem: Problem) -> FloatArray:
    """The entry of a problem without L2 tiles, as an array of one row."""
    entry = np.zeros(ENTRY_FIELDS)
    entry[E_TILES : E_TILES + 6] = problem.dims
    entry[E_SECONDS], entry[E_JOULES] = problem.least_cost
    return entry.reshape(1, -1)


@cached(16384)
def outer_lists(sizes: Factors, best: Factors) -> tuple[tuple[int, ...], ...]:
    """Sizes of L2 tiles tried of G, B, K, C, OY, OX, descending."""
    return tuple(tile_sizes(sizes[d], best[d], OUTER_LIMITS[d]) for d in range(6))


def entries(
    problem: Problem,
    cs: FloatArray,
    masks: tuple[int, ...],
    room: float,
) -> FloatArray:
    """L2 tiles that fit ``room`` bytes and are maximal (no dim may take its next larger size).

    One row per mask, width of O, tile and order of the L2 loops, the most promising first.
    """
    grid = _grid(problem, outer_lists(problem.sizes[:6], problem.choices[0]))
    ways = [(mask, wide) for mask in masks for wide in ((0, 1) if mask & 4 else (0,))]
    found = find_entries(
        cs, np.array(ways, np.int64), room, grid.taps, np.array(grid.whole), grid.sizes,
        grid.pads, grid.spans, grid.counts, grid.cells, np.array(grid.shape),
    )  # fmt: skip
    rank = np.lexsort((k.rounded(found[:, E_SECONDS]), k.rounded(found[:, E_JOULES])))
    return np.ascontiguousarray(found[rank[:ENTRY_LIMIT]])


def outer_room(problem: Problem, outer: Outer, wide: bool) -> float:
    """Bytes that L2 tiles take; ``wide``: outputs in L2 are partial sums."""
    grid = _grid(problem, tuple((n,) for n in outer.tiles))
    return float(grid.room(problem.c, outer.mask, wide).reshape(-1)[0])


_grids = Remembered("mapping.space.hierarchy.grids", 4096)


def _grid(problem: Problem, lists: tuple[tuple[int, ...], ...]) -> _Grid:
    """All L2 tiles of a problem; those of its shape are remembered."""
    at = (problem.spatial[0].tobytes(), problem.align.tobytes(), problem.nest.tobytes())
    key = (problem.sizes, lists, *at)
    return _grids.of(key, lambda: _Grid(problem, lists))


class _Grid:
    """All L2 tiles of a shape: sizes, padded sizes, input lines and numbers of tiles, by dim and
    candidate; and by cell (a choice for every dim) what :func:`outer_moves` needs."""

    def __init__(self, problem: Problem, lists: tuple[tuple[int, ...], ...]) -> None:
        self.shape = tuple(len(values) for values in lists)
        self.sizes, self.pads, self.counts = (np.ones((6, max(self.shape))) for _ in range(3))
        self.spans = np.ones((2, max(self.shape)))
        every, kept = np.ones((2, max(self.shape))), np.ones((2, max(self.shape)))
        for d, values in enumerate(lists):
            t = np.array(values, np.float64)
            self.sizes[d, : len(t)] = t
            self.pads[d, : len(t)] = np.ceil(t / problem.align[d]) * problem.align[d]
            self.counts[d, : len(t)] = np.ceil(problem.dims[d] / t)
            for j, value in enumerate(values) if d >= 4 else ():
                lines = _lines(problem, d, value)
                self.spans[d - 4, j], every[d - 4, j], kept[d - 4, j] = lines
        (_, nb, nk, nc, ny, nx), y, x = self.along(self.counts), self.shape[4], self.shape[5]
        ey, ex, ky, kx = every[0, :y, None], every[1, :x], kept[0, :y, None], kept[1, :x]
        tables = (nb * ny * nx, nk, nc, ey * ex, np.minimum(ky * ex, ey * kx))
        self.cells = np.array([np.broadcast_to(t, self.shape).reshape(-1) for t in tables])
        s, sizes = problem.spatial[0], problem.sizes
        self.taps = float(sizes[6] * sizes[7])
        lines_of = math.prod(_lines(problem, d, sizes[d])[0] for d in (4, 5))
        self.whole = (s[k.S_W], lines_of, s[k.S_O], float(sizes[0] * sizes[1] * sizes[3]))

    def along(self, table: FloatArray) -> tuple[FloatArray, ...]:
        """Rows of a table by dim and candidate, each along its own axis."""
        return tuple(
            table[d, :n].reshape([n if axis == d else 1 for axis in range(6)])
            for d, n in enumerate(self.shape)
        )

    def room(self, c: Any, mask: int, wide: bool) -> Any:
        """Bytes of L2 that the tiles of every cell take."""
        y, x = self.shape[4], self.shape[5]
        spans = (self.spans[0, :y, None], self.spans[1, :x])
        need = outer_bytes(
            c, mask, wide, self.taps, self.along(self.pads), spans, self.along(self.counts)
        )
        return np.broadcast_to(need, self.shape)


def _lines(problem: Problem, d: int, t: int) -> tuple[float, float, float]:
    """Input lines of one tile of ``t``, of all tiles, and of all if lines are kept."""
    row = np.ones(k.ROW_FIELDS)
    fill_row(row, d, float(t), problem.dims, problem.align, problem.spatial[0], problem.nest)
    return float(row[k.R_SPAN]), float(row[k.R_SPANS]), float(row[k.R_SLIDE])
