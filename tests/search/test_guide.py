"""What the guide is made of: its process, its picks; and a search of an enumerated problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dse.evaluation.causes import Cause
from dse.evaluation.design import Value
from dse.evaluation.states import State
from dse.search import Experiment, explore
from dse.search.bound import Bound, dominated
from dse.search.candidate import Outcome
from dse.search.effort import Effort
from dse.search.front import hypervolume, non_dominated
from dse.search.picks import Expected, Front, cover, picks, volume_of
from dse.search.process import Process, _loss
from dse.search.proposals import start_of
from dse.search.space import Space
from dse.search.surrogate import Surrogate

Floats = NDArray[np.float64]


def wavy(x: Floats) -> Floats:
    found: Floats = np.sin(3.0 * x[:, 0]) + 2.0 * x[:, 1] ** 2
    return found


def test_the_likelihood_has_the_gradient_it_says() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((20, 2))
    squares = (x[:, None, :] - x[None, :, :]) ** 2
    theta = np.log(np.array([1.3, 0.02, 0.7, 0.4]))
    _, slope = _loss(theta, squares, wavy(x))
    for k in range(len(theta)):
        step = np.eye(len(theta))[k] * 1e-5
        up, down = (_loss(theta + s, squares, wavy(x))[0] for s in (step, -step))
        assert slope[k] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-6)


def test_a_process_that_grows_is_one_that_learnt_at_once() -> None:
    rng = np.random.default_rng(1)
    x, new = rng.random((60, 2)), rng.random((40, 2))
    whole, grown = Process(), Process()
    for process in (whole, grown):
        process.fit(x[:30], wavy(x[:30]))
    whole.learn(x, wavy(x))
    for size in (20, 37, 60):
        grown.learn(x[:size], wavy(x[:size]))
    assert grown.mean(new) == pytest.approx(whole.mean(new), abs=1e-6)
    assert np.abs(whole.mean(new) - wavy(new)).max() < 0.05 * np.ptp(wavy(new))


def test_a_surrogate_learns_through_the_bounds() -> None:
    """The gap depends on a product that no single parameter shows, but the bound does."""
    rng = np.random.default_rng(2)
    x = rng.random((120, 4))
    bounds = np.exp(3.0 * x[:, :1] - 2.0 * x[:, 1:2] + x[:, 2:3] * x[:, 3:])
    losses = bounds * (1.1 + 0.5 / bounds)
    train, test = slice(0, 60), slice(60, None)
    surrogate = Surrogate()
    surrogate.learn(x[train], losses[train], bounds[train], np.zeros(60), seed=0)
    found = surrogate.predict(x[test], bounds[test])
    assert np.abs(found.losses - np.log(losses[test])).max() < 0.02
    assert np.all(found.losses >= np.log(bounds[test]) - 1e-9)
    assert np.all(found.feasible == 1.0)
    assert surrogate.plain(surrogate.turned(losses)) == pytest.approx(losses)


def test_what_a_surrogate_knows_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit it begins again with half of it, and still predicts."""
    monkeypatch.setattr("dse.search.surrogate.MOST_ROWS", 100)
    rng = np.random.default_rng(3)
    x = rng.random((420, 2))
    losses = np.exp(np.sin(3.0 * x[:, :1]) + x[:, 1:])
    none = np.full((420, 1), -np.inf)
    surrogate = Surrogate()
    for size in range(20, 401, 20):
        surrogate.learn(x[:size], losses[:size], none[:size], np.zeros(size), seed=size)
        (model, _) = surrogate._models
        assert isinstance(model, Process)
        assert len(model._x) <= 100
    found = surrogate.predict(x[400:], none[400:]).losses
    assert np.abs(found - np.log(losses[400:])).max() < 0.05


def test_a_process_learns_the_same_design_twice() -> None:
    x = np.repeat(np.random.default_rng(4).random((10, 2)), 3, axis=0)
    y = x[:, 0] + 1e-9 * np.arange(30)
    process = Process()
    process.fit(x[:12], y[:12])
    process._theta[1] = -60.0  # type: ignore[index]  # no noise: rounding leaves no factor
    for size in (12, 20, 30):
        process.learn(x[:size], y[:size])
    assert process.mean(x) == pytest.approx(y, abs=1e-2)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 10_000))
