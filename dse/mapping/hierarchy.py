"""The candidates above and below the buffer: L2 tiles with what bypasses L2, and register tiles."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.hardware.chip import LINKS
from dse.mapping import costs as k
from dse.mapping.candidates import FloatArray
from dse.mapping.homes import Home, byte_price, has_link, price_of
from dse.mapping.kernel import fill_row
from dse.mapping.problem import Problem
from dse.mapping.remembered import Remembered
from dse.mapping.schedule import link_rates
from dse.mapping.space import Factors, tile_sizes
from dse.mapping.units import E_JOULES, E_MASK, E_ORDER, E_SECONDS, E_TILES, E_WIDE, ENTRY_FIELDS

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


@functools.lru_cache(maxsize=16384)
def outer_lists(sizes: Factors, best: Factors) -> tuple[tuple[int, ...], ...]:
    """Sizes of L2 tiles tried of G, B, K, C, OY, OX, descending."""
    return tuple(tile_sizes(sizes[d], best[d], OUTER_LIMITS[d]) for d in range(6))


def entries(problem: Problem, cs: FloatArray, masks: tuple[int, ...], room: float) -> FloatArray:
    """L2 tiles that fit ``room`` bytes and are maximal (no dim may take its next larger size).

    One row per mask, width of O, tile and order of the L2 loops, the most promising first.
    """
    lists = outer_lists(problem.sizes[:6], problem.choices[0])
    grid = _grid(problem, lists)
    rows: list[FloatArray] = []
    for mask in masks:
        for wide in (0, 1) if mask & 4 else (0,):
            fit = grid.room(problem.c, mask, bool(wide)) <= room
            at = np.flatnonzero(_maximal(fit))
            sizes = np.unravel_index(at, fit.shape)
            for order in range(3) if len(at) else ():
                real, seconds, joules = grid.transfers(cs[mask], mask, order, at)
                part = np.zeros((len(at), ENTRY_FIELDS))
                part[:, E_MASK], part[:, E_WIDE], part[:, E_ORDER] = mask, wide, order
                part[:, E_SECONDS], part[:, E_JOULES] = seconds, joules
                for d in range(6):
                    part[:, E_TILES + d] = np.array(lists[d])[sizes[d]]
                rows.append(part[real])
    found = np.concatenate(rows) if rows else np.zeros((0, ENTRY_FIELDS))
    rank = np.lexsort(
        (np.arange(len(found)), k.rounded(found[:, E_SECONDS]), k.rounded(found[:, E_JOULES]))
    )
    return np.ascontiguousarray(found[rank[:ENTRY_LIMIT]])


def outer_room(problem: Problem, outer: Outer, wide: bool) -> float:
    """Bytes that L2 tiles take; ``wide``: outputs in L2 are partial sums."""
    grid = _grid(problem, tuple((n,) for n in outer.tiles))
    return float(grid.room(problem.c, outer.mask, wide).reshape(-1)[0])


def _maximal(fit: Any) -> Any:
    """Cells that fit while no neighbour with one size larger does."""
    out = fit.copy()
    for d in range(fit.ndim):
        if fit.shape[d] > 1:
            larger = np.zeros_like(fit)
            here = [slice(None)] * fit.ndim
            there = [slice(None)] * fit.ndim
            here[d], there[d] = slice(1, None), slice(None, -1)
            larger[tuple(here)] = fit[tuple(there)]
            out &= ~larger
    return out


_grids = Remembered(4096)


def _grid(problem: Problem, lists: tuple[tuple[int, ...], ...]) -> _Grid:
    """All L2 tiles of a problem; those of its shape are remembered."""
    at = (problem.spatial[0].tobytes(), problem.align.tobytes(), problem.nest.tobytes())
    key = (problem.sizes, lists, *at)
    return _grids.of(key, lambda: _Grid(problem, lists))


class _Grid:
    """All L2 tiles of a shape at once: their room and what they move to and from the homes."""

    def __init__(self, problem: Problem, lists: tuple[tuple[int, ...], ...]) -> None:
        s = problem.spatial[0]
        self.sizes, self.shape = problem.sizes, tuple(len(v) for v in lists)
        self.tile: list[FloatArray] = []
        self.count: list[FloatArray] = []
        self.span: list[FloatArray] = []
        self.spans: list[FloatArray] = []
        self.kept: list[FloatArray] = []
        for d, values in enumerate(lists):
            t = np.array(values, np.float64)
            shape = [1] * 6
            shape[d] = len(values)
            n = np.ceil(problem.dims[d] / t)
            pad = np.ceil(t / problem.align[d]) * problem.align[d]
            self.tile.append(pad.reshape(shape))
            self.count.append(n.reshape(shape))
            if d >= 4:
                lines = np.array([_lines(problem, d, v) for v in values], np.float64)
                for store, column in zip((self.span, self.spans, self.kept), lines.T, strict=True):
                    store.append(column.reshape(shape))
        _, nb, nk, nc, ny, nx = self.count
        both = self.spans[0] * self.spans[1]
        kept = np.minimum(self.kept[0] * self.spans[1], self.spans[0] * self.kept[1])
        self.cells = [
            np.ascontiguousarray(np.broadcast_to(table, self.shape)).reshape(-1)
            for table in (nb * ny * nx, nk, nc, both, kept)
        ]
        self.whole = math.prod(_lines(problem, d, problem.sizes[d])[0] for d in (4, 5))
        self.taps = float(problem.sizes[6] * problem.sizes[7])
        self.w, self.z = s[k.S_W], float(s[k.S_O])

    def room(self, c: Any, mask: int, wide: bool) -> Any:
        """Bytes of L2 that the tiles of a mask take, twice where the next one loads meanwhile."""
        w_bytes, double = c[k.C_WB] * c[k.C_SW], c[k.C_DOUBLE]
        g, b, ko, ci, y, x = self.tile
        ng, nb, nk, nc, ny, nx = self.count
        na = nb * ny * nx
        total = np.zeros(self.shape)
        if mask & 1:
            copies = 1.0 + double * (ng * nk * nc > 1.0)
            total = total + g * ko * ci * self.taps * w_bytes * copies
        if mask & 2:
            copies = 1.0 + double * (ng * na * nc > 1.0)
            total = total + g * b * ci * self.span[0] * self.span[1] * c[k.C_IB] * copies
        if mask & 4:
            width = max(c[k.C_AB], c[k.C_OB]) if wide else c[k.C_OB]
            copies = 1.0 + double * (ng * na * nk > 1.0)
            total = total + g * b * ko * y * x * width * copies
        return total

    def transfers(self, c: Any, mask: int, order: int, at: Any) -> Any:
        """Whether an order is real at the cells ``at``, and least seconds and joules of all
        transfers of the layer with them."""
        na, nk, nc, both, kept = (table[at] for table in self.cells)
        times = [na, nk, nc]
        times[order] = np.ones(len(at))
        real = (na, nk, nc)[order] > 1.0
        if order == 0:
            real = real | (na * nk * nc <= 1.0)
        lines = both if order == 2 else kept
        sizes = self.sizes
        deep = float(sizes[0] * sizes[1] * sizes[3]) * c[k.C_IB] * c[k.C_SI]
        # Every operand enters (leaves) the buffer at least once, from L2 or from its home.
        w = self.w * (c[k.C_WB] * c[k.C_SW]) * c[k.C_HOME_W]
        o, again = c[k.C_OB] * c[k.C_SO] * self.z, c[k.C_AB] * c[k.C_SO] * self.z
        o, again = o * c[k.C_HOME_O], again * c[k.C_HOME_O]
        i = self.whole * deep * c[k.C_HOME_I]
        side = c[k.C_SIDE] * self.z * c[k.C_HOME_S]
        link = c[k.C_LINK : k.C_LINK + 12].reshape(4, 3)
        more = c[k.C_ENDS : k.C_ENDS + 12].reshape(4, 3) - link
        once = w * c[k.C_EXPOSED] * link[0] + i * link[1] + o * link[2] + side * link[3]
        seconds = np.tile(once, (len(at), 1))
        joules = np.full(
            len(at),
            w * (c[k.C_P_W] + c[k.C_P_WRITE])
            + i * (c[k.C_P_I] + c[k.C_P_WRITE])
            + o * (c[k.C_P_O_STORE] + c[k.C_P_READ])
            + side * (c[k.C_P_S] + c[k.C_P_WRITE]),
        )
        if mask & 1:
            up = w * times[0]
            joules += up * c[k.C_UP_W]
            seconds += np.maximum(up - w * (1.0 - c[k.C_EXPOSED]), 0.0)[:, None] * more[0]
        if mask & 2:
            up = deep * lines * times[1]
            joules += up * c[k.C_UP_I]
            seconds += up[:, None] * more[1]
        if mask & 4:
            up = (times[2] - 1.0) * again
            joules += up * (c[k.C_UP_O_LOAD] + c[k.C_UP_O_STORE]) + o * c[k.C_UP_O_STORE]
            seconds += (o + 2.0 * up)[:, None] * more[2]
        return real, seconds.max(axis=1) * (1.0 - 1e-9), joules * (1.0 - 1e-9)


def _lines(problem: Problem, d: int, t: int) -> tuple[float, float, float]:
    """Input lines of one tile of ``t``, of all tiles, and of all if lines are kept."""
    row = np.ones(k.ROW_FIELDS)
    fill_row(row, d, float(t), problem.dims, problem.align, problem.spatial[0], problem.nest)
    return float(row[k.R_SPAN]), float(row[k.R_SPANS]), float(row[k.R_SLIDE])
