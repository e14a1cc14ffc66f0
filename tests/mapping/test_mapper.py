"""What must hold of every schedule: published counts, bounds, conservation, monotony, errors."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import LayerSchedule, Program, program_latency_s, unroll
from dse.mapping.layer.mapper import cache_statistics, clear_cache, map_layer
from dse.mapping.layer.text import explain
from dse.mapping.network.program import program_energy_j
from dse.mapping.search.best import search
from dse.mapping.search.placement import Placement, evaluate
from dse.mapping.space.choices import ceil_quotients, rate_of, spatial_choices, tile_sizes
from dse.mapping.space.problem import pack
from dse.workload.layer import FUNCTIONS, Layer
from tests.mapping.reference import searched_over_arrays

from .conftest import make_chip, make_layer

#: ``total_cycles`` of SCALE-Sim 3.0.0 (PyPI) for GEMMs M, N, K on an R x C array; its tool counts
#: from zero, so one less than the sum of its passes. M pixels, N filters, K window.
SCALESIM = [
    ("ws", 32, 32, (128, 64, 128), 1775),
    ("ws", 32, 32, (144, 1, 4608), 34271),
    ("ws", 32, 32, (196, 1176, 64), 21459),
    ("os", 32, 32, (196, 512, 256), 35615),
    ("os", 32, 32, (196, 192, 384), 18731),
    ("is", 32, 32, (1, 1000, 512), 17503),
    ("is", 32, 32, (9, 1, 9216), 27359),
    ("ws", 16, 16, (64, 512, 256), 56319),
    ("os", 16, 16, (128, 64, 128), 5055),
    ("os", 16, 16, (9, 1, 9216), 9245),
    ("is", 16, 16, (144, 1, 4608), 121823),
    ("ws", 128, 128, (1, 1000, 512), 12255),
    ("os", 128, 128, (64, 512, 256), 2039),
    ("is", 128, 128, (128, 64, 128), 445),
]
#: Dims of rows and columns of the array for each dataflow of that tool.
SCALESIM_DIMS = {"ws": (("C",), ("K",)), "os": (("OX",), ("K",)), "is": (("C",), ("OX",))}


def array_cycles(schedule: LayerSchedule) -> float:
    return sum(phase.count * phase.array_cycles for phase in schedule.phases)


def totals(layer: Layer, chip: Chip, objective: Any, **how: Any) -> tuple[float, float]:
    """Latency and energy of the best schedule of a layer, by the program's own sums."""
    made = map_layer(layer, chip, objective, **how)
    program = Program("one", (made,), unroll((made,), prefetch=True), made.cores, 0.0)
    return program_latency_s(program, chip), program_energy_j(program, chip)


def value(pair: tuple[float, float], objective: str) -> float:
    return {"edp": pair[0] * pair[1], "latency": pair[0], "energy": pair[1]}[objective]


@pytest.mark.parametrize(("flow", "rows", "cols", "mnk", "published"), SCALESIM)
def test_scalesim_cycles(
    flow: Any, rows: int, cols: int, mnk: tuple[int, int, int], published: int
) -> None:
    m, n, k = mnk
    row_dims, col_dims = SCALESIM_DIMS[flow]
    chip = make_chip(
        rows,
        cols,
        row_dims=row_dims,
        col_dims=col_dims,
        dataflows=(flow,),
        preload="paid",
        fill_drain="paid",
        buffer_bytes=1 << 26,
        port=1e9,
        dram=1e15,
        descriptor=0.0,
        accumulator_bytes=1 << 26,
    )
    made = map_layer(make_layer(OX=m, K=n, C=k), chip, "latency")
    assert array_cycles(made) - 1 == published


LAYERS = [
    make_layer("conv", K=24, C=20, OY=13, OX=11, FY=3, FX=3),
    make_layer("strided", K=16, C=3, OY=15, OX=15, FY=5, FX=5, stride_y=2, stride_x=2),
    make_layer("pointwise", K=40, C=33, OY=9, OX=9, stride_y=2, stride_x=2),
    make_layer("depthwise", G=40, OY=14, OX=14, FY=3, FX=3),
    make_layer("grouped", G=4, K=6, C=10, OY=7, OX=7, FY=3, FX=3),
    make_layer("gemv", K=120, C=250),
    make_layer("gemm", K=70, C=64, OX=50),
    make_layer("heads", G=3, B=2, K=20, C=16, OX=20, w_is_activation=True),
    make_layer("dilated", K=8, C=8, OY=12, OX=12, FY=3, FX=3, dilation_y=2, dilation_x=2),
]
RELU = (("relu", 24 * 13 * 11), ("lut", 24 * 13 * 11))
RESIDUAL = replace(LAYERS[0], name="residual", side_elements=24 * 13 * 11, vector_ops=RELU)


