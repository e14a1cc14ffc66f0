"""Giving every dynamic axis of a graph a number, and values to the inputs that decide its form."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from dse.errors import InputError
from dse.files import nearest
from dse.workload.axes import Axis, Known, computed, least_sizes, open_axes, parts, solve
from dse.workload.inputs import (
    BATCH,
    RESOLUTION,
    VALUE,
    dims_of,
    is_shaped,
    shape_by_place,
    store,
)
from dse.workload.layer import Binding
from dse.workload.remedies import options

#: Operators along whose leading axis steps follow each other, so that it is no batch.
SEQUENTIAL = frozenset({"LSTM", "GRU", "RNN", "Scan", "Loop"})
#: Recurrent operators, whose batch is axis 1 of the sequence (0) and of the states (5, 6).
_RECURRENT = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})


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
    shape_by_place(model, bindings, stored)
    inputs = [v for v in model.graph.input if v.name not in stored and is_shaped(v)]
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
    solve(axes, set(names), file, chosen)
    remarks, defaults = _settle(model, kept, file, chosen, set(names))
    moved |= any(axis.zero and axis.dim.dim_value for axis in kept)
    for name, number in values.items():
        store(model, given[name], number, file, taken=name in names)
    factor, fixed = (1, []) if batched else _batch(model, inputs, bindings, file)
    if moved:
        forget_shapes(model)
    return Bound(factor, (*remarks, *fixed), defaults, frozenset(values), inner, frozenset(names))


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


def _names(axes: list[Axis], bindings: Container[str]) -> dict[str, str]:
    """For every name that a binding of an axis may have, the symbol that it means."""
    found = {axis.place: axis.symbol for axis in axes}
    known = Known({axis.symbol for axis in axes if axis.named}, bindings)
    for axis in axes:
        found.update({part: part for part in parts(axis.symbol, known) if axis.named})
    return found | {axis.symbol: axis.symbol for axis in axes}


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
    images = [v for v in inputs if len(dims_of(v)) == 4 and dims_of(v)[1].dim_value in (1, 3)]
    if not images:
        raise InputError(
            "no input is an image (N, 1 or 3 channels, height, width)",
            file=file,
            field=RESOLUTION,
            mend="leave res out, or bind its symbols by name",
        )
    before = [(dims_of(v)[2].dim_value, dims_of(v)[3].dim_value) for v in images]
    sizes = {(v.name, index): n for v in images for index, n in ((2, height), (3, width))}
    for axis in axes:
        if (axis.input, axis.index) in sizes:
            chosen.setdefault(axis.symbol, sizes[axis.input, axis.index])
    for value in images:
        dims_of(value)[2].dim_value = height
        dims_of(value)[3].dim_value = width
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
    least = least_sizes(axes, chosen, known)
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


def _spatial(model: onnx.ModelProto, axis: Axis) -> bool:
    """Whether an axis is one of an image's, whose size no default can stand for.

    A size written as 0 is an empty tensor's, unless all of an image's are.
    """
    if axis.index < 2 or axis.rank not in (4, 5):
        return False
    if not axis.zero:
        return True
    dims = dims_of(next(v for v in model.graph.input if v.name == axis.input))
    return dims[1].dim_value in (1, 3) and all(not dim.dim_value for dim in dims[2:])


def _remark(name: str, places: list[tuple[Axis, int]]) -> str:
    first, default = places[0]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    written = ", where the file writes 0" if first.zero else ""
    return (
        f"{name}={default} by default (axis {first.index} of {first.input}{more}{written}): "
        f"--bind {name}=VALUE sets it"
    )


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


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drops shapes that were written for other sizes; they are inferred again."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
