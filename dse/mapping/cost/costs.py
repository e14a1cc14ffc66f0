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

from dse.mapping.cost.records import (
    Above,
    Cost,
    Ends,
    Move,
    Operands,
    Parts,
    Tile,
    Totals,
)
from dse.mapping.tools.compiling import larger, pick, shared

#: Order classes (named after the operand that stays), by kernel code; the dataflows are in
#: :mod:`dse.mapping.cost.flows`.
CLASSES = ("W", "I", "O")
#: Objectives with a name, by kernel code; :mod:`dse.mapping.cost.objectives` has the others.
OBJECTIVES = ("edp", "latency", "energy")

# Row fields: tile size, number of tiles, array steps over all tiles, steps of a full and of the
# last ragged tile, how many full and ragged tiles, size of the last tile, input elements covered
# by one full tile / over all tiles (OY, OX: halo included), tile size padded to the alignment,
# input elements over all tiles if each keeps what it shares with the one before.
R_T, R_N, R_STEPS, R_FULL, R_RAG, R_NFULL, R_NRAG, R_LAST = range(8)
R_SPAN, R_SPANS, R_PAD, R_SLIDE = range(8, 12)
ROW_FIELDS = 12
# More fields of a dim with operand registers: passes over all tiles; shares of a dim that PEs hold,
# over all passes, and over the first pass of each tile; input elements of all passes, and if each
# keeps what it shares with the one before; the same of all PEs.
R_PASSES, R_SHARES, R_FIRST, R_SEEN, R_SEEN_SLIDE, R_HELD, R_HELD_SLIDE = range(12, 19)
REGISTER_FIELDS = 19

# Constants of a problem.
(
    C_MACS, C_F, C_RATE, C_UNITS, C_PRELOAD, C_HIDDEN, C_FILL, C_ACC_BYTES, C_ON_VECTOR, C_WB,
    C_IB, C_OB, C_AB, C_SW, C_SI, C_SO, C_SIDE, C_ROOM, C_DOUBLE, C_READ, C_WRITE, C_HOME_W,
    C_HOME_I, C_HOME_O, C_HOME_S, C_DESC, C_DESC_MAX, C_VECTOR, C_LAT0, C_E0, C_STATIC,
    C_P_IDLE, C_P_ACC, C_P_READ, C_P_WRITE, C_P_DESC, C_P_W, C_P_I, C_P_O_LOAD, C_P_O_STORE,
    C_P_S, C_MIN_LINK, C_MIN_LINK_E, C_EXPOSED, C_BANK, C_ROOM_W, C_ROOM_I, C_ROOM_O, C_DECODE,
    C_HAS_W, C_HAS_I, C_HAS_O, C_P_RW_READ, C_P_RW_WRITE, C_P_RI_READ, C_P_RI_WRITE,
    C_P_RO_READ, C_P_RO_WRITE, C_P_TRANSFORM, C_LATCH, C_UP_W, C_UP_I, C_UP_O_LOAD,
    C_UP_O_STORE, C_IN_W, C_IN_I, C_IN_O, C_BUS_W, C_BUS_I, C_BUS_O, C_BUS_SUM, C_LOAD_W,
    C_LOAD_I, C_LOAD_O, C_LOAD_S, C_STORE, C_BUS_OUT,
) = range(77)  # fmt: skip
#: Seconds per byte of each operand on each link: 3 for W, 3 for I, 3 for O, 3 for the side input.
C_LINK = 77
#: The same for what fills the first tile and stores the last: all links it passes.
C_ENDS = C_LINK + 12
CONSTANTS = C_ENDS + 12
#: Nothing moves above the level whose tiles feed the buffer (see :func:`step_side`).
NOTHING = Above(0.0, 0.0, 0.0, 0.0, 0.0)

# Fields of an unrolling: factors of G B K C OY OX FY FX; array steps of FY and of FX over all
# filter tiles; elements of W, of I with every tap counted (MACs / K), of O; array steps of the taps
# of one filter tile; taps of a filter tile; number of filter tiles; taps of one along y and x.
S_FY_STEPS, S_FX_STEPS, S_W, S_I, S_O, S_TAP_STEPS, S_TAPS, S_TAP_TILES, S_FY, S_FX = range(8, 18)
SPATIAL_FIELDS = 18


