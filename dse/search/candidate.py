"""From a proposal to an outcome: cheap levels first, the simulator only for what may be feasible.

Runs in worker processes; everything here is a pure function of the experiment, with all that it
names read before, and the values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.apps import App
from dse.errors import DseError, ImpossibleChipError, InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.causes import Cause
from dse.evaluation.design import Value, identity_at
from dse.evaluation.finite import not_finite, storable
from dse.evaluation.metrics import compared
from dse.evaluation.old_causes import told
from dse.evaluation.record import Evaluation
from dse.evaluation.requirements import Requirement, requirements
from dse.evaluation.states import STATES, State, state_of
from dse.evaluation.terms import Fidelity
from dse.mapping import cache_statistics
from dse.migrations import FIELD
from dse.schema import canonical_json, digest
from dse.search.bound import Bound, bounds_of, dominated
from dse.search.effort import Effort
from dse.search.experiment import AppUse, Experiment
from dse.search.product_line import at_volume, combined
from dse.search.resolved import Parts, ResolvedExperiment

#: Violation of a design that cannot be built or mapped at all.
UNBUILDABLE = 1e6


@dataclass(frozen=True)
class Outcome:
    """What became of one proposal.

    Attributes:
        values: the parameter values proposed.
        fidelity: the level that decided: ``none`` (the chip cannot be built), ``roofline`` or
            ``analytic`` (an optimistic level already breaks a requirement, or is dominated), or the
            experiment's own.
        state: what became of it, see :data:`dse.evaluation.states.MEANING`; only a design that was
            evaluated at the experiment's own fidelity may be feasible.
        serves: whether everything but the unit cost holds (cost depends on the volume).
        violation: sum of relative excesses over all requirements, 0 if feasible.
        objectives: values in the experiment's order; None if the design could not be mapped. Those
            of an optimistic level are bounds.
        reasons: why it is not feasible.
        evaluation: the record (without layer rows), None if the chip cannot be built.
    """

    values: dict[str, Value]
    fidelity: str
    state: State
    serves: bool
    violation: float
    objectives: tuple[float, ...] | None
    reasons: tuple[Cause, ...]
    identity: str
    evaluation: Evaluation | None

    @property
    def feasible(self) -> bool:
        """Whether it was shown to meet all requirements."""
        return self.state == "feasible"

    @property
    def pruned(self) -> bool:
        """Whether an optimistic level is dominated by a design found before.

        It cannot be on the front then, and was not taken to the next level. It may break a
        requirement besides (the unit cost), which is what its state says.
        """
        return any(reason.kind == "dominated" for reason in self.reasons)

    @property
    def key(self) -> str:
        """Canonical text of the values."""
        return values_key(self.values)

    @property
    def evaluated(self) -> bool:
        """Whether the design was mapped (reached the analytic level)."""
        return self.fidelity in ("analytic", "simulate")

    @property
    def record(self) -> Evaluation:
        """The evaluation.

        Raises:
            ImpossibleChipError: the design could not be built, so there is none.
        """
        if self.evaluation is None:
            raise ImpossibleChipError(self.reasons[0] if self.reasons else "cannot be built")
        return self.evaluation

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping; ``feasible`` and ``pruned`` follow from the rest."""
        out = {one.name: getattr(self, one.name) for one in fields(self)}
        out["feasible"], out["pruned"] = self.feasible, self.pruned
        out["values"], out["reasons"] = dict(self.values), tuple(map(str, self.reasons))
        out["evaluation"] = None if self.evaluation is None else self.evaluation.to_dict()
        return out

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Outcome:
        """What :meth:`to_dict` wrote, perhaps with a version.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        told_twice = (FIELD, "feasible", "pruned")
        data = {key: value for key, value in row.items() if key not in told_twice}
        if data["state"] not in STATES:
            raise ValueError("state")
        objectives, texts = data.pop("objectives"), data.pop("reasons")
        written = data.pop("evaluation")
        record = None if written is None else Evaluation.from_dict(written)
        if record is None:
            reasons = tuple(Cause(text, "unbuildable") for text in texts)
        else:
            reasons = record.reasons if list(record.reasons) == list(texts) else told(texts)
        out = cls(
            **data,
            objectives=None if objectives is None else tuple(float(v) for v in objectives),
            reasons=reasons,
            evaluation=record,
        )
        if not isinstance(out.values, dict):
            raise TypeError("values")
        return out


def values_key(values: Mapping[str, Value]) -> str:
    """The one text form of a proposal; equal keys are the same design."""
    return canonical_json(dict(values))


def evaluate_candidate(
    found: ResolvedExperiment,
    values: Mapping[str, Value],
    front: NDArray[np.float64] | None = None,
    clock: dict[str, float] | None = None,
) -> Outcome:
    """Judge one proposal, at the cheapest level that can.

    A design whose optimistic level breaks a requirement is not taken further: the next can only be
    worse. Nor is one that the optimistic level shows to be dominated by ``front``. One that only
    costs too much is: at a larger volume it may be the right one.

    Args:
        found: the experiment with all that it names.
        values: of its parameters.
        front: rows (:func:`dse.search.bound.row`) of designs found so far; None: no pruning.
        clock: seconds by level are added here.
    """
    experiment, chosen = found.experiment, dict(values)
    timer = _Clock(clock)
    try:
        parts = found.parts(chosen)
    except ImpossibleChipError as error:
        timer.stop("resolve")
        return _beyond(chosen, error.describe())
    timer.stop("resolve")
    levels: tuple[Fidelity, ...] = ("analytic", "simulate")
    if experiment.prune:
        levels = ("roofline", *levels)
    last = experiment.fidelity
    pruned = False
    for level in levels:
        try:
            record, verdict = at_level(level, parts, experiment)
        except OverflowError as error:
            why = f"a figure at the {level} level is beyond what a number can hold ({error})"
            return _beyond(chosen, why)
        timer.stop(level)
        if level == last or not verdict.serves:
            break
        if front is not None and dominated(bounds_of(record, experiment), front):
            pruned = True
            break
    reasons = verdict.reasons
    if pruned:
        text = f"dominated by a design found before even at the {level} level"
        reasons = (*reasons, Cause(text, "dominated"))
    identities = [part.identity for _, part in parts]
    whole = identities[0] if len(identities) == 1 else digest(identities)
    identity = identity_at(whole, record.fidelity)
    good = level == last and verdict.violation == 0.0 and not reasons
    state = state_of(good, reasons) or "infeasible"
    decided = None if state == "dominated" else good
    record = storable(replace(record, feasible=decided, reasons=reasons, identity=identity))
    return Outcome(
        chosen,
        record.fidelity,
        state,
        verdict.serves and level == last,
        verdict.violation,
        objectives_of(record, experiment),
        reasons,
        identity,
        record,
    )


def _beyond(values: dict[str, Value], why: str) -> Outcome:
    """A design of which no level can be computed."""
    causes = (Cause(why, "unbuildable"),)
    return Outcome(values, "none", "impossible", False, UNBUILDABLE, None, causes, "", None)


def at_level(level: Fidelity, parts: Parts, experiment: Experiment) -> tuple[Evaluation, Verdict]:
    """One level of a design: its app's record and verdict, or those of all its apps together."""
    found: list[tuple[AppUse, Evaluation]] = []
    verdicts: list[Verdict] = []
    total = sum(part.app.budgets.volume for _, part in parts)
    for use, part in parts:
        app = part.app if len(parts) == 1 else at_volume(part.app, total)
        record, _ = evaluate_app(app, part.workloads, part.chip, level, seed=experiment.seed)
        verdict = judge(record, app, experiment)
        found.append((use, record))
        verdicts.append(verdict)
    if len(parts) == 1:
        return found[0][1], verdicts[0]
    reasons = tuple(
        reason.of(use.app)
        for (use, _), verdict in zip(found, verdicts, strict=True)
        for reason in verdict.reasons
    )
    whole = Verdict(
        sum(verdict.violation for verdict in verdicts),
        all(verdict.serves for verdict in verdicts),
        reasons,
        tuple(
            replace(demand, name=f"{use.app}: {demand.name}", stream=f"{use.app}:{demand.stream}")
            for (use, _), verdict in zip(found, verdicts, strict=True)
            for demand in verdict.demands
        ),
    )
    return combined(found, experiment.combine), whole


