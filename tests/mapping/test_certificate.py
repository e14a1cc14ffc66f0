"""Certificates: the bound is what no mapping beats, and what is found is the best there is."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import dse
from dse.errors import UnmappableError
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import objective_code, objective_value
from dse.mapping.cost.tile_rows import fill_row
from dse.mapping.ir.certificate import Certificate, within_text
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import program_latency_s
from dse.mapping.layer.certificate import certified_layer
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.certificate import certify_layers, certify_program
from dse.mapping.network.program import map_network, program_energy_j
from dse.mapping.search.best import best_mapping
from dse.mapping.search.box_rows import fill_box
from dse.mapping.search.placement import Placement, evaluate
from dse.mapping.search.proof import prove
from dse.mapping.space.choices import _steps, spatial_choices
from dse.mapping.space.hierarchy import Outer, can_tile, outer_room
from dse.mapping.space.problem import Problem, pack
from dse.mapping.space.registers import register_units
from dse.mapping.space.unrollings import banded_steps, every_unit
from tests.tiers import check_cases, numbers_of_cases

from . import test_levels, test_oracle
from .conftest import make_chip, make_layer

OBJECTIVES = st.sampled_from(["edp", "latency", "energy"])
ROOMS = st.sampled_from([40.0, 120.0, 400.0, 1e5])
#: Tilings times unrollings up to which all of them are tried.
ALL = 250


def packed(layer: Any, chip: Any, homes: Homes, room: float, exposed: float) -> Problem | None:
    try:
        return pack(layer, chip, homes, room, layer.nest.sizes, 1, exposed)
    except UnmappableError:
        return None


def least_of_all(problem: Problem, objective: str, seed: int) -> tuple[float, bool]:
    """The least key over all whole numbers as tile sizes (or some, if they are too many; then
    False), every unrolling, dataflow, order and uneven cut."""
    units, _, _ = every_unit(problem)
    tilings = list(itertools.product(*(range(1, n + 1) for n in problem.sizes[:6])))
    pairs = list(itertools.product(range(len(units)), tilings))
    every = len(pairs) <= ALL
    if not every:
        pairs = random.Random(seed).sample(pairs, 10)
    code, least = objective_code(objective), math.inf
    for unit, tiles in pairs:
        row = units[unit]
        holds = range(7) if row[k.S_TAP_TILES] == 1.0 else (0,)
        for flow, order, hold in itertools.product(problem.flows, range(3), holds):
            found = evaluate(problem, Placement(row, tiles, int(flow), order, None, None, hold))
            if found.fits:
                least = min(least, float(k.keys(found.latency_s, found.energy_j, code)[0]))
    return least, every


def check_proof(
    layer: Any, chip: Any, homes: Homes, room: float, exposed: float, objective: str, seed: int
) -> bool:
    problem = packed(layer, chip, homes, room, exposed)
    if problem is None:
        return False
    listed = best_mapping(problem, objective)
    start = listed.keys if listed else (math.inf, math.inf)
    proof = prove(problem, objective, start, effort=100_000, slack=0.0)
    value = min(start[0], proof.found.keys[0] if proof.found else math.inf)
    least, every = least_of_all(problem, objective, seed)
    assert least >= proof.bound
    rough = prove(problem, objective, (math.inf, math.inf), effort=30)
    assert min(least, value) >= rough.bound
    if not every_unit(problem)[2]:  # too many unrollings: one that none exceeds is not taken
        assert proof.found is None
        return False
    # Without L2 tiles and registers nothing is left open.
    assert proof.bound == pytest.approx(value, rel=1e-9)
    if proof.found is not None:
        again = evaluate(problem, proof.found.placement)
        assert again.fits
        key = k.keys(again.latency_s, again.energy_j, objective_code(objective))[0]
        assert key == proof.found.keys[0] < start[0]
    if every:
        assert value == pytest.approx(least, rel=1e-9)
    return every


@numbers_of_cases(40, 1500)
def test_the_proof_finds_the_best_of_all_whole_numbers(cases: int) -> None:
    said = check_cases(
        check_proof, cases, layer=test_oracle.layers(), chip=test_oracle.chips(),
        homes=test_oracle.HOMES, room=ROOMS, exposed=st.sampled_from([1.0, 0.0]),
        objective=OBJECTIVES, seed=st.integers(0, 10**6),
    )  # fmt: skip
    assert sum(said) >= cases // 8  # (so many were walked in full)


def any_placement(problem: Problem, l2: float, draw: random.Random) -> Placement | None:
    """A mapping of the problem, whatever it costs; None if its L2 tiles overflow."""
    tiles = tuple(draw.randint(1, n) for n in problem.sizes[:6])
    order, flow = draw.randrange(3), int(draw.choice(list(problem.flows)))
    if problem.registers:
        units, sizes = register_units(problem)
        at = draw.randrange(len(units))
        return Placement(units[at], tiles, flow, order, sizes[at])
    units, _, _ = every_unit(problem)
    row, may = units[draw.randrange(len(units))], can_tile(problem)
    masks = [mask for mask in range(1, 8) if mask & may == mask]
    whole = row[k.S_TAP_TILES] == 1.0
    if l2 <= 0.0 or not masks or not whole or draw.random() < 0.4:
        return Placement(row, tiles, flow, order, None, None, draw.randrange(7) if whole else 0)
    above = tuple(
        n if draw.random() < 0.4 else min(n, t * draw.randint(1, 3))
        for t, n in zip(tiles, problem.sizes[:6], strict=True)
    )
    outer = Outer(above, draw.choice(masks), draw.randrange(3))
    return None if outer_room(problem, outer, True) > l2 else Placement(
        row, tiles, flow, order, None, outer
    )  # fmt: skip


def check_no_mapping_beats_it(
    layer: Any, chip: Any, room: float, l2: float, objective: str, effort: int, seed: int
) -> int:
    problem = packed(layer, chip, Homes(), room, 1.0)
    if problem is None:
        return 0
    bound = prove(problem, objective, (math.inf, math.inf), outer_room=l2, effort=effort).bound
    listed = best_mapping(problem, objective, outer_room=l2)
    if listed is not None:
        assert listed.keys[0] >= bound
    draw, seen = random.Random(seed), 0
    for _ in range(40):
        placed = any_placement(problem, l2, draw)
        found = None if placed is None else evaluate(problem, placed)
        if found is not None and found.fits:
            key = k.keys(found.latency_s, found.energy_j, objective_code(objective))[0]
            assert key >= bound
            seen += 1
    return seen


@numbers_of_cases(60, 2000)
def test_no_mapping_with_tiles_on_more_levels_beats_the_bound(cases: int) -> None:
    said = check_cases(
        check_no_mapping_beats_it, cases, layer=test_levels.layers(), chip=test_levels.chips(),
        room=ROOMS, l2=st.sampled_from([0.0, 200.0, 1e5]), objective=OBJECTIVES,
        effort=st.sampled_from([1, 50, 2000]), seed=st.integers(0, 10**6),
    )  # fmt: skip
    assert sum(said) >= 5 * cases


def check_box(size: int, ends: tuple[int, int], grain: int, factor: int, nest: Any) -> None:
    taps, cut, stride, dilation = nest
    gcd = math.gcd(stride, dilation)
    sizes, align = np.full(6, float(size)), np.full(6, float(grain))
    s = np.ones(k.SPATIAL_FIELDS)
    s[:8], s[k.S_FY], s[k.S_FX] = factor, min(cut, taps), taps
    numbers = np.array([taps, taps, stride // gcd, dilation // gcd, stride // gcd, dilation // gcd])
    low, high = sorted(min(end, size) for end in ends)
    box, row = np.ones(k.ROW_FIELDS), np.ones(k.ROW_FIELDS)
    fields = (k.R_T, k.R_N, k.R_STEPS, k.R_FULL, k.R_LAST, k.R_SPAN, k.R_SPANS, k.R_PAD, k.R_SLIDE)
    for d in range(6):
        fill_box(box, d, float(low), float(high), sizes, align, s, numbers.astype(float))
        for t in range(low, high + 1):
            fill_row(row, d, float(t), sizes, align, s, numbers.astype(float))
            assert all(box[f] <= row[f] for f in fields), (d, t, box, row)


@numbers_of_cases(150, 3000)
def test_rows_of_a_box_are_below_those_of_all_its_sizes(cases: int) -> None:
    nests = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.integers(1, 4))
    check_cases(
        check_box, cases, size=st.integers(1, 60),
        ends=st.tuples(st.integers(1, 60), st.integers(1, 60)),
        grain=st.sampled_from([1, 2, 8]), factor=st.integers(1, 16), nest=nests,
    )  # fmt: skip


def check_bands(layer: Any, chip: Any, cut: int, rows: int) -> None:
    """Parts of a layer, each with the best unrolling of its own, take no fewer steps together."""
    sizes, axes, ones = layer.nest.sizes, chip.array.axes, (1,) * 8
    diagonal = chip.array.depthwise == "diagonal"
    d = (0, 1, 4, 5)[cut]
    steps = 0
    for start in range(0, sizes[d], rows):
        part = (*sizes[:d], min(rows, sizes[d] - start), *sizes[d + 1 :])
        steps += min(_steps(part, u) for u in spatial_choices(part, axes, ones, diagonal))
    assert steps >= banded_steps(sizes, axes, ones, diagonal) * (1.0 - 1e-12)


@numbers_of_cases(80, 2000)
def test_no_cut_into_bands_takes_fewer_steps(cases: int) -> None:
    check_cases(
        check_bands, cases, layer=test_oracle.layers(), chip=test_oracle.chips(),
        cut=st.integers(0, 3), rows=st.integers(1, 6),
    )  # fmt: skip


def test_a_better_mapping_than_the_listed_ones_is_taken() -> None:
    """A pointwise layer in a small buffer, of which the lists' best is not the best."""
    layer = make_layer(K=101, C=97, OX=89)
    chip = make_chip(8, 8, buffer_bytes=3000, dram=2e8)
    found, proven = certified_layer(layer, chip, "latency")
    listed = map_layer(layer, chip, "latency")
    assert proven.value <= program_of(listed, chip)
    assert proven.bound <= proven.value
    assert found.schedule.footprint_bytes <= 3000


