"""Pareto local search with a model: which untried designs to evaluate next.

The pool are all designs one step from a member of the front, crossings of its members, and some
from anywhere. Those whose bound (:mod:`dse.search.bound`) is infeasible or dominated are left out,
for good. Of the rest a :class:`dse.search.surrogate.Surrogate` says what they will be, and
:mod:`dse.search.picks` which of them make the front better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dse.evaluation.design import Value
from dse.search.bound import Bound
from dse.search.candidate import Outcome, values_key
from dse.search.experiment import Experiment
from dse.search.front import front_of, losses_of
from dse.search.ranking import Ranking
from dse.search.space import Space
from dse.search.surrogate import Surrogate

#: Least infeasible designs that stand in for a front while there is none.
SUBSTITUTES = 4
#: Designs needed before the surrogate ranks; until then the pool is drawn from at random.
FEWEST = 12
#: Members of the front that are stepped from in one batch, at most (drawn at random beyond).
CENTRES = 2000
#: Crossings, and designs from anywhere, for each design wanted.
WIDE = 2
#: Times that the pool is extended by what is one step from the chosen, before they are chosen anew.
CLIMBS = 2

Floats = NDArray[np.float64]
Designs = Sequence[dict[str, Value]]
#: Designs to step from, and the parameter that is held while stepping.
Pool = tuple[list[Outcome], str | None]


class Guide:
    """Chooses neighbours of the front. Pure: what it says depends on what it was told alone."""

    def __init__(self, experiment: Experiment, space: Space) -> None:
        self.experiment = experiment
        self.space = space
        self.surrogate = Surrogate()
        self.bounds: dict[str, Bound] = {}
        self._near: dict[tuple[str, str | None], list[tuple[str, dict[str, Value]]]] = {}
        self._codes: dict[str, Floats] = {}
        self._dead: set[str] = set()

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
        from threadpoolctl import threadpool_limits

        rng = np.random.default_rng((self.experiment.seed, batch, 1))
        outcomes = list(told.values())
        pools = self._pools(outcomes, batch, rng)
        designs: dict[str, dict[str, Value]] = {}
        owners: list[set[str]] = []
        for centres, held in pools:
            nearby = [near for c in centres for near in self._around(c.key, c.values, held)]
            if not owners:
                nearby += self._wide(centres, WIDE * count, rng)
            fresh = {key: near for key, near in nearby if key not in told}
            designs.update(fresh)
            owners.append(set(fresh))
        if not self.experiment.prune:
            return _any(list(designs.values()), count, rng)
        alive = self._promising(designs, bounds_of, front_rows)
        evaluated = [outcome for outcome in outcomes if _measured(outcome)]
        if len(evaluated) < FEWEST:
            return _any([designs[key] for key in alive], count, rng)
        if not alive:
            return []
        with threadpool_limits(limits=1):  # sums in one order, whatever the machine
            self._learn(evaluated, bounds_of, batch)
            ranking = self._ranking(evaluated, pools)
            self._add(ranking, alive, designs, owners)
            chosen = ranking.best(count)
            for _ in range(CLIMBS):
                further = self._further(chosen, designs, owners, pools, told)
                alive = self._promising(further, bounds_of, front_rows)
                if not alive:
                    break
                self._add(ranking, alive, designs, owners)
                chosen = ranking.best(count)
        return [designs[key] for key in chosen]

    def _further(
        self,
        chosen: Sequence[str],
        designs: dict[str, dict[str, Value]],
        owners: Sequence[set[str]],
        pools: Sequence[Pool],
        told: Mapping[str, Outcome],
    ) -> dict[str, dict[str, Value]]:
        """Designs one step from those chosen, that are not among ``designs`` yet; now they are."""
        found: dict[str, dict[str, Value]] = {}
        for owned, (_, held) in zip(owners, pools, strict=True):
            for key in chosen:
                if key in owned:
                    nearby = self._around(key, designs[key], held)
                    fresh = {k: v for k, v in nearby if k not in told and k not in designs}
                    owned.update(fresh)
                    found.update(fresh)
        designs.update(found)
        return found

    def _around(
        self, key: str, values: dict[str, Value], held: str | None
    ) -> list[tuple[str, dict[str, Value]]]:
        """Designs one step away, with keys; kept, as a front changes little between batches."""
        found = self._near.get((key, held))
        if found is None:
            near = self.space.around(values, held)
            found = self._near[key, held] = [(values_key(v), v) for v in near]
        return found

    def _wide(
        self, centres: Sequence[Outcome], count: int, rng: np.random.Generator
    ) -> list[tuple[str, dict[str, Value]]]:
        """Crossings of two designs, about one parameter a step off; and as many of any kind."""
        sizes = np.array([len(self.space.steps[name]) for name in self.space.names])
        shape = (count, len(sizes))
        rows = rng.integers(0, sizes, size=shape)
        if centres:
            places = [list(self.space.point(centre.values).values()) for centre in centres]
            parents = np.array(places)[rng.integers(len(places), size=(2, count))]
            crossed = np.where(rng.random(shape) < 0.5, parents[0], parents[1])
            steps = rng.choice([-1, 1], size=shape) * (rng.random(shape) < 1.0 / len(sizes))
            rows = np.vstack([np.clip(crossed + steps, 0, sizes - 1), rows])
        names = self.space.names
        found = [self.space.values(dict(zip(names, map(int, r), strict=True))) for r in rows]
        return [(values_key(values), values) for values in found]

    def _pools(
        self, outcomes: Sequence[Outcome], batch: int, rng: np.random.Generator
    ) -> list[Pool]:
        """Designs to step from: the front; and for ``stratify`` the best of one stratum in turn."""
        pools: list[Pool] = [(self._best(outcomes), None)]
        name = self.experiment.stratify
        if name is not None:
            steps = self.space.steps[name]
            for turn in range(len(steps)):
                value = steps[(batch + turn) % len(steps)]
                own = [o for o in outcomes if o.values.get(name) == value and _measured(o)]
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
        known = [outcome for outcome in known if outcome.evaluated] or known
        return sorted(known, key=lambda o: (o.violation, o.key))[:SUBSTITUTES]

    def _promising(
        self,
        designs: Mapping[str, dict[str, Value]],
        bounds_of: Callable[[Designs], list[Bound]],
        front_rows: Floats,
    ) -> list[str]:
        """Keys whose bound neither breaks a requirement nor is dominated.

        A front only gets better: what was left out once is not looked at again.
        """
        keys = [key for key in designs if key not in self._dead]
        self._bound([designs[key] for key in keys], keys, bounds_of)
        able = [key for key in keys if self.bounds[key].serves and self.bounds[key].losses]
        columns = np.array([self.bounds[key].losses for key in able]).T.copy()
        beaten = np.zeros(len(able), dtype=bool)
        if able:
            for row in front_rows:
                other = row[:, None]
                beaten |= np.all(other <= columns, axis=0) & np.any(other < columns, axis=0)
        alive = [key for key, out in zip(able, beaten, strict=True) if not out]
        self._dead.update(set(keys) - set(alive))
        return alive

    def _bound(
        self,
        designs: Designs,
        keys: Sequence[str],
        bounds_of: Callable[[Designs], list[Bound]],
    ) -> None:
        """Have the bounds of designs."""
        unknown = {k: v for k, v in zip(keys, designs, strict=True) if k not in self.bounds}
        found = bounds_of(list(unknown.values()))
        self.bounds.update(zip(unknown, found, strict=True))

    def _inputs(self, designs: Designs, keys: Sequence[str]) -> tuple[Floats, Floats]:
        """Coordinates of designs, and the bounds of their objectives."""
        unknown = {k: v for k, v in zip(keys, designs, strict=True) if k not in self._codes}
        if unknown:
            self._codes.update(zip(unknown, self.space.encode(list(unknown.values())), strict=True))
        m = len(self.experiment.objectives)
        bounds = [(self.bounds[key].losses or ())[:m] for key in keys]
        return np.array([self._codes[key] for key in keys]), np.array(bounds)

    def _learn(
        self,
        evaluated: Sequence[Outcome],
        bounds_of: Callable[[Designs], list[Bound]],
        batch: int,
    ) -> None:
        self._bound([o.values for o in evaluated], [o.key for o in evaluated], bounds_of)
        known = [o for o in evaluated if self.bounds[o.key].losses is not None]
        x, bounds = self._inputs([o.values for o in known], [o.key for o in known])
        violation = np.array([o.violation for o in known])
        losses = losses_of(known, self.experiment)
        self.surrogate.learn(x, losses, bounds, violation, batch)

    def _ranking(self, evaluated: Sequence[Outcome], pools: Sequence[Pool]) -> Ranking:
        fronts = [[c for c in centres if c.objectives is not None] for centres, _ in pools]
        return Ranking(
            self.surrogate,
            losses_of(evaluated, self.experiment),
            [losses_of(front, self.experiment) for front in fronts],
            [any(centre.feasible for centre in front) for front in fronts],
        )

    def _add(
        self,
        ranking: Ranking,
        keys: Sequence[str],
        designs: Mapping[str, dict[str, Value]],
        owners: Sequence[set[str]],
    ) -> None:
        owned = np.array([[key in owned for owned in owners] for key in keys])
        ranking.add(keys, *self._inputs([designs[key] for key in keys], keys), owned)


def _measured(outcome: Outcome) -> bool:
    """Whether its objectives are more than bounds."""
    return outcome.evaluated and outcome.objectives is not None


def _any(designs: Designs, count: int, rng: np.random.Generator) -> list[dict[str, Value]]:
    """Some of the designs."""
    return [designs[int(i)] for i in rng.permutation(len(designs))[:count]]
