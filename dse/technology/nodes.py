"""Process nodes: which exist, which may be designed with, how a user writes them.

A node is a file of ``data/nodes`` and nothing else: its numbers, whether designs may use it, and
which tables (production lines, kinds of memory) it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dse.errors import InputError

_NAME = re.compile(r"n?(\d+(?:\.\d+)?)\s*(?:nm)?", re.IGNORECASE)
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Provenance(BaseModel):
    """Status and source of one node's value where it differs from its series."""

    model_config = _STRICT
    status: Literal["read", "recalled", "assumed", "computed", "fitted"]
    source: str = Field(min_length=1)


class OwnValue(Provenance):
    """A value with the provenance that only this node has."""

    value: float | str


class NodeFile(BaseModel):
    """The content of one file of ``data/nodes``.

    ``use``: ``design``, or ``validation`` for a node priced only so that published chips can be
    compared. ``facts`` are by path (``cost.wafer_usd``), one of every series. ``member_of`` are
    paths of lists (``lines.jasm1.nodes``) that have this node.
    """

    model_config = _STRICT
    schema_version: Literal[1]
    node_nm: int = Field(gt=0)
    use: Literal["design", "validation"]
    member_of: list[str] = Field(default_factory=list)
    facts: dict[str, OwnValue | float | str]


@dataclass(frozen=True)
class Nodes:
    """The nodes (nm) that a technology prices, coarse to fine.

    ``design`` may be designed with, ``validation`` are there so that published chips can be
    compared.
    """

    design: tuple[int, ...]
    validation: tuple[int, ...]

    @classmethod
    def of(cls, files: Mapping[int, NodeFile]) -> Nodes:
        """The nodes of the files."""
        coarse_first = sorted(files, reverse=True)
        design = tuple(n for n in coarse_first if files[n].use == "design")
        return cls(design, tuple(n for n in coarse_first if files[n].use == "validation"))

    @property
    def every(self) -> tuple[int, ...]:
        """All priced nodes, coarse to fine."""
        return tuple(sorted(self.design + self.validation, reverse=True))

    def parse(self, node: str | int | float, *, validation: bool = True) -> int:
        """The node in nanometres meant by ``7``, ``"7"``, ``"7nm"`` or ``"N7"``.

        Args:
            node: what the user wrote.
            validation: accept the validation-only nodes too.

        Raises:
            InputError: for anything that is not a priced node; names the allowed ones.
        """
        try:
            size = node_size(node)
        except InputError as error:
            raise InputError(error.message, field="node", mend=self._allowed()) from None
        if size not in self.design and size not in self.validation:
            raise InputError(f"there is no {size} nm node", field="node", mend=self._allowed())
        if not validation and size not in self.design:
            raise InputError(
                f"the {size} nm node is for validation only", field="node", mend=self._allowed()
            )
        return size

    def _allowed(self) -> str:
        design, others = (
            ", ".join(f"{n}nm" for n in nodes) for nodes in (self.design, self.validation)
        )
        return f"use one of {design}" + (f" (validation only: {others})" if others else "")


def node_size(node: object) -> int:
    """The whole number of nanometres that a node's name says, whether or not there is such a node.

    Raises:
        InputError: it says none.
    """
    match = _NAME.fullmatch(str(node).strip()) if not isinstance(node, bool) else None
    size = float(match.group(1)) if match else 0.0
    if match is None:
        raise InputError(
            f"{node!r} is not a process node",
            field="node",
            mend="write one such as 7nm; dse nodes lists them",
        )
    if not size.is_integer() or size < 1:
        raise InputError(
            f"there is no {size:g} nm node",
            field="node",
            mend="write one such as 7nm; dse nodes lists them",
        )
    return int(size)


def place_nodes(files: Mapping[str, Any], nodes: Mapping[int, tuple[Path, NodeFile]]) -> None:
    """Give every series of the (parsed) files its nodes' values, every list its nodes.

    A series is a fact without a value of its own.

    Raises:
        InputError: a node lacks a fact, or has one that is no series; is in what is no list.
    """
    series = {
        f"{file}.{name}": fact
        for file, content in files.items()
        for name, fact in content["facts"].items()
        if "value" not in fact
    }
    for fact in series.values():
        fact["values"], fact["exceptions"] = {}, {}
    for size, (path, node) in sorted(nodes.items(), reverse=True):
        if series.keys() != node.facts.keys():
            raise _odd_fact(path, set(series), set(node.facts))
        for name, value in node.facts.items():
            if isinstance(value, (float, str)):
                series[name]["values"][size] = value
            else:
                series[name]["values"][size] = value.value
                series[name]["exceptions"][size] = {"status": value.status, "source": value.source}
        for place in node.member_of:
            _list_at(files, place, path).append(size)


def _odd_fact(path: Path, series: set[str], facts: set[str]) -> InputError:
    """What a node's file lacks, or has too much."""
    for missing in sorted(series - facts):
        return InputError(
            f"the node has no {missing}",
            file=path,
            field=f"facts.{missing}",
            mend="add the fact: every node has all of them",
        )
    return InputError(
        "no such fact over nodes",
        file=path,
        field=f"facts.{min(facts - series)}",
        mend="give the facts that the other nodes have",
    )


def _list_at(files: Mapping[str, Any], place: str, path: Path) -> list[int]:
    file, name, key = (*place.split("."), "", "", "")[:3]
    try:
        found = files[file]["facts"][name]["value"][key]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, list):
        raise InputError(
            f"{place} is no list of nodes",
            file=path,
            field="member_of",
            mend="name one such as lines.tsmc.nodes or memory.nvm_nodes.mram",
        )
    return found
