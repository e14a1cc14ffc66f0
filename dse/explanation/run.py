"""``dse explain``: bottleneck and one-step effects of an app or a model on a chip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from dse.apps import App
from dse.errors import UnmappableError
from dse.evaluation import (
    Evaluation,
    Resolved,
    Value,
    evaluate_app,
    evaluate_model,
    read_inputs,
    resolve_parts,
)
from dse.evaluation.loads import Load, stream_load
from dse.explanation.binding import binds, confirmed
from dse.explanation.feedback import Effect, Slack, describe, effects, sentences, slacks
from dse.explanation.steps import Step, natural_steps
from dse.hardware.chip import Chip, Platform
from dse.hardware.resolve import resolve
from dse.workload import Workload, parse_precision

Progress = Callable[[int, int], None]


def explain_app(
    app: App | str,
    chip: Chip | Platform | str,
    settings: Mapping[str, Value],
    on_step: Progress | None = None,
    *,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """What binds an app on a chip, and what one step in app, model or chip buys by simulation.

    Args:
        app: the app, or its name or file.
        chip: a chip or a platform, or its name or file.
        settings: overrides by path.
        on_step: called with (done, all).
        only: the paths whose steps are tried (all by default).
    """
    choices = {path: (value,) for path, value in settings.items()}
    found = resolve_parts(app, chip, settings)
    base, _ = evaluate_app(found.app, found.workloads, found.chip)
    precisions = {s.id: found.workloads[s.id].precision.name for s in found.app.streams}
    models = {
        s.id: str(settings.get(f"model.{s.id}.name") or s.model or found.workloads[s.id].model)
        for s in found.app.streams
    }
    steps = natural_steps(
        found.app,
        found.device,
        precisions,
        models=models,
        reaches_cloud=isinstance(found.chip, Platform) and found.chip.reaches_cloud,
    )
    if only is not None:
        steps = [step for step in steps if step.path in only]
    for step in steps:
        choices[step.path] = (*choices.get(step.path, ()), step.after)
    named = isinstance(app, str) and isinstance(chip, str)
    inputs = read_inputs(str(app), str(chip), choices) if named else None
    parts: dict[Step, Resolved] = {}

    def evaluate(step: Step) -> Evaluation:
        parts[step] = resolve_parts(app, chip, {**settings, step.path: step.after}, inputs=inputs)
        return evaluate_app(parts[step].app, parts[step].workloads, parts[step].chip)[0]

    tried = effects(
        base,
        steps,
        counted(evaluate, len(steps), on_step),
        found.app,
        lambda step: parts[step].app,
    )
    return _answer(base, slacks(base, found.app), tried, _loads(found), found.device)


def _loads(found: Resolved) -> list[Load]:
    """The app's streams on the device, for their layers."""
    out = []
    for stream in found.app.streams:
        try:
            out.append(
                stream_load(
                    found.app, stream, found.workloads, found.device, found.device, "edp",
                    "analytic",
                )
            )  # fmt: skip
        except UnmappableError:
            continue
    return out


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

    tried = effects(base, steps, counted(evaluate, len(steps), on_step))
    return _answer(base, [], tried, [], chip)


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


def _answer(
    base: Evaluation, room: list[Slack], found: list[Effect], loads: list[Load], chip: Chip
) -> dict[str, Any]:
    what = binds(base, room, loads, chip)
    best = found[0] if found and found[0].gain > 1e-3 else None
    return {
        "subject": base.subject,
        "chip": base.chip,
        "node": base.node,
        "feasible": base.feasible,
        "reasons": list(base.reasons),
        "notes": list(base.notes),
        "bottleneck": base.bottleneck,
        "resource_utilization": dict(base.resource_utilization),
        "worst_layers": worst_layers(base),
        "binds": {**what, "relief_tried": confirmed(what, found)},
        "recommendation": recommendation(best) if best else None,
        "summary": sentences(room, found),
        "slacks": [asdict(item) for item in room],
        "steps": [effect.to_dict() for effect in found],
    }


def recommendation(effect: Effect) -> dict[str, Any]:
    """The best step as something to do, and the metric it promises to change."""
    goal = effect.goal or max(
        (name for name, (before, after) in effect.metrics.items() if before and after is not None),
        key=lambda name: 1.0 - (effect.metrics[name][1] or 0.0) / (effect.metrics[name][0] or 1.0),
    )
    before, after = effect.metrics[goal]
    return {
        "set": {effect.path: effect.after},
        "metric": goal,
        "before": before,
        "after": after,
        "makes_feasible": effect.gain >= 9.0,
        "text": describe(effect),
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
