"""From a proposal to an outcome: cheap levels first, the simulator only for what may be feasible.

Runs in worker processes; everything here is a pure function of the experiment and the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dse.apps import App
from dse.errors import DseError, ImpossibleChipError, InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.design import Value, identity_at, resolve_design
from dse.evaluation.record import Evaluation
from dse.schema import canonical_json
from dse.search.experiment import Experiment

#: Violation of a design that cannot be built or mapped at all.
UNBUILDABLE = 1e6


@dataclass(frozen=True)
class Outcome:
    """What became of one proposal.

    Attributes:
        values: the parameter values proposed.
        fidelity: the level that decided: ``none`` (the chip cannot be built), ``analytic`` (already
            the optimistic level breaks a requirement) or the experiment's own.
        feasible: whether all requirements hold; only a simulated design may be feasible.
        serves: whether everything but the unit cost holds (cost depends on the volume).
        violation: sum of relative excesses over all requirements, 0 if feasible.
        objectives: values in the experiment's order; None if the design could not be mapped.
        evaluation: the record (without layer rows), None if the chip cannot be built.
    """

    values: dict[str, Value]
    fidelity: str
    feasible: bool
    serves: bool
    violation: float
    objectives: tuple[float, ...] | None
    reasons: tuple[str, ...]
    identity: str
    evaluation: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Canonical text of the values."""
        return values_key(self.values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def values_key(values: Mapping[str, Value]) -> str:
    """The one text form of a proposal; equal keys are the same design."""
    return canonical_json(dict(values))


def evaluate_candidate(experiment: Experiment, values: Mapping[str, Value]) -> Outcome:
    """Judge one proposal, at the cheapest level that can.

    A design whose analytic (optimistic) result breaks a requirement is not simulated: simulation
    can only be worse. One that only costs too much is: at a larger volume it may be the right one.
    """
    chosen = dict(values)
    try:
        found = resolve_design(experiment.design(chosen))
    except ImpossibleChipError as error:
        return Outcome(
            chosen, "none", False, False, UNBUILDABLE, None, (error.describe(),), "", None
        )
    workloads, chip, app = found.workloads, found.chip, found.app
    record, _ = evaluate_app(app, workloads, chip, "analytic", seed=experiment.seed)
    verdict = judge(record, app, experiment)
    if experiment.fidelity == "simulate" and verdict.serves:
        record, _ = evaluate_app(app, workloads, chip, "simulate", seed=experiment.seed)
        verdict = judge(record, app, experiment)
    reasons = verdict.reasons
    identity = identity_at(found.identity, record.fidelity)
    feasible = verdict.violation == 0.0 and not reasons
    record = replace(record, feasible=feasible, reasons=reasons, identity=identity)
    objectives = _objectives(record, experiment)
    slim = record.to_dict()
    return Outcome(
        chosen,
        record.fidelity,
        feasible,
        verdict.serves,
        verdict.violation,
        objectives,
        reasons,
        identity,
        slim,
    )


def _objectives(record: Evaluation, experiment: Experiment) -> tuple[float, ...] | None:
    """Objective values; an unknown quality counts as -1, below every floor."""
    out = []
    for objective in experiment.objectives:
        value = record.metric(objective.metric)
        if value is None and objective.metric == "quality":
            value = -1.0
        if value is None:
            return None
        out.append(float(value))
    return tuple(out)


@dataclass(frozen=True)
class Verdict:
    """How far a record is from meeting everything, see :class:`Outcome`."""

    violation: float
    serves: bool
    reasons: tuple[str, ...]


def judge(record: Evaluation, app: App, experiment: Experiment) -> Verdict:
    """Sum of relative excesses over deadlines, budgets, floors and constraints; and the reasons."""
    excess: list[float] = []
    reasons = list(record.reasons)
    if record.bottleneck == "unmappable":
        return Verdict(UNBUILDABLE, False, tuple(reasons))
    streams = {stream.id: stream for stream in app.streams}
    for row in record.tasks:
        if row.deadline_s is None:
            continue
        if row.missed_fraction is not None:
            excess.append(row.missed_fraction - (1.0 - row.percentile) - 1e-12)
        else:
            excess.append(row.isolated_latency_s / row.deadline_s - 1.0)
    excess.extend(share - 1.0 - 1e-9 for share in record.resource_utilization.values())
    budgets = app.budgets
    limits = (
        (record.average_power_w, budgets.module_power_w),
        (record.peak_power_w, budgets.peak_power_w),
        (record.area_mm2, budgets.area_mm2),
    )
    excess.extend(v / limit - 1.0 for v, limit in limits if v is not None and limit is not None)
    for verdict in record.quality_detail:
        if streams[verdict["stream"]].quality is None:
            continue
        margin = verdict["margin"]
        excess.append(1.0 if margin is None else -float(margin))
    for constraint in experiment.constraints:
        over = constraint.excess(record.metric(constraint.metric))
        excess.append(min(over, UNBUILDABLE))
        if over > 0:
            reasons.append(f"constraint on {constraint.metric} broken by {over:.0%}")
    beside_cost = sum(value for value in excess if value > 0)
    limit = budgets.unit_cost_usd
    cost = max(0.0, record.unit_cost_usd / limit - 1.0) if limit is not None else 0.0
    return Verdict(beside_cost + cost, beside_cost == 0.0, tuple(reasons))


def run_candidate(payload: tuple[Experiment, dict[str, Value]]) -> Outcome:
    """:func:`evaluate_candidate` for process pools: one argument, errors that travel."""
    experiment, values = payload
    try:
        return evaluate_candidate(experiment, values)
    except InputError as error:
        described = ", ".join(f"{path}={value}" for path, value in values.items())
        raise InputError(error.message, file=error.file, field=error.field, mend=error.mend) from (
            DseError(f"while evaluating {described}")
        )