class _Clock:
    """Adds the seconds since the last stop to a level."""

    def __init__(self, into: dict[str, float] | None) -> None:
        self.into, self.last = into, time.perf_counter()

    def stop(self, level: str) -> None:
        now = time.perf_counter()
        if self.into is not None:
            self.into[level] = self.into.get(level, 0.0) + now - self.last
        self.last = now


def bound_of(found: ResolvedExperiment, values: Mapping[str, Value]) -> Bound:
    """The cheapest level of a design."""
    experiment = found.experiment
    try:
        parts = found.parts(values)
    except ImpossibleChipError:
        return Bound(None, False)
    record, verdict = at_level("roofline", parts, experiment)
    if record.bottleneck == "unmappable" or not_finite(record):
        return Bound(None, False)
    return Bound(bounds_of(record, experiment), verdict.serves)


def objectives_of(record: Evaluation, experiment: Experiment) -> tuple[float, ...] | None:
    """Objective values; None if one is unknown and nothing stands for it."""
    out = []
    for objective in experiment.objectives:
        value = compared(objective.metric, record)
        if value is None or not math.isfinite(value):
            return None
        out.append(float(value))
    return tuple(out)


@dataclass(frozen=True)
class Verdict:
    """How far a record is from meeting everything, see :class:`Outcome`; and each demand."""

    violation: float
    serves: bool
    reasons: tuple[Cause, ...]
    demands: tuple[Requirement, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether the design can be mapped, and all of it computed."""
        return self.violation < UNBUILDABLE


def judge(record: Evaluation, app: App, experiment: Experiment) -> Verdict:
    """Sum of relative excesses over all demands of the app and constraints; and the reasons."""
    reasons = list(record.reasons)
    if record.bottleneck == "unmappable" or not_finite(record):
        return Verdict(UNBUILDABLE, False, tuple(reasons))
    demands = requirements(app, record)
    beside_cost = sum(demand.excess for demand in demands if demand.kind != "cost")
    cost = sum(demand.excess for demand in demands if demand.kind == "cost")
    for constraint in experiment.constraints:
        over = constraint.excess(record.metric(constraint.metric))
        if over > 0:
            beside_cost += min(over, UNBUILDABLE)
            text = f"constraint on {constraint.metric} broken by {over:.0%}"
            reasons.append(Cause(text, "constraint", metric=constraint.metric))
    if record.unmet and beside_cost == cost == 0.0:
        # What has no measure, such as a memory that overflows, or a stream that is not decided.
        beside_cost = float(len(record.reasons))
    return Verdict(beside_cost + cost, beside_cost == 0.0, tuple(reasons), tuple(demands))


#: What a worker gets for a design: the values, and the front to prune against.
Job = tuple[dict[str, Value], NDArray[np.float64] | None]


def run_candidate(found: ResolvedExperiment, job: Job) -> tuple[Outcome, Effort]:
    """:func:`evaluate_candidate` for process pools, with what it took; errors that travel."""
    values, front = job
    clock: dict[str, float] = {}
    before = cache_statistics()
    try:
        outcome = evaluate_candidate(found, values, front, clock)
        after = cache_statistics()
        hits = after.hits - before.hits
        missed = after.misses - before.misses
        from_disk = after.disk_hits - before.disk_hits
        return outcome, Effort(clock, hits + missed, hits + from_disk)
    except InputError as error:
        described = ", ".join(f"{path}={value}" for path, value in values.items())
        raise InputError(error.message, file=error.file, field=error.field, mend=error.mend) from (
            DseError(f"while evaluating {described}")
        )
