"""The frozen, resolved and priced chip: numbers only, as mapping and simulation need them.

A chip spec (a YAML file, ``spec.py``) resolved against a technology object gives a :class:`Chip`
(``resolve.py``); what one core is stands in ``core.py``. Everything here is in SI units or in
cycles of the chip clock ``f_hz``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

from dse.hardware.area import AreaNode
from dse.hardware.core import (
    Array,
    Axis,
    Buffer,
    Compression,
    Dataflow,
    Legality,
    Registers,
    Sparsity,
    VectorUnit,
)
from dse.hardware.modes import Arbitration, CoreNetwork, Governor, SleepState, Thermal
from dse.hardware.offload import CloudTerms, NetLink
from dse.hardware.placing import Placement
from dse.printing import Printed, si
from dse.registry import APART, key_of
from dse.schema import digest

__all__ = [
    "LINKS",
    "SCOPES",
    "Array",
    "Axis",
    "Buffer",
    "Chip",
    "Compression",
    "Dataflow",
    "Host",
    "Legality",
    "Link",
    "Overheads",
    "Placement",
    "Platform",
    "Pmic",
    "Registers",
    "Sparsity",
    "StaticPower",
    "VectorUnit",
]

#: Links that feed a core's buffer, in the order used by every per-link tuple.
LINKS = ("dram", "l2", "nvm")
#: Scopes of power, energy and area, each containing the one before it.
SCOPES = ("npu", "die", "die_dram", "module")


@dataclass(frozen=True, slots=True)
class Link:
    """What brings bytes to the buffer: the DRAM system, the shared L2, or the NVM of weights.

    ``bytes_per_s`` is the effective bandwidth for the chip's transfers (peak x efficiency at its
    burst, less the share reserved for camera, CPU and display); ``peak_bytes_per_s`` bounds it.
    A link the chip lacks has bandwidth 0. ``streams_weights`` and ``holds_activations``: see
    ``weights`` and ``activations`` of ``DramSpec``.
    """

    name: str
    bytes_per_s: float
    peak_bytes_per_s: float
    capacity_bytes: float
    writable: bool = True
    streams_weights: bool = False
    holds_activations: bool = True


@dataclass(frozen=True, slots=True)
class Overheads:
    """Fixed costs in cycles: per layer launch, per DMA descriptor; and seconds per inference.

    ``token_s`` is what a run of a language model costs at least beside its work, with call and
    launches; ``crossing_s`` comes for each change between accelerator and host within an
    inference. ``prefetches``: the software lets the first weights of a layer come while the layer
    before it runs. ``operators``: of ONNX, those that it
    runs on the accelerator; None: all that the accelerator can. ``split``: those that it runs on
    several cores at once; None: all.
    """

    launch_cycles: float
    descriptor_cycles: float
    dma_channels: int
    invoke_s: float
    max_descriptor_bytes: float
    token_s: float = 0.0
    crossing_s: float = 0.0
    prefetches: bool = True
    operators: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The control processor: what one core of it does for host layers, simple operations and (of
    layers that fell back to it) multiply-accumulates at int8 a second."""

    name: str = field(metadata=APART)
    ops_per_s: float
    macs_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StaticPower:
    """Power that flows without work, one component of one scope, by engine state, in W.

    ``active_w`` flows while the component's core (or the chip) works, ``idle_w`` while it waits
    (clock-gated), ``gated_w`` after power gating or in self-refresh. ``per_core`` components exist
    once per core (of ``kind``, if that is named). ``wake_s`` and ``wake_j`` are the price of
    leaving the gated state. ``sleeps`` are states between idle and gated, shallow ones first.
    """

    component: str
    scope: Literal["npu", "die", "die_dram"]
    active_w: float
    idle_w: float
    gated_w: float
    per_core: bool = False
    wake_s: float = 0.0
    wake_j: float = 0.0
    sleeps: tuple[SleepState, ...] = ()
    kind: str = ""


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


