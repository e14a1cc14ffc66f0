"""Matrix products: MatMul of any rank, Gemm, and their quantized forms."""

from __future__ import annotations

import math

import onnx

from dse.workload.dialects import integer_format
from dse.workload.graph import Node, Shape
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule
from dse.workload.ops.elementwise import UNARY, activated
from dse.workload.remedies import fitting


def product_layer(
    node: Node,
    ctx: Context,
    nest: LoopNest,
    i: str,
    w: str,
    *,
    out: str | None = None,
    channel_axis: int | None = -1,
    bias: str | None = None,
) -> Draft:
    """A compute layer with moving operand ``i`` and weight (or second activation) ``w``."""
    graph = ctx.graph
    result = out or node.outputs[0]
    draft = Draft(
        name=node.name,
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[i, w],
        outputs=[result],
        nest=nest,
        w_tensor=w,
        w_is_activation=not graph.is_const(w),
        w_elements=graph.size(w, node),
        i_elements=graph.size(i, node),
        o_elements=graph.size(result, node),
        channel_axis=channel_axis,
        linear=True,
    )
    if bias is not None:
        if graph.is_const(bias):
            draft.b_elements = graph.size(bias, node)
            draft.biases.append(bias)
        else:
            draft.side_elements = graph.size(bias, node)
            draft.work(["add"], draft.o_elements)
        draft.inputs.append(bias)
    return draft


def matmul_nest(a: Shape, b: Shape) -> LoopNest:
    """The nest of ``A (..., M, C) @ B (..., C, K)`` with B as the weight.

    Leading axes along which both vary, or B alone, are groups ``G``; along which A alone varies,
    batch ``B`` (they share the weights). M is ``OX``.
    """
    rank = max(len(a), len(b)) - 2
    lead_a = (1,) * (rank + 2 - len(a)) + a[:-2]
    lead_b = (1,) * (rank + 2 - len(b)) + b[:-2]
    groups = math.prod(n for n in lead_b)
    batch = math.prod(n for n, m in zip(lead_a, lead_b, strict=True) if m == 1)
    return LoopNest(G=groups, B=batch, K=b[-1], C=a[-1], OX=a[-2])


def matmul(
    node: Node, ctx: Context, a: str, b: str, *, flip_a: bool = False, flip_b: bool = False
) -> Draft:
    """``A @ B`` with numpy broadcasting; a stored A with a moving B is computed as its transpose.

    Raises:
        InputError: the inner sizes differ.
    """
    graph = ctx.graph
    sa, sb = graph.shape(a, node), graph.shape(b, node)
    if flip_a:
        sa = (*sa[:-2], sa[-1], sa[-2])
    if flip_b:
        sb = (*sb[:-2], sb[-1], sb[-2])
    sa = (1, *sa) if len(sa) == 1 else sa
    sb = (*sb, 1) if len(sb) == 1 else sb
    if not sa or not sb or sa[-1] != sb[-2]:
        mend = fitting(node, graph, "the graph is invalid: export it again")
        raise graph.fault(node, f"shapes {sa} and {sb} do not multiply", mend)
    if graph.is_const(a) and not graph.is_const(b):
        nest = matmul_nest((*sb[:-2], sb[-1], sb[-2]), (*sa[:-2], sa[-1], sa[-2]))
        return product_layer(node, ctx, nest, b, a, channel_axis=-2)
    return product_layer(node, ctx, matmul_nest(sa, sb), a, b)


def plain(node: Node, ctx: Context) -> Outcome:
    return [matmul(node, ctx, node.inputs[0], node.inputs[1])]


def fused(node: Node, ctx: Context) -> Outcome:
    """com.microsoft FusedMatMul, FusedMatMulActivation, TransposeMatMul.

    Their scale is folded into the weights.
    """
    graph = ctx.graph
    if node.attrs.get("transBatchA") or node.attrs.get("transBatchB"):
        raise graph.fault(node, "transposed batch axes", "export it with Transpose and MatMul")
    flip_a, flip_b = bool(node.attrs.get("transA")), bool(node.attrs.get("transB"))
    draft = matmul(node, ctx, node.inputs[0], node.inputs[1], flip_a=flip_a, flip_b=flip_b)
    return [activated(draft, node, ctx)]


def qlinear_matmul(node: Node, ctx: Context) -> Outcome:
    return [matmul(node, ctx, node.inputs[0], node.inputs[3])]


