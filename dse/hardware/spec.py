"""What a chip file says: the parameters of a chip, checked but not yet priced.

The layout of this model *is* the layout of the YAML files in ``hwconfigs/`` and the space of
parameter paths (``array.rows``, ``buffer.bytes``) that searches and ``--set`` turn. SI units; bytes
and cycles where the name says so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from dse.errors import InputError
from dse.files import nearest
from dse.hardware.formats import pair_key, serving_pair
from dse.hardware.kind_spec import KIND_SECTIONS, REPLACED_WHOLE, RESERVED, KindSpec, kind_data
from dse.hardware.options import LegalitySpec
from dse.hardware.placing import PlacementSpec
from dse.hardware.power_spec import PowerSpec
from dse.hardware.sections import (
    ArraySpec,
    BufferSpec,
    CostSpec,
    DieSpec,
    DmaSpec,
    DramSpec,
    HostSpec,
    L2Spec,
    MeasuredSpec,
    NocSpec,
    NvmSpec,
    Range,
    Source,
    VectorSpec,
)
from dse.hardware.starting import OverheadSpec
from dse.hardware.widths import FIELDS, WidthsSpec, missing_rule, stated
from dse.ranges import Celsius, CoreCount, Guard, Hertz, Speed, Volt
from dse.schema import Strict, validate
from dse.technology import node_size

KindName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


#: How a chip's compiler runs a network.
Execution = Literal["layerwise", "pipelined"]


class ChipSpec(Strict):
    """All parameters of a chip at one node. Immutable: :meth:`with_values` gives another one.

    ``f_hz`` and ``voltage_v``: give the frequency (the voltage follows), or the voltage (the
    frequency follows), or both for a part run below its reach. ``speed_factor``: datapath speed
    against an ordinary NPU pipeline (1; deeper pipelines are faster). ``guard_band``: share of
    the voltage kept for droop and ageing; null is the technology's default. ``execution``: layers
    in turn, or pipelined in space, each on cores of its own. ``kinds``: further
    cores of other kinds beside ``cores`` of the kind called ``kind``; cores are numbered in the
    order of the file.
    """

    schema_version: Literal[1] = 1
    name: str
    template: str = "custom"
    description: str = ""
    node: str
    f_hz: Hertz | None = None
    voltage_v: Volt | None = None
    sram_voltage_v: Volt | None = None
    guard_band: Guard | None = None
    junction_c: Celsius = 60.0
    sram_rail: str = "shared"
    vt: str = "mixed"
    corner: str = "tt"
    speed_factor: Speed = 1.0
    sram_assist: bool = False
    cores: CoreCount = 1
    execution: Execution = "layerwise"
    kind: KindName = "main"
    kinds: dict[KindName, KindSpec] = Field(default_factory=dict)
    native_precision: str = "int8"
    array: ArraySpec
    buffer: BufferSpec
    l2: L2Spec = L2Spec()
    nvm: NvmSpec = NvmSpec()
    vector: VectorSpec
    widths: WidthsSpec = WidthsSpec()
    dma: DmaSpec = DmaSpec()
    host: HostSpec
    overhead: OverheadSpec
    noc: NocSpec = NocSpec()
    dram: DramSpec = DramSpec()
    power: PowerSpec
    die: DieSpec
    cost: CostSpec
    measured: MeasuredSpec | None = None
    legality: LegalitySpec = LegalitySpec()
    placement: PlacementSpec = PlacementSpec()
    sources: dict[str, Source] = Field(default_factory=dict)
    ranges: dict[str, Range] = Field(default_factory=dict)
    _origin: str | None = PrivateAttr(default=None)
    _of_kind: dict[str, ChipSpec] = PrivateAttr(default_factory=dict)

    @field_validator("node", mode="before")
    @classmethod
    def _node(cls, value: object) -> object:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError(f"{value!r} is no node; write one such as 16nm")
        try:
            return f"{node_size(value)}nm"
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

    @model_validator(mode="after")
    def _runs_legal(self) -> ChipSpec:
        wanted, offered = self.legality.dataflow, self.array.dataflows
        if wanted is not None and not {wanted, "rs"} & set(offered):
            raise ValueError(
                f"legality.dataflow {wanted} is not among array.dataflows; "
                f"use one of {', '.join(offered)}, or add it there"
            )
        return self

    @model_validator(mode="after")
    def _follows_by_a_rule(self) -> ChipSpec:
        if fault := missing_rule(self):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _kinds_are_chips(self) -> ChipSpec:
        """Every kind must make a chip by itself; the fault is named with its path."""
        if self.kinds and self.kind in RESERVED:
            raise ValueError(f"kind: the name {self.kind!r} is taken; give these cores another")
        for name in self.kinds:
            if name == self.kind or name in RESERVED:
                raise ValueError(f"kinds.{name}: the name is taken; give the kind another name")
            try:
                self.of_kind(name)
            except InputError as error:
                field = f".{error.field}" if error.field else ""
                mend = error.mend or "correct the value"
                raise ValueError(f"kinds.{name}{field}: {error.message}; {mend}") from None
        if self.total_cores > 64:
            raise ValueError(f"{self.total_cores} cores in all; use at most 64")
        return self

    @property
    def total_cores(self) -> int:
        """Cores of all kinds."""
        return self.cores + sum(kind.cores for kind in self.kinds.values())

    @property
    def kind_names(self) -> tuple[str, ...]:
        """The kinds of cores in the order of their numbers."""
        return (self.kind, *self.kinds)

    def of_kind(self, name: str) -> ChipSpec:
        """The chip with the cores of one kind alone (its own kind, or one of ``kinds``).

        Raises:
            InputError: what the kind changes makes no chip.
        """
        if name not in self._of_kind:
            made = validate(ChipSpec, kind_data(self.model_dump(), name))
            made._origin = self._origin
            self._of_kind[name] = made
        return self._of_kind[name]

    @property
    def node_nm(self) -> int:
        """The node as a number of nanometres."""
        return node_size(self.node)

    @property
    def origin(self) -> str | None:
        """The file this spec was read from, if any."""
        return self._origin

    @property
    def native_pair(self) -> str:
        """``native_precision`` as a pair key (``w4a8`` is ``int4xint8``)."""
        return _native_pair(self.native_precision)

    @property
    def macs_per_cycle(self) -> float:
        """Multiply-accumulates that one core does in a cycle at the native precision, at most."""
        array = self.array
        weights, _, activations = self.native_pair.partition("x")
        pair = serving_pair(array.formats, weights, activations)
        assert pair is not None  # checked: the array runs its native precision
        return array.rows * array.cols * array.depth * array.formats[pair]

    def with_values(self, values: Mapping[str, object]) -> ChipSpec:
        """This spec with some fields changed.

        Args:
            values: field path (``array.rows``, ``node``, ``dram.kind``) to new value.

        Raises:
            InputError: unknown path (with the nearest known one) or impossible value.
        """
        if not values:
            return self
        data: dict[str, Any] = self.model_dump()
        for path, value in values.items():
            set_path(data, path, value)
        made = validate(ChipSpec, data)  # the file was valid: a fault is in ``values``
        made.check_turned(values)
        made._origin = self._origin
        return made

    def check_turned(self, paths: Iterable[str]) -> None:
        """Refuse to have turned the rule of a width that is fixed: nothing would follow it.

        Raises:
            InputError: for the first such path.
        """
        for path in paths:
            head, found, rest = path.rpartition("widths.")
            name, kind = rest.partition(".")[0], head.removeprefix("kinds.").rstrip(".")
            if not found or name not in FIELDS or (kind and kind not in self.kinds):
                continue
            value = stated(self.of_kind(kind) if kind else self, name)
            if value is not None:
                field = head + FIELDS[name][0]
                raise InputError(
                    f"{field} is fixed at {value:g}, so it does not follow the array",
                    field=path,
                    mend=f"set {field} to null as well, or to the number that it shall have",
                )

    def value(self, path: str) -> object:
        """The value at a field path; InputError if there is none."""
        head, _, rest = path.partition(".")
        name, _, inner = rest.partition(".")
        if head == "kinds" and name in self.kinds and inner and inner != "description":
            return self.of_kind(name).value(inner)
        here: object = self.model_dump()
        for part in path.split("."):
            if not isinstance(here, Mapping) or part not in here:
                raise unknown_path(path, self.model_dump())
            here = here[part]
        return here


#: Fields whose keys are free (checked by the model), so that a new key may be set by path.
_OPEN = (
    "array.formats",
    "array.matmul_formats",
    "array.align",
    "buffer.parts",
    "legality.granularity",
    "legality.min_tile",
    "legality.max_tile",
    "vector.ops_per_lane_cycle",
)


def set_path(data: dict[str, Any], path: str, value: object) -> None:
    """Set one field of nested plain data; InputError for a path no chip has."""
    parts = path.split(".")
    if parts[0] == "kinds" and len(parts) > 3 and parts[1] in data.get("kinds", {}):
        _set_in_kind(data, path, value)
        return
    here: Any = data
    for part in parts[:-1]:
        if not isinstance(here, dict) or not isinstance(here.get(part), dict):
            raise unknown_path(path, data)
        here = here[part]
    if parts[-1] not in here and ".".join(parts[:-1]) not in _OPEN:
        raise unknown_path(path, data)
    here[parts[-1]] = value


def _set_in_kind(data: dict[str, Any], path: str, value: object) -> None:
    """Set a field of a block of a kind, which need not have changed it before."""
    _, name, section, *inner = path.split(".")
    if section not in KIND_SECTIONS:
        raise unknown_path(path, data)
    whole = copy.deepcopy(kind_data(data, name))  # nested values are those of the chip itself
    try:
        set_path(whole, ".".join((section, *inner)), value)  # the field is one of a chip
    except InputError as error:
        raise InputError(error.message, field=path, mend=error.mend) from None
    here, there = data["kinds"][name][section], whole[section]
    for part in inner[:-1]:
        there = there[part]
        here[part] = there if part in REPLACED_WHOLE else here.get(part) or {}
        here = here[part]
    here[inner[-1]] = value


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
