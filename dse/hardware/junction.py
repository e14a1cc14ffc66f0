"""A resolved chip at another junction temperature."""

from __future__ import annotations

from dataclasses import replace

from dse.hardware.chip import Chip
from dse.hardware.resolve import resolve


def at_junction(chip: Chip, celsius: float) -> Chip:
    """The same chip at another junction temperature: rails, prices and leakage, and where its
    voltage is pinned and not its clock, the clock. What it is built of, its capacities and its
    identity stay; networks keep their mappings.

    Raises:
        ImpossibleChipError: a clock that it cannot reach at that temperature.
    """
    spec = chip.spec.model_copy(update={"junction_c": celsius})
    there = resolve(spec, chip.technology, chip.notes)
    return replace(
        chip,
        f_hz=there.f_hz,
        voltage_v=there.voltage_v,
        sram_voltage_v=there.sram_voltage_v,
        junction_c=celsius,
        links=there.links,
        host=there.host,
        prices=there.prices,
        static=there.static,
        network=there.network,
        dvfs=there.dvfs,
        kinds=there.kinds,
    )
