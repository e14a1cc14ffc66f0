"""Mappings fixed by hand or imported: evaluated exactly, or refused with the reason."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.errors import InputError, UnmappableError
from dse.hardware.resolve import load_chip
from dse.mapping.given.interchange import read_foreign, timeloop
from dse.mapping.given.pinned import load_pins, map_pinned
from dse.mapping.given.pins import Pin, Pins
from dse.mapping.given.placed_by_hand import evaluate_mapping
from dse.mapping.ir.homes import default_homes
from dse.mapping.layer.build import ORDERS
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.program import map_network
from dse.mapping.path.chain import item
from dse.workload.layer import DIMS

from .conftest import make_chip, make_layer
from .test_fusion import chain

CHIP = make_chip(8, 8, buffer_bytes=16 * 1024, dram=1e9)
LAYER = make_layer("conv", K=24, C=20, OY=14, OX=14, FY=3, FX=3)


def pinned(layer: Any, chip: Any, objective: Any = "edp", **parts: Any) -> Any:
    homes = default_homes(layer, chip)
    return map_pinned(layer, chip, Pin(**parts), objective, homes, chip.buffer.capacity_bytes)


def scores(schedule: Any, chip: Any) -> tuple[float, float]:
    found = item((schedule,), chip)
    return found.own_s + found.first_s, found.energy_j


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_pinning_the_best_gives_the_best(objective: Any) -> None:
    best = map_layer(LAYER, CHIP, objective)
    tiles = {d: n for d, n in best.tiles.items() if d in DIMS[:6]}
    kept = best.order[best.order.index("(") + 1]
    again = pinned(
        LAYER, CHIP, objective, spatial=dict(best.spatial), tiles=tiles, order=kept,
        dataflow=best.dataflow,
    )  # fmt: skip
    assert scores(again, CHIP) == pytest.approx(scores(best, CHIP), rel=1e-12)
    free = pinned(LAYER, CHIP, objective)
    assert scores(free, CHIP) == pytest.approx(scores(best, CHIP), rel=1e-12)


def test_groups_along_the_diagonal_can_be_pinned() -> None:
    chip = make_chip(8, 8, row_dims=("C",), depthwise="diagonal", buffer_bytes=16 * 1024)
    layer = make_layer("depthwise", G=32, OY=14, OX=14, FY=3, FX=3)
    best = map_layer(layer, chip)
    assert best.spatial["G"] > 1
    again = pinned(layer, chip, spatial=dict(best.spatial))
    assert scores(again, chip) == pytest.approx(scores(best, chip), rel=1e-12)


@settings(max_examples=40)
@given(
    ky=st.integers(1, 24), cy=st.integers(1, 20), oy=st.integers(1, 14), ox=st.integers(1, 14),
    order=st.sampled_from(["W", "I", "O", None]), k=st.integers(1, 8), c=st.integers(1, 8),
)  # fmt: skip
def test_pins_hold_and_never_beat_the_search(
    ky: int, cy: int, oy: int, ox: int, order: Any, k: int, c: int
) -> None:
    """What is pinned is what comes out, and a pinned unrolling among the best is no better."""
    tiles = {"K": ky, "C": cy, "OY": oy, "OX": ox}
    try:
        made = pinned(LAYER, CHIP, "energy", spatial={"K": k, "C": c}, tiles=tiles, order=order)
    except UnmappableError:
        need = 2 * (ky * cy * 9 + cy * (oy + 2) * (ox + 2)) + 8 * ky * oy * ox  # sums of 4 bytes
        assert order is not None or need > CHIP.buffer.capacity_bytes
        return
    assert {d: made.tiles[d] for d in tiles} == tiles
    assert {d: made.spatial.get(d, 1) for d in "KC"} == {"K": k, "C": c}
    if order:
        assert f"({order} stays)" in made.order
    assert made.macs == LAYER.macs
    assert made.counts["mac.int8.int8"] == LAYER.macs


def test_what_forbids_is_named() -> None:
    with pytest.raises(
        UnmappableError, match=r"level buffer: .* needs \d+ bytes \((W|I|O) \d+\)"
    ) as caught:
        pinned(LAYER, make_chip(8, 8, buffer_bytes=2048), tiles={"K": 24, "C": 20, "OY": 14})
    assert "the room is 2048" in str(caught.value)
    with pytest.raises(UnmappableError, match=r"K=16 C=8 needs 128 units .* 8 of K"):
        pinned(LAYER, CHIP, spatial={"K": 16, "C": 8})
    with pytest.raises(UnmappableError, match=r"tiles.K: .* 25 is not in 1 to 24"):
        pinned(LAYER, CHIP, tiles={"K": 25})
    with pytest.raises(UnmappableError, match="dataflow os: test chip runs ws"):
        pinned(LAYER, CHIP, dataflow="os")
    with pytest.raises(UnmappableError, match=r"order O: none .* tile holds all of C 20"):
        pinned(LAYER, CHIP, order="O", tiles={"C": 20, "K": 4, "OY": 2})
    with pytest.raises(UnmappableError, match=r"order I: none .* tile holds all of K 24"):
        pinned(LAYER, CHIP, order="I", tiles={"K": 24, "C": 4, "OY": 2})


def test_by_how_much_a_pin_overflows() -> None:
    """Level, operand, need, room and what is too few."""
    whole = {"G": 1, "B": 1, "K": 24, "C": 20, "OY": 14, "OX": 14}
    with pytest.raises(UnmappableError) as caught:
        pinned(LAYER, make_chip(8, 8, buffer_bytes=8192), tiles=whole)
    text = str(caught.value)
    weights, inputs, outputs = 24 * 20 * 9, 20 * 16 * 16, 24 * 14 * 14
    need = weights + inputs + outputs
    assert f"overflow level buffer: the smallest, K:24 C:20 OY:14 OX:14, needs {need} bytes" in text
    assert f"(I {inputs}), the room is 8192, {need - 8192} too few" in text


def test_a_hold_is_tried_in_the_orders_that_allow_it() -> None:
    """What an uneven cut holds depends on the order; an order left open takes one that fits."""
    chip = make_chip(8, 8, buffer_bytes=64 * 1024, dram=1e9)
    tiles = {"K": 8, "C": 10, "OY": 7, "OX": 14}
    made = pinned(LAYER, chip, held={"W": ("C", "FY", "FX")}, tiles=tiles)
    assert set(made.held["W"]) == {"C", "FY", "FX"}
    with pytest.raises(InputError, match="no cut holds W over OX while O stays; use one of"):
        pinned(LAYER, chip, held={"W": ("OX",)})


@settings(max_examples=40)
@given(
    dim=st.sampled_from(["K", "C", "OY", "OX"]), size=st.integers(1, 14),
    objective=st.sampled_from(["edp", "latency", "energy"]), kib=st.sampled_from([2, 4, 8]),
)  # fmt: skip
def test_what_is_held_beyond_a_pinned_tile_fits(
    dim: Any, size: int, objective: Any, kib: int
) -> None:
    """Held operands take the room of whole dims, not of the one tile size that the pin leaves."""
    chip = make_chip(8, 8, buffer_bytes=kib * 1024, dram=1e9)
    with contextlib.suppress(UnmappableError):
        made = pinned(LAYER, chip, objective, tiles={dim: size})
        assert made.footprint_bytes <= chip.buffer.capacity_bytes, made.held


def test_by_how_much_a_held_operand_overflows() -> None:
    chip, held = make_chip(8, 8, buffer_bytes=4096, dram=1e9), {"W": ("C", "FY", "FX")}
    with pytest.raises(UnmappableError) as caught:
        pinned(LAYER, chip, held=held, order="O", tiles={"K": 24, "C": 4, "OY": 2, "OX": 2})
    whole = 24 * 20 * 9
    assert "K:24 C:4 OY:2 OX:2, W held over C FY FX, needs" in str(caught.value)
    assert f"(W {whole})" in str(caught.value)


def test_a_network_with_pins(tmp_path: Path) -> None:
    net, file = chain([(16, 3, 1, 0), (16, 1, 1, 0), (16, 3, 1, 0)], 16), tmp_path / "pins.yaml"
    file.write_text(
        "schema_version: 1\npins:\n  - {layer: 'conv1*', tiles: {OY: 4, OX: 8}, order: W}\n"
    )
    program = map_network(net, CHIP, pins=load_pins(file))
    tiles = program.schedules[1].tiles
    assert (tiles["OY"], tiles["OX"]) == (4, 8)
    assert program.schedules[1].loop_nest[0] == "pinned"
    assert not program.schedules[1].fused
    with pytest.raises(InputError, match="no pin matches"):
        map_network(net, CHIP, pins=Pins((Pin(layer="nothing*"),)))
    file.write_text("schema_version: 1\npins:\n  - {layer: x, tile: {K: 2}}\n")
    with pytest.raises(InputError, match="tile"):
        load_pins(file)


TIMELOOP = """
mapping:
  - {target: DRAM, type: temporal, factors: C1 M3 R1 S1 N1 P7 Q2, permutation: SRCQPMN}
  - {target: DRAM, type: datatype, keep: [Weights, Inputs, Outputs], bypass: []}
  - {target: Buffer, type: temporal, factors: "C=5,M=1,R=3,S=3,N=1,P=2,Q=7", permutation: PQMCRSN}
  - {target: Buffer, type: spatial, factors: C4 M8, permutation: MC}
