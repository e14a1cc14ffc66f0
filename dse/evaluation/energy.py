"""Energy accounting shared by all fidelities: components, scopes and conversion losses."""

from __future__ import annotations

from collections.abc import Mapping

from dse.hardware.chip import SCOPES, Chip, StaticPower
from dse.mapping import Program, price
from dse.registry import Remembered


def dynamic_by_scope_j(program: Program, chip: Chip) -> dict[str, float]:
    """Dynamic energy of one inference in the scopes ``npu``, ``die`` and ``die_dram``, J."""
    own = dict.fromkeys(SCOPES, 0.0)
    for schedule in program.schedules:
        for action, joules in price(schedule.counts, chip).items():
            own[chip.action_scope[action]] += joules
    return nested(own)


def counted_j(program: Program, chip: Chip) -> dict[str, float]:
    """The same from the program's counts as a whole, which are remembered: for many prices."""
    own = dict.fromkeys(SCOPES, 0.0)
    counts = _counts.of(id(program), lambda: _total(program), program)
    for action, joules in price(counts, chip).items():
        own[chip.action_scope[action]] += joules
    return nested(own)


#: Counts of programs remembered.
_counts = Remembered("evaluation.energy.counts", 32)


def _total(program: Program) -> dict[str, float]:
    out: dict[str, float] = {}
    for schedule in program.schedules:
        for action, count in schedule.counts.items():
            out[action] = out.get(action, 0.0) + count
    return out


def nested(own: Mapping[str, float]) -> dict[str, float]:
    """Scopes that contain one another, from what each adds to the one before it."""
    total, out = 0.0, {}
    for scope in SCOPES[:-1]:
        total += own.get(scope, 0.0)
        out[scope] = total
    return out


def static_by_component_w(
    chip: Chip, active_cores: Mapping[str, float], chip_share: float = 1.0
) -> dict[str, float]:
    """Static power by component, W.

    Optimistic, as the analytic level is to be: what waits is gated at once and wakes for free,
    where it may gate at all.

    Args:
        chip: the chip.
        active_cores: how many cores work, on average over time, by kind (its name is empty on a
            chip of equal cores).
        chip_share: share of time in which any core works; 1 for a model alone.
    """
    out: dict[str, float] = {}
    for part in chip.static:
        count, share = 1, chip_share
        if part.per_core:
            count = len(chip.cores_of(part))
            share = active_cores.get(part.kind, 0.0) / count
        watts = count * (part.active_w * share + rest_w(chip, part) * (1.0 - share))
        out[part.component] = out.get(part.component, 0.0) + watts
    return out


def supplied_w(chip: Chip, mean_w: float, resting_w: float, worked: float) -> float:
    """Mean power at the module's supply, W, of a chip that draws ``mean_w`` on average and
    ``resting_w`` while no core works, which is all but the share ``worked`` of the time.

    A converter is less efficient at light load, so what rests and what works are converted apart;
    if that is more than at the mean load (at loads beyond its best), the latter counts.
    """
    at_mean = chip.pmic.input_w(mean_w)
    if not 0.0 < worked < 1.0:
        return at_mean
    working_w = (mean_w - (1.0 - worked) * resting_w) / worked
    apart = worked * chip.pmic.input_w(working_w) + (1.0 - worked) * chip.pmic.input_w(resting_w)
    return min(at_mean, apart)


def rest_w(chip: Chip, part: StaticPower) -> float:
    """What one of a part draws while it waits: gated at once where it may be, W."""
    may_gate = chip.power_gating or part.scope == "die_dram"
    return min(part.idle_w, part.gated_w) if may_gate else part.idle_w


def static_by_scope_w(
    chip: Chip, active_cores: Mapping[str, float], chip_share: float = 1.0
) -> dict[str, float]:
    """The same by nested scope, W."""
    own = dict.fromkeys(SCOPES, 0.0)
    by_component = static_by_component_w(chip, active_cores, chip_share)
    seen: set[str] = set()
    for part in chip.static:
        if part.component not in seen:
            seen.add(part.component)
            own[part.scope] += by_component[part.component]
    return nested(own)
