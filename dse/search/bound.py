"""The cheapest level: what no schedule of a design can beat, and whether that already decides.

The roofline bounds latency, power and energy from below; area, cost and quality it knows exactly
(``bounded`` and ``exact`` of :class:`dse.evaluation.metrics.Metric`).
A design whose bound breaks a requirement is infeasible; one whose bound is dominated by a design
already found cannot reach the front. Neither needs to be mapped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.evaluation.metrics import compared, metric_of
from dse.evaluation.record import Evaluation
from dse.search.experiment import Experiment

#: Share by which the analytic level may exceed the simulated one where it should bound it: the mean
#: of a converter's losses against the loss at the mean load (0.2 % on the shipped apps).
SLACK = 0.005


@dataclass(frozen=True)
class Bound:
    """Optimistic losses of a design in the order of :func:`row`; -inf where unknown.

    ``serves`` is false if the level proves that a requirement other than unit cost is broken;
    ``losses`` is None if the design cannot be built or mapped.
    """

    losses: tuple[float, ...] | None
    serves: bool


def bounds_of(record: Evaluation, experiment: Experiment) -> tuple[float, ...]:
    """The row of an optimistic record that dominance is judged by, see :func:`row`."""
    out = []
    for objective in experiment.objectives:
        metric = metric_of(objective.metric)
        value = compared(objective.metric, record)
        natural = metric.sense == objective.sense
        if value is None or not (metric.bounded and (natural or metric.exact)):
            out.append(-math.inf)
            continue
        loss = objective.loss(float(value))
        out.append(loss if metric.exact else loss - SLACK * abs(loss))
    return row(out, record.unit_cost_by_volume_usd, experiment)


def row(
    losses: Sequence[float], costs_usd: Mapping[str, float], experiment: Experiment
) -> tuple[float, ...]:
    """What dominance is judged by: the objectives, and unit cost at every volume if it is one.

    A design that is dear at one volume may be the right one at another, so it is only left out if
    another beats it at all of them.
    """
    cost = next((o for o in experiment.objectives if o.metric == "unit_cost_usd"), None)
    extra = [] if cost is None else [cost.loss(float(value)) for value in costs_usd.values()]
    return (*losses, *extra)


def dominated(losses: Sequence[float], front: NDArray[np.float64]) -> bool:
    """Whether some row of ``front`` is nowhere worse than ``losses`` and somewhere better."""
    if len(front) == 0:
        return False
    mine = np.asarray(losses)
    return bool(np.any(np.all(front <= mine, axis=1) & np.any(front < mine, axis=1)))
