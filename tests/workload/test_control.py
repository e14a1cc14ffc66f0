"""Loops count their body as often as it runs; of branches the one that costs more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import Model, load_model
from dse.workload.load import lower_bytes
from dse.workload.read import read_graph

from . import interpreter
from .graphs import graph, weight

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(
    name: str, kind: int = FLOAT, shape: tuple[int, ...] | None = None
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def lowered(model: onnx.ModelProto, **bindings: int) -> Model:
    data = model.SerializeToString()
    return lower_bytes(data, "net.onnx", tuple((k, v) for k, v in bindings.items()))


def step_body(op: str) -> list[onnx.NodeProto]:
    """One step of a plain recurrent network; the weights are captured from around the body."""
    return [
        helper.make_node("MatMul", ["part", "wx"], ["moved"], name="input"),
        helper.make_node("MatMul", ["state", "wh"], ["kept"], name="state"),
        helper.make_node("Add", ["moved", "kept"], ["sum"], name="sum"),
        helper.make_node(op, ["sum"], ["next"], name="activation"),
        helper.make_node("Identity", ["next"], ["row"], name="row"),
    ]


STORED = {"wx": weight(3, 4), "wh": weight(4, 4, seed=1)}
START = np.zeros((2, 4), np.float32)


def scan(steps: int) -> onnx.ModelProto:
    body = helper.make_graph(
        step_body("Tanh"),
        "body",
        [value("state", shape=(2, 4)), value("part", shape=(2, 3))],
        [value("next", shape=(2, 4)), value("row", shape=(2, 4))],
    )
    node = helper.make_node(
        "Scan", ["start", "x"], ["last", "rows"], name="walk", num_scan_inputs=1, body=body
    )
    after = helper.make_node("MatMul", ["rows", "head"], ["y"], name="head")
    stored = {**STORED, "head": weight(4, 5)}
    return graph([node, after], {"x": (steps, 2, 3), "start": (2, 4)}, ["y", "last"], stored)


def loop(trips: int | None) -> onnx.ModelProto:
    """The same by Loop, which picks its part by the number of the trip."""
    pick = helper.make_node("Gather", ["x", "trip"], ["part"], name="pick")
    go = helper.make_node("Identity", ["going"], ["goes_on"], name="go")
    body = helper.make_graph(
        [pick, go, *step_body("Tanh")],
        "body",
        [value("trip", INT, ()), value("going", BOOL, ()), value("state", shape=(2, 4))],
        [value("goes_on", BOOL, ()), value("next", shape=(2, 4)), value("row", shape=(2, 4))],
    )
    node = helper.make_node(
        "Loop", ["count", "", "start"], ["last", "rows"], name="walk", body=body
    )
    stored = dict(STORED)
    if trips is not None:
        stored["count"] = np.array(trips, np.int64)
    model = graph([node], {"x": (6, 2, 3), "start": (2, 4)}, ["rows", "last"], stored)
    if trips is None:
        model.graph.input.append(value("count", INT, ()))
    return model


def test_scan_runs_as_often_as_its_sequence_is_long() -> None:
    model = scan(7)
    low = lowered(model)
    assert low.macs == 7 * 2 * 4 * (3 + 4) + 7 * 2 * 4 * 5
    tables = sum(n for layer in low.layers for f, n in layer.vector_ops if f == "lut")
    assert tables == 7 * 2 * 4
    theirs = interpreter.run(model, {"x": weight(7, 2, 3), "start": START})
    found = read_graph(onnx.ModelProto.FromString(model.SerializeToString()), "net.onnx", {})[0]
    assert [found.shapes[n] for n in ("y", "last")] == [r.shape for r in theirs]
    assert low.fates["walk"] == "view"
    assert low.fates["walk/state"] == "compute"
    assert low.fates["head"] == "compute"
    assert not [name for name in low.fates if "Carry" in name or "Slot" in name]


def test_scan_is_the_unrolled_network() -> None:
    nodes: list[onnx.NodeProto] = []
    state = "start"
    for step in range(5):
        names = {"part": f"x{step}", "state": state}
        state = f"next{step}"
        for node in step_body("Tanh"):
            made = onnx.NodeProto.FromString(node.SerializeToString())
            made.name = f"{node.name}{step}"
            made.input[:] = [
                names.get(n, n if n in (*STORED, "start") else f"{n}{step}") for n in node.input
            ]
            made.output[:] = [f"{n}{step}" for n in node.output]
            nodes.append(made)
    inputs = {f"x{step}": (2, 3) for step in range(5)} | {"start": (2, 4)}
    unrolled = lowered(graph(nodes, inputs, [state], STORED))
    rolled = lowered(scan(5))
    inside = [layer for layer in rolled.layers if layer.name != "head"]
    assert sum(layer.macs for layer in inside) == unrolled.macs
    for function in ("lut", "add"):
        ours, theirs = (
            sum(n for layer in layers for f, n in layer.vector_ops if f == function)
            for layers in (inside, unrolled.layers)
        )
        assert ours == theirs
    stored = {n for n, t in rolled.tensors.items() if t.role == "weight"}
    assert {"wx", "wh"} <= stored


def test_loop_with_a_stored_count() -> None:
    low = lowered(loop(6))
    assert low.macs == 6 * 2 * 4 * (3 + 4)
    theirs = interpreter.run(loop(6), {"x": weight(6, 2, 3), "start": START})
    rows, last = (result.shape for result in theirs)
    assert rows == (6, *last)
    # both results lie in what the body writes, one part a trip
    (out,) = low.outputs
    assert low.tensors[out].shape == rows


def test_loop_with_an_unknown_count_wants_a_binding(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(loop(None).SerializeToString())
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert caught.value.field == "node 'walk' (Loop)"
    assert "--bind walk.trips=N" in str(caught.value)
    assert load_model(path, unknown_ops="error", **{"walk.trips": 9}).macs == 9 * 2 * 4 * (3 + 4)
    assert load_model(f"{path}@walk.trips=4").macs == 4 * 2 * 4 * (3 + 4)
    for trips in (0, -3):
        with pytest.raises(InputError, match="is below 1") as low:
            load_model(f"{path}@walk.trips={trips}")
        assert low.value.field == "walk.trips"
    with pytest.raises(InputError, match="no loop is called 'talk'"):
        load_model(path, unknown_ops="error", **{"walk.trips": 9, "talk.trips": 2})


def test_a_loop_with_a_negative_count_is_refused() -> None:
    with pytest.raises(InputError, match="the loop runs -3 times") as caught:
        lowered(loop(-3))
    assert caught.value.field == "node 'walk' (Loop)"


def behind(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with products behind what the loop carries and what it stacks."""
    for name, result in (("carried", "last"), ("stacked", "rows")):
        model.graph.node.append(helper.make_node("MatMul", [result, "tail"], [name], name=name))
    model.graph.initializer.append(numpy_helper.from_array(weight(4, 5), "tail"))
    del model.graph.output[:]
    model.graph.output.extend([value("carried"), value("stacked")])
    return model


