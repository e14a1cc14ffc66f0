"""Pools and transposed convolutions have the sizes that ONNX Runtime gives them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from dse.workload.read import read_graph

from . import interpreter
from .graphs import graph, load, weight

POOLS = {"MaxPool": (10, 11, 12, 17, 22), "AveragePool": (10, 11, 19, 22), "LpPool": (18, 22)}


def sizes_of(model: onnx.ModelProto, name: str = "y") -> tuple[int, ...]:
    found, _, _ = read_graph(onnx.ModelProto.FromString(model.SerializeToString()), "net.onnx", {})
    return found.shapes[name]


def theirs(model: onnx.ModelProto, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The sizes of ONNX Runtime; None if it refuses the graph."""
    try:
        return tuple(interpreter.run(model, {"x": np.zeros(shape, np.float32)})[0].shape)
    except Exception:  # its errors have no common base
        return None


def pooled(op: str, opset: int, shape: tuple[int, ...], **attrs: Any) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], name="pool", ceil_mode=1, **attrs)
    return graph([node], {"x": shape}, ["y"], opset=opset)


#: Kernel, strides, padding and height of pools whose last window starts behind the input, and
#: the sizes by hand.
EDGES = [
    (1, 2, 0, 4, 2),
    (2, 2, 1, 5, 3),
    (2, 3, 1, 7, 3),
    (1, 3, 0, 8, 3),
    (3, 4, 1, 7, 2),
    (2, 4, 0, 9, 3),
]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("op", POOLS)
def test_the_last_window_starts_inside(op: str, edge: tuple[int, ...]) -> None:
    kernel, stride, pad, height, want = edge
    for opset in POOLS[op]:
        shape = (1, 2, height, height)
        attrs: dict[str, Any] = {
            "kernel_shape": [kernel] * 2,
            "strides": [stride] * 2,
            "pads": [pad] * 4,
        }
        model = pooled(op, opset, shape, **attrs)
        assert theirs(model, shape) == (1, 2, want, want)
        assert sizes_of(model) == (1, 2, want, want)


@given(
    op=st.sampled_from(sorted(POOLS)),
    place=st.integers(0, 4),
    size=st.integers(4, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    auto=st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
)
@settings(max_examples=80, deadline=None)
def test_rounding_up(
    op: str,
    place: int,
    size: int,
    kernel: int,
    stride: int,
    pads: tuple[int, int],
    auto: str,
) -> None:
    opset = POOLS[op][place % len(POOLS[op])]
    attrs: dict[str, Any] = {"kernel_shape": [kernel], "strides": [stride], "auto_pad": auto}
    if auto == "NOTSET":
        assume(max(pads) < kernel)
        attrs["pads"] = list(pads)
    model = pooled(op, opset, (1, 2, size), **attrs)
    want = theirs(model, (1, 2, size))
    assume(want is not None)
    assert sizes_of(model) == want


@given(
    opset=st.sampled_from([7, 11, 17, 22]),
    size=st.integers(2, 7),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 2),
    more=st.booleans(),
    auto=st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    wanted=st.sampled_from([None, None, -1, 0, 1]),
)
@settings(max_examples=80, deadline=None)
def test_transposed_convolutions(
    opset: int,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    more: bool,
    auto: str,
    wanted: int | None,
) -> None:
    """Automatic padding, ``output_padding`` and ``output_shape`` in any combination."""
    attrs: dict[str, Any] = {"strides": [stride], "dilations": [dilation], "auto_pad": auto}
    if more and stride > 1:
        attrs["output_padding"] = [1]
    if wanted is not None:
        attrs["output_shape"] = [size * stride + wanted]
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", **attrs)
    model = graph([node], {"x": (1, 2, size)}, ["y"], {"w": weight(2, 3, kernel)}, opset)
    want = theirs(model, (1, 2, size))
    assume(want is not None)
    assert sizes_of(model) == want


