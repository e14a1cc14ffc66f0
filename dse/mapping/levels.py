"""The search with a tiled L2, operand registers and uneven cuts: compiled, and over arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping import arrays, costs, kernel, levels_cost, register_rows
from dse.mapping.arrays import array_side, register_side
from dse.mapping.compiling import Function, compiled, shared
from dse.mapping.costs import (
    C_AB,
    C_E0,
    C_F,
    C_IB,
    C_IN_O,
    C_LAT0,
    C_MACS,
    C_OB,
    C_P_ACC,
    C_P_IDLE,
    C_P_READ,
    C_P_WRITE,
    C_RATE,
    C_READ,
    C_STATIC,
    C_UNITS,
    C_WB,
    C_WRITE,
    NOTHING,
    R_FIRST,
    R_HELD,
    R_HELD_SLIDE,
    R_NRAG,
    R_RAG,
    R_SEEN,
    R_SEEN_SLIDE,
    R_SHARES,
    R_SPAN,
    R_SPANS,
    R_T,
    REGISTER_FIELDS,
    ROW_FIELDS,
    S_FX,
    S_FY,
    S_I,
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
from dse.mapping.kernel import ends_s, fill_row, fill_rows, version_of
from dse.mapping.levels_cost import (
    HOLDS,
    fewest_jobs,
    group_counts,
    held_room,
    holds,
    inner_slide,
    moves,
    transfers,
    up_side,
)
from dse.mapping.register_rows import fill_passes

#: Fields of an L2 entry: mask (1 W, 2 I, 4 O), whether its O is as wide as partial sums, the order
#: of its loops, seconds and joules that all transfers take at least, tile sizes of G B K C OY OX.
E_MASK, E_WIDE, E_ORDER, E_SECONDS, E_JOULES, E_TILES = range(6)
ENTRY_FIELDS = 11
#: What ``search_levels`` returns: entry, unit, tile indices of six dims, flow, order, hold.
FOUND = 11
#: A tile that takes one DMA descriptor per operand (fields of ``tile_side``).
ONE_JOB = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


@shared
def side_of(c: Any, flow: int, s: Any, q: Any, one: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:  # fmt: skip  # noqa: E501
    """``register_side`` or ``array_side``, as the dataflow asks."""
    if flow >= 5:
        return register_side(c, flow, s, q, g, b, k, r, y, x)
    return array_side(c, flow, s, one, g, b, k, r, y, x)


@shared
def side_cost(c: Any, arr: Any, z: Any) -> Any:
    """Seconds and joules of the array's side alone."""
    idle = np.maximum(arr[0] * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
    reads = arr[1] * c[C_WB] + arr[2] * c[C_IB] + arr[4] * c[C_AB]
    writes = arr[4] * c[C_AB] + z * c[C_OB]
    joules = (
        idle * c[C_P_IDLE]
        + arr[3] * c[C_P_ACC]
        + reads * c[C_P_READ]
        + writes * c[C_P_WRITE]
        + arr[7]
    )
    port = np.maximum(reads / c[C_READ], writes / c[C_WRITE])
    return np.maximum(arr[0], port) / c[C_F] * (1.0 - 1e-9), joules * (1.0 - 1e-9)


@shared
def cut_joules(c: Any, flow: int, s: Any, inside: Any) -> Any:
    """Joules that cutting the layer into tiles adds to the array's side at least."""
    again = 0.0
    if flow == 0 or flow == 3 or flow == 5:
        again = s[S_W] * (inside[1] - 1.0) * c[C_WB] * c[C_P_READ]
    elif flow == 2 or flow == 4:
        again = s[S_I] * (inside[2] - 1.0) * c[C_IB] * c[C_P_READ]
    if flow < 3 or flow == 6:
        sums = s[S_O] * (inside[3] - 1.0) * c[C_AB] * (c[C_P_READ] + c[C_P_WRITE])
        again = again + sums
    return again * (1.0 - 1e-9)


@shared
def fill_outer(
    rows0: Any, slides: Any, entry: Any, tiles: Any, lengths: Any, sizes: Any, align: Any,
    s: Any, nest: Any,
) -> None:  # fmt: skip
    """Rows of the L2 tiles of an entry for every buffer tile size: whole numbers of buffer tiles.

    ``slides[dim, j]``: input lines of all buffer tiles if they keep lines within an L2 tile.
    """
    for d in range(6):
        for j in range(lengths[d]):
            t, most = tiles[d, j], entry[E_TILES + d]
            outer = most if most >= sizes[d] else max(t, np.floor(most / t) * t)
            fill_row(rows0[d, j], d, outer, sizes, align, s, nest)
            if d >= 4:
                stride, dilation = nest[2 * d - 6], nest[2 * d - 5]
                slides[d - 4, j] = inner_slide(outer, t, sizes[d], nest[d - 4], stride, dilation)


@shared
def outer_rows(
    entries: Any, tiles: Any, lengths: Any, sizes: Any, align: Any, s: Any, nest: Any
) -> Any:
    """:func:`fill_outer` of every entry."""
    count, longest = entries.shape[0], tiles.shape[1]
    rows0, slides = np.ones((count, 6, longest, ROW_FIELDS)), np.ones((count, 2, longest))
    for ei in range(count):
        fill_outer(rows0[ei], slides[ei], entries[ei], tiles, lengths, sizes, align, s, nest)
    return rows0, slides


@shared
def least_sides(
    c: Any, flows: Any, units: Any, registers: Any, rows: Any, q: Any, one: Any, sizes: Any,
    nest: Any, low: Any,
) -> None:  # fmt: skip
    """Seconds and joules that the array's side of each (unit, flow) takes at least: ``low``.

    No cut into tiles makes it cheaper than one whole tile, but for blocks of accumulators (left
    out: codes 3, 4 for 0, 2) and for how evenly PEs share a dim (taken as perfect).
    """
    whole = np.ones((6, REGISTER_FIELDS))
    shares = np.ones(3)
    for ui in range(units.shape[0]):
        s, u = units[ui], registers[ui]
        for d in range(6):
            whole[d, :] = rows[ui, d, 0, :]
            whole[d, R_SHARES] = sizes[d] / u[d]
            whole[d, R_FIRST] = min(sizes[d], s[d] * u[d]) / u[d]
            whole[d, R_HELD] = whole[d, R_SEEN]
            whole[d, R_HELD_SLIDE] = whole[d, R_SEEN_SLIDE]
        shares[0], shares[2] = q[ui, 0], q[ui, 2]
        shares[1] = nest[0] / u[6] * nest[1] / u[7]
        for fi in range(flows.shape[0]):
            flow = flows[fi]
            free = flow == 0 or flow == 2
            code = 3 + flow // 2 if free else flow
            arr = side_of(
                c, code, s, shares, one, whole[0], whole[1], whole[2], whole[3], whole[4], whole[5]
            )
            sums = 0.0 if free else arr[4]
            updates = 0.0 if flow < 5 else arr[3]
            side = (arr[0], arr[1], arr[2], updates, sums, arr[5], arr[6], arr[7])
            cost = side_cost(c, side, s[S_O])
            low[ui, fi, 0], low[ui, fi, 1] = cost[0] * (1.0 - 1e-9), cost[1]


@shared
def prepare(
    c: Any, flows: Any, units: Any, registers: Any, sizes: Any, tiles: Any, lengths: Any,
    align: Any, nest: Any,
) -> Any:  # fmt: skip
    """Rows of every unit, dim and tile size; passes and shares of the filter of every unit; least
    side of every (unit, flow); the row of a dim of size one."""
    count = units.shape[0]
    rows = np.ones((count, 6, tiles.shape[1], REGISTER_FIELDS))
    q, low = np.ones((count, 3)), np.zeros((count, flows.shape[0], 2))
    one = np.ones(REGISTER_FIELDS)
    one[R_RAG] = 0.0
    one[R_NRAG] = 0.0
    for ui in range(count):
        fill_rows(rows[ui], sizes, tiles, lengths, align, units[ui], nest)
        if flows[0] >= 5:
            fill_passes(rows[ui], lengths, sizes, align, units[ui], registers[ui], nest, q[ui])
    least_sides(c, flows, units, registers, rows, q, one, sizes, nest, low)
    return rows, q, low, one


@shared
def hold_tables() -> Any:
    """:func:`holds` of every order and hold, as arrays."""
    over, held = np.zeros((3, HOLDS, 3, 3)), np.zeros((3, HOLDS, 4))
    for order in range(3):
        for hold in range(HOLDS):
            holds(order, hold, over[order, hold], held[order, hold])
    return over, held


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
    """Input elements over all buffer tiles: no lines kept from tile to tile, those that slide, all.

    ``whole``: rows of the uncut dims.
    """
    if s[S_FY] < nest[0]:
        y_slide = y[R_SPANS]
    if s[S_FX] < nest[1]:
        x_slide = x[R_SPANS]
    both = np.minimum(y_slide * x[R_SPANS], y[R_SPANS] * x_slide)
    every = whole[4, R_SPAN] * whole[5, R_SPAN]
    return deep * (y[R_SPANS] * x[R_SPANS]), deep * both, deep * every


@shared
def bound_key(c: Any, objective: int, side: Any, ends: Any, joules: Any, links: Any) -> Any:
    """Key that no mapping with these parts beats: seconds of array ``side`` and of first and last
    tile, ``joules`` of the array, least seconds and joules of the ``links``."""
    seconds = c[C_LAT0] + np.maximum(side + ends, links[0])
    return keys(seconds, c[C_E0] + joules + links[1] + c[C_STATIC] * seconds, objective)[0]


@shared
def room_taken(
    c: Any, hold: int, partial: Any, over: Any, s: Any, tile: Any, inside: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any, whole: Any,
) -> Any:  # fmt: skip
    """Bytes of buffer that the tiles of W, I, O and the side input take."""
    if hold > 0:
        return held_room(c, partial, over, s[S_TAPS], inside, g, b, k, r, y, x, whole)
    n = (
        inside[0] * inside[2] * inside[3],
        inside[0] * inside[1] * inside[3],
        inside[0] * inside[1] * inside[2],
    )
    return footprint(c, partial, tile[3], tile[4], tile[5], n)


def _search_function(version: int) -> Function:
    """The search, bound to the cost functions of ``version`` (see ``kernel``)."""

    def search_levels(
        cs: Any, objective: int, entries: Any, start: Any, hold_mask: int, order_mask: int,
        flows: Any, units: Any, registers: Any, groups: Any, sizes: Any, tiles: Any,
        lengths: Any, grid: Any, align: Any, nest: Any, score: Any,
    ) -> Any:  # fmt: skip
        """Indices (:data:`FOUND`) of the best mapping better than ``start``, or -1.

        Args:
            cs: constants by mask; entries: L2 tiles (fields ``E_*``).
            start: keys to beat; hold_mask, order_mask: bits of the uneven cuts (without L2 tiles)
                and of the orders of buffer tiles that are allowed.
            units: unrollings (fields ``S_*``) with ``registers`` tiles, grouped by filter tile:
                ``groups[i]`` is the first unit of group i, the last one how many units there are.
            grid: tile indices of G B K C OY OX of every tiling; ``score`` receives the keys.
        """
        best = np.full(FOUND, -1, np.int64)
        if version < 0:  # never: makes the version part of the cached function
            return best
        rows, q, low, one = prepare(
            cs[0], flows, units, registers, sizes, tiles, lengths, align, nest
        )
        rows0, slides = outer_rows(entries, tiles, lengths, sizes, align, units[0], nest)
        over, held = hold_tables()
        best1, best2, margin = start[0], start[1], 1.0 + 1e-9
        deep, z, c = sizes[0] * sizes[1] * sizes[3], units[0, S_O], cs[0]
        by_flow = np.zeros(flows.shape[0])
        floor = (entries[:, E_SECONDS].min(), entries[:, E_JOULES].min())
        for gi in range(groups.shape[0] - 1):
            u0, u1 = groups[gi], groups[gi + 1]
            s, base = units[u0], rows[u0]
            least_s, least_j = low[u0:u1, :, 0].min(), low[u0:u1, :, 1].min()
            for fi in range(flows.shape[0]):
                by_flow[fi] = low[u0:u1, fi, 1].min()
            if bound_key(c, objective, least_s, 0.0, least_j, floor) > best1 * margin:
                continue
            for ti in range(grid.shape[0]):
                at = grid[ti]
                g, b, k = base[0, at[0]], base[1, at[1]], base[2, at[2]]
                r, y, x = base[3, at[3]], base[4, at[4]], base[5, at[5]]
                inside = group_counts(s, g, b, k, r, y, x)
                jobs = fewest_jobs(c, ONE_JOB, inside)
                joules = by_flow[0] + cut_joules(c, flows[0], s, inside)
                for fi in range(1, flows.shape[0]):
                    more = by_flow[fi] + cut_joules(c, flows[fi], s, inside)
                    joules = min(joules, more)
                links = (max(floor[0], jobs[0]), floor[1] + jobs[1])
                if bound_key(c, objective, least_s, 0.0, joules, links) > best1 * margin:
                    continue
                tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
                jobs = fewest_jobs(c, tile, inside)
                links = (max(floor[0], jobs[0]), floor[1] + jobs[1])
                if bound_key(c, objective, least_s, 0.0, joules, links) > best1 * margin:
                    continue
                f = room_taken(
                    c, 0, False, over[0, 0], s, tile, inside, g, b, k, r, y, x, base[:, 0]
                )
                if not fits(c, f):
                    continue
                for ui in range(u0, u1):
                    t = rows[ui]
                    for fi in range(flows.shape[0]):
                        joules = low[ui, fi, 1] + cut_joules(c, flows[fi], units[ui], inside)
                        key = bound_key(c, objective, low[ui, fi, 0], 0.0, joules, links)
                        if key > best1 * margin:
                            continue
                        arr = side_of(
                            c, flows[fi], units[ui], q[ui], one, t[0, at[0]], t[1, at[1]],
                            t[2, at[2]], t[3, at[3]], t[4, at[4]], t[5, at[5]],
                        )  # fmt: skip
                        side = side_cost(c, arr, z)
                        key = bound_key(c, objective, side[0], 0.0, side[1], links)
                        if key > best1 * margin or not arr[6]:
                            continue
                        for ei in range(entries.shape[0]):
                            entry, ce = entries[ei], cs[int(entries[ei, E_MASK])]
                            mask, order0 = int(entry[E_MASK]), int(entry[E_ORDER])
                            more = (max(entry[E_SECONDS], jobs[0]), entry[E_JOULES] + jobs[1])
                            ends = ends_s(ce, tile)
                            key = bound_key(ce, objective, side[0], ends, side[1], more)
                            if key > best1 * margin or not within_entry(entry, g, b, k, r, y, x):
                                continue
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
                                base[:, 0],
                            )
                            vol = (s[S_W], kept[0], z)
                            allowed = 1
                            if mask == 0:
                                allowed = hold_mask if s[S_TAP_TILES] == 1.0 else hold_mask & 1
                            for order in range(3):
                                for hold in range(HOLDS):
                                    if not (allowed >> hold & 1 and order_mask >> order & 1):
                                        continue
                                    move, real = moves(
                                        order, order0, held[order, hold], inside, outside, kept, vol
                                    )
                                    wide = move[5] > 1.0 and ce[C_IN_O] > 0.0
                                    if not real or (wide and entry[E_WIDE] == 0.0):
                                        continue
                                    most = transfers(ce, order, move, tile, up)
                                    key = bound_key(ce, objective, side[0], ends, side[1], most)
                                    if key > best1 * margin:
                                        continue
                                    f = room_taken(
                                        ce, hold, arr[5], over[order, hold], s, tile, inside,
                                        g, b, k, r, y, x, base[:, 0],
                                    )  # fmt: skip
                                    if not fits(ce, f):
                                        continue
                                    out = step_side(ce, order, arr, tile, move, up, real)
                                    if not out[2]:
                                        continue
                                    key1, key2 = keys(out[0], out[1], objective)
                                    if key1 < best1 or (key1 == best1 and key2 < best2):
                                        best1, best2 = key1, key2
                                        best[0], best[1], best[8] = ei, ui, fi
                                        best[2:8] = at
                                        best[9], best[10] = order, hold
        score[0], score[1] = best1, best2
        return best

    return search_levels


search_levels = compiled(
    _search_function(version_of(costs, arrays, kernel, levels_cost, register_rows))
)
