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
from dse.mapping.cost.records import (
    ArraySide,
    Ends,
    Groups,
    Move,
    Operands,
    Parts,
    Tile,
    Totals,
)
from dse.mapping.cost.tile_rows import fill_rows, fill_whole
from dse.mapping.search.levels import kept_lines, room_taken
from dse.mapping.tools.compiling import Function
from dse.mapping.tools.stamp import stamped

#: Records that lie one after another in what the function fills: what the array does, a tile, tiles
#: by group, room, room of one copy, moves; then latency, energy and whether the order is allowed
#: (three numbers: None), and the parts of a step.
RECORDS = (
    ArraySide, Tile, Groups, Operands, Operands, Move,
    None, Parts, Operands, Operands, Ends, Totals,
)  # fmt: skip
SIZES = tuple(3 if record is None else len(record._fields) for record in RECORDS)
FIELDS = sum(SIZES)
(
    AT_ARRAY, AT_TILE, AT_INSIDE, AT_ROOM, AT_SINGLE, AT_MOVE,
    AT_COST, AT_PARTS, AT_BYTES1, AT_BYTES2, AT_ENDS, AT_TOTALS,
) = (sum(SIZES[:n]) for n in range(len(SIZES)))  # fmt: skip


def _function(version: int) -> Function:
    """The evaluation, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def evaluate_tiles(
        c: Any, s: Any, flow: int, order: int, hold: int, sizes: Any, tiles: Any, align: Any,
        nest: Any, over: Any, held: Any, out: Any,
    ) -> None:  # fmt: skip
        """Fill ``out`` (:data:`RECORDS`) for buffer ``tiles`` of G, B, K, C, OY, OX.

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
        whole_l2 = Groups(1.0, 1.0, 1.0, 1.0)
        move, real = moves(order, 0, held, inside, whole_l2, kept, s[S_W], z)
        arr = array_side(c, flow, s, one, g, b, k, r, y, x)
        room = room_taken(c, hold, arr.partial, over, s, tile, inside, g, b, k, r, y, x, whole)
        once = c.copy()
        once[C_DOUBLE] = 0.0
        single = room_taken(once, hold, arr.partial, over, s, tile, inside, g, b, k, r, y, x, whole)
        found = step_side(c, order, arr, tile, move, NOTHING, real)
        at = AT_ARRAY
        out[at], out[at + 1], out[at + 2] = arr.cycles, arr.w_reads, arr.i_reads
        out[at + 3], out[at + 4], out[at + 5] = arr.updates, arr.sums, arr.partial
        out[at + 6], out[at + 7], out[at + 8] = arr.usable, arr.joules, arr.switch
        out[at + 9], out[at + 10] = arr.loaded, arr.passing
        for n in range(10):
            out[AT_TILE + n] = tile[n]
        for n in range(4):
            out[AT_INSIDE + n], out[AT_ROOM + n], out[AT_SINGLE + n] = inside[n], room[n], single[n]
            out[AT_BYTES1 + n], out[AT_BYTES2 + n] = found.bytes1[n], found.bytes2[n]
            out[AT_ENDS + n] = found.ends[n]
        for n in range(9):
            out[AT_MOVE + n] = move[n]
        at = AT_COST
        out[at], out[at + 1], out[at + 2] = found.latency_s, found.energy_j, found.allowed
        for n in range(9):
            out[AT_PARTS + n] = found.parts[n]
        for n in range(11):
            out[AT_TOTALS + n] = found.totals[n]

    return evaluate_tiles


#: Types of the arguments of ``evaluate_tiles``.
SIGNATURE = (
    "f8[::1], f8[::1], i8, i8, i8, f8[::1], f8[:, ::1], f8[::1], f8[::1], f8[:, ::1], f8[::1], "
    "f8[::1]"
)
evaluate_tiles = stamped(_function)
