"""A bound of every mapping whose buffer tiles lie in a box (:mod:`.box_rows`).

Every cost here grows with the fields of the rows, and those of a box are the least of its tilings.
Array, ports, vector unit and links work side by side at best; each alone takes at least what is
added up here, so a step takes no less than the slowest of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_AB,
    C_ACC_BYTES,
    C_DECODE,
    C_DOUBLE,
    C_E0,
    C_ENDS,
    C_EXPOSED,
    C_F,
    C_FILL,
    C_HAS_I,
    C_HAS_O,
    C_HAS_W,
    C_HIDDEN,
    C_HOME_I,
    C_HOME_O,
    C_HOME_S,
    C_HOME_W,
    C_IB,
    C_LAT0,
    C_LATCH,
    C_MACS,
    C_OB,
    C_ON_VECTOR,
    C_P_RI_READ,
    C_P_RI_WRITE,
    C_P_RO_READ,
    C_P_RO_WRITE,
    C_P_RW_READ,
    C_P_RW_WRITE,
    C_P_TRANSFORM,
    C_PRELOAD,
    C_RATE,
    C_READ,
    C_SI,
    C_SIDE,
    C_SO,
    C_STATIC,
    C_SW,
    C_VECTOR,
    C_WB,
    C_WRITE,
    R_FULL,
    R_N,
    R_STEPS,
    R_T,
    S_FX_STEPS,
    S_FY_STEPS,
    S_I,
    S_O,
    S_TAP_STEPS,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    bus_cycles,
    edge_cycles,
    keys,
    links_s,
)
from dse.mapping.cost.flows import (
    IS_BLOCKS,
    OS,
    OS_REGISTERS,
    WS,
    WS_BLOCKS,
    WS_REGISTERS,
)
from dse.mapping.cost.records import ArraySide, Bound, Tile
from dse.mapping.cost.units import side_cost
from dse.mapping.tools.compiling import shared

#: A hair less, so that rounding never lifts a bound above the cost that it bounds.
HAIR = 1.0 - 1e-9


@shared
def box_array(
    c: Any, flow: int, s: Any, fewest: Any, sizes: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any,
) -> Any:  # fmt: skip
    """The least of ``array_side`` over a box; ``usable``: whether any of its tilings may be.

    Args:
        fewest: array steps that no unrolling gets below.
    """
    taps = s[S_FY_STEPS] * s[S_FX_STEPS]
    outs = g[R_STEPS] * b[R_STEPS] * k[R_STEPS] * y[R_STEPS] * x[R_STEPS]
    reduction = r[R_STEPS] * taps
    steps = max(outs * reduction, fewest)
    sums = r[R_N] * s[S_TAP_TILES]
    inside = r[R_FULL] * s[S_TAP_STEPS] > 1.0  # the smallest tile accumulates, so all do
    w_steps = s[S_W] * (b[R_STEPS] * y[R_STEPS] * x[R_STEPS])
    i_steps = s[S_I] * k[R_STEPS]
    pre, usable, updates, kept = c[C_PRELOAD], True, 0.0, sums
    if flow == OS:
        passes, tiles, pre = outs, sums, 0.0
        w_reads, i_reads = w_steps, i_steps
    else:
        if flow == WS_BLOCKS or flow == WS:
            passes = g[R_STEPS] * k[R_STEPS] * reduction
            tiles, stream = b[R_N] * y[R_N] * x[R_N], sizes[1] * sizes[4] * sizes[5]
            live = min(s[0], g[R_T]) * min(s[2], k[R_T])
        else:
            passes = g[R_STEPS] * b[R_STEPS] * y[R_STEPS] * x[R_STEPS] * reduction
            tiles, stream = k[R_N], sizes[2]
            live = min(s[0], g[R_T]) * min(s[1], b[R_T])
            live = live * min(s[4], y[R_T]) * min(s[5], x[R_T])
        if flow == WS_BLOCKS or flow == IS_BLOCKS:
            if inside:
                # All tiles' blocks hold the whole stream, at most as much each as beside the
                # smallest tile.
                places = np.floor(c[C_ACC_BYTES] / (live * c[C_AB]))
                usable = places >= 1.0
                tiles = max(tiles, np.ceil(stream / max(places, 1.0)))
                updates = s[S_O] * reduction
        else:
            kept = reduction
        if flow == WS_BLOCKS or flow == WS:
            w_reads, i_reads = s[S_W] * tiles, i_steps
        else:
            w_reads, i_reads = w_steps, s[S_I] * tiles
    passes = passes * tiles
    cycles = steps / c[C_RATE]
    if c[C_HIDDEN] > 0.0:
        cycles = max(cycles, passes * pre)
    else:
        cycles = cycles + passes * pre
    cycles = cycles + passes * c[C_FILL]
    joules = i_reads * c[C_P_TRANSFORM]
    return ArraySide(
        cycles, w_reads, i_reads, updates, s[S_O] * (kept - 1.0), kept > 1.0, usable, joules,
        0.0, 0.0, 0.0,
    )  # fmt: skip


@shared
def box_registers(
    c: Any, flow: int, s: Any, fewest: Any, deep: Any, lines: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any,
) -> Any:  # fmt: skip
    """The least of ``register_side`` over a box and all register tiles.

    A dim takes at least as many passes as tiles, and its PEs hold at least one share.

    Args:
        fewest: as in :func:`box_array`; deep: G * B * C; lines: input lines of the whole layer.
    """
    taps, macs = s[S_FY_STEPS] * s[S_FX_STEPS], c[C_MACS]
    outs = g[R_STEPS] * b[R_STEPS] * k[R_STEPS] * y[R_STEPS] * x[R_STEPS]
    steps = max(outs * r[R_STEPS] * taps, fewest)
    a, sums = b[R_N] * y[R_N] * x[R_N], r[R_N] * s[S_TAP_TILES]
    has_w, has_i, has_o = c[C_HAS_W] > 0.0, c[C_HAS_I] > 0.0, c[C_HAS_O] > 0.0
    touched = deep * lines
    w_reads = s[S_W] * (a if has_w else b[R_STEPS] * y[R_STEPS] * x[R_STEPS])
    i_reads = touched * k[R_N] if has_i else s[S_I] * k[R_STEPS]
    kept = sums if has_o else r[R_STEPS] * taps
    w_j = i_j = o_j = w_spared = i_spared = o_spared = 0.0
    if has_w:
        w_j = macs * c[C_P_RW_READ] + s[S_W] * c[C_P_RW_WRITE]
        w_spared = (macs - s[S_W]) * c[C_P_RW_READ]
    if has_i:
        i_j = macs * c[C_P_RI_READ] + touched * c[C_P_RI_WRITE]
        i_spared = (macs - s[S_I]) * c[C_P_RI_READ]
    if has_o:
        both = c[C_P_RO_READ] + c[C_P_RO_WRITE]
        o_j = macs * both + s[S_O] * (kept * c[C_P_RO_READ] + (kept - 1.0) * c[C_P_RO_WRITE])
        o_spared = (macs - s[S_O]) * both
    joules = w_j + i_j + o_j + i_reads * c[C_P_TRANSFORM]
    if c[C_LATCH] > 0.0:
        joules = joules - max(max(w_spared, i_spared), max(o_spared, 0.0))
    preload = c[C_PRELOAD] * (1.0 - c[C_HIDDEN])
    if flow == WS_REGISTERS:
        fills = g[R_N] * k[R_N] * sums * a
    elif flow == OS_REGISTERS:
        fills, preload = g[R_N] * a * k[R_N] * sums, 0.0
    else:
        fills = g[R_N] * a * sums * k[R_N]
    cycles = steps / c[C_RATE] + fills * (preload + c[C_FILL])
    return ArraySide(
        cycles, w_reads, i_reads, 0.0, s[S_O] * (kept - 1.0), kept > 1.0, True, joules,
        0.0, 0.0, 0.0,
    )  # fmt: skip


@shared
def box_side(
    c: Any, flows: Any, held: bool, s: Any, fewest: Any, deep: Any, lines: Any, sizes: Any,
    g: Any, b: Any, k: Any, r: Any, y: Any, x: Any,
) -> Any:  # fmt: skip
    """Least seconds and joules of array, ports and vector unit in any dataflow, each apart; and the
    least bytes that it reads and writes. ``held``: operands are in registers."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    seconds, joules, reads, writes, cycles = np.inf, np.inf, np.inf, np.inf, np.inf
    for fi in range(flows.shape[0]):
        flow = flows[fi]
        if held:
            arr = box_registers(c, flow, s, fewest, deep, lines, g, b, k, r, y, x)
        else:
            arr = box_array(c, flow, s, fewest, sizes, g, b, k, r, y, x)
        if not arr.usable:
            continue
        cost = side_cost(c, arr, s[S_O])
        bus = bus_cycles(c, arr, s[S_O]) / c[C_F] * HAIR
        seconds, joules = min(seconds, max(cost.seconds, bus)), min(joules, cost.joules)
        cycles = min(cycles, arr.cycles)
        read = arr.w_reads * c[C_WB] + arr.i_reads * c[C_IB] + arr.sums * c[C_AB]
        reads = min(reads, read + s[S_O] * c[C_SIDE])
        writes = min(writes, arr.sums * c[C_AB] + s[S_O] * c[C_OB])
    # The vector unit does what is its own and, of a layer that runs there, the layer.
    vector = (c[C_VECTOR] + cycles * c[C_ON_VECTOR]) / c[C_F] * HAIR
    return Bound(max(seconds, vector), joules), reads, writes


