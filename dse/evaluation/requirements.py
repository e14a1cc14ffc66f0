"""Everything an app demands of an evaluated design, with the room that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dse.apps import App
from dse.evaluation.app_scores import battery_left_w
from dse.evaluation.causes import Cause
from dse.evaluation.metrics import METRICS
from dse.evaluation.record import ChainRow, Evaluation, TaskRow

Kind = Literal[
    "load",
    "deadline",
    "ttft",
    "tpot",
    "chain",
    "power",
    "cost",
    "area",
    "battery",
    "heat",
    "quality",
    "memory",
]


#: Kinds of budgets by the unit of what they limit.
_BUDGETED: dict[str, Kind] = {"W": "power", "USD": "cost", "mm2": "area"}


@dataclass(frozen=True)
class Requirement:
    """One demand: what was found, what is allowed, and the room left relative to the limit (of a
    battery: to the power it leaves to the module).

    ``room`` is negative where the demand is broken and 0 where it binds; None if the fidelity
    does not know. ``stream`` is the instance or chain it belongs to. ``value`` and ``limit`` in
    the unit of ``metric``.
    """

    kind: Kind
    name: str
    metric: str
    value: float | None
    limit: float
    room: float | None
    stream: str | None = None

    @property
    def excess(self) -> float:
        """How far it is broken, relative to the limit; 0 if it holds or is not known."""
        return 0.0 if self.room is None else max(0.0, -self.room)


def requirements(app: App, record: Evaluation) -> list[Requirement]:
    """All demands of ``app`` on a record, tightest first, unknown ones last."""
    out = [demand for row in record.tasks for demand in _of_task(row)]
    out += [_of_chain(row) for row in record.chains]
    out += [
        Requirement("load", f"time of {name}", "offered_load", share, 1.0, 1.0 - share)
        for name, share in record.offered_load.items()
        if share > 1.0 + 1e-9
    ]
    out += [
        Requirement("memory", f"room in {name}", "memory", room["need_bytes"], size, 1.0 - over)
        for name, room in record.memory.items()
        if (over := room["need_bytes"] / (size := room["capacity_bytes"])) > 1.0
    ]
    out += _of_product(app, record)
    floors = {stream.id: stream.quality for stream in app.streams}
    for verdict in record.quality_detail:
        stream = str(verdict["stream"])
        floor = floors.get(stream)
        if floor is None:
            continue
        room = verdict["margin"] if verdict["margin"] is not None else -1.0
        stated = (verdict.get("limit"), floor.max_drop, floor.min_value, floor.min_ratio)
        limit = next(figure for figure in stated if figure is not None)
        name, found = f"quality of {stream}", verdict.get("found")
        out.append(Requirement("quality", name, floor.metric, found, limit, room, stream))
    return sorted(out, key=lambda demand: (demand.room is None, demand.room or 0.0))


def violation(app: App, record: Evaluation) -> float:
    """Sum of the relative excesses over all demands; 0 if none is broken, inf if unmappable.

    What has no measure (a memory that overflows, privacy, a stream that is not decided) counts 1
    for each reason if nothing else is broken.
    """
    if record.bottleneck == "unmappable":
        return float("inf")
    total = sum(demand.excess for demand in requirements(app, record))
    if total == 0.0 and record.unmet:
        return float(len(record.reasons))
    return total


def _room(value: float | None, limit: float) -> float | None:
    return None if value is None else 1.0 - value / limit


def _of_task(row: TaskRow) -> list[Requirement]:
    out = []
    if row.deadline_s is not None:
        value, name = _at_percentile(row)
        room = _room(value, row.deadline_s)
        if row.missed_fraction is not None:
            lost = row.missed_fraction - (1.0 - row.percentile)
            room = -lost if lost > 1e-12 else max(room or 0.0, 0.0)
            if lost > 1e-12 and value is not None:
                room = min(room, 1.0 - value / row.deadline_s)
        out.append(
            Requirement(
                "deadline", f"deadline of {row.task} ({name})", "latency_s", value, row.deadline_s,
                room, row.task,
            )
        )  # fmt: skip
    for kind, value, isolated, limit in (
        ("ttft", row.ttft_p99_s, row.isolated_ttft_s, row.ttft_limit_s),
        ("tpot", row.tpot_p99_s, row.isolated_tpot_s, row.tpot_limit_s),
    ):
        if limit is not None:
            found = value if row.released is not None else isolated
            label = f"{kind.upper()} of {row.task} (p99)"
            room = _room(found, limit)
            demand: Kind = "ttft" if kind == "ttft" else "tpot"
            out.append(Requirement(demand, label, f"{kind}_s", found, limit, room, row.task))
    return out


def _at_percentile(row: TaskRow) -> tuple[float | None, str]:
    """The observed latency that stands for the stream's percentile, and its name."""
    if row.released is None:
        return row.isolated_latency_s, "alone"
    for share, value, name in (
        (0.5, row.latency_p50_s, "p50"),
        (0.9, row.latency_p90_s, "p90"),
        (0.99, row.latency_p99_s, "p99"),
        (0.999, row.latency_p999_s, "p99.9"),
    ):
        if row.percentile <= share:
            return value, name
    return row.latency_max_s, "worst"


