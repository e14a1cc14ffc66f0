"""Area, cost and carbon of a chip: what does not depend on what runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.hardware.chip import Chip
from dse.hardware.cost import carbon, unit_cost

HOURS_PER_YEAR = 8766.0


@dataclass(frozen=True)
class Economics:
    """Cost parts at one volume, the unit cost at further volumes, and embodied carbon."""

    volume: float
    die_cost_usd: float
    unit_cost_usd: float
    parts_usd: dict[str, float]
    by_volume_usd: dict[str, float]


def economics(chip: Chip, volume: float, volumes: Sequence[float]) -> Economics:
    """Cost of ``chip`` at ``volume`` and at each of ``volumes`` (units over the product's life)."""
    main = unit_cost(chip, volume)
    further = {f"{v:g}": unit_cost(chip, v).unit_cost_usd for v in sorted({volume, *volumes})}
    return Economics(volume, main.die_cost_usd, main.unit_cost_usd, dict(main.parts_usd), further)


def lifetime_carbon_kg(
    chip: Chip, power_w: float, *, lifetime_years: float, duty: float, grid: str
) -> float:
    """Embodied carbon of the module's silicon plus its operation over the lifetime, kg CO2e."""
    hours = lifetime_years * duty * HOURS_PER_YEAR
    return carbon(chip, energy_j=power_w * hours * 3600.0, grid=grid).total_kg
