"""The networks written operator by operator: what they compute, count, move and cost to read."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from dse.workload import load_model
from tests.work import calls_of

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS))

import zoo_audio  # noqa: E402
import zoo_generative  # noqa: E402
import zoo_language  # noqa: E402
import zoo_policy  # noqa: E402
from zoo_build import GraphBuilder, bound  # noqa: E402
from zoo_measure import inferred_shapes, runs  # noqa: E402
from zoo_transformer import EncoderShape  # noqa: E402
from zoo_written import WRITTEN  # noqa: E402

#: Parameters of the published checkpoints (sums over their safetensors headers).
CHECKPOINTS = {
    "qwen2_0.5b": 494_032_768,
    "qwen2.5_1.5b": 1_543_714_304,
    "qwen2.5_7b": 7_615_616_512,
    "llama3.2_1b": 1_235_814_400,
    "llama3.2_3b": 3_212_749_824,
    "llama3.1_8b": 8_030_261_248,
    "tinyllama_1.1b": 1_100_048_384,
    "phi3_mini": 3_821_079_552,
}
TINY = zoo_language.DecoderShape(2, 64, 96, 8, 2, 50, tied=True, qkv_bias=True, head_width=16)
TINY_POLICY = zoo_policy.PolicyShape(
    vision=EncoderShape(1, 32, 48, 2, gelu="tanh"),
    size=32,
    patch=8,
    squeeze=2,
    views=2,
    text=3,
    language=zoo_language.DecoderShape(2, 48, 64, 4, 2, 40, tied=True, head_width=16),
    expert=zoo_language.DecoderShape(2, 32, 40, 4, 2, 0, tied=True, head_width=16),
    chunk=5,
    state_first=True,
    cross=True,
)
TINY_UNET = zoo_generative.UnetShape(size=8, channels=(32, 64), blocks=1, heads=2, context=24)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_shipped_file_is_what_the_builder_writes(name: str) -> None:
    built = WRITTEN[name](name).model()
    assert built.SerializeToString(deterministic=True) == (MODELS / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize("stem", CHECKPOINTS)
@pytest.mark.parametrize("part", ["prefill", "decode"])
def test_parameters_of_checkpoints(stem: str, part: str) -> None:
    assert WRITTEN[f"{stem}_{part}"](stem).params == CHECKPOINTS[stem]


@pytest.mark.parametrize(
    ("parts", "total"),
    [
        (("whisper_tiny_cross_kv", "whisper_tiny_decoder"), 37_760_640 - 8_208_384),
        (
            ("whisper_small_encoder", "whisper_small_cross_kv", "whisper_small_decoder"),
            241_734_912,
        ),
        (("sd15_unet_step",), 859_520_964),
        (("sd15_text_encoder",), 123_060_480),
    ],
)
def test_parts_add_up_to_the_checkpoint(parts: tuple[str, ...], total: int) -> None:
    assert sum(WRITTEN[name](name).params for name in parts) == total


@pytest.mark.parametrize(
    "graph",
    [
        zoo_language.prefill("tiny", TINY),
        zoo_language.decode("tiny", TINY),
        zoo_language.mobilebert("tiny", zoo_language.MobileBertShape(2, vocabulary=30), 12),
        zoo_audio.whisper_decoder("tiny", EncoderShape(1, 24, 32, 2, key_bias=False)),
        zoo_audio.streaming_recognizer("tiny", zoo_audio.StreamShape(1, 32, 48, 4, segment=6)),
        zoo_audio.text_to_speech("tiny", zoo_audio.SpeechShape(4, 6, width=16, hidden=24)),
        zoo_policy.prefill("tiny", TINY_POLICY),
        zoo_policy.action_step("tiny", TINY_POLICY),
        zoo_generative.unet_step("tiny", TINY_UNET),
        zoo_generative.image_decoder("tiny", size=2),
    ],
    ids=lambda g: g.name + str(len(g.model().graph.node)),
)
def test_a_small_twin_runs_with_the_shapes_it_declares(graph: GraphBuilder) -> None:
    model = bound(graph.model(), graph.defaults)
    onnx.checker.check_model(model, full_check=True)
    assert runs(model, execute=True)


def _with_values(graph: GraphBuilder, sizes: Mapping[str, int], first: int) -> onnx.ModelProto:
    """The graph with random weights by name, true rotations from position ``first``, true mask."""
    model = bound(graph.model(), sizes)
    shapes = inferred_shapes(model)
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = shapes[name]
        if name.startswith("rotary"):
            places = np.arange(first, first + shape[1])[:, None]
            angles = places / 10.0 ** np.arange(shape[2])[None]
            value = np.cos(angles) if name.endswith("cosine") else np.sin(angles)
            value = value[None]
        elif name == "causal_mask":
            value = np.triu(np.full(shape, -1e9), 1)
        else:
            rng = np.random.default_rng(sum(name.encode()) * 31 + len(name))
            value = rng.normal(0, 0.3, shape)
        array = np.ascontiguousarray(value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    whole: onnx.ModelProto = model
    return whole


def _run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def test_a_step_over_the_cache_continues_the_prompt() -> None:
    """Logits after n tokens at once are those of n - 1 tokens and one step over their cache."""
    tokens = np.array([[3, 14, 15, 9, 26, 5, 35]])
    prompt = zoo_language.prefill("prompt", TINY)
    whole = _run(_with_values(prompt, {"seq": 7}, 0), {"tokens": tokens})
    start = _run(_with_values(prompt, {"seq": 6}, 0), {"tokens": tokens[:, :6]})
    cache = {n.replace("present", "past"): v for n, v in start.items() if n.startswith("present")}
    step = _with_values(zoo_language.decode("step", TINY), {"past": 6}, 6)
    after = _run(step, {"tokens": tokens[:, 6:], **cache})
    np.testing.assert_allclose(after["logits"], whole["logits"], rtol=2e-4, atol=2e-5)
    for name, value in after.items():
        if name.startswith("present"):
            np.testing.assert_allclose(value, whole[name][:, 6:], rtol=2e-4, atol=2e-5)
    assert np.ptp(whole["logits"]) > 0.1, "a constant would agree with anything"


@settings(max_examples=8)
@given(st.integers(1, 4096))
def test_work_and_cache_traffic_of_a_step(past: int) -> None:
    shape = zoo_language.LLAMA32_3B
    model = load_model(f"llama3.2_3b_decode@past={past}")
    attended = 2 * shape.layers * shape.heads * shape.head_width * (past + 1)
    norms = (2 * shape.layers + 1) * shape.width
    assert model.macs == CHECKPOINTS["llama3.2_3b"] - norms + attended
    work = model.at("w4a16")
    cache = [t for t in work.tensors.values() if t.role == "kv"]
    entries = 2 * shape.layers * shape.kv_heads * shape.head_width
    assert sum(t.elements for t in cache) == entries * (past + 1)
    read = [n for layer in work.layers if layer.w_is_activation for n in [layer.w_tensor]]
    assert len(read) == 2 * shape.layers
    assert all(work.tensors[n].role == "kv" for n in read if n is not None)
    reading = sum(layer.w_elements for layer in work.layers if layer.w_is_activation)
    assert reading == entries * (past + 1)
    written = {n for layer in work.layers for n in layer.outputs}
    assert sum(t.elements for t in cache if t.name in written) == entries


def test_the_cache_may_have_its_own_format() -> None:
    work = load_model("llama3.2_1b_decode@w=4,a=16,kv=8").at()
    assert {t.format for t in work.tensors.values() if t.role == "kv"} == {"int8"}
    layer = next(layer for layer in work.layers if layer.w_is_activation)
    assert (layer.w_format, layer.i_format) == ("int8", "int16")


def test_symbolic_sizes_have_defaults_and_take_others() -> None:
    plain = load_model("llama3.2_1b_prefill")
    assert plain.name == "llama3.2_1b_prefill@seq=128"
    assert plain.remarks == ()
    assert plain.tensors["tokens"].shape == (1, 128)
    assert load_model("llama3.2_1b_prefill@seq=64").tensors["tokens"].shape == (1, 64)
    assert load_model("llama3.2_1b_prefill", seq=32).tensors["tokens"].shape == (1, 32)


def test_a_7b_decoder_is_read_with_little_work_and_memory() -> None:
    """Its weights are never made: they would be 7 GB at one byte each."""
    load_model("resnet18")  # imports
    tracemalloc.start()
    assert load_model("qwen2.5_7b_decode@past=77").macs > 7e9
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    assert calls_of(lambda: load_model("qwen2.5_7b_decode@past=78")) < 500_000
    assert load_model("qwen2.5_7b_decode").macs == pytest.approx(7.173e9, rel=1e-3)


def test_a_policy_call_is_its_prompt_and_ten_steps() -> None:
    """pi0: 3 x 109.5 G (SigLIP) + 1,616 G (Gemma) + 150 G by hand, without attention products."""
    prompt, step = load_model("pi0_prefill"), load_model("pi0_action_step")
    attention = sum(
        layer.macs for m, n in ((prompt, 1), (step, 10)) for layer in m.layers * n
        if layer.w_is_activation
    )  # fmt: skip
    vision = 3 * 2 * 256**2 * 1152 * 27  # counted in the 109.5 G of an image
    total = prompt.macs + zoo_policy.STEPS * step.macs
    assert total - attention + vision == pytest.approx(2.1e12, rel=0.02)
    assert step.tensors["past.17.key"].shape == (1, zoo_policy.PI0.prompt, 1, 256)
    assert zoo_policy.PI0.prompt == 816
