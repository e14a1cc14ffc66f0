"""Chips that run networks pipelined in space: fidelities, apps and search, to the record."""

from __future__ import annotations

from typing import Any

import pytest

from dse.apps import App
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.design import stream_workloads
from dse.evaluation.model_run import evaluate_model
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.workload import Workload
from dse.workload.load import load_model


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("hailo8", overrides={"cores": 8, "buffer.bytes": 1 << 18})


@pytest.fixture(scope="module")
def net() -> Workload:
    return load_model("resnet8").at()


def known(value: float | None) -> float:
    assert value is not None
    return value


def app(horizon_s: float = 0.2, **changes: Any) -> App:
    stream = {"id": "see", "model": "resnet8", "rate_hz": 100, "deadline_s": 0.05}
    return App.model_validate(
        {"name": "x", "streams": [{**stream, **changes}], "horizon_s": horizon_s}
    )


def test_three_fidelities_keep_their_relations(net: Workload, chip: Chip) -> None:
    small = load_chip("hailo8", overrides={"cores": 2, "buffer.bytes": 40 * 1024})
    gated = {"execution": "pipelined", "cores": 8, "buffer.bytes": 1 << 18}
    for where in (chip, small, load_chip("edge_vision", overrides=gated)):
        bound, said, played = (
            evaluate_model(net, where, level) for level in ("roofline", "analytic", "simulate")
        )
        assert played.feasible
        for name in ("latency_s", "energy_j"):
            low, middle, high = (known(getattr(one, name)) for one in (bound, said, played))
            assert low <= middle * (1.0 + 1e-9)
            assert middle == pytest.approx(high, rel=1e-6 if where.name == "hailo8" else 0.02)
        rates = [known(one.throughput_per_s) for one in (bound, said, played)]
        assert rates[0] >= rates[1] == rates[2]
        if where.name == "hailo8":  # a call by a driver counts in a play alone
            assert said.peak_power_w == pytest.approx(known(played.peak_power_w), rel=0.02)
        assert sum(row.latency_s for row in played.layers) == pytest.approx(played.latency_s)
        assert sum(row.energy_j for row in played.layers) == pytest.approx(played.energy_j)
        assert 0.0 < known(played.utilization) <= 1.0


def test_a_stream_runs_at_the_pace_of_the_slowest_stage(net: Workload, chip: Chip) -> None:
    """Faster than one frame takes, and every frame takes what one takes alone."""
    alone = evaluate_model(net, chip, "analytic")
    pace, once = known(alone.throughput_per_s), known(alone.latency_s)
    rate = 0.95 * pace
    assert rate * once > 1.0
    record, timeline = evaluate_app(
        app(100 / rate, rate_hz=rate), stream_workloads(app(), chip), chip, "simulate"
    )
    assert timeline is not None
    assert record.feasible, record.reasons
    (row,) = record.tasks
    assert row.latency_max_s == pytest.approx(once, rel=1e-6)
    over = app(100 / rate, rate_hz=1.05 * pace)
    crowded, _ = evaluate_app(over, stream_workloads(over, chip), chip, "simulate")
    assert crowded.feasible is False


def test_what_follows_starts_when_results_are_out(chip: Chip) -> None:
    first = {"id": "see", "model": "resnet8", "rate_hz": 100}
    then = {"id": "next", "model": "resnet8", "after": "see"}
    both = App.model_validate({"name": "x", "streams": [first, then], "horizon_s": 0.2})
    _, timeline = evaluate_app(both, stream_workloads(both, chip), chip, "simulate")
    assert timeline is not None
    seen = [job for job in timeline.jobs if job.task == "see"]
    after = [job for job in timeline.jobs if job.task == "next"]
    assert len(after) > 10
    assert [job.release_s for job in after] == [job.finish_s for job in seen][: len(after)]


def test_a_pipeline_of_an_app_takes_so_many_cores(chip: Chip) -> None:
    some, every = app(pipeline=3), app()
    few, _ = evaluate_app(some, stream_workloads(some, chip), chip, "analytic")
    all_, _ = evaluate_app(every, stream_workloads(every, chip), chip, "analytic")
    assert few.tasks[0].cores == (0, 1, 2)
    assert len(all_.tasks[0].cores) == 8
    slow, fast = (known(one.tasks[0].isolated_latency_s) for one in (few, all_))
    assert slow > fast
