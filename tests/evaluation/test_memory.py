"""What a whole product keeps in its memories, against what they hold.

Expected bytes are worked out by hand from the models' sizes: layers x 2 x heads x width x bytes of
a token's keys and values, parameters times bits.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from dse.apps import load_app
from dse.apps.scenario import App
from dse.evaluation import Evaluation, evaluate_app, stream_workloads
from dse.evaluation.memory import in_flight, kv_bytes
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.hardware.system import system_bytes
from dse.schema import validate
from dse.simulation.task import Job

GIB = 2.0**30
#: Keys and values of one token of Llama 3.1 8B at 16 bit: 32 layers, 8 heads of 128.
LLAMA_8B_TOKEN = 32 * 2 * 8 * 128 * 2
#: The same of Llama 3.2 1B: 16 layers, 8 heads of 64.
LLAMA_1B_TOKEN = 16 * 2 * 8 * 64 * 2


@pytest.fixture(scope="module")
def phone() -> Chip:
    return load_chip("phone_npu")


def app(streams: str, **more: Any) -> App:
    return validate(App, {"name": "held", "streams": yaml.safe_load(streams), **more})


def judged(asked: App, chip: Chip, fidelity: Any = "roofline") -> Evaluation:
    return evaluate_app(asked, stream_workloads(asked, chip), chip, fidelity)[0]


def parts(record: Evaluation, memory: str = "dram") -> dict[str, float]:
    return dict(record.memory[memory]["parts"])


def memory_reasons(record: Evaluation) -> list[str]:
    return [reason for reason in record.reasons if reason.kind == "memory"]


SESSIONS = """
- {id: a, model: "llama3.1_8b_decode@past=2000", precision: w4a16, rate_hz: 0.1, instances: COUNT}
"""


@pytest.mark.parametrize(("count", "fits"), [(1, True), (2, False), (8, False), (64, False)])
def test_every_session_has_a_cache_of_its_own(phone: Chip, count: int, fits: bool) -> None:
    record = judged(app(SESSIONS.replace("COUNT", str(count))), phone)
    held = parts(record)
    cache = count * 2001 * LLAMA_8B_TOKEN  # what is read, and the token that is added
    assert held["KV cache of a"] == cache
    weights = held["weights of llama3.1_8b_decode (w4a16)"]
    assert weights == pytest.approx(8.03e9 / 2, rel=0.02)
    assert record.memory["dram"]["capacity_bytes"] == 4 * GIB
    assert record.memory["dram"]["need_bytes"] == pytest.approx(weights + cache, rel=1e-3)
    told = memory_reasons(record)
    assert bool(told) is not fits
    if not fits:
        assert record.feasible is False
        assert "weights of llama3.1_8b_decode" in told[0]
        assert f"KV cache of a ({count} x 262 MB)" in told[0]


def test_two_models_that_fit_alone_do_not_fit_together(phone: Chip) -> None:
    one = '- {id: a, model: "llama3.1_8b_decode@past=128", precision: w4a16, rate_hz: 0.1}\n'
    two = '- {id: b, model: "qwen2.5_7b_decode@past=128", precision: w4a16, rate_hz: 0.1}\n'
    assert not memory_reasons(judged(app(one), phone))
    assert not memory_reasons(judged(app(two), phone))
    (told,) = memory_reasons(judged(app(one + two), phone))
    assert "weights of llama3.1_8b_decode" in told
    assert "weights of qwen2.5_7b_decode" in told


def test_streams_of_one_model_share_its_weights(phone: Chip) -> None:
    text = "\n".join(
        f'- {{id: {name}, model: "llama3.1_8b_decode@past={past}", precision: w4a16, rate_hz: 0.1}}'
        for name, past in (("a", 128), ("b", 256))
    )
    held = parts(judged(app(text), phone))
    weights = [size for name, size in held.items() if name.startswith("weights")]
    assert len(weights) == 1
    assert weights[0] == pytest.approx(8.03e9 / 2, rel=0.02)
    assert held["KV cache of b"] == 257 * LLAMA_8B_TOKEN


def test_one_model_at_two_precisions_is_stored_twice(phone: Chip) -> None:
    text = """
- {id: a, model: mobilenetv2, precision: w8a8, rate_hz: 1}
- {id: b, model: mobilenetv2, precision: w4a16, rate_hz: 1}
"""
    held = parts(judged(app(text), phone))
    assert sorted(name for name in held if name.startswith("weights")) == [
        "weights of mobilenetv2 (w4a16)",
        "weights of mobilenetv2 (w8a8)",
    ]


def test_encoder_and_decoder_of_one_family_are_two_models(phone: Chip) -> None:
    text = """
- {id: a, model: whisper_tiny_encoder, precision: w8a8, rate_hz: 1}
- {id: b, model: whisper_tiny_decoder, precision: w8a8, rate_hz: 1}
"""
    held = parts(judged(app(text), phone))
    assert held["weights of whisper_tiny_encoder (w8a8)"] == pytest.approx(8.25e6, rel=0.01)
    assert held["weights of whisper_tiny_decoder (w8a8)"] == pytest.approx(28.4e6, rel=0.01)


REQUEST = """
- id: chat
  model: llama3.2_1b_prefill
  precision: w4a16
  rate_hz: 0.01
  request: {prefill: "llama3.2_1b_prefill@seq=512", decode: "llama3.2_1b_decode@past=600",
            output_tokens: TOKENS}
  instances: 2
