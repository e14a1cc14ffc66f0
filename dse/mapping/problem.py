"""A compute layer on a chip as the numbers the kernels work on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import UnmappableError
from dse.hardware.chip import LINKS, Axis, Chip
from dse.mapping import costs as k
from dse.mapping.candidates import (
    FloatArray,
    alignment,
    flow_codes,
    reduced,
    spatial_rows,
    tile_lists,
)
from dse.mapping.homes import Homes, byte_price, price_of
from dse.mapping.schedule import Bytes, Phase, link_rates
from dse.mapping.space import LEVEL_LIMITS, Factors, rate_of, spatial_choices
from dse.mapping.streaming import Counts, chunks, pass_over, vector_counts, vector_cycles
from dse.mapping.zeros import Savings, savings, winograd_adds
from dse.workload.layer import DIMS, Layer
from dse.workload.precision import bits_of

#: Dataflow codes of arrays with operand registers, by what stays in them.
REGISTER_FLOWS = {"ws": (5,), "os": (6,), "is": (7,), "rs": (5, 6, 7)}

#: Partial sums that Winograd's F(2x2, 3x3) accumulates for each that the direct 3x3 filter does.
WINOGRAD_SUMS = 4.0 / 9.0


@dataclass(frozen=True)
class Problem:
    """One core's part of a compute layer, packed.

    ``c``, ``flows``, ``spatial``, ``dims``, ``tiles``, ``lengths``, ``align`` and ``nest`` are the
    arguments of the kernels; the rest is what a schedule needs besides. ``rate`` are MACs of the
    dense layer per unit and cycle, ``worked`` those of them that cost the energy of a MAC.
    ``level_tiles`` and ``level_lengths`` are the tile sizes where more levels than the buffer are
    searched. ``least`` are the fewest bytes of W, I, O and side input that cross the buffer's edge,
    ``least_cost`` the seconds and joules that takes.
    """

    layer: Layer
    chip: Chip
    homes: Homes
    cores: int
    sizes: Factors
    c: FloatArray
    flows: Any
    spatial: FloatArray
    dims: FloatArray
    tiles: FloatArray
    lengths: Any
    align: FloatArray
    nest: FloatArray
    pair: str
    rate: float
    on_vector: bool
    fixed_counts: Counts
    tail: tuple[Phase, ...]
    tail_ends: tuple[Bytes, Bytes]
    room: float
    saved: Savings
    worked: float
    legal: bool
    choices: tuple[Factors, ...]
    level_tiles: FloatArray
    level_lengths: Any
    least: tuple[float, float, float, float]
    least_cost: tuple[float, float]

    @property
    def registers(self) -> bool:
        """Whether operands are held in registers of the PEs."""
        return self.chip.array.registers.present and not self.on_vector

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Arguments of ``search`` after ``c`` and the objective; the last one receives the keys."""
        return (
            self.flows,
            self.spatial,
            self.dims,
            self.tiles,
            self.lengths,
            self.align,
            self.nest,
            np.full(2, np.inf),
        )


