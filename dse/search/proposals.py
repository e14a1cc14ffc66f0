"""Where proposals come from: Optuna's samplers behind one small port, a guide, or the whole grid.

Determinism: designs are asked in batches of a fixed size. Each batch has a sampler of its own,
seeded by (seed, batch number), and outcomes are told in the order of asking. So neither the number
of workers nor an interruption changes what is proposed: a resumed study asks the same batches
again and answers them from its log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from dse.errors import InputError
from dse.evaluation.design import Value
from dse.search.bound import Bound
from dse.search.candidate import Outcome
from dse.search.experiment import Experiment
from dse.search.guide import FEWEST, Guide
from dse.search.space import Space

#: Samplers that put a trial in a generation when its relative parameters are made, and breed only
#: from such; where all values are given, Optuna makes them when they are asked for.
GENETIC = ("nsga2", "nsga3")
#: Designs of the quasi-random start for each parameter, where the guide goes on from them.
FIRST = 4
#: What a sampler of Optuna needs beside Optuna, and the extra that brings it.
NEEDS = {"cmaes": ("cmaes", "samplers"), "gp": ("torch", "samplers")}


class OptunaProposer:
    """Proposals of one of Optuna's samplers and of the guide, a batch at a time."""

    def __init__(self, experiment: Experiment, start: Sequence[Mapping[str, Value]] = ()) -> None:
        """``start``: designs to try first, such as the front of an earlier study.

        Raises:
            InputError: the sampler needs a package that is not installed.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.experiment = experiment
        self.space = Space(experiment)
        self.study = optuna.create_study(
            directions=[objective.sense for objective in experiment.objectives],
            sampler=sampler_of(experiment, 0),
        )
        self.batch = 0
        self.told: dict[str, Outcome] = {}
        self.guide = Guide(experiment, self.space)
        self._waiting = [self.space.point(values) for values in start]
        self._waiting += self._start(max(0, start_of(experiment) - len(self._waiting)))

    def ask(
        self,
        bounds_of: Callable[[Sequence[dict[str, Value]]], list[Bound]],
        front_rows: NDArray[np.float64],
    ) -> list[tuple[Any, dict[str, Value]]]:
        """The next batch: Optuna trials and their parameter values.

        Args:
            bounds_of: the cheapest level of designs.
            front_rows: what to prune against.
        """
        size = self.experiment.batch
        self.study.sampler = sampler_of(self.experiment, self.batch)
        ahead, self._waiting = self._waiting[:size], self._waiting[size:]
        if not ahead and (count := guided(self.experiment)):
            chosen = self.guide.choose(self.told, count, self.batch, bounds_of, front_rows)
            ahead = [self.space.point(values) for values in chosen]
        for point in ahead:
            self.study.enqueue_trial(point)
        self.batch += 1
        trials = [self.study.ask(self.space.distributions()) for _ in range(size)]
        if self.experiment.sampler in GENETIC:
            for trial in trials:
                _ = trial.relative_params  # see GENETIC
        return [(trial, self.space.values(trial.params)) for trial in trials]

    def tell(self, trial: Any, outcome: Outcome) -> None:
        """Report one outcome, in the order of asking."""
        self.told.setdefault(outcome.key, outcome)
        trial.set_constraint("requirements", outcome.violation)
        trial.set_user_attr("design", outcome.key)
        if outcome.objectives is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, list(outcome.objectives))

    def _start(self, count: int) -> list[dict[str, int]]:
        """A quasi-random start; with ``stratify`` its strata in turn."""
        if count == 0:
            return []
        points = self.space.spread(count, self.experiment.seed)
        stratum = self.experiment.stratify
        if stratum is not None:
            steps = len(self.space.steps[stratum])
            points = [{**point, stratum: turn % steps} for turn, point in enumerate(points)]
        return points


def start_of(experiment: Experiment) -> int:
    """Designs of the quasi-random start: a population, or fewer where a model goes on from them."""
    if not (guided(experiment) and experiment.prune):
        return experiment.population
    return min(experiment.population, max(FEWEST, FIRST * len(experiment.parameters)))


def guided(experiment: Experiment) -> int:
    """Designs of each batch that the guide chooses."""
    return round(experiment.local_share * experiment.batch)


def sampler_of(experiment: Experiment, batch: int) -> optuna.samplers.BaseSampler:
    """The experiment's sampler for one batch.

    Raises:
        InputError: it needs a package that is not installed.
    """
    entropy = np.random.SeedSequence((experiment.seed, batch))
    seed = int(entropy.generate_state(1)[0])
    kind, population = experiment.sampler, experiment.population
    try:
        if kind == "nsga2":
            return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        if kind == "nsga3":
            return optuna.samplers.NSGAIIISampler(population_size=population, seed=seed)
        if kind == "tpe":
            return optuna.samplers.TPESampler(
                multivariate=True, seed=seed, n_startup_trials=population, constant_liar=True
            )
        if kind == "qmc":
            return optuna.samplers.QMCSampler(seed=experiment.seed, warn_independent_sampling=False)
        if kind == "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if kind == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=population)
    except ImportError:
        package, extra = NEEDS.get(kind, (kind, "samplers"))
        raise InputError(
            f"the sampler {kind} needs the package {package}",
            field="sampler",
            mend=f"pip install 'dse[{extra}]', or use nsga2",
        ) from None
    return optuna.samplers.RandomSampler(seed=seed)


def grid_batches(experiment: Experiment) -> Iterator[list[dict[str, Value]]]:
    """The whole grid in batches, in order."""
    batch: list[dict[str, Value]] = []
    for values in Space(experiment).designs():
        batch.append(values)
        if len(batch) == experiment.batch:
            yield batch
            batch = []
    if batch:
        yield batch
