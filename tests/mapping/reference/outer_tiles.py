"""``find_entries`` over arrays of all L2 tiles at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.cost.outer_tiles import outer_bytes, outer_moves
from dse.mapping.cost.units import (
    E_JOULES,
    E_MASK,
    E_ORDER,
    E_SECONDS,
    E_TILES,
    E_WIDE,
    ENTRY_FIELDS,
)


def find_entries_numpy(
    cs: Any, ways: Any, room: float, taps: float, whole: Any, sizes: Any,
    pads: Any, spans: Any, counts: Any, cells: Any, shape: Any,
) -> Any:  # fmt: skip
    """See ``outer_tiles.find_entries``."""
    rows = [np.zeros((0, ENTRY_FIELDS))]
    shape = tuple(int(n) for n in shape)
    lines = (spans[0, : shape[4], None], spans[1, : shape[5]])
    for mask, wide in ways.tolist():
        need = outer_bytes(
            cs[0], mask, bool(wide), taps, along(pads, shape), lines, along(counts, shape)
        )
        fit = np.broadcast_to(need, shape) <= room
        at = np.flatnonzero(maximal(fit))
        places = np.unravel_index(at, shape)
        outs, n_k, n_c, again, kept = (table[at] for table in cells)
        for order in range(3) if len(at) else ():
            real, seconds, joules = outer_moves(
                cs[mask], mask, order, tuple(whole), outs, n_k, n_c, (kept, again)
            )
            part = np.zeros((len(at), ENTRY_FIELDS))
            part[:, E_MASK], part[:, E_WIDE], part[:, E_ORDER] = mask, wide, order
            part[:, E_SECONDS], part[:, E_JOULES] = seconds, joules
            for d in range(6):
                part[:, E_TILES + d] = sizes[d, places[d]]
            rows.append(part[real])
    return np.concatenate(rows)


def along(table: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Rows of a table by dim and candidate, each along its own axis."""
    return tuple(
        table[d, :n].reshape([n if axis == d else 1 for axis in range(6)])
        for d, n in enumerate(shape)
    )


def maximal(fit: Any) -> Any:
    """Cells that fit while no neighbour with one size larger does."""
    out = fit.copy()
    for d in range(fit.ndim):
        if fit.shape[d] > 1:
            larger = np.zeros_like(fit)
            here = [slice(None)] * fit.ndim
            there = [slice(None)] * fit.ndim
            here[d], there[d] = slice(1, None), slice(None, -1)
            larger[tuple(here)] = fit[tuple(there)]
            out &= ~larger
    return out
