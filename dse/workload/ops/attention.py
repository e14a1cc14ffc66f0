"""Attention, taken apart into two products and a softmax; rotary embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, vector
from dse.workload.ops.elementwise import BINARY, UNARY


@dataclass(frozen=True)
class Heads:
    """Sizes of an attention: batch, heads, key/value heads, queries, keys, head widths.

    ``keys`` counts those of the cache and the new ones; ``new`` the new ones alone.
    """

    batch: int
    heads: int
    shared: int
    queries: int
    keys: int
    width: int
    value_width: int
    new: int = 0


@dataclass(frozen=True)
class Operands:
    """Names of tensors: queries, keys, values, their caches; what is added to the scores."""

    q: str
    k: str
    v: str
    past_k: str | None = None
    past_v: str | None = None
    added: tuple[str, ...] = ()


#: Work of the softmax per score, and per row.
_SOFTMAX = (("reduce", "add", "exp", "reduce", "mul"), ("div",))


def scores_and_values(
    node: Node,
    ctx: Context,
    sizes: Heads,
    names: Operands,
    *,
    presents: tuple[str, ...] = (),
    softcap: bool = False,
    sink: bool = False,
) -> list[Draft]:
    """``softmax(Q K^T + mask) V``: a product, a softmax, a product.

    Heads that share keys and values are rows of one group, so these are read once for all of them.
    A causal mask saves nothing: the whole rectangle of scores is counted, as dense hardware
    computes it. Caches are updated in place: of ``presents`` only the new keys and values move.

    Args:
        node, ctx: the operator and where it stands.
        sizes, names: of its operands.
        presents: results that hold the updated caches.
        softcap: scores pass ``c tanh(x / c)`` first.
        sink: every row has one more term in its sum.
    """
    h = sizes
    group = h.heads // h.shared
    scores, weights = f"{node.name}:scores", f"{node.name}:weights"
    n = h.batch * h.heads * h.queries * h.keys
    rows = h.batch * h.heads * h.queries
    k, v = names.past_k or names.k, names.past_v or names.v
    product = Draft(
        name=f"{node.name}:qk",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=list(dict.fromkeys([names.q, k, names.k])),
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
        row_wise=True,
        i_elements=n,
        o_elements=n,
    )
    soft.work(_SOFTMAX[0], n)
    soft.work(_SOFTMAX[1], rows)
    if softcap:
        soft.work(["mul", "lut", "mul"], n)
    if sink:
        soft.work(["add"], rows)
    for name in names.added:
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
        inputs=list(dict.fromkeys([weights, v, names.v])),
        outputs=[node.outputs[0], *presents],
        nest=LoopNest(G=h.batch * h.shared, K=h.value_width, C=h.keys, OX=group * h.queries),
        w_tensor=v,
        w_is_activation=True,
        w_elements=h.batch * h.shared * h.keys * h.value_width,
        i_elements=n,
        o_elements=h.batch * h.heads * h.queries * h.value_width,
    )
    if presents:
        values.side_elements += h.batch * h.shared * h.new * (h.width + h.value_width)
    return [product, soft, values]


def named(node: Node, first: int, last: int) -> tuple[str, ...]:
    """Outputs ``first`` to ``last`` that have a name."""
    return tuple(name for name in node.outputs[first : last + 1] if name)


def standard(node: Node, ctx: Context) -> Outcome:
    """Attention of opset 23: Q, K, V of rank 3 or 4; a past is joined in place."""
    graph = ctx.graph
    q, k, v = node.inputs[0], node.inputs[1], node.inputs[2]
    sq, sk, sv = (graph.shape(name, node) for name in (q, k, v))
    heads = int(node.attrs.get("q_num_heads", sq[1]))
    shared = int(node.attrs.get("kv_num_heads", sk[1]))
    if len(sq) == 3:
        batch, queries, new = sq[0], sq[1], sk[1]
        width, value_width = sq[2] // heads, sv[2] // shared
    else:
        batch, queries, new, width, value_width = sq[0], sq[2], sk[2], sq[3], sv[3]
    past_k, past_v = node.input(4), node.input(5)
    keys = new + (graph.shape(past_k, node)[2] if past_k else 0)
    sizes = Heads(batch, heads, shared, queries, keys, width, value_width, new)
    added = tuple(name for name in (node.input(3),) if name)
    drafts = scores_and_values(
        node,
        ctx,
        sizes,
        Operands(q, k, v, past_k, past_v, added),
        presents=named(node, 1, 2),
        softcap=bool(node.attrs.get("softcap", 0)),
    )
    for name in named(node, 3, 3):
        drafts[0].outputs.append(name)
        drafts[0].side_elements += drafts[0].o_elements
    return drafts


def flexible(node: Node, ctx: Context) -> Outcome:
    """FlexAttention: attention whose scores and weights pass small graphs of the user's.

    Every elementwise node of such a graph is its usual work on each score, others one copy.
    """
    graph = ctx.graph
    q, k, v = node.inputs[0], node.inputs[1], node.inputs[2]
    sq, sk, sv = (graph.shape(name, node) for name in (q, k, v))
    sizes = Heads(sq[0], sq[1], sk[1], sq[2], sk[2], sq[3], sv[3], sk[2])
    drafts = scores_and_values(node, ctx, sizes, Operands(q, k, v))
    for name in ("score_mod", "prob_mod"):
        body = node.attrs.get(name)
        for inner in body.node if body is not None else ():
            if inner.op_type != "Constant":
                functions = UNARY.get(inner.op_type) or BINARY.get(inner.op_type) or ("copy",)
                drafts[1].work(functions, drafts[0].o_elements)
    return drafts


def rotary(node: Node, ctx: Context) -> Outcome:
    """Rotary embedding: two products and a sum per rotated element.

    Of stored tables of sines and cosines only the rows of the positions are read, unless they are
    given for the positions already (forms recognized among single operators).
    """
    graph = ctx.graph
    shape = graph.shape(node.inputs[0], node)
    n = graph.size(node.inputs[0], node)
    if node.attrs.get("gathered"):
        return [vector(node, ctx, {"mul": 2 * n, "add": n}, row_wise=True)]
    caches = [node.input(i) for i in ((2, 3) if node.domain else (1, 2))]
    stored = [name for name in caches if name and graph.is_const(name)]
    heads = int(node.attrs.get("num_heads", 0))
    width = shape[-1] if len(shape) == 4 or not heads else shape[-1] // heads
    rotated = int(node.attrs.get("rotary_embedding_dim", 0)) or width
    share = n * min(rotated, width) // width if width else 0
    draft = vector(node, ctx, {"mul": 2 * share, "add": share}, weights=[], row_wise=True)
    rows = shape[0] * (shape[-2] if len(shape) == 4 else shape[1])
    for name in stored:
        draft.inputs.append(name)
        draft.tables.append(name)
        draft.i_elements += min(graph.size(name, node), rows * rotated // 2)
    return [draft]


RULES: dict[str, Rule] = {
    "Attention": standard,
    "FlexAttention": flexible,
    "RotaryEmbedding": rotary,
}
