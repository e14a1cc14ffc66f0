"""The mapper against a literal walk of every mapping of its stated space."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dse.errors import UnmappableError
from dse.hardware.chip import Axis, Legality
from dse.mapping.cost.costs import CLASSES
from dse.mapping.cost.flows import FLOWS
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import Program, program_latency_s, unroll
from dse.mapping.layer.build import schedule
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.program import program_energy_j
from dse.mapping.search.best import search, two_level
from dse.mapping.search.placement import Placement, evaluate
from dse.mapping.space.choices import rate_of
from dse.mapping.space.problem import pack
from dse.workload.precision import bits_of
from tests.mapping.reference import searched_over_arrays
from tests.tiers import check_cases, numbers_of_cases

from .conftest import make_chip, make_layer
from .oracle import CLASS_LOOPS, Case, choices, swapped, walk_array, walk_tiles
from .oracle_cost import cost

HOMES = st.builds(
    Homes,
    st.sampled_from(["dram", "nvm", "buffer"]),
    st.sampled_from(["dram", "l2", "buffer"]),
    st.sampled_from(["dram", "l2", "buffer"]),
    st.sampled_from(["dram", "l2"]),
)


@st.composite
def layers(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["conv", "gemm", "depthwise", "grouped", "heads", "strided"]))
    small, side = st.integers(1, 6), st.integers(0, 1)
    dims: dict[str, Any] = {}
    if kind in ("conv", "strided"):
        dims = {
            "K": draw(small),
            "C": draw(small),
            "OY": draw(small),
            "OX": draw(st.integers(1, 4)),
        }
        dims |= {"FY": draw(st.integers(1, 3)), "FX": draw(st.integers(1, 2))}
    elif kind == "gemm":
        dims = {"K": draw(st.integers(1, 9)), "C": draw(st.integers(1, 9)), "OX": draw(small)}
    elif kind == "depthwise":
        dims = {
            "G": draw(st.integers(2, 6)),
            "OY": draw(small),
            "OX": draw(small),
            "FY": 3,
            "FX": 3,
        }
    elif kind == "grouped":
        dims = {"G": 2, "K": draw(st.integers(1, 4)), "C": draw(st.integers(1, 4))}
        dims |= {"OX": draw(small), "FX": draw(st.integers(1, 3))}
    else:
        dims = {"G": draw(st.integers(1, 3)), "B": draw(st.integers(1, 2)), "K": draw(small)}
        dims |= {"C": draw(small), "OX": draw(st.integers(1, 4))}
    if kind == "strided":
        dims |= {"stride_y": draw(st.integers(1, 3)), "dilation_y": draw(st.integers(1, 3))}
    outputs = math.prod(dims.get(d, 1) for d in ("G", "B", "K", "OY", "OX"))
    parts: dict[str, Any] = {"side_elements": outputs * draw(side)}
    if draw(st.booleans()):
        parts["vector_ops"] = (("relu", outputs),)
    if draw(st.booleans()):
        parts |= {"w_format": "int4"}
    return make_layer(**dims, **parts)


#: Ports of one operand or use: none (as the search meets it most), all, and some by themselves.
PORTS: Any = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from([0.25, 1.0, 3.0, 16.0])
            for name in ("input", "weight", "result", "sum", "fill", "fetch")
        },
    ),
)


@st.composite
def chips(draw: st.DrawFn) -> Any:
    axes = draw(
        st.sampled_from(
            [
                (("C", "FY", "FX"), ("K",)),
                (("C",), ("K", "OX")),
                (("OX", "OY"), ("K",)),
                (("G", "C"), ("K", "OY")),
                (("C", "FX"), ("K", "OX", "OY")),
            ]
        )
    )
    matrix = axes == (("C", "FX"), ("K", "OX", "OY")) and draw(st.booleans())
    third = draw(st.sampled_from([(), (Axis(2, ("OX", "B")),)]))
    return make_chip(
        draw(st.integers(1, 5)),
        draw(st.integers(2, 4)),
        row_dims=axes[0],
        col_dims=axes[1],
        more_axes=() if matrix else third,
        row_inputs="one" if matrix else "any",
        dataflows=draw(st.sampled_from([("ws",), ("os",), ("is",), ("ws", "os", "is")])),
        rates=draw(st.sampled_from([{"int8xint8": 1.0}, {"int8xint8": 1.0, "int4xint8": 2.0}])),
        preload=draw(st.sampled_from(["hidden", "paid"])),
        preload_cycles=draw(st.integers(0, 6)),
        fill_drain=draw(st.sampled_from(["hidden", "paid"])),
        depthwise=draw(st.sampled_from(["none", "diagonal"])),
        align=draw(st.sampled_from([{}, {"C": 4}, {"K": 2, "C": 2}])),
        accumulator_bytes=draw(st.sampled_from([0, 16, 64, 512])),
        double=draw(st.booleans()),
        port=draw(st.sampled_from([2.0, 8.0, 64.0])),
        ports=draw(PORTS),
        lanes=draw(st.sampled_from([0.5, 4.0])),
        dram=draw(st.sampled_from([2e8, 2e9])),
        l2=4e9,
        l2_bytes=1e6,
        nvm=1e9,
        nvm_bytes=1e6,
        static_w=draw(st.sampled_from([0.0, 0.05])),
        launch=float(draw(st.integers(0, 50))),
    )


def brute_force(case: Case, objective: str) -> tuple[float, float] | None:
    """Best (objective, tie-break) over every mapping of the stated space, walked literally."""
    pair, rate = rate_of(case.chip.array.rates, case.layer.w_format, case.layer.i_format)
    cached: dict[Any, Any] = {}
    best: tuple[float, float] | None = None
    for choice in choices(case):
        found = cost(case, choice, rate, pair.replace("x", "."), cached)
        if found is None:
            continue
        latency, energy = found
        score = {
            "edp": (latency * energy, energy),
            "latency": (latency, energy),
            "energy": (energy, latency),
        }[objective]
        if best is None or _before(score, best):
            best = score
    return best


def _before(new: tuple[float, float], old: tuple[float, float]) -> bool:
    if math.isclose(new[0], old[0], rel_tol=1e-11):
        return new[1] < old[1]
    return new[0] < old[0]


def compare_with_brute_force(
    layer: Any, chip: Any, homes: Homes, room: float, objective: Any
) -> bool:
    """Whether anything fits; if so, the mapper's choice is the best of all."""
    case = Case(layer, chip, homes, room)
    best = brute_force(case, objective)
    if best is None:
        with pytest.raises(UnmappableError, match="bytes of the buffer"):
            map_layer(layer, chip, objective, homes=homes, room_bytes=room)
        return False
    problem = pack(layer, chip, homes, room, layer.nest.sizes, 1)
    at = search(problem, objective)
    assert (at == searched_over_arrays(problem, objective)).all(), "arrays and loops differ"
    placed = two_level(problem, at)
    found = evaluate(problem, placed)
    ours = {
        "edp": (found.latency_s * found.energy_j, found.energy_j),
        "latency": (found.latency_s, found.energy_j),
        "energy": (found.energy_j, found.latency_s),
    }[objective]
    assert ours == pytest.approx(best, rel=1e-9, abs=0.0), placed
    made = schedule(problem, placed)
    program = Program("one", (made,), unroll((made,), prefetch=True), 1, 0.0)
    assert program_latency_s(program, chip) == pytest.approx(found.latency_s, rel=1e-9, abs=0.0)
    assert program_energy_j(program, chip) == pytest.approx(found.energy_j, rel=1e-9, abs=0.0)
    return True


