"""The table of dataflows: all ways of working on a tile, from which everything else is derived.

A new one is an entry here, its branch in :func:`dse.mapping.cost.arrays.array_side` (or its own
side function), and its walk among the oracles (``tests/mapping/oracle.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: The name that stands for all flows of an array with registers.
ANY = "rs"


class Flow(NamedTuple):
    """One way of working on a tile; kernels know it by its place in :data:`FLOWS`.

    Attributes:
        name: as chips and pins say it.
        stays: the operand that stays in the array while the others pass.
        blocks: whether partial sums of a tile stay in accumulators beside the array, in blocks of
            them; else they are in the buffer (or, where they are what stays, in the units).
        registers: whether operands are held in registers of the units.
    """

    name: str
    stays: str
    blocks: bool = False
    registers: bool = False


FLOWS = (
    Flow("ws", "W", blocks=True),
    Flow("os", "O"),
    Flow("is", "I", blocks=True),
    Flow("ws", "W"),
    Flow("is", "I"),
    Flow("ws", "W", registers=True),
    Flow("os", "O", registers=True),
    Flow("is", "I", registers=True),
)
#: Names, by code.
DATAFLOWS = tuple(flow.name for flow in FLOWS)
#: Codes, for the kernels.
WS_BLOCKS, OS, IS_BLOCKS, WS, IS, WS_REGISTERS, OS_REGISTERS, IS_REGISTERS = range(len(FLOWS))
#: By code: the same flow without blocks (itself where there are none), which is never dearer.
UNBLOCKED = tuple(
    next(code for code, other in enumerate(FLOWS) if other == flow._replace(blocks=False))
    for flow in FLOWS
)
#: What stays, in words, by name.
STAYS = {
    flow.name: {"W": "weights stay", "O": "sums stay", "I": "inputs stay"}[flow.stays]
    for flow in FLOWS
}


def flow_codes(names: Iterable[str], *, registers: bool, accumulators: bool) -> list[int]:
    """Codes of the flows that an array has, in the order of their names.

    With accumulators partial sums may stay there or go to the buffer.
    """
    found = [
        code
        for name in names
        for code, flow in enumerate(FLOWS)
        if flow.registers == registers
        and flow.name == (flow.name if name == ANY and registers else name)
        and (accumulators or not flow.blocks)
    ]
    return list(dict.fromkeys(found))
