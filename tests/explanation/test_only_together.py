"""Three designs that no single step mends, and that several steps together do.

Budgets and deadlines are set a little beyond what one known set of steps gives, so that the cases
stay what they are when the figures of the model move. That no single step helps is checked by
trying every one of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dse
from dse.evaluation import Evaluation
from dse.evaluation.design import Value
from dse.evaluation.terms import Fidelity
from dse.explanation import Asked, Limits, explain_app
from dse.explanation.app_judge import AppJudge
from dse.explanation.ladders import Move, natural_moves
from dse.explanation.run import given_of

#: A delivery robot's chip: four cores with 2 MiB each, in a node whose masks are dear.
COURIER = """
schema_version: 1
name: courier_npu
template: conv_core
node: NODE
f_hz: 600e6
cores: CORES
array: {rows: 32, cols: 32, accumulator_bytes: 16384, formats: {int8: 1.0, int16: 0.25}}
buffer: {bytes: 2097152, banks: 16, read_bytes_per_cycle: 64, write_bytes_per_cycle: 64}
l2: {bytes: 4194304, banks: 8, bytes_per_cycle: 32}
vector: {lanes: 32}
host: {core: cortex-a55, count: 1, f_hz: 800e6}
dram: {kind: lpddr4x, channels: 1, capacity_bytes: 536870912, reserved_fraction: 0.15, burst_bytes: 256}
power: {gating: true, other_w: 0.06, pmic_rated_w: 2.0}
die: {other_area_mm2: 20.0, other_area_node: 16nm, io_pads: 120, pll_count: 2, package: fccsp}
cost: {design_class: edge_soc, royalty_fraction: 0.025, price_over_cost: 1.6, lifetime_years: 7, duty: 1.0}
"""  # noqa: E501
#: Money and a small package: a coarser node is cheaper and larger.
ROBOT = """
schema_version: 1
name: courier
streams:
  - {id: see, model: resnet8, rate_hz: 60, deadline_s: 0.01, percentile: 0.95}
  - {id: hear, model: dscnn_kws, rate_hz: 20, deadline_s: 0.02, percentile: 0.95}
budgets: {unit_cost_usd: COST, area_mm2: AREA, volume: 1.0e+6}
horizon_s: 0.5
"""
#: Time against power and area: what is faster draws more or is larger.
GATE = """
schema_version: 1
name: gate
streams:
  - {id: see, model: resnet8, rate_hz: 500, deadline_s: TIME, percentile: 0.95}
budgets: {module_power_w: POWER, area_mm2: AREA, volume: 1.0e+6}
horizon_s: 0.1
"""
#: A narrower network is fast enough, and only trained for its precision good enough.
SORT = """
schema_version: 1
name: sorting
streams:
  - id: sort
    model: mobilenetv2@res=224
    precisions: [w8a8, w8a8-qat]
    rate_hz: 20
    deadline_s: TIME
    percentile: 0.95
    quality: {metric: top1, min_value: 63.0}