@numbers_of_cases(60, 2000)
def test_mapper_equals_brute_force(cases: int) -> None:
    mapped = check_cases(
        compare_with_brute_force,
        cases,
        layer=layers(),
        chip=chips(),
        homes=HOMES,
        room=st.sampled_from([40.0, 100.0, 400.0, 3000.0]),
        objective=st.sampled_from(["edp", "latency", "energy"]),
    )
    assert len(mapped) >= cases
    assert sum(mapped) >= 0.5 * cases


def test_blocks_of_accumulators_do_not_mislead_the_bound() -> None:
    """A case the long run found: a smaller tile needs fewer blocks than the whole layer."""
    layer = make_layer(K=4, OY=2, OX=3, FX=2)
    chip = make_chip(
        4, 2, row_dims=("OX", "OY"), dataflows=("is",), preload_cycles=2, fill_drain="paid",
        accumulator_bytes=16, port=2.0, lanes=0.5, dram=2e9, launch=0.0, static_w=0.0,
    )  # fmt: skip
    assert layer.nest is not None
    problem = pack(layer, chip, Homes(), 40.0, layer.nest.sizes, 1)
    for objective in ("edp", "latency", "energy"):
        fast = search(problem, objective)
        assert (fast == searched_over_arrays(problem, objective)).all()


