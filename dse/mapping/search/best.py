"""The best mapping of a packed problem: the two-level search, then what more levels can gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.mapping.cost import costs as k
from dse.mapping.cost.levels_cost import HOLDS
from dse.mapping.cost.objectives import Objective, objective_code
from dse.mapping.cost.units import E_MASK, E_ORDER, E_TILES
from dse.mapping.search import kernel
from dse.mapping.search.levels import (
    F_ENTRY,
    F_FLOW,
    F_HOLD,
    F_ORDER,
    F_TILES,
    F_UNIT,
    HOLD_TABLES,
    search_levels,
)
from dse.mapping.search.placement import Placement
from dse.mapping.space.hierarchy import Outer, can_tile, constants_by_mask, entries, whole_entry
from dse.mapping.space.problem import Problem
from dse.mapping.space.registers import register_units
from dse.registry import Remembered, cached

#: Mask of all order classes.
ALL_ORDERS = 0b111


@dataclass(frozen=True)
class Found:
    """A mapping and what it reaches of the objective, tie-break second."""

    placement: Placement
    keys: tuple[float, float]


def search(problem: Problem, objective: Objective) -> Any:
    """Indices of the best two-level mapping (see ``kernel.search``); all -1 if none fits."""
    return _scored(problem, objective_code(objective), ALL_ORDERS)[0]


def _scored(problem: Problem, code: int, orders: int) -> tuple[Any, tuple[float, float]]:
    arguments = problem.arguments
    at = kernel.search(problem.c, code, orders, *arguments)
    return at, (float(arguments[-1][0]), float(arguments[-1][1]))


def two_level(problem: Problem, at: Any) -> Placement:
    """The mapping at the indices that :func:`search` returned."""
    where = at.tolist()
    sizes = problem.tiles
    return Placement(
        problem.spatial[where[0]],
        tuple([int(sizes[d, n]) for d, n in enumerate(where[1:7])]),
        int(problem.flows[where[7]]),
        where[8],
    )


def best_mapping(
    problem: Problem,
    objective: Objective,
    *,
    outer_room: float = 0.0,
    uneven: bool = True,
    orders: tuple[int, ...] = (0, 1, 2),
    hold: int | None = None,
) -> Found | None:
    """The best mapping of the whole map space; None if nothing fits.

    Args:
        outer_room: bytes of L2 that tiles may take; 0 leaves L2 out.
        uneven: whether operands may be held beyond their tile.
        orders: order classes allowed for the buffer's tiles.
        hold: the one uneven cut allowed (0: even cuts only); None for all.
    """
    code = objective_code(objective)
    found = None
    holds = (1 << HOLDS) - 1 if uneven else 1
    if hold is not None:
        holds &= 1 << hold
    allowed = sum(1 << n for n in orders)
    if not problem.registers and holds & 1:
        at, score = _scored(problem, code, allowed)
        if at[0] >= 0:
            found = Found(two_level(problem, at), score)
    if not problem.registers:
        holds &= ~1
    return more_levels(problem, code, found, outer_room, holds, allowed) or found


def more_levels(
    problem: Problem,
    code: int,
    best: Found | None,
    outer_room: float,
    holds: int,
    orders: int,
) -> Found | None:
    """A mapping with register tiles, L2 tiles or uneven cuts that beats ``best``; None if none.

    ``holds`` and ``orders`` are masks of what is allowed.
    """
    may = can_tile(problem) if outer_room > 0.0 else 0
    if not (holds or may):
        return None
    masks = tuple(mask for mask in range(1, 8) if mask & may == mask)
    registers = problem.registers
    lists = [whole_entry(problem)] if holds else []
    cs = constants_by_mask(problem, masks)
    if masks:
        lists.append(entries(problem, cs, masks, outer_room))
    table = np.concatenate(lists)
    if registers:
        units, tiles = register_units(problem)
        if not len(units):  # the registers hold no tile at all
            return None
        groups = unit_groups(units)
    else:
        units, tiles = problem.spatial, None
        groups = _groups.of(id(units), lambda: unit_groups(units), units)
    start = np.array(best.keys if best else (np.inf, np.inf))
    sizes, lengths = problem.level_tiles, problem.level_lengths
    score = np.full(2, np.inf)
    at = search_levels(
        cs, code, table, start, holds, orders, problem.flows, units, tiles, groups,
        problem.dims, sizes, lengths, tile_grid(tuple(lengths.tolist())), problem.align,
        problem.nest, *HOLD_TABLES, score,
    )  # fmt: skip
    if at[F_ENTRY] < 0:
        return None
    entry = table[at[F_ENTRY]]
    outer = None
    if entry[E_MASK]:
        above = tuple(
            _outer_size(int(entry[E_TILES + d]), int(sizes[d, at[F_TILES + d]]), n)
            for d, n in enumerate(problem.sizes[:6])
        )
        outer = Outer(above, int(entry[E_MASK]), int(entry[E_ORDER]))
    placed = Placement(
        units[at[F_UNIT]],
        tuple(int(sizes[d, at[F_TILES + d]]) for d in range(6)),
        int(problem.flows[at[F_FLOW]]),
        int(at[F_ORDER]),
        None if tiles is None else tiles[at[F_UNIT]],
        outer,
        int(at[F_HOLD]),
    )
    return Found(placed, (float(score[0]), float(score[1])))


def _outer_size(most: int, tile: int, size: int) -> int:
    """The L2 tile: as many whole buffer tiles as fit in the candidate."""
    return size if most >= size else max(tile, most // tile * tile)


_groups = Remembered("mapping.search.best.groups", 4096)


def unit_groups(units: Any) -> Any:
    """Where the filter tile of the units changes, and their number."""
    changes = (units[1:, k.S_FY :] != units[:-1, k.S_FY :]).any(axis=1)
    return np.array([0, *(np.flatnonzero(changes) + 1), len(units)], np.int64)


@cached(256)
def tile_grid(lengths: tuple[int, ...]) -> Any:
    """Tile indices of every tiling, a coarse part of them first so that bounds bite early."""
    found = np.indices(lengths).reshape(6, -1).T
    fine = (found % 2).any(axis=1)
    return np.ascontiguousarray(found[np.argsort(fine, kind="stable")])
