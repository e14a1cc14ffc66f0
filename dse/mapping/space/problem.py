"""A compute layer on a chip as the numbers the kernels work on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.hardware.chip import LINKS, Buffer, Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.streaming import chunks, ends_wait, merge, pass_over
from dse.mapping.cost.zeros import winograd_adds
from dse.mapping.ir.homes import Homes, byte_price, load_cycles, price_of
from dse.mapping.ir.schedule import NO_BYTES, Bytes, Phase, link_rates
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.choices import Factors
from dse.mapping.space.exchange import Exchange, exchange
from dse.mapping.space.shape import (
    WINOGRAD_SUMS,
    Shape,
    chip_number,
    enter,
    layer_number,
    layer_shape,
    volumes,
)
from dse.registry import Remembered
from dse.workload.layer import Layer
from dse.workload.precision import bits_of

#: Chips, with homes and formats, whose constants are remembered, and problems.
SITES = 4096
PROBLEMS = 4096
_sites = Remembered("mapping.space.problem.sites", SITES)
_bases = Remembered("mapping.space.problem.bases", PROBLEMS)
_NO_KEYS = np.full(2, np.inf)


def forget_problems() -> None:
    """Forget what is known of layers on chips."""
    _sites.clear()
    _bases.clear()


@dataclass(eq=False)
class Problem(Shape):
    """One core's part of a compute layer, packed: its shape, with all constants in ``c``.

    The rest is what a schedule needs besides. ``least`` are the fewest bytes of W, I, O and side
    input that cross the buffer's edge, ``least_cost`` the seconds and joules that takes.
    """

    layer: Layer
    chip: Chip
    homes: Homes
    cores: int
    sizes: Factors
    tail: tuple[Phase, ...]
    tail_ends: tuple[Bytes, Bytes]
    exchange: Exchange
    room: float
    legal: bool
    least: tuple[float, float, float, float]
    least_cost: tuple[float, float]

    @property
    def registers(self) -> bool:
        """Whether operands are held in registers of the PEs."""
        return self.chip.array.registers.present and not self.on_vector

    @classmethod
    def of(cls, start: Shape, **fields: Any) -> Problem:
        """The fields of a shape, or of another problem, with those given added or in their place.

        As ``Problem(...)`` and ``dataclasses.replace``, which take five times as long for so many
        fields.
        """
        made = object.__new__(cls)
        made.__dict__ = vars(start) | fields
        return made

    def in_room(self, room: float) -> Problem:
        """The same problem with ``room`` bytes of buffer (one without a pass after the layer)."""
        c = self.c.copy()
        c[k.C_ROOM] = room
        return Problem.of(self, c=c, room=room)

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
            _NO_KEYS.copy(),
        )

    @property
    def smallest_tile(self) -> tuple[int, ...]:
        """The smallest of the tile sizes of each dim."""
        return tuple(int(self.tiles[d, self.lengths[d] - 1]) for d in range(6))


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
    spread: int = 1,
) -> Problem:
    """The problem of one core that works on ``sizes`` of the layer beside ``cores - 1`` others.

    ``exposed``, ``time_price_w`` and ``legal`` are those of ``map_layer``; ``winograd``: as
    F(2x2, 3x3); what stays in buffers is spread over ``spread`` cores.

    Raises:
        UnmappableError: no unit runs the layer's formats or vector functions.
    """
    key = (layer_number(layer), chip_number(chip), homes, sizes, cores, legal, winograd, spread)
    base: Problem | None = _bases.get(key)
    if base is None or (base.tail and base.room != room):
        shape = layer_shape(layer, chip, sizes, legal=legal, winograd=winograd)
        base = _bases.put(key, _make(shape, layer, chip, homes, room, sizes, cores, spread))
    c = base.c.copy()
    c[k.C_ROOM], c[k.C_EXPOSED] = room, exposed
    c[k.C_STATIC] = (chip.mapping_static_w + time_price_w) / cores
    least, (seconds, joules) = base.least, base.least_cost
    if exposed != 1.0:
        seconds = float(k.link_s(c.tolist(), least[0] * exposed, *least[1:])) * (1.0 - 1e-9)
        c[k.C_MIN_LINK] = seconds
    return Problem.of(
        base, c=c, layer=layer, chip=chip, room=room, legal=legal, least_cost=(seconds, joules)
    )


def _make(
    shape: Shape,
    layer: Layer,
    chip: Chip,
    homes: Homes,
    room: float,
    sizes: Factors,
    cores: int,
    spread: int,
) -> Problem:
    """The problem with the first weights' fill exposed, at no price of time."""
    saved = shape.saved
    # What a core's part weighs against the whole layer.
    part_w, part_i, part_o = shape.part
    # Zero where the other has its numbers, so that adding changes none.
    c = shape.c + _site(layer, chip, homes, cores, winograd=saved.winograd)
    c[k.C_EXPOSED] = 1.0
    if not shape.on_vector:
        enter_buses(c, chip.buffer)
    if saved.stored_bits < saved.weight_bits and homes.W != "buffer":
        decoder = chip.array.compression.decoder_bytes_per_cycle
        c[k.C_DECODE] = saved.weight_bits / saved.stored_bits / decoder
    counts = shape.fixed_counts
    tail: tuple[Phase, ...] = ()
    ends: tuple[Bytes, Bytes] = (NO_BYTES, NO_BYTES)
    if shape.after is not None:
        out = layer.o_bytes * (part_o / shape.whole[2])
        written = (homes.O, out)
        pieces = chunks(chip, (written,), written, shape.after, room, cores)
        tail, load, store, more = pass_over(chip, (written,), written, shape.after, pieces)
        tail = (*ends_wait(chip, (written,), written, pieces, cores), *tail)
        ends = (load, store)
        counts = dict(counts)
        for action, amount in more.items():
            counts[action] = counts.get(action, 0.0) + amount
    fetched = exchange(shape, layer, chip, homes, spread)
    if fetched.bytes:
        counts = dict(counts)
        merge(counts, fetched.counts)
    c[k.C_E0] = sum([amount * price_of(chip, action) for action, amount in counts.items()])
    c[k.C_LAT0] = (chip.overheads.launch_cycles + fetched.cycles) / chip.f_hz
    if tail:
        c[k.C_LAT0] += _tail_s(chip, tail, ends, cores)
    known = c.tolist()  # Python's numbers round as NumPy's do, and are faster one by one
    least = (
        part_w * known[k.C_WB] * known[k.C_SW] * known[k.C_HOME_W],
        part_i * known[k.C_IB] * known[k.C_SI] * known[k.C_HOME_I],
        part_o * known[k.C_OB] * known[k.C_SO] * known[k.C_HOME_O],
        part_o * known[k.C_SIDE] * known[k.C_HOME_S],
    )
    # A hair less, so that rounding never lifts the bound above the cost it bounds.
    seconds = float(k.link_s(known, *least)) * (1.0 - 1e-9)
    prices = (known[k.C_P_W], known[k.C_P_I], known[k.C_P_O_STORE], known[k.C_P_S])
    joules = sum(b * price for b, price in zip(least, prices, strict=True)) * (1.0 - 1e-9)
    c[k.C_MIN_LINK], c[k.C_MIN_LINK_E] = seconds, joules
    written_bytes, read_bytes = least[0] + least[1] + least[3], least[2]
    touch = (1.0 - 1e-9) * (written_bytes * known[k.C_P_WRITE] + read_bytes * known[k.C_P_READ])
    return Problem.of(
        shape,
        c=c,
        fixed_counts=counts,
        layer=layer,
        chip=chip,
        homes=homes,
        cores=cores,
        sizes=sizes,
        tail=tail,
        tail_ends=ends,
        exchange=fetched,
        room=room,
        legal=False,
        least=least,
        least_cost=(seconds, joules + touch),
    )


