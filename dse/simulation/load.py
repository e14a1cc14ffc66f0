"""What is asked of the chip against what it has, by arithmetic, without playing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dse.hardware.chip import LINKS, Chip
from dse.simulation.checks import rates_hz
from dse.simulation.plan import SHARED
from dse.simulation.task import Reason, Task
from dse.simulation.thermal import Heat
from dse.simulation.work import Work

#: Loads count as too much only beyond this excess, which is rounding.
_SLACK = 1e-9


def loads(
    chip: Chip,
    tasks: Sequence[Task],
    works: Mapping[str, Work],
    horizon_s: float,
    network: Sequence[str] = (),
) -> dict[str, float]:
    """Work asked for over time there is, by resource (``core0`` ..., ``dram`` ..., ``host``).

    Times are those of each program alone; a task that may use several cores counts on each in equal
    parts. Above 1 a resource cannot keep up; below 1 it may still miss deadlines. ``works`` are
    those of the checked tasks; ``network`` names core links.
    """
    out = {f"core{core}": 0.0 for core in range(chip.cores)}
    out.update(dict.fromkeys((*SHARED, *network), 0.0))
    rates = rates_hz(tasks, horizon_s)
    for task in tasks:
        work, rate = works[task.name], rates[task.name]
        width = task.program.cores
        cores = task.cores[:width] if width > 1 else task.cores
        for core in cores:
            out[f"core{core}"] += rate * work.service_s * width / len(cores)
        for seg, steps in work.totals():
            for name, amount in zip(LINKS, seg.link_bytes, strict=True):
                if amount > 0.0:
                    out[name] += rate * steps * amount / chip.links[name].bytes_per_s
            out["host"] += rate * steps * seg.host_s
            for name, share in zip(network, seg.use[len(SHARED) :], strict=False):
                out[name] += rate * steps * seg.step_s * share
    return out


def reasons(
    chip: Chip,
    tasks: Sequence[Task],
    works: Mapping[str, Work],
    load: Mapping[str, float],
    backlog: Mapping[str, int],
    horizon_s: float,
) -> tuple[Reason, ...]:
    """Everything that certainly cannot work, and what was left waiting."""
    out: list[Reason] = []
    for task in tasks:
        alone = works[task.name].alone_s
        if task.deadline_s is not None and alone > task.deadline_s * (1.0 + _SLACK):
            text = (
                f"{task.name}: takes {alone:.3g} s alone on {chip.name}, its deadline is "
                f"{task.deadline_s:.3g} s: short by {alone - task.deadline_s:.3g} s"
            )
            out.append(Reason("deadline", task.name, alone, task.deadline_s, text))
    for name, value in {**_core_sets(tasks, works, horizon_s), **_shared(load)}.items():
        if value > 1.0 + _SLACK:
            text = f"{name}: offered {value:.3g} times the work it has time for"
            out.append(Reason("overload", name, value, 1.0, text))
    overloaded = any(reason.kind == "overload" for reason in out)
    for name, count in backlog.items():
        if overloaded and count > 1:
            text = f"{name}: {count} jobs not finished at the horizon"
            out.append(Reason("backlog", name, float(count), 0.0, text))
    return tuple(out)


def too_hot(chip: Chip, heat: Heat) -> tuple[Reason, ...]:
    """That the junction stays above its limit although nothing slower is left."""
    limit = heat.thermal.limit_c
    if heat.stuck_c <= limit:
        return ()
    text = (
        f"junction: {heat.stuck_c:.4g} C at the slowest operating point of {chip.name}, "
        f"{heat.stuck_c - limit:.3g} K above the limit of {limit:g} C"
    )
    return (Reason("thermal", "junction", heat.stuck_c, limit, text),)


def _shared(load: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in load.items() if not name.startswith("core")}


def _core_sets(
    tasks: Sequence[Task], works: Mapping[str, Work], horizon_s: float
) -> dict[str, float]:
    """Load of sets of cores by the tasks that can run nowhere else: above 1 it cannot work."""
    rates = rates_hz(tasks, horizon_s)
    used = {
        task.name: frozenset(
            task.cores[: task.program.cores] if task.program.cores > 1 else task.cores
        )
        for task in tasks
    }
    sets = {*used.values(), frozenset().union(*used.values())} if used else set()
    out: dict[str, float] = {}
    for cores in sorted(sets, key=sorted):
        bound = [task for task in tasks if used[task.name] <= cores]
        work = sum(
            rates[task.name] * works[task.name].service_s * task.program.cores for task in bound
        )
        name = "+".join(f"core{core}" for core in sorted(cores))
        out[name] = work / len(cores)
    return out
