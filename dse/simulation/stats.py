"""A timeline summed up by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.simulation.task import Task, Timeline


@dataclass(frozen=True, slots=True)
class TaskStats:
    """How the jobs of one task fared. Times in s from release to completion.

    Latencies are of completed jobs only (None without any), each an observed value: the smallest
    that at least the given share of completed jobs does not exceed. ``missed_fraction`` counts
    late, dropped and unfinished jobs past their deadline, over ``judged`` jobs: all released but
    those that are unfinished and not due yet. ``percentile_met`` tells whether enough jobs made it.
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


def task_stats(timeline: Timeline, tasks: Sequence[Task]) -> list[TaskStats]:
    """One record per task, in the order of ``tasks``."""
    return [_stats(timeline, task) for task in tasks]


def _stats(timeline: Timeline, task: Task) -> TaskStats:
    jobs = [job for job in timeline.jobs if job.task == task.name]
    latencies = np.array([job.finish_s - job.release_s for job in jobs if job.finish_s is not None])
    missed = sum(job.missed for job in jobs)
    judged = sum(job.finish_s is not None or job.missed for job in jobs)
    fraction = missed / judged if judged else 0.0

    def at(share: float) -> float | None:
        if not latencies.size:
            return None
        return float(np.quantile(latencies, share, method="inverted_cdf"))

    return TaskStats(
        name=task.name,
        released=len(jobs),
        judged=judged,
        completed=int(latencies.size),
        dropped=sum(job.dropped for job in jobs),
        missed=missed,
        missed_fraction=fraction,
        latency_p50_s=at(0.5),
        latency_p90_s=at(0.9),
        latency_p99_s=at(0.99),
        latency_p999_s=at(0.999),
        latency_max_s=at(1.0),
        latency_mean_s=float(latencies.mean()) if latencies.size else None,
        deadline_s=task.deadline_s,
        percentile_met=1.0 - fraction >= task.percentile - 1e-12,
        throughput_per_s=latencies.size / timeline.horizon_s,
    )