@pytest.mark.parametrize("layer", [*LAYERS, RESIDUAL], ids=lambda layer: layer.name)
@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
@pytest.mark.parametrize("double", [True, False])
def test_bytes_and_cycles_are_conserved(layer: Layer, objective: Any, double: bool) -> None:
    chip = make_chip(8, 8, buffer_bytes=6000, double=double, fused=("relu",))
    made = map_layer(layer, chip, objective)
    moved = made.fill_weight[0] + made.fill_other[0] + made.drain[0]
    moved += sum(p.count * p.link_bytes[0] for p in made.phases)
    counted = (made.counts["dram.read_bit"] + made.counts["dram.write_bit"]) / 8
    assert moved == pytest.approx(counted, rel=1e-12)
    assert moved * 8 == pytest.approx(made.counts["phy.bit"], rel=1e-12)
    assert made.counts["mac.int8.int8"] == layer.macs
    assert made.ideal_cycles <= array_cycles(made) * (1 + 1e-12)
    lanes = chip.array.macs_per_cycle
    idle = made.counts.get("array.idle_mac", 0.0)
    assert array_cycles(made) * lanes == pytest.approx(idle + layer.macs, rel=1e-12)
    vector = sum(p.count * p.vector_cycles for p in made.phases)
    assert vector == pytest.approx(sum(n for _, n in layer.vector_ops) / 16.0, rel=1e-12)
    assert counted >= layer.w_bytes + layer.o_bytes + layer.side_bytes
    assert layer.name in explain(made)


