"""Giving every dynamic axis of a graph a number, and values to the inputs that decide its form."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from dse.errors import InputError
from dse.files import nearest
from dse.workload.axes import Axis, computed, fitting, open_axes, parts, solved
from dse.workload.layer import Binding
from dse.workload.remedies import options

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


@dataclass(frozen=True)
class Bound:
    """What became of the bindings.

    Attributes:
        factor: by which a fixed batch of 1 is to be multiplied after lowering.
        remarks: one line for each axis that took its default.
        defaults: the names that took their default, with the inputs they are sizes of.
        values: inputs that were given a value, now stored tensors.
        inner: bindings of tensors inside the graph: ``NAME`` is a value, ``NAME.AXIS`` a size.
        names: names of bindings that mean an axis, also where a tensor has that name.
    """

    factor: int = 1
    remarks: tuple[str, ...] = ()
    defaults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: frozenset[str] = frozenset()
    inner: Mapping[str, Binding] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


def bind_inputs(
    model: onnx.ModelProto,
    file: str,
    bindings: Mapping[str, Binding],
    stated: Mapping[str, Sequence[int | str | None]] | None = None,
) -> Bound:
    """Makes the inputs of ``model`` static, in place.

    A binding's name is the symbol of an axis (wherever it stands), ``input.axis`` of any dynamic
    one, or an input of few elements, which then is a constant of that value. ``batch`` sets the
    batch axes; where they are fixed at 1, layers are multiplied after lowering. ``res`` sets height
    and width of every image input (rank 4, one or three channels). An axis that is not bound is 1,
    except a spatial one. ``stated``: sizes of results, if they stand in ``model`` no more.

    Raises:
        InputError: unknown binding, unbound spatial symbol, no image input, a value of another
            form than its input.
    """
    stored = {t.name for t in model.graph.initializer}
    _shape(model, bindings, stored)
    inputs = [v for v in model.graph.input if v.name not in stored and _shaped(v)]
    given = {value.name: value for value in model.graph.input}
    axes = open_axes(inputs)
    names = _names(axes, bindings)
    chosen: dict[str, int] = {}
    values: dict[str, Binding] = {}
    inner: dict[str, Binding] = {}
    for name, number in bindings.items():
        bare = name.removesuffix(VALUE)
        if name in names:
            chosen[names[name]] = _size(name, number, file)
        elif name in (BATCH, RESOLUTION):
            continue
        elif name in given or bare in given:
            values[name if name in given else bare] = number
        elif places := _inside(model, name, stated or {}) or _inside(model, bare, stated or {}):
            inner.update(dict.fromkeys(places, number))
        else:
            raise _unknown(name, axes, given, stored, file)
    moved = any(not axis.zero for axis in axes)
    if RESOLUTION in bindings and RESOLUTION not in names:
        moved |= _resize(inputs, bindings[RESOLUTION], axes, chosen, file)
    batched = _bind_batch(model, inputs, axes, bindings, chosen, file)
    kept = [axis for axis in axes if axis.input not in values]
    _solve(axes, set(names), file, chosen)
    remarks, defaults = _settle(model, kept, file, chosen, set(names))
    moved |= any(axis.zero and axis.dim.dim_value for axis in kept)
    for name, number in values.items():
        _store(model, given[name], number, file, taken=name in names)
    factor, fixed = (1, []) if batched else _batch(model, inputs, bindings, file)
    if moved:
        forget_shapes(model)
    return Bound(factor, (*remarks, *fixed), defaults, frozenset(values), inner, frozenset(names))


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
        if not _shaped(value) or len(shape.dim) != len(default):
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
            _size(name, item, file)


def _size(name: str, value: Binding, file: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    raise InputError(
        f"{name}={shown} is no size", file=file, field=name, mend="use a whole number from 0"
    )


def _shape(model: onnx.ModelProto, bindings: Mapping[str, Binding], stored: set[str]) -> None:
    """Gives inputs without any shape the axes that are bound by place (``x.0``, ``x.1``, ...)."""
    for value in model.graph.input:
        if value.name in stored or _shaped(value) or not value.type.HasField("tensor_type"):
            continue
        axes = 0
        while f"{value.name}.{axes}" in bindings:
            axes += 1
        for _ in range(axes):
            value.type.tensor_type.shape.dim.add()


def _shaped(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    return bool(kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"))


def _dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _names(axes: list[Axis], bindings: Container[str]) -> dict[str, str]:
    """For every name that a binding of an axis may have, the symbol that it means."""
    found = {axis.place: axis.symbol for axis in axes}
    known = _Known({axis.symbol for axis in axes if axis.named}, bindings)
    for axis in axes:
        found.update({part: part for part in parts(axis.symbol, known) if axis.named})
    return found | {axis.symbol: axis.symbol for axis in axes}


@dataclass(frozen=True)
class _Known:
    """Symbols of the file, and names that are bound."""

    symbols: Container[str]
    bound: Container[str]

    def __contains__(self, name: object) -> bool:
        return name in self.symbols or name in self.bound


def _solve(axes: list[Axis], known: Container[str], file: str, chosen: dict[str, int]) -> None:
    """Binds what a formula is made of where only the formula is bound: ``s-1=7`` makes s 8.

    Raises:
        InputError: no whole size comes to that.
    """
    for axis in axes:
        names = parts(axis.symbol, known) if axis.named and axis.symbol in chosen else ()
        missing = [name for name in names if name not in chosen]
        if len(missing) != 1:
            continue
        size = solved(axis.symbol, chosen[axis.symbol], missing[0], chosen)
        if size is not None:
            chosen[missing[0]] = size
        elif not any(mark in axis.symbol for mark in ("%", "Mod", "Max", "Min")):
            raise InputError(
                f"no whole {missing[0]} gives {axis.symbol}={chosen[axis.symbol]}",
                file=file,
                field=axis.symbol,
                mend=f"bind {missing[0]} instead: {options(missing)}",
            )


def _unknown(
    name: str, axes: list[Axis], given: Iterable[str], stored: set[str], file: str
) -> InputError:
    symbols = dict.fromkeys(axis.symbol for axis in axes)
    known = list(
        dict.fromkeys([BATCH, RESOLUTION, *symbols, *(n for n in given if n not in stored)])
    )
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    if name in stored:
        return InputError(
            f"{name!r} is stored in the file", file=file, field=name, mend="leave it out"
        )
    return InputError(
        f"no symbolic size, input or tensor is called {name!r}",
        file=file,
        field=name,
        mend=f"bind one of: {shown}" + nearest(name, known),
    )


def _inside(
    model: onnx.ModelProto, name: str, stated: Mapping[str, Sequence[int | str | None]]
) -> list[str]:
    """Tensors inside the graph, or axes of them, that ``name`` means: by their own names, or by a
    symbol of results that no input has."""
    stem, _, axis = name.rpartition(".")
    written = set(_written(model.graph))
    for bare in (name, stem) if axis.isdigit() else (name,):
        slashes = [i for i, letter in enumerate(bare) if letter == "/"]
        tails = [bare, *(bare[i + 1 :] for i in slashes)]
        heads = [tail[:i] for tail in tails for i in range(len(tail)) if tail[i] == "/"]
        if any(part in written for part in (*tails, *heads)):
            return [name]
    results = {
        value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.output, *model.graph.value_info)
    }
    return [
        f"{result}.{index}"
        for result, sizes in (*results.items(), *stated.items())
        for index, size in enumerate(sizes)
        if size == name
    ]


def _written(graph: onnx.GraphProto) -> Iterator[str]:
    """Tensors that the nodes of a graph, and of the bodies in it, write; and what a loop hands to
    its body."""
    for node in graph.node:
        yield from node.output
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from (value.name for value in inner.input)
                yield from _written(inner)


def _resize(
    inputs: list[onnx.ValueInfoProto],
    size: Binding,
    axes: list[Axis],
    chosen: dict[str, int],
    file: str,
) -> bool:
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2:
        raise InputError(
            f"res has {len(pair)} sizes", file=file, field=RESOLUTION, mend="write res=96x160"
        )
    height, width = (_size(RESOLUTION, item, file) for item in pair)
    images = [v for v in inputs if len(_dims(v)) == 4 and _dims(v)[1].dim_value in (1, 3)]
    if not images:
        raise InputError(
            "no input is an image (N, 1 or 3 channels, height, width)",
            file=file,
            field=RESOLUTION,
            mend="leave res out, or bind its symbols by name",
        )
    before = [(_dims(v)[2].dim_value, _dims(v)[3].dim_value) for v in images]
    sizes = {(v.name, index): n for v in images for index, n in ((2, height), (3, width))}
    for axis in axes:
        if (axis.input, axis.index) in sizes:
            chosen.setdefault(axis.symbol, sizes[axis.input, axis.index])
    for value in images:
        _dims(value)[2].dim_value = height
        _dims(value)[3].dim_value = width
    axes[:] = [axis for axis in axes if (axis.input, axis.index) not in sizes]
    return any(b != (height, width) for b in before)


def _bind_batch(
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
    batch = _size(BATCH, bindings[BATCH], file)
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


def _settle(
    model: onnx.ModelProto,
    axes: list[Axis],
    file: str,
    chosen: Mapping[str, int],
    known: Container[str],
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Sets every dynamic axis; remarks and names of the defaults that were taken.

    A size written as 0 is a dynamic batch where it leads, else that of an empty tensor.
    """
    taken: dict[str, list[tuple[Axis, int]]] = {}
    unbound: dict[str, str] = {}  # the input that it is a size of
    least = _least(axes, chosen, known)
    for axis in axes:
        names = (parts(axis.symbol, known) if axis.named else ()) or (axis.symbol,)
        missing = [] if axis.symbol in chosen else [n for n in names if n not in chosen]
        if missing and _spatial(model, axis):
            unbound.update(dict.fromkeys(missing, axis.input))
            continue
        default = 0 if axis.zero and (axis.index or axis.rank < 2) else 1
        sizes = dict.fromkeys(names, default) | least | dict(chosen)
        size = sizes.get(axis.symbol)
        if size is None:
            size = computed(axis.symbol, sizes)
        for name in missing:
            taken.setdefault(name, []).append((axis, sizes[name]))
        axis.dim.dim_value = 1 if size is None else size
    if unbound:
        reads = next((n for n in model.graph.node if set(n.input) & set(unbound.values())), None)
        shown = reads and (reads.name or next(iter(reads.output), ""))
        raise InputError(
            f"spatial sizes are not bound: {', '.join(unbound)}",
            file=file,
            field=f"node {shown!r} ({reads.op_type})" if reads else None,
            mend=f"bind them: {options(unbound)}, or res=SIZE for images",
        )
    remarks = [_remark(name, places) for name, places in taken.items()]
    places = {n: tuple(dict.fromkeys(axis.input for axis, _ in at)) for n, at in taken.items()}
    return remarks, places