@shared
def largest(s: Any, high: Any, spans: Any) -> Any:
    """The most elements of a tile of W, of I, and of O in a box of sizes up to ``high``.

    ``spans``: input lines of the largest tile along y and x.
    """
    g, b, k, r = high[0], high[1], high[2], high[3]
    w, i = g * k * r * s[S_TAPS], g * b * r * spans[0] * spans[1]
    return w, i, g * b * k * high[4] * high[5]


@shared
def box_key(
    c: Any, objective: int, side: Any, reads: Any, writes: Any, ends: Any, links: Any, move: Any,
    most: Any, steps: Any,
) -> Any:  # fmt: skip
    """Key that no mapping of a box with such transfers beats.

    Args:
        side, reads, writes: of :func:`box_side`; ends: seconds of first loads and last store.
        links, move: least transfers, and what they move; most: elements of the largest tiles of
            W, I, O; steps: the most steps of any tiling.
    """
    w = move.w * c[C_WB] * c[C_SW] * c[C_HOME_W]
    i = move.i * c[C_IB] * c[C_SI] * c[C_HOME_I]
    o = move.o * c[C_OB] * c[C_SO] * c[C_HOME_O]
    again = move.o * (move.visits - 1.0) * c[C_AB] * c[C_SO] * c[C_HOME_O]
    extra = move.o * c[C_SIDE] * c[C_HOME_S]
    # Beside the steps: all but the first tile and the last store.
    w = max(w - most[0] * c[C_WB] * c[C_SW] * c[C_HOME_W], 0.0)
    i = max(i - most[1] * c[C_IB] * c[C_SI] * c[C_HOME_I], 0.0)
    extra = max(extra - most[2] * c[C_SIDE] * c[C_HOME_S], 0.0)
    stores = max(o - most[2] * c[C_OB] * c[C_SO] * c[C_HOME_O], 0.0) + again
    edge = max(edge_cycles(c, w, i, again, extra, stores), w * c[C_DECODE])
    port = max(stores / c[C_READ], (w + i + again + extra) / c[C_WRITE])
    busy = side.seconds
    if c[C_DOUBLE] > 0.0:
        both = max((reads + stores) / c[C_READ], (writes + w + i + again + extra) / c[C_WRITE])
        apart = max(busy, max(both, edge) / c[C_F] * HAIR)
        # In the last step nothing moves.
        seconds = max(apart + ends, links.seconds + busy / steps * HAIR)
    else:
        seconds = busy + max(max(port, edge) / c[C_F] * HAIR + ends, links.seconds)
    seconds = c[C_LAT0] + seconds
    joules = c[C_E0] + side.joules + links.joules + c[C_STATIC] * seconds
    return keys(seconds, joules, objective)[0]


@shared
def box_ends(c: Any, tile: Any) -> Any:
    """Time to load the first tile and to store the last, over all links that they pass, s."""
    w = tile.w * c[C_WB] * c[C_SW] * c[C_HOME_W]
    i = tile.i * c[C_IB] * c[C_SI] * c[C_HOME_I]
    side = tile.o * c[C_SIDE] * c[C_HOME_S]
    o = tile.o_last * c[C_OB] * c[C_SO] * c[C_HOME_O]
    first = links_s(c, C_ENDS, w * c[C_EXPOSED], i, 0.0, side, 0.0, 0.0, 0.0)
    return (first + links_s(c, C_ENDS, 0.0, 0.0, o, 0.0, 0.0, 0.0, 0.0)) * HAIR


@shared
def first_weights(tile: Any, most_w: Any) -> Any:
    """The tile with as many weights as the largest one of the box: at most that many may have been
    loaded before the layer."""
    return Tile(
        most_w, tile.i, tile.o, tile.w_pad, tile.i_pad, tile.o_pad, tile.o_last,
        tile.w_jobs, tile.i_jobs, tile.o_jobs,
    )  # fmt: skip
