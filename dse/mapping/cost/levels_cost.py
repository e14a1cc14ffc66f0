"""The cost of a mapping with a tiled L2 and with operands held beyond their tile.

Loops, outermost first: L2 tiles | buffer tiles within one | the array. An operand of the *mask*
passes through L2, the others go to the buffer past it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_AB,
    C_DESC,
    C_ENDS,
    C_EXPOSED,
    C_F,
    C_HOME_I,
    C_HOME_O,
    C_HOME_S,
    C_HOME_W,
    C_IB,
    C_IN_I,
    C_IN_O,
    C_IN_W,
    C_LINK,
    C_OB,
    C_P_DESC,
    C_P_I,
    C_P_O_LOAD,
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
    R_N,
    R_PAD,
    R_SLIDE,
    R_SPAN,
    R_SPANS,
    R_T,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    footprint,
    links_s,
    tile_side,
)
from dse.mapping.cost.records import Above, Bound, Groups, Move
from dse.mapping.cost.register_rows import slid
from dse.mapping.tools.compiling import larger, pick, shared, smaller

#: Uneven cuts: which of the two operands that do not stay are held, and which of their groups of
#: loops lies further out. The first two hold the operand of the middle group over the innermost
#: one, the next two that of the outermost group over both, the last two do both.
HOLDS = 7


@shared
def group_counts(s: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:
    """The :class:`Groups` of rows of G, B, K, C, OY, OX."""
    return Groups(g[R_N], b[R_N] * y[R_N] * x[R_N], k[R_N], r[R_N] * s[S_TAP_TILES])


@shared
def holds(order: int, hold: int, over: Any, held: Any) -> None:
    """Fill ``over[operand, group]``: whether W, I or O is held beyond its tile over the loops of
    group 0 (B OY OX), 1 (K) or 2 (C FY FX); ``held[operand]``: whether over any; and ``held[3]``:
    which input lines are kept from tile to tile (0 none, 1 those that slide, 2 all)."""
    one = 1 if order == 0 else 0  # the other two operands
    two = 1 if order == 2 else 2
    middle = outer = -1
    if hold == 1 or hold == 5:
        middle = one
    if hold == 2 or hold == 6:
        middle = two
    if hold == 3 or hold == 6:
        outer = one
    if hold == 4 or hold == 5:
        outer = two
    for operand in range(3):
        # The group irrelevant to an operand is its own number; being held over it costs nothing.
        if operand == middle:
            over[operand, order] = 1.0
            held[operand] = 1.0
        if operand == outer:
            for group in range(3):
                over[operand, group] = 1.0
            held[operand] = 1.0
    if over[1, 0] > 0.0:
        held[3] = 2.0
    elif order == 0 or over[1, 2] > 0.0:
        held[3] = 1.0
    elif order == 1:  # between two tiles of the same channels no other channels come
        held[3] = 1.0 if hold == 0 or hold == 1 or hold == 4 or hold == 5 else 0.0


@shared
def moves(
    order: int, outer_order: int, held: Any, inside: Any, outside: Any, kept: Any, w: Any, o: Any
) -> Any:
    """What enters and leaves the buffer under an order class within L2 tiles and one of L2 tiles.

    Args:
        held: 0 or 1 for W, I, O: fetched once, since it is held over the loops that would fetch it
            again.
        inside: tiles of G and of the groups of W, I, O (:func:`group_counts`) over all L2 tiles.
        outside: the same of L2 tiles (all one without).
        kept: input elements over all tiles of one K.
        w, o: elements of W and O.

    Returns:
        :class:`Move`; whether the order is one of its own.
    """
    g, a, k, r = inside
    g0, a0, k0, r0 = outside
    steps = g * a * k * r
    whole_g = g == g0
    # An operand whose tile does not change within an L2 tile stays on, if the L2 loops let it.
    w_stays = whole_g & (k == k0) & (r == r0)
    i_stays = whole_g & (a == a0) & (r == r0)
    o_stays = whole_g & (a == a0) & (k == k0)
    w_times = pick(w_stays & (outer_order == 0), 1.0, pick(order == 0, a0, a))
    i_times = pick(i_stays & (outer_order == 1), 1.0, pick(order == 1, k0, k))
    visits = pick(o_stays & (outer_order == 2), 1.0, pick(order == 2, r0, r))
    w_times = pick(held[0] > 0.0, 1.0, w_times)
    i_times = pick(held[1] > 0.0, 1.0, i_times)
    visits = pick(held[2] > 0.0, 1.0, visits)
    if order == 0:
        outer, cut, cut_inside = g * k * r * w_times, a > 1.0, a > a0
    elif order == 1:
        outer, cut, cut_inside = g * a * r * i_times, k > 1.0, k > k0
    else:
        outer, cut, cut_inside = g * a * k * visits, r > 1.0, r > r0
    nothing_inside = (a == a0) & (k == k0) & (r == r0)
    tiled = g0 * a0 * k0 * r0 > 1.0
    alone = pick(tiled, order == outer_order, cut | (a * k * r <= 1.0))
    real = pick(nothing_inside, alone, cut_inside)
    slides = (held[3] == 1.0) | ((held[3] == 0.0) & (order == 1) & (r == 1.0))
    i_all = pick(held[3] == 2.0, kept.every, pick(slides, kept.slides, kept.none))
    w_share = pick(held[0] > 0.0, g * k * r / steps, 1.0)
    i_share = pick(held[1] > 0.0, g * a * r / steps, 1.0)
    o_share = pick(held[2] > 0.0, g * a * k / steps, 1.0)
    move = Move(steps, outer, w * w_times, i_all * i_times, o, visits, w_share, i_share, o_share)
    return move, real


@shared
def up_side(
    c: Any, order: int, s: Any, z: Any, deep: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any, tile: Any,
) -> Any:  # fmt: skip
    """What moves between the homes and L2.

    Returns:
        :class:`Above`; whether the order is real; bytes of W, I and O loaded and, last, of O
        stored.

    Args:
        order: the operand whose L2 tile stays while the innermost group of L2 loops runs.
        s: an unrolling with the whole filter; ``deep``: G * B * C.
        g, b, k, r, y, x: rows of the L2 tiles; tile: ``tile_side`` of the buffer tiles.
    """
    a, kn, rn = b[R_N] * y[R_N] * x[R_N], k[R_N], r[R_N]
    w_times, i_times, visits = a, kn, rn
    if order == 0:
        w_times, real = a * 0.0 + 1.0, (a > 1.0) | (a * kn * rn <= 1.0)
    elif order == 1:
        i_times, real = kn * 0.0 + 1.0, kn > 1.0
    else:
        visits, real = rn * 0.0 + 1.0, rn > 1.0
    spans = y[R_SPANS] * x[R_SPANS]
    if order < 2:
        spans = smaller(y[R_SLIDE] * x[R_SPANS], y[R_SPANS] * x[R_SLIDE])
    wb, ib = c[C_WB] * c[C_SW] * c[C_IN_W], c[C_IB] * c[C_SI] * c[C_IN_I]
    ob, ab = c[C_OB] * c[C_SO] * c[C_IN_O], c[C_AB] * c[C_SO] * c[C_IN_O]
    w, i = s[S_W] * w_times * wb, deep * spans * i_times * ib
    spilled = z * (visits - 1.0) * ab
    stored = z * ob + spilled
    energy = w * c[C_UP_W] + i * c[C_UP_I] + spilled * c[C_UP_O_LOAD] + stored * c[C_UP_O_STORE]
    total = (w, i, spilled, stored)
    # Beyond the first and last buffer tile, which pass through both levels at once.
    w, i = larger(w - tile.w * wb, 0.0), larger(i - tile.i * ib, 0.0)
    o = larger(stored - tile.o_last * ob, 0.0) + spilled
    n, m = C_ENDS, C_LINK
    t0 = w * (c[n] - c[m]) + i * (c[n + 3] - c[m + 3]) + o * (c[n + 6] - c[m + 6])
    t1 = w * (c[n + 1] - c[m + 1]) + i * (c[n + 4] - c[m + 4]) + o * (c[n + 7] - c[m + 7])
    t2 = w * (c[n + 2] - c[m + 2]) + i * (c[n + 5] - c[m + 5]) + o * (c[n + 8] - c[m + 8])
    big = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
    gn = g[R_N]
    jobs = (
        c[C_IN_W] * gn * kn * rn * w_times * big.w_jobs
        + c[C_IN_I] * gn * a * rn * i_times * big.i_jobs
        + c[C_IN_O] * gn * a * kn * (2.0 * visits - 1.0) * big.o_jobs
    )
    return Above(t0, t1, t2, energy, jobs), real, total


@shared
def inner_slide(outer: Any, inner: Any, size: Any, f: Any, stride: Any, d: Any) -> Any:
    """Input lines of all buffer tiles of a dim if lines are kept only within an L2 tile."""
    whole = np.floor(size / outer)
    left = size - whole * outer
    return whole * slid(outer, inner, f, stride, d) + slid(left, inner, f, stride, d)


@shared
def held_room(
    c: Any, partial: Any, over: Any, taps: Any, inside: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any, whole: Any,
) -> Any:  # fmt: skip
    """:func:`footprint` of tiles held over groups of loops.

    Args:
        over: 3 x 3, operand by group; taps: of a filter tile; inside: :func:`group_counts`.
        whole: rows of the uncut dims.
    """
    a_in, k_in, r_in = inside.a, inside.k, inside.r
    ib, iy, ix = b[R_T], y[R_SPAN], x[R_SPAN]
    ob, oy, ox = b[R_T], y[R_T], x[R_T]
    wk, ok, wr, ir = k[R_PAD], k[R_PAD], r[R_PAD], r[R_PAD]
    w_tiles, i_tiles, o_tiles = inside.g, inside.g, inside.g
    if over[0, 1] > 0.0:
        wk = whole[2, R_PAD]
    else:
        w_tiles = w_tiles * k_in
    if over[0, 2] > 0.0:
        wr = whole[3, R_PAD]
    else:
        w_tiles = w_tiles * r_in
    if over[1, 0] > 0.0:
        ib, iy, ix = whole[1, R_T], whole[4, R_SPAN], whole[5, R_SPAN]
    else:
        i_tiles = i_tiles * a_in
    if over[1, 2] > 0.0:
        ir = whole[3, R_PAD]
    else:
        i_tiles = i_tiles * r_in
    if over[2, 0] > 0.0:
        ob, oy, ox = whole[1, R_T], whole[4, R_T], whole[5, R_T]
    else:
        o_tiles = o_tiles * a_in
    if over[2, 1] > 0.0:
        ok = whole[2, R_PAD]
    else:
        o_tiles = o_tiles * k_in
    gp = g[R_PAD]
    w, i, o = gp * wk * wr * taps, gp * ib * ir * iy * ix, gp * ob * ok * oy * ox
    return footprint(c, partial, w, i, o, w_tiles, i_tiles, o_tiles)


@shared
def fewest_jobs(c: Any, tile: Any, inside: Any) -> Any:
    """Least time, s, and energy, J, of DMA descriptors: every tile moves at least once.

    The descriptors of the first and last tiles are nobody's time.
    """
    g, a, k, r = inside
    w_desc, i_desc = tile.w_jobs * c[C_HOME_W], tile.i_jobs * c[C_HOME_I]
    o_desc = tile.o_jobs * c[C_HOME_O]
    jobs = g * (k * r * w_desc + a * r * i_desc + a * k * o_desc)
    shown = larger(jobs - w_desc - i_desc - o_desc, 0.0)
    seconds = shown * c[C_DESC] / c[C_F] * (1.0 - 1e-9)
    return Bound(seconds, jobs * c[C_P_DESC] * (1.0 - 1e-9))


@shared
def transfers(c: Any, order: int, move: Any, tile: Any, up: Any) -> Any:
    """Least time, s, and energy, J, of all transfers of a mapping (a hair less: a bound)."""
    w = move.w * c[C_WB] * c[C_SW] * c[C_HOME_W]
    i = move.i * c[C_IB] * c[C_SI] * c[C_HOME_I]
    o = move.o * c[C_OB] * c[C_SO] * c[C_HOME_O]
    again = move.o * (move.visits - 1.0) * c[C_AB] * c[C_SO] * c[C_HOME_O]
    side = move.o * c[C_SIDE] * c[C_HOME_S]
    hidden = tile.w * c[C_WB] * c[C_SW] * c[C_HOME_W] * (1.0 - c[C_EXPOSED])
    seconds = links_s(c, C_LINK, w - hidden, i, o + 2.0 * again, side, up.s0, up.s1, up.s2)
    w_jobs, i_jobs = tile.w_jobs * c[C_HOME_W], tile.i_jobs * c[C_HOME_I]
    o_jobs = tile.o_jobs * c[C_HOME_O] * (2.0 - 1.0 / move.visits)
    if order == 0:
        often, step = w_jobs, i_jobs * move.i_share + o_jobs * move.o_share
    elif order == 1:
        often, step = i_jobs, w_jobs * move.w_share + o_jobs * move.o_share
    else:
        often, step = o_jobs, w_jobs * move.w_share + i_jobs * move.i_share
    busy = ((move.outer - 1.0) * often + (move.steps - 1.0) * step) * c[C_DESC] / c[C_F]
    joules = (
        w * (c[C_P_W] + c[C_P_WRITE])
        + i * (c[C_P_I] + c[C_P_WRITE])
        + (o + again) * (c[C_P_O_STORE] + c[C_P_READ])
        + again * (c[C_P_O_LOAD] + c[C_P_WRITE])
        + side * (c[C_P_S] + c[C_P_WRITE])
        + (move.outer * often + move.steps * step + up.jobs) * c[C_P_DESC]
        + up.joules
    )
    return Bound(larger(seconds, busy) * (1.0 - 1e-9), joules * (1.0 - 1e-9))
