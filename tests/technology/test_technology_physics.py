"""Invariants of the physics: order of nodes, voltage laws, minimum-energy point, memories."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.technology import FORMATS, Technology, load_technology

TECH = load_technology()
NODES, ALL_NODES = TECH.nodes, TECH.known_nodes.every
PAIRS = list(itertools.pairwise(ALL_NODES))
SLACK = 1.0 + 1e-9
draws = st.integers(min_value=0, max_value=40)
formats = st.sampled_from(FORMATS)
functions = st.sampled_from(TECH.datapath.functions)
SAMPLES = [TECH, *(load_technology((7, index)) for index in range(4))]


def prices(tech: Technology, node: int, volts: float, fmt: str, function: str) -> list[float]:
    """Dynamic prices per action with both rails at one voltage."""
    point = tech.operating_point(node, voltage_v=volts, sram_voltage_v=volts, sram_rail="split")
    return [
        tech.mac_energy_j(point, fmt, fmt),
        tech.op_energy_j(point, function, 8),
        tech.register_energy_j_per_bit(point, 256.0),
        tech.sram_energy_j_per_bit(point, 65536.0),
        tech.sram_energy_j_per_bit(point, 1 << 22, 256, write=True, banks=8),
        tech.wire_energy_j_per_bit_mm(point),
    ]


@settings(max_examples=60)
@given(st.floats(0.8, 0.95), formats, functions, draws)
def test_equal_voltage_never_costs_more_on_a_finer_node(
    volts: float, fmt: str, function: str, draw: int
) -> None:
    tech = load_technology((3, draw)) if draw else TECH
    for coarse, fine in PAIRS:
        old = prices(tech, coarse, volts, fmt, function)
        new = prices(tech, fine, volts, fmt, function)
        assert all(b <= a * SLACK for a, b in zip(old, new, strict=True)), (coarse, fine)


@settings(max_examples=60)
@given(st.floats(2e7, 7e8), formats, st.sampled_from(["shared", "split"]), draws)
def test_equal_frequency_never_costs_more_on_a_finer_node(
    hz: float, fmt: str, rail: str, draw: int
) -> None:
    tech = load_technology((5, draw)) if draw else TECH
    last: tuple[float, float] | None = None
    for node in ALL_NODES:
        try:
            point = tech.operating_point(node, f_hz=hz, sram_rail=rail)
        except InputError:
            continue  # such as 22 nm, whose highest voltage is below that of 28 nm
        now = (
            tech.mac_energy_j(point, fmt, fmt),
            tech.sram_energy_j_per_bit(point, 131072.0),
        )
        if last is not None:
            assert now[0] <= last[0] * SLACK
            assert now[1] <= last[1] * SLACK
        last = now


@settings(max_examples=60)
@given(st.floats(2e7, 7e8), st.floats(0.02, 1.0), st.floats(40, 110))
def test_leakage_does_not_undo_a_finer_node_at_equal_frequency(
    hz: float, utilisation: float, junction: float
) -> None:
    """A small array with 1 MiB: energy per MAC with leakage falls or stays, node by node."""
    last = math.inf
    for node in ALL_NODES:
        try:
            point = TECH.operating_point(node, f_hz=hz, junction_c=junction)
        except InputError:
            continue
        area = 1024 * TECH.mac_area_mm2(node, "int8", "int8")
        leak = area * TECH.logic_leakage_w_per_mm2(point)
        leak += 8 * 2**20 * TECH.sram_leakage_w_per_bit(point)
        energy = TECH.mac_energy_j(point, "int8", "int8") + leak / (1024 * hz * utilisation)
        assert energy <= last * SLACK
        last = energy


def test_no_jump_where_the_sources_change() -> None:
    # Twice the largest step that any foundry claims at equal voltage for a full node.
    for coarse, fine in PAIRS:
        for fmt in FORMATS:
            old = TECH.datapath.mac_c(coarse, fmt, fmt, 32)
            new = TECH.datapath.mac_c(fine, fmt, fmt, 32)
            assert 0.75 <= new / old <= 1.0 + 1e-12, (coarse, fine, fmt)


def test_logic_shrinks_and_sram_stalls_where_it_did() -> None:
    for coarse, fine in PAIRS:
        assert TECH.logic_area_mm2(fine, 1e6) < TECH.logic_area_mm2(coarse, 1e6)
        assert TECH.sram_area_mm2(fine, 1e6) <= TECH.sram_area_mm2(coarse, 1e6)
    for stalled in ((16, 12), (7, 6), (5, 4), (4, 3)):
        assert TECH.sram_area_mm2(stalled[0], 1e6) == TECH.sram_area_mm2(stalled[1], 1e6)
    logic = TECH.logic_area_mm2(5, 1.0) / TECH.logic_area_mm2(2, 1.0)
    sram = TECH.sram_area_mm2(5, 1e6) / TECH.sram_area_mm2(2, 1e6)
    assert sram < logic


@settings(max_examples=50)
@given(
    st.sampled_from(ALL_NODES),
    st.floats(64, 2**26),
    st.floats(1.05, 8),
    st.sampled_from([32, 64, 128, 512]),
    st.booleans(),
)
def test_a_larger_sram_costs_more_per_bit(
    node: int, size: float, times: float, width: int, write: bool
) -> None:
    point = TECH.operating_point(node)
    small = TECH.sram_energy_j_per_bit(point, size, width, write)
    assert TECH.sram_energy_j_per_bit(point, size * times, width, write) > small
    assert TECH.sram_area_mm2(node, size * times) > TECH.sram_area_mm2(node, size)


@settings(max_examples=50)
@given(st.sampled_from(ALL_NODES), st.floats(0.0, 1.0), st.floats(0.0, 1.0), formats)
def test_energy_follows_v_squared_and_frequency_rises(
    node: int, a: float, b: float, fmt: str
) -> None:
    low = TECH.device.sram_vmin[node]
    span = TECH.device.max_v[node] - low
    v1, v2 = sorted((low + a * span, low + b * span))
    one, two = (TECH.operating_point(node, voltage_v=v) for v in (v1, v2))
    ratio = TECH.mac_energy_j(two, fmt, fmt) / TECH.mac_energy_j(one, fmt, fmt)
    assert ratio == pytest.approx((v2 / v1) ** 2)
    if v2 > v1 + 1e-6:
        assert two.f_hz > one.f_hz
        assert TECH.logic_leakage_w_per_mm2(two) > TECH.logic_leakage_w_per_mm2(one)


@settings(max_examples=80)
@given(
    st.sampled_from(ALL_NODES),
    st.floats(1e6, 7e8),
    st.sampled_from(["lvt", "mixed", "svt", "hvt"]),
    st.floats(-20, 125),
    st.sampled_from(["shared", "split"]),
)
def test_voltage_from_frequency_is_the_lowest_that_reaches_it(
    node: int, hz: float, vt: str, junction: float, rail: str
) -> None:
    logic, sram = TECH.device.rails(node, TECH.device.guard_band, junction, vt, "tt", 1.0)
    top = TECH.device.max_v[node]
    reach = logic.hz(top) if rail == "split" else min(logic.hz(top), sram.hz(top))
    if hz > reach * 1.001:
        with pytest.raises(InputError, match="at most"):
            TECH.operating_point(node, f_hz=hz, vt=vt, junction_c=junction, sram_rail=rail)
        return
    hz = min(hz, reach * 0.999)
    point = TECH.operating_point(node, f_hz=hz, vt=vt, junction_c=junction, sram_rail=rail)
    assert TECH.f_max_hz(node, point.voltage_v, vt=vt, junction_c=junction) >= hz * (1 - 1e-6)
    floor = TECH.device.logic_vmin[node]
    if rail == "shared":
        floor = max(floor, TECH.device.sram_vmin[node])
    if point.voltage_v > floor + 1e-6:
        lower = point.voltage_v - 1e-4
        reach = logic.hz(lower) if rail == "split" else min(logic.hz(lower), sram.hz(lower))
        assert reach < hz


def test_minimum_energy_point_lies_inside_the_range() -> None:
    """Leakage per operation grows at low voltage, so the optimum is not the lowest voltage."""
    node, macs = 22, 1024
    area = macs * TECH.mac_area_mm2(node, "int8", "int8") * 2.0
    volts = np.linspace(0.3, 0.8, 251)
    logic, _ = TECH.device.rails(node, 0.08, 85.0, "mixed", "tt", 1.0)
    dynamic = TECH.datapath.mac_c(node, "int8", "int8", 32) * volts**2
    leak = TECH.memory.logic_leakage[node] * TECH.device.leakage_factor(
        node, volts, 85.0, "mixed", "tt"
    )
    total = dynamic + leak * area / macs / logic.hz(volts)
    best = int(np.argmin(total))
    assert 0 < best < len(volts) - 1
    assert total[0] > 1.2 * total[best]
    hotter = leak * 8.0
    assert int(np.argmin(dynamic + hotter * area / macs / logic.hz(volts))) > best


def test_leakage_follows_temperature_flavour_and_corner() -> None:
    for node in NODES:
        base = TECH.operating_point(node, junction_c=25.0)
        kind = TECH.device.transistor[node]
        hot = TECH.operating_point(node, junction_c=25.0 + TECH.device.doubling[kind])
        ratio = TECH.logic_leakage_w_per_mm2(hot) / TECH.logic_leakage_w_per_mm2(base)
        assert ratio == pytest.approx(2.0)
        by_flavour = [
            TECH.operating_point(node, voltage_v=TECH.device.nominal_v[node], vt=vt)
            for vt in ("lvt", "mixed", "svt", "hvt", "ull")
        ]
        leaks = [TECH.logic_leakage_w_per_mm2(point) for point in by_flavour]
        speeds = [point.f_hz for point in by_flavour]
        assert leaks == sorted(leaks, reverse=True)
        assert speeds == sorted(speeds, reverse=True)
        assert TECH.sram_retention_w_per_bit(base) < TECH.sram_leakage_w_per_bit(base)


def test_arrays_agree_with_scalars() -> None:
    point = TECH.operating_point(7)
    sizes = np.array([100.0, 8192.0, 1e6])
    scalar = [TECH.sram_energy_j_per_bit(point, float(size)) for size in sizes]
    assert TECH.sram_energy_j_per_bit(point, sizes) == pytest.approx(scalar)
    area = [TECH.sram_area_mm2(7, float(size), 256, 4) for size in sizes]
    assert TECH.sram_area_mm2(7, sizes, 256, 4) == pytest.approx(area)


@settings(max_examples=60)
@given(formats, formats, st.integers(8, 48), st.sampled_from(ALL_NODES))
def test_wider_arithmetic_costs_more(w: str, a: str, acc: int, node: int) -> None:
    base = TECH.datapath.mac_c(node, w, a, acc)
    assert base > 0.0
    assert TECH.datapath.mac_c(node, w, a, acc + 8) >= base
    order = ["int2", "int4", "int8", "int16", "int32"]
    if w in order[:-1]:
        wider = order[order.index(w) + 1]
        assert TECH.datapath.mac_c(node, wider, a, acc) > base
        assert TECH.datapath.mac_gates(wider, a, acc) > TECH.datapath.mac_gates(w, a, acc)


def test_anchors_come_back_exactly() -> None:
    """Horowitz 45 nm and Jouppi 7 nm values at their own voltages (J. ISCA 2021, table 2)."""
    path = TECH.datapath
    v45, v7 = 0.9, 0.75
    golden = [
        (path.int_multiply(8, 8), 0.2, 0.07),
        (path.int_multiply(32, 32), 3.1, 1.48),
        (path.int_add(8), 0.03, 0.007),
        (path.int_add(32), 0.1, 0.03),
        (path.multiply("fp16", "fp16"), 1.1, 0.34),
        (path.multiply("fp32", "fp32"), 3.7, 1.31),
        (path.float_add("fp32"), 0.9, 0.38),
    ]
    for anchor, pj45, pj7 in golden:
        assert path.at_node(45, anchor) * v45**2 * 1e12 == pytest.approx(pj45)
        assert path.at_node(7, anchor) * v7**2 * 1e12 == pytest.approx(pj7)


def test_bare_mac_leaves_room_for_the_rest_of_the_accelerator() -> None:
    """NVDLA 16 nm at 1 GHz costs .36 pJ per int8 MAC all in; Samsung's 4 nm NPU .173 pJ."""
    for node, all_in in ((16, 0.358e-12), (4, 0.173e-12)):
        bare = TECH.mac_energy_j(TECH.operating_point(node), "int8", "int8")
        assert 0.3 * all_in < bare < 0.8 * all_in
    fp8 = TECH.datapath.mac_c(7, "fp8", "fp8", 32) / TECH.datapath.mac_c(7, "int8", "int8", 32)
    assert 1.5 <= fp8 <= 2.8


def test_draws_are_shared_repeatable_and_spread() -> None:
    nominal = TECH.mac_energy_j(TECH.operating_point(7), "int8", "int8")
    values = []
    for index in range(60):
        tech = load_technology((11, index))
        values.append(tech.mac_energy_j(tech.operating_point(7), "int8", "int8"))
    assert values[3] == pytest.approx(
        Technology(load_technology((11, 3)).fact_base).mac_energy_j(
            load_technology((11, 3)).operating_point(7), "int8", "int8"
        )
    )
    assert len({load_technology((11, index)).digest for index in range(5)}) == 5
    spread = math.exp(float(np.std(np.log(values))))
    assert 1.05 < spread < 1.5
    assert min(values) < nominal < max(values)
    wafers = np.array([[t.cost.wafer_usd[n] for n in (16, 7)] for t in SAMPLES[1:]])
    assert len(set(np.round(wafers[:, 0] / wafers[:, 1], 6))) == len(wafers)
