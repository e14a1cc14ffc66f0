"""Mappings of a table on many chips of one array shape, evaluated in one compiled pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.mapping.cost import arrays, tile_rows
from dse.mapping.cost import costs as k
from dse.mapping.search import prune
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.problem import Problem
from dse.mapping.tools.compiling import Function, loops
from dse.mapping.tools.stamp import stamped


def costs_of(
    problem: Problem,
    rows: Sequence[tuple[int, ...]],
    c: FloatArray,
    objective: int,
    known: FloatArray | None = None,
) -> Any:
    """Latency and energy (rows x chips) of mappings given by their indices.

    Infinite where they do not fit, or where a bound shows that a chip has a better one: of the rows
    before, or with the key ``known`` for each chip. The least of a column is always there.
    """
    spatial = problem.spatial[[row[0] for row in rows]]
    tiles = np.array([[problem.tiles[d, row[1 + d]] for d in range(6)] for row in rows], np.float64)
    codes = np.array([(problem.flows[row[7]], row[8]) for row in rows], np.int64)
    seconds = np.empty((len(rows), len(c)))
    joules = np.empty((len(rows), len(c)))
    best = np.full(len(c), np.inf) if known is None else known.copy()
    _evaluate(
        np.ascontiguousarray(c), objective, spatial, tiles, codes, problem.dims, problem.align,
        problem.nest, best, seconds, joules,
    )  # fmt: skip
    return seconds, joules


@loops
def _all(  # type: ignore[no-untyped-def]
    c, objective, spatial, tiles, codes, sizes, align, nest, best, rows, lengths, column,
    seconds, joules,
):  # fmt: skip
    """Fill ``seconds`` and ``joules``; ``rows``, ``lengths`` and ``column`` are room to work in."""
    # So many arguments: records of arrays would be counted by Numba in every call.
    one, first, margin = rows[6, 0], c[0], 1.0 + 1e-9
    one[k.R_RAG] = 0.0
    one[k.R_NRAG] = 0.0
    g, b, ko, r, y, x = rows[0, 0], rows[1, 0], rows[2, 0], rows[3, 0], rows[4, 0], rows[5, 0]
    for m in range(spatial.shape[0]):
        s, order = spatial[m], codes[m, 1]
        for d in range(6):
            column[d, 0] = tiles[m, d]
        tile_rows.fill_rows(rows, sizes, column, lengths, align, s, nest)
        n = tile_rows.tile_counts(s, g, b, ko, r, y, x)
        vol = tile_rows.volumes(sizes, s, y, x)
        arr = arrays.array_side(first, codes[m, 0], s, one, g, b, ko, r, y, x)
        tile = k.tile_side(first, s[k.S_TAPS], g, b, ko, r, y, x)
        f = k.footprint(first, arr.partial, tile.w_pad, tile.i_pad, tile.o_pad, n.w, n.i, n.o)
        usable = arr.usable and ((n.a, n.k, n.r)[order] > 1.0 or n.a * n.k * n.r <= 1.0)
        for j in range(c.shape[0]):
            own = c[j]
            seconds[m, j] = np.inf
            joules[m, j] = np.inf
            if not (usable and k.fits(own, f)):
                continue
            links = prune.transfers_of(own, order, n, vol)
            low = prune.bound(own, arr, s[k.S_O], prune.ends_s(own, tile), links)
            if k.keys(low.seconds, low.joules, objective)[0] > best[j] * margin:
                continue
            out = k.class_side(own, order, arr, tile, n, vol)
            if out.allowed:
                seconds[m, j] = out.latency_s
                joules[m, j] = out.energy_j
                best[j] = min(best[j], k.keys(out.latency_s, out.energy_j, objective)[0])


def _evaluation(version: int) -> Function:
    """The evaluation, bound to the cost functions of ``version`` (see :mod:`.tools.stamp`)."""

    def evaluate(  # type: ignore[no-untyped-def]
        c, objective, spatial, tiles, codes, sizes, align, nest, best, seconds, joules
    ):
        """Fill ``seconds`` and ``joules`` (mappings x chips); all chips share a shape."""
        if version < 0:
            return
        rows, column = np.ones((7, 1, k.ROW_FIELDS)), np.ones((6, 1))
        _all(
            c, objective, spatial, tiles, codes, sizes, align, nest, best, rows,
            np.ones(6, np.int64), column, seconds, joules,
        )  # fmt: skip

    return evaluate


_evaluate = stamped(_evaluation)
