"""Several dies in a package: a second one of another node, and cores dealt out over chiplets."""

from __future__ import annotations

from typing import Any

import pytest

from dse.errors import ImpossibleChipError, InputError
from dse.hardware import Chip, carbon, load_chip, unit_cost
from dse.hardware.cost import companion_mm2
from dse.hardware.dies import chip_dies
from dse.hardware.table import static_by_scope
from dse.technology import load_technology

TECH = load_technology()
JOINED: dict[str, Any] = {
    "cores": 4,
    "noc.topology": "mesh",
    "noc.bytes_per_cycle": 32.0,
    "noc.die_bytes_per_s": 64e9,
    "die.package": "fcbga",
}


def dies_of(chip: Chip) -> tuple[float, ...]:
    return chip_dies(chip.area, chip.spec, TECH.floor(chip.node_nm)).areas_mm2


def split(dies: int, name: Any = "edge_vision", **values: Any) -> Chip:
    return load_chip(name, overrides={**JOINED, "noc.chiplets": dies, **values})


@pytest.mark.parametrize(
    ("name", "node", "values"),
    [
        ("mcu_npu", 7, {}),
        ("mcu_npu", 10, {"nvm.bytes": 16 << 20}),
        ("wearable_npu", 6, {"nvm.bytes": 1 << 20, "nvm.kind": "mram", "nvm.bytes_per_cycle": 8}),
        ("edge_vision", 5, {"nvm.bytes": 8 << 20, "nvm.kind": "mram", "nvm.bytes_per_cycle": 8}),
    ],
)
def test_a_second_die_is_assembled_once(name: str, node: int, values: dict[str, Any]) -> None:
    """One package holds both dies: one package's carbon, and assembly loses both."""
    chip = load_chip(name, node, overrides=values)
    second = companion_mm2(TECH, node, chip.spec)
    assert second is not None
    survive = TECH.assembly_yield(chip.spec.die.package, 2)
    assert survive < TECH.assembly_yield(chip.spec.die.package)
    cost = unit_cost(chip, 1e6)
    assert cost.die_usd * survive == pytest.approx(cost.die_cost_usd + TECH.die_cost_usd(*second))
    both = chip.area_mm2 + second[1]
    assert cost.package_usd == pytest.approx(
        TECH.package_cost_usd(both, chip.spec.die.package, dies=2)
    )
    assert cost.test_usd == pytest.approx(TECH.test_cost_usd(chip.area_mm2, second[1]))
    dies = TECH.die_carbon_kg(node, chip.area_mm2) + TECH.die_carbon_kg(*second)
    made = carbon(chip, energy_j=0.0)
    assert made.die_kg == pytest.approx((dies + TECH.package_carbon_kg()) / survive)


def test_chiplets_have_area_package_yield_and_price() -> None:
    one, two, four = split(1), split(2), split(4)
    assert one.area_mm2 < two.area_mm2 < four.area_mm2
    assert len(dies_of(four)) == 4
    for chip in (one, two, four):
        assert sum(dies_of(chip)) == pytest.approx(chip.area_mm2)
    first, *others = dies_of(four)
    assert max(others) == pytest.approx(min(others))
    assert first > others[0]
    costs = [unit_cost(chip, 1e6) for chip in (one, two, four)]
    assert costs[0].package_usd < costs[1].package_usd < costs[2].package_usd
    assert costs[0].test_usd < costs[1].test_usd < costs[2].test_usd
    masks = costs[1].nre_usd - costs[0].nre_usd
    assert masks > 0.0  # a second set, for a second design
    assert costs[2].nre_usd - costs[1].nre_usd < masks  # the further dies are one design
    assert carbon(four, energy_j=0.0).die_kg > carbon(one, energy_j=0.0).die_kg
    static = [static_by_scope(chip)["die"] for chip in (one, two, four)]
    assert static[0] < static[1] < static[2]


def test_large_dies_gain_by_being_split_and_small_ones_do_not() -> None:
    """Yield pays for package and links once a die is large and defects are many."""
    big = {"cores": 16, "array.rows": 128, "array.cols": 128, "buffer.bytes": 4 << 20}
    whole, parts = (unit_cost(split(dies, "edge_vision", **big), 1e8) for dies in (1, 4))
    assert parts.die_cost_usd < 0.95 * whole.die_cost_usd
    small, cut = unit_cost(split(1), 1e8), unit_cost(split(4), 1e8)
    assert cut.die_usd + cut.package_usd > small.die_usd + small.package_usd


def test_a_wider_link_takes_more_area_by_its_density() -> None:
    narrow, wide = (split(2, **{"noc.die_bytes_per_s": rate}) for rate in (64e9, 256e9))
    link = TECH.d2d("ucie_standard")
    phy = {node.name: node.own_mm2 for _, node in wide.area.walk()}["die_links"]
    assert phy == pytest.approx(2 * 256e9 / link.bytes_per_s_per_mm2)
    assert wide.area_mm2 - narrow.area_mm2 > 0.75 * phy


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"die.package": "qfn"}, "die.package"),
        ({"noc.die_link": "ucie_advanced"}, "die.package"),
        ({"noc.die_link": "soic", "die.package": "fccsp"}, "die.package"),
        ({"noc.die_link": "string"}, "noc.die_link"),
        ({"noc.die_bytes_per_s": 5e13}, "noc.die_bytes_per_s"),
        ({"noc.die_bytes_per_s": 3e12, "noc.chiplets": 4}, "noc.die_bytes_per_s"),
        ({"noc.chiplets": 5}, "noc.chiplets"),
        (
            {"noc.die_link": "soic", "die.package": "interposer", "noc.chiplets": 4, "cores": 16},
            "noc.chiplets",
        ),
    ],
)
def test_dies_that_cannot_be_joined_are_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        split(2, **values)
    assert caught.value.field == field
    assert caught.value.mend


def test_several_small_dies_pass_where_one_is_over_the_reticle() -> None:
    big = {"cores": 16, "array.rows": 256, "array.cols": 256, "buffer.bytes": 16 << 20}
    with pytest.raises(ImpossibleChipError, match="cannot be exposed"):
        unit_cost(split(1, **big), 1e6)
    assert unit_cost(split(8, **big), 1e6).die_cost_usd > 0.0


def test_kinds_of_cores_are_dealt_out_by_their_numbers() -> None:
    values = {"noc.topology": "bus", "noc.bytes_per_cycle": 32.0, "noc.die_bytes_per_s": 8e9}
    values |= {"noc.chiplets": 2, "die.package": "fcbga", "noc.memories": "private"}
    chip = load_chip("vision_dsp_duo", overrides=values)
    assert sum(dies_of(chip)) == pytest.approx(chip.area_mm2)
    last = chip.spec.kind_names[-1]
    floor = TECH.floor(chip.node_nm)
    without = chip_dies(chip.area, chip.spec, floor, without=last).areas_mm2
    assert without[0] == pytest.approx(dies_of(chip)[0])
    assert without[1] < dies_of(chip)[1]
