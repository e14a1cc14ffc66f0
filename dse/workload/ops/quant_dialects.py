"""Quantizers, and the operators of the quantization dialects (see ``dse.workload.dialects``)."""

from __future__ import annotations

import math
from dataclasses import replace

from onnx import TensorProto

from dse.workload.dialects import QUANTIZERS, REAL, is_formatting, quantized_format
from dse.workload.graph import DIALECT, Graph, Node
from dse.workload.ops import elementwise, matmul, normalization, pooling
from dse.workload.ops.convolution import convolution
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, View, vector
from dse.workload.precision import bits_of
from dse.workload.shapes_dialects import CHANNELS_LAST

#: Nodes behind which a tensor still has the numbers, and the format, that it had before.
_SAME_NUMBERS = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout"}
)


def quantize(node: Node, ctx: Context) -> Outcome:
    """Quantizers and their inverses tell formats; scaling belongs to each layer's write-back.

    A second quantizer of a tensor that others read in another format is work: it reads the tensor
    and writes it again.
    """
    if quantized_format(node, ctx.graph) and _again(node, ctx.graph):
        n = ctx.graph.size(node.outputs[0], node)
        return [vector(node, ctx, {"mul": n}, weights=[], row_wise=True)]
    return View((node.inputs[0],), folded=True)


def _again(node: Node, graph: Graph) -> bool:
    """Whether the tensor that ``node`` quantizes is stored in another format for other readers."""
    own = quantized_format(node, graph)
    assert own is not None
    name, shared = node.inputs[0], False
    beside = [quantized_format(user, graph) for user in graph.users.get(name, [])]
    widest = max((form for form in beside if form), key=bits_of, default=own)
    if bits_of(own) < bits_of(widest):
        return True
    while True:
        shared = shared or len(graph.users.get(name, [])) > 1
        before = graph.producers.get(name)
        if before is None or not (is_formatting(before, graph) or before.op in _SAME_NUMBERS):
            return False
        if (earlier := quantized_format(before, graph)) is not None:
            return shared and earlier != own
        name = before.inputs[0]


def absorbed(draft: Draft, node: Node, ctx: Context) -> bool | None:
    """Takes a node of a dialect into the write-back of ``draft``; None if it is no such node.

    Quantizers cost nothing of their own: an integer result of a compute layer is scaled in any
    case. The factors and offsets of RequantShift and the thresholds of MultiThreshold are stored
    with the layer.
    """
    if is_formatting(node, ctx.graph) or _realized(draft, node, ctx.graph):
        return True
    if node.domain != DIALECT or node.op not in ("RequantShift", "MultiThreshold"):
        return None
    if not all(ctx.graph.is_const(name) for name in node.inputs[1:]):
        return False
    for name in node.inputs[1:]:
        elements = ctx.graph.size(name, node)
        if elements > 1:
            draft.biases.append(name)
            draft.inputs.append(name)
            draft.b_elements += elements
    if node.op == "MultiThreshold":
        draft.work(["compare"], draft.o_elements * _steps(node, ctx))
    elif draft.kind == "vector":
        draft.work(["mul", "add"], draft.o_elements)
    draft.linear = draft.rectified = False
    return True


def _realized(draft: Draft, node: Node, graph: Graph) -> bool:
    """Whether ``node`` makes real numbers of the whole-number sums of a product."""
    if node.op != "Cast" or node.domain or draft.kind != "compute":
        return False
    before, after = (graph.types.get(name, 0) for name in (node.inputs[0], node.outputs[0]))
    return before == TensorProto.INT32 and after in REAL


def _steps(node: Node, ctx: Context) -> int:
    """Comparisons that find a number's place among sorted thresholds."""
    return max(1, math.ceil(math.log2(ctx.graph.shape(node.inputs[1], node)[-1] + 1)))


def thresholds(node: Node, ctx: Context) -> Outcome:
    """MultiThreshold: how many thresholds of its channel a number reaches, found by halving."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"compare": n * _steps(node, ctx)}, row_wise=True)]


def requantize(node: Node, ctx: Context) -> Outcome:
    """RequantShift that no layer took in: a product and a sum (with its shift) each."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"mul": n, "add": n}, row_wise=True)]


