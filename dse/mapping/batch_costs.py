"""Mappings of a table on many chips of one array shape, evaluated in one compiled pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.mapping import arrays, kernel
from dse.mapping import costs as k
from dse.mapping.candidates import FloatArray
from dse.mapping.compiling import Function, compiled
from dse.mapping.problem import Problem


def costs_of(problem: Problem, rows: Sequence[tuple[int, ...]], c: FloatArray) -> Any:
    """Latency and energy (rows x chips) of mappings given by their indices; inf if too large."""
    spatial = problem.spatial[[row[0] for row in rows]]
    tiles = np.array([[problem.tiles[d, row[1 + d]] for d in range(6)] for row in rows], np.float64)
    codes = np.array([(problem.flows[row[7]], row[8]) for row in rows], np.int64)
    seconds = np.empty((len(rows), len(c)))
    joules = np.empty((len(rows), len(c)))
    _evaluate(
        np.ascontiguousarray(c), spatial, tiles, codes, problem.dims, problem.align, problem.nest,
        seconds, joules,
    )  # fmt: skip
    return seconds, joules


def _evaluation(version: int) -> Function:
    """The evaluation, bound to the cost functions of ``version`` (see ``kernel.py``)."""

    def evaluate(  # type: ignore[no-untyped-def]
        c, spatial, tiles, codes, sizes, align, nest, seconds, joules
    ):
        """Fill ``seconds`` and ``joules`` (mappings x chips); all chips share a shape."""
        if version < 0:
            return
        rows = np.ones((7, 1, k.ROW_FIELDS))
        one = rows[6, 0]
        one[k.R_RAG] = 0.0
        one[k.R_NRAG] = 0.0
        lengths = np.ones(6, np.int64)
        for m in range(spatial.shape[0]):
            s = spatial[m]
            kernel.fill_rows(rows, sizes, tiles[m].copy().reshape(6, 1), lengths, align, s, nest)
            g, b, ko = rows[0, 0], rows[1, 0], rows[2, 0]
            r, y, x = rows[3, 0], rows[4, 0], rows[5, 0]
            first = c[0]
            n = kernel.tile_counts(s, g, b, ko, r, y, x)
            vol = kernel.volumes(sizes, s, y, x)
            arr = arrays.array_side(first, codes[m, 0], s, one, g, b, ko, r, y, x)
            tile = k.tile_side(first, s[k.S_TAPS], g, b, ko, r, y, x)
            f = k.footprint(first, arr[5], tile[3], tile[4], tile[5], n)
            for j in range(c.shape[0]):
                seconds[m, j] = np.inf
                joules[m, j] = np.inf
                if arr[6] and k.fits(c[j], f):
                    out = k.class_side(c[j], codes[m, 1], arr, tile, n, vol)
                    if out[2]:
                        seconds[m, j] = out[0]
                        joules[m, j] = out[1]

    return evaluate


_evaluate = compiled(_evaluation(kernel.version_of(k, arrays, kernel)))
