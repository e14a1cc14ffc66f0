"""The explicit technology object: every price of a node, asked by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import overload

from dse.technology.cost import CarbonModel, CostModel
from dse.technology.datapath import DatapathModel
from dse.technology.device import DeviceModel, FloatArray, N, OperatingPoint
from dse.technology.dram import D2dKind, DramKind, DramModel
from dse.technology.economics import Economics
from dse.technology.facts import FactBase, FactRow
from dse.technology.floor import FloorFacts, FloorModel
from dse.technology.lines import Line, read_lines
from dse.technology.memories import MemoryModel
from dse.technology.nodes import Nodes
from dse.technology.points import highest_hz, solve_point


class Technology(Economics):
    """All nodes, memories, floor, cost and carbon facts; nominal or one joint draw of them.

    Frozen: make one with :func:`load_technology` and hand it down. Energies are
    J, powers W, areas mm2, frequencies Hz, voltages V, money USD. Nodes are integers in nm as
    returned by ``known_nodes.parse``; an unknown one is an InputError. ``nodes`` may be designed
    with, ``validation_nodes`` are there to compare published chips.
    """

    def __init__(self, facts: FactBase) -> None:
        self.fact_base = facts
        self.digest: str = facts.digest
        self.draw: tuple[int, int] | None = facts.draw
        self.known_nodes: Nodes = facts.nodes
        self.nodes: tuple[int, ...] = facts.nodes.design
        self.validation_nodes: tuple[int, ...] = facts.nodes.validation
        self.device = DeviceModel(facts)
        self.datapath = DatapathModel(facts, self.device)
        self.memory = MemoryModel(facts, self.device)
        self.cost = CostModel(facts)
        self.carbon = CarbonModel(facts)
        self._dram = DramModel(facts)
        self._floor = FloorModel(facts, self.device, self.datapath)
        self.lines: Mapping[str, Line] = MappingProxyType(read_lines(facts))
        self._points: dict[tuple[object, ...], OperatingPoint[float]] = {}
        self._table_c: dict[int, float] = {}
        self._known = frozenset(facts.nodes.every)
        self._sealed = True

    def __setattr__(self, name: str, value: object) -> None:
        if getattr(self, "_sealed", False):
            raise AttributeError("a technology object is frozen; load another draw instead")
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[type[Technology], tuple[FactBase]]:
        return Technology, (self.fact_base,)

    def draw_factor(self, name: str, uncertainty: float) -> float:
        """The factor of a figure outside the facts in this world; 1 in the nominal one.

        Args:
            name: the same for all designs that share the figure.
            uncertainty: a factor; 90 % of the belief lies between 1 over it and it.
        """
        return self.fact_base.factor(name, uncertainty)

    # operating points

    def operating_point(
        self,
        node_nm: int,
        *,
        f_hz: float | None = None,
        voltage_v: float | None = None,
        sram_voltage_v: float | None = None,
        guard_band: float | None = None,
        junction_c: float = 60.0,
        vt: str = "mixed",
        corner: str = "tt",
        sram_rail: str = "shared",
        speed_factor: float = 1.0,
        sram_assist: bool = False,
    ) -> OperatingPoint[float]:
        """Where a block runs: voltage from frequency, or frequency from voltage.

        With a frequency the voltage is the lowest that reaches it, not below the logic minimum,
        nor (shared rail) the SRAM minimum. With a voltage alone the frequency is the highest it
        allows. With neither: the nominal voltage. With both: checked.

        Args:
            node_nm: node in nm.
            f_hz: clock (Hz).
            voltage_v: logic rail (V).
            sram_voltage_v: SRAM rail (V); with a split rail default: the lowest that keeps up.
            guard_band: share of the voltage lost to droop, ageing and margin (None: the default).
            junction_c: junction temperature (C).
            vt: threshold flavour: lvt, mixed, svt, hvt, ull.
            corner: tt, ss or ff.
            sram_rail: ``shared`` or ``split``.
            speed_factor: pipelining against an ordinary NPU datapath (1), multiplies f at a V.
            sram_assist: arrays with assist circuits go .1 V lower.

        Raises:
            InputError: outside a rail's range or above the reachable frequency; states them.
        """
        conditions = (guard_band, junction_c, vt, corner, sram_rail, speed_factor, sram_assist)
        key = (node_nm, f_hz, voltage_v, sram_voltage_v, *conditions)
        found = self._points.get(key)
        if found is None:
            found = solve_point(
                self.device,
                self._node(node_nm),
                f_hz=f_hz,
                voltage_v=voltage_v,
                sram_voltage_v=sram_voltage_v,
                guard_band=guard_band,
                junction_c=float(junction_c),
                vt=vt,
                corner=corner,
                sram_rail=sram_rail,
                speed_factor=speed_factor,
                sram_assist=sram_assist,
            )
            if len(self._points) > 16384:
                self._points.clear()
            self._points[key] = found
        return found

    def f_max_hz(
        self,
        node_nm: int,
        voltage_v: N,
        *,
        guard_band: float | None = None,
        junction_c: float = 60.0,
        vt: str = "mixed",
        corner: str = "tt",
        speed_factor: float = 1.0,
    ) -> N:
        """Highest logic frequency (Hz) at a voltage (V), scalar or array; limits not checked."""
        guard = self.device.guard_band if guard_band is None else guard_band
        node = self._node(node_nm)
        logic, _ = self.device.rails(node, guard, float(junction_c), vt, corner, speed_factor)
        return logic.hz(voltage_v)

    def reachable_hz(
        self,
        node_nm: int,
        *,
        guard_band: float | None = None,
        junction_c: float = 60.0,
        vt: str = "mixed",
        corner: str = "tt",
        sram_rail: str = "shared",
        speed_factor: float = 1.0,
    ) -> float:
        """Highest frequency (Hz) of a node at its maximum voltage, both rails considered."""
        guard = self.device.guard_band if guard_band is None else guard_band
        node = self._node(node_nm)
        logic, sram = self.device.rails(node, guard, junction_c, vt, corner, speed_factor)
        return highest_hz(logic, sram if sram_rail == "shared" else None, self.device.max_v[node])

    # prices of actions

    def mac_energy_j(
        self,
        point: OperatingPoint[N],
        w_format: str,
        a_format: str,
        acc_bits: int = 32,
        dot_width: float | None = None,
    ) -> N:
        """One MAC (J): multiplier, accumulation, pipeline registers, local clock and control.

        ``dot_width``: products that an adder tree sums before one accumulator.
        """
        c = self.datapath.mac_c(point.node_nm, w_format, a_format, acc_bits, dot_width)
        return c * point.voltage_v**2

    def op_energy_j(
        self, point: OperatingPoint[N], function: str, bits: int, fmt: str | None = None
    ) -> N:
        """One element of a function on a vector lane (J), with operand moves and issue.

        Args:
            point: where the vector unit runs.
            function: relu, add, mul, compare, lut, exp, div, reduce, copy, sqrt, ...
            bits: lane width of integer arithmetic.
            fmt: a float format replaces the integer width.
        """
        node = point.node_nm
        table = self._table_c.get(node)
        if table is None:
            table = self.memory.sram_c(node, 256.0, 64, False)
            self._table_c[node] = table
        return self.datapath.op_c(node, function, bits, fmt, table) * point.voltage_v**2

    def register_energy_j_per_bit(
        self, point: OperatingPoint[N], capacity_bytes: float = 64.0, write: bool = False
    ) -> N:
        """One bit of a register file of a capacity (J); 0 bytes is a bare register."""
        c = self.datapath.register_file_c(point.node_nm, capacity_bytes)
        if write:
            c *= self.memory.write_factor
        return c * point.voltage_v**2

    @overload
    def sram_energy_j_per_bit(
        self,
        point: OperatingPoint[N],
        capacity_bytes: float,
        width_bits: int = ...,
        write: bool = ...,
        banks: int = ...,
    ) -> N: ...

    @overload
    def sram_energy_j_per_bit(
        self,
        point: OperatingPoint[float],
        capacity_bytes: FloatArray,
        width_bits: int = ...,
        write: bool = ...,
        banks: int = ...,
    ) -> FloatArray: ...

    def sram_energy_j_per_bit(
        self,
        point: OperatingPoint[N],
        capacity_bytes: float | FloatArray,
        width_bits: int = 128,
        write: bool = False,
        banks: int = 1,
    ) -> N | FloatArray:
        """One bit of an SRAM access of ``width_bits`` (J, dynamic), at the SRAM rail.

        ``capacity_bytes`` is the whole array that one port reaches; ``banks`` splits it.
        """
        square = point.sram_voltage_v**2
        if isinstance(capacity_bytes, int | float):
            size = float(capacity_bytes)
            return self.memory.sram_c(point.node_nm, size, width_bits, write, banks) * square
        return self.memory.sram_c(point.node_nm, capacity_bytes, width_bits, write, banks) * square

    def wire_energy_j_per_bit_mm(self, point: OperatingPoint[N]) -> N:
        """Moving one random bit by one mm on the logic rail (J)."""
        return self.memory.wire_c * point.voltage_v**2

    def nvm_energy_j_per_bit(
        self, point: OperatingPoint[N], kind: str, write: bool = False
    ) -> float:
        """One bit of embedded non-volatile memory (J): ``mram``, ``rram``, ``flash_embedded``."""
        return self.memory.nvm_j_per_bit(point.node_nm, kind, write)

    def logic_leakage_w_per_mm2(self, point: OperatingPoint[N]) -> N:
        """Leakage of placed logic (W/mm2) at the point's voltage, flavour and temperature."""
        return self.memory.logic_leakage[point.node_nm] * point.logic_leakage_factor

    def sram_leakage_w_per_bit(self, point: OperatingPoint[N]) -> N:
        """Leakage of an SRAM bit with its periphery at the SRAM rail (W)."""
        return self.memory.sram_leakage[point.node_nm] * point.sram_leakage_factor

    def sram_retention_w_per_bit(self, point: OperatingPoint[N]) -> float:
        """Power (W) of an SRAM bit held at its retention bias."""
        return self.memory.sram_retention[point.node_nm] * point.sram_retention_factor

    # areas

    def mac_area_mm2(
        self,
        node_nm: int,
        w_format: str,
        a_format: str,
        acc_bits: int = 32,
        dot_width: float | None = None,
    ) -> float:
        """One MAC with its registers and control (mm2); ``dot_width`` as for its energy."""
        gates = self.datapath.mac_gates(w_format, a_format, acc_bits, dot_width)
        return self.logic_area_mm2(node_nm, gates)

    def logic_area_mm2(self, node_nm: int, gates: float) -> float:
        """Placed logic (mm2) of a number of NAND2 equivalents, cell utilisation included."""
        return self.datapath.gate_mm2[self._node(node_nm)] * gates

    @overload
    def sram_area_mm2(
        self, node_nm: int, capacity_bytes: float, width_bits: int = ..., banks: int = ...
    ) -> float: ...

    @overload
    def sram_area_mm2(
        self, node_nm: int, capacity_bytes: FloatArray, width_bits: int = ..., banks: int = ...
    ) -> FloatArray: ...

    def sram_area_mm2(
        self,
        node_nm: int,
        capacity_bytes: float | FloatArray,
        width_bits: int = 128,
        banks: int = 1,
    ) -> float | FloatArray:
        """SRAM macros (mm2): cells, periphery, one overhead per bank and per 128 bits of port."""
        ports = max(1, -(-width_bits // 128))
        node = self._node(node_nm)
        if isinstance(capacity_bytes, int | float):
            return self.memory.sram_area_mm2(node, float(capacity_bytes), banks * ports)
        return self.memory.sram_area_mm2(node, capacity_bytes, banks * ports)

    def register_area_mm2(self, node_nm: int, bits: float) -> float:
        """Flip-flop storage with its read multiplexing (mm2)."""
        return self.logic_area_mm2(node_nm, self.datapath.rf_gates_per_bit * bits)

    def nvm_area_mm2(self, node_nm: int, kind: str, capacity_bytes: float) -> float:
        """Embedded non-volatile memory (mm2)."""
        return self.memory.nvm_area_mm2(self._node(node_nm), kind, capacity_bytes)

    # memories outside, links, floor

    def dram(self, kind: str) -> DramKind:
        """An external memory or host link by name."""
        return self._dram.dram(kind)

    def dram_at(self, node_nm: int, kind: str) -> DramKind:
        """An external memory by name, if a PHY for it exists in the node."""
        return self._dram.dram_at(self._node(node_nm), kind)

    @property
    def dram_kinds(self) -> tuple[str, ...]:
        """Names of the external memories and host links."""
        return tuple(self._dram.kinds)

    def d2d(self, kind: str) -> D2dKind:
        """A die-to-die link by name."""
        return self._dram.d2d(kind)

    def floor(self, node_nm: int) -> FloorFacts:
        """PLL, pads, always-on domain, hosts and regulators at a node."""
        return self._floor.floor(self._node(node_nm))

    # listings

    def facts(self) -> list[FactRow]:
        """Every nominal fact with path, value, unit, source, status and uncertainty."""
        return list(self.fact_base.rows())
