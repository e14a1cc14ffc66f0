"""A matrix engine: its rows hand one input element each to all columns."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Axis
from dse.mapping.ir.homes import Homes
from dse.mapping.search.placement import unrolled
from dse.mapping.space.choices import input_rows, spatial_choices
from dse.mapping.space.problem import pack
from dse.workload.layer import DIMS

from .conftest import make_chip, make_layer

SIDE = st.integers(1, 5)


def inputs_of(factors: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]) -> int:
    """Input elements that the units of a step take, by listing them."""
    g, b, _, c, oy, ox, fy, fx = factors
    seen = {
        (place, y * stride[0] + i * dilation[0], x * stride[1] + j * dilation[1])
        for place in itertools.product(range(g), range(b), range(c))
        for y, x, i, j in itertools.product(range(oy), range(ox), range(fy), range(fx))
    }
    return len(seen)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(SIDE, SIDE, SIDE, SIDE, st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2, 3])),
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
)
def test_no_unrolling_with_an_input_a_row_takes_fewer_steps(
    sizes: Any, stride: Any, rows: int, cols: int
) -> None:
    """Of all factors whose inputs, listed, find a row each."""
    k, c, oy, ox, fy, fx = sizes
    whole = (1, 1, k, c, oy, ox, fy, fx)
    axes = (Axis(rows, ("C", "FX", "FY")), Axis(cols, ("K", "OX", "OY")))
    window = (stride[0], 1, stride[1], 1)
    found = spatial_choices(whole, axes, (1,) * 8, False, window)
    assert found

    def steps(factors: tuple[int, ...]) -> int:
        return math.prod(-(-n // f) for n, f in zip(whole, factors, strict=True))

    for factors in found:
        assert input_rows(factors, window) == inputs_of(factors, stride, (1, 1)) <= rows
        assert factors[2] * factors[4] * factors[5] <= cols
    every = itertools.product(*(range(1, n + 1) for n in whole))
    fewest = min(
        steps(f)
        for f in every
        if f[2] * f[4] * f[5] <= cols and inputs_of(f, stride, (1, 1)) <= rows
    )
    assert steps(found[0]) == fewest


def test_pixels_side_by_side_cost_a_matrix_engine_rows() -> None:
    """16 channels a group: 4 pixels of 16 filters fill the columns of any array, but take 16 x 6
    inputs; a matrix engine of 64 rows has them for 2, or for 4 of half the channels."""
    axes = (Axis(64, ("C", "FX")), Axis(64, ("K", "OX", "OY")))
    group = (8, 1, 16, 16, 28, 28, 3, 3)
    free = spatial_choices(group, axes, (1,) * 8, False)
    tied = spatial_choices(group, axes, (1,) * 8, False, (1, 1, 1, 1))
    assert math.prod(tied[0]) <= math.prod(free[0]) / 2
    dense = spatial_choices((1, 1, 64, 64, 28, 28, 1, 1), axes, (1,) * 8, False, (1, 1, 1, 1))
    assert math.prod(dense[0]) == 64 * 64


def test_a_stride_takes_more_rows() -> None:
    axes = (Axis(64, ("C", "FX")), Axis(64, ("K", "OX", "OY")))
    alone = (96, 1, 1, 1, 56, 56, 3, 3)
    one, two = (spatial_choices(alone, axes, (1,) * 8, False, (s, 1, s, 1))[0] for s in (1, 2))
    assert one[DIMS.index("OX")] * one[DIMS.index("OY")] > 50
    assert two[DIMS.index("OX")] * two[DIMS.index("OY")] <= 31


def test_an_unrolling_by_hand_is_held_to_it_too() -> None:
    chip = make_chip(
        16, 8, row_dims=("C", "FX"), col_dims=("K", "OX"), row_inputs="one", dataflows=("ws",)
    )
    layer = make_layer(K=4, C=4, OX=8, FX=3)
    homes = Homes("dram", "dram", "dram", "dram")
    assert layer.nest is not None
    problem = pack(layer, chip, homes, 1e5, layer.nest.sizes, 1)
    unrolled(problem, {"K": 2, "C": 4, "OX": 2, "FX": 3}, (1, 3))  # 4 x 4 inputs
    with pytest.raises(UnmappableError, match="axes do not offer"):
        unrolled(problem, {"K": 2, "C": 4, "OX": 4, "FX": 3}, (1, 3))  # 4 x 6


def test_other_dims_in_a_row_are_refused() -> None:
    with pytest.raises(InputError, match=r"row_dims has OX.*row_inputs"):
        dse.load_chip("tda4vm", array__row_dims=["C", "OX"])
