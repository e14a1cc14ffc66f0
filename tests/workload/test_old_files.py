"""Operators that files hold before, beside or after the standard has them; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dse.errors import InputError
from dse.workload import load_model
from dse.workload.footprint import check_footprints
from dse.workload.graph import Graph, Node, Shape
from dse.workload.layer import LoopNest
from dse.workload.load import lower_bytes
from dse.workload.lower import UnknownOps
from dse.workload.ops.draft import Draft
from dse.workload.read import read_graph

from . import interpreter
from .fused_cases import model_of
from .graphs import graph, load, weight

FLOAT = TensorProto.FLOAT


def before(
    op: str, stored: Mapping[str, np.ndarray], *, domain: str = "", opset: int = 11, **attrs: Any
) -> onnx.ModelProto:
    """``op`` on (1, 3, 8), then a product with 8 x 8 weights; ``op`` reads what is stored."""
    nodes = [
        helper.make_node(op, ["x", *stored], ["m"], name="n", domain=domain, **attrs),
        helper.make_node("MatMul", ["m", "w"], ["y"], name="product"),
    ]
    return graph(nodes, {"x": (1, 3, 8)}, ["y"], {**stored, "w": weight(8, 8)}, opset)


SCALE, SHIFT = {"g": weight(8)}, {"g": weight(8), "b": weight(8)}
#: Operators, what they read besides, and up to which version ONNX Runtime runs them without
#: a domain.
EARLY: list[tuple[str, dict[str, np.ndarray], dict[str, Any], int]] = [
    ("LayerNormalization", SHIFT, {"axis": -1}, 99),
    ("LayerNormalization", SCALE, {"axis": 2, "epsilon": 1e-6}, 99),
    ("SimplifiedLayerNormalization", SCALE, {"axis": -1}, 99),
    ("Gelu", {}, {}, 0),
    ("RMSNormalization", SCALE, {"axis": -1}, 0),
    ("Mish", {}, {}, 0),
    ("HardSwish", {}, {}, 0),
    ("FastGelu", {}, {}, 0),
    ("QuickGelu", {}, {"alpha": 1.702}, 0),
    ("BiasGelu", {"g": weight(8)}, {}, 0),
    ("ScaledTanh", {}, {"alpha": 1.0, "beta": 1.0}, 9),
    ("ParametricSoftplus", {}, {"alpha": 1.0, "beta": 1.0}, 9),
    ("Affine", {}, {"alpha": 1.0, "beta": 0.0}, 9),
    ("MeanVarianceNormalization", {}, {"axes": [0, 1]}, 99),
]


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 16])
@pytest.mark.parametrize("case", EARLY, ids=[f"{c[0]}{len(c[1])}" for c in EARLY])
def test_without_a_domain_at_an_old_version(case: Any, opset: int, tmp_path: Path) -> None:
    op, stored, attrs, last = case
    model = before(op, stored, opset=opset, **attrs)
    if opset <= last:
        assert interpreter.run(model, {"x": weight(1, 3, 8)})[0].shape == (1, 3, 8)
    found = load(model, tmp_path)
    assert found.macs == 3 * 8 * 8
    assert found.fates["n"] == "vector"


def test_mean_and_deviation_of_an_early_normalization() -> None:
    node = helper.make_node(
        "LayerNormalization", ["x", "g", "b"], ["y", "mean", "root"], name="n", axis=1
    )
    stored = {"g": weight(3, 8), "b": weight(3, 8)}
    model = graph([node], {"x": (2, 3, 8)}, ["y", "mean", "root"], stored, opset=12)
    want = [r.shape for r in interpreter.run(model, {"x": weight(2, 3, 8)})]
    found, _, _ = read_graph(onnx.ModelProto.FromString(model.SerializeToString()), "net.onnx", {})
    assert [found.shapes[n] for n in ("y", "mean", "root")] == want == [(2, 3, 8), *[(2, 1, 1)] * 2]


@pytest.mark.parametrize("opset", [8, 12, 17])
def test_images_scaled_and_cropped_as_long_ago(opset: int, tmp_path: Path) -> None:
    """ImageScaler and Crop left the standard with version 10; tiny YOLOv2 still has the first."""
    nodes = [
        helper.make_node("ImageScaler", ["x"], ["s"], name="s", bias=[0.0] * 3, scale=0.1),
        helper.make_node("Crop", ["s"], ["c"], name="c", border=[1, 2, 3, 4]),
        helper.make_node("Conv", ["c", "w"], ["y"], name="conv"),
    ]
    model = graph(nodes, {"x": (1, 3, 16, 20)}, ["y"], {"w": weight(4, 3, 1, 1)}, opset)
    if opset < 10:
        assert interpreter.run(model, {"x": weight(1, 3, 16, 20)})[0].shape == (1, 4, 10, 16)
    assert load(model, tmp_path).macs == 10 * 16 * 3 * 4


def test_packed_attention_without_a_domain(tmp_path: Path) -> None:
    """``num_heads`` is an attribute of the operator of com.microsoft only."""
    stored = {"q": weight(8, 24), "b": weight(24)}
    found = load(before("Attention", stored, num_heads=2), tmp_path)
    assert found.macs == 3 * 8 * 24 + 2 * 3 * 3 * 8 + 3 * 8 * 8


@pytest.mark.parametrize(("rows", "classes", "draws"), [(1, 8, 1), (4, 10, 3), (2, 1000, 1)])
def test_multinomial(rows: int, classes: int, draws: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["l"], name="product"),
        helper.make_node("Multinomial", ["l"], ["y"], name="n", sample_size=draws, dtype=7),
    ]
    model = graph(nodes, {"x": (rows, 8)}, ["y"], {"w": weight(8, classes)}, opset=17)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    assert interpreter.run(model, {"x": weight(rows, 8)})[0].shape == (rows, draws)
    found = load(model, tmp_path)
    assert found.macs == rows * 8 * classes
    work = dict(found.layers[-1].vector_ops)
    assert work["exp"] == work["add"] == rows * classes
    assert found.layers[-1].o_elements == rows * draws


def _cached(past: Sequence[int], width: int = 32, **attrs: int) -> bytes:
    """Packed queries (4 heads), keys and values (2 heads each) of 4, behind a cache."""
    inputs = ["x", "", "", "pk", "pv", "lens", "total"]
    feeds = {
        "x": weight(1, 1, width),
        "pk": weight(*past),
        "pv": weight(*past),
        "lens": np.array([past[2] if len(past) > 2 else 0], np.int32),
        "total": np.array(9, np.int32),
    }
    heads = {"num_heads": 4, "kv_num_heads": 2, **attrs}
    outputs = {"y": FLOAT, "k": FLOAT, "v": FLOAT}
    model = model_of("GroupQueryAttention", inputs, outputs, feeds, {}, heads)
    return bytes(model.SerializeToString())


def test_packed_queries_fit_their_cache() -> None:
    """8 heads of 4 numbers; 4 heads of queries over 8 keys of the cache."""
    assert lower_bytes(_cached((1, 2, 8, 4)), "net.onnx").macs == 2 * 4 * 8 * 4


@pytest.mark.parametrize(
    ("past", "width", "words"),
    [
        ((1, 2, 8, 8), 32, "does not fit 2 heads of 4"),
        ((1, 4, 8, 4), 32, "does not fit 2 heads of 4"),
        ((1, 2, 8), 32, "does not fit"),
        ((1, 2, 8, 4), 33, "do not divide into 8 heads"),
    ],
)
def test_packed_queries_that_do_not_fit(past: Sequence[int], width: int, words: str) -> None:
    with pytest.raises(InputError, match=rf"node 'n' \(GroupQueryAttention\).*{words}"):
        lower_bytes(_cached(past, width), "net.onnx")


def _layout(op: str, domain: str) -> onnx.ModelProto:
    return before(op, {}, domain=domain)


REFUSED = [
    ("ReorderInput", "com.microsoft.nchwc", "level extended"),
    ("Conv", "com.microsoft.nchwc", "level extended"),
    ("MaxPool", "com.microsoft.nchwc", "level extended"),
    ("Conv", "com.ms.internal.nhwc", "level extended"),
    ("EPContext", "com.microsoft", "compiled from"),
    ("BeamSearch", "com.microsoft", "a file of its own"),
    ("GreedySearch", "com.microsoft", "a file of its own"),
    ("Sampling", "com.microsoft", "a file of its own"),
    ("WhisperBeamSearch", "com.microsoft", "a file of its own"),
]


@pytest.mark.parametrize(("op", "domain", "mend"), REFUSED)
def test_refused_with_what_to_do(op: str, domain: str, mend: str, tmp_path: Path) -> None:
    """Also where unknown operators may go to the host: their work would be lost."""
    path = tmp_path / "net.onnx"
    path.write_bytes(_layout(op, domain).SerializeToString())
    choices: tuple[UnknownOps, ...] = ("error", "host")
    for unknown in choices:
        with pytest.raises(InputError, match=r"node 'n'") as fault:
            load_model(path, unknown_ops=unknown)
        assert mend in str(fault.value)
        assert "\n" not in str(fault.value)


def _product(**changes: Any) -> tuple[Node, Draft, Graph]:
    """A layer of (6, 4) @ (4, 5), with ``changes``."""
    node = Node("n", "MatMul", "", ("x", "w"), ("y",))
    shapes: dict[str, Shape] = {"x": (6, 4), "w": (4, 5), "y": (6, 5)}
    held = Graph((node,), shapes, {}, {"w": None}, ("x",), ("y",), 20, "net.onnx")
    draft = Draft(
        name="n",
        op="MatMul",
        kind="compute",
        nodes=["n"],
        inputs=["x", "w"],
        outputs=["y"],
        nest=LoopNest(K=5, C=4, OX=6),
        w_tensor="w",
        w_elements=20,
        i_elements=24,
        o_elements=30,
    )
    for name, value in changes.items():
        setattr(draft, name, value)
    return node, draft, held


@pytest.mark.parametrize(
    ("nest", "words"),
    [
        (LoopNest(K=5, C=4, OX=7), "write 35 elements, but its result has 30"),
        (LoopNest(K=5, C=4, OX=5), "write 25 elements, but its result has 30"),
        (LoopNest(K=5, C=8, OX=6), "read 40 elements of its weights, which has 20"),
        (LoopNest(G=2, K=5, C=4, OX=3), "read 40 elements of its weights, which has 20"),
        (LoopNest(B=2, K=5, C=8, OX=3, FY=1), "read 40 elements of its weights, which has 20"),
        (LoopNest(K=1, C=5, OX=30), "read 150 elements of its input, which has 24"),
    ],
)
def test_loops_lie_in_their_operands(nest: LoopNest, words: str) -> None:
    """Whatever a rule computes, a layer that does not fit what it reads and writes is refused."""
    node, draft, held = _product()
    check_footprints(node, [draft], held)
    node, draft, held = _product(nest=nest)
    with pytest.raises(InputError, match=rf"node 'n' \(MatMul\): .*{words}"):
        check_footprints(node, [draft], held)


def test_the_sizes_of_one_letter_agree(tmp_path: Path) -> None:
    """onnx lets them differ; ONNX Runtime does not."""
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="n", equation="ij,jk->ik")
    model = graph([node], {"x": (2, 3)}, ["y"], {"w": weight(4, 5)})
    with pytest.raises(InputError, match=r"node 'n' \(Einsum\)"):
        load(model, tmp_path)


def test_stored_tensors_in_a_shape_that_does_not_fit(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["k", "s"], ["w"], name="n"),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
    ]
    stored = {"k": weight(4, 5), "s": np.array([4, 50])}
    with pytest.raises(InputError, match=r"node 'n' \(Reshape\)"):
        load(graph(nodes, {"x": (6, 4)}, ["y"], stored), tmp_path)


@pytest.mark.parametrize(("depth", "stored"), [(64, (5, 2, 16)), (32, (5, 1, 2)), (16, (5, 1, 16))])
def test_packed_weights_fit_what_is_stored(depth: int, stored: tuple[int, ...]) -> None:
    """``N`` and ``K`` are only attributes: (3, 32) by 5 x 32 weights of 4 bits is what fits."""
    held = {"b": np.zeros(stored, np.uint8), "s": weight(5)}
    attrs = {"K": depth, "N": 5, "bits": 4, "block_size": 32}
    model = model_of("MatMulNBits", "abs", {"y": FLOAT}, {"a": weight(3, 32)}, held, attrs)
    with pytest.raises(InputError, match=r"node 'n' \(MatMulNBits\).*do not fit"):
        lower_bytes(model.SerializeToString(), "net.onnx")


def test_a_bias_has_a_number_for_each_channel(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="n")
    stored = {"w": weight(4, 3, 1, 1), "b": weight(5)}
    with pytest.raises(InputError, match=r"node 'n' \(Conv\): 5 biases for 4 channels"):
        load(graph([node], {"x": (1, 3, 4, 4)}, ["y"], stored), tmp_path)