@pytest.mark.parametrize("how", ["count", "condition", "scan"])
def test_a_loop_without_a_trip_is_no_work(how: str) -> None:
    """What it carries comes out as it went in, what it stacks is empty."""
    model = behind(scan(6) if how == "scan" else loop(0 if how == "count" else 6))
    bindings: dict[str, int] = {}
    if how == "condition":
        model.graph.node[0].input[1] = "never"
        model.graph.initializer.append(numpy_helper.from_array(np.array(False), "never"))
    if how == "scan":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "steps"
        bindings["steps"] = 0
    else:  # ONNX Runtime cannot run a Scan over nothing
        results = interpreter.run(model, {"x": weight(6, 2, 3), "start": START})
        assert [result.shape for result in results] == [(2, 5), (0, 2, 5)]
    low = lowered(model, **bindings)
    assert [layer.name for layer in low.layers] == ["carried"]
    assert low.macs == 2 * 4 * 5
    assert low.fates["walk"] == "view"


def test_loops_in_loops_multiply() -> None:
    inner_body = helper.make_graph(
        [
            helper.make_node("MatMul", ["inner_state", "wh"], ["inner_next"], name="product"),
            helper.make_node("Identity", ["inner_going"], ["inner_goes_on"]),
        ],
        "inner",
        [value("j", INT, ()), value("inner_going", BOOL, ()), value("inner_state", shape=(2, 4))],
        [value("inner_goes_on", BOOL, ()), value("inner_next", shape=(2, 4))],
    )
    body = helper.make_graph(
        [
            helper.make_node(
                "Loop", ["three", "", "state"], ["next"], name="inner", body=inner_body
            ),
            helper.make_node("Identity", ["going"], ["goes_on"]),
        ],
        "outer",
        [value("i", INT, ()), value("going", BOOL, ()), value("state", shape=(2, 4))],
        [value("goes_on", BOOL, ()), value("next", shape=(2, 4))],
    )
    node = helper.make_node("Loop", ["five", "", "x"], ["y"], name="outer", body=body)
    stored = {
        "wh": weight(4, 4),
        "three": np.array(3, np.int64),
        "five": np.array(5, np.int64),
    }
    low = lowered(graph([node], {"x": (2, 4)}, ["y"], stored))
    assert low.macs == 15 * 2 * 4 * 4
    assert low.fates["outer/inner/product"] == "compute"
    (layer,) = [layer for layer in low.layers if layer.kind == "compute"]
    assert layer.w_elements == 16, "stored weights are not multiplied"