def _as(op: str, rule: Rule, attrs: dict[str, object] | None = None) -> Rule:
    """The rule of a standard operator for one that calculates the same in integers."""

    def ruled(node: Node, ctx: Context) -> Outcome:
        plain = replace(node, op=op, domain="", attrs={**node.attrs, **(attrs or {})})
        outcome = rule(plain, ctx)
        if not isinstance(outcome, View):
            for draft in outcome:
                draft.op = node.op
        return outcome

    return ruled


def no_norm(node: Node, ctx: Context) -> Outcome:
    """iNoNorm: a factor and an offset for each element, scaled to its levels."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"mul": 2 * n, "add": n}, row_wise=True)]


def divide(node: Node, ctx: Context) -> Outcome:
    """IntegerDiv, TrueIntegerDiv: a division per result (a product by a stored one)."""
    n = ctx.graph.size(node.outputs[0], node)
    stored = len(node.inputs) < 2 or ctx.graph.is_const(node.inputs[1])
    return [vector(node, ctx, {"mul" if stored else "div": n}, row_wise=True)]


def average(node: Node, ctx: Context) -> Outcome:
    """QuantAvgPool2d, IntegerMean: additions, and the scale of each result."""
    graph = ctx.graph
    n = graph.size(node.outputs[0], node)
    size = int(node.attrs.get("kernel", 0))
    taps = n * size * size if size else graph.size(node.inputs[0], node)
    return [vector(node, ctx, {"add" if size else "reduce": taps, "mul": n}, weights=[])]


def patches(node: Node, ctx: Context) -> Outcome:
    """Im2Col: its windows are written side by side."""
    return [vector(node, ctx, {}, weights=[], kind="movement")]


def convolution_last(node: Node, ctx: Context) -> Outcome:
    """Conv with channels last in its input, its kernel and its result."""
    w = node.inputs[1]
    shape = ctx.graph.shape(w, node)
    first = (shape[0], shape[-1], *shape[1:-1])
    x, bias = node.inputs[0], node.input(2)
    return [convolution(node, ctx, x, w, bias, last=True, kernel=first)]


RULES: dict[str, Rule] = dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantize)
#: Rules of the dialects, by domain and operator.
ELSEWHERE: dict[tuple[str, str], Rule] = {
    **{(DIALECT, op): quantize for op in QUANTIZERS | {"Dequant", "DebugMarker"}},
    (DIALECT, "MultiThreshold"): thresholds,
    (DIALECT, "RequantShift"): requantize,
    **dict.fromkeys(((DIALECT, op) for op in ("QuantAvgPool2d", "IntegerMean")), average),
    (DIALECT, "Im2Col"): patches,
    (DIALECT, "XnorPopcountMatMul"): matmul.plain,
    (DIALECT, "MaxPoolNHWC"): _as("NhwcMaxPool", pooling.pool),
    (DIALECT, "iNoNorm"): no_norm,
    **dict.fromkeys(((DIALECT, op) for op in ("IntegerDiv", "TrueIntegerDiv")), divide),
    **dict.fromkeys(
        ((DIALECT, op) for op in ("iSoftmax", "ITAMax", "ITAPartialMax")),
        _as("Softmax", normalization.softmax),
    ),
    (DIALECT, "iLayerNorm"): _as("LayerNormalization", normalization.layer_norm),
    **dict.fromkeys(
        ((DIALECT, op) for op in ("iRMSNorm", "RMSNorm")),
        _as("RMSNormalization", normalization.layer_norm),
    ),
    (DIALECT, "iGELU"): _as("Gelu", elementwise.unary),
    (DIALECT, "iHardswish"): _as("HardSwish", elementwise.unary),
    (DIALECT, "iLeakyReLU"): _as("LeakyRelu", elementwise.unary),
    (CHANNELS_LAST, "Conv"): convolution_last,
    (CHANNELS_LAST, "MaxPool"): _as("NhwcMaxPool", pooling.pool),
    (CHANNELS_LAST, "BatchNormalization"): normalization.batch_norm,
}
