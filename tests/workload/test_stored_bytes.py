"""What a file stores of its network is counted to the byte: weights, scales, zero points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dse.workload import Model
from tests.workload.graphs import load

FLOAT, HALF, BFLOAT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
#: Bits of element types that fill no whole bytes, or that numpy has not.
BITS = {"INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2, "FLOAT4E2M1": 4, "FLOAT8E8M0": 8}


def stored(name: str, kind: int, *shape: int) -> onnx.TensorProto:
    """A stored tensor of zeros."""
    bits = BITS.get(TensorProto.DataType.Name(kind))
    if bits is None:
        bits = 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize
    data = bytes(-(-math.prod(shape) * bits // 8))
    return onnx.TensorProto(name=name, data_type=kind, dims=shape, raw_data=data)


def network(
    nodes: Sequence[onnx.NodeProto],
    tensors: Sequence[onnx.TensorProto],
    x: Sequence[int],
    kind: int,
) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info("x", kind, x)]
    made = [helper.make_tensor_value_info("y", kind, None)]
    body = helper.make_graph(list(nodes), "test", given, made, list(tensors))
    imports = [helper.make_opsetid("", 25), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=11)


def held(model: onnx.ModelProto, *left_out: str) -> int:
    """Bytes of the stored tensors of a file."""
    kept = [t for t in model.graph.initializer if t.name not in left_out]
    return sum(len(tensor.raw_data) for tensor in kept)


def packed(op: str, real: int, tensors: Sequence[onnx.TensorProto], **attrs: Any) -> Any:
    names = [tensor.name for tensor in tensors]
    places = {"b": 1, "s": 2, "z": 3, "g": 4, "bias": 5}
    inputs = [""] * (1 + max(places[name] for name in names))
    inputs[0] = "x"
    for name in names:
        inputs[places[name]] = name
    node = helper.make_node(op, inputs, ["y"], domain="com.microsoft", **attrs)
    return network([node], tensors, (1, attrs["K"]), real)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("real", [FLOAT, HALF])
@pytest.mark.parametrize("zero", [None, "packed", "real"])
@pytest.mark.parametrize("depth", [256, 240])
def test_packed_products(
    bits: int, real: int, zero: str | None, depth: int, tmp_path: Path
) -> None:
    """MatMulNBits with zero points packed, of the real type, or none; a depth that fills no whole
    number of blocks."""
    width, block = 48, 32
    blocks = -(-depth // block)
    tensors = [stored("b", TensorProto.UINT8, width, blocks, block * bits // 8)]
    tensors.append(stored("s", real, width, blocks))
    if zero == "packed":
        tensors.append(stored("z", TensorProto.UINT8, width, -(-blocks * bits // 8)))
    elif zero:
        tensors.append(stored("z", real, width, blocks))
    model = packed("MatMulNBits", real, tensors, K=depth, N=width, bits=bits, block_size=block)
    found = load(model, tmp_path)
    assert found.at().stored_bytes == held(model)
    assert found.at("w8a8").stored_bytes == held(
        model
    )  # the operator's own, whatever else is asked
    (layer,) = found.layers
    assert layer.w_elements == width * depth
    assert layer.b_elements == math.ceil(held(model, "b") / 4)
    assert found.parameters == width * blocks * block


def test_packed_products_with_an_order_and_a_bias(tmp_path: Path) -> None:
    tensors = [stored("b", TensorProto.UINT8, 16, 4, 16), stored("s", HALF, 16, 4)]
    tensors += [stored("g", TensorProto.INT32, 128), stored("bias", HALF, 16)]
    model = packed("MatMulNBits", HALF, tensors, K=128, N=16, bits=4, block_size=32)
    assert load(model, tmp_path).at().stored_bytes == held(model)


@pytest.mark.parametrize("kind", [0, 1])
def test_products_of_four_bit_floats(kind: int, tmp_path: Path) -> None:
    tensors = [stored("b", TensorProto.UINT8, 24 * 64 // 2), stored("s", FLOAT, 24)]
    model = packed("MatMulBnb4", FLOAT, tensors, K=64, N=24, block_size=64, quant_type=kind)
    assert load(model, tmp_path).at().stored_bytes == held(model)


KINDS = ["INT8", "UINT8", "INT4", "UINT4", "INT2", "FLOAT4E2M1"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("scales", ["tensor", "channel", "block"])
@pytest.mark.parametrize("real", [FLOAT, HALF, BFLOAT])
@pytest.mark.parametrize("zero", [True, False])
def test_dequantized_weights(name: str, scales: str, real: int, zero: bool, tmp_path: Path) -> None:
    if name not in dict(TensorProto.DataType.items()):
        pytest.skip(f"this onnx has no {name}")
    kind, depth, width, block = TensorProto.DataType.Value(name), 128, 24, 32
    shape = {"tensor": (), "channel": (width,), "block": (depth // block, width)}[scales]
    attrs: dict[str, Any] = {
        "tensor": {},
        "channel": {"axis": 1},
        "block": {"axis": 0, "block_size": block},
    }
    inputs = ["w", "s", "z"] if zero else ["w", "s"]
    nodes = [
        helper.make_node("DequantizeLinear", inputs, ["wd"], **attrs.get(scales, {})),
        helper.make_node("MatMul", ["x", "wd"], ["y"]),
    ]
    tensors = [stored("w", kind, depth, width), stored("s", real, *shape)]
    tensors += [stored("z", kind, *shape)] if zero else []
    model = network(nodes, tensors, (1, depth), real)
    found = load(model, tmp_path)
    assert found.at().stored_bytes == held(model)
    assert found.parameters == depth * width
    beside = held(model, "w")
    (layer,) = found.layers
    assert layer.b_elements == (math.ceil(beside / 4) if scales == "block" else 0)


def test_scales_shared_by_layers_are_stored_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", [f"w{index}", "s"], [f"d{index}"], axis=1)
        for index in range(2)
    ]
    nodes.append(helper.make_node("MatMul", ["x", "d0"], ["h"]))
    nodes.append(helper.make_node("MatMul", ["h", "d1"], ["y"]))
    tensors = [stored(f"w{i}", TensorProto.INT8, 32, 32) for i in range(2)]
    model = network(nodes, [*tensors, stored("s", FLOAT, 32)], (1, 32), FLOAT)
    assert load(model, tmp_path).at().stored_bytes == held(model)


def test_scales_of_blocks_by_hand(tmp_path: Path) -> None:
    """Weights made real by a cast, an offset and a factor for each block."""
    nodes = [
        helper.make_node("Cast", ["w"], ["c"], to=FLOAT),
        helper.make_node("Cast", ["z"], ["zc"], to=FLOAT),
        helper.make_node("Sub", ["c", "zc"], ["d"]),
        helper.make_node("Mul", ["d", "s"], ["e"]),
        helper.make_node("Reshape", ["e", "to"], ["f"]),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    tensors = [stored("w", TensorProto.UINT8, 4, 32, 24), stored("z", TensorProto.UINT8, 4, 1, 24)]
    tensors.append(stored("s", FLOAT, 4, 1, 24))
    to = onnx.numpy_helper.from_array(np.array([128, 24]), "to")
    model = network(nodes, [*tensors, to], (1, 128), FLOAT)
    found = load(model, tmp_path)
    assert found.at().stored_bytes == held(model, "to")
    assert found.layers[0].b_elements == (4 * 24 + 4 * 4 * 24) // 4


INTEGER = {
    "QLinearConv": (
        ["x", "xs", "xz", "w", "s", "z", "xs", "xz", "b"],
        [
            stored("w", TensorProto.INT8, 16, 3, 3, 3),
            stored("b", TensorProto.INT32, 16),
            stored("s", FLOAT, 16),
            stored("z", TensorProto.INT8, 16),
        ],
        (1, 3, 8, 8),
    ),
    "QLinearMatMul": (
        ["x", "xs", "xz", "w", "s", "z", "xs", "xz"],
        [
            stored("w", TensorProto.INT8, 8, 6),
            stored("s", FLOAT, 6),
            stored("z", TensorProto.INT8, 6),
        ],
        (4, 8),
    ),
    "ConvInteger": (
        ["x", "w", "xz", "z"],
        [stored("w", TensorProto.INT8, 16, 3, 3, 3), stored("z", TensorProto.INT8)],
        (1, 3, 8, 8),
    ),
    "MatMulInteger": (
        ["x", "w", "xz", "z"],
        [stored("w", TensorProto.INT8, 8, 6), stored("z", TensorProto.INT8, 6)],
        (4, 8),
    ),
}


@pytest.mark.parametrize("op", INTEGER)
def test_integer_products(op: str, tmp_path: Path) -> None:
    inputs, tensors, x = INTEGER[op]
    given = [stored("xs", FLOAT), stored("xz", TensorProto.INT8)]
    node = helper.make_node(op, inputs, ["y"])
    model = network([node], [*tensors, *given], x, TensorProto.INT8)
    assert load(model, tmp_path).at().stored_bytes == held(model, "xs", "xz")


def test_tables_of_few_bits(tmp_path: Path) -> None:
    """GatherBlockQuantized with scales and packed zero points."""
    attrs: dict[str, Any] = {"bits": 4, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}
    inputs = ["t", "x", "s", "z"]
    node = helper.make_node("GatherBlockQuantized", inputs, ["y"], domain="com.microsoft", **attrs)
    tensors = [stored("t", TensorProto.UINT8, 100, 32), stored("s", HALF, 100, 2)]
    tensors.append(stored("z", TensorProto.UINT8, 100, 1))
    model = network([node], tensors, (5,), TensorProto.INT64)
    found = load(model, tmp_path)
    assert found.at().stored_bytes == held(model)
    assert found.parameters == 100 * 64


def experts(bits: int) -> onnx.ModelProto:
    """QMoE: 4 experts of 32 x 64, two scales for each and biases."""
    per_byte = 8 // bits
    tensors = [
        stored("w1", TensorProto.UINT8, 4, 64, 32 // per_byte),
        stored("s1", HALF, 4, 64),
        stored("b1", HALF, 4, 64),
        stored("w2", TensorProto.UINT8, 4, 32, 64 // per_byte),
        stored("s2", HALF, 4, 32),
        stored("b2", HALF, 4, 32),
    ]
    inputs = ["x", "r", "w1", "s1", "b1", "w2", "s2", "b2"]
    router = helper.make_node("MatMul", ["x", "wr"], ["r"])
    node = helper.make_node(
        "QMoE", inputs, ["y"], domain="com.microsoft", k=2, expert_weight_bits=bits
    )
    return network([router, node], [*tensors, stored("wr", HALF, 32, 4)], (8, 32), HALF)


@pytest.mark.parametrize("bits", [4, 8])
def test_experts(bits: int, tmp_path: Path) -> None:
    model = experts(bits)
    assert load(model, tmp_path).at().stored_bytes == held(model)


def test_files_that_quantize_nothing_have_nothing_beside(tmp_path: Path) -> None:
    """A factor of real weights is folded into them."""
    nodes = [
        helper.make_node("Mul", ["w", "s"], ["ws"]),
        helper.make_node("MatMul", ["x", "ws"], ["y"]),
    ]
    tensors = [stored("w", FLOAT, 16, 8), stored("s", FLOAT, 1, 8)]
    found: Model = load(network(nodes, tensors, (1, 16), FLOAT), tmp_path)
    assert found.at("fp32").stored_bytes == 16 * 8 * 4
