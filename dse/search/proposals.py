"""Where proposals come from: Optuna's samplers behind one small port, or the whole grid.

Determinism: designs are asked in batches of a fixed size. Each batch has a sampler of its own,
seeded by (seed, batch number), and outcomes are told in the order of asking. So neither the number
of workers nor an interruption changes what is proposed: a resumed study asks the same batches
again and answers them from its log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from dse.evaluation.design import Value
from dse.search.candidate import Outcome, values_key
from dse.search.experiment import Choices, Experiment
from dse.search.front import front_of, losses_of

#: Designs whose neighbours are tried while nothing is feasible yet.
SUBSTITUTES = 4


class OptunaProposer:
    """Proposals of one of Optuna's samplers, a batch at a time."""

    def __init__(self, experiment: Experiment) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.experiment = experiment
        self.names = list(experiment.parameters)
        self.steps = {name: experiment.parameters[name].values for name in self.names}
        self.study = optuna.create_study(
            directions=[objective.sense for objective in experiment.objectives],
            sampler=self._sampler(0),
        )
        self.batch = 0
        self.told: dict[str, Outcome] = {}

    def ask(self) -> list[tuple[Any, dict[str, Value]]]:
        """The next batch: Optuna trials and their parameter values."""
        self.study.sampler = self._sampler(self.batch)
        for values in self._neighbours():
            self.study.enqueue_trial(self._indices(values))
        self.batch += 1
        trials = [self.study.ask(self._distributions()) for _ in range(self.experiment.batch)]
        return [(trial, self._values(trial.params)) for trial in trials]

    def tell(self, trial: Any, outcome: Outcome) -> None:
        """Report one outcome, in the order of asking."""
        self.told.setdefault(outcome.key, outcome)
        trial.set_constraint("requirements", outcome.violation)
        trial.set_user_attr("design", outcome.key)
        if outcome.objectives is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, list(outcome.objectives))

    def _neighbours(self) -> list[dict[str, Value]]:
        """Some untried designs one step from the present front (Pareto local search).

        In turn around the front's best member in each objective and around a random one, so that
        the ends of the front are pushed out. Without a feasible design the least infeasible ones stand in for the front.
        """
        share = self.experiment.local_share
        if share == 0.0 or len(self.told) < self.experiment.population:
            return []
        outcomes = list(self.told.values())
        best = [outcomes[index] for index in front_of(outcomes, self.experiment)]
        if not best:
            best = sorted(outcomes, key=lambda outcome: outcome.violation)[:SUBSTITUTES]
        rng = np.random.default_rng((self.experiment.seed, self.batch))
        losses = losses_of(best, self.experiment)
        ends = [int(np.argmin(losses[:, column])) for column in range(losses.shape[1])]
        chosen: dict[str, dict[str, Value]] = {}
        for turn in range(round(share * self.experiment.batch)):
            place = turn % (len(ends) + 1)
            index = ends[place] if place < len(ends) else int(rng.integers(len(best)))
            near = [v for v in self._around(best[index]) if values_key(v) not in chosen]
            if near:
                values = near[int(rng.integers(len(near)))]
                chosen[values_key(values)] = values
        return list(chosen.values())

    def _around(self, outcome: Outcome) -> list[dict[str, Value]]:
        """Untried designs one step from ``outcome``."""
        near = [
            {**outcome.values, name: value}
            for name, steps in self.steps.items()
            for value in self._beside(name, steps, outcome.values[name])
        ]
        return [values for values in near if values_key(values) not in self.told]

    def _beside(self, name: str, steps: Sequence[Value], value: Value) -> list[Value]:
        """The neighbours of a value: one step on a ladder, every other of plain choices."""
        here = list(steps).index(value)
        if isinstance(self.experiment.parameters[name], Choices):
            return [other for index, other in enumerate(steps) if index != here]
        return [steps[index] for index in (here - 1, here + 1) if 0 <= index < len(steps)]

    def _indices(self, values: Mapping[str, Value]) -> dict[str, int]:
        return {name: list(self.steps[name]).index(value) for name, value in values.items()}

    def _distributions(self) -> dict[str, BaseDistribution]:
        """Ordered parameters as integer indices into their steps, others as categories."""
        out: dict[str, BaseDistribution] = {}
        for name in self.names:
            count = len(self.steps[name])
            if isinstance(self.experiment.parameters[name], Choices):
                out[name] = CategoricalDistribution(tuple(range(count)))
            else:
                out[name] = IntDistribution(0, count - 1)
        return out

    def _values(self, indices: dict[str, Any]) -> dict[str, Value]:
        return {name: self.steps[name][int(indices[name])] for name in self.names}

    def _sampler(self, batch: int) -> optuna.samplers.BaseSampler:
        entropy = np.random.SeedSequence((self.experiment.seed, batch))
        seed = int(entropy.generate_state(1)[0])
        kind, population = self.experiment.sampler, self.experiment.population
        if kind == "nsga2":
            return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        if kind == "nsga3":
            return optuna.samplers.NSGAIIISampler(population_size=population, seed=seed)
        if kind == "tpe":
            return optuna.samplers.TPESampler(
                multivariate=True, seed=seed, n_startup_trials=population, constant_liar=True
            )
        if kind == "qmc":
            return optuna.samplers.QMCSampler(
                seed=self.experiment.seed, warn_independent_sampling=False
            )
        return optuna.samplers.RandomSampler(seed=seed)


def grid_batches(experiment: Experiment) -> Iterator[list[dict[str, Value]]]:
    """The whole grid in batches, in order."""
    points: Sequence[dict[str, Value]] = experiment.grid()
    for start in range(0, len(points), experiment.batch):
        yield list(points[start : start + experiment.batch])
