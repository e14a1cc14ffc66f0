"""What a refusal says to bind can be bound, and then the graph is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.cli.parse import bindings
from dse.errors import InputError
from dse.workload import Model, load_model
from dse.workload.axes import parts, solved
from dse.workload.load import lower_bytes

from .graphs import graph, load, weight

BOOL, FLOAT, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.INT64


def refusal(model: onnx.ModelProto, *options: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(model, *options)
    return caught.value


def read(model: onnx.ModelProto, *options: str) -> Model:
    """Lowered with options as they are written behind ``--bind``."""
    sizes = tuple(sorted(bindings(options).items()))
    return lower_bytes(model.SerializeToString(), "net.onnx", sizes)


def info(name: str, kind: int, shape: Sequence[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str] = ("y",),
    tensors: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    made = [info(name, FLOAT, None) for name in outputs]
    body = helper.make_graph(list(nodes), "test", list(inputs), made, list(tensors))
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


# Tensors inside bodies


def carried(name: str, trips: int = 3) -> onnx.ModelProto:
    """A loop whose body shapes its result by a value that each trip hands to the next."""
    body = helper.make_graph(
        [
            helper.make_node("Expand", ["half", name], ["e"]),
            helper.make_node("Exp", ["e"], ["f"]),
            helper.make_node("ReduceSum", ["f", "axes"], ["s"], keepdims=1),
            helper.make_node("Cast", ["s"], ["s64"], to=INT64),
            helper.make_node("Identity", ["c"], ["c_out"]),
        ],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info(name, INT64, [1])],
        [info("c_out", BOOL, []), info("s64", INT64, [1]), info("f", FLOAT, ["n"])],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["t"], keepdims=1),
        helper.make_node("Cast", ["t"], ["t64"], to=INT64),
        helper.make_node("Loop", ["m", "yes", "t64"], ["last", "y"], name="loop", body=body),
    ]
    tensors = [
        numpy_helper.from_array(np.array(trips), "m"),
        numpy_helper.from_array(np.array(True), "yes"),
        numpy_helper.from_array(np.array([0.5], np.float32), "half"),
        numpy_helper.from_array(np.array([0]), "axes"),
    ]
    return network(nodes, [info("x", FLOAT, [40])], ["y"], tensors)


@pytest.mark.parametrize("name", ["v", "v/w", "a.b"])
def test_values_handed_from_trip_to_trip(name: str) -> None:
    model = carried(name)
    error = refusal(model)
    assert error.mend is not None
    option = re.search(r"--bind (\S+)=VALUE", error.mend)
    assert option is not None
    found = read(model, f"{option[1]}=8")
    assert [x.o_elements for x in found.layers if x.op == "Exp"] == [3 * 8]
    assert read(model, f"loop/{name}=5").layers  # by the name of the body's input


def test_names_that_no_body_has_are_refused() -> None:
    error = refusal(carried("v"), "loop/w=3")
    assert error.field == "loop/w"


def test_pieces_of_a_sequence_have_names(tmp_path: Path) -> None:
    """A tensor that stands for part of a split sequence has the name of the sequence in front."""
    nodes = [
        helper.make_node("SplitToSequence", ["x", "sizes"], ["s"], axis=0),
        helper.make_node("SequenceAt", ["s", "one"], ["p"]),
        helper.make_node("NonZero", ["p"], ["n"]),
        helper.make_node("Cast", ["n"], ["y"], to=FLOAT),
    ]
    tensors = [
        numpy_helper.from_array(np.array([2, 4]), "sizes"),
        numpy_helper.from_array(np.array(1), "one"),
    ]
    model = network(nodes, [info("x", FLOAT, [6])], ["y"], tensors)
    assert read(model, "n.1=3").outputs


# Inputs without any shape


@pytest.mark.parametrize("op", ["Relu", "MatMul", "Conv", "Sigmoid", "ReduceMean", "Softmax"])
def test_inputs_without_a_shape(op: str) -> None:
    stored = {"MatMul": (6, 4), "Conv": (4, 6, 1, 1)}.get(op)
    node = helper.make_node(op, ["x", "w"] if stored else ["x"], ["y"])
    tensors = [numpy_helper.from_array(weight(*stored), "w")] if stored else []
    model = network([node], [info("x", FLOAT, None)], ["y"], tensors)
    error = refusal(model)
    assert "--bind x.0=N, one for each axis" in (error.mend or "")
    sizes = (2, 6, 5, 5) if op == "Conv" else (2, 6)
    found = read(model, *(f"x.{axis}={size}" for axis, size in enumerate(sizes)))
    assert found.layers
    assert found.tensors["x"].shape == sizes


def test_one_of_two_inputs_without_a_shape() -> None:
    node = helper.make_node("Add", ["x", "z"], ["y"])
    model = network([node], [info("x", FLOAT, [2, 6]), info("z", FLOAT, None)])
    assert "--bind z.0=N, one for each axis" in (refusal(model).mend or "")
    assert read(model, "z.0=6").layers[0].o_elements == 12


def test_inputs_that_are_no_tensors_have_no_sizes_to_bind() -> None:
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, None)
    node = helper.make_node("SequenceLength", ["x"], ["n"])
    error = refusal(network([node], [sequence], ["n"]))
    assert "--bind" not in (error.mend or "")
    optional = onnx.ValueInfoProto(name="x")
    optional.type.CopyFrom(
        helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [2]))
    )
    node = helper.make_node("Identity", ["x"], ["y"])
    error = refusal(network([node], [optional]))
    assert "--bind" not in (error.mend or "")
    assert "plain tensors" in (error.mend or "")


@pytest.mark.parametrize("known", [True, False])
def test_branches_that_read_an_input_without_a_shape(known: bool) -> None:
    """What their bodies read is named, with the branch where it may be chosen."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["x"], ["r"])], name, [], [info("r", FLOAT, None)]
        )
        for name, op in (("then", "Relu"), ("else", "Tanh"))
    }
    node = helper.make_node("If", ["c"], ["y"], name="if", **branches)
    tensors = [numpy_helper.from_array(np.array(True), "c")] if known else []
    inputs = [info("x", FLOAT, None), *([] if known else [info("c", BOOL, [])])]
    model = network([node], inputs, ["y"], tensors)
    mend = refusal(model).mend or ""
    assert "--bind x.0=N, one for each axis" in mend
    assert ("--bind c=VALUE" in mend) is not known
    assert read(model, "x.0=2", "x.1=3").layers[0].o_elements == 6


