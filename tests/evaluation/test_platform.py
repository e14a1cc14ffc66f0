"""Edge or cloud: where a stream runs, what privacy forbids, and what both sides cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import dse
from dse.apps.split import cuts
from dse.evaluation import Design, Evaluation, Value, evaluate, resolve_design
from dse.evaluation.placement import Placer
from dse.hardware.chip import Platform
from dse.hardware.kinds import kind_named
from dse.hardware.platform import platform_file

SITE = "counter_cloud"
#: A small network, to be quick.
GOODS = """
schema_version: 1
name: goods
streams:
  - {id: goods, model: squeezenet, rate_hz: 2, deadline_s: 0.5, percentile: 0.9, placement: auto}
  - {id: word, model: dscnn_kws, rate_hz: 10, deadline_s: 0.1, percentile: 0.9}
placement_objective: latency
horizon_s: 10
privacy: {may_leave: all}
"""
#: A near data centre.
NEAR = {"link.rtt_s": 0.002}


@pytest.fixture(scope="module", autouse=True)
def goods(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("apps") / "goods.yaml"
    path.write_text(GOODS)
    APPS["goods"] = str(path)


APPS: dict[str, str] = {}


def run(placement: str, up: float = 2.5e6, app: str = "goods", **settings: object) -> Evaluation:
    paths: dict[str, object] = {**NEAR, "app.goods.placement": placement}
    paths["link.up_bytes_per_s"] = up
    paths |= {name.replace("__", "."): value for name, value in settings.items()}
    return evaluate(Design(APPS.get(app, app), SITE, paths))  # type: ignore[arg-type]


def goods_s(record: Evaluation) -> float:
    latency = next(row for row in record.tasks if row.stream == "goods").latency_p50_s
    assert latency is not None
    return latency


def alone_s(record: Evaluation) -> float:
    return next(row.isolated_latency_s for row in record.tasks if row.stream == "goods")


def where(record: Evaluation) -> str:
    return next(row for row in record.tasks if row.stream == "goods").placement


def test_device_at_a_slow_link_cloud_at_a_fast_one_and_a_crossing_between() -> None:
    ladder = (1e6, 1e7, 3e7, 3e8, 1e9)
    device = [run("device", up) for up in ladder]
    cloud = [run("cloud", up) for up in ladder]
    chosen = [run("auto", up) for up in ladder]
    here, there = [goods_s(record) for record in device], [goods_s(record) for record in cloud]
    assert len(set(here)) == 1
    assert there == sorted(there, reverse=True)
    faster = [away < home for home, away in zip(here, there, strict=True)]
    assert faster == sorted(faster), "one crossing"
    assert (faster[0], faster[-1]) == (False, True)
    assert (where(chosen[0]), where(chosen[-1])) == ("device", "cloud")
    for record, home, away in zip(chosen, device, cloud, strict=True):
        best = min(alone_s(home), alone_s(away))
        if where(record).startswith("split@"):
            assert alone_s(record) < best
        else:
            assert alone_s(record) == pytest.approx(best)


def test_privacy_keeps_it_on_the_device(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    for rule, split_ok in (("none", False), ("features", True)):
        secret.write_text(GOODS.replace("may_leave: all", f"may_leave: {rule}"))
        away = run("cloud", 1e8, str(secret))
        assert away.feasible is False
        assert any("may not leave" in reason for reason in away.reasons)
        assert where(run("auto", 1e8, str(secret))) != "cloud"
        layer = cuts(dse.load_model("squeezenet").at("w8a8"))[0][0]
        cut = run(f"split@{layer}", 1e8, str(secret))
        assert any("may not leave" in reason for reason in cut.reasons) != split_ok


def test_a_split_pays_its_head_the_crossing_and_its_tail() -> None:
    layer, crossing = cuts(dse.load_model("squeezenet").at("w8a8"))[-1]
    record = run(f"split@{layer}", 1e7)
    assert record.feasible is True, record.reasons
    assert where(record) == f"split@{layer}"
    jobs = 2 * 10
    assert record.platform["up_bytes"] == pytest.approx(jobs * crossing)
    assert goods_s(run("device")) * 0.3 < goods_s(record)
    assert record.platform["cloud_energy_j"] < run("cloud", 1e7).platform["cloud_energy_j"]


def test_both_sides_are_counted() -> None:
    device, cloud = run("device"), run("cloud")
    for record in (device, cloud):
        assert record.energy_j is not None
        assert record.system_energy_j is not None
        assert record.total_cost_usd is not None
        parts = record.platform
        beyond = parts["cloud_energy_j"] + parts["network_energy_j"]
        assert record.system_energy_j == pytest.approx(record.energy_j + beyond)
        assert record.total_cost_usd == pytest.approx(
            record.unit_cost_usd + parts["cloud_cost_usd"]
        )
        assert sum(record.energy_breakdown_j.values()) == pytest.approx(record.energy_j)
        assert record.by_scope["module"]["energy_j"] == record.energy_j
    assert device.platform["cloud_energy_j"] == device.platform["radio_energy_j"] == 0.0
    assert device.total_cost_usd == device.unit_cost_usd
    link = dse.load_platform(SITE).link
    assert link is not None
    bits = 8 * (cloud.platform["up_bytes"] + cloud.platform["down_bytes"])
    radio = bits * link.device_j_per_bit + link.idle_w * 10.0
    assert cloud.platform["radio_energy_j"] == pytest.approx(radio)
    assert cloud.platform["cloud_carbon_kg"] > 0
    # A fuller data centre shares its idle time among more users.
    fuller = run("cloud", cloud__utilization=0.9)
    assert fuller.platform["cloud_cost_usd"] < cloud.platform["cloud_cost_usd"]
    assert fuller.platform["cloud_energy_j"] < cloud.platform["cloud_energy_j"]


def test_a_link_that_fails_loses_frames() -> None:
    sure = run("cloud", link__availability=1.0)
    shaky = run("cloud", link__availability=0.5, app__goods__percentile=0.1)
    row = next(row for row in shaky.tasks if row.stream == "goods")
    assert row.dropped is not None
    assert 3 <= row.dropped <= 17  # of 20
    assert row.missed_fraction == pytest.approx(row.dropped / 20, abs=0.06)
    assert next(row for row in sure.tasks if row.stream == "goods").dropped == 0


def test_a_link_that_is_too_slow_is_a_reason() -> None:
    record = run("cloud", 1e5)
    assert record.feasible is False
    assert any(reason.startswith("uplink would be") for reason in record.reasons)


CHAIN = """
schema_version: 1
name: there_and_back
streams:
  - {id: see, model: resnet8, rate_hz: 20, deadline_s: 0.3, placement: PLACE}
  - {id: name, model: dscnn_kws, after: see, deadline_s: 0.3}
  - {id: ask, model: resnet8, after: name, deadline_s: 0.3, placement: PLACE}
  - {id: say, model: dscnn_kws, after: ask, deadline_s: 0.3}
