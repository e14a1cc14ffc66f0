"""The one table of dataflows: what is derived of it, and that all who name one know the same."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from dse.hardware.core import Dataflow
from dse.hardware.options import LegalitySpec
from dse.mapping.cost.flows import ANY, DATAFLOWS, FLOWS, STAYS, UNBLOCKED, flow_codes
from dse.mapping.given.pins import Pin


def words(model: type, field: str) -> set[str]:
    """The words that a field of a file may take."""
    hint = get_type_hints(model)[field]
    return {word for part in get_args(hint) for word in get_args(part)}


def test_chips_pins_and_profiles_name_those_of_the_table() -> None:
    assert set(get_args(Dataflow)) == {*DATAFLOWS, ANY}
    assert words(Pin, "dataflow") == set(DATAFLOWS)
    assert words(LegalitySpec, "dataflow") == set(DATAFLOWS)
    assert set(STAYS) == set(DATAFLOWS)


def test_the_flow_without_blocks_is_the_same_otherwise() -> None:
    for flow, code in zip(FLOWS, UNBLOCKED, strict=True):
        other = FLOWS[code]
        assert (other.name, other.stays, other.registers) == (flow.name, flow.stays, flow.registers)
        assert not other.blocks
        assert flow.blocks or other is flow
    assert len(set(FLOWS)) == len(FLOWS)


@pytest.mark.parametrize(
    ("names", "registers", "accumulators", "codes"),
    [
        (("ws", "os"), False, True, [0, 3, 1]),
        (("os", "is"), False, True, [1, 2, 4]),
        (("ws", "is", "os"), False, False, [3, 4, 1]),
        (("is", "ws"), True, False, [7, 5]),
        ((ANY,), True, True, [5, 6, 7]),
        ((ANY, "ws"), True, False, [5, 6, 7]),
        ((ANY,), False, True, []),
    ],
)
def test_codes_of_an_array(
    names: tuple[str, ...], registers: bool, accumulators: bool, codes: list[int]
) -> None:
    assert flow_codes(names, registers=registers, accumulators=accumulators) == codes