def pack(
    layer: Layer,
    chip: Chip,
    homes: Homes,
    room: float,
    sizes: Factors,
    cores: int,
    exposed: float = 1.0,
    time_price_w: float = 0.0,
    *,
    legal: bool = False,
    winograd: bool = False,
) -> Problem:
    """The problem of one core that works on ``sizes`` of the layer beside ``cores - 1`` others.

    ``exposed``, ``time_price_w`` and ``legal`` are those of ``map_layer``; ``winograd``: as
    F(2x2, 3x3).

    Raises:
        UnmappableError: no unit runs the layer's formats or vector functions.
    """
    assert layer.nest is not None
    nest, array = layer.nest, chip.array
    bits_w, bits_i, bits_o = (bits_of(f) for f in (layer.w_format, layer.i_format, layer.o_format))
    on_vector = nest.depthwise and array.depthwise == "vector"
    try:
        pair, rate = (
            ("", 1.0) if on_vector else rate_of(array.rates, layer.w_format, layer.i_format)
        )
    except UnmappableError as error:
        raise UnmappableError(
            f"layer {layer.name}: {error.message}", field="array.rates", mend=error.mend
        ) from None
    axes, align = array.axes, alignment(array, nest)
    flows: tuple[str, ...] = array.dataflows
    legality = chip.legality if legal else None
    if legality and legality.dataflow:
        flows = (legality.dataflow,)
    if winograd:
        axes = tuple(Axis(a.size, tuple(d for d in a.dims if d not in ("FY", "FX"))) for a in axes)
    saved = Savings() if on_vector else savings(layer, array, winograd=winograd)
    rate = rate / saved.slots
    if on_vector:
        axes, flows = (_lanes(chip),), ("os",)
        align = (1,) * len(DIMS)
        rate = 1.0 / chip.vector.wide_factor if max(bits_w, bits_i) > 8 else 1.0
    elif nest.OY == nest.FY == nest.FX == 1:
        rate *= array.matmul_rate
    # What a core's part weighs against the whole layer.
    whole_w, whole_i, whole_o = _volumes(nest.sizes, nest.numbers[8:])
    part_w, part_i, part_o = _volumes(sizes, nest.numbers[8:])
    share = part_o / whole_o
    parts = chip.buffer.parts or (math.inf, math.inf, math.inf)
    c = np.zeros(k.CONSTANTS)
    macs = float(math.prod(sizes))
    worked = macs * saved.worked
    w_bytes = bits_w / 8 * saved.weight_bits
    outside = layer.w_bytes * saved.stored_bits + layer.b_bytes
    lanes = math.prod(axis.size for axis in axes)
    _set(
        c,
        {
            k.C_MACS: macs,
            k.C_F: chip.f_hz,
            k.C_RATE: rate,
            k.C_UNITS: 0.0 if on_vector else float(lanes),
            k.C_PRELOAD: 0.0 if on_vector else float(array.preload_cycles),
            k.C_HIDDEN: float(array.preload == "hidden"),
            k.C_FILL: (
                float(array.fill_drain_cycles)
                if array.fill_drain == "paid" and not on_vector
                else 0.0
            ),
            k.C_ACC_BYTES: float(array.accumulator_bytes) / (4.0 if winograd else 1.0),
            k.C_ON_VECTOR: float(on_vector),
            k.C_WB: w_bytes,
            k.C_IB: bits_i / 8,
            k.C_OB: bits_o / 8,
            k.C_AB: layer.acc_bits / 8,
            k.C_SW: outside / (whole_w * w_bytes) if layer.w_elements else 1.0,
            k.C_SI: min(1.0, layer.i_elements / whole_i) if layer.i_elements else 1.0,
            k.C_SO: layer.o_elements / whole_o if layer.o_elements else 1.0,
            k.C_SIDE: layer.side_bytes / whole_o,
            k.C_ROOM: room,
            k.C_DOUBLE: float(chip.buffer.double_buffered),
            k.C_READ: chip.buffer.read_bytes_per_cycle,
            k.C_WRITE: chip.buffer.write_bytes_per_cycle,
            k.C_HOME_W: float(homes.W != "buffer"),
            k.C_HOME_I: float(homes.I != "buffer"),
            k.C_HOME_O: float(homes.O != "buffer"),
            k.C_HOME_S: float(homes.side != "buffer"),
            k.C_DESC: chip.overheads.descriptor_cycles / chip.overheads.dma_channels,
            k.C_DESC_MAX: chip.overheads.max_descriptor_bytes,
            k.C_STATIC: (chip.mapping_static_w + time_price_w) / cores,
            k.C_EXPOSED: exposed,
            k.C_BANK: legality.bank_bytes if legality else 0.0,
            k.C_ROOM_W: parts[0],
            k.C_ROOM_I: parts[1],
            k.C_ROOM_O: parts[2],
        },
    )
    if saved.stored_bits < saved.weight_bits and homes.W != "buffer":
        decoder = array.compression.decoder_bytes_per_cycle
        c[k.C_DECODE] = saved.weight_bits / saved.stored_bits / decoder
    fused = [(f, n * share) for f, n in layer.vector_ops if f in chip.vector.fused]
    apart = [(f, n * share) for f, n in layer.vector_ops if f not in chip.vector.fused]
    counts: Counts = {"launch": 1.0}
    if on_vector:
        wide = ".wide" if max(bits_w, bits_i) > 8 else ""
        counts[f"vector.mul{wide}"] = counts[f"vector.add{wide}"] = macs
    else:
        counts[f"mac.{pair.replace('x', '.')}"] = worked
        if saved.slots > saved.worked:
            counts["array.idle_mac"] = (macs * saved.slots - worked) / (rate * saved.slots)
        if winograd:
            counts["vector.add.wide"] = part_o * winograd_adds()[1]
    for action, amount in vector_counts((*fused, *apart), bits_o).items():
        counts[action] = counts.get(action, 0.0) + amount
    c[k.C_VECTOR] = vector_cycles(chip, fused, bits_o)
    tail: tuple[Phase, ...] = ()
    ends: tuple[Bytes, Bytes] = ((0.0,) * len(LINKS), (0.0,) * len(LINKS))
    if apart:
        out = layer.o_bytes * share
        spent, written = vector_cycles(chip, apart, bits_o), (homes.O, out)
        pieces = chunks(chip, (written,), written, spent, room, cores)
        tail, load, store, more = pass_over(chip, (written,), written, spent, pieces)
        ends = (load, store)
        for action, amount in more.items():
            counts[action] = counts.get(action, 0.0) + amount
    _price(c, layer, chip, homes, cores, counts, saved)
    c[k.C_LAT0] = chip.overheads.launch_cycles / chip.f_hz + _tail_s(chip, tail, ends, cores)
    least = (
        part_w * c[k.C_WB] * c[k.C_SW] * c[k.C_HOME_W],
        part_i * c[k.C_IB] * c[k.C_SI] * c[k.C_HOME_I],
        part_o * c[k.C_OB] * c[k.C_SO] * c[k.C_HOME_O],
        part_o * c[k.C_SIDE] * c[k.C_HOME_S],
    )
    # A hair less, so that rounding never lifts the bound above the cost it bounds.
    timed = (least[0] * exposed, *least[1:])
    c[k.C_MIN_LINK] = float(k.link_s(c, *timed)) * (1.0 - 1e-9)
    c[k.C_MIN_LINK_E] = float(
        sum(
            b * c[p] for b, p in zip(least, (k.C_P_W, k.C_P_I, k.C_P_O_STORE, k.C_P_S), strict=True)
        )
        * (1.0 - 1e-9)
    )
    touch = (1.0 - 1e-9) * float(
        (least[0] + least[1] + least[3]) * c[k.C_P_WRITE] + least[2] * c[k.C_P_READ]
    )
    choices = spatial_choices(sizes, axes, align, not on_vector and array.depthwise == "diagonal")
    touched = macs / sizes[2] * (WINOGRAD_SUMS if winograd else 1.0)
    spatial = spatial_rows(choices, sizes, align, (part_w, touched, part_o))
    tiles, lengths = tile_lists(sizes, choices[0], legality)
    levels = tile_lists(sizes, choices[0], legality, LEVEL_LIMITS)
    if array.registers.present and not on_vector:
        codes = list(dict.fromkeys(code for flow in flows for code in REGISTER_FLOWS[flow]))
    else:
        codes = flow_codes(flows, 0 if on_vector else array.accumulator_bytes)
    return Problem(
        layer=layer,
        chip=chip,
        homes=homes,
        cores=cores,
        sizes=sizes,
        c=c,
        flows=np.array(codes, np.int64),
        spatial=spatial,
        dims=np.array(sizes[:6], np.float64),
        tiles=tiles,
        lengths=lengths,
        align=np.array(align[:6], np.float64),
        nest=np.array((sizes[6], sizes[7], *reduced(nest.numbers[8:])), np.float64),
        pair=pair,
        rate=rate,
        on_vector=on_vector,
        fixed_counts=counts,
        tail=tail,
        tail_ends=ends,
        room=room,
        saved=saved,
        worked=worked,
        legal=legal,
        choices=choices,
        level_tiles=levels[0],
        level_lengths=levels[1],
        least=(float(least[0]), float(least[1]), float(least[2]), float(least[3])),
        least_cost=(float(c[k.C_MIN_LINK]), float(c[k.C_MIN_LINK_E]) + touch),
    )


