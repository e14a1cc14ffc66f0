"""The junction temperature that a chip's power gives, and the chip at that temperature.

Power heats the junction, and leakage grows with its temperature. The sustained junction is where
both agree: ``T = ambient + R x mean die power(T)``, with rails, prices and leakage at ``T``. The
power of the die is convex in ``T`` (leakage is an exponential), so there are two such temperatures
or none. The lower one is stable. With none up to the hottest that the technology is known at,
nothing stops the junction: thermal runaway.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dse.apps import App
from dse.apps.limits import Environment
from dse.errors import ImpossibleChipError
from dse.evaluation.causes import Cause
from dse.evaluation.record import Evaluation
from dse.hardware.blocks import number
from dse.hardware.chip import Chip
from dse.hardware.junction import at_junction
from dse.hardware.kinds import core_kinds
from dse.hardware.modes import COLDEST_C, HOTTEST_C
from dse.simulation.task import Timeline

#: A temperature is found when its power gives it back within this, K.
CLOSE_K = 0.01
#: Steps of the search (a secant on a convex curve takes three to five), and corrections of the
#: quick power by that of the record.
_STEPS, _CORRECTIONS = 40, 6
#: Clocks within this share are the same; how often a chip whose clock follows from its temperature
#: is played again.
SAME_CLOCK, MOST_CLOCKS = 1e-4, 6
#: Steps in a time constant at which temperature over time is followed, and the most in a play.
_PER_TAU, _MOST_BINS = 200, 20_000


@dataclass(frozen=True)
class Junction:
    """Where the junction settles, and the chip there.

    ``cause``: there is no such temperature (``celsius`` is then what the power at the hottest known
    one would give), or the chip cannot keep its clock there.
    """

    celsius: float
    chip: Chip
    cause: Cause | None = None


def closes(app: App, chip: Chip) -> bool:
    """Whether the app says how heat leaves; a chip with a thermal model of its own is played with
    it instead."""
    heat = app.environment
    return heat is not None and heat.thermal_c_per_w is not None and chip.thermal is None


def settled(
    app: App,
    chip: Chip,
    watts: Callable[[Chip], float],
    figures: Callable[[Chip], Evaluation],
) -> tuple[Evaluation, Junction]:
    """The record at the junction that its own die power gives.

    Args:
        app: says how heat leaves (see :func:`closes`); if not, all stays at the chip's own.
        chip: at any temperature.
        watts: die power of the chip at another temperature, in proportion at least.
        figures: the record of the chip at another temperature.
    """
    heat = app.environment
    if heat is None or not closes(app, chip):
        return figures(chip), Junction(chip.junction_c, chip)
    factor = 1.0
    for _ in range(_CORRECTIONS):
        found = steady(heat, chip, lambda at, factor=factor: factor * watts(at))  # type: ignore[misc]
        record = figures(found.chip)
        drawn, guess = record.by_scope["die"]["average_power_w"] or 0.0, watts(found.chip)
        given = heat.ambient_c + (heat.thermal_c_per_w or 0.0) * drawn
        if abs(given - found.celsius) <= 2.0 * CLOSE_K or guess <= 0.0:
            break
        if abs(drawn - factor * guess) <= 1e-9 * drawn:
            break
        factor = drawn / guess
    return record, found


def steady(heat: Environment, chip: Chip, watts: Callable[[Chip], float]) -> Junction:
    """Where the junction settles.

    Args:
        heat: ambient and thermal resistance.
        chip: at any temperature.
        watts: die power of the chip at another temperature.
    """
    low = min(max(heat.ambient_c, COLDEST_C), HOTTEST_C)
    try:
        return (
            _search(heat, chip, watts, chip.junction_c, chip)
            or _search(heat, chip, watts, low, at_junction(chip, low))
            or _runaway(heat, chip, watts)
        )
    except _OutOfReach as error:
        text = f"junction at {error.celsius:.3g} C: {error.why}"
        return Junction(error.celsius, chip, Cause(text, "heat", metric="junction_c"))


class _OutOfReach(Exception):
    """The chip cannot keep its clock at a temperature that its power gives."""

    def __init__(self, celsius: float, why: str) -> None:
        super().__init__(why)
        self.celsius, self.why = celsius, why


def _search(
    heat: Environment, chip: Chip, watts: Callable[[Chip], float], start_c: float, start: Chip
) -> Junction | None:
    """The stable temperature by secants; None if it runs out of what is known.

    From below, a secant never jumps over the first crossing of a convex curve, so leaving the known
    range means that there is none in it.
    """
    resistance = heat.thermal_c_per_w or 0.0
    before_c, before_w = start_c, watts(start)
    celsius = heat.ambient_c + resistance * before_w
    for _ in range(_STEPS):
        if not celsius <= HOTTEST_C:
            return None
        at_c = max(celsius, COLDEST_C)
        there = _at(chip, at_c)
        drawn = watts(there)
        given = heat.ambient_c + resistance * drawn
        step = at_c - before_c
        slope = resistance * (drawn - before_w) / step if abs(step) > 1e-12 else 0.0
        if abs(given - celsius) <= CLOSE_K or (celsius < COLDEST_C and given < COLDEST_C):
            return Junction(celsius, there) if slope < 1.0 else None
        if slope >= 1.0:
            return None
        before_c, before_w = at_c, drawn
        celsius += (given - celsius) / (1.0 - slope)
    return None


def _at(chip: Chip, celsius: float) -> Chip:
    try:
        return at_junction(chip, celsius)
    except ImpossibleChipError as error:
        raise _OutOfReach(celsius, f"{error.message} ({error.mend})") from None


def _runaway(heat: Environment, chip: Chip, watts: Callable[[Chip], float]) -> Junction:
    there = _at(chip, HOTTEST_C)
    drawn = watts(there)
    driven = heat.ambient_c + (heat.thermal_c_per_w or 0.0) * drawn
    text = (
        f"thermal runaway: no steady junction up to {HOTTEST_C:g} C, where the die draws "
        f"{drawn:.3g} W, which would heat it to {driven:.3g} C "
        f"({heat.ambient_c:g} C ambient, {heat.thermal_c_per_w:g} K/W)"
    )
    return Junction(driven, there, Cause(text, "heat", metric="junction_c"))


def with_junction(
    record: Evaluation, app: App, junction: Junction, timeline: Timeline | None
) -> Evaluation:
    """The record with the temperatures that its figures are at, and those that bursts reach."""
    celsius, peak = junction.celsius, peak_c(app, timeline)
    if not closes(app, junction.chip):
        # Played with the chip's own thermal model, or assumed.
        heat, drawn = app.environment, record.by_scope["die"]["average_power_w"]
        if heat is not None and heat.thermal_c_per_w is not None and drawn is not None:
            celsius = heat.ambient_c + heat.thermal_c_per_w * drawn
        elif peak is not None:
            celsius = peak
    notes = record.notes
    if app.junction_c is not None and closes(app, junction.chip):
        text = (
            f"the junction is at {celsius:.3g} C, which the environment gives; junction_c of "
            f"{app.junction_c:g} C says where the search for it begins"
        )
        notes = (*notes, text)
    return replace(record, junction_c=celsius, junction_peak_c=peak, notes=notes)


def other_clock(chip: Chip, hot: Chip) -> bool:
    """Whether cores of a chip run at another clock than at another temperature."""
    pairs = zip(core_kinds(chip), core_kinds(hot), strict=True)
    return any(abs(b.chip.f_hz / a.chip.f_hz - 1.0) > SAME_CLOCK for a, b in pairs)


def heat_reasons(app: App, record: Evaluation, junction: Junction) -> list[Cause]:
    """That the junction does not settle, or passes its limit, for good or in bursts."""
    if junction.cause is not None:
        return [junction.cause]
    heat, steady_c, peak = app.environment, record.junction_c, record.junction_peak_c
    if heat is None or heat.thermal_c_per_w is None or steady_c is None:
        return []
    limit = heat.max_junction_c
    if steady_c > limit:
        text = f"junction at {steady_c:.3g} C, over the {limit:g} C allowed"
        return [Cause(text, "heat", metric="junction_c")]
    if peak is not None and peak > limit:
        text = (
            f"junction at {peak:.3g} C in bursts, over the {limit:g} C allowed "
            f"(sustained {steady_c:.3g} C)"
        )
        return [Cause(text, "heat", metric="junction_peak_c")]
    return []


def peak_c(app: App, timeline: Timeline | None) -> float | None:
    """The highest junction temperature over a play that repeats for ever, C.

    One resistance and one heat capacity between junction and ambient, driven by the power of the
    die (its leakage that of the mean temperature); it starts where it ends, or where streams that
    come seldom were played oftener than they come, at the long-run mean. Of a chip with a thermal
    model of its own, the highest that was played.
    """
    if timeline is None:
        return None
    if timeline.junction_c:
        return max(degrees for _, degrees in timeline.junction_c)
    heat = app.environment
    if heat is None or heat.thermal_c_per_w is None:
        return None
    resistance = heat.thermal_c_per_w
    held = heat.thermal_j_per_k or number("thermal_capacitance_j_per_k")
    edges = np.asarray(timeline.edges_s)
    scopes = timeline.scope_of
    parts = [values for name, values in timeline.power_w.items() if scopes[name] != "die_dram"]
    energy = np.concatenate([[0.0], np.cumsum(np.sum(parts, axis=0) * np.diff(edges))])
    length, tau = float(edges[-1] - edges[0]), resistance * held
    bins = int(min(_MOST_BINS, max(1.0, math.ceil(_PER_TAU * length / tau))))
    cuts = np.linspace(edges[0], edges[-1], bins + 1)
    rise = resistance * np.diff(np.interp(cuts, edges, energy)) / (length / bins)
    keep = math.exp(-length / bins / tau)
    above, most = 0.0, 0.0
    for final in rise.tolist():
        above = final + (above - final) * keep
    above /= 1.0 - keep**bins  # what a whole play adds, summed over all the plays before
    mean = timeline.mean
    if mean is not None and mean.period_s == 0.0:
        above = resistance * mean.scope_energy_j["die"] / mean.over_s
    for final in rise.tolist():
        above = final + (above - final) * keep
        most = max(most, above)
    return heat.ambient_c + most
