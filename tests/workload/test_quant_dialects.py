"""Quantizers of PULP, OpenVINO and QCDQ, and malformed ones of every dialect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import Model

from .graphs import graph, load, weight
from .test_formats import only
from .test_qonnx import FINN, QONNX, STORED, convolution, formats, scalar


def levels(value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value], np.float32))


@pytest.mark.parametrize("domain", ["", "ai.onnx.contrib", "PACTOps"])
@pytest.mark.parametrize(("count", "form"), [(256, "int8"), (16, "int4"), (2, "int1")])
def test_requantization_of_pulp(domain: str, count: int, form: str, tmp_path: Path) -> None:
    """(x mul + add) >> shift is the write-back; its numbers are stored by channel."""
    shift = helper.make_node(
        "RequantShift",
        ["c", "mul", "add"],
        ["r"],
        domain=domain,
        div=levels(65536),
        n_levels_out=levels(count),
        signed=levels(1),
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
        shift,
        helper.make_node("Conv", ["r", "w"], ["y"], name="second"),
    ]
    factors = {"mul": weight(1, 4, 1, 1), "add": weight(1, 4, 1, 1)}
    model = load(graph(nodes, {"x": (1, 4, 10, 10)}, ["y"], {**STORED, **factors}), tmp_path)
    first, second = model.at().layers
    assert formats(first) == ("int8", "int8" if form == "int8" else first.i_format, form)
    assert second.i_format == form
    assert first.b_elements == 8
    assert dict(first.vector_ops) == {"mul": 256}
    assert any("are taken at int8" in remark for remark in model.remarks)


def test_integer_kin_of_pulp(tmp_path: Path) -> None:
    """They cost what their real forms cost."""
    nodes = [
        helper.make_node("iLayerNorm", ["x", "g", "h"], ["a"], D=levels(16384), n_levels=256),
        helper.make_node("iGELU", ["a"], ["b"], b=-26, one=770),
        helper.make_node("iSoftmax", ["b"], ["c"], n_levels=levels(256)),
        helper.make_node("iRMSNorm", ["c", "g"], ["d"], D=65536, n_levels=256),
        helper.make_node("iHardswish", ["d"], ["e"], one_over_six=33, six=1530, three=765),
        helper.make_node("IntegerMean", ["e"], ["f"], axes=[1], keepdims=0),
        helper.make_node("IntegerDiv", ["f", "g"], ["y"], Delta=65536, eps=1, eta=7),
    ]
    stored = {"g": weight(16), "h": weight(16)}
    model: Model = load(graph(nodes, {"x": (1, 8, 16)}, ["y"], stored), tmp_path)
    work = {x.op: dict(x.vector_ops) for x in model.layers}
    assert work["iSoftmax"] == {"reduce": 256, "add": 128, "exp": 128, "div": 8, "mul": 128}
    assert work["iLayerNorm"]["reduce"] == 256
    assert work["iRMSNorm"]["reduce"] == 128
    assert model.layers[-1].o_elements == 16
    assert {x.o_format for x in model.at().layers} == {"int8"}


@pytest.mark.parametrize(("count", "form"), [(256, "int8"), (255, "int8"), (16, "int4")])
def test_fake_quantize_of_openvino(count: int, form: str, tmp_path: Path) -> None:
    ends = ["low", "high", "low", "high"]
    before = [
        helper.make_node(
            "FakeQuantize", [x, *ends], [f"{x}q"], domain="org.openvinotoolkit", levels=count
        )
        for x in "xw"
    ]
    stored = {"low": scalar(-1), "high": scalar(1)}
    assert formats(only(load(convolution(before, stored), tmp_path)))[:2] == (form, form)


@pytest.mark.parametrize(
    ("low", "high", "form"),
    [(-7, 7, "int4"), (-8, 7, "int4"), (-2, 1, "int2"), (-127, 127, "int8")],
)
def test_clip_between_a_quantizer_and_its_inverse(
    low: int, high: int, form: str, tmp_path: Path
) -> None:
    """Brevitas' QCDQ: int8 in the file, fewer bits by the clip."""
    before = [
        helper.make_node("QuantizeLinear", ["x", "scale", "z"], ["a"]),
        helper.make_node("Clip", ["a", "low", "high"], ["b"]),
        helper.make_node("DequantizeLinear", ["b", "scale", "z"], ["xq"]),
        helper.make_node("Clip", ["wi", "low", "high"], ["wc"]),
        helper.make_node("DequantizeLinear", ["wc", "scale", "z"], ["wq"]),
    ]
    numbers = {"low": low, "high": high, "z": 0}
    stored = {n: np.array(v, np.int8) for n, v in numbers.items()}
    stored["wi"] = np.ones((4, 4, 3, 3), np.int8)
    model = load(convolution(before, stored), tmp_path)
    assert formats(only(model))[:2] == (form, form)
    assert [x.kind for x in model.layers] == ["compute"]


def test_casts_to_a_narrow_float_and_back(tmp_path: Path) -> None:
    before = [
        helper.make_node("Cast", ["x"], ["x8"], to=TensorProto.FLOAT8E4M3FN),
        helper.make_node("Cast", ["x8"], ["xq"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["w"], ["w8"], to=TensorProto.FLOAT8E5M2),
        helper.make_node("Cast", ["w8"], ["wq"], to=TensorProto.FLOAT),
    ]
    model = convolution(before, {})
    model.opset_import[0].version = 19
    found = load(model, tmp_path)
    assert formats(only(found))[:2] == ("fp8", "fp8")
    assert [x.kind for x in found.layers] == ["compute"]


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Quant", ["x", "scale"], ["y"], name="n", domain=QONNX),
        helper.make_node("Quant", [], ["y"], name="n", domain=QONNX),
        helper.make_node("FloatQuant", ["x", "scale", "zero"], ["y"], name="n", domain=QONNX),
        helper.make_node("Trunc", ["x", "scale", "zero"], ["y"], name="n", domain=QONNX),
        helper.make_node("MultiThreshold", ["x"], ["y"], name="n", domain=FINN),
        helper.make_node("MultiThreshold", ["x", "scale"], ["y"], name="n", domain=FINN),
        helper.make_node("Im2Col", ["x"], ["y"], name="n", domain=QONNX),
        helper.make_node("QuantAvgPool2d", ["x"], ["y"], name="n", domain=QONNX, stride=0),
        helper.make_node("RequantShift", ["x", "scale", "zero"], ["y"], name="n", n_levels=0),
        helper.make_node("FakeQuantize", ["x"] + ["scale"] * 4, ["y"], name="n"),
        helper.make_node("Conv", ["x"], ["y"], name="n", domain="qonnx.custom_op.channels_last"),
    ],
    ids=lambda node: node.op_type,
)
def test_malformed_nodes_are_one_clear_error(node: onnx.NodeProto, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(graph([node], {"x": (1, 4, 8, 8)}, ["y"], STORED), tmp_path)
    assert "node 'n'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.mend
