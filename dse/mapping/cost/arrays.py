"""What an array does over all tiles of a mapping: cycles, and traffic between it and the buffer."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_AB,
    C_ACC_BYTES,
    C_BUS_I,
    C_BUS_W,
    C_FILL,
    C_HAS_I,
    C_HAS_O,
    C_HAS_W,
    C_HIDDEN,
    C_IB,
    C_LATCH,
    C_MACS,
    C_P_RI_READ,
    C_P_RI_WRITE,
    C_P_RO_READ,
    C_P_RO_WRITE,
    C_P_RW_READ,
    C_P_RW_WRITE,
    C_P_TRANSFORM,
    C_PRELOAD,
    C_RATE,
    C_WB,
    R_FIRST,
    R_FULL,
    R_HELD,
    R_HELD_SLIDE,
    R_N,
    R_NFULL,
    R_NRAG,
    R_PASSES,
    R_RAG,
    R_SEEN,
    R_SEEN_SLIDE,
    R_SHARES,
    R_STEPS,
    R_T,
    S_FX_STEPS,
    S_FY_STEPS,
    S_I,
    S_O,
    S_TAP_STEPS,
    S_TAP_TILES,
    S_W,
)
from dse.mapping.cost.flows import (
    IS_BLOCKS,
    OS,
    OS_REGISTERS,
    UNBLOCKED,
    WS,
    WS_BLOCKS,
    WS_REGISTERS,
)
from dse.mapping.cost.records import ArraySide, RegisterMoves, RegisterUses
from dse.mapping.tools.compiling import larger, pick, shared, smaller, some


@shared
def stream_sum(rate: Any, pre: Any, x: Any, y: Any, z: Any) -> Any:
    """Cycles of the passes of one stationary step: streams of x*y*z steps, each tile's behind
    ``pre`` cycles of hidden loads."""
    n00, k00 = y[R_FULL] * z[R_FULL], y[R_NFULL] * z[R_NFULL]
    n01, k01 = y[R_FULL] * z[R_RAG], y[R_NFULL] * z[R_NRAG]
    n10, k10 = y[R_RAG] * z[R_FULL], y[R_NRAG] * z[R_NFULL]
    n11, k11 = y[R_RAG] * z[R_RAG], y[R_NRAG] * z[R_NRAG]
    # Sums of nothing are left out where that is known: most tiles leave no rest.
    full = k00 * larger(x[R_FULL] * n00 / rate, pre)
    if some(z[R_NRAG] > 0.0):
        full = full + k01 * larger(x[R_FULL] * n01 / rate, pre)
    if some(y[R_NRAG] > 0.0):
        full = full + k10 * larger(x[R_FULL] * n10 / rate, pre)
        if some(z[R_NRAG] > 0.0):
            full = full + k11 * larger(x[R_FULL] * n11 / rate, pre)
    full = x[R_NFULL] * full
    if some(x[R_NRAG] > 0.0):
        ragged = (
            k00 * larger(x[R_RAG] * n00 / rate, pre)
            + k01 * larger(x[R_RAG] * n01 / rate, pre)
            + k10 * larger(x[R_RAG] * n10 / rate, pre)
            + k11 * larger(x[R_RAG] * n11 / rate, pre)
        )
        full = full + x[R_NRAG] * ragged
    return full


@shared
def array_side(
    c: Any, flow: int, s: Any, one: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any
) -> Any:
    """Array cycles and traffic between array and buffer, over all tiles.

    Args:
        flow: code of :data:`dse.mapping.cost.flows.FLOWS`.
        s: the unrolling and filter tile (fields ``S_*``).
        one: a row of a dim of size one.
        g, b, k, r, y, x: rows of G, B, K, C, OY, OX.

    Returns:
        :class:`ArraySide`.
    """
    taps = s[S_FY_STEPS] * s[S_FX_STEPS]
    outs = g[R_STEPS] * b[R_STEPS] * k[R_STEPS] * y[R_STEPS] * x[R_STEPS]
    steps = outs * r[R_STEPS] * taps
    wv, iv, z = s[S_W], s[S_I], s[S_O]
    w_steps = wv * (b[R_STEPS] * y[R_STEPS] * x[R_STEPS])
    i_steps = iv * k[R_STEPS]
    reduction = r[R_STEPS] * taps
    inside = r[R_FULL] * s[S_TAP_STEPS] > 1.0  # a tile accumulates
    sums = r[R_N] * s[S_TAP_TILES]  # tiles that add to one output
    blocks, pre = outs * 0.0 + 1.0, c[C_PRELOAD]
    usable = outs > 0.0
    if flow == WS_BLOCKS or flow == WS:
        passes = g[R_STEPS] * k[R_STEPS] * r[R_STEPS] * taps
        streamed = b[R_T] * y[R_T] * x[R_T]
        tiles = b[R_N] * y[R_N] * x[R_N]
        w_reads, i_reads = wv * tiles, i_steps
        live = smaller(s[0], g[R_T]) * smaller(s[2], k[R_T])
    elif flow == OS:
        passes = outs
        streamed = r[R_T]
        tiles = sums
        w_reads, i_reads = w_steps, i_steps
        live = outs * 0.0
        pre = 0.0
    else:
        passes = g[R_STEPS] * b[R_STEPS] * r[R_STEPS] * y[R_STEPS] * x[R_STEPS] * taps
        streamed = k[R_T]
        tiles = k[R_N]
        w_reads, i_reads = w_steps, iv * tiles
        live = smaller(s[0], g[R_T]) * smaller(s[1], b[R_T])
        live = live * smaller(s[4], y[R_T]) * smaller(s[5], x[R_T])
    if flow == WS_BLOCKS or flow == IS_BLOCKS:
        # The accumulators hold a block of the streamed outputs; a tile's stream is cut into equal
        # blocks, and the stationary operand comes in again for each.
        places = np.floor(c[C_ACC_BYTES] / (live * c[C_AB]))
        usable = (places >= 1.0) | (r[R_FULL] * s[S_TAP_STEPS] <= 1.0)
        blocks = pick(inside, np.ceil(streamed / larger(places, 1.0)), 1.0)
        updates = pick(inside, z * reduction, 0.0)
        kept = pick(inside, sums, reduction)
    elif flow == OS:
        updates = outs * 0.0
        kept = outs * 0.0 + sums
    else:
        updates = outs * 0.0
        kept = outs * 0.0 + reduction
    if flow == OS:
        hidden = steps / c[C_RATE]
    elif flow == WS_BLOCKS or flow == WS:
        hidden = passes * stream_sum(c[C_RATE], pre * blocks, b, y, x)
        w_reads = w_reads * blocks
    else:
        hidden = passes * stream_sum(c[C_RATE], pre * blocks, k, one, one)
        i_reads = i_reads * blocks
    passes = passes * tiles * blocks
    paid = steps / c[C_RATE] + passes * pre
    cycles = pick(c[C_HIDDEN] > 0.0, hidden, paid) + passes * c[C_FILL]
    joules = i_reads * c[C_P_TRANSFORM]
    switch = passes * (pre * (1.0 - c[C_HIDDEN]))
    if flow == WS_BLOCKS or flow == WS:
        loaded, passing = w_reads * c[C_WB], i_reads * c[C_BUS_I]
    else:
        loaded, passing = i_reads * c[C_IB], w_reads * c[C_BUS_W]
    return ArraySide(
        cycles, w_reads, i_reads, updates, z * (kept - 1.0), kept > 1.0, usable, joules,
        switch, loaded, passing,
    )  # fmt: skip


@shared
def unblocked(flow: int, arr: Any) -> Any:
    """The least of a flow's side: ``arr`` is that of the flow without blocks (``UNBLOCKED``)."""
    sums = 0.0 if UNBLOCKED[flow] != flow else arr.sums
    return ArraySide(
        arr.cycles, arr.w_reads, arr.i_reads, 0.0, sums, arr.partial, arr.usable, arr.joules,
        arr.switch, arr.loaded, arr.passing,
    )  # fmt: skip


