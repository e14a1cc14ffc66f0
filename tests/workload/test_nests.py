"""Loop nests, executed literally by a small interpreter, give what ONNX Runtime computes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper

from dse.workload import Layer, LoopNest, Model
from dse.workload.load import lower_bytes

from . import interpreter
from .graphs import graph, weight

CASES = settings(max_examples=60)
FEW = settings(max_examples=25)


def lowered(model: onnx.ModelProto) -> Model:
    return lower_bytes(model.SerializeToString(), "net.onnx")


def nests(model: Model) -> list[LoopNest]:
    return [layer.nest for layer in model.layers if layer.nest is not None]


def only(model: Model) -> tuple[Layer, LoopNest]:
    (layer,) = [layer for layer in model.layers if layer.kind == "compute"]
    assert layer.nest is not None
    return layer, layer.nest


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-4)


@st.composite
def convolutions(draw: Any, transposed: bool = False) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    each = draw(st.booleans())  # depthwise
    m, c = (1, 1) if each else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    taps = [draw(st.integers(1, 4 if transposed else 3)) for _ in range(rank)]
    strides = [draw(st.integers(1, 3)) for _ in range(rank)]
    if transposed and draw(st.booleans()):  # sub-pixel form: strides divide the kernel
        taps = [s * draw(st.integers(1, 2)) for s in strides]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, taps, strict=True)]
    low = 1 if transposed else max(reach)
    sizes = [draw(st.integers(low, low + 4)) for _ in range(rank)]
    return {
        "groups": groups,
        "m": m,
        "c": c,
        "taps": taps,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "sizes": sizes,
        "batch": draw(st.integers(1, 2)),
        "bias": draw(st.booleans()),
    }


#: All sizes differ, so that no two can be taken for each other; strides divide the kernel.
VOLUME: dict[str, Any] = {
    "groups": 2,
    "m": 3,
    "c": 5,
    "taps": [6, 4, 2],
    "strides": [3, 2, 1],
    "dilations": [1, 1, 2],
    "pads": [0, 1, 2, 1, 0, 0],
    "sizes": [7, 6, 8],
    "batch": 2,
    "bias": True,
}


@CASES
@given(case=convolutions())
@example(case=VOLUME)
def test_convolution(case: dict[str, Any]) -> None:
    """One to three axes, grouped, depthwise, strided, dilated, with uneven padding."""
    groups, m, c, rank = case["groups"], case["m"], case["c"], len(case["taps"])
    w, b = weight(groups * m, c, *case["taps"]), weight(groups * m, seed=2)
    x = weight(case["batch"], groups * c, *case["sizes"], seed=1)
    keys = ("strides", "dilations", "pads")
    node = helper.make_node(
        "Conv",
        ["x", "w", "b"][: 3 if case["bias"] else 2],
        ["y"],
        group=groups,
        **{k: case[k] for k in keys},
    )
    model = graph([node], {"x": x.shape}, ["y"], {"w": w, "b": b} if case["bias"] else {"w": w})
    layer, nest = only(lowered(model))
    stride_z = case["strides"][0] if rank == 3 else 1
    dilation_z = case["dilations"][0] if rank == 3 else 1
    ours = interpreter.convolution(nest, x, w, groups, case["pads"], stride_z, dilation_z)
    if case["bias"]:
        ours = ours + b.reshape(-1, *(1 for _ in range(rank)))
        assert layer.b_elements == b.size
    assert (layer.w_elements, layer.i_elements, layer.o_elements) == (w.size, x.size, ours.size)
    close(ours, interpreter.run(model, {"x": x})[0])


@FEW
@given(
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    stride=st.integers(1, 3),
)
def test_convolution_with_automatic_padding(mode: str, size: tuple[int, int], stride: int) -> None:
    w, x = weight(3, 2, 3, 2), weight(1, 2, *size, seed=1)
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[stride, stride])
    model = graph([node], {"x": x.shape}, ["y"], {"w": w})
    missing = [
        max(0, (-(-n // stride) - 1) * stride + k - n) if mode != "VALID" else 0
        for n, k in zip(size, (3, 2), strict=True)
    ]
    small, large = [n // 2 for n in missing], [n - n // 2 for n in missing]
    pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    ours = interpreter.convolution(only(lowered(model))[1], x, w, 1, pads)
    close(ours, interpreter.run(model, {"x": x})[0])


@CASES
@given(case=convolutions(transposed=True))
@example(case=VOLUME)
def test_transposed_convolution(case: dict[str, Any]) -> None:
    """Each point of the nest is a pair of an input pixel and a tap: the published count."""
    groups, m, c, rank = case["groups"], case["m"], case["c"], len(case["taps"])
    sizes = [
        (n - 1) * s + d * (k - 1) + 1 - case["pads"][a] - case["pads"][a + rank]
        for a, (n, s, d, k) in enumerate(
            zip(case["sizes"], case["strides"], case["dilations"], case["taps"], strict=True)
        )
    ]
    if min(sizes) < 1:
        return
    w = weight(groups * c, m, *case["taps"])
    x = weight(case["batch"], groups * c, *case["sizes"], seed=1)
    keys = ("strides", "dilations", "pads")
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], group=groups, **{k: case[k] for k in keys}
    )
    model = graph([node], {"x": x.shape}, ["y"], {"w": w})
    layer, nest = only(lowered(model))
    ours = interpreter.transposed_convolution(
        nest, x, w, groups, case["strides"], case["dilations"], case["pads"], sizes
    )
    assert layer.macs == math.prod(case["sizes"]) * w.size * case["batch"]
    assert (layer.w_elements, layer.o_elements) == (w.size, ours.size)
    close(ours, interpreter.run(model, {"x": x})[0])


@st.composite
def products(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of two operands that multiply, with leading axes that broadcast."""
    m, c, k = (draw(st.integers(1, 5)) for _ in range(3))
    lead = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 3)))]

    def side() -> list[int]:
        kept = lead[draw(st.integers(0, len(lead))) :]
        return [n if draw(st.booleans()) else 1 for n in kept]

    return (*side(), m, c), (*side(), c, k)


