"""The floorplan tree: where each square millimetre goes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class AreaNode:
    """A named block: its own area plus that of its parts, all in mm2.

    ``scope`` is ``npu`` for what belongs to the accelerator, ``die`` for the rest of the die.
    """

    name: str
    own_mm2: float = 0.0
    scope: str = "die"
    parts: tuple[AreaNode, ...] = ()

    @functools.cached_property
    def total_mm2(self) -> float:
        return self.own_mm2 + sum(part.total_mm2 for part in self.parts)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, AreaNode]]:
        """Every block with its path, parents first."""
        path = f"{prefix}/{self.name}" if prefix else self.name
        yield path, self
        for part in self.parts:
            yield from part.walk(path)

    def scope_mm2(self, scope: str) -> float:
        """Area of one scope: ``npu``, or everything for ``die`` and wider scopes."""
        if scope != "npu":
            return self.total_mm2
        own = self.own_mm2 if self.scope == "npu" else 0.0
        return own + sum(part.scope_mm2("npu") for part in self.parts)