budgets: {module_power_w: POWER, area_mm2: AREA, volume: 1.0e+6}
horizon_s: 0.5
"""


@dataclass(frozen=True)
class Case:
    """An app whose limits are written in, the chip, and steps that are known to mend it.

    ``limits``: by the word in the app's text the metric, the changes whose figure it is set by, and
    the factor on that figure.
    """

    app: str
    chip: str
    known: Mapping[str, Value]
    limits: Mapping[str, tuple[str, Mapping[str, Value], float]]
    keep: tuple[str, ...] = ()


ROBOT_STEPS: Mapping[str, Value] = {
    "chip.node": "10nm", "chip.cores": 3, "chip.buffer.bytes": 1048576,
}  # fmt: skip
GATE_STEPS: Mapping[str, Value] = {"chip.node": "7nm", "chip.f_hz": 7.5e8}
SORT_STEPS: Mapping[str, Value] = {"model.sort.width": 0.5, "model.sort.precision": "w8a8-qat"}
CASES = {
    "robot": Case(
        ROBOT,
        COURIER.replace("NODE", "7nm").replace("CORES", "4"),
        ROBOT_STEPS,
        {"COST": ("unit_cost_usd", ROBOT_STEPS, 1.005), "AREA": ("area_mm2", ROBOT_STEPS, 1.005)},
        keep=("app.budgets.volume",),
    ),
    "gate": Case(
        GATE,
        COURIER.replace("NODE", "16nm").replace("CORES", "1"),
        GATE_STEPS,
        {
            "TIME": ("latency_s", GATE_STEPS, 1.02),
            "POWER": ("average_power_w", GATE_STEPS, 1.001),
            "AREA": ("area_mm2", {}, 1.0001),
        },
    ),
    "sorting": Case(
        SORT,
        COURIER.replace("NODE", "16nm").replace("CORES", "1"),
        SORT_STEPS,
        {
            "TIME": ("latency_s", SORT_STEPS, 1.05),
            "POWER": ("average_power_w", {}, 1.0),
            "AREA": ("area_mm2", {}, 1.0001),
        },
    ),
}
LOOSE = {"COST": "1e6", "AREA": "1e4", "TIME": "10", "POWER": "1e3"}


@dataclass(frozen=True)
class Made:
    """A case as files, every single step of it, and what is said about it."""

    app: str
    chip: str
    case: Case
    moves: tuple[Move, ...]
    judge: AppJudge
    answer: dict[str, Any]


def judge_of(app: str, chip: str) -> tuple[AppJudge, tuple[Move, ...]]:
    found = dse.evaluation.resolve_parts(app, chip, {})
    moves = tuple(natural_moves(**given_of(found, {})))
    return AppJudge(app, chip, {}, [(move.path, move.step.after) for move in moves]), moves


def figure(judge: AppJudge, metric: str, changes: Mapping[str, Value]) -> float:
    exact = metric in ("unit_cost_usd", "area_mm2")
    record = judge("roofline" if exact else "simulate", changes).record
    assert record is not None
    value = record.metric(metric)
    assert value is not None
    return value


def write(text: str, path: Path, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    chip = write(case.chip, folder / "chip.yaml", {})
    loose, _ = judge_of(write(case.app, folder / "loose.yaml", LOOSE), chip)
    words = {
        word: repr(factor * figure(loose, metric, changes))
        for word, (metric, changes, factor) in case.limits.items()
    }
    app = write(case.app, folder / "app.yaml", words)
    judge, moves = judge_of(app, chip)
    asked = Asked(limits=Limits(tries=50, ways=1), keep=case.keep, draws=4)
    return Made(app, chip, case, moves, judge, explain_app(app, chip, {}, asked=asked))


every_case = pytest.mark.parametrize("made", CASES, indirect=True)


@every_case
def test_no_single_step_helps(made: Made) -> None:
    """Neither those of the table nor any further one on a ladder."""
    assert made.answer["feasible"] is False
    assert not any(step["feasible"] for step in made.answer["steps"])
    levels: tuple[Fidelity, ...] = ("roofline", "analytic", "simulate")
    for move in made.moves:
        if move.path in made.case.keep:
            continue
        changes = {move.path: move.step.after}
        assert not all(made.judge(level, changes).holds for level in levels), move


@every_case
def test_steps_together_do(made: Made) -> None:
    (way,) = made.answer["ways"]
    assert 2 <= way["changes"] <= len(made.case.known)
    assert way["minimal"]
    assert not set(way["set"]) & set(made.case.keep)
    assert made.answer["tried"]["text"].startswith("1 found")
    advice = made.answer["recommendation"]
    assert (advice["set"], advice["makes_feasible"], advice["after"]) == (way["set"], True, 0.0)
    assert advice["before"] > 0.0
    if made.case.app is SORT:
        assert way["set"] == SORT_STEPS


@every_case
def test_each_step_is_needed(made: Made) -> None:
    (way,) = made.answer["ways"]
    levels: tuple[Fidelity, ...] = ("roofline", "analytic", "simulate")
    for out in way["set"]:
        rest = {path: value for path, value in way["set"].items() if path != out}
        assert not all(made.judge(level, rest).holds for level in levels)


def by_hand(made: Made, changes: Mapping[str, Value]) -> Evaluation:
    """The steps taken in the files, not by their paths."""
    chip: dict[str, Any] = {}
    model: dict[str, Any] = {}
    data, _ = dse.schema.read_yaml(Path(made.app))
    for path, value in changes.items():
        group, _, rest = path.partition(".")
        if group == "model":
            model[rest] = value
        elif group == "chip":
            chip[rest.replace(".", "__")] = value
        else:
            stream, _, key = rest.partition(".")
            next(one for one in data["streams"] if one["id"] == stream)[key] = value
    changed = Path(made.app).with_name("changed.yaml")
    changed.write_text(json.dumps(data))
    return dse.simulate(dse.load_app(changed), dse.load_chip(made.chip, **chip), settings=model)


@every_case
def test_the_numbers_are_those_of_the_steps_taken_by_hand(made: Made) -> None:
    (way,) = made.answer["ways"]
    before, after = by_hand(made, {}), by_hand(made, way["set"])
    assert before.feasible is False
    assert after.feasible is True
    for name in ("unit_cost_usd", "average_power_w", "area_mm2", "latency_s"):
        first, last = way["metrics"][name]
        assert first == pytest.approx(before.metric(name))
        assert last == pytest.approx(after.metric(name))
    steps = way["steps"]
    assert {step["path"]: step["after"] for step in steps} == way["set"]
    assert [step["state"] for step in steps] == ["infeasible"] * (len(steps) - 1) + ["feasible"]
    for old, new in itertools.pairwise(steps):
        assert old["metrics"]["unit_cost_usd"][1] == new["metrics"]["unit_cost_usd"][0]
    for step in steps:
        for low, nominal, high in (
            (band["low"], band["nominal"], band["high"])
            for pair in step["bands"].values()
            for band in pair
        ):
            assert low <= high
            assert nominal > 0.0
        assert {"average_power_w", "unit_cost_usd", "area_mm2"} <= set(step["bands"])
        for place in (0, 1):
            band = step["bands"]["unit_cost_usd"][place]
            assert band["nominal"] == pytest.approx(step["metrics"]["unit_cost_usd"][place])


@pytest.mark.parametrize("made", ["robot"], indirect=True)
def test_what_may_not_change_is_known_and_kept(made: Made) -> None:
    """The same robot is mended by selling more of it, where that may change."""
    with pytest.raises(
        dse.InputError, match=r"no step changes 'chip\.nod'.*did you mean chip\.node"
    ):
        explain_app(made.app, made.chip, {}, asked=Asked(keep=("chip.nod",)))
    free = explain_app(
        made.app,
        made.chip,
        {},
        only=("app.budgets.volume", "chip.cores", "chip.buffer.bytes", "chip.l2.bytes"),
        asked=Asked(limits=Limits(tries=20, ways=1), draws=None),
    )
    sold = [way["set"].get("app.budgets.volume") for way in free["ways"]]
    assert sold == [2e6]
