"""What binds a design, and what one more step in app, model or chip buys, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dse.apps import App
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.metrics import METRICS
from dse.evaluation.record import Evaluation
from dse.evaluation.requirements import requirements, violation
from dse.evaluation.states import State, state_of
from dse.explanation.steps import Step
from dse.printing import setting as shown

#: What a step of an infeasible design is to lessen: the sum of its broken demands.
VIOLATION = "violation"
#: What a step of an infeasible design gains by mending it, beside what it saves.
MENDS = 10.0


@dataclass(frozen=True)
class Slack:
    """One requirement and how much room is left: negative is broken, 0 binds."""

    requirement: str
    value: float | None
    limit: float
    slack: float
    kind: str = ""
    metric: str = ""
    stream: str | None = None


@dataclass(frozen=True)
class Effect:
    """What a step does: metrics before and after, and whether the design stays feasible.

    ``state`` is the word for the design after the step; None for a setting that cannot be had, and
    where the level decides nothing. ``goal`` is what ``gain`` is about (see :func:`goal_of`): the
    relative part of it that the step saves. ``latencies`` are those of each stream alone on the
    chip, before and after, s.
    """

    path: str
    before: Any
    after: Any
    group: str
    metrics: dict[str, tuple[float | None, float | None]]
    feasible: bool | None
    reasons: tuple[str, ...]
    gain: float
    goal: str = ""
    latencies: dict[str, tuple[float, float]] = field(default_factory=dict)
    state: State | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def slacks(record: Evaluation, app: App) -> list[Slack]:
    """Requirements of an evaluated app by room left, tightest first, and its resources' time."""
    out = [
        Slack(
            demand.name,
            demand.value,
            demand.limit,
            demand.room,
            demand.kind,
            demand.metric,
            demand.stream,
        )
        for demand in requirements(app, record)
        if demand.room is not None
    ]
    out.extend(
        Slack(f"time of {name}", share, 1.0, 1.0 - share, "resource", "", None)
        for name, share in record.resource_utilization.items()
        if record.offered_load.get(name, 0.0) <= 1.0
    )
    return sorted(out, key=lambda item: item.slack)


def goal_of(record: Evaluation, app: App | None) -> str:
    """What the next step is to improve.

    The broken demands if there are any; else what the tightest demand bounds: a metric, or the
    latency of the stream or chain, by the demand's name. Mean power for an app that asks nothing,
    the latency of a model alone.
    """
    if app is None:
        return "latency_s"
    if record.unmet:
        return VIOLATION
    for demand in requirements(app, record):
        if demand.room is None:
            break
        if demand.kind in ("deadline", "ttft", "tpot", "chain"):
            return demand.name
        if demand.kind in ("power", "cost", "area"):
            return demand.metric
        if demand.kind in ("battery", "heat"):
            return "average_power_w"
    return "average_power_w"


def goal_value(goal: str, app: App, record: Evaluation) -> float | None:
    """Value of a goal of :func:`goal_of`; None if the record does not know it."""
    if goal == VIOLATION:
        return _finite(violation(app, record))
    found = [demand.value for demand in requirements(app, record) if demand.name == goal]
    if found:
        return found[0]
    return record.metric(goal) if goal in METRICS else None


def effects(
    base: Evaluation,
    steps: Iterable[Step],
    evaluate: Callable[[Step], Evaluation],
    app: App | None = None,
    app_after: Callable[[Step], App] | None = None,
) -> list[Effect]:
    """Evaluate every step and sort by what it gains.

    A step that makes an infeasible design feasible comes first. Then, of an infeasible design, the
    steps that lessen its broken demands most; of a feasible one, those that save most of the goal
    (see :func:`goal_of`) and keep it feasible. Steps that break something follow, then chips that
    cannot be built and settings that cannot be had, with the reason.

    Args:
        base: the design as it is.
        steps: what to try.
        evaluate: the design after a step.
        app: the demands; without them the goal is the largest relative gain in any metric.
        app_after: the demands after a step, if steps change them (rates, deadlines).
    """
    goal = goal_of(base, app) if app is not None else ""
    out = [_effect(base, step, evaluate, goal, app, app_after) for step in steps]
    return sorted(out, key=lambda effect: -effect.gain)


