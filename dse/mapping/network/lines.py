"""Rows in a pipeline in space: how far each layer lags behind the input, and what it holds.

In a pipeline every layer works at the rate of frames, row by row: the rows of a tensor are made
evenly over one *frame time*. Times here are in frame times. ``lag`` of a tensor is when its first
row is whole, counted from when that of the network's input is.

A layer with a window of ``F`` rows (dilated), stride ``s`` and padding ``p`` in front makes its
first row when the first ``F - p`` rows of its input are there. So, of an input of ``R`` rows and a
result of ``Q``:

    lag(result) = lag(input) + (F - p - 1) / R + u / Q

with ``u`` the share of the frame time for which it works (at most 1): the latest of all its inputs,
each from when it is needed. It holds a row from when it arrives until the last window that reaches
it has passed, which is ``p`` rows after the row itself is due, and the ``s`` rows that arrive
meanwhile:

    held(input) = bytes x (lag(result) - lag(input) + (p + s) / R)

A tensor that skips layers (a residual) so holds as many rows as the way around it lags. What has no
rows to work by (a second operand of a product, a transpose) waits for all of its input and holds it
twice: one frame is read while the next arrives. A reduction over all rows (a global pooling) waits
too, but holds its sums alone.

Rows are the second last axis of a tensor; of a layer ``OY``, without that ``OX`` (which holds the
rows of a matrix product). Padding is not in a layer: it is taken as that of a centred window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.mapping.memory.tensors import operands
from dse.workload.layer import Layer, Workload
from dse.workload.precision import bits_of


@dataclass(frozen=True, slots=True)
class Operand:
    """An activation that a layer reads.

    ``wait`` is from its first row to when the first result can be begun, ``after`` how long a row
    is still needed once it is due, both in frame times; ``copies`` is how often all of it is held
    beside that; ``held`` whether its rows are held at all (a reduction keeps two).
    """

    name: str
    bytes: float
    wait: float
    after: float
    copies: float = 0.0
    held: bool = True


@dataclass(frozen=True, slots=True)
class Rows:
    """What a layer reads, the rows of its result, and its results."""

    operands: tuple[Operand, ...]
    rows: int
    results: tuple[str, ...]


def rows_of(workload: Workload) -> tuple[Rows, ...]:
    """The rows of every layer of a network."""
    return tuple(_rows(layer, workload) for layer in workload.layers)


def lags(rows: Sequence[Rows], busy: Sequence[float] | None = None) -> tuple[float, ...]:
    """When each layer's first row is whole, in frame times.

    What the layers do not make themselves arrives row by row from time 0 on.

    Args:
        busy: share of the frame time for which each layer works; all of it unless given, which is
            the most that it may lag.
    """
    made: dict[str, float] = {}
    out = []
    for number, layer in enumerate(rows):
        begin = max((made.get(one.name, 0.0) + one.wait for one in layer.operands), default=0.0)
        out.append(begin + (1.0 if busy is None else busy[number]) / layer.rows)
        made |= dict.fromkeys(layer.results, out[-1])
    return tuple(out)


def depth(rows: Sequence[Rows], behind: Sequence[float]) -> float:
    """From the first row of the input to the last row of the last result, in frame times."""
    ends = (lag + 1.0 - 1.0 / layer.rows for layer, lag in zip(rows, behind, strict=True))
    return max(1.0, max(ends, default=1.0))


def held_bytes(rows: Sequence[Rows], behind: Sequence[float]) -> tuple[float, ...]:
    """Bytes of activations that each layer holds while the pipeline runs."""
    made: dict[str, float] = {}
    out = []
    for layer, lag in zip(rows, behind, strict=True):
        total = 0.0
        for one in layer.operands:
            span = lag - made.get(one.name, 0.0) if one.held else 0.0
            total += one.bytes * (span + one.after if not one.copies else max(one.copies, span + 1))
        out.append(total)
        made |= dict.fromkeys(layer.results, lag)
    return tuple(out)


def _rows(layer: Layer, workload: Workload) -> Rows:
    main, side = operands(layer, workload)
    made = layer.outputs[0] if layer.outputs else ""
    result = _axis(workload, made)
    read: list[Operand] = []
    count = max(1, result)
    if layer.nest is not None:
        count, window = _window(layer)
        read += [_by_rows(workload, name, window, count) for name in main]
        read += [_by_rows(workload, name, (1, 1), count) for name in side]
        if layer.w_is_activation and layer.w_tensor and layer.w_tensor in workload.tensors:
            read.append(_whole(workload, layer.w_tensor))
    else:
        read += [_streamed(layer, workload, name, count) for name in (*main, *side)]
    return Rows(tuple(read), count, layer.outputs)


def _window(layer: Layer) -> tuple[int, tuple[int, int]]:
    """Rows of a compute layer's result; rows and stride of its window."""
    nest = layer.nest
    assert nest is not None
    if nest.OY > 1 or nest.OX == 1:
        return nest.OY, ((nest.FY - 1) * nest.dilation_y + 1, nest.stride_y)
    if nest.FY > 1:
        return 1, (nest.FY, nest.stride_y)
    return nest.OX, ((nest.FX - 1) * nest.dilation_x + 1, nest.stride_x)


def _by_rows(workload: Workload, name: str, window: tuple[int, int], count: int) -> Operand:
    """An operand read by windows of rows; all of it for a result of one row."""
    size = _bytes(workload, name)
    if count == 1:
        return _whole(workload, name)
    taps, stride = window
    rows = count * stride
    front = max(0, taps - stride) // 2
    return Operand(name, size, (taps - front - 1) / rows, (front + stride) / rows)


def _streamed(layer: Layer, workload: Workload, name: str, count: int) -> Operand:
    """An operand of a layer without loops."""
    size, rows = _bytes(workload, name), _axis(workload, name)
    shape = workload.tensors[name].shape
    made = workload.tensors[layer.outputs[0]].shape if layer.outputs else ()
    if layer.row_wise and rows == count > 1:
        return Operand(name, size, 0.0, 1.0 / rows)
    if len(shape) == len(made) == 4 and rows > 1 and count > 1 and shape[0] == made[0]:
        taps = _pooled(layer) if layer.kind == "vector" else 1
        stride = max(1, round(rows / count))
        front = max(0, taps - stride) // 2
        return Operand(name, size, max(0, taps - front - 1) / rows, (front + stride) / rows)
    if layer.kind == "vector" and rows > 1 and count == 1 and layer.o_elements < layer.i_elements:
        return Operand(name, size, 1.0 - 1.0 / rows, 2.0 / rows, held=False)
    return _whole(workload, name)


def _pooled(layer: Layer) -> int:
    """Rows of a pooling window, from its comparisons or additions by result; 1 if it has none."""
    work: Mapping[str, int] = dict(layer.vector_ops)
    most = max(work.get("compare", 0), work.get("add", 0)) / max(1, layer.o_elements)
    return max(1, math.isqrt(round(most) + 1)) if layer.o_elements < layer.i_elements else 1


def _whole(workload: Workload, name: str) -> Operand:
    rows = max(1, _axis(workload, name))
    return Operand(name, _bytes(workload, name), 1.0 - 1.0 / rows, 0.0, copies=2.0)


def _axis(workload: Workload, name: str) -> int:
    """Rows of a tensor; 1 if it has none."""
    tensor = workload.tensors.get(name)
    return int(tensor.shape[-2]) if tensor is not None and len(tensor.shape) > 1 else 1


def _bytes(workload: Workload, name: str) -> float:
    tensor = workload.tensors[name]
    return tensor.elements * bits_of(tensor.format) / 8
