"""Shapes of what only moves elements, as far as values that decide them are known."""

from __future__ import annotations

import math
from collections.abc import Callable

from dse.workload.graph import Graph, Node, Shape
from dse.workload.guard import CRASHING
from dse.workload.shapes_fused import broadcast


def _reshape(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[1])
    if wanted is None:
        return {}
    before = graph.shapes[node.inputs[0]]
    dims = [int(v) for v in wanted.reshape(-1)]
    if not node.attrs.get("allowzero"):
        dims = [before[i] if v == 0 else v for i, v in enumerate(dims)]
    known = math.prod(v for v in dims if v != -1)
    rest = math.prod(before) // known if known else 0
    return {node.outputs[0]: tuple(rest if v == -1 else v for v in dims)}


def _expand(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[1])
    if wanted is None:
        return {}
    return {node.outputs[0]: broadcast(graph.shapes[node.inputs[0]], tuple(map(int, wanted)))}


def _filled(node: Node, graph: Graph) -> dict[str, Shape]:
    wanted = graph.value(node.inputs[0])
    return {} if wanted is None else {node.outputs[0]: tuple(int(v) for v in wanted.reshape(-1))}


def _gathered(node: Node, graph: Graph) -> dict[str, Shape]:
    """Slices of the first operand, at the places that the last axis of the second one names.

    Raises:
        InputError: it names more axes than there are.
    """
    data, places = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    batch = int(node.attrs.get("batch_dims", 0))
    named = places[-1] if places else 0
    if not (0 <= batch < min(len(data), len(places)) and 1 <= named <= len(data) - batch):
        raise graph.fault(
            node,
            f"its indices name {named} axes behind {batch} of a batch, "
            f"its first operand has {len(data)} in all",
            "the graph is invalid: export it again",
        )
    return {node.outputs[0]: (*places[:-1], *data[batch + named :])}


def _tile(node: Node, graph: Graph) -> dict[str, Shape]:
    times = graph.value(node.inputs[1])
    if times is None:
        return {}
    pairs = zip(graph.shapes[node.inputs[0]], times.reshape(-1), strict=True)
    return {node.outputs[0]: tuple(n * int(t) for n, t in pairs)}


def _slice(node: Node, graph: Graph) -> dict[str, Shape]:
    starts, ends = graph.value(node.input(1)), graph.value(node.input(2))
    if starts is None or ends is None:
        return {}
    shape = list(graph.shapes[node.inputs[0]])
    axes, steps = graph.value(node.input(3)), graph.value(node.input(4))
    if (node.input(3) and axes is None) or (node.input(4) and steps is None):
        return {}
    for i, (start, end) in enumerate(zip(starts.reshape(-1), ends.reshape(-1), strict=True)):
        axis = int(axes.reshape(-1)[i]) if axes is not None else i
        step = int(steps.reshape(-1)[i]) if steps is not None else 1
        shape[axis] = len(range(shape[axis])[slice(int(start), int(end), step)])
    return {node.outputs[0]: tuple(shape)}


def _split(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = graph.shapes[node.inputs[0]]
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    sizes = graph.value(node.input(1))
    if node.input(1) and sizes is None:
        return {}
    parts = len(node.outputs)
    step = -(-shape[axis] // parts)
    equal = [min(step, shape[axis] - i * step) for i in range(parts)]
    given = equal if sizes is None else [int(v) for v in sizes.reshape(-1)]
    pairs = zip(node.outputs, given, strict=True)
    return {name: (*shape[:axis], n, *shape[axis + 1 :]) for name, n in pairs}


def _padded(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = list(graph.shapes[node.inputs[0]])
    pads, axes = graph.value(node.input(1)), graph.value(node.input(3))
    if pads is None or (node.input(3) and axes is None):
        return {}
    chosen = range(len(shape)) if axes is None else [int(a) for a in axes.reshape(-1)]
    ends = [int(v) for v in pads.reshape(-1)]
    for i, axis in enumerate(chosen):
        shape[axis] += ends[i] + ends[i + len(ends) // 2]
    return {node.outputs[0]: tuple(shape)}


LAYOUT_RULES: dict[str, Callable[[Node, Graph], dict[str, Shape]]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    CRASHING: _gathered,
    "Tile": _tile,
    "Slice": _slice,
    "Split": _split,
    "Pad": _padded,
}
