"""Operators of com.microsoft: shapes as ONNX Runtime gives them, MACs and formats by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dse.workload import Model
from dse.workload.load import lower_bytes
from dse.workload.read import read_graph

from . import interpreter
from .fused_cases import BY_HAND, CASES, FLOAT, U8, bytes_, model_of, qdq
from .graphs import weight


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_shapes_are_those_of_onnxruntime(case: tuple[Any, ...]) -> None:
    op, inputs, outputs, feeds, stored, attrs, macs = case
    model = model_of(op, inputs, outputs, feeds, stored, attrs)
    theirs = interpreter.run(model, feeds)
    data = model.SerializeToString()
    found, _, _ = read_graph(onnx.ModelProto.FromString(data), "net.onnx", {})
    for name, result in zip(filter(None, outputs), theirs, strict=True):
        assert found.shapes[name] == result.shape, name
    low = lower_bytes(data, "net.onnx")
    assert low.macs == macs
    assert sum(n for layer in low.layers for _, n in layer.vector_ops) > 0 or macs


@pytest.mark.parametrize("case", BY_HAND, ids=[f"{c[0]}{i}" for i, c in enumerate(BY_HAND)])
def test_operators_without_a_kernel_here(case: tuple[Any, ...]) -> None:
    op, inputs, feeds, stored, attrs, shape, macs = case
    model = model_of(op, inputs, {"y": FLOAT}, feeds, stored, attrs)
    data = model.SerializeToString()
    found, _, _ = read_graph(onnx.ModelProto.FromString(data), "net.onnx", {})
    assert found.shapes["y"] == shape
    assert lower_bytes(data, "net.onnx").macs == macs


def _nbits(bits: int, kind: type) -> Model:
    rows, depth, block = 48, 256, 32
    per_byte = 8 // bits
    stored = {
        "b": bytes_(rows, depth // block, block // per_byte),
        "s": weight(rows * depth // block).astype(kind),
    }
    attrs = {"K": depth, "N": rows, "bits": bits, "block_size": block}
    feeds: dict[str, Any] = {"a": weight(1, depth).astype(kind)}
    output = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    model = model_of("MatMulNBits", "abs", {"y": output}, feeds, stored, attrs)
    return lower_bytes(model.SerializeToString(), "net.onnx")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_packed_weights_have_their_bits_and_scales(bits: int) -> None:
    """48 x 256 weights of few bits, and one scale of 32 (or 16) bits for each 32 weights."""
    work = _nbits(bits, np.float32).at("w8a8")
    (layer,) = work.layers
    assert layer.w_format == f"int{bits}"
    assert layer.w_bytes == 48 * 256 * bits / 8
    assert work.weight_bytes == layer.w_bytes
    assert work.tensors["b"].shape == (48, 256)
    assert layer.b_bytes == 48 * 8 * 4
    assert _nbits(bits, np.float16).at().layers[0].b_bytes == 48 * 8 * 2


def test_mixture_of_experts_reads_the_chosen_ones() -> None:
    """One token, two of eight experts: a quarter of the weights."""
    stored = {"w1": weight(8, 16, 8), "w2": weight(8, 8, 16)}
    feeds = {"x": weight(1, 8), "r": weight(1, 8)}
    model = model_of("MoE", ["x", "r", "w1", "", "w2"], {"y": FLOAT}, feeds, stored, {"k": 2})
    low = lower_bytes(model.SerializeToString(), "net.onnx")
    products = [layer for layer in low.layers if layer.kind == "compute"]
    assert [layer.w_elements for layer in products] == [2 * 8 * 16] * 2
    assert low.macs == 2 * 2 * 8 * 16
    assert low.parameters == 2 * 8 * 8 * 16


@pytest.mark.parametrize(
    ("bits", "kind", "form"), [(8, U8, "int8"), (4, U8, "int8"), (8, TensorProto.UINT16, "int16")]
)
def test_quantized_graphs_give_formats(bits: int, kind: int, form: str) -> None:
    model = qdq(bits, kind)
    assert interpreter.run(model, {"x": weight(1, 4, 5, 5)})[0].shape == (1, 4, 5, 5)
    low = lower_bytes(model.SerializeToString(), "net.onnx")
    work = low.at()
    assert len(work.layers) == 2
    for layer in work.layers:
        assert (layer.w_format, layer.i_format, layer.o_format) == (f"int{bits}", form, form)
    assert low.native is not None
    assert low.native.weights == f"int{bits}"
    assert low.native.activations == form
    assert {low.fates[n] for n in low.fates if "_q" in n or "_d" in n} == {"folded"}
