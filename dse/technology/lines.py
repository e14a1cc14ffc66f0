"""Production lines: dated, named sets of nodes that a search can be restricted to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dse.errors import InputError
from dse.technology.facts import Fact, FactBase
from dse.technology.nodes import parse_node


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


def make_line(name: str, nodes: Iterable[str | int], date: str = "", source: str = "user") -> Line:
    """A line of the user's own; nodes are checked as any node is."""
    found = tuple(parse_node(node) for node in nodes)
    if not found:
        raise InputError(f"line {name!r} has no nodes", field="line", mend="list its nodes")
    return Line(name, found, date, source)
