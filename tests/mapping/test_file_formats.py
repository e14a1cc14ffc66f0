"""What a chip does with the formats that a quantized file brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import UnmappableError
from dse.hardware import load_chip
from dse.mapping import map_layer
from dse.workload import load_model


def weights_alone(folder: Path, real: int) -> str:
    """A product whose weights are int8 in the file and whose activations are real."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"]),
        helper.make_node("MatMul", ["x", "wd"], ["y"], name="fc"),
    ]
    scale = np.array(0.1, helper.tensor_dtype_to_np_dtype(real))
    stored = [
        numpy_helper.from_array(np.ones((64, 32), np.int8), "w"),
        numpy_helper.from_array(scale, "s"),
    ]
    given = [helper.make_tensor_value_info("x", real, [4, 64])]
    body = helper.make_graph(nodes, "net", given, [onnx.ValueInfoProto(name="y")], stored)
    path = folder / "net.onnx"
    path.write_bytes(
        helper.make_model(
            body, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
        ).SerializeToString()
    )
    return str(path)


def test_real_activations_run_where_a_float_mode_holds_them(tmp_path: Path) -> None:
    """edge_vision multiplies int8 weights with fp16 activations at its fp16 rate, a quarter."""
    chip = load_chip("edge_vision")
    model = load_model(weights_alone(tmp_path, TensorProto.FLOAT16))
    (real,) = model.at().layers
    (whole,) = model.at("w8a8").layers
    assert (real.w_format, real.i_format) == ("int8", "fp16")
    assert map_layer(real, chip).ideal_cycles == 4 * map_layer(whole, chip).ideal_cycles


@pytest.mark.parametrize(
    ("chip", "real", "form"),
    [
        ("ethos_u55_128", TensorProto.FLOAT16, "fp16"),
        ("edge_vision", TensorProto.FLOAT, "fp32"),
    ],
)
def test_a_chip_without_the_float_format_says_so(
    chip: str, real: int, form: str, tmp_path: Path
) -> None:
    """As with any format that it lacks; the model's remark says where the format comes from."""
    model = load_model(weights_alone(tmp_path, real))
    (layer,) = model.at(default="int8").layers
    with pytest.raises(UnmappableError, match=f"int8 weights with {form} activations") as caught:
        map_layer(layer, load_chip(chip))
    assert "--precision" in str(caught.value)
    assert any(f"activations are {form} as in the file" in remark for remark in model.remarks)
    assert map_layer(model.at("w8a8").layers[0], load_chip(chip)).macs == layer.macs


@pytest.mark.parametrize(("w", "wider"), [("int1", "int2"), ("fp4", "fp8"), ("int3", "int4")])
def test_odd_widths_run_in_the_next_wider_mode(w: str, wider: str) -> None:
    from dse.mapping.space.choices import rate_of

    rates = {
        "int2xint8": 2.0,
        "int4xint8": 1.0,
        "int8xint8": 0.5,
        "fp8xint8": 0.5,
        "fp16xint8": 0.2,
    }
    assert rate_of(rates, w, "int8")[0] == f"{wider}xint8"
