"""The block ``power`` of a chip file: what idles, operating points, temperature. SI units."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from dse.ranges import (
    Celsius,
    ClockPoint,
    HotCelsius,
    JoulePerKelvin,
    Kelvin,
    KelvinPerWatt,
    ShareBelow,
    SomeWatts,
    SwitchJoules,
    SwitchSeconds,
    TickSeconds,
    Watts,
)
from dse.schema import Strict


def _words(value: object) -> object:
    """Several values given as one, such as ``"0.25,0.5"`` on a command line."""
    if isinstance(value, str):
        return tuple(part for part in value.replace(",", " ").split() if part != "none")
    return (value,) if isinstance(value, (int, float)) else value


class DvfsSpec(Strict):
    """Lower operating points, for simulations.

    ``points``: clocks as shares of the chip's own, at the voltage that each needs; none: the chip
    keeps its point. ``governor``: ``fixed`` (own point always), ``race_to_idle`` (own point while
    anything runs, the slowest while nothing does) or ``deadline_aware`` (the slowest that meets all
    deadlines, chosen at job and layer boundaries). ``transition_s`` and ``transition_j``: what a
    change takes (null: the block facts); nothing runs meanwhile.
    """

    points: tuple[ClockPoint, ...] = ()
    governor: Literal["fixed", "race_to_idle", "deadline_aware"] = "fixed"
    transition_s: SwitchSeconds | None = None
    transition_j: SwitchJoules | None = None

    @field_validator("points", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _words(value)

    @model_validator(mode="after")
    def _ascending(self) -> DvfsSpec:
        if any(point <= 0.0 for point in self.points) or len(set(self.points)) < len(self.points):
            raise ValueError("points are shares of the clock; give each once, above 0 and below 1")
        if self.governor != "fixed" and not self.points:
            raise ValueError(f"governor {self.governor} needs points; give shares of the clock")
        return self


class ThermalSpec(Strict):
    """Temperature in simulations; off while ``resistance_k_per_w`` is null.

    One resistance from junction to ambient and one capacitance (null: the block fact). ``start_c``
    null: ambient. At ``limit_c`` the chip goes one operating point down (``power.dvfs.points``),
    ``hysteresis_k`` below it one up again. ``tick_s`` null: 1/500 of the time constant.
    """

    resistance_k_per_w: KelvinPerWatt | None = None
    capacitance_j_per_k: JoulePerKelvin | None = None
    ambient_c: Celsius = 25.0
    start_c: Celsius | None = None
    limit_c: HotCelsius = 105.0
    hysteresis_k: Kelvin = 3.0
    tick_s: TickSeconds | None = None


class PowerSpec(Strict):
    """Power that work does not explain.

    ``gating``: cores can be switched off. ``clock_gating``: clocks of waiting cores stop (all but
    their root). ``clock_share``: share of the array's dynamic energy that
    is clock tree and control. ``other_w``: rest of the die (camera, display, video, fabric) while
    on. ``always_on_w`` null: the floor's figure. ``pmic_rated_w``: rated load of the converter.
    ``sleep_states``: further states of a waiting core: ``clock_gated`` (its clock stops only after
    a while; without it at once, as ``clock_gating`` says) and ``retention`` (rails lowered, state
    and buffer kept).
    """

    gating: bool = False
    clock_gating: bool = True
    clock_share: ShareBelow = 0.2
    always_on_w: Watts | None = None
    other_w: Watts = 0.0
    pmic_rated_w: SomeWatts
    sleep_states: tuple[Literal["clock_gated", "retention"], ...] = ()
    dvfs: DvfsSpec = DvfsSpec()
    thermal: ThermalSpec = ThermalSpec()

    @field_validator("sleep_states", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _words(value)
