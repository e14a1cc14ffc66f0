"""Layers pipelined in space: each stage on cores of its own, its weights resident there.

The execution of distributed dataflow chips (Hailo kind): rows pass from layer to layer, all stages
work at once, on different rows and frames. So the throughput is that of the slowest stage, and the
latency a few frame times: until the rows have run through all layers. A stage holds the weights of
its layers and of every layer's input the rows that it needs at one time
(:mod:`dse.mapping.network.lines`). The partition with the shortest slowest stage is found exactly
(:mod:`dse.mapping.network.stages`); a network that does not fit is loaded in contexts, one after
the other (:mod:`dse.mapping.network.contexts`). Wires between cores are energy, their time is taken
as hidden behind compute (assumed); input and output pass over the link outside, which may be what
limits the rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.schedule import price, program_interval_s, program_latency_s
from dse.mapping.network.laying import Layout, lay_out, seconds_of
from dse.mapping.network.spatial import program_of
from dse.workload.layer import Workload


@dataclass(frozen=True)
class Stage:
    """Layers ``first`` to ``last`` on ``cores`` cores: time of one frame, and what it holds, bytes.

    ``context`` counts the parts of the network that are on the chip in turn.
    """

    first: int
    last: int
    cores: int
    seconds: float
    weight_bytes: float
    line_bytes: float
    context: int = 0

    @property
    def bytes_per_core(self) -> float:
        """What it holds by core; beyond a buffer it lies in those of other cores."""
        return (self.weight_bytes + self.line_bytes) / self.cores


@dataclass(frozen=True)
class PipelinePlan:
    """A network laid out over a chip's cores.

    ``interval_s`` from call to call, ``latency_s`` of one; a call is an inference, of all of its
    ``batch``. ``energy_j`` is its dynamic energy; ``utilization`` ideal MAC time over the time and
    cores taken; ``load_bytes`` of weights that every call loads.
    """

    stages: tuple[Stage, ...]
    interval_s: float
    latency_s: float
    energy_j: float
    utilization: float
    contexts: int = 1
    batch: int = 1
    load_bytes: float = 0.0

    @property
    def throughput_per_s(self) -> float:
        return 1.0 / self.interval_s

    @property
    def cores(self) -> int:
        """The most that are in use at one time."""
        used = [0] * self.contexts
        for stage in self.stages:
            used[stage.context] += stage.cores
        return max(used)


def map_pipeline(
    workload: Workload, chip: Chip, objective: Objective = "edp", *, room_share: float = 1.0
) -> PipelinePlan:
    """The layout of a network over the chip's cores with the shortest interval.

    Args:
        workload: the network.
        chip: its cores are the places for stages.
        objective: by which each layer is mapped on its cores.
        room_share: part of a core's buffer for weights and lines.

    Raises:
        UnmappableError: weights and lines do not fit, however they are dealt out.
        InputError: no layers, or a chip with several kinds of cores.
    """
    made = lay_out(workload, chip, objective, room_share=room_share)
    program = program_of(made, workload, chip)
    interval = program_interval_s(program, chip)
    stages = _stages(made, chip)
    ideal = sum(schedule.ideal_cycles for schedule in program.schedules) / chip.f_hz
    most = max(sum(s.cores for s in stages if s.context == n) for n in range(len(made.contexts)))
    return PipelinePlan(
        stages=stages,
        interval_s=interval,
        latency_s=program_latency_s(program, chip),
        energy_j=sum(sum(price(s.counts, chip).values()) for s in program.schedules),
        utilization=ideal * made.cores / most / interval if interval else 0.0,
        contexts=len(made.contexts),
        batch=made.batch,
        load_bytes=0.0 if made.stays else sum(made.ground.weights),
    )


def _stages(made: Layout, chip: Chip) -> tuple[Stage, ...]:
    out = []
    for number, context in enumerate(made.contexts):
        for share in context.shares:
            layers = range(share.first, share.last + 1)
            on = share.cores if len(layers) == 1 else 1
            out.append(
                Stage(
                    first=share.first,
                    last=share.last,
                    cores=share.cores,
                    seconds=sum(seconds_of(made.made(n, on), chip) for n in layers),
                    weight_bytes=sum(made.ground.weights[n] for n in layers),
                    line_bytes=sum(made.held[n] for n in layers),
                    context=number,
                )
            )
    return tuple(out)
