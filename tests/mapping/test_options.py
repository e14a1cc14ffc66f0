"""Zeros, compression, Winograd, legality, objectives, given mappings, Pareto sets, reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip, Compression, Legality, Registers, Sparsity
from dse.hardware.resolve import load_chip
from dse.mapping.cost.costs import rounded
from dse.mapping.cost.objectives import objective_code, objective_value
from dse.mapping.given.placed_by_hand import evaluate_mapping
from dse.mapping.ir.homes import default_homes
from dse.mapping.ir.schedule import LayerSchedule, program_latency_s
from dse.mapping.layer.mapper import map_layer
from dse.mapping.layer.pareto import pareto_layer
from dse.mapping.network.bounds import roofline
from dse.mapping.network.program import layer_rows, map_network, program_energy_j
from dse.mapping.network.why import why
from dse.mapping.path.chain import item
from dse.mapping.search.best import best_mapping
from dse.mapping.space.problem import pack
from dse.workload.layer import Layer, Tensor, Workload
from dse.workload.precision import Precision
from tests.mapping.reference import over_arrays

from .conftest import make_chip, make_layer
from .test_levels import REGISTER_PRICES

LAYER = make_layer("conv", K=24, C=16, OY=12, OX=12, FY=3, FX=3)
PRUNED = replace(LAYER, weight_density=0.5, weight_pattern="2:4")
LOOSE = replace(LAYER, weight_density=0.3, weight_pattern="unstructured", input_density=0.6)


def with_array(chip: Chip, **parts: Any) -> Chip:
    return replace(chip, array=replace(chip.array, **parts))


def cost(made: LayerSchedule, chip: Chip) -> tuple[float, float]:
    """Latency and energy (static power included) of a layer alone."""
    found = item((made,), chip)
    latency = found.own_s + found.first_s
    return latency, found.energy_j + chip.mapping_static_w * latency


def array_cycles(made: LayerSchedule) -> float:
    return sum(phase.count * phase.array_cycles for phase in made.phases)


CHIP = make_chip(8, 8, buffer_bytes=16 * 1024, dram=4e9)
STRUCTURED = with_array(CHIP, sparsity=Sparsity("structured", (2, 4)))


def test_a_dense_layer_does_not_care_and_a_plain_chip_neither() -> None:
    plain = map_layer(LAYER, CHIP)
    assert map_layer(LAYER, STRUCTURED) == plain
    assert map_layer(PRUNED, CHIP).counts == plain.counts


def test_structured_zeros_halve_time_macs_and_weights() -> None:
    dense = map_layer(PRUNED, CHIP, "latency")
    sparse = map_layer(PRUNED, STRUCTURED, "latency")
    assert sparse.counts["mac.int8.int8"] == LAYER.macs / 2
    assert array_cycles(sparse) == pytest.approx(array_cycles(dense) / 2, rel=0.02)
    least = LAYER.w_bytes * 0.5 * (1 + 2 / 8) * 8  # two index bits for each weight kept
    moved = [evaluate_fixed(PRUNED, chip).counts["dram.read_bit"] for chip in (CHIP, STRUCTURED)]
    assert moved[0] - moved[1] == pytest.approx(8 * LAYER.w_bytes - least)
    other = replace(PRUNED, weight_pattern="1:8", weight_density=0.125)
    assert (
        map_layer(other, STRUCTURED, "latency").counts == map_layer(other, CHIP, "latency").counts
    )


def evaluate_fixed(layer: Layer, chip: Chip) -> LayerSchedule:
    tiles = {"buffer": {"OY": 6, "K": 8}}
    return evaluate_mapping(layer, chip, {"C": 8, "K": 8}, tiles, "W", "ws")


def test_gating_saves_energy_only() -> None:
    gated = with_array(CHIP, sparsity=Sparsity("gating"))
    dense, sparse = evaluate_fixed(LOOSE, CHIP), evaluate_fixed(LOOSE, gated)
    assert sparse.phases == dense.phases
    assert sparse.counts["mac.int8.int8"] == pytest.approx(LAYER.macs * 0.3 * 0.6)
    more = sparse.counts["array.idle_mac"] - dense.counts.get("array.idle_mac", 0.0)
    assert more == pytest.approx(LAYER.macs * (1 - 0.3 * 0.6))
    assert cost(sparse, gated)[1] < cost(dense, CHIP)[1]


@pytest.mark.parametrize(
    ("limit", "share", "both", "times"),
    [
        (8.0, 1.0, False, 1 / 0.3),
        (2.0, 1.0, False, 2.0),
        (8.0, 0.6, False, 2.0),
        (8.0, 1.0, True, 1 / 0.18),
    ],
)
def test_unstructured_zeros_are_skipped_as_far_as_the_array_can(
    limit: float, share: float, both: bool, times: float
) -> None:
    chip = with_array(CHIP, sparsity=Sparsity("unstructured", (2, 4), limit, share, both))
    dense, sparse = evaluate_fixed(LOOSE, CHIP), evaluate_fixed(LOOSE, chip)
    steps = with_array(CHIP, preload_cycles=0), with_array(chip, preload_cycles=0)
    dense, sparse = (evaluate_fixed(LOOSE, one) for one in steps)
    assert array_cycles(dense) / array_cycles(sparse) == pytest.approx(times)
    assert sparse.counts["mac.int8.int8"] == pytest.approx(LAYER.macs * 0.3 * 0.6)


def test_compressed_weights_cross_dram_smaller_but_wait_for_the_decoder() -> None:
    fast = with_array(CHIP, compression=Compression(2.0, 1e9))
    slow = with_array(CHIP, compression=Compression(2.0, 0.01))
    plain, small, late = (evaluate_fixed(LAYER, chip) for chip in (CHIP, fast, slow))
    saved = plain.counts["dram.read_bit"] - small.counts["dram.read_bit"]
    assert saved == pytest.approx(4 * LAYER.w_bytes)
    assert small.counts["buffer.read_bit"] == plain.counts["buffer.read_bit"]
    assert cost(late, slow)[0] > 5 * cost(small, fast)[0]
    from_zeros = with_array(CHIP, compression=Compression(None, 1e9))
    mask = evaluate_fixed(LOOSE, from_zeros).counts["dram.read_bit"]
    dense = evaluate_fixed(LOOSE, CHIP).counts["dram.read_bit"]
    assert dense - mask == pytest.approx(8 * LAYER.w_bytes * (1 - 0.3 - 1 / 8))


def test_winograd_is_chosen_where_it_pays() -> None:
    wide = make_layer("wide", K=32, C=32, OY=12, OX=12, FY=3, FX=3)
    chip = make_chip(
        8, 8, row_dims=("C",), buffer_bytes=1 << 20, dram=1e11, accumulator_bytes=1 << 16
    )
    able = with_array(chip, winograd=True)
    direct, fast = map_layer(wide, chip, "latency"), map_layer(wide, able, "latency")
    assert (direct.transform, fast.transform) == ("", "winograd")
    assert fast.counts["mac.int8.int8"] == pytest.approx(wide.macs / 2.25)
    assert array_cycles(direct) / array_cycles(fast) == pytest.approx(2.25, rel=0.03)
    assert fast.counts["vector.add.wide"] > wide.o_elements * 6 - 1
    for other in (
        replace(wide, nest=replace(wide.nest, stride_y=2, OY=6)),  # type: ignore[type-var]
        make_layer("one", K=32, C=32, OY=12, OX=12),
        make_layer("depthwise", G=32, OY=12, OX=12, FY=3, FX=3),
    ):
        assert map_layer(other, able, "latency").transform == ""


@pytest.mark.parametrize(
    ("layer", "parts"),
    [
        (PRUNED, {"sparsity": Sparsity("structured", (2, 4))}),
        (LOOSE, {"sparsity": Sparsity("unstructured", (2, 4), 8.0, 1.0, True)}),
        (LOOSE, {"sparsity": Sparsity("gating")}),
        (LAYER, {"compression": Compression(3.0, 1e9)}),
        (LAYER, {"winograd": True}),
    ],
)
def test_what_is_saved_stays_above_the_roofline(layer: Layer, parts: dict[str, Any]) -> None:
    """Also where weights wait outside and the port, the vector unit and launches cost nothing."""
    chip = make_chip(
        8, 8, row_dims=("C",), buffer_bytes=12000, dram=3e8, port=1e9, launch=0.0, descriptor=0.0,
        prices={"launch": 0.0, "descriptor": 0.0},
    )  # fmt: skip
    for fast in (with_array(chip, **parts), with_array(replace(chip, f_hz=1e6), **parts)):
        tensors = {
            "in": Tensor("in", (layer.i_elements,), "input"),
            "out": Tensor("out", (layer.o_elements,), "output"),
            "conv.w": Tensor("conv.w", (layer.w_elements,), "weight"),
        }
        one = replace(layer, inputs=("in",), outputs=("out",))
        net = Workload(
            "one", "one", (one,), tensors, ("in",), ("out",), 0, Precision(), {}, "one"
        )  # fmt: skip
        bound = roofline(net, fast)
        program = map_network(net, fast, "latency")
        assert program_latency_s(program, fast) >= bound.latency_s * (1 - 1e-9)
        frugal = map_network(net, fast, "energy")
        assert program_energy_j(frugal, fast) >= bound.energy_j * (1 - 1e-9)


def test_legal_mappings_keep_to_the_compiler() -> None:
    chip = replace(
        CHIP,
        legality=Legality((("K", 16), ("OY", 4)), (("C", 8),), "ws", 4096.0),
        array=replace(CHIP.array, dataflows=("ws", "os")),
    )
    for objective in ("edp", "latency", "energy"):
        ideal, legal = (
            map_layer(LAYER, chip, objective),
            map_layer(LAYER, chip, objective, legal=True),
        )
        assert (ideal.legality, legal.legality) == ("ideal", "legal")
        tiles = legal.tiles
        assert tiles["K"] % 16 == 0 or tiles["K"] == 24
        assert tiles["OY"] % 4 == 0 or tiles["OY"] == 12
        assert tiles["C"] >= 8
        assert legal.dataflow == "ws"
        values = [objective_value(objective, *cost(made, chip)) for made in (ideal, legal)]
        assert values[0] <= values[1] * (1 + 1e-12)


@pytest.mark.parametrize("weights", [(1.0, 2.0), (2.0, 1.0), (0.25, 1.0), (0.0, 2.0)])
def test_weighted_objectives_are_best_by_their_own_terms(weights: tuple[float, float]) -> None:
    chip = replace(CHIP, buffer=replace(CHIP.buffer, capacity_bytes=3000))
    text = f"energy^{weights[0]}*latency^{weights[1]}"
    best = map_layer(LAYER, chip, weights)
    assert best.counts == map_layer(LAYER, chip, text).counts
    ours = objective_value(weights, *cost(best, chip))
    for made in pareto_layer(LAYER, chip):
        assert ours <= objective_value(weights, *cost(made, chip)) * (1 + 1e-9)


def test_objectives_by_name_and_what_is_none() -> None:
    assert [objective_code(o) for o in ("edp", "latency", "energy")] == [0, 1, 2]
    assert objective_code("energy*latency") == 0
    assert objective_code("latency^2*energy") == objective_code((1.0, 2.0))
    for bad in ("speed", "energy^-1", "energy^0.3", (0.0, 0.0), "energy^9*latency", "energy^1.2.3"):
        with pytest.raises(InputError, match="objective"):
            objective_code(bad)


@pytest.mark.parametrize("double", [True, False])
def test_pareto_set_is_one_and_holds_the_optima(double: bool) -> None:
    layer = make_layer("small", K=8, C=6, OY=6, OX=4, FY=3)
    chip = make_chip(4, 4, buffer_bytes=900, double=double, dataflows=("ws", "os"))
    front = pareto_layer(layer, chip)
    # Equal to 40 bits is equal: a schedule's steps add up in another order than the search's.
    points = [
        (*(float(rounded(v)) for v in cost(made, chip)), made.footprint_bytes) for made in front
    ]
    assert points == sorted(points)
    for a in points:
        assert not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in points)
    for objective in ("edp", "latency", "energy"):
        value = objective_value(objective, *cost(map_layer(layer, chip, objective), chip))
        least = min(objective_value(objective, *point[:2]) for point in points)
        assert value == pytest.approx(least, rel=1e-9)
    assert min(p[2] for p in points) < max(p[2] for p in points)


def test_pareto_set_is_the_same_over_arrays() -> None:
    layer, chip = make_layer("small", K=5, C=6, OX=5), make_chip(3, 2, buffer_bytes=200)
    fast = pareto_layer(layer, chip)
    with over_arrays():
        assert pareto_layer(layer, chip) == fast


LEVELS = make_chip(
    4, 4, row_dims=("FY", "C"), col_dims=("OY",), buffer_bytes=600, l2=8e9, l2_bytes=4000.0,
    prices=REGISTER_PRICES,
)  # fmt: skip
PES = with_array(LEVELS, registers=Registers(W=24, I=12, O=32), dataflows=("rs",))


@settings(max_examples=30)
@given(
    layer=st.sampled_from([LAYER, make_layer("gemm", K=40, C=24, OX=30)]),
    chip=st.sampled_from([LEVELS, PES, replace(LEVELS, legality=Legality())]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_the_best_mapping_given_by_hand_is_the_same(
    layer: Layer, chip: Chip, objective: Any
) -> None:
    best = map_layer(layer, chip, objective)
    order: dict[str, Any] = {"buffer": best.order[best.order.index("(") + 1]}
    tiles = {"buffer": dict(best.tiles), **{level: dict(t) for level, t in best.levels.items()}}
    found = []
    for far in ("W", "I", "O"):
        for accumulate in (True, False):
            for mask in (
                ("W",),
                ("I",),
                ("O",),
                ("W", "I"),
                ("W", "O"),
                ("I", "O"),
                ("W", "I", "O"),
            ):
                try:
                    again = evaluate_mapping(
                        layer, chip, dict(best.spatial), tiles, {**order, "l2": far}, best.dataflow,
                        held=dict(best.held), accumulate=accumulate, through_l2=mask,
                    )  # fmt: skip
                except UnmappableError:
                    continue
                found.append(again)
    assert any(made.phases == best.phases and made.counts == best.counts for made in found)


def test_what_a_given_mapping_overflows_is_named() -> None:
    def given(**parts: Any) -> None:
        spatial = parts.pop("spatial", {"C": 4})
        evaluate_mapping(LAYER, parts.pop("chip", LEVELS), spatial, parts.pop("tiles", {}), **parts)

    small = {"buffer": {"K": 1, "C": 4, "OY": 4, "OX": 4}}
    with pytest.raises(UnmappableError, match=r"level buffer needs \d+ bytes \(\w.*room is 600"):
        given()
    with pytest.raises(
        UnmappableError, match=r"level l2 needs \d+ bytes for W, I, O.*room is 4000"
    ):
        given(tiles={**small, "l2": {}})
    with pytest.raises(UnmappableError, match=r"level register: W needs 27 bytes.*room is 24"):
        given(chip=PES, tiles={**small, "register": {"C": 3, "FX": 3, "FY": 3}}, spatial={})
    narrow = make_chip(8, 8, accumulator_bytes=16, buffer_bytes=16 * 1024)
    with pytest.raises(UnmappableError, match=r"accumulator: .* 32 bytes, the room is 16"):
        given(chip=narrow, tiles=small | {"buffer": {"K": 8}}, spatial={"K": 8, "C": 8})
    with pytest.raises(UnmappableError, match=r"order O: none .* loops \(C, FY, FX\) is cut"):
        given(chip=narrow, tiles={"buffer": {"K": 8}}, order="O", accumulate=False)
    with pytest.raises(UnmappableError, match="4 of OY"):
        given(tiles=small, spatial={"K": 4})
    with pytest.raises(UnmappableError, match="does not run os"):
        given(tiles=small, dataflow="os")
    with pytest.raises(InputError, match="no whole number of buffer tiles"):
        given(tiles={**small, "l2": {"C": 6}})
    with pytest.raises(InputError, match="no operand registers"):
        given(tiles={"register": {"C": 2}})
    with pytest.raises(InputError, match="held"):
        given(tiles=small, held={"W": ("OX",)})
    for level in ({"l2": {"C": 4}}, {"buffer": {**small["buffer"], "FY": 1}}):
        with pytest.raises(InputError, match="only where neither L2 nor the filter is tiled"):
            given(tiles={**small, **level}, order="O", held={"W": ("C", "FY", "FX")})
    with pytest.raises(InputError, match="level"):
        given(tiles={"l3": {}})
    with pytest.raises(InputError, match=r"F\(2x2, 3x3\)"):
        given(tiles=small, winograd=True)
    with pytest.raises(InputError, match="unknown dim 'X'"):
        given(tiles=small, spatial={"X": 2})


def test_a_wide_depthwise_layer_loses_nothing_to_the_lists_of_tiles() -> None:
    """Ten channels at once along the diagonal, which come in 32: no whole number is better."""
    chip = load_chip("edge_vision")
    layer = make_layer("depthwise", G=384, OY=14, OX=14, FY=3, FX=3)
    homes = default_homes(layer, chip)
    assert layer.nest is not None
    problem = pack(layer, chip, homes, float(chip.buffer.capacity_bytes), layer.nest.sizes, 1)
    sizes = problem.sizes[:6]
    table = np.ones((6, max(sizes)))
    for d, size in enumerate(sizes):
        table[d, :size] = np.arange(size, 0, -1)
    full = replace(problem, tiles=table, lengths=np.array(sizes, np.int64))
    listed, every = (best_mapping(one, "edp", uneven=False) for one in (problem, full))
    assert listed is not None
    assert every is not None
    assert every.keys[0] <= listed.keys[0] <= every.keys[0] * 1.005


CAPACITIES = {
    "buffer": lambda chip, n: replace(
        chip, buffer=replace(chip.buffer, capacity_bytes=chip.buffer.capacity_bytes * n)
    ),
    "l2": lambda chip, n: replace(
        chip,
        links={**chip.links, "l2": replace(chip.links["l2"], capacity_bytes=4000.0 * n)},
    ),
    "l2 port": lambda chip, n: replace(
        chip, links={**chip.links, "l2": replace(chip.links["l2"], bytes_per_s=8e9 * n)}
    ),
    "dram": lambda chip, n: replace(
        chip, links={**chip.links, "dram": replace(chip.links["dram"], bytes_per_s=8e9 * n)}
    ),
}


@settings(max_examples=30)
@given(
    layer=st.sampled_from([LAYER, make_layer("gemm", K=40, C=24, OX=30)]),
    chip=st.sampled_from([LEVELS, PES]),
    what=st.sampled_from(sorted(CAPACITIES)),
    factor=st.integers(2, 4),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_more_room_or_bandwidth_is_never_worse(
    layer: Layer, chip: Chip, what: str, factor: int, objective: Any
) -> None:
    more = CAPACITIES[what](chip, factor)
    less_value = objective_value(objective, *cost(map_layer(layer, chip, objective), chip))
    more_value = objective_value(objective, *cost(map_layer(layer, more, objective), more))
    assert more_value <= less_value * (1 + 1e-9)


@settings(max_examples=20)
@given(
    layer=st.sampled_from([LAYER, make_layer("gemm", K=40, C=24, OX=30)]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_a_larger_map_space_is_never_worse(layer: Layer, objective: Any) -> None:
    def value(**how: Any) -> float:
        return objective_value(objective, *cost(map_layer(layer, LEVELS, objective, **how), LEVELS))

    even = value(uneven=False, l2_room_bytes=0.0)
    assert value(l2_room_bytes=0.0) <= even * (1 + 1e-12)
    assert value() <= value(l2_room_bytes=0.0) * (1 + 1e-12)


def test_a_row_stationary_array_reuses_in_its_registers() -> None:
    """Eyeriss: 12 rows of filter taps and channels, 14 columns of output rows, spads in each PE."""
    chip = make_chip(
        12, 14, row_dims=("FY", "C", "K"), col_dims=("OY",), buffer_bytes=108 * 1024,
        accumulator_bytes=0, prices=REGISTER_PRICES,
    )  # fmt: skip
    spads = with_array(chip, registers=Registers(W=224, I=12, O=24 * 4), dataflows=("rs",))
    layer = make_layer("alexnet3", K=384, C=256, OY=13, OX=13, FY=3, FX=3)
    plain, made = map_layer(layer, chip, "energy"), map_layer(layer, spads, "energy")
    assert made.spatial["FY"] == 3
    assert made.spatial["OY"] == 13
    assert made.levels["register"]["FX"] == 3
    assert made.counts["buffer.read_bit"] < plain.counts["buffer.read_bit"] / 3
    assert layer.macs * 8 / made.counts["buffer.read_bit"] > 4


def test_mobilenet_on_a_wide_array_says_why() -> None:
    """Utilization of a 64 x 64 weight-stationary array, layer by layer, with the reason of each."""
    chip = load_chip("edge_vision", overrides={"array.rows": 64, "array.cols": 64})
    block = [
        make_layer("expand", K=96, C=16, OY=56, OX=56),
        make_layer("depthwise", G=96, OY=56, OX=56, FY=3, FX=3),
        make_layer("project", K=24, C=96, OY=56, OX=56),
    ]
    tensors = {
        f"{layer.name}.w": Tensor(f"{layer.name}.w", (layer.w_elements,), "weight")
        for layer in block
    }
    names = ["in", "a", "b", "out"]
    layers = tuple(
        replace(layer, inputs=(names[n],), outputs=(names[n + 1],)) for n, layer in enumerate(block)
    )
    sizes = [block[0].i_elements, *(layer.o_elements for layer in block)]
    roles = ["input", "activation", "activation", "output"]
    for name, size, role in zip(names, sizes, roles, strict=True):
        tensors[name] = Tensor(name, (size,), role)  # type: ignore[arg-type]
    net = Workload("block", "block", layers, tensors, ("in",), ("out",), 0, Precision(), {}, "x")
    rows = {row.name: row for row in layer_rows(map_network(net, chip, fuse=False), chip)}
    assert all(0.0 < row.utilization < 0.5 for row in rows.values())
    assert rows["depthwise"].utilization < 0.02
    assert "every channel by itself" in rows["depthwise"].why
    assert "fills" in rows["expand"].why
    assert rows["expand"].lanes == pytest.approx(16 * 96 / (2 * 64 * 64))
    for row in rows.values():
        assert why(row) == row.why
        assert f"{row.utilization:.1%} of peak" in row.why


def test_a_chip_of_several_kinds_needs_the_view_of_one() -> None:
    chip = load_chip("wearable_duo_npu")
    workload = dse.load_model("resnet8").at("w8a8")
    for call in (map_network, lambda net, on: map_layer(net.layers[0], on)):
        with pytest.raises(InputError, match="kinds") as refused:
            call(workload, chip)
        assert "kind_named" in (refused.value.mend or "")
    assert map_network(workload, chip.kinds[0].chip).schedules
