"""Order of the runs, ratios, intervals and verdicts of side-by-side benchmarks, without a clock."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdicts import Run, difference, interval, judged, order, over, ratios, table, verdict

SAME = {"latency_s": 0.5}


def runs(*seconds: float, result: object = SAME) -> list[Run]:
    return [Run(user_s=s, peak_mb=100.0, result=result) for s in seconds]


def test_each_commit_goes_first_in_every_other_pair() -> None:
    assert order(4) == [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")]
    assert order(0) == []


def test_a_ratio_is_b_over_a_within_a_pair() -> None:
    assert ratios(runs(1.0, 2.0), runs(2.0, 1.0)) == [2.0, 0.5]


def test_noise_that_only_adds_time_leaves_the_ratio_of_the_fastest_runs() -> None:
    row = judged("x", runs(1.0, 1.9, 1.4, 1.2, 3.0), runs(2.2, 1.6, 1.1, 2.0, 1.3))
    assert row.fastest == pytest.approx(1.1)
    assert f"{1.1:9.3f}" in table([row])


@pytest.mark.parametrize(("count", "rank"), [(7, 0), (8, 0), (9, 0), (11, 1), (12, 1), (20, 4)])
def test_from_seven_pairs_on_the_interval_is_that_of_the_sign_test(count: int, rank: int) -> None:
    """The narrowest pair of ranks that holds the median of coin tosses in 98 % of all cases."""

    def held(low: int) -> float:
        return float(sum(math.comb(count, k) for k in range(low + 1, count - low)) / 2**count)

    assert held(rank) >= 0.98
    assert rank + 1 > (count - 1) // 2 or held(rank + 1) < 0.98
    found = [1.0 + 0.01 * k for k in range(count)]
    random.Random(1).shuffle(found)
    low, high = interval(found)
    assert low == pytest.approx(1.0 + 0.01 * rank)
    assert high == pytest.approx(1.0 + 0.01 * (count - 1 - rank))


def test_one_wild_pair_of_seven_does_not_hide_a_slower_commit() -> None:
    low, _ = interval([1.06, 1.05, 1.07, 1.06, 3.0, 1.06, 1.05])
    assert low == 1.05


def test_few_pairs_are_taken_as_log_normal() -> None:
    """Student's 98 % quantile (two-sided) of 2 degrees of freedom is 6.965."""
    logs = [0.01, 0.02, 0.06]
    low, high = interval([math.exp(x) for x in logs])
    half = 6.964557 * math.sqrt(sum((x - 0.03) ** 2 for x in logs) / 2 / 3)
    assert math.log(low) == pytest.approx(0.03 - half, rel=1e-5)
    assert math.log(high) == pytest.approx(0.03 + half, rel=1e-5)


def test_one_pair_bounds_nothing() -> None:
    assert interval([2.0]) == (0.0, math.inf)
    assert verdict(*interval([2.0])) == "no difference seen (-100 % to any)"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.5, 2.0), min_size=2, max_size=12))
def test_swapping_the_commits_turns_the_interval_over(found: list[float]) -> None:
    low, high = interval(found)
    other_low, other_high = interval([1.0 / ratio for ratio in found])
    assert low <= high
    assert other_low == pytest.approx(1.0 / high)
    assert other_high == pytest.approx(1.0 / low)


def test_noise_alone_is_rarely_taken_for_a_difference() -> None:
    """200 comparisons of a commit with itself, 7 and 3 pairs, 5 % noise: 2 in 128 and 2 in 100
    are expected to be wrong."""
    rng = random.Random(0)
    for pairs, most in ((7, 10), (3, 10)):
        wrong = 0
        for _ in range(200):
            found = [math.exp(rng.gauss(0.0, 0.05)) for _ in range(pairs)]
            wrong += not verdict(*interval(found)).startswith("no difference")
        assert 0 < wrong < most


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.031, 1.062, "B slower by 3.1 % to 6.2 %"),
        (0.8, 0.9, "B faster by 10 % to 20 %"),
        (0.99, 1.02, "no difference seen (-1 % to +2 %)"),
        (1.0, 1.2, "no difference seen (+0 % to +20 %)"),
    ],
)
def test_a_verdict_is_what_the_whole_interval_says(low: float, high: float, said: str) -> None:
    assert verdict(low, high) == said


def test_a_row_tells_medians_spread_and_verdict() -> None:
    a, b = runs(1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0), runs(1.1, 1.2, 1.3, 2.8, 1.1, 1.2, 1.3)
    row = judged("map", a, b)
    assert (row.pairs, row.a_s, row.b_s) == (7, 1.0, 1.2)
    assert row.ratio == pytest.approx(1.2)
    assert (row.least, row.most) == pytest.approx((1.1, 1.4))
    assert (row.lower_quarter, row.upper_quarter) == pytest.approx((1.15, 1.3))
    assert row.verdict == "B slower by 10 % to 40 %"
    assert row.noisy
    assert not row.differs
    assert not row.broken


