"""The attention operators of com.microsoft, and linear attention."""

from __future__ import annotations

from dataclasses import replace

from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.attention import Heads, Operands, named, scores_and_values
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, vector
from dse.workload.ops.elementwise import ACTIVATIONS
from dse.workload.shapes_fused import group_query_head, group_query_keys


def packed(node: Node, ctx: Context) -> Outcome:
    """Attention, QAttention, DecoderMaskedSelfAttention: one product makes Q, K and V.

    The cache, if there is one, holds keys and values in one tensor.
    """
    graph = ctx.graph
    x, w = node.inputs[0], node.inputs[1]
    batch, queries, width = graph.shape(x, node)
    total = graph.shape(w, node)[1]
    heads = int(node.attrs["num_heads"])
    parts = node.ints("qkv_hidden_sizes", [total // 3] * 3)
    quantized = node.op == "QAttention"
    past = node.input(8 if quantized else 4)
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
    if node.attrs.get("do_rotary"):
        projection.work(["mul", "mul", "add"], batch * queries * (parts[0] + parts[1]))
    kept = graph.shape(past, node)[3] if past else 0
    keys = max(kept, queries) if node.attrs.get("past_present_share_buffer") else kept + queries
    sizes = Heads(batch, heads, heads, queries, keys, parts[0] // heads, parts[2] // heads, queries)
    added = tuple(n for n in (None if quantized else node.input(5),) if n)
    names = Operands(qkv, qkv, qkv, past, past, added)
    return [projection, *scores_and_values(node, ctx, sizes, names, presents=named(node, 1, 1))]


def multi_head(node: Node, ctx: Context) -> Outcome:
    """MultiHeadAttention and its decoder form: operands apart, packed or as heads, with caches."""
    graph = ctx.graph
    decoder = node.op.startswith("Decoder")
    added, bias, past_k, past_v = (
        node.input(i) for i in ((4, 10, 5, 6) if decoder else (5, 3, 6, 7))
    )
    q = node.inputs[0]
    k, v = node.input(1) or q, node.input(2) or node.input(1) or q
    heads = int(node.attrs["num_heads"])
    sq, sk, sv = (graph.shape(name, node) for name in (q, k, v))
    batch, queries = sq[0], sq[1]
    if len(sq) == 5:
        new, width, value_width = queries, sq[4], sq[4]
    elif len(sk) == 5:
        new, width, value_width = sk[1], sk[4], sk[4]
    elif len(sk) == 4:
        new, width, value_width = sk[2], sk[3], sv[3]
    else:
        new, width, value_width = sk[1], sq[2] // heads, sv[2] // heads
    kept = graph.shape(past_k, node)[2] if past_k else 0
    share = decoder and bool(node.attrs.get("past_present_share_buffer"))
    keys = max(kept, new) if share else kept + new
    sizes = Heads(batch, heads, heads, queries, keys, width, value_width, new)
    before: list[Draft] = []
    if bias:
        names = dict.fromkeys((q, k, v))
        elements = sum(graph.size(name, node) for name in names)
        biased = f"{node.name}:biased"
        before = [
            Draft(
                name=f"{node.name}:bias",
                op=node.op,
                kind="vector",
                nodes=[node.name],
                inputs=[*names, bias],
                outputs=[biased],
                w_tensor=bias if graph.is_const(bias) else None,
                w_elements=graph.size(bias, node) if graph.is_const(bias) else 0,
                i_elements=elements,
                o_elements=elements,
                ops={"add": elements},
                row_wise=True,
            )
        ]
        q = k = v = biased
    operands = Operands(q, k, v, past_k, past_v, (added,) if added else ())
    drafts = scores_and_values(node, ctx, sizes, operands, presents=named(node, 1, 2))
    for name in named(node, 3, 3):
        drafts[0].outputs.append(name)
        drafts[0].side_elements += drafts[0].o_elements
    return [*before, *drafts]


def group_query(node: Node, ctx: Context) -> Outcome:
    """GroupQueryAttention; keys and values come from the cache behind new ones.

    A window shortens what one query reads; several queries read the whole cache between them.
    SparseAttention is counted as if it were dense.
    """
    graph = ctx.graph
    q, k, v = node.inputs[0], node.input(1), node.input(2)
    batch, queries, _ = graph.shape(q, node)
    heads, shared = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
    width = group_query_head(node, graph)
    past_k, past_v = node.input(3), node.input(4)
    present = node.outputs[1] if len(node.outputs) > 1 else ""
    seen = graph.shapes.get(present, (0, 0, 0, 0))[2] if present else 0
    keys = max(group_query_keys(node, graph), seen)
    window = int(node.attrs.get("local_window_size", -1))
    if window > 0 and queries == 1:
        keys = min(keys, window)
    sizes = Heads(batch, heads, shared, queries, keys, width, width, queries)
    before: list[Draft] = []
    names = Operands(q, k or q, v or q, past_k, past_v)
    sparse = node.op == "SparseAttention"
    if not sparse and (bias := node.input(10)):
        names = replace(names, added=(bias,))
    if node.attrs.get("do_rotary"):
        rotated, n = f"{node.name}:rotated", batch * (heads + shared) * queries * width
        tables = [t for t in (node.input(i) for i in ((9, 10) if sparse else (7, 8))) if t]
        before = [
            Draft(
                name=f"{node.name}:rotary",
                op=node.op,
                kind="vector",
                nodes=[node.name],
                inputs=list(dict.fromkeys([q, names.k, *tables])),
                outputs=[rotated],
                tables=[t for t in tables if graph.is_const(t)],
                i_elements=n + len(tables) * batch * queries * width // 2,
                o_elements=n,
                ops={"mul": 2 * n, "add": n},
                row_wise=True,
            )
        ]
        names = replace(names, q=rotated, k=rotated)
    drafts = scores_and_values(
        node,
        ctx,
        sizes,
        names,
        presents=named(node, 1, 2),
        softcap=bool(node.attrs.get("softcap", 0)),
        sink=bool(node.attrs.get("smooth_softmax", 0)) or (not sparse and bool(node.input(11))),
    )
    return [*before, *drafts]


def linear(node: Node, ctx: Context) -> Outcome:
    """LinearAttention: a state of (key width x value width) a head instead of a cache.

    Outputs are a product of queries and state, updates one of keys and values summed over the
    steps; the delta rules look the keys up in the state first. Steps follow each other, so that
    the state's products serve the rows of one step at a time.
    """
    graph = ctx.graph
    q, k, v = node.inputs[0], node.inputs[1], node.inputs[2]
    batch, steps, total = graph.shape(q, node)
    heads, shared = int(node.attrs["q_num_heads"]), int(node.attrs["kv_num_heads"])
    width, value_width = total // heads, graph.shape(v, node)[2] // shared
    groups, rule = batch * shared, str(node.attrs.get("update_rule", "gated_delta"))
    state, past = groups * width * value_width, node.input(3)
    held = past or f"{node.name}:state"
    note = "step by step: each step needs the one before"

    def product(part: str, moving: str, nest: LoopNest, weight: str, out: str) -> Draft:
        return Draft(
            name=f"{node.name}:{part}",
            op=node.op,
            kind="compute",
            nodes=[node.name],
            inputs=[moving, weight],
            outputs=[out],
            nest=nest,
            w_tensor=weight,
            w_is_activation=True,
            w_elements=nest.G * nest.K * nest.C,
            i_elements=nest.G * nest.C * nest.OX,
            o_elements=nest.G * nest.K * nest.OX,
            note=note,
        )

    drafts: list[Draft] = []
    news, decay, beta = v, node.input(4), node.input(5)
    if "delta" in rule:
        found, news = f"{node.name}:found", f"{node.name}:news"
        lookup = LoopNest(G=groups, K=value_width, C=width, OX=steps)
        weight = held if past else v
        drafts.append(product("lookup", k, lookup, weight, found))
        n = groups * steps * value_width
        drafts.append(
            Draft(
                name=f"{node.name}:difference",
                op=node.op,
                kind="vector",
                nodes=[node.name],
                inputs=[v, found, *([beta] if beta else [])],
                outputs=[news],
                i_elements=2 * n + (graph.size(beta, node) if beta else 0),
                o_elements=n,
                ops={"add": n, "mul": n},
            )
        )
    update = LoopNest(G=groups, K=value_width, C=steps, OX=width)
    updated = named(node, 1, 1)[0] if named(node, 1, 1) else f"{node.name}:updated"
    grown = product("update", k, update, news, updated)
    if past:
        grown.inputs.append(past)
        grown.side_elements += state
        grown.work(["add"], state)
    if decay:
        grown.inputs.append(decay)
        grown.side_elements += graph.size(decay, node)
        grown.work(["exp"], graph.size(decay, node))
        grown.work(["mul"], steps * state)
    drafts.append(grown)
    result = LoopNest(G=groups, K=value_width, C=width, OX=heads // shared * steps)
    drafts.append(product("output", q, result, updated, node.outputs[0]))
    return drafts


def causal_convolution(node: Node, ctx: Context) -> Outcome:
    """CausalConvWithState: a depthwise convolution along time whose border is a kept state."""
    graph = ctx.graph
    x, w, bias, past = node.inputs[0], node.inputs[1], node.input(2), node.input(3)
    shape, taps = graph.shape(x, node), graph.shape(w, node)[-1]
    if len(shape) != 3 or node.attrs.get("channels_last"):
        raise graph.fault(
            node, f"a causal convolution over {shape}", "use (batch, channels, length)"
        )
    batch, channels, steps = shape
    draft = vector(node, ctx, {}, weights=[w] if graph.is_const(w) else [])
    draft.kind = "compute"
    draft.nest = LoopNest(G=channels, B=batch, OX=steps, FX=taps)
    draft.inputs = [n for n in (x, w, past) if n]
    draft.w_tensor, draft.w_elements = w, graph.size(w, node)
    draft.w_is_activation = not graph.is_const(w)
    draft.i_elements = graph.size(x, node) + (graph.size(past, node) if past else 0)
    draft.o_elements = graph.size(node.outputs[0], node)
    draft.outputs = list(named(node, 0, 1))
    if len(draft.outputs) > 1:
        draft.side_elements = batch * channels * (taps - 1)
    if bias:
        draft.inputs.append(bias)
        draft.biases.append(bias)
        draft.b_elements = channels
    activation = str(node.attrs.get("activation", "none"))
    if activation not in ("none", ""):
        functions = ACTIVATIONS.get(activation.capitalize(), ("lut", "mul"))
        draft.work(functions, draft.o_elements)
    return [draft]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("QAttention", "DecoderMaskedSelfAttention"), packed),
    **dict.fromkeys(("MultiHeadAttention", "DecoderMaskedMultiHeadAttention"), multi_head),
    **dict.fromkeys(("GroupQueryAttention", "SparseAttention"), group_query),
    "LinearAttention": linear,
    "CausalConvWithState": causal_convolution,
}
