"""The parts of a chip file: array, memories, vector unit, interfaces, die, cost.

Each class is one block of the YAML layout. SI units; bytes and cycles where the name says so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dse.errors import InputError
from dse.hardware.formats import pair_key
from dse.hardware.options import CompressionSpec, Dim, RegistersSpec, SparsitySpec
from dse.ranges import (
    AccBits,
    AccBytes,
    ActionJoules,
    AlignTo,
    AreaMm2,
    Banks,
    BurstBytes,
    Channels,
    Chiplets,
    CoreCount,
    Cycles,
    Depth,
    DescriptorBytes,
    DescriptorCycles,
    DutyShare,
    EnergyRatio,
    FlashBytes,
    Hertz,
    HopCycles,
    HopJoules,
    Lanes,
    LinkRate,
    Margin,
    MetricLimit,
    Pads,
    PeBytes,
    Plls,
    PortBytes,
    PortOrNone,
    Rate,
    RateShare,
    Setting,
    ShareBelow,
    SharedBytes,
    Side,
    SomeChannels,
    SramBytes,
    Stages,
    StoreBytes,
    Usd,
    Volt,
    Wide,
    WireMm,
    Years,
)
from dse.schema import Strict

#: Functions of the vector unit (those by which networks count vector work).
VECTOR_FUNCTIONS = ("relu", "add", "mul", "compare", "lut", "exp", "div", "reduce", "copy")


class ArraySpec(Strict):
    """The MAC array of one core; see :class:`dse.hardware.chip.Array` for the meanings.

    ``formats`` maps a format (or a pair ``int4xint8``, weights x activations) to MACs per unit and
    cycle. ``accumulator_bytes`` null follows the array (``widths.accumulators``).
    ``register_bytes`` is storage per PE beyond the pipeline that the mapper does not see
    (its energy is part of each MAC); ``registers`` are those it fills.
    ``dot_width``: products that an adder tree sums before one accumulator (null: the technology's
    figure for ordinary arrays); a wide tree saves accumulator registers. ``matmul_rate``: rate of
    matrix products against convolutions, where the array is fed for images only;
    ``matmul_formats`` are their own rates by format, as ``formats``, for an array that does them no
    faster in a narrower one (what is missing runs at ``matmul_rate`` of its format).
    ``strided_rate``: rate of convolutions of stride 2 or more in both directions, where an engine
    computes pixels that a stride leaves out. ``depthwise_rate``: of depthwise ones, on the array.
    ``row_inputs``: ``one`` for a matrix engine, whose rows hand one input element each to all
    columns; pixels side by side then take a row for every input that any of them touches.
    """

    rows: Side
    cols: Side
    depth: Depth = 1
    row_dims: tuple[Dim, ...]
    col_dims: tuple[Dim, ...]
    depth_dims: tuple[Dim, ...] = ()
    dataflows: tuple[Literal["ws", "os", "is", "rs"], ...]
    formats: dict[str, Rate]
    accumulator_bits: AccBits = 32
    preload: Literal["hidden", "paid"] = "hidden"
    preload_cycles: Cycles | None = None
    fill_drain: Literal["hidden", "paid"] = "hidden"
    fill_drain_cycles: Cycles | None = None
    depthwise: Literal["none", "diagonal", "vector"] = "none"
    align: dict[Dim, AlignTo] = Field(default_factory=dict)
    accumulator_bytes: AccBytes | None = 0
    register_bytes: PeBytes = 0
    dot_width: Depth | None = None
    registers: RegistersSpec = RegistersSpec()
    sparsity: SparsitySpec = SparsitySpec()
    weight_compression: CompressionSpec = CompressionSpec()
    winograd: bool = False
    matmul_rate: RateShare = 1.0
    matmul_formats: dict[str, Rate] = Field(default_factory=dict)
    strided_rate: RateShare = 1.0
    depthwise_rate: RateShare = 1.0
    row_inputs: Literal["any", "one"] = "any"

    @field_validator("formats")
    @classmethod
    def _some(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("an array needs at least one format; write e.g. int8: 1.0")
        return value

    @field_validator("formats", "matmul_formats")
    @classmethod
    def _pairs(cls, value: dict[str, float]) -> dict[str, float]:
        try:
            return {pair_key(key): rate for key, rate in value.items()}
        except InputError as error:
            raise ValueError(f"{error.message}; {error.mend}") from None

    @model_validator(mode="after")
    def _dims(self) -> ArraySpec:
        if not self.dataflows:
            raise ValueError("dataflows is empty; name at least one of ws, os, is")
        if "rs" in self.dataflows and not self.registers.bytes:
            raise ValueError("dataflow rs needs registers in each PE; give array.registers")
        for size, dims, name in (
            (self.rows, self.row_dims, "row_dims"),
            (self.cols, self.col_dims, "col_dims"),
            (self.depth, self.depth_dims, "depth_dims"),
        ):
            if size > 1 and not dims:
                raise ValueError(
                    f"{name} is empty although the axis is {size} wide; name a loop dim"
                )
        return self

    @model_validator(mode="after")
    def _rows_take_inputs(self) -> ArraySpec:
        if self.row_inputs == "one":
            for dims, name, known in (
                (self.row_dims, "row_dims", ("C", "FX", "FY")),
                (self.col_dims, "col_dims", ("K", "OX", "OY")),
                (self.depth_dims, "depth_dims", ("C", "FX", "FY")),
            ):
                for dim in dims:
                    if dim not in known:
                        raise ValueError(
                            f"{name} has {dim}, but with row_inputs one (a matrix engine) they are "
                            f"of {', '.join(known)}; take it out, or write row_inputs any"
                        )
        return self

    @model_validator(mode="after")
    def _products_within_peak(self) -> ArraySpec:
        for pair, rate in self.matmul_formats.items():
            if rate > self.formats.get(pair, 0.0):
                raise ValueError(
                    f"matmul_formats gives {pair} the rate {rate:g}, formats "
                    f"{self.formats.get(pair, 0.0):g}; give products no more than convolutions"
                )
        return self


class BufferSpec(Strict):
    """The scratchpad of one core, shared by all operands, or cut into parts.

    ``parts``: share of the bytes that an operand may take, such as ``{W: 0.5, I: 0.25, O: 0.25}``;
    operands that are not named may take all.
    ``dual_port``: macros with one read and one write port (larger cells) instead of banking.
    ``keeps_results``: results may stay for the next layer. False for a convolution buffer that only
    feeds the array (NVDLA): every layer's results then leave to memory and come back.
    ``fuses``: the compiler runs groups of layers block by block, so that what passes between them
    never leaves the buffer. False where it finishes each layer first.

    ``read_bytes_per_cycle``, ``write_bytes_per_cycle``: all that is read and written in a cycle.
    What passes a narrower port on its way: ``input``, ``weight``, ``result`` (into and out of the
    array), ``sum`` (partial sums between both, each way, and results that have no port), ``fill``
    (from and to L2, NVM and DRAM, each way), ``fetch`` (what one core gets from DRAM, by the
    requests it may have under way).
    Ports that are null follow the array (block ``widths``); the latter, if no rule is given
    either, are as wide as the two.
    """

    bytes: SramBytes
    banks: Banks = 1
    read_bytes_per_cycle: PortBytes | None = None
    write_bytes_per_cycle: PortBytes | None = None
    input_bytes_per_cycle: PortBytes | None = None
    weight_bytes_per_cycle: PortBytes | None = None
    result_bytes_per_cycle: PortBytes | None = None
    sum_bytes_per_cycle: PortBytes | None = None
    fill_bytes_per_cycle: PortBytes | None = None
    fetch_bytes_per_cycle: PortBytes | None = None
    double_buffered: bool = True
    dual_port: bool = False
    parts: dict[Literal["W", "I", "O"], RateShare] = Field(default_factory=dict)
    keeps_results: bool = True
    fuses: bool = True


class L2Spec(Strict):
    """Memory shared by the cores; ``bytes: 0`` for none."""

    bytes: SharedBytes = 0
    banks: Banks = 8
    bytes_per_cycle: PortOrNone = 0.0

    @model_validator(mode="after")
    def _port(self) -> L2Spec:
        if self.bytes and not self.bytes_per_cycle:
            raise ValueError("an L2 needs a port; give bytes_per_cycle above 0")
        return self


class NvmSpec(Strict):
    """Non-volatile memory for weights; ``kind: none`` for none.

    On the die (or on a second one in the package) it has a port of ``bytes_per_cycle``. With
    ``channels`` it is an external memory of that kind beside the ``dram`` (a flash on an interface
    of its own), as fast as its kind and ``burst_bytes`` say.
    """

    kind: str = "none"
    bytes: FlashBytes = 0
    bytes_per_cycle: PortOrNone = 0.0
    channels: SomeChannels = 0
    burst_bytes: BurstBytes = 256

    @model_validator(mode="after")
    def _port(self) -> NvmSpec:
        if (self.kind == "none") != (self.bytes == 0):
            raise ValueError("kind and bytes disagree; give both, or kind none and bytes 0")
        if self.bytes and not self.bytes_per_cycle and not self.channels:
            raise ValueError(
                "an NVM needs a port; give bytes_per_cycle above 0, or channels if it is external"
            )
        if self.channels and (not self.bytes or self.bytes_per_cycle):
            raise ValueError(
                "channels are of an external memory; give its kind and bytes and leave out "
                "bytes_per_cycle"
            )
        return self


class VectorSpec(Strict):
    """Elementwise unit of one core: ``lanes``, and results per lane and cycle by function.

    ``lanes`` null follow the array (``widths.lanes``). A lane takes elements of ``native_bits``;
    wider ones run ``wide_factor`` slower.

    ``stages``: arithmetic stages chained in a lane (bias, scale, elementwise, pooling ...); area
    grows with them.
    """

    lanes: Lanes | None = None
    stages: Stages = 1
    ops_per_lane_cycle: dict[str, Rate]
    native_bits: Literal[8, 16, 32] = 8
    wide_factor: Wide = 2.0
    fused: tuple[str, ...] = ("relu", "add", "mul")

    @model_validator(mode="after")
    def _functions(self) -> VectorSpec:
        for name in (*self.ops_per_lane_cycle, *self.fused):
            if name not in VECTOR_FUNCTIONS:
                raise ValueError(
                    f"unknown vector function {name!r}; use {', '.join(VECTOR_FUNCTIONS)}"
                )
        missing = [name for name in VECTOR_FUNCTIONS if name not in self.ops_per_lane_cycle]
        if missing:
            raise ValueError(f"rates of {', '.join(missing)} are missing; add them")
        return self


class DmaSpec(Strict):
    """Transfers between links and buffer."""

    channels: Channels = 2
    descriptor_cycles: DescriptorCycles = 50.0
    max_descriptor_bytes: DescriptorBytes = 1 << 20


class HostSpec(Strict):
    """Control processors on the die (a core of the technology's floor facts).

    ``f_hz`` null: the clock that core reaches at the node's nominal voltage.
    """

    core: str
    count: CoreCount = 1
    f_hz: Hertz | None = None


class NocSpec(Strict):
    """Wires to the cores.

    ``mm``: wire from the NPU's edge to a buffer; null: half the side of a square NPU.

    ``topology`` makes the network a resource of the simulator: one ``bus``, or a ``ring`` or
    ``mesh`` (nearly square, X before Y) with the memories at core 0. ``bytes_per_cycle`` is that of
    each link; ``hop_cycles`` and ``hop_j_per_bit`` (null: the price of ``noc.bit``) are of a hop.
    ``chiplets``: dies that the cores are dealt out over, each joined to the first one by a link of
    ``die_bytes_per_s``, with the latency and energy of the technology's ``die_link``.
    ``memories``: ``shared``, or ``private`` channels of each die.
    """

    mm: WireMm | None = None
    topology: Literal["none", "bus", "ring", "mesh"] = "none"
    bytes_per_cycle: PortOrNone = 0.0
    hop_cycles: HopCycles = 2.0
    hop_j_per_bit: HopJoules | None = None
    chiplets: Chiplets = 1
    die_link: str = "ucie_standard"
    die_bytes_per_s: LinkRate | None = None
    memories: Literal["shared", "private"] = "shared"

    @model_validator(mode="after")
    def _network(self) -> NocSpec:
        if self.topology != "none" and not self.bytes_per_cycle:
            raise ValueError("a core network needs links; give bytes_per_cycle above 0")
        if self.chiplets > 1 and self.topology == "none":
            raise ValueError("chiplets need a core network; give a topology")
        if self.chiplets > 1 and self.die_bytes_per_s is None:
            raise ValueError("chiplets need a link between dies; give die_bytes_per_s")
        return self


class DramSpec(Strict):
    """External memory or, for weights alone, external flash or a link to a host's memory.

    ``arbitration``: how links serve several cores in a simulation: ``processor_sharing`` (in equal
    parts at any time), ``fcfs`` (whole tiles in order of arrival) or ``round_robin`` (bursts in
    turn, on each link by itself).
    ``bytes_per_s_per_channel``: peak of a channel on this board; null: that of the kind.
    ``efficiency``: share of the peak that long transfers reach, where it is known; null: from
    ``burst_bytes`` and the kind. ``weights``: ``resident`` if what fits on the chip stays there
    from one inference to the next, ``streamed`` if every inference reads all weights again.
    ``activations``: false if only weights, inputs and outputs of the network cross it (a host's
    memory behind USB or PCIe), so that everything between must fit the chip.
    ``system_bytes``: what the operating system, drivers and whatever else runs beside the networks
    keep for themselves; null: the block fact of the host's class (``dse.hardware.system``).
    """

    kind: str = "none"
    channels: SomeChannels = 0
    capacity_bytes: StoreBytes = 0
    reserved_fraction: ShareBelow = 0.0
    burst_bytes: BurstBytes = 256
    bytes_per_s_per_channel: LinkRate | None = None
    efficiency: RateShare | None = None
    weights: Literal["resident", "streamed"] = "resident"
    activations: bool = True
    arbitration: Literal["processor_sharing", "fcfs", "round_robin"] = "processor_sharing"
    system_bytes: StoreBytes | None = None

    @model_validator(mode="after")
    def _whole(self) -> DramSpec:
        if (self.kind == "none") != (self.channels == 0):
            raise ValueError("kind and channels disagree; give both, or kind none and channels 0")
        if self.channels and not self.capacity_bytes:
            raise ValueError("a DRAM needs a capacity; give capacity_bytes above 0")
        return self


class DieSpec(Strict):
    """The rest of the die.

    ``other_area_mm2`` is other logic (ISP, video, fabric, peripherals) at ``other_area_node``
    (null: at whatever node the chip is). ``other_vt``: its threshold flavour (slow blocks leak
    less).
    ``white_space``: share of the die that stays empty.
    """

    other_area_mm2: AreaMm2 = 0.0
    other_area_node: str | None = None
    other_vt: str = "svt"
    io_pads: Pads
    pll_count: Plls = 1
    package: str
    white_space: ShareBelow = 0.08


class CostSpec(Strict):
    """Business side: what is licensed, how long units live, how hard they work."""

    design_class: str
    ip_usd: Usd | None = None
    royalty_fraction: ShareBelow = 0.0
    price_over_cost: Margin = 1.6
    lifetime_years: Years = 5.0
    duty: DutyShare = 1.0


class MeasuredSpec(Strict):
    """The chip's own measured energies, which become ratios to the model and scale from there.

    ``energy_j``: action to joules at (node, f_hz, voltage_v); its ratio holds for the whole group
    (the first word: ``mac``, ``buffer``). ``energy_ratio``: group to ratio, given directly.
    """

    source: str
    node: str | None = None
    f_hz: Hertz | None = None
    voltage_v: Volt | None = None
    energy_j: dict[str, ActionJoules] = Field(default_factory=dict)
    energy_ratio: dict[str, EnergyRatio] = Field(default_factory=dict)


class Source(Strict):
    """Where the value of a field (or of all fields below it) comes from."""

    status: Literal["read", "recalled", "assumed", "computed"]
    source: str
    note: str = ""


class Range(Strict):
    """What a search may turn a parameter to: ``choices``, or ``low`` to ``high``."""

    choices: tuple[Setting, ...] = ()
    low: MetricLimit | None = None
    high: MetricLimit | None = None
    log: bool = False
    source: str = "assumed"