def branching(condition: np.ndarray | None) -> onnx.ModelProto:
    cheap = helper.make_graph([helper.make_node("Relu", ["h"], ["r"])], "cheap", [], [value("r")])
    dear = helper.make_graph(
        [helper.make_node("MatMul", ["h", "w"], ["r"], name="product")], "dear", [], [value("r")]
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["h"]),
        helper.make_node("If", ["c"], ["z"], name="choice", then_branch=cheap, else_branch=dear),
        helper.make_node("Add", ["z", "x"], ["y"]),
    ]
    stored = {"w": weight(4, 4), **({} if condition is None else {"c": condition})}
    model = graph(nodes, {"x": (3, 4)}, ["y"], stored)
    if condition is None:
        model.graph.input.append(value("c", BOOL, ()))
    return model


def test_the_branch_that_runs_or_costs_more() -> None:
    assert lowered(branching(np.array(True))).macs == 0
    assert lowered(branching(np.array(False))).macs == 3 * 4 * 4
    open_ = lowered(branching(None))
    assert open_.macs == 3 * 4 * 4
    assert open_.fates["choice/product"] == "compute"
    assert open_.fates["choice"] == "view"


def test_a_condition_computed_from_shapes_is_known() -> None:
    model = branching(np.array(True))
    del model.graph.initializer[-1]
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"]),
        helper.make_node("Equal", ["n", "three"], ["c"]),
    ]
    for name, number in (("first", 0), ("three", 3)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(number), name))
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    assert lowered(model).macs == 0


def test_functions_are_inlined() -> None:
    inner = [
        helper.make_node("MatMul", ["a", "b"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
    ]
    function = helper.make_function(
        "mine", "Layer", ["a", "b"], ["r"], inner, [helper.make_opsetid("", 20)]
    )
    nodes = [helper.make_node("Layer", ["x", "w"], ["y"], domain="mine")]
    model = graph(nodes, {"x": (3, 4)}, ["y"], {"w": weight(4, 5)})
    model.functions.append(function)
    low = lowered(model)
    assert low.macs == 3 * 4 * 5
    assert set(low.fates.values()) == {"compute", "folded"}
