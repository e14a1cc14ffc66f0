"""From an ONNX file to a :class:`~dse.workload.graph.Graph` with every shape known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import shape_inference

from dse.errors import InputError
from dse.workload.assumed import Assumed
from dse.workload.binding import (
    BATCH,
    RESOLUTION,
    bind_inputs,
    check_positive,
    forget_shapes,
)
from dse.workload.branches import Cost
from dse.workload.branches import remarks as branch_remarks
from dse.workload.control import TRIPS, Bodies, body_fault
from dse.workload.declared import Declared, check_inputs
from dse.workload.dialects import domain_of, notes_of
from dse.workload.element_types import typed
from dse.workload.functions import inlined
from dse.workload.graph import CONTROL, DIALECT, Graph, Node
from dse.workload.inputs import free_inputs
from dse.workload.layer import Binding
from dse.workload.limits import LIMITS, Budget, beyond, check_size
from dse.workload.lower import lower
from dse.workload.nodes import STANDARD, executed, nodes_of
from dse.workload.remedies import remedy
from dse.workload.sequences import Sequences
from dse.workload.shapes import fill_shapes, most_lengths
from dse.workload.shapes_windows import correct_shapes, unlike_the_standard
from dse.workload.stored import check_nodes, check_stored
from dse.workload.survey import check_rest, forget_data, survey
from dse.workload.wire import NESTED, SMALL_REST, measured, without_weights

#: Stored tensors with more elements than this are dropped before shape inference.
KEPT_ELEMENTS = 4096
#: Rounds of shape inference, each helped by what the last one found; those that take bodies out, a
#: level at a time, are apart.
ROUNDS = 12
#: What a round costs besides its nodes, in nodes: by itself, and for each so many bytes.
ROUND_COST, BYTES_COST = 50, 1024


def parse_proto(data: bytes, path: str | Path) -> onnx.ModelProto:
    """The model in ``data``; ``path`` is for errors.

    Raises:
        InputError: not ONNX, or cut short.
    """
    model = onnx.ModelProto()
    data = without_weights(data)
    if len(data) > SMALL_REST:
        _check_parsed(data, str(path))
    try:
        model.ParseFromString(data)
    except DecodeError:
        if measured(data, onnx.ModelProto.DESCRIPTOR)[1] > NESTED:
            raise beyond(
                str(path),
                f"its parts lie more than {NESTED} deep inside each other",
                "export it with fewer branches and loops inside each other",
            ) from None
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


def _check_parsed(data: bytes, file: str) -> None:
    """Refuses a file that would take too much memory once it is parsed."""
    size, depth = measured(data, onnx.ModelProto.DESCRIPTOR)
    if size > LIMITS.parsed and depth <= NESTED:
        raise beyond(
            file,
            f"more than {LIMITS.fields:,} fields or {LIMITS.parsed >> 20} MB beside its weights",
            "export it in smaller parts",
        )


def read_graph(
    model: onnx.ModelProto, file: str, bindings: Mapping[str, Binding]
) -> tuple[Graph, int, tuple[str, ...]]:
    """The bound graph of a model.

    Args:
        model: changed in place.
        file: for errors.
        bindings: sizes of symbols, values of small inputs and tensors; ``batch``, ``res`` and
            ``LOOP.trips`` have a meaning of their own.

    Returns:
        The graph; the factor by which its fixed batch has to be multiplied after lowering (1 when
        the batch is symbolic); remarks such as which symbol took its default, which branch runs.

    Raises:
        InputError: an invalid or cyclic graph, an unbound spatial symbol, an unknown shape.
    """
    try:
        return _read(model, bindings, Budget(file))
    except UnicodeDecodeError:
        raise InputError(
            "the ONNX file is damaged (a name in it is not text)",
            file=file,
            mend="export or copy it again",
        ) from None


def _read(
    model: onnx.ModelProto, bindings: Mapping[str, Binding], budget: Budget
) -> tuple[Graph, int, tuple[str, ...]]:
    file = budget.file
    contents = survey(model, file)
    if model.functions:
        _keep_quantizers(model)
        _import_domains(model)
        model = inlined(model, budget)
        contents = survey(model, file)
    else:
        _import_domains(model)
    check_nodes(model, contents, file)
    check_stored(model, contents, file)
    trips = {name: value for name, value in bindings.items() if name.endswith(TRIPS)}
    sizes = {name: value for name, value in bindings.items() if name not in trips}
    check_positive(trips | {k: v for k, v in sizes.items() if k in (BATCH, RESOLUTION)}, file)
    freed = free_inputs(model, sizes)
    check_inputs(model, file, sizes)
    declared = Declared.set_aside(model)
    bound = bind_inputs(model, file, sizes, declared.written)
    declared.bound(model)
    forget_data(model.graph, contents, KEPT_ELEMENTS)
    assumed = Assumed(file, bound.inner)
    known = bound.values | frozenset(bound.inner)
    loops = Bodies(budget, trips, _cost, bound=known, assumed=assumed, declared=declared)
    loops.defaults, loops.named = bound.defaults, bound.names
    graph = read_body(model, loops)
    loops.check_trips()
    assumed.check(graph)
    remarks = (
        *freed,
        *bound.remarks,
        *branch_remarks(loops.branches, loops.taken),
        *loops.forbidden,
        *declared.remarks(graph, frozenset(loops.repeats)),
        *most_lengths(graph, declared),
        *unlike_the_standard(graph),
    )
    return graph, bound.factor, remarks


def read_body(model: onnx.ModelProto, loops: Bodies) -> Graph:
    """The graph of a checked model with static inputs, such as a branch by itself.

    Raises:
        InputError: a cyclic graph, an unknown shape.
    """
    stored = _stored(model)
    _drop_weights(model)
    check_rest(model, loops.file)
    return _inferred(model, stored, loops)


def _cost(branch: onnx.ModelProto, loops: Bodies) -> Cost:
    """What a branch by itself costs."""
    layers = lower(read_body(branch, loops), "host").layers
    return (
        sum(layer.macs for layer in layers),
        sum(count for layer in layers for _, count in layer.vector_ops),
        sum(layer.i_elements + layer.o_elements for layer in layers),
    )


def _keep_quantizers(model: onnx.ModelProto) -> None:
    """Takes out the bodies of functions that are quantizers: Brevitas writes them as ``y = x``."""
    kept = [f for f in model.functions if domain_of(f.domain, f.name) != DIALECT]
    if len(kept) < len(model.functions):
        copies = [onnx.FunctionProto.FromString(f.SerializeToString()) for f in kept]
        del model.functions[:]
        model.functions.extend(copies)


def _import_domains(model: onnx.ModelProto) -> None:
    """Imports the domains that a file forgot to import: onnx would infer no shape at all."""
    imported = {*STANDARD, *(entry.domain for entry in model.opset_import)}
    for node in model.graph.node:
        if node.domain not in imported:
            imported.add(node.domain)
            model.opset_import.append(onnx.helper.make_opsetid(node.domain, 1))


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
    model: onnx.ModelProto, stored: dict[str, onnx.TensorProto | None], loops: Bodies
) -> Graph:
    """Shapes by onnx and by our own rules.

    Bodies of If, Loop and Scan are taken out, and sequences of tensors resolved, on the way. Only
    when nothing more can be inferred, shapes are taken as the file states them.
    """
    file, lists, declared = loops.file, Sequences(loops.file, repeats=loops.repeats), loops.declared
    reasons: dict[str, str] = {}
    nodes = executed(nodes_of(model, loops.repeats), stored, model, file)
    rounds, taken = 0, 0
    while rounds < ROUNDS and taken < LIMITS.depth:
        reason = ""
        loops.budget.spend("visits", ROUND_COST + len(nodes) + model.ByteSize() // BYTES_COST)
        try:
            check = not loops.forbidden
            model, told = typed(model, nodes, file, check=check)
            loops.forbidden += told
        except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
        except MemoryError:
            raise InputError(
                "its sizes are beyond the memory of any machine",
                file=file,
                mend="the graph is invalid: export it again",
            ) from None
        graph = _assembled(model, loops.budget, nodes, stored)
        graph = replace(graph, defaults=loops.defaults, named=loops.named)
        inside = frozenset(loops.repeats)
        corrected = correct_shapes(graph)
        learnt = 0
        if loops.assumed.bindings:
            learnt = loops.assumed.apply(graph, declared.open_shapes() | _open_shapes(model))
        found, reasons = fill_shapes(graph, declared, inside)
        found += learnt
        if corrected:
            forget_shapes(model)
            _tell(model, graph)
        declared.note_loops(graph)
        if loops.take_out(model, graph, stored) or lists.resolve(model, graph):
            nodes = executed(nodes_of(model, loops.repeats), stored, model, file)
            taken += 1
            continue
        rounds += 1
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
    if unknown is not None:
        _refuse(unknown, graph, reasons.get(unknown.name) or reason)
    return graph


def _open_shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """Shapes that are known in part, with None for the axes that are not."""
    found: dict[str, list[int | None]] = {}
    for value in (*model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            if None in sizes:
                found[value.name] = sizes
    return found


def _assembled(
    model: onnx.ModelProto,
    budget: Budget,
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
                shape = tuple([d.dim_value for d in dims])
                smallest = min(shape, default=1)  # 0 where nothing is written, too
                if smallest > 0 or (not smallest and all(d.HasField("dim_value") for d in dims)):
                    shapes[value.name] = shape
    for tensor in proto.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        types[tensor.name] = tensor.data_type
    for name, shape in shapes.items():
        if len(shape) > LIMITS.axes or math.prod(shape) > LIMITS.elements:
            touching = (n for n in nodes if name in n.outputs or name in n.inputs)
            check_size(budget.file, name, shape, next(touching, None))
    versions = {o.domain: o.version for o in model.opset_import}
    opset = max((versions[d] for d in STANDARD if d in versions), default=0)
    names = tuple(v.name for v in proto.input if v.name not in stored)
    outputs = tuple(v.name for v in proto.output)
    return Graph(
        nodes, shapes, types, stored, names, outputs, opset, budget.file, notes_of(model),
        budget=budget,
    )  # fmt: skip


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
    types = "TypeInferenceError" in reason or "inconsistent type" in reason  # no size helps
    raise graph.fault(
        node,
        "the shape of its result cannot be inferred" + (f" ({reason})" if reason else ""),
        "the graph is invalid: export it again" if types else remedy(node, graph),
    )
