"""Random checks that are short in the first tier and long by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

#: What a check may do that draws big cases and throws many away.
ROUGH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def numbers_of_cases(first: int, long: int) -> pytest.MarkDecorator:
    """Runs a test with ``cases=first``, and in the long tier with ``cases=long``."""
    several = (
        pytest.param(first, id="first"),
        pytest.param(long, id="long", marks=pytest.mark.long),
    )
    return pytest.mark.parametrize("cases", several)


def check_cases(check: Callable[..., Any], cases: int, **drawn: SearchStrategy[Any]) -> list[Any]:
    """What ``check`` says of each of so many random cases, the same ones every time."""
    said: list[Any] = []

    def one(**case: Any) -> None:
        said.append(check(**case))

    one.__name__ = check.__name__  # of which the cases are derived
    settings(max_examples=cases, suppress_health_check=ROUGH)(given(**drawn)(one))()
    return said
