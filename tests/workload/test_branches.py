"""Of an If the branch that runs is counted, or the one that costs more; either is said."""

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

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def lowered(model: onnx.ModelProto, **bindings: Any) -> Model:
    return lower_bytes(model.SerializeToString(), "net.onnx", tuple(bindings.items()))


def value(name: str, kind: int = FLOAT, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes: list[onnx.NodeProto], out: str, kind: int = FLOAT) -> onnx.GraphProto:
    return helper.make_graph(nodes, "body", [], [value(out, kind)])


def by_rate() -> onnx.ModelProto:
    """Two networks in one file, picked by the sampling rate."""
    small = body([helper.make_node("MatMul", ["x", "small"], ["s"], name="small")], "s")
    large = body([helper.make_node("MatMul", ["x", "large"], ["l"], name="large")], "l")
    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["c"]),
        helper.make_node("If", ["c"], ["y"], name="pick", then_branch=small, else_branch=large),
    ]
    stored = {"small": weight(8, 8), "large": weight(8, 64), "rate": np.array(16000)}
    model = graph(nodes, {"x": (1, 8)}, ["y"], stored, opset=15)
    model.graph.input.append(value("sr", INT, ()))
    return model


def test_the_rate_is_bound() -> None:
    for rate, macs, branch in ((16000, 64, "then"), (8000, 512, "else")):
        found = lowered(by_rate(), sr=rate)
        assert found.macs == macs
        assert found.remarks == (f"If 'pick': the {branch} branch is counted, as sr is bound",)
    assert "sr" not in lowered(by_rate(), sr=8000).inputs


def test_the_dearer_branch_is_said() -> None:
    found = lowered(by_rate())
    assert found.macs == 512
    (remark,) = found.remarks
    assert "else branch" in remark
    assert "512 MACs against 64" in remark
    assert "--bind sr=VALUE" in remark


def test_a_condition_inside_is_bound() -> None:
    assert lowered(by_rate(), c=1).macs == 64
    assert lowered(by_rate(), c=0).macs == 512


def with_basis(elements: int) -> onnx.ModelProto:
    """A branch that holds its own large constant, as voice detectors do."""
    basis = np.zeros((elements // 256, 1, 256), np.float32)
    branches = []
    for name in ("a", "b"):
        constant = helper.make_node(
            "Constant", [], [f"{name}w"], value=onnx.numpy_helper.from_array(basis)
        )
        conv = helper.make_node("Conv", ["x", f"{name}w"], [name], name=name, strides=[128])
        branches.append(body([constant, conv], name))
    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["c"]),
        helper.make_node(
            "If", ["c"], ["y"], name="pick", then_branch=branches[0], else_branch=branches[1]
        ),
    ]
    model = graph(nodes, {"x": (1, 1, 576)}, ["y"], {"rate": np.array(16000)}, opset=17)
    model.graph.input.append(value("sr", INT, ()))
    return model


@pytest.mark.parametrize("channels", [4, 17, 258])
def test_a_branch_with_a_large_constant(channels: int) -> None:
    model = with_basis(channels * 256)
    for bindings in ({}, {"sr": 8000}):
        found = lowered(model, **bindings)
        assert found.macs == channels * 256 * 3
        assert len(found.remarks) == 1
        assert found.parameters == channels * 256
    assert "both branches cost the same" in lowered(model).remarks[0]


def nested(depth: int) -> onnx.ModelProto:
    """Ifs in Ifs, each by a condition of its own."""
    inner = body([helper.make_node("MatMul", ["x", "w"], ["m0"], name="p")], "m0")
    for level in range(1, depth + 1):
        other = body([helper.make_node("Relu", ["x"], [f"r{level}"])], f"r{level}")
        node = helper.make_node(
            "If",
            [f"c{level}"],
            [f"m{level}"],
            name=f"if{level}",
            then_branch=inner,
            else_branch=other,
        )
        inner = body([node], f"m{level}")
    model = graph(list(inner.node), {"x": (3, 4)}, [f"m{depth}"], {"w": weight(4, 4)}, opset=17)
    for level in range(1, depth + 1):
        model.graph.input.append(value(f"c{level}", BOOL, ()))
    return model


