"""Branches, loops, sizes and counts beyond what a network has, and the child that infers shapes.

Nothing here looks at a clock: what is counted is work. Without the limits the files of these tests
take hours, or all memory.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import guard, read
from dse.workload.limits import LIMITS
from dse.workload.load import lower_bytes
from dse.workload.read import parse_proto
from dse.workload.wire import NESTED, SMALL_REST

from .graphs import graph, script, weight
from .hostile import (
    ONE,
    RELU,
    RESHAPED,
    chain,
    doubled,
    field,
    ints,
    macs,
    node,
    raw_model,
    refusal,
    value,
)

# branches and loops


def nested(depth: int, *, both: bool) -> onnx.GraphProto:
    """An If in an If, in the first or in both branches."""
    if not depth:
        return helper.make_graph([node("Relu", ["x"], ["o"])], "b", [], [value("o", [4])])
    inner = nested(depth - 1, both=both)
    branch = node(
        "If", ["c"], ["o"], then_branch=inner, else_branch=inner if both else nested(0, both=both)
    )
    return helper.make_graph([branch], "b", [], [value("o", [4])])


def test_a_thousand_branches_inside_each_other() -> None:
    content = RELU
    for _ in range(1000):
        branch = field(1, b"then_branch") + field(6, content) + b"\xa0\x01\x05"
        content = field(1, field(1, b"c") + field(2, b"y") + field(4, b"If") + field(5, branch))
    assert f"more than {NESTED} deep" in str(refusal(raw_model(content)))


def test_branches_that_double_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided in a branch is decided once; reading all costs the square of the depth."""
    monkeypatch.setattr(read, "ROUND_COST", LIMITS.visits // 30)
    model = graph(list(nested(6, both=True).node), {"x": (4,), "c": (1,)}, ["o"])
    model.graph.input[1].CopyFrom(value("c", [1], TensorProto.BOOL))
    assert "too large" in str(refusal(model))
    few = graph(list(nested(3, both=True).node), {"x": (4,)}, ["o"], {"c": np.array(True)})
    assert len(lower_bytes(few.SerializeToString(), "net.onnx").layers) == 1


def looped(trips: int, depth: int) -> list[onnx.NodeProto]:
    """A product inside ``depth`` loops of as many trips."""
    if not depth:
        return [node("MatMul", ["v", "w"], ["u"])]
    body = helper.make_graph(
        [*looped(trips, depth - 1), node("Identity", ["c"], ["d"])],
        "body",
        [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("v", [4, 4])],
        [value("d", [], TensorProto.BOOL), value("u", [4, 4])],
    )
    return [node("Loop", ["m", "t", "v"], ["u"], name=f"loop{depth}", body=body)]


@pytest.mark.parametrize(("trips", "depth"), [(1000, 1), (1000, 3), (1 << 30, 1)])
def test_many_trips_are_a_number(trips: int, depth: int) -> None:
    stored = {"m": ints(trips)[0], "t": np.array(True), "w": weight(4, 4)}
    assert macs(graph(looped(trips, depth), {"v": (4, 4)}, ["u"], stored)) == 64 * trips**depth


def test_more_trips_than_can_be_counted_are_refused() -> None:
    stored = {"m": ints(1 << 30)[0], "t": np.array(True), "w": weight(4, 4)}
    error = refusal(graph(looped(1 << 30, 3), {"v": (4, 4)}, ["u"], stored))
    assert "2^53" in str(error)
    assert error.field


# sizes


def test_sizes_that_no_machine_holds() -> None:
    for nodes, inputs, stored in (
        (
            [node("MatMul", ["x", "z"], ["y"])],
            {"x": (1 << 20, 1 << 20), "z": (1 << 20, 1 << 20)},
            {},
        ),
        ([node("Relu", ["x"], ["y"])], {"x": (1 << 40, 1 << 40)}, {}),
        ([node("Tile", ["x", "k"], ["y"])], {"x": (4,)}, {"k": ints(1 << 60)}),
        (
            [node("Pad", ["x", "k"], ["a"]), node("Pad", ["a", "k"], ["y"])],
            {"x": (4,)},
            {"k": ints(1 << 62, 1 << 61)},
        ),
    ):
        error = refusal(graph(nodes, inputs, ["y"], stored))
        assert error.field
        assert error.field.startswith("node ")
    large = graph(
        [node("MatMul", ["x", "z"], ["y"])], {"x": (1 << 17, 1 << 17), "z": (1 << 17, 64)}, ["y"]
    )
    assert macs(large) == 1 << 40


def test_a_stored_tensor_declared_larger_than_any() -> None:
    model = graph([node("Add", ["x", "w"], ["y"], name="n")], {"x": (4,)}, ["y"], {"w": weight(4)})
    model.graph.initializer[0].dims[:] = [1 << 31, 1 << 31]
    assert refusal(model).field == "node 'n' (Add)"


def test_two_stored_tensors_of_one_name() -> None:
    model = graph([node("Add", ["x", "w"], ["y"], name="n")], {"x": (4,)}, ["y"], {"w": weight(4)})
    model.graph.initializer.append(numpy_helper.from_array(weight(5, 4), "w"))
    assert refusal(model).field == "node 'n' (Add)"


def test_data_that_do_not_belong_to_their_tensor_are_left_out() -> None:
    """Data of a megabyte in four numbers: the shape counts."""
    model = graph([node("MatMul", ["x", "w"], ["y"])], {"x": (3, 2)}, ["y"], {"w": weight(2, 2)})
    model.graph.initializer[0].raw_data = bytes(1 << 19)
    assert macs(model) == 12


def test_names_are_bounded() -> None:
    for count in (LIMITS.name, LIMITS.name + 1):
        model = graph([node("Relu", ["x"], ["y"], name="n" * count)], {"x": (4,)}, ["y"])
        if count <= LIMITS.name:
            assert lower_bytes(model.SerializeToString(), "net.onnx").fates
        else:
            assert "characters" in str(refusal(model))


# very many of anything

TINY = {
    "nodes": field(1, b"") * (LIMITS.nodes + 1) + RELU,
    "stored tensors": field(5, b"") * (LIMITS.entries + 1) + RELU,
    "shapes": field(13, b"") * (LIMITS.entries + 1) + RELU,
    "attributes": field(1, field(4, b"Relu") + field(5, b"") * (LIMITS.numbers + 1)),
    "numbers": field(1, field(4, b"Relu") + field(5, field(8, b"\1" * (LIMITS.numbers + 1)))),
    "operands": field(1, field(4, b"Sum") + field(1, b"x") * (LIMITS.numbers + 1)),
    "more than is parsed": field(1, b"") * (SMALL_REST // 2) + RELU,
}


@pytest.mark.parametrize("kind", TINY)
def test_very_many_of_anything(kind: str) -> None:
    assert "too large" in str(refusal(raw_model(TINY[kind])))


def test_what_is_no_part_of_the_network_is_left_out() -> None:
    model = graph([node("Relu", ["x"], ["y"], doc_string="d" * (40 << 20))], {"x": (4,)}, ["y"])
    model.doc_string = "d" * 1000
    assert len(lower_bytes(model.SerializeToString(), "net.onnx").layers) == 1
    opset = field(8, b"\x0a\x00\x10\x14")
    data = b"\x08\x0a" + opset + field(7, RELU + field(99, bytes(LIMITS.rest)))
    assert "beside its stored tensors" in str(refusal(data))


# reading in time that grows with the graph

WIDE: dict[str, Callable[[int], list[onnx.NodeProto]]] = {
    "one reader": lambda n: (
        [node("Relu", ["x"], [f"t{i}"]) for i in range(n)]
        + [node("Sum", [f"t{i}" for i in range(n)], ["y"])]
    ),
    "one name": lambda n: (
        [node("Relu", ["x"], [f"t{i}"], name="same") for i in range(n)]
        + [node("Concat", [f"t{i}" for i in range(n)], ["y"], axis=0)]
    ),
    "casts": lambda n: (
        chain("Cast", n, to=1)[:-1]
        + [node("Add", [f"t{n - 1}", f"t{n - 1}"], [f"a{i}"]) for i in range(n)]
        + [node("Sum", [f"a{i}" for i in range(n)], ["y"])]
    ),
    "a ladder": lambda n: (
        [node("Sigmoid", ["x"], ["a0"]), node("Tanh", ["x"], ["b0"])]
        + [
            node(op, [f"a{i}", f"b{i}"], [f"{out}{i + 1}"])
            for i in range(n)
            for op, out in (("Mul", "a"), ("Add", "b"))
        ]
        + [node("Add", [f"a{n}", f"b{n}"], ["y"])]
    ),
}


@pytest.mark.parametrize("kind", WIDE)
def test_wide_and_deep_graphs_are_read(kind: str) -> None:
    """2,000 of each: no recursion, and each node has a fate."""
    nodes = WIDE[kind](2000)
    model = graph(nodes, {"x": (4,)}, ["y"], opset=17)
    assert len(lower_bytes(model.SerializeToString(), "net.onnx").fates) == len(nodes)


# the limited child


def test_ordinary_files_need_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes shapes from shapes passes the cheap checks; what could explode does not."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["rank"], ["ones"], value=ONE),
        node("Mul", ["ones", "minus"], ["m"]),
        node("Equal", ["s", "m"], ["e"]),
        node("Where", ["e", "ones", "s"], ["t"]),
        node("Expand", ["x", "t"], ["y"]),
    ]
    plain = graph(nodes, {"x": (4, 4)}, ["y"], {"rank": ints(2), "minus": ints(-1)}, opset=17)
    assert guard.outlook(plain.graph).doubt is None
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "scalar"], ["g"]),
        node("Unsqueeze", ["g", "zero"], ["u"]),
        node("Concat", ["u", "minus"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["y"]),
    ]
    stored = {"scalar": ints(0)[0], "zero": ints(0), "minus": ints(-1)}
    assert guard.outlook(graph(nodes, {"x": (4, 4)}, ["y"], stored, opset=17).graph).doubt is None
    growing = graph([*doubled("Gather", 9, "x"), RESHAPED], {"x": (2, 2)}, ["y"])
    found = guard.outlook(growing.graph).doubt
    assert found is not None
    assert found.op_type == "Gather"