def test_what_one_commit_lacks_is_said_and_only_a_loss_is_a_fault() -> None:
    lacks = [Run(missing="no dse.map_layer")]
    assert judged("x", lacks, runs(1.0)).verdict == "not in A: no dse.map_layer"
    assert not judged("x", lacks, runs(1.0)).broken
    assert judged("x", runs(1.0), lacks).verdict == "not in B: no dse.map_layer"
    assert judged("x", runs(1.0), lacks).broken
    assert judged("x", lacks, lacks).verdict.startswith("not in A and B")
    assert not judged("x", lacks, lacks).broken


@pytest.mark.parametrize("failing", ["A", "B"])
def test_a_failure_in_either_commit_is_a_fault(failing: str) -> None:
    bad, good = [*runs(1.0), Run(failed="ValueError: oh")], runs(1.0, 1.0)
    row = judged("x", *((bad, good) if failing == "A" else (good, bad)))
    assert row.verdict == f"failed in {failing}: ValueError: oh"
    assert row.broken


def test_other_results_are_told_not_hidden() -> None:
    row = judged("map", runs(1.0, 1.0), runs(1.0, 1.0, result={"latency_s": 0.6}))
    assert row.differs == "latency_s: 0.5 and 0.6 (+0.2 of it)"
    text = table([row])
    assert "RESULTS DIFFER" in text
    assert "results differ, map: latency_s" in text


def test_results_that_vary_from_run_to_run_are_told() -> None:
    wavering = [*runs(1.0), *runs(1.0, result={"latency_s": 0.6})]
    assert judged("map", runs(1.0, 1.0), wavering).differs.startswith("from run to run of B")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"x": [1.0, 2.0]}, {"x": [1.0, 2.0]}, ""),
        ({"x": [1.0, 2.0]}, {"x": [1.0, 2.5]}, "x[1]: 2 and 2.5 (+0.25 of it)"),
        ({"x": [1.0]}, {"x": [1.0, 2.0]}, "x: 1 and 2 entries"),
        ({"x": 1}, {}, "x only in A"),
        ({}, {"x": {"y": 1}}, "x only in B"),
        ({"x": {"y": "a"}}, {"x": {"y": "b"}}, "x.y: a and b"),
        ({"x": 0.0}, {"x": 1.0}, "x: 0.0 and 1.0"),
        ({"x": True}, {"x": False}, "x: True and False"),
        ({"x": None}, {"x": 1.0}, "x: None and 1.0"),
    ],
)
def test_where_results_differ_first(one: object, other: object, said: str) -> None:
    assert difference(one, other) == said


def test_only_what_is_surely_slower_is_over_the_limit() -> None:
    steady = judged("steady", runs(*[1.0] * 7), runs(1.06, 1.07, 1.06, 1.08, 1.06, 1.07, 1.06))
    shaky = judged("shaky", runs(*[1.0] * 7), runs(1.5, 1.6, 1.04, 1.5, 1.6, 1.5, 1.5))
    absent = judged("absent", [Run(missing="no")], runs(1.0))
    rows = [steady, shaky, absent]
    assert over(rows, 1.05) == [steady]
    assert over(rows, 1.03) == [steady, shaky]


def test_a_noisy_machine_is_told() -> None:
    calm = judged("calm", runs(1.0, 1.0), runs(1.0, 1.05))
    wild = judged("wild", runs(1.0, 1.0), runs(1.0, 1.2))
    last = table([calm, wild]).splitlines()[-1]
    assert last.startswith("noisy")
    assert "wild" in last
    assert "calm" not in last
    assert "noisy" not in table([calm])


def test_the_table_lines_up_and_names_every_benchmark() -> None:
    rows = [
        judged("short", runs(1.0, 1.0), runs(1.0, 1.0)),
        judged("a-longer-name", runs(100.0, 100.0), runs(101.0, 101.0)),
        judged("absent", [Run(missing="no dse.explore")], runs(1.0)),
    ]
    lines = table(rows).splitlines()
    assert [line.split()[0] for line in lines] == ["benchmark", "short", "a-longer-name", "absent"]
    assert lines[1].index("no difference") == lines[0].index("verdict")
    assert lines[2].index("B slower") == lines[0].index("verdict")


def test_rows_are_json_without_numbers_that_json_lacks() -> None:
    for row in (judged("one", runs(1.0), runs(1.1)), judged("no", [Run(missing="x")], runs(1.0))):
        text = json.dumps(row.to_dict(), allow_nan=False)
        assert json.loads(text)["name"] == row.name


def test_order_and_pairs_agree() -> None:
    """Runs gathered in the order of the pairs are the pairs again."""
    gathered: dict[str, list[Run]] = {"a": [], "b": []}
    clock = itertools.count(1)
    for pair in order(3):
        for side in pair:
            gathered[side].append(Run(user_s=float(next(clock))))
    assert ratios(gathered["a"], gathered["b"]) == [2 / 1, 3 / 4, 6 / 5]
