"""Every maximal unrolling of a layer on an array, where the search keeps the best dozen."""

from __future__ import annotations

import math

import numpy as np

from dse.hardware.chip import Axis
from dse.mapping.cost import costs as k
from dse.mapping.space.candidates import FloatArray, spatial_row
from dse.mapping.space.choices import FILTER_TAPS, Factors, axis_mixes, ceil_quotients
from dse.mapping.space.problem import Problem
from dse.mapping.space.shape import unit_of
from dse.registry import cached
from dse.workload.layer import DIMS

#: Unrollings listed at most; beyond, one that is better than all stands for them.
MOST_UNROLLINGS = 2048


def padded(sizes: Factors, align: Factors) -> Factors:
    """Sizes of the dims rounded up to their multiples."""
    return tuple(-(-size // a) * a for size, a in zip(sizes, align, strict=True))


@cached(4096)
def every_unrolling(
    sizes: Factors, axes: tuple[Axis, ...], align: Factors, diagonal: bool
) -> tuple[Factors, ...] | None:
    """Spatial factors per dim of all maximal unrollings; None if they are too many to list.

    Arguments as of :func:`dse.mapping.space.choices.spatial_choices`, which keeps the best of them.
    """
    found: dict[Factors, None] = {}
    partial: list[tuple[Factors, tuple[Factors, ...]]] = [(padded(sizes, align), ())]
    for axis in axes:
        longer = []
        for left, done in partial:
            for mix in axis_mixes(left, axis):
                rest = tuple(-(-size // f) for size, f in zip(left, mix, strict=True))
                longer.append((rest, (*done, mix)))
            if len(longer) > MOST_UNROLLINGS:
                return None
        partial = longer
    for _, mixes in partial:
        factors = tuple(math.prod(column) for column in zip(*mixes, strict=True))
        found[factors] = None
        if diagonal and len(axes) > 1 and sizes[0] > 1 and factors[0] == 1:
            places = min(
                axis.size // math.prod(mix) for axis, mix in zip(axes[:2], mixes[:2], strict=True)
            )
            groups = min(places, sizes[0])
            found[(-(-sizes[0] // -(-sizes[0] // groups)), *factors[1:])] = None
    return tuple(found)


def widest_unrolling(
    sizes: Factors, axes: tuple[Axis, ...], align: Factors, diagonal: bool
) -> Factors:
    """Factors no unrolling exceeds in any dim, each as if the dim had all axes that allow it."""
    out = []
    for dim, size in zip(DIMS, padded(sizes, align), strict=True):
        units = math.prod(axis.size for axis in axes if dim in axis.dims)
        if dim == "G" and diagonal and len(axes) > 1:
            units *= min(axis.size for axis in axes[:2])
        out.append(max(1, min(size, units)))
    return tuple(out)


def every_unit(problem: Problem) -> tuple[FloatArray, float, bool]:
    """All unrollings of a problem with all cuts of its filter, as rows (fields ``costs.S_*``), the
    array steps that none gets below, and whether all of them exist: where they are too many, or a
    matrix engine's, one that none exceeds stands for them."""
    unit = unit_of(
        problem.layer, problem.chip, legal=problem.legal, winograd=problem.saved.winograd
    )
    sizes, where = problem.sizes, (unit.axes, unit.align, unit.diagonal)
    listed = None if unit.window is not None else every_unrolling(sizes, *where)
    exist = listed is not None
    listed = listed or (widest_unrolling(sizes, *where),)
    volumes = tuple(float(v) for v in problem.spatial[0][k.S_W : k.S_O + 1])
    rows = [
        spatial_row(factors, taps, sizes, unit.align, volumes)
        for taps in every_filter_tile(sizes[6], sizes[7])
        for factors in listed
    ]
    units = math.prod(axis.size for axis in unit.axes)
    fewest = math.prod(padded(sizes, unit.align)) / units
    return np.array(rows, np.float64), fewest * (1.0 - 1e-12), exist


def every_filter_tile(rows: int, columns: int) -> list[tuple[int, int]]:
    """Taps along FY and FX of all filter tiles: groups of rows, and of the columns of one row."""
    if rows * columns <= FILTER_TAPS:
        return [(rows, columns)]
    return [(n, columns) for n in range(rows, 0, -1)] + [(1, n) for n in range(columns - 1, 0, -1)]


#: Dims of which a fused group works on a part at a time, with an unrolling of its own.
BANDED = ("G", "B", "OY", "OX")


@cached(4096)
def banded_steps(sizes: Factors, axes: tuple[Axis, ...], align: Factors, diagonal: bool) -> float:
    """Array steps that no unrolling gets below, be it another one for each part of a layer that is
    cut along :data:`BANDED` dims.

    The other dims are unrolled by ceil-quotients; all that is left of an axis is full of banded
    ones, if they are allowed there.
    """
    whole = padded(sizes, align)
    fixed = [n for n, d in enumerate(DIMS) if d not in BANDED]
    outs = math.prod(n for n, d in zip(whole, DIMS, strict=True) if d in BANDED)
    # By what is left of the fixed dims, and of the shorter of the axes of the diagonal: the units
    # left to banded dims on axes that allow them.
    on_diagonal = diagonal and len(axes) > 1 and sizes[0] > 1
    states = {(tuple(whole[n] for n in fixed), math.inf if on_diagonal else 1.0): 1.0}
    for number, axis in enumerate(axes):
        found: dict[tuple[tuple[int, ...], float], float] = {}
        banded = any(d in BANDED for d in axis.dims)
        dims = [at for at, n in enumerate(fixed) if DIMS[n] in axis.dims]
        for (left, places), units in states.items():
            for taken in _factors_within(tuple(left[at] for at in dims), axis.size):
                rest = list(left)
                for at, factor in zip(dims, taken, strict=True):
                    rest[at] = -(-rest[at] // factor)
                free = axis.size / math.prod(taken)
                short = min(places, free) if on_diagonal and number < 2 else places
                key, more = (tuple(rest), short), units * (free if banded else 1.0)
                if more > found.get(key, 0.0):
                    found[key] = more
        states = found
    return min(
        math.prod(left) * max(1.0, outs / (units * places))
        for (left, places), units in states.items()
    )


def _factors_within(sizes: tuple[int, ...], units: int) -> list[Factors]:
    """Ceil-quotients of several dims whose product is at most ``units``."""
    found: list[Factors] = [()]
    for size in sizes:
        found = [
            (*taken, factor)
            for taken in found
            for factor in ceil_quotients(size)
            if math.prod(taken) * factor <= units
        ]
    return found


def banded_unit(problem: Problem) -> tuple[FloatArray, float]:
    """An unrolling better than any in every dim, and :func:`banded_steps`."""
    unit = unit_of(
        problem.layer, problem.chip, legal=problem.legal, winograd=problem.saved.winograd
    )
    sizes, where = problem.sizes, (unit.axes, unit.align, unit.diagonal)
    volumes = tuple(float(v) for v in problem.spatial[0][k.S_W : k.S_O + 1])
    row = spatial_row(
        widest_unrolling(sizes, *where), (sizes[6], sizes[7]), sizes, unit.align, volumes
    )
    return np.array([row], np.float64), banded_steps(sizes, *where) * (1.0 - 1e-12)
