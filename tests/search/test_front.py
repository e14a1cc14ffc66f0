"""Fronts and hypervolume against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dse.search.front import hypervolume, igd_plus, non_dominated

GRID = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.integers(0, 5).map(float),
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a <= b) and np.any(a < b))


@given(GRID)
def test_non_dominated_is_the_definition(losses: np.ndarray) -> None:
    kept = non_dominated(losses)
    for i, row in enumerate(losses):
        assert kept[i] == (not any(dominates(other, row) for other in losses))


@given(GRID)
def test_hypervolume_counts_cells(losses: np.ndarray) -> None:
    """On an integer grid the volume is the number of unit cells that some row dominates."""
    width = losses.shape[1]
    limit = [6.0] * width
    cells = np.stack(np.meshgrid(*[np.arange(6)] * width, indexing="ij"), axis=-1)
    cells = cells.reshape(-1, width)
    covered = sum(bool(np.any(np.all(losses <= cell, axis=1))) for cell in cells)
    assert hypervolume(losses, limit) == pytest.approx(covered)


@given(GRID)
def test_more_designs_never_lower_the_hypervolume(losses: np.ndarray) -> None:
    limit = [6.0] * losses.shape[1]
    assert hypervolume(losses[:-1], limit) <= hypervolume(losses, limit) + 1e-9


@given(GRID)
def test_igd_plus_is_zero_for_the_front_and_never_negative(losses: np.ndarray) -> None:
    front = losses[non_dominated(losses)]
    assert igd_plus(front, front) == 0.0
    assert igd_plus(losses, front) == 0.0
    worse = front + 1.0
    assert igd_plus(worse, front) > 0.0
    assert igd_plus(front - 1.0, front) == 0.0
