"""Ways out of a broken design: joint steps searched, taken one after the other, and told.

:func:`ways_out` is what ``dse explain`` and the report use where no single step helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dse.evaluation.design import Value
from dse.evaluation.metrics import METRICS, Band
from dse.evaluation.states import State
from dse.evaluation.terms import Fidelity
from dse.explanation.feedback import VIOLATION
from dse.explanation.joint import JointSearch
from dse.explanation.ladders import Move
from dse.explanation.sets import (
    Demand,
    Found,
    Judge,
    Judged,
    Limits,
    Progress,
    Way,
    cost_of,
    settings_of,
)
from dse.printing import setting as shown

#: Bands of the uncertain metrics of a design with changed settings; None where it cannot be built.
Spread = Callable[[Mapping[str, Value]], Mapping[str, Band] | None]


@dataclass(frozen=True)
class Stage:
    """One step of a way, taken after those before it, with the numbers before and after.

    Attributes:
        path, before, after, group, rungs: the step, and how far it goes on its ladder.
        state: of the design after this step; None if the level does not decide it.
        reasons: what is still broken after it.
        metrics: values before and after by name; None where they are not known.
        bands: bands before and after of metrics that uncertain technology facts move.
        demands: demands that were broken at the start or are now: ``name``, ``metric``, ``limit``,
            and the values ``before`` and ``after``.
    """

    path: str
    before: Value
    after: Value
    group: str
    rungs: int
    state: State | None
    reasons: tuple[str, ...]
    metrics: Mapping[str, tuple[float | None, float | None]]
    bands: Mapping[str, tuple[Band | None, Band | None]]
    demands: tuple[Mapping[str, Any], ...]


def ways_out(
    moves: Sequence[Move],
    judge: Judge,
    fidelity: Fidelity,
    limits: Limits,
    *,
    spread: Spread | None = None,
    on_try: Progress | None = None,
) -> dict[str, Any]:
    """The smallest sets of steps that mend a design, or what was tried if none does.

    Args:
        moves: the steps there are.
        judge: the design with changed settings, at a level.
        fidelity: what decides.
        limits: how far the search goes.
        spread: for bands beside the numbers.
        on_try: called with (what, done, most).

    Returns:
        ``ways``, fewest changes first, then least cost of change: each with its ``set`` (settings
        by path), the number of ``changes``, its ``cost`` in rungs, whether it is ``minimal``, the
        ``steps`` one after the other (:class:`Stage`), and a ``text``. And ``tried``: the values of
        every parameter, the sets by size, the evaluations used, the ``closest`` set if nothing
        helps, and a ``text``.
    """
    search = JointSearch(moves, judge, fidelity, limits, on_try)
    found = search.run()
    # What helps most by itself is taken first, as far as the bound tells.
    alone = {move: search.promise((move,)) for way in found.ways for move in way.changes}
    teller = _Teller(judge, fidelity, spread)
    return {
        "ways": [teller.way(way, alone) for way in found.ways],
        "tried": _tried(moves, found, limits),
    }


class _Teller:
    """Takes the steps of ways one after the other; what two ways share is evaluated once."""

    def __init__(self, judge: Judge, fidelity: Fidelity, spread: Spread | None) -> None:
        self._judge, self._fidelity, self._spread = judge, fidelity, spread
        self._seen: dict[tuple[Move, ...], tuple[Judged, Mapping[str, Band]]] = {}

    def _at(self, changes: Sequence[Move]) -> tuple[Judged, Mapping[str, Band]]:
        key = tuple(sorted(changes, key=lambda move: (move.path, str(move.step.after))))
        if key not in self._seen:
            settings = settings_of(key)
            bands = None if self._spread is None else self._spread(settings)
            self._seen[key] = (self._judge(self._fidelity, settings), bands or {})
        return self._seen[key]

    def way(self, way: Way, alone: Mapping[Move, float]) -> dict[str, Any]:
        """A way as JSON has it."""
        order = sorted(way.changes, key=lambda move: alone[move])
        stages = []
        for number, move in enumerate(order):
            stages.append(self._stage(order[:number], move))
        steps = ", ".join(_step_text(move) for move in order)
        (first, bands), (last, after) = self._at(()), self._at(order)
        return {
            "set": settings_of(tuple(order)),
            "changes": len(order),
            "cost": way.cost,
            "minimal": way.minimal,
            "state": "feasible",
            "metrics": _metrics(first, last),
            "bands": _json_bands(_bands(bands, after)),
            "steps": [_json(stage) for stage in stages],
            "text": f"{steps} ({_gains(first, last)})",
        }

    def _stage(self, before: Sequence[Move], move: Move) -> Stage:
        """One step after those before it."""
        start, _ = self._at(())
        (old, was), (new, now) = self._at(before), self._at([*before, move])
        step = move.step
        return Stage(
            step.path,
            step.before,
            step.after,
            step.group,
            move.rungs,
            _state(new, self._fidelity),
            new.reasons,
            _metrics(old, new),
            _bands(was, now),
            tuple(_demands(start, old, new)),
        )


def _json(stage: Stage) -> dict[str, Any]:
    out = {**vars(stage), "reasons": [str(reason) for reason in stage.reasons]}
    out["bands"] = _json_bands(stage.bands)
    out["metrics"] = {name: list(pair) for name, pair in stage.metrics.items()}
    return {**out, "demands": [dict(demand) for demand in stage.demands]}


def _json_bands(bands: Mapping[str, tuple[Band | None, Band | None]]) -> dict[str, Any]:
    return {
        name: [None if band is None else asdict(band) for band in pair]
        for name, pair in bands.items()
    }


def _state(judged: Judged, fidelity: Fidelity) -> State | None:
    if judged.impossible:
        return "impossible"
    if judged.holds:
        return "feasible" if fidelity == "simulate" else None
    return "infeasible"


def _metrics(old: Judged, new: Judged) -> dict[str, tuple[float | None, float | None]]:
    """Judged and limited metrics before and after, and the sum of broken demands."""
    out: dict[str, tuple[float | None, float | None]] = {}
    for metric in METRICS.values():
        if metric.judged or metric.budget:
            pair = [None if one.record is None else metric.of(one.record) for one in (old, new)]
            out[metric.name] = (pair[0], pair[1])
    out[VIOLATION] = (_finite(old.violation), _finite(new.violation))
    return out


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _bands(
    was: Mapping[str, Band], now: Mapping[str, Band]
) -> dict[str, tuple[Band | None, Band | None]]:
    return {name: (was.get(name), now.get(name)) for name in {**was, **now}}


def _demands(start: Judged, old: Judged, new: Judged) -> list[dict[str, Any]]:
    """Demands that were broken at the start, before the step or after it."""
    stages: list[dict[str, Demand]] = [
        {demand.key: demand for demand in one.demands} for one in (start, old, new)
    ]
    out = []
    for key in {**stages[0], **stages[1], **stages[2]}:
        there = [one[key] for one in stages if key in one]
        if not any(one.room is not None and one.room < 0.0 for one in there):
            continue
        before, after = (one[key].value if key in one else None for one in stages[1:])
        told = there[-1]
        out.append(
            {
                "name": told.name,
                "metric": told.metric,
                "limit": told.limit,
                "before": before,
                "after": after,
            }
        )
    return out


def _step_text(move: Move) -> str:
    step = move.step
    return f"{step.path} {shown(step.path, step.before)} -> {shown(step.path, step.after)}"


def _gains(first: Judged, last: Judged) -> str:
    """What was broken, before and after all steps."""
    told = _demands(first, first, last)
    parts = [
        f"{demand['name']} {_number(demand['before'])} to {_number(demand['after'])}, "
        f"limit {_number(demand['limit'])}"
        for demand in told[:3]
    ]
    return "; ".join(parts) or "nothing is broken any more"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _tried(moves: Sequence[Move], found: Found, limits: Limits) -> dict[str, Any]:
    """What a search looked at, for programs and for people."""
    values: dict[str, list[Value]] = {}
    for move in moves:
        values.setdefault(move.path, []).append(move.step.after)
    closest = None
    if found.closest is not None:
        changes, judged = found.closest
        closest = {
            "set": settings_of(changes),
            "cost": cost_of(changes),
            "level": "" if judged.record is None else judged.record.fidelity,
            "violation": judged.violation,
            "state": "infeasible",
            "reasons": [str(reason) for reason in judged.reasons],
        }
    return {
        "parameters": values,
        "limits": {**asdict(limits), "bounds": limits.bounds},
        "sizes": [asdict(row) for row in found.sizes],
        "bounds": found.bounds,
        "evaluations": found.tries,
        "used_up": found.spent,
        "closest": closest,
        "text": _tried_text(found, values),
    }


def _tried_text(found: Found, values: Mapping[str, Sequence[Value]]) -> str:
    """What was tried in one paragraph."""
    whole = sum(row.sets for row in found.sizes)
    rows = {
        name: sum(getattr(row, name) for row in found.sizes)
        for name in ("infeasible", "impossible", "mapped", "played")
    }
    most = max((row.changes for row in found.sizes), default=0)
    head = f"{len(found.ways)} found" if found.ways else "nothing that was tried helps"
    text = (
        f"{head}: up to {most} steps together over {len(values)} parameters, {found.bounds:,} of "
        f"{whole:,} sets held against the bound ({rows['infeasible']:,} infeasible, "
        f"{rows['impossible']:,} impossible by it), {rows['mapped']:,} mapped, "
        f"{rows['played']:,} played"
    )
    if found.closest is not None:
        changes, judged = found.closest
        steps = ", ".join(_step_text(move) for move in changes)
        level = "" if judged.record is None else f" ({judged.record.fidelity})"
        text += f"; the closest is {steps}, which still breaks{level}: {judged.reasons[0]}"
    return text
