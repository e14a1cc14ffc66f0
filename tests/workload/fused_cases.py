"""Small models of com.microsoft operators, with what they should cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graphs import weight

Array = np.ndarray
U8, I8, FLOAT = TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT


def scale(value: float = 0.05) -> Array:
    return np.array(value, np.float32)


def zero(kind: type = np.uint8) -> Array:
    return np.array(0, kind)


def bytes_(*shape: int, kind: type = np.uint8, seed: int = 0) -> Array:
    low, high = (0, 255) if kind is np.uint8 else (-127, 127)
    return np.random.default_rng(seed).integers(low, high, shape).astype(kind)


def model_of(
    op: str,
    inputs: Sequence[str],
    outputs: Mapping[str, int],
    feeds: Mapping[str, Array],
    stored: Mapping[str, Array],
    attrs: Mapping[str, Any],
    domain: str = "com.microsoft",
) -> onnx.ModelProto:
    node = helper.make_node(op, list(inputs), list(outputs), name="n", domain=domain, **attrs)
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    made = [helper.make_tensor_value_info(n, k, None) for n, k in outputs.items() if n]
    kept = [numpy_helper.from_array(a, n) for n, a in stored.items()]
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    body = helper.make_graph([node], "test", given, made, kept)
    return helper.make_model(body, opset_imports=imports, ir_version=10)


def _norm(op: str) -> tuple[Any, ...]:
    simple = "Simplified" in op
    inputs = ["x", "skip", "g", "bias"] if simple else ["x", "skip", "g", "b", "bias"]
    stored = {"g": weight(6), "bias": weight(6), **({} if simple else {"b": weight(6)})}
    outputs = {"y": FLOAT, "": 0, "sum": FLOAT}
    return op, inputs, outputs, {"x": weight(2, 3, 6), "skip": weight(2, 3, 6)}, stored, {}, 0


#: Operator, inputs, outputs with their types, moving and stored operands, attributes, MACs.
CASES: list[tuple[Any, ...]] = [
    ("BiasGelu", "xb", {"y": FLOAT}, {"x": weight(2, 3, 6)}, {"b": weight(6)}, {}, 0),
    ("FastGelu", "xb", {"y": FLOAT}, {"x": weight(2, 3, 6)}, {"b": weight(6)}, {}, 0),
    ("QuickGelu", "x", {"y": FLOAT}, {"x": weight(2, 3, 6)}, {}, {"alpha": 1.702}, 0),
    ("Gelu", "x", {"y": FLOAT}, {"x": weight(2, 3)}, {}, {}, 0),
    (
        "FusedMatMul",
        "ab",
        {"y": FLOAT},
        {"a": weight(2, 5, 3), "b": weight(2, 4, 5)},
        {},
        {"transA": 1, "transB": 1, "alpha": 0.5},
        2 * 3 * 5 * 4,
    ),
    (
        "FusedConv",
        "xwb",
        {"y": FLOAT},
        {"x": weight(1, 4, 7, 6)},
        {"w": weight(6, 2, 3, 3), "b": weight(6)},
        {"group": 2, "pads": [1, 0, 1, 2], "strides": [2, 1], "activation": "Relu"},
        6 * 2 * 9 * 4 * 6,
    ),
    (
        "FusedGemm",
        "abc",
        {"y": FLOAT},
        {"a": weight(3, 5)},
        {"b": weight(4, 5), "c": weight(4)},
        {"transB": 1, "activation": "Relu"},
        3 * 5 * 4,
    ),
    (
        "QLinearAdd",
        ["a", "s", "z", "b", "s", "z", "s", "z"],
        {"y": U8},
        {"a": bytes_(2, 1, 4), "b": bytes_(3, 4)},
        {"s": scale(), "z": zero()},
        {},
        0,
    ),
    (
        "QLinearMul",
        ["a", "s", "z", "b", "s", "z", "s", "z"],
        {"y": U8},
        {"a": bytes_(2, 3, 4), "b": bytes_(4)},
        {"s": scale(), "z": zero()},
        {},
        0,
    ),
    (
        "QLinearConcat",
        ["s", "z", "a", "s", "z", "b", "s", "z"],
        {"y": U8},
        {"a": bytes_(1, 2, 4), "b": bytes_(1, 3, 4)},
        {"s": scale(), "z": zero()},
        {"axis": 1},
        0,
    ),
    (
        "QLinearAveragePool",
        ["x", "s", "z", "s", "z"],
        {"y": U8},
        {"x": bytes_(1, 2, 7, 8)},
        {"s": scale(), "z": zero()},
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]},
        0,
    ),
    (
        "QLinearGlobalAveragePool",
        ["x", "s", "z", "s", "z"],
        {"y": U8},
        {"x": bytes_(1, 4, 5, 6)},
        {"s": scale(), "z": zero()},
        {"channels_last": 0},
        0,
    ),
    (
        "QLinearSigmoid",
        ["x", "s", "z", "s", "z"],
        {"y": U8},
        {"x": bytes_(2, 5)},
        {"s": scale(), "z": zero()},
        {},
        0,
    ),
    (
        "QLinearLeakyRelu",
        ["x", "s", "z", "s", "z"],
        {"y": U8},
        {"x": bytes_(2, 5)},
        {"s": scale(), "z": zero()},
        {},
        0,
    ),
    (
        "QGemm",
        ["a", "s", "z", "b", "s", "zb", "", "s", "z"],
        {"y": U8},
        {"a": bytes_(3, 5)},
        {"b": bytes_(4, 5, kind=np.int8), "s": scale(), "z": zero(), "zb": zero(np.int8)},
        {"transB": 1},
        3 * 5 * 4,
    ),
    (
        "QLinearConv",
        ["x", "s", "z", "w", "s", "zw", "s", "z", "b"],
        {"y": U8},
        {"x": bytes_(1, 7, 6, 4)},
        {
            "w": bytes_(6, 2, 3, 3, kind=np.int8),
            "b": np.zeros(6, np.int32),
            "s": scale(),
            "z": zero(),
            "zw": zero(np.int8),
        },
        {"group": 2, "pads": [1, 1, 1, 1], "channels_last": 1},
        6 * 2 * 9 * 42,
    ),
    (
        "DynamicQuantizeMatMul",
        "abs",
        {"y": FLOAT},
        {"a": weight(2, 3, 5)},
        {"b": bytes_(5, 4, kind=np.int8), "s": scale()},
        {},
        2 * 3 * 5 * 4,
    ),
    (
        "MatMulIntegerToFloat",
        ["a", "b", "s", "s"],
        {"y": FLOAT},
        {"a": bytes_(3, 5)},
        {"b": bytes_(5, 4), "s": scale()},
        {},
        3 * 5 * 4,
    ),
    (
        "MatMulNBits",
        "abs",
        {"y": FLOAT},
        {"a": weight(2, 3, 64)},
        {"b": bytes_(10, 2, 16), "s": weight(20)},
        {"K": 64, "N": 10, "bits": 4, "block_size": 32},
        6 * 64 * 10,
    ),
    _norm("SkipLayerNormalization"),
    _norm("SkipSimplifiedLayerNormalization"),
    (
        "EmbedLayerNormalization",
        ["ids", "segments", "word", "position", "segment", "g", "b"],
        {"y": FLOAT, "mask": TensorProto.INT32},
        {"ids": np.zeros((2, 5), np.int32), "segments": np.zeros((2, 5), np.int32)},
        {
            "word": weight(9, 8),
            "position": weight(6, 8),
            "segment": weight(2, 8),
            "g": weight(8),
            "b": weight(8),
        },
        {},
        0,
    ),
    (
        "RotaryEmbedding",
        ["x", "p", "c", "s"],
        {"y": FLOAT},
        {"x": weight(2, 3, 4, 8), "p": np.zeros((2, 4), np.int64)},
        {"c": weight(9, 4), "s": weight(9, 4)},
        {},
        0,
    ),
    (
        "Attention",
        ["x", "w", "b", "", "past"],
        {"y": FLOAT, "present": FLOAT},
        {"x": weight(2, 3, 12), "past": weight(2, 2, 3, 5, 4)},
        {"w": weight(12, 36), "b": weight(36)},
        {"num_heads": 3},
        2 * 3 * 12 * 36 + 2 * (2 * 3 * 3 * 8 * 4),
    ),
    (
        "QAttention",
        ["x", "w", "b", "s", "s", "", "z", "zw"],
        {"y": FLOAT},
        {"x": bytes_(2, 3, 12)},
        {
            "w": bytes_(12, 36, kind=np.int8),
            "b": weight(36),
            "s": scale(),
            "z": zero(),
            "zw": zero(np.int8),
        },
        {"num_heads": 3},
        2 * 3 * 12 * 36 + 2 * (2 * 3 * 3 * 3 * 4),
    ),
    (
        "DynamicQuantizeLSTM",
        ["x", "w", "r", "", "", "", "", "", "ws", "wz", "ws", "wz"],
        {"y": FLOAT, "h": FLOAT, "c": FLOAT},
        {"x": weight(5, 2, 3)},
        {
            "w": bytes_(1, 3, 16),
            "r": bytes_(1, 4, 16),
            "ws": np.full(1, 0.05, np.float32),
            "wz": np.zeros(1, np.uint8),
        },
        {"hidden_size": 4},
        5 * 2 * 16 * (3 + 4),
    ),
    (
        "GatherBlockQuantized",
        "bis",
        {"y": FLOAT},
        {"i": np.zeros((2, 3), np.int64)},
        {"b": bytes_(7, 16), "s": weight(7, 2)},
        {"bits": 4, "block_size": 16, "gather_axis": 0, "quantize_axis": 1},
        0,
    ),
    (
        "MoE",
        ["x", "r", "w1", "", "w2"],
        {"y": FLOAT},
        {"x": weight(4, 8), "r": weight(4, 3)},
        {"w1": weight(3, 16, 8), "w2": weight(3, 8, 16)},
        {"k": 2, "activation_type": "relu"},
        3 * 3 * 2 * 8 * 16,
    ),
    ("CDist", "ab", {"y": FLOAT}, {"a": weight(3, 5), "b": weight(4, 5)}, {}, {}, 0),
    (
        "TransposeMatMul",
        "ab",
        {"y": FLOAT},
        {"a": weight(3, 5), "b": weight(4, 5)},
        {},
        {"transB": 1},
        60,
    ),
    (
        "NhwcMaxPool",
        "x",
        {"y": U8},
        {"x": bytes_(1, 7, 8, 3)},
        {},
        {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 0, 1]},
        0,
    ),
]
#: Operators without a kernel on this processor: the shape is worked out by hand.
BY_HAND: list[tuple[Any, ...]] = [
    (
        "NhwcConv",
        "xw",
        {"x": weight(1, 7, 6, 4)},
        {"w": weight(6, 2, 3, 3)},
        {"group": 2, "strides": [2, 2]},
        (1, 3, 2, 6),
        6 * 2 * 9 * 6,
    ),
    ("BiasSplitGelu", "xb", {"x": weight(2, 5, 8)}, {"b": weight(8)}, {}, (2, 5, 4), 0),
    (
        "BiasAdd",
        "xbs",
        {"x": weight(2, 5, 8), "s": weight(2, 5, 8)},
        {"b": weight(8)},
        {},
        (2, 5, 8),
        0,
    ),
    (
        "GemmFastGelu",
        "xwb",
        {"x": weight(2, 5, 8)},
        {"w": weight(8, 3), "b": weight(3)},
        {},
        (2, 5, 3),
        240,
    ),
    (
        "DecoderMaskedMultiHeadAttention",
        ["x", "k", "v", "", "", "p", "q"],
        {n: weight(2, 1, 12) for n in "xkv"} | {n: weight(2, 3, 9, 4) for n in "pq"},
        {},
        {"num_heads": 3, "past_present_share_buffer": 1},
        (2, 1, 12),
        2 * 2 * 9 * 12,
    ),
    (
        "MultiHeadAttention",
        ["x"],
        {"x": weight(2, 5, 3, 3, 4)},
        {},
        {"num_heads": 3},
        (2, 5, 12),
        2 * 2 * 3 * 5 * 5 * 4,
    ),
    (
        "MultiHeadAttention",
        ["x", "k"],
        {"x": weight(2, 5, 12), "k": weight(2, 7, 3, 2, 4)},
        {},
        {"num_heads": 3},
        (2, 5, 12),
        2 * 2 * 3 * 5 * 7 * 4,
    ),
    (
        "MultiHeadAttention",
        ["x", "k", "v"],
        {"x": weight(2, 5, 12), "k": weight(2, 3, 7, 4), "v": weight(2, 3, 7, 4)},
        {},
        {"num_heads": 3},
        (2, 5, 12),
        2 * 2 * 3 * 5 * 7 * 4,
    ),
]


def qdq(bits_w: int, kind_a: int) -> onnx.ModelProto:
    """Conv, Relu, Conv with quantized activations and weights around each."""
    kinds = {4: TensorProto.INT4, 8: TensorProto.INT8}
    nodes, stored, source = [], [numpy_helper.from_array(scale(), "s")], "x"
    stored.append(helper.make_tensor("za", kind_a, (), [0]))

    def both(name: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "za"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", "s", "za"], [f"{name}_d"]))
        return f"{name}_d"

    for index in range(2):
        source = both(source)
        stored.append(helper.make_tensor(f"w{index}", kinds[bits_w], (4, 4, 1, 1), [1] * 16))
        nodes.append(helper.make_node("DequantizeLinear", [f"w{index}", "s"], [f"w{index}_d"]))
        nodes.append(helper.make_node("Conv", [source, f"w{index}_d"], [f"c{index}"]))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        source = f"r{index}"
    source = both(source)
    body = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", FLOAT, (1, 4, 5, 5))],
        [helper.make_tensor_value_info(source, FLOAT, None)],
        stored,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
