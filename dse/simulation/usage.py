"""How busy every shared resource is over time, and which one holds the chip back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dse.simulation.fabric import Trail
from dse.simulation.plan import SHARED, Seg
from dse.simulation.task import Usage

Floats = NDArray[np.float64]


def resources(names: Sequence[str]) -> tuple[str, ...]:
    """All shared resources in the order of ``Seg.use``: the links, the host, core network."""
    return (*SHARED, *names)


def usage(
    trails: Sequence[Trail],
    names: Sequence[str],
    spans: Sequence[Sequence[tuple[float, float]]],
    horizon_s: float,
) -> Usage:
    """Share of every resource in use from time to time.

    Args:
        trails: per core, what ran from when on and how fast.
        names: of the resources of the core network.
        spans: per core, when it was busy.
    """
    labels = resources(names)
    times = [np.asarray([time for time, _, _ in trail]) for trail in trails]
    borders = [np.asarray([t for span in one for t in span]) for one in spans]
    joint = np.unique(np.concatenate([np.array([0.0, horizon_s]), *times, *borders]))
    edges = joint[joint <= horizon_s]
    starts = edges[:-1]
    shares = np.zeros((len(labels), len(starts)))
    for trail, when in zip(trails, times, strict=True):
        if not trail:
            continue
        rows = np.zeros((len(trail) + 1, len(labels)))  # the last row: nothing yet
        for number, (_, seg, speed) in enumerate(trail):
            if seg is not None:
                rows[number, : len(seg.use)] = np.asarray(seg.use) * speed
        where = np.searchsorted(when, starts, side="right") - 1
        shares += rows[where].T
    used = {name: row for name, row in zip(labels, shares, strict=True) if row.any()}
    for core, one in enumerate(spans):
        busy = np.zeros(len(starts))
        for start, end in one:
            busy[np.searchsorted(starts, start) : np.searchsorted(starts, end)] = 1.0
        if one:
            used[f"core{core}"] = busy
    return Usage(
        tuple(edges.tolist()), {name: tuple(row.tolist()) for name, row in sorted(used.items())}
    )


def window_means(edges: Floats, values: Floats, borders: Floats) -> Floats:
    """Mean of piecewise-constant ``values`` (between ``edges``) between ``borders``."""
    total = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
    means: Floats = np.diff(np.interp(borders, edges, total)) / np.diff(borders)
    return means


def network_busy_s(segs: Sequence[Seg], names: Sequence[str]) -> Mapping[str, float]:
    """Seconds that each resource of the core network was in use at full rate."""
    out = dict.fromkeys(names, 0.0)
    for seg in segs:
        for name, share in zip(names, seg.use[len(SHARED) :], strict=False):
            out[name] += seg.steps * seg.step_s * share
    return out