chains:
  - {id: all, streams: [see, name, ask, say], deadline_s: 0.6, percentile: 0.5}
privacy: {may_leave: all}
horizon_s: 1
"""


def test_chains_cross_the_link_and_come_back(tmp_path: Path) -> None:
    """Replies release what follows on the device, and so on; every leg takes its time."""
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN.replace("PLACE", "cloud"))
    record = evaluate(Design(str(path), SITE, {"link.availability": 1.0}))
    assert record.feasible is True, record.reasons
    row = record.chains[0]
    alone = sum(task.isolated_latency_s for task in record.tasks)
    assert row.latency_p50_s is not None
    assert row.latency_p50_s >= alone * (1 - 1e-9)
    assert row.latency_p50_s < alone + 0.05
    assert alone > 2 * 0.03  # two round trips
    assert record == evaluate(Design(str(path), SITE, {"link.availability": 1.0}))
    by_task = {task.task: task for task in record.tasks}
    assert by_task["name"].released == by_task["see"].completed
    path.write_text(CHAIN.replace("PLACE", "device"))
    local = evaluate(Design(str(path), SITE))
    plain = evaluate(Design(str(path), "stm32n6"))
    assert local.tasks == plain.tasks
    assert local.energy_j == plain.energy_j
    assert local.chains == plain.chains


def test_fidelities_are_optimistic_in_order() -> None:
    design = Design(APPS["goods"], SITE, {**NEAR, "app.goods.placement": "cloud"})
    total, played = evaluate(design, "analytic"), evaluate(design)
    assert total.feasible is None
    for low, high in zip(total.tasks, played.tasks, strict=True):
        assert high.latency_p50_s is not None
        assert low.isolated_latency_s <= high.latency_p50_s * (1 + 1e-9)
    assert total.platform["up_bytes"] == pytest.approx(played.platform["up_bytes"])


def test_a_chip_alone_has_no_cloud() -> None:
    record = evaluate(Design(APPS["goods"], "stm32n6", {"app.goods.placement": "cloud"}))
    assert any("no data centre" in reason for reason in record.reasons)
    with pytest.raises(dse.InputError, match="chip alone has no link"):
        evaluate(Design(APPS["goods"], "stm32n6", {"link.rtt_s": 0.1}))
    with pytest.raises(dse.InputError, match="no such parameter"):
        evaluate(Design(APPS["goods"], SITE, {"link.rtt": 0.1}))
    with pytest.raises(dse.InputError, match="stay below 1"):
        evaluate(Design(APPS["goods"], SITE, {"cloud.utilization": 1.0}))


def test_python_interface_and_identity() -> None:
    site = dse.load_platform(SITE, link__rtt_s=0.01)
    assert site.link is not None
    assert site.link.rtt_s == 0.01
    app = dse.load_app(APPS["goods"])
    record = dse.simulate(app, site)
    assert record.kind == "app"
    assert record.platform
    found = resolve_design(Design(APPS["goods"], SITE, NEAR))
    slower = resolve_design(Design(APPS["goods"], SITE, {"link.rtt_s": 0.02}))
    assert found.identity != slower.identity
    alone = replace(site, chips=site.chips[:1], link=None, cloud=None)
    assert dse.simulate(app, alone).platform == {}


DUO_SITE = """
schema_version: 1
name: duo_cloud
device: {chip: vision_dsp_duo}
"""


@pytest.fixture(scope="module")
def duo_site(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same site with a device whose cores are of two kinds."""
    shipped = platform_file(SITE)
    assert shipped is not None
    rest = shipped.read_text().partition("device: {chip: stm32n6}\n")[2]
    path = tmp_path_factory.mktemp("sites") / "duo_cloud.yaml"
    path.write_text(DUO_SITE + rest)
    return str(path)


