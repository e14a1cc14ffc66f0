"""Scores, battery life and junction temperature of an app's record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dse.apps import App, QualityVerdict
from dse.apps.score import (
    StreamScore,
    combined_score,
    deadline_satisfaction,
    energy_score,
    quality_score,
)
from dse.evaluation.record import Evaluation, TaskRow
from dse.simulation.task import Timeline


def scored(record: Evaluation, app: App, verdicts: Sequence[QualityVerdict]) -> Evaluation:
    """``record`` with scores, battery life and junction temperature."""
    power = record.average_power_w or 0.0
    by_stream = {verdict.stream: verdict for verdict in verdicts}
    parts = []
    for stream in app.streams:
        rows = [row for row in record.tasks if row.stream == stream.id]
        share = sum(in_time(row) for row in rows) / max(len(rows), 1)
        parts.append(StreamScore(stream.id, share, quality_score(by_stream[stream.id])))
    frames = sum(row.rate_hz for row in record.tasks)
    energy = energy_score(power, app.budgets.module_power_w, frames)
    return replace(
        record,
        battery_hours=battery_hours(app, power),
        junction_c=_junction_c(app, record),
        deadline_satisfaction=deadline_satisfaction(parts),
        score=combined_score(parts, energy),
    )


def in_time(row: TaskRow) -> float:
    """Share of a stream's frames in time, lost ones counted once.

    Of a request, not more than limit / p99 for its TTFT and TPOT. Unsimulated: 1 or 0 by the
    isolated latency, which is optimistic.
    """
    if row.missed_fraction is None:
        return 0.0 if row.meets_deadline is False else 1.0
    shares = [1.0 - row.missed_fraction]
    for value, limit in ((row.ttft_p99_s, row.ttft_limit_s), (row.tpot_p99_s, row.tpot_limit_s)):
        if value is not None and limit is not None:
            shares.append(min(1.0, limit / value))
    return min(shares)


def battery_hours(app: App, power_w: float) -> float | None:
    """How long the battery lasts with the module and all else it feeds, h."""
    budgets = app.budgets
    drawn = power_w + budgets.other_power_w
    if budgets.battery_wh is None or drawn <= 0.0:
        return None
    return budgets.battery_wh * budgets.battery_usable / drawn


def hottest(record: Evaluation, timeline: Timeline | None) -> float | None:
    """The junction temperature of the record, or where the app says nothing of heat, the highest
    of a play with the chip's own thermal model."""
    if record.junction_c is not None or timeline is None or not timeline.junction_c:
        return record.junction_c
    return max(degrees for _, degrees in timeline.junction_c)


def _junction_c(app: App, record: Evaluation) -> float | None:
    """Steady junction temperature at the die's mean power; None if the app does not say."""
    heat = app.environment
    watts = record.by_scope["die"]["average_power_w"]
    if heat is None or heat.thermal_c_per_w is None or watts is None:
        return None
    return heat.ambient_c + heat.thermal_c_per_w * watts
