"""Facts, errors, memories outside, floor, cost, carbon, lines, checks and speed."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse.errors import ImpossibleChipError, InputError
from dse.technology import load_technology, make_line, node_table, parse_node
from dse.technology.checks import technology_checks
from dse.technology.facts import DATA_FOLDER, load_facts
from dse.technology.table import equal_work_area_mm2, unit_cost_by_node
from tests.work import calls_of

TECH = load_technology()
NODES, ALL_NODES = TECH.nodes, TECH.known_nodes.every


@pytest.mark.parametrize("text", ["7nm", "7", 7, "N7", " 7 nm ", 7.0])
def test_nodes_are_read_as_users_write_them(text: str | int | float) -> None:
    assert parse_node(text) == 7


@pytest.mark.parametrize("text", ["6.5nm", 1, "seven", "", True, "9nm"])
def test_an_unknown_node_lists_the_known_ones(text: str | int) -> None:
    with pytest.raises(InputError) as caught:
        parse_node(text)
    assert caught.value.field == "node"
    assert all(f"{node}nm" in str(caught.value) for node in NODES)


def test_validation_nodes_can_be_refused() -> None:
    assert parse_node("8nm") == 8
    with pytest.raises(InputError, match="validation only"):
        parse_node("8nm", validation=False)


POINT = TECH.operating_point(16)
BAD: list[tuple[str, str, Callable[[], object]]] = [
    ("voltage_v", "0.6 to 1.05", lambda: TECH.operating_point(16, voltage_v=0.45)),
    (
        "voltage_v",
        "0.4 to 1.05",
        lambda: TECH.operating_point(16, voltage_v=0.3, sram_rail="split"),
    ),
    ("f_hz", "at most", lambda: TECH.operating_point(28, f_hz=5e9)),
    ("f_hz", "at most", lambda: TECH.operating_point(28, f_hz=9e8, voltage_v=0.8)),
    ("f_hz", "above 0", lambda: TECH.operating_point(28, f_hz=-1.0)),
    ("sram_voltage_v", "split", lambda: TECH.operating_point(7, voltage_v=0.7, sram_voltage_v=0.8)),
    ("vt", "lvt", lambda: TECH.operating_point(7, vt="xvt")),
    ("corner", "ss", lambda: TECH.operating_point(7, corner="zz")),
    ("sram_rail", "split", lambda: TECH.operating_point(7, sram_rail="none")),
    ("junction_c", "150", lambda: TECH.operating_point(7, junction_c=400)),
    ("guard_band", "0.3", lambda: TECH.operating_point(7, guard_band=0.6)),
    ("format", "bf16", lambda: TECH.mac_energy_j(POINT, "int7", "int8")),
    ("acc_bits", "64", lambda: TECH.mac_energy_j(POINT, "int8", "int8", 200)),
    ("function", "relu", lambda: TECH.op_energy_j(POINT, "frobnicate", 8)),
    ("kind", "lpddr5", lambda: TECH.dram("ddr9")),
    ("kind", "ucie", lambda: TECH.d2d("string")),
    ("kind", "28nm", lambda: TECH.nvm_energy_j_per_bit(TECH.operating_point(7), "mram")),
    ("kind", "rram", lambda: TECH.nvm_area_mm2(28, "tape", 1e6)),
    ("die_area_mm2", "858", lambda: TECH.die_cost_usd(7, 900.0)),
    ("die_area_mm2", "858", lambda: TECH.die_cost_usd(7, 0.0)),
    ("yield_model", "murphy", lambda: TECH.yield_fraction(7, 10.0, "hope")),
    ("design_class", "edge_soc", lambda: TECH.nre_usd(7, 10.0, "toy")),
    ("package", "qfn", lambda: TECH.package_cost_usd(10.0, "box")),
    ("grid", "japan", lambda: TECH.grid_kg_per_kwh("mars")),
    ("volume", "above 0", lambda: TECH.unit_cost(7, 10.0, 0.0)),
    ("host", "cortex-m55", lambda: TECH.floor(7).host("z80")),
    ("rated_w", "above 0", lambda: TECH.floor(7).pmic_efficiency(1.0, 0.0)),
    ("node", "validation", lambda: TECH.logic_area_mm2(9, 1.0)),
    ("line", "nodes", lambda: make_line("mine", [])),
    ("burst_bytes", "above 0", lambda: TECH.dram("lpddr5").efficiency(0.0)),
]


@pytest.mark.parametrize(
    ("field", "says", "call"), BAD, ids=[f"{i}-{b[0]}" for i, b in enumerate(BAD)]
)
def test_bad_requests_name_the_field_and_the_range(
    field: str, says: str, call: Callable[[], object]
) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == field
    assert says in str(caught.value)


def test_both_rails_and_assist() -> None:
    shared = TECH.operating_point(5, f_hz=1e8)
    split = TECH.operating_point(5, f_hz=1e8, sram_rail="split")
    assist = TECH.operating_point(5, f_hz=1e8, sram_assist=True)
    assert shared.voltage_v == shared.sram_voltage_v == TECH.device.sram_vmin[5]
    assert split.voltage_v < split.sram_voltage_v == TECH.device.sram_vmin[5]
    assert assist.voltage_v < shared.voltage_v
    pinned = TECH.operating_point(5, voltage_v=0.75)
    assert pinned.f_hz == pytest.approx(TECH.f_max_hz(5, 0.75))
    fast = TECH.operating_point(14, f_hz=2e9, vt="lvt", speed_factor=1.4)
    assert fast.f_hz == 2e9


def test_dram_bursts_turnarounds_and_parts() -> None:
    for name in TECH.dram_kinds:
        kind = TECH.dram(name)
        shares = [kind.efficiency(float(b)) for b in (1, 16, 32, 64, 100, 256, 4096, 1 << 20)]
        assert shares == sorted(shares)
        assert 0.0 < shares[0] < shares[-1] <= kind.stream_ceiling <= 1.0
        assert kind.efficiency(256.0, 0.5) < kind.efficiency(256.0, 0.0)
        assert kind.read_j_per_bit == pytest.approx(
            kind.device_read_j_per_bit + kind.phy_read_j_per_bit
        )
        areas = [kind.phy_area_mm2(node) for node in ALL_NODES]
        assert areas == sorted(areas, reverse=True)
        assert areas[-1] > 0.25 * areas[0], "a PHY must not scale like logic"
    order = [TECH.dram(k).read_j_per_bit for k in ("lpddr4", "lpddr4x", "lpddr5", "lpddr5x")]
    assert order == sorted(order, reverse=True)
    # LPDDR4-3200 x16: sum of IDD x V above active standby gives 8.5 pJ/bit read, 34.1 mW standby.
    assert TECH.dram("lpddr4").device_read_j_per_bit == pytest.approx(8.5e-12)
    assert TECH.dram("lpddr4").background_w_per_channel == pytest.approx(34.1e-3)


def test_floor_does_not_scale_like_logic() -> None:
    coarse, fine = TECH.floor(28), TECH.floor(3)
    assert coarse.io_cell_area_mm2 == fine.io_cell_area_mm2
    assert coarse.pll_area_mm2 / fine.pll_area_mm2 < TECH.datapath.density[3]
    assert fine.hosts["cortex-m55"].area_mm2 < coarse.hosts["cortex-m55"].area_mm2
    assert fine.hosts["cortex-m55"].w_per_hz < coarse.hosts["cortex-m55"].w_per_hz
    assert coarse.ring_area_mm2(5.0, flip_chip=False) == pytest.approx(
        (math.sqrt(5.0) + 0.36) ** 2 - 5.0
    )
    loads = np.array([1e-6, 1e-3, 0.05, 0.5, 1.0, 2.0])
    curve = fine.pmic_efficiency(loads, 1.0)
    assert ((curve >= 0.5) & (curve <= 0.95)).all()
    assert curve[3] == curve.max()
    assert fine.pmic_efficiency(0.5, 1.0) == pytest.approx(curve[3])


def test_yield_models_and_die_cost() -> None:
    for area in (5.0, 50.0, 400.0):
        x = TECH.cost.d0[7] * area / 100.0
        poisson = TECH.yield_fraction(7, area, "poisson")
        assert poisson == pytest.approx(math.exp(-x))
        murphy = TECH.yield_fraction(7, area, "murphy")
        seeds = TECH.yield_fraction(7, area, "seeds")
        binomial = TECH.yield_fraction(7, area)
        assert poisson < murphy < seeds
        assert poisson < binomial < seeds
    cost = [TECH.die_cost_usd(7, area) / area for area in (10.0, 100.0, 400.0, 800.0)]
    assert cost[1:] == sorted(cost[1:])
    # A 100 mm2 die on a 300 mm wafer: 600-660 gross dies with edge loss and scribe lines.
    assert 590 <= TECH.cost.dies_per_wafer(100.0) <= 660


def test_the_cheapest_node_moves_with_volume_and_the_parts_say_why() -> None:
    work: dict[str, Any] = {"macs_per_s": 4e12, "sram_bytes": 4 * 2.0**20}
    assert equal_work_area_mm2(TECH, 16, **work) < 15.0
    by_volume = {v: unit_cost_by_node(TECH, v, **work) for v in (1e5, 1e6, 1e7)}
    best = {volume: rows[0].node_nm for volume, rows in by_volume.items()}
    assert best[1e5] in (28, 22)
    assert best[1e7] in (16, 12, 10, 7)
    for rows in by_volume.values():
        for row in rows:
            parts = row.die_usd + row.package_usd + row.test_usd + row.memory_usd
            parts += row.nre_usd_per_unit + row.ip_usd_per_unit + row.royalty_usd
            assert row.total_usd == pytest.approx(parts)
    few = {row.node_nm: row for row in by_volume[1e5]}
    many = {row.node_nm: row for row in by_volume[1e7]}
    assert few[7].nre_usd_per_unit > 0.8 * few[7].total_usd
    assert many[12].die_usd < many[28].die_usd
    assert all(many[node].total_usd < few[node].total_usd for node in NODES)


def test_carbon_by_grid_and_node() -> None:
    # ACT on Taiwan's grid at 97 % abatement: 2.16 kg/cm2 at 7 nm, 1.22 at 28 nm.
    assert TECH.carbon.per_cm2_kg(7, "taiwan") == pytest.approx(2.16, rel=0.01)
    assert TECH.carbon.per_cm2_kg(28, "taiwan") == pytest.approx(1.22, rel=0.01)
    assert TECH.embodied_carbon_kg(7, 50.0, "japan") < TECH.embodied_carbon_kg(7, 50.0, "taiwan")
    assert TECH.operating_carbon_kg(3.6e6, "japan") == pytest.approx(0.446)
    values = [TECH.carbon.per_cm2_kg(node, "world") for node in ALL_NODES]
    assert values == sorted(values)


def test_lines_are_dated_sets_of_nodes() -> None:
    assert TECH.lines["jasm1"].nodes == (28, 22, 16, 12)
    assert TECH.lines["rapidus"].nodes == (2,)
    for line in TECH.lines.values():
        assert line.source
        assert len(line.date) == 7
        assert set(line.nodes) <= set(ALL_NODES)
    assert make_line("mine", ["7nm", 5]).nodes == (7, 5)


def test_every_fact_has_provenance() -> None:
    rows = TECH.facts()
    assert len({row.path for row in rows}) == len(rows) > 400
    assert all(row.source and row.unit and row.uncertainty >= 1.0 for row in rows)
    by_path = {row.path: row for row in rows}
    assert by_path["nodes.sram_bitcell_um2.3"].status == "read"
    assert by_path["nodes.sram_bitcell_um2.4"].status == "assumed"
    for name in ("wafer_usd", "d0_per_cm2", "mask_musd", "design_musd"):
        assert {f"cost.{name}.{node}" for node in ALL_NODES} <= set(by_path)


def test_a_broken_data_file_is_named(tmp_path: Path) -> None:
    shutil.copytree(DATA_FOLDER, tmp_path, dirs_exist_ok=True)
    assert load_facts(folder=tmp_path).digest == TECH.digest
    broken = json.loads((tmp_path / "cost.json").read_text())
    broken["facts"]["reticle_mm2"]["status"] = "guessed"
    (tmp_path / "cost.json").write_text(json.dumps(broken))
    with pytest.raises(InputError) as caught:
        load_facts(folder=tmp_path)
    assert "cost.json" in str(caught.value)
    assert "reticle_mm2" in str(caught.value)
    (tmp_path / "cost.json").unlink()
    with pytest.raises(InputError, match="missing"):
        load_facts(folder=tmp_path)


def test_the_object_is_frozen_and_travels_between_processes() -> None:
    with pytest.raises(AttributeError):
        TECH.digest = "other"
    copy = pickle.loads(pickle.dumps(TECH))
    assert copy.digest == TECH.digest
    assert copy.operating_point(7) == TECH.operating_point(7)
    assert load_technology() is load_technology()


def test_checks_are_judged_and_printed_whatever_they_say() -> None:
    rows = technology_checks()
    assert {row.role for row in rows} == {"judged", "fitted"}
    assert {row.kind for row in rows} <= {"silicon", "vendor estimate", "tool", "paper"}
    assert all(math.isfinite(row.ratio) and row.ratio > 0 for row in rows)
    items = " ".join(row.item for row in rows)
    for expected in ("iso-speed 7->5", "IRDS 14->2", "IBM 2 vs 7", "CACTI", "DVFS", "chart"):
        assert expected in items
    chart = [row for row in rows if row.item.startswith("chart")]
    assert sum(row.note == "closest reading" for row in chart) == 1
    total = next(row for row in rows if row.item == "IRDS 14->2")
    assert total.ratio == pytest.approx(1.0, abs=0.25)
    left_out = [abs(math.log(row.ratio)) for row in rows if "left out" in row.item]
    assert float(np.median(left_out)) < math.log(1.35)


def test_node_table_has_both_readings() -> None:
    rows = node_table(TECH, 4e8)
    assert [row["node_nm"] for row in rows] == list(NODES)
    equal = [row["int8_mac_pj_at_equal_f"] for row in rows]
    assert equal == sorted(equal, reverse=True)
    assert math.isnan(node_table(TECH, 1.2e9, (28,))[0]["int8_mac_pj_at_equal_f"])


def test_a_lookup_is_little_work() -> None:
    """Any lookup that a search repeats, at a clock or size never asked for before."""
    clock, size = 2.00123e8, 1024.0 * 7.5
    assert calls_of(lambda: TECH.operating_point(16, f_hz=clock)) < 150
    assert calls_of(lambda: TECH.mac_energy_j(POINT, "int8", "int8")) < 150
    assert calls_of(lambda: TECH.sram_energy_j_per_bit(POINT, size)) < 50
    assert calls_of(load_facts) < 2500


@pytest.mark.parametrize(
    ("kind", "node", "exists"),
    [
        ("lpddr5", 16, True),
        ("lpddr5", 22, False),
        ("lpddr5x", 7, True),
        ("lpddr5x", 12, False),
        ("lpddr4x", 28, True),
        ("psram", 65, True),
        ("hbm3", 65, False),
    ],
)
def test_a_memory_needs_a_phy_in_the_node(kind: str, node: int, exists: bool) -> None:
    if exists:
        assert TECH.dram_at(node, kind) is TECH.dram(kind)
        return
    with pytest.raises(ImpossibleChipError, match="PHY") as refused:
        TECH.dram_at(node, kind)
    offered = (refused.value.mend or "").removeprefix("use ").split(", ")[:-1]
    assert offered
    assert kind not in offered
    for other in offered:
        assert TECH.dram_at(node, other).name == other
