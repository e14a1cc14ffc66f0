"""What an architect expects of area, power and cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware import Chip, carbon, lifetime_energy_j, load_chip, load_spec, unit_cost
from dse.hardware.resolve import resolve
from dse.hardware.table import static_by_scope
from tests.work import calls_of

FEW = settings(max_examples=25)


def blocks(chip: Chip) -> dict[str, float]:
    return {node.name: node.total_mm2 for _, node in chip.area.walk()}


def static(chip: Chip) -> dict[str, float]:
    return {part.component: part.active_w for part in chip.static}


@FEW
@given(small=st.integers(4096, 1 << 22), more=st.integers(1024, 1 << 22))
def test_more_sram_more_area_and_leakage(small: int, more: int) -> None:
    spec = load_spec("edge_vision")
    one = resolve(spec.with_values({"buffer.bytes": small}))
    two = resolve(spec.with_values({"buffer.bytes": small + more}))
    assert two.area_mm2 > one.area_mm2
    assert two.area.scope_mm2("npu") > one.area.scope_mm2("npu")
    assert static(two)["buffer_leakage"] > static(one)["buffer_leakage"]
    assert two.prices["buffer.read_bit"] >= one.prices["buffer.read_bit"]


@FEW
@given(cool=st.floats(0, 100), warmer=st.floats(1, 25))
def test_leakage_grows_with_temperature(cool: float, warmer: float) -> None:
    spec = load_spec("edge_vision").with_values({"f_hz": 300e6})
    one = static(resolve(spec.with_values({"junction_c": cool})))
    two = static(resolve(spec.with_values({"junction_c": min(cool + warmer, 125.0)})))
    for name in ("logic_leakage", "buffer_leakage", "l2_leakage", "other_leakage"):
        assert two[name] > one[name]


@FEW
@given(slow=st.floats(50e6, 1.0e9), faster=st.floats(1.0, 1.3))
def test_faster_clock_never_lowers_voltage_or_mac_energy(slow: float, faster: float) -> None:
    spec = load_spec("edge_vision")
    one = resolve(spec.with_values({"f_hz": slow}))
    two = resolve(spec.with_values({"f_hz": min(slow * faster, 1.2e9)}))
    assert two.voltage_v >= one.voltage_v - 1e-9
    assert two.prices["mac.int8.int8"] >= one.prices["mac.int8.int8"] * (1 - 1e-9)
    assert two.links["l2"].bytes_per_s >= one.links["l2"].bytes_per_s * (1 - 1e-9)
    assert two.links["dram"].bytes_per_s == one.links["dram"].bytes_per_s


@FEW
@given(rows=st.sampled_from([4, 8, 32, 128]), cols=st.sampled_from([4, 8, 32, 128]))
def test_array_area_is_proportional_to_its_units(rows: int, cols: int) -> None:
    spec = load_spec("edge_vision")
    one = blocks(resolve(spec.with_values({"array.rows": rows, "array.cols": cols})))
    two = blocks(resolve(spec.with_values({"array.rows": 2 * rows, "array.cols": cols})))
    assert two["array"] == pytest.approx(2.0 * one["array"])


def test_a_gated_core_burns_less_and_costs_a_wake_up() -> None:
    chip = load_chip("edge_vision")
    logic = next(part for part in chip.static if part.component == "logic_leakage")
    assert logic.gated_w < 0.1 * logic.idle_w
    assert logic.wake_s > 0.0
    assert logic.wake_j > 0.0
    always = load_chip("edge_vision", overrides={"power.gating": False})
    kept = next(part for part in always.static if part.component == "logic_leakage")
    assert kept.gated_w == kept.idle_w


def test_clocks_that_never_stop_cost_power_while_waiting() -> None:
    stopped = load_chip("edge_vision", overrides={"power.gating": False})
    running = load_chip(
        "edge_vision", overrides={"power.gating": False, "power.clock_gating": False}
    )
    assert static_by_scope(running, "idle")["npu"] > 2.0 * static_by_scope(stopped, "idle")["npu"]


def test_the_module_floor_is_visible() -> None:
    """Shares of a small vision SoC: NPU 10-30 %, PHY and IO 12-25 %, other 25-40 %, space 5-12 %
    (default split of edge SoCs, recalled); DRAM background of one x16 LPDDR4 channel 34 mW (read).
    """
    chip = load_chip("edge_vision")
    area, total = blocks(chip), chip.area_mm2
    assert 6.0 < total < 25.0
    assert 0.10 < area["npu"] / total < 0.35
    interfaces = area["dram_phy"] + area["dram_controller"] + area["io_ring"] + area["pll"]
    assert 0.12 < interfaces / total < 0.35
    assert area["dram_phy"] > 1.0
    assert area["host"] > 0.3
    assert 0.05 <= chip.area.own_mm2 / total <= 0.12
    power = static(chip)
    assert {"host", "pll", "io", "phy_idle", "always_on", "dram_background"} <= set(power)
    assert power["dram_background"] == pytest.approx(34.1e-3, rel=0.05)
    assert 0.05 < static_by_scope(chip)["module"] < 0.75


def test_pads_do_not_scale_and_the_die_stops_shrinking() -> None:
    old, new = (blocks(load_chip("edge_vision", node)) for node in (16, 2))
    assert new["array"] < 0.3 * old["array"]
    assert new["dram_phy"] > 0.5 * old["dram_phy"]
    assert new["io_ring"] > 0.5 * old["io_ring"]


@pytest.mark.parametrize(("node", "published_mm2"), [(16, 3.3), (28, 5.5)])
def test_nvdla_area_is_near_its_primer(node: int, published_mm2: float) -> None:
    """Synthesis area of the core, nvdla.org primer (28 nm) and its earlier table (16 nm)."""
    npu = load_chip("nvdla_2048", node).area.scope_mm2("npu")
    assert npu == pytest.approx(published_mm2, rel=0.30)


def test_efficiency_stays_within_reason() -> None:
    """No shipped chip above 40 int8 TOPS/W at its MACs plus module floor (design rule)."""
    for name in ("edge_vision", "llm_npu", "rk3588_npu", "conv_core"):
        chip = load_chip(name)
        macs = chip.cores * chip.array.macs_per_cycle * chip.f_hz
        load = macs * chip.prices["mac.int8.int8"] + static_by_scope(chip)["die_dram"]
        assert 2.0 * macs / chip.pmic.input_w(load) < 40e12


def test_non_volatile_memory_moves_to_a_second_die_where_the_node_has_none() -> None:
    here, there = load_chip("mcu_npu"), load_chip("mcu_npu", 7)
    assert "nvm" in blocks(here)
    assert "nvm" not in blocks(there)
    assert there.prices["nvm.read_bit"] > here.prices["nvm.read_bit"]
    cost = unit_cost(there, 1e6)
    assert cost.die_usd > 1.05 * cost.die_cost_usd


def test_measured_energy_becomes_a_ratio_and_scales() -> None:
    spec = load_spec("edge_vision")
    plain = resolve(spec)
    action = "mac.int8.int8"
    facts = {"source": "test", "f_hz": spec.f_hz, "energy_j": {action: 2 * plain.prices[action]}}
    tuned = spec.with_values({"measured": facts})
    assert resolve(tuned).prices[action] == pytest.approx(2 * plain.prices[action])
    assert resolve(tuned).prices["mac.int16.int16"] == pytest.approx(
        2 * plain.prices["mac.int16.int16"]
    )
    assert resolve(tuned).prices["noc.bit"] == pytest.approx(plain.prices["noc.bit"])
    moved = resolve(tuned.with_values({"node": "7nm", "measured.node": "16nm"}))
    bare = resolve(spec.with_values({"node": "7nm"}))
    assert moved.prices[action] == pytest.approx(2 * bare.prices[action])


@FEW
@given(volume=st.floats(1e3, 1e8), more=st.floats(1.01, 10.0))
def test_unit_cost_falls_with_volume(volume: float, more: float) -> None:
    chip = load_chip("edge_vision")
    one, two = unit_cost(chip, volume), unit_cost(chip, volume * more)
    assert two.unit_cost_usd < one.unit_cost_usd
    assert one.unit_cost_usd == pytest.approx(sum(one.parts_usd.values()))
    assert one.die_cost_usd == two.die_cost_usd
    assert one.nre_usd / volume == pytest.approx(one.nre_per_unit_usd)


def test_the_cheapest_node_moves_with_volume() -> None:
    chips = {node: load_chip("edge_vision", node) for node in (28, 22, 16, 12, 7)}

    def best(volume: float) -> int:
        return min(chips, key=lambda node: unit_cost(chips[node], volume).unit_cost_usd)

    assert best(1e5) == 28
    assert best(1e9) < 28


def test_carbon_adds_making_and_use() -> None:
    chip = load_chip("edge_vision")
    idle = carbon(chip, energy_j=0.0)
    used = carbon(chip, energy_j=lifetime_energy_j(chip, 1.0))
    assert idle.total_kg == pytest.approx(idle.embodied_kg)
    assert idle.embodied_kg > 0.1
    assert used.embodied_kg == idle.embodied_kg
    seconds = 7 * 365.25 * 86400
    assert used.operation_kg == pytest.approx(seconds / 3.6e6 * 0.481, rel=1e-3)


def test_resolving_is_little_work() -> None:
    spec = load_spec("edge_vision")
    resolve(spec)
    for step in range(3):
        other = {"buffer.bytes": 65536 + 1024 * step, "f_hz": 300e6 + 1e6 * step}
        assert calls_of(lambda other=other: resolve(spec.with_values(other))) < 6000  # type: ignore[misc]


def test_block_facts_say_where_they_come_from() -> None:
    from dse.hardware.blocks import block_facts

    for name, fact in block_facts().items():
        assert set(fact) == {"value", "unit", "source", "status", "uncertainty"}, name
        assert fact["status"] in ("read", "recalled", "assumed", "computed"), name
        assert fact["uncertainty"] >= 1.0, name


def test_analog_of_other_logic_does_not_shrink() -> None:
    old, new = (blocks(load_chip("edge_vision", node)) for node in (16, 2))
    shrink = new["other_logic"] / old["other_logic"]
    assert new["array"] / old["array"] < shrink < 1.0
    assert new["other_logic"] > 0.1 * old["other_logic"]
