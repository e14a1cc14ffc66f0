"""Which members of a front a reader should look at first, and in what each is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.evaluation.metrics import metric_of
from dse.reports.tables import Study
from dse.search import Outcome
from dse.search.experiment import Objective
from dse.search.front import losses_of


@dataclass(frozen=True)
class Pick:
    """A front member with the reason to look at it."""

    title: str
    outcome: Outcome
    why: str


def picks(study: Study) -> list[Pick]:
    """The best member in each objective, and the balanced one.

    Balanced: least distance to the ideal point with each objective scaled to its range on the
    front.
    """
    front = study.front
    if not front:
        return []
    losses = losses_of(front, study.experiment)
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    found: dict[str, tuple[Outcome, list[str]]] = {}

    def add(index: int, what: str) -> None:
        outcome = front[index]
        found.setdefault(outcome.key, (outcome, []))[1].append(what)

    add(int(np.argmin(np.linalg.norm(scaled, axis=1))), "balanced")
    for column, objective in enumerate(study.experiment.objectives):
        best = int(np.lexsort((scaled.sum(axis=1), losses[:, column]))[0])
        add(best, praise(objective))
    return [
        Pick(", ".join(titles).capitalize(), outcome, why(outcome, study))
        for outcome, titles in found.values()
    ]


def praise(objective: Objective) -> str:
    """What the best design in an objective is called."""
    metric = metric_of(objective.metric)
    if objective.sense != metric.sense:
        return f"best {objective.metric}"
    scope, dot, _ = objective.metric.rpartition(".")
    return f"{metric.praise}, {scope}" if dot else metric.praise


def why(outcome: Outcome, study: Study) -> str:
    """In what the design stands out: its rank on the front, and where energy and time go."""
    front = study.front
    losses = losses_of(front, study.experiment)
    own = losses_of([outcome], study.experiment)[0]
    parts = []
    for column, objective in enumerate(study.experiment.objectives):
        rank = int(np.sum(losses[:, column] < own[column])) + 1
        parts.append(f"{rank} of {len(front)} in {objective.metric}")
    record = outcome.record
    energy = record.energy_breakdown_j
    total = sum(energy.values()) or 1.0
    largest = sorted(energy.items(), key=lambda item: -item[1])[:3]
    share = ", ".join(f"{name} {joules / total:.0%}" for name, joules in largest)
    busy = record.resource_utilization
    load = ", ".join(f"{name} {value:.0%}" for name, value in busy.items() if value > 0.005)
    return f"Rank {'; '.join(parts)}. Energy goes to {share}. Busy: {load}."