# Sizes written as formulas


def summed(*shapes: Sequence[int | str]) -> onnx.ModelProto:
    """Each input through a Relu of its own."""
    names = [f"x{i}" for i in range(len(shapes))]
    nodes = [helper.make_node("Relu", [n], [f"y{i}"]) for i, n in enumerate(names)]
    inputs = dict(zip(names, shapes, strict=True))
    return graph(nodes, inputs, [f"y{i}" for i in range(len(shapes))])


FORMULAS = [
    ("s-1", 9, 8),
    ("s - 1", 9, 8),
    ("s%4", 9, 1),
    ("s**2", 9, 81),
    ("s+1", 9, 10),
    ("2*s", 9, 18),
    ("s//2", 9, 4),
    ("s/3", 9, 3),
    ("(s-1)//2", 9, 4),
    ("2*(s+3)", 9, 24),
    ("ceiling(s/2)", 9, 5),
    ("Mod(s, 4)", 9, 1),
    ("20-s", 9, 11),
]


@pytest.mark.parametrize(("text", "s", "size"), FORMULAS)
def test_formulas_follow_from_what_they_are_made_of(
    text: str, s: int, size: int, tmp_path: Path
) -> None:
    model = load(summed(["s", 3], [text, 3]), tmp_path, s=s)
    assert [model.tensors[n].shape for n in ("x0", "x1")] == [(s, 3), (size, 3)]
    assert not model.remarks


INVERTED = [row for row in FORMULAS if "%" not in row[0] and "Mod" not in row[0]]


