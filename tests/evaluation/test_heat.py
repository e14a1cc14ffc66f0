"""The junction that the power gives: fixed point, runaway, bursts, and one junction everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import dse
from dse.apps.limits import Budgets, Environment
from dse.apps.scenario import App
from dse.evaluation import Evaluation, evaluate_app, stream_workloads
from dse.evaluation.app_scores import battery_hours
from dse.evaluation.heat import CLOSE_K, steady
from dse.evaluation.requirements import requirements
from dse.hardware.chip import Chip
from dse.hardware.junction import at_junction
from dse.hardware.modes import HOTTEST_C
from dse.hardware.resolve import load_chip
from dse.schema import validate

ONE = "- {id: a, model: resnet8, rate_hz: 30}"


def app(streams: str = ONE, **more: Any) -> App:
    return validate(App, {"name": "warm", "streams": yaml.safe_load(streams), **more})


def run(asked: App, chip: Chip, fidelity: Any = "simulate", **how: Any) -> Evaluation:
    return evaluate_app(asked, stream_workloads(asked, chip), chip, fidelity, **how)[0]


def hot_app(ambient: float, resistance: float, limit: float = 125.0, **more: Any) -> App:
    box = {"ambient_c": ambient, "thermal_c_per_w": resistance, "max_junction_c": limit, **more}
    return app(environment=box)


def die_w(record: Evaluation) -> float:
    return float(record.by_scope["die"]["average_power_w"] or 0.0)


def heat_reasons(record: Evaluation) -> list[str]:
    return [reason for reason in record.reasons if reason.kind == "heat"]


@pytest.fixture(scope="module")
def phone() -> Chip:
    return load_chip("phone_npu", node="7nm")


# The fixed point


@pytest.mark.parametrize("fidelity", ["simulate", "analytic", "roofline"])
@pytest.mark.parametrize(("ambient", "resistance"), [(25, 5), (60, 20), (85, 10), (-30, 1)])
def test_junction_and_power_agree(
    phone: Chip, fidelity: str, ambient: float, resistance: float
) -> None:
    record = run(hot_app(ambient, resistance), phone, fidelity)
    assert record.junction_c is not None
    assert record.junction_c == pytest.approx(
        ambient + resistance * die_w(record), abs=2.5 * CLOSE_K
    )
    # The chip resolved at that temperature draws the same: leakage and rails are those of it.
    there = at_junction(phone, record.junction_c)
    alone = run(app(), there, fidelity)
    near = 1e-3 if fidelity == "roofline" else 1e-6
    assert die_w(alone) == pytest.approx(die_w(record), rel=near)
    assert record.voltage_v == pytest.approx(there.voltage_v, rel=1e-9)
    assert record.average_power_w == pytest.approx(alone.average_power_w, rel=near)
    if fidelity == "simulate":
        assert record.peak_power_w == pytest.approx(alone.peak_power_w, rel=1e-6)


def test_a_better_heat_sink_saves_leakage(phone: Chip) -> None:
    good, bad = (run(hot_app(60, resistance), phone) for resistance in (2, 30))
    assert die_w(bad) > 1.1 * die_w(good)
    assert bad.battery_hours is None
    assert [row.latency_p99_s for row in bad.tasks] == [row.latency_p99_s for row in good.tasks]


def test_the_colder_of_two_temperatures_is_taken() -> None:
    # P = 1 W + 0.1 W x exp((T - 60) / 20): 60 + 10 P = T has two solutions, 74 and 99 C or so.
    chip = load_chip("phone_npu")
    found = steady(
        Environment(ambient_c=60, thermal_c_per_w=10, max_junction_c=125),
        chip,
        lambda at: 1.0 + 0.1 * 2.718281828 ** ((at.junction_c - 60.0) / 20.0),
    )
    assert found.cause is None
    assert found.celsius < 80
    again = 60 + 10 * (1.0 + 0.1 * 2.718281828 ** ((found.celsius - 60.0) / 20.0))
    assert again == pytest.approx(found.celsius, abs=0.05)


# Thermal runaway


@pytest.mark.parametrize(
    ("node", "ambient", "resistance"), [("7nm", 85, 50), ("7nm", 100, 30), ("4nm", 70, 90)]
)
@pytest.mark.parametrize("fidelity", ["simulate", "analytic"])
def test_no_steady_junction_is_a_runaway(
    node: str, ambient: float, resistance: float, fidelity: str
) -> None:
    chip = load_chip("phone_npu", node=node)
    text = "- {id: a, model: resnet50_v1.5, rate_hz: 30}" if resistance == 50 else ONE
    box = {"ambient_c": ambient, "thermal_c_per_w": resistance, "max_junction_c": 115}
    record = run(app(text, environment=box), chip, fidelity)
    assert record.feasible is False
    (told,) = heat_reasons(record)
    assert told.startswith(f"thermal runaway: no steady junction up to {HOTTEST_C:g} C")
    # At the hottest known temperature more heat is made than leaves.
    assert record.junction_c is not None
    assert record.junction_c > HOTTEST_C
    assert ambient + resistance * die_w(record) == pytest.approx(record.junction_c, rel=1e-6)
    heat = [demand for demand in requirements(app(environment=box), record) if demand.excess]
    assert any(demand.kind == "heat" for demand in heat)


def test_hot_and_too_hot_are_told_apart(phone: Chip) -> None:
    record = run(hot_app(85, 20, limit=90), phone)
    (told,) = heat_reasons(record)
    assert told.startswith("junction at ")
    assert told.endswith("over the 90 C allowed")
    assert run(hot_app(85, 20, limit=110), phone).feasible is True


# Bursts

BURSTS = """
- {id: a, model: resnet50_v1.5, arrivals: {times_s: [TIMES]}}
"""


def test_bursts_swing_about_the_sustained_temperature(phone: Chip) -> None:
    times = ", ".join(f"{0.002 * index:.3f}" for index in range(100))  # 0.2 s of work in 2 s
    text = BURSTS.replace("TIMES", times)
    found = {}
    for held in (1e-3, 0.05, 1e3):
        box = {"ambient_c": 40, "thermal_c_per_w": 20, "thermal_j_per_k": held}
        found[held] = run(app(text, environment=box, horizon_s=2.0), phone)
    sustained = {record.junction_c for record in found.values()}
    assert len(sustained) == 1
    (mean,) = sustained
    assert mean is not None
    light, middle, heavy = (record.junction_peak_c or 0.0 for record in found.values())
    assert light > middle > heavy
    assert heavy == pytest.approx(mean, abs=0.05)
    # Without heat capacity the junction follows the power: the highest layer of the play.
    assert light > mean + 10.0


def test_a_burst_over_the_limit_is_infeasible(phone: Chip) -> None:
    times = ", ".join(f"{0.002 * index:.3f}" for index in range(100))
    box = {"ambient_c": 40, "thermal_c_per_w": 20, "thermal_j_per_k": 1e-3}
    wide = run(
        app(
            BURSTS.replace("TIMES", times),
            environment={**box, "max_junction_c": 105},
            horizon_s=2.0,
        ),
        phone,
    )
    assert wide.junction_c is not None
    limit = wide.junction_c + 5.0
    tight = run(
        app(
            BURSTS.replace("TIMES", times),
            environment={**box, "max_junction_c": limit},
            horizon_s=2.0,
        ),
        phone,
    )
    assert wide.feasible is True
    assert tight.feasible is False
    (told,) = heat_reasons(tight)
    assert "in bursts" in told
    assert "sustained" in told


# One junction everywhere

FILE = """
schema_version: 1
name: j
streams: [{id: a, model: resnet8, rate_hz: 30}]
junction_c: %d
"""


@pytest.mark.parametrize("celsius", [40, 110])
def test_python_and_the_command_take_the_app_s_junction(tmp_path: Path, celsius: int) -> None:
    file = tmp_path / "j.yaml"
    file.write_text(FILE % celsius)
    by_name = dse.simulate(str(file), "phone_npu")
    asked, chip = dse.load_app(str(file)), dse.load_chip("phone_npu")
    at_hand = dse.simulate(asked, chip)
    platform = dse.simulate(asked, dse.load_chip("phone_npu", junction_c=80))
    assert at_hand.junction_c == by_name.junction_c == platform.junction_c == celsius
    assert die_w(at_hand) == die_w(by_name) == die_w(platform)
    set_apart = dse.simulate(asked, chip, settings={"chip.junction_c": 70})
    assert set_apart.junction_c == 70
    assert min(die_w(by_name), die_w(set_apart)) < max(die_w(by_name), die_w(set_apart))


@pytest.mark.parametrize("celsius", [25, 110])
def test_a_model_alone_says_its_junction(celsius: int) -> None:
    record = dse.simulate("resnet8", "phone_npu", settings={"chip.junction_c": celsius})
    again = dse.simulate("resnet8", dse.load_chip("phone_npu", junction_c=celsius))
    assert record.to_dict()["junction_c"] == again.to_dict()["junction_c"] == celsius
    assert Evaluation.from_dict(json.loads(json.dumps(record.to_dict()))).junction_c == celsius


def test_what_an_app_states_and_what_its_environment_gives(phone: Chip) -> None:
    box = {"ambient_c": 40, "thermal_c_per_w": 10}
    plain = dse.simulate(app(environment=box), phone)
    stated = dse.simulate(app(environment=box, junction_c=100), phone)
    assert stated.junction_c == pytest.approx(plain.junction_c, abs=3 * CLOSE_K)
    assert any("junction_c of 100 C" in note for note in stated.notes)


def test_a_clock_that_follows_the_temperature_is_that_of_the_junction() -> None:
    pinned = load_chip("phone_npu", overrides={"f_hz": None, "voltage_v": 0.7})
    record = run(hot_app(40, 60), pinned)
    assert record.junction_c is not None
    there = at_junction(pinned, record.junction_c)
    assert record.f_hz == pytest.approx(there.f_hz, rel=1e-3)
    assert record.f_hz != pinned.f_hz
    alone = run(app(), there, mapped_on=pinned)
    assert record.tasks[0].latency_p50_s == pytest.approx(alone.tasks[0].latency_p50_s, rel=1e-3)


def test_a_chip_with_its_own_thermal_model_is_played_with_it() -> None:
    chip = load_chip("phone_npu", overrides={"power.thermal.resistance_k_per_w": 10})
    record = run(hot_app(40, 10), chip)
    assert record.junction_peak_c is not None
    assert record.junction_peak_c < 40.0  # its own ambient of 25 C, from which it starts
    assert record.junction_c == pytest.approx(40 + 10 * die_w(record))


# Batteries


def budgets(**values: Any) -> App:
    return app(budgets=validate(Budgets, {"battery_wh": 1.0, **values}).model_dump())


def test_a_battery_empties_by_itself() -> None:
    # 2.5 % a month of 1 Wh is 34.7 uW: nothing lasts longer than 40 months.
    hours = battery_hours(budgets(), 1e-6)
    assert hours is not None
    assert hours == pytest.approx(1.0 / (1e-6 / 0.92 + 0.025 / 720), rel=1e-9)
    assert hours < 40 * 720
    assert battery_hours(budgets(battery_self_discharge=0.0, battery_converter=1.0), 1e-6) == 1e6


def test_what_lies_between_battery_and_module_takes_its_part() -> None:
    direct = budgets(battery_converter=1.0, battery_self_discharge=0.0)
    assert battery_hours(direct, 0.1) == pytest.approx(10.0)
    lossy = budgets(battery_converter=0.8, battery_self_discharge=0.0, other_power_w=0.1)
    assert battery_hours(lossy, 0.1) == pytest.approx(1.0 / (0.125 + 0.1))


def test_the_room_of_a_battery_is_at_the_module() -> None:
    chip = load_chip("edge_vision")
    plain = run(app(budgets={"battery_wh": 10.0, "min_hours": 1.0}), chip)
    assert plain.battery_hours is not None
    for hours, kept in ((0.999 * plain.battery_hours, True), (1.001 * plain.battery_hours, False)):
        asked = app(budgets={"battery_wh": 10.0, "min_hours": hours})
        record = run(asked, chip)
        (room,) = [d.room for d in requirements(asked, record) if d.kind == "battery"]
        assert room is not None
        assert abs(room) < 0.002
        assert (room >= 0) is kept
        assert record.feasible is kept