def enter_buses(c: Any, buffer: Buffer) -> None:
    """Cycles an element at the ports that carry one operand between buffer and array, into the
    constants ``c`` that hold the bytes of an element."""
    for cycles, size, port in (
        (k.C_BUS_W, k.C_WB, buffer.weight_bytes_per_cycle),
        (k.C_BUS_I, k.C_IB, buffer.input_bytes_per_cycle),
        (k.C_BUS_O, k.C_OB, buffer.result_bytes_per_cycle),
        (k.C_BUS_SUM, k.C_AB, buffer.sum_bytes_per_cycle),
    ):
        c[cycles] = c[size] / port if port else 0.0
    if buffer.sum_bytes_per_cycle and not buffer.result_bytes_per_cycle:
        c[k.C_BUS_OUT] = c[k.C_OB] / buffer.sum_bytes_per_cycle


def _site(layer: Layer, chip: Chip, homes: Homes, cores: int, *, winograd: bool) -> FloatArray:
    """Constants of a chip and of where the operands live, zero elsewhere: capacities, prices of the
    actions of the kernels, and seconds per byte of the links."""
    key = (
        chip_number(chip), homes, cores, layer.acc_bits, layer.w_format, layer.i_format,
        layer.side_elements > 0, winograd,
    )  # fmt: skip
    return _sites.of(key, lambda: _make_site(layer, chip, homes, cores, winograd=winograd))


