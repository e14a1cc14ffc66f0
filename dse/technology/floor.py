"""The module floor: clocks, pads, always-on domain, host cores, power conversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np

from dse.errors import InputError
from dse.technology.datapath import DatapathModel
from dse.technology.device import DeviceModel, FloatArray
from dse.technology.facts import FactBase


@dataclass(frozen=True)
class HostCore:
    """A programmable host at one node.

    ``j_per_cycle`` is at the node's nominal voltage (multiply by (V/Vnom)^2 elsewhere);
    ``f_max_ratio`` is its clock over that of an NPU datapath at the same voltage. Operations per
    cycle are sustained, for int8 MACs and for simple int8 vector operations.
    """

    name: str
    node_nm: int
    area_mm2: float
    j_per_cycle: float
    int8_macs_per_cycle: float
    vector_ops_per_cycle: float
    f_max_ratio: float

    @property
    def w_per_hz(self) -> float:
        """Active power per hertz (W/Hz), the same number as ``j_per_cycle``."""
        return self.j_per_cycle


@dataclass(frozen=True)
class FloorFacts:
    """What a die and a module need besides the NPU, at one node (SI units, mm2 for areas)."""

    node_nm: int
    pll_power_w: float
    pll_area_mm2: float
    io_cell_area_mm2: float
    io_static_w_per_pad: float
    pad_ring_depth_mm: float
    bump_ring_depth_mm: float
    die_white_space: float
    analog_power_w: float
    always_on_w: float
    always_on_area_mm2: float
    wake_s: float
    pmic_usd: float
    hosts: dict[str, HostCore]
    _curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]

    def host(self, name: str) -> HostCore:
        """One host core by name, or InputError with the list."""
        found = self.hosts.get(name)
        if found is None:
            raise InputError(
                f"unknown host core {name!r}",
                field="host",
                mend=f"one of {', '.join(self.hosts)}",
            )
        return found

    def ring_area_mm2(self, die_area_mm2: float, flip_chip: bool = True) -> float:
        """Area (mm2) of the ring of a square die whose inside is ``die_area_mm2``.

        (side + 2 depth)^2 - side^2; flip chip keeps only the seal ring and IO rows.
        """
        depth = self.bump_ring_depth_mm if flip_chip else self.pad_ring_depth_mm
        side = math.sqrt(max(die_area_mm2, 0.0))
        return 4.0 * depth * (side + depth)

    @overload
    def pmic_efficiency(self, load_w: float, rated_w: float, kind: str = ...) -> float: ...

    @overload
    def pmic_efficiency(
        self, load_w: FloatArray, rated_w: float, kind: str = ...
    ) -> FloatArray: ...

    def pmic_efficiency(
        self, load_w: float | FloatArray, rated_w: float, kind: str = "core_rail"
    ) -> float | FloatArray:
        """Output over input power of the regulator, between 0.5 and 0.95.

        Linear in the logarithm of the load fraction between the curve's points, flat outside.

        Args:
            load_w: power delivered (W), scalar or array.
            rated_w: power the regulator is built for (W).
            kind: ``core_rail``, ``nano`` (nano-Iq buck) or ``ldo``.
        """
        if rated_w <= 0.0:
            raise InputError(
                f"a regulator rated {rated_w:g} W has no meaning", field="rated_w", mend="above 0 W"
            )
        if kind not in self._curves:
            raise InputError(
                f"unknown regulator {kind!r}",
                field="pmic",
                mend=f"one of {', '.join(self._curves)}",
            )
        load, efficiency = self._curves[kind]
        fraction = np.maximum(np.asarray(load_w, dtype=np.float64) / rated_w, 1e-12)
        found = np.clip(np.interp(np.log(fraction), load, efficiency), 0.5, 0.95)
        return float(found) if found.ndim == 0 else found


class FloorModel:
    """Floor facts of every node, built on demand."""

    def __init__(self, facts: FactBase, device: DeviceModel, datapath: DatapathModel) -> None:
        self._facts = facts
        self._device = device
        self._datapath = datapath
        self._made: dict[int, FloorFacts] = {}
        self._series = {
            name: facts.series("floor", name)
            for name in ("pll_power_mw", "pll_area_mm2", "always_on_uw", "always_on_area_mm2")
        }
        self._curves = {}
        for name in ("core_rail", "nano", "ldo"):
            table = facts.table("floor", f"pmic_{name}")
            self._curves[name] = (
                tuple(float(np.log(value)) for value in table["load"]),
                tuple(float(value) for value in table["efficiency"]),
            )

    def floor(self, node: int) -> FloorFacts:
        """The floor of one node."""
        found = self._made.get(node)
        if found is None:
            found = self._made[node] = self._build(node)
        return found

    def _build(self, node: int) -> FloorFacts:
        number = self._facts.number
        return FloorFacts(
            node_nm=node,
            pll_power_w=self._series["pll_power_mw"][node] * 1e-3,
            pll_area_mm2=self._series["pll_area_mm2"][node],
            io_cell_area_mm2=number("floor", "io_cell_mm2"),
            io_static_w_per_pad=number("floor", "io_static_mw") * 1e-4,
            pad_ring_depth_mm=number("floor", "pad_ring_depth_mm"),
            bump_ring_depth_mm=number("floor", "bump_ring_depth_mm"),
            die_white_space=number("floor", "die_white_space"),
            analog_power_w=number("floor", "analog_power_mw") * 1e-3,
            always_on_w=self._series["always_on_uw"][node] * 1e-6,
            always_on_area_mm2=self._series["always_on_area_mm2"][node],
            wake_s=number("floor", "power_switch_wake_s"),
            pmic_usd=number("floor", "pmic_usd"),
            hosts=self._hosts(node),
            _curves=self._curves,
        )

    def _hosts(self, node: int) -> dict[str, HostCore]:
        """Hosts moved from their own node by logic density, capacitance and nominal voltage."""
        hosts: dict[str, HostCore] = {}
        density, c = self._datapath.density, self._device.capacitance
        volts = self._device.nominal_v
        for fact in self._facts.names("floor"):
            if not fact.startswith("host_"):
                continue
            row = self._facts.table("floor", fact)
            home = int(row["node"])
            energy = row["uw_mhz"] * 1e-12 * c[node] / c[home] * (volts[node] / volts[home]) ** 2
            name = fact.removeprefix("host_")
            hosts[name] = HostCore(
                name=name,
                node_nm=node,
                area_mm2=row["area_mm2"] * density[home] / density[node],
                j_per_cycle=float(energy),
                int8_macs_per_cycle=float(row["int8_macs_per_cycle"]),
                vector_ops_per_cycle=float(row["vector_ops_per_cycle"]),
                f_max_ratio=float(row["f_max_ratio"]),
            )
        return hosts