def test_a_gain_is_the_hypervolume_that_a_place_adds(m: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((size, m))
    front, places = rows[non_dominated(rows)], rng.random((12, m))
    reference = front.max(axis=0) + 0.1
    volume = volume_of(front, places, reference)
    ideal = np.minimum(front.min(axis=0), places.min(axis=0))
    box = float(np.prod(reference - ideal))
    # Exact, or with five objectives in 4,096 points of the box.
    unit, within = (1.0, 1e-9) if m <= 4 else (box / 4096, 0.02 * box)
    for place in places[:6]:
        more = hypervolume(np.vstack([front, place]), reference)
        added = more - hypervolume(front, reference)
        assert volume.gain(place) * unit == pytest.approx(added, abs=within)
        volume.join(place)
        front = np.vstack([front, place])
        assert volume.gain(place) == 0.0


@settings(max_examples=30)
@given(st.integers(2, 3), st.integers(0, 10_000))
def test_picks_are_the_greedy_ones(m: int, seed: int) -> None:
    """Looked at again only when they may be first, candidates come as if all were looked at."""
    rng = np.random.default_rng(seed)
    rows, places = rng.random((6, m)), rng.random((30, m))
    front = rows[non_dominated(rows)]
    every, reference = np.ones(len(places), dtype=bool), front.max(axis=0) + 0.1
    found = picks(
        Expected(places, places, places, np.ones(len(places))),
        [Front(front, front, reference, every, feasible=True)],
        6,
    )
    for turn, index in enumerate(found):
        free = [k for k in range(len(places)) if k not in found[:turn]]
        grown = np.vstack([front, places[found[:turn]]])
        gains = cover(places, grown)
        here = hypervolume(grown, reference)
        added = [hypervolume(np.vstack([grown, places[k]]), reference) - here for k in free]
        if turn % 3 < 2 and max(added) > 1e-9:
            assert added[free.index(index)] == pytest.approx(max(added), abs=1e-9)
        else:
            assert gains[index] == pytest.approx(max(gains[k] for k in free))
    assert len(set(found)) == 6


def test_an_infeasible_design_is_not_picked_for_its_volume() -> None:
    places = np.array([[0.1, 0.1], [0.4, 0.4]])
    front = np.array([[0.5, 0.5]])
    expected = Expected(places, places, places, np.array([0.0, 0.9]))
    every = np.ones(2, dtype=bool)
    assert picks(expected, [Front(front, front, np.ones(2), every, True)], 1) == [1]


LADDER = {"ladder": list(range(5))}


def problem(**changes: Any) -> Experiment:
    data: dict[str, Any] = {
        "name": "made",
        "app": "wearable_kws",
        "chip": "gap9",
        "parameters": {f"chip.p{k}": LADDER for k in range(6)}
        | {"chip.kind": {"choices": ["a", "b", "c"]}},
        "objectives": [{"metric": "average_power_w"}, {"metric": "latency_s"}],
        "population": 32,
        "batch": 8,
        "local_share": 1.0,
        "fidelity": "analytic",
        "seed": 1,
    }
    return Experiment.model_validate(data | changes)


class Made:
    """A made-up problem of 46,875 designs in place of chips, with a loose bound.

    Two of the parameters multiply into speed and power, one has its best step in the middle, two
    must fit each other, and the choice bends the front. A sixth breaks a requirement.
    """

    prune = True

    def __init__(self, limit: float = 3.0, more: int = 0) -> None:
        """``limit`` of the power; ``more`` objectives, mixtures of the two."""
        self.limit, self.more = limit, more

    def __enter__(self) -> Made:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def losses(self, values: Mapping[str, Value], bound: bool = False) -> tuple[Floats, float]:
        """Losses and violation; or a ``bound`` of the losses, without what does not fit."""
        p = np.array([float(str(values[f"chip.p{k}"])) for k in range(6)]) / 4.0
        kind = "abc".index(str(values["chip.kind"]))
        speed = (1 + 3 * p[0]) * (1 + 3 * p[1]) ** (0.6 + 0.2 * kind)
        waste = 1 + (0.0 if bound else (p[2] - 0.4) ** 2 + abs(p[3] - p[4]))
        waste += 0.3 * kind * (1 - p[5])
        power = (0.2 + speed**1.3 * 0.1) * waste
        latency = 1 / speed
        if not bound:
            latency = (latency + 0.05 * (1 - p[5])) * (1 + abs(p[3] - p[0]) * 0.5)
        mixed = [power**k * latency ** (1 - k) for k in np.linspace(0.2, 0.8, self.more)]
        return np.array([power, latency, *mixed]), max(0.0, power / self.limit - 1.0)

    def bounds(self, designs: Sequence[Mapping[str, Value]]) -> list[Bound]:
        return [Bound(tuple(map(float, self.losses(v, bound=True)[0])), True) for v in designs]

    def evaluate(
        self, designs: Sequence[dict[str, Value]], front: Floats | None
    ) -> Iterator[tuple[Outcome, Effort]]:
        for values in designs:
            found, violation = self.losses(values)
            bound, _ = self.losses(values, bound=True)
            pruned = front is not None and dominated(tuple(bound), front)
            level, row = ("roofline", bound) if pruned else ("analytic", found)
            good = level == "analytic" and violation == 0.0
            state: State = "dominated" if pruned else "feasible" if good else "infeasible"
            causes = (Cause("dominated", "dominated"),) if pruned else ()
            losses = tuple(map(float, row))
            yield (
                Outcome(values, level, state, good, violation, losses, causes, "", None),
                Effort(),
            )


def test_a_guided_search_finds_the_front_of_a_made_problem() -> None:
    """After 160 of 46,875 designs: nearly all of the volume, more than three times as many
    designs drawn at random have.
    """
    made, study = Made(), problem()
    everything = list(Space(study).designs())
    table = [made.losses(values) for values in everything]
    able = np.array([losses for losses, violation in table if violation == 0.0])
    true = able[non_dominated(able)]
    reference = list(true.max(axis=0) + 0.1 * np.ptp(true, axis=0))

    def share(result: Any) -> float:
        rows = [o.objectives for o in result.front]
        return hypervolume(rows, reference) / hypervolume(true, reference)

    guided = explore(study, evaluations=160, evaluator=made)
    again = explore(study, evaluations=60, evaluator=made)
    assert [o.key for o in guided.outcomes][: len(again.outcomes)] == [
        o.key for o in again.outcomes
    ]
    assert len({o.key for o in guided.outcomes}) == len(guided.outcomes)
    blind = problem(local_share=0.0, prune=False, sampler="random")
    random = explore(blind, evaluations=480, evaluator=made)
    assert share(guided) > 0.99
    assert share(random) < share(guided)


def test_a_guided_search_reaches_what_few_designs_meet() -> None:
    """One design in a hundred meets the requirement, none of the start does."""
    made, study = Made(limit=0.4), problem()
    result = explore(study, evaluations=160, evaluator=made)
    begun = [o for o in result.outcomes if o.evaluated][: start_of(study)]
    assert not any(o.feasible for o in begun)
    assert sum(o.feasible for o in result.outcomes) >= 20


def test_six_objectives_and_strata() -> None:
    names = ["average_power_w", "latency_s", "unit_cost_usd", "area_mm2", "energy_j", "carbon_kg"]
    study = problem(objectives=[{"metric": name} for name in names], stratify="chip.p0")
    result = explore(study, evaluations=72, evaluator=Made(more=4))
    later = [o for o in result.outcomes if o.evaluated][start_of(study) :]
    assert len(later) == 72 - start_of(study)
    for step in range(5):  # each batch holds one stratum, in turn
        assert sum(o.values["chip.p0"] == step for o in later) >= 3


def test_the_start_is_shorter_where_a_model_goes_on() -> None:
    assert start_of(problem(population=48)) == 28
    assert start_of(problem(population=20)) == 20
    assert start_of(problem(population=48, local_share=0.0)) == 48
    assert start_of(problem(population=48, prune=False)) == 48
