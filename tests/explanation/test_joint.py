"""The search for several steps at once, on made problems whose answers can be enumerated."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.evaluation.design import Value
from dse.evaluation.terms import Fidelity
from dse.explanation.joint import JointSearch
from dse.explanation.ladders import Move, ladder_moves
from dse.explanation.sets import (
    BOUNDS_PER_TRY,
    Demand,
    Found,
    Judged,
    Limits,
    cost_of,
    every_set,
    sets_of,
    settings_of,
)
from dse.explanation.steps import Step
from dse.explanation.ways import ways_out

#: Two demands, both at most 1; the numbers of a move are what each is multiplied by.
Factors = tuple[float, float]


def moves_of(ladders: Mapping[str, Mapping[str, Factors]]) -> list[Move]:
    """Moves of made ladders: the n-th value of one is n rungs away."""
    return [
        Move(Step(path, "now", value), rungs)
        for path, values in ladders.items()
        for rungs, value in enumerate(values, 1)
    ]


@dataclass
class Made:
    """A design of two demands; the bound is below the truth by ``gap``, plays are worse yet."""

    ladders: Mapping[str, Mapping[str, Factors]]
    start: Factors
    gap: float = 1.5
    played: float = 1.0
    forbidden: tuple[Mapping[str, Value], ...] = ()
    asked: Counter[str] = field(default_factory=Counter)

    def values(self, changes: Mapping[str, Value]) -> tuple[float, float]:
        cost, time = self.start
        for path, value in changes.items():
            one, other = self.ladders[path][str(value)]
            cost, time = cost * one, time * other
        return cost, time

    def __call__(self, level: Fidelity, changes: Mapping[str, Value]) -> Judged:
        self.asked[level] += 1
        if any(set(rule.items()) <= set(changes.items()) for rule in self.forbidden):
            return Judged(None, (), math.inf, ("cannot be built",))
        cost, time = self.values(changes)
        if level == "roofline":
            time /= self.gap
        elif level == "simulate":
            time *= self.played
        demands = tuple(
            Demand(name, name, name, value, 1.0, 1.0 - value)
            for name, value in (("cost", cost), ("time", time))
        )
        violation = sum(max(0.0, -(demand.room or 0.0)) for demand in demands)
        reasons = tuple(f"{d.name} {d.value:.2f}" for d in demands if (d.room or 0.0) < 0.0)
        return Judged(None, demands, violation, reasons)

    def truly(self, changes: Mapping[str, Value]) -> bool:
        return self("simulate", changes).holds


def best_of(made: Made, moves: list[Move], most: int) -> tuple[int, int] | None:
    """Fewest changes, and least cost of change among them, by trying everything."""
    for size in range(1, most + 1):
        costs = [
            cost_of(chosen) for chosen in every_set(moves, size) if made.truly(settings_of(chosen))
        ]
        if costs:
            return size, min(costs)
    return None


factors = st.tuples(st.floats(0.5, 1.6), st.floats(0.5, 1.6))
made_ladders = st.dictionaries(
    st.sampled_from(["node", "cores", "buffer", "array", "clock"]),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), factors, min_size=1),
    min_size=3,
)


@settings(max_examples=60)
@given(made_ladders, st.tuples(st.floats(0.9, 2.5), st.floats(0.9, 2.5)), st.floats(1.0, 3.0))
def test_the_answer_is_the_least_there_is(
    ladders: dict[str, dict[str, Factors]], start: Factors, gap: float
) -> None:
    """Where the gap of a bound is the same everywhere, what is expected is true."""
    made = Made(ladders, start, gap)
    if made.truly({}):
        return
    moves = moves_of(ladders)
    found = JointSearch(moves, made, "simulate", Limits(together=3, tries=600)).run()
    wanted = best_of(made, moves, 3)
    if wanted is None:
        assert found.ways == ()
        assert found.closest is not None
    else:
        assert (len(found.ways[0].changes), found.ways[0].cost) == wanted


@settings(max_examples=40)
@given(made_ladders, st.tuples(st.floats(1.0, 2.5), st.floats(0.9, 2.5)), st.floats(1.0, 1.5))
def test_every_way_holds_and_needs_each_of_its_steps(
    ladders: dict[str, dict[str, Factors]], start: Factors, played: float
) -> None:
    made = Made(ladders, start, played=played)
    moves = moves_of(ladders)
    found = JointSearch(moves, made, "simulate", Limits(together=4, tries=400)).run()
    ranks = [(len(way.changes), way.cost) for way in found.ways]
    assert ranks == sorted(ranks)
    for way in found.ways:
        assert made.truly(settings_of(way.changes))
        paths = [move.path for move in way.changes]
        assert len(set(paths)) == len(paths)
        if way.minimal and len(way.changes) > 1:
            for out in way.changes:
                rest = tuple(move for move in way.changes if move is not out)
                assert not made.truly(settings_of(rest))


#: Cost is mended by three steps only, each of which alone leaves it far too high.
THREE: Mapping[str, Mapping[str, Factors]] = {
    "node": {"coarser": (0.8, 1.1), "coarser yet": (0.7, 1.6)},
    "cores": {"one less": (0.82, 1.1), "half": (0.7, 2.0)},
    "buffer": {"half": (0.84, 1.02)},
    "array": {"double": (1.4, 0.6)},
    "clock": {"slower": (0.99, 1.25), "faster": (1.01, 0.8)},
}


def run(made: Made, **limits: int) -> Found:
    return JointSearch(moves_of(made.ladders), made, "simulate", Limits(**limits)).run()


def test_three_steps_where_no_two_help() -> None:
    made = Made(THREE, (1.8, 0.7))
    found = run(made)
    (way, *_) = found.ways
    assert settings_of(way.changes) == {"node": "coarser", "cores": "one less", "buffer": "half"}
    assert (way.cost, way.minimal) == (3, True)
    assert [row.feasible for row in found.sizes] == [0, 0, len(found.ways)]
    for size in (1, 2):
        row = found.sizes[size - 1]
        assert row.bounded == row.sets == sets_of(moves_of(THREE), size)
        assert row.infeasible == row.sets, "no set of one or two gets past the bound"


def test_evaluations_are_what_bounds_it() -> None:
    for tries in (1, 2, 5, 40):
        made = Made(THREE, (1.8, 0.7), played=1.4)
        told: list[tuple[str, int, int]] = []

        def note(what: str, done: int, most: int, told: list[Any] = told) -> None:
            told.append((what, done, most))

        found = JointSearch(moves_of(THREE), made, "simulate", Limits(tries=tries), note).run()
        assert found.tries <= tries
        assert found.bounds <= BOUNDS_PER_TRY * tries + len(THREE) * 6 * found.tries
        assert made.asked["analytic"] + made.asked["simulate"] == found.tries + 1  # the start
        assert made.asked["roofline"] == found.bounds + 1
        assert [done for what, done, _ in told if "mapped" in what] == list(
            range(1, found.tries + 1)
        )
        assert {most for what, _, most in told if "mapped" in what} <= {tries}


def test_the_same_request_gets_the_same_answer() -> None:
    answers = [run(Made(THREE, (1.8, 0.9), played=1.05)) for _ in range(2)]
    assert answers[0] == answers[1]


def test_what_cannot_be_built_is_no_way_and_no_breach() -> None:
    rule = ({"node": "coarser", "buffer": "half"},)
    made = Made(THREE, (1.8, 0.7), forbidden=rule)
    found = run(made)
    for way in found.ways:
        assert not set(rule[0].items()) <= set(settings_of(way.changes).items())
    assert found.sizes[1].impossible == 1
    assert all(row.infeasible + row.impossible + row.left == row.bounded for row in found.sizes)


def test_if_nothing_helps_it_says_what_was_tried() -> None:
    made = Made(THREE, (9.0, 0.7))
    found = ways_out(moves_of(THREE), made, "simulate", Limits(together=3, tries=50))
    assert found["ways"] == []
    tried = found["tried"]
    assert tried["parameters"] == {path: list(values) for path, values in THREE.items()}
    assert [row["changes"] for row in tried["sizes"]] == [1, 2, 3]
    every = [settings_of(s) for size in (1, 2, 3) for s in every_set(moves_of(THREE), size)]
    least = min(made("analytic", s).violation for s in every)
    assert made("analytic", tried["closest"]["set"]).violation == pytest.approx(least)
    assert tried["closest"]["reasons"][0].startswith("cost ")
    assert tried["closest"]["reasons"][0] in tried["text"]
    assert tried["text"].startswith("nothing that was tried helps: up to 3 steps together")
    assert tried["bounds"] == sum(row["bounded"] for row in tried["sizes"])


def test_steps_are_told_one_after_the_other() -> None:
    made = Made(THREE, (1.8, 0.7))
    found = ways_out(moves_of(THREE), made, "simulate", Limits())
    way = found["ways"][0]
    assert way["changes"] == 3
    steps = way["steps"]
    assert {step["path"]: step["after"] for step in steps} == way["set"]
    before = 1.8
    for step in steps:
        (cost,) = (demand for demand in step["demands"] if demand["name"] == "cost")
        assert cost["before"] == pytest.approx(before)
        before *= THREE[step["path"]][step["after"]][0]
        assert cost["after"] == pytest.approx(before)
    assert [step["state"] for step in steps] == ["infeasible", "infeasible", "feasible"]
    gains = [THREE[step["path"]][step["after"]][0] for step in steps]
    assert gains == sorted(gains), "what helps most comes first"


def test_a_large_space_is_searched_from_what_promises_most() -> None:
    """A needle of three among some 80,000 sets, with 6,000 bounds."""
    hay = {
        f"p{n}": {chr(97 + k): (1.0 + 0.01 * k, 1.0 + 0.01 * n) for k in range(4)}
        for n in range(20)
    }
    ladders = {**hay, **THREE}
    made = Made(ladders, (1.8, 0.7))
    moves = moves_of(ladders)
    assert sets_of(moves, 3) > 4 * Limits().bounds
    found = JointSearch(moves, made, "simulate").run()
    assert {move.path for move in found.ways[0].changes} == {"node", "cores", "buffer"}
    assert found.sizes[2].bounded < found.sizes[2].sets


def test_sets_are_counted_as_they_are_made() -> None:
    moves = moves_of(THREE)
    for size in range(7):
        every = list(every_set(moves, size))
        assert len(every) == sets_of(moves, size) == len(set(every))
    assert sets_of(moves, 6) == 0
    pairs = {frozenset(settings_of(chosen).items()) for chosen in every_set(moves, 2)}
    flat = [(move.path, move.step.after) for move in moves]
    wanted = {frozenset(two) for two in itertools.combinations(flat, 2) if two[0][0] != two[1][0]}
    assert pairs == wanted


def test_rungs_are_counted_on_a_given_ladder() -> None:
    ladder = {"chip.f_hz": (1e8, 2e8, 3e8, 4e8)}
    steps = [Step("chip.f_hz", 2e8, value) for value in (4e8, 1e8, 3e8)]
    assert [(m.step.after, m.rungs) for m in ladder_moves(steps, ladder)] == [
        (1e8, 1), (3e8, 1), (4e8, 2),
    ]  # fmt: skip


def test_what_only_a_play_breaks_is_foreseen() -> None:
    """From the start's own play, so that few sets are played in vain."""
    made = Made(THREE, (0.7, 0.9), gap=1.2, played=1.5)
    assert made("analytic", {}).holds
    found = run(made, tries=60)
    (way, *_) = found.ways
    assert settings_of(way.changes) == {"array": "double"}
    assert sum(row.played for row in found.sizes) <= 1 + len(found.ways)
