"""The search with a tiled L2, operand registers and uneven cuts."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_E0,
    C_F,
    C_HOME_I,
    C_HOME_O,
    C_HOME_W,
    C_IB,
    C_IN_O,
    C_LAT0,
    C_OB,
    C_ROOM,
    C_STATIC,
    C_VECTOR,
    C_WB,
    NOTHING,
    R_N,
    R_PAD,
    R_SPAN,
    R_SPANS,
    R_T,
    ROW_FIELDS,
    S_FX,
    S_FY,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    fits,
    footprint,
    keys,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import (
    HOLDS,
    fewest_jobs,
    group_counts,
    held_room,
    holds,
    moves,
    transfers,
    up_side,
)
from dse.mapping.cost.records import Bound, Groups, Kept, Tile
from dse.mapping.cost.tile_rows import fill_whole
from dse.mapping.cost.units import (
    E_JOULES,
    E_MASK,
    E_ORDER,
    E_SECONDS,
    E_TILES,
    E_WIDE,
    cut_joules,
    fill_outer,
    of_unit,
    prepare,
    side_cost,
    side_of,
)
from dse.mapping.search.prune import ends_s
from dse.mapping.tools.compiling import Function, larger, loops, shared, smaller
from dse.mapping.tools.stamp import stamped

#: What ``search_levels`` returns: entry, unit, tile indices of six dims, flow, order, hold.
F_ENTRY, F_UNIT, F_TILES, F_FLOW, F_ORDER, F_HOLD = 0, 1, 2, 8, 9, 10
FOUND = 11
#: A tile that takes one DMA descriptor per operand.
ONE_JOB = Tile(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


def hold_tables() -> tuple[Any, Any]:
    """:func:`holds` of every order and hold, as arrays."""
    over, held = np.zeros((3, HOLDS, 3, 3)), np.zeros((3, HOLDS, 4))
    for order in range(3):
        for hold in range(HOLDS):
            holds(order, hold, over[order, hold], held[order, hold])
    return over, held


#: Arguments ``over`` and ``held`` of the search.
HOLD_TABLES = hold_tables()


@shared
def within_entry(entry: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:
    """Whether buffer tiles fit in the L2 tile of an entry."""
    n = E_TILES
    outer = (g[R_T] <= entry[n]) & (b[R_T] <= entry[n + 1]) & (k[R_T] <= entry[n + 2])
    inner = (r[R_T] <= entry[n + 3]) & (y[R_T] <= entry[n + 4]) & (x[R_T] <= entry[n + 5])
    return outer & inner


@shared
def kept_lines(
    s: Any, nest: Any, deep: Any, y: Any, x: Any, y_slide: Any, x_slide: Any, whole: Any
) -> Any:
    """Input elements over all buffer tiles; ``whole``: rows of the uncut dims."""
    if s[S_FY] < nest[0]:
        y_slide = y[R_SPANS]
    if s[S_FX] < nest[1]:
        x_slide = x[R_SPANS]
    both = smaller(y_slide * x[R_SPANS], y[R_SPANS] * x_slide)
    every = whole[4, R_SPAN] * whole[5, R_SPAN]
    return Kept(deep * (y[R_SPANS] * x[R_SPANS]), deep * both, deep * every)


@shared
def bound_key(c: Any, objective: int, side: Any, ends: Any, links: Any) -> Any:
    """Key that no mapping with these parts beats: the array's ``side``, seconds of the first and
    last tile, and the ``links``."""
    busy = larger(side.seconds, c[C_VECTOR] / c[C_F] * (1.0 - 1e-9))
    seconds = c[C_LAT0] + larger(busy + ends, links.seconds)
    joules = c[C_E0] + side.joules + links.joules + c[C_STATIC] * seconds
    return keys(seconds, joules, objective)[0]


@shared
def fewest_bytes(c: Any, s: Any, rows: Any, g: int, b: int, k: int, r: int, y: int, x: int) -> Any:
    """Bytes of buffer that tiles take at least: one copy of each, nothing held or partial.

    ``rows`` are those of G, B, K, C, OY, OX; the rest says which of each.
    """
    deep, outs = rows[3, r, R_PAD], rows[2, k, R_PAD]
    w = outs * deep * s[S_TAPS] * c[C_WB] * c[C_HOME_W]
    i = rows[1, b, R_T] * deep * rows[4, y, R_SPAN] * rows[5, x, R_SPAN] * c[C_IB] * c[C_HOME_I]
    o = rows[1, b, R_T] * outs * rows[4, y, R_T] * rows[5, x, R_T] * c[C_OB] * c[C_HOME_O]
    return rows[0, g, R_PAD] * (w + i + o)


@shared
def room_taken(
    c: Any, hold: int, partial: Any, over: Any, s: Any, tile: Any, inside: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any, whole: Any,
) -> Any:  # fmt: skip
    """Bytes of buffer that the tiles of W, I, O and the side input take."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    if hold > 0:
        return held_room(c, partial, over, s[S_TAPS], inside, g, b, k, r, y, x, whole)
    n, a, outs, sums = inside
    return footprint(
        c, partial, tile.w_pad, tile.i_pad, tile.o_pad, n * outs * sums, n * a * sums, n * a * outs
    )


