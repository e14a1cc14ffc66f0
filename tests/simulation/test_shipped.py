"""The simulator on shipped models, chips and apps, and through the command line."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import Program, layer_latencies_s, map_network, program_latency_s, roofline
from dse.simulation import (
    Periodic,
    Policy,
    Task,
    pipeline_parts,
    pipeline_tasks,
    simulate,
    simulate_alone,
    task_stats,
)
from dse.workload.load import load_model

from ..cli.conftest import Run, run

__all__ = ["run"]

#: Small networks of each kind; every network that ships was compared once (docs/simulation.md).
MODELS = ("resnet8", "dscnn_kws", "ad_autoencoder", "bert_tiny")
CHIPS = ("edge_vision", "rk3588_npu", "tda4vm")
PAIRS = [(model, chip) for model in MODELS for chip in CHIPS]


@pytest.mark.parametrize(("model", "chip_name"), [*PAIRS, ("mobilenetv2", "edge_vision")])
def test_alone_equals_analytic_and_no_bound_is_broken(model: str, chip_name: str) -> None:
    chip, workload = load_chip(chip_name), load_model(model).at()
    program = map_network(workload, chip)
    timeline = simulate_alone(chip, program, trace=True)
    assert timeline.horizon_s == pytest.approx(program_latency_s(program, chip), rel=1e-9)
    assert roofline(workload, chip).latency_s <= timeline.horizon_s
    # Layer by layer too, and all the work there is.
    taken: dict[str, float] = {}
    for interval in timeline.intervals:
        if interval.core == 0:
            span = interval.end_s - interval.start_s
            taken[interval.layer] = taken.get(interval.layer, 0.0) + span
    for schedule, seconds in zip(program.schedules, layer_latencies_s(program, chip), strict=True):
        assert taken.get(schedule.layer, 0.0) == pytest.approx(seconds, rel=1e-6, abs=1e-12)
    moved = sum(seg.count * seg.link_bytes[0] for seg in program.segments)
    assert timeline.link_bytes["dram"] == pytest.approx(moved, rel=1e-9)


@functools.lru_cache(maxsize=1)
def mapped() -> Program:
    return map_network(load_model("mobilenetv2").at(), load_chip("edge_vision"))


def mobilenet(**overrides: object) -> tuple[Chip, Program]:
    """What is overridden here does not change the mapping."""
    return load_chip("edge_vision", overrides=overrides), mapped()


def test_features_that_are_off_change_nothing() -> None:
    plain, program = mobilenet()
    task = Task("t", program, Periodic(60.0), 1 / 60)
    base = simulate(plain, [task], Policy(horizon_s=0.1))
    points, _ = mobilenet(**{"power.dvfs.points": "0.3,0.6"})
    assert [round(chip.f_hz / 1e6) for chip in points.dvfs.points] == [180, 360]  # type: ignore[union-attr]
    same = simulate(points, [task], Policy(horizon_s=0.1))
    assert dataclasses.replace(same, events=0) == dataclasses.replace(base, events=0)


def test_a_slower_point_costs_less_energy_and_more_time() -> None:
    chip, program = mobilenet(
        **{"power.dvfs.points": "0.4,0.7", "power.dvfs.governor": "deadline_aware"}
    )
    task = Task("t", program, Periodic(30.0), 1 / 30)
    policy = Policy(horizon_s=0.2)
    saved = simulate(chip, [task], policy)
    full = simulate(chip, [task], dataclasses.replace(policy, governor="fixed"))
    assert not any(job.missed for job in saved.jobs)
    assert {hz for _, hz in saved.clock_hz} == {0.4 * 600e6}
    assert saved.energy_j["mac"] < 0.9 * full.energy_j["mac"]
    lows = [chip_.voltage_v for chip_ in chip.dvfs.points]  # type: ignore[union-attr]
    assert lows == sorted(lows)
    assert lows[-1] <= chip.voltage_v


def test_a_hot_module_leaks_more() -> None:
    def leakage_j(**overrides: object) -> float:
        chip, program = mobilenet(**overrides)
        task = Task("t", program, Periodic(100.0))
        return simulate(chip, [task], Policy(horizon_s=0.2)).energy_j["static.logic_leakage"]

    fixed = leakage_j()
    hot = {"power.thermal.resistance_k_per_w": 30.0, "power.thermal.ambient_c": 85.0}
    cold = {"power.thermal.resistance_k_per_w": 30.0, "power.thermal.ambient_c": 0.0}
    assert leakage_j(**cold) < 0.5 * fixed  # resolved at 65 C
    assert leakage_j(**hot) > 1.3 * fixed


def test_retention_saves_between_frames() -> None:
    chip, program = mobilenet(**{"power.sleep_states": "clock_gated,retention"})
    task = Task("t", program, Periodic(20.0))
    energy = simulate(chip, [task], Policy(horizon_s=0.2)).state_energy_j
    assert energy["clock_gated"] > 0.0
    assert sum(energy.values()) > 0.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"power.dvfs.governor": "race_to_idle"}, "needs points"),
        ({"power.dvfs.points": "0.5,0.5"}, "each once"),
        ({"power.dvfs.points": "0.5,1.5"}, "out of range .*below it"),
        (
            {"power.thermal.resistance_k_per_w": 9.0, "power.thermal.limit_c": 20.0},
            "not above the ambient",
        ),
        ({"noc.topology": "ring"}, "bytes_per_cycle"),
        ({"noc.topology": "bus", "noc.bytes_per_cycle": 9.0, "noc.chiplets": 2}, "die_bytes_per_s"),
    ],
)
def test_impossible_modes_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_chip("edge_vision", overrides=overrides)


def test_a_network_in_a_pipeline_over_cores_keeps_its_work() -> None:
    chip = load_chip("edge_vision", overrides={"cores": 3, "overhead.invoke_s": 1e-6})
    workload = load_model("resnet8").at()
    programs = [program for _, program in pipeline_parts(workload, chip, 3)]
    assert sum(len(program.schedules) for program in programs) == len(workload.layers)
    macs = sum(schedule.macs for program in programs for schedule in program.schedules)
    assert macs == workload.macs
    whole = map_network(workload, chip)
    alone = [program_latency_s(program, chip) for program in programs]
    assert max(alone) < 0.6 * program_latency_s(whole, chip)
    rate = 0.7 / max(alone)  # more frames than one core could play
    tasks = pipeline_tasks("net", programs, chip, Periodic(rate), (0, 1, 2), deadline_s=0.02)
    timeline = simulate(chip, tasks, Policy(horizon_s=0.1))
    last = {one.name: one for one in task_stats(timeline, tasks)}["net.2"]
    assert rate * program_latency_s(whole, chip) > 1.1
    assert last.missed == 0
    assert last.completed >= 0.1 * rate - 4


# Command line

NARROW = ("--set", "chip.cores=2", "--set", "chip.dram.reserved_fraction=0.75")


def test_halving_the_channels_breaks_a_deadline_and_names_stream_layer_and_resource(
    run: Run,
) -> None:
    """Two cores, and cameras and display that take three quarters of the memory."""
    for channels, feasible in ((2, True), (1, False)):
        ran = run(
            "simulate",
            "factory_inspection",
            "--chip",
            "edge_vision",
            *NARROW,
            "--set",
            f"chip.dram.channels={channels}",
            "--json",
        )
        assert ran.code == 0, ran.err
        record = ran.json
        late = [row for row in record["tasks"] if row["meets_deadline"] is False]
        assert bool(late) is not feasible
        if not feasible:
            assert record["feasible"] is False
            reasons = [r for r in record["reasons"] if r.startswith(f"stream {late[0]['task']}")]
            assert "in layer " in reasons[0]
            assert any("bound by dram" in reason for reason in record["reasons"])


def test_plot_and_trace_of_a_model_with_everything_on(run: Run, tmp_path: Path) -> None:
    plot, trace = tmp_path / "power.html", tmp_path / "trace.json"
    ran = run(
        "simulate",
        "wearable_kws",
        "--chip",
        "gap9",
        "--power-plot",
        str(plot),
        "--trace",
        str(trace),
        "--set",
        "chip.power.dvfs.points=0.5",
        "--set",
        "chip.power.dvfs.governor=race_to_idle",
        "--set",
        "chip.power.thermal.resistance_k_per_w=40",
        "--json",
    )
    assert ran.code == 0, ran.err
    assert "Plotly.newPlot" in plot.read_text(encoding="utf-8")
    names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"clock", "junction", "power.module"} <= names
    wrong = run(
        "simulate", "resnet8", "--chip", "gap9", "--fidelity", "analytic", "--power-plot", "x.html"
    )
    assert wrong.code == 2
    assert "--power-plot" in wrong.err
