"""The relations between fidelities, and accounting that closes."""

from __future__ import annotations

import re
from typing import Literal

import pytest

import dse
from dse.evaluation import Evaluation

PAIRS = [
    ("mobilenetv2", "edge_vision"),
    ("resnet50", "edge_vision"),
    ("resnet50", "nvdla_2048"),
    ("deit_tiny", "edge_vision"),
    ("efficientnet_lite0", "tda4vm"),
    ("dscnn_kws", "gap9"),
    ("mobilenetv1_vww", "stm32n6"),
    ("squeezenet", "edge_tpu"),
    ("shufflenet", "rk3588_npu"),
]


def at(model: str, chip: str, fidelity: str) -> Evaluation:
    return dse.simulate(dse.load_model(model), dse.load_chip(chip), fidelity)  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "chip"), PAIRS)
def test_roofline_below_analytic_equal_to_simulation(model: str, chip: str) -> None:
    bound, total, played = (at(model, chip, f) for f in ("roofline", "analytic", "simulate"))
    assert total.latency_s is not None
    assert bound.latency_s is not None
    assert bound.energy_j is not None
    assert total.energy_j is not None
    assert bound.latency_s <= total.latency_s
    assert bound.energy_j <= total.energy_j
    assert played.latency_s == pytest.approx(total.latency_s, rel=0.02)
    # The converter is less efficient in the quiet stretches that only the simulation sees.
    assert played.energy_j == pytest.approx(total.energy_j, rel=0.05)
    assert played.dram_bytes == pytest.approx(total.dram_bytes)


@pytest.mark.parametrize(("model", "chip"), PAIRS[:5])
@pytest.mark.parametrize("fidelity", ["analytic", "simulate"])
def test_rows_and_parts_add_up(model: str, chip: str, fidelity: str) -> None:
    record = at(model, chip, fidelity)
    assert sum(row.energy_j for row in record.layers) == pytest.approx(record.energy_j)
    assert sum(row.latency_s for row in record.layers) == pytest.approx(record.latency_s)
    assert sum(record.energy_breakdown_j.values()) == pytest.approx(record.energy_j)
    assert sum(record.cost_breakdown_usd.values()) == pytest.approx(record.unit_cost_usd)
    for row in record.layers:
        assert sum(row.energy_breakdown_j.values()) == pytest.approx(row.energy_j)
        assert 0.0 <= row.utilization <= 1.0
    assert any(row.name == "static" and row.energy_j > 0 for row in record.layers)


def test_app_energy_breakdown_closes() -> None:
    app, chip = dse.load_app("wearable_kws"), dse.load_chip("gap9")
    for fidelity in ("analytic", "simulate"):
        record = dse.simulate(app, chip, fidelity)
        assert sum(record.energy_breakdown_j.values()) == pytest.approx(record.energy_j)


def test_only_simulation_declares_an_app_feasible() -> None:
    app, chip = dse.load_app("wearable_kws"), dse.load_chip("gap9")
    assert dse.simulate(app, chip, "roofline").feasible is None
    assert dse.simulate(app, chip, "analytic").feasible is None
    assert dse.simulate(app, chip).feasible is True


def test_halving_dram_channels_breaks_a_deadline_and_says_where() -> None:
    """The demo app on a chip that carries it, then with half the memory channels."""
    app = dse.load_app("factory_inspection")
    good = {"array__rows": 64, "array__cols": 64, "f_hz": 8e8, "l2__bytes": 0}
    good["buffer__bytes"] = 262144
    settings = {"sort.name": "mobilenetv1"}
    wide = dse.simulate(
        app, dse.load_chip("edge_vision", None, **good, dram__channels=2), settings=settings
    )
    narrow = dse.simulate(
        app, dse.load_chip("edge_vision", None, **good, dram__channels=1), settings=settings
    )
    late = [row.task for row in narrow.tasks if not row.meets_deadline]
    assert all(row.meets_deadline for row in wide.tasks), wide.reasons
    assert late, "halving the channels should cost a deadline"
    reason = next(r for r in narrow.reasons if r.startswith(f"stream {late[0]}"))
    assert "layer" in reason
    assert "dram" in reason


@pytest.mark.parametrize("fidelity", ["analytic", "simulate"])
def test_an_overload_names_stream_layer_and_resource(
    fidelity: Literal["analytic", "simulate"],
) -> None:
    """The shipped chip that carries the demo app, with half its memory channels."""
    app, chip = dse.load_app("factory_inspection"), dse.load_chip("conv_core")
    assert not any("busy" in reason for reason in dse.simulate(app, chip, fidelity).reasons)
    narrow = dse.load_chip("conv_core", None, dram__channels=1)
    record = dse.simulate(app, narrow, fidelity)
    (reason,) = [reason for reason in record.reasons if "busy" in reason]
    text = r"^cores .* (\d+)% of it is stream (\w+), longest in layer (\S+) .*bound by \w+"
    found = re.search(text, reason)
    assert found is not None, reason
    share, stream, layer = found.groups()
    busy: dict[str, float] = {}
    for row in record.tasks:
        busy[row.stream] = busy.get(row.stream, 0.0) + row.rate_hz * row.isolated_latency_s
    assert stream == max(busy, key=lambda name: busy[name])
    assert float(share) == pytest.approx(100 * busy[stream] / sum(busy.values()), abs=1.0)
    model = next(row.model for row in record.tasks if row.stream == stream)
    assert layer in {one.name for one in dse.load_model(model.partition("@")[0]).layers}


def test_volume_spreads_one_time_cost() -> None:
    record = at("resnet8", "edge_vision", "analytic")
    by_volume = {float(v): cost for v, cost in record.unit_cost_by_volume_usd.items()}
    ordered = [by_volume[v] for v in sorted(by_volume)]
    assert ordered == sorted(ordered, reverse=True)
    assert by_volume[record.volume] == pytest.approx(record.unit_cost_usd)


def test_precision_costs_what_it_costs() -> None:
    chip, model = dse.load_chip("edge_vision"), dse.load_model("resnet50")
    eight = dse.simulate(model, chip, precision="w8a8")
    sixteen = dse.simulate(model, chip, precision="w8a16")
    assert eight.latency_s is not None
    assert sixteen.latency_s is not None
    assert eight.energy_j is not None
    assert sixteen.energy_j is not None
    assert sixteen.latency_s > 2 * eight.latency_s
    assert sixteen.energy_j > eight.energy_j


def test_networks_that_share_a_chip_do_not_share_its_memory_twice() -> None:
    """Beside DRAM only weights that all fit stay; without it all must fit together."""
    app = dse.load_app("factory_inspection")
    shared = dse.simulate(app, dse.load_chip("edge_vision"))
    stay = {
        note.split(":")[0]: ", 0 weight" not in note and "and 0 weight" not in note
        for note in shared.notes
        if "weight tensors" in note
    }
    assert stay["sort"]
    assert not stay["cracks"]
    small = dse.load_chip("gap9", None, l2__bytes=65536, nvm__bytes=120000)
    wearable = dse.load_app("wearable_kws")
    crowded = dse.simulate(wearable, small)
    assert crowded.feasible is False
    assert any("nvm" in reason or "l2" in reason for reason in crowded.reasons)
