"""Sizes of zero are no work; what comes behind has the right shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from dse.errors import InputError
from dse.workload import Model
from dse.workload.load import lower_bytes
from dse.workload.read import read_graph

from .graphs import graph, weight


def agreed(model: onnx.ModelProto, **bindings: Any) -> Model:
    """The lowered model, whose results have the shapes that ONNX Runtime gives."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        i.name: np.zeros([bindings.get(n, n) for n in i.shape], np.float32)
        for i in session.get_inputs()
    }
    theirs = session.run(None, feeds)
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    ours = read_graph(copy, "net.onnx", bindings)[0]
    assert [ours.shapes[v.name] for v in model.graph.output] == [r.shape for r in theirs]
    return lower_bytes(model.SerializeToString(), "net.onnx", tuple(bindings.items()))


def empty(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def kinds(model: Model) -> list[tuple[str, str]]:
    return [(layer.op, layer.kind) for layer in model.layers]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_low_rank_update_of_rank_0(scaled: bool, first: bool) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["x", "la"], ["b"], name="down"),
        helper.make_node("MatMul", ["b", "lb"], ["c"], name="up"),
        helper.make_node("Mul", ["c", "scale"], ["d"], name="scale"),
        helper.make_node("Add", ["a", "d" if scaled else "c"][:: -1 if first else 1], ["y"]),
    ]
    stored = {
        "w": weight(4, 4),
        "la": empty(4, 0),
        "lb": empty(0, 4),
        "scale": np.array(2, np.float32),
    }
    found = agreed(graph(nodes, {"x": (4, 4)}, ["y"], stored, opset=17))
    assert found.macs == 64
    assert kinds(found) == [("MatMul", "compute")]
    assert not sum(n for layer in found.layers for _, n in layer.vector_ops)
    assert found.fates["down"] == found.fates["up"] == "folded"
    assert set(found.fates) == {n.name or n.output[0] for n in nodes}


def test_a_low_rank_update_of_a_convolution() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["x", "la"], ["b"]),
        helper.make_node("Conv", ["b", "lb", "bias"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    stored = {
        "w": weight(6, 3, 1, 1),
        "la": empty(0, 3, 1, 1),
        "lb": empty(6, 0, 1, 1),
        "bias": weight(6),
    }
    model = graph(nodes, {"x": (1, 3, 5, 5)}, ["y"], stored, opset=17)
    found = lower_bytes(model.SerializeToString(), "net.onnx")  # onnxruntime has no such kernel
    assert found.macs == 25 * 18
    assert [layer.op for layer in found.layers if layer.kind == "compute"] == ["Conv"]


@pytest.mark.parametrize("past", [0, 3])
def test_a_past_that_may_be_empty(past: int) -> None:
    nodes = [
        helper.make_node("Concat", ["past", "x"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "w"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"]),
    ]
    model = graph(nodes, {"past": (2, "p", 8), "x": (2, 1, 8)}, ["y"], {"w": weight(8, 5)}, 17)
    assert agreed(model, p=past).macs == 2 * (past + 1) * 8 * 5


def test_a_slice_that_keeps_nothing() -> None:
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["none"], name="cut"),
        helper.make_node("Relu", ["none"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "v"], ["c"], name="nothing"),
        helper.make_node("Conv", ["x", "w"], ["d"], name="all"),
        helper.make_node("Concat", ["c", "d"], ["y"], axis=0, name="join"),
    ]
    stored = {
        "from": np.array([2]),
        "to": np.array([2]),
        "axis": np.array([0]),
        "v": weight(6, 3, 1, 1),
        "w": weight(6, 3, 1, 1),
    }
    model = graph(nodes, {"x": (2, 3, 5, 5)}, ["y"], stored, opset=17)
    found = lower_bytes(model.SerializeToString(), "net.onnx")
    assert found.macs == 2 * 25 * 18
    assert [layer.name for layer in found.layers] == ["all"]
    assert found.fates["nothing"] == found.fates["relu"] == "folded"


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_is_added_where_nothing_is_attended(rows: int) -> None:
    """Products over an axis of length 0, between activations."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["keys"], ["kt"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "kt"], ["scores"]),
        helper.make_node("MatMul", ["scores", "keys"], ["read"]),
        helper.make_node("Add", ["a", "read"], ["y"]),
    ]
    model = graph(nodes, {"x": (4, 8), "keys": ("n", 8)}, ["y"], {"w": weight(8, 8)}, opset=17)
    found = agreed(model, n=rows)
    assert found.macs == 4 * 64 + 2 * 4 * rows * 8


def test_the_empty_result_of_a_network() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Identity", ["past"], ["present"]),
    ]
    model = graph(
        nodes, {"x": (4, 8), "past": (1, 0, 8)}, ["y", "present"], {"w": weight(8, 8)}, opset=17
    )
    found = agreed(model)
    assert found.macs == 4 * 64
    assert "past.1=0 by default" in found.remarks[0]


@pytest.mark.parametrize("op", ["Gemm", "MatMul", "ReduceSum", "Einsum"])
def test_sums_over_nothing(op: str) -> None:
    attrs: dict[str, Any] = {"equation": "ij,jk->ik"} if op == "Einsum" else {}
    reads = {"ReduceSum": ["none", "axis"], "Gemm": ["none", "v", "b"]}.get(op, ["none", "v"])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["none"]),
        helper.make_node(op, reads, ["zero"], **attrs),
        helper.make_node("Add", ["a", "zero"], ["y"]),
    ]
    stored = {
        "w": weight(8, 5),
        "v": empty(0, 5),
        "b": weight(5),
        "from": np.array([3]),
        "to": np.array([3]),
        "axis": np.array([1]),
    }
    found = agreed(graph(nodes, {"x": (4, 8)}, ["y"], stored, opset=17))
    assert found.macs == 4 * 8 * 5
    # what is left of a Gemm is its bias, which is added
    assert [layer.kind for layer in found.layers] == ["compute", "vector"][: 1 + (op == "Gemm")]


def test_an_update_of_nothing() -> None:
    nodes = [
        helper.make_node("ScatterND", ["x", "where", "what"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    stored = {"where": np.zeros((0, 1), np.int64), "what": empty(0, 8), "w": weight(8, 5)}
    found = agreed(graph(nodes, {"x": (4, 8)}, ["y"], stored, opset=17))
    assert kinds(found) == [("MatMul", "compute")]


def test_a_window_larger_than_its_input_is_refused() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c")
    model = graph([node], {"x": (1, 1, "samples")}, ["y"], {"w": weight(4, 1, 16)}, opset=17)
    with pytest.raises(InputError) as caught:
        lower_bytes(model.SerializeToString(), "net.onnx")
    assert caught.value.field == "node 'c' (Conv)"
    assert "--bind samples=VALUE" in str(caught.value)
    found = lower_bytes(model.SerializeToString(), "net.onnx", (("samples", 16),))
    assert found.macs == 64


def test_nothing_is_left_of_a_batch_of_none() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = graph([node], {"x": ("n", 8)}, ["y"], {"w": weight(8, 5)}, opset=17)
    with pytest.raises(InputError, match="leaves nothing to compute"):
        lower_bytes(model.SerializeToString(), "net.onnx", (("n", 0),))
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
