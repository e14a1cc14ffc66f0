"""com.microsoft operators on integers that have a scale and a zero point beside each tensor."""

from __future__ import annotations

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Outcome, Rule, vector
from dse.workload.ops.pooling import taps_of


def concat(node: Node, ctx: Context) -> Outcome:
    """QLinearConcat: every element is scaled to the result's scale."""
    n = ctx.graph.size(node.outputs[0], node)
    stored = [name for name in node.inputs[2::3] if ctx.graph.is_const(name)]
    return [vector(node, ctx, {"mul": n}, weights=stored)]


def where(node: Node, ctx: Context) -> Outcome:
    """QLinearWhere: both sides to the result's scale, then a selection."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"mul": 2 * n, "compare": n}, weights=[], row_wise=True)]


def average_pool(node: Node, ctx: Context) -> Outcome:
    """QLinearAveragePool: an addition for each tap of each result, and its scale."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"add": n * taps_of(node), "mul": n}, weights=[])]


def mean(node: Node, ctx: Context) -> Outcome:
    """QLinearGlobalAveragePool, QLinearReduceMean, ReduceSumInteger."""
    n, results = ctx.graph.size(node.inputs[0], node), ctx.graph.size(node.outputs[0], node)
    work = {"reduce": n} | ({} if node.op == "ReduceSumInteger" else {"mul": results})
    return [vector(node, ctx, work, weights=[])]


def product(node: Node, ctx: Context) -> Outcome:
    """MulInteger: zero points are operands 1 and 3."""
    n = ctx.graph.size(node.outputs[0], node)
    stored = [name for name in node.inputs[0:3:2] if ctx.graph.is_const(name)]
    return [vector(node, ctx, {"mul": n}, weights=stored, row_wise=True)]


RULES: dict[str, Rule] = {
    "QLinearConcat": concat,
    "QLinearWhere": where,
    "QLinearAveragePool": average_pool,
    **dict.fromkeys(("QLinearGlobalAveragePool", "QLinearReduceMean", "ReduceSumInteger"), mean),
    "MulInteger": product,
}