def test_where_everything_is_in_the_buffer_no_room_is_needed() -> None:
    layer, inside = make_layer(K=4, C=3, OY=2, OX=3), Homes("buffer", "buffer", "buffer", "buffer")
    assert layer.nest is not None
    problem = pack(layer, make_chip(4, 2), inside, 0.0, layer.nest.sizes, 1)
    fast = search(problem, "edp")
    assert fast[0] >= 0
    assert (fast == searched_over_arrays(problem, "edp")).all()


@pytest.mark.parametrize("room", [300.0, 600.0, 1500.0])
def test_partial_sums_may_be_narrower_than_results(room: float) -> None:
    """Their tile still has room for the results that they become."""
    layer = make_layer(K=8, C=16, OY=6, OX=6, FY=3, FX=3, o_format="int32", acc_bits=8)
    assert layer.nest is not None
    chip = make_chip(4, 4, accumulator_bytes=0, dram=1e9, dataflows=("ws", "os"))
    problem = pack(layer, chip, Homes(), room, layer.nest.sizes, 1)
    for objective in ("edp", "latency", "energy"):
        fast = search(problem, objective)
        assert (fast == searched_over_arrays(problem, objective)).all()
        found = evaluate(problem, two_level(problem, fast))
        last, bits = found.footprint.o, bits_of(layer.o_format)
        assert last >= math.prod(two_level(problem, fast).tiles[n] for n in (2, 4, 5)) * bits / 8


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_the_largest_tile_of_a_compiler_does_not_mislead_the_bound(objective: Any) -> None:
    """8 columns on 4 units take three steps in tiles of 6, the largest, and two in tiles of 4."""
    layer, homes = make_layer(K=4, C=8, OY=2, OX=8), Homes("buffer", "dram", "buffer", "buffer")
    chip = make_chip(4, 4, row_dims=("OX",), dataflows=("os",), launch=0.0, descriptor=0.0)
    chip = replace(chip, legality=Legality(max_tile=(("OX", 6), ("OY", 1))))
    assert layer.nest is not None
    for room in (64.0, 80.0, 200.0):
        problem = pack(layer, chip, homes, room, layer.nest.sizes, 1, legal=True)
        fast = search(problem, objective)
        assert fast[0] >= 0
        assert (fast == searched_over_arrays(problem, objective)).all()


