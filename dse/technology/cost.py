"""Yield, die cost, one-time cost, IP, package, test, and the cost of a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dse.errors import ImpossibleChipError, InputError
from dse.technology.facts import FactBase
from dse.technology.wafer import die_sides_mm, gross_dies

YIELD_MODELS = ("negative_binomial", "poisson", "murphy", "seeds")


@dataclass(frozen=True)
class UnitCost:
    """The parts of a unit's cost (USD) at a volume; ``total_usd`` is their sum."""

    node_nm: int
    volume: float
    die_usd: float
    package_usd: float
    test_usd: float
    memory_usd: float
    nre_usd_per_unit: float
    ip_usd_per_unit: float
    royalty_usd: float

    @property
    def total_usd(self) -> float:
        """USD per unit."""
        return (
            self.die_usd
            + self.package_usd
            + self.test_usd
            + self.memory_usd
            + self.nre_usd_per_unit
            + self.ip_usd_per_unit
            + self.royalty_usd
        )


class CostModel:
    """Cost facts of every node."""

    def __init__(self, facts: FactBase) -> None:
        series, number, table = facts.series, facts.number, facts.table
        self.wafer_usd = series("cost", "wafer_usd")
        self.d0 = series("cost", "d0_per_cm2")
        self._mask = series("cost", "mask_musd")
        self.design_musd = series("cost", "design_musd")
        self._ip = series("cost", "ip_musd")
        self._alpha = number("cost", "yield_alpha")
        edge = number("cost", "wafer_edge_mm")
        wafer = number("cost", "wafer_diameter_mm")
        self._usable = wafer - 2.0 * edge
        self.wafer_mm2 = math.pi * wafer**2 / 4.0
        self._scribe = number("cost", "scribe_mm")
        self.reticle_mm2 = number("cost", "reticle_mm2")
        across, along = facts.value("cost", "reticle_side_mm")
        self._field = (float(across), float(along))
        self._class = table("cost", "design_class")
        self._fixed = min(number("cost", "design_fixed_share"), 0.95)
        self._ip_class = table("cost", "ip_class_factor")
        self._royalty = table("cost", "royalty")
        self._package = table("cost", "package")
        self._test_s = table("cost", "test_s")
        self._test_usd_s = number("cost", "test_usd_s")
        self._sites = number("cost", "test_sites")

    def yield_fraction(self, node: int, die_area_mm2: float, model: str) -> float:
        """Good dies over all dies; x = D0 A.

        Negative binomial (1 + x/a)^-a, Poisson e^-x, Murphy ((1 - e^-x)/x)^2, Seeds 1/(1 + x).
        """
        self._check_area(die_area_mm2)
        x = self.d0[node] * die_area_mm2 * 0.01
        if model == "negative_binomial":
            return float((1.0 + x / self._alpha) ** -self._alpha)
        if model == "poisson":
            return math.exp(-x)
        if model == "murphy":
            return float((-math.expm1(-x) / x) ** 2)
        if model == "seeds":
            return 1.0 / (1.0 + x)
        raise InputError(
            f"unknown yield model {model!r}",
            field="yield_model",
            mend=f"one of {', '.join(YIELD_MODELS)}",
        )

    def die_sides_mm(self, die_area_mm2: float) -> tuple[float, float]:
        """Width and height (mm): square, or long where a square passes the field's short side."""
        self._check_area(die_area_mm2)
        return die_sides_mm(die_area_mm2, self._field)

    def dies_per_wafer(self, die_area_mm2: float) -> int:
        """Whole dies on the usable wafer, scribe lines included; :mod:`dse.technology.wafer`."""
        width, height = self.die_sides_mm(die_area_mm2)
        return gross_dies(width, height, self._scribe, self._usable)

    def good_dies(self, node: int, die_area_mm2: float, model: str) -> float:
        """Good dies of a wafer: what its price and its carbon are shared by."""
        good = self.yield_fraction(node, die_area_mm2, model)
        return self.dies_per_wafer(die_area_mm2) * good

    def die_usd(self, node: int, die_area_mm2: float, model: str) -> float:
        """Cost (USD) of one good, untested die."""
        return self.wafer_usd[node] / self.good_dies(node, die_area_mm2, model)

    def nre_usd(
        self, node: int, die_area_mm2: float, design_class: str, mask_sets: int = 1
    ) -> float:
        """Masks and design (USD), IP apart; ``mask_sets``: different dies of the node.

        design = IBS figure x class share x (fixed + (1 - fixed) A/A_class), A/A_class at most 3.
        """
        row = self._design_class(design_class)
        if mask_sets == 1:
            self._check_area(die_area_mm2)
        size = min(die_area_mm2 / float(row["area_mm2"]), 3.0)
        design = self.design_musd[node] * float(row["share"])
        design *= self._fixed + (1.0 - self._fixed) * size
        return (design + mask_sets * self._mask[node]) * 1e6

    def ip_usd(self, node: int, design_class: str) -> float:
        """Licensed IP, up front (USD)."""
        self._design_class(design_class)
        return self._ip[node] * float(self._ip_class[design_class]) * 1e6

    def royalty_fraction(self, design_class: str) -> float:
        """Royalties as a share of the chip's price."""
        self._design_class(design_class)
        return float(self._royalty[design_class])

    def package_usd(self, die_area_mm2: float, kind: str, dies: int = 1) -> float:
        """Package, assembly and its yield loss on the package (USD).

        Args:
            die_area_mm2: of all dies in the package together.
            dies: how many there are.
        """
        row = self._package_kind(kind)
        raw = float(row["usd"]) + float(row["usd_mm2"]) * die_area_mm2
        return raw / self.assembly_yield(kind, dies)

    def assembly_yield(self, kind: str, dies: int = 1) -> float:
        """Share of packaged parts that survive assembly: each die is attached with this yield.

        Chiplet Actuary bonds n dies with y^n; parts lost take all their dies with them.
        """
        return float(float(self._package_kind(kind)["yield"]) ** dies)

    def test_usd(self, *die_areas_mm2: float) -> float:
        """Wafer test of each die and final test (USD): seconds over the sites in parallel.

        The last of the insertions is the final test, of all dies at once.
        """
        final = self._test_seconds(sum(die_areas_mm2))
        wafer = sum(self._test_seconds(area) for area in die_areas_mm2)
        seconds = (float(self._test_s["insertions"]) - 1.0) * wafer + final
        return seconds * self._test_usd_s / self._sites

    def _test_seconds(self, area_mm2: float) -> float:
        row = self._test_s
        return min(float(row["base"]) + float(row["per_mm2"]) * area_mm2, float(row["max"]))

    def unit_cost(
        self,
        node: int,
        die_area_mm2: float,
        volume: float,
        *,
        package: str,
        design_class: str,
        memory_usd: float,
        yield_model: str,
    ) -> UnitCost:
        """All parts of a unit's cost at a volume.

        Royalties are charged on the other recurring cost (a cost-based lower bound of the price).
        """
        if not volume > 0.0:
            raise InputError(
                f"a volume of {volume:g} units has no meaning", field="volume", mend="above 0"
            )
        survive = self.assembly_yield(package)
        die = self.die_usd(node, die_area_mm2, yield_model) / survive
        pack = self.package_usd(die_area_mm2, package)
        test = self.test_usd(die_area_mm2)
        nre = self.nre_usd(node, die_area_mm2, design_class) / volume
        ip = self.ip_usd(node, design_class) / volume
        royalty = self.royalty_fraction(design_class) * (die + pack + test + nre + ip)
        return UnitCost(node, volume, die, pack, test, memory_usd, nre, ip, royalty)

    def _check_area(self, die_area_mm2: float) -> None:
        if not 0.0 < die_area_mm2 <= self.reticle_mm2:
            raise ImpossibleChipError(
                f"a die of {die_area_mm2:.0f} mm2 cannot be exposed",
                field="die_area_mm2",
                mend=f"above 0 and at most the reticle limit of {self.reticle_mm2:.0f} mm2",
            )

    def _design_class(self, name: str) -> dict[str, float]:
        if name not in self._class:
            raise InputError(
                f"unknown design class {name!r}",
                field="design_class",
                mend=f"one of {', '.join(self._class)}",
            )
        return dict(self._class[name])

    def _package_kind(self, kind: str) -> dict[str, float]:
        if kind not in self._package:
            raise InputError(
                f"unknown package {kind!r}",
                field="package",
                mend=f"one of {', '.join(self._package)}",
            )
        return dict(self._package[kind])


