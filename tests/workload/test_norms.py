"""Normalizations and rotary embeddings written as several operators cost what the fused ones do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dse.workload import Layer, Model
from dse.workload.load import lower_bytes

from . import interpreter
from .graphs import graph, weight

SHAPE = (2, 5, 8)
SCALARS = {
    n: np.array(v, np.float32) for n, v in (("two", 2), ("half", 0.5), ("e", 1e-5), ("one", 1))
}
STORED = {**SCALARS, "g": weight(8), "b": weight(8, seed=1), "last": np.array([-1])}


def lowered(nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, ...]]) -> Model:
    used = {name for node in nodes for name in node.input}
    stored = {n: a for n, a in STORED.items() if n in used}
    model = graph(nodes, inputs, ["y"], stored)
    interpreter.run(model, {n: weight(*s) for n, s in inputs.items()})  # it is a valid graph
    return lower_bytes(model.SerializeToString(), "net.onnx")


def only(model: Model) -> Layer:
    (layer,) = model.layers
    return layer


def node(op: str, read: str, write: str, **attrs: Any) -> onnx.NodeProto:
    return helper.make_node(op, read.split(), write.split(), **attrs)


def rms(square: str, root: str) -> list[onnx.NodeProto]:
    """x / sqrt(mean(x x) + e) g, in the forms that exporters write."""
    nodes = [node("Pow", "x two", "q") if square == "pow" else node("Mul", "x x", "q")]
    nodes += [node("ReduceMean", "q last", "m"), node("Add", "m e", "v")]
    if root == "reciprocal":
        nodes += [node("Sqrt", "v", "s"), node("Reciprocal", "s", "r"), node("Mul", "x r", "n")]
    elif root == "one over":
        nodes += [node("Sqrt", "v", "s"), node("Div", "one s", "r"), node("Mul", "r x", "n")]
    elif root == "power":
        nodes += [node("Pow", "v half", "s"), node("Div", "x s", "n")]
    else:
        nodes += [node("Sqrt", "v", "s"), node("Div", "x s", "n")]
    return [*nodes, node("Mul", "g n", "y")]


@pytest.mark.parametrize(
    ("square", "root"),
    list(itertools.product(["pow", "mul"], ["reciprocal", "one over", "power", "divide"])),
)
def test_root_mean_square(square: str, root: str) -> None:
    layer = only(lowered(rms(square, root), {"x": SHAPE}))
    n, rows = 80, 10
    assert layer.op == "SimplifiedLayerNormalization"
    assert dict(layer.vector_ops) == {"mul": 3 * n, "reduce": n, "div": rows, "add": rows}
    assert (layer.i_elements, layer.o_elements, layer.w_elements) == (n, n, 8)


def layer_norm(twice: bool) -> list[onnx.NodeProto]:
    """As exporters wrote it before opset 17; old ones subtract the mean twice."""
    nodes = [node("ReduceMean", "x last", "m"), node("Sub", "x m", "d")]
    squared = "d"
    if twice:
        nodes.append(node("Sub", "x m", "d2"))
        squared = "d2"
    return [
        *nodes,
        node("Pow", f"{squared} two", "q"),
        node("ReduceMean", "q last", "v"),
        node("Add", "v e", "w"),
        node("Sqrt", "w", "s"),
        node("Div", "d s", "n"),
        node("Mul", "n g", "k"),
        node("Add", "k b", "y"),
    ]


@pytest.mark.parametrize("twice", [False, True])
def test_layer_normalization_is_the_fused_one(twice: bool) -> None:
    apart = lowered(layer_norm(twice), {"x": SHAPE})
    fused = only(lowered([node("LayerNormalization", "x g b", "y", axis=-1)], {"x": SHAPE}))
    layer = only(apart)
    assert layer.vector_ops == fused.vector_ops
    assert (layer.i_elements, layer.o_elements) == (fused.i_elements, fused.o_elements)
    assert sorted(apart.fates.values()) == ["folded"] * (len(apart.fates) - 1) + ["vector"]


def test_casts_inside_are_passed() -> None:
    """Half-precision networks normalize in single precision."""
    nodes = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("Cast", "h", "f", to=TensorProto.FLOAT),
        node("Pow", "f two", "q"),
        node("ReduceMean", "q last", "m"),
        node("Add", "m e", "v"),
        node("Sqrt", "v", "s"),
        node("Reciprocal", "s", "r"),
        node("Mul", "f r", "n"),
        node("Cast", "n", "c", to=TensorProto.FLOAT16),
        node("Cast", "c", "o", to=TensorProto.FLOAT),
        node("Mul", "o g", "y"),
    ]
    model = lowered(nodes, {"x": SHAPE})
    assert only(model).op == "SimplifiedLayerNormalization"


def test_what_others_read_is_not_fused() -> None:
    """The variance is a result of the network as well."""
    nodes = rms("pow", "divide")
    stored = {n: STORED[n] for n in ("two", "e", "g", "last")}
    model = graph(nodes, {"x": SHAPE}, ["y", "v"], stored)
    low = lower_bytes(model.SerializeToString(), "net.onnx")
    assert "SimplifiedLayerNormalization" not in {layer.op for layer in low.layers}
    assert sum(n for layer in low.layers for f, n in layer.vector_ops if f == "reduce") == 80


@pytest.mark.parametrize("cut", ["Split", "Slice"])
def test_rotary_embedding(cut: str) -> None:
    nodes = [node("Relu", "x", "h"), node("Mul", "h c", "p")]
    stored: dict[str, np.ndarray] = {}
    if cut == "Split":
        nodes.append(node("Split", "h", "first second", axis=-1, num_outputs=2))
    else:
        stored = {
            n: np.array([v]) for n, v in (("zero", 0), ("middle", 4), ("end", 8), ("axis", 2))
        }
        nodes.append(node("Slice", "h zero middle axis", "first"))
        nodes.append(node("Slice", "h middle end axis", "second"))
    nodes += [
        node("Neg", "second", "negated"),
        node("Concat", "negated first", "turned", axis=-1),
        node("Mul", "turned s", "o"),
        node("Add", "p o", "y"),
    ]
    inputs = {"x": SHAPE, "c": (5, 8), "s": (5, 8)}
    model = lower_bytes(graph(nodes, inputs, ["y"], stored).SerializeToString(), "net.onnx")
    layer = model.layers[-1]
    assert [x.op for x in model.layers] == ["Relu", "RotaryEmbedding"]
    assert dict(layer.vector_ops) == {"mul": 2 * 80, "add": 80}
    assert (layer.i_elements, layer.o_elements) == (80 + 40 + 40, 80)


def test_a_gemm_takes_its_batch_normalization_in() -> None:
    nodes = [
        node("Gemm", "x w", "m", transB=1),
        node("BatchNormalization", "m g b z v", "n"),
        node("Relu", "n", "y"),
    ]
    stored = {"w": weight(8, 6), **{n: weight(8) for n in "gbz"}, "v": abs(weight(8))}
    data = graph(nodes, {"x": (3, 6)}, ["y"], stored).SerializeToString()
    layer = only(lower_bytes(data, "net.onnx"))
    assert dict(layer.vector_ops) == {"relu": 24}
    assert layer.b_elements == 8


def test_a_scale_of_every_channel_is_work_behind_two_activations() -> None:
    """Stored weights take the scale in; a product of two activations has none."""
    nodes = [node("MatMul", "x w", "m"), node("Mul", "m g", "y")]
    stored = graph(nodes, {"x": (3, 6)}, ["y"], {"w": weight(6, 8), "g": weight(8)})
    moving = graph(nodes, {"x": (3, 6), "w": (6, 8)}, ["y"], {"g": weight(8)})
    work = [
        dict(only(lower_bytes(m.SerializeToString(), "net.onnx")).vector_ops)
        for m in (stored, moving)
    ]
    assert work == [{}, {"mul": 24}]