def _make_site(layer: Layer, chip: Chip, homes: Homes, cores: int, *, winograd: bool) -> FloatArray:
    c = np.zeros(k.CONSTANTS)
    parts = chip.buffer.parts or (math.inf, math.inf, math.inf)
    enter(
        c,
        {
            k.C_F: chip.f_hz,
            k.C_DOUBLE: float(chip.buffer.double_buffered),
            k.C_READ: chip.buffer.read_bytes_per_cycle,
            k.C_WRITE: chip.buffer.write_bytes_per_cycle,
            k.C_LOAD_W: load_cycles(chip, homes.W),
            k.C_LOAD_I: load_cycles(chip, homes.I),
            k.C_LOAD_O: load_cycles(chip, homes.O),
            k.C_LOAD_S: load_cycles(chip, homes.side),
            k.C_STORE: chip.buffer.store_cycles,
            k.C_HOME_W: float(homes.W != "buffer"),
            k.C_HOME_I: float(homes.I != "buffer"),
            k.C_HOME_O: float(homes.O != "buffer"),
            k.C_HOME_S: float(homes.side != "buffer"),
            k.C_DESC: chip.overheads.descriptor_cycles / chip.overheads.dma_channels,
            k.C_DESC_MAX: chip.overheads.max_descriptor_bytes,
            k.C_ROOM_W: parts[0],
            k.C_ROOM_I: parts[1],
            k.C_ROOM_O: parts[2],
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
    if chip.array.accumulator_bytes > 0:
        c[k.C_P_ACC] = layer.acc_bits * (
            price_of(chip, "accumulator.read_bit") + price_of(chip, "accumulator.write_bit")
        )
    if winograd:
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
    rates = dict(zip(LINKS, link_rates(chip), strict=True))
    for number, home in enumerate((homes.W, homes.I, homes.O, homes.side)):
        if home in LINKS and rates[home] > 0.0:
            c[k.C_LINK + 3 * number + LINKS.index(home)] = cores / rates[home]
    c[k.C_ENDS : k.C_ENDS + 12] = c[k.C_LINK : k.C_LINK + 12]
    return c


def _tail_s(chip: Chip, tail: tuple[Phase, ...], ends: tuple[Bytes, Bytes], cores: int) -> float:
    """Time of the pass after the layer, s."""
    rates = link_rates(chip)

    def seconds(amounts: Bytes) -> float:
        return max(b * cores / r if b else 0.0 for b, r in zip(amounts, rates, strict=True))

    body = sum(p.count * max(max(p.cycles) / chip.f_hz, seconds(p.link_bytes)) for p in tail)
    return body + seconds(ends[0]) + seconds(ends[1])


def least_input_elements(layer: Layer) -> float:
    """Elements of the input that a compute layer must read at least once (none skipped twice)."""
    assert layer.nest is not None
    _, touched, _ = volumes(layer.nest.sizes, layer.nest.numbers[8:])
    return min(touched, float(layer.i_elements)) if layer.i_elements else touched
