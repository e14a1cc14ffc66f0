"""What to change of the design that comes closest, where no design of a study holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dse.errors import InputError
from dse.evaluation import Fidelity, Value, app_uncertainty
from dse.evaluation.metrics import Band
from dse.explanation import (
    Judged,
    Limits,
    Move,
    Step,
    as_demand,
    given_of,
    impossible,
    ladder_moves,
    ladder_steps,
    natural_moves,
    ways_out,
)
from dse.search import Experiment, Outcome
from dse.search.candidate import at_level
from dse.search.parameters import Choices
from dse.search.resolved import ResolvedExperiment, resolve_experiment

#: How far a report searches, and how many draws its bands are of.
LIMITS = Limits(tries=80)
DRAWS = 16


def closest(outcomes: tuple[Outcome, ...]) -> Outcome | None:
    """The infeasible design with the least broken, one that was mapped if there is any."""
    able = [one for one in outcomes if one.state == "infeasible" and one.evaluation is not None]
    mapped = [one for one in able if one.evaluated] or able
    return min(mapped, key=lambda one: (one.violation, one.key), default=None)


def study_ways(
    experiment: Experiment,
    outcome: Outcome,
    on_try: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """The smallest sets of steps that mend a design of an experiment, see ``ways_out``.

    On the ladders of the experiment and, where it is of one app, of whatever else may be changed;
    what the experiment fixes stays. Its constraints count as the app's demands do.
    """
    moves = [*_own_moves(experiment, outcome), *_further_moves(experiment, outcome)]
    values: dict[str, list[Value]] = {}
    for move in moves:
        values.setdefault(move.path, []).append(move.step.after)
    further = {
        path: Choices(choices=tuple(alternatives))
        for path, alternatives in values.items()
        if path not in experiment.parameters
    }
    wide = experiment.model_copy(
        update={"parameters": {**experiment.parameters, **further}, "prune": False}
    )
    found = resolve_experiment(wide)
    several = len(experiment.uses) > 1
    return ways_out(
        moves,
        _Judge(found, outcome.values),
        experiment.fidelity,
        LIMITS,
        spread=None if several else _spread(found, outcome.values),
        on_try=on_try,
    )


def _own_moves(experiment: Experiment, outcome: Outcome) -> list[Move]:
    """Moves on the experiment's own ladders, for the parameters that count in the design."""
    parameters = {path: experiment.parameters[path] for path in outcome.values}
    ordered = {p: one.values for p, one in parameters.items() if not isinstance(one, Choices)}
    here = {path: outcome.values[path] for path in ordered}
    steps = [Step(path, here[path], v) for path, vs in ordered.items() for v in vs]
    out = ladder_moves([step for step in steps if step.after != step.before], ordered)
    free = {p: one.values for p, one in parameters.items() if isinstance(one, Choices)}
    out += [Move(step, 1) for step in ladder_steps(outcome.values, free, set())]
    paths = list(parameters)
    return sorted(out, key=lambda move: (paths.index(move.path), move.rungs))


def _further_moves(experiment: Experiment, outcome: Outcome) -> list[Move]:
    """Moves that the experiment did not think of; none for several apps, whose paths differ."""
    if len(experiment.uses) > 1:
        return []
    found = resolve_experiment(experiment).design(outcome.values)
    settings = experiment.design(outcome.values).settings
    decided = {*experiment.parameters, *experiment.fixed}
    return [m for m in natural_moves(**given_of(found, settings)) if m.path not in decided]


class _Judge:
    """A design of an experiment with changed values, judged as a search would."""

    def __init__(self, found: ResolvedExperiment, values: Mapping[str, Value]) -> None:
        self._found, self._values = found, values

    def __call__(self, level: Fidelity, changes: Mapping[str, Value]) -> Judged:
        try:
            parts = self._found.parts({**self._values, **changes})
            record, verdict = at_level(level, parts, self._found.experiment)
        except InputError as error:
            return impossible(error.describe())
        except OverflowError as error:
            return impossible(f"a figure is beyond what a number can hold ({error})")
        demands = tuple(as_demand(one) for one in verdict.demands)
        judged = Judged(record, demands, verdict.violation, tuple(verdict.reasons))
        return judged if verdict.possible else replace(judged, violation=math.inf)


def _spread(
    found: ResolvedExperiment, values: Mapping[str, Value]
) -> Callable[[Mapping[str, Value]], Mapping[str, Band] | None]:
    """Bands of a design with changed values."""
    experiment = found.experiment

    def bands(changes: Mapping[str, Value]) -> Mapping[str, Band] | None:
        try:
            one = found.design({**values, **changes})
        except InputError:
            return None
        seed, fidelity = experiment.seed, experiment.fidelity
        spread = app_uncertainty(one.app, one.workloads, one.chip, DRAWS, seed, fidelity=fidelity)
        return spread.bands

    return bands
