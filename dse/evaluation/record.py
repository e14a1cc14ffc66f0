"""The one record of a design: every metric by its contract name, frozen, in SI units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from dse.evaluation.causes import Cause, with_causes
from dse.evaluation.metrics import METRICS, Band
from dse.evaluation.old_causes import told
from dse.mapping import LayerRow
from dse.migrations import FIELD, current
from dse.printing import Printed, si
from dse.registry import cached

#: Records that are read may have no field that they do not know.
CLOSED = ConfigDict(extra="forbid")
#: What ``feasible`` says, in words.
VERDICTS = {True: "feasible", False: "infeasible", None: "not decided"}


@dataclass(frozen=True)
class TaskRow:
    """One stream instance of an app. Latencies in s; None where nothing completed.

    Of a request, ``model`` and ``precision`` are those of the stage that takes most of its time;
    ``ttft_*`` is the time from release to the end of its first stage, ``tpot_*`` the mean time of
    each run after it, ``isolated_*`` the same alone on the chip. ``dram_peak_share`` is the share
    of the DRAM's peak bandwidth that the network (of that stage) reaches alone on the chip.
    ``judged`` of the ``released`` jobs are finished, lost or late (all, unless the play ended
    before); ``assured_share`` is the share of all jobs that is in time at least, with 95 %
    confidence: 1 less the missed fraction if the streams repeat within what was observed, else as
    from a sample.
    ``placement`` says where the stream runs, ``cores`` which cores of the chip (the device) it may
    use (a pipeline uses them in turn; none if all of it runs elsewhere), ``core_kind`` of what kind
    they are on a chip that has several.
    """

    __pydantic_config__ = CLOSED

    task: str
    stream: str
    model: str
    precision: str
    rate_hz: float
    deadline_s: float | None
    percentile: float
    isolated_latency_s: float
    energy_per_inference_j: float
    released: int | None
    completed: int | None
    dropped: int | None
    missed_fraction: float | None
    latency_p50_s: float | None
    latency_p90_s: float | None
    latency_p99_s: float | None
    latency_p999_s: float | None
    latency_max_s: float | None
    bottleneck: str
    quality_metric: str | None
    quality_value: float | None
    quality_margin: float | None
    meets_deadline: bool | None
    ttft_limit_s: float | None = None
    tpot_limit_s: float | None = None
    isolated_ttft_s: float | None = None
    isolated_tpot_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p99_s: float | None = None
    dram_peak_share: float | None = None
    placement: str = "device"
    core_kind: str = ""
    cores: tuple[int, ...] = ()
    judged: int | None = None
    assured_share: float | None = None


@dataclass(frozen=True)
class ChainRow:
    """An end-to-end chain of streams: from the release of the first to the end of the last, in s.

    ``judged`` counts the jobs that went all the way or were lost on it; without a simulation only
    ``isolated_latency_s``, the sum of the streams alone on the chip, is known.
    """

    __pydantic_config__ = CLOSED

    chain: str
    streams: tuple[str, ...]
    deadline_s: float
    percentile: float
    judged: int | None
    missed_fraction: float | None
    latency_p50_s: float | None
    latency_p99_s: float | None
    latency_max_s: float | None
    isolated_latency_s: float | None
    meets_deadline: bool | None


@dataclass(frozen=True, repr=False)
class Evaluation(Printed):
    """What a design is worth. Keys are the metric names of the contract.

    Plain ``energy_j``, ``average_power_w`` and ``peak_power_w`` are at module scope, ``area_mm2``
    is of the die; ``by_scope`` holds all four scopes. For an app, energy is over ``horizon_s``,
    ``latency_s`` is the largest 99th percentile of its streams and ``quality`` the worst
    normalized margin; for a model alone, ``quality`` is its published metric after the median
    drop. ``feasible`` is None where the fidelity cannot say it, and where a simulation has not
    decided it: then ``reasons`` say of which stream, and ``decided_at_s`` is the ``horizon_s`` that
    would. ``reasons`` say what an infeasible design breaks, and by how much, each with its kind,
    stream, layer and metric. Energy, power, throughput and utilization of an app are long-run
    means.

    Of an app: ``battery_hours`` at its mean power (None without a battery),
    ``deadline_satisfaction`` the mean share of frames in time over its streams, ``score`` all in
    one (see ``dse.apps.score``); ``offered_load`` is the work asked for over the time there is, by
    resource (above 1 it cannot be served). ``system_energy_j`` and ``total_cost_usd`` count the
    network and the device's share of the data centre too (``platform`` holds the parts); on one
    chip they are ``energy_j`` and ``unit_cost_usd``.

    ``utilization`` is MACs over those at peak: of a model alone (mapped) at the peak of the cores
    it runs on, at the roofline and of an app at that of all cores. ``junction_c`` is the
    junction temperature that rails and leakage are at: where the app (``thermal_c_per_w``) or the
    chip says how heat leaves, the sustained one that the power gives, else as chip or app state it.
    ``junction_peak_c`` of a simulated app is the highest that bursts reach, None where nothing says
    how heat leaves.

    ``memory``: what lies in each memory of the chip: ``capacity_bytes``, ``need_bytes``, and its
    ``parts``; of an app all that it keeps, of a model its weights and the most of its activations
    at once.
    ``core_kind``: of a model alone on a chip with several kinds of cores, the one it runs on (then
    ``f_hz`` and ``voltage_v`` are that kind's); the rows of an app name their own.
    ``kind_energy_j``: of a simulated app, what the cores of each kind used, before conversion.
    ``bands``: of metrics whose uncertainty was asked for, low, nominal and high.
    """

    __pydantic_config__ = CLOSED

    kind: str
    subject: str
    chip: str
    template: str
    node: str
    f_hz: float
    voltage_v: float
    precision: str
    fidelity: str
    feasible: bool | None
    reasons: tuple[Cause, ...]
    latency_s: float | None
    energy_j: float | None
    average_power_w: float | None
    peak_power_w: float | None
    throughput_per_s: float | None
    macs: int
    utilization: float | None
    dram_bytes: float | None
    area_mm2: float
    die_cost_usd: float
    unit_cost_usd: float
    volume: float
    unit_cost_by_volume_usd: Mapping[str, float]
    cost_breakdown_usd: Mapping[str, float]
    carbon_kg: float | None
    quality: float | None
    quality_detail: tuple[Mapping[str, Any], ...]
    by_scope: Mapping[str, Mapping[str, float | None]]
    energy_breakdown_j: Mapping[str, float]
    resource_utilization: Mapping[str, float]
    bottleneck: str
    horizon_s: float | None = None
    layers: tuple[LayerRow, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    chains: tuple[ChainRow, ...] = ()
    battery_hours: float | None = None
    deadline_satisfaction: float | None = None
    score: float | None = None
    junction_c: float | None = None
    junction_peak_c: float | None = None
    offered_load: Mapping[str, float] = field(default_factory=dict)
    system_energy_j: float | None = None
    total_cost_usd: float | None = None
    platform: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    identity: str = ""
    core_kind: str = ""
    kind_energy_j: Mapping[str, float] = field(default_factory=dict)
    bands: Mapping[str, Band] = field(default_factory=dict)
    decided_at_s: float | None = None
    memory: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """``feasible``, ``infeasible`` or ``not decided``."""
        return VERDICTS[self.feasible]

    @property
    def unmet(self) -> bool:
        """Whether something keeps it from being feasible: a demand that is broken, or a stream that
        a simulation has not decided. What a cheaper level does not know is neither."""
        return self.feasible is not True and bool(self.reasons)

    def metric(self, name: str) -> float | None:
        """A number by its metric name; KeyError for a name that is not a metric."""
        if name in METRICS:
            return METRICS[name].of(self)
        value = self.by_path(name)
        return None if value is None else float(value)

    def by_path(self, name: str) -> float | None:
        """A metric of one scope, such as ``npu.average_power_w``."""
        scope, _, key = name.partition(".")
        return self.by_scope[scope][key]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``; ``layers`` for models, ``tasks`` for apps.

        ``reasons`` are texts, ``causes`` what each of them is about.
        """
        written = _adapter().dump_python(self, exclude=self._left_out(), warnings=False)
        out: dict[str, Any] = {"schema_version": current("evaluation"), **written}
        out["causes"] = [reason.about for reason in self.reasons]
        out["verdict"] = self.verdict
        for metric in METRICS.values():
            if metric.value is not None:
                out[metric.name] = metric.of(self)
        return out

    def _left_out(self) -> set[str]:
        """Fields that a record of this kind does not have."""
        if self.kind == "app":
            return {"layers"}
        return {*APP_FIELDS, *(m.name for m in METRICS.values() if m.app_only)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The record that :meth:`to_dict` wrote, once it is in the form of today.

        Raises:
            ValueError: it is something else, lacks a field, or has one that no record has.
        """
        content = {key: value for key, value in data.items() if key not in (FIELD, "verdict")}
        for metric in METRICS.values():
            if metric.value is not None:
                content.pop(metric.name, None)
        try:
            causes, reasons = content.pop("causes", None), content["reasons"]
            content["reasons"] = told(reasons) if causes is None else with_causes(reasons, causes)
            return _adapter().validate_python(content)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"no record ({str(error).splitlines()[0]})") from None

    def table(self) -> list[dict[str, Any]]:
        """The layer or task rows as plain mappings (for a data frame)."""
        rows = self.layers if self.kind == "model" else self.tasks
        return [asdict(row) for row in rows]

    def _title(self) -> str:
        state = {True: "feasible", False: "NOT feasible", None: "feasibility not decided"}
        where = f"{self.subject} on {self.chip} at {self.node}, {self.fidelity}"
        return f"{where}: {state[self.feasible]}"

    def figures(self) -> dict[str, str]:
        """Every metric by its label, with what must be known beside the number, for a person."""
        out = {}
        for metric in METRICS.values():
            value, said = metric.of(self), metric.said(self)
            if said is None or (metric.app_only and value is None):
                continue
            if value is None:
                figure = "-"
            elif metric.share:
                figure = f"{value:.1%}"
            elif metric.unit in ("s", "J", "W", "B", "1/s"):
                figure = si(value, metric.unit.replace("1/", "/"))
            else:
                figure = f"{value:.3g} {metric.unit}".rstrip()
            out[metric.label] = f"{figure} {said}".rstrip()
        return out

    def _figures(self) -> Mapping[str, Any]:
        reasons = {f"reason {n}": text for n, text in enumerate(self.reasons[:5], 1)}
        clock = f"{si(self.f_hz, 'Hz')} at {self.voltage_v:.2f} V, {self.precision}"
        known = {name: text for name, text in self.figures().items() if text != "-"}
        return {**reasons, "clock": clock, **known, "bottleneck": self.bottleneck}

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        if self.kind != "model":
            return [
                {
                    "task": row.task,
                    "model": row.model,
                    "rate": si(row.rate_hz, "/s"),
                    "deadline": si(row.deadline_s, "s"),
                    "alone": si(row.isolated_latency_s, "s"),
                    "p99": si(row.latency_p99_s, "s"),
                    "late": "-" if row.missed_fraction is None else f"{row.missed_fraction:.1%}",
                    "bottleneck": row.bottleneck,
                }
                for row in self.tasks
            ]
        return [
            {
                "layer": row.name,
                "op": row.op,
                "MACs": row.macs,
                "latency": si(row.latency_s, "s"),
                "energy": si(row.energy_j, "J"),
                "utilization": f"{row.utilization:.1%}",
                "bottleneck": row.bottleneck,
            }
            for row in self.layers
        ]


#: Fields, beside metrics, that only an app has.
APP_FIELDS = ("tasks", "chains", "offered_load", "platform", "decided_at_s")


@cached(1)
def _adapter() -> TypeAdapter[Evaluation]:
    """What reads and writes records, wherever they are kept."""
    return TypeAdapter(Evaluation)
