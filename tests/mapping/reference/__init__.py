"""The searches once more over NumPy arrays: oracles of the compiled ones, bit for bit.

They share the cost functions, which mean the same on numbers and on arrays, and nothing of how the
compiled loops visit, bound and skip.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dse.mapping.cost.objectives import Objective
from dse.mapping.layer import pareto
from dse.mapping.search import best, kernel
from dse.mapping.space import hierarchy
from dse.mapping.space.problem import Problem
from tests.mapping.reference.front import front_numpy
from tests.mapping.reference.levels import search_levels_numpy
from tests.mapping.reference.outer_tiles import find_entries_numpy
from tests.mapping.reference.two_level import search_numpy


@contextmanager
def over_arrays() -> Iterator[None]:
    """All searches by their references."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "search", search_numpy)
        patch.setattr(best, "search_levels", search_levels_numpy)
        patch.setattr(hierarchy, "find_entries", find_entries_numpy)
        patch.setattr(pareto, "front_of", front_numpy)
        yield


def searched_over_arrays(problem: Problem, objective: Objective) -> Any:
    """``best.search`` by its reference."""
    with over_arrays():
        return best.search(problem, objective)
