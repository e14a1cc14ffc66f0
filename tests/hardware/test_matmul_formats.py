"""Matrix products at rates of their own by format."""

from __future__ import annotations

from typing import Any

import pytest

import dse
from dse.errors import InputError


def test_matrix_products_at_8_bit_are_no_faster_where_the_unit_is_so() -> None:
    """Convolutions keep their rates; of what is missing ``matmul_rate`` holds."""
    slow: dict[str, Any] = {"array__matmul_rate": 0.25}
    same: dict[str, Any] = {"array__matmul_formats": {"int8": 0.25, "int16": 0.25}}
    apart, alike = (dse.load_chip("edge_vision", **values) for values in (slow, slow | same))
    assert apart.array.matmul_rates["int8xint8"] == 0.25
    assert alike.array.matmul_rates["int8xint8"] == alike.array.matmul_rates["int16xint16"] == 0.25
    assert apart.array.matmul_rates["int16xint16"] < 0.25
    assert alike.array.rates == apart.array.rates


def test_a_rate_above_that_of_its_format_is_refused() -> None:
    with pytest.raises(InputError, match="matmul_formats"):
        dse.load_chip("edge_vision", array__matmul_formats={"int8": 64.0})
