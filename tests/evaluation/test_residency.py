"""Weights that stay on the chip beside other streams: shared out by how often networks run."""

from __future__ import annotations

from typing import Any

import pytest

from dse.apps.scenario import App
from dse.evaluation import Evaluation, evaluate_app, stream_workloads
from dse.evaluation.allotments import allotments
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.schema import validate


def stream(name: str, model: str, rate: float, **more: Any) -> dict[str, Any]:
    return {"id": name, "model": model, "rate_hz": rate, **more}


def run(
    chip: Chip, *streams: dict[str, Any], fidelity: Any = "analytic", **more: Any
) -> Evaluation:
    app = validate(App, {"name": "r", "streams": list(streams), "horizon_s": 1.0, **more})
    return evaluate_app(app, stream_workloads(app, chip), chip, fidelity)[0]


def alone_ms(record: Evaluation, name: str) -> float:
    return next(row.isolated_latency_s for row in record.tasks if row.stream == name) * 1e3


def kept(record: Evaluation, memory: str) -> float:
    parts = record.memory[memory]["parts"]
    return float(sum(size for name, size in parts.items() if name.startswith("weights")))


@pytest.fixture(scope="module")
def usb() -> Chip:
    return load_chip("edge_tpu")


RARE = [("mobilenetv1_w0.25", 0.001), ("dscnn_kws", 0.01), ("resnet8", 1.0), ("resnet8", 100.0)]


@pytest.mark.parametrize(("model", "rate"), RARE)
def test_two_networks_that_fit_together_both_stay(usb: Chip, model: str, rate: float) -> None:
    one, two = stream("a", "mobilenetv2", 30), stream("b", model, rate)
    first, second, both = run(usb, one), run(usb, two), run(usb, one, two)
    assert alone_ms(both, "a") == pytest.approx(alone_ms(first, "a"), rel=1e-3)
    assert alone_ms(both, "b") == pytest.approx(alone_ms(second, "b"), rel=1e-3)
    assert alone_ms(both, "a") == pytest.approx(2.8, abs=0.1)
    assert kept(both, "buffer") == kept(first, "buffer") + kept(second, "buffer")
    # Nothing but inputs and outputs crosses the link.
    assert both.dram_bytes == pytest.approx((first.dram_bytes or 0) + (second.dram_bytes or 0))
    played = run(usb, one, two, fidelity="simulate")
    assert played.tasks[0].latency_p50_s == pytest.approx(2.8e-3, abs=1e-4)


def test_what_does_not_fit_is_streamed_in_part() -> None:
    """Between all and nothing: the smaller the buffer, the more of the rare network is streamed."""
    one, two = stream("a", "mobilenetv1", 30), stream("b", "mobilenetv2", 3)
    found = []
    for size in (9_000_000, 8_000_000, 7_000_000, 6_000_000):
        chip = load_chip("edge_tpu", overrides={"buffer.bytes": size})
        record = run(chip, one, two)
        table = record.memory["buffer"]
        assert table["need_bytes"] <= table["capacity_bytes"]
        found.append((alone_ms(record, "b"), kept(record, "buffer"), record.dram_bytes or 0.0))
        # The one that runs often keeps all of its own, with less room for tiles.
        assert alone_ms(record, "a") == pytest.approx(alone_ms(run(chip, one), "a"), rel=0.1)
    times, rooms, moved = zip(*found, strict=True)
    assert list(times) == sorted(times)
    assert list(rooms) == sorted(rooms, reverse=True)
    assert list(moved) == sorted(moved)
    assert times[-1] > 1.5 * times[0]
    assert times[1] not in (times[0], times[-1])


