"""What a compute layer is on an array of a given shape: all that no price, clock or memory changes.

A search maps the same layers on thousands of chips of few array shapes; this part of a problem is
made once for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, cast

import numpy as np

from dse.errors import UnmappableError
from dse.hardware.chip import Axis, Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.flows import flow_codes
from dse.mapping.cost.streaming import Counts, vector_counts, vector_cycles
from dse.mapping.cost.zeros import Savings, savings, winograd_adds
from dse.mapping.space.candidates import (
    FloatArray,
    alignment,
    reduced,
    spatial_rows,
    tile_lists,
)
from dse.mapping.space.choices import LEVEL_LIMITS, Factors, rate_of, spatial_choices
from dse.registry import Remembered, key_of
from dse.workload.layer import DIMS, Layer
from dse.workload.precision import bits_of

#: Partial sums that Winograd's F(2x2, 3x3) accumulates for each that the direct 3x3 filter does.
WINOGRAD_SUMS = 4.0 / 9.0
#: Shapes, layers and chips remembered.
SHAPES = 16384
LAYERS = 16384
CHIPS = 4096


@dataclass(eq=False)
class Shape:
    """A layer, or a core's part of it, on an array.

    ``c`` holds the constants known so far, ``whole`` and ``part`` are elements of W, of I (only
    what is touched) and of O of the layer and of the part, which has ``macs`` of the dense layer,
    at ``rate`` per unit and cycle; ``worked`` of them cost the energy of a MAC. ``fixed_counts``
    are actions that no mapping changes, ``after`` the vector cycles of the pass after the layer
    (None without one), whose moves are not among them. ``flows``,
    ``spatial``, ``dims``, ``tiles``, ``lengths``, ``align`` and ``nest`` are arguments of the
    kernels, ``level_tiles`` and ``level_lengths`` the tile sizes where more levels than the buffer
    are searched. Arrays are shared: nobody writes to them.
    """

    c: FloatArray
    pair: str
    rate: float
    on_vector: bool
    saved: Savings
    whole: tuple[float, float, float]
    part: tuple[float, float, float]
    macs: float
    worked: float
    fixed_counts: Counts
    after: float | None
    choices: tuple[Factors, ...]
    flows: Any
    spatial: FloatArray
    dims: FloatArray
    tiles: FloatArray
    lengths: Any
    align: FloatArray
    nest: FloatArray
    level_tiles: FloatArray
    level_lengths: Any


_shapes = Remembered("mapping.space.shape.shapes", SHAPES)
#: Numbers of chips and layers, by the object at hand and by what it is.
_by_chip = Remembered("mapping.space.shape.by_chip", 256)
_by_view = Remembered("mapping.space.shape.by_view", CHIPS)
_array_by_chip = Remembered("mapping.space.shape.array_by_chip", 256)
_by_array = Remembered("mapping.space.shape.by_array", CHIPS)
_by_layer = Remembered("mapping.space.shape.by_layer", LAYERS)
_by_key = Remembered("mapping.space.shape.by_key", LAYERS)
_numbers = count()


def layer_number(layer: Layer) -> int:
    """A number of all that mappings of a layer depend on, as :func:`chip_number` of a chip."""
    return _by_layer.of(
        id(layer), lambda: _by_key.of(layer.mapping_view, lambda: next(_numbers)), layer
    )


def chip_number(chip: Chip) -> int:
    """A number of all that mappings on a chip depend on.

    Equal numbers mean equal chips; equal chips have equal numbers as long as they are remembered.
    """
    return _by_chip.of(
        id(chip), lambda: _by_view.of(chip.mapping_view, lambda: next(_numbers)), chip
    )


def array_number(chip: Chip) -> int:
    """The same of what shapes depend on: the array, its compiler's limits and the vector unit."""
    return _array_by_chip.of(
        id(chip), lambda: _by_array.of(array_view(chip), lambda: next(_numbers)), chip
    )


def array_view(chip: Chip) -> tuple[object, ...]:
    """What :func:`layer_shape` sees of a chip, hashable."""
    return cast("tuple[object, ...]", key_of((chip.array, chip.legality, chip.vector)))


def layer_shape(layer: Layer, chip: Chip, sizes: Factors, *, legal: bool, winograd: bool) -> Shape:
    """The shape of a layer, or of a part of ``sizes``, on the chip's array.

    Raises:
        UnmappableError: no unit runs the layer's formats.
    """
    key = (layer_number(layer), array_number(chip), sizes, legal, winograd)
    return _shapes.of(key, lambda: _make(layer, chip, sizes, legal=legal, winograd=winograd))


