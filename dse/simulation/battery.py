"""How long a battery lasts."""

from __future__ import annotations

import math

from dse.errors import InputError

#: Hours of the month that self-discharge is stated for (30 days).
MONTH_H = 720.0


def battery_life_s(
    battery_wh: float,
    average_power_w: float,
    usable_share: float = 1.0,
    self_discharge: float = 0.0,
) -> float:
    """Time until a battery is empty at a mean power, s.

    Args:
        battery_wh: rated energy, watt-hours.
        average_power_w: mean power that is drawn from it: that of the module's supply
            (``Timeline.average_power_w["module"]``) over the efficiency of what lies between.
        usable_share: what of the rated energy can be used at that power and temperature.
        self_discharge: share of the rated energy that it loses by itself in 30 days.

    Returns:
        Seconds; infinite if nothing is drawn or lost.

    Raises:
        InputError: an energy or share that is not positive, or a negative power.
    """
    if not 0.0 < battery_wh < math.inf:
        raise InputError(
            f"a battery of {battery_wh:g} Wh", field="battery_wh", mend="give watt-hours above 0"
        )
    if not 0.0 < usable_share <= 1.0:
        raise InputError(
            f"a usable share of {usable_share:g}",
            field="usable_share",
            mend="give a share above 0 and up to 1",
        )
    if not 0.0 <= self_discharge < 1.0:
        raise InputError(
            f"a self-discharge of {self_discharge:g} a month",
            field="self_discharge",
            mend="give a share from 0 and below 1",
        )
    if not 0.0 <= average_power_w < math.inf:
        raise InputError(
            f"a mean power of {average_power_w:g} W",
            field="average_power_w",
            mend="give watts of 0 or more",
        )
    lost_w = battery_wh * self_discharge / MONTH_H
    if average_power_w + lost_w == 0.0:
        return math.inf
    return battery_wh * usable_share * 3600.0 / (average_power_w + lost_w)