def test_who_runs_more_often_stays(usb: Chip) -> None:
    chip = load_chip("edge_tpu", overrides={"buffer.bytes": 6_000_000})
    one, two = stream("a", "mobilenetv2", 30), stream("b", "mobilenetv1", 3)
    often = run(chip, one, two)
    seldom = run(chip, {**one, "rate_hz": 3}, {**two, "rate_hz": 30})
    assert alone_ms(often, "a") < alone_ms(seldom, "a")
    assert alone_ms(often, "b") > alone_ms(seldom, "b")


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("edge_tpu", ("mobilenetv2", "resnet8")),
        ("edge_vision", ("resnet8", "dscnn_kws")),
        ("phone_npu", ("mobilenetv2", "mobilenetv1_w0.25")),
        ("wearable_npu", ("mobilenetv1_vww", "dscnn_kws")),
    ],
)
def test_the_levels_agree_in_the_mean(name: str, models: tuple[str, str]) -> None:
    chip = load_chip(name)
    streams = [stream("a", models[0], 20), stream("b", models[1], 10)]
    bound, sums, played = (
        run(chip, *streams, fidelity=level) for level in ("roofline", "analytic", "simulate")
    )
    assert played.dram_bytes == pytest.approx(sums.dram_bytes, rel=1e-6, abs=1.0)
    assert played.average_power_w == pytest.approx(sums.average_power_w, rel=0.02)
    assert (bound.dram_bytes or 0.0) <= (sums.dram_bytes or 0.0) * (1 + 1e-9)
    assert (bound.average_power_w or 0.0) <= (sums.average_power_w or 0.0) * (1 + 1e-9)


def test_jobs_at_one_time_share_the_l2() -> None:
    """Two cores, each with a job that alone would take more than half of the L2."""
    chip = load_chip("phone_npu", overrides={"l2.bytes": 2_097_152})
    one, two = stream("a", "mobilenetv2", 30), stream("b", "resnet18", 30)
    for record in (run(chip, one, two), run(chip, {**one, "instances": 2})):
        table = record.memory["l2"]
        assert table["need_bytes"] <= table["capacity_bytes"]
        assert not [reason for reason in record.reasons if reason.kind == "memory"]
    single, both = run(chip, one), run(chip, one, two)
    assert kept(single, "l2") + 1.7e6 > 2_097_152 / 2
    assert alone_ms(both, "a") >= alone_ms(single, "a")
    assert (run(chip, {**one, "instances": 2}).dram_bytes or 0.0) > 2 * (single.dram_bytes or 0.0)


def test_room_is_never_dealt_out_twice() -> None:
    for name in ("edge_tpu", "edge_vision", "phone_npu", "wearable_npu", "robot_npu"):
        chip = load_chip(name)
        streams = [
            stream("a", "mobilenetv2", 30), stream("b", "resnet18", 15),
            stream("c", "mobilenetv1_vww", 60), stream("d", "mobilenetv2", 1),
        ]  # fmt: skip
        app = validate(App, {"name": "r", "streams": streams})
        found = allotments(app, stream_workloads(app, chip), chip)
        assert len(found) == 3  # two streams run one network
        size = chip.links["l2"].capacity_bytes or float(chip.buffer.capacity_bytes)
        keep = sum(one.keep_bytes for one in found.values())
        assert keep <= size
        at_once = min(chip.cores, 4)
        own = sorted((one.room_bytes - one.keep_bytes for one in found.values()), reverse=True)
        own = sorted([*own, own[0]], reverse=True)  # mobilenetv2 in two streams
        assert sum(own[:at_once]) + keep <= size * (1 + 1e-9)


def test_nothing_is_dealt_out_where_nothing_is_shared() -> None:
    chip = load_chip("edge_tpu")
    app = validate(App, {"name": "r", "streams": [stream("a", "mobilenetv2", 30)]})
    assert allotments(app, stream_workloads(app, chip), chip) == {}
    streamed = load_chip("edge_tpu", overrides={"dram.weights": "streamed"})
    two = validate(
        App, {"name": "r", "streams": [stream("a", "mobilenetv2", 30), stream("b", "resnet8", 1)]}
    )
    found = allotments(two, stream_workloads(two, streamed), streamed)
    assert {one.keep_bytes for one in found.values()} == {0.0}
    assert all(one.seen(streamed) is streamed for one in found.values())
