"""Folding what follows a layer into its write-back: normalization, bias, activation, residual.

A node is folded if it is the only reader of the layer's result. Then

- scale and shift by constants along the output channels go into the weights and the bias, for
  nothing, as long as nothing nonlinear came before;
- activations and other scalings are vector work on the way out;
- addition, subtraction or product with another activation that has already been computed reads
  that one as a side operand (a residual, a gate);
- views are passed through.
"""

from __future__ import annotations

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Draft
from dse.workload.ops.elementwise import UNARY, binary_functions, rectifies
from dse.workload.ops.quant_dialects import absorbed

#: Views through which folding goes on.
_THROUGH = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
_PAIRS = frozenset({"Add", "Sub", "Sum", "Mul", "Div"})


def absorb(draft: Draft, ctx: Context, fates: dict[str, str]) -> None:
    """Folds into ``draft`` every node that can be, and tells their fates."""
    if draft.kind not in ("compute", "vector") or len(draft.outputs) != 1:
        return
    graph = ctx.graph
    passed: list[str] = []
    tensor = draft.outputs[0]
    while tensor not in graph.outputs:
        users = graph.users.get(tensor, [])
        if len(users) != 1 or users[0].name in fates:
            break
        node = users[0]
        if node.repeat != draft.repeat or not _folded(draft, node, tensor, ctx):
            break
        fates.update(dict.fromkeys(node.absorbed, "folded"))
        is_view = node.op in _THROUGH
        fates[node.name] = "view" if is_view else "folded"
        draft.nodes.append(node.name)
        draft.nodes.extend(node.absorbed)
        passed.append(tensor)
        tensor = node.outputs[0]
    draft.outputs = [tensor]
    for name in passed:
        ctx.sources[name] = (tensor,)


def _folded(draft: Draft, node: Node, tensor: str, ctx: Context) -> bool:
    graph = ctx.graph
    if not node.outputs:
        return False
    shape = graph.shapes.get(node.outputs[0])
    if shape is None or graph.size(node.outputs[0]) != graph.size(tensor):
        return False
    if (taken := absorbed(draft, node, ctx)) is not None:
        return taken and node.inputs[0] == tensor
    if node.domain:
        return False
    if node.op in _THROUGH:
        if graph.shapes.get(tensor) != shape:
            draft.channel_axis = None
        return not any(o in graph.users or o in graph.outputs for o in node.outputs[1:] if o)
    if node.op in UNARY:
        if node.op == "PRelu":
            if not graph.is_const(node.input(1)):
                return False
            _bias(draft, node.inputs[1], graph.size(node.inputs[1], node))
        draft.work(UNARY[node.op], draft.o_elements)
        draft.linear, draft.rectified = False, rectifies(node, ctx)
        return True
    if node.op == "BatchNormalization":
        return _normalization(draft, node, ctx)
    if node.op in _PAIRS and len(node.inputs) == 2 and all(node.inputs):
        return _pair(draft, node, tensor, ctx)
    return False


def _bias(draft: Draft, name: str, elements: int) -> None:
    """Stores ``elements`` numbers per channel with the layer, unless it is a lone scalar."""
    if elements > 1:
        draft.biases.append(name)
        draft.inputs.append(name)
        draft.b_elements += elements


def _normalization(draft: Draft, node: Node, ctx: Context) -> bool:
    channels = ctx.graph.size(node.inputs[1], node)
    if not all(ctx.graph.is_const(name) for name in node.inputs[1:5]):
        return False
    rank = len(ctx.graph.shape(node.inputs[0], node))
    along = draft.channel_axis is not None and draft.channel_axis % rank == 1
    if draft.kind == "compute" and draft.linear and along and not draft.w_is_activation:
        if not draft.biases:
            _bias(draft, node.inputs[2], channels)
        return True
    if draft.kind != "compute":
        return False
    draft.work(("mul", "add"), draft.o_elements)
    draft.rectified = False
    for name in node.inputs[1:3]:
        _bias(draft, name, channels)
    return True


def _pair(draft: Draft, node: Node, tensor: str, ctx: Context) -> bool:
    graph = ctx.graph
    other = node.inputs[1] if node.inputs[0] == tensor else node.inputs[0]
    if other == tensor:
        return False
    if graph.is_const(other):
        return _constant(draft, node, tensor, other, ctx)
    if node.op == "Div" or graph.size(other, node) > draft.o_elements:
        return False
    known = all(root in ctx.written or root in graph.inputs for root in ctx.roots(other))
    if not known or (
        other not in ctx.sources and other in graph.producers and other not in ctx.written
    ):
        return False
    draft.inputs.append(other)
    draft.side_elements += graph.size(other, node)
    draft.work(["mul" if node.op == "Mul" else "add"], draft.o_elements)
    draft.linear, draft.rectified = False, draft.rectified and node.op == "Mul"
    return True


def _constant(draft: Draft, node: Node, tensor: str, other: str, ctx: Context) -> bool:
    """A pair with a constant that is a scalar or varies along the output channels only."""
    graph = ctx.graph
    if node.op == "Div" and node.inputs[0] != tensor:
        return False
    elements = graph.size(other, node)
    per_channel = elements == 1 or _along_channels(draft, node, tensor, other, ctx)
    if not per_channel:
        return False
    if draft.linear:
        shifts = node.op in ("Add", "Sub", "Sum") and draft.kind == "compute"
        if shifts and not draft.biases:
            _bias(draft, other, elements)
        if draft.w_is_activation and elements > 1 and not shifts:
            # there are no stored weights that could take a scale of every channel
            draft.work(["mul"], draft.o_elements)
            _bias(draft, other, elements)
        return True
    draft.work(binary_functions(node, ctx), draft.o_elements)
    draft.rectified = draft.rectified and node.op in ("Mul", "Div")
    _bias(draft, other, elements)
    return True


def _along_channels(draft: Draft, node: Node, tensor: str, other: str, ctx: Context) -> bool:
    """Whether ``other`` varies along the output channels only (a vector layer: along one axis)."""
    shape, own = ctx.graph.shape(tensor, node), ctx.graph.shape(other, node)
    if len(own) > len(shape):
        return False
    padded = (1,) * (len(shape) - len(own)) + own
    varying = [i for i, n in enumerate(padded) if n != 1]
    if draft.kind == "vector" and not draft.linear:
        return len(varying) == 1 and padded[varying[0]] == shape[varying[0]]
    if draft.channel_axis is None:
        return False
    axis = draft.channel_axis % len(shape)
    return all(n == (shape[i] if i == axis else 1) for i, n in enumerate(padded))