def test_ifs_in_ifs() -> None:
    found = lowered(nested(8))
    assert found.macs == 48
    assert len(found.remarks) == 8
    assert lowered(nested(3), c2=0).macs == 0
    remarks = lowered(nested(3), c3=1, c2=1, c1=0).remarks
    assert [("then" in r, "bound" in r) for r in remarks] == [(True, True)] * 2 + [(False, True)]


def test_what_is_not_taken_is_not_said() -> None:
    model = nested(2)
    (remark,) = lowered(model, c2=0).remarks
    assert "'if2'" in remark


def test_an_if_by_a_shape() -> None:
    model = by_rate()
    model.graph.node[0].input[0] = "rows"
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis"], ["rows"]),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.input[1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "axis"))
    found = lowered(model)
    assert found.macs == 512
    assert found.remarks == ("If 'pick' (else): the branch follows from stored values and shapes",)


def counted(named: bool) -> onnx.ModelProto:
    """A Loop whose count is an input, with an If in its body by another input."""
    dear = body([helper.make_node("MatMul", ["s", "w"], ["d"], name="dear")], "d")
    cheap = body([helper.make_node("Relu", ["s"], ["r"], name="cheap")], "r")
    inner = helper.make_graph(
        [
            helper.make_node("If", ["go"], ["n"], name="if", then_branch=dear, else_branch=cheap),
            helper.make_node("Identity", ["on"], ["still"]),
        ],
        "inner",
        [value("i", INT, ()), value("on", BOOL, ()), value("s", FLOAT, (2, 4))],
        [value("still", BOOL, ()), value("n", FLOAT, (2, 4))],
    )
    nodes = [helper.make_node("Loop", ["times", "", "x"], ["y"], name="walk", body=inner)]
    if named:
        nodes.insert(0, helper.make_node("Mul", ["count", "two"], ["times"]))
    stored = {"w": weight(4, 4), **({"two": np.array(2)} if named else {})}
    model = graph(nodes, {"x": (2, 4)}, ["y"], stored, opset=17)
    model.graph.input.append(value("count" if named else "times", INT, ()))
    model.graph.input.append(value("go", BOOL, ()))
    return model


@pytest.mark.parametrize("named", [False, True])
def test_a_loop_counted_by_an_input(named: bool) -> None:
    model = counted(named)
    name, trips = ("count", 6) if named else ("times", 3)
    with pytest.raises(InputError) as caught:
        lowered(model)
    assert f"--bind {name}=VALUE" in str(caught.value)
    assert "--bind walk.trips=N" in str(caught.value)
    found = lowered(model, **{name: 3, "go": 1})
    assert found.macs == trips * 2 * 4 * 4
    assert lowered(model, **{name: 3, "go": 0}).macs == 0
    assert lowered(model, **{"walk.trips": 5}).macs == 5 * 2 * 4 * 4


def test_a_loop_in_a_branch() -> None:
    """Trips of a loop inside a branch are bound by the name that the refusal gives."""
    loop = counted(False).graph.node[0]
    dear = body([loop], "y")
    cheap = body([helper.make_node("Relu", ["x"], ["q"])], "q")
    node = helper.make_node("If", ["c"], ["z"], name="pick", then_branch=dear, else_branch=cheap)
    model = graph([node], {"x": (2, 4)}, ["z"], {"w": weight(4, 4)}, opset=17)
    for name, kind in (("times", INT), ("go", BOOL), ("c", BOOL)):
        model.graph.input.append(value(name, kind, ()))
    with pytest.raises(InputError) as caught:
        lowered(model)
    line = str(caught.value)
    assert "--bind pick/walk.trips=N" in line
    assert "--bind c=VALUE" in line
    assert lowered(model, **{"pick/walk.trips": 4}).macs == 4 * 32
    assert lowered(model, times=4).macs == 4 * 32
    assert lowered(model, c=0).macs == 0


