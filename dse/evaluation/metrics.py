"""The one table of metrics: what a design is judged by, and all that anyone needs to know of it.

Records, bounds, uncertainty, objectives and constraints, reports, explanations and what commands
print read it. A new metric is one entry here, with a function of the record (``value``) unless it
is a field that evaluation fills in. ``docs/search.md`` lists the entries; a test holds them
against what the table says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Sense = Literal["minimize", "maximize"]
#: Units by the end of a metric's name, the longest end that fits; a name without one is a pure
#: number.
UNITS = {
    "_per_s": "1/s",
    "_s": "s",
    "_j": "J",
    "_w": "W",
    "_bytes": "B",
    "_mm2": "mm2",
    "_usd": "USD",
    "_kg": "kg",
    "_hours": "h",
    "_c": "C",
}


class Record(Protocol):
    """What entries below read of a record, an ``Evaluation``, beside its metrics."""

    @property
    def kind(self) -> str: ...

    @property
    def fidelity(self) -> str: ...

    @property
    def horizon_s(self) -> float | None: ...

    @property
    def volume(self) -> float: ...

    @property
    def platform(self) -> Any: ...

    def metric(self, name: str) -> float | None: ...


@dataclass(frozen=True)
class Band:
    """Nominal value, and what one draw in ten is below (``low``) and above (``high``)."""

    low: float
    nominal: float
    high: float


def nothing(record: Record) -> str:
    """What is said behind most metrics."""
    return ""


def complete(app: Any, chip: Any, fidelity: str) -> str:
    """What most metrics lack of an app and a chip."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that designs are compared by.

    Attributes:
        name: as in records; its end says the unit (:data:`UNITS`).
        label: for people, in tables and on axes, without the unit.
        sense: which direction is better.
        bounded: the optimistic levels bound it on its good side (or know it), so that a design
            may be left out by it. Where it is not, a search for it prunes nothing.
        exact: known at every level, before anything is mapped.
        uncertain: uncertain facts of technology or runtime class move it.
        combines: several apps on one chip are judged by the worst (or a mean) of their values
            (``apps``), or it is one figure of the chip for all of them (``chip``).
        scoped: also known by scope (``npu.average_power_w``), in ``by_scope``.
        app_only: of a model alone there is none.
        judged: steps of ``dse explain`` and of reports are judged by it.
        short: short summaries name it.
        share: a share of a whole, written in percent.
        scale: of a pure number of an app, how it is to be read.
        budget: the field of an app's budgets that limits it.
        unknown: what an unknown value counts as where designs are compared; None: then they are
            not.
        best: what the best design in it is called; "least" or "most" and the label by default.
        value: gives it from the other fields of a record; None: it is a field of its own.
        said: of a record, what a reader must know beside the number; None: of this record the
            number says nothing new.
        lacks: of an app, a chip and a level, what must be stated so that there is such a number at
            all; empty if nothing is missing.
    """

    name: str
    label: str
    sense: Sense
    bounded: bool
    exact: bool
    uncertain: bool
    combines: Literal["apps", "chip"] = "apps"
    scoped: bool = False
    app_only: bool = False
    judged: bool = False
    short: bool = False
    share: bool = False
    scale: str = ""
    budget: str = ""
    unknown: float | None = None
    best: str = ""
    value: Callable[[Any], float | None] | None = None
    said: Callable[[Any], str | None] = nothing
    lacks: Callable[[Any, Any, str], str] = complete

    @property
    def unit(self) -> str:
        """SI unit, USD, h or C; empty for a pure number."""
        return unit_of(self.name)

    @property
    def axis(self) -> str:
        """Label with the unit, for an axis or a column."""
        unit = self.unit.replace("mm2", "mm²") or self.scale
        return f"{self.label} ({unit})" if unit else self.label

    @property
    def praise(self) -> str:
        """What the best design in it is called, such as "least power"."""
        return self.best or f"{'most' if self.sense == 'maximize' else 'least'} {self.label}"

    @property
    def by_difference(self) -> bool:
        """Whether changes are told as differences: pure numbers may be 0, or below."""
        return not self.unit

    def of(self, record: Record) -> float | None:
        """Its value in a record; None where the level does not know it."""
        found = getattr(record, self.name) if self.value is None else self.value(record)
        return None if found is None else float(found)


def compared(path: str, record: Record) -> float | None:
    """What a record counts as in a metric, also of one scope, where designs are compared."""
    value = record.metric(path)
    return METRICS[path].unknown if value is None and path in METRICS else value


def unit_of(name: str) -> str:
    """The unit that the end of a name says; empty for a pure number."""
    ends = [end for end in UNITS if name.endswith(end)]
    return UNITS[max(ends, key=len)] if ends else ""


def _late(record: Record) -> str:
    return "(worst p99)" if record.kind == "app" else ""


def _over(record: Record) -> str:
    return f"over {record.horizon_s:g} s" if record.horizon_s else "per inference"


def _at_volume(record: Record) -> str:
    return f"at {record.volume:,.0f} units"


def _of_cores(record: Record) -> str:
    alone = record.kind == "model" and record.fidelity != "roofline"
    return f"of {'the cores it runs on' if alone else 'all cores'} at peak"


def _margin(record: Record) -> str:
    return "(margin, 0 = at the floor)" if record.kind == "app" else "as published"


def _no_battery(app: Any, chip: Any, fidelity: str) -> str:
    return "" if app.budgets.battery_wh is not None else "budgets.battery_wh in the app"


def _no_heat(app: Any, chip: Any, fidelity: str) -> str:
    """A steady junction follows from the app's environment, a played one from the chip's model."""
    stated = app.environment is not None and app.environment.thermal_c_per_w is not None
    played = chip.thermal is not None and fidelity == "simulate"
    return "" if stated or played else "environment.thermal_c_per_w in the app"


def _with_cloud(record: Record) -> str | None:
    return "with network and data centre" if record.platform else None


_TABLE = (
    Metric(
        name="average_power_w", label="module power", sense="minimize", best="least power",
        budget="module_power_w",
        bounded=True, exact=False, uncertain=True, scoped=True, judged=True, short=True,
    ),
    Metric(
        name="energy_j", label="module energy", sense="minimize", said=_over,
        bounded=True, exact=False, uncertain=True, scoped=True, judged=True,
    ),
    Metric(
        name="latency_s", label="latency", sense="minimize", said=_late,
        bounded=True, exact=False, uncertain=True, judged=True,
    ),
    Metric(
        name="peak_power_w", label="peak power", sense="minimize", budget="peak_power_w",
        bounded=False, exact=False, uncertain=True, scoped=True,
    ),
    Metric(
        name="throughput_per_s", label="throughput", sense="maximize",
        bounded=False, exact=False, uncertain=True,
    ),
    Metric(
        name="utilization", label="array utilization", sense="maximize", share=True, said=_of_cores,
        bounded=False, exact=False, uncertain=False,
    ),
    Metric(
        name="dram_bytes", label="DRAM traffic", sense="minimize",
        bounded=True, exact=False, uncertain=False,
    ),
    Metric(
        name="die_cost_usd", label="die cost", sense="minimize", combines="chip",
        bounded=True, exact=True, uncertain=True,
    ),
    Metric(
        name="unit_cost_usd", label="unit cost", sense="minimize", combines="chip",
        best="cheapest", said=_at_volume, budget="unit_cost_usd",
        bounded=True, exact=True, uncertain=True, judged=True, short=True,
    ),
    Metric(
        name="area_mm2", label="die area", sense="minimize", combines="chip",
        budget="area_mm2",
        bounded=True, exact=True, uncertain=True, scoped=True, short=True,
    ),
    Metric(
        name="carbon_kg", label="carbon, CO₂e", sense="minimize",
        bounded=True, exact=False, uncertain=True,
    ),
    Metric(
        name="quality", label="quality", sense="maximize",
        best="best quality", scale="margin, 0 = at the floor", said=_margin, unknown=-1.0,
        bounded=True, exact=True, uncertain=False, judged=True, short=True,
    ),
    Metric(
        name="battery_hours", label="battery life", sense="maximize", app_only=True,
        lacks=_no_battery,
        bounded=False, exact=False, uncertain=False,
    ),
    Metric(
        name="deadline_satisfaction", label="deadlines kept", sense="maximize", share=True,
        bounded=False, exact=False, uncertain=False, app_only=True,
    ),
    Metric(
        name="score", label="score", sense="maximize", best="best score",
        bounded=False, exact=False, uncertain=False, app_only=True, judged=True,
    ),
    Metric(
        name="junction_c", label="junction temperature", sense="minimize", lacks=_no_heat,
        bounded=False, exact=False, uncertain=False,
    ),
    Metric(
        name="junction_peak_c", label="junction in bursts", sense="minimize", lacks=_no_heat,
        bounded=False, exact=False, uncertain=False, app_only=True,
    ),
    Metric(
        name="system_energy_j", label="system energy", sense="minimize", said=_with_cloud,
        bounded=False, exact=False, uncertain=False, app_only=True,
    ),
    Metric(
        name="total_cost_usd", label="total cost", sense="minimize", said=_with_cloud,
        bounded=False, exact=False, uncertain=False, app_only=True,
    ),
)  # fmt: skip

#: By name, in the order in which they are shown. Read when used, never copied: what is added here
#: is known everywhere.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def named(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """Names of some metrics."""
    return tuple(metric.name for metric in metrics)


def metric_of(path: str) -> Metric:
    """The metric of a name, also of one scope (``npu.area_mm2``); KeyError if there is none."""
    return METRICS[path.rpartition(".")[2]]


def label(path: str) -> str:
    """Axis label of a metric, also of one scope; other names stay as they are."""
    scope, _, name = path.rpartition(".")
    if name not in METRICS:
        return path
    return f"{METRICS[name].axis}, {scope}" if scope else METRICS[name].axis
