"""Dies of a wafer against counting them one by one, and what the wafer's price and carbon share."""

from __future__ import annotations

import math

import pytest

from dse.errors import ImpossibleChipError
from dse.technology import load_technology
from dse.technology.wafer import die_sides_mm, gross_dies

TECH = load_technology()
FIELD = (26.0, 33.0)
SCRIBE, USABLE = 0.08, 294.0


def held(width: float, height: float, right: float, up: float) -> int:
    """Dies whose four corners lie on the disc, the grid shifted by parts of a pitch."""
    across, along, radius = width + SCRIBE, height + SCRIBE, 0.5 * USABLE
    steps = int(radius / min(across, along)) + 2
    count = 0
    for i in range(-steps, steps):
        for j in range(-steps, steps):
            x, y = (i + right) * across, (j + up) * along
            corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
            count += all(math.hypot(*corner) <= radius for corner in corners)
    return count


def exact(area_mm2: float, places: int) -> int:
    """The best of many places of the grid; half a pitch each way, the rest mirrors it."""
    width, height = die_sides_mm(area_mm2, FIELD)
    shifts = [n * 0.5 / places for n in range(places + 1)]
    return max(held(width, height, right, up) for right in shifts for up in shifts)


@pytest.mark.parametrize("area", [150.0, 400.0, 600.0, 720.0, 800.0, 858.0])
def test_gross_dies_are_those_of_the_exact_grid(area: float) -> None:
    width, height = die_sides_mm(area, FIELD)
    ours = gross_dies(width, height, SCRIBE, USABLE)
    assert exact(area, 12) <= ours <= 1.01 * exact(area, 12)


@pytest.mark.parametrize("area", [3.0, 40.0])
def test_gross_dies_of_small_dies_are_near_the_exact_grid(area: float) -> None:
    width, height = die_sides_mm(area, FIELD)
    assert gross_dies(width, height, SCRIBE, USABLE) == pytest.approx(exact(area, 2), rel=0.005)


def test_a_larger_die_is_never_more_often_on_a_wafer() -> None:
    areas = [0.3 * 1.023**n for n in range(349)]
    counts = [TECH.cost.dies_per_wafer(area) for area in areas]
    assert counts == sorted(counts, reverse=True)
    usd = [TECH.die_cost_usd(7, area) for area in areas]
    assert usd == sorted(usd)


@pytest.mark.parametrize(
    ("area", "sides"),
    [(400.0, (20.0, 20.0)), (676.0, (26.0, 26.0)), (754.0, (26.0, 29.0)), (858.0, (26.0, 33.0))],
)
def test_a_die_is_long_where_a_square_passes_the_field(
    area: float, sides: tuple[float, float]
) -> None:
    assert TECH.cost.die_sides_mm(area) == pytest.approx(sides)


@pytest.mark.parametrize("area", [858.1, 900.0, 1e4, 0.0])
def test_a_die_beyond_the_field_is_refused(area: float) -> None:
    with pytest.raises(ImpossibleChipError, match="cannot be exposed"):
        TECH.cost.dies_per_wafer(area)


@pytest.mark.parametrize("node", [28, 7])
@pytest.mark.parametrize("area", [20.0, 100.0, 400.0, 800.0])
def test_carbon_and_price_share_one_wafer(node: int, area: float) -> None:
    """All of the 300 mm wafer is processed: its edge, scribe lines and bad dies too."""
    wafer_kg = TECH.carbon.per_cm2_kg(node, "taiwan") * math.pi * 15.0**2
    share = TECH.die_cost_usd(node, area) / TECH.cost.wafer_usd[node]
    assert TECH.die_carbon_kg(node, area) == pytest.approx(wafer_kg * share)
    bare = area * 0.01 * TECH.carbon.per_cm2_kg(node, "taiwan") / TECH.yield_fraction(node, area)
    assert 1.1 < TECH.die_carbon_kg(node, area) / bare < 1.35
    assert TECH.embodied_carbon_kg(node, area) == pytest.approx(
        TECH.die_carbon_kg(node, area) + TECH.package_carbon_kg()
    )
