"""What ends the process in onnx's own inference never reaches it."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, defs, helper, shape_inference

from dse.errors import InputError
from dse.workload.load import lower_bytes
from dse.workload.read import parse_proto, read_graph

info = helper.make_tensor_value_info
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def gathered(data: list[int], places: list[int], batch: int = 0) -> bytes:
    attrs: dict[str, Any] = {"batch_dims": batch} if batch else {}
    node = helper.make_node("GatherND", ["x", "p"], ["y"], name="g", **attrs)
    inputs = [
        info("x", FLOAT, data),
        info("p", INT64, places),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


@pytest.mark.parametrize(
    ("data", "places", "batch", "want"),
    [
        ([4, 5, 6], [7, 1], 0, (7, 5, 6)),
        ([4, 5, 6], [7, 2], 0, (7, 6)),
        ([4, 5, 6], [7, 8, 3], 0, (7, 8)),
        ([4, 5, 6], [4, 9, 1], 1, (4, 9, 6)),
        ([2, 3, 4, 5], [2, 3, 7, 2], 2, (2, 3, 7)),
        ([4], [1], 0, ()),
    ],
)
def test_gathered_by_several_axes(
    data: list[int], places: list[int], batch: int, want: tuple[int, ...]
) -> None:
    """The sizes of ONNX's definition; NumPy says so without a batch."""
    graph, _, _ = read_graph(parse_proto(gathered(data, places, batch), "net.onnx"), "net.onnx", {})
    assert graph.shapes["y"] == want
    if not batch:
        index = np.zeros(places, np.int64)
        assert np.zeros(data)[tuple(np.moveaxis(index, -1, 0))].shape == want


@pytest.mark.parametrize(
    ("data", "places", "batch"),
    [([4, 4], [4, 16], 0), ([4], [1, 2], 0), ([4, 4], [4, 2], 1), ([4], [0], 0), ([4, 4], [4], 5)],
)
def test_indices_beyond_all_axes_are_refused(
    data: list[int], places: list[int], batch: int
) -> None:
    with pytest.raises(InputError, match="axes") as refused:
        lower_bytes(gathered(data, places, batch), "net.onnx")
    assert "GatherND" in str(refused.value.field)


def test_a_gather_inside_a_branch_is_hidden_from_onnx_too() -> None:
    branches = {}
    for name, last in (("then_branch", 16), ("else_branch", 1)):
        made = helper.make_node("ConstantOfShape", ["to"], ["f"], value=_number(INT64))
        nodes = [made, helper.make_node("GatherND", ["x", "f"], ["r"])]
        stored = [helper.make_tensor("to", INT64, [2], [4, last])]
        result = [info("r", FLOAT, None)]
        branches[name] = helper.make_graph(nodes, name, [], result, stored)
    node = helper.make_node("If", ["c"], ["y"], name="if", **branches)
    inputs = [
        info("x", FLOAT, [4, 4]),
        info("c", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    opset = [helper.make_opsetid("", 18)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    with pytest.raises(InputError):
        lower_bytes(data, "net.onnx", (("c", 1),))
    assert lower_bytes(data, "net.onnx", (("c", 0),)).outputs


def _number(kind: int) -> TensorProto:
    return helper.make_tensor("value", kind, [1], [0])


@pytest.mark.parametrize(("stated", "results"), [(2, 3), (1, 2), (3, 9)])
def test_more_results_than_parts_are_refused(stated: int, results: int) -> None:
    names = [f"y{i}" for i in range(results)]
    node = helper.make_node("Split", ["x"], names, name="s", num_outputs=stated)
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    graph = helper.make_graph([node], "g", [info("x", FLOAT, [36])], outputs)
    opset = [helper.make_opsetid("", 18)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    with pytest.raises(InputError, match=f"states {stated} parts and has {results} results"):
        lower_bytes(data, "net.onnx")


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", range(3))
def test_no_further_operator_ends_the_process(seed: int) -> None:
    """Random operands and attributes for every schema, each in a process apart."""
    ended: set[str] = set()
    for schema in defs.get_all_schemas_with_history():
        if schema.domain or schema.deprecated or not schema.has_type_and_shape_inference_function:
            continue
        child = os.fork()
        if not child:
            rng = random.Random(f"{seed} {schema.name} {schema.since_version}")
            for _ in range(300):
                _infer_anything(schema, rng)
            os._exit(0)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            ended.add(schema.name)
    assert ended <= {"GatherND", "Split"}


def _infer_anything(schema: Any, rng: random.Random) -> None:
    count = rng.randint(
        max(1, schema.min_input), max(1, min(schema.max_input, max(schema.min_input, 1) + 3))
    )
    sizes = [-3, -1, 0, 1, 2, 3, 9]
    choices: dict[str, Any] = {
        "INT": lambda: rng.choice([-5, -1, 0, 1, 2, 3, 7, 100]),
        "INTS": lambda: [rng.choice(sizes) for _ in range(rng.randint(1, 4))],
        "FLOAT": rng.random,
        "STRING": lambda: rng.choice(["", "NOTSET", "SAME_UPPER", "bij,bjk", "linear"]),
    }
    attrs = {
        name: choices[attribute.type.name]()
        for name, attribute in schema.attributes.items()
        if attribute.type.name in choices and (attribute.required or rng.random() < 0.4)
    }
    types, values = {}, {}
    for name in (names := [f"i{k}" for k in range(count)]):
        kind = rng.choice([FLOAT, FLOAT, INT64, TensorProto.BOOL])
        shape = [rng.choice([0, 1, 2, 3, 4, 9]) for _ in range(rng.randint(0, 5))]
        if kind == INT64 and rng.random() < 0.7:
            shape = [rng.randint(0, 5)]
            numbers = [rng.choice([-9, -1, 0, 1, 2, 3, 50]) for _ in range(shape[0])]
            values[name] = helper.make_tensor(name, kind, shape, numbers)
        types[name] = helper.make_tensor_type_proto(kind, shape)
    results = [f"o{k}" for k in range(rng.randint(1, max(1, min(schema.max_output, 3))))]
    try:
        node = helper.make_node(schema.name, names, results, **attrs)
        shape_inference.infer_node_outputs(schema, node, types, values)
    except Exception:  # whatever is said of nonsense
        return
