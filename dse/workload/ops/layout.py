"""Operators that only rearrange: free when addresses can do it, bytes that move otherwise."""

from __future__ import annotations

import math

from dse.workload.dialects import FORMATTING
from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Outcome, Rule, View, activations, live_outputs, vector
from dse.workload.remedies import fitting

#: Products whose operands may be read in any order of axes.
PRODUCTS = frozenset(
    {"MatMul", "Gemm", "Einsum", "FusedMatMul", "FusedGemm", "MatMulInteger", "QLinearMatMul"}
    | {"QGemm", "MatMulNBits", "FusedMatMulActivation", "DynamicQuantizeMatMul"}
    | {"MatMulIntegerToFloat", "XnorPopcountMatMul"}
)
#: Operators that pass a strided order on to their readers.
TRANSPARENT = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Cast", "Dropout"}
    | {"Slice", "Split", "Gather", "Expand"}
    | FORMATTING
)
#: Operators that read their input with padding by themselves.
PADDED = frozenset({"Conv", "FusedConv", "QLinearConv", "ConvInteger", "MaxPool", "AveragePool"})


def view(node: Node, ctx: Context) -> Outcome:
    return View((node.inputs[0],))


def reshape(node: Node, ctx: Context) -> Outcome:
    """Free. A written-down shape that no longer fits (another resolution) is refused."""
    graph = ctx.graph
    before, after = graph.shape(node.inputs[0], node), graph.shape(node.outputs[0], node)
    if math.prod(before) != math.prod(after):
        static = "the graph is made for other input sizes: leave res and bindings out, or "
        static += "export again"
        message = f"{before} cannot be read as {after}"
        raise graph.fault(node, message, fitting(node, graph, static))
    return View((node.inputs[0],))


def _move(node: Node, ctx: Context, note: str = "") -> Outcome:
    """A movement layer: reads what its result needs, writes the result."""
    draft = vector(node, ctx, {}, weights=[], kind="movement", note=note)
    draft.i_elements = min(draft.i_elements, draft.o_elements) or draft.o_elements
    return [draft]


def only_products(name: str, ctx: Context, depth: int = 12) -> bool:
    """Whether every reader of ``name`` is a matrix product, perhaps behind views and scalings."""
    users = ctx.graph.users.get(name, [])
    if not users or depth == 0 or name in ctx.graph.outputs:
        return False
    for user in users:
        scaled = user.op in ("Mul", "Div") and len(activations(user, ctx.graph)) == 1
        scaled = scaled and all(
            ctx.graph.size(i) == 1 for i in user.inputs if i in ctx.graph.constants
        )
        if user.op in PRODUCTS:
            continue
        if not (user.op in TRANSPARENT or scaled):
            return False
        outs = live_outputs(user, ctx.graph)
        if not all(only_products(out, ctx, depth - 1) for out in outs):
            return False
    return True


def transpose(node: Node, ctx: Context) -> Outcome:
    """Free if only axes of size 1 change place, or if only matrix products read the result.

    A product's operands are read with strides, so their axes may lie in any order.
    """
    shape = ctx.graph.shape(node.inputs[0], node)
    order = node.ints("perm", list(range(len(shape)))[::-1])
    moved = [axis for axis in order if shape[axis] != 1]
    if moved == sorted(moved) or only_products(node.outputs[0], ctx):
        return View((node.inputs[0],))
    return _move(node, ctx)


def concat(node: Node, ctx: Context) -> Outcome:
    """Free for the inputs that can be written in place; the others are copied.

    An input can be written in place if layers write it and it is not already part of another
    concatenated tensor. A cache that only this node reads grows in place. Other graph inputs,
    constants and repeated inputs are copied.
    """
    graph = ctx.graph
    pieces: dict[str, None] = {}
    copied = 0
    stored = [name for name in node.inputs if name and graph.is_const(name)]
    for name in node.inputs:
        if not name or graph.is_const(name) or not graph.size(name, node):
            continue
        roots = ctx.roots(name)
        grows = is_cache(name) and name in graph.inputs and len(graph.users[name]) == 1
        whole = sum(graph.size(root) for root in roots) == graph.size(name, node)
        written = grows or all(root in ctx.written for root in roots)
        if whole and written and roots not in ctx.placed:
            ctx.placed.add(roots)
        else:
            copied += graph.size(name, node)
        pieces.update(dict.fromkeys(roots))
    constants = sum(graph.size(name, node) for name in stored)
    if not copied and not constants:
        return View(tuple(pieces))
    draft = vector(node, ctx, {}, weights=stored, kind="movement")
    draft.i_elements, draft.o_elements = copied, copied + constants
    draft.note = "the inputs that cannot be written in place"
    return [draft]