@shared
def tile_side(c: Any, taps: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:
    """The :class:`Tile` of rows of G, B, K, C, OY, OX; ``taps``: filter taps of the tile."""
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
    w_desc = larger(1.0, np.ceil(w * c[C_WB] * c[C_SW] / limit))
    i_desc = larger(i_runs, np.ceil(i * c[C_IB] / limit))
    o_desc = larger(o_runs, np.ceil(o * c[C_OB] / limit))
    return Tile(w, i, o, wp, ip, op, last, w_desc, i_desc, o_desc)


@shared
def footprint(c: Any, partial: Any, wp: Any, ip: Any, op: Any, wt: Any, it: Any, ot: Any) -> Any:
    """Bytes of buffer that ``wt``, ``it``, ``ot`` tiles of W, I, O take (:class:`Operands`);
    copies where the next tile loads meanwhile.

    Where banks are not shared, W and I take whole ones, and O and side what is left. Partial sums
    become results where they lie, so their room is that of the wider of both.
    """
    twice = c[C_DOUBLE]
    w = wp * c[C_WB] * larger(1.0, c[C_SW]) * (1.0 + twice * (wt > 1.0)) * c[C_HOME_W]
    i = ip * c[C_IB] * (1.0 + twice * (it > 1.0)) * c[C_HOME_I]
    copies = 1.0 + twice * (ot > 1.0)
    staged = pick(partial, 1.0, c[C_HOME_O])
    o = op * pick(partial, larger(c[C_AB], c[C_OB]), c[C_OB]) * copies * staged
    side = op * c[C_SIDE] * copies * c[C_HOME_S]
    return Operands(banked(c, w), banked(c, i), o, side)


@shared
def banked(c: Any, amount: Any) -> Any:
    """Room that ``amount`` bytes take: whole banks where operands may not share one."""
    bank = c[C_BANK]
    return pick(bank > 0.0, np.ceil(amount / larger(bank, 1e-300)) * bank, amount)


@shared
def fits(c: Any, f: Any) -> Any:
    """Whether the tiles of :func:`footprint` fit the buffer, and their parts of it."""
    shared_room = f.w + f.i + f.o + f.side <= c[C_ROOM]
    own = (f.w <= c[C_ROOM_W]) & (f.i <= c[C_ROOM_I]) & (f.o + f.side <= c[C_ROOM_O])
    return shared_room & own


@shared
def link_s(c: Any, w: Any, i: Any, o: Any, s: Any) -> Any:
    """Time of the slowest link for the given bytes of W, I, O and side input, s."""
    return links_s(c, C_LINK, w, i, o, s, 0.0, 0.0, 0.0)


@shared
def links_s(
    c: Any, n: int, w: Any, i: Any, o: Any, s: Any, more0: Any, more1: Any, more2: Any
) -> Any:
    """Time of the slowest link, s, for bytes of W, I, O and side input at the rates from ``c[n]``
    on, beside seconds that the links are busy with something else."""
    t0 = w * c[n] + i * c[n + 3] + o * c[n + 6] + s * c[n + 9] + more0
    t1 = w * c[n + 1] + i * c[n + 4] + o * c[n + 7] + s * c[n + 10] + more1
    t2 = w * c[n + 2] + i * c[n + 5] + o * c[n + 8] + s * c[n + 11] + more2
    return larger(larger(t0, t1), t2)


@shared
def bus_cycles(c: Any, arr: Any, z: Any) -> Any:
    """Cycles of the slowest of the ports between buffer and array that carry one operand each: W,
    I, the ``z`` elements of O, partial sums (and O with them, ``C_BUS_OUT``). Each is 0 where the
    operand has no port of its own."""
    inward = larger(arr.w_reads * c[C_BUS_W], arr.i_reads * c[C_BUS_I])
    return larger(inward, outward(c, arr, z))


@shared
def outward(c: Any, arr: Any, z: Any) -> Any:
    """Cycles of the slower of the ports of O and of partial sums."""
    return larger(z * c[C_BUS_O], arr.sums * c[C_BUS_SUM] + z * c[C_BUS_OUT])


@shared
def passing_cycles(c: Any, arr: Any, z: Any, reads: Any, writes: Any) -> Any:
    """Cycles in which an array stands still while what stays in it is loaded, and of the slowest
    port for all else, which passes when it works; ``reads``, ``writes``: bytes over all tiles."""
    own = larger(arr.passing, outward(c, arr, z))
    both = larger((reads - arr.loaded) / c[C_READ], writes / c[C_WRITE])
    return arr.switch + larger(own, both)


@shared
def edge_cycles(c: Any, w: Any, i: Any, o: Any, s: Any, stores: Any) -> Any:
    """Cycles at the edge of the buffer, for bytes of W, I, O and side input that come in and of O
    that leave: what fill port and fetch limit take, 0 where there is none."""
    inward = w * c[C_LOAD_W] + i * c[C_LOAD_I] + o * c[C_LOAD_O] + s * c[C_LOAD_S]
    return larger(inward, stores * c[C_STORE])


@shared
def class_side(c: Any, order: int, arr: Any, tile: Any, n: Any, vol: Any) -> Any:
    """Latency and energy of one order class, with the parts a schedule is built from.

    Args:
        order: index into :data:`CLASSES`.
        arr: result of ``array_side``; tile: result of :func:`tile_side`.
        n: :class:`TileCounts`.
        vol: :class:`Volumes`; the halo is kept along the innermost of OY and OX, which needs C not
            to be innermost.
    """
    w_mult, i_mult, visits = n.a, n.k, n.r
    if order == 0:
        w_mult = n.a * 0.0 + 1.0
        outer = n.w
    elif order == 1:
        i_mult = n.k * 0.0 + 1.0
        outer = n.i
    else:
        visits = n.r * 0.0 + 1.0
        outer = n.o
    i_all = vol.i_again if order == 2 else vol.i_kept
    move = Move(n.every, outer, vol.w * w_mult, i_all * i_mult, vol.o, visits, 1.0, 1.0, 1.0)
    # A class is what it says only if its innermost group is cut (or nothing but G is).
    real = ((n.a, n.k, n.r)[order] > 1.0) | (n.a * n.k * n.r <= 1.0)
    return step_side(c, order, arr, tile, move, NOTHING, real)


@shared
def step_side(c: Any, order: int, arr: Any, tile: Any, move: Any, up: Any, real: Any) -> Any:
    """Latency and energy of a mapping, from what its buffer tiles move and compute.

    Args:
        order: the operand that stays while the innermost group of tile loops runs.
        arr: result of ``array_side`` or ``register_side``; tile: result of :func:`tile_side`.
        move: :class:`Move`; up: :class:`Above`.
        real: whether the order is one of its own.
    """
    # In one piece: most values are needed by most lines after them.
    steps, outer, w_moved, i_moved, z, visits, w_share, i_share, o_share = move
    rest = larger(steps - 1.0, 1.0)
    often = larger(outer - 1.0, 1.0)
    # Bytes over the whole layer, of the first load, and of the last store.
    wb, ib = c[C_WB] * c[C_SW], c[C_IB] * c[C_SI]
    spilled = z * (visits - 1.0) * c[C_AB] * c[C_SO] * c[C_HOME_O]
    w_later = (w_moved - tile.w) * wb * c[C_HOME_W]
    i_later = (i_moved - tile.i) * ib * c[C_HOME_I]
    w_first, i_first = tile.w * wb * c[C_HOME_W], tile.i * ib * c[C_HOME_I]
    s_first = tile.o * c[C_SIDE] * c[C_HOME_S]
    s_later = (z - tile.o) * c[C_SIDE] * c[C_HOME_S]
    o_last = tile.o_last * c[C_OB] * c[C_SO] * c[C_HOME_O]
    o_before = (z - tile.o_last) * c[C_OB] * c[C_SO] * c[C_HOME_O] + spilled
    # DMA descriptors of a load of W, I, and of an output tile's store, reload and side load.
    w_desc, i_desc = tile.w_jobs * c[C_HOME_W], tile.i_jobs * c[C_HOME_I]
    o_desc = tile.o_jobs * (
        c[C_HOME_O] * (2.0 - 1.0 / visits) + pick(c[C_SIDE] > 0.0, c[C_HOME_S], 0.0)
    )
    # Per step: what moves in every step, and what moves only when the stationary operand changes.
    w_step, i_step = w_later / rest, i_later / rest
    in_step, out_step, s_step = spilled / rest, o_before / rest, s_later / rest
    w_jobs, i_jobs, o_jobs = w_desc * w_share, i_desc * i_share, o_desc * o_share
    if order == 0:
        w_often, i_often, out_often, s_often = w_later / often, 0.0, 0.0, 0.0
        w_step = w_step * 0.0
        d_often, d_step = w_desc, i_jobs + o_jobs
        vector_often, vector_step = 0.0, c[C_VECTOR] / steps
    elif order == 1:
        w_often, i_often, out_often, s_often = 0.0, i_later / often, 0.0, 0.0
        i_step = i_step * 0.0
        d_often, d_step = i_desc, w_jobs + o_jobs
        vector_often, vector_step = 0.0, c[C_VECTOR] / steps
    else:
        w_often, i_often, out_often, s_often = 0.0, 0.0, o_before / often, s_later / often
        out_step, s_step = out_step * 0.0, s_step * 0.0
        d_often, d_step = o_desc, w_jobs + i_jobs
        vector_often, vector_step = c[C_VECTOR] / outer, 0.0
    cycles = arr.cycles / steps
    array_step = cycles * (1.0 - c[C_ON_VECTOR])
    vector_step = vector_step + cycles * c[C_ON_VECTOR]
    side_all = z * c[C_SIDE]
    reads = arr.w_reads * c[C_WB] + arr.i_reads * c[C_IB] + arr.sums * c[C_AB] + side_all
    writes = arr.sums * c[C_AB] + z * c[C_OB]
    read_step, write_step = reads / steps, writes / steps
    loads2, stores2 = w_step + i_step + in_step + s_step, out_step
    loads1 = loads2 + w_often + i_often + s_often
    stores1 = stores2 + out_often
    up0, up1, up2 = up.s0 / rest, up.s1 / rest, up.s2 / rest
    w1, out1 = w_step + w_often, in_step + out_step + out_often
    link1 = links_s(c, C_LINK, w1, i_step + i_often, out1, s_step + s_often, up0, up1, up2)
    link2 = links_s(c, C_LINK, w_step, i_step, in_step + out_step, s_step, up0, up1, up2)
    up_jobs = up.jobs / rest
    dma1, dma2 = (d_often + d_step + up_jobs) * c[C_DESC], (d_step + up_jobs) * c[C_DESC]
    count1, count2 = outer - 1.0, steps - outer
    bus = bus_cycles(c, arr, z)
    if c[C_HIDDEN] < 1.0:
        bus = larger(bus, passing_cycles(c, arr, z, reads, writes))
    bus = bus / steps
    port3 = larger(larger(read_step / c[C_READ], write_step / c[C_WRITE]), bus)
    i1, s1 = i_step + i_often, s_step + s_often
    edge1 = larger(w1 * c[C_DECODE], edge_cycles(c, w1, i1, in_step, s1, stores1))
    edge2 = larger(w_step * c[C_DECODE], edge_cycles(c, w_step, i_step, in_step, s_step, stores2))
    if c[C_DOUBLE] > 0.0:
        port1 = larger((read_step + stores1) / c[C_READ], (write_step + loads1) / c[C_WRITE])
        port2 = larger((read_step + stores2) / c[C_READ], (write_step + loads2) / c[C_WRITE])
        port1, port2 = larger(larger(port1, bus), edge1), larger(larger(port2, bus), edge2)
        with_vector = larger(array_step, vector_step + vector_often)
        step1 = larger(larger(with_vector, port1), dma1) / c[C_F]
        step2 = larger(larger(larger(array_step, vector_step), port2), dma2) / c[C_F]
        step3 = larger(with_vector, port3) / c[C_F]
        body = count1 * larger(step1, link1) + count2 * larger(step2, link2) + step3
    else:
        port1 = larger(larger(stores1 / c[C_READ], loads1 / c[C_WRITE]), edge1)
        port2 = larger(larger(stores2 / c[C_READ], loads2 / c[C_WRITE]), edge2)
        step1 = larger(larger(port1, dma1) / c[C_F], link1)
        step2 = larger(larger(port2, dma2) / c[C_F], link2)
        vector_step = vector_step + vector_often * outer / steps
        vector_often = 0.0
        step3 = larger(larger(array_step, vector_step), port3) / c[C_F]
        body = count1 * step1 + count2 * step2 + steps * step3
    fill = links_s(c, C_ENDS, w_first * c[C_EXPOSED], i_first, 0.0, s_first, 0.0, 0.0, 0.0)
    drain = links_s(c, C_ENDS, 0.0, 0.0, o_last, 0.0, 0.0, 0.0, 0.0)
    # Descriptors of the first tile and of the last store, beside the bytes they bring.
    first_jobs = w_desc * c[C_EXPOSED] + i_desc
    first_jobs = first_jobs + tile.o_jobs * pick(c[C_SIDE] > 0.0, c[C_HOME_S], 0.0)
    wait = larger(first_jobs * c[C_DESC] / c[C_F] - fill, 0.0)
    wait = wait + larger(tile.o_jobs * c[C_HOME_O] * c[C_DESC] / c[C_F] - drain, 0.0)
    latency = c[C_LAT0] + fill + wait + body + drain
    w_all, i_all, s_all = w_first + w_later, i_first + i_later, s_first + s_later
    o_all = o_last + o_before
    idle = larger(arr.cycles * c[C_UNITS] - c[C_MACS] / c[C_RATE], 0.0)
    descriptors = outer * d_often + steps * d_step + up.jobs
    dynamic = (
        c[C_E0]
        + idle * c[C_P_IDLE]
        + arr.updates * c[C_P_ACC]
        + (reads + o_all) * c[C_P_READ]
        + (writes + w_all + i_all + spilled + s_all) * c[C_P_WRITE]
        + w_all * c[C_P_W]
        + i_all * c[C_P_I]
        + spilled * c[C_P_O_LOAD]
        + o_all * c[C_P_O_STORE]
        + s_all * c[C_P_S]
        + descriptors * c[C_P_DESC]
        + arr.joules
        + up.joules
    )
    energy = dynamic + c[C_STATIC] * latency
    allowed = real & ((visits <= 1.0) | (c[C_HOME_O] > 0.0))
    return Cost(
        latency,
        energy,
        allowed,
        Parts(
            array_step, vector_step, vector_often, port1, port2, port3, dma1, dma2, wait * c[C_F]
        ),
        Operands(w1, i_step + i_often, out1, s_step + s_often),
        Operands(w_step, i_step, in_step + out_step, s_step),
        Ends(w_first, i_first, s_first, o_last),
        Totals(
            reads + o_all,
            writes + w_all + i_all + spilled + s_all,
            w_all,
            i_all,
            spilled,
            o_all,
            s_all,
            idle,
            descriptors,
            count1,
            count2,
        ),
    )


@shared
def rounded(value: Any) -> Any:
    """``value`` to 40 bits of mantissa (Veltkamp's split), so that rounding breaks no tie."""
    wide = value * 8193.0
    return wide - (wide - value)


@shared
def keys(latency: Any, energy: Any, objective: int) -> Any:
    """What is minimised, in lexicographic order: the objective, then its tie-break.

    ``objective`` is a code of :mod:`dse.mapping.cost.objectives`.
    """
    if objective == 0:
        return rounded(latency * energy), rounded(energy)
    if objective == 1:
        return rounded(latency), rounded(energy)
    if objective == 2:
        return rounded(energy), rounded(latency)
    parts = objective - 3
    first = quarters(energy, parts // 64) * quarters(latency, parts % 64)
    return rounded(first), rounded(energy)


@shared
def quarters(value: Any, count: int) -> Any:
    """``value`` to the power ``count / 4``, in operations that round the same everywhere."""
    root = np.sqrt(np.sqrt(value))
    out = value * 0.0 + 1.0
    for _ in range(count % 4):
        out = out * root
    for _ in range(count // 4):
        out = out * value
    return out