def test_what_follows_a_pool_has_its_true_size(tmp_path: Path) -> None:
    """Pools behind pools, a flattening whose width follows, and a second reader."""
    attrs: dict[str, Any] = {
        "kernel_shape": [2, 2],
        "strides": [2, 2],
        "pads": [1] * 4,
        "ceil_mode": 1,
    }
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], name="one", **attrs),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MaxPool", ["b"], ["c", "places"], name="two", **attrs),
        helper.make_node("Conv", ["c", "k"], ["d"], name="conv"),
        helper.make_node("Flatten", ["d"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w"], ["y"], name="head"),
    ]
    for size in (5, 9, 13, 14):
        second = (size // 2 + 1) // 2 + 1
        stored = {"k": weight(4, 3, 1, 1), "w": weight(4 * second * second, 6)}
        model = graph(nodes, {"x": (1, 3, size, size)}, ["y"], stored, opset=12)
        assert theirs(model, (1, 3, size, size)) == (1, 6)
        found = load(model, tmp_path, f"net{size}")
        assert found.macs == second * second * 4 * 3 + 4 * second * second * 6


def test_a_pool_inside_a_branch_reaches_what_follows(tmp_path: Path) -> None:
    """The branch reads a pool around it, and has one of its own."""
    attrs: dict[str, Any] = {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}
    branches = {
        name: helper.make_graph(
            [helper.make_node("MaxPool", ["p"], [f"{name}_out"], name=name, **attrs)],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", 1, None)],
        )
        for name in ("then_branch", "else_branch")
    }
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], name="outer", **attrs),
        helper.make_node("If", ["c"], ["m"], name="if", **branches),
        helper.make_node("Conv", ["m", "w"], ["y"], name="conv"),
    ]
    stored = {"w": weight(4, 3, 1, 1), "c": np.array(True)}
    model = graph(nodes, {"x": (1, 3, 8, 8)}, ["y"], stored, opset=17)
    assert theirs(model, (1, 3, 8, 8)) == (1, 4, 2, 2)
    assert load(model, tmp_path).macs == math.prod((4, 3, 2, 2))


@given(
    op=st.sampled_from(sorted(POOLS)),
    size=st.tuples(st.integers(4, 14), st.integers(4, 14)),
    kernel=st.tuples(st.integers(1, 4), st.integers(2, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 3), st.integers(2, 3)),
    auto=st.sampled_from(["SAME_UPPER", "SAME_LOWER"]),
    ceil=st.integers(0, 1),
)
@settings(max_examples=80, deadline=None)
def test_automatic_padding_of_dilated_pools(
    op: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    auto: str,
    ceil: int,
) -> None:
    """ONNX Runtime pads for the window without its dilations, the standard for the whole one."""
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "auto_pad": auto,
    }
    node = helper.make_node(op, ["x"], ["y"], name="pool", auto_pad=auto, ceil_mode=ceil, **attrs)
    shape = (1, 2, *size)
    model = graph([node], {"x": shape}, ["y"], opset=22)
    want = theirs(model, shape)
    assume(want is not None and min(want) > 0)
    assert sizes_of(model) == want
    _, _, remarks = read_graph(model, "net.onnx", {})
    standard = tuple(-(-n // s) for n, s in zip(size, stride, strict=True))
    told = [remark for remark in remarks if "by the standard" in remark]
    assert bool(told) == (want is not None and want[2:] != standard)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op", POOLS)
def test_a_dilated_pool_by_hand(op: str, auto: str, tmp_path: Path) -> None:
    """Kernel 3 takes 2 of padding: (8 + 2 - 2 * 2 - 1) + 1 = 6 places, by the standard 8."""
    attrs: dict[str, Any] = {"kernel_shape": [3, 3], "dilations": [2, 2], "auto_pad": auto}
    node = helper.make_node(op, ["x"], ["y"], name="pool", **attrs)
    stated = graph([node], {"x": (1, 2, 8, 8)}, ["y"], opset=22)
    after = helper.make_node("Relu", ["y"], ["z"])
    for model in (stated, graph([node, after], {"x": (1, 2, 8, 8)}, ["z"], opset=22)):
        found = load(model, tmp_path)
        assert found.tensors[found.outputs[0]].shape == (1, 2, 6, 6)
        assert found.remarks == (
            f"node 'pool' ({op}): 6x6 as ONNX Runtime computes it, 8x8 by the standard "
            f"(auto_pad={auto} with dilations)",
        )


def test_convolutions_pad_for_the_whole_window(tmp_path: Path) -> None:
    """Of those ONNX Runtime and the standard say the same."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], dilations=[2, 2], auto_pad="SAME_UPPER")
    found = load(graph([node], {"x": (1, 2, 8, 8)}, ["y"], {"w": weight(4, 2, 3, 3)}), tmp_path)
    assert found.tensors["y"].shape == (1, 4, 8, 8)
    assert not found.remarks