@shared
def register_uses(
    c: Any, flow: int, s: Any, q: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any
) -> Any:
    """What an array with operand registers reads, over all tiles.

    A pass covers ``factor * register tile`` of every dim; within a buffer tile the operand of
    ``flow`` stays in the registers while the passes of its group run. Every MAC reads W and I and
    updates O, but for the operand that the innermost loop inside the PE leaves alone (``C_LATCH``);
    fills, and what leaves the registers, come on top.

    Args:
        flow: one of registers: W, O or I stays.
        q: passes of the filter over all filter tiles; shares of it that PEs hold; G * B * C.
        g, b, k, r, y, x: rows of G, B, K, C, OY, OX with the fields of registers.

    Returns:
        :class:`RegisterUses`.
    """
    wv, iv, z, macs = s[S_W], s[S_I], s[S_O], c[C_MACS]
    a_tiles, sums = b[R_N] * y[R_N] * x[R_N], r[R_N] * s[S_TAP_TILES]
    a_passes = b[R_PASSES] * y[R_PASSES] * x[R_PASSES]
    a_shares = b[R_SHARES] * y[R_SHARES] * x[R_SHARES]
    reduction = r[R_PASSES] * q[0]
    # Input lines that the passes of one K touch: seen by the array, and held by its PEs.
    by_x, by_y = y[R_SEEN] * x[R_SEEN_SLIDE], y[R_SEEN_SLIDE] * x[R_SEEN]
    seen = smaller(by_x, by_y)
    held = pick(by_x <= by_y, y[R_HELD] * x[R_HELD_SLIDE], y[R_HELD_SLIDE] * x[R_HELD])
    w_times, w_copies = a_passes, a_shares
    i_times, i_copies = k[R_PASSES], k[R_SHARES]
    visits = reduction
    if flow == WS_REGISTERS:
        w_times, w_copies = a_tiles, b[R_FIRST] * y[R_FIRST] * x[R_FIRST]
        fills = g[R_PASSES] * k[R_PASSES] * reduction * a_tiles
    elif flow == OS_REGISTERS:
        seen, held = y[R_SEEN] * x[R_SEEN], y[R_HELD] * x[R_HELD]
        visits = sums
        fills = g[R_PASSES] * a_passes * k[R_PASSES] * sums
    else:
        i_times, i_copies = k[R_N], k[R_FIRST]
        fills = g[R_PASSES] * a_passes * reduction * k[R_N]
    deep = q[2]
    has_w, has_i, has_o = c[C_HAS_W], c[C_HAS_I], c[C_HAS_O]
    w_reads = pick(has_w > 0.0, wv * w_times, wv * (b[R_STEPS] * y[R_STEPS] * x[R_STEPS]))
    i_reads = pick(has_i > 0.0, deep * seen * i_times, iv * k[R_STEPS])
    steps = r[R_STEPS] * s[S_FY_STEPS] * s[S_FX_STEPS]
    kept = pick(has_o > 0.0, visits, steps)
    w_rate, i_rate, o_rate = c[C_P_RW_READ], c[C_P_RI_READ], c[C_P_RO_READ] + c[C_P_RO_WRITE]
    w_spared, i_spared = macs - wv * a_shares, macs - iv * k[R_SHARES]
    o_spared = macs - z * r[R_SHARES] * q[1]
    most = larger(larger(w_spared * w_rate, i_spared * i_rate), o_spared * o_rate)
    w_latched = (w_spared * w_rate >= most) & (c[C_LATCH] > 0.0)
    i_latched = (i_spared * i_rate >= most) & (c[C_LATCH] > 0.0) & (w_spared * w_rate < most)
    o_latched = (w_spared * w_rate < most) & (i_spared * i_rate < most) & (c[C_LATCH] > 0.0)
    w_used = (macs - pick(w_latched, w_spared, 0.0)) * has_w
    i_used = (macs - pick(i_latched, i_spared, 0.0)) * has_i
    o_used = macs - pick(o_latched, o_spared, 0.0)
    moves = RegisterMoves(
        w_used,
        wv * w_copies * has_w,
        i_used,
        deep * held * i_copies * has_i,
        (o_used + z * kept) * has_o,
        (o_used + z * (kept - 1.0)) * has_o,
    )
    return RegisterUses(w_reads, i_reads, kept, fills, moves)


