"""Tensors of no elements (a cache of length 0, a low-rank update of rank 0) are no work.

A node that only writes such tensors vanishes, and what it writes counts as stored. Products and
sums over an axis of size 0 are zeros: they are known beforehand, and adding them does nothing. What
reads an empty tensor along with others (Concat) goes on by its own rule.
"""

from __future__ import annotations

from dataclasses import replace

from dse.errors import InputError
from dse.workload.graph import CONTROL, LOOP_DOMAIN, Graph, Node
from dse.workload.remedies import symbols

#: Sums of products: zeros, apart from a bias, where an operand is empty.
_PRODUCTS = frozenset(
    {"MatMul", "Gemm", "Einsum", "FusedMatMul", "FusedGemm", "TransposeMatMul", "MatMulInteger"}
    | {"QLinearMatMul", "QGemm", "Conv", "FusedConv", "ConvTranspose", "ConvInteger", "QLinearConv"}
)
#: Operators that read windows: an empty result of a full operand is no work, but a fault.
_WINDOWS = frozenset(
    {"Conv", "FusedConv", "QLinearConv", "ConvInteger", "ConvTranspose", "DeformConv"}
    | {"MaxPool", "AveragePool", "LpPool", "QLinearAveragePool"}
)
#: Operators that give zeros for zeros.
_LINEAR = frozenset(
    {"Transpose", "Reshape", "Cast", "Identity", "Dropout", "Neg", "Expand", "Slice", "Squeeze"}
    | {"Unsqueeze", "Flatten", "Relu", "Abs"}
)
_UPDATES = {"ScatterND": 2, "ScatterElements": 2, "Scatter": 2, "TensorScatter": 1}
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


def without_empty(graph: Graph) -> Graph:
    """``graph`` without the nodes that compute nothing; itself if there are none.

    Raises:
        InputError: a window larger than what it reads.
    """
    if not any(min(shape, default=1) < 1 for shape in graph.shapes.values()):
        return graph
    empty = {name for name, shape in graph.shapes.items() if 0 in shape}
    zeros: set[str] = set()
    stored: dict[str, None] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Stack" and node.domain == LOOP_DOMAIN and node.outputs[0] in empty:
            stored[node.outputs[0]] = None  # of a loop without a trip: nothing reads its body
            continue
        if node.op in CONTROL or node.domain == LOOP_DOMAIN or node.name not in graph.live:
            nodes.append(node)
            continue
        written = [name for name in node.outputs if name]
        read = [name for name in node.inputs if name]
        hollow = [name for name in written if name in empty]
        if _overshoots(node, read, written, empty, graph):
            raise _too_small(node, graph)
        stored.update(dict.fromkeys(hollow))
        if len(hollow) == len(written):
            continue
        if not _is_zero(node, empty, zeros, graph):
            nodes.append(_shortened(node, empty, zeros, graph))
            continue
        bias = _bias(node)
        if bias is None:
            zeros.update(written)
        elif not graph.is_const(bias):
            same = graph.shapes.get(bias) == graph.shapes.get(written[0])
            nodes.append(replace(node, op="Identity" if same else "Expand", inputs=(bias,)))
            continue
        stored.update(dict.fromkeys(written))
    return replace(
        graph,
        nodes=tuple(nodes),
        initializers={**graph.initializers, **dict.fromkeys(stored)},
        _values={},
    )


def _overshoots(
    node: Node, read: list[str], written: list[str], empty: set[str], graph: Graph
) -> bool:
    """Whether a size of the result is below 0, or a window fits nowhere in what is read."""
    shapes = [graph.shapes[name] for name in written if name in graph.shapes]
    if any(min(shape, default=1) < 0 for shape in shapes):
        return True
    return node.op in _WINDOWS and read[0] not in empty and any(0 in shape[2:] for shape in shapes)


def _too_small(node: Node, graph: Graph) -> InputError:
    shape = "x".join(map(str, graph.shapes.get(node.inputs[0], ())))
    ways = symbols(node, graph)
    return graph.fault(
        node,
        f"it reads more than there is ({shape}): its result would have no size",
        f"bind larger sizes: {ways}" if ways else "bind larger sizes, or export it with such",
    )


def _bias(node: Node) -> str | None:
    """A bias that is all that is left of a product over nothing."""
    return node.input(2) if node.op in ("Gemm", "Conv", "ConvTranspose") else None


def _is_zero(node: Node, empty: set[str], zeros: set[str], graph: Graph) -> bool:
    """Whether the results of ``node`` are known without any work."""
    read = [name for name in node.inputs if name]
    if node.op in _PRODUCTS:
        return any(name in empty for name in read[:2])
    if node.op.startswith("Reduce"):
        return read[0] in empty
    if node.op in ("Mul", "MatMul"):
        return any(name in zeros for name in read)
    if node.op in ("Add", "Sub", "Sum", "Concat"):
        return all(name in zeros for name in read)
    return node.op in _LINEAR | {"Div"} and bool(read) and read[0] in zeros


def _shortened(node: Node, empty: set[str], zeros: set[str], graph: Graph) -> Node:
    """``node`` as a mere copy where zeros are added or nothing is updated."""
    read = [name for name in node.inputs if name]
    if node.op in ("Add", "Sum", "Sub"):
        rest = [name for name in read if name not in zeros]
        first = node.op != "Sub" or read[0] not in zeros
        same = len(rest) == 1 and graph.shapes.get(rest[0]) == graph.shapes.get(node.outputs[0])
        if len(rest) < len(read) and first and same:
            return replace(node, op="Identity", inputs=(rest[0],), attrs={})
    if node.op in _UPDATES and node.input(_UPDATES[node.op]) in empty:
        return replace(node, op="Identity", inputs=(node.inputs[0],), attrs={})
    if node.op in _RECURRENT and read[0] in empty:
        pairs = zip(node.outputs[1:], node.inputs[5:], strict=False)
        kept = [(out, given) for out, given in pairs if out and given]
        if len(kept) == 1:
            return replace(node, op="Identity", inputs=(kept[0][1],), outputs=(kept[0][0],))
    return node