def program_of(schedule: Any, chip: Any) -> float:
    from dse.api.mapping import alone

    return alone(schedule, chip).latency_s * (1.0 + 1e-9)


@pytest.mark.parametrize("objective", ["edp", "latency", "energy", "energy*latency^2"])
@pytest.mark.parametrize(
    ("model", "name"),
    [("resnet8", "edge_vision"), ("dscnn_kws", "ethos_u55_128"), ("resnet8", "mcu_npu"),
     ("dscnn_kws", "gap9"), ("mobilenetv1_vww", "rk3588_npu")],
)  # fmt: skip
def test_no_program_beats_the_bound_of_its_network(model: str, name: str, objective: str) -> None:
    workload, chip = dse.load_model(model).at("w8a8"), dse.load_chip(name)
    plain = map_network(workload, chip, objective)
    finer = map_network(workload, chip, objective, finer=True)
    values = [
        objective_value(objective, program_latency_s(one, chip), program_energy_j(one, chip))
        for one in (plain, finer, map_network(workload, chip, objective, fuse=False))
    ]
    assert values[1] <= values[0]
    proven = certify_program(finer, workload, chip, objective)
    assert proven.value == values[1]
    assert 0.0 < proven.bound <= min(values)
    layers = certify_layers(finer, workload, chip, objective)
    assert set(layers) == {
        one.layer for one in finer.schedules if one.kind == "compute" and not one.fused
    }
    assert all(0.0 < one.bound <= one.value for one in layers.values())


