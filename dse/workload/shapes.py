"""Shapes that onnx leaves open: operators it does not know, sizes computed by constants."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from dse.workload.graph import Graph, Node, Shape

#: Operators whose first result has the shape of their first input.
SAME = frozenset(
    {"BiasGelu", "FastGelu", "QuickGelu", "Gelu", "BiasSplitGelu", "SkipLayerNormalization"}
    | {"SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization", "RotaryEmbedding"}
    | {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "RMSNormalization"}
    | {"GroupNorm", "SkipGroupNorm", "NhwcMaxPool", "BiasAdd", "EmbedLayerNormalization"}
    | {"QuantizeLinear", "DequantizeLinear", "Dropout"}
)
#: Two operands (data, scale, zero point each) that broadcast.
QUANTIZED_PAIRS = frozenset({"QLinearAdd", "QLinearMul"})

Found = dict[str, tuple[int, Shape]]


def missing_shapes(graph: Graph) -> Found:
    """Element type and shape of results that onnx did not infer but that follow from the inputs.

    Only results whose inputs are all known are given, so that a further round of inference can
    build on them.
    """
    found: Found = {}
    for node in graph.nodes:
        if all(name in graph.shapes for name in node.outputs if name):
            continue
        for name, shape in _shapes_of(node, graph).items():
            if name and name not in graph.shapes and name not in found:
                kind = graph.types.get(name) or _type_of(node, graph)
                found[name] = (kind, shape)
    return found


def _type_of(node: Node, graph: Graph) -> int:
    for name in node.inputs:
        if name in graph.types:
            return graph.types[name]
    return int(onnx.TensorProto.FLOAT)


def _shapes_of(node: Node, graph: Graph) -> dict[str, Shape]:
    value = graph.value(node.outputs[0]) if node.outputs and not node.domain else None
    if value is not None:
        return {node.outputs[0]: value.shape}
    rule = _RULES.get(node.op)
    first = node.input(0)
    if node.op in SAME and first in graph.shapes:
        assert first is not None
        return {node.outputs[0]: graph.shapes[first]}
    if rule is None:
        return {}
    try:
        return rule(node, graph)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return {}


def _reshape(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[1])
    if wanted is None:
        return {}
    before = graph.shapes[node.inputs[0]]
    dims = [int(v) for v in wanted.reshape(-1)]
    if not node.attrs.get("allowzero"):
        dims = [before[i] if v == 0 else v for i, v in enumerate(dims)]
    known = math.prod(v for v in dims if v != -1)
    rest = math.prod(before) // known if known else 0
    return {node.outputs[0]: tuple(rest if v == -1 else v for v in dims)}


def _expand(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[1])
    if wanted is None:
        return {}
    return {node.outputs[0]: _broadcast(graph.shapes[node.inputs[0]], tuple(map(int, wanted)))}


def _broadcast(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    padded = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    return tuple(y if x == 1 else x for x, y in padded)


def _filled(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[0])
    return {} if wanted is None else {node.outputs[0]: tuple(int(v) for v in wanted.reshape(-1))}


def _resize(node: Node, graph: Graph) -> dict[str, Shape]:
    before = graph.shapes[node.inputs[0]]
    sizes, scales = graph.value(node.input(3)), graph.value(node.input(2) or node.input(1))
    if sizes is not None and sizes.size == len(before):
        return {node.outputs[0]: tuple(int(v) for v in sizes)}
    if scales is not None and scales.size == len(before):
        grown = zip(before, scales.reshape(-1), strict=True)
        return {node.outputs[0]: tuple(math.floor(n * float(s)) for n, s in grown)}
    return {}


def _tile(node: Node, graph: Graph) -> dict[str, Shape]:
    times = graph.value(node.inputs[1])
    if times is None:
        return {}
    pairs = zip(graph.shapes[node.inputs[0]], times.reshape(-1), strict=True)
    return {node.outputs[0]: tuple(n * int(t) for n, t in pairs)}


def _slice(node: Node, graph: Graph) -> dict[str, Shape]:
    starts, ends = graph.value(node.input(1)), graph.value(node.input(2))
    if starts is None or ends is None:
        return {}
    shape = list(graph.shapes[node.inputs[0]])
    axes, steps = graph.value(node.input(3)), graph.value(node.input(4))
    if (node.input(3) and axes is None) or (node.input(4) and steps is None):
        return {}
    for i, (start, end) in enumerate(zip(starts.reshape(-1), ends.reshape(-1), strict=True)):
        axis = int(axes.reshape(-1)[i]) if axes is not None else i
        step = int(steps.reshape(-1)[i]) if steps is not None else 1
        shape[axis] = len(range(shape[axis])[slice(int(start), int(end), step)])
    return {node.outputs[0]: tuple(shape)}


def _reduced(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = graph.shapes[node.inputs[0]]
    axes = graph.value(node.input(1))
    if node.input(1) and axes is None:
        return {}
    given = node.ints("axes", []) if axes is None else [int(a) for a in axes.reshape(-1)]
    if not given and node.attrs.get("noop_with_empty_axes"):
        return {node.outputs[0]: shape}
    gone = {a % len(shape) for a in given} if given else set(range(len(shape)))
    if node.attrs.get("keepdims", 1):
        return {node.outputs[0]: tuple(1 if i in gone else n for i, n in enumerate(shape))}
    return {node.outputs[0]: tuple(n for i, n in enumerate(shape) if i not in gone)}


def _split(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = graph.shapes[node.inputs[0]]
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    sizes = graph.value(node.input(1))
    if node.input(1) and sizes is None:
        return {}
    parts = len(node.outputs)
    step = -(-shape[axis] // parts)
    equal = [min(step, shape[axis] - i * step) for i in range(parts)]
    given = equal if sizes is None else [int(v) for v in sizes.reshape(-1)]
    pairs = zip(node.outputs, given, strict=True)
    return {name: (*shape[:axis], n, *shape[axis + 1 :]) for name, n in pairs}


def _padded(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = list(graph.shapes[node.inputs[0]])
    pads, axes = graph.value(node.input(1)), graph.value(node.input(3))
    if pads is None or (node.input(3) and axes is None):
        return {}
    chosen = range(len(shape)) if axes is None else [int(a) for a in axes.reshape(-1)]
    ends = [int(v) for v in pads.reshape(-1)]
    for i, axis in enumerate(chosen):
        shape[axis] += ends[i] + ends[i + len(ends) // 2]
    return {node.outputs[0]: tuple(shape)}


def _quantized_pair(node: Node, graph: Graph) -> dict[str, Shape]:
    a, b = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[3]]
    return {node.outputs[0]: _broadcast(a, b)}


def _fused_conv(node: Node, graph: Graph) -> dict[str, Shape]:
    x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    spatial = len(w) - 2
    strides, dilations = node.ints("strides", [1] * spatial), node.ints("dilations", [1] * spatial)
    pads = node.ints("pads", [0] * 2 * spatial)
    sizes = tuple(
        (x[2 + i] + pads[i] + pads[i + spatial] - dilations[i] * (w[2 + i] - 1) - 1) // strides[i]
        + 1
        for i in range(spatial)
    )
    return {node.outputs[0]: (x[0], w[0], *sizes)}


def _fused_matmul(node: Node, graph: Graph) -> dict[str, Shape]:
    a, b = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    if node.attrs.get("transA"):
        a = (*a[:-2], a[-1], a[-2])
    if node.attrs.get("transB"):
        b = (*b[:-2], b[-1], b[-2])
    return {node.outputs[0]: (*_broadcast(a[:-2], b[:-2]), a[-2], b[-1])}


def _packed_matmul(node: Node, graph: Graph) -> dict[str, Shape]:
    return {node.outputs[0]: (*graph.shapes[node.inputs[0]][:-1], int(node.attrs["N"]))}


def _attention(node: Node, graph: Graph) -> dict[str, Shape]:
    x = graph.shapes[node.inputs[0]]
    if node.op == "Attention" and node.domain:
        hidden = node.ints("qkv_hidden_sizes", [graph.shapes[node.inputs[1]][1] // 3] * 3)
        return {node.outputs[0]: (*x[:-1], hidden[-1])}
    if node.op == "GroupQueryAttention":
        heads, shared = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
        head = x[-1] // heads if node.input(1) else x[-1] // (heads + 2 * shared)
        found = {node.outputs[0]: (*x[:-1], heads * head)}
        past = graph.shapes[node.inputs[3]][2] if node.input(3) else 0
        for name in node.outputs[1:3]:
            found[name] = (x[0], shared, max(past, x[1]), head)
        return found
    values = node.input(2)
    width = graph.shapes[values][-1] if values and len(graph.shapes[values]) == 3 else x[-1]
    return {node.outputs[0]: (*x[:-1], width)}


_RULES: dict[str, Callable[[Node, Graph], dict[str, Shape]]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "Resize": _resize,
    "Upsample": _resize,
    "Tile": _tile,
    "Slice": _slice,
    "Split": _split,
    "Pad": _padded,
    **dict.fromkeys(
        (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSum",
            "ReduceLogSumExp",
        ),
        _reduced,
    ),
    "QLinearAdd": _quantized_pair,
    "QLinearMul": _quantized_pair,
    "FusedConv": _fused_conv,
    "FusedMatMul": _fused_matmul,
    "FusedGemm": _fused_matmul,
    "MatMulNBits": _packed_matmul,
    "Attention": _attention,
    "MultiHeadAttention": _attention,
    "GroupQueryAttention": _attention,
}
