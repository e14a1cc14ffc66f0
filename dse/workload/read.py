"""From an ONNX file to a :class:`~dse.workload.graph.Graph` with every shape known."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import shape_inference

from dse.errors import InputError
from dse.workload.binding import bind_inputs, check_positive, forget_shapes
from dse.workload.control import TRIPS, Bodies, body_fault
from dse.workload.declared import Declared, check_inputs, given_sizes
from dse.workload.graph import CONTROL, Graph, Node, attributes
from dse.workload.refused import check_readable
from dse.workload.shapes import fill_shapes
from dse.workload.shapes_windows import correct_shapes
from dse.workload.stored import check_nodes, check_stored, check_text, forget_data
from dse.workload.wire import without_weights

#: Stored tensors with more elements than this are dropped before shape inference.
KEPT_ELEMENTS = 4096
#: Domains in which operators are looked up; others are refused as unknown operators.
STANDARD = ("", "ai.onnx")
#: With longer vectors (elements) the inference of onnx does not follow values: it would keep one
#: record for each element. Our own rules follow them all the same.
VALUED_VECTOR = 1 << 22
#: Rounds of shape inference, each helped by what the last one found.
ROUNDS = 12


def parse_proto(data: bytes, path: str | Path) -> onnx.ModelProto:
    """The model in ``data``; ``path`` is for errors.

    Raises:
        InputError: not ONNX, or cut short.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(without_weights(data))
    except DecodeError:
        # A ModelProto written by any exporter starts with field 1, ir_version, a small integer.
        starts_well = data[:1] == b"\x08" and len(data) > 1 and 0 < data[1] < 64
        message = "the ONNX file is cut short or damaged" if starts_well else "not an ONNX file"
        mend = "export or copy it again" if starts_well else "give a file written by an exporter"
        raise InputError(message, file=path, mend=mend) from None
    if not model.ir_version and not model.graph.node:
        raise InputError("not an ONNX file", file=path, mend="give a file written by an exporter")
    if not model.graph.node:
        raise InputError("the graph has no nodes", file=path, mend="export the model again")
    return model


def read_graph(
    model: onnx.ModelProto, file: str, bindings: Mapping[str, int | tuple[int, int]]
) -> tuple[Graph, int, tuple[str, ...]]:
    """The bound graph of a model.

    Args:
        model: changed in place.
        file: for errors.
        bindings: sizes of symbols; ``batch`` and ``res`` have a meaning of their own.

    Returns:
        The graph; the factor by which its fixed batch has to be multiplied after lowering (1 when
        the batch is symbolic); remarks such as which symbol took its default.

    Raises:
        InputError: an invalid or cyclic graph, an unbound spatial symbol, an unknown shape.
    """
    try:
        return _read(model, file, bindings)
    except UnicodeDecodeError:
        raise InputError(
            "the ONNX file is damaged (a name in it is not text)",
            file=file,
            mend="export or copy it again",
        ) from None


def _read(
    model: onnx.ModelProto, file: str, bindings: Mapping[str, int | tuple[int, int]]
) -> tuple[Graph, int, tuple[str, ...]]:
    check_text(model.graph, file)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    check_nodes(model, file)
    check_stored(model, file)
    check_positive(bindings, file)
    trips = {name: value for name, value in bindings.items() if name.endswith(TRIPS)}
    sizes = {name: value for name, value in bindings.items() if name not in trips}
    given = given_sizes(model, sizes)
    sizes = {name: value for name, value in sizes.items() if name.rpartition(".")[0] not in given}
    check_inputs(model, file, sizes)
    declared = Declared.set_aside(model, given)
    factor, remarks = bind_inputs(model, file, sizes)
    declared.bound(model)
    forget_data(model.graph, KEPT_ELEMENTS)
    stored = _stored(model)
    _drop_weights(model)
    graph, differences = _inferred(model, file, stored, trips, declared)
    return graph, factor, (*remarks, *differences)


def _stored(model: onnx.ModelProto) -> dict[str, onnx.TensorProto | None]:
    """Stored tensors by name (small ones with their data)."""
    found: dict[str, onnx.TensorProto | None] = {}
    for tensor in model.graph.initializer:
        small = math.prod(tensor.dims) <= KEPT_ELEMENTS
        found[tensor.name] = tensor if small else None
    for sparse in model.graph.sparse_initializer:
        found[sparse.values.name] = None
    return found


