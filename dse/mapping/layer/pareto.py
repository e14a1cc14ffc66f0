"""The whole Pareto set of a layer: latency, energy and room in the buffer.

The candidates are those of :mod:`dse.mapping.search.levels` without L2 tiles (register tiles and
operands held beyond their tile included), and the optima of ``map_layer`` for latency, energy and
their product, which come from longer lists of tile sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.hardware.chip import Chip
from dse.mapping.cost.costs import (
    C_E0,
    C_LAT0,
    C_STATIC,
    NOTHING,
    ROW_FIELDS,
    S_O,
    S_TAP_TILES,
    S_TAPS,
    S_W,
    fits,
    rounded,
    step_side,
    tile_side,
)
from dse.mapping.cost.levels_cost import HOLDS, group_counts, moves, transfers
from dse.mapping.cost.tile_rows import fill_whole
from dse.mapping.cost.units import of_unit, outer_rows, prepare, side_cost, side_of
from dse.mapping.cost.zeros import winograd_fits
from dse.mapping.ir.homes import Homes, byte_price, default_homes
from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer.build import schedule
from dse.mapping.layer.mapper import default_room, map_layer
from dse.mapping.search.best import best_mapping, tile_grid, unit_groups
from dse.mapping.search.levels import HOLD_TABLES, kept_lines, room_taken
from dse.mapping.search.placement import Placement, evaluate
from dse.mapping.space.hierarchy import whole_entry
from dse.mapping.space.legal import check_profile
from dse.mapping.space.problem import Problem, pack
from dse.mapping.space.registers import register_units
from dse.mapping.tools.compiling import Function, loops, shared
from dse.mapping.tools.stamp import stamped
from dse.workload.layer import Layer

#: Most points a kernel keeps at once; more than any layer tried has.
POINTS = 8192


@shared
def enter(front: Any, at: Any, count: int, point: Any, place: Any) -> int:
    """Put a point into the front unless a member is as good in everything; the new count."""
    for n in range(count):
        if front[n, 0] <= point[0] and front[n, 1] <= point[1] and front[n, 2] <= point[2]:
            return count
    kept = 0
    for n in range(count):
        worse = front[n, 0] >= point[0] and front[n, 1] >= point[1] and front[n, 2] >= point[2]
        if not worse:
            for m in range(3):
                front[kept, m] = front[n, m]
            for m in range(place.shape[0]):
                at[kept, m] = at[n, m]
            kept += 1
    if kept == front.shape[0]:
        return kept
    front[kept, 0], front[kept, 1], front[kept, 2] = point
    for m in range(place.shape[0]):
        at[kept, m] = place[m]
    return kept + 1


@shared
def behind(front: Any, count: int, seconds: Any, joules: Any, room: Any) -> Any:
    """Whether a member of the front is at least as good as a bound in everything."""
    for n in range(count):
        if front[n, 0] <= seconds and front[n, 1] <= joules and front[n, 2] <= room:
            return True
    return False


@loops
def _collect(
    c: Any, flows: Any, units: Any, groups: Any, sizes: Any, grid: Any, align: Any, nest: Any,
    over: Any, held: Any, rows: Any, q: Any, one: Any, rows0: Any, slides: Any, whole: Any,
    place: Any, front: Any, at: Any,
) -> int:  # fmt: skip
    """Fill ``front`` and ``at``, and say how many points there are; ``rows`` to ``slides`` as
    :func:`prepare` and :func:`outer_rows` made them, ``whole`` and ``place`` to work in."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    count, deep, z = 0, sizes[0] * sizes[1] * sizes[3], units[0, S_O]
    for gi in range(groups.shape[0] - 1):
        u0, u1 = groups[gi], groups[gi + 1]
        s, base = units[u0], rows[u0]
        fill_whole(whole, sizes, align, s, nest)
        for ti in range(grid.shape[0]):
            j = grid[ti]
            g, b, k = base[0, j[0]], base[1, j[1]], base[2, j[2]]
            r, y, x = base[3, j[3]], base[4, j[4]], base[5, j[5]]
            tile = tile_side(c, s[S_TAPS], g, b, k, r, y, x)
            inside = group_counts(s, g, b, k, r, y, x)
            f = room_taken(c, 0, False, over[0, 0], s, tile, inside, g, b, k, r, y, x, whole)
            if not fits(c, f):
                continue
            outside = group_counts(
                units[0], rows0[0, 0, j[0]], rows0[0, 1, j[1]], rows0[0, 2, j[2]],
                rows0[0, 3, j[3]], rows0[0, 4, j[4]], rows0[0, 5, j[5]],
            )  # fmt: skip
            kept = kept_lines(s, nest, deep, y, x, slides[0, 0, j[4]], slides[0, 1, j[5]], whole)
            for ui in range(u0, u1):
                t = rows[ui]
                for fi in range(flows.shape[0]):
                    arr = side_of(
                        c, flows[fi], units[ui], of_unit(q, ui), one, t[0, j[0]], t[1, j[1]],
                        t[2, j[2]], t[3, j[3]], t[4, j[4]], t[5, j[5]],
                    )  # fmt: skip
                    if not arr.usable:
                        continue
                    side = side_cost(c, arr, z)
                    last = HOLDS if s[S_TAP_TILES] == 1.0 else 1
                    for order in range(3):
                        for hold in range(last):
                            move, real = moves(
                                order, 0, held[order, hold], inside, outside, kept, s[S_W], z
                            )
                            if not real:
                                continue
                            f = room_taken(
                                c, hold, arr.partial, over[order, hold], s, tile, inside,
                                g, b, k, r, y, x, whole,
                            )  # fmt: skip
                            if not fits(c, f):
                                continue
                            room = rounded(f.w + f.i + f.o + f.side)
                            links = transfers(c, order, move, tile, NOTHING)
                            seconds = c[C_LAT0] + max(side.seconds, links.seconds)
                            joules = c[C_E0] + side.joules + links.joules + c[C_STATIC] * seconds
                            if behind(front, count, seconds, joules, room):
                                continue
                            out = step_side(c, order, arr, tile, move, NOTHING, real)
                            if not out.allowed:
                                continue
                            place[0], place[7], place[8], place[9] = ui, fi, order, hold
                            for d in range(6):
                                place[1 + d] = j[d]
                            point = (rounded(out.latency_s), rounded(out.energy_j), room)
                            count = enter(front, at, count, point, place)
    return count


