"""Refuses loads that mean nothing, and says what to mend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.simulation.task import Periodic, Poisson, Policy, Task, Trace, Triggered

#: Most jobs one simulation may release; bounds memory and time whatever the load.
MAX_JOBS = 200_000
#: A job misses its deadline only beyond this relative excess, which is rounding.
DEADLINE_SLACK = 1e-9


def check(chip: Chip, tasks: Sequence[Task], policy: Policy) -> None:
    """Raise :class:`InputError` for the first fault found in the policy or the tasks."""
    _check_policy(policy)
    by_name: dict[str, Task] = {}
    for task in tasks:
        if not task.name:
            raise InputError("a task has no name", field="tasks.name", mend="give every task one")
        if task.name in by_name:
            raise InputError(
                f"two tasks are called {task.name!r}",
                field=f"tasks.{task.name}",
                mend="give each task a name of its own",
            )
        by_name[task.name] = task
    for task in tasks:
        _check_cores(chip, task)
        _check_stages(task)
        _check_release(task, by_name)
        if task.deadline_s is not None and not (0.0 < task.deadline_s < math.inf):
            raise InputError(
                f"deadline {task.deadline_s} s is not a positive time",
                field=f"tasks.{task.name}.deadline_s",
                mend="give seconds above 0, or leave the deadline out",
            )
    for task in tasks:
        root(task, by_name)
    _check_amount(tasks, by_name, policy)


def root(task: Task, by_name: Mapping[str, Task]) -> Task:
    """The task that starts the chain of ``task`` (itself unless triggered).

    Raises:
        InputError: if the chain comes back to a task it has passed.
    """
    path = [task.name]
    while isinstance(task.release, Triggered):
        task = by_name[task.release.after]
        if task.name in path:
            ring = " -> ".join([*path[path.index(task.name) :], task.name])
            raise InputError(
                f"the triggers form a cycle: {ring} (each waits for the next)",
                field=f"tasks.{path[0]}.release.after",
                mend="let one task of the ring be periodic, Poisson or a trace",
            )
        path.append(task.name)
    return task


def rates_hz(tasks: Sequence[Task], horizon_s: float) -> dict[str, float]:
    """Mean rate at which each (checked) task is asked for, jobs/s; a chain multiplies through."""
    by_name = {task.name: task for task in tasks}

    def rate(task: Task) -> float:
        release = task.release
        if isinstance(release, Triggered):
            return release.probability * rate(by_name[release.after])
        if isinstance(release, Trace):
            if release.length_s is not None:
                return len(release.times_s) / release.length_s
            return sum(1 for time in release.times_s if time < horizon_s) / horizon_s
        return release.rate_hz

    return {task.name: rate(task) for task in tasks}


def job_counts(tasks: Sequence[Task], horizon_s: float) -> dict[str, float]:
    """How many jobs each task releases at its mean rate."""
    return {name: rate * horizon_s for name, rate in rates_hz(tasks, horizon_s).items()}


def _check_policy(policy: Policy) -> None:
    for name in ("horizon_s", "window_s"):
        value = getattr(policy, name)
        if not (0.0 < value < math.inf):
            raise InputError(
                f"{value} is not a positive, finite time",
                field=f"policy.{name}",
                mend="give seconds above 0",
            )
    if policy.finish_s is not None and not (0.0 <= policy.finish_s < math.inf):
        raise InputError(
            f"{policy.finish_s} is no finite time of 0 s or more",
            field="policy.finish_s",
            mend="give seconds, or leave it out: the play is cut at the horizon",
        )
    if policy.seed < 0:
        raise InputError(f"{policy.seed} is negative", field="policy.seed", mend="use 0 or more")
    for name, allowed in (
        ("scheduler", ("edf", "fifo", "fixed", "rm")),
        ("preemption", ("segment", "layer", "none")),
    ):
        value = getattr(policy, name)
        if value not in allowed:
            raise InputError(
                f"unknown {name} {value!r}",
                field=f"policy.{name}",
                mend=f"use one of {', '.join(allowed)}",
            )


def _check_cores(chip: Chip, task: Task) -> None:
    field = f"tasks.{task.name}.cores"
    if not task.cores or len(set(task.cores)) != len(task.cores):
        raise InputError(f"{task.cores} names no core or one twice", field=field, mend="list cores")
    wrong = [core for core in task.cores if not 0 <= core < chip.cores]
    if wrong:
        raise InputError(
            f"core {wrong[0]} is not on chip {chip.name!r}",
            field=field,
            mend=f"use cores 0 to {chip.cores - 1}",
        )
    kinds = [kind.name for kind in chip.kinds if set(kind.cores) & set(task.cores)]
    if len(kinds) > 1:
        raise InputError(
            f"cores {', '.join(map(str, task.cores))} are of several kinds ({', '.join(kinds)}), "
            "a program is mapped for one",
            field=field,
            mend="name cores of one kind, and map the program onto its view of the chip",
        )
    if task.program.cores > len(task.cores):
        raise InputError(
            f"the program is split over {task.program.cores} cores, {len(task.cores)} are allowed",
            field=field,
            mend=f"allow {task.program.cores} cores, or map the program onto fewer",
        )


def _check_stages(task: Task) -> None:
    for number, stage in enumerate(task.stages):
        field = f"tasks.{task.name}.stages[{number}]"
        if stage.repeat < 1:
            raise InputError(
                f"a stage runs {stage.repeat} times",
                field=f"{field}.repeat",
                mend="give 1 or more, or leave the stage out",
            )
        if stage.program.cores != task.program.cores:
            raise InputError(
                f"stage {stage.program.name!r} is split over {stage.program.cores} cores, "
                f"the first over {task.program.cores}",
                field=f"{field}.program",
                mend="map all stages onto the same number of cores",
            )


def _check_release(task: Task, by_name: Mapping[str, Task]) -> None:
    release = task.release
    field = f"tasks.{task.name}.release"
    if isinstance(release, Periodic | Poisson) and not (0.0 < release.rate_hz < math.inf):
        raise InputError(
            f"rate {release.rate_hz} Hz is not positive",
            field=f"{field}.rate_hz",
            mend="give jobs per second above 0",
        )
    if isinstance(release, Periodic):
        for name in ("phase_s", "jitter_s"):
            value = getattr(release, name)
            if not (0.0 <= value < math.inf):
                raise InputError(
                    f"{value} s is negative or not finite",
                    field=f"{field}.{name}",
                    mend="give seconds of 0 or more",
                )
    if isinstance(release, Trace):
        times = release.times_s
        if any(not (0.0 <= time < math.inf) for time in times) or list(times) != sorted(times):
            raise InputError(
                "the release times are not ascending times of 0 s or more",
                field=f"{field}.times_s",
                mend="sort them, and count from the start of the simulation",
            )
    if isinstance(release, Triggered):
        if release.after not in by_name:
            raise InputError(
                f"no task is called {release.after!r}",
                field=f"{field}.after",
                mend=f"name one of {', '.join(sorted(by_name))}",
            )
        if not 0.0 <= release.probability <= 1.0:
            raise InputError(
                f"probability {release.probability} is not between 0 and 1",
                field=f"{field}.probability",
                mend="give a share of the jobs of the task before",
            )


def _check_amount(tasks: Sequence[Task], by_name: Mapping[str, Task], policy: Policy) -> None:
    amounts = job_counts(tasks, policy.horizon_s)
    total = sum(amounts.values())
    if total > MAX_JOBS:
        worst = max(amounts, key=lambda name: amounts[name])
        first = root(by_name[worst], by_name).name
        raise InputError(
            f"{total:.3g} jobs in {policy.horizon_s} s, more than {MAX_JOBS:,}",
            field=f"tasks.{first}.release",
            mend="lower the rate, or shorten the horizon (horizon_s)",
        )
