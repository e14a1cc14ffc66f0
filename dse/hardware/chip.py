"""The frozen, resolved and priced chip: numbers only, as mapping and simulation need them.

A chip spec (a YAML file, ``spec.py``) resolved against a technology object gives a :class:`Chip`
(``resolve.py``). Everything here is in SI units or in cycles of the one chip clock ``f_hz``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from dse.hardware.area import AreaNode

#: Where a tensor can be stored for a layer. ``buffer`` is the scratchpad the arrays work from.
HOMES = ("dram", "l2", "nvm", "buffer")
#: Links that feed a core's buffer, in the order used by every per-link tuple.
LINKS = ("dram", "l2", "nvm")
#: Scopes of power, energy and area, each containing the one before it.
SCOPES = ("npu", "die", "die_dram", "module")

Dataflow = Literal["ws", "os", "is"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of the PE array: its size and the loop dims it may unroll (in any mix)."""

    size: int
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """The MAC array of one core.

    Attributes:
        axes: one to three axes; the product of their sizes is the number of MAC units.
        dataflows: which operand may stay in the PEs: ``ws`` weights, ``os`` outputs, ``is`` inputs.
            The mapper takes the best of those allowed, layer by layer.
        rates: MACs per unit and cycle by format pair ``"int8xint8"`` (weights x activations),
            relative to one; a pair that is missing runs at the rate of the next wider format that
            is there (int4 weights in an int8 array), and a layer wider than any is unmappable.
        preload: ``hidden`` if stationary operands are shifted in behind compute (double registers),
            else ``paid``: ``preload_cycles`` per array pass.
        fill_drain: ``hidden`` if successive passes overlap, else ``paid``: ``fill_drain_cycles``
            per array pass (rows + columns - 2 for a systolic array).
        depthwise: ``none`` (groups run one after the other unless an axis may unroll ``G``),
            ``diagonal`` (groups along the diagonal of the first two axes) or ``vector`` (depthwise
            layers run on the vector unit at one MAC per lane and cycle).
        align: dims padded up to a multiple, such as ``{"C": 32, "K": 16}``.
        accumulator_bytes: partial-sum memory beside the array; 0 if partial sums go to the buffer.
    """

    axes: tuple[Axis, ...]
    dataflows: tuple[Dataflow, ...]
    rates: Mapping[str, float]
    preload: Literal["hidden", "paid"]
    preload_cycles: int
    fill_drain: Literal["hidden", "paid"]
    fill_drain_cycles: int
    depthwise: Literal["none", "diagonal", "vector"]
    align: Mapping[str, int]
    accumulator_bytes: int

    @property
    def macs_per_cycle(self) -> int:
        """Peak MACs per cycle of one core at rate 1."""
        product = 1
        for axis in self.axes:
            product *= axis.size
        return product


@dataclass(frozen=True, slots=True)
class Buffer:
    """The scratchpad of one core, from which its array works (unified over operands)."""

    capacity_bytes: int
    read_bytes_per_cycle: float
    write_bytes_per_cycle: float
    double_buffered: bool


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """Elementwise unit of one core.

    ``ops_per_cycle`` maps every function of ``dse.workload.layer.FUNCTIONS`` to results per cycle
    of the whole unit at 8 bit; ``wide_factor`` is its slow-down for elements over 8 bit.
    ``fused`` are the functions that can run at write-back of a compute layer (overlapped with it);
    others follow as a pass of their own over the tensor.
    """

    ops_per_cycle: Mapping[str, float]
    wide_factor: float
    fused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """What brings bytes to the buffer: the DRAM system, the shared L2, or on-chip NVM.

    ``bytes_per_s`` is the effective bandwidth for the chip's transfers (peak x efficiency at its
    burst, less the share reserved for camera, CPU and display); ``peak_bytes_per_s`` bounds it.
    A link the chip lacks has bandwidth 0.
    """

    name: str
    bytes_per_s: float
    peak_bytes_per_s: float
    capacity_bytes: float
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Overheads:
    """Fixed costs in cycles: per layer launch, per DMA descriptor; and seconds per inference."""

    launch_cycles: float
    descriptor_cycles: float
    dma_channels: int
    invoke_s: float
    max_descriptor_bytes: float


@dataclass(frozen=True, slots=True)
class Host:
    """The control processor: ``ops_per_s`` simple operations per second for host layers."""

    name: str
    ops_per_s: float


@dataclass(frozen=True, slots=True)
class StaticPower:
    """Power that flows without work, one component of one scope, by engine state, in W.

    ``active_w`` flows while the component's core (or the chip) works, ``idle_w`` while it waits
    (clock-gated), ``gated_w`` after power gating or in self-refresh. ``per_core`` components exist
    once per core. ``wake_s`` and ``wake_j`` are the price of leaving the gated state.
    """

    component: str
    scope: Literal["npu", "die", "die_dram"]
    active_w: float
    idle_w: float
    gated_w: float
    per_core: bool = False
    wake_s: float = 0.0
    wake_j: float = 0.0


