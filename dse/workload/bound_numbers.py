"""The numbers of bindings: sizes, the batch, and values that inputs are given."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from dse.errors import InputError
from dse.workload.axes import Axis, parts
from dse.workload.layer import Binding

#: Bindings with a meaning of their own.
BATCH, RESOLUTION = "batch", "res"
#: Ending of a binding that means the value of an input, where a symbol has the input's name.
VALUE = ".value"
#: Operators along whose leading axis steps follow each other, so that it is no batch.
SEQUENTIAL = frozenset({"LSTM", "GRU", "RNN", "Scan", "Loop"})
#: Recurrent operators, whose batch is axis 1 of the sequence (0) and of the states (5, 6).
_RECURRENT = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})
#: Most values that can be bound to one input.
MOST_VALUES = 4096


def check_positive(bindings: Mapping[str, Binding], file: str) -> None:
    """Refuses batch, resolution and trips that are not whole numbers from 1.

    Raises:
        InputError: names the binding.
    """
    for name, value in bindings.items():
        for item in value if isinstance(value, tuple) else (value,):
            if item < 1:
                raise InputError(
                    f"{name}={item} is below 1", file=file, field=name, mend="use 1 or more"
                )
            size_of(name, item, file)


def size_of(name: str, value: Binding, file: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    raise InputError(
        f"{name}={shown} is no size", file=file, field=name, mend="use a whole number from 0"
    )


def is_shaped(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    return bool(kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"))


def dims_of(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def bind_batch(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    axes: list[Axis],
    bindings: Mapping[str, Binding],
    chosen: dict[str, int],
    file: str,
) -> bool:
    """Binds the symbols that are the batch; whether there is one.

    They are those with that word in their name, wherever they stand, else those along the batch
    axes of the inputs.
    """
    if BATCH not in bindings:
        return False
    batch = size_of(BATCH, bindings[BATCH], file)
    symbols = {axis.symbol for axis in axes if axis.named}
    named = [
        n for axis in axes if axis.named for n in parts(axis.symbol, symbols) or (axis.symbol,)
    ]
    found = [name for name in named if BATCH in name.lower()]
    if not found:
        along = _batch_axes(model, inputs)
        found = [axis.symbol for axis in axes if axis.index == along[axis.input]]
    if found and all(chosen.get(name, batch) != batch for name in found):
        raise InputError(
            f"batch={batch} sets nothing: its axis is bound by {found[0]}={chosen[found[0]]}",
            file=file,
            field=BATCH,
            mend="keep one of the two",
        )
    for name in found:
        chosen.setdefault(name, batch)
    return bool(found)


def _batch_axes(model: onnx.ModelProto, inputs: list[onnx.ValueInfoProto]) -> dict[str, int]:
    """For each input, the axis that is its batch."""
    along = dict.fromkeys((value.name for value in inputs), 0)
    for node in model.graph.node:
        rows = any(a.name == "layout" and a.i for a in node.attribute)
        if node.op_type in _RECURRENT and not rows:
            read = [node.input[i] for i in (0, 5, 6) if i < len(node.input)]
            along.update((name, 1) for name in read if name in along)
    return along


def fixed_batch(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    bindings: Mapping[str, Binding],
    file: str,
) -> tuple[int, list[str]]:
    """The factor for a graph without a symbolic batch."""
    if BATCH not in bindings:
        return 1, []
    batch = size_of(BATCH, bindings[BATCH], file)
    along = _batch_axes(model, inputs)
    sized = [v for v in inputs if len(dims_of(v)) > along[v.name]]
    rank = max((len(dims_of(v)) for v in sized), default=0)
    leading = {dims_of(v)[along[v.name]].dim_value for v in sized}
    main = {dims_of(v)[along[v.name]].dim_value for v in sized if len(dims_of(v)) == rank}
    if main == {batch}:
        return 1, []
    sequential = any(node.op_type in SEQUENTIAL for node in model.graph.node)
    if leading != {1} or sequential:
        sizes = ", ".join(map(str, sorted(leading)))
        why = "has steps along its leading axis" if sequential else f"has leading axes {sizes}"
        raise InputError(
            f"the batch cannot be {batch}: the graph {why}",
            file=file,
            field=BATCH,
            mend="export it with a symbolic batch",
        )
    return batch, [f"batch {batch}: every layer of the fixed batch of 1 multiplied"]


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
