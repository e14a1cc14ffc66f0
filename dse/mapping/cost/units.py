"""Tables that the search over levels prepares: rows, and least cost of the array's side."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side, register_side, unblocked
from dse.mapping.cost.costs import (
    C_AB,
    C_F,
    C_IB,
    C_MACS,
    C_OB,
    C_P_ACC,
    C_P_IDLE,
    C_P_READ,
    C_P_WRITE,
    C_RATE,
    C_READ,
    C_UNITS,
    C_WB,
    C_WRITE,
    R_FIRST,
    R_HELD,
    R_HELD_SLIDE,
    R_NRAG,
    R_RAG,
    R_SEEN,
    R_SEEN_SLIDE,
    R_SHARES,
    REGISTER_FIELDS,
    ROW_FIELDS,
    S_I,
    S_O,
    S_W,
)
from dse.mapping.cost.flows import (
    IS,
    IS_BLOCKS,
    OS,
    OS_REGISTERS,
    UNBLOCKED,
    WS,
    WS_BLOCKS,
    WS_REGISTERS,
)
from dse.mapping.cost.levels_cost import inner_slide
from dse.mapping.cost.records import Bound
from dse.mapping.cost.register_rows import fill_passes
from dse.mapping.cost.tile_rows import fill_row, fill_rows
from dse.mapping.tools.compiling import larger, making, shared

#: Fields of an L2 entry: mask (1 W, 2 I, 4 O), whether its O is as wide as partial sums, the order
#: of its loops, seconds and joules that all transfers take at least, tile sizes of G B K C OY OX.
E_MASK, E_WIDE, E_ORDER, E_SECONDS, E_JOULES, E_TILES = range(6)
ENTRY_FIELDS = 11


@shared
def side_of(c: Any, flow: int, s: Any, q: Any, one: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:  # fmt: skip  # noqa: E501
    """``array_side``, or with registers (``q`` is not None) ``register_side``."""
    if q is None:
        return array_side(c, flow, s, one, g, b, k, r, y, x)
    return register_side(c, flow, s, q, g, b, k, r, y, x)


@making
def of_unit(table: Any, ui: int) -> Any:
    """The row of a unit, or None if there are no registers."""
    if table is None:
        return None
    return table[ui]


@shared
def side_cost(c: Any, arr: Any, z: Any) -> Any:
    """Seconds and joules of the array's side alone."""
    idle = larger(arr.cycles * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
    reads = arr.w_reads * c[C_WB] + arr.i_reads * c[C_IB] + arr.sums * c[C_AB]
    writes = arr.sums * c[C_AB] + z * c[C_OB]
    joules = (
        idle * c[C_P_IDLE]
        + arr.updates * c[C_P_ACC]
        + reads * c[C_P_READ]
        + writes * c[C_P_WRITE]
        + arr.joules
    )
    port = larger(reads / c[C_READ], writes / c[C_WRITE])
    seconds = larger(arr.cycles, port) / c[C_F]
    return Bound(seconds * (1.0 - 1e-9), joules * (1.0 - 1e-9))


@shared
def cut_joules(c: Any, flow: int, s: Any, inside: Any) -> Any:
    """Joules that cutting the layer into tiles adds to the array's side at least."""
    again = 0.0
    if flow == WS_BLOCKS or flow == WS or flow == WS_REGISTERS:
        again = s[S_W] * (inside.a - 1.0) * c[C_WB] * c[C_P_READ]
    elif flow == IS_BLOCKS or flow == IS:
        again = s[S_I] * (inside.k - 1.0) * c[C_IB] * c[C_P_READ]
    if flow == WS_BLOCKS or flow == OS or flow == IS_BLOCKS or flow == OS_REGISTERS:
        sums = s[S_O] * (inside.r - 1.0) * c[C_AB] * (c[C_P_READ] + c[C_P_WRITE])
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


@making
def outer_rows(
    entries: Any, tiles: Any, lengths: Any, sizes: Any, align: Any, s: Any, nest: Any
) -> Any:
    """:func:`fill_outer` of every entry."""
    count, longest = entries.shape[0], tiles.shape[1]
    rows0, slides = np.ones((count, 6, longest, ROW_FIELDS)), np.ones((count, 2, longest))
    for ei in range(count):
        fill_outer(rows0[ei], slides[ei], entries[ei], tiles, lengths, sizes, align, s, nest)
    return rows0, slides


@making
def perfect(whole: Any, sizes: Any, s: Any, u: Any, q: Any, nest: Any) -> Any:
    """Make rows of the whole layer say that PEs share every dim evenly; ``q`` likewise."""
    for d in range(6):
        whole[d, R_SHARES] = sizes[d] / u[d]
        whole[d, R_FIRST] = min(sizes[d], s[d] * u[d]) / u[d]
        whole[d, R_HELD] = whole[d, R_SEEN]
        whole[d, R_HELD_SLIDE] = whole[d, R_SEEN_SLIDE]
    shares = q.copy()
    shares[1] = nest[0] / u[6] * nest[1] / u[7]
    return shares


@making
def least_sides(
    c: Any, flows: Any, units: Any, registers: Any, q: Any, one: Any, sizes: Any, align: Any,
    nest: Any, low: Any,
) -> None:  # fmt: skip
    """Seconds and joules that the array's side of each (unit, flow) takes at least: ``low``.

    No cut into tiles makes it cheaper than one whole tile, but for blocks of accumulators (left
    out) and for how evenly PEs share a dim (taken as perfect).
    """
    full, each = np.ones((6, 1, one.shape[0])), np.ones(6, np.int64)
    column, whole = sizes.copy().reshape(6, 1), full[:, 0]
    for ui in range(units.shape[0]):
        s = units[ui]
        fill_rows(full, sizes, column, each, align, s, nest)
        shares = of_unit(q, ui)
        if registers is not None:
            fill_passes(full, each, sizes, align, s, registers[ui], nest, q[ui])
            shares = perfect(whole, sizes, s, registers[ui], q[ui], nest)
        for fi in range(flows.shape[0]):
            flow = flows[fi]
            code = UNBLOCKED[flow]
            arr = side_of(
                c, code, s, shares, one, whole[0], whole[1], whole[2], whole[3], whole[4], whole[5]
            )
            cost = side_cost(c, unblocked(flow, arr), s[S_O])
            low[ui, fi, 0], low[ui, fi, 1] = cost.seconds * (1.0 - 1e-9), cost.joules


@making
def prepare(
    c: Any, flows: Any, units: Any, registers: Any, sizes: Any, tiles: Any, lengths: Any,
    align: Any, nest: Any,
) -> Any:  # fmt: skip
    """Rows of every unit, dim and tile size; passes and shares of the filter of every unit (None
    without registers); least side of every (unit, flow); the row of a dim of size one."""
    count, fields = units.shape[0], ROW_FIELDS
    if registers is not None:
        fields = REGISTER_FIELDS
    rows = np.ones((count, 6, tiles.shape[1], fields))
    low = np.zeros((count, flows.shape[0], 2))
    one = np.ones(fields)
    one[R_RAG] = 0.0
    one[R_NRAG] = 0.0
    for ui in range(count):
        fill_rows(rows[ui], sizes, tiles, lengths, align, units[ui], nest)
    q = all_passes(rows, lengths, sizes, align, units, registers, nest)
    least_sides(c, flows, units, registers, q, one, sizes, align, nest, low)
    return rows, q, low, one


@making
def all_passes(
    rows: Any, lengths: Any, sizes: Any, align: Any, units: Any, registers: Any, nest: Any
) -> Any:
    """:func:`fill_passes` of every unit; None without registers."""
    if registers is None:
        return None
    q = np.ones((units.shape[0], 3))
    for ui in range(units.shape[0]):
        fill_passes(rows[ui], lengths, sizes, align, units[ui], registers[ui], nest, q[ui])
    return q
