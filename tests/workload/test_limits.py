"""Constants, orders, functions and equations that would grow without end: refused, or read right.

Nothing here looks at a clock: what is counted is work. Without the limits the files of these tests
take hours, or all memory.
"""

from __future__ import annotations

import random

import numpy as np
import onnx
import pytest
from onnx import helper

from dse.workload.graph import Node
from dse.workload.limits import LIMITS
from dse.workload.load import lower_bytes
from dse.workload.order import ordered

from .graphs import graph, weight
from .hostile import ONE, RESHAPED, chain, doubled, ints, macs, node, refusal, value

# constants that grow, and tensors with an axis for each of very many numbers

RANGE = [node("Range", ["from", "to", "by"], ["k"]), RESHAPED]
GROWING: dict[str, tuple[list[onnx.NodeProto], dict[str, np.ndarray]]] = {
    "ConstantOfShape of 1e9": (
        [
            node("ConstantOfShape", ["big"], ["c"], value=ONE),
            node("Cast", ["c"], ["k"], to=7),
            RESHAPED,
        ],
        {"big": ints(10**9)},
    ),
    "Concat that doubles": ([*doubled("Concat", 40, "one", axis=0), RESHAPED], {"one": ints(1)}),
    "Range of 1e9": (RANGE, {"from": ints(0)[0], "to": ints(10**9)[0], "by": ints(1)[0]}),
    "Expand to 1e9": (
        [node("Expand", ["one", "big"], ["k"]), RESHAPED],
        {"one": ints(1), "big": ints(10**9)},
    ),
    "Tile to 1e9": (
        [node("Tile", ["one", "big"], ["k"]), RESHAPED],
        {"one": ints(1), "big": ints(10**9)},
    ),
    "Gather that doubles": (
        [*doubled("Gather", 40, "g"), RESHAPED],
        {"g": np.zeros((2, 2), np.int64)},
    ),
    "as many axes as numbers": (
        [node("Reshape", ["x", "w"], ["y"], name="last")],
        {"w": np.ones(5000, np.int64)},
    ),
    "one axis after another": (
        [node("Unsqueeze", [f"u{i}" if i else "x", "zero"], [f"u{i + 1}"]) for i in range(300)]
        + [node("Relu", ["u300"], ["y"], name="last")],
        {"zero": ints(0)},
    ),
}


@pytest.mark.parametrize("kind", GROWING)
def test_growing_constants_and_axes_are_refused(kind: str) -> None:
    nodes, stored = GROWING[kind]
    error = refusal(graph(nodes, {"x": (1,)}, ["y"], stored, opset=17))
    assert error.field
    assert error.field.startswith("node ")


def test_products_of_constants_are_bounded_before_they_are_computed() -> None:
    """4000 x 4000 numbers that no shape is known of are not computed; the file is refused."""
    nodes = [
        node("Reshape", ["k", "column"], ["c"]),
        node("Mul", ["k", "c"], ["p"], name="product"),
        node("ReduceMax", ["p"], ["m"], keepdims=0),
        node("Unsqueeze", ["m", "zero"], ["s"]),
        node("Reshape", ["x", "s"], ["y"], name="last"),
    ]
    stored = {"k": np.ones(4000, np.int64), "column": ints(-1, 1), "zero": ints(0)}
    assert refusal(graph(nodes, {"x": (1,)}, ["y"], stored, opset=17)).field


def test_all_folded_constants_together_are_bounded() -> None:
    """Each is small, all together are not."""
    count = LIMITS.folded // (8 * 4096) + 100
    nodes = [node("Add", ["one", f"a{i}"], [f"a{i + 1}"]) for i in range(count)]
    nodes += [
        node("ReduceMax", [f"a{count}"], ["m"], keepdims=1),
        node("Reshape", ["x", "m"], ["y"]),
    ]
    stored = {"one": np.ones(4096, np.int64), "a0": np.ones(4096, np.int64)}
    error = refusal(graph(nodes, {"x": (1,)}, ["y"], stored, opset=17))
    assert "constants computed beforehand" in str(error)
    assert error.field
    assert error.field.startswith("node 'a")


@pytest.mark.parametrize("op", ["Mul", "Add", "Sub", "Max"])
def test_long_chains_of_constants(op: str) -> None:
    """5,000 in a row: no recursion. Zeros and the largest stay what they are."""
    start = ints(0) if op in ("Mul", "Add", "Sub") else ints(4)
    nodes = doubled(op, 5000, "start")
    nodes += [node("Max", ["k", "four"], ["s"]), node("Reshape", ["x", "s"], ["r"])]
    nodes += [node("Unsqueeze", ["r", "zero"], ["u"]), node("MatMul", ["u", "w"], ["y"])]
    stored = {"start": start, "four": ints(4), "zero": ints(0), "w": weight(4, 3)}
    assert macs(graph(nodes, {"x": (2, 2)}, ["y"], stored, opset=17)) == 12


# ordering


@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Neg"])
def test_ten_thousand_nodes_in_reverse_order(op: str) -> None:
    nodes = chain(op, 10_000)
    model = graph(nodes[::-1], {"x": (4,)}, ["y"])
    found = lower_bytes(model.SerializeToString(), "net.onnx")
    assert len(found.fates) == 10_000


