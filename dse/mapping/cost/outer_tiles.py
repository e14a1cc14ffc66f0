"""Which L2 tiles are worth a look: their room and what they move, in closed form, for all at once.

Written once, as :mod:`dse.mapping.cost.costs`: compiled for one tile after another, or over arrays
of all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_AB,
    C_DOUBLE,
    C_ENDS,
    C_EXPOSED,
    C_HOME_I,
    C_HOME_O,
    C_HOME_S,
    C_HOME_W,
    C_IB,
    C_LINK,
    C_OB,
    C_P_I,
    C_P_O_STORE,
    C_P_READ,
    C_P_S,
    C_P_W,
    C_P_WRITE,
    C_SI,
    C_SIDE,
    C_SO,
    C_SW,
    C_UP_I,
    C_UP_O_LOAD,
    C_UP_O_STORE,
    C_UP_W,
    C_WB,
)
from dse.mapping.cost.units import (
    E_JOULES,
    E_MASK,
    E_ORDER,
    E_SECONDS,
    E_TILES,
    E_WIDE,
    ENTRY_FIELDS,
)
from dse.mapping.tools.compiling import Function, larger, loops, pick, shared
from dse.mapping.tools.stamp import stamped


@shared
def outer_bytes(c: Any, mask: int, wide: bool, taps: float, pads: Any, spans: Any, n: Any) -> Any:
    """Bytes of L2 that the tiles of a mask take, twice where the next one loads meanwhile.

    Args:
        wide: outputs in L2 are partial sums.
        taps: of the whole filter; pads: tile sizes of G, B, K, C, OY, OX, padded to the alignment.
        spans: input lines of a tile along y and x; n: number of tiles of each dim.
    """
    g, b, k, r, y, x = pads
    double, outs = c[C_DOUBLE], n[1] * n[4] * n[5]
    total = 0.0 * g
    if mask & 1:
        copies = 1.0 + double * (n[0] * n[2] * n[3] > 1.0)
        total = total + g * k * r * taps * (c[C_WB] * c[C_SW]) * copies
    if mask & 2:
        copies = 1.0 + double * (n[0] * outs * n[3] > 1.0)
        total = total + g * b * r * spans[0] * spans[1] * c[C_IB] * copies
    if mask & 4:
        width = pick(wide, max(c[C_AB], c[C_OB]), c[C_OB])
        copies = 1.0 + double * (n[0] * outs * n[2] > 1.0)
        total = total + g * b * k * y * x * width * copies
    return total


@shared
def outer_moves(
    c: Any, mask: int, order: int, whole: Any, outs: Any, k: Any, r: Any, lines: Any
) -> Any:
    """Whether an order is real, and least seconds and joules of all transfers of the layer.

    Args:
        whole: elements of W, of I and of O of the layer; elements of I per input line.
        outs, k, r: L2 tiles of B, OY and OX together, of K and of C.
        lines: input lines over all tiles with the halo kept, and with it fetched again.
    """
    w_times, i_times, visits = outs, k, r
    if order == 0:
        w_times = 0.0 * outs + 1.0
        real = (outs > 1.0) | (outs * k * r <= 1.0)
    elif order == 1:
        i_times = 0.0 * k + 1.0
        real = k > 1.0
    else:
        visits = 0.0 * r + 1.0
        real = r > 1.0
    deep = whole[3] * c[C_IB] * c[C_SI]
    # Every operand enters (leaves) the buffer at least once, from L2 or from its home.
    w = whole[0] * (c[C_WB] * c[C_SW]) * c[C_HOME_W]
    o, again = c[C_OB] * c[C_SO] * whole[2], c[C_AB] * c[C_SO] * whole[2]
    o, again = o * c[C_HOME_O], again * c[C_HOME_O]
    i = whole[1] * deep * c[C_HOME_I]
    side = c[C_SIDE] * whole[2] * c[C_HOME_S]
    joules = (
        w * (c[C_P_W] + c[C_P_WRITE])
        + i * (c[C_P_I] + c[C_P_WRITE])
        + o * (c[C_P_O_STORE] + c[C_P_READ])
        + side * (c[C_P_S] + c[C_P_WRITE])
    ) + 0.0 * outs
    w_more, i_more, o_more = 0.0 * outs, 0.0 * outs, 0.0 * outs
    if mask & 1:
        up = w * w_times
        joules = joules + up * c[C_UP_W]
        w_more = larger(up - w * (1.0 - c[C_EXPOSED]), 0.0)
    if mask & 2:
        up = deep * lines[order // 2] * i_times
        joules = joules + up * c[C_UP_I]
        i_more = up
    if mask & 4:
        up = (visits - 1.0) * again
        joules = joules + (up * (c[C_UP_O_LOAD] + c[C_UP_O_STORE]) + o * c[C_UP_O_STORE])
        o_more = o + 2.0 * up
    seconds = 0.0 * outs
    for link in range(3):
        at, ends = C_LINK + link, C_ENDS + link
        busy = w * c[C_EXPOSED] * c[at] + i * c[at + 3] + o * c[at + 6] + side * c[at + 9]
        busy = busy + w_more * (c[ends] - c[at])
        busy = busy + i_more * (c[ends + 3] - c[at + 3])
        busy = busy + o_more * (c[ends + 6] - c[at + 6])
        seconds = larger(seconds, busy)
    return real, seconds * (1.0 - 1e-9), joules * (1.0 - 1e-9)


@loops
def _fit(
    cs: Any, ways: Any, room: float, taps: float, pads: Any, spans: Any, counts: Any, shape: Any,
    fit: Any, top: Any,
) -> int:  # fmt: skip
    """Mark the cells that fit ``room`` in each way (mask, wide): all, and of them (``top``) those
    of which no dim may take its next larger size. Returns how many the latter are."""
    found = 0
    for way in range(ways.shape[0]):
        mask, wide, at = ways[way, 0], ways[way, 1] > 0, 0
        for jg in range(shape[0]):
            for jb in range(shape[1]):
                for jk in range(shape[2]):
                    for jr in range(shape[3]):
                        for jy in range(shape[4]):
                            for jx in range(shape[5]):
                                pad = (
                                    pads[0, jg], pads[1, jb], pads[2, jk],
                                    pads[3, jr], pads[4, jy], pads[5, jx],
                                )  # fmt: skip
                                n = (
                                    counts[0, jg], counts[1, jb], counts[2, jk],
                                    counts[3, jr], counts[4, jy], counts[5, jx],
                                )  # fmt: skip
                                lines = (spans[0, jy], spans[1, jx])
                                need = outer_bytes(cs[0], mask, wide, taps, pad, lines, n)
                                fit[way, at] = need <= room
                                largest, step = need <= room, 1
                                for j, size in (
                                    (jx, shape[5]), (jy, shape[4]), (jr, shape[3]),
                                    (jk, shape[2]), (jb, shape[1]), (jg, shape[0]),
                                ):  # fmt: skip
                                    if largest and j > 0 and fit[way, at - step]:
                                        largest = False
                                    step *= size
                                top[way, at] = largest
                                found += 1 if largest else 0
                                at += 1
    return found


@loops
def _fill(
    cs: Any, ways: Any, whole: Any, cells: Any, sizes: Any, shape: Any, top: Any, out: Any
) -> int:
    """Fill the entries (fields ``E_*``) of all cells marked ``top``, in each order that is real."""
    made = 0
    for way in range(ways.shape[0]):
        mask = ways[way, 0]
        elements = (whole[0], whole[1], whole[2], whole[3])
        for order in range(3):
            for at in range(top.shape[1]):
                if not top[way, at]:
                    continue
                lines = (cells[4, at], cells[3, at])
                real, seconds, joules = outer_moves(
                    cs[mask], mask, order, elements, cells[0, at], cells[1, at], cells[2, at], lines
                )
                if not real:
                    continue
                row, left = out[made], at
                for d in range(5, -1, -1):
                    row[E_TILES + d] = sizes[d, left % shape[d]]
                    left //= shape[d]
                row[E_MASK], row[E_WIDE], row[E_ORDER] = mask, ways[way, 1], order
                row[E_SECONDS], row[E_JOULES] = seconds, joules
                made += 1
    return made


def _function(version: int) -> Function:
    def find_entries(
        cs: Any, ways: Any, room: float, taps: float, whole: Any, sizes: Any, pads: Any,
        spans: Any, counts: Any, cells: Any, shape: Any,
    ) -> Any:  # fmt: skip
        """Entries of the largest L2 tiles that fit ``room`` (see ``hierarchy.entries``).

        Args:
            cs: constants by mask; ways: masks and whether partial sums are in L2.
            sizes, pads, spans, counts, cells, shape: of the grid of L2 tiles.
        """
        if version < 0:  # never: makes the version part of the cached function
            return np.empty((0, ENTRY_FIELDS))
        fit = np.empty((ways.shape[0], cells.shape[1]), np.bool_)
        top = np.empty(fit.shape, np.bool_)
        found = _fit(cs, ways, room, taps, pads, spans, counts, shape, fit, top)
        out = np.empty((3 * found, ENTRY_FIELDS))
        return out[: _fill(cs, ways, whole, cells, sizes, shape, top, out)]

    return find_entries


#: Types of the arguments of ``find_entries``.
SIGNATURE = (
    "f8[:, ::1], i8[:, ::1], f8, f8, f8[::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], "
    "f8[:, ::1], i8[::1]"
)
find_entries = stamped(_function)
