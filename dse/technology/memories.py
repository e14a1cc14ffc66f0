"""On-chip SRAM, wires, and embedded non-volatile memory."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from dse.errors import InputError
from dse.technology.device import DeviceModel, FloatArray
from dse.technology.facts import FactBase

S = TypeVar("S", float, FloatArray)
_MEGABIT = float(1 << 20)


class MemoryModel:
    """Coefficients (J/V^2), leakage and areas of on-chip memories.

    A read of one bit costs the macro's core (anchored at 8 KB) plus the way between macro and
    port, which is proportional to the side of the whole array; so energy grows with capacity by
    geometry, not by a fitted power of capacity.
    """

    def __init__(self, facts: FactBase, device: DeviceModel) -> None:
        number = facts.number
        self._fixed = min(number("memory", "sram_fixed_share"), 0.95)
        self._small = number("memory", "sram_capacity_exponent_small")
        self.write_factor = number("memory", "sram_write_factor")
        self.wire_c = number("memory", "wire_fj_bit_mm_v2") * 1e-15
        self._route = number("memory", "sram_route_factor")
        self.bitcell = facts.series("nodes", "sram_bitcell_um2")
        self._efficiency = min(number("memory", "sram_macro_efficiency"), 0.9)
        self._bank_bytes = number("memory", "sram_bank_overhead_bytes")
        self._init_leakage(facts)
        self.core_c = self._core(facts, device)
        self._nvm_read = facts.table("memory", "nvm_read_pj_bit")
        self._nvm_write = facts.table("memory", "nvm_write_pj_bit")
        self._nvm_cell = facts.table("memory", "nvm_cell_um2")
        self._nvm_nodes = facts.table("memory", "nvm_nodes")
        self._nvm_efficiency = min(number("memory", "nvm_macro_efficiency"), 0.9)

    def _init_leakage(self, facts: FactBase) -> None:
        leak = facts.series("nodes", "sram_leakage_uw_mb")
        keep = facts.series("nodes", "sram_retention_uw_mb")
        logic = facts.series("nodes", "logic_leakage_mw_mm2")
        self.sram_leakage = {node: value * 1e-6 / _MEGABIT for node, value in leak.items()}
        self.sram_retention = {node: value * 1e-6 / _MEGABIT for node, value in keep.items()}
        self.logic_leakage = {node: value * 1e-3 for node, value in logic.items()}

    def _core(self, facts: FactBase, device: DeviceModel) -> dict[int, float]:
        """Core coefficient (J/V^2 per bit at a 64-bit word) by node.

        The anchor is a whole 8 KB macro at 16 nm; its own way to the port is taken off.
        """
        volts = facts.number("memory", "sram_core_voltage_v")
        whole = facts.number("memory", "sram_core_fj_bit") * 1e-15 / volts**2
        way = self.wire_c * self._route * math.sqrt(self.sram_area_mm2(16, 8192.0))
        core = max(whole - way, 0.2 * whole)
        share = facts.number("memory", "sram_node_exponent")
        c16 = device.capacitance[16]
        return {node: core * math.pow(c / c16, share) for node, c in device.capacitance.items()}

    def sram_area_mm2(self, node: int, capacity_bytes: S, banks: int = 1) -> S:
        """Area (mm2): cells over the macro efficiency, plus a fixed part for each bank.

        A = cell x 8 (capacity + banks x overhead) / efficiency.
        """
        if np.any(np.asarray(capacity_bytes) < 0) or banks < 1:
            raise InputError(
                "an SRAM needs a capacity of at least 0 bytes and at least one bank",
                field="capacity_bytes",
                mend="give bytes >= 0 and banks >= 1",
            )
        cell = self.bitcell[node] * 1e-6 * 8.0 / self._efficiency
        return cell * (capacity_bytes + banks * self._bank_bytes)

    def sram_c(
        self, node: int, capacity_bytes: S, width_bits: int, write: bool, banks: int = 1
    ) -> S:
        """Coefficient (J/V^2) per bit of an access of ``width_bits``."""
        if width_bits < 1:
            raise InputError(
                f"an SRAM port of {width_bits} bits is not supported",
                field="width_bits",
                mend="at least 1 bit",
            )
        area = self.sram_area_mm2(node, capacity_bytes, banks)
        width = 1.0 - self._fixed + self._fixed * 64.0 / width_bits
        core = self.core_c[node] * width
        if isinstance(area, float):
            bank = min(max(float(capacity_bytes) / banks, 16.0) / 8192.0, 1.0)
            total = core * math.pow(bank, self._small) + self.wire_c * self._route * math.sqrt(area)
            return total * self.write_factor if write else total
        banked = np.clip(np.asarray(capacity_bytes) / banks, 16.0, 8192.0) / 8192.0
        many: FloatArray = core * banked**self._small + self.wire_c * self._route * np.sqrt(area)
        return many * self.write_factor if write else many

    def nvm_j_per_bit(self, node: int, kind: str, write: bool) -> float:
        """Energy (J) to read or write one bit of embedded non-volatile memory."""
        self._check_nvm(node, kind)
        return float((self._nvm_write if write else self._nvm_read)[kind]) * 1e-12

    def nvm_area_mm2(self, node: int, kind: str, capacity_bytes: float) -> float:
        """Area (mm2) of an embedded non-volatile memory (the cell does not scale)."""
        self._check_nvm(node, kind)
        cell = float(self._nvm_cell[kind]) * 1e-6
        return cell * 8.0 * capacity_bytes / self._nvm_efficiency

    def _check_nvm(self, node: int, kind: str) -> None:
        if kind not in self._nvm_nodes:
            raise InputError(
                f"unknown non-volatile memory {kind!r}",
                field="kind",
                mend=f"one of {', '.join(self._nvm_nodes)}",
            )
        nodes = self._nvm_nodes[kind]
        if node not in nodes:
            raise InputError(
                f"no {kind} is offered at {node} nm",
                field="kind",
                mend=f"use {', '.join(f'{n}nm' for n in nodes)} or weights outside the die",
            )
