"""Quantizers of QONNX, Brevitas and FINN: their bits, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from dse.errors import InputError
from dse.workload import Layer

from .graphs import graph, load, weight
from .test_formats import only

QONNX = "qonnx.custom_op.general"
FINN = "finn.custom_op.general"


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def quant(
    x: str, y: str, bits: str, op: str = "Quant", domain: str = QONNX, **attrs: Any
) -> onnx.NodeProto:
    attrs = dict[str, Any](signed=1, narrow=0, rounding_mode="ROUND") | attrs
    return helper.make_node(op, [x, "scale", "zero", bits], [y], domain=domain, **attrs)


STORED = {"scale": scalar(0.1), "zero": scalar(0), "w": weight(4, 4, 3, 3)}


def convolution(
    before: list[onnx.NodeProto], stored: dict[str, np.ndarray], x: str = "xq", w: str = "wq"
) -> onnx.ModelProto:
    nodes = [*before, helper.make_node("Conv", [x, w], ["y"], name="conv")]
    return graph(nodes, {"x": (1, 4, 10, 10)}, ["y"], {**STORED, **stored}, opset=13)


def formats(layer: Layer) -> tuple[str, str, str]:
    return layer.w_format, layer.i_format, layer.o_format


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas", FINN, "finn"])
@pytest.mark.parametrize("op", ["Quant", "IntQuant"])
@pytest.mark.parametrize(
    ("w", "a", "expected"),
    [(3, 3, ("int3", "int3")), (2, 8, ("int2", "int8")), (1, 4, ("int1", "int4"))],
)
def test_quant_gives_its_bits(
    domain: str, op: str, w: int, a: int, expected: tuple[str, str], tmp_path: Path
) -> None:
    before = [quant("x", "xq", "ba", op, domain, signed=0), quant("w", "wq", "bw", op, domain)]
    model = load(convolution(before, {"ba": scalar(a), "bw": scalar(w)}), tmp_path)
    layer = only(model)
    assert model.macs == 64 * 4 * 4 * 9
    assert formats(layer) == (*expected, "fp32")  # nothing quantizes the result
    assert layer.w_bytes == 144 * w / 8
    assert model.at().weight_bytes == -(-144 * w // 8)
    assert layer.i_bytes == 400 * a / 8
    assert model.native is not None
    assert (model.native.weights, model.native.activations) == expected
    assert [x.kind for x in model.layers] == ["compute"]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (np.array(4, np.int64), "int4"),
        (np.array([3.0], np.float32), "int3"),
        (np.array(3.3, np.float32), "int4"),
        (np.array(4.00001, np.float32), "int4"),
        (np.array([2, 6, 4, 3], np.float32).reshape(4, 1, 1, 1), "int6"),
        (np.array(16, np.float16), "int16"),
        (np.array(24, np.float32), "int32"),
    ],
)
def test_bits_may_be_learned_fractional_or_by_channel(
    bits: np.ndarray, expected: str, tmp_path: Path
) -> None:
    before = [quant("x", "xq", "ba"), quant("w", "wq", "bw")]
    layer = only(load(convolution(before, {"ba": scalar(8), "bw": bits}), tmp_path))
    assert layer.w_format == expected


def test_bits_that_constants_compute(tmp_path: Path) -> None:
    before = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Constant", [], ["three"], value=numpy_helper.from_array(scalar(3))),
        helper.make_node("Add", ["two", "three"], ["five"]),
        quant("x", "xq", "five"),
        quant("w", "wq", "three"),
    ]
    assert formats(only(load(convolution(before, {}), tmp_path)))[:2] == ("int3", "int5")


@pytest.mark.parametrize("bits", [0, -3, 40, float("nan"), float("inf")])
def test_impossible_bits_are_one_clear_error(bits: float, tmp_path: Path) -> None:
    before = [quant("x", "xq", "ba"), quant("w", "wq", "bw")]
    with pytest.raises(InputError, match="its bits cannot be told") as caught:
        load(convolution(before, {"ba": scalar(8), "bw": scalar(bits)}), tmp_path)
    assert "node 'wq' (Quant)" in str(caught.value)


def test_bits_that_come_from_an_input_are_refused(tmp_path: Path) -> None:
    nodes = [quant("x", "y", "bits")]
    with pytest.raises(InputError, match="no stored number"):
        load(graph(nodes, {"x": (1, 4), "bits": ()}, ["y"], STORED), tmp_path)


def test_the_quantizer_behind_a_layer_is_its_write_back(tmp_path: Path) -> None:
    """Conv, BatchNormalization, Relu, Quant: one layer; the next reads its bits."""
    nodes = [
        quant("x", "xq", "b8"),
        quant("w", "wq", "b2"),
        helper.make_node("Conv", ["xq", "wq"], ["c"], name="first"),
        helper.make_node("BatchNormalization", ["c", "g", "h", "h", "g"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        quant("r", "rq", "b4", signed=0),
        helper.make_node("MaxPool", ["rq"], ["p"], kernel_shape=[2, 2], name="pool"),
        quant("v", "vq", "b3"),
        helper.make_node("Conv", ["p", "vq"], ["y"], name="second"),
    ]
    stored = {**STORED, "v": weight(4, 4, 1, 1), "g": weight(4), "h": weight(4)}
    stored |= {f"b{n}": scalar(n) for n in (2, 3, 4, 8)}
    work = load(graph(nodes, {"x": (1, 4, 10, 10)}, ["y"], stored), tmp_path).at()
    assert [x.name for x in work.layers] == ["first", "pool", "second"]
    assert formats(work.layer("first")) == ("int2", "int8", "int4")
    assert dict(work.layer("first").vector_ops) == {"relu": 256, "mul": 256}
    assert formats(work.layer("pool"))[1:] == ("int4", "int4")  # it only picks numbers
    assert formats(work.layer("second")) == ("int3", "int4", "fp32")


def test_readers_that_ask_for_other_bits_get_a_tensor_of_their_own(tmp_path: Path) -> None:
    """The tensor lies at the widest; a narrower copy is made by a product for each element."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="r"),
        quant("r", "narrow", "b4"),
        quant("r", "wide", "b8"),
        quant("w", "wq", "b4"),
        helper.make_node("Conv", ["narrow", "wq"], ["a"], name="first"),
        helper.make_node("Conv", ["wide", "wq"], ["b"], name="second"),
    ]
    stored = {**STORED, "b4": scalar(4), "b8": scalar(8)}
    work = load(graph(nodes, {"x": (1, 4, 10, 10)}, ["a", "b"], stored), tmp_path).at()
    assert formats(work.layer("first"))[:2] == ("int4", "int4")
    assert formats(work.layer("second"))[:2] == ("int4", "int8")
    again = work.layer("narrow")
    assert (again.kind, dict(again.vector_ops)) == ("vector", {"mul": 400})
    assert (again.i_format, again.o_format) == ("int8", "int4")


