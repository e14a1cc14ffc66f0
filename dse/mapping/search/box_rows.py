"""What no tile size of a range can get below: rows of :mod:`dse.mapping.cost.tile_rows`, of whole
intervals of sizes at once.

A *box* is an interval of whole numbers for the buffer tile of each dim. Its row has in each field
the least value of all sizes in the interval, so that every cost that grows with its fields is a
lower bound of what any tiling in the box costs. An interval of one size has its exact row.
"""

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
)
from dse.mapping.cost.tile_rows import fill_row, span
from dse.mapping.tools.compiling import shared


@shared
def least_lines(size: float, full: float, f: float, stride: float, dilation: float) -> float:
    """Fewest input lines of all tiles, each fetched whole, of at least ``full`` full ones.

    Of ``t`` outputs and ``f`` taps a tile touches ``t f - max(0, t - dilation) max(0, f - stride)``
    lines; the ``max(0, t - dilation)`` of all tiles add up to ``size - full * dilation`` at most.
    """
    return size * f - max(0.0, f - stride) * max(0.0, size - full * dilation)


@shared
def fill_box(
    row: Any, d: int, low: Any, high: Any, sizes: Any, align: Any, s: Any, nest: Any
) -> None:
    """Fill ``row`` for tiles of ``low`` to ``high`` of dim ``d`` (of G B K C OY OX)."""
    size = sizes[d]
    if low == high:
        fill_row(row, d, low, sizes, align, s, nest)
        return
    fewest, full = np.ceil(size / high), np.floor(size / high)
    row[R_T] = low
    row[R_PAD] = np.ceil(low / align[d]) * align[d]
    row[R_FULL] = np.ceil(row[R_PAD] / s[d])
    row[R_RAG] = row[R_NRAG] = row[R_NFULL] = 0.0
    row[R_N] = fewest
    padded = np.ceil(size / align[d]) * align[d]
    # All but one of the tiles are full, and the last takes a step.
    row[R_STEPS] = max(np.ceil(padded / s[d]), (fewest - 1.0) * row[R_FULL] + 1.0)
    row[R_LAST] = 1.0
    if np.ceil(size / low) == fewest:
        row[R_LAST] = max(1.0, size - (fewest - 1.0) * high)
    row[R_SPAN], row[R_SPANS], row[R_SLIDE] = 1.0, fewest, 1.0
    if d < 4:
        return
    f, stride, dilation = s[S_FY + d - 4], nest[2 * d - 6], nest[2 * d - 5]
    row[R_SPAN] = span(low, f, stride, dilation)
    row[R_SPANS] = least_lines(size, full, f, stride, dilation)
    if f < nest[d - 4]:
        cuts = np.floor(nest[d - 4] / f)
        left = nest[d - 4] - cuts * f
        more = least_lines(size, full, left, stride, dilation)
        row[R_SPANS] = cuts * row[R_SPANS] + more
        row[R_SLIDE] = row[R_SPANS]
        return
    row[R_SLIDE] = span(size, f, stride, dilation)
