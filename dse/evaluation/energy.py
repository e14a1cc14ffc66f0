"""Energy accounting shared by all fidelities: components, scopes and conversion losses."""

from __future__ import annotations

from collections.abc import Mapping

from dse.hardware.chip import SCOPES, Chip
from dse.mapping.schedule import Program, price


def dynamic_by_scope_j(program: Program, chip: Chip) -> dict[str, float]:
    """Dynamic energy of one inference in the scopes ``npu``, ``die`` and ``die_dram``, J."""
    own = dict.fromkeys(SCOPES, 0.0)
    for schedule in program.schedules:
        for action, joules in price(schedule.counts, chip).items():
            own[chip.action_scope[action]] += joules
    return nested(own)


def nested(own: Mapping[str, float]) -> dict[str, float]:
    """Scopes that contain one another, from what each adds to the one before it."""
    total, out = 0.0, {}
    for scope in SCOPES[:-1]:
        total += own.get(scope, 0.0)
        out[scope] = total
    return out


def static_by_component_w(
    chip: Chip, active_cores: float, chip_share: float = 1.0
) -> dict[str, float]:
    """Static power by component, W.

    Optimistic, as the analytic level is to be: what waits is gated at once and wakes for free,
    where it may gate at all.

    Args:
        chip: the chip.
        active_cores: how many cores work, on average over time.
        chip_share: share of time in which any core works; 1 for a model alone.
    """
    out: dict[str, float] = {}
    for part in chip.static:
        may_gate = chip.power_gating or part.scope == "die_dram"
        rest_w = min(part.idle_w, part.gated_w) if may_gate else part.idle_w
        count, share = (chip.cores, active_cores / chip.cores) if part.per_core else (1, chip_share)
        watts = count * (part.active_w * share + rest_w * (1.0 - share))
        out[part.component] = out.get(part.component, 0.0) + watts
    return out


def static_by_scope_w(chip: Chip, active_cores: float, chip_share: float = 1.0) -> dict[str, float]:
    """The same by nested scope, W."""
    own = dict.fromkeys(SCOPES, 0.0)
    by_component = static_by_component_w(chip, active_cores, chip_share)
    seen: set[str] = set()
    for part in chip.static:
        if part.component not in seen:
            seen.add(part.component)
            own[part.scope] += by_component[part.component]
    return nested(own)
