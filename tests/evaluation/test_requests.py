"""Requests of several stages: first token and tokens apart, limits, batteries, heat, chains."""

from __future__ import annotations

from pathlib import Path

import pytest

import dse
from dse.evaluation import Design, Evaluation, evaluate
from dse.evaluation.requirements import requirements, violation

CHAT = """
schema_version: 1
name: chat
streams:
  - id: chat
    model: qwen2_0.5b
    choices: [qwen2_0.5b, tinyllama_1.1b]
    request: {prefill: "{model}_prefill@seq=64", decode: "{model}_decode@past=80", output_tokens: 32, ttft_s: 1.0, tpot_s: 0.1}
    rate_hz: 1
    percentile: 0.9
budgets: {battery_wh: 10, battery_usable: 0.5, min_hours: 1, other_power_w: 2,
          battery_converter: 1, battery_self_discharge: 0}
environment: {ambient_c: 40, max_junction_c: 90, thermal_c_per_w: 10}
horizon_s: 4
"""  # noqa: E501
CHAIN = """
schema_version: 1
name: chain
streams:
  - {id: hear, model: dscnn_kws, rate_hz: 50, deadline_s: 0.1}
  - {id: see, model: resnet8, after: hear, probability: 0.5, deadline_s: 0.1}
  - {id: name, model: mobilenetv1_vww, after: see, deadline_s: 0.1}
chains:
  - {id: all, streams: [hear, see, name], deadline_s: LIMIT, percentile: 0.9}
horizon_s: 2
"""


@pytest.fixture
def chat(tmp_path: Path) -> str:
    path = tmp_path / "chat.yaml"
    path.write_text(CHAT)
    return str(path)


def run(
    app: str, chip: str = "llm_npu", fidelity: str = "simulate", **settings: object
) -> Evaluation:
    paths = {name.replace("__", "."): value for name, value in settings.items()}
    return evaluate(Design(app, chip, paths), fidelity)  # type: ignore[arg-type]


