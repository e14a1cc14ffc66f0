"""The money and carbon side of the technology object."""

from __future__ import annotations

from dse.technology.cost import CarbonModel, CostModel, UnitCost
from dse.technology.nodes import Nodes


class Economics:
    """Cost (USD) and carbon (kg CO2e) answers; :class:`Technology` inherits them."""

    cost: CostModel
    carbon: CarbonModel
    known_nodes: Nodes
    _known: frozenset[int]

    def _node(self, node_nm: int) -> int:
        return node_nm if node_nm in self._known else self.known_nodes.parse(node_nm)

    def yield_fraction(
        self, node_nm: int, die_area_mm2: float, model: str = "negative_binomial"
    ) -> float:
        """Share of good dies."""
        return self.cost.yield_fraction(self._node(node_nm), die_area_mm2, model)

    def die_sides_mm(self, die_area_mm2: float) -> tuple[float, float]:
        """Width and height of a die (mm); ImpossibleChipError above the reticle limit."""
        return self.cost.die_sides_mm(die_area_mm2)

    def die_cost_usd(
        self, node_nm: int, die_area_mm2: float, model: str = "negative_binomial"
    ) -> float:
        """One good die (USD); InputError above the reticle limit."""
        return self.cost.die_usd(self._node(node_nm), die_area_mm2, model)

    def nre_usd(
        self,
        node_nm: int,
        die_area_mm2: float,
        design_class: str = "small_npu",
        mask_sets: int = 1,
    ) -> float:
        """Masks and design (USD) of small_npu, edge_soc or full_soc; IP is apart.

        ``mask_sets``: different dies of the node, whose areas ``die_area_mm2`` sums.
        """
        return self.cost.nre_usd(self._node(node_nm), die_area_mm2, design_class, mask_sets)

    def ip_usd(self, node_nm: int, design_class: str = "small_npu") -> float:
        """Licensed IP, up front (USD)."""
        return self.cost.ip_usd(self._node(node_nm), design_class)

    def royalty_fraction(self, design_class: str = "small_npu") -> float:
        """Royalties as a share of the chip's price."""
        return self.cost.royalty_fraction(design_class)

    def package_cost_usd(self, die_area_mm2: float, kind: str = "fccsp", dies: int = 1) -> float:
        """Package and assembly (USD): wlcsp, qfn, bga, fccsp, fcbga, pop, interposer, ...

        ``die_area_mm2`` is of all ``dies`` in it together.
        """
        return self.cost.package_usd(die_area_mm2, kind, dies)

    def assembly_yield(self, kind: str = "fccsp", dies: int = 1) -> float:
        """Share of packages that come out of assembly well, with their dies."""
        return self.cost.assembly_yield(kind, dies)

    def test_cost_usd(self, *die_areas_mm2: float) -> float:
        """Wafer test of each die and final test of the package (USD)."""
        return self.cost.test_usd(*die_areas_mm2)

    def unit_cost(
        self,
        node_nm: int,
        die_area_mm2: float,
        volume: float,
        *,
        package: str = "fccsp",
        design_class: str = "small_npu",
        memory_usd: float = 0.0,
        yield_model: str = "negative_binomial",
    ) -> UnitCost:
        """The parts of a unit's cost at a volume (units over the product's life)."""
        return self.cost.unit_cost(
            self._node(node_nm),
            die_area_mm2,
            volume,
            package=package,
            design_class=design_class,
            memory_usd=memory_usd,
            yield_model=yield_model,
        )

    def embodied_carbon_kg(
        self,
        node_nm: int,
        die_area_mm2: float,
        grid: str = "taiwan",
        yield_model: str = "negative_binomial",
    ) -> float:
        """One good packaged die (kg CO2e), made on a region's electricity."""
        made = self.die_carbon_kg(node_nm, die_area_mm2, grid, yield_model)
        return made + self.carbon.package_kg

    def die_carbon_kg(
        self,
        node_nm: int,
        die_area_mm2: float,
        grid: str = "taiwan",
        yield_model: str = "negative_binomial",
    ) -> float:
        """One good die (kg CO2e) with its share of wafer edge, scribe lines and bad dies."""
        node = self._node(node_nm)
        good = self.cost.good_dies(node, die_area_mm2, yield_model)
        return self.carbon.embodied_kg(node, self.cost.wafer_mm2, grid, good)

    def package_carbon_kg(self) -> float:
        """One package (kg CO2e), however many dies it holds."""
        return self.carbon.package_kg

    def operating_carbon_kg(self, energy_j: float, region: str = "world") -> float:
        """Carbon (kg CO2e) of electricity used over a lifetime, energy in J (3.6 MJ per kWh)."""
        return energy_j / 3.6e6 * self.carbon.grid_kg_per_kwh(region)

    def grid_kg_per_kwh(self, region: str) -> float:
        """Carbon of electricity (kg/kWh): taiwan, japan, korea, usa, europe, world."""
        return self.carbon.grid_kg_per_kwh(region)