def test_a_second_quantizer_in_a_row_decides(tmp_path: Path) -> None:
    before = [quant("x", "x8", "b8"), quant("x8", "xq", "b4"), quant("w", "wq", "b4")]
    model = load(convolution(before, {"b4": scalar(4), "b8": scalar(8)}), tmp_path)
    assert formats(only(model))[:2] == ("int4", "int4")
    assert len(model.layers) == 1


@pytest.mark.parametrize("places", [5, 6])
def test_trunc_tells_the_bits_of_its_result(places: int, tmp_path: Path) -> None:
    """Version 1 has the bits before and after; version 2 the scale after between them."""
    names = ["m", "scale", "zero", "b8", "b3"]
    names = names if places == 5 else [*names[:4], "scale", "b3"]
    nodes = [
        quant("x", "xq", "b8"),
        helper.make_node("GlobalAveragePool", ["xq"], ["m"]),
        helper.make_node("Trunc", names, ["t"], domain=QONNX, rounding_mode="FLOOR"),
        quant("w", "wq", "b4"),
        helper.make_node("Conv", ["t", "wq"], ["y"]),
    ]
    stored = {**STORED, "w": weight(4, 4, 1, 1)}
    stored |= {f"b{n}": scalar(n) for n in (3, 4, 8)}
    model = load(graph(nodes, {"x": (1, 4, 8, 8)}, ["y"], stored), tmp_path)
    assert formats(only(model))[:2] == ("int4", "int3")


