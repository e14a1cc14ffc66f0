"""Formats are the file's: narrow types, weights quantized alone, forbidden element types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import Layer, Model, load_model

from .graphs import graph, load, weight

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
#: Every narrow element type that weights come in, its format, and the bytes of 64 x 32 of them.
NARROW = [
    ("FLOAT8E4M3FN", "fp8", 2048),
    ("FLOAT8E4M3FNUZ", "fp8", 2048),
    ("FLOAT8E5M2", "fp8", 2048),
    ("FLOAT8E5M2FNUZ", "fp8", 2048),
    ("FLOAT4E2M1", "fp4", 1024),
    ("INT8", "int8", 2048),
    ("UINT8", "int8", 2048),
    ("INT16", "int16", 4096),
    ("UINT16", "int16", 4096),
    ("INT4", "int4", 1024),
    ("UINT4", "int4", 1024),
    ("INT2", "int2", 512),
    ("UINT2", "int2", 512),
]


def typed(name: str, kind: int, *dims: int) -> onnx.TensorProto:
    """A stored tensor of any type, of zeros."""
    bits = {"2": 2, "4": 4}.get(TensorProto.DataType.Name(kind).lstrip("UINT"), 0)
    bits = bits or (4 if "E2M1" in TensorProto.DataType.Name(kind) else 0)
    bits = bits or 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize
    data = bytes(-(-int(np.prod(dims)) * bits // 8))
    return TensorProto(name=name, data_type=kind, dims=dims, raw_data=data)


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, Sequence[int]]],
    stored: Sequence[onnx.TensorProto],
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 23,
) -> onnx.ModelProto:
    """A model whose inputs have types; the results have none."""
    given = [helper.make_tensor_value_info(n, k, list(s)) for n, (k, s) in inputs.items()]
    made = [onnx.ValueInfoProto(name=n) for n in outputs]
    body = helper.make_graph(list(nodes), "test", given, made, list(stored))
    domains = {n.domain for n in nodes if n.domain}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(body, opset_imports=imports, ir_version=10)


def only(model: Model) -> Layer:
    """The one product of a model at the precision of its file."""
    (layer,) = (x for x in model.at().layers if x.kind == "compute")
    return layer


def dequantized(kind: int, real: int, scale: int | None = None) -> onnx.ModelProto:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"]),
        helper.make_node("MatMul", ["x", "wd"], ["y"]),
    ]
    stored = [typed("w", kind, 64, 32), typed("s", scale or real)]
    return network(nodes, {"x": (real, (1, 64))}, stored, opset=25)


@pytest.mark.parametrize(("name", "form", "size"), NARROW)
@pytest.mark.parametrize(("real", "activations"), [(FLOAT, "fp32"), (HALF, "fp16")])
def test_narrow_weights_keep_their_bits_and_activations_stay_real(
    name: str, form: str, size: int, real: int, activations: str, tmp_path: Path
) -> None:
    if name not in dict(TensorProto.DataType.items()):
        pytest.skip(f"this onnx has no {name}")
    model = load(dequantized(TensorProto.DataType.Value(name), real), tmp_path)
    layer = only(model)
    assert (layer.w_format, layer.i_format, layer.o_format) == (form, activations, activations)
    assert layer.w_bytes == model.at().weight_bytes == size
    assert model.native is not None
    assert (model.native.weights, model.native.activations) == (form, activations)
    assert any(f"activations are {activations} as in the file" in r for r in model.remarks)


def test_scales_of_blocks_are_no_weights(tmp_path: Path) -> None:
    """MXFP4: 4-bit floats, one exponent of 8 bits for each 32 of them."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"], axis=0, block_size=32),
        helper.make_node("Cast", ["wd"], ["wc"], to=FLOAT),
        helper.make_node("MatMul", ["x", "wc"], ["y"]),
    ]
    stored = [
        typed("w", TensorProto.FLOAT4E2M1, 64, 32),
        typed("s", TensorProto.FLOAT8E8M0, 2, 32),
    ]
    layer = only(load(network(nodes, {"x": (FLOAT, (1, 64))}, stored), tmp_path))
    assert (layer.w_format, layer.i_format, layer.w_bytes) == ("fp4", "fp32", 1024)