def _drop_weights(model: onnx.ModelProto) -> None:
    """Turns large stored tensors into inputs: shape inference needs their shapes only."""
    listed = {value.name for value in model.graph.input}
    kept: list[onnx.TensorProto] = []
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= KEPT_ELEMENTS:
            kept.append(tensor)
        if tensor.name not in listed:
            info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            model.graph.input.append(info)
    for sparse in model.graph.sparse_initializer:
        info = onnx.helper.make_tensor_value_info(
            sparse.values.name, sparse.values.data_type, sparse.dims
        )
        model.graph.input.append(info)
    if len(kept) < len(model.graph.initializer):
        copies = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)


def _inferred(
    model: onnx.ModelProto,
    file: str,
    stored: dict[str, onnx.TensorProto | None],
    trips: Mapping[str, int | tuple[int, int]],
    declared: Declared,
) -> tuple[Graph, list[str]]:
    """Shapes by onnx and by our own rules, and remarks on those that the file states.

    Bodies of If, Loop and Scan are taken out on the way. Only when nothing more can be inferred,
    shapes are taken as the file states them.
    """
    loops = Bodies(file, trips)
    reasons: dict[str, str] = {}
    nodes = _ordered(_nodes(model, loops.repeats), stored, model, file)
    values = _largest_vector(model, stored) <= VALUED_VECTOR
    for _ in range(ROUNDS):
        reason = ""
        try:
            model = shape_inference.infer_shapes(model, check_type=True, data_prop=values)
        except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            _check_types(reason, nodes, file)
        except MemoryError:
            raise InputError(
                "its sizes are beyond the memory of any machine",
                file=file,
                mend="the graph is invalid: export it again",
            ) from None
        graph = _assembled(model, file, nodes, stored)
        inside = frozenset(loops.repeats)
        corrected = correct_shapes(graph)
        found, reasons = fill_shapes(graph, declared, inside)
        if corrected:
            forget_shapes(model)
            _tell(model, graph)
        declared.note_loops(graph)
        if loops.take_out(model, graph, stored):
            nodes = _ordered(_nodes(model, loops.repeats), stored, model, file)
            continue
        unknown = _first_unknown(graph)
        if unknown is None:
            break
        if not found:
            found, reasons = fill_shapes(graph, declared, inside, trusting=True)
        if not found:
            break
        _tell(model, graph)
    else:
        unknown = _first_unknown(graph)
    loops.check_trips()
    declared.check_given(graph)
    if unknown is not None:
        _refuse(unknown, graph, reasons.get(unknown.name) or reason)
    return graph, declared.remarks(graph, frozenset(loops.repeats))


def _largest_vector(model: onnx.ModelProto, stored: Mapping[str, Any]) -> int:
    """Elements of the largest input of rank one, and of the largest input that moves."""
    largest = 0
    for value in model.graph.input:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if len(dims) == 1 or value.name not in stored:
            largest = max(largest, math.prod(dims))
    return largest


#: What onnx says of an operand whose element type its operator does not take.
_WRONG_TYPE = re.compile(
    r"node name: (?P<node>.*?)\): (?P<what>.*(?:inconsistent|unsupported) type.*)"
)


def _check_types(reason: str, nodes: tuple[Node, ...], file: str) -> None:
    """Refuses a graph in which onnx found an operand of the wrong type."""
    found = _WRONG_TYPE.search(reason)
    if found is None:
        return
    node = next((n for n in nodes if n.name == found["node"]), None)
    if node is not None:
        raise _invalid(node, f"an operand is of the wrong type ({found['what']})", file)


def _assembled(
    model: onnx.ModelProto,
    file: str,
    nodes: tuple[Node, ...],
    stored: dict[str, onnx.TensorProto | None],
) -> Graph:
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, int] = {}
    proto = model.graph
    for group in (proto.input, proto.value_info, proto.output):
        for value in group:
            tensor = value.type.tensor_type
            if tensor.elem_type:
                types[value.name] = tensor.elem_type
            if tensor.HasField("shape"):
                dims = tensor.shape.dim
                if all(d.HasField("dim_value") and d.dim_value >= 0 for d in dims):
                    shapes[value.name] = tuple(d.dim_value for d in dims)
    for tensor in proto.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        types[tensor.name] = tensor.data_type
    versions = {o.domain: o.version for o in model.opset_import}
    opset = max((versions[d] for d in STANDARD if d in versions), default=0)
    names = tuple(v.name for v in proto.input if v.name not in stored)
    outputs = tuple(v.name for v in proto.output)
    return Graph(nodes, shapes, types, stored, names, outputs, opset, file)


