"""The search over the two-level map space: one compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side, unblocked
from dse.mapping.cost.costs import (
    C_EXPOSED,
    C_HOME_W,
    C_MIN_LINK,
    C_MIN_LINK_E,
    C_SW,
    C_WB,
    R_N,
    R_NRAG,
    R_RAG,
    R_SLIDE,
    R_SPANS,
    R_T,
    ROW_FIELDS,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    class_side,
    fits,
    footprint,
    keys,
    link_s,
    tile_side,
)
from dse.mapping.cost.flows import UNBLOCKED
from dse.mapping.cost.records import Bound, Cuts, LeastSide, Volumes
from dse.mapping.cost.tile_rows import fill_rows, fill_whole, tile_counts, volumes
from dse.mapping.search import prune
from dse.mapping.tools.compiling import Function, loops
from dse.mapping.tools.stamp import stamped


@loops
def _visit(
    c: Any, objective: int, orders: int, flows: Any, spatial: Any, sizes: Any, tiles: Any,
    lengths: Any, align: Any, nest: Any, rows: Any, limits: Any, full: Any, worth: Any, best: Any,
    score: Any,
) -> None:  # fmt: skip
    """Fill ``best`` and ``score`` of the search; the arrays before them are room to work in."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    # In one piece: a bound in a loop needs what all loops around it know.
    one = rows[6, 0]
    one[R_RAG] = 0.0
    one[R_NRAG] = 0.0
    best1, best2 = np.inf, np.inf
    margin = 1.0 + 1e-9
    compulsory = Bound(c[C_MIN_LINK], c[C_MIN_LINK_E])
    wy, wx = full[4], full[5]
    deep = sizes[0] * sizes[1] * sizes[3]
    # First a few tilings, of the best unrolling and as large as fits, for an optimum to beat;
    # then all of them in order, of which the bounds leave few.
    for si in range(-1, spatial.shape[0]):
        first = si < 0
        s = spatial[max(si, 0)]
        fill_whole(full, sizes, align, s, nest)
        # No cut into tiles makes the array's side cheaper than one whole tile. That is not so
        # of blocks of accumulators, so they are left out of this bound.
        hope = False
        whole = (full[0], full[1], full[2], full[3], full[4], full[5])
        for fi in range(flows.shape[0]):
            flow = flows[fi]
            arr = unblocked(flow, array_side(c, UNBLOCKED[flow], s, one, *whole))
            low = prune.bound(c, arr, s[S_O], 0.0, compulsory)
            worth[fi] = not keys(low.seconds, low.joules, objective)[0] > best1 * margin
            hope = hope or worth[fi]
        if not hope:
            continue
        if si != 0:  # (those of the first unrolling are there)
            fill_rows(rows, sizes, tiles, lengths, align, s, nest)
            prune.fill_limits(rows, lengths, limits)
        most = prune.least_side(c, flows, worth, s, one, *whole)
        uncut = LeastSide(most.seconds, most.joules, 0.0)
        y0, x0 = rows[4, 0], rows[5, 0]
        whole_yx, whole_lines = y0[R_T] * x0[R_T], volumes(sizes, s, y0, x0)
        step, s_w, s_o = 2 if first else 1, s[S_W], s[S_O]
        for jg in range(0, lengths[0], step):
            g = rows[0, jg]
            for jb in range(0, lengths[1], step):
                b = rows[1, jb]
                for jk in range(0, lengths[2], step):
                    k = rows[2, jk]
                    for jr in range(0, lengths[3], step):
                        r = rows[3, jr]
                        as_whole, as_cut = prune.most_outputs(c, s, g, b, k, r)
                        if as_cut < 0.0:
                            continue
                        fewest, lines = b[R_N], whole_lines
                        if whole_yx > as_whole:
                            size = prune.size_class(as_cut)
                            fewest = b[R_N] * limits[size, prune.L_TILES]
                            if fewest == np.inf:
                                continue
                            again = deep * limits[size, prune.L_AGAIN]
                            kept = deep * limits[size, prune.L_KEPT]
                            lines = Volumes(s_w, again, s_o, kept)
                        inside = Cuts(g[R_N], b[R_N], k[R_N], r[R_N] * s[S_TAP_TILES])
                        links = prune.least_transfers(c, fewest, inside.k, inside.r, lines)
                        w_tile = g[R_T] * k[R_T] * r[R_T] * s[S_TAPS]
                        w_tile = w_tile * c[C_WB] * c[C_SW] * c[C_HOME_W]
                        ends = link_s(c, w_tile * c[C_EXPOSED], 0.0, 0.0, 0.0) * (1.0 - 1e-12)
                        low = prune.least_cost(c, uncut, links, inside, fewest, ends)
                        if keys(low.seconds, low.joules, objective)[0] > best1 * margin:
                            continue
                        side = prune.least_side(c, flows, worth, s, one, g, b, k, r, wy, wx)
                        low = prune.least_cost(c, side, links, inside, fewest, ends)
                        if keys(low.seconds, low.joules, objective)[0] > best1 * margin:
                            continue
                        for jy in range(lengths[4]):
                            y, jx0 = rows[4, jy], 0
                            cut = y[R_N] > 1.0
                            while jx0 < lengths[5]:  # the first that may fit
                                most = as_cut if cut or jx0 > 0 else as_whole
                                if y[R_T] * rows[5, jx0, R_T] <= most:
                                    break
                                jx0 += 1
                            if jx0 == lengths[5]:
                                continue
                            a = b[R_N] * y[R_N] * rows[5, jx0, R_N]
                            vol = volumes(sizes, s, y, x0)
                            links = prune.least_transfers(c, a, inside.k, inside.r, vol)
                            low = prune.least_cost(c, side, links, inside, a, ends)
                            if keys(low.seconds, low.joules, objective)[0] > best1 * margin:
                                continue
                            tried = False
                            y_spans, y_slide, a_rest = y[R_SPANS], y[R_SLIDE], b[R_N] * y[R_N]
                            for jx in range(jx0, lengths[5]):
                                # Numbers, no row: taking one costs as much as this bound.
                                x_spans = rows[5, jx, R_SPANS]
                                kept = min(y_slide * x_spans, y_spans * rows[5, jx, R_SLIDE])
                                again, kept = deep * (y_spans * x_spans), deep * kept
                                vol = Volumes(s_w, again, s_o, kept)
                                a = a_rest * rows[5, jx, R_N]
                                links = prune.least_transfers(c, a, inside.k, inside.r, vol)
                                x = rows[5, jx]
                                tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
                                tends = prune.ends_s(c, tile)
                                low = prune.least_cost(c, side, links, inside, a, tends)
                                if keys(low.seconds, low.joules, objective)[0] > best1 * margin:
                                    continue
                                n = tile_counts(s, g, b, k, r, y, x)
                                f = footprint(
                                    c, False, tile.w_pad, tile.i_pad, tile.o_pad, n.w, n.i, n.o
                                )
                                if not fits(c, f):
                                    continue
                                if first and tried:
                                    break
                                tried = True
                                alone, cuts = n.a * n.k * n.r <= 1.0, (n.a, n.k, n.r)
                                for fi in range(flows.shape[0]):
                                    if not worth[fi]:
                                        continue
                                    arr = array_side(c, flows[fi], s, one, g, b, k, r, y, x)
                                    low = prune.bound(c, arr, s[S_O], tends, links)
                                    key = keys(low.seconds, low.joules, objective)[0]
                                    if key > best1 * margin or not arr.usable:
                                        continue
                                    f = footprint(
                                        c, arr.partial, tile.w_pad, tile.i_pad, tile.o_pad,
                                        n.w, n.i, n.o,
                                    )  # fmt: skip
                                    if not fits(c, f):
                                        continue
                                    for order in range(3):
                                        allowed = orders >> order & 1
                                        if not (allowed and (cuts[order] > 1.0 or alone)):
                                            continue
                                        links0 = prune.transfers_of(c, order, n, vol)
                                        low = prune.bound(c, arr, s[S_O], tends, links0)
                                        key = keys(low.seconds, low.joules, objective)[0]
                                        if key > best1 * margin:
                                            continue
                                        out = class_side(c, order, arr, tile, n, vol)
                                        if not out.allowed:
                                            continue
                                        key1, key2 = keys(out.latency_s, out.energy_j, objective)
                                        same = key1 == best1
                                        less = key2 < best2 or (key2 == best2 and best[0] < 0)
                                        if key1 < best1 or (same and less):
                                            best1, best2 = key1, key2
                                            if first:
                                                continue
                                            best[0], best[1], best[2] = si, jg, jb
                                            best[3], best[4], best[5] = jk, jr, jy
                                            best[6], best[7], best[8] = jx, fi, order
    score[0], score[1] = best1, best2