@CASES
@given(shapes=products(), stored=st.sampled_from(["a", "b", ""]))
def test_product_of_any_rank(shapes: tuple[tuple[int, ...], ...], stored: str) -> None:
    arrays = {"a": weight(*shapes[0]), "b": weight(*shapes[1], seed=1)}
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    moving = {n: x for n, x in arrays.items() if n != stored}
    model = graph(
        [node],
        {n: x.shape for n, x in moving.items()},
        ["y"],
        {n: x for n, x in arrays.items() if n == stored},
    )
    layer, nest = only(lowered(model))
    if stored == "a":  # computed as its transpose
        turned = [np.swapaxes(arrays[n], -1, -2) for n in "ba"]
        ours = np.swapaxes(interpreter.matrix_product(nest, *turned), -1, -2)
    else:
        ours = interpreter.matrix_product(nest, arrays["a"], arrays["b"])
    assert layer.w_is_activation is not bool(stored)
    assert layer.w_elements == arrays[stored or "b"].size
    close(ours, interpreter.run(model, moving)[0])


@FEW
@given(
    sizes=st.tuples(*(st.integers(1, 5) for _ in range(3))),
    flip=st.tuples(st.booleans(), st.booleans()),
    bias=st.sampled_from(["", "row", "whole"]),
)
def test_gemm(sizes: tuple[int, int, int], flip: tuple[bool, bool], bias: str) -> None:
    m, c, k = sizes
    a, b = weight(m, c), weight(c, k, seed=1)
    z = weight(k, seed=2) if bias == "row" else weight(m, k, seed=2)
    node = helper.make_node(
        "Gemm",
        ["a", "b", "z"][: 3 if bias else 2],
        ["y"],
        transA=int(flip[0]),
        transB=int(flip[1]),
    )
    left = np.ascontiguousarray(a.T if flip[0] else a)
    right = np.ascontiguousarray(b.T if flip[1] else b)
    model = graph([node], {"a": left.shape}, ["y"], {"b": right, **({"z": z} if bias else {})})
    layer, nest = only(lowered(model))
    ours = interpreter.matrix_product(nest, a, b) + (z if bias else 0)
    assert layer.b_elements == (z.size if bias else 0)
    close(ours, interpreter.run(model, {"a": left})[0])


@CASES
@given(data=st.data())
def test_einsum(data: st.DataObject) -> None:
    letters = "abcdef"
    sizes = {x: data.draw(st.integers(1, 4)) for x in letters}

    def some(given: str, least: int) -> str:
        chosen = data.draw(st.lists(st.sampled_from(given), unique=True, min_size=least))
        return "".join(chosen)

    terms = [some(letters, 1), some(letters, 1)]
    result = some("".join(sorted(set("".join(terms)))), 0)
    a, b = (weight(*(sizes[x] for x in t), seed=i) for i, t in enumerate(terms))
    node = helper.make_node("Einsum", ["a", "b"], ["y"], equation=f"{','.join(terms)}->{result}")
    model = graph([node], {"a": a.shape, "b": b.shape}, ["y"])
    _, nest = only(lowered(model))
    ours = interpreter.einsum_pair(nest, a, b, (terms[0], terms[1]), result)
    close(ours, interpreter.run(model, {"a": a, "b": b})[0])


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], 2 * 3 * 4 + 2 * 4 * 5),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (1, 5, 4, 6)], 2 * 5 * 3 * 4 * 6),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)], 2 * 3 * 4 * 5),
    ],
)
def test_einsum_of_several_operands_and_ellipses(
    equation: str, shapes: list[tuple[int, ...]], macs: int
) -> None:
    names = "abc"[: len(shapes)]
    node = helper.make_node("Einsum", list(names), ["y"], equation=equation)
    model = lowered(graph([node], dict(zip(names, shapes, strict=True)), ["y"]))
    assert model.macs == macs
    operands = [np.ones(shape) for shape in shapes]
    assert model.tensors["y"].shape == np.einsum(equation, *operands).shape


@FEW
@given(
    c=st.integers(1, 4),
    offsets=st.integers(1, 2),
    mask=st.booleans(),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
)
def test_deformable_convolution_has_the_macs_of_a_plain_one(
    c: int, offsets: int, mask: bool, size: tuple[int, int]
) -> None:
    channels, out = c * offsets, (size[0] - 1, size[1] - 1)
    w = weight(3, channels, 2, 2)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (1, channels, *size),
        "offset": (1, offsets * 8, *out),
    }
    if mask:
        shapes["m"] = (1, offsets * 4, *out)
    node = helper.make_node(
        "DeformConv",
        ["x", "w", "offset", "", "m"] if mask else ["x", "w", "offset"],
        ["y"],
        kernel_shape=[2, 2],
        offset_group=offsets,
        pads=[0, 0, 0, 0],
    )
    model = lowered(graph([node], shapes, ["y"], {"w": w}, opset=22))
    plain = helper.make_node("Conv", ["x", "w"], ["y"])
    assert model.macs == lowered(graph([plain], {"x": shapes["x"]}, ["y"], {"w": w})).macs
    work = dict(model.layers[0].vector_ops)
    samples = channels * 4 * out[0] * out[1]
    assert work["copy"] == 4 * samples
    assert work["mul"] == (5 if mask else 4) * samples