@pytest.mark.parametrize(("text", "s", "size"), INVERTED)
@pytest.mark.parametrize("name", ["symbol", "place"])
def test_what_a_formula_is_made_of_follows_from_it(text: str, s: int, size: int, name: str) -> None:
    option = (f"{text}={size}") if name == "symbol" else f"x1.0={size}"
    model = read(summed(["s", 3], [text, 3]), option)
    assert model.tensors["x1"].shape == (size, 3)
    made = model.tensors["x0"].shape[0]
    assert solved(text, size, "s", {}) == made
    rounded = "//" in text or "ceil" in text  # several sizes come to the same
    assert made == s or (rounded and abs(made - s) < 3)


def test_a_formula_of_two_symbols() -> None:
    model = read(summed(["past", 3], ["past + new", 3], ["new", 3]), "past=5", "x1.0=7")
    assert model.tensors["x2"].shape == (2, 3)


def test_a_size_that_no_whole_number_gives_is_refused() -> None:
    error = refusal(summed(["s", 3], ["2*s", 3]), "x1.0=7")
    assert "no whole s gives 2*s=7" in error.message
    assert "--bind s=VALUE" in (error.mend or "")


@pytest.mark.parametrize("text", ["s-1", "s//2", "s%3", "s**2", "s - 4", "s/3"])
def test_defaults_leave_no_axis_empty(text: str) -> None:
    model = read(summed(["s", 3], [text, 3]))
    assert all(model.tensors[name].shape[0] > 0 for name in ("x0", "x1"))
    (remark,) = model.remarks
    assert remark.startswith(f"s={model.tensors['x0'].shape[0]} by default")


@pytest.mark.parametrize("text", ["batch-size", "dim-0", "unk/3", "s-1", "a-b-c"])
def test_hyphens_in_names_are_no_formulas(text: str, tmp_path: Path) -> None:
    """Without a symbol of the words in it, a text is a name."""
    assert parts(text) == ()
    model = read(summed([text, 3]), f"{text}=7")
    assert model.tensors["x0"].shape == (7, 3)


# Values that are no sizes


@pytest.mark.parametrize("name", ["n", "x0.0", "batch"])
@pytest.mark.parametrize("value", [True, False, (True,), 1.0, -1])
def test_what_is_no_size_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    model = summed(["n", 3])
    load(model, tmp_path, n=1)  # read before: 1 and True are equal
    with pytest.raises(InputError) as caught:
        load_model(tmp_path / "net.onnx", **{name: value})
    assert caught.value.field == name


def test_truth_is_a_value() -> None:
    """Conditions are given as true or false."""
    branches = [
        helper.make_graph([helper.make_node(op, ["x"], ["r"])], op, [], [info("r", FLOAT, [4])])
        for op in ("Relu", "Tanh")
    ]
    node = helper.make_node(
        "If", ["c"], ["y"], name="if", then_branch=branches[0], else_branch=branches[1]
    )
    model = network([node], [info("c", BOOL, []), info("x", FLOAT, [4])])
    assert [x.op for x in read(model, "c=true").layers] == ["Relu"]
    assert [x.op for x in read(model, "c=false").layers] == ["Tanh"]


# Tensors that are called like a symbol


@pytest.mark.parametrize("inner", [False, True])
def test_a_tensor_called_like_a_symbol(inner: bool) -> None:
    """``n`` means the axis, ``n.value`` the tensor; the mend says so."""
    nodes = [
        helper.make_node("Expand", ["half", "n"], ["e"]),
        helper.make_node("ReduceSum", ["e"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    inputs = [info("x", FLOAT, ["n", 3])]
    if inner:
        nodes.insert(0, helper.make_node("ArgMax", ["x"], ["n"], axis=0, keepdims=0))
    else:
        inputs.append(info("n", INT64, [3]))
    tensors = [
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        numpy_helper.from_array(np.array([0]), "axes"),
    ]
    model = network(nodes, inputs, ["y"], tensors)
    error = refusal(model, "n=9")
    assert "--bind n.value=VALUE,VALUE,VALUE" in (error.mend or "")
    found = read(model, "n=9", "n.value=6,5,2")
    assert found.tensors["x"].shape == (9, 3)
