"""How likely each member of a front beats its neighbour, over draws that all members share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from dse.evaluation import Uncertainty, Value, app_uncertainty, probability_better
from dse.reports.tables import Study
from dse.search import Experiment, Outcome
from dse.search.resolved import ResolvedExperiment
from dse.search.workers import Workers

#: A member, and how many draws.
Job = tuple[dict[str, Value], int]


@dataclass(frozen=True)
class Confidence:
    """One front member with its bands, and how sure it is to beat the next one.

    ``beats_next`` maps each uncertain objective to the share of draws in which this member is
    better than the one after it in the order of the first objective; None for the last member.
    Objectives that technology does not move (quality) are left out.
    """

    objectives: tuple[float, ...]
    node: str
    parameters: dict[str, Value]
    reaches_clock: float
    bands: dict[str, dict[str, float]]
    beats_next: dict[str, float | None]


def front_confidence(
    study: Study,
    draws: int,
    workers: int | None,
    on_step: Callable[[int, int], None] | None,
) -> list[Confidence]:
    """Members of the front with distinct objectives, best first in the first objective."""
    members: dict[tuple[float, ...], Outcome] = {}
    for outcome in study.front:
        members.setdefault(outcome.objectives or (), outcome)
    chosen = list(members.values())
    jobs: list[Job] = [(outcome.values, draws) for outcome in chosen]
    found: dict[int, Uncertainty] = {}
    with Workers(study.experiment, workers) as pool:
        for number, spread in pool.run(_indexed, list(enumerate(jobs))):
            found[number] = spread
            if on_step is not None:
                on_step(len(found), len(jobs))
    return [
        _confidence(study.experiment, outcome, found[i], found.get(i + 1))
        for i, outcome in enumerate(chosen)
    ]


def _confidence(
    experiment: Experiment, outcome: Outcome, own: Uncertainty, after: Uncertainty | None
) -> Confidence:
    beats: dict[str, float | None] = {}
    for objective in experiment.objectives:
        name = objective.metric
        if name in own.samples:
            beats[name] = (
                probability_better(own.samples[name], after.samples[name], objective.sense)
                if after is not None
                else None
            )
    bands = {name: asdict(band) for name, band in own.bands.items() if name in beats}
    node = outcome.record.node
    return Confidence(
        outcome.objectives or (), node, outcome.values, own.reaches_clock, bands, beats
    )


def _indexed(found: ResolvedExperiment, job: tuple[int, Job]) -> tuple[int, Uncertainty]:
    """One member's draws, with its number (runs in a worker)."""
    number, (values, draws) = job
    parts, seed = found.design(values), found.experiment.seed
    spread = app_uncertainty(parts.app, parts.workloads, parts.chip, draws, seed)
    return number, spread
