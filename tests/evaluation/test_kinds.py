"""Models and apps on chips with several kinds of cores: who runs where, and what it is worth."""

from __future__ import annotations

import math
from typing import Any

import pytest

import dse
from dse.apps.scenario import App
from dse.errors import ImpossibleChipError
from dse.evaluation import Evaluation, Terms, evaluate_app, evaluate_model, stream_workloads
from dse.evaluation.energy import static_by_scope_w
from dse.evaluation.loads import stream_load
from dse.hardware.chip import Chip
from dse.hardware.library import load_spec
from dse.hardware.resolve import load_chip, resolve
from dse.simulation import simulate_alone
from dse.workload import Workload

DUO = "wearable_duo_npu"
#: A keyword fifty times a second; a picture after one in fifty, classified within 4 ms.
STREAMS: list[dict[str, Any]] = [
    {"id": "keyword", "model": "dscnn_kws", "rate_hz": 50, "deadline_s": 0.02},
    {
        "id": "look",
        "model": "mobilenetv1_vww",
        "after": "keyword",
        "probability": 0.02,
        "deadline_s": 0.004,
    },
]


@pytest.fixture(scope="module")
def duo() -> Chip:
    return load_chip(DUO)


def app(**changes: dict[str, Any]) -> App:
    """The app above; ``changes`` by stream."""
    streams = [{**stream, **changes.get(stream["id"], {})} for stream in STREAMS]
    return App.model_validate({"name": "listen_and_look", "streams": streams, "horizon_s": 2.0})


def evaluated(asked: App, chip: Chip, fidelity: Any = "simulate", **how: Any) -> Evaluation:
    return evaluate_app(asked, stream_workloads(asked, chip), chip, fidelity, **how)[0]


def kinds(record: Evaluation) -> dict[str, str]:
    return {row.task: row.core_kind for row in record.tasks}


def model(chip: Chip, name: str = "dscnn_kws") -> Workload:
    return dse.load_model(name).at(default=chip.native_precision)


@pytest.mark.parametrize("kind", ["vision", "listen"])
@pytest.mark.parametrize("name", ["dscnn_kws", "mobilenetv1_vww", "resnet8"])
def test_the_three_levels_hold_on_each_kind(duo: Chip, name: str, kind: str) -> None:
    terms = Terms(kind=kind)
    bound, sum_, played = (
        evaluate_model(model(duo, name), duo, level, terms)
        for level in ("roofline", "analytic", "simulate")
    )
    assert {record.core_kind for record in (bound, sum_, played)} == {kind}
    for metric in ("latency_s", "energy_j"):
        low, middle, high = (record.metric(metric) for record in (bound, sum_, played))
        assert low is not None
        assert middle is not None
        assert low <= middle * (1.0 + 1e-9)
        # energy: what sleeps does so at once at the analytic level, and a gap later in a play
        assert middle == pytest.approx(high, rel=1e-9 if metric == "latency_s" else 0.02)
    view = next(one.chip for one in duo.kinds if one.name == kind)
    assert (played.f_hz, played.voltage_v) == (view.f_hz, view.voltage_v)
    assert sum(row.latency_s for row in played.layers) == pytest.approx(played.latency_s, rel=1e-9)
    assert sum(row.energy_j for row in played.layers) == pytest.approx(played.energy_j, rel=1e-9)


def test_without_a_pin_the_objective_decides(duo: Chip) -> None:
    fast = evaluate_model(model(duo), duo, "analytic", Terms(objective="latency"))
    alone = {
        kind: evaluate_model(model(duo), duo, "analytic", Terms(objective="latency", kind=kind))
        for kind in ("vision", "listen")
    }
    assert fast.core_kind == "vision"
    assert fast.latency_s == min(record.latency_s or 0.0 for record in alone.values())
    bound = evaluate_model(model(duo), duo, "roofline")
    for record in alone.values():
        assert (bound.latency_s or 0.0) <= (record.latency_s or 0.0)
        assert (bound.energy_j or 0.0) <= (record.energy_j or 0.0)


