"""What the simulator plays: tasks that release jobs, and where those jobs may run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dse.mapping.schedule import Program


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job every ``1 / rate_hz`` seconds from ``phase_s`` on, each late by up to ``jitter_s``."""

    rate_hz: float
    phase_s: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Poisson:
    """Jobs at exponential intervals with mean ``1 / rate_hz``."""

    rate_hz: float


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs at the given times, s, ascending."""

    times_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Triggered:
    """A job whenever a job of task ``after`` completes, with ``probability``."""

    after: str
    probability: float = 1.0


Release = Periodic | Poisson | Trace | Triggered


@dataclass(frozen=True)
class Task:
    """A stream of inferences of one program.

    Attributes:
        name: the stream's id, unique in an app.
        program: what one job runs.
        release: when jobs arrive.
        deadline_s: relative to release; None if there is none.
        percentile: share of jobs that must meet the deadline (1.0 = all).
        priority: smaller is more urgent (fixed-priority scheduling).
        cores: cores a job may use one of; a program split over n cores takes the first n together.
        late: ``drop`` a job whose deadline has passed before it starts, ``skip`` one that could no
            longer meet it even alone on the chip, or ``keep`` all.
    """

    name: str
    program: Program
    release: Release
    deadline_s: float | None = None
    percentile: float = 1.0
    priority: int = 0
    cores: tuple[int, ...] = (0,)
    late: Literal["drop", "skip", "keep"] = "keep"


@dataclass(frozen=True, slots=True)
class Policy:
    """How the simulator decides.

    ``scheduler``: ``edf``, ``fifo``, ``fixed`` (priority) or ``rm`` (rate-monotonic).
    ``preemption``: at ``segment`` (tile), ``layer`` or job boundary (``none``).
    ``window_s`` is the window of the peak power.
    """

    scheduler: Literal["edf", "fifo", "fixed", "rm"] = "edf"
    preemption: Literal["segment", "layer", "none"] = "layer"
    horizon_s: float = 1.0
    seed: int = 0
    window_s: float = 1e-3


@dataclass(frozen=True, slots=True)
class Job:
    """One finished, dropped or unfinished inference."""

    task: str
    index: int
    release_s: float
    start_s: float | None
    finish_s: float | None
    dropped: bool = False
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the load as given cannot meet its demands, found by arithmetic or during the run.

    ``kind``: ``overload`` (a resource is offered more work than it has time: ``value`` > ``limit``
    = 1), ``deadline`` (``value`` s alone on the chip against a deadline of ``limit`` s) or
    ``backlog`` (``value`` jobs still waiting at the horizon, ``limit`` 0). ``subject`` is the
    resource or the task.
    """

    kind: Literal["overload", "deadline", "backlog"]
    subject: str
    value: float
    limit: float
    message: str


@dataclass(frozen=True, slots=True)
class Hotspot:
    """The layer of a task on which its jobs spent the most time, waiting for a core left out.

    ``share`` of the task's running time; ``stretch`` = time taken / time alone (1.0 if nobody else
    used the links); ``bottleneck`` is the engine or link that sets its pace.
    """

    layer: str
    bottleneck: str
    seconds: float
    share: float
    stretch: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A core busy with one layer of one job (for traces)."""

    core: int
    task: str
    job: int
    layer: str
    start_s: float
    end_s: float
    bottleneck: str


@dataclass(frozen=True)
class Timeline:
    """What happened, over ``horizon_s`` of simulated time.

    Power is piecewise constant: ``edges_s`` (n+1 times) and for each component of the scope
    ``die_dram`` n values in W (``power_w``); ``module_w`` adds the conversion losses of the PMIC
    interval by interval. ``energy_j`` by component is exactly the integral. ``busy_s`` by resource
    (``core0``, ``dram`` ...).

    Components are the action groups of ``Chip.prices`` (``mac``, ``dram`` ...) and
    ``static.<component>`` of ``Chip.static``; ``scope_of`` gives the scope of each.
    ``static_j`` is the static energy under the plain names of ``Chip.static``; ``state_energy_j``
    splits it into ``active``, ``idle``, ``gated`` and ``wake``.
    ``peak_power_w``, ``scope_energy_j`` and ``average_power_w`` are by scope (``npu``, ``die``,
    ``die_dram``, ``module``), each containing the one before. ``offered_load`` is work asked for
    per resource over time there is; ``backlog`` counts jobs waiting or running at the horizon;
    ``reasons`` say what cannot work, ``hotspots`` where the time of each task goes.
    """

    horizon_s: float
    jobs: tuple[Job, ...]
    intervals: tuple[Interval, ...]
    edges_s: tuple[float, ...]
    power_w: dict[str, tuple[float, ...]]
    module_w: tuple[float, ...]
    energy_j: dict[str, float]
    scope_energy_j: dict[str, float]
    peak_power_w: dict[str, float]
    busy_s: dict[str, float]
    link_bytes: dict[str, float]
    events: int
    completed: dict[str, int] = field(default_factory=dict)
    scope_of: dict[str, str] = field(default_factory=dict)
    state_energy_j: dict[str, float] = field(default_factory=dict)
    static_j: dict[str, float] = field(default_factory=dict)
    offered_load: dict[str, float] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    hotspots: dict[str, Hotspot] = field(default_factory=dict)

    @property
    def average_power_w(self) -> dict[str, float]:
        """Mean power over the horizon by scope, W."""
        return {scope: joules / self.horizon_s for scope, joules in self.scope_energy_j.items()}
