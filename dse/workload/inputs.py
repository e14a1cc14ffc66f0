"""Inputs of a graph: those that have no shape, those with a stored default, those given a value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from dse.errors import InputError
from dse.workload.axes import open_axes
from dse.workload.layer import Binding

#: Bindings with a meaning of their own.
BATCH, RESOLUTION = "batch", "res"
#: Ending of a binding that means the value of an input, where a symbol has the input's name.
VALUE = ".value"
#: Most values that can be bound to one input.
MOST_VALUES = 4096


def is_shaped(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    return bool(kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"))


def dims_of(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def free_inputs(model: onnx.ModelProto, bindings: Iterable[str]) -> tuple[str, ...]:
    """Makes inputs of a file whose inputs all have a stored default inputs in earnest, in place.

    From version 4 of the format a run may override what is stored for an input, and ONNX Runtime
    computes nothing beforehand from it; up to version 3 every stored tensor is listed among the
    inputs, and none can be overridden. Where some input has no default, those that have one are the
    weights of an exporter that lists them, and stay stored. Sizes that are not bound are those of
    the default.

    Returns:
        A remark, if there are such inputs.
    """
    bound = set(bindings)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.type.HasField("tensor_type")]
    if model.ir_version < 4 or not inputs or any(value.name not in stored for value in inputs):
        return ()
    for value in inputs:
        shape = value.type.tensor_type.shape
        default = list(stored[value.name].dims)
        if not is_shaped(value) or len(shape.dim) != len(default):
            shape.ClearField("dim")
            shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=n) for n in default)
        for axis in open_axes([value]):
            if not {axis.symbol, axis.place, BATCH, RESOLUTION} & bound:
                axis.dim.dim_value = default[axis.index]
    freed = {value.name for value in inputs}
    kept = [t for name, t in stored.items() if name not in freed]
    copies = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
    names = ", ".join(repr(value.name) for value in inputs[:3])
    names += f" and {len(inputs) - 3} more" if len(inputs) > 3 else ""
    return (f"every input has a stored default, which a run may override: {names} read as inputs",)


def shape_by_place(
    model: onnx.ModelProto, bindings: Mapping[str, Binding], stored: set[str]
) -> None:
    """Gives inputs without any shape the axes that are bound by place (``x.0``, ``x.1``, ...)."""
    for value in model.graph.input:
        if value.name in stored or is_shaped(value) or not value.type.HasField("tensor_type"):
            continue
        axes = 0
        while f"{value.name}.{axes}" in bindings:
            axes += 1
        for _ in range(axes):
            value.type.tensor_type.shape.dim.add()


def store(
    model: onnx.ModelProto,
    value: onnx.ValueInfoProto,
    given: Binding,
    file: str,
    *,
    taken: bool = False,
) -> None:
    """Makes an input a stored tensor of the values given; ``taken``: its name means an axis."""
    numbers = given if isinstance(given, tuple) else (given,)
    kind = value.type.tensor_type.elem_type
    shape = [max(0, d.dim_value) for d in dims_of(value)] if is_shaped(value) else [1]
    known = math.prod(n for n in shape if n)
    rest = len(numbers) // known if shape.count(0) == 1 and len(numbers) % known == 0 else 1
    shape = [n or rest for n in shape]  # a dynamic axis is as long as there are values
    if math.prod(shape) != len(numbers) or len(numbers) > MOST_VALUES:
        elements = "x".join(map(str, shape)) or "1"
        many = math.prod(shape) > 16
        raise InputError(
            f"input {value.name!r} has {elements} elements, and {len(numbers)} are given",
            file=file,
            field=value.name,
            mend=f"bind its sizes ({value.name}.0=N), only inputs of few elements have values here"
            if many
            else f"write --bind {value.name}{VALUE if taken else ''}="
            + ",".join(["VALUE"] * math.prod(shape)),
        )
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        array = np.array(numbers, dtype).reshape(shape)
        exact = np.issubdtype(dtype, np.floating) or all(n == int(n) for n in numbers)
    except (ValueError, TypeError, OverflowError, KeyError):
        exact = False
    if not exact:
        shown = ",".join(map(str, numbers))
        raise InputError(
            f"{shown} is no value of input {value.name!r} "
            f"({onnx.TensorProto.DataType.Name(kind).lower()})",
            file=file,
            field=value.name,
            mend="give a value of that type",
        )
    kept = [t for t in model.graph.initializer if t.name != value.name]
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
    model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    model.graph.input.remove(value)