"""


def test_timeloop_mapping(tmp_path: Path) -> None:
    """Outer factors are tile loops, spatial ones the unrolling; the innermost outer loop is Q."""
    file = tmp_path / "map.yaml"
    file.write_text(TIMELOOP)
    pins = load_pins(file)
    ((sizes, pin),) = pins.sized
    assert LAYER.nest is not None
    assert sizes == LAYER.nest.sizes
    assert pin.spatial == {"C": 4, "K": 8}
    assert {d: n for d, n in pin.tiles.items() if n > 1} == {"K": 8, "C": 20, "OY": 7, "OX": 2}
    assert pin.order == "W"  # Q and P run innermost, both irrelevant to weights
    made = map_pinned(LAYER, CHIP, pin, "edp", default_homes(LAYER, CHIP), 16 * 1024)
    assert made.tiles["OX"] == 2
    # Weights come in once per tile of K: 3 tiles, each kept while the pixels run.
    assert made.counts["dram.read_bit"] / 8 >= LAYER.w_bytes
    with pytest.raises(InputError, match=r"'X2' is no loop factor.*mapping\[0\]|mapping\[0\].*X2"):
        timeloop([{"target": "DRAM", "factors": "X2"}], "file")
    with pytest.raises(InputError, match="filter taps are cut outside"):
        timeloop([{"factors": "R3 C2"}, {"factors": "S3"}])


def test_zigzag_mapping(tmp_path: Path) -> None:
    """Spatial loops as written; as many temporal loops as fit are the tile."""
    file = tmp_path / "zigzag.yaml"
    file.write_text(
        "- name: default\n  spatial_mapping: {D1: ['K, 8'], D2: ['C, 4']}\n"
        "  temporal_ordering: [[FX, 3], [FY, 3], [C, 5], [OX, 14], [OY, 14], [K, 3]]\n"
    )
    pins = load_pins(file)
    pin = pins.of(LAYER)
    assert pin is not None
    homes = default_homes(LAYER, CHIP)
    roomy = map_pinned(LAYER, CHIP, pin, "edp", homes, 64 * 1024)
    assert roomy.spatial == {"K": 8, "C": 4}
    assert LAYER.nest is not None
    assert all(roomy.tiles[d] == n for d, n in zip(DIMS, LAYER.nest.sizes, strict=True))
    tight = map_pinned(LAYER, CHIP, pin, "edp", homes, 8 * 1024)
    assert (tight.tiles["K"], tight.tiles["C"]) == (8, 20)
    assert tight.tiles["OY"] * tight.tiles["OX"] < 196
    file.write_text("- {name: default, spatial_mapping: {D1: ['K, 8'], D2: ['C, 32']}}\n")
    clipped = load_pins(file).of(LAYER)
    assert clipped is not None
    assert clipped.spatial == {"K": 8, "C": min(32, LAYER.nest.C)}
    wide = make_chip(32, 8, buffer_bytes=64 * 1024, dram=1e9)
    made = map_pinned(LAYER, wide, clipped, "edp", default_homes(LAYER, wide), 64 * 1024)
    assert made.spatial == {"K": 8, "C": 20}
    file.write_text("- {name: x, spatial_mapping: {D1: ['Z, 8']}}\n")
    with pytest.raises(InputError, match="is no loop"):
        load_pins(file)
    file.write_text("schema_version: 1\npins: []\n")
    assert read_foreign(file) is None


def test_pins_of_homes_and_operators() -> None:
    chip = make_chip(8, 8, l2=4e9, l2_bytes=64 * 1024)
    pins = Pins((Pin(op="Mat*", homes={"W": "l2"}), Pin(op="Conv", homes={"O": "l2"})))
    made = map_pinned(LAYER, chip, pins.of(LAYER) or Pin(), "edp", default_homes(LAYER, chip), 1e5)
    assert (made.homes["O"], made.homes["W"]) == ("l2", "dram")
    assert pins.of(replace(LAYER, op="MatMul")) is pins.pins[0]
    with pytest.raises(UnmappableError, match=r"O to level l2: .* 4096, 608 too few"):
        pinned(LAYER, make_chip(8, 8, l2=4e9, l2_bytes=4096.0), homes={"O": "l2"})
    with pytest.raises(UnmappableError, match="W into the buffer, which the memory plan shares"):
        pinned(LAYER, chip, homes={"W": "buffer"})
    with pytest.raises(UnmappableError, match=r"level nvm, which .* it has dram, l2"):
        pinned(LAYER, chip, homes={"W": "nvm"})
    flash = make_chip(8, 8, nvm=1e9, nvm_bytes=1e6)
    assert pinned(LAYER, flash, homes={"W": "nvm"}).homes["W"] == "nvm"
    with pytest.raises(UnmappableError, match="I to level nvm, which holds constant weights only"):
        pinned(LAYER, flash, homes={"I": "nvm"})
    assert set(ORDERS) == {"W", "I", "O"}


@pytest.mark.parametrize(
    ("chip", "name"), [("nvdla_512", "mobilenetv2"), ("edge_vision", "resnet8")]
)
def test_the_mapper_s_own_unrolling_may_be_given(chip: str, name: str) -> None:
    """Also where the array pads a dim, so that its factor is beyond the layer's size."""
    own = load_chip(chip)
    layers = [x for x in dse.load_model(name).at("w8a8").layers if x.kind == "compute"][:24]
    padded = taken = 0
    for layer in layers:
        made = map_layer(layer, own)
        if made.unit != "array" or layer.nest is None:
            continue
        sizes = dict(zip(DIMS, layer.nest.sizes, strict=True))
        padded += any(factor > sizes[dim] for dim, factor in made.spatial.items())
        tiles = {"buffer": {dim: min(n, sizes[dim]) for dim, n in made.tiles.items()}}
        order: Any = made.order if made.order in ("W", "I", "O") else "W"
        try:
            again = evaluate_mapping(layer, own, made.spatial, tiles, order, made.dataflow)
        except UnmappableError as error:  # what else it fixed is not given here
            if (error.field or "").startswith("spatial"):
                raise
            continue
        assert again.spatial == made.spatial
        taken += 1
    assert padded
    assert taken
    with pytest.raises(UnmappableError, match="cannot be unrolled"):
        evaluate_mapping(layers[0], own, {"K": 100_000}, {})
