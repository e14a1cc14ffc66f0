"""Recognizing activations that exporters write as several operators.

Any cluster of elementwise operators with scalar constants whose result depends on one tensor only
is a function of one argument: SiLU as ``x * Sigmoid(x)``, GELU through Erf or Tanh, HardSwish,
Mish. Such a cluster becomes one node.
"""

from __future__ import annotations

from dse.workload.graph import Graph, Node
from dse.workload.limits import LIMITS
from dse.workload.ops.elementwise import BINARY, UNARY

#: How far back a cluster may reach, in tensors.
REACH = 12
#: Operators that make a cluster worth a table, and the activation it then is.
_KINDS = (
    ("Softplus", "Mish"),
    ("Erf", "Gelu"),
    ("Tanh", "Gelu"),
    ("Sigmoid", "Silu"),
    ("HardSigmoid", "HardSwish"),
    ("Clip", "HardSwish"),
    ("Exp", "TableFunction"),
)
_ELEMENTWISE = frozenset(UNARY) | frozenset(BINARY) | {"Pow"}


def fuse_composites(graph: Graph) -> Graph:
    """``graph`` with every such cluster replaced by one node at the place of its last node."""
    lineage: dict[str, list[str]] = {}
    position = {node.name: index for index, node in enumerate(graph.nodes)}
    replaced: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.name not in graph.live or graph.is_folded(node) or node.domain:
            continue
        sources = _sources(node, graph)
        if sources is None or not node.outputs:
            continue
        chains = [[name, *lineage.get(name, [])] for name in sources]
        common = [name for name in chains[0] if all(name in chain for chain in chains)]
        lineage[node.outputs[0]] = common[:REACH]
        if len(sources) < 2 or not common:
            continue
        cluster = _between(common[0], node, graph)
        kind = _kind(cluster)
        if not cluster or any(n.repeat != node.repeat for n in cluster):
            continue
        if kind is None or any(n.name in gone for n in cluster) or not _closed(cluster, graph):
            continue
        cluster += _tail(cluster[-1], graph)
        last = max(cluster, key=lambda n: position[n.name])
        names = tuple(n.name for n in cluster if n is not last)
        gone.update(n.name for n in cluster)
        replaced[last.name] = Node(
            last.name,
            kind,
            "",
            (common[0],),
            last.outputs,
            {},
            absorbed=names,
            repeat=last.repeat,
        )
        lineage[last.outputs[0]] = [common[0], *lineage.get(common[0], [])][:REACH]
    if not replaced:
        return graph
    nodes = [
        replaced.get(n.name, n) for n in graph.nodes if n.name in replaced or n.name not in gone
    ]
    return graph.with_nodes(tuple(nodes))


def _sources(node: Node, graph: Graph) -> list[str] | None:
    """The distinct moving inputs if all others are scalar constants; None if it does not apply."""
    if node.op not in _ELEMENTWISE:
        return None
    moving: dict[str, None] = {}
    for name in filter(None, node.inputs):
        if name not in graph.constants:
            moving[name] = None
        elif graph.shapes.get(name) is None or any(n != 1 for n in graph.shapes[name]):
            return None
    return list(moving) or None


def _between(source: str, last: Node, graph: Graph) -> list[Node]:
    """The nodes through which ``last`` depends on ``source``, in order, ``last`` at the end.

    None at all if there are more than any exporter writes for one activation.
    """
    found: dict[str, Node] = {}
    waiting = [(last, 0)]
    while waiting:
        node, index = waiting.pop()
        if len(found) + len(waiting) > LIMITS.cluster:
            return []
        if index == len(node.inputs):
            found[node.name] = node
            continue
        waiting.append((node, index + 1))
        name = node.inputs[index]
        if name and name != source and name not in graph.constants:
            before = graph.producers[name]
            if before.name not in found:
                waiting.append((before, 0))
    return list(found.values())


def _kind(cluster: list[Node]) -> str | None:
    ops = {node.op for node in cluster}
    return next((kind for op, kind in _KINDS if op in ops), None)


def _closed(cluster: list[Node], graph: Graph) -> bool:
    """Whether nothing outside reads a tensor inside the cluster."""
    inside = {node.name for node in cluster}
    for node in cluster[:-1]:
        for name in node.outputs:
            if name in graph.outputs:
                return False
            if any(user.name not in inside for user in graph.users.get(name, [])):
                return False
    return True


def _tail(last: Node, graph: Graph) -> list[Node]:
    """Products with scalars right behind the cluster (``/ 6``, ``* 0.5``): part of the table."""
    tail: list[Node] = []
    while last.outputs[0] not in graph.outputs:
        users = graph.users.get(last.outputs[0], [])
        if len(users) != 1 or users[0].op not in ("Mul", "Div") or users[0].domain:
            break
        if (
            users[0].repeat != last.repeat
            or _sources(users[0], graph) != [last.outputs[0]]
            or users[0].inputs.count(last.outputs[0]) > 1
        ):
            break
        last = users[0]
        tail.append(last)
    return tail
