"""One program alone: the analytic sum, a naive walk over every tile, and closed-form advance."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import Chip
from dse.mapping import LayerSchedule, Program, link_rates, program_latency_s
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Task,
    Timeline,
    Trace,
    simulate,
    simulate_alone,
)
from dse.simulation.engine import Engine
from dse.simulation.run import timeline
from tests.work import calls_of

from .conftest import make_chip, make_layer, make_program, resnet_like

LAYERS = st.builds(
    make_layer,
    st.just("layer"),
    steps=st.integers(1, 30),
    cycles=st.floats(0.0, 1e5),
    dram=st.floats(0.0, 1e5),
    l2=st.floats(0.0, 1e5),
    launch=st.floats(0.0, 1e4),
    fill_weight=st.floats(0.0, 1e5),
    fill_other=st.floats(1.0, 1e5),
    drain=st.floats(0.0, 1e5),
)


def naive_latency_s(program: Program, chip: Chip) -> float:
    """Walk every tile of the schedule: an independent reading of the semantics of time."""
    dram, l2, _ = link_rates(chip)
    now = program.invoke_s
    schedules = program.schedules
    for index, layer in enumerate(schedules):
        now += layer.launch_cycles / chip.f_hz
        prefetched = index > 0
        first = layer.fill_other[0] + (0.0 if prefetched else layer.fill_weight[0])
        now += first / dram
        tiles = [phase for phase in layer.phases for _ in range(phase.count)]
        for number, tile in enumerate(tiles):
            bytes_ = tile.link_bytes[0]
            if number + 1 == len(tiles) and index + 1 < len(schedules):
                bytes_ += schedules[index + 1].fill_weight[0]
            now += max(tile.array_cycles / chip.f_hz, bytes_ / dram, tile.link_bytes[1] / l2)
        now += layer.drain[0] / dram
    return now


@settings(max_examples=40)
@given(layers=st.lists(LAYERS, min_size=1, max_size=5), invoke=st.floats(0.0, 1e-3))
def test_alone_equals_the_analytic_sum_and_the_naive_walk(
    layers: list[LayerSchedule], invoke: float
) -> None:
    chip = make_chip()
    program = make_program("p", layers, invoke_s=invoke)
    result = simulate_alone(chip, program)
    assert result.completed == {"p": 1}
    finish = result.jobs[0].finish_s
    assert finish == pytest.approx(program_latency_s(program, chip), rel=1e-9)
    assert finish == pytest.approx(naive_latency_s(program, chip), rel=1e-9)


@pytest.mark.parametrize("scheduler", ["edf", "fifo", "rm"])
@pytest.mark.parametrize("preemption", ["none", "layer"])
@pytest.mark.parametrize("cores", [1, 2])
def test_closed_form_is_identical_to_segment_by_segment(
    scheduler: str, preemption: str, cores: int
) -> None:
    chip = make_chip(cores=cores, power_gating=True)
    big = dataclasses.replace(resnet_like(12), cores=cores)
    small = make_program(
        "s",
        [make_layer("a", steps=7, dram=900.0, fill_weight=64.0), make_layer("b", fill_other=9.0)],
        cores=cores,
    )
    allowed = tuple(range(cores))
    tasks = [
        Task("big", big, Periodic(300.0, jitter_s=1e-3), deadline_s=4e-3, cores=allowed),
        Task("small", small, Poisson(3000.0), deadline_s=2e-4, cores=allowed, late="drop"),
    ]
    policy = Policy(scheduler, preemption, horizon_s=0.1003)  # type: ignore[arg-type]
    results = []
    for fine in (False, True):
        engine = Engine(chip, tasks, policy, trace=True, fine=fine)
        engine.play()
        results.append(timeline(engine))
    closed, fine_result = results
    assert closed.events < fine_result.events
    assert dataclasses.replace(closed, events=0) == dataclasses.replace(fine_result, events=0)
    assert closed.completed["small"] > 100


def test_horizon_cuts_a_running_job() -> None:
    chip = make_chip()
    program = make_program("p", [make_layer("a", steps=10, cycles=100.0, dram=1000.0)])
    result = simulate(
        chip, [Task("p", program, Trace((0.0,)), deadline_s=1.0)], Policy(horizon_s=3.5e-6)
    )
    assert result.jobs[0].finish_s is None
    assert not result.jobs[0].missed
    assert result.link_bytes["dram"] == pytest.approx(3500.0, rel=1e-12)
    assert result.busy_s["core0"] == pytest.approx(3.5e-6)
    assert result.backlog == {"p": 1}


def test_more_bandwidth_is_never_slower() -> None:
    program = resnet_like()
    ends = [
        simulate_alone(make_chip(dram_bytes_per_s=rate), program).horizon_s
        for rate in (2.5e8, 5e8, 1e9, 2e9, 8e9)
    ]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > 2 * ends[-1]


def test_a_large_network_alone_is_a_few_events() -> None:
    """However many layers, steps and bytes it has; and some hundred calls a layer at most."""
    chip, program = make_chip(), resnet_like()
    assert simulate_alone(chip, program).events < 10
    assert calls_of(lambda: simulate_alone(chip, program)) < 1000 * len(program.schedules)


def test_events_of_an_app_with_seven_thousand_layers_a_second() -> None:
    chip, program = make_chip(cores=2), resnet_like()
    tasks = [Task(f"t{k}", program, Periodic(40.0), 0.025, cores=(0, 1)) for k in range(3)]
    played: list[Timeline] = []
    calls = calls_of(lambda: played.append(simulate(chip, tasks, Policy(preemption="segment"))))
    layers = sum(played[0].completed.values()) * 60
    assert layers >= 7000
    assert played[0].events < 8 * layers
    assert calls < 120 * played[0].events
