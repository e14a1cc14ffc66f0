"""Row-wise is what the lowering rule says of a layer; equal work costs the same by any name."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import dse
from dse.mapping import map_network, program_energy_j, program_latency_s
from dse.workload import Precision, Workload
from dse.workload.graph import Graph, Node
from dse.workload.layer import Layer, Tensor
from dse.workload.lower import lower
from dse.workload.ops.elementwise import BINARY, QLINEAR_PAIRS, RULES, UNARY

ROWS, WIDTH = 256, 512
SHAPE = (ROWS, WIDTH)
#: Operands beside the first of operators that take some; ``c`` is stored and of the same shape.
OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BINARY, ("c",)),
    **dict.fromkeys(QLINEAR_PAIRS, ("s", "s", "c", "s", "s")),
    "PRelu": ("v",),
    "Where": ("c", "d"),
    "BiasGelu": ("v",),
    "BiasAdd": ("v", "c"),
    "BiasDropout": ("v",),
    "CDist": ("c",),
    "CumSum": ("last",),
    "CumProd": ("last",),
}
#: Elementwise operators that do nothing, and those that mix rows: distances of all pairs of rows,
#: and a scale that is the range of the whole tensor.
VIEWS = {"Identity", "Dropout", "BitCast"}
MIXING = {"CDist", "DynamicQuantizeLinear"}


def graph(op: str, shape: tuple[int, ...] = SHAPE, **attrs: Any) -> Graph:
    """``op`` on the network's input, and a matrix product of its result."""
    results = (1,) if op == "DynamicQuantizeLinear" else ()
    after = (shape[0], shape[0]) if op == "CDist" else shape
    nodes = (
        Node("op", op, "", ("x", *OPERANDS.get(op, ())), ("y", *("q" for _ in results)), attrs),
        Node("product", "MatMul", "", ("y", "w"), ("z",)),
    )
    shapes = {
        "x": shape, "y": after, "z": (*after[:-1], 64), "w": (after[-1], 64), "c": shape,
        "d": shape, "v": (shape[-1],), "s": (), "last": (), "q": (),
    }  # fmt: skip
    types: dict[str, int] = dict.fromkeys(shapes, int(TensorProto.FLOAT))
    if op in ("Cast", "CastLike"):
        types["x"] = int(TensorProto.INT32)
    stored = dict.fromkeys(("w", "c", "d", "v", "s", "last"))
    found = Graph(nodes, shapes, types, stored, ("x",), ("z",), 20, "test")
    found._values["last"] = np.array(-1)
    return found


def first(op: str, shape: tuple[int, ...] = SHAPE, **attrs: Any) -> Layer | None:
    """The layer that an operator becomes; None if it does nothing."""
    layers = lower(graph(op, shape, **attrs)).layers
    return layers[0] if layers[0].kind == "vector" else None


def workload(op: str) -> Workload:
    """The network of :func:`graph`, lowered, in int8."""
    made = lower(graph(op))
    tensors: dict[str, Tensor] = dict(made.tensors)
    return Workload(
        "net", "net", made.layers, tensors, made.inputs, made.outputs, 0, Precision(), {}, op
    )


@pytest.mark.parametrize("op", sorted(RULES))
def test_every_elementwise_rule_says_whether_it_keeps_rows_apart(op: str) -> None:
    layer = first(op)
    if op in VIEWS:
        assert layer is None
        return
    assert layer is not None
    assert layer.row_wise == (op not in MIXING)


def test_equal_work_fuses_equally() -> None:
    """All elementwise operators of the same work cost the same, and some of them run fused."""
    chip = dse.load_chip("edge_vision")
    by_work: dict[object, dict[str, tuple[float, float, int]]] = defaultdict(dict)
    for op in sorted(RULES.keys() - VIEWS - MIXING):
        net = workload(op)
        program = map_network(net, chip)
        cost = (program_latency_s(program, chip), program_energy_j(program, chip))
        fused = sum(bool(made.fused) for made in program.schedules)
        by_work[net.layers[0].mapping_view][op] = (*cost, fused)
    for found in by_work.values():
        assert len(set(found.values())) == 1, found
    gelu = next(found for found in by_work.values() if "Gelu" in found)
    assert set(gelu) >= {op for op, work in UNARY.items() if work == ("lut", "mul")}
    assert gelu["Gelu"][2] == 2


def test_a_normalization_keeps_rows_apart_along_the_last_axis_and_channels_of_images() -> None:
    image = (1, 8, 16, 32)
    for op in ("Softmax", "LogSoftmax", "LpNormalization"):
        for shape, value, wanted in (
            (SHAPE, -1, True), (SHAPE, 1, True), (SHAPE, 0, False), (image, -1, True),
            (image, 2, False), (image, 0, True), ((2, *image[1:]), 0, False),
        ):  # fmt: skip
            layer = first(op, shape, axis=value)
            assert layer is not None
            assert layer.row_wise == wanted, (op, shape, value)
    for axis, wanted in ((-1, True), (1, False)):  # from this axis on
        normalized = first("LayerNormalization", image, axis=axis)
        assert normalized is not None
        assert normalized.row_wise == wanted
    over_channels = first("Softmax", image, axis=1)
    assert over_channels is not None
    assert over_channels.row_wise
    whole = first("MeanVarianceNormalization", image)
    assert whole is not None
    assert not whole.row_wise
