"""The one schedule behind all three fidelities, and what its numbers mean.

A mapped layer is a short list of *phases*. A phase is ``count`` equal steps; one step works on one
buffer tile. Within a step the engines (array, vector unit, buffer port, DMA, and each link) run
side by side, so a step takes as long as its slowest engine:

    step_s = max(array, vector, port, dma cycles / f,  link bytes / link bandwidth ...)

Bytes listed in a step are those that move *while* it computes: the loads of the next tile and the
stores of the one before (double buffering). What cannot overlap stands on its own:

* ``launch_cycles`` before the layer (nothing else runs on the core),
* ``fill`` bytes: the first tile, loaded before the first step; its weights (``fill_weight``) may
  have been prefetched (below), its activations may not, since the layer before produces them,
* ``drain`` bytes: the last store, after the last step.

Without double buffering a step's load and store do not overlap its compute: the mapper then emits
phases whose compute and transfer are separate steps.

Prefetch across layers, one rule for ``analytic`` and ``simulate``: the weights of a layer's first
tile are fetched during the last step of the layer before it on the same core, beside that step's
own traffic, if the chip is double-buffered and its software lets it (``Chip.prefetches``), as far
as the buffer has room beside that step's tiles (of a double-buffered operand the second copy is
free by then); the rest is loaded with the first activations. The first layer of an inference has
no layer before it.

Steps of one phase are taken equal at their mean (ragged last tiles enter through exact totals).

Layers of a *fused group* run block by block (a block is a band of output rows, perhaps of one head)
and hand each other their blocks in the buffer. Members on one unit take turns within a block; the
array works on one block while the vector unit works on another (two copies of what passes between
them). So a block takes as long as the busiest engine or link of the whole group, not the sum of its
members: ``array_cycles`` are those for which the array is held by the group's compute layers,
``vector_cycles`` all vector work, and so on. The last block runs alone, unit after unit. The time
of the group is shared out among its members (a compute layer gets at least what it holds the array
for, the rest goes by what the members would need of other engines), and each member's phases are
that share of the group's: members keep rows that add up in time, bytes and energy, and the segments
of the group together do exactly what the group does. The first member carries the group's fill, the
last its drain. Each member is launched once; a further block costs it one descriptor (assumed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dse.hardware.chip import LINKS, Chip

Bytes = tuple[float, ...]
#: No traffic on any link, in the order of :data:`dse.hardware.chip.LINKS`.
NO_BYTES: Bytes = tuple(0.0 for _ in LINKS)
#: Engines of a core that work in cycles, in the order used by :class:`Segment`.
ENGINES = ("array", "vector", "port", "dma", "host")
#: What a layer table calls them.
BOTTLENECKS = dict(zip(ENGINES, ("compute", "vector", "buffer port", "dma", "host"), strict=True))


@dataclass(frozen=True, slots=True)
class Phase:
    """``count`` equal steps; cycles and bytes are per step."""

    count: int
    array_cycles: float = 0.0
    vector_cycles: float = 0.0
    port_cycles: float = 0.0
    dma_cycles: float = 0.0
    host_cycles: float = 0.0
    link_bytes: Bytes = NO_BYTES

    @property
    def cycles(self) -> tuple[float, ...]:
        """Cycles by engine in the order of :data:`ENGINES`."""
        return (
            self.array_cycles,
            self.vector_cycles,
            self.port_cycles,
            self.dma_cycles,
            self.host_cycles,
        )


@dataclass(frozen=True)
class LayerSchedule:
    """A layer as it runs on one core (or split over ``cores`` equal ones).

    ``link_bytes`` of phases, ``fill`` and ``drain`` are of all ``cores`` together, cycles are of
    each. ``counts`` are whole-layer action counts (see ``Chip.prices``), over all cores.
    ``loop_nest`` is the mapping as text, outermost loop first; ``dims`` are the layer's loop sizes,
    ``tiles`` and ``spatial`` how they are cut and unrolled. ``ideal_cycles`` = MACs / (peak MACs
    per cycle of the cores at the layer's formats). ``fused`` names the group the layer runs in,
    empty if it runs alone. ``legality``: ``legal`` if only what the chip's compiler can express was
    searched, else ``ideal``; ``footprint_bytes`` is what the tiles take of one core's buffer;
    ``levels`` are the tiles of L2 and of the registers of a PE, where there are any; ``transform``
    is ``winograd`` if the layer runs so; ``held`` are operands held beyond their tile, and over
    which loops. ``spare_bytes``: buffer of one core that is free during the last step (None: not
    known, taken as enough). ``crosses``: the layer before it runs on the other side, host or
    accelerator, and ``launch_cycles`` hold the change.
    """

    layer: str
    op: str
    kind: str
    unit: str
    macs: int
    cores: int
    launch_cycles: float
    fill_weight: Bytes
    fill_other: Bytes
    phases: tuple[Phase, ...]
    drain: Bytes
    counts: Mapping[str, float]
    ideal_cycles: float
    spatial: Mapping[str, int] = field(default_factory=dict)
    tiles: Mapping[str, int] = field(default_factory=dict)
    dataflow: str = ""
    order: str = ""
    loop_nest: Sequence[str] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    fused: str = ""
    legality: str = "ideal"
    footprint_bytes: float = 0.0
    levels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    transform: str = ""
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spare_bytes: float | None = None
    crosses: bool = False

    def renamed(self, layer: str, op: str, legality: str = "") -> LayerSchedule:
        """The same schedule for another layer of the same shape; ``legality`` if it is given."""
        legality = legality or self.legality
        if (layer, op, legality) == (self.layer, self.op, self.legality):
            return self
        made = object.__new__(LayerSchedule)  # (what ``replace`` does takes ten times as long)
        vars(made).update(vars(self), layer=layer, op=op, legality=legality)
        return made


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a program that runs on a core without a break: ``count`` equal steps.

    ``stage`` is ``launch``, ``fill``, ``steps`` or ``drain``; ``layer`` indexes the schedules of
    the program. ``cycles`` by engine (:data:`ENGINES`) and ``link_bytes`` (:data:`LINKS`) are per
    step.
    """

    layer: int
    stage: str
    count: int
    cycles: tuple[float, ...]
    link_bytes: Bytes

    def compute_s(self, f_hz: float) -> float:
        """Time of one step if every link were infinitely fast, s."""
        return max(self.cycles) / f_hz

    def step_s(self, f_hz: float, link_bytes_per_s: Sequence[float]) -> float:
        """Time of one step, s, with the bandwidths of :data:`LINKS` (inf if a needed one is 0)."""
        return slowest_s(max(self.cycles) / f_hz, self.link_bytes, link_bytes_per_s)

    def bottleneck(self, f_hz: float, link_bytes_per_s: Sequence[float]) -> str:
        """Which engine or link sets the step time."""
        times = {name: c / f_hz for name, c in zip(ENGINES, self.cycles, strict=True)}
        for name, amount, rate in zip(LINKS, self.link_bytes, link_bytes_per_s, strict=True):
            if amount > 0.0:
                times[name] = amount / rate if rate > 0.0 else math.inf
        return max(times, key=lambda name: times[name])


@dataclass(frozen=True)
class Program:
    """One inference of a network on a chip: its schedules and the segments they unroll to.

    ``legality`` is ``legal`` if all layers keep to what the chip's compiler can express. A batch
    may run in ``parts``, one after the other: the segments pass over the schedules so many times;
    these have the steps of one part, and the MACs and counts of all.
    ``resident_bytes`` are weights that stay on the chip between inferences, ``activation_bytes``
    the most that an inference holds at once of what it makes (no KV cache), both by memory;
    ``outside_weight_bytes`` are the weights that stay outside the chip.
    ``language``: a run of a language model, see :mod:`dse.mapping.ir.starting`.
    ``room_bytes`` is the buffer of one core that the memory plan left to each layer's tiles,
    ``l2_room_bytes`` the L2 to those of any.
    ``contexts``: 0 for layers in turn; else the network runs pipelined in space, in so many parts
    that are on the chip in turn, and its results are out ``drain_cycles`` after its cores are free
    for the next call (:mod:`dse.mapping.network.spatial`).
    """

    name: str
    schedules: tuple[LayerSchedule, ...]
    segments: tuple[Segment, ...]
    cores: int
    invoke_s: float
    resident_bytes: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    legality: str = "ideal"
    parts: int = 1
    activation_bytes: Mapping[str, float] = field(default_factory=dict)
    language: bool = False
    outside_weight_bytes: float = 0.0
    room_bytes: tuple[float, ...] = ()
    l2_room_bytes: float = 0.0
    contexts: int = 0
    drain_cycles: float = 0.0


def link_rates(chip: Chip) -> tuple[float, ...]:
    """Effective bandwidths of the chip's links in the order of :data:`LINKS`, bytes/s."""
    links = chip.links
    return tuple([links[name].bytes_per_s if name in links else 0.0 for name in LINKS])


def slowest_s(seconds: float, link_bytes: Bytes, link_bytes_per_s: Sequence[float]) -> float:
    """The longest of ``seconds`` and the time of every link, s; infinite if it has no bandwidth."""
    for amount, rate in zip(link_bytes, link_bytes_per_s, strict=True):
        if amount > 0.0:
            taken = amount / rate if rate > 0.0 else math.inf
            if taken > seconds:
                seconds = taken
    return seconds


def add_bytes(left: Bytes, right: Bytes) -> Bytes:
    return tuple([a + b for a, b in zip(left, right, strict=True)])


def hidden_share(spare_bytes: float | None, fill_weight: Bytes, cores: int) -> float:
    """Share of a layer's first weights for which the buffer of each of ``cores`` cores has room
    beside the last step of the layer before, which leaves ``spare_bytes`` (None: enough)."""
    # Weights that pass through L2 are on its link twice; from their home they come once.
    need = min((amount for amount in fill_weight if amount), default=0.0) / cores
    if spare_bytes is None or need <= spare_bytes:
        return 1.0
    return max(0.0, spare_bytes) / need


def _scaled(amounts: Bytes, share: float) -> Bytes:
    return amounts if share == 1.0 else tuple([amount * share for amount in amounts])


def unroll(schedules: Sequence[LayerSchedule], *, prefetch: bool) -> tuple[Segment, ...]:
    """The segments of one inference, in order, with the prefetch rule of this module applied.

    Args:
        schedules: in execution order.
        prefetch: whether the next layer's first weights are fetched during the last step of each
            layer (``Chip.prefetches``).
    """
    idle = tuple(0.0 for _ in ENGINES)
    out: list[Segment] = []
    for index, schedule in enumerate(schedules):
        if schedule.launch_cycles > 0.0:
            launch = (0.0, 0.0, 0.0, 0.0, schedule.launch_cycles)
            out.append(Segment(index, "launch", 1, launch, NO_BYTES))
        fill = schedule.fill_other
        hidden = 0.0
        if prefetch and index > 0:
            spare = schedules[index - 1].spare_bytes
            hidden = hidden_share(spare, schedule.fill_weight, schedule.cores)
        if hidden < 1.0:
            fill = add_bytes(fill, _scaled(schedule.fill_weight, 1.0 - hidden))
        if any(fill):
            out.append(Segment(index, "fill", 1, idle, fill))
        following = NO_BYTES
        if prefetch and index + 1 < len(schedules):
            after = schedules[index + 1]
            share = hidden_share(schedule.spare_bytes, after.fill_weight, after.cores)
            following = _scaled(after.fill_weight, share)
        out.extend(_steps(index, schedule.phases, following))
        if any(schedule.drain):
            out.append(Segment(index, "drain", 1, idle, schedule.drain))
    return tuple(out)


def repeated(
    schedules: Sequence[LayerSchedule], parts: int, *, prefetch: bool
) -> tuple[Segment, ...]:
    """The segments of so many passes over the schedules, as :func:`unroll` of one."""
    layers = len(schedules)
    segments = unroll(tuple(schedules) * parts, prefetch=prefetch)
    return tuple(replace(segment, layer=segment.layer % layers) for segment in segments)


def _steps(index: int, phases: Sequence[Phase], following: Bytes) -> list[Segment]:
    out: list[Segment] = []
    for number, phase in enumerate(phases):
        last = number + 1 == len(phases) and any(following)
        count = phase.count - 1 if last else phase.count
        if count > 0:
            out.append(Segment(index, "steps", count, phase.cycles, phase.link_bytes))
        if last:
            bytes_ = add_bytes(phase.link_bytes, following)
            out.append(Segment(index, "steps", 1, phase.cycles, bytes_))
    return out


def program_latency_s(program: Program, chip: Chip) -> float:
    """Analytic latency of one inference alone on the chip, s."""
    return program_interval_s(program, chip) + program.drain_cycles / chip.f_hz


def program_interval_s(program: Program, chip: Chip) -> float:
    """For how long an inference holds its cores, so how soon the next one may follow, s."""
    rates = link_rates(chip)
    body = sum(seg.count * seg.step_s(chip.f_hz, rates) for seg in program.segments)
    return program.invoke_s + body


def layer_latencies_s(program: Program, chip: Chip) -> list[float]:
    """Analytic latency of each layer (increment of completion time), s; they add up with invoke."""
    rates = link_rates(chip)
    out = [0.0] * len(program.schedules)
    for seg in program.segments:
        out[seg.layer] += seg.count * seg.step_s(chip.f_hz, rates)
    return out


def price(counts: Mapping[str, float], chip: Chip) -> dict[str, float]:
    """Energy by action, J: counts times the chip's prices."""
    return {action: amount * chip.prices[action] for action, amount in counts.items() if amount}
