"""What judging designs took: time by level, and how often a layer's mapping was remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Effort:
    """Of one design, or of many together.

    Attributes:
        seconds: by level, s of one process.
        mappings: layers asked of the mapper.
        remembered: of them those whose mapping was in the cache, of memory or disk.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    mappings: int = 0
    remembered: int = 0

    def __add__(self, other: Effort) -> Effort:
        levels = {**self.seconds, **other.seconds}
        return Effort(
            {k: self.seconds.get(k, 0.0) + other.seconds.get(k, 0.0) for k in levels},
            self.mappings + other.mappings,
            self.remembered + other.remembered,
        )

    @property
    def hit_rate(self) -> float | None:
        """Share of layers whose mapping was remembered; None if none was asked for."""
        return self.remembered / self.mappings if self.mappings else None

    def to_dict(self) -> dict[str, Any]:
        """For a log; seconds to 10 us."""
        return {
            "seconds": {level: round(spent, 5) for level, spent in self.seconds.items()},
            "mappings": self.mappings,
            "remembered": self.remembered,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Effort:
        """What :meth:`to_dict` wrote; fields that are missing count as nothing."""
        return cls(
            dict(row.get("seconds", {})), int(row.get("mappings", 0)), int(row.get("remembered", 0))
        )
