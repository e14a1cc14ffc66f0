"""Where tasks run: pinned to cores one by one, or a network's layers dealt out over several.

A pipeline is a chain of tasks, one for each run of layers, each on a core of its own: while one
frame is in its second part, the next is in its first. Each part is mapped by itself on its core, so
its weights may stay in that core's buffer between frames (a pipeline in space, as in distributed
dataflow chips). Activations pass from part to part through the memory that the cores share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.kinds import one_kind, view_of
from dse.mapping import Objective, Program, layer_latencies_s, map_network, program_latency_s
from dse.simulation.checks import DEADLINE_SLACK, rates_hz
from dse.simulation.handing import through_l2
from dse.simulation.noc import Network
from dse.simulation.task import Job, Release, Task, Timeline, Triggered
from dse.workload.layer import Workload


def partition(tasks: Sequence[Task], chip: Chip, horizon_s: float = 1.0) -> tuple[Task, ...]:
    """The tasks pinned to one of their cores each, the heaviest first, to the least loaded one.

    Tasks that take several cores together are left as they are and counted on each of theirs.
    """
    load = [0.0] * chip.cores
    rates = rates_hz(tasks, horizon_s)
    need = {task.name: rates[task.name] * _time_s(task, chip) for task in tasks}
    pinned: dict[str, Task] = {}
    for task in sorted(tasks, key=lambda one: -need[one.name]):
        width = task.program.cores
        if width > 1:
            chosen = task.cores[:width]
            pinned[task.name] = task
        else:
            chosen = (min(task.cores, key=lambda core: load[core]),)
            pinned[task.name] = replace(task, cores=chosen)
        for core in chosen:
            load[core] += need[task.name]
    return tuple(pinned[task.name] for task in tasks)


def _time_s(task: Task, chip: Chip) -> float:
    view = view_of(chip, task.cores[0])
    return sum(stage.repeat * program_latency_s(stage.program, view) for stage in task.parts)


def balanced_cuts(times: Sequence[float], parts: int) -> tuple[int, ...]:
    """Where to cut a sequence into ``parts`` runs so that the longest takes least.

    Returns:
        ``parts + 1`` ascending positions from 0 to ``len(times)``.
    """
    if not 1 <= parts <= len(times):
        raise InputError(
            f"{len(times)} layers cannot be dealt out over {parts} cores",
            field="parts",
            mend=f"use 1 to {len(times)} parts",
        )
    total = [0.0]
    for time in times:
        total.append(total[-1] + time)
    count = len(times)
    best = [total[end] for end in range(count + 1)]
    cuts: list[list[int]] = [[0] * (count + 1)]
    for part in range(2, parts + 1):
        longest, where = [0.0] * (count + 1), [0] * (count + 1)
        for end in range(part, count + 1):
            longest[end], where[end] = min(
                (max(best[cut], total[end] - total[cut]), cut) for cut in range(part - 1, end)
            )
        best = longest
        cuts.append(where)
    out = [count]
    for where in reversed(cuts[1:]):
        out.append(where[out[-1]])
    return (0, *reversed(out))


def part_of(workload: Workload, start: int, stop: int) -> Workload:
    """The layers ``start`` to ``stop`` (excluded) of a network as a network of their own."""
    layers = workload.layers[start:stop]
    made = {name for layer in layers for name in layer.outputs}
    read = dict.fromkeys(
        name
        for layer in layers
        for name in (*layer.inputs, *((layer.w_tensor,) if layer.w_tensor else ()))
    )
    later = {
        name
        for layer in workload.layers[stop:]
        for name in (*layer.inputs, *((layer.w_tensor,) if layer.w_tensor else ()))
    }
    given = {name for layer in workload.layers[:start] for name in layer.outputs}
    given |= set(workload.inputs)
    used = made | set(read)
    return replace(
        workload,
        name=f"{workload.name}[{start}:{stop}]",
        layers=layers,
        tensors={name: t for name, t in workload.tensors.items() if name in used},
        inputs=tuple(name for name in read if name in given and name not in made),
        outputs=tuple(
            dict.fromkeys(
                name
                for layer in layers
                for name in layer.outputs
                if name in later or name in workload.outputs
            )
        ),
        digest=f"{workload.digest}[{start}:{stop}]",
    )


def pipeline_parts(
    workload: Workload,
    chip: Chip,
    parts: int,
    objective: Objective = "edp",
    *,
    shared: bool = False,
) -> tuple[tuple[Workload, Program], ...]:
    """Consecutive runs of layers, as equal in time as whole layers allow, each with its program.

    Only the first one is invoked by the host. What they hand each other and their weights stay in
    the L2 as far as it has room for all parts at once (:mod:`dse.simulation.handing`); weights do
    not if others need the room (``shared``).

    Raises:
        InputError: more parts than layers, or a chip with several kinds of cores.
        UnmappableError: as :func:`dse.mapping.network.program.map_network`.
    """
    one_kind(chip)
    whole = map_network(workload, chip, objective)
    first, *others = layer_latencies_s(whole, chip)
    cuts = balanced_cuts([whole.invoke_s + first, *others], parts)
    pieces = [part_of(workload, a, b) for a, b in pairwise(cuts)]
    handing = through_l2(pieces, chip, alone=not shared)
    if handing is not None:
        kept = [
            map_network(piece, chip, objective, shared=True, keep_bytes=keep, handed=handing.names)
            for piece, keep in zip(pieces, handing.keep_bytes, strict=True)
        ]
        return tuple(zip(pieces, _called_once(kept), strict=True))
    programs = [map_network(piece, chip, objective, shared=shared) for piece in pieces]
    room = chip.links["l2"].capacity_bytes if "l2" in chip.links else 0.0
    if sum(program.resident_bytes.get("l2", 0.0) for program in programs) > room:
        programs = [map_network(piece, chip, objective, shared=True) for piece in pieces]
    return tuple(zip(pieces, _called_once(programs), strict=True))


def _called_once(programs: Sequence[Program]) -> list[Program]:
    """The programs of the parts, of which the host calls the first."""
    return [programs[0], *(replace(program, invoke_s=0.0) for program in programs[1:])]


def bytes_between(pieces: Sequence[Workload]) -> tuple[float, ...]:
    """Bytes that each part but the first is given by the parts before it."""
    made: set[str] = set()
    out = []
    for before, piece in pairwise(pieces):
        made |= {name for layer in before.layers for name in layer.outputs}
        out.append(float(sum(piece.tensors[name].bytes for name in piece.inputs if name in made)))
    return tuple(out)


def pipeline_tasks(
    name: str,
    programs: Sequence[Program],
    chip: Chip,
    release: Release,
    cores: Sequence[int],
    *,
    deadline_s: float | None = None,
    percentile: float = 1.0,
    bytes_between: Sequence[float] = (),
    priority: int = 0,
    late: Literal["drop", "skip", "keep"] = "keep",
    names: Sequence[str] = (),
) -> tuple[Task, ...]:
    """A chain of tasks ``name.0``, ``name.1`` ... , each part on a core of its own.

    Args:
        release: of the first part.
        cores: one for each part.
        deadline_s: of all parts, from the release of the first (a part that is not the last is as
            urgent as the whole).
        late: what becomes of late jobs before the first part; what has begun is finished.
        names: of the tasks, in place of the above.
        bytes_between: activations from each part to the next; counted where parts are on dies with
            memories of their own, whose links they cross.
    """
    if len(cores) != len(programs):
        raise InputError(
            f"{len(programs)} parts, {len(cores)} cores",
            field=f"tasks.{name}.cores",
            mend="give one core for each part",
        )
    network = Network(chip)
    labels = names or [f"{name}.{number}" for number in range(len(programs))]
    tasks = []
    for number, (program, core) in enumerate(zip(programs, cores, strict=True)):
        receive = None
        apart = number and network.apart(cores[number - 1], core)
        if apart and number <= len(bytes_between):
            receive = (cores[number - 1], bytes_between[number - 1])
        tasks.append(
            Task(
                labels[number],
                program,
                Triggered(labels[number - 1]) if number else release,
                deadline_s=deadline_s,
                percentile=percentile,
                priority=priority,
                cores=(core,),
                late="keep" if number else late,
                receive=receive,
                continues=number > 0,
            )
        )
    return tuple(tasks)


def as_whole(timeline: Timeline, parts: Mapping[str, Sequence[Task]]) -> Timeline:
    """A timeline in which the jobs of pipelines are whole, from first release to last completion.

    The n-th job that completes a part is the n-th of the next one, since a part has a core of its
    own and jobs of one task never pass each other. Everything but ``jobs``, ``completed``,
    ``backlog``, ``hotspots`` and the mean of ``completed`` stays as it was played.

    Args:
        parts: the tasks of each pipeline in order, by the name of the first.
    """
    by_task: dict[str, list[Job]] = {}
    for job in timeline.jobs:
        by_task.setdefault(job.task, []).append(job)
    jobs, completed = [], dict(timeline.completed)
    backlog, hotspots = dict(timeline.backlog), dict(timeline.hotspots)
    per_window = dict(timeline.mean.completed) if timeline.mean else {}
    for name, tasks in parts.items():
        labels = [task.name for task in tasks]
        rows: list[list[Job]] = [[job] for job in by_task.pop(name, [])]
        going = rows
        for label in labels[1:]:
            going = [row for row in going if row[-1].finish_s is not None]
            for row, job in zip(going, by_task.pop(label, []), strict=False):
                row.append(job)
            going = [row for row in going if row[-1].task == label]
        whole = [_joined(row, len(labels), tasks[0], timeline.horizon_s) for row in rows]
        jobs += whole
        completed[name] = sum(job.finish_s is not None for job in whole)
        backlog[name] = sum(job.finish_s is None and not job.dropped for job in whole)
        spots = [hotspots.pop(label) for label in labels if label in hotspots]
        if spots:
            hotspots[name] = max(spots, key=lambda spot: spot.seconds)
        for label in labels[1:]:
            completed.pop(label, None)
            backlog.pop(label, None)
            if label in per_window:
                per_window[name] = per_window.pop(label)
    rest = [job for some in by_task.values() for job in some]
    return replace(
        timeline,
        jobs=tuple(rest + jobs),
        completed=completed,
        backlog=backlog,
        hotspots=hotspots,
        mean=replace(timeline.mean, completed=per_window) if timeline.mean else None,
    )


def _joined(row: Sequence[Job], count: int, task: Task, horizon_s: float) -> Job:
    first = row[0]
    finish = row[-1].finish_s if len(row) == count else None
    late = False
    if task.deadline_s is not None:
        due = first.release_s + task.deadline_s * (1.0 + DEADLINE_SLACK)
        late = due < horizon_s if finish is None else finish > due
    return replace(first, finish_s=finish, missed=first.dropped or late)
