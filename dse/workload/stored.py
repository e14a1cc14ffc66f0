"""Checks of what a file holds, before anything is computed from it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

import onnx

from dse.errors import InputError
from dse.workload.limits import LIMITS
from dse.workload.survey import Contents


def check_stored(model: onnx.ModelProto, contents: Contents, file: str) -> None:
    """Refuses stored tensors of one name, with impossible sizes, or data outside the file's folder.

    The data themselves are not needed, and may be absent.

    Raises:
        InputError: names the node that reads the tensor.
    """
    names: set[str] = set()
    for tensor in model.graph.initializer:
        if tensor.name in names:
            message = f"two stored tensors are called {tensor.name!r}"
            raise _fault(model, file, tensor.name, message, "damaged")
        names.add(tensor.name)
    stored = [(tensor.name, tensor) for tensor in model.graph.initializer]
    stored += [(tensor.name, tensor) for body in contents.bodies for tensor in body.initializer]
    stored += [(next(iter(n.output), n.name), tensor) for n, tensor in contents.tensors]
    for name, tensor in stored:
        if min(tensor.dims, default=0) < 0:
            sizes = "x".join(map(str, tensor.dims))
            raise _fault(
                model, file, name, f"the stored tensor {name!r} has the size {sizes}", "damaged"
            )
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            place = next((e.value for e in tensor.external_data if e.key == "location"), "")
            if not place or outside(place):
                raise _fault(
                    model,
                    file,
                    name,
                    f"the data of {name!r} lie outside the file's folder ({place or 'nowhere'})",
                    "unsafe",
                )


#: Complaints of the checker that do not keep a graph from being read.
_HARMLESS = (
    *("No Op registered", "No opset import", "is deprecated", "Unrecognized attribute"),
    "should be stored in",  # data outside the file are not needed
)


def check_nodes(model: onnx.ModelProto, contents: Contents, file: str) -> None:
    """Refuses nodes whose inputs, outputs or attributes are not those of their operator.

    Shape inference relies on them.

    Raises:
        InputError: names the node.
    """
    context = onnx.checker.C.CheckerContext()
    try:
        context.ir_version = model.ir_version or onnx.IR_VERSION
        context.opset_imports = {o.domain: o.version for o in model.opset_import}
    except TypeError:  # a version beyond 32 bits, a domain that is no text
        raise InputError(
            "the ONNX file is damaged (its versions make no sense)",
            file=file,
            mend="export or copy it again",
        ) from None
    for node in _checkable(model.graph, contents):
        if node.op_type == "Einsum":
            _check_equation(node, file)
        elif node.op_type == "Split":
            _check_parts(node, file)
        try:
            onnx.checker.check_node(node, context)
        except (onnx.checker.ValidationError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            if any(words in reason for words in _HARMLESS):
                continue
            shown = node.name or next((name for name in node.output if name), "")
            raise InputError(
                f"not a valid {node.op_type} ({reason[:160]})",
                file=file,
                field=f"node {shown!r} ({node.op_type})",
                mend="the graph is invalid: export it again",
            ) from None


def _check_parts(node: onnx.NodeProto, file: str) -> None:
    """Refuses a Split into more results than it states: the inference of onnx ends the process."""
    stated = [a.i for a in node.attribute if a.name == "num_outputs"]
    if stated and not node.domain and len(node.output) > stated[0]:
        shown = node.name or next((name for name in node.output if name), "")
        raise InputError(
            f"it states {stated[0]} parts and has {len(node.output)} results",
            file=file,
            field=f"node {shown!r} (Split)",
            mend="the graph is invalid: export it again",
        )


#: An equation of Einsum without spaces: the inference of onnx never ends on some others.
_TERM = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
_EQUATION = re.compile(rf"{_TERM}(,{_TERM})*(->(?P<result>{_TERM}))?")


def _check_equation(node: onnx.NodeProto, file: str) -> None:
    for attribute in node.attribute:
        if attribute.name != "equation":
            continue
        text = attribute.s.decode("utf-8", "replace").replace(" ", "")
        many = text.count(",") >= LIMITS.operands
        read = None if many or len(text) > LIMITS.name else _EQUATION.fullmatch(text)
        result = "" if read is None else (read["result"] or "").replace("...", "")
        if read is None or len(set(result)) < len(result):
            shown = node.name or next((name for name in node.output if name), "")
            raise InputError(
                f"{text[:80]!r} is no equation of Einsum"
                + (f" of at most {LIMITS.operands} operands" if many else ""),
                file=file,
                field=f"node {shown!r} (Einsum)",
                mend="write each operand as letters with at most one ellipsis (...), and each "
                "letter of the result once",
            )


def _checkable(graph: onnx.GraphProto, contents: Contents) -> Iterable[onnx.NodeProto]:
    """All nodes but those with bodies, whose inner nodes are looked at by themselves, and those
    with data outside the file: the checker would look for them, and they may be absent."""
    absent = any(t.data_location == onnx.TensorProto.EXTERNAL for _, t in contents.tensors)
    every: Iterable[onnx.NodeProto] = graph.node
    if not contents.bodies and not absent:
        return every
    return [
        node
        for inner in (graph, *contents.bodies)
        for node in inner.node
        if not any(
            a.HasField("g") or a.graphs or a.t.data_location == onnx.TensorProto.EXTERNAL
            for a in node.attribute
        )
    ]


def outside(place: str) -> bool:
    """Whether a relative path leaves its folder, or is none, on any system."""
    posix, windows = PurePosixPath(place), PureWindowsPath(place)
    if posix.is_absolute() or windows.drive or windows.root:
        return True
    depth = 0
    for part in windows.parts:
        depth += -1 if part == ".." else 0 if part == "." else 1
        if depth < 0:
            return True
    return False


def _fault(model: onnx.ModelProto, file: str, tensor: str, message: str, kind: str) -> InputError:
    reader = next((n for n in model.graph.node if tensor in (*n.input, *n.output)), None)
    where = None
    if reader is not None:
        shown = reader.name or next(iter(reader.output), "")
        where = f"node {shown!r} ({reader.op_type})"
    mend = (
        "the graph is invalid: export it again"
        if kind == "damaged"
        else "put the data file beside the .onnx file and write its bare name"
    )
    return InputError(message, file=file, field=where, mend=mend)
