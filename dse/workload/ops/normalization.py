"""Normalizations and softmax, counted by their usual two-pass algorithms."""

from __future__ import annotations

import math

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, over_rows, vector


def softmax(node: Node, ctx: Context) -> Outcome:
    """Maximum, subtract, exponential, sum; then one reciprocal a row and a product.

    LogSoftmax takes a logarithm a row and subtracts instead. Softmax over an axis of one element
    is a constant and still counted.
    """
    graph = ctx.graph
    shape = graph.shape(node.inputs[0], node)
    n = math.prod(shape)
    older = graph.opset < 13 and not node.domain
    axis = int(node.attrs.get("axis", 1 if older or node.op == "BiasSoftmax" else -1))
    axis %= max(1, len(shape))
    row = math.prod(shape[axis:]) if older else (shape[axis] if shape else 1)
    rows = n // row if row else 0
    work = {"reduce": 2 * n, "add": n, "exp": n}
    if node.op == "LogSoftmax":
        work |= {"lut": rows, "add": 2 * n}
    elif node.op == "Hardmax":
        work = {"compare": 2 * n}
    else:
        work |= {"div": rows, "mul": n}
    axes = range(axis, max(1, len(shape))) if older else [axis]
    within = over_rows(axes, shape)
    if node.op == "BiasSoftmax":
        work["add"] += n
        return [vector(node, ctx, work, row_wise=within)]
    return [vector(node, ctx, work, weights=[], row_wise=within)]


def multinomial(node: Node, ctx: Context) -> Outcome:
    """Multinomial: exponentials and their running sum, in which each draw is looked up."""
    graph = ctx.graph
    rows, classes = graph.shape(node.inputs[0], node)
    n, draws = rows * classes, rows * int(node.attrs.get("sample_size", 1))
    steps = math.ceil(math.log2(max(2, classes)))
    work = {"exp": n, "add": n, "mul": draws, "compare": draws * steps}
    return [vector(node, ctx, work, weights=[])]


def _normalized(
    node: Node,
    ctx: Context,
    n: int,
    rows: int,
    *,
    centred: bool,
    scale: bool,
    shift: bool,
    row_wise: bool = False,
) -> Draft:
    """Mean (if ``centred``), variance, one reciprocal root a row, scale and shift."""
    work = {"mul": 2 * n + (n if scale else 0), "reduce": n, "div": rows}
    work["add"] = rows + (n if shift else 0)
    if centred:
        work["reduce"] += n
        work["add"] += n
        work["mul"] += rows
    return vector(node, ctx, work, row_wise=row_wise)


def layer_norm(node: Node, ctx: Context) -> Outcome:
    """LayerNormalization, and the root-mean-square forms without mean.

    Normalizations recognized among single operators carry ``axes``; the others normalize from
    ``axis`` on. The Skip forms add their second input first (and a stored bias, inputs 4 or 3),
    and may hand on that sum, which is then written as well.
    """
    graph = ctx.graph
    shape = graph.shape(node.inputs[0], node)
    n, skip = math.prod(shape), node.op.startswith("Skip")
    centred = node.op in ("LayerNormalization", "SkipLayerNormalization")
    rank = len(shape)
    if "axes" in node.attrs:
        axes = [int(a) % max(1, rank) for a in node.attrs["axes"]]
        rows = n // max(1, math.prod(shape[a] for a in axes))
    else:
        axis = (-1 if skip else int(node.attrs.get("axis", -1))) % max(1, rank)
        axes = list(range(axis, rank))
        rows = math.prod(shape[:axis])
    operands = len([name for name in node.inputs if name])
    plain_shift = operands > 2 and not skip
    draft = _normalized(
        node,
        ctx,
        n,
        rows,
        centred=centred,
        scale=operands > 1,
        shift=plain_shift or (skip and centred and node.input(3) is not None),
        row_wise=over_rows(axes, shape),
    )
    if skip:
        bias = node.input(4 if centred else 3)
        draft.work(["add"], n * (2 if bias else 1))
    return [draft]


