"""Tables looked up, and experts chosen, by what the data say."""

from __future__ import annotations

import math

from dse.workload.dialects import integer_format
from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, vector


def embed_layer_norm(node: Node, ctx: Context) -> Outcome:
    """EmbedLayerNormalization: rows of two or three tables added, then a layer normalization."""
    graph = ctx.graph
    tables = [name for name in node.inputs[2:5] if name]
    n = graph.size(node.outputs[0], node)
    rows = n // max(1, graph.shape(node.outputs[0], node)[-1])
    work = {"mul": 3 * n + rows, "reduce": 2 * n, "div": rows, "add": 2 * n + rows}
    work["add"] += n * (len(tables) - 1)
    draft = vector(node, ctx, work, weights=[x for x in node.inputs[5:7] if graph.is_const(x)])
    for table in tables:
        if graph.is_const(table):
            draft.tables.append(table)
            draft.inputs.append(table)
        draft.i_elements += n
    return [draft]


def block_gather(node: Node, ctx: Context) -> Outcome:
    """GatherBlockQuantized: rows of a table of few bits, each element scaled."""
    graph = ctx.graph
    n = graph.size(node.outputs[0], node)
    draft = vector(node, ctx, {"mul": n}, weights=[])
    table = node.inputs[0]
    bits = int(node.attrs.get("bits", 4))
    if bits not in (2, 4, 8):
        raise graph.fault(node, f"numbers of {bits} bits in bytes", "write 2, 4 or 8 bits")
    draft.tables.append(table)
    draft.inputs.append(table)
    draft.i_elements += n
    width = graph.shape(node.outputs[0], node)[-1]
    draft.shapes[table] = (*graph.shape(table, node)[:-1], width)
    draft.stored_formats[table] = integer_format(bits)
    draft.note = f"rows of a table of {bits}-bit numbers"
    return [draft]


def position_bias(node: Node, ctx: Context) -> Outcome:
    """RelativePositionBias: one element of a small table for each pair of positions."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"copy": n, "add": n}, weights=[node.inputs[0]])]


def experts(node: Node, ctx: Context) -> Outcome:
    """MoE, QMoE: each token passes the ``k`` experts that its router chose.

    Tokens are taken to spread evenly, so that ``min(experts, tokens x k)`` experts are read. The
    router's softmax and choice are vector work of the first product, the experts' activation and
    the weighted sum of the second.
    """
    graph = ctx.graph
    quantized = node.op == "QMoE"
    x, router = node.inputs[0], node.inputs[1]
    places = (2, 5, 8) if quantized else (2, 4, 6)
    first, second, third = (node.input(place) for place in places)
    if first is None or second is None:
        raise graph.fault(node, "experts without two weights", "export the model again")
    count = graph.shape(router, node)[-1]
    hidden = graph.shape(x, node)[-1]
    tokens = graph.size(x, node) // hidden
    chosen = tokens * int(node.attrs.get("k", 1))
    active = min(count, chosen)
    per_byte = 8 // int(node.attrs.get("expert_weight_bits", 4)) if quantized else 1
    drafts: list[Draft] = []
    inner = graph.size(second, node) * per_byte // (count * hidden)
    between = f"{node.name}:inner"
    stages = [("first", first, x, between, hidden)]
    if third is not None:
        stages.append(("gate", third, x, f"{node.name}:gate", hidden))
    stages.append(("second", second, between, node.outputs[0], inner))
    for part, weight, source, out, depth in stages:
        stored = graph.size(weight, node) * per_byte
        width = stored // (count * depth)
        nest = LoopNest(G=active, K=width, C=depth, OX=-(-chosen // active))
        draft = Draft(
            name=f"{node.name}:{part}",
            op=node.op,
            kind="compute",
            nodes=[node.name],
            inputs=[source, weight],
            outputs=[out],
            nest=nest,
            w_tensor=weight,
            w_elements=active * width * depth,
            i_elements=chosen * depth if part == "second" else tokens * depth,
            o_elements=chosen * width if part != "second" else graph.size(x, node),
            tables=[weight] if active < count else [],
            w_format=f"int{8 // per_byte}" if quantized else None,
            note=f"{active} of {count} experts",
        )
        draft.shapes[weight] = (count, width, depth)
        drafts.append(draft)
    n = math.prod(graph.shape(router, node))
    drafts[0].inputs.append(router)
    drafts[0].side_elements += n
    drafts[0].work(["reduce", "add", "exp", "reduce", "compare"], n)
    drafts[-2].work(["lut", "mul"], chosen * inner)
    if third is not None:
        drafts[-1].inputs.append(f"{node.name}:gate")
        drafts[-1].side_elements += chosen * inner
    drafts[-1].work(["mul", "add"], chosen * hidden)
    return drafts


RULES: dict[str, Rule] = {
    **dict.fromkeys(("EmbedLayerNormalization", "QEmbedLayerNormalization"), embed_layer_norm),
    "GatherBlockQuantized": block_gather,
    "RelativePositionBias": position_bias,
    **dict.fromkeys(("MoE", "QMoE"), experts),
}
