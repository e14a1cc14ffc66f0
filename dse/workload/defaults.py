"""Inputs that have a stored default."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from dse.workload.axes import open_axes
from dse.workload.bound_numbers import BATCH, RESOLUTION, is_shaped


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
