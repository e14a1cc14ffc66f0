"""Fused attention operators, taken apart into two products and a softmax."""

from __future__ import annotations

from dataclasses import dataclass

from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule


@dataclass(frozen=True)
class Heads:
    """Sizes of an attention: batch, heads, key/value heads, queries, keys, head widths."""

    batch: int
    heads: int
    shared: int
    queries: int
    keys: int
    width: int
    value_width: int


def scores_and_values(
    node: Node, ctx: Context, sizes: Heads, q: str, k: str, v: str, side: list[str]
) -> list[Draft]:
    """``softmax(Q K^T + mask) V``: a product, a softmax, a product.

    Heads that share keys and values are rows of one group, so these are read once for all of them.
    """
    h = sizes
    group = h.heads // h.shared
    scores, weights = f"{node.name}:scores", f"{node.name}:weights"
    n = h.batch * h.heads * h.queries * h.keys
    rows = h.batch * h.heads * h.queries
    product = Draft(
        name=f"{node.name}:qk",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=list(dict.fromkeys([q, k])),
        outputs=[scores],
        nest=LoopNest(G=h.batch * h.shared, K=h.keys, C=h.width, OX=group * h.queries),
        w_tensor=k,
        w_is_activation=True,
        w_elements=h.batch * h.shared * h.keys * h.width,
        i_elements=h.batch * h.heads * h.queries * h.width,
        o_elements=n,
    )
    soft = Draft(
        name=f"{node.name}:softmax",
        op=node.op,
        kind="vector",
        nodes=[node.name],
        inputs=[scores],
        outputs=[weights],
        i_elements=n,
        o_elements=n,
        ops={"reduce": 2 * n, "add": n, "exp": n, "div": rows, "mul": n},
    )
    for name in side:
        soft.inputs.append(name)
        soft.work(["add"], n)
        if ctx.graph.is_const(name):
            soft.w_tensor, soft.w_elements = name, ctx.graph.size(name, node)
        else:
            soft.i_elements += ctx.graph.size(name, node)
    values = Draft(
        name=f"{node.name}:av",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=list(dict.fromkeys([weights, v])),
        outputs=[node.outputs[0]],
        nest=LoopNest(G=h.batch * h.shared, K=h.value_width, C=h.keys, OX=group * h.queries),
        w_tensor=v,
        w_is_activation=True,
        w_elements=h.batch * h.shared * h.keys * h.value_width,
        i_elements=n,
        o_elements=h.batch * h.heads * h.queries * h.value_width,
    )
    return [product, soft, values]


