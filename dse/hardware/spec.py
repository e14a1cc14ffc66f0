"""What a chip file says: the parameters of a chip, checked but not yet priced.

The layout of this model *is* the layout of the YAML files in ``hwconfigs/`` and the space of
parameter paths (``array.rows``, ``buffer.bytes``) that searches and ``--set`` turn. SI units; bytes
and cycles where the name says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from dse.errors import InputError
from dse.files import nearest
from dse.hardware.formats import pair_key, serving_pair
from dse.schema import Strict, validate
from dse.technology import parse_node

#: Functions of the vector unit (those by which networks count vector work).
VECTOR_FUNCTIONS = ("relu", "add", "mul", "compare", "lut", "exp", "div", "reduce", "copy")
#: Loop dims an array axis may unroll.
LOOP_DIMS = ("G", "B", "K", "C", "OY", "OX", "FY", "FX")

Dim = Literal["G", "B", "K", "C", "OY", "OX", "FY", "FX"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1 << 40)]
Whole = Annotated[int, Field(ge=0, le=1 << 50)]


class ArraySpec(Strict):
    """The MAC array of one core; see :class:`dse.hardware.chip.Array` for the meanings.

    ``formats`` maps a format (or a pair ``int4xint8``, weights x activations) to MACs per unit and
    cycle. ``register_bytes`` is storage per PE beyond the pipeline (operand registers).
    """

    rows: Annotated[int, Field(ge=1, le=4096)]
    cols: Annotated[int, Field(ge=1, le=4096)]
    depth: Annotated[int, Field(ge=1, le=1024)] = 1
    row_dims: tuple[Dim, ...]
    col_dims: tuple[Dim, ...]
    depth_dims: tuple[Dim, ...] = ()
    dataflows: tuple[Literal["ws", "os", "is"], ...]
    formats: dict[str, Positive]
    accumulator_bits: Annotated[int, Field(ge=16, le=64)] = 32
    preload: Literal["hidden", "paid"] = "hidden"
    preload_cycles: Whole | None = None
    fill_drain: Literal["hidden", "paid"] = "hidden"
    fill_drain_cycles: Whole | None = None
    depthwise: Literal["none", "diagonal", "vector"] = "none"
    align: dict[Dim, Count] = {}
    accumulator_bytes: Whole = 0
    register_bytes: Whole = 0

    @field_validator("formats")
    @classmethod
    def _pairs(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("an array needs at least one format; write e.g. int8: 1.0")
        try:
            return {pair_key(key): rate for key, rate in value.items()}
        except InputError as error:
            raise ValueError(f"{error.message}; {error.mend}") from None

    @model_validator(mode="after")
    def _dims(self) -> ArraySpec:
        if not self.dataflows:
            raise ValueError("dataflows is empty; name at least one of ws, os, is")
        for size, dims, name in (
            (self.rows, self.row_dims, "row_dims"),
            (self.cols, self.col_dims, "col_dims"),
            (self.depth, self.depth_dims, "depth_dims"),
        ):
            if size > 1 and not dims:
                raise ValueError(f"{name} is empty although the axis is {size} wide; name a loop dim")
        return self


class BufferSpec(Strict):
    """The scratchpad of one core, shared by all operands."""

    bytes: Count
    banks: Annotated[int, Field(ge=1, le=4096)] = 1
    read_bytes_per_cycle: Positive
    write_bytes_per_cycle: Positive
    double_buffered: bool = True


class L2Spec(Strict):
    """Memory shared by the cores; ``bytes: 0`` for none."""

    bytes: Whole = 0
    banks: Annotated[int, Field(ge=1, le=4096)] = 8
    bytes_per_cycle: NotNegative = 0.0

    @model_validator(mode="after")
    def _port(self) -> L2Spec:
        if self.bytes and not self.bytes_per_cycle:
            raise ValueError("an L2 needs a port; give bytes_per_cycle above 0")
        return self


class NvmSpec(Strict):
    """On-chip non-volatile memory for weights; ``kind: none`` for none."""

    kind: str = "none"
    bytes: Whole = 0
    bytes_per_cycle: NotNegative = 0.0

    @model_validator(mode="after")
    def _port(self) -> NvmSpec:
        if (self.kind == "none") != (self.bytes == 0):
            raise ValueError("kind and bytes disagree; give both, or kind none and bytes 0")
        if self.bytes and not self.bytes_per_cycle:
            raise ValueError("an NVM needs a port; give bytes_per_cycle above 0")
        return self


class VectorSpec(Strict):
    """Elementwise unit of one core: ``lanes``, and results per lane and cycle by function."""

    lanes: Annotated[int, Field(ge=1, le=65536)]
    ops_per_lane_cycle: dict[str, Positive]
    wide_factor: Annotated[float, Field(ge=1)] = 2.0
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

    channels: Annotated[int, Field(ge=1, le=256)] = 2
    descriptor_cycles: NotNegative = 50.0
    max_descriptor_bytes: Count = 1 << 20


class HostSpec(Strict):
    """Control processors on the die (a core of the technology's floor facts).

    ``f_hz`` null: the clock that core reaches at the node's nominal voltage.
    """

    core: str
    count: Annotated[int, Field(ge=1, le=64)] = 1
    f_hz: Positive | None = None


class OverheadSpec(Strict):
    """What starting work costs.

    ``attachment``: who starts a layer: ``cpu`` (the host writes registers and takes an interrupt),
    ``chained`` (the NPU fetches a command list), ``dsp`` (the core programs itself), ``link`` (as
    chained, behind USB or PCIe). Cycles of the chip clock, and seconds per inference.
    """

    attachment: Literal["cpu", "chained", "dsp", "link"]
    launch_cycles: NotNegative
    invoke_s: NotNegative = 0.0
    control_gates: Whole = 300_000


class NocSpec(Strict):
    """``mm``: wire from the NPU's edge to a buffer; null: half the side of a square NPU."""

    mm: Positive | None = None


class DramSpec(Strict):
    """External memory or, for weights alone, external flash or a link to a host's memory."""

    kind: str = "none"
    channels: Annotated[int, Field(ge=0, le=64)] = 0
    capacity_bytes: Whole = 0
    reserved_fraction: Share = 0.0
    burst_bytes: Count = 256

    @model_validator(mode="after")
    def _whole(self) -> DramSpec:
        if (self.kind == "none") != (self.channels == 0):
            raise ValueError("kind and channels disagree; give both, or kind none and channels 0")
        if self.channels and not self.capacity_bytes:
            raise ValueError("a DRAM needs a capacity; give capacity_bytes above 0")
        return self


class PowerSpec(Strict):
    """Power that work does not explain.

    ``gating``: cores can be switched off. ``clock_share``: share of the array's dynamic energy that
    is clock tree and control. ``other_w``: rest of the die (camera, display, video, fabric) while
    on. ``always_on_w`` null: the floor's figure. ``pmic_rated_w``: rated load of the converter.
    """

    gating: bool = False
    clock_share: Share = 0.2
    always_on_w: NotNegative | None = None
    other_w: NotNegative = 0.0
    pmic_rated_w: Positive


class DieSpec(Strict):
    """The rest of the die.

    ``other_area_mm2`` is other logic (ISP, video, fabric, peripherals) at the file's own node; it
    scales as logic does. ``white_space``: share of the die that stays empty.
    """

    other_area_mm2: NotNegative = 0.0
    other_area_node: str | None = None
    io_pads: Whole
    pll_count: Annotated[int, Field(ge=0, le=64)] = 1
    package: str
    white_space: Share = 0.08


class CostSpec(Strict):
    """Business side: what is licensed, how long units live, how hard they work."""

    design_class: str
    ip_usd: NotNegative | None = None
    royalty_fraction: Share = 0.0
    price_over_cost: Annotated[float, Field(ge=1)] = 1.6
    lifetime_years: Positive = 5.0
    duty: Annotated[float, Field(gt=0, le=1)] = 1.0


class MeasuredSpec(Strict):
    """The chip's own measured energies, which become ratios to the model and scale from there.

    ``energy_j``: action to joules at (node, f_hz, voltage_v); its ratio holds for the whole group
    (the first word: ``mac``, ``buffer``). ``energy_ratio``: group to ratio, given directly.
    """

    source: str
    node: str | None = None
    f_hz: Positive | None = None
    voltage_v: Positive | None = None
    energy_j: dict[str, Positive] = {}
    energy_ratio: dict[str, Positive] = {}


class Source(Strict):
    """Where the value of a field (or of all fields below it) comes from."""

    status: Literal["read", "recalled", "assumed", "computed"]
    source: str
    note: str = ""


class Range(Strict):
    """What a search may turn a parameter to: ``choices``, or ``low`` to ``high``."""

    choices: tuple[bool | int | float | str, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    source: str = "assumed"


class ChipSpec(Strict):
    """All parameters of a chip at one node. Immutable: :meth:`with_values` gives another one.

    ``f_hz`` and ``voltage_v``: give the frequency (the voltage follows), or the voltage (the
    frequency follows), or both for a part run below its reach. ``speed_factor``: datapath speed
    against an ordinary NPU pipeline (1; deeper pipelines are faster). ``guard_band``: share of
    the voltage kept for droop and ageing; null is the technology's default.
    """

    schema_version: Literal[1] = 1
    name: str
    template: str = "custom"
    description: str = ""
    node: str
    f_hz: Positive | None = None
    voltage_v: Positive | None = None
    sram_voltage_v: Positive | None = None
    guard_band: NotNegative | None = None
    junction_c: Annotated[float, Field(ge=-40, le=125)] = 60.0
    sram_rail: str = "shared"
    vt: str = "mixed"
    corner: str = "tt"
    speed_factor: Annotated[float, Field(ge=0.2, le=5)] = 1.0
    sram_assist: bool = False
    cores: Annotated[int, Field(ge=1, le=64)] = 1
    native_precision: str = "int8"
    array: ArraySpec
    buffer: BufferSpec
    l2: L2Spec = L2Spec()
    nvm: NvmSpec = NvmSpec()
    vector: VectorSpec
    dma: DmaSpec = DmaSpec()
    host: HostSpec
    overhead: OverheadSpec
    noc: NocSpec = NocSpec()
    dram: DramSpec = DramSpec()
    power: PowerSpec
    die: DieSpec
    cost: CostSpec
    measured: MeasuredSpec | None = None
    sources: dict[str, Source] = {}
    ranges: dict[str, Range] = {}
    _origin: str | None = PrivateAttr(default=None)

    @field_validator("node", mode="before")
    @classmethod
    def _node(cls, value: object) -> object:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError(f"{value!r} is no node; write one such as 16nm")
        try:
            return f"{parse_node(value)}nm"
        except InputError as error:
            raise ValueError(f"{error.message}; {error.mend or 'use a known node'}") from None

    @model_validator(mode="after")
    def _runs_native(self) -> ChipSpec:
        weights, _, activations = _native_pair(self.native_precision).partition("x")
        if serving_pair(self.array.formats, weights, activations) is None:
            raise ValueError(
                f"native_precision {self.native_precision} is not among array.formats; "
                f"use one of {', '.join(self.array.formats)}, or add it there"
            )
        return self

    @property
    def node_nm(self) -> int:
        """The node as a number of nanometres."""
        return parse_node(self.node)

    @property
    def origin(self) -> str | None:
        """The file this spec was read from, if any."""
        return self._origin

    @property
    def native_pair(self) -> str:
        """``native_precision`` as a pair key (``w4a8`` is ``int4xint8``)."""
        return _native_pair(self.native_precision)

    def with_values(self, values: Mapping[str, object]) -> ChipSpec:
        """This spec with some fields changed.

        Args:
            values: field path (``array.rows``, ``node``, ``dram.kind``) to new value.

        Raises:
            InputError: unknown path (with the nearest known one) or impossible value.
        """
        if not values:
            return self
        data: dict[str, Any] = copy.deepcopy(self.model_dump())
        for path, value in values.items():
            set_path(data, path, value)
        made = validate(ChipSpec, data, file=self._origin)
        made._origin = self._origin
        return made

    def value(self, path: str) -> object:
        """The value at a field path; InputError if there is none."""
        here: object = self.model_dump()
        for part in path.split("."):
            if not isinstance(here, Mapping) or part not in here:
                raise unknown_path(path, self.model_dump())
            here = here[part]
        return here


#: Fields whose keys are free (checked by the model), so that a new key may be set by path.
_OPEN = ("array.formats", "array.align", "vector.ops_per_lane_cycle")


def set_path(data: dict[str, Any], path: str, value: object) -> None:
    """Set one field of nested plain data; InputError for a path no chip has."""
    parts = path.split(".")
    here: Any = data
    for part in parts[:-1]:
        if not isinstance(here, dict) or not isinstance(here.get(part), dict):
            raise unknown_path(path, data)
        here = here[part]
    if parts[-1] not in here and ".".join(parts[:-1]) not in _OPEN:
        raise unknown_path(path, data)
    here[parts[-1]] = value


def known_paths(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every field path of nested plain data that may be set."""
    out: list[str] = []
    for key, value in data.items():
        path = f"{prefix}.{key}" if prefix else key
        if path in ("sources", "ranges", "schema_version"):
            continue
        out.append(path)
        if isinstance(value, Mapping):
            out.extend(known_paths(value, path))
    return out


def unknown_path(path: str, data: Mapping[str, Any]) -> InputError:
    """The error for a path that is no field of a chip."""
    known = known_paths(data)
    head = path.rpartition(".")[0]
    same = [p for p in known if p.rpartition(".")[0] == head] or [p for p in known if "." not in p]
    return InputError(
        "a chip has no such parameter",
        field=path,
        mend=f"use one of: {', '.join(same)}{nearest(path, known)}",
    )


def _native_pair(precision: str) -> str:
    """``int8`` or ``w4a8`` as a pair key; ValueError with the known forms."""
    text = precision.strip().lower()
    if text.startswith("w") and "a" in text:
        weights, _, activations = text[1:].partition("a")
        text = "x".join(f"int{p}" if p.isdigit() else p for p in (weights, activations))
    try:
        return pair_key(text)
    except InputError as error:
        raise ValueError(f"{error.message} in native_precision; {error.mend}") from None
