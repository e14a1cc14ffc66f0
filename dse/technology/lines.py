"""Production lines: dated, named sets of nodes that a search can be restricted to."""

from __future__ import annotations

from dataclasses import dataclass

from dse.technology.facts import Fact, FactBase


@dataclass(frozen=True)
class Line:
    """A line: its nodes (nm), the date (YYYY-MM) of the statement, source and remark."""

    name: str
    nodes: tuple[int, ...]
    date: str
    source: str
    note: str = ""


def read_lines(facts: FactBase) -> dict[str, Line]:
    """The shipped lines by name."""
    lines: dict[str, Line] = {}
    for name, fact in facts.files["lines"].facts.items():
        if isinstance(fact, Fact):
            value = fact.value
            lines[name] = Line(
                name, tuple(value["nodes"]), value["date"], fact.source, value.get("note", "")
            )
    return lines
