"""Pooling, reductions, selections and resampling."""

from __future__ import annotations

import math

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Outcome, Rule, View, live_outputs, vector


def taps_of(node: Node) -> int:
    """Taps of a pooling window."""
    return math.prod(node.ints("kernel_shape", [1]))


def pool(node: Node, ctx: Context) -> Outcome:
    """One comparison (maximum) or addition (average, Lp) for each tap of each result."""
    n = ctx.graph.size(node.outputs[0], node)
    taps = taps_of(node)
    if node.op in ("MaxPool", "NhwcMaxPool"):
        return [vector(node, ctx, {"compare": n * taps})]
    work = {"add": n * taps, "mul": n}
    if node.op == "LpPool":
        work = {"mul": n * taps, "add": n * taps, "lut": n}
    return [vector(node, ctx, work, weights=[])]


def global_pool(node: Node, ctx: Context) -> Outcome:
    """Every element into its channel's sum or maximum."""
    n = ctx.graph.size(node.inputs[0], node)
    results = ctx.graph.size(node.outputs[0], node)
    work = {"reduce": n}
    if node.op.endswith("AveragePool"):
        work["mul"] = results
    elif node.op == "GlobalLpPool":
        work |= {"mul": n, "lut": results}
    return [vector(node, ctx, work, weights=[])]


#: Work of a reduction: functions per element going in, and per result.
_REDUCTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ReduceSum": (("reduce",), ()),
    "ReduceMax": (("reduce",), ()),
    "ReduceMin": (("reduce",), ()),
    "ReduceProd": (("mul",), ()),
    "ReduceMean": (("reduce",), ("mul",)),
    "ReduceL1": (("relu", "reduce"), ()),
    "ReduceL2": (("mul", "reduce"), ("div",)),
    "ReduceSumSquare": (("mul", "reduce"), ()),
    "ReduceLogSum": (("reduce",), ("lut",)),
    "ReduceLogSumExp": (("reduce", "add", "exp", "reduce"), ("lut", "add")),
    "ArgMax": (("compare",), ()),
    "ArgMin": (("compare",), ()),
}


def reduction(node: Node, ctx: Context) -> Outcome:
    """Reductions over any axes, ArgMax and ArgMin. Over axes of one element: a view."""
    graph = ctx.graph
    n, results = graph.size(node.inputs[0], node), graph.size(node.outputs[0], node)
    if n == results and node.op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"):
        return View((node.inputs[0],))
    each, last = _REDUCTIONS[node.op]
    draft = vector(node, ctx, {}, weights=[])
    draft.work(each, n)
    draft.work(last, results)
    return [draft]


def top_k(node: Node, ctx: Context) -> Outcome:
    """TopK: each element against a heap of k, log2(k) + 1 comparisons."""
    n = ctx.graph.size(node.inputs[0], node)
    out = live_outputs(node, ctx.graph)[0]
    axis = int(node.attrs.get("axis", -1))
    k = ctx.graph.shape(out, node)[axis] if ctx.graph.shape(out, node) else 1
    steps = math.ceil(math.log2(max(2, k))) + 1
    return [vector(node, ctx, {"compare": n * steps}, weights=[])]


#: Taps of interpolation along one axis.
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}


def resize(node: Node, ctx: Context) -> Outcome:
    """Resize, Upsample: a weighted sum of 2 (linear) or 4 (cubic) taps along each resized axis.

    Nearest copies elements, and so does growing an axis of one element. The same size is a view.
    """
    graph = ctx.graph
    before, after = graph.shape(node.inputs[0], node), graph.shape(node.outputs[0], node)
    if before == after:
        return View((node.inputs[0],))
    axes = sum(a != b and a > 1 for a, b in zip(before, after, strict=True))
    taps = _TAPS.get(str(node.attrs.get("mode", "nearest")), 2) ** axes
    n = math.prod(after)
    work = {"copy": n} if taps == 1 else {"mul": n * taps, "add": n * (taps - 1)}
    return [vector(node, ctx, work, weights=[])]


def grid_sample(node: Node, ctx: Context) -> Outcome:
    """GridSample: gathers the taps of each result and weighs them (16 taps if cubic)."""
    n = ctx.graph.size(node.outputs[0], node)
    axes = len(ctx.graph.shape(node.inputs[0], node)) - 2
    mode = str(node.attrs.get("mode", "linear"))
    taps = {"nearest": 1, "bicubic": 4, "cubic": 4}.get(mode, 2) ** axes
    work = {"copy": n} if taps == 1 else {"copy": n * taps, "mul": n * taps, "add": n * (taps - 1)}
    return [vector(node, ctx, work)]


def roi_align(node: Node, ctx: Context) -> Outcome:
    """RoiAlign: bilinear samples, averaged; an adaptive ratio (0) is taken as 2 a bin and axis."""
    n = ctx.graph.size(node.outputs[0], node)
    samples = max(1, int(node.attrs.get("sampling_ratio", 0)) or 2) ** 2
    work = {"copy": 4 * n * samples, "mul": 4 * n * samples, "add": 4 * n * samples}
    return [vector(node, ctx, work)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "NhwcMaxPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), global_pool),
    **dict.fromkeys(_REDUCTIONS, reduction),
    "TopK": top_k,
    "Resize": resize,
    "Upsample": resize,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
}
