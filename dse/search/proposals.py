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

#: Least infeasible designs that stand in for a front while there is none.
SUBSTITUTES = 4
#: Designs to step from, and the parameter that a step leaves alone.
Pool = tuple[list[Outcome], str | None]


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
        for indices in self._enqueued():
            self.study.enqueue_trial(indices)
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

    def _enqueued(self) -> list[dict[str, int]]:
        """What this batch tries in place of the sampler's own proposals.

        While the population is drawn: the strata in turn, the rest left to the sampler. From then
        on some untried designs one step from the best ones so far (Pareto local search).
        """
        count = round(self.experiment.local_share * self.experiment.batch)
        stratum = self.experiment.stratify
        if len(self.told) < self.experiment.population:
            if stratum is None:
                return []
            size, steps = self.experiment.batch, len(self.steps[stratum])
            return [{stratum: (self.batch * size + turn) % steps} for turn in range(size)]
        rng = np.random.default_rng((self.experiment.seed, self.batch))
        pools = [self._front_pools(), self._strata_pools()] if stratum else [self._front_pools()]
        chosen: dict[str, dict[str, Value]] = {}
        for turn in range(count):
            several = pools[turn % len(pools)]
            number = turn // len(pools)
            pool, held = several[(self.batch * count + number) % len(several)]
            centre = pool[int(rng.integers(len(pool)))]
            near = [v for v in self._around(centre, held) if values_key(v) not in chosen]
            if near:
                values = near[int(rng.integers(len(near)))]
                chosen[values_key(values)] = values
        return [self._indices(values) for values in chosen.values()]

    def _front_pools(self) -> list[Pool]:
        """The front's best member in each objective, and the whole front.

        Without a feasible design the least infeasible ones stand in for the front.
        """
        best = self._best(list(self.told.values()))
        losses = losses_of(best, self.experiment)
        ends = [best[int(np.argmin(losses[:, column]))] for column in range(losses.shape[1])]
        return [*(([end], None) for end in ends), (best, None)]

    def _strata_pools(self) -> list[Pool]:
        """For each value of the stratified parameter the best designs that have it."""
        name = self.experiment.stratify
        assert name is not None
        pools: list[Pool] = []
        for value in self.steps[name]:
            own = [outcome for outcome in self.told.values() if outcome.values[name] == value]
            if any(outcome.objectives for outcome in own):
                pools.append((self._best(own), name))
        return pools

    def _best(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The front among ``outcomes``, or the least infeasible of them."""
        front = [outcomes[index] for index in front_of(outcomes, self.experiment)]
        if front:
            return front
        known = [outcome for outcome in outcomes if outcome.objectives]
        return sorted(known, key=lambda o: (o.violation, o.key))[:SUBSTITUTES]

    def _around(self, outcome: Outcome, held: str | None) -> list[dict[str, Value]]:
        """Untried designs one step from ``outcome``, the parameter ``held`` left as it is."""
        near = [
            {**outcome.values, name: value}
            for name, steps in self.steps.items()
            if name != held
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