@dataclass(frozen=True, repr=False)
class Chip(Printed):
    """A chip at one operating point, ready to be mapped onto, simulated and costed.

    ``prices`` maps each action to joules per count; the actions are

    ======================== =============================================================
    ``mac.<wfmt>.<afmt>``    one multiply-accumulate, pipeline registers and clock included
    ``array.idle_mac``       one MAC unit clocked for a cycle without work
    ``accumulator.read_bit`` ``.write_bit``: partial-sum memory beside the array
    ``register.w.read_bit``  ``.write_bit``, and the same of ``i`` and ``o``: registers of a PE
    ``buffer.read_bit``      ``.write_bit``: scratchpad, wires to the array included
    ``l2.read_bit``          ``.write_bit``
    ``nvm.read_bit``         weights in non-volatile memory; an external one with its PHY
    ``dram.read_bit``        ``.write_bit``: DRAM device; ``phy.bit``: host PHY and controller
    ``noc.bit``              buffer fill and drain wires, per bit
    ``vector.<function>``    one result of the vector unit at 8 bit; ``.wide`` above 8 bit
    ``host.op``              one host operation
    ``launch``               one layer launch; ``descriptor``: one DMA descriptor
    ======================== =============================================================

    ``action_scope`` gives the scope of each action (``npu``, ``die`` or ``die_dram``).

    Only the simulator knows time well enough to use ``dvfs`` (lower operating points), ``thermal``
    (temperature), ``network`` (between cores; None if it never limits) and ``arbitration`` (how a
    shared link serves several cores).

    ``kinds`` is empty if all cores are equal. Else it says which cores are of which kind;
    ``array``, ``buffer``, ``vector``, ``f_hz`` and ``prices`` are then those of the first kind,
    ``static`` and ``area`` of the whole chip, and networks are mapped onto the view of a kind.

    ``execution``: whether networks run layer by layer, or pipelined in space over all cores.

    Fields that are ``APART`` change no mapping, but as ``mapping_static_w`` sums them up.
    """

    name: str = field(metadata=APART)
    template: str = field(metadata=APART)
    node_nm: int = field(metadata=APART)
    f_hz: float
    voltage_v: float = field(metadata=APART)
    sram_voltage_v: float = field(metadata=APART)
    junction_c: float = field(metadata=APART)
    native_precision: str = field(metadata=APART)
    cores: int = field(metadata=APART)
    array: Array
    buffer: Buffer
    vector: VectorUnit
    links: Mapping[str, Link]
    overheads: Overheads
    host: Host
    prices: Mapping[str, float]
    action_scope: Mapping[str, str] = field(metadata=APART)
    static: tuple[StaticPower, ...] = field(metadata=APART)
    pmic: Pmic = field(metadata=APART)
    area: AreaNode = field(metadata=APART)
    dram_capacity_bytes: float = field(metadata=APART)
    power_gating: bool = field(metadata=APART)
    digest: str = field(metadata=APART)
    spec: Any = field(repr=False, hash=False, compare=False, metadata=APART)
    technology: Any = field(repr=False, hash=False, compare=False, metadata=APART)
    notes: tuple[str, ...] = field(default=(), metadata=APART)
    legality: Legality = field(default_factory=Legality)
    placement: Placement = field(default_factory=Placement)
    execution: Literal["layerwise", "pipelined"] = "layerwise"
    dvfs: Dvfs | None = field(default=None, metadata=APART)
    thermal: Thermal | None = field(default=None, metadata=APART)
    network: CoreNetwork | None = field(default=None, metadata=APART)
    arbitration: Arbitration = field(default="processor_sharing", metadata=APART)
    kinds: tuple[CoreKind, ...] = field(default=(), metadata=APART)

    def _title(self) -> str:
        return f"chip {self.name} ({self.template}) at {self.node_nm} nm"

    def _figures(self) -> Mapping[str, object]:
        axes = " x ".join(f"{axis.size}" for axis in self.array.axes)
        return {
            "clock": f"{si(self.f_hz, 'Hz')} at {self.voltage_v:.2f} V, {self.junction_c:g} C",
            "peak": f"{si(self.peak_macs_per_s, 'MAC/s')}, native {self.native_precision}",
            "cores": ", ".join(f"{len(k.cores)} {k.name}" for k in self.kinds) or self.cores,
            "array": f"{axes}, {', '.join(self.array.dataflows)}",
            "buffer": si(float(self.buffer.capacity_bytes), "B"),
            "die": f"{self.area_mm2:.3g} mm2",
            "static power": si(sum(part.active_w for part in self.static), "W"),
            **{f"note {n}": text for n, text in enumerate(self.notes[:3], 1)},
        }

    def _rows(self) -> list[dict[str, object]]:
        return [
            {
                "link": name,
                "bandwidth": si(link.bytes_per_s, "B/s"),
                "capacity": si(link.capacity_bytes, "B"),
            }
            for name, link in self.links.items()
        ]

    @functools.cached_property
    def outside(self) -> tuple[str, ...]:
        """The links that leave the die: the DRAM, and a flash for weights beside it."""
        flash = self.action_scope.get("nvm.read_bit") == "die_dram"
        return ("dram", "nvm") if flash else ("dram",)

    @functools.cached_property
    def area_mm2(self) -> float:
        """Area of the whole die, mm2."""
        return self.area.total_mm2

    @functools.cached_property
    def peak_macs_per_s(self) -> float:
        """All cores at the best rate of any format."""
        if self.kinds:
            return sum(kind.chip.peak_macs_per_s for kind in self.kinds)
        best = max(self.array.rates.values())
        return self.cores * self.array.macs_per_cycle * best * self.f_hz

    @functools.cached_property
    def mapping_view(self) -> tuple[object, ...]:
        """What the mapper sees of the chip, hashable: equal views give equal mappings.

        A chip of several kinds is refused; of which ones does not matter.
        """
        return (*key_of(self), self.mapping_static_w, bool(self.kinds))

    @property
    def prefetches(self) -> bool:
        """Whether the first weights of a layer are fetched while the layer before it runs."""
        return self.buffer.double_buffered and self.overheads.prefetches

    @functools.cached_property
    def mapping_static_w(self) -> float:
        """Power that time costs while one core works, W: weighs latency in the energy objective."""
        own = ("", self.kinds[0].name) if self.kinds else ("",)
        return sum(part.active_w for part in self.static if part.kind in own)

    def cores_of(self, part: StaticPower) -> tuple[int, ...]:
        """The cores that have a static part each; none if the chip has it once."""
        if not part.per_core:
            return ()
        if not part.kind:
            return tuple(range(self.cores))
        return next(kind.cores for kind in self.kinds if kind.name == part.kind)


