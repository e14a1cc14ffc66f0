"""``kernel.search`` over arrays of all tiles at once, without pruning."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side
from dse.mapping.cost.costs import (
    R_NRAG,
    R_RAG,
    ROW_FIELDS,
    S_TAPS,
    class_side,
    fits,
    footprint,
    keys,
    tile_side,
)
from dse.mapping.cost.tile_rows import fill_rows, tile_counts, volumes


def search_numpy(
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
    """See ``kernel.search``."""
    grid = np.indices(tuple(int(n) for n in lengths)).reshape(6, -1)
    rows = np.ones((7, tiles.shape[1], ROW_FIELDS))
    one = rows[6, 0]
    one[R_RAG] = one[R_NRAG] = 0.0
    best = np.full(9, -1, np.int64)
    best_keys = (np.inf, np.inf)
    shape = (grid.shape[1], len(flows), 3)
    for si, s in enumerate(spatial):
        fill_rows(rows, sizes, tiles, lengths, align, s, nest)
        dims = [rows[d][grid[d]].T for d in range(6)]
        g, b, k, r, y, x = dims
        tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
        n = tile_counts(s, g, b, k, r, y, x)
        vol = volumes(sizes, s, y, x)
        key1, key2 = np.full(shape, np.inf), np.full(shape, np.inf)
        for fi, flow in enumerate(flows):
            arr = array_side(c, int(flow), s, one, g, b, k, r, y, x)
            f = footprint(c, arr.partial, tile.w_pad, tile.i_pad, tile.o_pad, n.w, n.i, n.o)
            room = fits(c, f) & arr.usable
            for order in (n for n in range(3) if orders >> n & 1):
                out = class_side(c, order, arr, tile, n, vol)
                first, second = keys(out.latency_s, out.energy_j, objective)
                ok = room & out.allowed
                key1[:, fi, order] = np.where(ok, first, np.inf)
                key2[:, fi, order] = np.where(ok, second, np.inf)
        low = key1.min()
        if not np.isfinite(low):
            continue
        second = np.where(key1 == low, key2, np.inf)
        where = int(second.argmin())
        found = (float(low), float(second.flat[where]))
        if found < best_keys:
            best_keys = found
            at, fi, order = (int(v) for v in np.unravel_index(where, shape))
            best[:] = (si, *grid[:, at], fi, order)
    score[:] = best_keys
    return best
