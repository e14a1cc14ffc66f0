"""Branch and bound over every whole number as a buffer tile: one compiled loop.

Boxes of tilings wait in a heap, the one of least bound on top. It is cut in two along one dim; the
tiling of its smallest tiles is tried. When the top can no longer beat what was found, nothing
can; when the effort is spent, the top's bound holds for all that is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.arrays import array_side
from dse.mapping.cost.costs import (
    NOTHING,
    R_NRAG,
    R_RAG,
    R_SLIDE,
    R_SPAN,
    ROW_FIELDS,
    S_FX,
    S_FY,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    fits,
    keys,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import HOLDS, group_counts, moves, transfers
from dse.mapping.cost.records import Bound, Groups
from dse.mapping.cost.tile_rows import fill_whole, span
from dse.mapping.search.box_bound import (
    HAIR,
    box_ends,
    box_key,
    box_side,
    first_weights,
    largest,
)
from dse.mapping.search.box_rows import fill_box
from dse.mapping.search.levels import kept_lines, room_taken
from dse.mapping.tools.compiling import Function, loops, shared
from dse.mapping.tools.stamp import stamped

#: What the search returns: unit, sizes of six dims, flow, order, hold.
P_UNIT, P_TILES, P_FLOW, P_ORDER, P_HOLD = 0, 1, 7, 8, 9
PROVEN = 10
#: Fields of a box: unit, least and largest tile of six dims.
N_UNIT, N_LOW, N_HIGH = 0, 1, 7
NODE = 13


@loops
def bound_of_box(
    cs: Any, masks: Any, up: Any, objective: int, hold_mask: int, flows: Any, held_in: bool,
    unit: Any, box: Any, fewest: float, sizes: Any, align: Any, nest: Any, over: Any, held: Any,
    rows: Any, whole: Any,
) -> Any:  # fmt: skip
    """Key that no mapping with tiles in the box beats; infinite if nothing in it fits.

    ``up``: seconds and joules that all transfers take at least, by mask (with L2 tiles).
    """
    # So many arguments: records of arrays would be counted by Numba in every call.
    s, c0 = unit, cs[0]
    steps = s[S_TAP_TILES]
    for d in range(6):
        low, high = box[N_LOW + d], box[N_HIGH + d]
        fill_box(rows[d], d, low, high, sizes, align, s, nest)
        steps = steps * np.ceil(sizes[d] / low)
    fill_whole(whole, sizes, align, s, nest)
    g, b, k, r, y, x = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    tile = tile_side(c0, s[S_TAPS], g, b, k, r, y, x)
    inside, outside = group_counts(s, g, b, k, r, y, x), Groups(1.0, 1.0, 1.0, 1.0)
    deep, z = sizes[0] * sizes[1] * sizes[3], s[S_O]
    kept = kept_lines(s, nest, deep, y, x, y[R_SLIDE], x[R_SLIDE], whole)
    lines = whole[4, R_SPAN] * whole[5, R_SPAN]
    spans_y = span(box[N_HIGH + 4], s[S_FY], nest[2], nest[3])
    spans_x = span(box[N_HIGH + 5], s[S_FX], nest[4], nest[5])
    most = largest(s, box[N_HIGH:], (spans_y, spans_x))
    early = first_weights(tile, most[0])
    side, reads, writes = box_side(
        c0, flows, held_in, s, fewest, deep, lines, sizes, g, b, k, r, y, x
    )
    least = np.inf
    if side.seconds == np.inf:
        return least
    for mi in range(masks.shape[0]):
        mask = masks[mi]
        c = cs[mask]
        ends = box_ends(c, tile)
        allowed = hold_mask
        if mask > 0 or s[S_TAP_TILES] > 1.0:
            allowed = 1
        for order in range(3):
            for hold in range(HOLDS):
                if not allowed >> hold & 1:
                    continue
                f = room_taken(
                    c, hold, False, over[order, hold], s, tile, inside, g, b, k, r, y, x, whole
                )
                if not fits(c, f):
                    continue
                move, _ = moves(order, 0, held[order, hold], inside, outside, kept, s[S_W], z)
                part = transfers(c, order, move, early, NOTHING)
                links = Bound(max(part.seconds, up[mask, 0]), (part.joules + up[mask, 1]) * HAIR)
                key = box_key(c, objective, side, reads, writes, ends, links, move, most, steps)
                least = min(least, key)
    return least


@loops
def best_of_tiling(
    c: Any, objective: int, hold_mask: int, flows: Any, unit: Any, sizes: Any, nest: Any,
    over: Any, held: Any, one: Any, rows: Any, whole: Any, score: Any, best: Any,
) -> bool:  # fmt: skip
    """Try every dataflow, order and hold of the tiling of exact ``rows``; whether one is better."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    s = unit
    g, b, k, r, y, x = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
    inside, outside = group_counts(s, g, b, k, r, y, x), Groups(1.0, 1.0, 1.0, 1.0)
    deep, z = sizes[0] * sizes[1] * sizes[3], s[S_O]
    kept = kept_lines(s, nest, deep, y, x, y[R_SLIDE], x[R_SLIDE], whole)
    allowed = hold_mask if s[S_TAP_TILES] == 1.0 else hold_mask & 1
    better = False
    for fi in range(flows.shape[0]):
        arr = array_side(c, flows[fi], s, one, g, b, k, r, y, x)
        if not arr.usable:
            continue
        for order in range(3):
            for hold in range(HOLDS):
                if not allowed >> hold & 1:
                    continue
                move, real = moves(order, 0, held[order, hold], inside, outside, kept, s[S_W], z)
                if not real:
                    continue
                f = room_taken(
                    c, hold, arr.partial, over[order, hold], s, tile, inside, g, b, k, r, y, x,
                    whole,
                )  # fmt: skip
                if not fits(c, f):
                    continue
                out = step_side(c, order, arr, tile, move, NOTHING, real)
                if not out.allowed:
                    continue
                key1, key2 = keys(out.latency_s, out.energy_j, objective)
                if key1 < score[0] or (key1 == score[0] and key2 < score[1]):
                    score[0], score[1] = key1, key2
                    best[P_FLOW], best[P_ORDER], best[P_HOLD] = fi, order, hold
                    better = True
    return better


