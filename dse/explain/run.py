"""``dse explain``: bottleneck and one-step effects of an app or a model on a chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from dse.evaluation import (
    Evaluation,
    Value,
    app_design,
    evaluate_app,
    evaluate_model,
    resolve_design,
)
from dse.explain.feedback import Effect, Slack, effects, sentences, slacks
from dse.explain.steps import Step, natural_steps
from dse.hardware.chip import Chip
from dse.hardware.resolve import resolve
from dse.workload import Workload, parse_precision

Progress = Callable[[int, int], None]


def explain_app(
    app: str, chip: str, settings: Mapping[str, Value], on_step: Progress | None = None
) -> dict[str, Any]:
    """What binds an app on a chip, and what one step in app, model or chip buys by simulation."""
    base_design = app_design(app, chip, dict(settings), 0)
    found = resolve_design(base_design)
    base, _ = evaluate_app(found.app, found.workloads, found.chip)
    precisions = {name: load.precision.name for name, load in found.workloads.items()}
    steps = natural_steps(found.app, found.chip, precisions)

    def evaluate(step: Step) -> Evaluation:
        changed = app_design(app, chip, {**settings, step.path: step.after}, 0)
        parts = resolve_design(changed)
        return evaluate_app(parts.app, parts.workloads, parts.chip)[0]

    budgets = found.app.budgets
    room = slacks(
        base,
        {
            "average_power_w": budgets.module_power_w,
            "peak_power_w": budgets.peak_power_w,
            "unit_cost_usd": budgets.unit_cost_usd,
            "area_mm2": budgets.area_mm2,
        },
    )
    return _answer(base, room, effects(base, steps, counted(evaluate, len(steps), on_step)))


def explain_model(
    workload: Workload,
    chip: Chip,
    rebuild: Callable[[str], Workload],
    on_step: Progress | None = None,
) -> dict[str, Any]:
    """The same for a model alone.

    Args:
        workload: the model at its precision.
        chip: where it runs.
        rebuild: the model at another precision, by name.
        on_step: called with (done, all).
    """
    base = evaluate_model(workload, chip)
    steps = natural_steps(None, chip, {"model": workload.precision.name})

    def evaluate(step: Step) -> Evaluation:
        if step.group == "model":
            parse_precision(str(step.after))
            return evaluate_model(rebuild(str(step.after)), chip)
        key = step.path.removeprefix("chip.")
        return evaluate_model(workload, resolve(chip.spec.with_values({key: step.after})))

    return _answer(base, [], effects(base, steps, counted(evaluate, len(steps), on_step)))


def counted(
    evaluate: Callable[[Step], Evaluation], total: int, on_step: Progress | None
) -> Callable[[Step], Evaluation]:
    """``evaluate`` that reports its progress."""
    done = 0

    def run(step: Step) -> Evaluation:
        nonlocal done
        try:
            return evaluate(step)
        finally:
            done += 1
            if on_step is not None:
                on_step(done, total)

    return run


def _answer(base: Evaluation, room: list[Slack], found: list[Effect]) -> dict[str, Any]:
    return {
        "subject": base.subject,
        "chip": base.chip,
        "node": base.node,
        "feasible": base.feasible,
        "reasons": list(base.reasons),
        "bottleneck": base.bottleneck,
        "resource_utilization": dict(base.resource_utilization),
        "worst_layers": worst_layers(base),
        "summary": sentences(room, found),
        "slacks": [asdict(item) for item in room],
        "steps": [effect.to_dict() for effect in found],
    }


def worst_layers(record: Evaluation, count: int = 5) -> list[dict[str, Any]]:
    """The layers that take the most time, with what bounds them; streams for an app."""
    if record.kind == "app":
        rows = sorted(record.tasks, key=lambda row: -row.isolated_latency_s * row.rate_hz)
        return [
            {
                "stream": row.task,
                "share_of_core": row.isolated_latency_s * row.rate_hz,
                "bottleneck": row.bottleneck,
            }
            for row in rows[:count]
        ]
    layers = sorted(record.layers, key=lambda row: -row.latency_s)
    total = record.latency_s or 1.0
    return [
        {"layer": row.name, "share": row.latency_s / total, "bottleneck": row.bottleneck}
        for row in layers[:count]
    ]
