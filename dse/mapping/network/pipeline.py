"""Layers pipelined in space: each stage on cores of its own, its weights resident there.

The execution of distributed dataflow chips (Hailo kind): an inference passes from stage to stage,
all stages work on different inferences at once. So the throughput is that of the slowest stage and
the latency the sum of all. A stage holds the weights of its layers, once, and of every layer's
input the lines that one output row needs and the ones that arrive meanwhile; where layers do not
work row by row it holds the whole input. Results pass to the next core over the chip's wires
(``noc.bit``), the network's input and output through DRAM if there is one; both are taken as hidden
behind compute (assumed). Stages are runs of layers in execution order on one or several cores each;
the partition with the shortest slowest stage is found exactly among those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.kinds import one_kind
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.homes import Homes, byte_price, has_link, stored_bytes
from dse.mapping.ir.schedule import link_rates, price
from dse.mapping.ir.starting import least_invoke_s
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.fallback import on_chip
from dse.workload.layer import Layer, Workload

#: Everything is where the core works.
RESIDENT = Homes("buffer", "buffer", "buffer", "buffer")


@dataclass(frozen=True)
class Stage:
    """Layers ``first`` to ``last`` on ``cores`` cores: time of one inference and room of a core."""

    first: int
    last: int
    cores: int
    seconds: float
    weight_bytes: float
    line_bytes: float

    @property
    def bytes_per_core(self) -> float:
        return (self.weight_bytes + self.line_bytes) / self.cores


@dataclass(frozen=True)
class PipelinePlan:
    """A network laid out over a chip's cores.

    ``energy_j`` is the dynamic energy of an inference; ``utilization`` ideal MAC time over the time
    and cores taken.
    """

    stages: tuple[Stage, ...]
    interval_s: float
    latency_s: float
    energy_j: float
    utilization: float

    @property
    def throughput_per_s(self) -> float:
        return 1.0 / self.interval_s

    @property
    def cores(self) -> int:
        return sum(stage.cores for stage in self.stages)


@dataclass(frozen=True)
class _Work:
    """A layer on each number of cores that is tried: seconds and dynamic energy; and its room."""

    seconds: dict[int, float]
    joules: dict[int, float]
    weights: float
    lines: float
    ideal_s: float


def map_pipeline(
    workload: Workload, chip: Chip, objective: Objective = "edp", *, room_share: float = 1.0
) -> PipelinePlan:
    """The partition of a network over the chip's cores with the shortest interval.

    Args:
        workload: the network.
        chip: its cores are the places for stages.
        objective: by which each layer is mapped on its cores.
        room_share: part of a core's buffer for weights and lines.

    Raises:
        UnmappableError: weights and lines do not fit, however they are dealt out.
        InputError: no layers, or a chip with several kinds of cores.
    """
    one_kind(chip)
    if not workload.layers:
        raise InputError(
            f"network {workload.name} has no layers", mend="give a network that computes something"
        )
    workload = on_chip(workload, chip)
    room = chip.buffer.capacity_bytes * room_share
    ladder = _ladder(chip.cores)
    works = [_work(layer, chip, objective, ladder) for layer in workload.layers]
    for layer, work in zip(workload.layers, works, strict=True):
        need = (work.weights + work.lines) / ladder[-1]
        if need > room:
            raise UnmappableError(
                f"layer {layer.name}: weights of {work.weights:.0f} and lines of {work.lines:.0f} "
                f"bytes take {need:.0f} on each of {ladder[-1]} cores, the room is {room:.0f}",
                layer=layer.name,
                field="buffer.bytes",
                mend="enlarge the buffer, add cores, or use fewer weight bits",
            )
    candidates = sorted(_intervals(works, ladder, room))
    low, high = 0, len(candidates) - 1
    best: tuple[Stage, ...] | None = None
    while low <= high:
        middle = (low + high) // 2
        found = _cover(works, ladder, room, candidates[middle], chip.cores)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle - 1
    if best is None:
        total = sum(work.weights + work.lines for work in works)
        raise UnmappableError(
            f"{workload.name} needs {total:.0f} bytes for weights and lines, in runs that fit; "
            f"{chip.cores} cores of {room:.0f} bytes do not hold them",
            field="cores",
            mend="add cores, enlarge their buffers, or use fewer weight bits",
        )
    return _plan(workload, chip, works, best)


def _ladder(cores: int) -> tuple[int, ...]:
    """Numbers of cores a stage may take: powers of two, and all of them."""
    return tuple(sorted({1 << k for k in range(cores.bit_length()) if 1 << k <= cores} | {cores}))


def _work(layer: Layer, chip: Chip, objective: Objective, ladder: Sequence[int]) -> _Work:
    seconds, joules = {}, {}
    for cores in ladder:
        made = map_layer(
            layer, chip, objective, homes=RESIDENT, cores=cores,
            room_bytes=float(chip.buffer.capacity_bytes), spread=1,
        )  # fmt: skip
        cycles = sum(phase.count * max(phase.cycles) for phase in made.phases)
        seconds[cores] = cycles / chip.f_hz
        joules[cores] = sum(price(made.counts, chip).values())
    peak = chip.array.macs_per_cycle * max(chip.array.rates.values()) * chip.f_hz
    weights = 0.0 if layer.w_is_activation else stored_bytes(layer)
    return _Work(seconds, joules, weights, line_bytes(layer), layer.macs / peak)


def line_bytes(layer: Layer) -> float:
    """Input lines a core holds to make one output row, and the ones that arrive meanwhile, bytes.

    The whole input (and the second operand of a product of activations) where there are no rows.
    """
    nest = layer.nest
    second = layer.w_bytes if layer.w_is_activation else 0.0
    if nest is None or nest.OY == 1:
        return layer.i_bytes + layer.side_bytes + second
    rows = (nest.OY - 1) * nest.stride_y + 1
    lines = (nest.FY - 1) * nest.dilation_y + 1 + nest.stride_y
    return (
        layer.i_bytes * min(1.0, lines / rows) + layer.side_bytes * min(1.0, 2 / nest.OY) + second
    )


def _intervals(works: Sequence[_Work], ladder: Sequence[int], room: float) -> set[float]:
    """Times of all stages that fit, one of which the best interval is."""
    out: set[float] = set()
    for cores in ladder:
        for first in range(len(works)):
            seconds = need = 0.0
            for work in works[first:]:
                seconds += work.seconds[cores]
                need += (work.weights + work.lines) / cores
                if need > room:
                    break
                out.add(seconds)
    return out


def _cover(
    works: Sequence[_Work], ladder: Sequence[int], room: float, interval_s: float, cores: int
) -> tuple[Stage, ...] | None:
    """Stages no longer than ``interval_s`` on the fewest cores; None if there are too few cores."""
    count = len(works)
    fewest: list[float] = [0.0] + [float("inf")] * count
    through: list[Stage | None] = [None] * (count + 1)
    for last in range(count):
        for number in ladder:
            seconds = weights = lines = 0.0
            for first in range(last, -1, -1):
                seconds += works[first].seconds[number]
                weights += works[first].weights
                lines += works[first].lines
                if seconds > interval_s * (1.0 + 1e-12) or (weights + lines) / number > room:
                    break
                if fewest[first] + number < fewest[last + 1]:
                    fewest[last + 1] = fewest[first] + number
                    through[last + 1] = Stage(first, last, number, seconds, weights, lines)
    if fewest[count] > cores:
        return None
    out: list[Stage] = []
    at = count
    while at:
        stage = through[at]
        assert stage is not None
        out.append(stage)
        at = stage.first
    return tuple(reversed(out))


def _plan(
    workload: Workload, chip: Chip, works: Sequence[_Work], stages: tuple[Stage, ...]
) -> PipelinePlan:
    joules = 0.0
    for stage in stages:
        joules += sum(work.joules[stage.cores] for work in works[stage.first : stage.last + 1])
        handed = workload.layers[stage.last].o_bytes
        joules += 8.0 * handed * chip.prices.get("noc.bit", 0.0)
    if has_link(chip, "dram"):
        first, last = workload.layers[0], workload.layers[-1]
        joules += first.i_bytes * byte_price(chip, "dram", write=False)
        if chip.links["dram"].writable:
            joules += last.o_bytes * byte_price(chip, "dram", write=True)
    rates = link_rates(chip)
    outside = workload.layers[0].i_bytes + workload.layers[-1].o_bytes
    interval = max(stage.seconds for stage in stages)
    if rates[0] > 0.0:
        interval = max(interval, outside / rates[0])
    cores = sum(stage.cores for stage in stages)
    ideal = sum(work.ideal_s for work in works)
    return PipelinePlan(
        stages=stages,
        interval_s=interval,
        latency_s=least_invoke_s(chip, language=workload.language)
        + sum(stage.seconds for stage in stages),
        energy_j=joules,
        utilization=ideal / (interval * cores) if interval else 0.0,
    )
