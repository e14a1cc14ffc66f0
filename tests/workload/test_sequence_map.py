"""SequenceMap runs its body once for each element; masks of dropouts; searches that hold models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload.load import load_model, lower_bytes

from .graphs import graph, load, weight

FLOAT = TensorProto.FLOAT


def info(name: str, shape: Sequence[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def mapped(
    *, beside: str = "none", results: int = 1, sizes: Sequence[int] = (2, 3, 4)
) -> onnx.ModelProto:
    """A split of 9 rows, each piece through a product of its own and joined again."""
    inner = [
        helper.make_node("MatMul", ["e", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["r"]),
        helper.make_node("Tanh", ["r"], ["t"]),
    ]
    given = {"none": [], "tensor": ["x2"], "sequence": ["s"]}[beside]
    reads = [info("e"), *(info("b") for _ in given)]
    tensors = [numpy_helper.from_array(weight(4), "b")] if not given else []
    if beside == "sequence":
        inner[1] = helper.make_node("MatMul", ["b", "w"], ["n"])
        inner.insert(2, helper.make_node("Add", ["m", "n"], ["r"]))
    body = helper.make_graph(inner, "body", reads, [info(n) for n in ("t", "m")[:results]], tensors)
    nodes = [
        helper.make_node("SplitToSequence", ["x", "sizes"], ["s"], axis=0),
        helper.make_node("SequenceMap", ["s", *given], ["q", "p"][:results], name="map", body=body),
        helper.make_node("ConcatFromSequence", ["q"], ["y"], axis=0),
    ]
    outputs = ["y"]
    if results == 2:
        nodes.append(helper.make_node("ConcatFromSequence", ["p"], ["z"], axis=0))
        outputs.append("z")
    stored = {"w": weight(8, 4), "sizes": np.array(sizes)}
    inputs: dict[str, Sequence[int | str]] = {"x": (sum(sizes), 8)}
    if beside == "tensor":
        inputs["x2"] = (4,)
    return graph(nodes, inputs, outputs, stored)


@pytest.mark.parametrize("results", [1, 2])
@pytest.mark.parametrize(("beside", "factor"), [("none", 1), ("tensor", 1), ("sequence", 2)])
@pytest.mark.parametrize("sizes", [(2, 3, 4), (9,), (1,) * 9])
def test_sequences_are_mapped(
    results: int, beside: str, factor: int, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    model = load(mapped(beside=beside, results=results, sizes=sizes), tmp_path)
    assert model.macs == factor * 9 * 8 * 4
    assert len([x for x in model.layers if x.kind == "compute"]) == factor * len(sizes)
    work = sum(n for x in model.layers for f, n in x.vector_ops if f == "lut")
    assert work in (9 * 4, 2 * 9 * 4)
    assert model.parameters >= 8 * 4
    assert {"map/0/MatMul_0"} <= {x.name for x in model.layers}


def test_a_map_inside_a_loop_counts_all_trips(tmp_path: Path) -> None:
    part = mapped().graph
    body = helper.make_graph(
        [*part.node, helper.make_node("Identity", ["c"], ["c_out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("c_out", TensorProto.BOOL, []), info("y", (9, 4))],
    )
    node = helper.make_node("Loop", ["trips", "yes"], ["all"], name="loop", body=body)
    stored = {"w": weight(8, 4), "sizes": np.array([2, 3, 4])}
    stored |= {"trips": np.array(5), "yes": np.array(True)}
    model = load(graph([node], {"x": (9, 8)}, ["all"], stored), tmp_path)
    assert model.macs == 5 * 9 * 8 * 4


def test_sequences_that_do_not_go_together() -> None:
    model = mapped(beside="sequence")
    node = next(n for n in model.graph.node if n.op_type == "SequenceMap")
    split = helper.make_node("SplitToSequence", ["x", "other"], ["s2"], axis=0)
    node.input[1] = "s2"
    model.graph.node.insert(1, split)
    model.graph.initializer.append(numpy_helper.from_array(np.array([4, 5]), "other"))
    with pytest.raises(InputError, match="do not go together"):
        lower_bytes(model.SerializeToString(), "net.onnx")


# Masks of dropouts


@pytest.mark.parametrize(
    ("op", "mask"), [("BiasDropout", (2, 3, 40)), ("BitmaskBiasDropout", (8,))]
)
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("used", [True, False])
def test_masks_have_shapes(
    op: str, mask: tuple[int, ...], residual: bool, used: bool, tmp_path: Path
) -> None:
    names = ["x", "b", "r"] if residual else ["x", "b"]
    outs = ["y", "mask"] if used else ["y"]
    node = helper.make_node(op, names, outs, domain="com.microsoft")
    inputs: dict[str, Sequence[int | str]] = {"x": (2, 3, 40)}
    if residual:
        inputs["r"] = (2, 3, 40)
    model = load(graph([node], inputs, outs, {"b": weight(40)}), tmp_path)
    assert model.tensors["y"].shape == (2, 3, 40)
    assert dict(model.layers[0].vector_ops) == {"add": 240 * (1 + residual)}
    if used:
        assert model.tensors["mask"].shape == mask


# Searches that hold whole models


@pytest.mark.parametrize("op", ["BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"])
@pytest.mark.parametrize("held", [["decoder"], ["decoder", "init_decoder"], ["encoder", "decoder"]])
def test_the_mend_of_a_search_gives_a_file_that_is_read(
    op: str, held: list[str], tmp_path: Path
) -> None:
    product = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "decoder",
        [info("x", (2, 8))],
        [info("y", (2, 4))],
        [numpy_helper.from_array(weight(8, 4), "w")],
    )
    attrs = dict.fromkeys(held, product)
    node = helper.make_node(op, ["x"], ["y"], domain="com.microsoft", **attrs)
    path = tmp_path / "net.onnx"
    path.write_bytes(graph([node], {"x": (2, 8)}, ["y"]).SerializeToString())
    with pytest.raises(InputError) as caught:
        load_model(path, unknown_ops="host")
    mend = caught.value.mend or ""
    code = mend.partition('python -c "')[2].rstrip('"')
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert load_model(tmp_path / "decoder.onnx").macs == 2 * 8 * 4
    assert all(name in mend for name in held)
