"""Shapes that a file states are compared with those that follow from its inputs, never believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import Model, load_model

from . import interpreter
from .graphs import graph, weight

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Sizes = Sequence[int | str | None] | None

CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
KERNEL = {"w": weight(16, 8, 3, 3)}
IMAGE = {"x": (1, 8, 20, 20)}
MACS = 18 * 18 * 16 * 8 * 9


def stating(
    model: onnx.ModelProto, stated: Mapping[str, Sizes], kinds: Mapping[str, int] | None = None
) -> onnx.ModelProto:
    """``model`` with written shapes: of its outputs, its inputs, or of tensors in between."""
    for name, sizes in stated.items():
        info = helper.make_tensor_value_info(name, (kinds or {}).get(name, FLOAT), sizes)
        known = [v for v in (*model.graph.output, *model.graph.input) if v.name == name]
        if known:
            known[0].CopyFrom(info)
        else:
            model.graph.value_info.append(info)
    return model


def read(model: onnx.ModelProto, folder: Path, *, host: bool = False, **sizes: Any) -> Model:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return load_model(path, unknown_ops="host" if host else "error", **sizes)


def remark(model: Model, words: str) -> str:
    """The one remark with ``words`` in it."""
    (found,) = [text for text in model.remarks if words in text]
    return found


def _two_convolutions() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["m"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["m", "v"], ["y"], name="second"),
    ]
    return graph(nodes, IMAGE, ["y"], {**KERNEL, "v": weight(4, 16, 1, 1)})


def _flattened() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["m"], name="flat"),
        helper.make_node("MatMul", ["m", "w"], ["y"], name="product"),
    ]
    return graph(nodes, {"x": (4, 16, 64)}, ["y"], {"s": np.array([-1, 64]), "w": weight(64, 32)})


def _grown() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Resize", ["c", "", "s"], ["y"], name="grow", mode="linear"),
    ]
    stored = {"w": weight(3, 3, 1, 1), "s": np.array([1, 1, 2, 2], np.float32)}
    return graph(nodes, {"x": (1, 3, 16, 16)}, ["y"], stored)


def _plain() -> onnx.ModelProto:
    return graph([CONV], IMAGE, ["y"], KERNEL)


#: A graph, what its file states wrongly, and how many tensors that is.
STALE: list[tuple[str, Callable[[], onnx.ModelProto], dict[str, Sizes], int]] = [
    ("too small an output", _plain, {"y": (1, 16, 8, 8)}, 1),
    ("too large an output", _plain, {"y": (1, 16, 999, 999)}, 1),
    ("another rank", _plain, {"y": (1, 16, 324)}, 1),
    ("a scalar", _plain, {"y": ()}, 1),
    ("negative sizes", _plain, {"y": (1, -16, 18, 18)}, 0),
    ("sizes of zero", _plain, {"y": (1, 16, 0, 0)}, 1),
    ("another batch", _plain, {"y": (7, 16, 18, 18)}, 1),
    ("a symbol and a wrong size", _plain, {"y": ("n", 16, "h", 3)}, 1),
    ("in between, too small", _two_convolutions, {"m": (1, 16, 5, 5), "y": (1, 4, 5, 5)}, 2),
    ("in between, too large", _two_convolutions, {"m": (1, 16, 40, 40)}, 1),
    ("in between, of wrong channels", _two_convolutions, {"m": (1, 3, 20, 20)}, 1),
    ("a reshaped one", _flattened, {"m": (16, 64)}, 1),
    ("a reshaped one of another rank", _flattened, {"m": (2, 32, 64)}, 1),
    ("a resized one", _grown, {"y": ()}, 1),
    ("a resized one that is smaller", _grown, {"y": (1, 3, 17, 17), "c": (1, 3, 1, 1)}, 2),
]


@pytest.mark.parametrize("case", STALE, ids=[c[0] for c in STALE])
def test_stale_shapes_change_nothing_and_are_remarked(case: Any, tmp_path: Path) -> None:
    """The same layers as without them."""
    _, make, stated, wrong = case
    free = read(make(), tmp_path)
    found = read(stating(make(), stated), tmp_path)
    assert found.layers == free.layers
    assert free.remarks == ()
    assert len(found.remarks) == (1 if wrong else 0)
    if wrong:
        assert found.remarks[0].startswith(f"{wrong} shape")
        for name in stated:
            assert f"{name!r}" in found.remarks[0]


def test_macs_are_those_of_the_true_sizes(tmp_path: Path) -> None:
    assert read(stating(_plain(), {"y": (1, 16, 9, 9)}), tmp_path).macs == MACS
    assert read(stating(_flattened(), {"m": (16, 64)}), tmp_path).macs == 4 * 16 * 64 * 32
    assert read(stating(_grown(), {"y": ()}), tmp_path).macs == 16 * 16 * 9
    text = read(stating(_plain(), {"y": (1, 16, 9, 9)}), tmp_path).remarks[0]
    assert text == (
        "1 shape is written wrong and not used: 'y' (Conv) is 1x16x18x18, not 1x16x9x9 as written"
    )


def test_many_differences_make_one_remark(tmp_path: Path) -> None:
    names = ["x", *(f"r{i}" for i in range(9))]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    model = stating(graph(nodes, {"x": (1, 8)}, ["r8"]), dict.fromkeys(names[1:], (2, 2)))
    (text,) = read(model, tmp_path).remarks
    assert text.startswith("9 shapes are written wrong and not used: 'r0' (Relu)")
    assert text.endswith("; and 6 more")


def test_right_and_symbolic_shapes_are_not_remarked(tmp_path: Path) -> None:
    right = stating(_two_convolutions(), {"m": (1, 16, 20, 20), "y": ("n", None, "h", 20)})
    assert read(right, tmp_path).remarks == ()
    symbolic = stating(_plain(), {"x": ("n", 8, "h", "w"), "y": ("n", 16, "h - 2", "w - 2")})
    bound = read(symbolic, tmp_path, n=2, h=20, w=20)
    assert bound.macs == 2 * MACS
    assert bound.remarks == ()


def test_another_resolution_makes_written_shapes_void(tmp_path: Path) -> None:
    model = graph([CONV], {"x": (1, 3, 20, 20)}, ["y"], {"w": weight(16, 3, 3, 3)})
    found = read(stating(model, {"y": (1, 16, 18, 18)}), tmp_path, res=40)
    assert found.macs == 38 * 38 * 16 * 27
    assert found.remarks == ()


@pytest.mark.parametrize("sizes", [(16, 4, 3, 3), (16,), (16, 8, 5, 5), (0, 8, 3, 3)])
def test_stored_tensors_have_their_own_shape(sizes: Sequence[int], tmp_path: Path) -> None:
    model = _plain()
    model.graph.input.append(helper.make_tensor_value_info("w", FLOAT, sizes))
    found = read(model, tmp_path)
    assert found.macs == MACS
    assert "'w' (stored) is 16x8x3x3" in remark(found, "written wrong")


def test_stored_tensors_listed_with_symbols(tmp_path: Path) -> None:
    model = _plain()
    model.graph.input.append(helper.make_tensor_value_info("w", FLOAT, ("m", "c", None, "k")))
    assert read(model, tmp_path).macs == MACS


def _branching() -> onnx.ModelProto:
    """A small branch, and a large one whose file states small results."""
    then = helper.make_graph(
        [helper.make_node("Relu", ["s"], ["t"], name="cheap")],
        "then",
        [],
        [helper.make_tensor_value_info("t", FLOAT, (1, 16, 99, 99))],
    )
    other = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["e"], name="costly"),
            helper.make_node("Relu", ["e"], ["f"], name="after"),
        ],
        "else",
        [],
        [helper.make_tensor_value_info("f", FLOAT, (1, 16, 5, 5))],
        value_info=[helper.make_tensor_value_info("e", FLOAT, (1, 16, 2, 2))],
    )
    node = helper.make_node("If", ["c"], ["m"], name="if", then_branch=then, else_branch=other)
    after = helper.make_node("Conv", ["m", "v"], ["y"], name="behind")
    model = graph([node, after], {**IMAGE, "s": (1, 16, 18, 18)}, ["y"], KERNEL)
    model.graph.initializer.append(numpy_helper.from_array(weight(4, 16, 1, 1), "v"))
    model.graph.input.append(helper.make_tensor_value_info("c", BOOL, ()))
    return stating(model, {"m": (1, 16, 7, 7), "y": (1, 4, 7, 7)})


def _looping() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "w"], ["t"], name="product"),
            helper.make_node("Identity", ["c"], ["d"], name="on"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT, ()),
            helper.make_tensor_value_info("c", BOOL, ()),
            helper.make_tensor_value_info("s", FLOAT, (9, 9)),
        ],
        [
            helper.make_tensor_value_info("d", BOOL, ()),
            helper.make_tensor_value_info("t", FLOAT, (3, 3)),
        ],
        value_info=[helper.make_tensor_value_info("t", FLOAT, (77, 77))],
    )
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], name="loop", body=body)
    model = graph([node], {"x": (4, 8)}, ["y"], {"n": np.array(5), "w": weight(8, 8)})
    return stating(model, {"y": (1, 1)})


def _function() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["a", "b"], ["q"], name="inner"),
        helper.make_node("Relu", ["q"], ["r"], name="after"),
    ]
    made = helper.make_function("own", "Block", ["a", "b"], ["r"], nodes, [_version()])
    made.value_info.append(helper.make_tensor_value_info("q", FLOAT, (1, 16, 2, 2)))
    call = helper.make_node("Block", ["x", "w"], ["y"], name="call", domain="own")
    model = graph([call], IMAGE, ["y"], KERNEL)
    model.functions.append(made)
    return stating(model, {"y": (1, 2)})


def _version() -> onnx.OperatorSetIdProto:
    return helper.make_opsetid("", 20)


@pytest.mark.parametrize(
    ("make", "macs", "inner"),
    [
        (_branching, MACS + 18 * 18 * 16 * 4, "'if/e' (Conv) is 1x16x18x18"),
        (_looping, 5 * 4 * 8 * 8, "'loop/t' (MatMul) is 4x8"),
        (_function, MACS, "(Conv) is 1x16x18x18"),
    ],
)
def test_stale_shapes_in_bodies_and_functions(
    make: Callable[[], onnx.ModelProto], macs: int, inner: str, tmp_path: Path
) -> None:
    found = read(make(), tmp_path)
    assert found.macs == macs
    assert inner in remark(found, "written wrong")


def _custom(**stated: Sizes) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Own", ["x"], ["m"], name="own", domain="mine"),
        helper.make_node("Conv", ["m", "w"], ["y"], name="conv"),
    ]
    return stating(graph(nodes, IMAGE, ["y"], KERNEL), stated)


def test_what_cannot_be_inferred_is_taken_as_written_and_remarked(tmp_path: Path) -> None:
    found = read(_custom(m=(1, 8, 10, 10), y=(1, 16, 3, 3)), tmp_path, host=True)
    assert found.macs == 8 * 8 * 16 * 72
    assert [layer.kind for layer in found.layers] == ["host", "compute"]
    assert "'m' (Own) is 1x8x10x10" in remark(found, "cannot be inferred")
    assert "'y' (Conv) is 1x16x8x8, not 1x16x3x3" in remark(found, "written wrong")
    chained = graph(
        [
            helper.make_node("Own", ["x"], ["m"], name="a", domain="mine"),
            helper.make_node("Relu", ["m"], ["r"], name="r"),
            helper.make_node("Own", ["r"], ["p"], name="b", domain="mine"),
            helper.make_node("Conv", ["p", "w"], ["y"], name="conv"),
        ],
        IMAGE,
        ["y"],
        KERNEL,
    )
    stating(chained, {"m": (1, 8, 10, 10), "r": (9,), "p": (1, 8, 6, 6)})
    both = read(chained, tmp_path, host=True)
    assert both.macs == 4 * 4 * 16 * 72
    assert remark(both, "cannot be inferred").startswith("2 shapes")


def test_shapes_of_unknown_operators_are_given_axis_by_axis(tmp_path: Path) -> None:
    """Whole, or where the file leaves axes open; they win over what is written."""
    whole: dict[str, Any] = {"m.0": 1, "m.1": 8, "m.2": 10, "m.3": 10}
    assert read(_custom(), tmp_path, host=True, **whole).macs == 8 * 8 * 16 * 72
    part = _custom(x=("batch", 8, 20, 20), m=("batch", 8, "h", "w"))
    assert read(part, tmp_path, host=True, batch=2, **{"m.2": 10, "m.3": 10}).macs == (
        2 * 8 * 8 * 16 * 72
    )
    other = read(_custom(m=(1, 8, 4, 4)), tmp_path, host=True, **{"m.2": 10, "m.3": 10})
    assert other.macs == 8 * 8 * 16 * 72
    assert other.remarks == ()


def test_symbols_in_written_shapes_are_bound_with_the_inputs(tmp_path: Path) -> None:
    model = _custom(x=("batch", 8, 20, 20), m=("batch", 8, 12, 12))
    assert read(model, tmp_path, host=True, batch=3).macs == 3 * 10 * 10 * 16 * 72


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ({}, "--bind m.0=N"),
        ({"m.0": 1, "m.1": 8}, "node 'conv'"),
        ({"m.0": 1, "m.1": 8, "m.2": 10, "m.3": 10, "y.2": 7}, "y.2=7"),
        ({"m.0": 1, "m.1": 8, "m.2": 10, "m.3": 10, "z.1": 7}, "z.1"),
    ],
)
def test_missing_and_wrong_sizes_are_refused(
    sizes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=word.replace(".", r"\.")) as fault:
        read(_custom(), tmp_path, host=True, **sizes)
    assert "\n" not in str(fault.value)
    assert fault.value.mend


def test_results_without_a_shape_are_remarked(tmp_path: Path) -> None:
    model = graph(
        [helper.make_node("Own", ["x"], ["m", "n"], name="own", domain="mine"), _conv_of("m")],
        IMAGE,
        ["y", "n"],
        KERNEL,
    )
    found = read(stating(model, {"m": (1, 8, 10, 10)}), tmp_path, host=True)
    assert "'n' (Own)" in remark(found, "counts as 0")


def _conv_of(name: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [name, "w"], ["y"], name="conv")


def test_an_unknown_operator_with_a_graph_of_its_own_is_refused(tmp_path: Path) -> None:
    """On the host its work would be one operation per element, whatever its graph costs."""
    body = helper.make_graph([CONV], "body", [], [helper.make_tensor_value_info("y", FLOAT, None)])
    node = helper.make_node("Own", ["x"], ["m"], name="own", domain="mine", body=body)
    model = stating(graph([node, _conv_of("m")], IMAGE, ["y"], KERNEL), {"m": (1, 8, 9, 9)})
    with pytest.raises(InputError, match="lost"):
        read(model, tmp_path, host=True)


def _by_data(stated: Sizes, op: str = "Reshape") -> onnx.ModelProto:
    nodes = [
        helper.make_node(op, ["x", "s"], ["m"], name="shaped"),
        helper.make_node("MatMul", ["m", "w"], ["y"], name="product"),
    ]
    model = graph(nodes, {"x": (5, 640)}, ["y"], {"w": weight(64, 8)})
    model.graph.input.append(helper.make_tensor_value_info("s", INT, (2,)))
    return stating(model, {"m": stated})


def test_shapes_that_depend_on_data_are_taken_as_written(tmp_path: Path) -> None:
    found = read(_by_data((50, 64)), tmp_path)
    assert found.macs == 50 * 64 * 8
    assert "'m' (Reshape) is 50x64" in remark(found, "cannot be inferred")
    given: dict[str, Any] = {"m.0": 50, "m.1": 64}
    assert read(_by_data(None), tmp_path, **given).macs == 50 * 64 * 8


@pytest.mark.parametrize("stated", [(5000, 64), (49, 64), (1, 64)])
def test_written_sizes_that_do_not_fit_are_refused(stated: Sizes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"node 'shaped' \(Reshape\).*cannot be read as"):
        read(_by_data(stated), tmp_path)


@pytest.mark.parametrize(("stated", "rows"), [((7, 2), 7), ((99, 2), 20), (None, 20)])
def test_written_sizes_win_over_the_largest_that_can_be(
    stated: Sizes, rows: int, tmp_path: Path
) -> None:
    """Of NonZero, at most every element; a file that states more is not believed."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"], name="places"),
        helper.make_node("Transpose", ["i"], ["j"], name="turned"),
        helper.make_node("Cast", ["j"], ["f"], name="cast", to=FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"], name="product"),
    ]
    model = graph(nodes, {"x": (4, 5)}, ["y"], {"w": weight(2, 3)})
    i = tuple(reversed(stated)) if stated else None
    assert read(stating(model, {"i": i}, {"i": INT}), tmp_path).macs == rows * 2 * 3