def _set(c: FloatArray, values: dict[int, float]) -> None:
    for index, value in values.items():
        c[index] = value


def _price(
    c: FloatArray,
    layer: Layer,
    chip: Chip,
    homes: Homes,
    cores: int,
    counts: Counts,
    saved: Savings,
) -> None:
    """Prices of the actions of the kernels, and seconds per byte of the links."""
    accumulators = chip.array.accumulator_bytes > 0
    _set(
        c,
        {
            k.C_P_IDLE: price_of(chip, "array.idle_mac"),
            k.C_P_READ: 8.0 * price_of(chip, "buffer.read_bit"),
            k.C_P_WRITE: 8.0 * price_of(chip, "buffer.write_bit"),
            k.C_P_DESC: price_of(chip, "descriptor"),
            k.C_P_W: byte_price(chip, homes.W, write=False),
            k.C_P_I: byte_price(chip, homes.I, write=False),
            k.C_P_O_LOAD: byte_price(chip, homes.O, write=False),
            k.C_P_O_STORE: byte_price(chip, homes.O, write=True),
            k.C_P_S: byte_price(chip, homes.side, write=False) if layer.side_elements else 0.0,
        },
    )
    if accumulators:
        c[k.C_P_ACC] = layer.acc_bits * (
            price_of(chip, "accumulator.read_bit") + price_of(chip, "accumulator.write_bit")
        )
    if saved.winograd:
        c[k.C_P_ACC] *= WINOGRAD_SUMS
        c[k.C_P_TRANSFORM] = winograd_adds()[0] * price_of(chip, "vector.add.wide")
    registers = chip.array.registers
    c[k.C_LATCH] = float(registers.latch)
    for own, has, read, write, name, bits in (
        (registers.W, k.C_HAS_W, k.C_P_RW_READ, k.C_P_RW_WRITE, "w", bits_of(layer.w_format)),
        (registers.I, k.C_HAS_I, k.C_P_RI_READ, k.C_P_RI_WRITE, "i", bits_of(layer.i_format)),
        (registers.O, k.C_HAS_O, k.C_P_RO_READ, k.C_P_RO_WRITE, "o", layer.acc_bits),
    ):
        if own or registers.shared:
            c[has] = 1.0
            c[read] = bits * price_of(chip, f"register.{name}.read_bit")
            c[write] = bits * price_of(chip, f"register.{name}.write_bit")
    c[k.C_E0] = sum(amount * price_of(chip, action) for action, amount in counts.items())
    rates = dict(zip(LINKS, link_rates(chip), strict=True))
    for number, home in enumerate((homes.W, homes.I, homes.O, homes.side)):
        if home in LINKS and rates[home] > 0.0:
            c[k.C_LINK + 3 * number + LINKS.index(home)] = cores / rates[home]
    c[k.C_ENDS : k.C_ENDS + 12] = c[k.C_LINK : k.C_LINK + 12]