def _front_function(version: int) -> Function:
    def front_of(
        c: Any, entry: Any, flows: Any, units: Any, registers: Any, groups: Any, sizes: Any,
        tiles: Any, lengths: Any, grid: Any, align: Any, nest: Any, over: Any, held: Any,
    ) -> Any:  # fmt: skip
        """Points (latency, energy, bytes) of the front and their indices: unit, tile indices of
        six dims, flow, order, hold."""
        # So many arguments: records of arrays would be counted by Numba in every call.
        front, at = np.zeros((POINTS, 3)), np.zeros((POINTS, 10), np.int64)
        if version < 0:  # never: makes the version part of the cached function
            return front[:0], at[:0]
        rows, q, _, one = prepare(c, flows, units, registers, sizes, tiles, lengths, align, nest)
        rows0, slides = outer_rows(entry, tiles, lengths, sizes, align, units[0], nest)
        whole, place = np.ones((6, ROW_FIELDS)), np.zeros(10, np.int64)
        count = _collect(
            c, flows, units, groups, sizes, grid, align, nest, over, held, rows, q, one, rows0,
            slides, whole, place, front, at,
        )  # fmt: skip
        return front[:count], at[:count]

    return front_of


front_of = stamped(_front_function)


def pareto_layer(
    layer: Layer,
    chip: Chip,
    *,
    homes: Homes | None = None,
    room_bytes: float | None = None,
    legal: bool = False,
) -> tuple[LayerSchedule, ...]:
    """Schedules of a compute layer of which none is better than another in latency, energy and
    room in the buffer at once, the fastest first.

    Args:
        homes, room_bytes, legal: as of ``map_layer``; without ``room_bytes`` the whole buffer less
            what the homes put there.

    Raises:
        UnmappableError: no unit runs the layer, or its smallest tile does not fit.
        InputError: ``legal`` on a chip that does not say what its compiler can express.
    """
    if layer.nest is None:
        return (map_layer(layer, chip, homes=homes, room_bytes=room_bytes, legal=legal),)
    if legal:
        check_profile(chip)
    homes = homes or default_homes(layer, chip)
    byte_price(chip, homes.W, write=False)
    room = default_room(layer, chip, homes) if room_bytes is None else float(room_bytes)
    found: list[tuple[tuple[float, float, float], Problem, Placement]] = []
    for winograd in (False, True) if winograd_fits(layer.nest, chip.array) else (False,):
        problem = pack(
            layer, chip, homes, room, layer.nest.sizes, 1, legal=legal, winograd=winograd
        )
        for placed in _candidates(problem):
            result = evaluate(problem, placed)
            bytes_ = float(sum(float(v) for v in result.footprint))
            point = (float(rounded(result.latency_s)), float(rounded(result.energy_j)), bytes_)
            found.append((point, problem, placed))
    if not found:
        return (map_layer(layer, chip, homes=homes, room_bytes=room, legal=legal),)
    found.sort(key=lambda entry: entry[0])
    kept: list[tuple[float, float, float]] = []
    out = []
    for point, problem, placed in found:
        if not any(all(a <= b for a, b in zip(old, point, strict=True)) for old in kept):
            kept.append(point)
            out.append(schedule(problem, placed))
    return tuple(made.renamed(layer.name, layer.op) for made in out)


def _candidates(problem: Problem) -> list[Placement]:
    """The front over the candidates, and the optima of the three named objectives."""
    if problem.registers:
        units, registers = register_units(problem)
        if not len(units):
            return []
    else:
        units, registers = problem.spatial, None
    grid = tile_grid(tuple(int(n) for n in problem.level_lengths))
    _, places = front_of(
        problem.c, whole_entry(problem), problem.flows, units, registers,
        unit_groups(units), problem.dims, problem.level_tiles, problem.level_lengths, grid,
        problem.align, problem.nest, *HOLD_TABLES,
    )  # fmt: skip
    out = [
        Placement(
            units[at[0]],
            tuple(int(problem.level_tiles[d, at[1 + d]]) for d in range(6)),
            int(problem.flows[at[7]]),
            int(at[8]),
            None if registers is None else registers[at[0]],
            None,
            int(at[9]),
        )
        for at in places
    ]
    for objective in ("edp", "latency", "energy"):
        best = best_mapping(problem, objective)
        if best is not None:
            out.append(best.placement)
    return out
