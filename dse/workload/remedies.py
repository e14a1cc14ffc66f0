"""What to bind so that a refused graph can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from dse.workload.graph import Graph, Node
from dse.workload.values import EVALUATED

#: Inputs that decide the shape of an operator's result by their value.
_DECIDING: dict[str, tuple[int, ...]] = {
    "Range": (0, 1, 2),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (2, 3),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "STFT": (1, 3),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
    "NonMaxSuppression": (2,),
    "SequenceInsert": (2,),
    "If": (0,),
    "Loop": (0,),
    **dict.fromkeys(("HannWindow", "HammingWindow", "BlackmanWindow"), (0,)),
    **dict.fromkeys(
        ("Reshape", "Expand", "Tile", "TopK", "Split", "OneHot", "Squeeze", "Unsqueeze"), (1,)
    ),
    **dict.fromkeys(("SplitToSequence", "SequenceAt", "SequenceErase", "CenterCropPad"), (1,)),
    **dict.fromkeys(("AffineGrid", "Upsample"), (1,)),
    **dict.fromkeys(
        ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"), (1,)
    ),
    **dict.fromkeys(("ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), (1,)),
}
#: Inputs of at most so many elements are bound by their value.
SMALL = 16
#: Suggested values beyond this number are written with dots.
_WRITTEN = 4
#: A value that follows from more tensors than this is bound as it is.
_WIDE = 64


def undecided(node: Node, graph: Graph) -> str | None:
    """The input of ``node`` whose unknown value decides its result's shape; None if none does."""
    if node.domain:
        return None
    for index in _DECIDING.get(node.op, ()):
        name = node.input(index)
        if name is not None and graph.value(name) is None and not graph.is_const(name):
            return name
    return None


def ends(name: str, graph: Graph) -> list[str]:
    """Tensors that the value of ``name`` is computed from, other than by the shape of one: what no
    node writes, what is :attr:`Graph.given`, and counters of loops."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        node = graph.producers.get(tensor)
        if node is None or tensor in graph.given or node.op == "Step":
            found[tensor] = None
        elif node.op not in ("Shape", "Size"):
            waiting.extend(filter(None, node.inputs))
    return list(found)


def sources(name: str, graph: Graph) -> list[str]:
    """Graph inputs and loop counters on which the value of tensor ``name`` depends."""
    found = ends(name, graph)
    counters = {n for n in found if n in graph.producers and graph.producers[n].op == "Step"}
    return [n for n in found if n in graph.inputs or n in counters]


def to_bind(name: str, graph: Graph) -> str:
    """The options that give the value of a tensor: by graph inputs if small ones decide it."""
    inputs = sources(name, graph)
    sized = {i: graph.size(i) for i in inputs if i in graph.inputs and i in graph.shapes}
    if inputs and all(0 < sized.get(i, SMALL + 1) <= SMALL for i in inputs):
        return " ".join(_option(i, sized[i], graph) for i in inputs)
    if name in graph.shapes and graph.size(name) > 1:
        name = _waist(name, graph)
    return _option(name, graph.size(name) if name in graph.shapes else 1, graph)


def _waist(name: str, graph: Graph) -> str:
    """The first small tensor on the way to ``name`` from which alone it follows, such as the box
    that sizes are made of; ``name`` itself if there is none."""
    order = {out: index for index, node in enumerate(graph.nodes) for out in node.outputs}
    found, front = name, {name}
    while 0 < len(front) <= _WIDE:
        last = max(front, key=lambda tensor: order.get(tensor, -1))
        node = graph.producers.get(last)
        if node is None or node.domain or node.op not in EVALUATED:
            break
        front.remove(last)
        known = graph.constants
        front |= {i for i in node.inputs if i and i not in known and graph.value(i) is None}
        if len(front) == 1:
            (only,) = front
            if only in graph.producers and only in graph.shapes and 0 < graph.size(only) <= SMALL:
                found = only
    return found


def _option(name: str, elements: int, graph: Graph) -> str:
    if name in graph.named:
        name += ".value"  # by its bare name a symbolic size is meant
    values = ["VALUE"] * elements if elements <= _WRITTEN else ["VALUE", "...", "VALUE"]
    return f"--bind {name}={','.join(values)}"


def _bare(node: Node, graph: Graph) -> str:
    """What to do about an input in front of ``node`` that has no shape; empty if there is none."""
    behind = {i for name in node.inputs if name for i in _inputs(name, graph)}
    name = next((n for n in graph.inputs if n in behind and n not in graph.shapes), None)
    if name is None:
        return ""
    if name not in graph.types:  # a sequence, a map, an optional
        return f"export it with plain tensors in the place of its input {name!r}"
    how = f"--bind {name}.0=N, one for each axis"
    return f"give the sizes of input {name!r}, which has no shape: {how}"


def open_sizes(node: Node, graph: Graph, *ways: str, otherwise: str) -> str:
    """The mend of a node with bodies whose shapes are not known."""
    read = (*node.inputs, *graph.inputs)  # its bodies may read any of them
    around = Node(node.name, node.op, node.domain, read, ())
    found = [_bare(around, graph)]
    if not found[0] and (shown := symbols(around, graph)):
        found = [f"bind its symbolic sizes: {shown}"]
    return " or ".join([*filter(None, found), *ways, otherwise])


def remedy(node: Node, graph: Graph) -> str:
    """How to make the shape of a node's result known, as an option that can be followed."""
    ways = list(_ways(node, graph))
    if bare := _bare(node, graph):
        ways = [bare]
    if not ways:
        first = next((o for o in node.outputs if o and o not in graph.shapes), "")
        ways.append(
            f"give its sizes if you know them (--bind {first}.0=N,{first}.1=N for each axis)"
        )
    return " or ".join(ways) + ", or export with static shapes"