def test_the_child_gives_what_onnx_gives() -> None:
    model = graph(chain("Relu", 3), {"x": (4, 5)}, ["y"])
    found = guard._apart(model, "net.onnx", model.graph.node[0], True)
    assert found == onnx.shape_inference.infer_shapes(model, check_type=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS limits no memory")
def test_the_child_is_limited() -> None:
    nodes = doubled("Gather", 40, "x")
    model = graph(nodes, {"x": (2, 2, 2)}, ["k"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match="512 MB"):
        guard._apart(model, "net.onnx", nodes[0], True)


def test_what_onnx_says_in_the_child_is_handed_on() -> None:
    model = graph([node("Add", ["x", "w"], ["y"])], {"x": (3,)}, ["y"], {"w": ints(1, 2, 3)})
    with pytest.raises(onnx.shape_inference.InferenceError, match="type"):
        guard._apart(model, "net.onnx", model.graph.node[0], True)


# damaged networks


def fuzzer() -> Any:
    return script("mutate_onnx")


def judged(count: int, seed: int, simulate_every: int) -> Counter[str]:
    tool = fuzzer()
    counts: Counter[str] = Counter()
    cases = tool.cases(count, seed, simulate_every)
    for index, _, outcome, detail in tool.judged(cases, tool.read, tool.GOOD):
        counts[outcome] += 1
        assert outcome in tool.GOOD, f"case {index} of seed {seed}: {outcome}: {detail}"
    return counts


needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


@needs_fork
def test_damaged_networks_are_read_or_refused() -> None:
    counts = judged(300, 1, 0)
    assert min(counts["read"], counts["refused"]) > 30


@needs_fork
@pytest.mark.long
def test_ten_thousand_damaged_networks() -> None:
    judged(10_000, 2, 20)


def test_a_valid_file_is_still_parsed() -> None:
    data = graph(chain("Relu", 2), {"x": (4,)}, ["y"]).SerializeToString()
    assert len(parse_proto(data, "net.onnx").graph.node) == 2


def test_branches_inside_each_other_are_walked_over_once() -> None:
    """Twenty-five deep: a walk that looked at each body twice would never end."""
    model = graph(list(nested(25, both=False).node), {"x": (4,), "c": (1,)}, ["o"])
    assert guard.outlook(model.graph).doubt is None