@loops
def _visit(
    cs: Any, objective: int, entries: Any, start: Any, hold_mask: int, order_mask: int,
    flows: Any, units: Any, groups: Any, sizes: Any, tiles: Any, lengths: Any, grid: Any,
    align: Any, nest: Any, over: Any, held: Any, rows: Any, q: Any, low: Any, one: Any,
    rows0: Any, slides: Any, ready: Any, whole: Any, keen: Any, by_flow: Any,
    best: Any, score: Any,
) -> None:  # fmt: skip
    """Fill ``best`` and ``score`` of the search: ``rows`` to ``one`` as :func:`prepare` made them,
    then arrays to work in."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    # In one piece: a bound in a loop needs what all loops around it know.
    best1, best2, margin = start[0], start[1], 1.0 + 1e-9
    deep, z, c = sizes[0] * sizes[1] * sizes[3], units[0, S_O], cs[0]
    most_room = c[C_ROOM] * (1.0 + 1e-12)
    floor_s, floor_j = np.inf, np.inf
    for ei in range(entries.shape[0]):
        floor_s = min(floor_s, entries[ei, E_SECONDS])
        floor_j = min(floor_j, entries[ei, E_JOULES])
    floor = Bound(floor_s, floor_j)
    for gi in range(groups.shape[0] - 1):
        u0, u1 = groups[gi], groups[gi + 1]
        s, base = units[u0], rows[u0]
        fill_whole(whole, sizes, align, s, nest)
        least_s, least_j = np.inf, np.inf
        for fi in range(flows.shape[0]):
            by_flow[fi] = np.inf
            for ui in range(u0, u1):
                least_s = min(least_s, low[ui, fi, 0])
                by_flow[fi] = min(by_flow[fi], low[ui, fi, 1])
            least_j = min(least_j, by_flow[fi])
        if bound_key(c, objective, Bound(least_s, least_j), 0.0, floor) > best1 * margin:
            continue
        for ti in range(grid.shape[0]):
            # Numbers one by one: taking rows costs more than this first bound.
            jg, jb, jk = grid[ti, 0], grid[ti, 1], grid[ti, 2]
            jr, jy, jx = grid[ti, 3], grid[ti, 4], grid[ti, 5]
            if fewest_bytes(c, s, base, jg, jb, jk, jr, jy, jx) > most_room:
                continue
            a = base[1, jb, R_N] * base[4, jy, R_N] * base[5, jx, R_N]
            inside = Groups(
                base[0, jg, R_N], a, base[2, jk, R_N], base[3, jr, R_N] * s[S_TAP_TILES]
            )
            jobs = fewest_jobs(c, ONE_JOB, inside)
            joules = by_flow[0] + cut_joules(c, flows[0], s, inside)
            for fi in range(1, flows.shape[0]):
                more = by_flow[fi] + cut_joules(c, flows[fi], s, inside)
                joules = min(joules, more)
            links = Bound(max(floor.seconds, jobs.seconds), floor.joules + jobs.joules)
            if bound_key(c, objective, Bound(least_s, joules), 0.0, links) > best1 * margin:
                continue
            at = grid[ti]
            g, b, k = base[0, at[0]], base[1, at[1]], base[2, at[2]]
            r, y, x = base[3, at[3]], base[4, at[4]], base[5, at[5]]
            tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
            jobs = fewest_jobs(c, tile, inside)
            links = Bound(max(floor.seconds, jobs.seconds), floor.joules + jobs.joules)
            if bound_key(c, objective, Bound(least_s, joules), 0.0, links) > best1 * margin:
                continue
            f = room_taken(c, 0, False, over[0, 0], s, tile, inside, g, b, k, r, y, x, whole)
            if not fits(c, f):
                continue
            for ui in range(u0, u1):
                hope = False
                for fi in range(flows.shape[0]):
                    joules = low[ui, fi, 1] + cut_joules(c, flows[fi], units[ui], inside)
                    least = Bound(low[ui, fi, 0], joules)
                    key = bound_key(c, objective, least, 0.0, links)
                    keen[fi] = not key > best1 * margin
                    hope = hope or keen[fi]
                if not hope:
                    continue
                t, unit, own_q = rows[ui], units[ui], of_unit(q, ui)
                gu, bu, ku = t[0, at[0]], t[1, at[1]], t[2, at[2]]
                ru, yu, xu = t[3, at[3]], t[4, at[4]], t[5, at[5]]
                for fi in range(flows.shape[0]):
                    if not keen[fi]:
                        continue
                    arr = side_of(c, flows[fi], unit, own_q, one, gu, bu, ku, ru, yu, xu)
                    side = side_cost(c, arr, z)
                    key = bound_key(c, objective, side, 0.0, links)
                    if key > best1 * margin or not arr.usable:
                        continue
                    for ei in range(entries.shape[0]):
                        entry, ce = entries[ei], cs[int(entries[ei, E_MASK])]
                        mask, order0 = int(entry[E_MASK]), int(entry[E_ORDER])
                        more = Bound(
                            max(entry[E_SECONDS], jobs.seconds), entry[E_JOULES] + jobs.joules
                        )
                        ends = ends_s(ce, tile)
                        key = bound_key(ce, objective, side, ends, more)
                        if key > best1 * margin or not within_entry(entry, g, b, k, r, y, x):
                            continue
                        if not ready[ei]:
                            fill_outer(
                                rows0[ei], slides[ei], entry, tiles, lengths, sizes, align,
                                units[0], nest,
                            )  # fmt: skip
                            ready[ei] = True
                        o = rows0[ei]
                        g0, b0, k0 = o[0, at[0]], o[1, at[1]], o[2, at[2]]
                        r0, y0, x0 = o[3, at[3]], o[4, at[4]], o[5, at[5]]
                        outside = group_counts(units[0], g0, b0, k0, r0, y0, x0)
                        up, real0 = NOTHING, True
                        if mask > 0:
                            up, real0, _ = up_side(
                                ce, order0, units[0], z, deep, g0, b0, k0, r0, y0, x0, tile
                            )
                        if not real0:
                            continue
                        kept = kept_lines(
                            s,
                            nest,
                            deep,
                            y,
                            x,
                            slides[ei, 0, at[4]],
                            slides[ei, 1, at[5]],
                            whole,
                        )
                        allowed = 1
                        if mask == 0:
                            allowed = hold_mask if s[S_TAP_TILES] == 1.0 else hold_mask & 1
                        for order in range(3):
                            for hold in range(HOLDS):
                                if not (allowed >> hold & 1 and order_mask >> order & 1):
                                    continue
                                move, real = moves(
                                    order,
                                    order0,
                                    held[order, hold],
                                    inside,
                                    outside,
                                    kept,
                                    s[S_W],
                                    z,
                                )
                                wide = move.visits > 1.0 and ce[C_IN_O] > 0.0
                                if not real or (wide and entry[E_WIDE] == 0.0):
                                    continue
                                most = transfers(ce, order, move, tile, up)
                                key = bound_key(ce, objective, side, ends, most)
                                if key > best1 * margin:
                                    continue
                                f = room_taken(
                                    ce, hold, arr.partial, over[order, hold], s, tile, inside,
                                    g, b, k, r, y, x, whole,
                                )  # fmt: skip
                                if not fits(ce, f):
                                    continue
                                out = step_side(ce, order, arr, tile, move, up, real)
                                if not out.allowed:
                                    continue
                                key1, key2 = keys(out.latency_s, out.energy_j, objective)
                                if key1 < best1 or (key1 == best1 and key2 < best2):
                                    best1, best2 = key1, key2
                                    best[F_ENTRY], best[F_UNIT], best[F_FLOW] = ei, ui, fi
                                    for d in range(6):
                                        best[F_TILES + d] = at[d]
                                    best[F_ORDER], best[F_HOLD] = order, hold
    score[0], score[1] = best1, best2


def _search_function(version: int) -> Function:
    """The search, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def search_levels(
        cs: Any, objective: int, entries: Any, start: Any, hold_mask: int, order_mask: int,
        flows: Any, units: Any, registers: Any, groups: Any, sizes: Any, tiles: Any,
        lengths: Any, grid: Any, align: Any, nest: Any, over: Any, held: Any, score: Any,
    ) -> Any:  # fmt: skip
        """Indices (:data:`FOUND`) of the best mapping better than ``start``, or -1.

        Args:
            cs: constants by mask; entries: L2 tiles (fields ``E_*``).
            start: keys to beat; hold_mask, order_mask: bits of the uneven cuts (without L2 tiles)
                and of the orders of buffer tiles that are allowed.
            units: unrollings (fields ``S_*``) with ``registers`` tiles, grouped by filter tile:
                ``groups[i]`` is the first unit of group i, the last one how many units there are.
            grid: tile indices of G B K C OY OX of every tiling; over, held: ``HOLD_TABLES``;
                ``score`` receives the keys.
        """
        # So many arguments: records of arrays would be counted by Numba in every call.
        best = np.full(FOUND, -1, np.int64)
        if version < 0:  # never: makes the version part of the cached function
            return best
        rows, q, low, one = prepare(
            cs[0], flows, units, registers, sizes, tiles, lengths, align, nest
        )
        count, longest, ways = entries.shape[0], tiles.shape[1], flows.shape[0]
        rows0, slides = np.empty((count, 6, longest, ROW_FIELDS)), np.empty((count, 2, longest))
        ready, whole = np.zeros(count, np.bool_), np.ones((6, ROW_FIELDS))
        keen, by_flow = np.ones(ways, np.bool_), np.zeros(ways)
        _visit(
            cs, objective, entries, start, hold_mask, order_mask, flows, units, groups, sizes,
            tiles, lengths, grid, align, nest, over, held, rows, q, low, one, rows0, slides, ready,
            whole, keen, by_flow, best, score,
        )  # fmt: skip
        return best

    return search_levels


#: Types of the arguments of ``search_levels``, of an array without registers.
SIGNATURE = (
    "f8[:, ::1], i8, f8[:, ::1], f8[::1], i8, i8, i8[::1], f8[:, ::1], none, i8[::1], f8[::1], "
    "f8[:, ::1], i8[::1], i8[:, ::1], f8[::1], f8[::1], f8[:, :, :, ::1], f8[:, :, ::1], f8[::1]"
)
search_levels = stamped(_search_function)
