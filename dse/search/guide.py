"""Pareto local search with a model: which untried neighbours of the front to evaluate next.

The pool are all designs one step from a member of the front. Those whose bound
(:mod:`dse.search.bound`) is infeasible or dominated are left out; the rest are ranked by what a
:class:`dse.search.surrogate.Surrogate` expects of them: the least amount by which a design
improves on every member of the front in some objective (the additive epsilon indicator of Zitzler
et al. 2003, in the objectives' turned scales over the range of the front). Chosen designs join the
front at their expected place before the next one is chosen, so that a batch spreads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.evaluation.design import Value
from dse.search.bound import Bound, dominated
from dse.search.candidate import Outcome, values_key
from dse.search.experiment import Experiment
from dse.search.front import front_of, losses_of
from dse.search.space import Space
from dse.search.surrogate import Surrogate

#: Least infeasible designs that stand in for a front while there is none.
SUBSTITUTES = 4
#: Designs needed before the surrogate ranks; until then the pool is drawn from at random.
FEWEST = 12
#: Members of the front that are stepped from in one batch, at most (drawn at random beyond).
CENTRES = 400
#: What a probably infeasible design loses of its score.
PENALTY = 3.0

Floats = NDArray[np.float64]
Designs = Sequence[dict[str, Value]]


class Guide:
    """Chooses neighbours of the front. Pure: what it says depends on what it was told alone."""

    def __init__(self, experiment: Experiment, space: Space) -> None:
        self.experiment = experiment
        self.space = space
        self.surrogate = Surrogate(len(experiment.objectives))
        self.bounds: dict[str, Bound] = {}
        self._near: dict[tuple[str, str | None], list[tuple[str, dict[str, Value]]]] = {}

    def choose(
        self,
        told: Mapping[str, Outcome],
        count: int,
        batch: int,
        bounds_of: Callable[[Designs], list[Bound]],
        front_rows: Floats,
    ) -> list[dict[str, Value]]:
        """Up to ``count`` untried designs, the most promising first.

        Args:
            told: all outcomes so far by key, in the order told.
            batch: number of the batch, seeds what is drawn.
            bounds_of: the cheapest level of designs (may run in parallel).
            front_rows: rows of the front to prune against (:func:`dse.search.bound.row`).
        """
        rng = np.random.default_rng((self.experiment.seed, batch, 1))
        outcomes = list(told.values())
        pools = self._pools(outcomes, batch, rng)
        designs: dict[str, dict[str, Value]] = {}
        owners: list[dict[str, None]] = []
        for centres, held in pools:
            owned: dict[str, None] = {}
            for centre in centres:
                for key, near in self._around(centre, held):
                    if key not in told:
                        designs.setdefault(key, near)
                        owned[key] = None
            owners.append(owned)
        alive = self._promising(designs, bounds_of, front_rows)
        if not alive:
            return []
        keys = list(alive)
        evaluated = [o for o in outcomes if o.evaluated and o.objectives is not None]
        if len(evaluated) < FEWEST or not self.experiment.prune:
            order = rng.permutation(len(keys))[:count]
            return [designs[keys[int(i)]] for i in order]
        picks = self._ranked(keys, designs, evaluated, owners, pools, count, batch, bounds_of)
        return [designs[key] for key in picks]

    def _around(self, centre: Outcome, held: str | None) -> list[tuple[str, dict[str, Value]]]:
        """Designs one step away, with keys; kept, as a front changes little between batches."""
        found = self._near.get((centre.key, held))
        if found is None:
            near = self.space.around(centre.values, held)
            found = self._near[centre.key, held] = [(values_key(v), v) for v in near]
        return found

    def _pools(
        self, outcomes: Sequence[Outcome], batch: int, rng: np.random.Generator
    ) -> list[tuple[list[Outcome], str | None]]:
        """Designs to step from: the front; and for ``stratify`` the best of one stratum in turn."""
        pools: list[tuple[list[Outcome], str | None]] = [(self._best(outcomes), None)]
        name = self.experiment.stratify
        if name is not None:
            steps = self.space.steps[name]
            for turn in range(len(steps)):
                value = steps[(batch + turn) % len(steps)]
                own = [o for o in outcomes if o.values.get(name) == value and o.evaluated]
                if own:
                    pools.append((self._best(own), name))
                    break
        return [
            (
                [c[int(i)] for i in np.sort(rng.permutation(len(c))[:CENTRES])]
                if len(c) > CENTRES
                else c,
                held,
            )
            for c, held in pools
        ]

    def _best(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The front among ``outcomes``, or the least infeasible of them."""
        front = [outcomes[index] for index in front_of(outcomes, self.experiment)]
        if front:
            return front
        known = [outcome for outcome in outcomes if outcome.objectives]
        return sorted(known, key=lambda o: (o.violation, o.key))[:SUBSTITUTES]

    def _promising(
        self,
        designs: Mapping[str, dict[str, Value]],
        bounds_of: Callable[[Designs], list[Bound]],
        front_rows: Floats,
    ) -> list[str]:
        """Keys whose bound neither breaks a requirement nor is dominated."""
        if not self.experiment.prune:
            return list(designs)
        unknown = [key for key in designs if key not in self.bounds]
        found = bounds_of([designs[key] for key in unknown])
        self.bounds.update(zip(unknown, found, strict=True))
        alive = []
        for key in designs:
            bound = self.bounds[key]
            if bound.serves and bound.losses and not dominated(bound.losses, front_rows):
                alive.append(key)
        return alive

    def _ranked(
        self,
        keys: list[str],
        designs: Mapping[str, dict[str, Value]],
        evaluated: Sequence[Outcome],
        owners: Sequence[Mapping[str, None]],
        pools: Sequence[tuple[list[Outcome], str | None]],
        count: int,
        batch: int,
        bounds_of: Callable[[Designs], list[Bound]],
    ) -> list[str]:
        from threadpoolctl import threadpool_limits

        m = len(self.experiment.objectives)
        unknown = [o for o in evaluated if o.key not in self.bounds]
        found = bounds_of([o.values for o in unknown])
        self.bounds.update((o.key, b) for o, b in zip(unknown, found, strict=True))
        known = [o for o in evaluated if self.bounds[o.key].losses is not None]
        bound = np.array([(self.bounds[o.key].losses or ())[:m] for o in known])
        values = losses_of(known, self.experiment)
        violation = np.array([o.violation for o in known])
        x = self.space.encode([o.values for o in known])
        near = self.space.encode([designs[key] for key in keys])
        limits = np.array([(self.bounds[key].losses or ())[:m] for key in keys])
        with threadpool_limits(limits=1):  # sums in one order, whatever the machine
            self.surrogate.learn(x, values, bound, violation, batch)
            expected = self.surrogate.predict(near, limits)
        doubt = PENALTY * np.maximum(0.0, 0.5 - expected.feasible)
        fronts = [self._turned(self._best_rows(centres)) for centres, _ in pools]
        span = np.ptp(fronts[0], axis=0)
        wide = np.ptp(self._turned(values), axis=0)
        unit = np.where(span > 1e-9, span, np.where(wide > 1e-9, wide, 1.0))
        places = expected.losses / unit
        scores = [
            np.where([key in owned for key in keys], _gain(places, front / unit), -np.inf)
            for owned, front in zip(owners, fronts, strict=True)
        ]
        picks: list[str] = []
        free = np.ones(len(keys), dtype=bool)
        for turn in range(min(count, len(keys))):
            score = np.where(free, scores[turn % len(scores)] - doubt, -np.inf)
            best = int(np.argmax(score))
            if not np.isfinite(score[best]):
                score = np.where(free, scores[0] - doubt, -np.inf)
                best = int(np.argmax(score))
                if not np.isfinite(score[best]):
                    break
            picks.append(keys[best])
            free[best] = False
            closer = np.max(places[best][None, :] - places, axis=1)
            scores = [np.minimum(s, closer) for s in scores]
        return picks

    def _best_rows(self, centres: Sequence[Outcome]) -> Floats:
        return losses_of([c for c in centres if c.objectives is not None], self.experiment)

    def _turned(self, losses: Floats) -> Floats:
        turned = [scale.turned(losses[:, k]) for k, scale in enumerate(self.surrogate.scales)]
        return np.stack(turned, axis=1)


def _gain(places: Floats, front: Floats) -> Floats:
    """By how much each place is better than every row of ``front`` in some objective."""
    gains: Any = np.full(len(places), np.inf)
    for row in front:
        gains = np.minimum(gains, np.max(row[None, :] - places, axis=1))
    return np.asarray(gains, dtype=np.float64)
