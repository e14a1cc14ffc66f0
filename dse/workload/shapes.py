"""Shapes that onnx leaves open: operators it does not know, sizes computed by constants."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx
from onnx import numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

from dse.workload.declared import Declared
from dse.workload.graph import CONTROL, LOOP_DOMAIN, Graph, Node, Shape
from dse.workload.guard import CRASHING, SHAPE_OPERAND
from dse.workload.limits import LIMITS, beyond
from dse.workload.shapes_dialects import ELSEWHERE_SHAPES
from dse.workload.shapes_fused import (
    FUSED_RULES,
    SAME,
    SCALED,
    TYPES,
    first_version,
    is_fused,
)
from dse.workload.shapes_layout import LAYOUT_RULES
from dse.workload.shapes_windows import WINDOW_RULES

#: Operators whose result depends on the data, and its axis that does (None: their ``axis``).
BOUNDED: dict[str, int | None] = {
    "NonZero": 1,
    "NonMaxSuppression": 0,
    "Compress": None,
    "Unique": None,
}
#: What the inference of onnx raises for a node that is not valid.
_REFUSALS = (
    InferenceError,
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    RuntimeError,
    ValueError,
    TypeError,
    MemoryError,
)


def fill_shapes(
    graph: Graph, declared: Declared, inside: frozenset[str], *, trusting: bool = False
) -> tuple[int, dict[str, str]]:
    """Finds shapes that onnx did not infer but that follow from the inputs, in one pass.

    ``graph.shapes`` and ``graph.types`` are filled in place. A node is looked at with our own rules
    and, if there is none, by the inference that onnx has for single operators.

    Args:
        graph: to fill.
        declared: what file and user state. Where a size depends on data, it stands instead of the
            largest that there can be.
        inside: names of the nodes that were taken out of bodies.
        trusting: take what is stated for every result that cannot be inferred.

    Returns:
        The number of tensors found; for each node that onnx refused, its reason.
    """
    graph.forget_unknown_values()
    found = 0
    reasons: dict[str, str] = {}
    for node in graph.nodes:
        if all(name in graph.shapes for name in node.outputs if name) or node.op in CONTROL:
            continue
        _check_axes(node, graph)
        shapes = _shapes_of(node, graph)
        if _is_open(node, shapes, graph, declared):
            shapes = _stated(node, shapes, declared, graph, node.name in inside)
        if shapes:
            kind = _type_of(node, graph)
            for name, shape in shapes.items():
                if name and name not in graph.shapes:
                    graph.learn(name, kind, shape)
                    found += 1
            if all(name in graph.shapes for name in node.outputs if name):
                continue
        found += _inferred_alone(node, graph, reasons)
        for name in filter(None, node.outputs) if trusting and node.name in graph.live else ():
            stated = declared.shape(name, inside=node.name in inside)
            if name not in graph.shapes and stated is not None:
                graph.learn(name, _type_of(node, graph), stated)
                declared.take(name)
                found += 1
    return found, reasons


def _check_axes(node: Node, graph: Graph) -> None:
    """Refuses a node that gives its result an axis for each of very many numbers.

    Raises:
        InputError: names the node.
    """
    operand = None if node.domain else SHAPE_OPERAND.get(node.op)
    name = None if operand is None else node.input(operand)
    count = math.prod(graph.shapes.get(name or "", ()))
    if count > LIMITS.axes:
        raise beyond(
            graph.file,
            f"its result has {count:,} axes, one for each element of {name!r}; at most "
            f"{LIMITS.axes}",
            "the graph is invalid: export it again",
            node,
        )


def _is_open(node: Node, found: dict[str, Shape], graph: Graph, declared: Declared) -> bool:
    """Whether ``found`` need not be what there is: data decide, or a loop lets it grow."""
    if node.domain == LOOP_DOMAIN:
        return any(declared.grows(name, shape, graph) for name, shape in found.items())
    return node.op in BOUNDED and not node.domain


def _stated(
    node: Node, largest: dict[str, Shape], declared: Declared, graph: Graph, inside: bool
) -> dict[str, Shape]:
    """The stated sizes of a result; of one whose size depends on data, if they are no larger.

    What the user gives (:attr:`Graph.lengths`) goes before what the file states.
    """
    found = dict(largest)
    for name, bound in largest.items():
        if name in graph.lengths:
            own = graph.lengths[name]
            if node.domain == LOOP_DOMAIN:
                found[name] = tuple(own.get(axis, n) for axis, n in enumerate(bound))
            continue
        shape = declared.shape(name, inside=inside)
        if shape is None or len(shape) != len(bound):
            continue
        least = all(n <= most for n, most in zip(shape, bound, strict=True))
        if node.domain == LOOP_DOMAIN or least:
            declared.take(name)
            found[name] = shape
    return found


def _type_of(node: Node, graph: Graph) -> int:
    fixed = int(onnx.TensorProto.INT64) if node.op == "Step" else TYPES.get(node.op)
    scale = node.input(SCALED[node.op]) if node.op in SCALED else None
    if scale in graph.types:
        return graph.types[scale]
    if fixed is not None:
        return fixed
    for name in node.inputs[1 if node.op == "Where" else 0 :]:
        if name in graph.types:
            return graph.types[name]
    return int(onnx.TensorProto.FLOAT)


def _inferred_alone(node: Node, graph: Graph, reasons: dict[str, str]) -> int:
    """Shapes by the inference of onnx for this operator alone; returns how many were found."""
    if node.domain or node.proto is None or node.op == CRASHING:
        return 0
    inputs: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    read = list(filter(None, node.inputs))
    if any(name not in graph.shapes or name not in graph.types for name in read):
        return 0
    try:
        for name in read:
            kind, value = graph.types[name], graph.value(name)
            inputs[name] = onnx.helper.make_tensor_type_proto(kind, graph.shapes[name])
            if value is not None and kind == onnx.TensorProto.INT64:
                data[name] = numpy_helper.from_array(value)
        version = max(graph.opset, first_version(node.op))
        schema = onnx.defs.get_schema(node.op, version, "")
        results = infer_node_outputs(
            schema,
            node.proto,
            inputs,
            data,
            opset_imports=[onnx.helper.make_opsetid("", version)],
            ir_version=onnx.IR_VERSION,
        )
    except _REFUSALS as error:
        reasons[node.name] = " ".join(str(error).split())[:200]
        return 0
    found = 0
    for name, result in results.items():
        tensor = result.tensor_type
        dims = tensor.shape.dim
        known = tensor.HasField("shape") and all(d.HasField("dim_value") for d in dims)
        if name and known and name not in graph.shapes:
            graph.learn(name, tensor.elem_type, tuple(d.dim_value for d in dims))
            found += 1
    return found


def _shapes_of(node: Node, graph: Graph) -> dict[str, Shape]:
    if node.domain == LOOP_DOMAIN:
        return _around_loop(node, graph)
    value = graph.value(node.outputs[0]) if node.outputs and not node.domain else None
    if value is not None:
        return {node.outputs[0]: value.shape}
    first = node.input(0)
    if node.op in SAME and first in graph.shapes:
        assert first is not None
        return {node.outputs[0]: graph.shapes[first]}
    rule = ELSEWHERE_SHAPES.get((node.domain, node.op))
    fused = FUSED_RULES.get(node.op) if is_fused(node) else None
    rule = rule or fused or _RULES.get(node.op)
    if rule is None:
        return {}
    try:
        return rule(node, graph)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, TypeError):
        return {}


def _around_loop(node: Node, graph: Graph) -> dict[str, Shape]:
    """What goes into a loop's body (Step, Carry, Slot) and comes out of it (Out, Stack)."""
    if node.op == "Step":
        return {node.outputs[0]: ()}
    shape = graph.shapes.get(node.inputs[0])
    if shape is None:
        return {}
    axis = int(node.attrs.get("axis", 0))
    if node.op == "Slot":
        shape = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    elif node.op == "Stack":
        axis %= len(shape) + 1
        shape = (*shape[:axis], int(node.attrs["trips"]), *shape[axis:])
    return {node.outputs[0]: shape}


