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

    def die_cost_usd(
        self, node_nm: int, die_area_mm2: float, model: str = "negative_binomial"
    ) -> float:
        """One good die (USD); InputError above the reticle limit."""
        return self.cost.die_usd(self._node(node_nm), die_area_mm2, model)

    def nre_usd(self, node_nm: int, die_area_mm2: float, design_class: str = "small_npu") -> float:
        """Masks and design (USD) of small_npu, edge_soc or full_soc; IP is apart."""
        return self.cost.nre_usd(self._node(node_nm), die_area_mm2, design_class)

    def ip_usd(self, node_nm: int, design_class: str = "small_npu") -> float:
        """Licensed IP, up front (USD)."""
        return self.cost.ip_usd(self._node(node_nm), design_class)

    def royalty_fraction(self, design_class: str = "small_npu") -> float:
        """Royalties as a share of the chip's price."""
        return self.cost.royalty_fraction(design_class)

    def package_cost_usd(self, die_area_mm2: float, kind: str = "fccsp") -> float:
        """Package and assembly (USD): wlcsp, qfn, bga, fccsp, fcbga, pop, interposer, ..."""
        return self.cost.package_usd(die_area_mm2, kind)

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
        good = self.yield_fraction(node_nm, die_area_mm2, yield_model)
        return self.carbon.embodied_kg(self._node(node_nm), die_area_mm2, grid, good)

    def operating_carbon_kg(self, energy_j: float, region: str = "world") -> float:
        """Carbon (kg CO2e) of electricity used over a lifetime, energy in J (3.6 MJ per kWh)."""
        return energy_j / 3.6e6 * self.carbon.grid_kg_per_kwh(region)

    def grid_kg_per_kwh(self, region: str) -> float:
        """Carbon of electricity (kg/kWh): taiwan, japan, korea, usa, europe, world."""
        return self.carbon.grid_kg_per_kwh(region)
