"""How many dies a wafer holds, and what shape a die has under the exposure field.

Dies stand on one grid, the same over the whole wafer: saw lines and stepper fields are straight.
The grid may lie anywhere against the wafer's centre, and the best place is taken, as fabs do.
"""

from __future__ import annotations

import math

import numpy as np

from dse.registry import cached

#: Places of the grid's rows against the centre that are tried, over half a pitch (the other half
#: mirrors it). Along a row the best place is exact; more rows than these gain one die in 50,000.
_ROW_PLACES = 9


def die_sides_mm(area_mm2: float, field_mm: tuple[float, float]) -> tuple[float, float]:
    """Width and height of a die: square, or as wide as the field's shorter side allows, mm."""
    width = min(math.sqrt(area_mm2), min(field_mm))
    return width, area_mm2 / width


@cached(4096)
def gross_dies(width_mm: float, height_mm: float, scribe_mm: float, usable_mm: float) -> int:
    """Whole dies on the usable disc of diameter ``usable_mm``, a scribe line between neighbours.

    A row whose farther edge is y from the centre has the chord 2 w = 2 sqrt(R^2 - y^2). With the
    grid's columns at the place t (0 to 1 pitch) it holds the dies k with -w <= (k + t) p and
    (k + t) p + width <= w: one more from t = frac(-w/p) on, one less beyond frac((w - width)/p).
    So the best t is where one of the rows gains a die. A grid of smaller dies in the same place
    holds no fewer, so the count never rises with the size of the die.
    """
    radius = 0.5 * usable_mm
    across, along = width_mm + scribe_mm, height_mm + scribe_mm
    rows = int(radius / along) + 2
    places = np.arange(_ROW_PLACES) * (0.5 / (_ROW_PLACES - 1))
    bottom = (np.arange(-rows, rows)[None, :] + places[:, None]) * along
    edge = np.maximum(-bottom, bottom + height_mm)
    half = np.sqrt(np.maximum(radius * radius - edge * edge, 0.0))
    best = 0
    for chord in half:
        held = chord[2.0 * chord >= width_mm]
        first, last = -held / across, (held - width_mm) / across
        fewest = int(np.sum(np.floor(last) - np.floor(first)))
        gains, losses = np.sort(first - np.floor(first)), np.sort(last - np.floor(last))
        more = np.arange(1, len(gains) + 1) - np.searchsorted(losses, gains, side="left")
        best = max(best, fewest + max(int(more.max(initial=0)), 0))
    return best