def _resize(node: Node, graph: Graph) -> dict[str, Shape]:
    before = graph.shapes[node.inputs[0]]
    sizes, scales = graph.value(node.input(3)), graph.value(node.input(2) or node.input(1))
    if sizes is not None and sizes.size == len(before):
        return {node.outputs[0]: tuple(int(v) for v in sizes)}
    if scales is not None and scales.size == len(before):
        grown = zip(before, scales.reshape(-1), strict=True)
        return {node.outputs[0]: tuple(math.floor(n * float(s)) for n, s in grown)}
    return {}


def _reduced(node: Node, graph: Graph) -> dict[str, Shape]:
    shape = graph.shapes[node.inputs[0]]
    axes = graph.value(node.input(1))
    if node.input(1) and axes is None:
        return {}
    given = node.ints("axes", []) if axes is None else [int(a) for a in axes.reshape(-1)]
    if not given and node.attrs.get("noop_with_empty_axes"):
        return {node.outputs[0]: shape}
    gone = {a % len(shape) for a in given} if given else set(range(len(shape)))
    if node.attrs.get("keepdims", 1):
        return {node.outputs[0]: tuple(1 if i in gone else n for i, n in enumerate(shape))}
    return {node.outputs[0]: tuple(n for i, n in enumerate(shape) if i not in gone)}