def _search_function(version: int) -> Function:
    """The search, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def search(
        c: Any,
        objective: int,
        orders: int,
        flows: Any,
        spatial: Any,
        sizes: Any,
        tiles: Any,
        lengths: Any,
        align: Any,
        nest: Any,
        score: Any,
    ) -> Any:
        """Indices of the best mapping (spatial, tile of G B K C OY OX, dataflow, class), or -1.

        ``orders`` is a mask of the order classes allowed; ``score`` receives the keys.
        """
        best = np.full(9, -1, np.int64)
        if version < 0:  # never: makes the version part of the cached function
            return best
        rows, full = np.ones((7, tiles.shape[1], ROW_FIELDS)), np.ones((6, ROW_FIELDS))
        worth, limits = np.ones(flows.shape[0], np.bool_), np.empty((prune.CLASSES, 3))
        _visit(
            c, objective, orders, flows, spatial, sizes, tiles, lengths, align, nest, rows, limits,
            full, worth, best, score,
        )  # fmt: skip
        return best

    return search


#: Types of the arguments of ``search``.
SIGNATURE = (
    "f8[::1], i8, i8, i8[::1], f8[:, ::1], f8[::1], f8[:, ::1], i8[::1], f8[::1], f8[::1], f8[::1]"
)
search = stamped(_search_function)
