"""The rows of an app's record: one per stream instance, one per end-to-end chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dse.apps import App, Chain, Stream
from dse.apps.tasks import task_name
from dse.evaluation.bottleneck import bottleneck
from dse.evaluation.judged import assured_share
from dse.evaluation.loads import Load
from dse.evaluation.record import ChainRow, TaskRow
from dse.simulation.stats import TaskStats, observed
from dse.simulation.task import Job


def task_rows(
    loads: Sequence[Load], stats: Mapping[str, TaskStats], *, exact: bool = False
) -> tuple[TaskRow, ...]:
    """One row per stream instance of a chip.

    Args:
        exact: the streams repeat within what was observed.
    """
    return tuple(
        task_row(load, name, stats.get(name), exact=exact)
        for load in loads
        for index in range(load.stream.instances)
        for name in (task_name(load.stream, index),)
    )


def task_row(load: Load, name: str, entry: TaskStats | None, *, exact: bool = False) -> TaskRow:
    """The row of one instance; without ``entry`` (not simulated) with isolated times only."""
    stream, verdict, longest, chip = load.stream, load.verdict, load.longest, load.view
    request = stream.request
    dram = chip.links["dram"].peak_bytes_per_s if "dram" in chip.links else 0.0
    moved = longest.link_bytes.get("dram", 0.0)
    return TaskRow(
        task=name,
        stream=stream.id,
        model=load.model,
        precision=longest.workload.precision.name,
        rate_hz=load.rate_hz / stream.instances,
        deadline_s=stream.due_s,
        percentile=stream.percentile,
        isolated_latency_s=load.latency_s,
        energy_per_inference_j=load.dynamic_j("die_dram"),
        released=entry.released if entry else None,
        completed=entry.completed if entry else None,
        dropped=entry.dropped if entry else None,
        missed_fraction=entry.missed_fraction if entry else None,
        latency_p50_s=entry.latency_p50_s if entry else None,
        latency_p90_s=entry.latency_p90_s if entry else None,
        latency_p99_s=entry.latency_p99_s if entry else None,
        latency_p999_s=entry.latency_p999_s if entry else None,
        latency_max_s=entry.latency_max_s if entry else None,
        bottleneck=bottleneck(longest.program, chip) if longest.program else "bound",
        quality_metric=verdict.metric,
        quality_value=verdict.value,
        quality_margin=verdict.margin,
        meets_deadline=meets(load, entry),
        ttft_limit_s=request.ttft_s if request else None,
        tpot_limit_s=request.tpot_s if request else None,
        isolated_ttft_s=load.ttft_s,
        isolated_tpot_s=load.tpot_s,
        ttft_p50_s=entry.ttft_p50_s if entry else None,
        ttft_p99_s=entry.ttft_p99_s if entry else None,
        tpot_p50_s=entry.tpot_p50_s if entry else None,
        tpot_p99_s=entry.tpot_p99_s if entry else None,
        dram_peak_share=moved / (longest.latency_s * dram) if moved and dram else None,
        core_kind=load.kind,
        cores=load.allowed,
        judged=entry.judged if entry else None,
        assured_share=_assured(entry, exact) if entry and entry.judged else None,
    )


def _assured(entry: TaskStats, exact: bool) -> float:
    return 1.0 - entry.missed_fraction if exact else assured_share(entry.judged, entry.missed)


def meets(load: Load, entry: TaskStats | None) -> bool | None:
    """Whether a stream keeps its deadline and its limits; unsimulated only a No is certain.

    Simulated, None if no job was seen, or if those that are not decided may turn it.
    """
    stream, request = load.stream, load.stream.request
    limits = (request.ttft_s, request.tpot_s) if request else (None, None)
    if entry is None:
        alone = (load.ttft_s, load.tpot_s)
        pairs = ((load.latency_s, stream.due_s), *zip(alone, limits, strict=True))
        late = any(v is not None and limit is not None and v > limit for v, limit in pairs)
        return False if late else None
    waiting = entry.released - entry.judged
    found = (entry.ttft_p99_s, entry.tpot_p99_s)
    kept = all(
        limit is None or (value <= limit if value is not None else waiting or not entry.judged)
        for value, limit in zip(found, limits, strict=True)
    )
    allowed = (1.0 - stream.percentile + 1e-12) * entry.released
    if not kept or entry.missed > allowed:
        return False
    if not entry.released or (waiting and any(limit is not None for limit in limits)):
        return None
    return True if entry.missed + waiting <= allowed or stream.due_s is None else None


def chain_rows(app: App, jobs: Sequence[Job], horizon_s: float) -> tuple[ChainRow, ...]:
    """End-to-end latencies of the app's chains, from played jobs."""
    by_task: dict[str, list[Job]] = {}
    for job in jobs:
        by_task.setdefault(job.task, []).append(job)
    return tuple(_chain(app, chain, by_task, horizon_s) for chain in app.chains)


def _chain(
    app: App, chain: Chain, by_task: Mapping[str, Sequence[Job]], horizon_s: float
) -> ChainRow:
    done: list[float] = []
    lost = waiting = 0
    for position, name in enumerate(chain.streams):
        for job in _jobs(app.stream(name), by_task):
            due = job.root_release_s + chain.deadline_s
            if job.finish_s is None:
                lost += job.dropped or due < horizon_s
                waiting += not (job.dropped or due < horizon_s)
            elif position == len(chain.streams) - 1:
                done.append(job.finish_s - job.root_release_s)
    late = sum(latency > chain.deadline_s * (1.0 + 1e-9) for latency in done)
    judged = len(done) + lost
    missed = (late + lost) / judged if judged else 0.0
    return ChainRow(
        chain=chain.id,
        streams=chain.streams,
        deadline_s=chain.deadline_s,
        percentile=chain.percentile,
        judged=judged,
        missed_fraction=missed,
        latency_p50_s=observed(done, 0.5),
        latency_p99_s=observed(done, 0.99),
        latency_max_s=observed(done, 1.0),
        isolated_latency_s=None,
        meets_deadline=_chain_meets(chain, judged, late + lost, waiting),
    )


def _chain_meets(chain: Chain, judged: int, missed: int, waiting: int) -> bool | None:
    """None if no job has gone all the way, or if those on the way may turn it."""
    allowed = (1.0 - chain.percentile + 1e-12) * (judged + waiting)
    if missed > allowed:
        return False
    return True if judged and missed + waiting <= allowed else None


def _jobs(stream: Stream, by_task: Mapping[str, Sequence[Job]]) -> list[Job]:
    names = [task_name(stream, index) for index in range(stream.instances)]
    return [job for name in names for job in by_task.get(name, ())]


def isolated_chains(app: App, latencies_s: Mapping[str, float]) -> tuple[ChainRow, ...]:
    """The chains from isolated latencies by stream: a lower bound, so only a No is certain."""
    out = []
    for chain in app.chains:
        total = sum(latencies_s[name] for name in chain.streams)
        late = total > chain.deadline_s
        out.append(
            ChainRow(
                chain=chain.id,
                streams=chain.streams,
                deadline_s=chain.deadline_s,
                percentile=chain.percentile,
                judged=None,
                missed_fraction=None,
                latency_p50_s=None,
                latency_p99_s=None,
                latency_max_s=None,
                isolated_latency_s=total,
                meets_deadline=False if late else None,
            )
        )
    return tuple(out)
