"""What the benchmarks share: CPU time of a piece of work, distinct layers, designs drawn."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from dse.search.experiment import Experiment
    from dse.workload.layer import Layer, Workload

#: The reference space, on which searches and designs a second are measured.
STUDY = Path(__file__).resolve().parents[1] / "studies" / "reference_space" / "space.yaml"
#: Fields of a layer on which its mapping does not depend.
CALLED = {"name", "op", "nodes", "inputs", "outputs", "w_tensor", "note", "rectified"}

T = TypeVar("T")


@dataclass(frozen=True)
class Spent(Generic[T]):
    """What a piece of work took, in this process and in those it started and waited for."""

    user_s: float
    system_s: float
    result: T

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


def spent(work: Callable[[], T]) -> Spent[T]:
    """Do the work once and count its CPU time; waiting, and other processes, do not count."""
    before = _used()
    result = work()
    user_s, system_s = (now - then for now, then in zip(_used(), before, strict=True))
    return Spent(user_s, system_s, result)


def _used() -> tuple[float, float]:
    """User and system CPU time so far, s."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime for part in parts), sum(part.ru_stime for part in parts)


def peak_mb() -> float:
    """Most memory that this process, or one it waited for, held at once, MB.

    Of the others' the system says no less than this process held when it started them.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    try:  # what getrusage says of a process itself counts its parent's memory, too
        status = Path("/proc/self/status").read_text()
        own = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, children) * 1024 / 1e6


def distinct_layers(workload: Workload) -> list[Layer]:
    """Compute layers of a network that differ in more than what they are called, the first of each.

    By the fields of a layer, as far as a commit has them, so that it runs on every commit.
    """
    found: dict[tuple[Any, ...], Layer] = {}
    for layer in workload.layers:
        if layer.kind == "compute":
            names = [field.name for field in fields(layer) if field.name not in CALLED]
            found.setdefault(tuple(getattr(layer, name) for name in names), layer)
    return list(found.values())


def drawn_designs(experiment: Experiment, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Different designs of an experiment's space, drawn at random."""
    rng = random.Random(seed)
    drawn: dict[tuple[Any, ...], dict[str, Any]] = {}
    while len(drawn) < count:
        values = {path: rng.choice(part.values) for path, part in experiment.parameters.items()}
        drawn.setdefault(tuple(values.items()), values)
    return list(drawn.values())