def _tell(model: onnx.ModelProto, graph: Graph) -> None:
    """Writes the shapes found into the model, for a further round of inference."""
    known = {v.name: v for v in (*model.graph.value_info, *model.graph.output)}
    given = {v.name for v in model.graph.input}
    for name, shape in graph.shapes.items():
        if name in given or name in graph.initializers:
            continue
        info = onnx.helper.make_tensor_value_info(
            name, graph.types.get(name, onnx.TensorProto.FLOAT), shape
        )
        if name in known:
            known[name].CopyFrom(info)
        else:
            model.graph.value_info.append(info)


def _nodes(model: onnx.ModelProto, repeats: Mapping[str, int]) -> list[Node]:
    used: set[str] = set()
    nodes: list[Node] = []
    for index, proto in enumerate(model.graph.node):
        first = next((o for o in proto.output if o), "")
        stem = proto.name or first or f"{proto.op_type}_{index}"
        name, count = stem, 1
        while name in used:
            count += 1
            name = f"{stem}#{count}"
        used.add(name)
        proto.name = name
        domain = "" if proto.domain in STANDARD else proto.domain
        inputs, outputs = tuple(proto.input), tuple(proto.output)
        nodes.append(
            Node(
                name,
                proto.op_type,
                domain,
                inputs,
                outputs,
                attributes(proto),
                repeat=repeats.get(proto.name, 1),
                proto=proto,
            )
        )
    return nodes


def _ordered(
    nodes: list[Node],
    stored: Mapping[str, Any],
    model: onnx.ModelProto,
    file: str,
) -> tuple[Node, ...]:
    """``nodes`` in an order of execution.

    Raises:
        InputError: a tensor without producer or with two, or a cycle.
    """
    check_readable(nodes, file)
    producers: dict[str, Node] = {}
    for node in nodes:
        for out in filter(None, node.outputs):
            if out in producers:
                raise _invalid(node, f"tensor {out!r} is written twice", file)
            producers[out] = node
    given = {value.name for value in model.graph.input} | set(stored)
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in given and name not in producers:
                raise _invalid(node, f"nothing writes its input {name!r}", file)
    for value in model.graph.output:
        if value.name not in producers and value.name not in given:
            raise InputError(
                f"nothing writes the output {value.name!r}", file=file, mend="export it again"
            )
    ready, done, waiting = [], set(given), list(nodes)
    while waiting:
        later: list[Node] = []
        for node in waiting:
            if all(not name or name in done for name in node.inputs):
                ready.append(node)
                done.update(node.outputs)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise _invalid(later[0], "the graph has a cycle through this node", file)
        waiting = later
    return tuple(ready)


def _invalid(node: Node, message: str, file: str) -> InputError:
    return InputError(
        message,
        file=file,
        field=f"node {node.name!r} ({node.op})",
        mend="the graph is invalid: export it again",
    )


def _first_unknown(graph: Graph) -> Node | None:
    """The first live node whose result has no static shape though its inputs have one."""
    for node in graph.nodes:
        unknown = [o for o in node.outputs if o and o not in graph.shapes]
        if not unknown or node.name not in graph.live:
            continue
        if any(o in graph.users or o in graph.outputs for o in unknown):
            return node
    return None


def _refuse(node: Node, graph: Graph, reason: str) -> None:
    from dse.workload.ops import is_known

    if node.op in CONTROL:
        raise body_fault(node, graph)
    if not is_known(node):
        return  # lowering names the unknown operator, or sends it to the host
    made = next(filter(None, node.outputs), "NAME")
    raise graph.fault(
        node,
        "the shape of its result cannot be inferred" + (f" ({reason})" if reason else ""),
        "bind its symbolic sizes (--bind name=value), give those of its result (--bind "
        f"{made}.0=N, one for each axis), or export with static shapes",
    )
