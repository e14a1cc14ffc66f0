"""What quantized graphs are written in: quantizers of several tools, and the bits they give.

Beside QuantizeLinear and DequantizeLinear there are dialects in which one node rounds a tensor to a
grid and hands on real numbers:

- QONNX, written by Brevitas and read by FINN (github.com/fastmachinelearning/qonnx,
  docs/qonnx-custom-ops): ``Quant`` (also ``IntQuant``), ``BipolarQuant``, ``FloatQuant``,
  ``Trunc``, with bit widths as operands, and ``MultiThreshold`` with the type of its result as a
  name. Tensors may carry such a name as an annotation (``finn_datatype``).
- The integer networks of PULP (github.com/pulp-platform/Deeploy, Targets/Generic/Parsers.py):
  ``RequantShift`` is ``(x * mul + add) >> log2(div)``, its levels an attribute.
- ``FakeQuantize`` of OpenVINO (docs.openvino.ai, operation FakeQuantize-1), levels as an attribute.
- Brevitas' QCDQ: Clip to fewer bits between QuantizeLinear and DequantizeLinear.
- A Cast to a narrow float and back.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import onnx

from dse.workload.graph import DIALECT, Graph, Node, stored_value

_TYPE = onnx.TensorProto
#: Number format of each ONNX element type that quantized graphs use, by name: the installed onnx
#: may not know the newest. FLOAT8E8M0 are scales of blocks.
_NARROW = {
    **dict.fromkeys(("INT8", "UINT8"), "int8"),
    **dict.fromkeys(("INT16", "UINT16"), "int16"),
    **dict.fromkeys(("INT4", "UINT4"), "int4"),
    **dict.fromkeys(("INT2", "UINT2"), "int2"),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), "fp8"),
    "FLOAT8E8M0": "fp8",
    "FLOAT4E2M1": "fp4",
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), "fp6"),
}
NARROW: dict[int, str] = {
    int(number): _NARROW[name] for name, number in _TYPE.DataType.items() if name in _NARROW
}
#: Number format of the real element types.
REAL: dict[int, str] = {
    int(_TYPE.FLOAT): "fp32",
    int(_TYPE.DOUBLE): "fp32",
    int(_TYPE.FLOAT16): "fp16",
    int(_TYPE.BFLOAT16): "bf16",
}
#: Formats of real numbers that no quantizer wrote.
PLAIN = frozenset(REAL.values())

_QONNX = frozenset(
    {"", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "finn"}
)
_PULP = frozenset({"", "ai.onnx.contrib", "PACTOps"})
_FAMILIES: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        _QONNX,
        frozenset({"Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc", "TruncQuant"})
        | {"MultiThreshold", "QuantAvgPool2d", "Im2Col", "MaxPoolNHWC", "XnorPopcountMatMul"}
        | {"DebugMarker"},
    ),
    (
        _PULP,
        frozenset({"RequantShift", "IntegerDiv", "TrueIntegerDiv", "IntegerMean", "Dequant"})
        | {"iSoftmax", "ITAMax", "ITAPartialMax", "iLayerNorm", "iRMSNorm", "iNoNorm"}
        | {"iGELU", "iHardswish", "iLeakyReLU", "RMSNorm"},
    ),
    (frozenset({"", "org.openvinotoolkit"}), frozenset({"FakeQuantize"})),
)
#: Operators of networks whose tensors hold integers, though the file types them as real numbers.
INTEGER_OPS = _FAMILIES[1][1] - {"RMSNorm", "Dequant"}
#: Nodes that only tell a format: the tensor goes on, rounded to a grid.
QUANTIZERS = frozenset(
    {"QuantizeLinear", "Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc", "TruncQuant"}
    | {"FakeQuantize"}
)
#: Those and the nodes that lead back to real numbers.
FORMATTING = QUANTIZERS | {"DequantizeLinear", "Dequant", "DebugMarker"}
#: Bits that a quantizer may name.
MOST_BITS = 32


def domain_of(domain: str, op: str) -> str:
    """``DIALECT`` for an operator of a dialect (whatever its tool calls the domain), or its own."""
    for domains, ops in _FAMILIES:
        if op in ops and domain in domains:
            return DIALECT
    return domain


def integer_format(bits: float) -> str:
    """The format that stores integers of ``bits`` bits (a learned width may be a fraction).

    Raises:
        ValueError: no number of bits.
    """
    if not 0 < bits <= MOST_BITS:
        raise ValueError(f"{bits:g} is no number of bits")
    whole = math.ceil(bits - 1e-4)
    return f"int{whole}" if whole <= 16 else "int32"


def float_format(bits: int) -> str:
    """The format that stores floats of ``bits`` bits (sign, exponent and mantissa)."""
    if not 2 <= bits <= MOST_BITS:
        raise ValueError(f"{bits} is no number of bits")
    return f"fp{bits}" if bits <= 16 else "fp32"


def levels_format(levels: float) -> str:
    """The format that tells ``levels`` values apart."""
    if not 2 <= levels <= 2.0**MOST_BITS:
        raise ValueError(f"{levels:g} is no number of levels")
    return integer_format(math.log2(levels))


_NAMED = re.compile(
    r"(?:U?INT(?P<int>\d+)|SCALEDINT<(?P<scaled>\d+)>|FIXED<(?P<fixed>\d+),[^>]*>"
    r"|FLOAT<(?P<e>\d+),(?P<m>\d+)(?:,[^>]*)?>)"
)


def named_format(name: str) -> str | None:
    """The format of a QONNX data type such as ``UINT4`` or ``BIPOLAR``; None if it is unknown."""
    known = {"BINARY": "int1", "BIPOLAR": "int1", "TERNARY": "int2"}
    known |= {"FLOAT32": "fp32", "FLOAT16": "fp16"}
    if name in known:
        return known[name]
    match = _NAMED.fullmatch(name.replace(" ", ""))
    if match is None:
        return None
    try:
        if match["e"]:
            return float_format(1 + int(match["e"]) + int(match["m"]))
        return integer_format(int(match["int"] or match["scaled"] or match["fixed"]))
    except ValueError:
        return None


def number(value: Any) -> float | None:
    """An attribute as a number: PULP writes numbers as tensors of one element."""
    if isinstance(value, onnx.TensorProto):
        found = stored_value(value)
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None
    if isinstance(value, (list, tuple)):
        return float(value[0]) if len(value) == 1 else None
    return float(value) if isinstance(value, (int, float)) else None


def quantized_format(node: Node, graph: Graph) -> str | None:
    """The format that ``node`` rounds its first input to; None if it does no such thing.

    Raises:
        InputError: a quantizer whose bits are no stored number, or none that makes sense.
    """
    if node.op == "QuantizeLinear":
        return _linear(node, graph)
    if node.op == "Clip" and not node.domain:
        return _clipped(node, graph)
    if node.op == "Cast" and not node.domain:
        form = NARROW.get(graph.types.get(node.outputs[0], 0), "")
        return form if form.startswith("fp") else None
    if node.domain != DIALECT:
        return None
    try:
        return _dialect(node, graph)
    except ValueError as error:
        raise graph.fault(
            node,
            f"its bits cannot be told ({error})",
            "export it with its bit widths as stored numbers from 1 to 32",
        ) from None


def _linear(node: Node, graph: Graph) -> str:
    """QuantizeLinear: type of its result, of its zero point, or that of an attribute."""
    kinds = (
        graph.types.get(node.outputs[0], 0),
        graph.types.get(node.input(2) or "", 0),
        int(node.attrs.get("output_dtype", 0)),
    )
    return next((NARROW[kind] for kind in kinds if kind in NARROW), "int8")


def _dialect(node: Node, graph: Graph) -> str | None:
    op, attrs = node.op, node.attrs
    if op in ("Quant", "IntQuant"):
        written = number(attrs.get("bit_width"))
        return integer_format(_widest(node, graph, 3) if written is None else written)
    if op == "BipolarQuant":
        return "int1"
    if op in ("Trunc", "TruncQuant"):  # version 2 has the scale of the result before its bits
        return integer_format(_widest(node, graph, 5 if len(node.inputs) > 5 else 4))
    if op == "FloatQuant":
        return float_format(
            1 + math.ceil(_widest(node, graph, 2)) + math.ceil(_widest(node, graph, 3))
        )
    if op == "MultiThreshold":
        return named_format(str(attrs.get("out_dtype", ""))) or _by_thresholds(node, graph)
    if op == "QuantAvgPool2d":
        return integer_format(float(attrs.get("obits", 8)))
    for name in ("levels", "n_levels_out", "n_levels"):
        if (levels := number(attrs.get(name))) is not None:
            return levels_format(levels)
    if op == "FakeQuantize":
        raise ValueError("it has no levels")
    return None


def _by_thresholds(node: Node, graph: Graph) -> str:
    """n thresholds tell n + 1 values apart."""
    return levels_format(graph.shape(node.inputs[1], node)[-1] + 1)


def _widest(node: Node, graph: Graph, place: int) -> float:
    """The largest number in an operand (bits may differ by channel)."""
    value = graph.value(node.input(place))
    if value is None or not value.size:
        raise ValueError(f"input {place} is no stored number")
    widest = float(np.max(np.asarray(value, np.float64)))
    if math.isnan(widest):
        raise ValueError("they are no number")
    return widest


def _clipped(node: Node, graph: Graph) -> str | None:
    """The bits that a Clip of integers leaves of them (QCDQ); None for any other Clip."""
    own = NARROW.get(graph.types.get(node.inputs[0], 0))
    if own is None or not own.startswith("int"):
        return None
    readers = graph.users.get(node.outputs[0], [])
    before_real = readers and all(reader.op == "DequantizeLinear" for reader in readers)
    if not before_real and not graph.is_const(node.outputs[0]):
        return None
    low, high = graph.scalar(node.input(1)), graph.scalar(node.input(2))
    if low is None or high is None or not low < high:
        return own
    bits = math.ceil(math.log2(max(-low, high + 1))) + (1 if low < 0 else 0)
    narrowed = integer_format(max(1, bits))
    return min(narrowed, own, key=lambda form: int(form.removeprefix("int")))


def is_formatting(node: Node, graph: Graph) -> bool:
    """Whether ``node`` only tells a format, so that addresses and numbers stay where they are."""
    if node.op in FORMATTING:
        return node.domain in (DIALECT, "", "com.microsoft")
    if node.op == "Cast" and not node.domain:
        kinds = (graph.types.get(name, 0) for name in (node.inputs[0], node.outputs[0]))
        return any(NARROW.get(kind, "").startswith("fp") for kind in kinds)
    return node.op == "Clip" and not node.domain and _clipped(node, graph) is not None


def notes_of(model: onnx.ModelProto) -> dict[str, str]:
    """Formats by tensor that FINN notes in the graph (``finn_datatype``)."""
    found: dict[str, str] = {}
    for note in model.graph.quantization_annotation:
        for entry in note.quant_parameter_tensor_names:
            form = named_format(entry.value) if entry.key == "finn_datatype" else None
            if form is not None:
                found[note.tensor_name] = form
    return found