def test_bipolar_weights_are_one_bit(tmp_path: Path) -> None:
    before = [
        helper.make_node("BipolarQuant", ["x", "scale"], ["xq"], domain=QONNX),
        helper.make_node("BipolarQuant", ["w", "scale"], ["wb"], domain="onnx.brevitas"),
        helper.make_node("Mul", ["wb", "scale"], ["wq"]),
    ]
    model = load(convolution(before, {}), tmp_path)
    layer = only(model)
    assert formats(layer)[:2] == ("int1", "int1")
    assert (layer.w_bytes, layer.i_bytes) == (144 / 8, 400 / 8)


@pytest.mark.parametrize(
    ("exponent", "mantissa", "form", "bits"),
    [(4, 3, "fp8", 8), (5, 2, "fp8", 8), (2, 1, "fp4", 4), (3, 2, "fp6", 6), (5, 10, "fp16", 16)],
)
def test_float_quant_has_a_sign_exponent_and_mantissa(
    exponent: int, mantissa: int, form: str, bits: int, tmp_path: Path
) -> None:
    rest = ["e", "m", "bias", "most"]
    before = [
        helper.make_node("FloatQuant", [x, "scale", *rest], [f"{x}q"], domain=QONNX) for x in "xw"
    ]
    stored = {"e": scalar(exponent), "m": scalar(mantissa), "bias": scalar(7), "most": scalar(448)}
    layer = only(load(convolution(before, stored), tmp_path))
    assert formats(layer)[:2] == (form, form)
    assert layer.w_bytes == 144 * bits / 8


def test_functions_that_stand_for_quantizers_are_not_inlined(tmp_path: Path) -> None:
    """Brevitas' newer exporter gives its quantizers a body that hands the tensor on."""
    body = [helper.make_node("Identity", ["x"], ["y"])]
    inputs = ["x", "scale", "zero", "bits"]
    attrs = ["signed", "narrow", "rounding_mode"]
    imports = [helper.make_opsetid("", 20)]
    function = helper.make_function(QONNX, "Quant", inputs, ["y"], body, imports, attrs)
    before = [quant("x", "xq", "ba"), quant("w", "wq", "bw")]
    model = convolution(before, {"ba": scalar(5), "bw": scalar(3)})
    model.functions.append(function)
    assert formats(only(load(model, tmp_path)))[:2] == ("int3", "int5")


@pytest.mark.parametrize(
    ("name", "form", "steps"),
    [
        ("UINT4", "int4", 15),
        ("INT2", "int2", 3),
        ("BIPOLAR", "int1", 1),
        ("FIXED<6,2>", "int6", 63),
    ],
)
def test_thresholds_are_stored_and_searched(
    name: str, form: str, steps: int, tmp_path: Path
) -> None:
    """MultiThreshold: the type of its result by name; its place is found by halving."""
    nodes = [
        quant("x", "xq", "ba"),
        quant("w", "wq", "ba"),
        helper.make_node("Conv", ["xq", "wq"], ["c"], name="first"),
        helper.make_node("MultiThreshold", ["c", "t"], ["m"], domain=FINN, out_dtype=name),
        helper.make_node("Conv", ["m", "wq"], ["y"], name="second"),
    ]
    stored = {**STORED, "ba": scalar(4), "t": weight(4, steps)}
    work = load(graph(nodes, {"x": (1, 4, 10, 10)}, ["y"], stored), tmp_path).at()
    first, second = work.layers
    assert (first.o_format, second.i_format) == (form, form)
    assert first.b_elements == 4 * steps
    halvings = int(np.ceil(np.log2(steps + 1)))
    assert dict(first.vector_ops)["compare"] == 256 * halvings


