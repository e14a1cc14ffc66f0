"""Recognizing normalizations and rotary embeddings that exporters write as several operators.

Taken one by one these operators would read and write the whole tensor six to nine times; every
compiler fuses them, so each becomes one node and is counted as the fused operator is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dse.workload.graph import Graph, Node
from dse.workload.limits import LIMITS

#: Operators that a pattern looks through.
_PASSED = frozenset({"Cast", "Identity"})


@dataclass(frozen=True)
class Match:
    """A recognized cluster: its nodes, the last of them, and the node that stands for it."""

    nodes: tuple[Node, ...]
    last: Node
    op: str
    inputs: tuple[str, ...]
    attrs: dict[str, object]


def fuse_norms(graph: Graph) -> Graph:
    """``graph`` with every such cluster replaced by one node at the place of its last node."""
    replaced: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.domain or node.op not in ("Mul", "Div", "Add") or node.name not in graph.live:
            continue
        match = _rotary(node, graph) if node.op == "Add" else _normalization(node, graph)
        if match is None or any(n.name in gone for n in match.nodes):
            continue
        names = tuple(n.name for n in match.nodes if n.name != match.last.name)
        gone.update(n.name for n in match.nodes)
        replaced[match.last.name] = Node(
            match.last.name,
            match.op,
            "",
            match.inputs,
            match.last.outputs,
            dict(match.attrs),
            absorbed=names,
            repeat=match.last.repeat,
        )
    if not replaced:
        return graph
    kept = (n for n in graph.nodes if n.name in replaced or n.name not in gone)
    return graph.with_nodes(tuple(replaced.get(n.name, n) for n in kept))


def _producer(name: str | None, graph: Graph) -> Node | None:
    """What computes ``name``, casts passed over; None for constants, inputs, other domains."""
    for _ in range(LIMITS.cluster):
        if name is None or graph.is_const(name):
            return None
        node = graph.producers.get(name)
        if node is None or node.domain:
            return None
        if node.op not in _PASSED:
            return node
        name = node.input(0)
    return None


def _origin(name: str, graph: Graph) -> str:
    """The tensor behind casts."""
    for _ in range(LIMITS.cluster):
        node = graph.producers.get(name)
        if node is None or node.op not in _PASSED or node.domain:
            break
        name = node.inputs[0]
    return name


def _is(node: Node | None, *ops: str) -> bool:
    return node is not None and node.op in ops


def _pairs(node: Node) -> Iterator[tuple[str, str]]:
    """The two operands, in both orders if they may be swapped."""
    if len(node.inputs) == 2:
        yield node.inputs[0], node.inputs[1]
        if node.op in ("Mul", "Add"):
            yield node.inputs[1], node.inputs[0]


def _normalization(node: Node, graph: Graph) -> Match | None:
    """``d / sqrt(mean(d^2) + e)``; with ``d = x - mean(x)`` a layer normalization."""
    for d, root in _pairs(node):
        mean = _mean_of_squares(root, d, graph, inverse=node.op == "Mul")
        if mean is None:
            continue
        axes = _axes(mean, graph)
        if axes is None:
            continue
        source, centred = _origin(d, graph), False
        difference = _producer(d, graph)
        if difference is not None and difference.op == "Sub":
            average = _producer(difference.inputs[1], graph)
            if (
                average is not None
                and average.op == "ReduceMean"
                and _origin(average.inputs[0], graph) == _origin(difference.inputs[0], graph)
                and _axes(average, graph) == axes
            ):
                source, centred = _origin(difference.inputs[0], graph), True
        op = "LayerNormalization" if centred else "SimplifiedLayerNormalization"
        return _completed(node, source, op, axes, graph)
    return None


def _mean_of_squares(name: str, d: str, graph: Graph, *, inverse: bool) -> Node | None:
    """The mean node if ``name`` is the (inverse) root of the mean of the squares of ``d``."""
    node = _producer(name, graph)
    if node is None:
        return None
    inside: str | None = None
    if inverse and node.op == "Reciprocal":
        below = _producer(node.inputs[0], graph)
        inside = below.inputs[0] if below is not None and below.op == "Sqrt" else None
    elif inverse and node.op == "Div" and graph.scalar(node.inputs[0]) == 1:
        below = _producer(node.inputs[1], graph)
        inside = below.inputs[0] if below is not None and below.op == "Sqrt" else None
    else:
        power = -0.5 if inverse else 0.5
        rooted = node.op == "Sqrt" and not inverse
        if rooted or (node.op == "Pow" and graph.scalar(node.input(1)) == power):
            inside = node.inputs[0]
    offset = _producer(inside, graph)
    if offset is not None and offset.op == "Add":
        moving = [n for n in offset.inputs if graph.scalar(n) is None]
        offset = _producer(moving[0], graph) if len(moving) == 1 else None
    if offset is None or offset.op != "ReduceMean":
        return None
    square = _producer(offset.inputs[0], graph)
    if square is None:
        return None
    squares = (square.op == "Mul" and square.inputs[0] == square.inputs[1]) or (
        square.op == "Pow" and graph.scalar(square.input(1)) == 2
    )
    return offset if squares and _same(square.inputs[0], d, graph) else None


def _same(a: str, b: str, graph: Graph) -> bool:
    """Whether two tensors are one, or the same difference written twice."""
    if _origin(a, graph) == _origin(b, graph):
        return True
    first, second = _producer(a, graph), _producer(b, graph)
    return (
        first is not None
        and second is not None
        and first.op == second.op == "Sub"
        and [_origin(n, graph) for n in first.inputs] == [_origin(n, graph) for n in second.inputs]
    )


def _axes(mean: Node, graph: Graph) -> tuple[int, ...] | None:
    """Axes of a mean that keeps its rank."""
    shape = graph.shapes.get(mean.inputs[0])
    given = graph.value(mean.input(1))
    axes = mean.ints("axes", []) if given is None else [int(a) for a in given.reshape(-1)]
    if shape is None or not axes or not mean.attrs.get("keepdims", 1):
        return None
    return tuple(sorted(a % len(shape) for a in axes))


def _completed(
    last: Node, source: str, op: str, axes: tuple[int, ...], graph: Graph
) -> Match | None:
    """The normalization with the scale and shift behind it."""
    shape = graph.shapes.get(source)
    if shape is None:
        return None
    width = math.prod(shape[a] for a in axes)
    core = _cluster(source, last, graph)
    if core is None:
        return None
    nodes, inputs = core, [source]
    for wanted in ("Mul", "Add"):
        passed, user = _next(last, graph)
        if user is None or user.op != wanted or user.domain or user.repeat != last.repeat:
            break
        stored = [n for n in user.inputs if graph.is_const(n)]
        if len(stored) != 1 or not 1 < graph.size(stored[0]) <= width:
            break
        inputs.append(stored[0])
        nodes = [*nodes, *passed, user]
        last = user
    return Match(tuple(nodes), last, op, tuple(inputs), {"axes": list(axes)})


def _next(last: Node, graph: Graph) -> tuple[list[Node], Node | None]:
    """The only reader of a node's result, and the casts before it."""
    passed: list[Node] = []
    while last.outputs[0] not in graph.outputs:
        users = graph.users.get(last.outputs[0], [])
        if len(users) != 1:
            break
        if users[0].op not in _PASSED or users[0].domain:
            return passed, users[0]
        last = users[0]
        passed.append(last)
    return passed, None