def test_a_growing_loop_gives_what_is_written(tmp_path: Path) -> None:
    """Shapes inside are those of the first trip, so they say nothing of what comes out."""
    body = helper.make_graph(
        [
            helper.make_node("Concat", ["s", "k"], ["t"], name="join", axis=0),
            helper.make_node("Identity", ["c"], ["d"], name="on"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT, ()),
            helper.make_tensor_value_info("c", BOOL, ()),
            helper.make_tensor_value_info("s", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("d", BOOL, ()),
            helper.make_tensor_value_info("t", FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["z"], name="loop", body=body),
        helper.make_node("MatMul", ["z", "w"], ["y"], name="product"),
    ]
    stored = {"n": np.array(5), "w": weight(8, 8), "k": weight(1, 8)}
    model = stating(graph(nodes, {"x": (1, 8)}, ["y"], stored), {"z": (6, 8)})
    assert interpreter.run(model, {"x": weight(1, 8)})[0].shape == (6, 8)
    assert read(model, tmp_path).macs == 6 * 8 * 8
    silent = read(graph(nodes, {"x": (1, 8)}, ["y"], stored), tmp_path)
    assert "'z' is 2x8" in remark(silent, "first trip")


@pytest.mark.parametrize(
    ("sizes", "bound", "macs"),
    [
        ((1, 8, -5, 20), {}, None),
        ((1, -8, 20, 20), {}, None),
        ((-2, 8, 20, 20), {}, None),
        ((1, 8, -1, -1), {}, None),
        ((1, 8, 20, 1 << 41), {}, None),
        ((1, 8, 1 << 30, 1 << 30), {}, None),
        ((1, 8, 1 << 62, 1 << 62), {}, None),
        ((1, 8, -5, 20), {"x.2": 20}, MACS),
        ((1, 8, -5, -7), {"x.2": 20, "x.3": 20}, MACS),
        ((-1, 8, 20, 20), {}, MACS),
        ((-1, 8, 20, 20), {"batch": 2}, 2 * MACS),
        ((-3, 8, 20, 20), {"x.0": 2}, 2 * MACS),
    ],
)
def test_impossible_sizes_of_inputs(
    sizes: tuple[int, ...], bound: dict[str, Any], macs: int | None, tmp_path: Path
) -> None:
    """Refused with the binding that mends it; a leading -1 is how exporters write an open batch."""
    model = stating(_plain(), {"x": sizes})
    if macs is not None:
        assert read(model, tmp_path, **bound).macs == macs
        return
    with pytest.raises(InputError, match=r"node 'conv' \(Conv\).*'x'") as fault:
        read(model, tmp_path)
    assert "--bind" in str(fault.value)