def _limited(node: Node, graph: Graph) -> dict[str, Shape]:
    """Results whose size depends on the data: as given, else at the most they can be."""
    found = _bounded(node, graph)
    for name, sizes in graph.lengths.items():
        if name in found and all(n <= found[name][axis] for axis, n in sizes.items()):
            found[name] = tuple(sizes.get(axis, n) for axis, n in enumerate(found[name]))
    return found


def most_lengths(graph: Graph, declared: Declared) -> list[str]:
    """A remark for each result that counts at the most it can be, since it depends on the data."""
    found = []
    for node in graph.nodes:
        if node.op not in BOUNDED or node.domain or node.name not in graph.live:
            continue
        if graph.is_folded(node) or node.outputs[0] in graph.lengths | declared.taken:
            continue
        name, axis = node.outputs[0], BOUNDED[node.op]
        axis = int(node.attrs.get("axis", 0)) if axis is None else axis
        shape = graph.shapes.get(name)
        if shape is not None and -len(shape) <= axis < len(shape):
            axis %= len(shape)
            found.append(
                f"{name}.{axis}={shape[axis]} at most (how many {node.op} finds depends on the "
                f"data): --bind {name}.{axis}=N sets it"
            )
    return found


def _bounded(node: Node, graph: Graph) -> dict[str, Shape]:
    """Results whose size depends on the data, at the most they can be."""
    first = graph.shapes[node.inputs[0]]
    n = math.prod(first)
    if node.op == "NonZero":
        return {node.outputs[0]: (max(1, len(first)), n)}
    if node.op == "NonMaxSuppression":
        batch, classes, boxes = graph.shapes[node.inputs[1]]
        limit = graph.scalar(node.input(2))
        kept = min(boxes, int(limit)) if limit is not None and limit > 0 else boxes
        return {node.outputs[0]: (batch * classes * kept, 3)}
    if "axis" not in node.attrs:
        whole: Shape = (n,)
        kept_axis = n
    else:
        axis = int(node.attrs["axis"]) % len(first)
        whole, kept_axis = first, first[axis]
    if node.op == "Compress":
        picked = math.prod(graph.shapes[node.inputs[1]])
        axis = int(node.attrs.get("axis", 0)) % len(whole)
        picked = min(picked, whole[axis])
        return {node.outputs[0]: (*whole[:axis], picked, *whole[axis + 1 :])}
    shapes = (whole, (kept_axis,), (n if "axis" not in node.attrs else kept_axis,), (kept_axis,))
    return dict(zip(node.outputs, shapes, strict=False))


def _normalized(node: Node, graph: Graph) -> dict[str, Shape]:
    """The result; mean and reciprocal deviation of each row."""
    shape = graph.shapes[node.inputs[0]]
    axis = int(node.attrs.get("axis", -1)) % max(1, len(shape))
    rows = (*shape[:axis], *[1] * (len(shape) - axis))
    found = dict.fromkeys(node.outputs[1:], rows)
    return {node.outputs[0]: shape} | {name: rows for name in found if name}


def _cropped(node: Node, graph: Graph) -> dict[str, Shape]:
    """Crop, which is no longer of the standard: ``border`` or ``scale`` of height and width."""
    shape = graph.shapes[node.inputs[0]]
    left, top, right, bottom = node.ints("border", [0, 0, 0, 0])
    size = node.ints("scale", [shape[2] - top - bottom, shape[3] - left - right])
    return {node.outputs[0]: (*shape[:2], *size)}


_RULES: dict[str, Callable[[Node, Graph], dict[str, Shape]]] = {
    **WINDOW_RULES,
    **LAYOUT_RULES,
    **dict.fromkeys(("LayerNormalization", "SimplifiedLayerNormalization"), _normalized),
    "Crop": _cropped,
    "Resize": _resize,
    "Upsample": _resize,
    **dict.fromkeys(BOUNDED, _limited),
    **dict.fromkeys(
        (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSum",
            "ReduceLogSumExp",
        ),
        _reduced,
    ),
}
