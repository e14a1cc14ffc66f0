"""One walk over a file before anything is computed: names are text, counts are in bounds."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from dse.errors import InputError
from dse.workload.limits import LIMITS, beyond

#: Bytes that the data of a small tensor may take; more do not belong to it.
SMALL_BYTES = 1 << 17


@dataclass
class Contents:
    """What a walk over all nodes of a file came upon, so that none has to be made for it again.

    Attributes:
        bodies: the graphs inside nodes, at any depth.
        tensors: the tensors inside nodes, those of bodies too, each with its node.
    """

    bodies: list[onnx.GraphProto] = field(default_factory=list)
    tensors: list[tuple[onnx.NodeProto, onnx.TensorProto]] = field(default_factory=list)


def survey(model: onnx.ModelProto, file: str) -> Contents:
    """Refuses a model with more of anything than a network has, or with names that are no text.

    What no shape follows from (descriptions, metadata, training) is dropped on the way, in place.

    Raises:
        InputError: the file is damaged or too large; names the limit.
    """
    for name in ("doc_string", "metadata_props", "training_info"):
        model.ClearField(name)
    seen = _Seen(file, counting=model.ByteSize() > LIMITS.numbers)
    seen.entries = len(model.functions)
    seen.graph(model.graph)
    for function in model.functions:
        seen.graph(function)
    for body in seen.contents.bodies:  # grows on the way
        seen.graph(body)
    return seen.contents


class _Seen:
    """What was seen so far; ``counting``: numbers too, of which each takes a byte at least."""

    def __init__(self, file: str, *, counting: bool) -> None:
        self.file, self.counting = file, counting
        self.contents = Contents()
        self.nodes = self.entries = self.numbers = 0

    def graph(self, graph: onnx.GraphProto | onnx.FunctionProto) -> None:
        """Looks at one graph or function; the bodies inside it are noted."""
        graph.ClearField("doc_string")
        graph.ClearField("metadata_props")
        self.nodes += len(graph.node)
        self._check("nodes", self.nodes, "operators")
        self.entries += len(graph.input) + len(graph.output) + len(graph.value_info)
        if isinstance(graph, onnx.FunctionProto):
            self._check("entries", self.entries, "functions, inputs, outputs and shapes")
            self._texts((graph.name, graph.domain, *graph.input, *graph.output))
        else:
            self.entries += len(graph.initializer) + len(graph.sparse_initializer)
            self._check("entries", self.entries, "inputs, outputs, stored tensors and shapes")
            self._notes(graph.quantization_annotation)
            for tensor in graph.initializer:
                self._tensor(tensor)
            for sparse in graph.sparse_initializer:
                self._tensor(sparse.values)
            for values in (graph.input, graph.output):
                self._values(values)
        self._values(graph.value_info)
        for node in graph.node:
            self._node(node)

    def _notes(self, notes: Sequence[onnx.TensorAnnotation]) -> None:
        """Number formats noted beside tensors; each is looked at in every round."""
        for note in notes:
            entries = note.quant_parameter_tensor_names
            self.numbers += 1 + len(entries)
            self._texts((note.tensor_name, *(t for e in entries for t in (e.key, e.value))))
        self._check("numbers", self.numbers, "notes of tensors")

    def _values(self, values: Sequence[onnx.ValueInfoProto]) -> None:
        self._texts([value.name for value in values])
        for value in values:
            axes = len(value.type.tensor_type.shape.dim)
            if axes > LIMITS.axes:
                self._axes(value.name, axes)

    def _tensor(self, tensor: onnx.TensorProto) -> None:
        self._texts((tensor.name,))
        if len(tensor.dims) > LIMITS.axes:
            self._axes(tensor.name, len(tensor.dims))

    def _node(self, node: onnx.NodeProto) -> None:
        if node.doc_string:
            node.ClearField("doc_string")
        if node.metadata_props:
            node.ClearField("metadata_props")
        names = [node.name, node.op_type, node.domain, *node.input, *node.output]
        attributes, contents = node.attribute, self.contents
        if self.counting:
            self._count(len(names) + len(attributes))
        for attribute in attributes:
            names.append(attribute.name)
            if self.counting:
                self._count(len(attribute.ints) + len(attribute.floats) + len(attribute.strings))
            if attribute.HasField("t"):
                contents.tensors.append((node, attribute.t))
                self._tensor(attribute.t)
            if attribute.HasField("g"):
                contents.bodies.append(attribute.g)
            if attribute.tensors:
                self._count(len(attribute.tensors))
                for tensor in attribute.tensors:
                    self._tensor(tensor)
            if attribute.graphs:
                contents.bodies.extend(attribute.graphs)
        self._texts(names)

    def _count(self, numbers: int) -> None:
        self.numbers += numbers
        if self.numbers > LIMITS.numbers:
            self._check("numbers", self.numbers, "operands and numbers of operators")

    def _texts(self, names: Sequence[Any]) -> None:
        with contextlib.suppress(TypeError):
            if len("".join(names)) <= LIMITS.name:  # all of them together: the quickest look
                return
        for name in names:
            if not isinstance(name, str):
                raise InputError(
                    "the ONNX file is damaged (a name in it is not text)",
                    file=self.file,
                    mend="export or copy it again",
                )
            if len(name) > LIMITS.name:
                raise beyond(
                    self.file,
                    f"a name, {name[:40]!r}..., has {len(name):,} characters, "
                    f"at most {LIMITS.name:,}",
                    "export it with shorter names",
                )

    def _axes(self, name: str, axes: int) -> None:
        raise beyond(
            self.file,
            f"tensor {name!r} has {axes:,} axes, at most {LIMITS.axes}",
            "the graph is invalid: export it again",
        )

    def _check(self, what: str, count: int, counted: str) -> None:
        most = getattr(LIMITS, what)
        if count > most:
            raise beyond(
                self.file, f"{count:,} {counted}, at most {most:,}", "export it in smaller parts"
            )


def forget_data(graph: onnx.GraphProto, contents: Contents, kept: int) -> None:
    """Drops the data of ``Constant`` nodes, and of what bodies store, of more than ``kept``
    elements: shapes are enough. Data that are too many for a small tensor are dropped as well.
    """
    for tensor in graph.initializer:
        if tensor.ByteSize() > SMALL_BYTES:
            _slim(tensor)
    for body in contents.bodies:
        for tensor in body.initializer:
            if math.prod(tensor.dims) > kept or tensor.ByteSize() > SMALL_BYTES:
                _slim(tensor)
    for node, tensor in contents.tensors:
        large = node.op_type == "Constant" and math.prod(tensor.dims) > kept
        if large or tensor.ByteSize() > SMALL_BYTES:
            _slim(tensor)


def _slim(tensor: onnx.TensorProto) -> None:
    slim = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=list(tensor.dims))
    tensor.CopyFrom(slim)


def check_rest(model: onnx.ModelProto, file: str) -> None:
    """Refuses a model that is large though its weights are gone.

    Raises:
        InputError: as said.
    """
    size = model.ByteSize()
    if size > LIMITS.rest:
        raise beyond(
            file,
            f"{size:,} bytes beside its stored tensors, at most {LIMITS.rest:,}",
            "store its large constants as weights, and leave out what is no part of the network",
        )