def _cluster(source: str, last: Node, graph: Graph) -> list[Node] | None:
    """Nodes through which ``last`` depends on ``source``; None if others read inside them."""
    found: dict[str, Node] = {}
    waiting = [last]
    while waiting:
        node = waiting.pop()
        if node.name in found:
            continue
        found[node.name] = node
        for name in filter(None, node.inputs):
            if name == source or graph.is_const(name):
                continue
            before = graph.producers.get(name)
            if before is None or before.repeat != last.repeat or len(found) > 24:
                return None
            waiting.append(before)
    for node in found.values():
        if node is last:
            continue
        for name in filter(None, node.outputs):
            users = graph.users.get(name, [])
            if name in graph.outputs or any(user.name not in found for user in users):
                return None
    return list(found.values())


def _rotary(node: Node, graph: Graph) -> Match | None:
    """``x cos + rotated(x) sin`` with the halves of x swapped and one of them negated."""
    for a, b in _pairs(node):
        plain, turned = graph.producers.get(a), graph.producers.get(b)
        if not (_is(plain, "Mul") and _is(turned, "Mul")):
            continue
        assert plain is not None
        assert turned is not None
        for half, sine in _pairs(turned):
            joined = graph.producers.get(half)
            if joined is None or joined.op != "Concat" or joined.domain or len(joined.inputs) != 2:
                continue
            halves = _halves(joined, graph)
            if halves is None or halves[0] not in plain.inputs:
                continue
            source, parts = halves
            cosine = plain.inputs[1 - plain.inputs.index(source)]
            nodes = [node, plain, turned, joined, *parts]
            if not _private(nodes, graph):
                continue
            return Match(
                tuple(nodes), node, "RotaryEmbedding", (source, cosine, sine), {"gathered": 1}
            )
    return None


def _halves(joined: Node, graph: Graph) -> tuple[str, list[Node]] | None:
    """The tensor whose halves ``joined`` swaps, and the nodes that cut and negate them."""
    first, second = (graph.producers.get(name) for name in joined.inputs)
    if first is None or second is None or first.op != "Neg":
        return None
    cut = graph.producers.get(first.inputs[0])
    if cut is None or {cut.op, second.op} - {"Slice", "Split"} or cut.inputs[0] != second.inputs[0]:
        return None
    return cut.inputs[0], [first, cut, *([second] if second is not cut else [])]


def _private(nodes: list[Node], graph: Graph) -> bool:
    """Whether nothing else reads what is inside, and all run equally often."""
    inside = {node.name for node in nodes}
    return all(
        node.repeat == nodes[0].repeat
        and not any(
            name in graph.outputs
            or any(user.name not in inside for user in graph.users.get(name, []))
            for name in node.outputs
            if name
        )
        for node in nodes[1:]
    )