def _effect(
    base: Evaluation,
    step: Step,
    evaluate: Callable[[Step], Evaluation],
    goal: str,
    app: App | None,
    app_after: Callable[[Step], App] | None,
) -> Effect:
    shape = (step.path, step.before, step.after, step.group)
    try:
        record = evaluate(step)
        wanted = app_after(step) if app_after is not None else app
    except ImpossibleChipError as error:
        why = (error.describe(),)
        return Effect(*shape, {}, False, why, -2.0, goal, state="impossible")
    except InputError as error:
        return Effect(*shape, {}, None, (error.describe(),), -3.0, goal)
    metrics = {m.name: (m.of(base), m.of(record)) for m in METRICS.values() if m.judged}
    if app is not None and wanted is not None:
        for name in (VIOLATION, goal):
            metrics[name] = (goal_value(name, app, base), goal_value(name, wanted, record))
    if record.fidelity != base.fidelity:
        # What only a play knows stays open where the design was played and the step was not.
        for name in metrics:
            if name != VIOLATION and not (name in METRICS and METRICS[name].exact):
                metrics[name] = (metrics[name][0], None)
    gain = _relative(goal, *metrics[goal]) if goal else _best(metrics)
    if base.unmet:
        gain += MENDS if _holds(record, base) else 0.0
    elif record.unmet:
        gain = -1.0 + min(gain, 0.0) * 1e-3
    return Effect(
        *shape,
        metrics,
        record.feasible,
        record.reasons,
        gain,
        goal,
        _latencies(base, record),
        state_of(record.feasible, record.reasons),
    )


def _holds(record: Evaluation, base: Evaluation) -> bool:
    """Whether a step leaves nothing broken at the level that the design was judged at."""
    open_still = record.feasible is None and record.fidelity == base.fidelity
    return bool(record.feasible) or (open_still and not record.unmet)


def by_difference(name: str) -> bool:
    """Whether the change of a metric is a difference, not a share of what was before."""
    return name in METRICS and METRICS[name].by_difference


def change(name: str, metrics: Mapping[str, Sequence[float | None]]) -> str:
    """What a step does to a metric, in a cell; "-" where it is not known."""
    before, after = metrics.get(name, (None, None))
    if before is None or after is None:
        return "-"
    if name == VIOLATION or by_difference(name):
        return f"{after - before:+.2f}"
    return f"{after / before - 1.0:+.1%}" if before else "-"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _relative(name: str, before: float | None, after: float | None) -> float:
    """Relative saving; by difference for metrics of which more is better."""
    if after is None:
        return -1.0
    if before is None:
        return 1.0
    if by_difference(name):
        return after - before
    return (before - after) / abs(before) if before else 0.0


def _best(metrics: Mapping[str, tuple[float | None, float | None]]) -> float:
    """Largest relative improvement over the judged metrics; quality by its difference."""
    gains = [
        _relative(name, before, after)
        for name, (before, after) in metrics.items()
        if before is not None and after is not None
    ]
    return max([0.0, *gains])


def _latencies(base: Evaluation, record: Evaluation) -> dict[str, tuple[float, float]]:
    after = {row.task: row for row in record.tasks}
    out = {}
    for row in base.tasks:
        other = after.get(row.task)
        if other is not None:
            out[row.task] = (row.isolated_latency_s, other.isolated_latency_s)
    return out


def sentences(items: Sequence[Slack], found: Sequence[Effect], count: int = 3) -> list[str]:
    """The feedback in words: what binds, then the best steps in each of app, model and chip."""
    out = []
    if items:
        tight = items[0]
        state = "is broken" if tight.slack < 0 else "binds" if tight.slack < 0.1 else "is tightest"
        out.append(f"{tight.requirement} {state}: {tight.slack:.0%} room left")
    for group in ("app", "model", "chip"):
        best = [effect for effect in found if effect.group == group and effect.gain > 1e-3]
        out.extend(f"{group}: {describe(effect)}" for effect in best[:count])
    return out


def describe(effect: Effect) -> str:
    """One step and its changes of more than half a percent."""
    parts = []
    for name, (before, after) in effect.metrics.items():
        if before is None or after is None:
            continue
        if name == VIOLATION:
            if before != after:
                parts.append(f"broken demands {before:.2f} to {after:.2f}")
        elif by_difference(name):
            if abs(after - before) > 0.005:
                parts.append(f"{name} {after - before:+.2f}")
        elif before and abs(after / before - 1.0) > 0.005:
            parts.append(f"{name} {after / before - 1.0:+.0%}")
    changed = ", ".join(parts) or "no change"
    old, new = shown(effect.path, effect.before), shown(effect.path, effect.after)
    return f"{effect.path} {old} -> {new} ({changed})"
