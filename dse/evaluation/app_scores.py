"""Scores and battery life of an app's record."""

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
from dse.hardware.blocks import number

#: Hours of the month that self-discharge is stated for (30 days).
MONTH_H = 720.0


def scored(record: Evaluation, app: App, verdicts: Sequence[QualityVerdict]) -> Evaluation:
    """``record`` with scores and battery life."""
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
    """How long the battery lasts with the module, all else it feeds and what it loses, h."""
    budgets = app.budgets
    drawn = power_w / battery_converter(app) + budgets.other_power_w
    if budgets.battery_wh is None or drawn <= 0.0:
        return None
    lost = budgets.battery_wh * battery_self_discharge(app) / MONTH_H
    return budgets.battery_wh * budgets.battery_usable / (drawn + lost)


def battery_converter(app: App) -> float:
    """Efficiency between the battery and the module's supply."""
    stated = app.budgets.battery_converter
    return number("battery_converter_efficiency") if stated is None else stated


def battery_self_discharge(app: App) -> float:
    """Share of its rated energy that the battery loses by itself in a month."""
    stated = app.budgets.battery_self_discharge
    return number("battery_self_discharge") if stated is None else stated


def battery_left_w(app: App, hours: float) -> float:
    """Power at the module's supply at which the battery lasts so many hours; below 0 if what else
    it feeds and loses empties it sooner."""
    budgets = app.budgets
    rated = budgets.battery_wh or 0.0
    lost = rated * battery_self_discharge(app) / MONTH_H
    given = rated * budgets.battery_usable / hours
    return (given - lost - budgets.other_power_w) * battery_converter(app)
