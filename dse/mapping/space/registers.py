"""Register tiles: how much of each dim a PE works on between two fills of its registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.hardware.chip import Registers
from dse.mapping.cost import costs as k
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.choices import Factors, ceil_quotients, thinned
from dse.mapping.space.problem import Problem
from dse.registry import cached
from dse.workload.precision import bits_of

#: Unrollings that get register tiles, and register tiles kept of each for every dataflow.
SPATIAL_LIMIT = 6
TILE_LIMIT = 6
#: Most sizes tried of a dim in a PE.
SIZES = 10
#: Dims that a PE works on: K, C, OY, OX, FY, FX (its tile of G and B is one).
_DIMS = (2, 3, 4, 5, 6, 7)


def register_units(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Unrollings (rows of ``problem.spatial``) with their register tiles, grouped by filter tile.

    Register tiles are maximal (no dim may take its next size without overflowing a register file);
    of those the best :data:`TILE_LIMIT` of each dataflow by the energy between buffer and PEs for
    the layer in one buffer tile are kept.
    """
    layer, registers = problem.layer, problem.chip.array.registers
    bits = (bits_of(layer.w_format), bits_of(layer.i_format), layer.acc_bits)
    count = len(problem.choices)
    units, tiles = [], []
    chosen: dict[int, FloatArray] = {}
    for number in range(len(problem.spatial)):
        if number % count >= SPATIAL_LIMIT:
            continue
        row = problem.spatial[number]
        if number % count not in chosen:
            factors = tuple(int(v) for v in row[:8])
            found = _fitting(problem.sizes, factors, _reduced(problem), registers, bits)
            chosen[number % count] = _best(problem, row, found)
        for tile in chosen[number % count]:
            units.append(row)
            tiles.append(tile)
    return np.array(units), np.array(tiles)


def _reduced(problem: Problem) -> tuple[int, ...]:
    return tuple(int(v) for v in problem.nest[2:])


@cached(16384)
def _fitting(
    sizes: Factors, factors: Factors, nest: Factors, registers: Registers, bits: Factors
) -> FloatArray:
    """Maximal register tiles (sizes of the eight dims) that the registers hold."""
    most = max(registers.W, registers.I, registers.O, registers.shared) * 8 // min(bits)
    lists = []
    for d in _DIMS:
        steps = -(-sizes[d] // factors[d])
        sizes_of = tuple(v for v in ceil_quotients(steps) if v <= max(most, 1))
        few = tuple(reversed(thinned(sizes_of, SIZES)))
        lists.append(np.array(few, np.float64))
    tiles = np.ones((1, 8))
    for place in (4, 5, 1, 0, 3, 2):  # FY, FX, C, K, OX, OY
        d, values = _DIMS[place], lists[place]
        tiles = np.repeat(tiles, len(values), axis=0)
        tiles[:, d] = np.tile(values, len(tiles) // len(values))
        tiles = tiles[_holds(tiles, nest, registers, bits)]
    maximal = np.ones(len(tiles), bool)
    for place, d in enumerate(_DIMS):
        values = np.append(lists[place], np.inf)
        larger = tiles.copy()
        larger[:, d] = values[np.searchsorted(values, tiles[:, d]) + 1]
        grows = np.isfinite(larger[:, d])
        larger[~grows, d] = 1.0
        maximal &= ~(grows & _holds(larger, nest, registers, bits))
    return tiles[maximal]


def _holds(tiles: FloatArray, nest: Factors, registers: Registers, bits: Factors) -> Any:
    """Which register tiles the registers hold; an operand without any is not held."""
    y = _span(tiles[:, 4], tiles[:, 6], nest[0], nest[1])
    x = _span(tiles[:, 5], tiles[:, 7], nest[2], nest[3])
    w = tiles[:, 2] * tiles[:, 3] * tiles[:, 6] * tiles[:, 7] * bits[0]
    i = tiles[:, 3] * y * x * bits[1]
    o = tiles[:, 2] * tiles[:, 4] * tiles[:, 5] * bits[2]
    if registers.shared:
        return w + i + o <= 8.0 * registers.shared
    out = np.ones(len(tiles), bool)
    for need, room in ((w, registers.W), (i, registers.I), (o, registers.O)):
        if room:
            out &= need <= 8.0 * room
    return out


def holds_tile(problem: Problem, sizes: FloatArray) -> tuple[str, float, int] | None:
    """The operand whose share of a PE (sizes of all dims) overflows its registers, bytes needed
    and there; None if all fit."""
    registers, layer, nest = problem.chip.array.registers, problem.layer, _reduced(problem)
    y = _span(sizes[4], sizes[6], nest[0], nest[1])
    x = _span(sizes[5], sizes[7], nest[2], nest[3])
    w = float(sizes[0] * sizes[2] * sizes[3] * sizes[6] * sizes[7]) * bits_of(layer.w_format) / 8
    i = float(sizes[0] * sizes[1] * sizes[3] * y * x) * bits_of(layer.i_format) / 8
    o = float(sizes[0] * sizes[1] * sizes[2] * sizes[4] * sizes[5]) * layer.acc_bits / 8
    if registers.shared:
        total = w + i + o
        return None if total <= registers.shared else ("W, I and O", total, registers.shared)
    for name, need, room in (("W", w, registers.W), ("I", i, registers.I), ("O", o, registers.O)):
        if room and need > room:
            return name, need, room
    return None


def _span(t: Any, f: Any, stride: int, dilation: int) -> Any:
    return t * f - np.maximum(0.0, t - dilation) * np.maximum(0.0, f - stride)


def _best(problem: Problem, s: FloatArray, tiles: FloatArray) -> FloatArray:
    """The most promising register tiles of each dataflow, the best first."""
    c, sizes = problem.c, np.array(problem.sizes, np.float64)
    nest = _reduced(problem)
    steps = np.ceil(sizes / s[:8])
    passes = np.ceil(steps / tiles)
    seen = np.ones(len(tiles))
    for d, f in ((4, 6), (5, 7)):
        taps = np.minimum(tiles[:, f] * s[f], sizes[f])
        outs = np.minimum(tiles[:, d] * s[d], sizes[d])
        lines = _span(outs, taps, nest[2 * (d - 4)], nest[2 * (d - 4) + 1])
        slid = np.where(s[d] > 1.0, lines, np.minimum(lines, outs * nest[2 * (d - 4)]))
        seen *= passes[:, d] * passes[:, f] * slid
    a = passes[:, 1] * passes[:, 4] * passes[:, 5]
    k_passes, sums = passes[:, 2], passes[:, 3] * passes[:, 6] * passes[:, 7]
    deep = sizes[0] * sizes[1] * sizes[3]
    read, write = c[k.C_P_READ], c[k.C_P_WRITE]
    has = [c[n] > 0.0 for n in (k.C_HAS_W, k.C_HAS_I, k.C_HAS_O)]
    found: dict[int, None] = {}
    for stays in range(3):
        w = s[k.S_W] * (1.0 if stays == 0 and has[0] else a)
        i = deep * seen * (1.0 if stays == 1 and has[1] else k_passes)
        o = s[k.S_O] * ((1.0 if stays == 2 and has[2] else sums) - 1.0)
        cost = w * (c[k.C_WB] * read + c[k.C_P_RW_WRITE])
        cost = cost + i * (c[k.C_IB] * read + c[k.C_P_RI_WRITE])
        cost = cost + o * c[k.C_AB] * (read + write)
        rank = np.lexsort((np.arange(len(tiles)), k.rounded(cost)))
        found.update(dict.fromkeys(int(n) for n in rank[:TILE_LIMIT]))
    return tiles[list(found)]