def sequence_of(nodes: list[onnx.NodeProto], **more: Any) -> onnx.ModelProto:
    return graph(nodes, {"x": (1, 8, 10, 10)}, ["y"], **more)


def shapes_agree(model: onnx.ModelProto, bindings: dict[str, Any] | None = None) -> Model:
    """ONNX Runtime and we find results of the same shapes."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    theirs = session.run(None, feeds)
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    ours = read_graph(copy, "net.onnx", bindings or {})[0]
    assert [ours.shapes[v.name] for v in model.graph.output] == [r.shape for r in theirs]
    return lowered(model, **(bindings or {}))


@pytest.mark.parametrize(
    ("split", "keep", "place", "channels"),
    [
        (np.array(4), 1, 0, 4),
        (np.array(3), 1, 2, 2),
        (np.array([1, 2, 5]), 1, -1, 5),
        (np.array([2, 6]), 0, 1, 6),
        (None, 1, 7, 1),
    ],
)
def test_split_to_sequence(split: np.ndarray | None, keep: int, place: int, channels: int) -> None:
    reads = ["x"] if split is None else ["x", "split"]
    nodes = [
        helper.make_node("SplitToSequence", reads, ["s"], axis=1, keepdims=keep),
        helper.make_node("SequenceAt", ["s", "i"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    stored = {"i": np.array(place), "w": weight(4, channels, 1, 1)}
    stored |= {} if split is None else {"split": split}
    model = sequence_of(nodes, stored=stored, opset=17)
    assert shapes_agree(model).macs == 100 * 4 * channels


@pytest.mark.parametrize("opset", [11, 17])
def test_pieces_without_their_axis(opset: int) -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0),
        helper.make_node("SequenceErase", ["s", "i"], ["t"]),
        helper.make_node("ConcatFromSequence", ["t"], ["y"], axis=-1, new_axis=1),
    ]
    model = sequence_of(nodes, stored={"i": np.array(0)}, opset=opset)
    model.ir_version = 6 if opset == 11 else 8
    shapes_agree(model)


def test_a_list_that_grows() -> None:
    """torch: a list, two appends, cat."""
    nodes = [
        helper.make_node("SequenceEmpty", [], ["s0"]),
        helper.make_node("SequenceInsert", ["s0", "x"], ["s1"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("SequenceInsert", ["s1", "r", "front"], ["s2"]),
        helper.make_node("SequenceConstruct", ["x", "r"], ["pair"]),
        helper.make_node("SequenceAt", ["pair", "last"], ["p"]),
        helper.make_node("SequenceInsert", ["s2", "p"], ["s3"]),
        helper.make_node("SequenceLength", ["s3"], ["n"]),
        helper.make_node("ConcatFromSequence", ["s3"], ["a"], axis=1),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    stored = {"w": weight(12, 4), "front": np.array(0), "last": np.array(-1)}
    model = graph(nodes, {"x": (2, 4)}, ["y", "n"], stored, opset=17)
    model.graph.output[1].CopyFrom(value("n", INT, ()))
    assert shapes_agree(model).macs == 2 * 12 * 4


def appending(new_axis: int, axis: int) -> onnx.ModelProto:
    """A loop that appends what every trip gives; torch: for ...: outs.append(...); stack."""
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, (2, 4)))
    inner = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "w"], ["n"], name="p"),
            helper.make_node("SequenceInsert", ["list", "n"], ["longer"]),
            helper.make_node("Identity", ["on"], ["still"]),
        ],
        "inner",
        [
            value("i", INT, ()),
            value("on", BOOL, ()),
            value("s", FLOAT, (2, 4)),
            helper.make_value_info("list", kind),
        ],
        [
            value("still", BOOL, ()),
            value("n", FLOAT, (2, 4)),
            helper.make_value_info("longer", kind),
        ],
    )
    nodes = [
        helper.make_node("SequenceEmpty", [], ["none"]),
        helper.make_node("Loop", ["times", "", "x", "none"], ["z", "all"], name="walk", body=inner),
        helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=axis, new_axis=new_axis),
    ]
    stored = {"w": weight(4, 4), "times": np.array(5)}
    return graph(nodes, {"x": (2, 4)}, ["y"], stored, opset=17)


@pytest.mark.parametrize(("new_axis", "axis"), [(1, 0), (1, 1), (1, -1), (0, 0), (0, 1)])
def test_a_loop_that_appends(new_axis: int, axis: int) -> None:
    found = shapes_agree(appending(new_axis, axis))
    assert found.macs == 5 * 2 * 4 * 4
    assert all(layer.kind == "compute" for layer in found.layers)


def test_an_optional_tensor() -> None:
    kind = helper.make_tensor_type_proto(FLOAT, (2, 4))
    nodes = [
        helper.make_node("Optional", ["x"], ["o"]),
        helper.make_node("OptionalHasElement", ["o"], ["has"]),
        helper.make_node("OptionalGetElement", ["o"], ["e"]),
        helper.make_node("MatMul", ["e", "w"], ["m"]),
        helper.make_node(
            "If",
            ["has"],
            ["y"],
            name="pick",
            then_branch=body([helper.make_node("MatMul", ["m", "w"], ["t"])], "t"),
            else_branch=body([helper.make_node("Relu", ["m"], ["e2"])], "e2"),
        ),
    ]
    model = graph(nodes, {"x": (2, 4)}, ["y"], {"w": weight(4, 4)}, opset=18)
    model.graph.value_info.append(
        helper.make_value_info("o", helper.make_optional_type_proto(kind))
    )
    assert shapes_agree(model).macs == 2 * 2 * 4 * 4


def test_a_place_that_is_an_input() -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "v"], ["s"]),
        helper.make_node("SequenceAt", ["s", "i"], ["a"], name="at"),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    model = graph(nodes, {"x": (2, 4), "v": (3, 4)}, ["y"], {"w": weight(4, 4)}, opset=17)
    model.graph.input.append(value("i", INT, ()))
    with pytest.raises(InputError) as caught:
        lowered(model)
    assert caught.value.field == "node 'at' (SequenceAt)"
    assert "--bind i=VALUE" in str(caught.value)
    assert lowered(model, i=0).macs == 2 * 16
    assert lowered(model, i=1).macs == 3 * 16
    with pytest.raises(InputError, match="place 2 of a sequence of 2"):
        lowered(model, i=2)


def test_a_sequence_from_outside_is_refused() -> None:
    node = helper.make_node("SequenceAt", ["s", "i"], ["y"], name="at")
    model = graph([node], {}, ["y"], {"i": np.array(0)}, opset=17)
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, (2, 4)))
    model.graph.input.append(helper.make_value_info("s", kind))
    with pytest.raises(InputError, match="which tensors its sequence holds") as caught:
        lowered(model)
    assert caught.value.field == "node 'at' (SequenceAt)"


def test_a_long_chain_of_cases() -> None:
    """Each ``elif`` lies inside the one before it: a level is taken out in a round."""
    cases = 20
    inner = body([helper.make_node("MatMul", ["x", "narrow"], ["last"])], "last")
    for case in reversed(range(cases)):
        then = body([helper.make_node("MatMul", ["x", "wide"], [f"t{case}"])], f"t{case}")
        out = f"y{case}"
        nodes = [
            helper.make_node("Equal", ["mode", f"case{case}"], [f"c{case}"]),
            helper.make_node(
                "If", [f"c{case}"], [out], name=out, then_branch=then, else_branch=inner
            ),
        ]
        inner = body(nodes, out)
    stored = {"narrow": weight(8, 8), "wide": weight(8, 64)}
    stored |= {f"case{case}": np.array(case) for case in range(cases)}
    model = graph(list(inner.node), {"x": (1, 8)}, ["y0"], stored, opset=15)
    model.graph.input.append(value("mode", INT, ()))
    assert lowered(model, mode=cases).macs == 8 * 8
    assert lowered(model, mode=cases - 1).macs == 8 * 64
