"""Shape rules of the com.microsoft operators, which onnx does not know."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from dse.registry import cached
from dse.workload.graph import Graph, Node, Shape
from dse.workload.shapes_windows import convolution, global_pool, pool, transposed

Found = dict[str, Shape]

#: Operators whose first result has the shape of their first input.
SAME = frozenset(
    {"BiasGelu", "FastGelu", "QuickGelu", "Gelu", "BiasAdd", "BiasSoftmax"}
    | {"RMSNormalization", "GroupNormalization", "RotaryEmbedding", "Inverse"}
    | {"MeanVarianceNormalization"}
    | {"ImageScaler", "Affine", "Scale", "ScaledTanh", "ParametricSoftplus"}
    | {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "GroupNorm"}
    | {"QuantizeLinear", "DequantizeLinear", "Dropout"}
)
#: Operators whose results have a type of their own.
TYPES: dict[str, int] = {
    "EmbedLayerNormalization": int(onnx.TensorProto.FLOAT),
    "QEmbedLayerNormalization": int(onnx.TensorProto.FLOAT),
    "MatMulIntegerToFloat": int(onnx.TensorProto.FLOAT),
    "MatMulInteger": int(onnx.TensorProto.INT32),
    "MulInteger": int(onnx.TensorProto.INT32),
    "ReduceSumInteger": int(onnx.TensorProto.INT32),
    "ConvInteger": int(onnx.TensorProto.INT32),
    "QAttention": int(onnx.TensorProto.FLOAT),
    "GatherBlockQuantized": int(onnx.TensorProto.FLOAT),
    "DequantizeLinear": int(onnx.TensorProto.FLOAT),
    "RelativePositionBias": int(onnx.TensorProto.FLOAT),
    "NonZero": int(onnx.TensorProto.INT64),
    **dict.fromkeys(("Shape", "Size"), int(onnx.TensorProto.INT64)),
    "NonMaxSuppression": int(onnx.TensorProto.INT64),
}
#: Operators whose result has the type of a scale, and that operand.
SCALED = {"DequantizeLinear": 1, "GatherBlockQuantized": 2, "MatMulIntegerToFloat": 2}


@cached(1)
def _first_versions() -> dict[str, int]:
    """Of each standard operator the version of the standard that brought it."""
    found: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            found[schema.name] = min(found.get(schema.name, 1 << 30), schema.since_version)
    return found


def first_version(op: str) -> int:
    """The first version with operator ``op``, 0 if there is none.

    ONNX Runtime takes operators into the standard domain before the standard does, and writes
    them into files of older versions (LayerNormalization above all).
    """
    return _first_versions().get(op, 0)


def is_packed_attention(node: Node) -> bool:
    """Whether a node called Attention is that of com.microsoft, whatever its domain."""
    return node.op == "Attention" and (node.domain == "com.microsoft" or "num_heads" in node.attrs)


def is_fused(node: Node) -> bool:
    """Whether a node is of com.microsoft, or of no standard and only called so."""
    return bool(node.domain) or node.op not in _first_versions() or is_packed_attention(node)


def broadcast(a: Shape, b: Shape) -> Shape:
    """Shape of an elementwise result, by numpy's rule."""
    rank = max(len(a), len(b))
    padded = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    return tuple(y if x == 1 else x for x, y in padded)


def _pair(first: int, second: int) -> Callable[[Node, Graph], Found]:
    def rule(node: Node, graph: Graph) -> Found:
        a, b = graph.shapes[node.inputs[first]], graph.shapes[node.inputs[second]]
        return {node.outputs[0]: broadcast(a, b)}

    return rule


def _quantized_where(node: Node, graph: Graph) -> Found:
    shape = broadcast(graph.shapes[node.inputs[1]], graph.shapes[node.inputs[4]])
    return {node.outputs[0]: broadcast(graph.shapes[node.inputs[0]], shape)}


def _quantized_concat(node: Node, graph: Graph) -> Found:
    pieces = [graph.shapes[name] for name in node.inputs[2::3]]
    axis = int(node.attrs["axis"]) % len(pieces[0])
    total = sum(piece[axis] for piece in pieces)
    return {node.outputs[0]: (*pieces[0][:axis], total, *pieces[0][axis + 1 :])}


def _reduced(node: Node, graph: Graph) -> Found:
    shape = graph.shapes[node.inputs[0]]
    gone = {a % len(shape) for a in node.ints("axes", list(range(len(shape))))}
    if node.attrs.get("keepdims", 1):
        return {node.outputs[0]: tuple(1 if i in gone else n for i, n in enumerate(shape))}
    return {node.outputs[0]: tuple(n for i, n in enumerate(shape) if i not in gone)}


def _matmul(second: int) -> Callable[[Node, Graph], Found]:
    def rule(node: Node, graph: Graph) -> Found:
        a, b = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[second]]
        if node.attrs.get("transA"):
            a = (*a[:-2], a[-1], a[-2])
        if node.attrs.get("transB"):
            b = (*b[:-2], b[-1], b[-2])
        left = a if len(a) > 1 else (1, *a)
        right = b if len(b) > 1 else (*b, 1)
        shape = broadcast(left[:-2], right[:-2])
        shape += (left[-2],) if len(a) > 1 else ()
        return {node.outputs[0]: shape + ((right[-1],) if len(b) > 1 else ())}

    return rule


