"""The closed-form cost of a mapping.

The functions are written once, with NumPy operations that mean the same on numbers and on arrays.
Compiled by Numba they are called on numbers inside the search loop; uncompiled they are called on
arrays holding every tile at once. Both ways do the same IEEE operations in the same order, so they
return the same mapping bit for bit. ``docs/mapping.md`` derives the formulas.

A *row* is what is known of one dim at one tile size (fields ``R_*``); ``c`` holds the numbers of
the layer and the chip (fields ``C_*``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.compiling import pick, shared

# Dataflows, order classes (named after the operand that stays) and objectives, as kernel codes.
#: Two codes each for ws and is: partial sums of a tile in accumulators beside the array, or in the
#: buffer.
DATAFLOWS = ("ws", "os", "is", "ws", "is")
CLASSES = ("W", "I", "O")
OBJECTIVES = ("edp", "latency", "energy")

# Row fields: tile size, number of tiles, array steps over all tiles, steps of a full and of the
# last ragged tile, how many full and ragged tiles, size of the last tile, input elements covered
# by one full tile / over all tiles (OY, OX: halo included), tile size padded to the alignment,
# input elements over all tiles if each keeps what it shares with the one before.
R_T, R_N, R_STEPS, R_FULL, R_RAG, R_NFULL, R_NRAG, R_LAST = range(8)
R_SPAN, R_SPANS, R_PAD, R_SLIDE = range(8, 12)
ROW_FIELDS = 12

# Constants of a problem.
(
    C_MACS,
    C_F,
    C_RATE,
    C_UNITS,
    C_PRELOAD,
    C_HIDDEN,
    C_FILL,
    C_ACC_BYTES,
    C_ON_VECTOR,
    C_FY,
    C_FX,
    C_WB,
    C_IB,
    C_OB,
    C_AB,
    C_SW,
    C_SI,
    C_SO,
    C_SIDE,
    C_ROOM,
    C_DOUBLE,
    C_READ,
    C_WRITE,
    C_HOME_W,
    C_HOME_I,
    C_HOME_O,
    C_HOME_S,
    C_DESC,
    C_DESC_MAX,
    C_VECTOR,
    C_LAT0,
    C_E0,
    C_STATIC,
    C_P_IDLE,
    C_P_ACC,
    C_P_READ,
    C_P_WRITE,
    C_P_DESC,
    C_P_W,
    C_P_I,
    C_P_O_LOAD,
    C_P_O_STORE,
    C_P_S,
    C_MIN_LINK,
    C_MIN_LINK_E,
    C_EXPOSED,
    C_LIMIT,
) = range(47)
#: Seconds per byte of each operand on each link: 3 for W, 3 for I, 3 for O, 3 for the side input.
C_LINK = 47
CONSTANTS = C_LINK + 12


@shared
def stream_sum(rate: Any, pre: Any, x: Any, y: Any, z: Any) -> Any:
    """Cycles of the passes of one stationary step: streams of x*y*z steps, each tile's behind
    ``pre`` cycles of hidden loads."""
    n00, k00 = y[R_FULL] * z[R_FULL], y[R_NFULL] * z[R_NFULL]
    n01, k01 = y[R_FULL] * z[R_RAG], y[R_NFULL] * z[R_NRAG]
    n10, k10 = y[R_RAG] * z[R_FULL], y[R_NRAG] * z[R_NFULL]
    n11, k11 = y[R_RAG] * z[R_RAG], y[R_NRAG] * z[R_NRAG]
    full = x[R_NFULL] * (
        k00 * np.maximum(x[R_FULL] * n00 / rate, pre)
        + k01 * np.maximum(x[R_FULL] * n01 / rate, pre)
        + k10 * np.maximum(x[R_FULL] * n10 / rate, pre)
        + k11 * np.maximum(x[R_FULL] * n11 / rate, pre)
    )
    ragged = x[R_NRAG] * (
        k00 * np.maximum(x[R_RAG] * n00 / rate, pre)
        + k01 * np.maximum(x[R_RAG] * n01 / rate, pre)
        + k10 * np.maximum(x[R_RAG] * n10 / rate, pre)
        + k11 * np.maximum(x[R_RAG] * n11 / rate, pre)
    )
    return full + ragged


@shared
def array_side(
    c: Any, flow: int, s: Any, one: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any
) -> Any:
    """Array cycles and traffic between array and buffer, over all tiles.

    Args:
        flow: index into :data:`DATAFLOWS`.
        s: spatial factors of G B K C OY OX FY FX; array steps of FY and of FX; all weights,
            input elements with every tap counted (MACs / K), outputs.
        one: a row of a dim of size one.
        g, b, k, r, y, x: rows of G, B, K, C, OY, OX.

    Returns:
        cycles; W and I elements read; accumulator updates; partial sums read from (and written to)
        the buffer at accumulator width; whether an output element in the buffer is a partial sum;
        whether the accumulators hold at least one step's outputs.
    """
    taps = s[8] * s[9]
    outs = g[R_STEPS] * b[R_STEPS] * k[R_STEPS] * y[R_STEPS] * x[R_STEPS]
    steps = outs * r[R_STEPS] * taps
    wv, iv, z = s[10], s[11], s[12]
    w_steps = wv * (b[R_STEPS] * y[R_STEPS] * x[R_STEPS])
    i_steps = iv * k[R_STEPS]
    reduction = r[R_STEPS] * taps
    inside = r[R_FULL] * taps > 1.0  # a tile accumulates
    blocks, pre = outs * 0.0 + 1.0, c[C_PRELOAD]
    usable = outs > 0.0
    if flow == 0 or flow == 3:
        passes = g[R_STEPS] * k[R_STEPS] * r[R_STEPS] * taps
        streamed = b[R_T] * y[R_T] * x[R_T]
        tiles = b[R_N] * y[R_N] * x[R_N]
        w_reads, i_reads = wv * tiles, i_steps
        live = np.minimum(s[0], g[R_T]) * np.minimum(s[2], k[R_T])
    elif flow == 1:
        passes = outs
        streamed = r[R_T]
        tiles = r[R_N]
        w_reads, i_reads = w_steps, i_steps
        live = outs * 0.0
        pre = 0.0
    else:
        passes = g[R_STEPS] * b[R_STEPS] * r[R_STEPS] * y[R_STEPS] * x[R_STEPS] * taps
        streamed = k[R_T]
        tiles = k[R_N]
        w_reads, i_reads = w_steps, iv * tiles
        live = np.minimum(s[0], g[R_T]) * np.minimum(s[1], b[R_T])
        live = live * np.minimum(s[4], y[R_T]) * np.minimum(s[5], x[R_T])
    if flow == 0 or flow == 2:
        # The accumulators hold a block of the streamed outputs; a tile's stream is cut into equal
        # blocks, and the stationary operand comes in again for each.
        places = np.floor(c[C_ACC_BYTES] / (live * c[C_AB]))
        usable = (places >= 1.0) | (r[R_FULL] * taps <= 1.0)
        blocks = pick(inside, np.ceil(streamed / np.maximum(places, 1.0)), 1.0)
        updates = pick(inside, z * reduction, 0.0)
        kept = pick(inside, r[R_N], reduction)
    elif flow == 1:
        updates = outs * 0.0
        kept = outs * 0.0 + r[R_N]
    else:
        updates = outs * 0.0
        kept = outs * 0.0 + reduction
    if flow == 1:
        hidden = steps / c[C_RATE]
    elif flow == 0 or flow == 3:
        hidden = passes * stream_sum(c[C_RATE], pre * blocks, b, y, x)
        w_reads = w_reads * blocks
    else:
        hidden = passes * stream_sum(c[C_RATE], pre * blocks, k, one, one)
        i_reads = i_reads * blocks
    passes = passes * tiles * blocks
    paid = steps / c[C_RATE] + passes * pre
    cycles = pick(c[C_HIDDEN] > 0.0, hidden, paid) + passes * c[C_FILL]
    return cycles, w_reads, i_reads, updates, z * (kept - 1.0), kept > 1.0, usable


@shared
def tile_side(c: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:
    """Elements of one full tile and DMA descriptors to move it, per operand.

    Returns:
        W, I, O elements of the first tile; the same padded to the alignment; O elements of the
        last tile; descriptors of a W, I and O tile.
    """
    taps = c[C_FY] * c[C_FX]
    w = g[R_T] * k[R_T] * r[R_T] * taps
    i = g[R_T] * b[R_T] * r[R_T] * y[R_SPAN] * x[R_SPAN]
    o = g[R_T] * b[R_T] * k[R_T] * y[R_T] * x[R_T]
    wp = g[R_PAD] * k[R_PAD] * r[R_PAD] * taps
    ip = g[R_PAD] * b[R_T] * r[R_PAD] * y[R_SPAN] * x[R_SPAN]
    op = g[R_PAD] * b[R_T] * k[R_PAD] * y[R_T] * x[R_T]
    last = g[R_LAST] * b[R_LAST] * k[R_LAST] * y[R_LAST] * x[R_LAST]
    cols, rows = x[R_N] > 1.0, y[R_N] > 1.0
    i_part, o_part = g[R_N] * r[R_N] > 1.0, g[R_N] * k[R_N] > 1.0
    i_runs = pick(i_part & cols, y[R_SPAN], 1.0)
    i_runs = i_runs * pick(cols | (i_part & rows), b[R_T], 1.0)
    o_runs = pick(o_part & cols, y[R_T], 1.0)
    o_runs = o_runs * pick(cols | (o_part & rows), b[R_T], 1.0)
    limit = c[C_DESC_MAX]
    w_desc = np.maximum(1.0, np.ceil(w * c[C_WB] * c[C_SW] / limit))
    i_desc = np.maximum(i_runs, np.ceil(i * c[C_IB] / limit))
    o_desc = np.maximum(o_runs, np.ceil(o * c[C_OB] / limit))
    return w, i, o, wp, ip, op, last, w_desc, i_desc, o_desc


@shared
def footprint(c: Any, partial: Any, wp: Any, ip: Any, op: Any, n: Any) -> Any:
    """Bytes of buffer the tiles take: W, I, O, side; copies where the next tile loads meanwhile."""
    wt, it, ot = n[0], n[1], n[2]
    twice = c[C_DOUBLE]
    w = wp * c[C_WB] * np.maximum(1.0, c[C_SW]) * (1.0 + twice * (wt > 1.0)) * c[C_HOME_W]
    i = ip * c[C_IB] * (1.0 + twice * (it > 1.0)) * c[C_HOME_I]
    copies = 1.0 + twice * (ot > 1.0)
    staged = pick(partial, 1.0, c[C_HOME_O])
    o = op * pick(partial, c[C_AB], c[C_OB]) * copies * staged
    side = op * c[C_SIDE] * copies * c[C_HOME_S]
    return w, i, o, side


@shared
def link_s(c: Any, w: Any, i: Any, o: Any, s: Any) -> Any:
    """Time of the slowest link for the given bytes of W, I, O and side input, s."""
    n = C_LINK
    t0 = w * c[n] + i * c[n + 3] + o * c[n + 6] + s * c[n + 9]
    t1 = w * c[n + 1] + i * c[n + 4] + o * c[n + 7] + s * c[n + 10]
    t2 = w * c[n + 2] + i * c[n + 5] + o * c[n + 8] + s * c[n + 11]
    return np.maximum(np.maximum(t0, t1), t2)


@shared
def class_side(c: Any, order: int, arr: Any, tile: Any, n: Any, vol: Any) -> Any:
    """Latency and energy of one order class, with the parts a schedule is built from.

    Args:
        order: index into :data:`CLASSES`.
        arr: result of :func:`array_side`; tile: result of :func:`tile_side`.
        n: tiles relevant to W, I, O, those of the groups irrelevant to W, I, O (B*OY*OX, K, C),
            and of all dims.
        vol: elements of W; of I over all tiles, its halo fetched again by each; of O; of I with the
            halo kept along the innermost of OY and OX, which needs C not to be innermost.
    """
    steps = n[6]
    rest = np.maximum(steps - 1.0, 1.0)
    w_mult, i_mult, visits = n[3], n[4], n[5]
    if order == 0:
        w_mult = n[3] * 0.0 + 1.0
        outer = n[0]
    elif order == 1:
        i_mult = n[4] * 0.0 + 1.0
        outer = n[1]
    else:
        visits = n[5] * 0.0 + 1.0
        outer = n[2]
    often = np.maximum(outer - 1.0, 1.0)
    # Bytes over the whole layer, of the first load, and of the last store.
    wb, ib = c[C_WB] * c[C_SW], c[C_IB] * c[C_SI]
    spilled = vol[2] * (visits - 1.0) * c[C_AB] * c[C_SO] * c[C_HOME_O]
    w_later = (vol[0] * w_mult - tile[0]) * wb * c[C_HOME_W]
    i_all = vol[1] if order == 2 else vol[3]
    i_later = (i_all * i_mult - tile[1]) * ib * c[C_HOME_I]
    w_first, i_first = tile[0] * wb * c[C_HOME_W], tile[1] * ib * c[C_HOME_I]
    s_first = tile[2] * c[C_SIDE] * c[C_HOME_S]
    s_later = (vol[2] - tile[2]) * c[C_SIDE] * c[C_HOME_S]
    o_last = tile[6] * c[C_OB] * c[C_SO] * c[C_HOME_O]
    o_before = (vol[2] - tile[6]) * c[C_OB] * c[C_SO] * c[C_HOME_O] + spilled
    # DMA descriptors of a load of W, I, and of an output tile's store, reload and side load.
    w_desc, i_desc = tile[7] * c[C_HOME_W], tile[8] * c[C_HOME_I]
    o_desc = tile[9] * (
        c[C_HOME_O] * (2.0 - 1.0 / visits) + pick(c[C_SIDE] > 0.0, c[C_HOME_S], 0.0)
    )
    # Per step: what moves in every step, and what moves only when the stationary operand changes.
    w_step, i_step = w_later / rest, i_later / rest
    in_step, out_step, s_step = spilled / rest, o_before / rest, s_later / rest
    if order == 0:
        w_often, i_often, out_often, s_often = w_later / often, 0.0, 0.0, 0.0
        w_step = w_step * 0.0
        d_often, d_step = w_desc, i_desc + o_desc
        vector_often, vector_step = 0.0, c[C_VECTOR] / steps
    elif order == 1:
        w_often, i_often, out_often, s_often = 0.0, i_later / often, 0.0, 0.0
        i_step = i_step * 0.0
        d_often, d_step = i_desc, w_desc + o_desc
        vector_often, vector_step = 0.0, c[C_VECTOR] / steps
    else:
        w_often, i_often, out_often, s_often = 0.0, 0.0, o_before / often, s_later / often
        out_step, s_step = out_step * 0.0, s_step * 0.0
        d_often, d_step = o_desc, w_desc + i_desc
        vector_often, vector_step = c[C_VECTOR] / outer, 0.0
    cycles = arr[0] / steps
    array_step = cycles * (1.0 - c[C_ON_VECTOR])
    vector_step = vector_step + cycles * c[C_ON_VECTOR]
    side_all = vol[2] * c[C_SIDE]
    reads = arr[1] * c[C_WB] + arr[2] * c[C_IB] + arr[4] * c[C_AB] + side_all
    writes = arr[4] * c[C_AB] + vol[2] * c[C_OB]
    read_step, write_step = reads / steps, writes / steps
    loads2, stores2 = w_step + i_step + in_step + s_step, out_step
    loads1 = loads2 + w_often + i_often + s_often
    stores1 = stores2 + out_often
    link1 = link_s(
        c, w_step + w_often, i_step + i_often, in_step + out_step + out_often, s_step + s_often
    )
    link2 = link_s(c, w_step, i_step, in_step + out_step, s_step)
    dma1, dma2 = (d_often + d_step) * c[C_DESC], d_step * c[C_DESC]
    count1, count2 = outer - 1.0, steps - outer
    port3 = np.maximum(read_step / c[C_READ], write_step / c[C_WRITE])
    if c[C_DOUBLE] > 0.0:
        port1 = np.maximum((read_step + stores1) / c[C_READ], (write_step + loads1) / c[C_WRITE])
        port2 = np.maximum((read_step + stores2) / c[C_READ], (write_step + loads2) / c[C_WRITE])
        with_vector = np.maximum(array_step, vector_step + vector_often)
        step1 = np.maximum(np.maximum(with_vector, port1), dma1) / c[C_F]
        step2 = np.maximum(np.maximum(np.maximum(array_step, vector_step), port2), dma2) / c[C_F]
        step3 = np.maximum(with_vector, port3) / c[C_F]
        body = count1 * np.maximum(step1, link1) + count2 * np.maximum(step2, link2) + step3
    else:
        port1 = np.maximum(stores1 / c[C_READ], loads1 / c[C_WRITE])
        port2 = np.maximum(stores2 / c[C_READ], loads2 / c[C_WRITE])
        step1 = np.maximum(np.maximum(port1, dma1) / c[C_F], link1)
        step2 = np.maximum(np.maximum(port2, dma2) / c[C_F], link2)
        vector_step = vector_step + vector_often * outer / steps
        vector_often = 0.0
        step3 = np.maximum(np.maximum(array_step, vector_step), port3) / c[C_F]
        body = count1 * step1 + count2 * step2 + steps * step3
    fill = link_s(c, w_first * c[C_EXPOSED], i_first, 0.0, s_first)
    drain = link_s(c, 0.0, 0.0, o_last, 0.0)
    latency = c[C_LAT0] + fill + body + drain
    w_all, i_all, s_all = w_first + w_later, i_first + i_later, s_first + s_later
    o_all = o_last + o_before
    idle = np.maximum(arr[0] * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
    descriptors = outer * d_often + steps * d_step
    dynamic = (
        c[C_E0]
        + idle * c[C_P_IDLE]
        + arr[3] * c[C_P_ACC]
        + (reads + o_all) * c[C_P_READ]
        + (writes + w_all + i_all + spilled + s_all) * c[C_P_WRITE]
        + w_all * c[C_P_W]
        + i_all * c[C_P_I]
        + spilled * c[C_P_O_LOAD]
        + o_all * c[C_P_O_STORE]
        + s_all * c[C_P_S]
        + descriptors * c[C_P_DESC]
    )
    energy = dynamic + c[C_STATIC] * latency
    # A class is what it says only if its innermost group is cut (or nothing but G is).
    real = (n[3 + order] > 1.0) | (n[3] * n[4] * n[5] <= 1.0)
    allowed = real & ((visits <= 1.0) | (c[C_HOME_O] > 0.0))
    phases = (array_step, vector_step, vector_often, port1, port2, port3, dma1, dma2)
    bytes1 = (w_step + w_often, i_step + i_often, in_step + out_step + out_often, s_step + s_often)
    bytes2 = (w_step, i_step, in_step + out_step, s_step)
    ends = (w_first, i_first, s_first, o_last)
    totals = (reads + o_all, writes + w_all + i_all + spilled + s_all, w_all, i_all, spilled)
    rest_totals = (o_all, s_all, idle, descriptors, count1, count2)
    return latency, energy, allowed, phases, bytes1, bytes2, ends, totals, rest_totals


@shared
def rounded(value: Any) -> Any:
    """``value`` to 40 bits of mantissa (Veltkamp's split), so that rounding breaks no tie."""
    wide = value * 8193.0
    return wide - (wide - value)


@shared
def keys(latency: Any, energy: Any, objective: int) -> Any:
    """What is minimised, in lexicographic order: the objective, then its tie-break."""
    if objective == 0:
        return rounded(latency * energy), rounded(energy)
    if objective == 1:
        return rounded(latency), rounded(energy)
    return rounded(energy), rounded(latency)
