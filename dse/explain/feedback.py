"""What binds a design, and what one more step in app, model or chip buys, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.record import Evaluation
from dse.explain.steps import Step, shown

#: Metrics a step is judged by, in the order they are shown.
JUDGED = ("average_power_w", "energy_j", "latency_s", "unit_cost_usd", "quality")


@dataclass(frozen=True)
class Slack:
    """One requirement and how much room is left: negative is broken, 0 binds."""

    requirement: str
    value: float | None
    limit: float
    slack: float


@dataclass(frozen=True)
class Effect:
    """What a step does: the metric before and after, and whether the design stays feasible."""

    path: str
    before: Any
    after: Any
    group: str
    metrics: dict[str, tuple[float | None, float | None]]
    feasible: bool | None
    reasons: tuple[str, ...]
    gain: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def slacks(record: Evaluation, budgets: dict[str, float | None]) -> list[Slack]:
    """Requirements of an evaluated app by room left, tightest first.

    Args:
        record: a simulated app.
        budgets: limits by metric name (``average_power_w``, ``unit_cost_usd`` ...).
    """
    out: list[Slack] = []
    for row in record.tasks:
        if row.deadline_s is None:
            continue
        value = row.latency_p99_s if row.latency_p99_s is not None else row.isolated_latency_s
        room = 1.0 - value / row.deadline_s
        out.append(Slack(f"deadline of {row.task} (p99)", value, row.deadline_s, room))
    for metric, limit in budgets.items():
        found = record.metric(metric)
        if limit is not None and found is not None:
            out.append(Slack(metric, found, limit, 1.0 - found / limit))
    for verdict in record.quality_detail:
        margin = verdict.get("margin")
        if margin is not None:
            out.append(Slack(f"quality of {verdict['stream']}", verdict["value"], 0.0, margin))
    out.extend(
        Slack(f"time of {name}", share, 1.0, 1.0 - share)
        for name, share in record.resource_utilization.items()
    )
    return sorted(out, key=lambda item: item.slack)


def effects(
    base: Evaluation,
    steps: Iterable[Step],
    evaluate: Callable[[Step], Evaluation],
) -> list[Effect]:
    """Evaluate every step and sort by what it gains.

    A step that makes an infeasible design feasible comes first, then the largest relative gain in
    any judged metric among steps that stay feasible, then the rest. A chip that cannot be built is
    listed with its reason.
    """
    out = [_effect(base, step, evaluate) for step in steps]
    return sorted(out, key=lambda effect: -effect.gain)


def _effect(base: Evaluation, step: Step, evaluate: Callable[[Step], Evaluation]) -> Effect:
    shape = (step.path, step.before, step.after, step.group)
    try:
        record = evaluate(step)
    except ImpossibleChipError as error:
        return Effect(*shape, {}, False, (error.describe(),), -2.0)
    except InputError as error:
        return Effect(*shape, {}, None, (error.describe(),), -3.0)
    metrics = {name: (base.metric(name), record.metric(name)) for name in JUDGED}
    gain = _gain(metrics)
    if record.feasible is False:
        gain = -1.0 + min(gain, 0.0) * 1e-3
    elif base.feasible is False and record.feasible:
        gain += 10.0
    return Effect(*shape, metrics, record.feasible, record.reasons, gain)


def _gain(metrics: dict[str, tuple[float | None, float | None]]) -> float:
    """Largest relative improvement over the judged metrics; quality by its difference."""
    gains = [0.0]
    for name, (before, after) in metrics.items():
        if before is None or after is None:
            continue
        if name == "quality":
            gains.append(after - before)
        elif before:
            gains.append((before - after) / abs(before))
    return max(gains)


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
        if name == "quality":
            if abs(after - before) > 0.005:
                parts.append(f"{name} {after - before:+.2f}")
        elif before and abs(after / before - 1.0) > 0.005:
            parts.append(f"{name} {after / before - 1.0:+.0%}")
    changed = ", ".join(parts) or "no change"
    old, new = shown(effect.path, effect.before), shown(effect.path, effect.after)
    return f"{effect.path} {old} -> {new} ({changed})"