@dataclass(frozen=True, repr=False)
class Platform(Printed):
    """Chips joined by a network; one chip by default.

    With a ``link`` and ``cloud`` terms, the first chip is the device and the second one stands in
    the data centre.
    """

    chips: tuple[Chip, ...]
    link: NetLink | None = None
    cloud: CloudTerms | None = None
    name: str = ""

    def _title(self) -> str:
        return f"platform {self.name or self.chip.name} of {len(self.chips)} chips"

    def _rows(self) -> list[dict[str, object]]:
        return [
            {"chip": chip.name, "node": f"{chip.node_nm}nm", **chip._figures()}
            for chip in self.chips
        ]

    @property
    def chip(self) -> Chip:
        """The chip of a single-chip platform (the device otherwise)."""
        return self.chips[0]

    @property
    def reaches_cloud(self) -> bool:
        """Whether there is a data-centre side to run anything on."""
        return len(self.chips) == 2 and self.link is not None and self.cloud is not None

    @property
    def digest(self) -> str:
        """Identity of everything in it; of one chip that chip's."""
        if not self.reaches_cloud:
            return self.chip.digest
        sides = [chip.digest for chip in self.chips]
        return digest({"chips": sides, "link": asdict(self.link), "cloud": asdict(self.cloud)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class CoreKind:
    """Equal cores of a chip.

    Attributes:
        name: of the kind; empty on a chip that has only one.
        cores: their numbers on the chip.
        chip: the chip as these cores see it: their array, buffer, vector unit, clock and prices,
            ``cores`` of them, and what all cores share. A network is mapped onto this one.
    """

    name: str
    cores: tuple[int, ...]
    chip: Chip


@dataclass(frozen=True)
class Dvfs:
    """Operating points below the chip's own, and who chooses among them.

    ``points`` are the chip at lower clocks, slowest first. While the clock and the rails move
    (``transition_s``) nothing runs; ``transition_j`` is drawn meanwhile. ``margin`` is the share of
    time that ``deadline_aware`` keeps for what it cannot foresee (contention, blocking).
    """

    points: tuple[Chip, ...]
    transition_s: float
    transition_j: float
    margin: float
    governor: Governor