"""


@pytest.mark.parametrize("tokens", [100, 1000, 100_000])
def test_the_cache_grows_to_the_longest_context(phone: Chip, tokens: int) -> None:
    record = judged(app(REQUEST.replace("TOKENS", str(tokens))), phone)
    held = parts(record)
    # The prompt and every token after the first; or what one step reads and adds.
    context = max(512 + tokens - 1, 601)
    assert held["KV cache of chat"] == 2 * context * LLAMA_1B_TOKEN
    assert [name for name in held if name.startswith("weights")] == [
        "weights of llama3.2_1b_prefill (w4a16)"
    ]
    assert bool(memory_reasons(record)) is (tokens == 100_000)


def test_frames_and_the_operating_system_take_their_room() -> None:
    chip = load_chip("edge_vision")
    cameras = "- {id: see, model: resnet8, rate_hz: 30, instances: 8, frame_bytes: 12441600}\n"
    record = judged(app(cameras), chip)
    held = parts(record)
    assert held["frame buffers of see"] == 8 * 3 * 12441600
    assert held["operating system"] == system_bytes(chip) == 2**27
    assert not memory_reasons(record)
    more = judged(app(cameras, memory={"frame_buffers": 5}), chip)
    assert parts(more)["frame buffers of see"] == 8 * 5 * 12441600
    (told,) = memory_reasons(more)
    assert "frame buffers of see (8 x 62.2 MB)" in told
    assert "operating system" in told
    (other,) = memory_reasons(judged(app(cameras, memory={"other_bytes": 3e8}), chip))
    assert "other memory of the app" in other


def test_followers_take_the_frames_of_their_source() -> None:
    text = """
- {id: see, model: resnet8, rate_hz: 30}
- {id: next, model: dscnn_kws, after: see}
"""
    held = parts(judged(app(text), load_chip("edge_vision")))
    assert held["frame buffers of see"] == 3 * 32 * 32 * 3
    assert "frame buffers of next" not in held


def test_a_chip_says_what_its_system_keeps() -> None:
    named = load_chip("edge_vision", overrides={"dram.system_bytes": 53 * 10**7})
    assert system_bytes(named) == 5.3e8
    (told,) = memory_reasons(
        judged(app("- {id: see, model: mobilenetv2, rate_hz: 30, instances: 64}"), named)
    )
    assert "operating system" in told
    assert system_bytes(load_chip("phone_npu")) == 0.0  # its share of the phone's memory
    assert system_bytes(load_chip("mcu_mram_npu")) == 0.0  # no external memory
    assert system_bytes(load_chip("wearable_npu")) == 2**18
    assert system_bytes(load_chip("edge_tpu")) == 2**27  # that of the computer behind USB


def test_weights_of_all_networks_must_fit_the_flash() -> None:
    text = """
- {id: a, model: mobilenetv1_vww, rate_hz: 1}
- {id: b, model: dscnn_kws, rate_hz: 1}
"""
    big = judged(app(text), load_chip("mcu_mram_npu"), "analytic")
    assert big.memory["nvm"]["need_bytes"] == sum(parts(big, "nvm").values())
    assert not memory_reasons(big)
    small = load_chip("mcu_mram_npu", overrides={"nvm.bytes": 230_000, "l2.bytes": 240_000})
    told = memory_reasons(judged(app(text), small, "analytic"))
    assert told
    assert "weights of mobilenetv1_vww" in told[0]


def test_activations_of_every_instance_are_outside_the_chip() -> None:
    chip = load_chip("edge_vision")
    text = "- {id: see, model: mobilenetv2, rate_hz: 1, instances: COUNT}"
    one, four = (
        judged(app(text.replace("COUNT", str(count))), chip, "analytic") for count in (1, 4)
    )
    assert parts(one)["activations of see"] > 0
    assert parts(four)["activations of see"] == 4 * parts(one)["activations of see"]
    assert (
        parts(four)["weights of mobilenetv2 (w8a8)"] == parts(one)["weights of mobilenetv2 (w8a8)"]
    )


def test_more_jobs_under_way_than_instances_are_counted() -> None:
    def job(task: str, start: float | None, finish: float | None) -> Job:
        return Job(task, 0, 0.0, start, finish, False, False, 0.0, None)

    jobs = [
        job("a.0", 0.0, 2.0), job("a.1", 1.0, None), job("a.0", 2.0, 3.0),
        job("b", 0.0, 1.0), job("b", 1.0, 2.0), job("c", None, None),
    ]  # fmt: skip
    assert in_flight(jobs) == {"a": 2, "b": 1}


def test_a_cache_that_is_given_back_whole_grows_by_the_difference() -> None:
    chip = load_chip("phone_npu")
    asked = app(REQUEST.replace("TOKENS", "100"))
    loads = stream_workloads(asked, chip)
    prefill, decode = loads["chat"], loads["chat.decode"]
    assert kv_bytes([(prefill, 1)]) == 512 * LLAMA_1B_TOKEN
    assert kv_bytes([(decode, 1)]) == 601 * LLAMA_1B_TOKEN
    assert kv_bytes([(decode, 50)]) == 650 * LLAMA_1B_TOKEN


def test_the_record_and_its_copy_say_the_same(phone: Chip) -> None:
    record = judged(load_app("robot_clean"), phone)
    assert Evaluation.from_dict(record.to_dict()).memory == record.memory
    assert record.memory["dram"]["need_bytes"] > 0.0