class Unit(NamedTuple):
    """The unit that a layer runs on: the array, or lanes of the vector unit.

    Attributes:
        pair: formats of its MACs; rate: MACs per unit and cycle, slots for zeros left out.
        axes, align, flows: how it can be unrolled, padded and run.
        saved: what zeros and transforms save.
        diagonal: whether groups may lie along the diagonal of the first two axes.
        window: of a matrix engine, whose rows take one input each; see
            :func:`dse.mapping.space.choices.spatial_choices`.
    """

    pair: str
    rate: float
    on_vector: bool
    axes: tuple[Axis, ...]
    align: Factors
    flows: tuple[str, ...]
    saved: Savings
    diagonal: bool = False
    window: Factors | None = None


def unit_of(layer: Layer, chip: Chip, *, legal: bool, winograd: bool) -> Unit:
    """The unit of a chip that a compute layer runs on.

    Raises:
        UnmappableError: none runs its formats.
    """
    assert layer.nest is not None
    nest, array = layer.nest, chip.array
    if nest.depthwise and array.depthwise == "vector":
        rate = 1.0 / chip.vector.slowdown(max(bits_of(layer.w_format), bits_of(layer.i_format)))
        return Unit("", rate, True, (_lanes(chip),), (1,) * len(DIMS), ("os",), Savings())
    try:
        pair, rate = rate_of(array.rates, layer.w_format, layer.i_format)
    except UnmappableError as error:
        raise UnmappableError(
            f"layer {layer.name}: {error.message}",
            layer=layer.name,
            field="array.rates",
            mend=error.mend,
        ) from None
    axes, flows = array.axes, tuple(array.dataflows)
    if legal and chip.legality.dataflow:
        flows = (chip.legality.dataflow,)
    if winograd:
        axes = tuple(Axis(a.size, tuple(d for d in a.dims if d not in ("FY", "FX"))) for a in axes)
    saved = savings(layer, array, winograd=winograd)
    rate = rate / saved.slots
    if nest.OY == nest.FY == nest.FX == 1:
        rate = array.matmul_rates.get(pair, array.rates[pair]) / saved.slots
    else:
        rate *= array.strided_rate if min(nest.stride_y, nest.stride_x) > 1 else 1.0
        rate *= array.depthwise_rate if nest.depthwise else 1.0
    diagonal = array.depthwise == "diagonal"
    window = reduced(nest.numbers[8:]) if array.row_inputs == "one" else None
    return Unit(pair, rate, False, axes, alignment(array, nest), flows, saved, diagonal, window)


def _fixed_counts(
    layer: Layer, unit: Unit, macs: float, outputs: float, *, winograd: bool
) -> Counts:
    """Actions that no tiling changes, of a part with ``macs`` and ``outputs``; no vector work."""
    counts: Counts = {"launch": 1.0}
    if unit.on_vector:
        wide = ".wide" if max(bits_of(layer.w_format), bits_of(layer.i_format)) > 8 else ""
        counts[f"vector.mul{wide}"] = counts[f"vector.add{wide}"] = macs
    else:
        saved, worked = unit.saved, macs * unit.saved.worked
        counts[f"mac.{unit.pair.replace('x', '.')}"] = worked
        if saved.slots > saved.worked:
            counts["array.idle_mac"] = (macs * saved.slots - worked) / (unit.rate * saved.slots)
        if winograd:
            counts["vector.add.wide"] = outputs * winograd_adds()[1]
    return counts


