"""The cheapest level: what no schedule of a design can beat, and whether that already decides.

The roofline bounds latency, power and energy from below; area, cost and quality it knows exactly.
A design whose bound breaks a requirement is infeasible; one whose bound is dominated by a design
already found cannot reach the front. Neither needs to be mapped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.evaluation.record import METRICS, Evaluation
from dse.search.experiment import Experiment

#: Metrics that the optimistic levels bound on their good side, or know exactly.
BOUNDED = frozenset(
    {
        "latency_s",
        "energy_j",
        "average_power_w",
        "dram_bytes",
        "area_mm2",
        "die_cost_usd",
        "unit_cost_usd",
        "carbon_kg",
        "quality",
    }
)
#: Known exactly at every level.
EXACT = frozenset({"area_mm2", "die_cost_usd", "unit_cost_usd", "quality"})
#: Share by which the analytic level may exceed the simulated one where it should bound it: the mean
#: of a converter's losses against the loss at the mean load (0.2 % on the shipped apps).
SLACK = 0.005


@dataclass(frozen=True)
class Bound:
    """Optimistic losses of a design, one per column of :func:`columns`; -inf where unknown.

    ``serves`` is false if the level proves that a requirement other than unit cost is broken;
    ``losses`` is None if the design cannot be built or mapped.
    """

    losses: tuple[float, ...] | None
    serves: bool


def columns(experiment: Experiment, volumes: Sequence[str]) -> list[str]:
    """What dominance is judged by: the objectives, and unit cost at every volume if it is one.

    A design that is dear at one volume may be the right one at another, so it is only left out if
    another beats it at all of them.
    """
    names = [objective.metric for objective in experiment.objectives]
    if "unit_cost_usd" in names:
        names += [f"unit_cost_usd@{volume}" for volume in volumes]
    return names


def losses(record: Evaluation, experiment: Experiment, *, exact: bool) -> tuple[float, ...]:
    """The row of :func:`columns` of a record; -inf where it is no bound.

    Args:
        exact: whether the record is of the level that decides: all values count as they are.
    """
    out = []
    for objective in experiment.objectives:
        name = objective.metric.rpartition(".")[2]
        value = record.metric(objective.metric)
        natural = METRICS[name] == objective.sense
        if value is None and name == "quality":
            value = -1.0
        if value is None or not (exact or (name in BOUNDED and (natural or name in EXACT))):
            out.append(-math.inf)
            continue
        loss = objective.loss(float(value))
        if not exact and name not in EXACT:
            loss -= SLACK * abs(loss)
        out.append(loss)
    if any(objective.metric == "unit_cost_usd" for objective in experiment.objectives):
        sense = next(o for o in experiment.objectives if o.metric == "unit_cost_usd")
        by_volume: Mapping[str, float] = record.unit_cost_by_volume_usd
        out.extend(sense.loss(cost) for cost in by_volume.values())
    return tuple(out)


def dominated(row: Sequence[float], front: NDArray[np.float64]) -> bool:
    """Whether some row of ``front`` is nowhere worse than ``row`` and somewhere better."""
    if len(front) == 0:
        return False
    mine = np.asarray(row)
    return bool(np.any(np.all(front <= mine, axis=1) & np.any(front < mine, axis=1)))