@shared
def register_side(
    c: Any, flow: int, s: Any, q: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any
) -> Any:
    """:func:`array_side` of an array that holds operands in registers of its PEs.

    Filling the registers is taken as hidden behind compute, as far as the buffer's port allows,
    unless the chip pays for its preload; arguments as of :func:`register_uses`.
    """
    w_reads, i_reads, kept, fills, uses = register_uses(c, flow, s, q, g, b, k, r, y, x)
    outs = g[R_STEPS] * b[R_STEPS] * k[R_STEPS] * y[R_STEPS] * x[R_STEPS]
    steps = outs * r[R_STEPS] * (s[S_FY_STEPS] * s[S_FX_STEPS])
    energy = uses.w_read * c[C_P_RW_READ] + uses.w_write * c[C_P_RW_WRITE]
    energy = energy + uses.i_read * c[C_P_RI_READ] + uses.i_write * c[C_P_RI_WRITE]
    energy = energy + uses.o_read * c[C_P_RO_READ] + uses.o_write * c[C_P_RO_WRITE]
    energy = energy + i_reads * c[C_P_TRANSFORM]
    preload = c[C_PRELOAD] * (1.0 - c[C_HIDDEN])
    if flow == OS_REGISTERS:
        preload = 0.0
    cycles = steps / c[C_RATE] + fills * (preload + c[C_FILL])
    sums = s[S_O] * (kept - 1.0)
    if flow == WS_REGISTERS:
        loaded, passing = w_reads * c[C_WB], i_reads * c[C_BUS_I]
    else:
        loaded, passing = i_reads * c[C_IB], w_reads * c[C_BUS_W]
    return ArraySide(
        cycles, w_reads, i_reads, sums * 0.0, sums, kept > 1.0, kept > 0.0, energy,
        fills * preload, loaded, passing,
    )  # fmt: skip
