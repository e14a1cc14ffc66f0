"""Power of every state of every part at every operating point."""

from __future__ import annotations

from collections.abc import Sequence

from dse.hardware.chip import Chip, StaticPower
from dse.simulation.gating import Gates


def state_power_w(chips: Sequence[Chip], gates: Gates) -> list[list[list[float]]]:
    """Watts by operating point, part and state code (:mod:`dse.simulation.gating`).

    A sleep state of a slower point is found by its name. Waking is counted at idle power; its own
    energy comes on top.
    """
    return [
        [
            [
                there.active_w,
                there.idle_w,
                there.idle_w,
                *(_asleep_w(there, state.name) for _, state in steps),
            ]
            for there, steps in zip(chip.static, gates.ladders, strict=True)
        ]
        for chip in chips
    ]


def _asleep_w(part: StaticPower, name: str) -> float:
    return next((state.power_w for state in part.sleeps if state.name == name), part.gated_w)
