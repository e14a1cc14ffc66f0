"""The shipped technology, read once, and names of nodes and lines that are checked against it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dse.errors import InputError
from dse.registry import cached
from dse.technology.facts import DATA_FOLDER, load_facts
from dse.technology.lines import Line
from dse.technology.technology import Technology


@cached(128)
def load_technology(draw: tuple[int, int] | None = None, folder: Path = DATA_FOLDER) -> Technology:
    """The shipped technology.

    Args:
        draw: None for the nominal facts, or (seed, index) of one joint draw of all uncertain
            facts, the same for every design that asks.
        folder: of data files such as the package's own.
    """
    if draw is None:
        return Technology(load_facts(folder=folder))
    return Technology(load_technology(folder=folder).fact_base.drawn(draw))


def technology_draws(count: int, seed: int = 0) -> list[Technology]:
    """``count`` joint draws, the same for every design that is compared under ``seed``."""
    return [load_technology((seed, index)) for index in range(count)]


def parse_node(node: str | int | float, *, validation: bool = True) -> int:
    """The shipped node (nm) that a user means; as :meth:`Nodes.parse`."""
    return load_technology().known_nodes.parse(node, validation=validation)


def make_line(name: str, nodes: Iterable[str | int], date: str = "", source: str = "user") -> Line:
    """A line of the user's own; nodes are checked as any node is."""
    found = tuple(parse_node(node) for node in nodes)
    if not found:
        raise InputError(f"line {name!r} has no nodes", field="line", mend="list its nodes")
    return Line(name, found, date, source)
