"""What of an on-chip memory that several networks share one of them may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.hardware.chip import Chip


@dataclass(frozen=True)
class Allotment:
    """What of a memory one network may use: ``room_bytes`` in all, ``keep_bytes`` of it for weights
    that stay."""

    memory: str
    room_bytes: float
    keep_bytes: float

    def seen(self, chip: Chip) -> Chip:
        """The chip as the mapper of this network is to see it."""
        if self.memory == "l2":
            link = chip.links["l2"]
            if self.room_bytes >= link.capacity_bytes:
                return chip
            smaller = replace(link, capacity_bytes=self.room_bytes)
            return replace(chip, links={**chip.links, "l2": smaller})
        if self.room_bytes >= chip.buffer.capacity_bytes:
            return chip
        return replace(chip, buffer=replace(chip.buffer, capacity_bytes=int(self.room_bytes)))


#: By network (the digest of its workload) and how many cores a job takes.
Allotments = Mapping[tuple[str, int], Allotment]