def test_an_explicit_precision_wins_over_the_file(tmp_path: Path) -> None:
    model = load(dequantized(TensorProto.INT4, HALF), tmp_path)
    assert {(x.w_format, x.i_format) for x in model.at("w8a8").layers} == {("int8", "int8")}
    again = load_model(f"{tmp_path / 'net.onnx'}@w=4,a=8")
    assert {(x.w_format, x.i_format) for x in again.at().layers} == {("int4", "int8")}
    # a default, such as the chip's own format, does not
    assert only(model).i_format == model.at(default="w8a8").layers[0].i_format == "fp16"


@pytest.mark.parametrize("route", ["cast", "masked", "shifted", "transposed", "twice"])
def test_weights_dequantized_by_hand(route: str, tmp_path: Path) -> None:
    """Integers made real by a cast and a scale, with what lies between them and the product."""
    steps: dict[str, tuple[list[onnx.NodeProto], str]] = {
        "cast": ([helper.make_node("Identity", ["w"], ["a"])], "int8"),
        "masked": ([helper.make_node("BitwiseAnd", ["w", "mask"], ["a"])], "int4"),
        "shifted": (
            [helper.make_node("BitShift", ["w", "by"], ["a"], direction="RIGHT")],
            "int2",
        ),
        "transposed": ([helper.make_node("Transpose", ["w"], ["a"])], "int8"),
        "twice": (
            [
                helper.make_node("Reshape", ["w", "to"], ["b"]),
                helper.make_node("Transpose", ["b"], ["a"]),
            ],
            "int8",
        ),
    }
    first, form = steps[route]
    nodes = [
        *first,
        helper.make_node("Cast", ["a"], ["c"], to=FLOAT),
        helper.make_node("Sub", ["c", "zero"], ["d"]),
        helper.make_node("Mul", ["d", "s"], ["e"]),
        helper.make_node("MatMul", ["x", "e"], ["y"]),
    ]
    stored = [
        numpy_helper.from_array(np.full((16, 16), 77, np.uint8), "w"),
        numpy_helper.from_array(np.array(15, np.uint8), "mask"),
        numpy_helper.from_array(np.array(6, np.uint8), "by"),
        numpy_helper.from_array(np.array([16, 16]), "to"),
        numpy_helper.from_array(np.array(8, np.float32), "zero"),
        numpy_helper.from_array(weight(16), "s"),
    ]
    layer = only(load(network(nodes, {"x": (FLOAT, (1, 16))}, stored), tmp_path))
    assert (layer.w_format, layer.i_format, layer.macs) == (form, "fp32", 256)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize(("real", "form"), [(FLOAT, "fp32"), (HALF, "fp16")])