def test_streams_take_the_cheapest_kind_that_is_in_time(duo: Chip) -> None:
    record = evaluated(app(), duo, objective="energy")
    assert kinds(record) == {"keyword": "listen", "look": "vision"}
    assert {row.task: row.cores for row in record.tasks} == {"keyword": (1,), "look": (0,)}
    slack = evaluated(app(look={"deadline_s": 0.1}), duo, objective="energy")
    assert kinds(slack) == {"keyword": "listen", "look": "listen"}
    fast = evaluated(app(), duo, objective="latency")
    assert kinds(fast) == {"keyword": "vision", "look": "vision"}
    hopeless = evaluated(app(look={"deadline_s": 1e-6}), duo, objective="energy")
    assert kinds(hopeless)["look"] == "vision"  # the fastest, and not in time
    assert hopeless.feasible is False


@pytest.mark.parametrize("cores", ["listen", ["listen"], [1], 1])
def test_a_stream_is_pinned_by_name_or_number(duo: Chip, cores: Any) -> None:
    record = evaluated(app(look={"cores": cores, "deadline_s": 0.1}), duo, objective="latency")
    assert kinds(record)["look"] == "listen"


def test_two_kinds_draw_less_than_one(duo: Chip) -> None:
    """The small core listens and the array sleeps: less than with the array alone, and in time.

    The array alone at its clock: a third more of NPU energy (idle MAC units, higher voltage), some
    per cent of the module's. At 50 MHz, where it still looks in time: less than both kinds at the
    fast clock; there both kinds save some per cent. The small core alone: too slow to look.
    """
    both = evaluated(app(), duo, objective="energy")
    one = evaluated(app(), resolve(load_spec(DUO).of_kind("vision")), objective="energy")
    small = evaluated(app(), resolve(load_spec(DUO).of_kind("listen")), objective="energy")
    assert both.feasible
    assert one.feasible
    assert small.feasible is False
    npu = [record.by_scope["npu"]["energy_j"] or 0.0 for record in (both, one)]
    assert npu[0] < 0.8 * npu[1]
    slow = load_spec(DUO).with_values({"f_hz": 5e7})
    pair = (resolve(slow), resolve(slow.of_kind("vision")))
    paced = [evaluated(app(), chip, objective="energy") for chip in pair]
    assert all(record.feasible for record in paced)
    slower = [record.by_scope["npu"]["energy_j"] or 0.0 for record in paced]
    assert 0.9 * slower[1] < slower[0] < slower[1] < npu[0]
    assert (both.energy_j or 0.0) < (one.energy_j or 0.0)
    assert both.area_mm2 > one.area_mm2
    assert both.unit_cost_usd > one.unit_cost_usd


@pytest.mark.parametrize("fidelity", ["roofline", "analytic"])
def test_cheaper_levels_stay_below(duo: Chip, fidelity: Any) -> None:
    for objective in ("energy", "edp", "latency"):
        low = evaluated(app(), duo, fidelity, objective=objective)
        high = evaluated(app(), duo, objective=objective)
        assert (low.energy_j or 0.0) <= (high.energy_j or 0.0) * 1.005
        for name, share in low.resource_utilization.items():
            assert share <= high.resource_utilization.get(name, 0.0) * 1.02 + 1e-3
        isolated = {row.task: row.isolated_latency_s for row in high.tasks}
        assert all(row.isolated_latency_s <= isolated[row.task] * 1.000001 for row in low.tasks)


def test_what_a_kind_cannot_run_is_refused_with_its_name() -> None:
    chip = load_chip(DUO, overrides={"kinds.listen.array.formats": {"int8": 1.0}})
    wide = app(look={"precision": "w8a16"})
    free = evaluated(wide, chip, objective="energy")
    assert kinds(free)["look"] == "vision"  # the kind that can
    pinned = evaluated(app(look={"precision": "w8a16", "cores": "listen"}), chip)
    assert pinned.feasible is False
    assert "on the listen cores" in pinned.reasons[0]
    assert "int16" in pinned.reasons[0]
    narrow = load_chip(
        DUO,
        overrides={
            "array.formats": {"int8": 1.0},
            "kinds.listen.array.formats": {"int8": 1.0},
        },
    )
    nowhere = evaluated(wide, narrow)
    assert nowhere.feasible is False
    assert "no kind of core can run it (on vision: " in nowhere.reasons[0]
    assert "on listen: " in nowhere.reasons[0]


@pytest.mark.parametrize(
    ("cores", "words"),
    [("talk", "vision, listen"), ([5], "core 5, the chip has 2"), (["vision", 9], "core 9")],
)
def test_cores_that_the_chip_lacks(duo: Chip, cores: Any, words: str) -> None:
    with pytest.raises(ImpossibleChipError) as fault:
        evaluated(app(look={"cores": cores}), duo)
    assert words in fault.value.describe()
    assert fault.value.field == "app.look.cores"


