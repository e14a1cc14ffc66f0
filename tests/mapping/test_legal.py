"""Legality profiles: what a chip's compiler can express, by layer, network and fused group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.errors import InputError, UnmappableError
from dse.files import shipped_names
from dse.hardware.chip import Chip, Legality
from dse.hardware.library import load_spec
from dse.hardware.resolve import load_chip
from dse.mapping.cost.objectives import objective_value
from dse.mapping.given.pins import Pin, Pins
from dse.mapping.ir.schedule import LayerSchedule, Program, program_latency_s
from dse.mapping.layer.mapper import map_layer
from dse.mapping.layer.pareto import pareto_layer
from dse.mapping.network.program import layer_rows, map_network, program_energy_j
from dse.mapping.space.legal import broken_rule, is_legal, legal_sizes, rule
from dse.workload.layer import DIMS, Workload

from .conftest import make_chip, make_layer
from .test_fusion import attention, chain
from .test_options import cost

PROFILES = st.builds(
    Legality,
    granularity=st.sampled_from([(), (("K", 8),), (("C", 8), ("K", 16)), (("OX", 4), ("OY", 3))]),
    min_tile=st.sampled_from([(), (("C", 1 << 20),), (("OX", 1 << 20), ("OY", 2))]),
    dataflow=st.sampled_from([None, "ws", "os"]),
    bank_bytes=st.sampled_from([0.0, 512.0]),
    max_tile=st.sampled_from([(), (("K", 24), ("OX", 12), ("OY", 12))]),
)


def value(program: Program, chip: Chip, objective: Any) -> float:
    latency = program_latency_s(program, chip)
    return objective_value(objective, latency, program_energy_j(program, chip))


def check_tiles(made: LayerSchedule, chip: Chip) -> None:
    """The buffer tiles of a layer that runs alone keep to the profile."""
    sizes = tuple(made.dims[d] for d in DIMS)
    for dim, tile in made.tiles.items():
        if dim in DIMS[:6]:
            assert is_legal(tile, made.dims[dim], rule(chip.legality, dim, sizes)), (dim, tile)
    assert made.footprint_bytes <= chip.buffer.capacity_bytes
    wanted = chip.legality.dataflow
    assert wanted is None or made.unit != "array" or made.dataflow == wanted


def test_sizes_that_can_be_expressed() -> None:
    limits = (16, 8, 128)
    assert legal_sizes((200, 100, 17, 1), 300, limits) == (128, 112, 32, 16)
    assert legal_sizes((100, 1), 100, limits) == (100, 16)  # the whole dim, though no multiple
    assert not is_legal(100, 300, limits)
    assert "no multiple of 16" in broken_rule(100, 300, limits)
    assert "above the most, 128" in broken_rule(144, 300, limits)
    assert "below the least, 8" in broken_rule(4, 300, limits)
    assert broken_rule(96, 300, limits) == ""
    profile = Legality((("K", 16), ("OY", 2)), max_tile=(("OX", 64),))
    conv, matrix, depthwise = (1, 1, 64, 8, 9, 9, 3, 3), (1, 1, 8, 8, 1, 9, 1, 1), (32, 1, 1, 1)
    assert rule(profile, "OX", conv) == (1, 1, 64)
    assert rule(profile, "OX", matrix) == (2, 1, None)
    assert rule(profile, "G", (*depthwise, 9, 9, 3, 3)) == (16, 1, None)
    assert rule(profile, "G", conv) == (1, 1, None)


@settings(max_examples=60)
@given(
    profile=PROFILES,
    layer=st.sampled_from(
        [
            make_layer("conv", K=24, C=16, OY=13, OX=12, FY=3, FX=3),
            make_layer("depthwise", G=20, OY=9, OX=9, FY=3, FX=3),
            make_layer("gemm", K=40, C=24, OX=30),
        ]
    ),
    objective=st.sampled_from(["edp", "latency", "energy"]),
    kib=st.sampled_from([6, 32]),
    l2=st.booleans(),
)
def test_a_legal_layer_is_never_better(
    profile: Legality, layer: Any, objective: Any, kib: int, l2: bool
) -> None:
    chip = replace(
        make_chip(
            8, 8, dataflows=("ws", "os"), buffer_bytes=kib * 1024, dram=2e9,
            l2=4e9 if l2 else 0.0, l2_bytes=32768.0 if l2 else 0.0,
        ),
        legality=profile,
    )  # fmt: skip
    ideal = map_layer(layer, chip, objective)
    assert ideal.legality == "ideal"
    if not profile.stated:
        for call in (map_layer, pareto_layer):
            with pytest.raises(InputError, match="says nothing of what its compiler"):
                call(layer, chip, legal=True)
        return
    try:
        legal = map_layer(layer, chip, objective, legal=True)
    except UnmappableError:
        return
    assert legal.legality == "legal"
    check_tiles(legal, chip)
    values = [objective_value(objective, *cost(made, chip)) for made in (ideal, legal)]
    assert values[0] <= values[1] * (1 + 1e-12)


@settings(max_examples=40)
@given(
    profile=PROFILES,
    sizes=st.lists(
        st.tuples(
            st.sampled_from([8, 16]),
            st.sampled_from([1, 3]),
            st.sampled_from([1, 1, 2]),
            st.sampled_from([0, 0, 1]),
        ),
        min_size=2,
        max_size=3,
    ),
    heads=st.sampled_from([0, 0, 2]),
    kib=st.sampled_from([8, 64]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_a_legal_network_is_never_better_and_its_groups_obey(
    profile: Legality, sizes: Any, heads: int, kib: int, objective: Any
) -> None:
    chip = replace(
        make_chip(8, 8, dataflows=("ws", "os"), buffer_bytes=kib * 1024, dram=1e9),
        legality=profile,
    )
    net = attention(heads, 24, 16, 32) if heads else chain(sizes, 17)
    ideal = map_network(net, chip, objective)
    assert {made.legality for made in ideal.schedules} == {ideal.legality} == {"ideal"}
    if not profile.stated:
        with pytest.raises(InputError, match="says nothing of what its compiler"):
            map_network(net, chip, objective, legal=True)
        return
    try:
        legal = map_network(net, chip, objective, legal=True)
    except UnmappableError:
        return
    assert value(ideal, chip, objective) <= value(legal, chip, objective) * (1 + 1e-12)
    assert {made.legality for made in legal.schedules} == {legal.legality} == {"legal"}
    assert {row.legality for row in layer_rows(legal, chip)} == {"legal"}
    for made in legal.schedules:
        if made.kind != "compute":
            continue
        if made.fused:
            check_band(made, chip)
        else:
            check_tiles(made, chip)


def check_band(made: LayerSchedule, chip: Chip) -> None:
    """The rows of a group's band, and its part of the heads, keep to the profile."""
    words = made.loop_nest[1].split()
    axis = "OY" if made.dims["OY"] > 1 else "OX"
    sizes = tuple(made.dims[d] for d in DIMS)
    rows, whole = int(words[3]), made.dims[axis]
    assert is_legal(rows, whole, rule(chip.legality, axis, sizes)), made.loop_nest[1]
    heads = int(words[8]) if "heads;" in words else 1
    part = -(-made.dims["G"] // heads)
    assert is_legal(part, made.dims["G"], rule(chip.legality, "G", sizes))
    for dim in ("K", "C", "OX") if axis == "OY" else ("K", "C"):
        tile = made.tiles.get(dim, made.dims[dim])
        assert is_legal(tile, made.dims[dim], rule(chip.legality, dim, sizes))
    assert chip.legality.dataflow in (None, made.dataflow)


def test_groups_are_cut_into_bands_that_the_compiler_can_express() -> None:
    chip = make_chip(16, 16, buffer_bytes=40 * 1024, dram=5e8)
    legal = replace(chip, legality=Legality((("OY", 7),)))
    net = chain([(16, 3, 1, 0), (16, 1, 1, 0), (16, 3, 1, 0)], 56)
    free, bound = map_network(net, legal, "energy"), map_network(net, legal, "energy", legal=True)
    bands = [int(made.loop_nest[1].split()[3]) for made in bound.schedules if made.fused]
    assert bands
    assert all(band % 7 == 0 for band in bands)
    loose = [int(made.loop_nest[1].split()[3]) for made in free.schedules if made.fused]
    assert loose
    assert any(band % 7 for band in loose)


def pinned(net: Workload, chip: Chip, pin: Pin, **options: Any) -> Program:
    return map_network(net, chip, pins=Pins((pin,)), **options)


def test_a_pin_must_be_legal_too() -> None:
    chip = replace(
        make_chip(8, 8, dataflows=("ws", "os"), dram=1e9),
        legality=Legality((("K", 8),), dataflow="ws", max_tile=(("OY", 8),)),
    )
    net = chain([(24, 3, 1, 0)], 17)
    assert pinned(net, chip, Pin(tiles={"K": 12}, dataflow="os")).schedules[0].tiles["K"] == 12
    made = pinned(net, chip, Pin(tiles={"K": 16}), legal=True).schedules[0]
    assert (made.tiles["K"], made.dataflow, made.legality) == (16, "ws", "legal")
    with pytest.raises(UnmappableError, match="tile K: 12 is no multiple of 8"):
        pinned(net, chip, Pin(tiles={"K": 12}), legal=True)
    with pytest.raises(UnmappableError, match="tile OY: 17 is above the most, 8"):
        pinned(net, chip, Pin(tiles={"OY": 17}), legal=True)
    with pytest.raises(UnmappableError, match="dataflow os: the compiler of test chip runs ws"):
        pinned(net, chip, Pin(dataflow="os"), legal=True)


def test_a_profile_that_leaves_no_size_is_refused() -> None:
    with pytest.raises(InputError, match="leaves no size"):
        load_chip(
            "edge_vision",
            overrides={"legality.granularity.K": 32, "legality.max_tile.K": 16},
        )


WITH_PROFILE = ["ethos_u55_256", "ethos_u55_128", "nvdla_2048", "rk3588_npu"]


@pytest.mark.parametrize("name", WITH_PROFILE)
def test_shipped_profiles_are_sourced_and_kept(name: str) -> None:
    spec, chip = load_spec(name), load_chip(name)
    stated = spec.legality.model_dump(exclude_defaults=True)
    assert stated
    assert chip.legality.stated
    for field in stated:
        assert spec.sources[f"legality.{field}"].status in ("read", "computed"), field
    net = dse.load_model("resnet8").at("w8a8")
    legal, ideal = map_network(net, chip, legal=True), map_network(net, chip)
    for made in legal.schedules:
        if made.kind == "compute":
            check_tiles(made, chip)
    assert value(ideal, chip, "edp") <= value(legal, chip, "edp") * (1 + 1e-12)
    assert value(legal, chip, "edp") < 1.5 * value(ideal, chip, "edp")


def test_every_shipped_chip_says_whether_its_compiler_fuses() -> None:
    for name in shipped_names("hwconfigs", ".yaml"):
        spec = load_spec(name)
        assert "buffer.fuses" in spec.sources, name