def qgemm(node: Node, ctx: Context) -> Outcome:
    """com.microsoft QGemm: a, its scale and zero point, b, its two, c."""
    draft = matmul(
        node,
        ctx,
        node.inputs[0],
        node.inputs[3],
        flip_a=bool(node.attrs.get("transA")),
        flip_b=bool(node.attrs.get("transB")),
    )
    return [_with_bias(draft, node, ctx, node.input(6))]


def gemm(node: Node, ctx: Context) -> Outcome:
    """Gemm, and com.microsoft FusedGemm with its activation. alpha and beta fold into weights."""
    draft = matmul(
        node,
        ctx,
        node.inputs[0],
        node.inputs[1],
        flip_a=bool(node.attrs.get("transA")),
        flip_b=bool(node.attrs.get("transB")),
    )
    draft = _with_bias(draft, node, ctx, node.input(2))
    if node.op == "GemmFastGelu":
        draft.work(UNARY["FastGelu"], draft.o_elements)
        draft.linear = False
    return [activated(draft, node, ctx)]


def dynamic(node: Node, ctx: Context) -> Outcome:
    """DynamicQuantizeMatMul (scales its first operand) and MatMulIntegerToFloat."""
    draft = matmul(node, ctx, node.inputs[0], node.inputs[1])
    bias = node.input(4 if node.op == "DynamicQuantizeMatMul" else 6)
    draft = _with_bias(draft, node, ctx, bias)
    if node.op == "DynamicQuantizeMatMul":
        n = draft.i_elements
        draft.work(["reduce"], 2 * n)
        draft.work(["mul"], n)
        draft.work(["div"], 1)
    return [draft]


def _with_bias(draft: Draft, node: Node, ctx: Context, bias: str | None) -> Draft:
    if bias is None:
        return draft
    draft.inputs.append(bias)
    if ctx.graph.is_const(bias):
        draft.biases.append(bias)
        draft.b_elements = ctx.graph.size(bias, node)
    else:
        draft.side_elements = ctx.graph.size(bias, node)
        draft.work(["add"], draft.o_elements)
    return draft


def _bytes(name: str, node: Node, ctx: Context) -> int:
    """Stored bytes of a tensor whose elements fill whole bytes."""
    kind = ctx.graph.types.get(name, int(onnx.TensorProto.UINT8))
    return ctx.graph.size(name, node) * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize


def packed(node: Node, ctx: Context) -> Outcome:
    """com.microsoft MatMulNBits, MatMulBnb4: packed weights of ``bits`` bits, a scale per block.

    Scales and zero points are counted by ``dse.workload.scales``. Blocks that do not fill up with
    the depth are stored whole.
    """
    graph = ctx.graph
    x, width, depth = node.inputs[0], int(node.attrs["N"]), int(node.attrs["K"])
    bits = int(node.attrs.get("bits", 4))
    if (
        graph.shape(x, node)[-1:] != (depth,)
        or 8 * _bytes(node.inputs[1], node, ctx) < width * depth * bits
    ):
        raise graph.fault(
            node,
            f"{width} x {depth} weights of {bits} bits do not fit {graph.shape(x, node)} and "
            f"{_bytes(node.inputs[1], node, ctx)} stored bytes",
            "the graph is invalid: export it again",
        )
    rows = graph.size(x, node) // depth
    draft = product_layer(
        node, ctx, LoopNest(K=width, C=depth, OX=rows), x, node.inputs[1], bias=node.input(5)
    )
    draft.w_elements = width * depth
    held = 8 * _bytes(node.inputs[1], node, ctx)
    draft.shapes[node.inputs[1]] = (width, max(depth, held // (width * bits)))
    fp4 = node.op == "MatMulBnb4" and not node.attrs.get("quant_type", 0)
    draft.w_format = "fp4" if fp4 else integer_format(bits)
    return [draft]


RULES: dict[str, Rule] = {
    "MatMul": plain,
    "MatMulInteger": plain,
    "FusedMatMul": fused,
    "QLinearMatMul": qlinear_matmul,
    "Gemm": gemm,
    "FusedGemm": gemm,
    "QGemm": qgemm,
    "FusedMatMulActivation": fused,
    "TransposeMatMul": fused,
    "GemmFastGelu": gemm,
    "DynamicQuantizeMatMul": dynamic,
    "MatMulIntegerToFloat": dynamic,
    "MatMulNBits": packed,
    "MatMulBnb4": packed,
}
