"""One mapping without L2 tiles and registers, evaluated in compiled code.

The same functions as in the searches, in the same order, so that the numbers are theirs to the last
bit; what it does not take, :func:`dse.mapping.search.placement.evaluate` does in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side
from dse.mapping.cost.costs import (
    C_DOUBLE,
    NOTHING,
    R_NRAG,
    R_RAG,
    R_SLIDE,
    ROW_FIELDS,
    S_O,
    S_TAPS,
    S_W,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import group_counts, moves
from dse.mapping.cost.tile_rows import fill_rows, fill_whole
from dse.mapping.search.levels import kept_lines, room_taken
from dse.mapping.tools.compiling import Function
from dse.mapping.tools.stamp import stamped

#: Where the parts lie in what the function fills: array side, tile, tiles by group, room, room of
#: one copy, moves; then latency, energy, whether the order is real, and the parts of a step.
PARTS = (8, 10, 4, 4, 4, 9, 3, 9, 4, 4, 4, 5, 6)
ENDS = tuple(int(n) for n in np.cumsum(PARTS))
FIELDS = ENDS[-1]


def _function(version: int) -> Function:
    """The evaluation, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def evaluate_tiles(
        c: Any, s: Any, flow: int, order: int, hold: int, sizes: Any, tiles: Any, align: Any,
        nest: Any, over: Any, held: Any, out: Any,
    ) -> None:  # fmt: skip
        """Fill ``out`` (parts :data:`PARTS`) for buffer ``tiles`` of G, B, K, C, OY, OX.

        Args:
            hold: the uneven cut, with its row of ``HOLD_TABLES`` as ``over`` and ``held``.
        """
        if version < 0:  # never: makes the version part of the cached function
            return
        rows, one = np.ones((6, 1, ROW_FIELDS)), np.ones(ROW_FIELDS)
        one[R_RAG] = one[R_NRAG] = 0.0
        fill_rows(rows, sizes, tiles, np.ones(6, np.int64), align, s, nest)
        whole = np.ones((6, ROW_FIELDS))
        fill_whole(whole, sizes, align, s, nest)
        g, b, k, r, y, x = rows[0, 0], rows[1, 0], rows[2, 0], rows[3, 0], rows[4, 0], rows[5, 0]
        tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
        inside = group_counts(s, g, b, k, r, y, x)
        deep, z = sizes[0] * sizes[1] * sizes[3], s[S_O]
        kept = kept_lines(s, nest, deep, y, x, y[R_SLIDE], x[R_SLIDE], whole)
        vol = (s[S_W], kept[0], z)
        move, real = moves(order, 0, held, inside, (1.0, 1.0, 1.0, 1.0), kept, vol)
        arr = array_side(c, flow, s, one, g, b, k, r, y, x)
        room = room_taken(c, hold, arr[5], over, s, tile, inside, g, b, k, r, y, x, whole)
        once = c.copy()
        once[C_DOUBLE] = 0.0
        single = room_taken(once, hold, arr[5], over, s, tile, inside, g, b, k, r, y, x, whole)
        found = step_side(c, order, arr, tile, move, NOTHING, real)
        for n in range(4):
            out[18 + n], out[22 + n], out[26 + n] = inside[n], room[n], single[n]
            out[51 + n], out[55 + n], out[59 + n] = found[4][n], found[5][n], found[6][n]
        out[0], out[1], out[2], out[3], out[4] = arr[0], arr[1], arr[2], arr[3], arr[4]
        out[5], out[6], out[7] = arr[5], arr[6], arr[7]
        for n in range(10):
            out[8 + n] = tile[n]
        for n in range(9):
            out[30 + n] = move[n]
        out[39], out[40], out[41] = found[0], found[1], found[2]
        for n in range(9):
            out[42 + n] = found[3][n]
        for n in range(5):
            out[63 + n] = found[7][n]
        for n in range(6):
            out[68 + n] = found[8][n]

    return evaluate_tiles


#: Types of the arguments of ``evaluate_tiles``.
SIGNATURE = (
    "f8[::1], f8[::1], i8, i8, i8, f8[::1], f8[:, ::1], f8[::1], f8[::1], f8[:, ::1], f8[::1], "
    "f8[::1]"
)
evaluate_tiles = stamped(_function)
