"""How wide what feeds an array is: as a document says, or as wide as the array needs it.

A width of a chip file is a number, which stays whatever the array becomes, or null: then it follows
the array, by so much a row and a column (block ``widths``, from the template). This is the one
place where null becomes a number; everything further down asks :func:`widths_of`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from dse.hardware.sections import ArraySpec, BufferSpec, VectorSpec
from dse.ranges import PerSide, WidthTimes
from dse.schema import Strict


class WidthRule(Strict):
    """What a width comes to that follows the array: bytes (or lanes) a row and a column.

    ``depth``: each unit along the array's depth counts as a row (a column) of its own. ``times``:
    multiple of all that, the width relative to the array, for a search to turn.
    """

    per_row: PerSide = 0.0
    per_col: PerSide = 0.0
    depth: bool = False
    times: WidthTimes = 1.0

    def of(self, rows: int, cols: int, depth: int) -> float:
        """The width at an array of that size."""
        deep = depth if self.depth else 1
        return self.times * deep * (self.per_row * rows + self.per_col * cols)

    @property
    def told(self) -> str:
        """``1 a row + 1 a column``, as people read it."""
        parts = [
            f"{amount:g} a {side}"
            for amount, side in ((self.per_row, "row"), (self.per_col, "column"))
            if amount
        ]
        text = " + ".join(parts)
        if self.depth:
            text = f"({text}) x depth" if len(parts) > 1 else f"{text} x depth"
        return text if self.times == 1.0 else f"{self.times:g} x ({text})"


class WidthsSpec(Strict):
    """Rules of the widths that are null elsewhere in the file.

    ``read``, ``write``: the ports of the buffer. ``inputs``, ``weights``, ``results``, ``sums``,
    ``fill``, ``fetch``: ports of one operand or use (``buffer.input_bytes_per_cycle`` ...), which
    without a rule are as wide as those. ``lanes``: of the vector unit. ``accumulators``: bytes of
    partial sums beside the array.
    """

    read: WidthRule = WidthRule()
    write: WidthRule = WidthRule()
    inputs: WidthRule = WidthRule()
    weights: WidthRule = WidthRule()
    results: WidthRule = WidthRule()
    sums: WidthRule = WidthRule()
    fill: WidthRule = WidthRule()
    fetch: WidthRule = WidthRule()
    lanes: WidthRule = WidthRule()
    accumulators: WidthRule = WidthRule()


#: Field of each width, by the name of its rule, and its unit.
FIELDS = {
    "read": ("buffer.read_bytes_per_cycle", "bytes a cycle"),
    "write": ("buffer.write_bytes_per_cycle", "bytes a cycle"),
    "inputs": ("buffer.input_bytes_per_cycle", "bytes a cycle"),
    "weights": ("buffer.weight_bytes_per_cycle", "bytes a cycle"),
    "results": ("buffer.result_bytes_per_cycle", "bytes a cycle"),
    "sums": ("buffer.sum_bytes_per_cycle", "bytes a cycle"),
    "fill": ("buffer.fill_bytes_per_cycle", "bytes a cycle"),
    "fetch": ("buffer.fetch_bytes_per_cycle", "bytes a cycle"),
    "lanes": ("vector.lanes", "lanes"),
    "accumulators": ("array.accumulator_bytes", "bytes"),
}
#: Widths that are whole numbers: a part of a lane or byte is a whole one.
WHOLE = ("lanes", "accumulators")
#: Widths that a chip need not have: what they would carry then passes the ports of all.
SHARED = ("inputs", "weights", "results", "sums", "fill", "fetch")


class Core(Protocol):
    """The blocks of a chip file that make a core."""

    @property
    def array(self) -> ArraySpec: ...
    @property
    def buffer(self) -> BufferSpec: ...
    @property
    def vector(self) -> VectorSpec: ...
    @property
    def widths(self) -> WidthsSpec: ...


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of a core as numbers: bytes a cycle (0: no port of its own), lanes, bytes."""

    read: float
    write: float
    inputs: float
    weights: float
    results: float
    sums: float
    fill: float
    fetch: float
    lanes: int
    accumulators: int


def widths_of(core: Core) -> Widths:
    """The widths of a chip's core (of its own kind, if it has several)."""
    found: dict[str, Any] = {name: _width(core, name) for name in FIELDS}
    whole = {name: int(found[name]) for name in ("lanes", "accumulators")}
    return Widths(**found | whole)


def stated(core: Core, name: str) -> float | None:
    """The number that a chip gives for a width; None if it follows the array."""
    block, _, field = FIELDS[name][0].partition(".")
    value: float | None = getattr(getattr(core, block), field)
    return value


def _width(core: Core, name: str) -> float:
    value = stated(core, name)
    if value is not None:
        return value
    rule: WidthRule = getattr(core.widths, name)
    array = core.array
    found = rule.of(array.rows, array.cols, array.depth)
    return max(1.0, math.ceil(found - 1e-9)) if name in WHOLE else found


def missing_rule(core: Core) -> str | None:
    """What is wrong with a chip whose width follows the array by a rule that gives nothing."""
    for name, (path, _) in FIELDS.items():
        rule: WidthRule = getattr(core.widths, name)
        wanted = name not in SHARED and stated(core, name) is None
        if wanted and not (rule.per_row or rule.per_col):
            return (
                f"{path} is null, so it follows the array, but widths.{name} says nothing of a "
                f"row or column; give {path} a number, or widths.{name} a per_row or per_col"
            )
    return None


def width_numbers(core: Core) -> dict[str, float]:
    """Every width by its field; 0 where the core has no such port (or no accumulators)."""
    width = widths_of(core)
    return {path: getattr(width, name) for name, (path, _) in FIELDS.items()}


def width_rows(core: Core) -> list[dict[str, object]]:
    """The widths as a table: field, value (null: none of its own), unit, and why it is so wide.

    A value that an override gives counts as the file's own.
    """
    width = widths_of(core)
    return [
        {
            "field": path,
            "value": getattr(width, name) or (None if name in SHARED else 0),
            "unit": unit,
            "follows_array": stated(core, name) is None,
            "why": _why(core, name),
        }
        for name, (path, unit) in FIELDS.items()
    ]


def _why(core: Core, name: str) -> str:
    rule: WidthRule = getattr(core.widths, name)
    if stated(core, name) is not None:
        return "fixed by the chip file"
    if not (rule.per_row or rule.per_col):
        return "as wide as the ports of all"
    return f"follows the array: {rule.told}"
