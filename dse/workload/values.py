"""Constant folding of the small integer arithmetic by which graphs compute shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Array = np.ndarray
Arrays = Sequence[Array | None]
Attributes = Mapping[str, Any]
Rule = Callable[[Arrays, Attributes], Array]

#: No folded result may have more elements than this.
LIMIT = 1 << 16


def evaluate(op: str, arrays: Arrays, attrs: Attributes, opset: int) -> Array | None:
    """The result of a constant node; None if there is no rule for it or it does not apply.

    Args:
        op: operator name.
        arrays: values of the inputs; None for one that is left out.
        attrs: attributes of the node.
        opset: version of the standard operators.
    """
    rule = _RULES.get(op)
    if rule is None:
        return None
    given = [a for a in arrays if a is not None]
    if any(a.dtype.hasobject or a.dtype.kind in "SU" for a in given):
        return None  # texts grow without end
    try:
        if _size(op, given, attrs) > LIMIT:
            return None
        with np.errstate(all="ignore"):
            result = rule(arrays, attrs)
    except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError, AttributeError):
        return None
    return result if result is not None and result.size <= LIMIT else None


def _size(op: str, given: Sequence[Array], attrs: Attributes) -> int:
    """Elements of the result, where it can have more of them than each operand."""
    if op == "Concat":
        return sum(a.size for a in given)
    if op == "Gather" and len(given) > 1:
        data, index = given[0], given[1]
        axis = int(attrs.get("axis", 0))
        return int(index.size * (data.size // max(1, data.shape[axis])))
    if op in _BROADCASTS:
        return math.prod(np.broadcast_shapes(*(a.shape for a in given)))
    return 0


def held(tensor: onnx.TensorProto) -> Array:
    """The numbers of a stored tensor that lie in the file itself.

    Raises:
        ValueError: they lie in another file, which is never opened.
    """
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError("the data lie in another file")
    return numpy_helper.to_array(tensor)


def _first(arrays: Arrays) -> Array:
    value = arrays[0]
    if value is None:
        raise ValueError("a needed input is left out")
    return value


def _ints(arrays: Arrays, attrs: Attributes, index: int, name: str) -> list[int] | None:
    """Integers given as input ``index`` (newer opsets) or as attribute ``name``."""
    if len(arrays) > index and (given := arrays[index]) is not None:
        return [int(v) for v in given.reshape(-1)]
    return [int(v) for v in attrs[name]] if name in attrs else None


def _constant(_: Arrays, attrs: Attributes) -> Array:
    if "value" in attrs:
        tensor: onnx.TensorProto = attrs["value"]
        if math.prod(tensor.dims) > LIMIT:
            raise ValueError("too large")
        return held(tensor)
    for name, kind in (("value_int", np.int64), ("value_ints", np.int64)):
        if name in attrs:
            return np.array(attrs[name], kind)
    for name in ("value_float", "value_floats"):
        if name in attrs:
            return np.array(attrs[name], np.float32)
    raise ValueError("no number")


def sizes_of(op: str, shape: tuple[int, ...], attrs: Attributes) -> Array | None:
    """The result of ``Shape`` or ``Size`` for a tensor of ``shape``."""
    try:
        if op == "Size":
            return np.array(math.prod(shape), np.int64)
        return np.array(shape[attrs.get("start", 0) : attrs.get("end", len(shape))], np.int64)
    except (TypeError, OverflowError):
        return None


def _filled(arrays: Arrays, attrs: Attributes) -> Array:
    shape = [int(v) for v in _first(arrays).reshape(-1)]
    if math.prod(shape) > LIMIT:
        raise ValueError("too large")
    fill = held(attrs["value"]) if "value" in attrs else np.zeros(1, np.float32)
    return np.full(shape, fill.reshape(-1)[0])


def _gather(arrays: Arrays, attrs: Attributes) -> Array:
    index = arrays[1]
    if index is None:
        raise ValueError("no index")
    return np.take(_first(arrays), index, axis=attrs.get("axis", 0))


def _concat(arrays: Arrays, attrs: Attributes) -> Array:
    return np.concatenate([a for a in arrays if a is not None], axis=attrs.get("axis", 1))


def _slice(arrays: Arrays, attrs: Attributes) -> Array:
    data = _first(arrays)
    starts = _ints(arrays, attrs, 1, "starts") or []
    ends = _ints(arrays, attrs, 2, "ends") or []
    axes = _ints(arrays, attrs, 3, "axes") or list(range(len(starts)))
    steps = _ints(arrays, attrs, 4, "steps") or [1] * len(starts)
    cut = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end <= -data.shape[axis] - 1 else end
        cut[axis] = slice(start, stop, step)
    return np.asarray(data[tuple(cut)])


def _unsqueeze(arrays: Arrays, attrs: Attributes) -> Array:
    data = _first(arrays)
    axes = _ints(arrays, attrs, 1, "axes") or []
    rank = data.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        data = np.expand_dims(data, axis)
    return data


def _squeeze(arrays: Arrays, attrs: Attributes) -> Array:
    axes = _ints(arrays, attrs, 1, "axes")
    return np.squeeze(_first(arrays), None if axes is None else tuple(axes))


def _reshape(arrays: Arrays, attrs: Attributes) -> Array:
    data = _first(arrays)
    wanted = _ints(arrays, attrs, 1, "shape") or []
    keep_zero = attrs.get("allowzero", 0)
    full = [data.shape[i] if v == 0 and not keep_zero else v for i, v in enumerate(wanted)]
    return data.reshape(full)


def _cast(arrays: Arrays, attrs: Attributes) -> Array:
    return np.asarray(_first(arrays), onnx.helper.tensor_dtype_to_np_dtype(attrs["to"]))


def _range(arrays: Arrays, _: Attributes) -> Array:
    start, stop, step = (float(np.asarray(a).reshape(-1)[0]) for a in arrays)
    if abs((stop - start) / step) > LIMIT:
        raise ValueError("too large")
    return np.arange(start, stop, step).astype(_first(arrays).dtype)


def _expand(arrays: Arrays, attrs: Attributes) -> Array:
    data = _first(arrays)
    wanted = _ints(arrays, attrs, 1, "shape") or []
    shape = np.broadcast_shapes(data.shape, tuple(wanted))
    if math.prod(shape) > LIMIT:
        raise ValueError("too large")
    return np.broadcast_to(data, shape)


def _reduced(operation: Callable[..., Any]) -> Rule:
    def rule(arrays: Arrays, attrs: Attributes) -> Array:
        axes = _ints(arrays, attrs, 1, "axes")
        keep = bool(attrs.get("keepdims", 1))
        axis = None if axes is None else tuple(axes)
        return np.asarray(operation(_first(arrays), axis=axis, keepdims=keep))

    return rule


def _divided(arrays: Arrays, _: Attributes) -> Array:
    a, b = _first(arrays), np.asarray(arrays[1])
    if np.issubdtype(a.dtype, np.integer):
        if not b.all():
            raise ZeroDivisionError
        return np.asarray(np.trunc(a / b)).astype(a.dtype, copy=False)
    return np.asarray(a / b)


def _where(arrays: Arrays, _: Attributes) -> Array:
    return np.where(np.asarray(arrays[0]), np.asarray(arrays[1]), np.asarray(arrays[2]))


def _numpy(operation: Callable[..., Any]) -> Rule:
    def rule(arrays: Arrays, _: Attributes) -> Array:
        return np.asarray(operation(*(np.asarray(a) for a in arrays)))

    return rule


def _extremum(operation: Callable[[Array, Array], Array]) -> Rule:
    def rule(arrays: Arrays, _: Attributes) -> Array:
        result = _first(arrays)
        for other in arrays[1:]:
            result = operation(result, np.asarray(other))
        return result

    return rule


_RULES: dict[str, Rule] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Cast": _cast,
    "Range": _range,
    "Expand": _expand,
    "Identity": lambda arrays, _: _first(arrays),
    "Transpose": lambda arrays, attrs: np.transpose(_first(arrays), attrs.get("perm")),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "Add": _numpy(np.add),
    "Sub": _numpy(np.subtract),
    "Mul": _numpy(np.multiply),
    "Div": _divided,
    "Mod": _numpy(np.mod),
    "Pow": _numpy(np.power),
    "Neg": _numpy(np.negative),
    "Abs": _numpy(np.abs),
    "Sqrt": _numpy(np.sqrt),
    "Floor": _numpy(np.floor),
    "Ceil": _numpy(np.ceil),
    "Round": _numpy(np.rint),
    "Equal": _numpy(np.equal),
    "Less": _numpy(np.less),
    "Greater": _numpy(np.greater),
    "And": _numpy(np.logical_and),
    "Or": _numpy(np.logical_or),
    "Not": _numpy(np.logical_not),
    "Where": _where,
    "Min": _extremum(np.minimum),
    "Max": _extremum(np.maximum),
}
#: Operators whose operands are broadcast against each other.
_BROADCASTS = frozenset(
    {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "Equal", "Less", "Greater", "And", "Or", "Where"}
    | {"Min", "Max"}
)