def test_one_layer_takes_the_kind_asked_for(duo: Chip) -> None:
    layer = next(one for one in model(duo).layers if one.macs > 1e5)
    each = {kind: dse.map_layer(layer, duo, "latency", kind=kind) for kind in ("vision", "listen")}
    assert each["vision"].latency_s < each["listen"].latency_s
    assert dse.map_layer(layer, duo, "latency") == each["vision"]
    with pytest.raises(ImpossibleChipError, match="vision, listen"):
        dse.map_layer(layer, duo, kind="talk")


def test_floats_go_to_the_vector_cores() -> None:
    """An int8 array beside vector DSPs with fp16: what the array cannot run takes a DSP."""
    chip = load_chip("vision_dsp_duo")
    streams = [
        {"id": "see", "model": "mobilenetv2@res=96", "rate_hz": 30, "deadline_s": 0.03},
        {"id": "track", "model": "deit_tiny", "precision": "fp16", "rate_hz": 1},
        {"id": "hear", "model": "dscnn_kws", "precision": "w16a16", "rate_hz": 10},
    ]
    asked = App.model_validate({"name": "x", "streams": streams, "horizon_s": 1.0})
    record = evaluated(asked, chip, "analytic")
    assert kinds(record) == {"see": "matrix", "track": "dsp", "hear": "dsp"}
    assert {row.task: row.cores for row in record.tasks}["track"] == (1, 2)
    pinned = asked.model_copy(
        update={"streams": (asked.streams[1].model_copy(update={"cores": "matrix"}),)}
    )
    refused = evaluated(pinned, chip, "analytic")
    assert refused.feasible is False
    assert "on the matrix cores" in refused.reasons[0]
    assert "fp16" in refused.reasons[0]


def test_energy_of_a_split_job_counts_all_its_cores() -> None:
    """What the choice of a kind weighs is what a play draws above the chip at rest."""
    chip = load_chip(DUO, overrides={"kinds.listen.cores": 2})
    asked = app(keyword={"cores": "listen", "split": True})
    work = stream_workloads(asked, chip)
    load = stream_load(asked, asked.stream("keyword"), work, chip, chip, "energy", "analytic")
    assert load.cores == 2
    program = load.parts[0].program
    assert program is not None
    drawn = simulate_alone(chip, program, kind="listen").scope_energy_j["die_dram"]
    rest_w = static_by_scope_w(chip, {}, 0.0)["die_dram"]
    assert load.energy_j(load.view) == pytest.approx(drawn - rest_w * load.latency_s, rel=0.01)


def test_a_model_is_weighed_by_all_that_the_chip_draws() -> None:
    """Cores of the other kind at rest, and every core that a layer is split over."""
    chip = load_chip(DUO, overrides={"cores": 2, "kinds.listen.cores": 2})
    for cores in (1, 2):
        found = {
            kind: evaluate_model(
                model(chip), chip, "analytic", Terms(objective="energy", kind=kind, cores=cores)
            ).by_scope["die_dram"]["energy_j"]
            or math.inf
            for kind in ("vision", "listen")
        }
        free = evaluate_model(model(chip), chip, "analytic", Terms(objective="energy", cores=cores))
        assert free.by_scope["die_dram"]["energy_j"] == min(found.values())


def test_a_job_is_split_over_cores_of_one_kind() -> None:
    chip = load_chip(DUO, overrides={"kinds.listen.cores": 2})
    pinned = evaluated(app(keyword={"cores": "listen", "split": True}), chip)
    row = next(row for row in pinned.tasks if row.task == "keyword")
    assert row.cores == (1, 2)
    single = evaluated(app(keyword={"cores": [1]}), chip)
    alone = next(row for row in single.tasks if row.task == "keyword")
    assert row.isolated_latency_s < alone.isolated_latency_s
    free = evaluated(app(keyword={"cores": "split"}), chip, objective="energy")
    assert kinds(free)["keyword"] in ("vision", "listen")


def test_the_native_precision_of_a_kind_holds_for_what_is_pinned_to_it() -> None:
    chip = load_chip(DUO, overrides={"kinds.listen.native_precision": "int16"})
    free = stream_workloads(app(), chip)
    pinned = stream_workloads(app(keyword={"cores": "listen"}), chip)
    assert free["keyword"].precision.name == "w8a8"
    assert pinned["keyword"].precision.name == "w16a16"