def test_more_cores_and_batches_keep_the_bound() -> None:
    chip = dse.load_chip("mobile_robot_npu")
    for batch, cores in ((1, 2), (4, 1)):
        workload = dse.load_model("resnet8", batch=batch).at("w8a8")
        program = map_network(workload, chip, "edp", cores=cores)
        proven = certify_program(program, workload, chip, "edp", cores=cores)
        assert 0.0 < proven.bound <= proven.value
        assert certify_layers(program, workload, chip, "edp")


def test_a_network_in_space_is_held_against_the_roofline() -> None:
    workload, chip = dse.load_model("resnet8").at("w8a8"), dse.load_chip("hailo8")
    program = map_network(workload, chip, "edp")
    proven = certify_program(program, workload, chip, "edp")
    assert 0.0 < proven.bound <= proven.value
    assert certify_layers(program, workload, chip, "edp") == {}


def test_what_a_certificate_says() -> None:
    assert Certificate("edp", 2.0, 2.0).optimal
    assert str(Certificate("edp", 2.0, 2.0)) == "optimal"
    assert str(Certificate("edp", 1.0201, 1.0)) == "within 2.1 %"  # never less than it is
    assert str(Certificate("edp", 1.00011, 1.0)) == "within 0.02 %"
    assert str(Certificate("edp", 1.5, 1.0)) == "within 50 %"
    assert within_text(math.inf) == "no bound"
    assert Certificate("edp", 1.0, 0.0).to_dict()["within"] is None


@pytest.mark.parametrize("name", ["tda4vm", "mcu_npu"])
def test_what_is_found_can_be_built(name: str) -> None:
    """Of a matrix engine, whose unrollings an ideal one stands for in the bound, too: a layer alone
    takes an unrolling that the mapper's own lists know, or that fits the array."""
    chip = dse.load_chip(name)
    layer = make_layer(K=24, C=40, OY=14, OX=14, FY=3, FX=3)
    made = dse.map_layer(layer, chip)
    assert made.certificate is not None
    assert made.certificate.bound <= made.certificate.value * (1.0 + 1e-9)
    assert math.prod(made.schedule.spatial.values()) <= math.prod(
        axis.size for axis in chip.array.axes
    )