def _packed_matmul(node: Node, graph: Graph) -> Found:
    return {node.outputs[0]: (*graph.shapes[node.inputs[0]][:-1], int(node.attrs["N"]))}


def _embedding(node: Node, graph: Graph) -> Found:
    """(batch, tokens) to (batch, tokens, width); then the mask's index and the sum before."""
    tokens, table = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[2]]
    shapes: tuple[Shape, ...] = ((*tokens, table[-1]), (tokens[0],), (*tokens, table[-1]))
    return dict(zip(node.outputs, shapes, strict=False))


def _skip_norm(node: Node, graph: Graph) -> Found:
    x = graph.shapes[node.inputs[0]]
    found = dict.fromkeys(node.outputs[1:3], (*x[:-1], 1))
    return {node.outputs[0]: x, **found, **dict.fromkeys(node.outputs[3:4], x)}


def _skip_group_norm(node: Node, graph: Graph) -> Found:
    return dict.fromkeys(node.outputs, graph.shapes[node.inputs[0]])


def _halved(node: Node, graph: Graph) -> Found:
    x = graph.shapes[node.inputs[0]]
    return {node.outputs[0]: (*x[:-1], x[-1] // 2)}


def _block_gather(node: Node, graph: Graph) -> Found:
    """Rows of a table of 2, 4 or 8 bits; a packed byte holds several numbers."""
    table, index = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    axis = int(node.attrs.get("gather_axis", 0)) % len(table)
    packed = graph.types.get(node.inputs[0]) == onnx.TensorProto.UINT8
    if packed:
        table = (*table[:-1], 8 // int(node.attrs.get("bits", 4)) * table[-1])
    return {node.outputs[0]: (*table[:axis], *index, *table[axis + 1 :])}


def _lstm(node: Node, graph: Graph) -> Found:
    x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    hidden, directions = int(node.attrs["hidden_size"]), w[0]
    state = (directions, x[1], hidden)
    shapes = ((x[0], directions, x[1], hidden), state, state)
    return {name: s for name, s in zip(node.outputs, shapes, strict=False) if name}


def _masked(node: Node, graph: Graph) -> Found:
    """The result, and which of its elements were kept: a truth each, or a bit in words of 32."""
    shape = graph.shapes[node.inputs[0]]
    found = {node.outputs[0]: shape}
    mask = node.outputs[1] if len(node.outputs) > 1 else ""
    if mask:
        bits = node.op.startswith("Bitmask")
        found[mask] = (-(-math.prod(shape) // 32),) if bits else shape
        kind = onnx.TensorProto.UINT32 if bits else onnx.TensorProto.BOOL
        graph.types.setdefault(mask, int(kind))
    return found


def _experts(node: Node, graph: Graph) -> Found:
    return {node.outputs[0]: graph.shapes[node.inputs[0]]}


def _position_bias(node: Node, graph: Graph) -> Found:
    heads = graph.shapes[node.inputs[0]][-1]
    queries, keys = graph.scalar(node.input(1)), graph.scalar(node.input(2))
    if queries is None or keys is None:
        return {}
    return {node.outputs[0]: (1, heads, int(queries), int(keys))}


def _distances(node: Node, graph: Graph) -> Found:
    return {node.outputs[0]: (graph.shapes[node.inputs[0]][0], graph.shapes[node.inputs[1]][0])}


def _packed_qkv(node: Node, graph: Graph) -> Found:
    """Attention and its forms that project by themselves."""
    x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    hidden = node.ints("qkv_hidden_sizes", [w[1] // 3] * 3)
    found: Found = {node.outputs[0]: (*x[:-1], hidden[-1])}
    past_at = 8 if node.op == "QAttention" else 4
    if len(node.outputs) > 1 and node.outputs[1]:
        heads = int(node.attrs["num_heads"])
        past = node.input(past_at)
        old = graph.shapes[past][3] if past else 0
        total = max(old, x[1]) if node.attrs.get("past_present_share_buffer") else old + x[1]
        found[node.outputs[1]] = (2, x[0], heads, total, hidden[0] // heads)
    return found


def group_query_keys(node: Node, graph: Graph) -> int:
    """Keys that a GroupQueryAttention reads: new ones and the cache.

    The operator has a cache either as long as what it holds (then the file, or the input
    ``total_sequence_length`` if it is a constant, says that it grows) or a buffer that is filled
    up to its end, which is assumed when nothing is said.
    """
    new = graph.shapes[node.inputs[0]][1]
    kept = graph.shapes[node.inputs[3]][2] if node.input(3) else 0
    place = 7 if node.op == "SparseAttention" else 6
    total = graph.scalar(node.input(place))
    return max(int(total) if total is not None else 0, kept, new)


def group_query_head(node: Node, graph: Graph) -> int:
    """Width of a head of GroupQueryAttention, from queries apart or packed with keys and values.

    Raises:
        InputError: the heads do not share the queries evenly, or the cache holds other ones.
    """
    x = graph.shapes[node.inputs[0]]
    heads, shared = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
    parts = heads if node.input(1) else heads + 2 * shared
    mend = "the graph is invalid: export it again"
    if x[-1] % parts:
        raise graph.fault(node, f"{x[-1]} numbers do not divide into {parts} heads", mend)
    head = x[-1] // parts
    bits = int(node.attrs.get("kv_cache_bit_width", 0))
    kept = head // 2 if bits == 4 else head  # two numbers of 4 bits lie in a byte
    past = graph.shapes.get(node.input(3) or "")
    if past is not None and (len(past) != 4 or (past[1], past[3]) != (shared, kept)):
        what = "packed queries, keys and values" if not node.input(1) else "queries"
        why = f"a cache {past} does not fit {shared} heads of {head} ({what} of {x[-1]})"
        raise graph.fault(node, why, mend)
    return head


def _group_query(node: Node, graph: Graph) -> Found:
    x = graph.shapes[node.inputs[0]]
    heads, shared = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
    head = group_query_head(node, graph)
    found = {node.outputs[0]: (*x[:-1], heads * head)}
    keys = group_query_keys(node, graph)
    past = graph.shapes.get(node.input(3) or "")
    for name in node.outputs[1:3]:
        found[name] = (x[0], shared, keys, past[3] if past else head)
    return found


def _multi_head(node: Node, graph: Graph) -> Found:
    """MultiHeadAttention with its operands apart, packed or as heads, and its caches."""
    q = graph.shapes[node.inputs[0]]
    heads = int(node.attrs["num_heads"])
    k, v = (graph.shapes[n] if (n := node.input(i)) else None for i in (1, 2))
    if len(q) == 5:  # (batch, tokens, heads, 3, head width)
        new, width, value_width = q[1], q[4], heads * q[4]
    elif k is not None and len(k) == 5:  # (batch, keys, heads, 2, head width)
        new, width, value_width = k[1], k[4], heads * k[4]
    elif k is None or v is None:
        return {}
    elif len(k) == 4:  # (batch, heads, keys, head width)
        new, width, value_width = k[2], k[3], heads * v[3]
    else:
        new, width, value_width = k[1], q[2] // heads, v[2]
    found: Found = {node.outputs[0]: (q[0], q[1], value_width)}
    place = 5 if node.op.startswith("Decoder") else 6
    past = node.input(place)
    old = graph.shapes[past][2] if past else 0
    share = node.op.startswith("Decoder") and node.attrs.get("past_present_share_buffer")
    total = max(old, new) if share else old + new
    for name, size in zip(node.outputs[1:3], (width, value_width // heads), strict=False):
        found[name] = (q[0], heads, total, size)
    if len(node.outputs) > 3:  # Q K^T before its softmax
        found[node.outputs[3]] = (q[0], heads, q[1], total)
    return found


FUSED_RULES: dict[str, Callable[[Node, Graph], Found]] = {
    "QLinearAdd": _pair(0, 3),
    "QLinearMul": _pair(0, 3),
    "MulInteger": _pair(0, 2),
    "QLinearWhere": _quantized_where,
    "QLinearConcat": _quantized_concat,
    "QLinearReduceMean": _reduced,
    "ReduceSumInteger": _reduced,
    "FusedConv": convolution(1, last=False),
    "QLinearConv": convolution(3, last=None),
    "NhwcConv": convolution(1, last=True),
    "NhwcFusedConv": convolution(1, last=True),
    "ConvTransposeWithDynamicPads": transposed,
    "NhwcMaxPool": pool,
    "QLinearAveragePool": pool,
    "QLinearGlobalAveragePool": global_pool,
    "FusedMatMul": _matmul(1),
    "FusedMatMulActivation": _matmul(1),
    "TransposeMatMul": _matmul(1),
    "FusedGemm": _matmul(1),
    "GemmFastGelu": _matmul(1),
    "QGemm": _matmul(3),
    "DynamicQuantizeMatMul": _matmul(1),
    "MatMulIntegerToFloat": _matmul(1),
    **dict.fromkeys(("MatMulNBits", "MatMulBnb4"), _packed_matmul),
    **dict.fromkeys(("EmbedLayerNormalization", "QEmbedLayerNormalization"), _embedding),
    **dict.fromkeys(
        ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
        _skip_norm,
    ),
    "SkipGroupNorm": _skip_group_norm,
    "BiasSplitGelu": _halved,
    **dict.fromkeys(("BiasDropout", "BitmaskBiasDropout"), _masked),
    "GatherBlockQuantized": _block_gather,
    "DynamicQuantizeLSTM": _lstm,
    **dict.fromkeys(("MoE", "QMoE"), _experts),
    "RelativePositionBias": _position_bias,
    "CDist": _distances,
    **dict.fromkeys(
        ("Attention", "QAttention", "DecoderMaskedSelfAttention"),
        _packed_qkv,
    ),
    **dict.fromkeys(("MultiHeadAttention", "DecoderMaskedMultiHeadAttention"), _multi_head),
    **dict.fromkeys(("GroupQueryAttention", "SparseAttention"), _group_query),
}
