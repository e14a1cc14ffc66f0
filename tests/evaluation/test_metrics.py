"""The one table of metrics: what each entry says is so, and a new entry is known everywhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dse
from dse.apps import App, load_app
from dse.apps.limits import Environment
from dse.errors import InputError
from dse.evaluation import METRICS, Evaluation, Metric, evaluate_app, stream_workloads
from dse.evaluation.metrics import UNITS, label
from dse.evaluation.states import STATES
from dse.evaluation.uncertainty import model_uncertainty
from dse.explanation.feedback import Step, effects
from dse.hardware.chip import SCOPES, Chip
from dse.reports.plots import hover
from dse.reports.tables import summary
from dse.schema import validate
from dse.search import Experiment, Outcome, design_row, resolve_experiment
from dse.search.bound import SLACK, bounds_of
from dse.search.candidate import evaluate_candidate
from dse.workload import Workload

DOCS = Path(__file__).resolve().parents[2] / "docs" / "search.md"
LEVELS = ("roofline", "analytic", "simulate")
#: Metrics that are pure numbers; every other one says its unit at the end of its name.
PURE = {"utilization", "quality", "deadline_satisfaction", "score"}


@pytest.fixture(scope="module")
def chip() -> Chip:
    return dse.load_chip("gap9", node=22)


@pytest.fixture(scope="module")
def app() -> App:
    """An app with a battery and a case, so that there is a value of every metric."""
    hot = Environment(ambient_c=30.0, thermal_c_per_w=20.0)
    return load_app("wearable_kws").model_copy(update={"environment": hot})


@pytest.fixture(scope="module")
def records(app: App, chip: Chip) -> dict[str, Evaluation]:
    """The app's record at each level."""
    workloads = stream_workloads(app, chip)
    return {
        "roofline": evaluate_app(app, workloads, chip, "roofline")[0],
        "analytic": evaluate_app(app, workloads, chip, "analytic")[0],
        "simulate": evaluate_app(app, workloads, chip, "simulate")[0],
    }


@pytest.fixture(scope="module")
def model_records(chip: Chip, workload: Workload) -> dict[str, Evaluation]:
    return {
        "roofline": dse.simulate(workload, chip, "roofline"),
        "analytic": dse.simulate(workload, chip, "analytic"),
        "simulate": dse.simulate(workload, chip, "simulate"),
    }


@pytest.fixture(scope="module")
def workload() -> Workload:
    return dse.load_model("dscnn_kws").at("w8a8")


def experiment(*objectives: str) -> Experiment:
    return validate(
        Experiment,
        {
            "name": "two",
            "app": "wearable_kws",
            "chip": "gap9",
            "parameters": {"chip.f_hz": {"ladder": [2e8, 3e8]}},
            "objectives": [{"metric": name} for name in objectives],
        },
    )


def outcome(record: Evaluation) -> Outcome:
    return Outcome({}, record.fidelity, "feasible", True, 0.0, (1.0,), (), "", record)


def documented(metric: Metric) -> str:
    """The row of an entry in the docs."""
    cells = (
        f"`{metric.name}`",
        metric.unit,
        "less" if metric.sense == "minimize" else "more",
        metric.label,
        "exact" if metric.exact else "below" if metric.bounded else "",
        "yes" if metric.uncertain else "",
        "yes" if metric.scoped else "",
        "the chip's" if metric.combines == "chip" else "worst",
    )
    return f"| {' | '.join(cells)} |"


def test_names_say_units_and_labels_are_told_apart() -> None:
    assert {name for name, metric in METRICS.items() if not metric.unit} == PURE
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit in {"", *UNITS.values()}
        assert metric.label
        assert metric.label == name or "_" not in metric.label
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    assert label("npu.area_mm2") == "die area (mm²), npu"
    assert label("chip.node") == "chip.node"


def test_the_docs_list_every_metric_and_no_other() -> None:
    states = {f"| `{state}` " for state in STATES}  # of the table of states
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    rows = [row for row in rows if not row.startswith(tuple(states))]
    assert rows == [documented(metric) for metric in METRICS.values()]


def test_every_metric_has_a_value_where_it_should(
    records: Mapping[str, Evaluation], model_records: Mapping[str, Evaluation]
) -> None:
    app, model = records["simulate"], model_records["simulate"]
    row = design_row(outcome(app), experiment("energy_j"))
    for name, metric in METRICS.items():
        assert metric.of(app) is not None, name
        assert app.to_dict()[name] == metric.of(app)
        assert row[name] == metric.of(app)
        assert (name in model.to_dict()) == (not metric.app_only)
        if not metric.app_only:
            assert model.to_dict()[name] == metric.of(model)
            assert metric.of(model) is not None, name
    for record in (app, model):
        again = Evaluation.from_dict(json.loads(json.dumps(record.to_dict())))
        assert json.dumps(again.to_dict()) == json.dumps(record.to_dict())
        told = record.figures()
        assert "module power" in told
        assert told["unit cost"].endswith("units")
    scoped = {name for name, metric in METRICS.items() if metric.scoped}
    assert set(app.by_scope) == set(SCOPES)
    assert all(set(values) == scoped for values in app.by_scope.values())


def test_bounds_are_on_the_good_side_and_exact_ones_known_at_once(
    records: Mapping[str, Evaluation], model_records: Mapping[str, Evaluation]
) -> None:
    for found in (records, model_records):
        for name, metric in METRICS.items():
            values = [metric.of(found[level]) for level in LEVELS]
            if metric.exact:
                assert metric.bounded
                assert len(set(values)) == 1, name
            if not metric.bounded or (found is model_records and values[0] is None):
                continue
            turned = -1.0 if metric.sense == "maximize" else 1.0
            losses = [turned * value for value in values if value is not None]
            assert len(losses) == 3, name
            for better, worse in itertools.pairwise(losses):
                assert better - SLACK * abs(better) <= worse, name