@shared
def push(heap: Any, bounds: Any, count: int, node: int) -> None:
    """Put a node into the heap of ``count`` nodes."""
    at = count
    while at > 0:
        above = (at - 1) // 2
        if bounds[heap[above]] <= bounds[node]:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = node


@shared
def pop(heap: Any, bounds: Any, count: int) -> int:
    """Take the node of least bound off a heap of ``count`` nodes."""
    top, last = heap[0], heap[count - 1]
    at, size = 0, count - 1
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and bounds[heap[below + 1]] < bounds[heap[below]]:
            below += 1
        if bounds[last] <= bounds[heap[below]]:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = last
    return int(top)


@shared
def cut_dim(box: Any, sizes: Any) -> int:
    """The dim along which a box is cut: whose numbers of tiles differ most; -1: all are single.

    Where none differ (tiles that only leave more or less of the last) the widest interval.
    """
    best, dim = 0.0, -1
    for d in range(6):
        low, high = box[N_LOW + d], box[N_HIGH + d]
        if low < high:
            most, least = np.ceil(sizes[d] / low), np.ceil(sizes[d] / high)
            width = most / least - 1.0 + 1e-6 * (high / low)
            if width > best:
                best, dim = width, d
    return dim


@shared
def cut_at(low: Any, high: Any, size: Any, factor: Any) -> Any:
    """The least tile of the upper part of an interval: where the number of tiles is the geometric
    mean; within one number of tiles first the smallest, then a multiple of the unrolling."""
    most, least = np.ceil(size / low), np.ceil(size / high)
    if most > least:
        middle = max(least, min(most - 1.0, np.floor(np.sqrt(most * least))))
        return max(low + 1.0, np.ceil(size / middle))
    whole = np.ceil((low + high) / 2.0 / factor) * factor
    if low < whole <= high:
        return whole
    return np.ceil((low + high) / 2.0)