@dataclass(frozen=True, slots=True)
class Pmic:
    """Conversion efficiency against load: pairs (load W, efficiency), linear between, ends held."""

    load_w: tuple[float, ...]
    efficiency: tuple[float, ...]

    def input_w(self, load_w: float) -> float:
        """Power drawn at the module's supply for ``load_w`` delivered."""
        return load_w / self.efficiency_at(load_w)

    def efficiency_at(self, load_w: float) -> float:
        xs, ys = self.load_w, self.efficiency
        if load_w <= xs[0]:
            return ys[0]
        for (x0, y0), (x1, y1) in pairwise(zip(xs, ys, strict=True)):
            if load_w <= x1:
                return y0 + (y1 - y0) * (load_w - x0) / (x1 - x0)
        return ys[-1]


@dataclass(frozen=True)
class Chip:
    """A chip at one operating point, ready to be mapped onto, simulated and costed.

    ``prices`` maps each action to joules per count; the actions are

    ======================== =============================================================
    ``mac.<wfmt>.<afmt>``    one multiply-accumulate, pipeline registers and clock included
    ``array.idle_mac``       one MAC unit clocked for a cycle without work
    ``accumulator.read_bit`` ``.write_bit``: partial-sum memory beside the array
    ``buffer.read_bit``      ``.write_bit``: scratchpad, wires to the array included
    ``l2.read_bit``          ``.write_bit``
    ``nvm.read_bit``         weights in on-chip non-volatile memory
    ``dram.read_bit``        ``.write_bit``: DRAM device; ``phy.bit``: host PHY and controller
    ``noc.bit``              buffer fill and drain wires, per bit
    ``vector.<function>``    one result of the vector unit at 8 bit; ``.wide`` above 8 bit
    ``host.op``              one host operation
    ``launch``               one layer launch; ``descriptor``: one DMA descriptor
    ======================== =============================================================

    ``action_scope`` gives the scope of each action (``npu``, ``die`` or ``die_dram``).
    """

    name: str
    template: str
    node_nm: int
    f_hz: float
    voltage_v: float
    sram_voltage_v: float
    junction_c: float
    native_precision: str
    cores: int
    array: Array
    buffer: Buffer
    vector: VectorUnit
    links: Mapping[str, Link]
    overheads: Overheads
    host: Host
    prices: Mapping[str, float]
    action_scope: Mapping[str, str]
    static: tuple[StaticPower, ...]
    pmic: Pmic
    area: AreaNode
    dram_capacity_bytes: float
    power_gating: bool
    digest: str
    spec: Any = field(repr=False, hash=False, compare=False)
    technology: Any = field(repr=False, hash=False, compare=False)
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def area_mm2(self) -> float:
        """Area of the whole die, mm2."""
        return self.area.total_mm2

    @functools.cached_property
    def peak_macs_per_s(self) -> float:
        """All cores at the best rate of any format."""
        best = max(self.array.rates.values())
        return self.cores * self.array.macs_per_cycle * best * self.f_hz

    @functools.cached_property
    def slice_key(self) -> tuple[object, ...]:
        """What a layer's mapping depends on, hashable: equal keys give equal mappings."""
        array = self.array
        return (
            self.f_hz,
            array.axes,
            array.dataflows,
            tuple(sorted(array.rates.items())),
            array.preload,
            array.preload_cycles,
            array.fill_drain,
            array.fill_drain_cycles,
            array.depthwise,
            tuple(sorted(array.align.items())),
            array.accumulator_bytes,
            self.buffer,
            tuple(sorted(self.vector.ops_per_cycle.items())),
            self.vector.wide_factor,
            self.vector.fused,
            tuple((name, link.bytes_per_s) for name, link in sorted(self.links.items())),
            self.overheads,
            self.host,
            tuple(sorted(self.prices.items())),
            self.mapping_static_w,
        )

    @functools.cached_property
    def mapping_static_w(self) -> float:
        """Power that time costs while one core works, W: weighs latency in the energy objective."""
        return sum(part.active_w for part in self.static)


@dataclass(frozen=True)
class Platform:
    """Chips joined by links; one chip by default. ``links`` are (from, to, bytes/s, s, J/bit)."""

    chips: tuple[Chip, ...]
    links: tuple[tuple[str, str, float, float, float], ...] = ()

    @property
    def chip(self) -> Chip:
        """The chip of a single-chip platform (the first one otherwise)."""
        return self.chips[0]
