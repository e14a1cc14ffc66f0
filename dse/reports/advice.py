"""The feedback section: steps around the picked designs, evaluated like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dse.evaluation.design import Value
from dse.explanation import Step, effects, ladder_steps, sentences, shown, slacks
from dse.reports.choice import Pick
from dse.reports.tables import Study
from dse.reports.ways import closest, study_ways
from dse.search import Experiment, Outcome
from dse.search.candidate import values_key
from dse.search.parameters import Choices
from dse.search.resolved import ResolvedExperiment, resolve_experiment
from dse.search.workers import Workers


@dataclass(frozen=True)
class Feedback:
    """For one picked design: what binds, and the steps tried around it.

    ``ways`` and ``tried``: of a design that breaks something and that no single step mends, several
    steps together, see :func:`dse.explanation.ways.ways_out`.
    """

    title: str
    sentences: list[str]
    slacks: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    ways: list[dict[str, Any]] = field(default_factory=list)
    tried: dict[str, Any] | None = None


def advise(
    study: Study,
    chosen: Sequence[Pick],
    workers: int | None,
    on_step: Callable[[str, int, int], None] | None,
) -> list[Feedback]:
    """What binds each pick and what its neighbours on the experiment's ladders would change.

    Where nothing was picked since no design holds: the same of the design that comes closest, and
    what several steps together would change.
    """
    if not chosen:
        nearest = closest(study.outcomes)
        if nearest is None:
            return []
        chosen = [Pick("The design that comes closest", nearest, "")]
    experiment = study.experiment
    ladders = {path: parameter.values for path, parameter in experiment.parameters.items()}
    ordered = {
        p for p, parameter in experiment.parameters.items() if not isinstance(parameter, Choices)
    }
    # What a bound decided has only bounds to show: such a step is evaluated here in full.
    known = {o.key: o for o in study.outcomes if o.evaluated and not o.pruned}
    whole = resolve_experiment(experiment.model_copy(update={"prune": False}))
    steps = {
        pick.outcome.key: ladder_steps(pick.outcome.values, ladders, ordered) for pick in chosen
    }
    wanted: dict[str, dict[str, Value]] = {}
    for pick in chosen:
        for step in steps[pick.outcome.key]:
            values = changed(pick.outcome, step)
            if values_key(values) not in known:
                wanted[values_key(values)] = values
    with Workers(whole, workers) as pool:
        for done, (outcome, _) in enumerate(pool.evaluate(list(wanted.values())), 1):
            known[outcome.key] = outcome
            if on_step is not None:
                on_step("feedback: step", done, len(wanted))
    return [
        _mended(experiment, pick, _feedback(whole, pick, steps[pick.outcome.key], known), on_step)
        for pick in chosen
    ]


def _mended(
    experiment: Experiment,
    pick: Pick,
    reply: Feedback,
    on_step: Callable[[str, int, int], None] | None,
) -> Feedback:
    """The reply with several steps together, if no single one mends the design."""
    if pick.outcome.feasible:
        return reply
    values = ", ".join(f"{path} {shown(path, v)}" for path, v in pick.outcome.values.items())
    broken = [f"it breaks: {reason}" for reason in pick.outcome.reasons[:3]]
    reply = replace(reply, sentences=[values, *broken, *reply.sentences])
    if any(effect["feasible"] for effect in reply.effects):
        return reply
    found = study_ways(experiment, pick.outcome, on_step)
    told = f"several steps together: {found['tried']['text']}"
    return replace(
        reply,
        sentences=[*reply.sentences, told],
        ways=found["ways"],
        tried=found["tried"],
    )


def changed(outcome: Outcome, step: Step) -> dict[str, Value]:
    """The values of ``outcome`` with one step taken."""
    return {**outcome.values, step.path: step.after}


def _feedback(
    whole: ResolvedExperiment, pick: Pick, steps: Sequence[Step], known: dict[str, Outcome]
) -> Feedback:
    app = whole.app(pick.outcome.values)
    base = pick.outcome.record
    several = len(whole.experiment.uses) > 1  # then no one app's demands say which step is best
    room = [] if several else slacks(base, app)
    found = effects(
        base,
        steps,
        lambda step: known[values_key(changed(pick.outcome, step))].record,
        None if several else app,
        None if several else lambda step: whole.app(changed(pick.outcome, step)),
    )
    return Feedback(
        pick.title,
        sentences(room, found),
        [asdict(item) for item in room[:6]],
        [effect.to_dict() for effect in found],
    )
