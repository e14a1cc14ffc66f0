"""What one core is: its array with registers and sparsity, its buffer and vector unit.

Part of the resolved chip (``chip.py``): numbers only, in SI units or in cycles of the core's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dataflow = Literal["ws", "os", "is", "rs"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of the PE array: its size and the loop dims it may unroll (in any mix)."""

    size: int
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registers:
    """Operand registers of each PE, bytes: of its own per operand, or ``shared`` by all.

    With ``latch`` the multiplier's inputs keep a value while it does not change, so that the
    innermost loop inside the PE reads and writes no register of the operand it does not touch.
    """

    W: int = 0
    I: int = 0  # noqa: E741 - the operand's name everywhere
    O: int = 0  # noqa: E741
    shared: int = 0
    latch: bool = True

    @property
    def present(self) -> bool:
        return bool(self.W or self.I or self.O or self.shared)


@dataclass(frozen=True, slots=True)
class Sparsity:
    """What the array makes of zeros.

    Attributes:
        kind: ``none``; ``gating`` (a MAC with a zero operand is not clocked); ``structured``
            (weights of ``pattern`` are stored and worked on without their zeros); ``unstructured``
            (any zeros are skipped, as far as ``max_speedup`` and ``utilization`` allow).
        pattern: n and m of ``n:m``.
        max_speedup: most times faster than dense.
        utilization: share of the skipped work that shows as time (load imbalance).
        both: zeros of activations are skipped too (else gated).
    """

    kind: Literal["none", "gating", "structured", "unstructured"] = "none"
    pattern: tuple[int, int] = (2, 4)
    max_speedup: float = 2.0
    utilization: float = 1.0
    both: bool = False


@dataclass(frozen=True, slots=True)
class Compression:
    """Weights are stored compressed outside the buffer and expanded on the way into it.

    ``ratio``: raw over stored bytes; None: from the zeros of the layer (one bit a weight marks
    them). ``decoder_bytes_per_cycle``: raw bytes a cycle, 0 for no compression.
    """

    ratio: float | None = None
    decoder_bytes_per_cycle: float = 0.0


@dataclass(frozen=True, slots=True)
class Legality:
    """What the chip's compiler can express, as far as it is less than the hardware.

    Attributes:
        granularity: tile sizes are multiples of these, or the whole dim.
        min_tile: no tile is smaller, unless the dim is.
        dataflow: the only one used; None for any.
        bank_bytes: weights and inputs take whole banks of this size in the buffer, results what is
            left; 0: any bytes.
        max_tile: no tile is larger.

    Rows of a matrix (``OX`` of a layer with ``OY`` = 1) follow the rules of ``OY``, channels of a
    depthwise layer (``G``) those of ``K``.
    """

    granularity: tuple[tuple[str, int], ...] = ()
    min_tile: tuple[tuple[str, int], ...] = ()
    dataflow: Dataflow | None = None
    bank_bytes: float = 0.0
    max_tile: tuple[tuple[str, int], ...] = ()

    @property
    def limits_tiles(self) -> bool:
        """Whether some tile sizes cannot be expressed."""
        return bool(self.granularity or self.min_tile or self.max_tile)

    @property
    def stated(self) -> bool:
        """Whether the profile says anything."""
        return self.limits_tiles or self.dataflow is not None or self.bank_bytes > 0.0


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
        row_inputs: ``any`` if each unit takes an input of its own, ``one`` if a row hands one input
            element to all its columns, as a matrix engine does.
        align: dims padded up to a multiple, such as ``{"C": 32, "K": 16}``.
        accumulator_bytes: partial-sum memory beside the array; 0 if partial sums go to the buffer.
        registers: operand registers of each PE. With them a dataflow says which operand stays in
            them from pass to pass, and ``rs`` stands for all three.
        sparsity, compression: what zeros save.
        winograd: 3x3 convolutions of stride 1 may run as F(2x2, 3x3).
        matmul_rates: as ``rates``, of matrix products.
        strided_rate: rate of convolutions of stride 2 or more in both directions against others;
            ``depthwise_rate`` that of depthwise ones.
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
    registers: Registers = Registers()
    sparsity: Sparsity = Sparsity()
    compression: Compression = Compression()
    winograd: bool = False
    matmul_rates: Mapping[str, float] = field(default_factory=dict)
    strided_rate: float = 1.0
    depthwise_rate: float = 1.0
    row_inputs: Literal["any", "one"] = "any"

    @property
    def macs_per_cycle(self) -> int:
        """Peak MACs per cycle of one core at rate 1."""
        product = 1
        for axis in self.axes:
            product *= axis.size
        return product


@dataclass(frozen=True, slots=True)
class Buffer:
    """The scratchpad of one core, from which its array works.

    Unified over operands, or with ``parts``: most bytes that W, I and O (with side inputs) may
    take of it. ``keeps_results`` and ``fuses``: see ``BufferSpec``.

    Two ports carry all that is read and written. What has a port of its own besides (0: it has
    none) passes that too: ``input``, ``weight``, ``result`` into and out of the array, ``sum``
    partial sums each way, with results that have no port of their own; ``fill`` what comes from
    and goes to the links, each way; ``fetch`` what the core gets from DRAM at most.
    """

    capacity_bytes: int
    read_bytes_per_cycle: float
    write_bytes_per_cycle: float
    double_buffered: bool
    keeps_results: bool = True
    parts: tuple[float, float, float] | None = None
    fuses: bool = True
    input_bytes_per_cycle: float = 0.0
    weight_bytes_per_cycle: float = 0.0
    result_bytes_per_cycle: float = 0.0
    sum_bytes_per_cycle: float = 0.0
    fill_bytes_per_cycle: float = 0.0
    fetch_bytes_per_cycle: float = 0.0

    @property
    def own_ports(self) -> bool:
        """Whether something passes a port of its own beside those of all."""
        return any(
            (
                self.input_bytes_per_cycle,
                self.weight_bytes_per_cycle,
                self.result_bytes_per_cycle,
                self.sum_bytes_per_cycle,
                self.fill_bytes_per_cycle,
                self.fetch_bytes_per_cycle,
            )
        )

    def load_cycles(self, link: str) -> float:
        """Cycles that a byte from a link takes at the fill port and the fetch limit."""
        fetch = _per_byte(self.fetch_bytes_per_cycle) if link == "dram" else 0.0
        return max(_per_byte(self.fill_bytes_per_cycle), fetch)

    @property
    def store_cycles(self) -> float:
        """Cycles that a byte to a link takes at the fill port."""
        return _per_byte(self.fill_bytes_per_cycle)


def _per_byte(bytes_per_cycle: float) -> float:
    return 1.0 / bytes_per_cycle if bytes_per_cycle else 0.0


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """Elementwise unit of one core.

    ``ops_per_cycle`` maps every function of ``dse.workload.layer.FUNCTIONS`` to results per cycle
    of the whole unit for elements of up to ``native_bits``; ``wide_factor`` is its slow-down for
    wider ones.
    ``fused`` are the functions that can run at write-back of a compute layer (overlapped with it);
    others follow as a pass of their own over the tensor.
    """

    ops_per_cycle: Mapping[str, float]
    wide_factor: float
    fused: tuple[str, ...]
    native_bits: int = 8

    def slowdown(self, bits: int) -> float:
        """How much longer elements of ``bits`` take than those the lanes are made for."""
        return self.wide_factor if bits > self.native_bits else 1.0
