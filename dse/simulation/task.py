"""What the simulator plays: tasks that release jobs, and where those jobs may run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dse.errors import InputError
from dse.hardware.modes import Governor
from dse.mapping import Program


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
    """Jobs at the given times, s, ascending.

    ``length_s`` of the recording: the mean rate is over it. None: over the horizon, of those
    before it. ``roots_s``: of each job, when the chain that it belongs to was released; None: they
    start chains of their own.
    """

    times_s: tuple[float, ...]
    length_s: float | None = None
    roots_s: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Triggered:
    """A job whenever a job of task ``after`` completes, with ``probability``."""

    after: str
    probability: float = 1.0


Release = Periodic | Poisson | Trace | Triggered


@dataclass(frozen=True)
class Stage:
    """A part of a request: ``program``, run ``repeat`` times in a row.

    ``name`` labels it where a layer is named (the program's name unless given). The cost of a
    decode step grows with the length of its context: several stages at growing lengths.
    """

    program: Program
    repeat: int = 1
    name: str = ""


@dataclass(frozen=True)
class Task:
    """A stream of inferences of one program, or of requests that run several.

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
        stages: what one job runs instead of ``program``, in order (prefill, then decode steps; a
            policy's prefill, then action steps). Every run is an inference of its own: it pays
            ``invoke_s``, and gives way to a more urgent job before the next, whatever the
            preemption. All stages use the same number of cores.
        receive: (core, bytes): activations that each job first fetches from the memory of that
            core's die over the network between the cores (pipelines over dies with memories of
            their own); nothing on a chip without such a network.
        deadline_from: ``release`` of the job itself, or ``root``: the release that started its
            chain, so that ``deadline_s`` is end to end.
        continues: the jobs go on with the work of those that trigger them (further parts of a
            pipeline): ``release`` above then means the release of the first part.
    """

    name: str
    program: Program
    release: Release
    deadline_s: float | None = None
    percentile: float = 1.0
    priority: int = 0
    cores: tuple[int, ...] = (0,)
    late: Literal["drop", "skip", "keep"] = "keep"
    stages: tuple[Stage, ...] = ()
    deadline_from: Literal["release", "root"] = "release"
    receive: tuple[int, float] | None = None
    continues: bool = False

    def __post_init__(self) -> None:
        if self.stages and self.program is not self.stages[0].program:
            raise InputError(
                "the program is not that of the first stage",
                field=f"tasks.{self.name}.stages",
                mend="give stages[0].program as program",
            )

    @property
    def parts(self) -> tuple[Stage, ...]:
        """What one job runs, in order: the stages, or the one program."""
        return self.stages or (Stage(self.program),)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the simulator decides.

    ``scheduler``: ``edf``, ``fifo``, ``fixed`` (priority) or ``rm`` (rate-monotonic).
    ``preemption``: at ``segment`` (tile), ``layer`` or job boundary (``none``).
    ``window_s`` is the window of the peak power. ``governor``: instead of the chip's own.

    ``horizon_s``: jobs of chains that start before it are observed. ``finish_s`` None: the play is
    cut there. Else it goes on, with further jobs arriving as before, until every observed job is
    finished, dropped, or late without having begun, but at most for ``finish_s``; and then as far
    as long-run means need (:mod:`dse.simulation.periods`).
    """

    scheduler: Literal["edf", "fifo", "fixed", "rm"] = "edf"
    preemption: Literal["segment", "layer", "none"] = "layer"
    horizon_s: float = 1.0
    seed: int = 0
    window_s: float = 1e-3
    governor: Governor | None = None
    finish_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One finished, dropped or unfinished inference or request.

    ``root_release_s`` is when the chain it belongs to was released (its own release unless
    triggered), ``first_stage_s`` when its first stage had run (None if not, or without stages).
    """

    task: str
    index: int
    release_s: float
    start_s: float | None
    finish_s: float | None
    dropped: bool = False
    missed: bool = False
    root_release_s: float = 0.0
    first_stage_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the load as given cannot meet its demands, found by arithmetic or during the run.

    ``kind``: ``overload`` (a resource is offered more work than it has time: ``value`` > ``limit``
    = 1), ``deadline`` (``value`` s alone on the chip against a deadline of ``limit`` s),
    ``backlog`` (``value`` jobs still waiting at the horizon, ``limit`` 0) or ``thermal`` (``value``
    C at the slowest operating point against a junction limit of ``limit`` C). ``subject`` is the
    resource, the task or the junction.
    """

    kind: Literal["overload", "deadline", "backlog", "thermal"]
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
class Usage:
    """Share of each resource in use: ``share[name][i]`` between ``edges_s[i]`` and the next."""

    edges_s: tuple[float, ...]
    share: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Mean:
    """What ``over_s`` of time hold in the long run, whatever part of it was played.

    The names are those of :class:`Timeline`; ``completed`` need not be whole numbers. ``exact``:
    every stream repeats itself in the time that the means are of, so that they, and the jobs
    observed in a whole period of it, are those of all time; else they are estimates, with the
    numbers of jobs brought to the stated rates. ``period_s`` is that time (0 if nothing repeats),
    ``carried_s`` how long jobs of before the horizon were still at work after it.
    """

    over_s: float
    energy_j: dict[str, float]
    scope_energy_j: dict[str, float]
    busy_s: dict[str, float]
    link_bytes: dict[str, float]
    completed: dict[str, float]
    kind_energy_j: dict[str, float]
    exact: bool
    period_s: float
    carried_s: float


@dataclass(frozen=True)
class Timeline:
    """What happened, over ``horizon_s`` of simulated time.

    ``jobs`` are the observed ones; where the play went on to finish them (``Policy.finish_s``),
    ``horizon_s`` is its end, ``observed_s`` the horizon asked for, and ``mean`` holds what as long
    a time holds in the long run, ``later`` the jobs that came after it. Of a play that was cut,
    both are the same and ``mean`` is None.

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

    ``clock_hz`` and ``junction_c`` are pairs (time, value that holds from then on); the latter is
    empty without a thermal model. ``throttled`` counts steps down for temperature. ``usage`` is
    there with ``trace=True``. ``core_kinds`` names the kind of each core of a chip with several,
    ``kind_energy_j`` is what the cores of each kind used (all that their work moved, and the static
    energy of the cores themselves; the rest is static energy of what all share).
    """

    horizon_s: float
    jobs: tuple[Job, ...]
    intervals: tuple[Interval, ...]
    edges_s: Sequence[float]
    power_w: dict[str, Sequence[float]]
    module_w: Sequence[float]
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
    clock_hz: tuple[tuple[float, float], ...] = ()
    junction_c: tuple[tuple[float, float], ...] = ()
    throttled: int = 0
    usage: Usage | None = None
    core_kinds: tuple[str, ...] = ()
    kind_energy_j: dict[str, float] = field(default_factory=dict)
    observed_s: float = 0.0
    mean: Mean | None = None
    later: tuple[Job, ...] = ()

    @property
    def average_power_w(self) -> dict[str, float]:
        """Mean power over the horizon by scope, W."""
        return {scope: joules / self.horizon_s for scope, joules in self.scope_energy_j.items()}
