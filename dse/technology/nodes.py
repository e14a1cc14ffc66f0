"""Names of process nodes: which exist, which may be designed with, how a user writes them."""

from __future__ import annotations

import re

from dse.errors import InputError

#: Nodes a design may use, coarse to fine (nm).
NODES: tuple[int, ...] = (28, 22, 16, 12, 10, 7, 6, 5, 4, 3, 2)
#: Nodes priced only so that published chips can be compared (nm).
VALIDATION_NODES: tuple[int, ...] = (65, 45, 40, 20, 14, 8)
#: All priced nodes, coarse to fine (nm).
ALL_NODES: tuple[int, ...] = tuple(sorted(NODES + VALIDATION_NODES, reverse=True))

_NAME = re.compile(r"n?(\d+(?:\.\d+)?)\s*(?:nm)?", re.IGNORECASE)


def allowed_text() -> str:
    """The list of nodes for an error message."""
    design = ", ".join(f"{n}nm" for n in NODES)
    return f"use one of {design} (validation only: {', '.join(f'{n}nm' for n in VALIDATION_NODES)})"


def parse_node(node: str | int | float, *, validation: bool = True) -> int:
    """The node in nanometres meant by ``7``, ``"7"``, ``"7nm"`` or ``"N7"``.

    Args:
        node: what the user wrote.
        validation: accept the validation-only nodes too.

    Raises:
        InputError: for anything that is not a priced node; names the allowed ones.
    """
    match = _NAME.fullmatch(str(node).strip()) if not isinstance(node, bool) else None
    if match is None:
        raise InputError(f"{node!r} is not a process node", field="node", mend=allowed_text())
    size = float(match.group(1))
    if not size.is_integer() or int(size) not in ALL_NODES:
        raise InputError(f"there is no {size:g} nm node", field="node", mend=allowed_text())
    if not validation and int(size) not in NODES:
        raise InputError(
            f"the {size:g} nm node is for validation only", field="node", mend=allowed_text()
        )
    return int(size)