def _least(axes: list[Axis], chosen: Mapping[str, int], known: Container[str]) -> dict[str, int]:
    """Defaults of symbols for which no formula made of them leaves nothing (``s-1`` wants 2)."""
    formulas: dict[str, list[str]] = {}
    for axis in axes:
        names = parts(axis.symbol, known) if axis.named and axis.symbol not in chosen else ()
        missing = [name for name in names if name not in chosen]
        if len(missing) == 1:
            formulas.setdefault(missing[0], []).append(axis.symbol)
    return {name: fitting(name, texts, chosen) for name, texts in formulas.items()}


def _spatial(model: onnx.ModelProto, axis: Axis) -> bool:
    """Whether an axis is one of an image's, whose size no default can stand for.

    A size written as 0 is an empty tensor's, unless all of an image's are.
    """
    if axis.index < 2 or axis.rank not in (4, 5):
        return False
    if not axis.zero:
        return True
    dims = _dims(next(v for v in model.graph.input if v.name == axis.input))
    return dims[1].dim_value in (1, 3) and all(not dim.dim_value for dim in dims[2:])


def _remark(name: str, places: list[tuple[Axis, int]]) -> str:
    first, default = places[0]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    written = ", where the file writes 0" if first.zero else ""
    return (
        f"{name}={default} by default (axis {first.index} of {first.input}{more}{written}): "
        f"--bind {name}=VALUE sets it"
    )


def _store(
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
    shape = [max(0, d.dim_value) for d in _dims(value)] if _shaped(value) else [1]
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


def _batch(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    bindings: Mapping[str, Binding],
    file: str,
) -> tuple[int, list[str]]:
    """The factor for a graph without a symbolic batch."""
    if BATCH not in bindings:
        return 1, []
    batch = _size(BATCH, bindings[BATCH], file)
    along = _batch_axes(model, inputs)
    sized = [v for v in inputs if len(_dims(v)) > along[v.name]]
    rank = max((len(_dims(v)) for v in sized), default=0)
    leading = {_dims(v)[along[v.name]].dim_value for v in sized}
    main = {_dims(v)[along[v.name]].dim_value for v in sized if len(_dims(v)) == rank}
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


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drops shapes that were written for other sizes; they are inferred again."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
