"""``levels.search_levels`` over arrays of tilings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    C_IN_O,
    NOTHING,
    ROW_FIELDS,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    fits,
    keys,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import HOLDS, fewest_jobs, group_counts, moves, up_side
from dse.mapping.cost.records import ArraySide, Bound
from dse.mapping.cost.tile_rows import fill_whole
from dse.mapping.cost.units import (
    E_JOULES,
    E_MASK,
    E_ORDER,
    E_SECONDS,
    E_WIDE,
    cut_joules,
    of_unit,
    outer_rows,
    prepare,
    side_cost,
    side_of,
)
from dse.mapping.search.levels import FOUND, bound_key, kept_lines, room_taken, within_entry
from dse.mapping.search.prune import ends_s

MARGIN = 1.0 + 1e-9


@dataclass
class _Best:
    """The best so far: its keys, where it was found, and its rank among equals of its group."""

    keys: tuple[float, float]
    at: Any
    rank: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """What all tilings of a filter tile share."""

    cs: Any
    objective: int
    s: Any
    full: Any
    base: Any
    whole: Any
    rows0: Any
    slides: Any
    over: Any
    held: Any
    nest: Any
    deep: float
    hold_mask: int
    order_mask: int


def search_levels_numpy(
    cs: Any, objective: int, entries: Any, start: Any, hold_mask: int, order_mask: int,
    flows: Any, units: Any, registers: Any, groups: Any, sizes: Any, tiles: Any,
    lengths: Any, grid: Any, align: Any, nest: Any, over: Any, held: Any, score: Any,
) -> Any:  # fmt: skip
    """See ``levels.search_levels``."""
    rows, q, low, one = prepare(cs[0], flows, units, registers, sizes, tiles, lengths, align, nest)
    rows0, slides = outer_rows(entries, tiles, lengths, sizes, align, units[0], nest)
    best = _Best((float(start[0]), float(start[1])), np.full(FOUND, -1, np.int64))
    deep, z, c = float(sizes[0] * sizes[1] * sizes[3]), units[0, S_O], cs[0]
    floor = Bound(entries[:, E_SECONDS].min(), entries[:, E_JOULES].min())
    for gi in range(len(groups) - 1):
        best.rank = ()
        u0, u1 = int(groups[gi]), int(groups[gi + 1])
        s, base, whole = units[u0], rows[u0], np.ones((6, ROW_FIELDS))
        fill_whole(whole, sizes, align, s, nest)
        frame = _Frame(
            cs,
            objective,
            s,
            units[0],
            base,
            whole,
            rows0,
            slides,
            over,
            held,
            nest,
            deep,
            hold_mask,
            order_mask,
        )
        least_s, least_j = low[u0:u1, :, 0].min(), low[u0:u1, :, 1].min()
        if bound_key(c, objective, Bound(least_s, least_j), 0.0, floor) > best.keys[0] * MARGIN:
            continue
        dims = [base[d, grid[:, d]].T for d in range(6)]
        tile = tile_side(c, s[S_TAPS], *dims)
        inside = group_counts(s, *dims)
        f = room_taken(c, 0, False, over[0, 0], s, tile, inside, *dims, whole)
        jobs = fewest_jobs(c, tile, inside)
        links = Bound(np.maximum(floor.seconds, jobs.seconds), floor.joules + jobs.joules)
        key = bound_key(c, objective, Bound(least_s, least_j), 0.0, links)
        chosen = fits(c, f) & (key <= best.keys[0] * MARGIN)
        chosen = np.flatnonzero(np.broadcast_to(chosen, len(grid)))
        for ui in range(u0, u1):
            for fi, flow in enumerate(flows):
                _try_unit(
                    frame, best, chosen, grid, floor, entries, int(flow), units[ui],
                    of_unit(q, ui), one, rows[ui], low[ui, fi], z, (ui, fi),
                )  # fmt: skip
    score[:] = best.keys
    return best.at


def _try_unit(
    frame: _Frame, best: _Best, chosen: Any, grid: Any, floor: Any, entries: Any, flow: int,
    unit: Any, q: Any, one: Any, rows: Any, low: Any, z: Any, place: tuple[int, int],
) -> None:  # fmt: skip
    """The tilings ``chosen`` on one unit and dataflow, under every entry, order and hold."""
    c, s, objective = frame.cs[0], frame.s, frame.objective
    dims = [frame.base[d, grid[chosen, d]].T for d in range(6)]
    inside = group_counts(s, *dims)
    jobs = fewest_jobs(c, tile_side(c, s[S_TAPS], *dims), inside)
    links = Bound(np.maximum(floor.seconds, jobs.seconds), floor.joules + jobs.joules)
    joules = low[1] + cut_joules(c, flow, unit, inside)
    key = bound_key(c, objective, Bound(low[0], joules), 0.0, links)
    at = chosen[np.broadcast_to(key <= best.keys[0] * MARGIN, len(chosen))]
    if not len(at):
        return
    arr = side_of(c, flow, unit, q, one, *(rows[d, grid[at, d]].T for d in range(6)))
    side = side_cost(c, arr, z)
    usable = np.broadcast_to(arr.usable, len(at))
    for ei, entry in enumerate(entries):
        mask = int(entry[E_MASK])
        ce = frame.cs[mask]
        dims = [frame.base[d, grid[at, d]].T for d in range(6)]
        tile = tile_side(ce, s[S_TAPS], *dims)
        jobs = fewest_jobs(ce, tile, group_counts(s, *dims))
        more = Bound(np.maximum(entry[E_SECONDS], jobs.seconds), entry[E_JOULES] + jobs.joules)
        key = bound_key(ce, objective, side, ends_s(ce, tile), more)
        ok = usable & within_entry(entry, *dims) & (key <= best.keys[0] * MARGIN)
        if not ok.any():
            continue
        allowed = 1
        if mask == 0:
            allowed = frame.hold_mask if s[S_TAP_TILES] == 1.0 else frame.hold_mask & 1
        own = ArraySide(*(np.broadcast_to(v, len(at))[ok] for v in arr))
        for order in range(3):
            for hold in range(HOLDS):
                if not (allowed >> hold & 1 and frame.order_mask >> order & 1):
                    continue
                found = _evaluated(frame, entry, ei, at[ok], grid, own, order, hold)
                if found is None:
                    continue
                pair, ti = found[:2], found[2]
                rank = (ti, *place, ei, order, hold)
                if pair < best.keys or (pair == best.keys and best.rank and rank < best.rank):
                    best.keys, best.rank = pair, rank
                    best.at[:] = (ei, place[0], *grid[ti], place[1], order, hold)


def _evaluated(
    frame: _Frame, entry: Any, ei: int, at: Any, grid: Any, arr: Any, order: int, hold: int
) -> tuple[float, float, int] | None:
    """Keys and tiling of the first best of the tilings ``at`` under one entry, order and hold."""
    mask, order0 = int(entry[E_MASK]), int(entry[E_ORDER])
    c, s = frame.cs[mask], frame.s
    of, z = grid[at], frame.full[S_O]
    dims = [frame.base[d, of[:, d]].T for d in range(6)]
    outer = [frame.rows0[ei, d, of[:, d]].T for d in range(6)]
    tile = tile_side(c, s[S_TAPS], *dims)
    inside = group_counts(s, *dims)
    up: Any = NOTHING
    real0: Any = True
    if mask > 0:
        up, real0, _ = up_side(c, order0, frame.full, z, frame.deep, *outer, tile)
    lines = (frame.slides[ei, 0, of[:, 4]], frame.slides[ei, 1, of[:, 5]])
    kept = kept_lines(s, frame.nest, frame.deep, dims[4], dims[5], *lines, frame.whole)
    move, real = moves(
        order, order0, frame.held[order, hold], inside, group_counts(frame.full, *outer), kept,
        s[S_W], z,
    )  # fmt: skip
    wide = (move.visits > 1.0) & (c[C_IN_O] > 0.0) & (entry[E_WIDE] == 0.0)
    f = room_taken(
        c, hold, arr.partial, frame.over[order, hold], s, tile, inside, *dims, frame.whole
    )
    out = step_side(c, order, arr, tile, move, up, real & real0)
    first, second = keys(out.latency_s, out.energy_j, frame.objective)
    first = np.where(fits(c, f) & out.allowed & ~wide, first, np.inf)
    low = float(first.min())
    if not np.isfinite(low):
        return None
    second = np.where(first == low, second, np.inf)
    index = int(second.argmin())
    return low, float(second[index]), int(at[index])
