"""Pareto fronts and hypervolume, all objectives as losses (less is better)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dse.search.candidate import Outcome
from dse.search.experiment import Experiment

Losses = NDArray[np.float64]


def non_dominated(losses: Losses) -> NDArray[np.bool_]:
    """Which rows of ``losses`` (n designs x m objectives) no other row dominates.

    A row dominates another if it is nowhere worse and somewhere better; equal rows all stay.
    """
    n = len(losses)
    keep = np.ones(n, dtype=bool)
    for i in range(n):
        no_worse = np.all(losses <= losses[i], axis=1)
        better = np.any(losses < losses[i], axis=1)
        keep[i] = not bool(np.any(no_worse & better))
    return keep


def hypervolume(losses: Sequence[Sequence[float]] | Losses, reference: Sequence[float]) -> float:
    """Volume dominated by the rows of ``losses`` below ``reference``.

    Exact, by slicing along the last objective (Zitzler 1999); meant for fronts of some hundred rows
    and up to six objectives.
    """
    points = np.asarray(losses, dtype=float).reshape(-1, len(reference))
    limit = np.asarray(reference, dtype=float)
    points = points[np.all(points < limit, axis=1)]
    return _volume(points, limit) if len(points) else 0.0


def _volume(points: Losses, limit: NDArray[np.float64]) -> float:
    points = np.unique(points[non_dominated(points)], axis=0)
    if points.shape[1] == 1:
        return float(limit[0] - points[:, 0].min())
    if points.shape[1] == 2:
        points = points[np.argsort(points[:, 0])]
        right = np.append(points[1:, 0], limit[0])
        return float(np.sum((right - points[:, 0]) * (limit[1] - points[:, 1])))
    points = points[np.argsort(points[:, -1])]
    levels = np.append(points[:, -1], limit[-1])
    depth = np.diff(levels)
    return float(
        sum(
            depth[i] * _volume(points[: i + 1, :-1], limit[:-1])
            for i in range(len(points))
            if depth[i] > 0
        )
    )


def igd_plus(found: Sequence[Sequence[float]] | Losses, true: Losses) -> float:
    """Mean distance of the true front's rows to what dominates or nearly dominates them.

    IGD+ (Ishibuchi et al. 2015) with every objective scaled by its range over the true front; 0 if
    every row of the true front was found.
    """
    rows = np.asarray(found, dtype=float).reshape(-1, true.shape[1])
    if len(rows) == 0:
        return float("inf")
    span = np.ptp(true, axis=0)
    span = np.where(span > 0, span, 1.0)
    worse = np.maximum(rows[None, :, :] - true[:, None, :], 0.0) / span
    return float(np.mean(np.min(np.linalg.norm(worse, axis=2), axis=1)))


def front_of(outcomes: Sequence[Outcome], experiment: Experiment) -> tuple[int, ...]:
    """Indices of the feasible, fully evaluated designs that no other such design dominates."""
    eligible = [
        index
        for index, outcome in enumerate(outcomes)
        if outcome.feasible and outcome.fidelity == experiment.fidelity and outcome.objectives
    ]
    if not eligible:
        return ()
    keep = non_dominated(losses_of([outcomes[index] for index in eligible], experiment))
    return tuple(index for index, kept in zip(eligible, keep, strict=True) if kept)


def losses_of(outcomes: Sequence[Outcome], experiment: Experiment) -> Losses:
    """Objectives as losses, one row per design."""
    return np.array(
        [
            [
                objective.loss(value)
                for objective, value in zip(
                    experiment.objectives, outcome.objectives or (), strict=True
                )
            ]
            for outcome in outcomes
        ]
    )
