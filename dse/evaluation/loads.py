"""What each stream of an app asks of a chip: how often, for how long, how many bytes and joules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.apps import App, QualityVerdict, Stream, judge_quality
from dse.apps.score import stream_quality
from dse.apps.tasks import Runs
from dse.evaluation.energy import dynamic_by_scope_j
from dse.evaluation.model_run import link_totals
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip
from dse.mapping.bounds import roofline
from dse.mapping.mapper import Objective
from dse.mapping.network import map_network
from dse.mapping.schedule import Program, program_latency_s
from dse.simulation.task import Stage
from dse.workload import Workload


@dataclass(frozen=True)
class Part:
    """One network of a stream, run ``repeat`` times in a row per job.

    Times, bytes and joules are of one run. ``program`` is None at the roofline, where they are
    bounds.
    """

    name: str
    workload: Workload
    program: Program | None
    repeat: int
    latency_s: float
    link_bytes: Mapping[str, float]
    dynamic_j: Mapping[str, float]


@dataclass(frozen=True)
class Load:
    """One stream on a chip: its parts in order, how often, and its quality verdict."""

    stream: Stream
    parts: tuple[Part, ...]
    rate_hz: float
    cores: int
    verdict: QualityVerdict

    @property
    def workload(self) -> Workload:
        """The network of the first part."""
        return self.parts[0].workload

    @property
    def longest(self) -> Part:
        """The part that takes most of a job's time."""
        return max(self.parts, key=lambda part: part.repeat * part.latency_s)

    @property
    def latency_s(self) -> float:
        """One job alone on the chip, s."""
        return sum(part.repeat * part.latency_s for part in self.parts)

    @property
    def macs(self) -> float:
        """Multiply-accumulates of one job."""
        return sum(part.repeat * part.workload.macs for part in self.parts)

    @property
    def ttft_s(self) -> float | None:
        """First stage of a request alone on the chip, s; None for a plain stream."""
        if self.stream.request is None:
            return None
        return self.parts[0].repeat * self.parts[0].latency_s

    @property
    def tpot_s(self) -> float | None:
        """Mean time of a run after the first stage, alone on the chip, s."""
        first, repeats = self.ttft_s, sum(part.repeat for part in self.parts[1:])
        return None if first is None or not repeats else (self.latency_s - first) / repeats

    def bytes_over(self, link: str) -> float:
        """Bytes of one job over a link."""
        return sum(part.repeat * part.link_bytes.get(link, 0.0) for part in self.parts)

    def dynamic_j(self, scope: str) -> float:
        """Dynamic energy of one job, J."""
        return sum(part.repeat * part.dynamic_j[scope] for part in self.parts)

    @property
    def runs(self) -> Runs | None:
        """What the simulator plays; None at the roofline."""
        stages: list[Stage] = []
        for part in self.parts:
            if part.program is None:
                return None
            stages.append(Stage(part.program, part.repeat, part.name))
        if self.stream.request is None:
            return stages[0].program
        return tuple(stages)


def part_keys(stream: Stream) -> list[tuple[str, str, int]]:
    """Key of each network of a stream in the ``workloads`` mapping, its label and its repeats.

    A plain stream has one, under its id; a request one for each stage: the first under the id, the
    others as ``id.label``.
    """
    if stream.request is None:
        return [(stream.id, stream.id, 1)]
    out = []
    for index, stage in enumerate(stream.request.parts):
        label = stage.name or f"stage{index}"
        out.append((stream.id if index == 0 else f"{stream.id}.{label}", label, stage.repeat))
    return out


def stream_rate_hz(app: App, stream: Stream) -> float:
    """Mean jobs per second of all instances, chains and their probabilities followed."""
    if stream.after is None:
        return (stream.rate_hz or 0.0) * stream.instances
    source = app.stream(stream.after)
    share = stream.probability * stream.instances / source.instances
    return stream_rate_hz(app, source) * share


def stream_load(
    app: App,
    stream: Stream,
    workloads: Mapping[str, Workload],
    chip: Chip,
    mapped_on: Chip,
    objective: Objective,
    fidelity: Fidelity,
) -> Load:
    """One stream's networks mapped onto ``mapped_on`` and timed on ``chip``.

    Raises:
        UnmappableError: a network that the chip cannot run.
    """
    keys = part_keys(stream)
    cores = stream.width(chip.cores)
    shared = len(app.streams) > 1 or len(keys) > 1
    parts = tuple(
        make_part(
            label,
            workloads[key],
            repeat,
            chip,
            mapped_on,
            objective,
            fidelity,
            cores=cores,
            shared=shared,
        )
        for key, label, repeat in keys
    )
    judged = [stream_quality(stream.quality, part.workload) for part in parts]
    verdicts = [judge_quality(stream.id, stream.quality, found) for found in judged]
    return Load(stream, parts, stream_rate_hz(app, stream), cores, _worst(verdicts))


def make_part(
    label: str,
    workload: Workload,
    repeat: int,
    chip: Chip,
    mapped_on: Chip,
    objective: Objective,
    fidelity: Fidelity,
    *,
    cores: int,
    shared: bool,
) -> Part:
    """One network mapped (or bounded, at the roofline)."""
    if fidelity == "roofline":
        bound = roofline(workload, chip, cores)
        moved = {"dram": bound.dram_bytes}
        joules = dict.fromkeys(("npu", "die", "die_dram"), bound.dynamic_j)
        return Part(label, workload, None, repeat, bound.latency_s, moved, joules)
    program = map_network(workload, mapped_on, objective, cores=cores, shared=shared)
    latency = program_latency_s(program, chip)
    moved, joules = link_totals(program), dynamic_by_scope_j(program, chip)
    return Part(label, workload, program, repeat, latency, moved, joules)


def _worst(verdicts: Sequence[QualityVerdict]) -> QualityVerdict:
    """The verdict of a request: its worst part's; parts of which nothing is known do not count
    beside one that is (the metric is the request's, such as MMLU of prefill and decode alike)."""
    known = [verdict for verdict in verdicts if verdict.margin is not None]
    if known:
        return min(known, key=lambda verdict: verdict.margin or 0.0)
    failed = [verdict for verdict in verdicts if not verdict.passes]
    return failed[0] if failed else verdicts[0]


def utilization(loads: Sequence[Load], chip: Chip) -> dict[str, float]:
    """Necessary share of time by resource; above 1 the app cannot be served."""
    cores = sum(load.rate_hz * load.latency_s * load.cores for load in loads)
    out = {"cores": cores / chip.cores}
    for name, link in chip.links.items():
        if link.bytes_per_s > 0.0:
            moved = sum(load.rate_hz * load.bytes_over(name) for load in loads)
            out[name] = moved / link.bytes_per_s
    return out