def group_norm(node: Node, ctx: Context) -> Outcome:
    """GroupNormalization (groups), InstanceNormalization (a row per channel)."""
    shape = ctx.graph.shape(node.inputs[0], node)
    groups = int(node.attrs.get("num_groups", node.attrs.get("groups", shape[1])))
    draft = _normalized(
        node, ctx, math.prod(shape), shape[0] * groups, centred=True, scale=True, shift=True
    )
    if int(node.attrs.get("activation", 0)):
        draft.work(["lut", "mul"], math.prod(shape))
    if node.op == "SkipGroupNorm":
        draft.work(["add"], math.prod(shape) * len([n for n in node.inputs[3:5] if n]))
    return [draft]


def batch_norm(node: Node, ctx: Context) -> Outcome:
    """BatchNormalization that no convolution took in: one scale and shift per element.

    Further constant scales and shifts of its channels join it for nothing.
    """
    n = ctx.graph.size(node.inputs[0], node)
    draft = vector(node, ctx, {"mul": n, "add": n}, weights=node.inputs[1:3], row_wise=True)
    draft.outputs = [node.outputs[0]]
    draft.o_elements = n
    draft.channel_axis, draft.linear = 1, True
    return [draft]


def lrn(node: Node, ctx: Context) -> Outcome:
    """LRN: square, add over ``size`` channels, scale and offset, power by table, divide."""
    n, size = ctx.graph.size(node.inputs[0], node), int(node.attrs["size"])
    within = over_rows([1], ctx.graph.shape(node.inputs[0], node))
    work = {"mul": 2 * n, "add": size * n, "lut": n, "div": n}
    return [vector(node, ctx, work, row_wise=within)]


def lp_norm(node: Node, ctx: Context) -> Outcome:
    shape = ctx.graph.shape(node.inputs[0], node)
    axis = int(node.attrs.get("axis", -1))
    n, row = math.prod(shape), shape[axis]
    work = {"mul": 2 * n, "reduce": n, "div": n // row}
    return [vector(node, ctx, work, row_wise=over_rows([axis], shape))]


def mean_variance(node: Node, ctx: Context) -> Outcome:
    shape = ctx.graph.shape(node.inputs[0], node)
    axes = [a % len(shape) for a in node.ints("axes", [0, 2, 3])]
    n = math.prod(shape)
    row = math.prod(shape[a] for a in axes)
    within = over_rows(axes, shape)
    return [
        _normalized(node, ctx, n, n // row, centred=True, scale=False, shift=False, row_wise=within)
    ]


def loss(node: Node, ctx: Context) -> Outcome:
    """Cross entropy: a softmax with logarithm (unless given logarithms), one pick and sum a row."""
    shape = ctx.graph.shape(node.inputs[0], node)
    n = math.prod(shape)
    rows = n // shape[1] if n else 0
    work = {"mul": rows, "reduce": rows}
    if node.op == "SoftmaxCrossEntropyLoss":
        work |= {"reduce": rows + 2 * n, "add": 2 * n, "exp": n, "lut": rows}
    return [vector(node, ctx, work)]


RULES: dict[str, Rule] = {
    "NegativeLogLikelihoodLoss": loss,
    "SoftmaxCrossEntropyLoss": loss,
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "Hardmax": softmax,
    "QLinearSoftmax": softmax,
    "Multinomial": multinomial,
    **dict.fromkeys(
        (
            "LayerNormalization",
            "SkipLayerNormalization",
            "RMSNormalization",
            "SimplifiedLayerNormalization",
            "SkipSimplifiedLayerNormalization",
        ),
        layer_norm,
    ),
    "GroupNormalization": group_norm,
    "GroupNorm": group_norm,
    "SkipGroupNorm": group_norm,
    "BiasSoftmax": softmax,
    "InstanceNormalization": group_norm,
    "BatchNormalization": batch_norm,
    "LRN": lrn,
    "LpNormalization": lp_norm,
    "MeanVarianceNormalization": mean_variance,
}
