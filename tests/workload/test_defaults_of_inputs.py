"""Inputs with a stored default, and networks of which no layer is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.workload import Model
from dse.workload.load import lower_bytes

from .graphs import weight


def product(
    defaults: Sequence[str], inputs: Sequence[str], shape: Sequence[int | str], version: int = 8
) -> onnx.ModelProto:
    """``y = x @ w + b`` with stored tensors ``defaults`` and listed ``inputs``."""
    held = {"x": weight(2, 8), "w": weight(8, 4), "b": weight(4)}
    sizes: dict[str, list[int | str]] = {"x": list(shape), "w": [8, 4], "b": [4]}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, sizes[n]) for n in inputs]
    body = helper.make_graph(
        nodes,
        "test",
        given,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(held[n], n) for n in defaults],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=version)


def read(model: onnx.ModelProto, **sizes: int) -> Model:
    return lower_bytes(model.SerializeToString(), "net.onnx", tuple(sorted(sizes.items())))


FREED = "every input has a stored default"
NOTHING = "there is no layer"


def test_the_only_input_has_a_default() -> None:
    found = read(product("xwb", "x", [2, 8]))
    assert found.macs == 2 * 8 * 4
    assert found.inputs == ("x",)
    assert found.parameters == 8 * 4 + 4
    assert [FREED in remark for remark in found.remarks] == [True]


@pytest.mark.parametrize(("bound", "rows"), [({}, 2), ({"n": 5}, 5), ({"batch": 7}, 7)])
def test_symbols_are_as_large_as_the_default(bound: dict[str, int], rows: int) -> None:
    found = read(product("xwb", "x", ["n", 8]), **bound)
    assert found.macs == rows * 8 * 4


def test_weights_that_are_listed_stay_weights() -> None:
    """As exporters of torch wrote them for years, also in version 4 and later."""
    found = read(product("wb", "xwb", [2, 8]))
    assert (found.macs, found.parameters) == (2 * 8 * 4, 8 * 4 + 4)
    assert not found.remarks


def test_files_of_version_3_cannot_be_overridden() -> None:
    """Every stored tensor is listed there: all is known beforehand, and that is said."""
    found = read(product("xwb", "xwb", [2, 8], version=3))
    assert not found.layers
    assert [NOTHING in remark for remark in found.remarks] == [True]


def test_two_inputs_with_defaults() -> None:
    found = read(product("xwb", "xb", [2, 8]))
    assert (found.macs, set(found.inputs)) == (2 * 8 * 4, {"x", "b"})


@pytest.mark.parametrize("op", ["Reshape", "Identity", "Flatten", "Constant"])
def test_networks_without_a_layer(op: str) -> None:
    inputs = {"Reshape": ["x", "to"], "Constant": []}.get(op, ["x"])
    value = {"value": numpy_helper.from_array(weight(2, 3))} if op == "Constant" else {}
    body = helper.make_graph(
        [helper.make_node(op, inputs, ["y"], **value)],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([3, 2]), "to")],
    )
    opset = [helper.make_opsetid("", 13)]
    (remark,) = read(helper.make_model(body, opset_imports=opset, ir_version=8)).remarks
    assert NOTHING in remark
    assert ("stored" in remark) == (op == "Constant")