class CarbonModel:
    """Embodied and operating carbon (kg CO2e), after ACT."""

    def __init__(self, facts: FactBase) -> None:
        self._energy = facts.series("carbon", "energy_kwh_cm2")
        self._gas = facts.series("carbon", "gas_g_cm2")
        self._material = facts.number("carbon", "material_g_cm2")
        self.package_kg = facts.number("carbon", "package_g") * 1e-3
        self._grid = facts.table("carbon", "grid_g_kwh")

    def grid_kg_per_kwh(self, region: str) -> float:
        """Carbon of electricity (kg/kWh) in a region."""
        if region not in self._grid:
            raise InputError(
                f"unknown grid region {region!r}",
                field="grid",
                mend=f"one of {', '.join(self._grid)}",
            )
        return float(self._grid[region]) * 1e-3

    def per_cm2_kg(self, node: int, region: str) -> float:
        """kg per cm2 of wafer: energy x grid + gases + materials, before yield."""
        grid = self.grid_kg_per_kwh(region)
        return self._energy[node] * grid + (self._gas[node] + self._material) * 1e-3

    def embodied_kg(self, node: int, wafer_mm2: float, region: str, good_dies: float) -> float:
        """One good die, its package apart: the wafer's carbon over its good dies.

        All of the wafer is processed, edge, scribe lines and bad dies too; what its price is shared
        by shares its carbon.
        """
        return wafer_mm2 * 0.01 * self.per_cm2_kg(node, region) / good_dies