@loops
def _visit(
    cs: Any, masks: Any, up: Any, objective: int, hold_mask: int, exact: bool, effort: int,
    slack: float, flows: Any, units: Any, fewest: float, sizes: Any, align: Any, nest: Any,
    over: Any, held: Any, one: Any, rows: Any, whole: Any, nodes: Any, bounds: Any, heap: Any,
    spare: Any, best: Any, score: Any,
) -> None:  # fmt: skip
    """Fill ``best`` and ``score`` (keys found, bound proven, boxes looked at) of the search."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    # In one piece: heap, nodes and what was found belong to all of it.
    held_in, made, waiting, looked = not exact, 0, 0, 0
    low, limit = np.inf, nodes.shape[0] - 2
    for ui in range(units.shape[0]):
        node = nodes[made]
        node[N_UNIT] = ui
        for d in range(6):
            node[N_LOW + d], node[N_HIGH + d] = 1.0, sizes[d]
        key = bound_of_box(
            cs, masks, up, objective, hold_mask, flows, held_in, units[ui], node, fewest, sizes,
            align, nest, over, held, rows, whole,
        )  # fmt: skip
        looked += 1
        if key == np.inf:
            continue
        if key >= score[0] * (1.0 - slack) or made >= limit:
            low = min(low, key)
            continue
        bounds[made] = key
        push(heap, bounds, waiting, made)
        made, waiting = made + 1, waiting + 1
    free = 0
    while waiting > 0:
        at = pop(heap, bounds, waiting)
        waiting -= 1
        key = bounds[at]
        full = made + 2 > limit and free < 2
        if key >= score[0] * (1.0 - slack) or key >= low or looked >= effort or full:
            low = min(low, key)
            break
        node = nodes[at]
        ui = int(node[N_UNIT])
        s = units[ui]
        if exact and masks[0] == 0:
            for d in range(6):
                fill_box(rows[d], d, node[N_LOW + d], node[N_LOW + d], sizes, align, s, nest)
            fill_whole(whole, sizes, align, s, nest)
            if best_of_tiling(
                cs[0], objective, hold_mask, flows, s, sizes, nest, over, held, one, rows, whole,
                score, best,
            ):  # fmt: skip
                best[P_UNIT] = ui
                for d in range(6):
                    best[P_TILES + d] = int(node[N_LOW + d])
        d = cut_dim(node, sizes)
        if d < 0:
            # One tiling: known exactly, unless it may have tiles above or below the buffer.
            if not (exact and masks[0] == 0 and masks.shape[0] == 1):
                low = min(low, key)
            spare[free] = at
            free += 1
            continue
        middle = cut_at(node[N_LOW + d], node[N_HIGH + d], sizes[d], s[d])
        first = node[N_LOW + d]
        for half in range(2):
            if half == 0 and free == 0:
                into, made = made, made + 1
            elif half == 0:
                free -= 1
                into = spare[free]
            else:
                into = at
            child = nodes[into]
            if half == 0:
                for n in range(NODE):
                    child[n] = node[n]
                child[N_LOW + d] = middle
            else:
                child[N_LOW + d], child[N_HIGH + d] = first, middle - 1.0
            own = bound_of_box(
                cs, masks, up, objective, hold_mask, flows, held_in, s, child, fewest, sizes,
                align, nest, over, held, rows, whole,
            )  # fmt: skip
            looked += 1
            own = max(own, key)
            if own == np.inf or own >= score[0] * (1.0 - slack):
                low = min(low, own)
                spare[free] = into
                free += 1
                continue
            bounds[into] = own
            push(heap, bounds, waiting, into)
            waiting += 1
    score[2], score[3] = min(low, score[0]), float(looked)


def _proof_function(version: int) -> Function:
    """The proof, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def prove_boxes(
        cs: Any, masks: Any, up: Any, objective: int, hold_mask: int, exact: bool, effort: int,
        slack: float, flows: Any, units: Any, fewest: float, sizes: Any, align: Any, nest: Any,
        over: Any, held: Any, score: Any,
    ) -> Any:  # fmt: skip
        """Indices (:data:`PROVEN`) of a mapping better than the keys in ``score``, or -1.

        Args:
            cs: constants by mask; masks: of operands in L2 tiles, 0 for none; up: see
                :func:`bound_of_box`; hold_mask: bits of the uneven cuts that are allowed.
            exact: whether a tiling is evaluated when a box is down to it (not with registers).
            effort: most boxes looked at; slack: share of the best within which a bound is enough.
            units: unrollings (fields ``S_*``); fewest: array steps that none gets below.
            score: keys to beat; receives those found, the bound, and the boxes looked at.
        """
        # So many arguments: records of arrays would be counted by Numba in every call.
        best = np.full(PROVEN, -1, np.int64)
        if version < 0:  # never: makes the version part of the cached function
            return best
        most = min(units.shape[0], effort) + effort // 2 + 8
        nodes, bounds = np.empty((most, NODE)), np.empty(most)
        heap, spare = np.empty(most + 2, np.int64), np.empty(most + 2, np.int64)
        rows, whole, one = np.ones((6, ROW_FIELDS)), np.ones((6, ROW_FIELDS)), np.ones(ROW_FIELDS)
        one[R_RAG] = one[R_NRAG] = 0.0
        _visit(
            cs, masks, up, objective, hold_mask, exact, effort, slack, flows, units, fewest, sizes,
            align, nest, over, held, one, rows, whole, nodes, bounds, heap, spare, best, score,
        )  # fmt: skip
        return best

    return prove_boxes


#: Types of the arguments of ``prove_boxes``.
SIGNATURE = (
    "f8[:, ::1], i8[::1], f8[:, ::1], i8, i8, b1, i8, f8, i8[::1], f8[:, ::1], f8, f8[::1], "
    "f8[::1], f8[::1], f8[:, :, :, ::1], f8[:, :, ::1], f8[::1]"
)
prove_boxes = stamped(_proof_function)
