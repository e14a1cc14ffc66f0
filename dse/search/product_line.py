"""One chip for several apps: what a design is worth to all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from dse.apps import App
from dse.evaluation.metrics import METRICS
from dse.evaluation.record import Evaluation
from dse.search.experiment import AppUse

Found = Sequence[tuple[AppUse, Evaluation]]


def at_volume(app: App, volume: float) -> App:
    """The app with its product made in ``volume``: one chip is built for the whole line.

    The volumes that costs are listed for grow in the same ratio.
    """
    ratio = volume / app.budgets.volume
    update = {"volume": volume, "volumes": tuple(v * ratio for v in app.budgets.volumes)}
    return app.model_copy(update={"budgets": app.budgets.model_copy(update=update)})


def combined(found: Found, how: Literal["worst", "weighted"]) -> Evaluation:
    """One record of all apps.

    Each metric is the worst of the apps or their weighted mean; None if any app does not know it.
    Tasks, chains and quality of all apps are listed, with the app before their names; energy by
    part is that of the app with the highest power.
    """
    records = [record for _, record in found]
    lead = max(records, key=lambda record: record.average_power_w or 0.0)
    metrics: dict[str, Any] = {
        name: _joined(found, [metric.of(record) for record in records], metric.sense, how)
        for name, metric in METRICS.items()
        if metric.combines == "apps" and metric.value is None
    }
    scopes = {
        scope: {
            key: _joined(
                found,
                [record.by_scope[scope].get(key) for record in records],
                METRICS[key].sense,
                how,
            )
            for key in lead.by_scope[scope]
        }
        for scope in lead.by_scope
    }
    named = [(use.app, record) for use, record in found]
    decided = {record.feasible for record in records}
    return replace(
        lead,
        subject=" + ".join(record.subject for record in records),
        precision=",".join(dict.fromkeys(record.precision for record in records)),
        feasible=False if False in decided else None if None in decided else True,
        reasons=tuple(reason.of(app) for app, record in named for reason in record.reasons),
        macs=max(record.macs for record in records),
        by_scope=scopes,
        tasks=tuple(
            replace(row, task=f"{app}:{row.task}", stream=f"{app}:{row.stream}")
            for app, record in named
            for row in record.tasks
        ),
        chains=tuple(
            replace(row, chain=f"{app}:{row.chain}")
            for app, record in named
            for row in record.chains
        ),
        quality_detail=tuple(
            {**detail, "stream": f"{app}:{detail['stream']}"}
            for app, record in named
            for detail in record.quality_detail
        ),
        resource_utilization=_highest([record.resource_utilization for record in records]),
        notes=tuple(dict.fromkeys(note for record in records for note in record.notes)),
        **metrics,
    )


def _joined(found: Found, values: Sequence[float | None], direction: str, how: str) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if how == "worst":
        return min(known) if direction == "maximize" else max(known)
    weights = [use.weight for use, _ in found]
    return sum(w * v for w, v in zip(weights, known, strict=True)) / sum(weights)


def _highest(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for share in shares for name in share)
    return {name: max(share.get(name, 0.0) for share in shares) for name in names}
