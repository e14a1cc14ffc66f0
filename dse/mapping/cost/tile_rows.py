"""What the tiles of a dim are, as rows of numbers: sizes, counts, input lines that they span."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    R_FULL,
    R_LAST,
    R_N,
    R_NFULL,
    R_NRAG,
    R_PAD,
    R_RAG,
    R_SLIDE,
    R_SPAN,
    R_SPANS,
    R_STEPS,
    R_T,
    S_FY,
    S_O,
    S_TAP_TILES,
    S_W,
)
from dse.mapping.cost.records import TileCounts, Volumes
from dse.mapping.tools.compiling import shared, smaller


@shared
def span(t: float, f: float, stride: float, dilation: float) -> float:
    """Distinct input rows that ``t`` outputs and ``f`` taps touch (stride, dilation coprime)."""
    return t * f - max(0.0, t - dilation) * max(0.0, f - stride)


@shared
def fill_row(row: Any, d: int, t: Any, sizes: Any, align: Any, s: Any, nest: Any) -> None:
    """Fill the fields of ``row`` for tiles of ``t`` of dim ``d`` (of G B K C OY OX)."""
    full = np.floor(sizes[d] / t)
    rag = sizes[d] - full * t
    row[R_T] = t
    row[R_PAD] = np.ceil(t / align[d]) * align[d]
    row[R_FULL] = np.ceil(row[R_PAD] / s[d])
    row[R_RAG] = np.ceil(np.ceil(rag / align[d]) * align[d] / s[d])
    row[R_NFULL] = full
    row[R_NRAG] = 1.0 if rag > 0.0 else 0.0
    row[R_N] = full + row[R_NRAG]
    row[R_STEPS] = full * row[R_FULL] + row[R_RAG]
    row[R_LAST] = rag if rag > 0.0 else t
    row[R_SPAN] = 1.0
    row[R_SPANS] = row[R_N]
    row[R_SLIDE] = 1.0
    if d < 4:
        return
    f, stride, dilation = s[S_FY + d - 4], nest[2 * d - 6], nest[2 * d - 5]
    row[R_SPAN] = span(t, f, stride, dilation)
    row[R_SPANS] = full * row[R_SPAN] + span(rag, f, stride, dilation)
    if f < nest[d - 4]:  # the filter is cut: no line is kept from tile to tile
        cuts = np.floor(nest[d - 4] / f)
        left = nest[d - 4] - cuts * f
        more = full * span(t, left, stride, dilation) + span(rag, left, stride, dilation)
        row[R_SPANS] = cuts * row[R_SPANS] + more
        row[R_SLIDE] = row[R_SPANS]
        return
    row[R_SLIDE] = row[R_SPAN] + (full - 1.0) * (span(2.0 * t, f, stride, dilation) - row[R_SPAN])
    if rag > 0.0:
        row[R_SLIDE] += span(t + rag, f, stride, dilation) - row[R_SPAN]


@shared
def fill_whole(whole: Any, sizes: Any, align: Any, s: Any, nest: Any) -> None:
    """Fill ``whole[dim]`` for the uncut dims, which need not be among the tile sizes tried."""
    for d in range(6):
        fill_row(whole[d], d, sizes[d], sizes, align, s, nest)


@shared
def fill_rows(
    rows: Any, sizes: Any, tiles: Any, lengths: Any, align: Any, s: Any, nest: Any
) -> None:
    """Fill ``rows[dim, candidate, field]`` for one unrolling and filter tile ``s``.

    ``nest`` is FY, FX, then stride and dilation of y and x, reduced by their common divisor.
    """
    for d in range(6):
        for j in range(lengths[d]):
            fill_row(rows[d, j], d, tiles[d, j], sizes, align, s, nest)


@shared
def tile_counts(s: Any, g: Any, b: Any, k: Any, r: Any, y: Any, x: Any) -> Any:
    """The :class:`TileCounts` of rows of G, B, K, C, OY, OX."""
    a, sums = b[R_N] * y[R_N] * x[R_N], r[R_N] * s[S_TAP_TILES]
    w, i, o = g[R_N] * k[R_N] * sums, g[R_N] * a * sums, g[R_N] * a * k[R_N]
    return TileCounts(w, i, o, a, k[R_N], sums, w * a)


@shared
def volumes(sizes: Any, s: Any, y: Any, x: Any) -> Any:
    """The :class:`Volumes` of rows of OY and OX."""
    deep = sizes[0] * sizes[1] * sizes[3]
    kept = smaller(y[R_SLIDE] * x[R_SPANS], y[R_SPANS] * x[R_SLIDE])
    return Volumes(s[S_W], deep * (y[R_SPANS] * x[R_SPANS]), s[S_O], deep * kept)