@settings(max_examples=200)
@given(layer=layers(), chip=chips(), data=st.data())
def test_any_mapping_equals_its_walk(layer: Any, chip: Any, data: st.DataObject) -> None:
    """Ragged tiles of any size, not only candidates: formulas equal the literal count."""
    case = Case(layer, chip, Homes(), 1e9)
    problem = pack(layer, chip, Homes(), 1e9, layer.nest.sizes, 1)
    tiles = tuple(data.draw(st.integers(1, n)) for n in layer.nest.sizes[:6])
    row = data.draw(st.sampled_from(range(len(problem.spatial))))
    code = data.draw(st.sampled_from([int(c) for c in problem.flows]))
    kept = data.draw(st.sampled_from(CLASSES))
    flow = (FLOWS[code].name, FLOWS[code].blocks)
    spatial = tuple(int(v) for v in problem.spatial[row][:8])
    inside = walk_array(case, spatial, tiles, flow, problem.rate)
    assume(inside is not None)
    assert inside is not None
    placed = Placement(problem.spatial[row], tiles, code, CLASSES.index(kept))
    found = evaluate(problem, placed)
    expected = (inside.cycles, inside.w_reads, inside.i_reads, inside.updates, inside.partial_sums)
    assert [float(v) for v in found.array[:5]] == pytest.approx(expected, rel=1e-12, abs=0.0)
    walk = walk_tiles(case, tiles, CLASS_LOOPS[kept])
    moved = found.result.totals
    w, i, spilled = float(moved.w), float(moved.i), float(moved.spilled)
    stored, side = float(moved.o), float(moved.side)
    loops_cut = {d for d, t, n in zip("GBKCYX", tiles, layer.nest.sizes, strict=False) if t < n}
    if {"W": {"B", "Y", "X"}, "I": {"K"}, "O": {"C"}}[kept] & loops_cut:
        # An order class is the best of its kind only if its innermost group is really there.
        assert w == pytest.approx(sum(walk.loads["W"]), rel=1e-12, abs=0.0)
        other = walk_tiles(case, tiles, swapped(CLASS_LOOPS[kept]))
        least = min(sum(walk.loads["I"]), sum(other.loads["I"]))
        assert i == pytest.approx(least, rel=1e-12, abs=0.0)
        assert spilled == pytest.approx(walk.reloads, rel=1e-12, abs=0.0)
        assert stored == pytest.approx(sum(walk.stores), rel=1e-12, abs=0.0)
        assert side == pytest.approx(sum(walk.loads["side"]), rel=1e-12, abs=0.0)


@settings(max_examples=60)
@given(layer=layers(), data=st.data())
def test_three_order_classes_are_all_orders(layer: Any, data: st.DataObject) -> None:
    """At any prices, no permutation of the tile loops moves less than the best class."""
    chip = make_chip(2, 2)
    case = Case(layer, chip, Homes(), 1e9)
    tiles = tuple(data.draw(st.integers(1, n)) for n in layer.nest.sizes[:6])
    names = ("G", "B", "K", "C", "OY", "OX")
    cut = [d for d, t, n in zip(names, tiles, layer.nest.sizes, strict=False) if t < n]
    assume(len(cut) <= 4)
    rest = tuple(d for d in names if d not in cut)

    def traffic(loops: tuple[str, ...]) -> np.ndarray[Any, Any]:
        walk = walk_tiles(case, tiles, loops)
        parts = (*(sum(v) for v in walk.loads.values()), sum(walk.stores), walk.reloads)
        return np.array(parts)

    orders = [*CLASS_LOOPS.values(), *map(swapped, CLASS_LOOPS.values())]
    classes = np.array([traffic(loops) for loops in orders])
    for order in itertools.permutations(cut):
        assert (classes <= traffic((*rest, *order)) + 1e-9).all(axis=1).any()


def test_groups_on_the_diagonal_keep_the_alignment_of_channels() -> None:
    """A case the long run found: image mode is for few channels, not for depthwise groups."""
    layer = make_layer(G=2, OX=3)
    chip = make_chip(
        2, 2, row_dims=("C", "FY", "FX"), depthwise="diagonal", align={"C": 4}
    )  # fmt: skip
    assert layer.nest is not None
    problem = pack(layer, chip, Homes(), 1e6, layer.nest.sizes, 1)
    assert problem.align.tolist() == [4, 1, 1, 1, 1, 1]
    assert (
        pack(make_layer(C=3, FX=3), chip, Homes(), 1e6, (1, 1, 1, 3, 1, 1, 1, 3), 1).align[3] == 1
    )
