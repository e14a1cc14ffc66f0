"""Bounds, pruning, conditions, transfer, limits and product lines of a search."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.evaluation import loads
from dse.evaluation.design import Value
from dse.mapping import clear_cache
from dse.search import Experiment, StudyFolder, explore, starting_designs
from dse.search.bound import dominated
from dse.search.candidate import bound_of, evaluate_candidate, values_key
from dse.search.front import non_dominated
from dse.search.mirror import read_storage
from dse.search.progress import SearchState
from dse.search.resolved import resolve_experiment
from dse.search.space import Space, grid_size
from dse.search.study import by_level
from tests.search.test_study import SPACE, experiment, keys

ROWS = {
    "chip.node": {"ladder": ["28nm", "16nm", "7nm"]},
    "chip.f_hz": {"ladder": [1e8, 2e8, 4e8]},
    "chip.buffer.bytes": {"ladder": [65536, 131072, 262144]},
}


def test_pruning_leaves_the_front_as_it_is() -> None:
    """The same proposals in the same order, with and without the bounds."""
    full, pruning = experiment(prune=False), experiment(prune=True)
    designs = list(Space(full).designs())
    order = np.random.default_rng(5).permutation(len(designs))[:48]
    fronts, mapped = [], []
    for chosen in (full, pruning):
        state, resolved = SearchState(chosen), resolve_experiment(chosen)
        for start in range(0, len(order), 8):
            rows = state.rows if chosen.prune else None
            for index in order[start : start + 8]:
                state.add(evaluate_candidate(resolved, designs[int(index)], rows))
            state.close_batch()
        outcomes = list(state.distinct.values())
        able = [o for o in outcomes if o.feasible]
        keep = non_dominated(np.array([o.objectives for o in able]))
        fronts.append({o.key: o.objectives for o, kept in zip(able, keep, strict=True) if kept})
        mapped.append(sum(o.evaluated for o in outcomes))
        if chosen.prune:
            assert any(o.pruned for o in outcomes)
            assert all(not o.feasible for o in outcomes if o.pruned)
    assert fronts[0] == fronts[1]
    assert mapped[1] < mapped[0]


def test_the_bound_is_below_what_is_found() -> None:
    study = experiment()
    pruning, full = resolve_experiment(study), resolve_experiment(experiment(prune=False))
    for values in list(Space(study).designs())[::9]:
        outcome = evaluate_candidate(full, values)
        bound = bound_of(pruning, values)
        if outcome.objectives is None:
            continue
        assert bound.losses is not None
        assert len(bound.losses) == 2 + 3  # unit cost also at each of the app's three volumes
        assert all(b <= o for b, o in zip(bound.losses, outcome.objectives, strict=False))
        assert bound.serves or not outcome.serves


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_dominated_is_the_definition(rows: list[tuple[int, int]]) -> None:
    front = np.array(rows[1:], dtype=float).reshape(-1, 2)
    found = any(a <= rows[0][0] and b <= rows[0][1] and (a, b) != rows[0] for a, b in rows[1:])
    assert dominated(rows[0], front) == found


def conditional() -> Experiment:
    space = {
        **SPACE,
        "chip.l2.bytes": {"ladder": [0, 262144, 524288]},
        "chip.l2.bytes_per_cycle": {"ladder": [8, 16], "when": {"chip.l2.bytes": [262144, 524288]}},
    }
    return experiment(parameters=space)


def test_a_value_that_does_not_count_is_left_out() -> None:
    study = conditional()
    designs = list(Space(study).designs())
    assert len({values_key(values) for values in designs}) == len(designs) == grid_size(study)
    assert grid_size(study) == 90 * (1 + 2 * 2)
    for values in designs:
        assert ("chip.l2.bytes_per_cycle" in values) == (values["chip.l2.bytes"] != 0)


@settings(max_examples=30)
@given(st.data())
def test_neighbours_are_mutual_and_one_step_away(data: st.DataObject) -> None:
    space = Space(conditional())
    point = {n: data.draw(st.integers(0, len(s) - 1)) for n, s in space.steps.items()}
    values = space.values(point)
    for near in space.around(values):
        assert near != values
        changed = {n for n in {*near, *values} if near.get(n) != values.get(n)}
        assert len(changed - {"chip.l2.bytes_per_cycle"}) <= 1
        if near.keys() == values.keys():
            assert values in space.around(near)
    assert space.encode([values]).shape[0] == 1


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"chip.nothing": [1]}, "no other"),
        ({"chip.node": ["5nm"]}, "cannot be"),
        ({"chip.f_hz": [1e8]}, "ring"),
    ],
)
def test_a_wrong_condition_is_named(when: dict[str, list[object]], words: str) -> None:
    space = {**ROWS, "chip.array.cols": {"ladder": [8, 16], "when": when}}
    if "chip.f_hz" in when:
        space["chip.f_hz"] = {"ladder": [1e8, 2e8], "when": {"chip.array.cols": [8]}}
    with pytest.raises(ValueError, match=words):
        experiment(parameters=space)


def test_a_search_stops_when_nothing_gets_better() -> None:
    result = explore(experiment(trials=80, stall=12), workers=1)
    assert result.stopped.startswith("no better front")
    assert len(result.outcomes) < 80
    assert not result.exhausted


def test_a_time_limit_holds() -> None:
    result = explore(experiment(trials=80, max_s=1e-6), workers=1)
    assert "time limit" in result.stopped
    assert 0 < len(result.outcomes) <= 4


def test_levels_add_up() -> None:
    result = explore(experiment(), workers=1)
    levels = by_level(result.outcomes)
    assert sum(row["designs"] for row in levels.values()) == len(result.outcomes)
    assert set(result.effort.seconds) >= {"resolve", "roofline", "analytic"}


def test_effort_of_a_study_is_in_its_log(tmp_path: Path) -> None:
    clear_cache()
    loads._programs.clear()
    result = explore(experiment(), tmp_path / "a", workers=1)
    assert 0 <= result.effort.remembered <= result.effort.mappings
    assert result.effort.mappings > 0
    logged = StudyFolder(tmp_path / "a").effort()
    assert (logged.mappings, logged.remembered) == (
        result.effort.mappings,
        result.effort.remembered,
    )
    for level, spent in result.effort.seconds.items():
        assert logged.seconds[level] == pytest.approx(spent, abs=1e-3)
    assert result.to_dict()["mapping_hit_rate"] == logged.hit_rate


def test_transfer_begins_with_the_earlier_front(tmp_path: Path) -> None:
    first = explore(experiment(), tmp_path / "a", workers=1)
    other = experiment(parameters={**SPACE, "chip.f_hz": {"ladder": [1.1e8, 2.1e8]}})
    start = starting_designs(other, tmp_path / "a")
    assert start
    wanted = {v["chip.node"] for v in start}
    assert wanted == {o.values["chip.node"] for o in first.front}
    second = explore(other, tmp_path / "b", workers=1, start=start)
    assert (
        keys(second)[: len(start)]
        == [values_key(values) for values in start][: len(second.outcomes)]
    )
    again = explore(other, tmp_path / "b", workers=1)  # goes on from what it began with
    assert keys(again) == keys(second)
    with pytest.raises(InputError):
        explore(other, tmp_path / "b", workers=1, start=start[1:])


def test_a_conditional_study_in_a_storage(tmp_path: Path) -> None:
    file = str(tmp_path / "journal.log")
    result = explore(conditional(), workers=1, trials=12, storage=file)
    found = read_storage(file).outcomes
    assert {outcome.key for outcome in found} == set(keys(result))


def test_the_grid_in_order_stops_where_asked() -> None:
    study = experiment(sampler="grid", trials=7)
    assert keys(explore(study, workers=1)) == [
        values_key(values) for values in islice(Space(study).designs(), 7)
    ]


def test_one_chip_for_two_apps() -> None:
    apps: list[dict[str, Any]] = [
        {"app": "wearable_kws", "weight": 3},
        {"app": "factory_inspection"},
    ]
    changes: dict[str, Any] = {
        "app": "",
        "apps": apps,
        "chip": "edge_vision",
        "parameters": ROWS,
        "fidelity": "analytic",
        "prune": False,
    }
    worst = resolve_experiment(experiment(**changes))
    mean = resolve_experiment(experiment(**changes, combine="weighted"))
    alone = [
        resolve_experiment(
            experiment(
                app=a["app"], chip="edge_vision", parameters=ROWS, fidelity="analytic", prune=False
            )
        )
        for a in apps
    ]
    values: dict[str, Value] = {"chip.node": "16nm", "chip.f_hz": 4e8, "chip.buffer.bytes": 262144}
    powers = [float((evaluate_candidate(e, values).objectives or (0.0,))[0]) for e in alone]
    found = evaluate_candidate(worst, values)
    assert found.objectives is not None
    assert found.evaluation is not None
    assert found.objectives[0] == pytest.approx(max(powers))
    both = evaluate_candidate(mean, values).objectives
    assert both is not None
    assert both[0] == pytest.approx((3 * powers[0] + powers[1]) / 4)
    costs = [float((evaluate_candidate(e, values).objectives or (0.0, 0.0))[1]) for e in alone]
    assert found.objectives[1] < min(costs)
    assert {row.stream.split(":")[0] for row in found.evaluation.tasks} == {
        "wearable_kws",
        "factory_inspection",
    }
    with pytest.raises(ValueError, match="either app or apps"):
        experiment(apps=apps)
