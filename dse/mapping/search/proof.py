"""How far from the best of the whole map space a mapping of a problem can be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dse.mapping.cost import costs as k
from dse.mapping.cost.levels_cost import HOLDS
from dse.mapping.cost.objectives import Objective, objective_code
from dse.mapping.cost.outer_tiles import outer_moves
from dse.mapping.search.best import Found
from dse.mapping.search.levels import HOLD_TABLES
from dse.mapping.search.placement import Placement
from dse.mapping.search.proof_kernel import (
    P_FLOW,
    P_HOLD,
    P_ORDER,
    P_TILES,
    P_UNIT,
    prove_boxes,
)
from dse.mapping.space.hierarchy import can_tile, constants_by_mask
from dse.mapping.space.problem import Problem
from dse.mapping.space.unrollings import every_unit

#: Boxes of tilings looked at, at most, and the share of the best within which a bound is enough.
EFFORT = 6000
SLACK = 0.0


class Proof(NamedTuple):
    """What is known of all mappings of a problem.

    Attributes:
        bound: no mapping has a smaller first key.
        found: a mapping better than the one that was given; None if none was seen.
        boxes: looked at.
    """

    bound: float
    found: Found | None
    boxes: int


def prove(
    problem: Problem,
    objective: Objective,
    start: tuple[float, float],
    *,
    outer_room: float = 0.0,
    uneven: bool = True,
    effort: int = EFFORT,
    slack: float = SLACK,
) -> Proof:
    """Bound all mappings of a problem, with every whole number as a tile size.

    Args:
        start: keys of the best mapping known; infinite if none is.
        outer_room: bytes of L2 that tiles may take; uneven: whether operands may be held.
        effort: most boxes of tilings looked at, for each of the spaces with and without L2 tiles.
        slack: share of the best within which a bound is enough.
    """
    code = objective_code(objective)
    may = can_tile(problem) if outer_room > 0.0 else 0
    masks = tuple(mask for mask in range(1, 8) if mask & may == mask)
    units, fewest, exist = every_unit(problem)
    cs, up = constants_by_mask(problem, masks), _compulsory(problem, masks)
    holds = (1 << HOLDS) - 1 if uneven else 1
    score = np.array((*start, 0.0, 0.0))
    bound, boxes, found = np.inf, 0, None
    for part in ((0,), masks):
        if not part:
            continue
        at = _boxes(problem, code, cs, part, up, holds, effort, slack, units, fewest, score)
        if at[P_UNIT] >= 0 and exist:  # else it is better than any that can be built
            found = Found(_placement(problem, units, at), (float(score[0]), float(score[1])))
        bound, boxes = min(bound, float(score[2])), boxes + int(score[3])
    return Proof(bound, found, boxes)


def least_of(
    problem: Problem, objective: Objective, units: Any, fewest: float, effort: int = 1
) -> float:
    """A bound of all two-level mappings of a problem, whatever its room.

    Args:
        units: unrollings (fields ``costs.S_*``), or one that is better than all in every dim;
            fewest: array steps that none gets below.
        effort: boxes of tilings looked at beyond the whole.
    """
    score = np.array((np.inf, np.inf, 0.0, 0.0))
    up, holds = np.zeros((8, 2)), (1 << HOLDS) - 1
    cs = problem.c.reshape(1, -1)
    _boxes(
        problem, objective_code(objective), cs, (0,), up, holds, effort, 0.0, units, fewest, score
    )
    return float(score[2])


def _boxes(
    problem: Problem, code: int, cs: Any, part: tuple[int, ...], up: Any, holds: int, effort: int,
    slack: float, units: Any, fewest: float, score: Any,
) -> Any:  # fmt: skip
    return prove_boxes(
        cs, np.array(part, np.int64), up, code, holds, not problem.registers, effort, slack,
        problem.flows, units, fewest, problem.dims, problem.align, problem.nest, *HOLD_TABLES,
        score,
    )  # fmt: skip


def _placement(problem: Problem, units: Any, at: Any) -> Placement:
    return Placement(
        units[at[P_UNIT]],
        tuple(int(n) for n in at[P_TILES : P_TILES + 6]),
        int(problem.flows[at[P_FLOW]]),
        int(at[P_ORDER]),
        None,
        None,
        int(at[P_HOLD]),
    )


def _compulsory(problem: Problem, masks: tuple[int, ...]) -> Any:
    """Seconds that all transfers take at least, and joules beyond L2, by mask."""
    up = np.zeros((8, 2))
    s, part = problem.spatial[0], problem.part
    deep = float(problem.dims[0] * problem.dims[1] * problem.dims[3])
    lines = part[1] / deep
    whole = (float(s[k.S_W]), lines, float(s[k.S_O]), deep)
    cs = constants_by_mask(problem, masks)
    for mask in masks:
        c = cs[mask].tolist()
        _, seconds, _ = outer_moves(c, mask, 0, whole, 1.0, 1.0, 1.0, (lines, lines))
        joules = 0.0
        if mask & 1:
            joules += whole[0] * c[k.C_WB] * c[k.C_SW] * c[k.C_HOME_W] * c[k.C_UP_W]
        if mask & 2:
            joules += part[1] * c[k.C_IB] * c[k.C_SI] * c[k.C_HOME_I] * c[k.C_UP_I]
        if mask & 4:
            joules += whole[2] * c[k.C_OB] * c[k.C_SO] * c[k.C_HOME_O] * c[k.C_UP_O_STORE]
        up[mask] = float(seconds), joules
    return up
