"""``front_of`` over arrays of tilings."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    NOTHING,
    ROW_FIELDS,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    fits,
    rounded,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import HOLDS, group_counts, moves
from dse.mapping.cost.tile_rows import fill_whole
from dse.mapping.cost.units import of_unit, outer_rows, prepare, side_of
from dse.mapping.search.levels import kept_lines, room_taken


def front_numpy(
    c: Any, entry: Any, flows: Any, units: Any, registers: Any, groups: Any, sizes: Any,
    tiles: Any, lengths: Any, grid: Any, align: Any, nest: Any, over: Any, held: Any,
) -> Any:  # fmt: skip
    """``front_of`` over arrays of tilings."""
    rows, q, _, one = prepare(c, flows, units, registers, sizes, tiles, lengths, align, nest)
    rows0, slides = outer_rows(entry, tiles, lengths, sizes, align, units[0], nest)
    deep, z = float(sizes[0] * sizes[1] * sizes[3]), units[0, S_O]
    points, places = [np.zeros((0, 3))], [np.zeros((0, 11), np.int64)]
    for gi in range(len(groups) - 1):
        s, base, whole = units[groups[gi]], rows[groups[gi]], np.ones((6, ROW_FIELDS))
        fill_whole(whole, sizes, align, s, nest)
        dims = [base[d, grid[:, d]].T for d in range(6)]
        tile, inside = tile_side(c, s[S_TAPS], *dims), group_counts(s, *dims)
        outside = group_counts(units[0], *(rows0[0, d, grid[:, d]].T for d in range(6)))
        lines = (slides[0, 0, grid[:, 4]], slides[0, 1, grid[:, 5]])
        kept = kept_lines(s, nest, deep, dims[4], dims[5], *lines, whole)
        for ui in range(groups[gi], groups[gi + 1]):
            for fi, flow in enumerate(flows):
                own = (rows[ui, d, grid[:, d]].T for d in range(6))
                arr = side_of(c, int(flow), units[ui], of_unit(q, ui), one, *own)
                for order in range(3):
                    for hold in range(HOLDS if s[S_TAP_TILES] == 1.0 else 1):
                        move, real = moves(
                            order, 0, held[order, hold], inside, outside, kept, s[S_W], z
                        )
                        f = room_taken(
                            c, hold, arr.partial, over[order, hold], s, tile, inside, *dims, whole
                        )
                        out = step_side(c, order, arr, tile, move, NOTHING, real)
                        room = rounded(f.w + f.i + f.o + f.side)
                        ok = np.broadcast_to(fits(c, f) & arr.usable & out.allowed, len(grid))
                        one_each = np.broadcast_arrays(
                            rounded(out.latency_s), rounded(out.energy_j), room
                        )
                        points.append(np.stack(one_each, axis=1)[ok])
                        at = np.zeros((int(ok.sum()), 11), np.int64)
                        at[:, 0], at[:, 1:7], at[:, 7] = ui, grid[ok], fi
                        at[:, 8], at[:, 9], at[:, 10] = order, hold, np.flatnonzero(ok)
                        places.append(at)
                    points, places = _thinned(points, places)
    return points[0], places[0][:, :10]


def _thinned(points: list[Any], places: list[Any]) -> tuple[list[Any], list[Any]]:
    """The front of what was collected, of equal points the first one."""
    value, place = np.concatenate(points), np.concatenate(places)
    ties = tuple(place[:, n] for n in (9, 8, 7, 0, 10))
    order = np.lexsort((*ties, value[:, 2], value[:, 1], value[:, 0]))
    kept: list[int] = []
    front = np.zeros((0, 3))
    for n in order:
        if not (front <= value[n]).all(axis=1).any():
            kept.append(int(n))
            front = np.vstack((front, value[n]))
    kept.sort()
    return [value[kept]], [place[kept]]