def is_cache(name: str) -> bool:
    """Whether exporters' naming says that a tensor is the cache of keys or values."""
    words = name.lower()
    cached = any(word in words for word in ("past", "present", "cache"))
    return cached and any(word in words for word in ("key", "value", ".k", ".v", "kv", "_k", "_v"))


def slice_(node: Node, ctx: Context) -> Outcome:
    """Free with steps of one (readers start elsewhere); other steps move what is kept."""
    steps = ctx.graph.value(node.input(4))
    if (node.input(4) is None or steps is not None) and (
        steps is None or all(int(s) == 1 for s in steps.reshape(-1))
    ):
        return View((node.inputs[0],))
    return _move(node, ctx)


def gather(node: Node, ctx: Context) -> Outcome:
    """One constant index: free. Rows of a stored table: only these rows move."""
    graph = ctx.graph
    table, index = node.inputs[0], node.inputs[1]
    if graph.is_const(index) and graph.size(index, node) == 1 and not graph.is_const(table):
        return View((table,))
    draft = vector(node, ctx, {}, weights=[], kind="movement")
    rows = graph.size(node.outputs[0], node)
    draft.i_elements = rows
    if graph.is_const(table):
        draft.tables.append(table)
        draft.inputs.append(table)
        draft.note = "rows of a stored table"
    return [draft]


def expand(node: Node, ctx: Context) -> Outcome:
    """Free: repeated elements are read again."""
    return View((node.inputs[0],))


def pad(node: Node, ctx: Context) -> Outcome:
    """Free in front of convolutions and pooling (they skip the border), else the result moves."""
    graph = ctx.graph
    users = graph.users.get(node.outputs[0], [])
    same = graph.shape(node.inputs[0], node) == graph.shape(node.outputs[0], node)
    inner = node.outputs[0] not in graph.outputs and users
    if same or (inner and all(u.op in PADDED for u in users)):
        return View((node.inputs[0],), folded=not same)
    return _move(node, ctx)


def move(node: Node, ctx: Context) -> Outcome:
    return _move(node, ctx)


def scatter(node: Node, ctx: Context) -> Outcome:
    """Scatter*: the tensor is copied and the updates written over it."""
    draft = vector(node, ctx, {}, kind="movement")
    reduction = str(node.attrs.get("reduction", "none"))
    updates = ctx.graph.size(node.inputs[2], node)
    if reduction != "none":
        draft.kind = "vector"
        function = {"add": "add", "mul": "mul"}.get(reduction, "compare")
        draft.work([function], updates)
    return [draft]


def kv_scatter(node: Node, ctx: Context) -> Outcome:
    """TensorScatter: a cache updated in place, so that only the update moves."""
    draft = vector(node, ctx, {}, kind="movement", note="in place")
    draft.i_elements = draft.o_elements = ctx.graph.size(node.inputs[1], node)
    return [draft]


def one_hot(node: Node, ctx: Context) -> Outcome:
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"compare": n}, weights=[])]


def generated(node: Node, ctx: Context) -> Outcome:
    """Tensors made from nothing (Range, random numbers): one table step per element."""
    n = sum(ctx.graph.size(o, node) for o in live_outputs(node, ctx.graph))
    table = "Random" in node.op or "Window" in node.op
    function = "add" if node.op == "Range" else "lut" if table else "copy"
    return [vector(node, ctx, {function: n}, weights=[])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "ExpandDims"), reshape),
    "Transpose": transpose,
    "Concat": concat,
    "Slice": slice_,
    "Crop": view,
    "Split": view,
    "Gather": gather,
    "Expand": expand,
    "Pad": pad,
    **dict.fromkeys(
        (
            "DepthToSpace",
            "SpaceToDepth",
            "Tile",
            "GatherElements",
            "GatherND",
            "Trilu",
            "ReverseSequence",
            "EyeLike",
            "Col2Im",
            "CenterCropPad",
            "Compress",
            "MaxUnpool",
        ),
        move,
    ),
    **dict.fromkeys(("ScatterElements", "ScatterND", "Scatter"), scatter),
    "TensorScatter": kv_scatter,
    "OneHot": one_hot,
    **dict.fromkeys(
        (
            "Range",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Bernoulli",
            "ConstantOfShape",
            "HannWindow",
            "HammingWindow",
            "BlackmanWindow",
        ),
        generated,
    ),
}