def _ways(node: Node, graph: Graph) -> Iterator[str]:
    name = undecided(node, graph)
    if name is not None and graph.shapes.get(name) and not graph.size(name):
        name = None  # there is nothing to bind
    if name is not None and node.op == "Range":
        inputs = sources(name, graph)
        options = [f"--bind {node.outputs[0]}.0=N for its length"]
        if inputs and all(i in graph.inputs and graph.shapes.get(i) in ((), (1,)) for i in inputs):
            options.insert(0, to_bind(name, graph))
        yield "bind what depends on the data: " + " or ".join(options)
    elif name is not None:
        yield f"bind what depends on the data: {to_bind(name, graph)}"
    if shown := symbols(node, graph):
        yield f"bind its symbolic sizes: {shown}"


def symbols(node: Node, graph: Graph) -> str:
    """Options for the dynamic axes in front of ``node`` that took their default; empty if none."""
    behind = {i for name in node.inputs if name for i in _inputs(name, graph)}
    names = [name for name, inputs in graph.defaults.items() if behind & set(inputs)]
    return options(names, " (now the default)")


def options(names: Iterable[str], note: str = "") -> str:
    """Options that bind symbolic sizes, each with a note; the first six at most."""
    return " ".join(f"--bind {name}=VALUE{note}" for name in islice(names, 6))


def fitting(node: Node, graph: Graph, otherwise: str) -> str:
    """The mend of sizes that do not fit: other sizes of the dynamic axes, if there are such."""
    shown = symbols(node, graph)
    return f"bind sizes that fit: {shown}" if shown else otherwise


def _inputs(name: str, graph: Graph) -> set[str]:
    """Graph inputs in front of a tensor, by way of shapes too."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        tensor = waiting.pop()
        if tensor not in seen:
            seen.add(tensor)
            node = graph.producers.get(tensor)
            waiting.extend(n for n in (node.inputs if node else ()) if n)
    return seen & set(graph.inputs)
