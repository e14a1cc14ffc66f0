"""Bounds on many tilings at once, with which the search leaves most of them unvisited.

For given tiles of G, B, K and C the room says how many outputs a tile may have along OY and OX;
that gives the fewest tiles and the fewest input elements of all tilings left, and so a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side, unblocked
from dse.mapping.cost.costs import (
    C_AB,
    C_DESC,
    C_DOUBLE,
    C_E0,
    C_EXPOSED,
    C_F,
    C_HOME_I,
    C_HOME_O,
    C_HOME_S,
    C_HOME_W,
    C_IB,
    C_LAT0,
    C_MACS,
    C_OB,
    C_P_ACC,
    C_P_DESC,
    C_P_I,
    C_P_IDLE,
    C_P_O_LOAD,
    C_P_O_STORE,
    C_P_READ,
    C_P_S,
    C_P_W,
    C_P_WRITE,
    C_RATE,
    C_READ,
    C_ROOM,
    C_SI,
    C_SIDE,
    C_SO,
    C_STATIC,
    C_SW,
    C_UNITS,
    C_VECTOR,
    C_WB,
    C_WRITE,
    R_N,
    R_PAD,
    R_SLIDE,
    R_SPANS,
    R_T,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    link_s,
)
from dse.mapping.cost.flows import UNBLOCKED, WS, WS_BLOCKS
from dse.mapping.cost.records import Bound, LeastSide
from dse.mapping.tools.compiling import shared

#: Classes of output tiles along OY and OX, four for each doubling of their size.
CLASSES = 128
#: Fields of a class: fewest tiles, and input elements with halo fetched again and kept, of all cut
#: tiles of its size or smaller.
L_TILES, L_AGAIN, L_KEPT = range(3)


@shared
def size_class(outputs: float) -> int:
    """Class of a tile of ``outputs``."""
    return min(int(4.0 * np.log2(max(outputs, 1.0)) + 1e-6), CLASSES - 1)


@shared
def fill_limits(rows: Any, lengths: Any, limits: Any) -> None:
    """Fill ``limits[class, field]`` (fields ``L_*``) from the rows of OY and OX."""
    for n in range(CLASSES):
        limits[n, L_TILES] = limits[n, L_AGAIN] = limits[n, L_KEPT] = np.inf
    for jy in range(lengths[4]):
        y = rows[4, jy]
        for jx in range(lengths[5]):
            x = rows[5, jx]
            if y[R_N] * x[R_N] > 1.0:
                own = limits[size_class(y[R_T] * x[R_T])]
                kept = min(y[R_SLIDE] * x[R_SPANS], y[R_SPANS] * x[R_SLIDE])
                own[L_TILES] = min(own[L_TILES], y[R_N] * x[R_N])
                own[L_AGAIN] = min(own[L_AGAIN], y[R_SPANS] * x[R_SPANS])
                own[L_KEPT] = min(own[L_KEPT], kept)
    for n in range(1, CLASSES):
        for field in range(3):
            limits[n, field] = min(limits[n, field], limits[n - 1, field])


@shared
def most_outputs(c: Any, s: Any, g: Any, b: Any, k: Any, r: Any) -> tuple[float, float]:
    """Most outputs along OY and OX of a tile that is all of them, and of one that is not.

    A bound: an input tile has at least as many elements a channel as the tile has outputs; room
    for partial sums and for side input, and whole banks, are left out. Negative: no tile fits;
    infinite: inputs and outputs take no room, they live in the buffer.
    """
    twice = c[C_DOUBLE]
    sums = r[R_N] * s[S_TAP_TILES]
    w = g[R_PAD] * k[R_PAD] * r[R_PAD] * s[S_TAPS]
    w = w * c[C_WB] * max(1.0, c[C_SW]) * c[C_HOME_W]
    w = w * (1.0 + twice * (g[R_N] * k[R_N] * sums > 1.0))
    left = c[C_ROOM] * (1.0 + 1e-12) - w
    i = g[R_PAD] * r[R_PAD] * b[R_T] * c[C_IB] * c[C_HOME_I]
    o = g[R_PAD] * k[R_PAD] * b[R_T] * c[C_OB] * c[C_HOME_O]
    whole = i * (1.0 + twice * (g[R_N] * b[R_N] * sums > 1.0))
    whole = whole + o * (1.0 + twice * (g[R_N] * b[R_N] * k[R_N] > 1.0))
    cut = (i + o) * (1.0 + twice)
    if left < 0.0:
        return -1.0, -1.0
    if cut <= 0.0:
        return np.inf, np.inf
    return left / whole, left / cut


@shared
def least_side(
    c: Any, flows: Any, worth: Any, s: Any, one: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any,
) -> Any:  # fmt: skip
    """Least seconds and joules of the array's side for tiles of G, B, K, C, with OY and OX uncut
    (``y``, ``x``); and joules that each tile of OY and OX beyond the first adds at least, over
    all tiles of B.

    As no cut makes the array's side cheaper, this bounds all cuts of OY and OX. Blocks of
    accumulators are left out; so are dataflows not ``worth`` a look.
    """
    seconds, joules, again = np.inf, np.inf, np.inf
    for fi in range(flows.shape[0]):
        if worth[fi]:
            flow = flows[fi]
            full = array_side(c, UNBLOCKED[flow], s, one, g, b, k, r, y, x)
            arr = unblocked(flow, full)
            idle = max(arr.cycles * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
            reads = arr.w_reads * c[C_WB] + arr.i_reads * c[C_IB] + arr.sums * c[C_AB]
            writes = arr.sums * c[C_AB] + s[S_O] * c[C_OB]
            cycles = max(arr.cycles, max(reads / c[C_READ], writes / c[C_WRITE]))
            seconds = min(seconds, max(cycles, c[C_VECTOR]) / c[C_F])
            energy = idle * c[C_P_IDLE] + reads * c[C_P_READ] + writes * c[C_P_WRITE] + arr.joules
            joules = min(joules, energy)
            if flow == WS_BLOCKS or flow == WS:
                again = min(again, s[S_W] * b[R_N] * c[C_WB] * c[C_P_READ])
            else:
                again = 0.0
    return LeastSide(seconds * (1.0 - 1e-9), joules * (1.0 - 1e-9), again * (1.0 - 1e-9))


@shared
def least_cost(c: Any, side: Any, links: Any, inside: Any, tiles: Any, ends: Any) -> Any:
    """Seconds and joules that no mapping with these parts beats.

    Args:
        side: of :func:`least_side`; links: :class:`Bound` of all transfers.
        inside: :class:`Cuts`; tiles: of B, OY and OX together.
    """
    g, b, k, r = inside
    jobs = g * (k * r * c[C_HOME_W] + tiles * (r * c[C_HOME_I] + k * c[C_HOME_O]))
    shown = max(jobs - 3.0, 0.0) * c[C_DESC] / c[C_F] * (1.0 - 1e-9)
    seconds = c[C_LAT0] + max(side.seconds + ends, max(links.seconds, shown))
    joules = c[C_E0] + side.joules + (tiles / b - 1.0) * side.again
    joules = joules + links.joules + jobs * c[C_P_DESC] * (1.0 - 1e-9)
    return Bound(seconds, joules + c[C_STATIC] * seconds)


@shared
def bound(c: Any, arr: Any, z: float, ends: float, links: Any) -> Bound:
    """Latency and energy that no order class can beat.

    ``ends`` is time of fill and drain, ``links`` least time and energy of all transfers.
    """
    latency = c[C_LAT0] + max(arr.cycles / c[C_F] + ends, links.seconds)
    idle = max(arr.cycles * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
    reads = arr.w_reads * c[C_WB] + arr.i_reads * c[C_IB] + arr.sums * c[C_AB]
    writes = arr.sums * c[C_AB] + z * c[C_OB]
    energy = (
        c[C_E0]
        + links.joules
        + idle * c[C_P_IDLE]
        + arr.updates * c[C_P_ACC]
        + reads * c[C_P_READ]
        + writes * c[C_P_WRITE]
        + c[C_STATIC] * latency
    )
    return Bound(latency, energy)


@shared
def transfers_of(c: Any, order: int, n: Any, vol: Any) -> Bound:
    """Least time, s, and energy, J, of all transfers of a tiling in an order class."""
    wb, ib = c[C_WB] * c[C_SW] * c[C_HOME_W] * vol.w, c[C_IB] * c[C_SI] * c[C_HOME_I] * vol.i_kept
    ob, side = c[C_OB] * c[C_SO] * vol.o * c[C_HOME_O], c[C_SIDE] * vol.o * c[C_HOME_S]
    hidden = wb * (1.0 - c[C_EXPOSED])  # at most that much was loaded before the layer
    store, again = c[C_P_O_STORE] + c[C_P_READ], 0.0
    if order == 0:
        ib = ib * n.k
    elif order == 1:
        wb = wb * n.a
    else:
        wb, ib = wb * n.a, ib * n.k * (vol.i_again / vol.i_kept)
    if order < 2:
        again = c[C_AB] * c[C_SO] * vol.o * (n.r - 1.0) * c[C_HOME_O]
    seconds = link_s(c, wb - hidden, ib, ob + 2.0 * again, side)
    joules = side * (c[C_P_S] + c[C_P_WRITE]) + ob * store
    joules = joules + wb * (c[C_P_W] + c[C_P_WRITE]) + ib * (c[C_P_I] + c[C_P_WRITE])
    joules = joules + again * (store + c[C_P_O_LOAD] + c[C_P_WRITE])
    return Bound(seconds * (1.0 - 1e-9), joules * (1.0 - 1e-9))


@shared
def least_transfers(c: Any, a: Any, k: Any, r: Any, vol: Any) -> Bound:
    """The least of :func:`transfers_of` over the three order classes, each apart.

    ``a``, ``k``, ``r``: tiles of the groups irrelevant to W, I and O.
    """
    wb, ib = c[C_WB] * c[C_SW] * c[C_HOME_W] * vol.w, c[C_IB] * c[C_SI] * c[C_HOME_I] * vol.i_kept
    ob, again = c[C_OB] * c[C_SO] * vol.o, c[C_AB] * c[C_SO] * vol.o * (r - 1.0)
    side = c[C_SIDE] * vol.o * c[C_HOME_S]
    ob, again = ob * c[C_HOME_O], again * c[C_HOME_O]
    w_all, i_all, both = wb * a, ib * k, ob + 2.0 * again
    hidden = wb * (1.0 - c[C_EXPOSED])  # at most that much was loaded before the layer
    t0 = link_s(c, wb - hidden, i_all, both, side)
    t1 = link_s(c, w_all - hidden, ib, both, side)
    apart = i_all * (vol.i_again / vol.i_kept)
    t2 = link_s(c, w_all - hidden, apart, ob, side)
    pw, pi = c[C_P_W] + c[C_P_WRITE], c[C_P_I] + c[C_P_WRITE]
    store = c[C_P_O_STORE] + c[C_P_READ]
    fixed = side * (c[C_P_S] + c[C_P_WRITE]) + ob * store
    spill = again * (store + c[C_P_O_LOAD] + c[C_P_WRITE])
    e0, e1, e2 = wb * pw + i_all * pi + spill, w_all * pw + ib * pi + spill, w_all * pw + apart * pi
    least_s, least_j = min(t0, t1, t2), fixed + min(e0, e1, e2)
    return Bound(least_s * (1.0 - 1e-9), least_j * (1.0 - 1e-9))


@shared
def ends_s(c: Any, tile: Any) -> Any:
    """Time to load the first tile and to store the last, s (a hair less: a bound)."""
    w = tile.w * c[C_WB] * c[C_SW] * c[C_HOME_W]
    i = tile.i * c[C_IB] * c[C_SI] * c[C_HOME_I]
    side = tile.o * c[C_SIDE] * c[C_HOME_S]
    o = tile.o_last * c[C_OB] * c[C_SO] * c[C_HOME_O]
    first = link_s(c, w * c[C_EXPOSED], i, 0.0, side)
    return (first + link_s(c, 0.0, 0.0, o, 0.0)) * (1.0 - 1e-12)
