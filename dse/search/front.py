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
    if len(losses) < 2:
        return np.ones(len(losses), dtype=bool)
    if losses.shape[1] == 1:
        return np.asarray(losses[:, 0] == losses[:, 0].min())
    from moocore import is_nondominated

    return np.asarray(is_nondominated(losses, keep_weakly=True), dtype=bool)


def hypervolume(losses: Sequence[Sequence[float]] | Losses, reference: Sequence[float]) -> float:
    """Volume dominated by the rows of ``losses`` below ``reference``, exactly (1 to 6 objectives).

    By the dimension sweep of Fonseca, Paquete and Lopez-Ibanez (2006) as in the library moocore.
    """
    points = np.asarray(losses, dtype=float).reshape(-1, len(reference))
    limit = np.asarray(reference, dtype=float)
    points = points[np.all(points < limit, axis=1)]
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(limit[0] - points[:, 0].min())
    from moocore import hypervolume as exact

    return float(exact(points, ref=limit))


def igd_plus(found: Sequence[Sequence[float]] | Losses, true: Losses) -> float:
    """Mean distance of the true front's rows to what dominates or nearly dominates them.

    IGD+ (Ishibuchi et al. 2015) with every objective scaled by its range over the true front; 0 if
    every row of the true front was found.
    """
    rows = np.asarray(found, dtype=float).reshape(-1, true.shape[1])
    if len(rows) == 0:
        return float("inf")
    from moocore import igd_plus as exact

    span = np.ptp(true, axis=0)
    span = np.where(span > 0, span, 1.0)
    return float(exact(rows / span, ref=true / span))


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