@pytest.mark.parametrize("placement", ["device", "cloud", "auto", "split@n2"])
def test_cores_that_a_stream_names_are_the_devices(duo_site: str, placement: str) -> None:
    """The data centre's chip has no such kind; what runs there takes any of its cores."""
    paths: dict[str, Value] = {
        **NEAR,
        "app.goods.cores": "dsp",
        "app.goods.placement": placement,
        "link.up_bytes_per_s": 2.5e6,
    }
    record = evaluate(Design(APPS["goods"], duo_site, paths), "analytic")
    row = next(row for row in record.tasks if row.stream == "goods")
    local = row.placement != "cloud"
    assert (row.core_kind, row.cores) == (("dsp", (1, 2)) if local else ("", ()))
    free = evaluate(Design(APPS["goods"], duo_site, {**paths, "app.goods.cores": "all"}))
    if placement == "cloud":
        assert alone_s(record) == alone_s(free)


def test_a_pinned_head_has_precision_and_prices_of_its_kind(duo_site: str) -> None:
    paths: dict[str, Value] = {
        **NEAR,
        "app.goods.cores": "dsp",
        "app.goods.placement": "split@n2",
        "chip.kinds.dsp.native_precision": "int16",
    }
    found = resolve_design(Design(APPS["goods"], duo_site, paths))
    assert found.workloads["goods"].precision.name == "w16a16"
    assert isinstance(found.chip, Platform)
    placer = Placer(found.app, found.workloads, found.chip, found.chip, "edp", "analytic")
    placed = placer.place(found.app.stream("goods"))
    assert placed.local is not None
    view = kind_named(found.device, "dsp").chip
    beyond = 8.0 * (placed.leg.up_bytes + placed.leg.reply_bytes) if placed.leg else 0.0
    expected = placed.local.dynamic_j("die_dram") + view.mapping_static_w * placed.local.latency_s
    expected += beyond * placer.link.device_j_per_bit
    assert placed.device_energy_j(placer.link) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("precision", ["w8a8", "fp16"])
def test_a_head_is_bounded_on_every_kind_that_runs_it(duo_site: str, precision: str) -> None:
    """Floats run on the DSPs alone: no reason to refuse them for the first kind's array."""
    paths: dict[str, Value] = {
        **NEAR,
        "app.goods.placement": "split@n2",
        "model.goods.precision": precision,
    }
    found = resolve_design(Design(APPS["goods"], duo_site, paths))
    assert isinstance(found.chip, Platform)
    heads = {}
    for fidelity in ("roofline", "analytic"):
        placer = Placer(found.app, found.workloads, found.chip, found.chip, "edp", fidelity)
        heads[fidelity] = placer.place(found.app.stream("goods")).local
    low, high = heads["roofline"], heads["analytic"]
    assert low is not None
    assert high is not None
    assert high.kind == {"w8a8": "matrix", "fp16": "dsp"}[precision]
    assert low.latency_s <= high.latency_s
    assert low.dynamic_j("die_dram") <= high.dynamic_j("die_dram")