def swept(nodes: list[Node], given: set[str]) -> list[Node]:
    """The order by its definition: sweeps over the list that take whatever is ready."""
    ready: list[Node] = []
    done, waiting = set(given), list(nodes)
    while waiting:
        later = []
        for one in waiting:
            if all(not name or name in done for name in one.inputs):
                ready.append(one)
                done.update(one.outputs)
            else:
                later.append(one)
        assert len(later) < len(waiting)
        waiting = later
    return ready


@pytest.mark.parametrize("seed", range(30))
def test_order_is_that_of_sweeps(seed: int) -> None:
    rng = random.Random(seed)
    nodes = []
    for i in range(40):
        reads = tuple(rng.choice(["x", "", *(f"t{j}" for j in range(i))]) for _ in range(3))
        nodes.append(Node(f"n{i}", "Sum", "", reads, (f"t{i}",)))
    if seed:
        rng.shuffle(nodes)
    found, circular = ordered(nodes, {"x"})
    assert circular is None
    assert list(found) == swept(nodes, {"x"})
    assert seed or list(found) == nodes


def test_a_cycle_names_a_node_on_it() -> None:
    """Not one that merely waits for it."""
    nodes = [
        node("Relu", ["b"], ["y"], name="behind"),
        node("Add", ["x", "b"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="second"),
    ]
    error = refusal(graph(nodes, {"x": (2,)}, ["y"]))
    assert "cycle" in str(error)
    assert error.field in ("node 'first' (Add)", "node 'second' (Relu)")


# functions


def functions(calls: dict[str, list[onnx.NodeProto]], first: str = "F0") -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    made = [
        helper.make_function("f", n, ["a"], ["b"], nodes, imports) for n, nodes in calls.items()
    ]
    body = helper.make_graph(
        [node(first, ["x"], ["y"], domain="f", name="call")],
        "net",
        [value("x", [4])],
        [value("y", None)],
    )
    return helper.make_model(body, opset_imports=imports, functions=made, ir_version=10)


def called(name: str, reads: str, writes: str) -> onnx.NodeProto:
    return node(name, [reads], [writes], domain="f")


LAST = {"L": [node("Relu", ["a"], ["b"])]}
FUNCTIONS: dict[str, tuple[dict[str, list[onnx.NodeProto]], str]] = {
    "twice each, 2^21 in all": (
        {f"F{i}": [called(f"F{i + 1}", "a", "m"), called(f"F{i + 1}", "m", "b")] for i in range(21)}
        | {"F21": LAST["L"]},
        "too large",
    ),
    "itself": ({"F0": [called("F0", "a", "b")]}, "calls itself"),
    "each other": (
        {"F0": [called("F1", "a", "b")], "F1": [called("F0", "a", "b")]},
        "calls itself",
    ),
    "very deep": (
        {f"F{i}": [called(f"F{i + 1}", "a", "b")] for i in range(500)} | {"F500": LAST["L"]},
        "deep",
    ),
    "very wide": (
        {
            "F0": [node("Sum", ["a"] * 4000, ["b"])] * 1
            + [called("F1", "a", f"c{i}") for i in range(300)]
        }
        | {"F1": [node("Sum", ["a"], [f"b{i}" if i else "b"]) for i in range(300)]},
        "too large",
    ),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_are_counted_before_they_are_written_out(kind: str) -> None:
    calls, words = FUNCTIONS[kind]
    assert words in str(refusal(functions(calls)))


def test_functions_within_the_limits_are_read() -> None:
    calls = {
        f"F{i}": [called(f"F{i + 1}", "a", "m"), called(f"F{i + 1}", "m", "b")] for i in range(6)
    }
    found = lower_bytes(functions(calls | {"F6": LAST["L"]}).SerializeToString(), "net.onnx")
    assert len(found.fates) == 2**6


# equations, on some of which the inference of onnx never ends

WRONG = (
    "......ii,...jj->...ij",
    "...i...,j->ij",
    "i.,.j->ij",
    "ij,jk->iik",
    "i1,1j->ij",
    "ij->->j",
)


@pytest.mark.parametrize("equation", WRONG)
def test_equations_that_are_none(equation: str) -> None:
    reads = ["a", "b"][: equation.count(",") + 1]
    nodes = [node("Einsum", reads, ["y"], name="n", equation=equation)]
    error = refusal(graph(nodes, {"a": (3, 3, 3), "b": (3, 3, 3)}, ["y"]))
    assert error.field == "node 'n' (Einsum)"
    assert "no equation" in str(error)


def test_equations_inside_bodies_are_looked_at() -> None:
    body = helper.make_graph(
        [node("Einsum", ["x"], ["o"], name="n", equation="......ii->i")],
        "b",
        [],
        [value("o", None)],
    )
    nodes = [node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    model = graph(nodes, {"x": (3, 3, 3)}, ["y"], {"c": np.array(True)})
    assert refusal(model).field == "node 'n' (Einsum)"


@pytest.mark.parametrize(
    ("equation", "shapes", "count"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], 24),
        ("b i j , b j k -> b i k", [(5, 2, 3), (5, 3, 4)], 120),
        ("...ij,...jk", [(5, 2, 3), (5, 3, 4)], 120),
        ("...i,ij->...j", [(2, 3), (3, 4)], 24),
    ],
)
def test_equations_that_are_some(equation: str, shapes: list[tuple[int, ...]], count: int) -> None:
    inputs = dict(zip("abc", shapes, strict=False))
    nodes = [node("Einsum", list(inputs), ["y"], equation=equation)]
    assert macs(graph(nodes, inputs, ["y"])) == count