def _make(layer: Layer, chip: Chip, sizes: Factors, *, legal: bool, winograd: bool) -> Shape:
    assert layer.nest is not None
    nest, array = layer.nest, chip.array
    unit = unit_of(layer, chip, legal=legal, winograd=winograd)
    on_vector, saved, align = unit.on_vector, unit.saved, unit.align
    legality = chip.legality if legal else None
    bits_w, bits_i, bits_o = (bits_of(f) for f in (layer.w_format, layer.i_format, layer.o_format))
    whole = volumes(nest.sizes, nest.numbers[8:])
    part = volumes(sizes, nest.numbers[8:])
    c = np.zeros(k.CONSTANTS)
    macs = float(math.prod(sizes))
    w_bytes = bits_w / 8 * saved.weight_bits
    outside = layer.w_bytes * saved.stored_bits + layer.b_bytes
    share = part[2] / whole[2]
    counts = _fixed_counts(layer, unit, macs, part[2], winograd=winograd)
    fused = [(f, n * share) for f, n in layer.vector_ops if f in chip.vector.fused]
    apart = [(f, n * share) for f, n in layer.vector_ops if f not in chip.vector.fused]
    for action, amount in vector_counts((*fused, *apart), bits_o).items():
        counts[action] = counts.get(action, 0.0) + amount
    paid = array.fill_drain == "paid" and not on_vector
    enter(
        c,
        {
            k.C_MACS: macs,
            k.C_RATE: unit.rate,
            k.C_UNITS: 0.0 if on_vector else float(math.prod(axis.size for axis in unit.axes)),
            k.C_PRELOAD: 0.0 if on_vector else float(array.preload_cycles),
            k.C_HIDDEN: float(array.preload == "hidden"),
            k.C_FILL: float(array.fill_drain_cycles) if paid else 0.0,
            k.C_ACC_BYTES: float(array.accumulator_bytes) / (4.0 if winograd else 1.0),
            k.C_ON_VECTOR: float(on_vector),
            k.C_WB: w_bytes,
            k.C_IB: bits_i / 8,
            k.C_OB: bits_o / 8,
            k.C_AB: layer.acc_bits / 8,
            k.C_SW: outside / (whole[0] * w_bytes) if layer.w_elements else 1.0,
            k.C_SI: min(1.0, layer.i_elements / whole[1]) if layer.i_elements else 1.0,
            k.C_SO: layer.o_elements / whole[2] if layer.o_elements else 1.0,
            k.C_SIDE: layer.side_bytes / whole[2],
            k.C_BANK: legality.bank_bytes if legality else 0.0,
            k.C_VECTOR: vector_cycles(chip, fused, bits_o),
        },
    )
    choices = spatial_choices(sizes, unit.axes, align, unit.diagonal, unit.window)
    touched = macs / sizes[2] * (WINOGRAD_SUMS if winograd else 1.0)
    tiles, lengths = tile_lists(sizes, choices[0], legality, align)
    levels = tile_lists(sizes, choices[0], legality, align, LEVEL_LIMITS)
    codes = flow_codes(
        unit.flows,
        registers=array.registers.present and not on_vector,
        accumulators=array.accumulator_bytes > 0 and not on_vector,
    )
    return Shape(
        c=c,
        pair=unit.pair,
        rate=unit.rate,
        on_vector=on_vector,
        saved=saved,
        whole=whole,
        part=part,
        macs=macs,
        worked=macs * saved.worked,
        fixed_counts=counts,
        after=vector_cycles(chip, apart, bits_o) if apart else None,
        choices=choices,
        flows=np.array(codes, np.int64),
        spatial=spatial_rows(choices, sizes, align, (part[0], touched, part[2])),
        dims=np.array(sizes[:6], np.float64),
        tiles=tiles,
        lengths=lengths,
        align=np.array(align[:6], np.float64),
        nest=np.array((sizes[6], sizes[7], *reduced(nest.numbers[8:])), np.float64),
        level_tiles=levels[0],
        level_lengths=levels[1],
    )


def enter(c: FloatArray, values: dict[int, float]) -> None:
    """Put ``values`` into the constants ``c`` at their indices (``costs.C_*``)."""
    for index, value in values.items():
        c[index] = value


def _lanes(chip: Chip) -> Axis:
    lanes = int(min(chip.vector.ops_per_cycle.get(f, 0.0) for f in ("mul", "add")))
    if lanes < 1:
        raise UnmappableError(
            f"the vector unit of {chip.name} cannot multiply and add",
            field="vector.ops_per_cycle",
            mend="give it mul and add, or run depthwise layers on the array",
        )
    return Axis(lanes, ("G", "OX", "OY", "B"))


def volumes(sizes: Factors, strides: tuple[int, ...]) -> tuple[float, float, float]:
    """Elements of W, of I (only what is touched) and of O of a nest."""
    g, b, ko, ci, oy, ox, fy, fx = sizes
    sy, dy, sx, dx = reduced(strides)
    rows = oy * fy - max(0, oy - dy) * max(0, fy - sy)
    cols = ox * fx - max(0, ox - dx) * max(0, fx - sx)
    return (
        float(g * ko * ci * fy * fx),
        float(g * b * ci * rows * cols),
        float(g * b * ko * oy * ox),
    )