def _tail_s(chip: Chip, tail: tuple[Phase, ...], ends: tuple[Bytes, Bytes], cores: int) -> float:
    """Time of the pass after the layer, s."""
    rates = link_rates(chip)

    def seconds(amounts: Bytes) -> float:
        return max(b * cores / r if b else 0.0 for b, r in zip(amounts, rates, strict=True))

    body = sum(p.count * max(max(p.cycles) / chip.f_hz, seconds(p.link_bytes)) for p in tail)
    return body + seconds(ends[0]) + seconds(ends[1])


def _lanes(chip: Chip) -> Axis:
    lanes = int(min(chip.vector.ops_per_cycle.get(f, 0.0) for f in ("mul", "add")))
    if lanes < 1:
        raise UnmappableError(
            f"the vector unit of {chip.name} cannot multiply and add",
            field="vector.ops_per_cycle",
            mend="give it mul and add, or run depthwise layers on the array",
        )
    return Axis(lanes, ("G", "OX", "OY", "B"))


def _volumes(sizes: Factors, strides: tuple[int, ...]) -> tuple[float, float, float]:
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


def least_input_elements(layer: Layer) -> float:
    """Elements of the input that a compute layer must read at least once (none skipped twice)."""
    assert layer.nest is not None
    _, touched, _ = _volumes(layer.nest.sizes, layer.nest.numbers[8:])
    return min(touched, float(layer.i_elements)) if layer.i_elements else touched
