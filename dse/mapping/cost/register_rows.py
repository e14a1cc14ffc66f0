"""What the passes of an array with operand registers cover, dim by dim."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.costs import (
    R_FIRST,
    R_HELD,
    R_HELD_SLIDE,
    R_N,
    R_PAD,
    R_PASSES,
    R_SEEN,
    R_SEEN_SLIDE,
    R_SHARES,
    R_T,
    S_FX,
)
from dse.mapping.cost.tile_rows import span
from dse.mapping.tools.compiling import shared


@shared
def piece(whole: Any, part: Any, number: int) -> tuple[Any, Any]:
    """Size and count of the full parts (``number`` 0) or of the ragged last one (1) of a cut."""
    full = np.floor(whole / part)
    left = whole - full * part
    if number == 0:
        return part, full
    return left, 1.0 if left > 0.0 else 0.0


@shared
def shares(covered: Any, factor: Any) -> Any:
    """PEs that hold a share when ``factor`` PEs divide ``covered`` of a dim evenly."""
    return np.ceil(covered / np.ceil(covered / factor))


@shared
def slid(outputs: Any, step: Any, taps: Any, stride: Any, dilation: Any) -> Any:
    """Input lines of all steps of ``step`` outputs, each keeping those of the step before."""
    full = np.floor(outputs / step)
    left = outputs - full * step
    if full < 1.0:
        return span(left, taps, stride, dilation)
    one = span(step, taps, stride, dilation)
    lines = one + (full - 1.0) * (span(2.0 * step, taps, stride, dilation) - one)
    if left > 0.0:
        lines += span(step + left, taps, stride, dilation) - one
    return lines


@shared
def windows(
    outputs: float, filt: float, tap: float, so: float, uo: float, sf: float, uf: float,
    stride: float, dilation: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Input lines of the passes over one tile of ``outputs``, the filter cut into tiles of ``tap``.

    ``so``, ``sf`` are factors and ``uo``, ``uf`` register tiles of outputs and taps.

    Returns:
        lines seen by the array, without and with those kept from pass to pass; lines held by PEs,
        in the same way. PEs keep lines only where one PE works along the outputs.
    """
    seen = seen_slide = held = held_slide = 0.0
    for a in range(2):
        taps, tap_tiles = piece(filt, tap, a)
        for b in range(2):
            f, passes = piece(taps, sf * uf, b)
            times = tap_tiles * passes
            if times <= 0.0 or f <= 0.0:
                continue
            own = np.ceil(f / sf)
            seen_slide += times * slid(outputs, uo, f, stride, dilation)
            for e in range(2):
                of, count = piece(f, own, e)
                held_slide += times * count * slid(outputs, uo, of, stride, dilation)
            for d in range(2):
                w, steps = piece(outputs, so * uo, d)
                if steps <= 0.0:
                    continue
                seen += times * steps * span(w, f, stride, dilation)
                part = np.ceil(w / so)
                for e in range(2):
                    of, many = piece(f, own, e)
                    for h in range(2):
                        ow, count = piece(w, part, h)
                        lines = span(ow, of, stride, dilation)
                        held += times * steps * many * count * lines
    if so > 1.0:
        return seen, seen, held, held
    return seen, seen_slide, held, held_slide


@shared
def fill_passes(
    rows: Any, lengths: Any, sizes: Any, align: Any, s: Any, u: Any, nest: Any, q: Any
) -> None:
    """Fill the register fields of ``rows[dim, candidate]`` and ``q`` for one unrolling ``s`` and
    register tile ``u`` (sizes of G B K C OY OX FY FX)."""
    for d in range(6):
        for j in range(lengths[d]):
            row = rows[d, j]
            t, padded = row[R_T], row[R_PAD]
            left = sizes[d] - np.floor(sizes[d] / t) * t
            full = row[R_N] - (1.0 if left > 0.0 else 0.0)
            ragged = np.ceil(left / align[d]) * align[d]
            p = s[d] * u[d]
            row[R_PASSES] = full * np.ceil(padded / p) + np.ceil(ragged / p)
            first = shares(min(t, p), s[d])
            row[R_FIRST] = full * first
            row[R_SHARES] = full * _shares_of(t, p, s[d])
            if left > 0.0:
                row[R_FIRST] += shares(min(left, p), s[d])
                row[R_SHARES] += _shares_of(left, p, s[d])
            if d >= 4:
                f, filt, tap = d + 2, nest[d - 4], s[S_FX + d - 5]
                stride, dilation = nest[2 * d - 6], nest[2 * d - 5]
                one = windows(t, filt, tap, s[d], u[d], s[f], u[f], stride, dilation)
                two = (0.0, 0.0, 0.0, 0.0)
                if left > 0.0:
                    two = windows(left, filt, tap, s[d], u[d], s[f], u[f], stride, dilation)
                row[R_SEEN] = full * one[0] + two[0]
                row[R_SEEN_SLIDE] = full * one[1] + two[1]
                row[R_HELD] = full * one[2] + two[2]
                row[R_HELD_SLIDE] = full * one[3] + two[3]
    q[0] = q[1] = 1.0
    for f in range(2):
        passes = held = 0.0
        for a in range(2):
            taps, tiles = piece(nest[f], s[S_FX - 1 + f], a)
            if taps > 0.0 and tiles > 0.0:
                passes += tiles * np.ceil(taps / (s[6 + f] * u[6 + f]))
                held += tiles * _shares_of(taps, s[6 + f] * u[6 + f], s[6 + f])
        q[0] *= passes
        q[1] *= held
    q[2] = sizes[0] * sizes[1] * sizes[3]


@shared
def _shares_of(size: Any, covered: Any, factor: Any) -> Any:
    """Shares that PEs hold over all passes of a tile of ``size``."""
    full = np.floor(size / covered)
    left = size - full * covered
    out = full * shares(covered, factor)
    if left > 0.0:
        out += shares(left, factor)
    return out