def _noted(model: onnx.ModelProto, **notes: str) -> onnx.ModelProto:
    for tensor, name in notes.items():
        note = model.graph.quantization_annotation.add(tensor_name=tensor)
        note.quant_parameter_tensor_names.add(key="finn_datatype", value=name)
    return model


def test_finn_notes_types_beside_its_tensors(tmp_path: Path) -> None:
    """A lowered convolution as FINN has it: windows side by side, then a product."""
    patches = helper.make_node(
        "Im2Col",
        ["x"],
        ["i"],
        domain=QONNX,
        kernel_size=[3, 3],
        stride=[1, 1],
        pad_amount=[1, 1, 1, 1],
        input_shape="(1,8,8,4)",
    )
    nodes = [patches, helper.make_node("MatMul", ["i", "w"], ["y"])]
    model = graph(nodes, {"x": (1, 8, 8, 4)}, ["y"], {"w": weight(36, 5)})
    found = load(_noted(model, x="UINT4", w="TERNARY", y="INT12"), tmp_path)
    assert found.macs == 64 * 36 * 5
    assert formats(only(found)) == ("int2", "int4", "int12")


def test_bits_multiplied_by_xnor(tmp_path: Path) -> None:
    node = helper.make_node("XnorPopcountMatMul", ["x", "w"], ["y"], domain=QONNX)
    model = graph([node], {"x": (2, 64)}, ["y"], {"w": weight(64, 10)})
    found = load(_noted(model, x="BINARY", w="BINARY", y="UINT32"), tmp_path)
    assert (found.macs, formats(only(found))) == (1280, ("int1", "int1", "int32"))


def test_channels_last(tmp_path: Path) -> None:
    domain = "qonnx.custom_op.channels_last"
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], domain=domain, kernel_shape=[3, 5]),
        helper.make_node("MaxPool", ["c"], ["p"], domain=domain, kernel_shape=[2, 2]),
        helper.make_node(
            "QuantAvgPool2d", ["p"], ["a"], domain=QONNX, kernel=2, stride=2, ibits=4, obits=4,
            signed=0, data_layout="NHWC",
        ),
        helper.make_node("MaxPoolNHWC", ["a"], ["y"], domain=QONNX, kernel_shape=[2, 2]),
    ]  # fmt: skip
    model = load(graph(nodes, {"x": (1, 10, 12, 4)}, ["y"], {"w": weight(6, 3, 5, 4)}), tmp_path)
    assert model.macs == 8 * 8 * 6 * 15 * 4
    sizes = [x.o_elements for x in model.layers]
    assert sizes == [8 * 8 * 6, 7 * 7 * 6, 3 * 3 * 6, 2 * 2 * 6]
    nest = model.layers[0].nest
    assert nest is not None
    assert (nest.FY, nest.FX, nest.C, nest.K) == (3, 5, 4, 6)


def test_nodes_of_a_hardware_generator_are_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("MVAU_hls", ["x", "w"], ["y"], domain="finn.custom_op.fpgadataflow.hls")
    with pytest.raises(InputError, match=r"fpgadataflow\.hls\.MVAU_hls is not known"):
        load(graph([node], {"x": (1, 4)}, ["y"], {"w": weight(4, 4)}), tmp_path)


def test_a_file_that_forgets_to_import_the_domain(tmp_path: Path) -> None:
    """Shapes behind the quantizer follow from the shapes before it, as QONNX' model zoo has it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "at"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "first"], ["u"]),
        helper.make_node("Concat", ["u", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["f"]),
        quant("f", "q", "b"),
        quant("v", "vq", "b"),
        helper.make_node("MatMul", ["q", "vq"], ["y"]),
    ]
    stored: dict[str, np.ndarray] = {"at": np.array(0), "first": np.array([0])}
    stored |= {"rest": np.array([-1]), "b": scalar(2), "v": weight(16, 3), **STORED}
    model = graph(nodes, {"x": (2, 4, 4)}, ["y"], stored, opset=13)
    del model.opset_import[1:]
    found = load(model, tmp_path)
    assert (found.macs, formats(only(found))[:2]) == (96, ("int2", "int2"))
