"""More levels than the buffer: tiled L2, operand registers, filter tiles, operands held.

Two steps: any mapping costs what a literal walk of its loops counts, and the search finds the best
of all candidates that these costs know, without bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dse.hardware.chip import Legality, Registers
from dse.mapping.cost import costs as k
from dse.mapping.cost.arrays import register_uses
from dse.mapping.ir.homes import Homes
from dse.mapping.search import best
from dse.mapping.search.best import best_mapping
from dse.mapping.search.placement import Placement, evaluate, held_over
from dse.mapping.space import hierarchy, registers
from dse.mapping.space.candidates import spatial_row
from dse.mapping.space.hierarchy import Outer
from dse.mapping.space.problem import Problem, pack
from dse.workload.layer import DIMS
from tests.mapping.reference import levels as levels_over_arrays
from tests.mapping.reference import outer_tiles, over_arrays
from tests.tiers import ROUGH, check_cases, numbers_of_cases

from .conftest import make_chip, make_layer
from .oracle_levels import Counted, nest_loops, walk, walk_registers

REGISTER_PRICES = {
    f"register.{name}.{side}_bit": joules
    for name, joules in (("w", 0.004e-12), ("i", 0.005e-12), ("o", 0.009e-12))
    for side in ("read", "write")
}


@st.composite
def layers(draw: st.DrawFn, most: int = 6) -> Any:
    kind = draw(st.sampled_from(["conv", "strided", "gemm", "depthwise", "grouped", "large"]))
    small = st.integers(1, most)
    if kind == "gemm":
        wide = st.integers(1, 2 * most)
        return make_layer(K=draw(wide), C=draw(wide), OX=draw(small))
    dims: dict[str, Any] = {"OY": draw(small), "OX": draw(small)}
    dims |= {"FY": draw(st.integers(1, 3)), "FX": draw(st.integers(1, 3))}
    if kind == "depthwise":
        return make_layer(G=draw(st.integers(2, 5)), **dims)
    dims |= {"K": draw(small), "C": draw(small)}
    if kind == "grouped":
        dims["G"] = 2
    if kind == "strided":
        dims |= {"stride_y": draw(st.integers(1, 3)), "dilation_x": draw(st.integers(1, 2))}
    if kind == "large":
        dims |= {"FY": draw(st.integers(4, 5)), "FX": 3, "C": 2, "K": 2}
    return make_layer(**dims)


@st.composite
def chips(draw: st.DrawFn) -> Any:
    rows, cols = draw(
        st.sampled_from(
            [
                (("C", "FY"), ("K",)),
                (("FY", "C"), ("OY",)),
                (("OX", "OY"), ("K",)),
                (("C",), ("OX",)),
            ]
        )
    )
    far = draw(st.sampled_from([4e-12, 100e-12]))
    chip = make_chip(
        draw(st.integers(2, 5)),
        draw(st.integers(2, 4)),
        row_dims=rows,
        col_dims=cols,
        dataflows=draw(st.sampled_from([("ws",), ("os",), ("is", "ws")])),
        preload=draw(st.sampled_from(["hidden", "paid"])),
        fill_drain=draw(st.sampled_from(["hidden", "paid"])),
        accumulator_bytes=draw(st.sampled_from([0, 64, 512])),
        double=draw(st.booleans()),
        port=draw(st.sampled_from([2.0, 64.0])),
        ports=draw(st.sampled_from([{}, {"input": 1.0, "sum": 2.0, "fill": 4.0, "fetch": 0.5}])),
        dram=draw(st.sampled_from([2e8, 2e9])),
        l2=4e9,
        l2_bytes=1e6,
        descriptor=draw(st.sampled_from([0.0, 20.0])),
        prices={**REGISTER_PRICES, "dram.read_bit": far, "dram.write_bit": far},
    )
    held = draw(
        st.sampled_from(
            [
                Registers(),
                Registers(shared=12),
                Registers(shared=40, latch=False),
                Registers(W=8, I=4, O=16),
                Registers(W=3),
                Registers(I=4, O=32),
            ]
        )
    )
    if held.present:
        flows: Any = draw(st.sampled_from([("rs",), ("ws",), ("is",), ("os",)]))
        chip = replace(chip, array=replace(chip.array, registers=held, dataflows=flows))
    return chip


def best_of(walks: list[Counted], name: str) -> int:
    return min(int(getattr(found, name)) for found in walks)


@numbers_of_cases(80, 1000)
def test_any_mapping_moves_what_its_loops_move(cases: int) -> None:
    check_cases(check_moves, cases, layer=layers(), chip=chips(), data=st.data())


def check_moves(layer: Any, chip: Any, data: st.DataObject) -> None:
    problem = pack(layer, chip, Homes(), 1e9, layer.nest.sizes, 1)
    sizes = dict(zip(DIMS, layer.nest.sizes, strict=True))
    row = data.draw(st.sampled_from(range(len(problem.choices))))
    taps = (
        data.draw(st.integers(1, sizes["FY"])), data.draw(st.integers(1, sizes["FX"]))
    )  # fmt: skip
    volumes = tuple(float(v) for v in problem.spatial[0][k.S_W : k.S_O + 1])
    ones = (1,) * 8
    spatial = np.array(
        spatial_row(problem.choices[row], taps, layer.nest.sizes, ones, volumes), np.float64
    )
    tiles = tuple(data.draw(st.integers(1, n)) for n in layer.nest.sizes[:6])
    flow = int(data.draw(st.sampled_from([int(f) for f in problem.flows])))
    order = data.draw(st.integers(0, 2))
    stays = k.CLASSES[order]
    hold, outer = 0, None
    mask: tuple[str, ...] = ()
    how = data.draw(st.sampled_from(["even", "held", "l2"]))
    whole = taps == (sizes["FY"], sizes["FX"])
    if how == "held" and whole:
        hold = data.draw(st.integers(1, 6))
    elif how == "l2":
        times = tuple(data.draw(st.integers(1, 3)) for _ in tiles)
        above = tuple(
            min(n, t * m) for n, t, m in zip(layer.nest.sizes, tiles, times, strict=False)
        )
        outer = Outer(above, data.draw(st.integers(1, 7)), data.draw(st.integers(0, 2)))
        mask = outer.operands
    registers = None
    if problem.registers:
        steps = [-(-n // int(f)) for n, f in zip(layer.nest.sizes, spatial[:8], strict=True)]
        inside = [1, 1, *(data.draw(st.integers(1, n)) for n in steps[2:])]
        registers = np.array(inside, np.float64)
    placed = Placement(spatial, tiles, flow, order, registers, outer, hold)
    found = evaluate(problem, placed)
    assume(bool(found.result.allowed))
    inner = dict(zip(DIMS, (*tiles, *taps), strict=True))
    big = dict(sizes)
    if outer:
        big |= dict(zip(DIMS[:6], outer.tiles, strict=True))
    order0 = k.CLASSES[outer.order] if outer else "W"
    walks = [
        walk(
            layer, big, inner, nest_loops(order0, 0, far), nest_loops(stays, hold, near), stays,
            dict(held_over(order, hold)), mask,
        )
        for far in ("OX", "OY") for near in ("OX", "OY")
    ]  # fmt: skip
    # A ragged last L2 tile of a single buffer tile saves fetches that the formulas still count.
    regular = all((sizes[d] % big[d] or big[d]) > inner[d] or big[d] <= inner[d] for d in DIMS[:6])
    steps_, changes, w, i, z, visits = (float(v) for v in found.move[:6])
    assert steps_ == walks[0].steps
    pairs = {
        "changes": changes, "w": w, "i": i, "loads_o": z * (visits - 1), "stores_o": z * visits
    }  # fmt: skip
    if outer:
        c, above = found.c, found.above
        if "W" in mask:
            pairs["up_w"] = above[0] / (c[k.C_WB] * c[k.C_SW])
        if "I" in mask:
            pairs["up_i"] = above[1] / (c[k.C_IB] * c[k.C_SI])
        if "O" in mask:
            pairs["up_loads_o"] = above[2] / c[k.C_AB]
            pairs["up_stores_o"] = above[2] / c[k.C_AB] + (above[3] - above[2]) / c[k.C_OB]
    for name, formula in pairs.items():
        walked = best_of(walks, name)
        if regular:
            assert formula == pytest.approx(walked, rel=1e-12), name
        else:
            assert formula >= walked * (1.0 - 1e-12), name
    if registers is not None:
        check_registers(problem, placed, found, inner, layer)


def check_registers(problem: Any, placed: Any, found: Any, inner: Any, layer: Any) -> None:
    """Reads and register accesses of a mapping equal the passes walked one by one."""
    sizes = dict(zip(DIMS, layer.nest.sizes, strict=True))
    import itertools

    from .oracle_levels import pieces

    cut = {d: pieces(0, sizes[d], inner[d]) for d in DIMS}
    tiles = [dict(zip(DIMS, part, strict=True)) for part in itertools.product(*cut.values())]
    factors = {d: int(v) for d, v in zip(DIMS, placed.spatial[:8], strict=True)}
    inside = {d: int(v) for d, v in zip(DIMS, placed.registers, strict=True)}
    stays = {5: "W", 6: "O", 7: "I"}[placed.flow]
    both = [walk_registers(layer, tiles, factors, inside, stays, last) for last in ("OX", "OY")]
    walked = min(both, key=lambda passes: passes.i)
    rows = tuple(found.rows[d, 0] for d in range(6))
    w, i, kept, fills, uses = register_uses(found.c, placed.flow, placed.spatial, found.q, *rows)
    c, z = found.c, placed.spatial[k.S_O]
    macs = layer.macs
    if c[k.C_HAS_W]:
        assert w == walked.w
        assert uses.w_write == walked.w_held
        assert uses.w_read in (macs, walked.a_runs)
    if c[k.C_HAS_I]:
        assert i == walked.i
        assert uses.i_write == walked.i_held
        assert uses.i_read in (macs, walked.k_runs)
    if c[k.C_HAS_O]:
        assert z * kept == (walked.visits if stays != "O" else z * kept)
        assert uses.o_read - z * kept in (macs, walked.sum_runs)
    assert math.isfinite(float(fills))


def few_outer(sizes: tuple[int, ...], best: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Two sizes of L2 tile of K, C and OY, so that all of them can be tried."""
    cut = (False, False, True, True, True, False)
    return tuple(
        tuple(sorted({n, -(-n // 2)}, reverse=True)) if may else (n,)
        for n, may in zip(sizes, cut, strict=True)
    )


def compare_with_all_candidates(
    layer: Any, chip: Any, room: float, l2: float, objective: Any
) -> tuple[bool, ...] | None:
    """Which levels the best mapping uses, None if nothing fits; it is the best of all."""
    problem = pack(layer, chip, Homes(), room, layer.nest.sizes, 1)
    found = check_search(problem, l2, objective)
    if found is None:
        return None
    return found.registers is not None, found.outer is not None, found.hold > 0


def check_search(problem: Problem, l2: float, objective: Any) -> Placement | None:
    """The best mapping, which is also the best without bounds; None if none fits."""
    # One unrolling with L2 and two without, and one filter tile besides the whole filter.
    count, used = len(problem.choices), 1 if l2 else 2
    few = [n for n in range(len(problem.spatial)) if n % count < used and n // count < 2]
    problem = replace(problem, spatial=problem.spatial[few], choices=problem.choices[:used])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hierarchy, "outer_lists", few_outer)
        patch.setattr(registers, "TILE_LIMIT", 1)
        fast = best_mapping(problem, objective, outer_room=l2)
        with over_arrays():
            slow = best_mapping(problem, objective, outer_room=l2)
        # No bounds, and every L2 tile that fits, maximal or not.
        patch.setattr(levels_over_arrays, "MARGIN", math.inf)
        patch.setattr(outer_tiles, "maximal", lambda fit: fit)
        patch.setattr(hierarchy, "ENTRY_LIMIT", 10**6)
        with over_arrays():
            full = best_mapping(problem, objective, outer_room=l2)
    if fast is None:
        assert slow is None
        assert full is None
        return None
    assert slow is not None
    assert full is not None
    assert fast.keys == slow.keys
    assert fast.keys[0] == full.keys[0]
    placed = fast.placement
    found = evaluate(problem, placed)
    assert found.fits
    code = best.objective_code(objective)
    assert k.keys(found.latency_s, found.energy_j, code)[0] == pytest.approx(
        fast.keys[0], rel=1e-11
    )
    return placed


@settings(max_examples=20, suppress_health_check=ROUGH)
@given(layer=layers(4), chip=chips(), room=st.sampled_from([40.0, 120.0]), most=st.integers(2, 3))
def test_search_equals_all_candidates_where_no_tile_is_the_whole_dim(
    layer: Any, chip: Any, room: float, most: int
) -> None:
    limits = tuple((dim, most) for dim in ("C", "K", "OX", "OY"))
    chip = replace(chip, legality=Legality(max_tile=limits))
    check_search(pack(layer, chip, Homes(), room, layer.nest.sizes, 1, legal=True), 0.0, "edp")


@numbers_of_cases(25, 1000)
def test_search_equals_all_candidates(cases: int) -> None:
    """So many cases without L2, and so many with it."""
    used: list[tuple[bool, ...]] = []
    for rooms in ([0.0], [120.0, 600.0]):
        said = check_cases(
            compare_with_all_candidates,
            cases,
            layer=layers(4),
            chip=chips(),
            room=st.sampled_from([30.0, 80.0, 250.0]),
            l2=st.sampled_from(rooms),
            objective=st.sampled_from(["edp", "latency", "energy", "energy*latency^2"]),
        )
        used += [levels for levels in said if levels is not None]
    assert len(used) >= cases
    for part in range(3):
        assert any(levels[part] for levels in used), "a kind of mapping never won"
