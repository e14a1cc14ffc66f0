"""Giving every symbolic size of a graph a number, and other sizes to resizable inputs."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from dse.errors import InputError
from dse.files import nearest

#: Bindings with a meaning of their own.
BATCH, RESOLUTION = "batch", "res"
#: Operators along whose leading axis steps follow each other, so that it is no batch.
SEQUENTIAL = frozenset({"LSTM", "GRU", "RNN", "Scan", "Loop"})


def bind_inputs(
    model: onnx.ModelProto, file: str, bindings: Mapping[str, int | tuple[int, int]]
) -> tuple[int, tuple[str, ...]]:
    """Makes the inputs of ``model`` static, in place.

    ``batch`` sets a symbolic leading axis; a graph with a fixed one is instead multiplied after
    lowering by the factor that is returned. ``res`` sets height and width of every image input
    (rank 4, one or three channels); then all inferred shapes in the file are dropped. Any other
    name binds the symbol of that name. A symbol that is not bound is 1, except in a spatial axis.

    Returns:
        The batch factor, and one remark for each symbol that took its default.

    Raises:
        InputError: unknown binding, unbound spatial symbol, no image input.
    """
    stored = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in stored and _shaped(v)]
    symbols = _symbols(inputs)
    for name in bindings:
        if name not in symbols and name not in (BATCH, RESOLUTION):
            raise InputError(
                f"no symbolic size is called {name!r}",
                file=file,
                field=name,
                mend=f"bind one of: {', '.join(dict.fromkeys([BATCH, RESOLUTION, *symbols]))}"
                + nearest(name, [BATCH, RESOLUTION, *symbols]),
            )
    moved = bool(symbols)
    if RESOLUTION in bindings:
        moved |= _resize(inputs, bindings[RESOLUTION], file)
    remarks = _bind_symbols(model, inputs, file, bindings)
    factor, fixed = _batch(model, inputs, bindings, symbols, file)
    if moved:
        forget_shapes(model)
    return factor, (*remarks, *fixed)


def check_positive(bindings: Mapping[str, int | tuple[int, int]], file: str) -> None:
    """Refuses sizes and trips below 1.

    Raises:
        InputError: names the binding.
    """
    for name, value in bindings.items():
        if min(value if isinstance(value, tuple) else (value,)) < 1:
            raise InputError(
                f"{name}={value} is below 1", file=file, field=name, mend="use 1 or more"
            )


def _shaped(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    return bool(kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"))


def _dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _symbols(inputs: list[onnx.ValueInfoProto]) -> list[str]:
    found: dict[str, None] = {}
    for value in inputs:
        for index, dim in enumerate(_dims(value)):
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                found[dim.dim_param or f"{value.name}.{index}"] = None
    return list(found)


def _resize(inputs: list[onnx.ValueInfoProto], size: int | tuple[int, int], file: str) -> bool:
    height, width = size if isinstance(size, tuple) else (size, size)
    images = [v for v in inputs if len(_dims(v)) == 4 and _dims(v)[1].dim_value in (1, 3)]
    if not images:
        raise InputError(
            "no input is an image (N, 1 or 3 channels, height, width)",
            file=file,
            field=RESOLUTION,
            mend="leave res out, or bind its symbols by name",
        )
    before = [(_dims(v)[2].dim_value, _dims(v)[3].dim_value) for v in images]
    for value in images:
        _dims(value)[2].dim_value = height
        _dims(value)[3].dim_value = width
    return bool(any(b != (height, width) for b in before))


def _bind_symbols(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    file: str,
    bindings: Mapping[str, int | tuple[int, int]],
) -> list[str]:
    remarks: dict[str, None] = {}
    unbound: dict[str, str] = {}  # the input that it is a size of
    for value in inputs:
        dims = _dims(value)
        for index, dim in enumerate(dims):
            if dim.HasField("dim_value") and dim.dim_value >= 0:
                continue
            symbol = dim.dim_param or f"{value.name}.{index}"
            given = bindings.get(symbol, bindings.get(BATCH) if index == 0 else None)
            if given is None and index >= 2 and len(dims) in (4, 5):
                unbound[symbol] = value.name
                continue
            if given is None:
                remarks[f"{symbol}=1 by default"] = None
            dim.dim_value = given if isinstance(given, int) else 1
    if unbound:
        reads = next((n for n in model.graph.node if set(n.input) & set(unbound.values())), None)
        shown = reads and (reads.name or next(iter(reads.output), ""))
        raise InputError(
            f"spatial sizes are not bound: {', '.join(unbound)}",
            file=file,
            field=f"node {shown!r} ({reads.op_type})" if reads else None,
            mend="bind them (--bind name=value, or res=SIZE for images)",
        )
    return list(remarks)


def _batch(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    bindings: Mapping[str, int | tuple[int, int]],
    symbols: list[str],
    file: str,
) -> tuple[int, list[str]]:
    batch = bindings.get(BATCH)
    leading = {_dims(v)[0].dim_value for v in inputs if _dims(v)}
    if not isinstance(batch, int) or leading == {batch}:
        return 1, []
    ones = leading == {1}
    sequential = any(node.op_type in SEQUENTIAL for node in model.graph.node)
    if not ones or sequential:
        why = "has steps along its leading axis" if sequential else f"has leading axes {leading}"
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
