"""Lowering rules: fusion, counts, views; and the loop nest against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dse.workload import Layer, Model, layer_table

from .graphs import graph, load, weight


def only(model: Model) -> Layer:
    (layer,) = model.layers
    return layer


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (2, 2), (3, 2), (3, 1), (5, 3)])
def test_transposed_convolution_macs(kernel: int, stride: int, tmp_path: Path) -> None:
    """Published convention: input pixels x C x M x taps, however the nest is made."""
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[stride, stride])
    model = graph([node], {"x": (1, 3, 7, 5)}, ["y"], {"w": weight(3, 2, kernel, kernel)})
    layer = only(load(model, tmp_path))
    assert layer.macs == 7 * 5 * 3 * 2 * kernel * kernel
    nest = layer.nest
    assert nest is not None
    assert layer.w_elements == nest.G * nest.K * nest.C * nest.FY * nest.FX


def twin(activation: list[onnx.NodeProto]) -> onnx.ModelProto:
    convolution = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1])
    return graph([convolution, *activation], {"x": (1, 3, 8, 8)}, ["y"], {"w": weight(4, 3, 3, 3)})


SILU = [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])]


def test_silu_costs_more_than_relu(tmp_path: Path) -> None:
    relu = load(twin([helper.make_node("Relu", ["c"], ["y"])]), tmp_path, "relu")
    silu = load(twin(SILU), tmp_path, "silu")
    assert relu.macs == silu.macs
    assert len(relu.layers) == len(silu.layers) == 1
    assert dict(silu.layers[0].vector_ops) == {"lut": 256, "mul": 256}
    assert sum(n for _, n in silu.layers[0].vector_ops) > sum(
        n for _, n in relu.layers[0].vector_ops
    )


def test_gelu_through_erf_is_one_table(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["c"]),
        helper.make_node("Div", ["c", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["f"]),
        helper.make_node("Mul", ["c", "f"], ["g"]),
        helper.make_node("Mul", ["g", "half"], ["y"]),
    ]
    scalars = {n: np.array(v, np.float32) for n, v in (("root", 1.41), ("one", 1), ("half", 0.5))}
    stored = {"w": weight(4, 6), "b": weight(6), **scalars}
    layer = only(load(graph(nodes, {"x": (5, 4)}, ["y"], stored), tmp_path))
    assert dict(layer.vector_ops) == {"lut": 30, "mul": 30}
    assert layer.b_elements == 6
    assert layer.outputs == ("y",)


def test_residual_is_a_side_operand(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"], name="norm"
        ),
        helper.make_node("Add", ["n", "x"], ["a"], name="add"),
        helper.make_node("Relu", ["a"], ["y"], name="relu"),
    ]
    per_channel = {n: weight(3) for n in ("scale", "shift", "mean", "var")}
    model = load(
        graph(nodes, {"x": (1, 3, 8, 8)}, ["y"], {"w": weight(3, 3, 3, 3), **per_channel}), tmp_path
    )
    layer = only(model)
    assert layer.side_elements == 192
    assert layer.b_elements == 3
    assert dict(layer.vector_ops) == {"add": 192, "relu": 192}
    assert model.fates == {"conv": "compute", "norm": "folded", "add": "folded", "relu": "folded"}


def test_concat_in_place_and_copied(tmp_path: Path) -> None:
    branch = [helper.make_node("Conv", ["x", "w"], [f"c{i}"], name=f"conv{i}") for i in (0, 1)]
    free = helper.make_node("Concat", ["c0", "c1"], ["y"], axis=1, name="join")
    model = load(
        graph([*branch, free], {"x": (1, 3, 4, 4)}, ["y"], {"w": weight(2, 3, 1, 1)}), tmp_path
    )
    assert model.fates["join"] == "view"
    copied = helper.make_node("Concat", ["c0", "x"], ["y"], axis=1, name="join")
    other = load(
        graph([branch[0], copied], {"x": (1, 3, 4, 4)}, ["y"], {"w": weight(2, 3, 1, 1)}),
        tmp_path,
        "copied",
    )
    assert other.fates["join"] == "movement"
    assert other.layers[-1].i_elements == 3 * 16, "only the graph input is copied"


def test_transposes_of_products_are_free(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 2, 1], name="free"),
        helper.make_node("MatMul", ["q", "t"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], name="soft"),
        helper.make_node("Transpose", ["p"], ["y"], perm=[0, 2, 1], name="moved"),
    ]
    model = load(graph(nodes, {"q": (2, 5, 4), "k": (2, 6, 4)}, ["y"]), tmp_path)
    assert model.fates["free"] == "view"
    assert model.fates["moved"] == "movement"
    softmax = next(layer for layer in model.layers if layer.op == "Softmax")
    n, rows = 2 * 5 * 6, 2 * 5
    assert dict(softmax.vector_ops) == {"reduce": 2 * n, "add": n, "exp": n, "div": rows, "mul": n}


def test_guards_against_nan_are_dropped(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], name="soft"),
        helper.make_node("IsNaN", ["s"], ["nan"], name="test"),
        helper.make_node("Where", ["nan", "zero", "s"], ["y"], name="guard"),
    ]
    zero = {"zero": np.zeros((), np.float32)}
    model = load(graph(nodes, {"x": (2, 4)}, ["y"], zero), tmp_path)
    assert model.fates == {"soft": "vector", "test": "folded", "guard": "folded"}


def test_lstm_macs(tmp_path: Path) -> None:
    steps, batch, width, hidden = 7, 2, 5, 3
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=hidden)
    stored = {"w": weight(1, 4 * hidden, width), "r": weight(1, 4 * hidden, hidden)}
    model = load(graph([node], {"x": (steps, batch, width)}, ["y"], stored), tmp_path)
    assert model.macs == steps * batch * 4 * hidden * (width + hidden)


@pytest.mark.parametrize("equation", ["bhid,bhjd->bhij", "ij,jk->ik", "bij,jk->bik"])
def test_einsum_macs(equation: str, tmp_path: Path) -> None:
    sizes = dict(zip("bhijdk", (2, 3, 4, 5, 6, 7), strict=True))
    terms = equation.split("->")[0].split(",")
    shapes = {n: tuple(sizes[x] for x in t) for n, t in zip("pq", terms, strict=True)}
    node = helper.make_node("Einsum", ["p", "q"], ["y"], equation=equation)
    model = load(graph([node], shapes, ["y"]), tmp_path)
    letters = set("".join(terms))
    assert model.macs == int(np.prod([sizes[x] for x in letters]))


def test_qdq_gives_formats(tmp_path: Path) -> None:
    stored: dict[str, np.ndarray] = {
        "w": np.ones((4, 3, 1, 1), np.int8),
        "s": np.array(0.1, np.float32),
        "z": np.array(0, np.int8),
        "zy": np.array(0, np.int16),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "zy"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "zy"], ["y"]),
    ]
    model = load(graph(nodes, {"x": (1, 3, 4, 4)}, ["y"], stored, opset=21), tmp_path)
    layer = only(model)
    assert model.native is not None
    assert (model.at().layers[0].w_format, model.at().layers[0].i_format) == ("int8", "int8")
    assert model.at("fp16").layers[0].w_format == "fp16"
    assert layer.macs == 4 * 3 * 16


@pytest.mark.parametrize("shared", [4, 2, 1])
def test_group_query_attention_reads_shared_keys_once(shared: int, tmp_path: Path) -> None:
    """One decoding step over a cache of 9: heads x (new + old keys) x width, twice."""
    heads, width, cache = 4, 8, 10
    node = helper.make_node(
        "GroupQueryAttention",
        ["q", "k", "v", "past_key", "past_value", "", ""],
        ["y", "present_key", "present_value"],
        domain="com.microsoft",
        num_heads=heads,
        kv_num_heads=shared,
    )
    past = (1, shared, cache, width)
    inputs: dict[str, tuple[int, ...]] = {
        "q": (1, 1, heads * width),
        "k": (1, 1, shared * width),
        "v": (1, 1, shared * width),
    }
    inputs |= {"past_key": past, "past_value": past}
    model = load(graph([node], inputs, ["y", "present_key", "present_value"]), tmp_path)
    assert model.macs == 2 * heads * cache * width
    products = [layer for layer in model.layers if layer.kind == "compute"]
    assert [layer.w_elements for layer in products] == [shared * cache * width] * 2
    assert model.tensors["past_key"].role == "kv"
    assert model.at("w8a8").tensors["past_key"].format == "int8"


def test_packed_and_multi_head_attention_macs(tmp_path: Path) -> None:
    batch, tokens, heads, width = 2, 5, 3, 12
    packed = helper.make_node(
        "Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=heads
    )
    stored = {"w": weight(width, 3 * width), "b": weight(3 * width)}
    model = load(graph([packed], {"x": (batch, tokens, width)}, ["y"], stored), tmp_path)
    products = 2 * batch * tokens * tokens * width
    assert model.macs == batch * tokens * width * 3 * width + products
    plain = helper.make_node(
        "MultiHeadAttention", ["q", "k", "v"], ["y"], domain="com.microsoft", num_heads=heads
    )
    inputs = dict.fromkeys("qkv", (batch, tokens, width))
    assert load(graph([plain], inputs, ["y"]), tmp_path, "multi").macs == products


def test_models_cross_process_boundaries(tmp_path: Path) -> None:
    import pickle

    model = load(twin(SILU), tmp_path)
    work = model.at("w4a8")
    again = pickle.loads(pickle.dumps(work))
    assert again.digest == work.digest
    assert again.layers == work.layers
    assert pickle.loads(pickle.dumps(model)).at("w4a8").digest == work.digest


def test_layer_table(tmp_path: Path) -> None:
    (row,) = layer_table(load(twin(SILU), tmp_path).at("w8a8"))
    assert row["dims"] == "K=4 C=3 OY=8 OX=8 FY=3 FX=3"
    assert row["macs"] == 4 * 3 * 64 * 9
    assert row["vector_ops"] == 256 * 3, "table, product, requantization"
    moved = 4 * 27 + 192 + 256
    assert row["intensity"] == pytest.approx(4 * 3 * 64 * 9 / moved)
