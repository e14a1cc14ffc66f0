"""``dse explain``: bottleneck, effects of single steps, and ways out of a broken design."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dse.apps import App
from dse.errors import InputError, UnmappableError
from dse.evaluation import (
    Evaluation,
    Fidelity,
    Resolved,
    Value,
    evaluate_app,
    evaluate_model,
    resolve_parts,
)
from dse.evaluation.allotments import allotments
from dse.evaluation.loads import Load, stream_load
from dse.explanation.app_judge import AppJudge
from dse.explanation.binding import binds, confirmed
from dse.explanation.feedback import (
    MENDS,
    VIOLATION,
    Effect,
    Slack,
    describe,
    effects,
    sentences,
    slacks,
)
from dse.explanation.ladders import Move, natural_moves
from dse.explanation.sets import Limits
from dse.explanation.sets import Progress as Tried
from dse.explanation.steps import Step, natural_steps
from dse.explanation.ways import ways_out
from dse.files import nearest
from dse.hardware.chip import Chip, Platform
from dse.hardware.resolve import resolve
from dse.workload import Workload, parse_precision

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """How far an explanation goes.

    Attributes:
        fidelity: what decides: ``analytic`` or ``simulate``.
        limits: of the search for several steps together, where no single one mends the design.
        only: the paths that may be changed; None: all.
        keep: paths that may not.
        draws: of the technology facts, for bands beside the numbers of joint steps; None: none.
    """

    fidelity: Fidelity = "simulate"
    limits: Limits = field(default_factory=Limits)
    only: Collection[str] | None = None
    keep: Collection[str] = ()
    draws: int | None = 16

    def may_change(self, path: str) -> bool:
        """Whether a parameter is free."""
        return path not in self.keep and (self.only is None or path in self.only)


def explain_app(
    app: App | str,
    chip: Chip | Platform | str,
    settings: Mapping[str, Value],
    on_step: Progress | None = None,
    *,
    only: Collection[str] | None = None,
    asked: Asked | None = None,
    on_try: Tried | None = None,
) -> dict[str, Any]:
    """What binds an app on a chip, and what one step in app, model or chip buys by simulation.

    Of a design that breaks something and that no single step mends, the smallest sets of steps
    that do (``ways``), and what was tried for them (``tried``).

    Args:
        app: the app, or its name or file.
        chip: a chip or a platform, or its name or file.
        settings: overrides by path.
        on_step: called with (done, all) for single steps.
        only: the paths whose steps are tried (all by default).
        asked: how far to go; ``only`` goes before its own.
        on_try: called with (what, done, most) on the search for several steps.
    """
    asked = asked or Asked()
    if only is not None:
        asked = replace(asked, only=only)
    found = resolve_parts(app, chip, settings)
    base, _ = evaluate_app(found.app, found.workloads, found.chip, asked.fidelity)
    given = given_of(found, settings)
    moves = natural_moves(**given)
    _check_kept(asked.keep, [move.path for move in moves])
    steps = [step for step in natural_steps(**given) if asked.may_change(step.path)]
    judge = AppJudge(app, chip, settings, [(step.path, step.after) for step in steps])
    parts: dict[Step, Resolved] = {}

    def evaluate(step: Step) -> Evaluation:
        parts[step] = judge.resolved({step.path: step.after})
        one = parts[step]
        return evaluate_app(one.app, one.workloads, one.chip, asked.fidelity)[0]

    tried = effects(
        base,
        steps,
        counted(evaluate, len(steps), on_step),
        found.app,
        lambda step: parts[step].app,
    )
    answer = _answer(base, slacks(base, found.app), tried, _loads(found), found.device)
    mended = any(effect.gain >= MENDS - 1.0 for effect in tried)
    if not base.unmet or mended or asked.limits.together < 1:
        return answer
    moves = [move for move in moves if asked.may_change(move.path)]
    return {**answer, **_together(app, chip, settings, moves, asked, answer, on_try)}


def _check_kept(keep: Collection[str], paths: Sequence[str]) -> None:
    """That what is to be kept is something that a step could change.

    Raises:
        InputError: a path that no step is on.
    """
    for path in keep:
        if path not in paths:
            known = list(dict.fromkeys(paths))
            raise InputError(
                f"no step changes {path!r}",
                field="keep",
                mend=f"use some of: {', '.join(known)}{nearest(path, known)}",
            )


def given_of(found: Resolved, settings: Mapping[str, Value]) -> dict[str, Any]:
    """What steps of a design are made of: arguments of ``natural_steps`` and ``natural_moves``."""
    return {
        "app": found.app,
        "chip": found.device,
        "precisions": {s.id: found.workloads[s.id].precision.name for s in found.app.streams},
        "models": {
            s.id: str(settings.get(f"model.{s.id}.name") or s.model or found.workloads[s.id].model)
            for s in found.app.streams
        },
        "reaches_cloud": isinstance(found.chip, Platform) and found.chip.reaches_cloud,
    }


def _together(
    app: App | str,
    chip: Chip | Platform | str,
    settings: Mapping[str, Value],
    moves: Sequence[Move],
    asked: Asked,
    answer: Mapping[str, Any],
    on_try: Tried | None,
) -> dict[str, Any]:
    """Several steps at once: the ways out, and what follows from them for the whole answer."""
    judge = AppJudge(app, chip, settings, [(move.path, move.step.after) for move in moves])
    spread = judge.spread(asked.draws, asked.fidelity) if asked.draws else None
    found = ways_out(moves, judge, asked.fidelity, asked.limits, spread=spread, on_try=on_try)
    ways, told = found["ways"], f"several steps together: {found['tried']['text']}"
    if not ways:
        return {**found, "summary": [*answer["summary"], told]}
    best = ways[0]
    before, after = best["metrics"][VIOLATION]
    advice = {
        "set": best["set"],
        "metric": VIOLATION,
        "before": before,
        "after": after,
        "makes_feasible": True,
        "text": best["text"],
    }
    return {**found, "recommendation": advice, "summary": [*answer["summary"], told]}


def _loads(found: Resolved) -> list[Load]:
    """The app's streams on the device, for their layers."""
    out = []
    room = allotments(found.app, found.workloads, found.device)
    for stream in found.app.streams:
        try:
            out.append(
                stream_load(
                    found.app, stream, found.workloads, found.device, found.device, "edp",
                    "analytic", room,
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
        "fidelity": base.fidelity,
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
        "ways": [],
        "tried": None,
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
        "makes_feasible": effect.gain >= MENDS - 1.0,
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
