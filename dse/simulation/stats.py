"""A timeline summed up by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.simulation.task import Task, Timeline, Triggered


@dataclass(frozen=True, slots=True)
class TaskStats:
    """How the jobs of one task fared. Times in s from release to completion.

    Latencies are of completed jobs only (None without any), each an observed value: the smallest
    that at least the given share of completed jobs does not exceed. ``missed_fraction`` counts
    late, dropped and unfinished jobs past their deadline, over ``judged`` jobs: all released but
    those that are unfinished and not due yet. ``percentile_met`` tells whether enough jobs made it.

    ``ttft_*``: from release to the end of the first stage (time to first token); ``tpot_*``: from
    there to completion, over the runs of all later stages (time per output token); None without
    stages. ``chain_latency_*``: from the release that started the chain to completion, end to end;
    None for a task that is not triggered.
    """

    name: str
    released: int
    judged: int
    completed: int
    dropped: int
    missed: int
    missed_fraction: float
    latency_p50_s: float | None
    latency_p90_s: float | None
    latency_p99_s: float | None
    latency_p999_s: float | None
    latency_max_s: float | None
    latency_mean_s: float | None
    deadline_s: float | None
    percentile_met: bool
    throughput_per_s: float
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p99_s: float | None = None
    ttft_max_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p90_s: float | None = None
    tpot_p99_s: float | None = None
    tpot_max_s: float | None = None
    chain_latency_p50_s: float | None = None
    chain_latency_p90_s: float | None = None
    chain_latency_p99_s: float | None = None
    chain_latency_max_s: float | None = None


def task_stats(timeline: Timeline, tasks: Sequence[Task]) -> list[TaskStats]:
    """One record per task, in the order of ``tasks``."""
    return [_stats(timeline, task) for task in tasks]


def observed(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of ``values`` does not exceed; None of none."""
    if not values:
        return None
    return float(np.quantile(np.asarray(values), share, method="inverted_cdf"))


def _stats(timeline: Timeline, task: Task) -> TaskStats:
    jobs = [job for job in timeline.jobs if job.task == task.name]
    done = [(job, job.finish_s) for job in jobs if job.finish_s is not None]
    latencies = [finish - job.release_s for job, finish in done]
    missed = sum(job.missed for job in jobs)
    judged = sum(job.finish_s is not None or job.missed for job in jobs)
    fraction = missed / judged if judged else 0.0
    first = [job.first_stage_s - job.release_s for job in jobs if job.first_stage_s is not None]
    runs = sum(stage.repeat for stage in task.stages[1:])
    each = [
        (finish - job.first_stage_s) / runs
        for job, finish in done
        if job.first_stage_s is not None and runs
    ]
    chained = isinstance(task.release, Triggered)
    chain = [finish - job.root_release_s for job, finish in done] if chained else []
    return TaskStats(
        name=task.name,
        released=len(jobs),
        judged=judged,
        completed=len(done),
        dropped=sum(job.dropped for job in jobs),
        missed=missed,
        missed_fraction=fraction,
        latency_p50_s=observed(latencies, 0.5),
        latency_p90_s=observed(latencies, 0.9),
        latency_p99_s=observed(latencies, 0.99),
        latency_p999_s=observed(latencies, 0.999),
        latency_max_s=observed(latencies, 1.0),
        latency_mean_s=float(np.mean(latencies)) if latencies else None,
        deadline_s=task.deadline_s,
        percentile_met=1.0 - fraction >= task.percentile - 1e-12,
        throughput_per_s=len(done) / (timeline.observed_s or timeline.horizon_s),
        ttft_p50_s=observed(first, 0.5),
        ttft_p90_s=observed(first, 0.9),
        ttft_p99_s=observed(first, 0.99),
        ttft_max_s=observed(first, 1.0),
        tpot_p50_s=observed(each, 0.5),
        tpot_p90_s=observed(each, 0.9),
        tpot_p99_s=observed(each, 0.99),
        tpot_max_s=observed(each, 1.0),
        chain_latency_p50_s=observed(chain, 0.5),
        chain_latency_p90_s=observed(chain, 0.9),
        chain_latency_p99_s=observed(chain, 0.99),
        chain_latency_max_s=observed(chain, 1.0),
    )
