"""When idle parts are switched off, and what waking them costs.

A part is gated once it has been idle for its break-even time, ``max(wake_j / (idle_w - gated_w),
wake_s)``: the ski-rental rule, which needs no knowledge of the future; the energy it loses over a
gap, waiting and waking, is at most about twice what the best rule with that knowledge loses. Die
parts are gated only if the chip has power gating; parts at the ``die_dram`` scope (the DRAM, whose
gated state is self-refresh) need none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.hardware.chip import Chip, StaticPower


def break_even_s(part: StaticPower, chip: Chip) -> float:
    """Idle time after which a part is gated, s; infinite if it never is."""
    may = chip.power_gating or part.scope == "die_dram"
    saved_w = part.idle_w - part.gated_w
    if not may or saved_w <= 0.0:
        return math.inf
    return max(part.wake_j / saved_w, part.wake_s)


class Gates:
    """Tells how long a job must wait for the parts it needs to wake."""

    def __init__(self, chip: Chip) -> None:
        parts = [(part, break_even_s(part, chip)) for part in chip.static]
        parts = [(part, wait) for part, wait in parts if wait < math.inf]
        self._core_parts = [(part.wake_s, wait) for part, wait in parts if part.per_core]
        self._chip_parts = [(part.wake_s, wait) for part, wait in parts if not part.per_core]
        self._idle_since = [0.0] * chip.cores
        self._chip_idle_since = 0.0
        self._busy = 0
        self._chip_ready_s = 0.0

    def take(self, cores: Sequence[int], now: float) -> float:
        """Mark cores busy; seconds until they and the shared parts are awake."""
        delay = 0.0
        for core in cores:
            idle = now - self._idle_since[core]
            for wake_s, wait in self._core_parts:
                if idle > wait:
                    delay = max(delay, wake_s)
        if self._busy == 0:
            idle = now - self._chip_idle_since
            for wake_s, wait in self._chip_parts:
                if idle > wait:
                    self._chip_ready_s = max(self._chip_ready_s, now + wake_s)
        self._busy += len(cores)
        return max(delay, self._chip_ready_s - now)

    def free(self, cores: Sequence[int], now: float) -> None:
        """Mark cores idle from now on."""
        for core in cores:
            self._idle_since[core] = now
        self._busy -= len(cores)
        if self._busy == 0:
            self._chip_idle_since = now
