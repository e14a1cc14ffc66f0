"""LSTM, GRU and RNN as matrix products and vector work."""

from __future__ import annotations

from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, live_outputs

#: Gates, and functions per hidden unit and step besides the products.
_CELLS: dict[str, tuple[int, tuple[tuple[str, int], ...]]] = {
    # i, o, f, c tables, tanh of the state; c = f c + i g, h = o tanh(c); gates x + r + bias
    "LSTM": (4, (("lut", 5), ("mul", 3), ("add", 5))),
    # z, r, h tables; r h, (1 - z) g + z h
    "GRU": (3, (("lut", 3), ("mul", 3), ("add", 5))),
    "RNN": (1, (("lut", 1), ("add", 1))),
}


def recurrent(node: Node, ctx: Context) -> Outcome:
    """Two products over all steps (inputs, then states) and the work of the cells.

    The state product runs step by step, so its weights serve ``batch`` rows at a time; the nest
    holds all steps in ``B``. Directions are groups.
    """
    graph = ctx.graph
    x, w, r = node.inputs[0], node.inputs[1], node.inputs[2]
    first, second, width = graph.shape(x, node)
    steps, batch = (second, first) if node.attrs.get("layout") else (first, second)
    directions, rows, _ = graph.shape(w, node)
    gates, functions = _CELLS[node.op.removeprefix("DynamicQuantize")]
    if node.op.startswith("DynamicQuantize"):  # its weights are stored transposed
        rows = graph.shape(w, node)[2]
    hidden = rows // gates
    out = live_outputs(node, graph)
    moved = steps * batch * directions * rows
    between, states = f"{node.name}:gates", f"{node.name}:states"
    inputs_product = Draft(
        name=f"{node.name}:input",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[x, w],
        outputs=[between],
        nest=LoopNest(G=directions, K=rows, C=width, OX=steps * batch),
        w_tensor=w,
        w_is_activation=not graph.is_const(w),
        w_elements=graph.size(w, node),
        i_elements=graph.size(x, node),
        o_elements=moved,
    )
    state_inputs = [n for n in node.inputs[5:7] if n and not graph.is_const(n)]
    state_product = Draft(
        name=f"{node.name}:state",
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[between, r, *state_inputs],
        outputs=[states],
        nest=LoopNest(G=directions, B=steps, K=rows, C=hidden, OX=batch),
        w_tensor=r,
        w_is_activation=not graph.is_const(r),
        w_elements=graph.size(r, node),
        i_elements=steps * batch * directions * hidden,
        o_elements=moved,
        note="step by step: each step needs the one before",
    )
    if bias := node.input(3):
        inputs_product.biases.append(bias)
        inputs_product.inputs.append(bias)
        inputs_product.b_elements = graph.size(bias, node)
    cells = Draft(
        name=f"{node.name}:cells",
        op=node.op,
        kind="vector",
        nodes=[node.name],
        inputs=[between, states],
        outputs=out,
        i_elements=2 * moved,
        o_elements=sum(graph.size(o, node) for o in out),
    )
    for function, count in functions:
        cells.work([function], count * steps * batch * directions * hidden)
    return [inputs_product, state_product, cells]


RULES: dict[str, Rule] = {
    **dict.fromkeys(_CELLS, recurrent),
    "DynamicQuantizeLSTM": recurrent,
}