@settings(max_examples=40)
@given(
    layer=st.sampled_from([*LAYERS, RESIDUAL]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
    what=st.sampled_from(["buffer", "dram", "port", "accumulator", "dma", "launch"]),
    factor=st.integers(2, 5),
    double=st.booleans(),
)
def test_more_is_never_worse(
    layer: Layer, objective: Any, what: str, factor: int, double: bool
) -> None:
    less: dict[str, Any] = {"buffer_bytes": 5000, "dram": 5e8, "port": 8.0}
    less |= {"accumulator_bytes": 256, "descriptor": 60.0, "launch": 500.0}
    more = dict(less)
    name = {"buffer": "buffer_bytes", "accumulator": "accumulator_bytes", "dma": "descriptor"}
    key = name.get(what, what)
    more[key] = less[key] / factor if what in ("dma", "launch") else less[key] * factor
    if what == "dma":
        less[key], more[key] = float(less[key]), float(more[key])
    worse = value(totals(layer, make_chip(8, 8, double=double, **less), objective), objective)
    better = value(totals(layer, make_chip(8, 8, double=double, **more), objective), objective)
    assert better <= worse * (1 + 1e-9)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_objectives_agree_on_their_own_terms(layer: Layer) -> None:
    chip = make_chip(8, 8, buffer_bytes=6000)
    found = {name: totals(layer, chip, name) for name in ("edp", "latency", "energy")}
    for name in found:
        least = min(value(pair, name) for pair in found.values())
        assert value(found[name], name) <= least * (1 + 1e-9)


def test_latency_ties_go_to_less_energy() -> None:
    """With links so fast that only compute shows, the mapper takes the frugal one among equals."""
    chip = make_chip(8, 8, buffer_bytes=20000, dram=1e30, port=1e30, descriptor=0.0)
    layer = make_layer(K=32, C=64, OX=64)
    latency, energy = totals(layer, chip, "latency")
    frugal = totals(layer, chip, "energy")
    assert latency <= frugal[0]
    assert energy <= frugal[1] * 1.02
    # Equally fast mappings differ a lot: small tiles load everything again.
    assert layer.nest is not None
    problem = pack(layer, chip, Homes(), 20000.0, layer.nest.sizes, 1)
    wasteful = evaluate(problem, Placement(problem.spatial[0], (1, 1, 8, 8, 1, 64), 0, 1))
    assert wasteful.latency_s == pytest.approx(latency, rel=1e-9)
    assert wasteful.energy_j > 1.5 * energy


def test_deterministic_and_remembered() -> None:
    clear_cache()
    chip = make_chip(8, 8, buffer_bytes=6000)
    first = map_layer(LAYERS[0], chip)
    again = map_layer(replace(LAYERS[0], name="other", op="Gemm"), chip)
    assert (again.layer, again.op) == ("other", "Gemm")
    assert again == first.renamed("other", "Gemm")
    assert cache_statistics().hits == 1
    clear_cache()
    assert map_layer(LAYERS[0], chip) == first


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_arrays_give_the_same_mapping(layer: Layer, objective: Any) -> None:
    chip = make_chip(8, 8, buffer_bytes=5000, dataflows=("ws", "os", "is"))
    assert layer.nest is not None
    problem = pack(layer, chip, Homes(), 5000.0, layer.nest.sizes, 1)
    fast = search(problem, objective)
    assert (fast == searched_over_arrays(problem, objective)).all()
    assert fast[0] >= 0


def test_depthwise_is_slow_on_a_big_systolic_array() -> None:
    """A MobileNetV2 depthwise layer on 64 x 64: one group's nine taps at a time, or 7 diagonals."""
    layer = make_layer(G=96, OY=56, OX=56, FY=3, FX=3)
    plain = map_layer(layer, make_chip(64, 64))
    assert plain.ideal_cycles / array_cycles(plain) < 0.005
    diagonal = map_layer(layer, make_chip(64, 64, depthwise="diagonal"))
    assert diagonal.spatial["G"] == 7
    assert 0.01 < diagonal.ideal_cycles / array_cycles(diagonal) < 0.02
    lanes = map_layer(layer, make_chip(64, 64, depthwise="vector", lanes=64.0))
    assert lanes.unit == "vector"
    assert sum(p.count * p.vector_cycles for p in lanes.phases) == pytest.approx(
        layer.macs / 64, rel=0.1
    )
    assert array_cycles(lanes) == 0


def test_formats_fall_back_to_the_next_wider() -> None:
    rates = {"int8xint8": 1.0, "int4xint8": 2.0, "int16xint16": 0.25}
    assert rate_of(rates, "int4", "int8") == ("int4xint8", 2.0)
    assert rate_of(rates, "int2", "int8") == ("int4xint8", 2.0)
    assert rate_of(rates, "int8", "int16") == ("int16xint16", 0.25)
    assert rate_of({"bf16xbf16": 1.0}, "int4", "bf16") == ("bf16xbf16", 1.0)
    with pytest.raises(UnmappableError, match="fp16"):
        rate_of(rates, "fp16", "fp16")
    with pytest.raises(UnmappableError, match="bf16"):
        rate_of({"fp16xfp16": 1.0}, "bf16", "bf16")


def test_what_cannot_be_mapped_says_why() -> None:
    layer = make_layer("stem", K=8, C=8, OY=8, OX=8, FY=7, FX=7)
    with pytest.raises(UnmappableError, match=r"stem.*bytes of the buffer.*room is 4"):
        map_layer(layer, make_chip(buffer_bytes=4))
    with pytest.raises(UnmappableError, match=r"stem.*int16"):
        map_layer(replace(layer, w_format="int16", i_format="int16"), make_chip())
    with pytest.raises(UnmappableError, match="exp"):
        map_layer(replace(layer, vector_ops=(("exp", 5),)), make_chip(functions=("relu",)))
    with pytest.raises(InputError, match="objective"):
        map_layer(layer, make_chip(), "speed")
    with pytest.raises(InputError, match="cores"):
        map_layer(layer, make_chip(), cores=2)
    with pytest.raises(InputError, match="nvm"):
        map_layer(layer, make_chip(), homes=Homes("nvm"))
    with_nvm = make_chip(nvm=1e9, nvm_bytes=1e6)
    with pytest.raises(InputError, match="written"):
        map_layer(layer, with_nvm, homes=Homes("nvm", "dram", "nvm", "dram"))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("cores", [2, 3, 4])
def test_cores_share_a_layer(layer: Layer, cores: int) -> None:
    chip = make_chip(8, 8, buffer_bytes=6000, cores=4, dram=1e11)
    one, many = map_layer(layer, chip, "latency"), map_layer(layer, chip, "latency", cores=cores)
    assert totals(layer, chip, "latency", cores=cores)[0] <= totals(layer, chip, "latency")[0]
    assert many.counts["mac.int8.int8"] == layer.macs
    assert many.cores <= cores
    read = many.counts["dram.read_bit"] / 8
    moved = sum(p.count * p.link_bytes[0] for p in many.phases)
    ends = many.fill_weight[0] + many.fill_other[0] + many.drain[0]
    assert moved + ends == pytest.approx(read + many.counts["dram.write_bit"] / 8, rel=1e-12)
    assert many.ideal_cycles * many.cores == pytest.approx(one.ideal_cycles, rel=1e-12)


def test_streamed_layers_fit_their_chunks() -> None:
    elements = 100_000
    layer = Layer(
        "add", "Add", "vector", ("add",), ("a", "b"), ("c",), None,
        i_elements=elements, side_elements=elements, o_elements=elements,
        vector_ops=(("add", elements), ("lut", elements)),
    )  # fmt: skip
    for double in (True, False):
        chip = make_chip(buffer_bytes=4096, double=double)
        made = map_layer(layer, chip)
        assert sum(p.count * p.vector_cycles for p in made.phases) == pytest.approx(2e5 / 16)
        moved = sum(p.count * p.link_bytes[0] for p in made.phases)
        assert moved + made.fill_other[0] + made.drain[0] == pytest.approx(3 * elements)
        chunk = made.fill_other[0] + made.drain[0]
        assert chunk * (2 if double else 1) <= 4096
    kept = map_layer(
        layer, make_chip(buffer_bytes=400_000), homes=Homes("dram", "buffer", "buffer", "buffer")
    )
    assert not any(b for p in kept.phases for b in p.link_bytes)
    host = map_layer(replace(layer, kind="host", vector_ops=(("copy", 1000),)), chip)
    assert host.counts["host.op"] == 1000
    assert sum(p.host_cycles for p in host.phases) == pytest.approx(1e-6 * chip.f_hz)
    with pytest.raises(UnmappableError, match="host"):
        map_layer(replace(layer, kind="host"), make_chip(host_ops=0.0))


def test_unfused_functions_are_a_pass_of_their_own() -> None:
    layer = replace(LAYERS[0], vector_ops=(("lut", LAYERS[0].o_elements),))
    fused = map_layer(layer, make_chip(8, 8, fused=FUNCTIONS))
    apart = map_layer(layer, make_chip(8, 8, fused=("relu",)))
    more = apart.counts["dram.read_bit"] - fused.counts["dram.read_bit"]
    assert more >= 8 * layer.o_bytes - 1
    assert (
        totals(layer, make_chip(8, 8, fused=("relu",)), "latency")[0]
        > totals(layer, make_chip(8, 8), "latency")[0]
    )


@given(st.integers(1, 3000))
def test_ceil_quotients(size: int) -> None:
    found = ceil_quotients(size)
    assert list(found) == sorted({math.ceil(size / q) for q in range(1, size + 1)}, reverse=True)


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(5, 12))
def test_tile_sizes(size: int, unit: int, limit: int) -> None:
    found = tile_sizes(size, unit, limit)
    assert found[0] == size
    assert found[-1] == 1
    assert len(found) <= limit
    assert list(found) == sorted(set(found), reverse=True)


def test_aligned_tiles_are_whole_multiples() -> None:
    """A tile of 290 channels takes the room and the array steps of 320 if channels come in 32."""
    found = tile_sizes(576, 10, 12, 32)
    assert all(size % 32 == 0 for size in found if size > 32)
    assert found == tile_sizes(576, 32, 12)
    assert tile_sizes(576, 64, 12, 32) == tile_sizes(576, 64, 12)


@given(st.lists(st.integers(1, 40), min_size=8, max_size=8), st.integers(1, 33))
def test_spatial_choices_fit_the_axes(sizes: list[int], rows: int) -> None:
    chip = make_chip(rows, 8, col_dims=("K", "OX"))
    found = spatial_choices(tuple(sizes), chip.array.axes, (1,) * 8, False)
    for factors in found:
        assert all(f <= n for f, n in zip(factors, sizes, strict=True))
        assert math.prod(factors) <= chip.array.macs_per_cycle
    steps = [
        math.prod(-(-n // f) for n, f in zip(sizes, factors, strict=True)) for factors in found
    ]
    assert steps == sorted(steps)


def test_schedule_is_plain_data() -> None:
    made = map_layer(LAYERS[0], make_chip())
    assert json.loads(json.dumps(dict(made.counts))) == dict(made.counts)
