"""Writing ONNX graphs without weights, operator by operator.

Every weight is a ``ConstantOfShape`` node, so no file holds data. Sizes may be symbols (``seq``,
``past``): the graph then fits any value, and ``defaults`` tells the one that is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Opset of the graphs: RMSNormalization and RotaryEmbedding are operators since 23.
OPSET = 23
#: Version of the file format that came with this opset.
IR_VERSION = 11
#: Value of every element of a weight: not zero, so that no reader takes weights for sparse.
FILL = 0.02

Dim = int | str
Attribute = int | float | str | Sequence[int]


@dataclass
class GraphBuilder:
    """A graph in the making. Tensors are known by name; every method that adds one returns it.

    Attributes:
        name: of the graph.
        defaults: value of each symbolic size for measuring and for readers that give none.
        params: trainable parameters so far (each weight once).
    """

    name: str
    defaults: Mapping[str, int] = field(default_factory=dict)
    params: int = 0
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _weights: list[onnx.NodeProto] = field(default_factory=list)
    _stored: dict[str, TensorProto] = field(default_factory=dict)
    _inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _known: list[onnx.ValueInfoProto] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _used: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Names inside start with ``part.`` (the module they belong to)."""
        self._path.append(part)
        yield
        self._path.pop()

    def input(self, name: str, dims: Sequence[Dim], *, integer: bool = False) -> str:
        """A graph input; a symbolic size is written as its name."""
        kind = TensorProto.INT64 if integer else TensorProto.FLOAT
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def output(self, tensor: str, dims: Sequence[Dim]) -> str:
        """Declares ``tensor`` a graph output of this shape."""
        self._outputs.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, list(dims)))
        return tensor

    def op(
        self,
        kind: str,
        inputs: Sequence[str],
        *,
        name: str = "",
        attrs: Mapping[str, Attribute] | None = None,
    ) -> str:
        """A node with one result; both are called ``name``, or after module and operator."""
        stem = name or "/".join(filter(None, (".".join(self._path), kind)))
        self._used[stem] = self._used.get(stem, 0) + 1
        unique = stem if self._used[stem] == 1 else f"{stem}_{self._used[stem]}"
        node = helper.make_node(kind, list(inputs), [unique], unique)
        for key, value in (attrs or {}).items():
            node.attribute.append(helper.make_attribute(key, value))
        self._nodes.append(node)
        return unique

    def split(self, x: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        """Parts of ``x`` along ``axis``, of these sizes."""
        first = self.op("Split", [x, self.ints(sizes)], attrs={"axis": axis})
        parts = [first, *(f"{first}:{i}" for i in range(1, len(sizes)))]
        self._nodes[-1].output.extend(parts[1:])
        return parts

    def ints(self, values: Sequence[int]) -> str:
        """The stored int64 vector of these values, made on first use."""
        name = "i_" + "_".join(map(str, values))
        if name not in self._stored:
            self._stored[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def number(self, value: float) -> str:
        """The stored scalar ``value``."""
        name = f"f_{value:g}"
        if name not in self._stored:
            self._stored[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name

    def numbers(self, values: Sequence[float]) -> str:
        """The stored float vector of these values."""
        name = "f_" + "_".join(f"{v:g}" for v in values)
        if name not in self._stored:
            self._stored[name] = numpy_helper.from_array(np.array(values, np.float32), name)
        return name

    def weight(self, name: str, *dims: int, trainable: bool = True) -> str:
        """A weight of the current module."""
        full = ".".join((*self._path, name))
        if trainable:
            self.params += math.prod(dims)
        self._weights.append(_filled(full, self.ints(dims)))
        return full

    def sized(self, name: str, parts: Sequence[str]) -> str:
        """A constant whose sizes are the joined vectors ``parts`` (see :meth:`size_of`).

        For what follows a symbolic size and is no parameter: rotations, masks.
        """
        sizes = self.op("Concat", list(parts), attrs={"axis": 0})
        self._nodes.append(_filled(name, sizes))
        return name

    def size_of(self, x: str, axis: int) -> str:
        """The size of ``x`` along ``axis`` as a vector of one number."""
        return self.op("Shape", [x], attrs={"start": axis, "end": axis + 1})

    def reshape(self, x: str, *dims: int, name: str = "") -> str:
        """``x`` in another shape; 0 keeps the size at that place, -1 is what remains."""
        return self.op("Reshape", [x, self.ints(dims)], name=name)

    def transpose(self, x: str, *order: int) -> str:
        """``x`` with its axes in this order."""
        return self.op("Transpose", [x], attrs={"perm": order})

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """``parts`` joined along ``axis``."""
        return self.op("Concat", parts, attrs={"axis": axis})

    def linear(self, x: str, name: str, inputs: int, outputs: int, *, bias: bool = True) -> str:
        """``x (..., inputs)`` times a matrix, plus a bias: ``(..., outputs)``."""
        with self.within(name):
            y = self.op("MatMul", [x, self.weight("weight", inputs, outputs)])
            return self.op("Add", [y, self.weight("bias", outputs)]) if bias else y

    def rms_norm(self, x: str, name: str, width: int) -> str:
        """Root-mean-square normalization over the last axis, with a gain."""
        with self.within(name):
            return self.op("RMSNormalization", [x, self.weight("weight", width)])

    def layer_norm(self, x: str, name: str, width: int) -> str:
        """Layer normalization over the last axis, with gain and shift."""
        with self.within(name):
            gain, shift = self.weight("weight", width), self.weight("bias", width)
            return self.op("LayerNormalization", [x, gain, shift])

    def group_norm(self, x: str, name: str, dims: Sequence[int], groups: int) -> str:
        """Group normalization of ``x``, of the shape ``dims`` (N, channels, ...).

        The shape is written into the graph: onnx does not infer it for this operator.
        """
        channels = dims[1]
        with self.within(name):
            gain, shift = self.weight("weight", channels), self.weight("bias", channels)
            attrs: dict[str, Attribute] = {"num_groups": groups}
            y = self.op("GroupNormalization", [x, gain, shift], attrs=attrs)
        self._known.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, list(dims)))
        return y

    def batch_norm(self, x: str, name: str, channels: int) -> str:
        """Batch normalization of ``x (N, channels, ...)`` by stored statistics."""
        with self.within(name):
            reads = [x, self.weight("weight", channels), self.weight("bias", channels)]
            reads += [self.weight(n, channels, trainable=False) for n in ("mean", "variance")]
            return self.op("BatchNormalization", reads)

    def silu(self, x: str) -> str:
        """``x * sigmoid(x)``."""
        return self.op("Mul", [x, self.op("Sigmoid", [x])])

    def gelu(self, x: str, *, tanh: bool = False) -> str:
        """Gaussian error linear unit, exact or by its tanh approximation."""
        return self.op("Gelu", [x], attrs={"approximate": "tanh"} if tanh else None)

    def conv(
        self,
        x: str,
        name: str,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        *,
        stride: int = 1,
        padding: Sequence[int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> str:
        """Convolution over ``len(kernel)`` axes; by default padded to keep the size at stride 1.

        ``padding`` gives the same amount before and after for each axis, or first all starts
        and then all ends.
        """
        ends = padding if padding is not None else [dilation * (k - 1) // 2 for k in kernel]
        attrs: dict[str, Attribute] = {
            "kernel_shape": list(kernel),
            "strides": [stride] * len(kernel),
            "pads": [*ends, *ends] if len(ends) == len(kernel) else list(ends),
        }
        if groups > 1:
            attrs["group"] = groups
        if dilation > 1:
            attrs["dilations"] = [dilation] * len(kernel)
        with self.within(name):
            reads = [x, self.weight("weight", outputs, inputs // groups, *kernel)]
            if bias:
                reads.append(self.weight("bias", outputs))
            return self.op("Conv", reads, attrs=attrs)

    def model(self) -> onnx.ModelProto:
        """The finished graph."""
        graph = helper.make_graph(
            [*self._weights, *self._nodes],
            self.name,
            self._inputs,
            self._outputs,
            list(self._stored.values()),
            value_info=self._known,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "models/zoo_build.py"
        return model


def _filled(name: str, sizes: str) -> onnx.NodeProto:
    value = helper.make_tensor("", TensorProto.FLOAT, [1], [FILL])
    return helper.make_node("ConstantOfShape", [sizes], [name], name, value=value)


def bound(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """A copy whose inputs and outputs have numbers for their symbolic sizes.

    Raises:
        KeyError: a symbol without a number.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in (*copy.graph.input, *copy.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_value = sizes[dim.dim_param]
    return copy