def test_first_token_and_tokens_are_told_apart(chat: str) -> None:
    row = run(chat).tasks[0]
    assert row.isolated_ttft_s is not None
    assert row.isolated_tpot_s is not None
    assert row.ttft_p99_s == pytest.approx(row.isolated_ttft_s, rel=2e-3)
    assert row.tpot_p99_s == pytest.approx(row.isolated_tpot_s, rel=2e-3)
    assert row.latency_p99_s == pytest.approx(
        row.isolated_ttft_s + 31 * row.isolated_tpot_s, rel=2e-3
    )
    assert row.deadline_s == pytest.approx(1.0 + 31 * 0.1)
    keys = run(chat).to_dict()["tasks"][0]
    assert {"ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "tpot_p99_s"} <= set(keys)


def test_decode_reaches_the_effective_share_of_dram_not_the_peak(chat: str) -> None:
    """Every token reads all weights; the link gives what the DRAM gives, never its peak."""
    record, chip = run(chat), dse.load_chip("llm_npu")
    row, link = record.tasks[0], chip.links["dram"]
    assert row.isolated_tpot_s is not None
    assert row.dram_peak_share is not None
    weights = dse.load_model("qwen2_0.5b_decode@past=80").at("w8a8").weight_bytes
    assert row.isolated_tpot_s >= weights / link.bytes_per_s
    effective = link.bytes_per_s / link.peak_bytes_per_s
    assert 0.6 * effective < row.dram_peak_share <= effective * (1 + 1e-9) < 1.0
    narrow = run(chat, chip__dram__channels=2).tasks[0]
    assert narrow.isolated_tpot_s is not None
    assert narrow.isolated_tpot_s > 1.6 * row.isolated_tpot_s


def test_the_model_of_all_stages_is_changed_by_its_name(chat: str) -> None:
    small, large = run(chat, fidelity="analytic"), None
    large = run(chat, fidelity="analytic", model__chat__name="tinyllama_1.1b")
    assert large.tasks[0].model.startswith("tinyllama_1.1b_decode")
    assert (large.latency_s or 0) > 1.3 * (small.latency_s or 0)
    shorter = run(chat, fidelity="analytic", app__chat__output_tokens=8)
    assert shorter.tasks[0].isolated_ttft_s == small.tasks[0].isolated_ttft_s
    assert (shorter.latency_s or 0) < (small.latency_s or 0)


def test_broken_limits_are_told_by_name(chat: str, tmp_path: Path) -> None:
    tight = tmp_path / "tight.yaml"
    tight.write_text(CHAT.replace("ttft_s: 1.0, tpot_s: 0.1", "ttft_s: 0.001, tpot_s: 0.0001"))
    for fidelity in ("analytic", "simulate"):
        record = run(str(tight), fidelity=fidelity)
        assert record.feasible is False
        assert any("first token" in r and "time per token" in r for r in record.reasons)
        kinds = {d.kind for d in requirements(dse.load_app(tight), record) if (d.room or 0) < 0}
        assert {"ttft", "tpot"} <= kinds
        assert violation(dse.load_app(tight), record) > 1.0
    assert violation(dse.load_app(chat), run(chat)) == 0.0


def test_battery_and_junction_follow_from_power(chat: str) -> None:
    record = run(chat)
    assert record.average_power_w is not None
    assert record.battery_hours == pytest.approx(10 * 0.5 / (record.average_power_w + 2))
    die = record.by_scope["die"]["average_power_w"]
    assert die is not None
    assert record.junction_c == pytest.approx(40 + 10 * die, abs=0.02)
    assert record.metric("battery_hours") == record.battery_hours


def test_the_room_of_a_battery_is_the_module_s(chat: str, tmp_path: Path) -> None:
    """Rotors of 600 W leave hours within a percent, whatever the module draws: no binding."""
    power = run(chat).average_power_w
    assert power is not None
    path = tmp_path / "rotors.yaml"
    path.write_text(CHAT.replace("10, battery_usable: 0.5", "1220, battery_usable: 0.5").replace(
        "other_power_w: 2", "other_power_w: 600"))  # fmt: skip
    app = dse.load_app(path)
    found = {d.name: d for d in requirements(app, run(str(path)))}["battery life"]
    assert found.value is not None
    assert found.value == pytest.approx(610 / (600 + power))
    assert found.room == pytest.approx(1 - power / (610 - 600))
    path.write_text(path.read_text().replace("other_power_w: 600", "other_power_w: 700"))
    spent = {d.name: d for d in requirements(dse.load_app(path), run(str(path)))}["battery life"]
    assert spent.room == pytest.approx(610 / (700 + power) - 1)


def test_a_floor_s_figure_and_limit_are_of_one_kind() -> None:
    """A loss beside the allowed loss, a value beside its floor: whichever is tighter."""
    record = evaluate(Design("drone_delivery", "mobile_robot_npu"), "analytic")
    for demand in requirements(dse.load_app("drone_delivery"), record):
        if demand.kind == "quality":
            assert demand.value is not None
            assert demand.value <= demand.limit
            assert demand.room == pytest.approx(1 - demand.value / demand.limit)


def test_a_battery_that_does_not_last_is_a_reason(chat: str, tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(CHAT.replace("min_hours: 1", "min_hours: 9"))
    assert any("battery lasts" in reason for reason in run(str(path)).reasons)
    path.write_text(CHAT.replace("max_junction_c: 90", "max_junction_c: 41"))
    assert any("junction at" in reason for reason in run(str(path)).reasons)


def test_a_chain_is_timed_from_its_first_release(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN.replace("LIMIT", "1.0"))
    record = run(str(path), "gap9")
    row, alone = record.chains[0], sum(task.isolated_latency_s for task in record.tasks)
    assert record.feasible is True
    assert row.judged is not None
    assert 20 < row.judged < 80  # half of 100 releases
    assert row.latency_p50_s is not None
    assert row.latency_p50_s >= alone * (1 - 1e-9)
    assert run(str(path), "gap9", "analytic").chains[0].isolated_latency_s == pytest.approx(alone)
    path.write_text(CHAIN.replace("LIMIT", f"{alone / 2:.6f}"))
    tight = run(str(path), "gap9")
    assert tight.chains[0].missed_fraction == 1.0
    assert any(reason.startswith("chain all") for reason in tight.reasons)


def test_a_follower_of_one_of_several_sources_has_that_source_s_rate() -> None:
    from dse.apps.scenario import App
    from dse.evaluation.loads import stream_rate_hz

    app = App.model_validate(
        {
            "name": "x",
            "streams": [
                {"id": "cam", "model": "m", "instances": 4, "rate_hz": 5},
                {"id": "one", "model": "m", "after": "cam", "probability": 0.5},
                {"id": "each", "model": "m", "after": "cam", "instances": 4},
            ],
        }
    )
    rates = [stream_rate_hz(app, stream) for stream in app.streams]
    assert rates == [20.0, 2.5, 20.0]
