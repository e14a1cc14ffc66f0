"""The memories outside the die."""

from __future__ import annotations

from dataclasses import dataclass

from dse.hardware.spec import ChipSpec


@dataclass(frozen=True, slots=True)
class External:
    """A memory outside the die: its kind among the technology's, channels, and bytes."""

    kind: str
    channels: int
    capacity_bytes: float


def externals(spec: ChipSpec) -> tuple[External, ...]:
    """The DRAM (or flash, or link to a host), and a flash for weights beside it."""
    both = (
        External(spec.dram.kind, spec.dram.channels, float(spec.dram.capacity_bytes)),
        External(spec.nvm.kind, spec.nvm.channels, float(spec.nvm.bytes)),
    )
    return tuple(one for one in both if one.channels)
