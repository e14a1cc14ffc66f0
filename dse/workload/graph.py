"""The reader's view of an ONNX graph: nodes in order, shapes, constants, who reads what."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from dse.errors import InputError
from dse.workload.limits import Budget, check_size
from dse.workload.values import array_of, evaluate, sizes_of

#: Constants with more elements than this are weights: their values are never looked at.
VALUE_ELEMENTS = 4096
#: Domain of the operators that stand for what a loop does around its body (see ``control``).
LOOP_DOMAIN = "dse.loop"
#: Domain of the quantization dialects, whatever their tools call it (see ``dialects``).
DIALECT = "dse.dialect"
#: Operators with bodies, which read more than their inputs.
CONTROL = frozenset({"If", "Loop", "Scan"})
#: Operators whose result differs from run to run, so that constants do not fold through them.
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli"}
    | {"Multinomial"}
)

_INT, _INTS = onnx.AttributeProto.INT, onnx.AttributeProto.INTS

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operator.

    ``absorbed`` names further nodes that a composite stands for; ``repeat`` is how often the node
    runs in one inference (the trips of the loops that it was taken out of); ``proto`` is the
    node of the file.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any] = field(default_factory=dict, compare=False)
    absorbed: tuple[str, ...] = ()
    repeat: int = 1
    proto: onnx.NodeProto | None = field(default=None, compare=False, repr=False)

    def input(self, index: int) -> str | None:
        """Name of input ``index``; None if it is left out."""
        return (self.inputs[index] or None) if index < len(self.inputs) else None

    def ints(self, name: str, default: list[int]) -> list[int]:
        return [int(v) for v in self.attrs.get(name, default)]


@dataclass
class Graph:
    """A whole graph after binding and shape inference.

    Attributes:
        nodes: in an order of execution.
        shapes: static shape of every tensor that a live node reads or writes.
        types: ONNX element type of every tensor.
        initializers: stored tensors; their data may be absent.
        inputs, outputs: names; inputs leave out stored tensors.
        opset: version of the standard operators.
        file: for errors.
        noted: number formats that the file notes beside its tensors.
        given: values, by the user's leave, of tensors that are computed when the network runs. They
            decide sizes and branches, but nothing is computed beforehand from them.
        lengths: sizes given for tensors whose length depends on the data, by axis.
        defaults: names of dynamic axes that took their default, and the inputs they are sizes of.
        named: names that mean an axis in a binding, also where a tensor has that name.
        budget: what is spent on the file.
    """

    nodes: tuple[Node, ...]
    shapes: dict[str, Shape]
    types: dict[str, int]
    initializers: dict[str, onnx.TensorProto | None]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    file: str
    noted: Mapping[str, str] = field(default_factory=dict)
    given: dict[str, np.ndarray] = field(default_factory=dict)
    lengths: dict[str, dict[int, int]] = field(default_factory=dict)
    defaults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=lambda: Budget(""))
    _values: dict[str, np.ndarray | None] = field(default_factory=dict)

    @functools.cached_property
    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs if name}

    @functools.cached_property
    def users(self) -> dict[str, list[Node]]:
        """Live, non-constant readers of each tensor (a node that reads twice is listed once)."""
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            if node.name in self.live and not self.is_folded(node):
                for name in dict.fromkeys(filter(None, node.inputs)):
                    readers[name].append(node)
        return readers

    @functools.cached_property
    def live(self) -> frozenset[str]:
        """Names of the nodes on which some output of the graph depends."""
        wanted, names = set(self.outputs), set()
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.outputs):
                names.add(node.name)
                wanted.update(node.inputs)
        return frozenset(names)

    @functools.cached_property
    def constants(self) -> frozenset[str]:
        """Tensors known before the network runs: stored, computed from such, or mere shapes."""
        return self._following(set(self.initializers))

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """Tensors whose value may be looked at: constants, and what follows from :attr:`given`."""
        return self._following({*self.constants, *self.given}) if self.given else self.constants

    def _following(self, known: set[str]) -> frozenset[str]:
        """``known`` and what is computed from it alone, or from shapes."""
        for node in self.nodes:
            if node.op in RANDOM or (not node.inputs and node.op != "Constant"):
                continue
            if node.domain == LOOP_DOMAIN or node.op in CONTROL:
                continue
            shape_only = node.op in ("Shape", "Size") and any(node.inputs)
            if shape_only or known.issuperset(filter(None, node.inputs)):
                known.update(filter(None, node.outputs))
        return frozenset(known)

    def is_folded(self, node: Node) -> bool:
        """Whether all results of ``node`` are constants."""
        return self.constants.issuperset(filter(None, node.outputs))

    def is_const(self, name: str | None) -> bool:
        return name is not None and name in self.constants

    def shape(self, name: str, node: Node | None = None) -> Shape:
        """Static shape of a tensor.

        Raises:
            InputError: if it is not known; names the node and its operator.
        """
        found = self.shapes.get(name)
        if found is None:
            where = f"node {node.name!r} ({node.op})" if node else "graph"
            mend = "bind its symbolic sizes (--bind name=value) or export with static shapes"
            if name in self.inputs:
                mend = f"give its sizes: --bind {name}.0=N, one for each axis"
            raise InputError(
                f"the shape of tensor {name!r} is not known",
                file=self.file,
                field=where,
                mend=mend,
            )
        return found

    def size(self, name: str, node: Node | None = None) -> int:
        """Number of elements."""
        return math.prod(self.shape(name, node))

    def value(self, name: str | None) -> np.ndarray | None:
        """The value of a small constant, or of one :attr:`given`; None if large or unknown."""
        if name is None or name not in self.known:
            return None
        waiting = [name]
        while name not in self._values:
            current = waiting[-1]
            missing = [n for n in self._operands(current) if n not in self._values]
            waiting += missing
            if not missing:
                self._values[current] = self._computed(current)
                while waiting and waiting[-1] in self._values:
                    waiting.pop()
        return self._values[name]

    def scalar(self, name: str | None) -> float | None:
        """The value of a constant with one element."""
        value = self.value(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def _operands(self, name: str) -> list[str]:
        """Tensors of known value from whose values that of ``name`` is computed."""
        given = name in self.initializers or name in self.given
        node = None if given else self.producers.get(name)
        if node is None or node.op in ("Shape", "Size") or self._is_large(name):
            return []
        return [n for n in node.inputs if n in self.known]

    def _is_large(self, name: str) -> bool:
        shape = self.shapes.get(name)
        return shape is not None and math.prod(shape) > VALUE_ELEMENTS

    def _computed(self, name: str) -> np.ndarray | None:
        """The value of ``name``, once those of its operands are there."""
        if name in self.given:
            return self.given[name]
        if name in self.initializers:
            return stored_value(self.initializers[name])
        node = self.producers.get(name)
        if node is None or self._is_large(name):
            return None
        if node.op in ("Shape", "Size"):
            seen = self.shapes.get(node.inputs[0])
            return None if seen is None else sizes_of(node.op, seen, node.attrs)
        arrays = [self._values.get(i) if i in self.known else None for i in node.inputs]
        if any(i and a is None for i, a in zip(node.inputs, arrays, strict=True)):
            return None
        value = evaluate(node.op, arrays, node.attrs, self.opset)
        if value is not None:
            self.budget.spend("folded", value.nbytes, node)
        return value

    def learn(self, name: str, kind: int, shape: Shape) -> None:
        """Takes up the type (0 if unknown) and shape of a tensor.

        Raises:
            InputError: no machine holds it.
        """
        check_size(self.file, name, shape, self.producers.get(name))
        self.shapes[name] = shape
        if kind:
            self.types.setdefault(name, kind)

    def forget(self, name: str) -> None:
        """Drops the shape of a tensor, and the value that was computed with it."""
        self.shapes.pop(name, None)
        self._values.pop(name, None)

    def forget_unknown_values(self) -> None:
        """Lets values be computed again that could not be with the shapes known so far."""
        for name in [n for n, value in self._values.items() if value is None]:
            del self._values[name]

    def with_nodes(self, nodes: tuple[Node, ...]) -> Graph:
        """The same graph with other nodes (caches are rebuilt)."""
        return replace(self, nodes=nodes, _values={})

    def fault(self, node: Node, message: str, mend: str) -> InputError:
        """An error about one node."""
        return InputError(
            message, file=self.file, field=f"node {node.name!r} ({node.op})", mend=mend
        )


def stored_value(tensor: onnx.TensorProto | None) -> np.ndarray | None:
    """The value of a small stored tensor whose data are in the file."""
    if tensor is None or math.prod(tensor.dims) > VALUE_ELEMENTS:
        return None
    try:
        return array_of(tensor)
    except (ValueError, TypeError, AttributeError, LookupError):
        return None


def attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node as Python values; tensors and graphs stay as they are."""
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        kind = attribute.type
        if kind == _INTS and not attribute.ref_attr_name:  # the two commonest, read at once
            found[attribute.name] = list(attribute.ints)
            continue
        if kind == _INT and not attribute.ref_attr_name:
            found[attribute.name] = attribute.i
            continue
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        found[attribute.name] = value
    return found