def packed_attention(node: Node, ctx: Context) -> Outcome:
    """com.microsoft Attention: one product makes Q, K and V, then attention."""
    graph = ctx.graph
    x, w = node.inputs[0], node.inputs[1]
    batch, queries, width = graph.shape(x, node)
    total = graph.shape(w, node)[1]
    heads = int(node.attrs["num_heads"])
    parts = node.ints("qkv_hidden_sizes", [total // 3] * 3)
    if node.input(4):
        raise graph.fault(node, "Attention with a past state", "use GroupQueryAttention")
    qkv = f"{node.name}:qkv"
    projection = Draft(
        name=f"{node.name}:project",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[x, w],
        outputs=[qkv],
        nest=LoopNest(K=total, C=width, OX=batch * queries),
        w_tensor=w,
        w_is_activation=not graph.is_const(w),
        w_elements=graph.size(w, node),
        i_elements=graph.size(x, node),
        o_elements=batch * queries * total,
    )
    if bias := node.input(2):
        projection.biases.append(bias)
        projection.inputs.append(bias)
        projection.b_elements = total
    sizes = Heads(batch, heads, heads, queries, queries, parts[0] // heads, parts[2] // heads)
    side = [name for name in (node.input(5),) if name]
    return [projection, *scores_and_values(node, ctx, sizes, qkv, qkv, qkv, side)]


def multi_head(node: Node, ctx: Context) -> Outcome:
    """com.microsoft MultiHeadAttention with separate Q, K, V of rank 3, without a past."""
    graph = ctx.graph
    q, k, v = node.input(0), node.input(1), node.input(2)
    heads = int(node.attrs["num_heads"])
    if not (q and k and v) or len(graph.shape(k, node)) != 3 or node.input(6):
        raise graph.fault(
            node, "MultiHeadAttention with packed operands or a past", "use separate Q, K and V"
        )
    batch, queries, width = graph.shape(q, node)
    keys, value_width = graph.shape(k, node)[1], graph.shape(v, node)[2]
    sizes = Heads(batch, heads, heads, queries, keys, width // heads, value_width // heads)
    side = [name for name in (node.input(5),) if name]
    return scores_and_values(node, ctx, sizes, q, k, v, side)


def group_query(node: Node, ctx: Context) -> Outcome:
    """com.microsoft GroupQueryAttention; keys and values come from the cache behind new ones.

    The present outputs are the cache updated in place: only the new keys and values move.
    """
    graph = ctx.graph
    q, k, v = node.inputs[0], node.input(1), node.input(2)
    batch, queries, total = graph.shape(q, node)
    heads, shared = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
    width = total // heads if k else total // (heads + 2 * shared)
    past_k, past_v = node.input(3), node.input(4)
    kept = graph.shape(past_k, node)[2] if past_k else 0
    present = node.outputs[1] if len(node.outputs) > 1 and node.outputs[1] else None
    keys = graph.shapes.get(present, (0, 0, 0, 0))[2] if present else 0
    keys = max(keys, kept, queries)
    sizes = Heads(batch, heads, shared, queries, keys, width, width)
    drafts = scores_and_values(node, ctx, sizes, q, past_k or k or q, past_v or v or q, [])
    news = batch * shared * queries * width
    if k:
        drafts[0].inputs.append(k)
    if v:
        drafts[-1].inputs.append(v)
    for name in node.outputs[1:3]:
        if name:
            drafts[-1].outputs.append(name)
            drafts[-1].side_elements += news
    if node.attrs.get("do_rotary"):
        rotated = batch * (heads + shared) * queries * width
        drafts[0].work(["mul", "mul", "add"], rotated)
    return drafts


def standard(node: Node, ctx: Context) -> Outcome:
    """Attention of opset 23: Q, K, V of rank 3 or 4; a past is joined in place."""
    graph = ctx.graph
    if node.domain:
        return packed_attention(node, ctx)
    q, k, v = node.inputs[0], node.inputs[1], node.inputs[2]
    sq, sk, sv = (graph.shape(name, node) for name in (q, k, v))
    heads = int(node.attrs.get("q_num_heads", sq[1]))
    shared = int(node.attrs.get("kv_num_heads", sk[1]))
    if len(sq) == 3:
        batch, queries, keys = sq[0], sq[1], sk[1]
        width, value_width = sq[2] // heads, sv[2] // shared
    else:
        batch, queries, keys, width, value_width = sq[0], sq[2], sk[2], sq[3], sv[3]
    past_k, past_v = node.input(4), node.input(5)
    if past_k:
        keys += graph.shape(past_k, node)[2]
    sizes = Heads(batch, heads, shared, queries, keys, width, value_width)
    side = [name for name in (node.input(3),) if name]
    drafts = scores_and_values(node, ctx, sizes, q, k, v, side)
    for name, draft in ((past_k, drafts[0]), (past_v, drafts[-1])):
        if name:
            draft.inputs.append(name)
    for name in node.outputs[1:3]:
        if name:
            drafts[-1].outputs.append(name)
    if len(node.outputs) > 3 and node.outputs[3]:
        drafts[0].outputs.append(node.outputs[3])
        drafts[0].side_elements += drafts[0].o_elements
    return drafts


def rotary(node: Node, ctx: Context) -> Outcome:
    """Rotary embedding: two products and a sum per element."""
    from dse.workload.ops.draft import vector

    n = ctx.graph.size(node.inputs[0], node)
    return [vector(node, ctx, {"mul": 2 * n, "add": n})]


RULES: dict[str, Rule] = {
    "Attention": standard,
    "MultiHeadAttention": multi_head,
    "GroupQueryAttention": group_query,
    "RotaryEmbedding": rotary,
}
