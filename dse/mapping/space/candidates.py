"""The candidates of a layer as arrays: unrollings with filter tiles, tile sizes, dataflow codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dse.hardware.chip import Array, Legality
from dse.mapping.cost import costs as k
from dse.mapping.space.choices import TILE_LIMITS, TILED, Factors, filter_tiles, tile_sizes
from dse.mapping.space.legal import legal_sizes, rule
from dse.registry import cached
from dse.workload.layer import DIMS, LoopNest

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def alignment(array: Array, nest: LoopNest) -> Factors:
    """Multiples that the dims are padded to.

    Along the diagonal a channel is a group. Where filter taps may share the channels' axis (image
    mode), fewer channels than their multiple are packed with the taps and not padded.
    """
    multiples = dict(array.align)
    packed = any("C" in axis.dims and {"FX", "FY"} & set(axis.dims) for axis in array.axes)
    if nest.depthwise and array.depthwise == "diagonal":
        channels = multiples.pop("C", 1)
        multiples.pop("K", None)
        multiples["G"] = math.lcm(channels, multiples.get("G", 1))
    elif packed and multiples.get("C", 1) > nest.C:
        multiples.pop("C")
    return tuple(multiples.get(d, 1) for d in DIMS)


def reduced(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Stride and dilation of y, then of x, without their common divisor."""
    sy, sx, dy, dx = strides
    gy, gx = math.gcd(sy, dy), math.gcd(sx, dx)
    return (sy // gy, dy // gy, sx // gx, dx // gx)


@cached(16384)
def tile_lists(
    sizes: Factors,
    best: Factors,
    legal: Legality | None,
    align: Factors,
    limits: Factors = TILE_LIMITS,
) -> tuple[FloatArray, Any]:
    """Tile sizes of G, B, K, C, OY, OX, descending, and how many of each.

    Args:
        best: factors of the best unrolling; ``legal``: what the compiler can express, None for all.
        align: multiples that the dims are padded to; ``limits``: most sizes of each dim.
    """
    lists = []
    for d, name in enumerate(TILED):
        values = tile_sizes(sizes[d], best[d], limits[d], align[d])
        if legal is not None:
            values = legal_sizes(values, sizes[d], rule(legal, name, sizes))
        lists.append(values)
    lengths = np.array([len(values) for values in lists], np.int64)
    tiles = np.ones((len(lists), int(lengths.max())))
    for d, values in enumerate(lists):
        tiles[d, : len(values)] = values
    return tiles, lengths


@cached(16384)
def spatial_rows(
    choices: tuple[Factors, ...], sizes: Factors, align: Factors, volumes: tuple[float, ...]
) -> FloatArray:
    """Unrollings with filter tiles (fields ``costs.S_*``): all with the whole filter, then cut.

    Args:
        volumes: elements of W, of I with every tap counted, of O.
    """
    return np.array(
        [
            spatial_row(factors, taps, sizes, align, volumes)
            for taps in filter_tiles(sizes[6], sizes[7])
            for factors in choices
        ],
        np.float64,
    )


def spatial_row(
    factors: Factors,
    taps: tuple[int, int],
    sizes: Factors,
    align: Factors,
    volumes: tuple[float, ...],
) -> tuple[float, ...]:
    """One unrolling with filter tiles of ``taps`` along FY and FX."""

    def steps(size: int, d: int) -> int:
        return -(-(-(-size // align[d]) * align[d]) // factors[d])

    whole, one, tiles = [], 1, 1
    for tap, d in zip(taps, (6, 7), strict=True):
        full, left = divmod(sizes[d], tap)
        whole.append(full * steps(tap, d) + steps(left, d))
        one *= steps(tap, d)
        tiles *= -(-sizes[d] // tap)
    row = (*factors, *whole, *volumes, one, taps[0] * taps[1], tiles, *taps)
    assert len(row) == k.SPATIAL_FIELDS
    return tuple(float(v) for v in row)