def test_packed_products_run_with_real_activations(
    bits: int, real: int, form: str, tmp_path: Path
) -> None:
    node = helper.make_node(
        "MatMulNBits",
        ["x", "b", "s"],
        ["y"],
        domain="com.microsoft",
        K=256,
        N=48,
        bits=bits,
        block_size=32,
    )
    stored = [typed("b", TensorProto.UINT8, 48, 8, 32 * bits // 8), typed("s", real, 48 * 8)]
    model = load(network([node], {"x": (real, (1, 256))}, stored), tmp_path)
    layer = only(model)
    assert (layer.w_format, layer.i_format, layer.o_format) == (f"int{bits}", form, form)
    assert model.at().weight_bytes == 48 * 256 * bits / 8


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_of_a_packed_table(bits: int, tmp_path: Path) -> None:
    """GatherBlockQuantized: the table has its bits, what is read from it is real."""
    nodes = [
        helper.make_node(
            "GatherBlockQuantized",
            ["t", "i", "s"],
            ["e"],
            domain="com.microsoft",
            bits=bits,
            block_size=32,
            gather_axis=0,
            quantize_axis=1,
        ),
        helper.make_node("MatMul", ["e", "w"], ["y"]),
    ]
    stored = [
        typed("t", TensorProto.UINT8, 100, 64 * bits // 8),
        typed("s", HALF, 100, 2),
        typed("w", HALF, 64, 8),
    ]
    model = load(network(nodes, {"i": (TensorProto.INT64, (5,))}, stored), tmp_path)
    work = model.at()
    assert work.tensors["t"].format == f"int{bits}"
    assert work.tensors["t"].bytes == 100 * 64 * bits / 8
    layer = only(model)
    assert (layer.w_format, layer.i_format, layer.macs) == ("fp16", "fp16", 5 * 64 * 8)


def test_each_tensor_has_its_own_format(tmp_path: Path) -> None:
    """One product reads quantized numbers, the next real ones, a third an unquantized weight."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w1", "s"], ["w1d"]),
        helper.make_node("MatMul", ["xd", "w1d"], ["a"], name="first"),
        helper.make_node("DequantizeLinear", ["w2", "s"], ["w2d"]),
        helper.make_node("MatMul", ["a", "w2d"], ["b"], name="second"),
        helper.make_node("QuantizeLinear", ["b", "s", "z"], ["bq"]),
        helper.make_node("DequantizeLinear", ["bq", "s", "z"], ["bd"]),
        helper.make_node("MatMul", ["bd", "w3"], ["y"], name="third"),
    ]
    stored = [
        typed("s", FLOAT),
        typed("z", TensorProto.INT16),
        typed("w1", TensorProto.INT8, 8, 8),
        typed("w2", TensorProto.INT4, 8, 8),
        typed("w3", FLOAT, 8, 8),
    ]
    model = load(network(nodes, {"x": (FLOAT, (4, 8))}, stored), tmp_path)
    work = model.at()
    found = {n: work.layer(n) for n in ("first", "second", "third")}
    assert {n: (x.w_format, x.i_format, x.o_format) for n, x in found.items()} == {
        "first": ("int8", "int16", "fp32"),
        "second": ("int4", "fp32", "int16"),
        "third": ("int8", "int16", "fp32"),
    }
    assert any("'a'" in remark for remark in model.remarks)
    assert any("'w3'" in remark for remark in model.remarks)


def test_a_file_without_quantizers_leaves_formats_open(tmp_path: Path) -> None:
    """Real types, a byte image at the input or a mask at the output decide nothing."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=HALF),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Cast", ["a"], ["y"], to=TensorProto.UINT8),
    ]
    model = network(nodes, {"image": (TensorProto.UINT8, (1, 8))}, [typed("w", HALF, 8, 8)])
    found = load(model, tmp_path)
    assert found.native is None
    assert found.remarks == ()
    assert found.at(default="w4a8").layers[1].w_format == "int4"


def convolution(x: int, w: int, bias: int | None = None, opset: int = 13) -> onnx.ModelProto:
    names = ["x", "w", *(["b"] if bias else [])]
    stored = [typed("w", w, 4, 4, 1, 1), *([typed("b", bias, 4)] if bias else [])]
    node = helper.make_node("Conv", names, ["y"], name="n")
    return network([node], {"x": (x, (1, 4, 10, 10))}, stored, opset=opset)


INT8 = TensorProto.INT8


@pytest.mark.parametrize(
    ("model", "formats"),
    [
        (convolution(INT8, INT8), ("int8", "int8")),
        (convolution(INT8, INT8, TensorProto.INT32), ("int8", "int8")),
        (convolution(TensorProto.UINT8, INT8, opset=9), ("int8", "int8")),
        (convolution(TensorProto.INT16, TensorProto.INT4, opset=21), ("int4", "int16")),
        (convolution(FLOAT, INT8), ("int8", "fp32")),
        (convolution(TensorProto.BFLOAT16, TensorProto.BFLOAT16, opset=11), ("int8", "int8")),
        (convolution(HALF, FLOAT), ("int8", "int8")),
    ],
)
def test_types_that_a_schema_forbids_are_a_remark(
    model: onnx.ModelProto, formats: tuple[str, str], tmp_path: Path
) -> None:
    """Without a quantized operand (the last two) formats are left open, and int8 by default."""
    found = load(model, tmp_path)
    assert found.macs == 1600
    assert (only(found).w_format, only(found).i_format) == formats
    assert any("node 'n' (Conv) takes no " in remark for remark in found.remarks)


def test_forbidden_types_further_on(tmp_path: Path) -> None:
    """An integer Relu before its opset, and shapes behind it still follow."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="n"),
        helper.make_node("Conv", ["a", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "v"], ["y"]),
    ]
    stored = [typed("w", INT8, 8, 4, 3, 3), typed("v", INT8, 8, 5)]
    model = network(nodes, {"x": (INT8, (1, 4, 10, 10))}, stored, opset=11)
    found = load(model, tmp_path)
    assert found.macs == 8 * 8 * 8 * 4 * 9 + 40
    assert {(x.w_format, x.i_format) for x in found.at().layers if x.nest} == {("int8", "int8")}


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.COMPLEX64])
def test_types_without_numbers_are_refused(kind: int, tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="n")
    with pytest.raises(InputError, match="wrong type") as caught:
        load(network([node], {"x": (kind, (1, 4))}, [], opset=13), tmp_path)
    assert "node 'n' (Relu)" in str(caught.value)


def test_operands_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n")
    model = network([node], {"x": (FLOAT, (2, 4))}, [typed("w", TensorProto.INT64, 4, 3)])
    with pytest.raises(InputError, match="wrong type"):
        load(model, tmp_path)


def _integer(op: str) -> tuple[onnx.ModelProto, str, str, int]:
    """A quantized operator, its formats and MACs."""
    u8, one = TensorProto.UINT8, typed("s", FLOAT)
    zero = typed("z", u8)
    if op == "QLinearConv":
        names = ["x", "s", "z", "w", "s", "z", "s", "z"]
        stored = [one, zero, typed("w", u8, 4, 4, 1, 1)]
        node = helper.make_node(op, names, ["y"])
        return network([node], {"x": (u8, (1, 4, 10, 10))}, stored), "int8", "int8", 1600
    if op == "ConvInteger":
        node = helper.make_node(op, ["x", "w"], ["y"])
        stored = [typed("w", u8, 4, 4, 1, 1)]
        return network([node], {"x": (u8, (1, 4, 10, 10))}, stored), "int8", "int8", 1600
    if op == "QGemm":
        names = ["x", "s", "z", "w", "s", "z", "", "s", "z"]
        node = helper.make_node(op, names, ["y"], domain="com.microsoft")
        stored = [one, zero, typed("w", u8, 8, 5)]
        return network([node], {"x": (u8, (2, 8))}, stored), "int8", "int8", 80
    if op == "DynamicQuantizeMatMul":
        node = helper.make_node(op, ["x", "w", "s"], ["y"], domain="com.microsoft")
        return (
            network([node], {"x": (FLOAT, (2, 8))}, [one, typed("w", u8, 8, 5)]),
            "int8",
            "int8",
            80,
        )
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        helper.make_node("MatMulInteger", ["xq", "w", "xz"], ["i"]),
        helper.make_node("Cast", ["i"], ["c"], to=FLOAT),
        helper.make_node("Mul", ["c", "s"], ["y"]),
    ]
    return network(nodes, {"x": (FLOAT, (2, 8))}, [one, typed("w", u8, 8, 5)]), "int8", "int8", 80


@pytest.mark.parametrize(
    "op",
    ["QLinearConv", "ConvInteger", "QGemm", "DynamicQuantizeMatMul", "DynamicQuantizeLinear"],
)
def test_quantized_operators(op: str, tmp_path: Path) -> None:
    model, w, a, macs = _integer(op)
    found = load(model, tmp_path)
    layer = only(found)
    assert (layer.w_format, layer.i_format, found.macs) == (w, a, macs)
    expected = {"ConvInteger": "int32", "QLinearConv": "int8", "QGemm": "int8"}
    assert layer.o_format == expected.get(op, "fp32")


def test_a_float_graph_helper_stays_open(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert load(graph([node], {"x": (1, 4)}, ["y"], {"w": weight(4, 4)}), tmp_path).native is None