def _of_chain(row: ChainRow) -> Requirement:
    value = row.latency_p99_s if row.judged is not None else row.isolated_latency_s
    room = _room(value, row.deadline_s)
    if row.missed_fraction is not None:
        lost = row.missed_fraction - (1.0 - row.percentile)
        room = -lost if lost > 1e-12 else max(room or 0.0, 0.0)
    name = f"end to end {row.chain}"
    return Requirement("chain", name, "latency_s", value, row.deadline_s, room, row.chain)


def _of_product(app: App, record: Evaluation) -> list[Requirement]:
    budgets, heat = app.budgets, app.environment
    out = []
    for metric in METRICS.values():
        limit = getattr(budgets, metric.budget) if metric.budget else None
        if limit is not None:
            value, kind = metric.of(record), _BUDGETED[metric.unit]
            room = _room(value, limit)
            out.append(Requirement(kind, metric.label, metric.name, value, limit, room))
    if budgets.min_hours is not None:
        hours = record.battery_hours
        room = None if hours is None else _battery_room(app, record, hours, budgets.min_hours)
        name = "battery life"
        out.append(Requirement("battery", name, "battery_hours", hours, budgets.min_hours, room))
    if heat is not None and heat.thermal_c_per_w is not None:
        span, warm = heat.max_junction_c - heat.ambient_c, record.junction_c
        room = None if warm is None else (heat.max_junction_c - warm) / span
        out.append(Requirement("heat", "junction", "junction_c", warm, heat.max_junction_c, room))
        peak = record.junction_peak_c
        if peak is not None:
            room = (heat.max_junction_c - peak) / span
            name, limit = "junction in bursts", heat.max_junction_c
            out.append(Requirement("heat", name, "junction_peak_c", peak, limit, room))
    return out


def _battery_room(app: App, record: Evaluation, hours: float, wanted: float) -> float:
    """Room in the power that the battery leaves to the module beside all else it feeds.

    Where the rest alone empties it too early, no module would do: the hours that are missing.
    """
    left_w = battery_left_w(app, wanted)
    power = record.average_power_w
    if left_w <= 0.0 or power is None:
        return hours / wanted - 1.0
    return 1.0 - power / left_w


def product_reasons(app: App, record: Evaluation) -> list[Cause]:
    """The broken demands on the product, in words (streams and chains tell their own)."""
    out = []
    for demand in _of_product(app, record):
        if demand.room is None or demand.room >= 0.0 or demand.value is None:
            continue
        if demand.kind == "heat":  # says more than the temperature (dse.evaluation.heat)
            continue
        value, limit = demand.value, demand.limit
        if demand.kind == "battery":
            text = f"battery lasts {value:.3g} h, {limit:g} h are asked for"
        else:
            unit = METRICS[demand.metric].unit
            text = (
                f"{demand.name} {value:.3g} {unit} over the budget of {limit:g} {unit} "
                f"by {value / limit - 1:.0%}"
            )
        out.append(Cause(text, demand.kind, metric=demand.metric))
    return out
