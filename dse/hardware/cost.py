"""What a chip costs in money at a volume, and in carbon over its life."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.dies import chip_dies
from dse.hardware.external import externals
from dse.hardware.floorplan import nvm_node
from dse.hardware.spec import ChipSpec
from dse.technology import Technology

_GIB = float(1 << 30)
_SECONDS_PER_YEAR = 365.25 * 86400.0
_J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Cost:
    """Cost of one unit at ``volume`` units over the product's life, USD.

    ``die_cost_usd`` is the good die (or dies, ``noc.chiplets``) before assembly; ``die_usd`` has a
    second die of another node too, if there is one, and the dies lost in assembly. ``nre_usd`` and
    ``ip_usd`` are the one-time sums behind ``nre_per_unit_usd`` and ``ip_per_unit_usd``.
    """

    volume: float
    die_cost_usd: float
    die_usd: float
    package_usd: float
    test_usd: float
    dram_usd: float
    royalty_usd: float
    nre_per_unit_usd: float
    ip_per_unit_usd: float
    nre_usd: float
    ip_usd: float

    @property
    def unit_cost_usd(self) -> float:
        """Sum of all parts, USD per unit."""
        return sum(self.parts_usd.values())

    @property
    def parts_usd(self) -> dict[str, float]:
        """The parts that add up to :attr:`unit_cost_usd`, USD per unit."""
        return {
            "die": self.die_usd,
            "package": self.package_usd,
            "test": self.test_usd,
            "dram": self.dram_usd,
            "royalty": self.royalty_usd,
            "nre_per_unit": self.nre_per_unit_usd,
            "ip_per_unit": self.ip_per_unit_usd,
        }

    def to_dict(self) -> dict[str, float]:
        """All parts and the total."""
        return {**asdict(self), "unit_cost_usd": self.unit_cost_usd}


@dataclass(frozen=True)
class Carbon:
    """Greenhouse gases of one unit, kg CO2e: making packaged die(s) and DRAM, and use over life."""

    die_kg: float
    dram_kg: float
    operation_kg: float

    @property
    def embodied_kg(self) -> float:
        return self.die_kg + self.dram_kg

    @property
    def total_kg(self) -> float:
        return self.embodied_kg + self.operation_kg

    def to_dict(self) -> dict[str, float]:
        """All parts and the totals."""
        totals = {"embodied_kg": self.embodied_kg, "total_kg": self.total_kg}
        return {**asdict(self), **totals}


def unit_cost(chip: Chip, volume: float, technology: Technology | None = None) -> Cost:
    """Cost of one unit when ``volume`` units are made in all.

    Unit = dies / assembly yield + package + test + DRAM + royalty + (NRE + IP) / volume. The
    royalty is a share of the chip's selling price, taken as ``cost.price_over_cost`` times its
    recurring cost without DRAM.

    Args:
        chip: a resolved chip.
        volume: units over the life of the product, above 0.
        technology: defaults to the one that the chip was priced with.

    Raises:
        InputError: no volume, an unknown package or class, or a die that cannot be exposed.
    """
    if not volume > 0.0:
        raise InputError(
            f"a volume of {volume:g} units has no meaning",
            field="volume",
            mend="give the units to be made, above 0",
        )
    tech: Technology = technology if technology is not None else chip.technology
    spec: ChipSpec = chip.spec
    node, kind, package = chip.node_nm, spec.cost.design_class, spec.die.package
    own = chip_dies(chip.area, spec, tech.floor(node))
    good = own_dies_usd(tech, chip)
    second = companion_mm2(tech, node, spec)
    bought = tech.die_cost_usd(*second) if second else 0.0
    areas = (*own.areas_mm2, second[1]) if second else own.areas_mm2
    die = (good + bought) / tech.assembly_yield(package, len(areas))
    packed = tech.package_cost_usd(sum(areas), package, len(areas))
    test = tech.test_cost_usd(*areas)
    nre = tech.nre_usd(node, sum(own.areas_mm2), kind, own.designs)
    ip = tech.ip_usd(node, kind) if spec.cost.ip_usd is None else spec.cost.ip_usd
    chip_cost = die + packed + test
    return Cost(
        volume=float(volume),
        die_cost_usd=good,
        die_usd=die,
        package_usd=packed,
        test_usd=test,
        dram_usd=dram_usd(tech, spec),
        royalty_usd=spec.cost.royalty_fraction * spec.cost.price_over_cost * chip_cost,
        nre_per_unit_usd=nre / volume,
        ip_per_unit_usd=ip / volume,
        nre_usd=nre,
        ip_usd=ip,
    )


def dram_usd(tech: Technology, spec: ChipSpec) -> float:
    """Price of the external memories, USD."""
    prices = [tech.dram(one.kind).usd_per_gib * one.capacity_bytes for one in externals(spec)]
    return sum(usd / _GIB for usd in prices) or 0.0


def companion_mm2(tech: Technology, node: int, spec: ChipSpec) -> tuple[int, float] | None:
    """Node and area of the second die that holds non-volatile memory; None if on the die."""
    if not spec.nvm.bytes or spec.nvm.channels:
        return None
    home = nvm_node(tech, node, spec.nvm.kind)
    if home == node:
        return None
    return home, tech.nvm_area_mm2(home, spec.nvm.kind, spec.nvm.bytes)


def own_dies_usd(tech: Technology, chip: Chip, without: str = "") -> float:
    """Good dies of the chip's own node for a unit, USD; ``without`` a kind of its cores."""
    dies = chip_dies(chip.area, chip.spec, tech.floor(chip.node_nm), without)
    return sum(tech.die_cost_usd(chip.node_nm, area) for area in dies.areas_mm2)


def lifetime_energy_j(chip: Chip, average_power_w: float) -> float:
    """Energy of a unit over its life at ``average_power_w`` while on, J."""
    cost = chip.spec.cost
    return average_power_w * float(cost.lifetime_years) * float(cost.duty) * _SECONDS_PER_YEAR


def carbon(
    chip: Chip,
    *,
    energy_j: float,
    grid: str = "world",
    fab_grid: str = "taiwan",
    technology: Technology | None = None,
) -> Carbon:
    """Carbon of one unit: making it, and the electricity it uses.

    Making = (dies with their share of the wafer + one package) / assembly yield + DRAM.

    Args:
        chip: a resolved chip.
        energy_j: module energy over the unit's life, J (see :func:`lifetime_energy_j`).
        grid: electricity where the device works (a region of the technology's carbon facts).
        fab_grid: electricity of the fab.
        technology: defaults to the one that the chip was priced with.

    Raises:
        InputError: an unknown region, or negative energy.
    """
    if energy_j < 0.0:
        raise InputError(
            f"a lifetime energy of {energy_j:g} J has no meaning",
            field="energy_j",
            mend="give 0 or more",
        )
    tech: Technology = technology if technology is not None else chip.technology
    spec: ChipSpec = chip.spec
    own = chip_dies(chip.area, spec, tech.floor(chip.node_nm)).areas_mm2
    die = sum(tech.die_carbon_kg(chip.node_nm, area, fab_grid) for area in own)
    second = companion_mm2(tech, chip.node_nm, spec)
    if second:
        die += tech.die_carbon_kg(*second, fab_grid)
    die += tech.package_carbon_kg()
    die /= tech.assembly_yield(spec.die.package, len(own) + bool(second))
    outside = externals(spec)
    dram = sum(tech.dram(one.kind).carbon_kg_per_gib * one.capacity_bytes / _GIB for one in outside)
    return Carbon(die, dram, energy_j / _J_PER_KWH * tech.grid_kg_per_kwh(grid))