def test_a_search_prunes_by_what_is_bounded_only(records: Mapping[str, Evaluation]) -> None:
    for name, metric in METRICS.items():
        costs = len(records["roofline"].unit_cost_by_volume_usd) * (name == "unit_cost_usd")
        row = bounds_of(records["roofline"], experiment(name))
        assert len(row) == 1 + costs
        assert (row[0] > -float("inf")) == metric.bounded, name


def test_technology_moves_the_uncertain_ones(chip: Chip, workload: Workload) -> None:
    found = model_uncertainty(workload, chip, 3)
    assert set(found.samples) == {name for name, metric in METRICS.items() if metric.uncertain}
    nominal = dse.simulate(workload, chip, "analytic")
    for name, samples in found.samples.items():
        known = {value for value in samples if value is not None}
        assert len(known | {nominal.metric(name)}) > 1, name
    assert found.on(nominal).bands == found.bands
    written = found.on(nominal).to_dict()["bands"]["energy_j"]
    assert written["low"] <= written["nominal"] * 1.5
    assert set(written) == {"low", "nominal", "high"}


def test_objectives_and_the_schema_know_the_table() -> None:
    names = Experiment.model_json_schema()["$defs"]["Objective"]["properties"]["metric"]["enum"]
    assert set(names) >= set(METRICS)
    assert "npu.area_mm2" in names
    assert "npu.quality" not in names
    assert experiment("npu.area_mm2").objectives[0].sense == "minimize"
    with pytest.raises(InputError, match="not known by scope"):
        experiment("npu.quality")


def test_a_new_metric_is_one_entry(
    monkeypatch: pytest.MonkeyPatch, records: Mapping[str, Evaluation], app: App, chip: Chip
) -> None:
    """Record, file, objective, schema, bound, step, summary, plot and headline know it at once."""

    def per_inference(record: Evaluation) -> float | None:
        if record.average_power_w is None or not record.throughput_per_s:
            return None
        return record.average_power_w / record.throughput_per_s

    name = "inference_energy_j"
    entry = Metric(
        name=name, label="energy of an inference", sense="minimize", value=per_inference,
        bounded=True, exact=False, uncertain=True, judged=True, short=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="unknown metric"):
        experiment(name)
    monkeypatch.setitem(METRICS, name, entry)
    record = records["simulate"]
    value = per_inference(record)
    assert value is not None
    assert value > 0.0
    assert record.metric(name) == value
    written = json.loads(json.dumps(record.to_dict()))
    assert written[name] == value
    assert Evaluation.from_dict(written).metric(name) == value
    enum = Experiment.model_json_schema()["$defs"]["Objective"]["properties"]["metric"]["enum"]
    assert name in enum
    found = evaluate_candidate(resolve_experiment(experiment(name)), {"chip.f_hz": 3e8})
    assert found.objectives == (found.record.metric(name),)
    assert design_row(found, experiment(name))[name] == found.record.metric(name)
    assert bounds_of(records["roofline"], experiment(name))[0] > 0.0
    (effect,) = effects(record, [Step("chip.f_hz", 3e8, 2e8)], lambda _: record, app)
    assert effect.metrics[name] == (value, value)
    assert summary(record)[name] == value
    assert f"energy of an inference (J): {value:.3g}" in hover(outcome(record))
    assert record.figures()["energy of an inference"].endswith("J")
    assert name in model_uncertainty(dse.load_model("dscnn_kws").at("w8a8"), chip, 1).samples


def test_a_record_of_another_form_is_refused(records: Mapping[str, Evaluation]) -> None:
    written = json.loads(json.dumps(records["simulate"].to_dict()))
    changes: list[dict[str, Any]] = [
        {"foreign": 1},
        {"latency_s": "soon"},
        {"reasons": ["one"], "causes": [{}]},
        {"reasons": ["one"]},
        {"reasons": None},
        {"tasks": [{**written["tasks"][0], "foreign": 1}]},
    ]
    for change in changes:
        with pytest.raises(ValueError, match="no record"):
            Evaluation.from_dict({**written, **change})
    less = {key: value for key, value in written.items() if key != "latency_s"}
    with pytest.raises(ValueError, match="no record"):
        Evaluation.from_dict(less)


def test_causes_outlive_a_file(records: Mapping[str, Evaluation], app: App, chip: Chip) -> None:
    streams = tuple(s.model_copy(update={"deadline_s": 1e-4}) for s in app.streams)
    tight = app.model_copy(
        update={
            "streams": streams,
            "budgets": app.budgets.model_copy(update={"module_power_w": 1e-6, "area_mm2": 1.0}),
        }
    )
    record, _ = evaluate_app(tight, stream_workloads(tight, chip), chip)
    assert [cause.kind for cause in record.reasons] == ["deadline", "deadline", "power", "area"]
    late, _, power, area = record.reasons
    assert (late.stream, power.metric, area.broken) == (
        app.streams[0].id, "average_power_w", "die area",
    )  # fmt: skip
    assert late.layer
    assert f"layer {late.layer}" in late
    again = Evaluation.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again.reasons == record.reasons
    assert [cause.about for cause in again.reasons] == [cause.about for cause in record.reasons]
    before = {k: v for k, v in record.to_dict().items() if k != "causes"}
    old = Evaluation.from_dict(json.loads(json.dumps(before)))
    assert [cause.broken for cause in old.reasons] == [cause.broken for cause in record.reasons]
    known = outcome(replace(record, feasible=False))
    assert known.record.reasons[0].of("kws").stream == f"kws:{app.streams[0].id}"
