"""What no accelerator unit does: control-heavy work, left to the host core."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, activations, live_outputs


def host_layer(node: Node, ctx: Context, work: dict[str, int], note: str) -> Draft:
    """A host layer; sizes that are not known (they depend on data) count as their bound or as 0."""
    shapes = ctx.graph.shapes
    reads, writes = activations(node, ctx.graph), live_outputs(node, ctx.graph)
    return Draft(
        name=node.name,
        op=node.op,
        kind="host",
        nodes=[node.name],
        inputs=reads,
        outputs=writes,
        i_elements=sum(math.prod(shapes[n]) for n in reads if n in shapes),
        o_elements=sum(math.prod(shapes[n]) for n in writes if n in shapes),
        ops={function: count for function, count in work.items() if count},
        note=note,
    )


def unknown(node: Node, ctx: Context, is_known: Callable[[Node], bool]) -> Outcome:
    """An operator without a rule, by the user's leave: one operation per element it touches.

    ``is_known`` tells of a reader whether it has a rule, which needs the shape of what it reads.

    Raises:
        InputError: such a shape is not known, or the node holds a graph whose work would be lost.
    """
    graph = ctx.graph
    bodies = [k for k, v in node.attrs.items() if isinstance(v, onnx.GraphProto)]
    if bodies:
        raise graph.fault(
            node,
            f"the operator is not known, and its graph ({bodies[0]}) is work that would be lost",
            "export the model without it",
        )
    for name in live_outputs(node, graph):
        if name not in graph.shapes and any(map(is_known, graph.users.get(name, []))):
            raise graph.fault(
                node,
                f"the operator is not known, and nothing tells the shape of its result {name!r}",
                f"give it: --bind {name}.0=N, one for each axis",
            )
    draft = host_layer(node, ctx, {}, "unknown operator, by --unknown-ops host")
    draft.work(["copy"], draft.i_elements + draft.o_elements)
    return [draft]


def non_max_suppression(node: Node, ctx: Context) -> Outcome:
    """Boxes x kept boxes x classes overlap tests of about ten operations each."""
    graph = ctx.graph
    batch, classes, boxes = graph.shape(node.inputs[1], node)
    limit = graph.scalar(node.input(2))
    kept = min(boxes, int(limit)) if limit is not None else boxes
    pairs = batch * classes * boxes * kept
    work = {"compare": 5 * pairs, "add": 3 * pairs, "mul": pairs, "div": pairs}
    return [host_layer(node, ctx, work, "overlap tests")]


def scan(node: Node, ctx: Context) -> Outcome:
    """One comparison per element (NonZero, Unique), with a sort for Unique."""
    n = sum(math.prod(ctx.graph.shapes.get(i, ())) for i in activations(node, ctx.graph))
    steps = math.ceil(math.log2(max(2, n))) if node.op == "Unique" else 1
    return [host_layer(node, ctx, {"compare": n * steps}, "size depends on data")]


def determinant(node: Node, ctx: Context) -> Outcome:
    """Det by elimination: n^3 / 3 products and sums of an n x n matrix."""
    shape = ctx.graph.shape(node.inputs[0], node)
    work = math.prod(shape[:-2]) * shape[-1] ** 3 // 3
    return [host_layer(node, ctx, {"mul": work, "add": work}, "elimination")]


RULES: dict[str, Rule] = {
    "NonMaxSuppression": non_max_suppression,
    "NonZero": scan,
    "Unique": scan,
    "Det": determinant,
}
