"""What every action of a chip costs: joules per count, and the scope that pays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dse.hardware.area import AreaNode
from dse.hardware.blocks import label, number
from dse.hardware.dies import further_dies
from dse.hardware.floorplan import bank_width_bits, nvm_node
from dse.hardware.formats import is_float, served_pairs
from dse.hardware.sections import VECTOR_FUNCTIONS
from dse.hardware.spec import ChipSpec
from dse.hardware.widths import widths_of
from dse.technology import HostCore, OperatingPoint, Technology

#: Words that begin an action's name, and the scope they belong to.
GROUP_SCOPE = {
    "mac": "npu",
    "array": "npu",
    "accumulator": "npu",
    "register": "npu",
    "buffer": "npu",
    "l2": "npu",
    "noc": "npu",
    "vector": "npu",
    "launch": "npu",
    "descriptor": "npu",
    "nvm": "die",
    "host": "die",
    "phy": "die",
    "dram": "die_dram",
}


@dataclass(frozen=True, slots=True)
class HostClock:
    """The host as it runs: its core facts and its clock, Hz."""

    core: HostCore
    f_hz: float
    count: int

    @property
    def ops_per_s(self) -> float:
        """Simple operations per second of one core (a host layer is one thread)."""
        return self.f_hz * self.core.vector_ops_per_cycle

    @property
    def macs_per_s(self) -> float:
        """Multiply-accumulates at int8 per second of one core."""
        return self.f_hz * self.core.int8_macs_per_cycle

    @property
    def j_per_op(self) -> float:
        return self.core.j_per_cycle / self.core.vector_ops_per_cycle


@dataclass(frozen=True, slots=True)
class Distances:
    """Mean wire lengths, mm: from the buffer's port over the array, and NPU edge to buffer.

    The way inside the buffer, from bank to port, is part of the SRAM's own energy.
    """

    array_mm: float
    noc_mm: float


def distances(spec: ChipSpec, area: AreaNode) -> Distances:
    """Wire lengths from block areas, blocks taken as squares: half a side each.

    Wires stay on their die, so that several dies have shorter ones; the way between them is a link.
    """
    npu = next(part for part in area.parts if part.name == "npu")
    array = next(part.total_mm2 for part in npu.parts if part.name == "array") / spec.cores
    own = npu.total_mm2 / (1 + further_dies(area))
    noc = spec.noc.mm if spec.noc.mm is not None else 0.5 * math.sqrt(own)
    return Distances(0.5 * math.sqrt(array), noc)


def full_mac_j(tech: Technology, point: OperatingPoint[float], spec: ChipSpec, pair: str) -> float:
    """One MAC of an implemented pair with its share of clock tree, control and multiplexing."""
    weights, _, activations = pair.partition("x")
    floating = is_float(weights) or is_float(activations)
    acc = 32 if floating else spec.array.accumulator_bits
    modes = 1.0 + number("mode_energy_share") * (len(spec.array.formats) - 1)
    bare = tech.mac_energy_j(point, weights, activations, acc, spec.array.dot_width) * modes
    if spec.array.register_bytes:
        per_bit = tech.register_energy_j_per_bit(point, capacity_bytes=spec.array.register_bytes)
        bare += per_bit * 8.0
    return bare * spec.array.sparsity.energy_factor / (1.0 - spec.power.clock_share)


def action_prices(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    area: AreaNode,
    host: HostClock,
    launch_cycles: float,
) -> dict[str, float]:
    """Joules per count of every action (see ``dse.hardware.chip.Chip``).

    ``launch_cycles`` are those of the chip's clock that starting a layer takes.

    Every key is there; a memory or link that the chip lacks has price 0 (and bandwidth 0). Host
    links (USB, PCIe) have no memory device of their own, so only their PHY has a price.
    """
    wire = tech.wire_energy_j_per_bit_mm(point)
    length = distances(spec, area)
    out = _mac_prices(tech, point, spec)
    out |= _memory_prices(tech, point, spec, wire, length)
    out |= _register_prices(tech, point, spec)
    out["noc.bit"] = wire * length.noc_mm
    for function in VECTOR_FUNCTIONS:
        out[f"vector.{function}"] = tech.op_energy_j(point, function, 8)
        out[f"vector.{function}.wide"] = tech.op_energy_j(point, function, 16)
    out["host.op"] = host.j_per_op
    sequencer = tech.floor(point.node_nm).host(label("sequencer_core")).j_per_cycle
    out["descriptor"] = sequencer * max(spec.dma.descriptor_cycles, 1.0)
    cycles = max(launch_cycles, 1.0)
    if spec.overhead.attachment == "cpu":
        out["launch"] = cycles * host.core.j_per_cycle * host.f_hz / point.f_hz
    elif spec.overhead.attachment == "dsp":
        out["launch"] = cycles * host.core.j_per_cycle * host.count * host.f_hz / point.f_hz
    else:
        out["launch"] = cycles * sequencer
    return out


def _mac_prices(tech: Technology, point: OperatingPoint[float], spec: ChipSpec) -> dict[str, float]:
    implemented = {pair: full_mac_j(tech, point, spec, pair) for pair in spec.array.formats}
    out = {
        f"mac.{weights}.{activations}": implemented[pair]
        for (weights, activations), pair in served_pairs(spec.array.formats).items()
    }
    pair = served_pairs(spec.array.formats)[_split(spec.native_pair)]
    native = implemented[pair] * spec.array.formats[pair]  # what a unit does in a cycle
    share = spec.power.clock_share
    idle = share + (1.0 - share) * number("idle_mac_share")
    out["array.idle_mac"] = native * idle
    return out


def _memory_prices(
    tech: Technology,
    point: OperatingPoint[float],
    spec: ChipSpec,
    wire: float,
    length: Distances,
) -> dict[str, float]:
    out: dict[str, float] = {}
    buffer, of = spec.buffer, widths_of(spec)
    to_array = wire * length.array_mm
    for side, port in (("read", of.read), ("write", of.write)):
        width = bank_width_bits(port, buffer.banks)
        macro = tech.sram_energy_j_per_bit(
            point, float(buffer.bytes), width, side == "write", buffer.banks
        )
        out[f"buffer.{side}_bit"] = macro + to_array
        acc = of.accumulators
        if acc:
            out[f"accumulator.{side}_bit"] = tech.sram_energy_j_per_bit(
                point, acc / spec.array.cols, 32, side == "write"
            )
        else:
            out[f"accumulator.{side}_bit"] = out[f"buffer.{side}_bit"]
        out[f"l2.{side}_bit"] = 0.0
        if spec.l2.bytes:
            bits = bank_width_bits(spec.l2.bytes_per_cycle, 1)
            out[f"l2.{side}_bit"] = tech.sram_energy_j_per_bit(
                point, float(spec.l2.bytes), bits, side == "write", spec.l2.banks
            )
    out["nvm.read_bit"] = _nvm_price(tech, point, spec)
    out |= {"dram.read_bit": 0.0, "dram.write_bit": 0.0, "phy.bit": 0.0}
    if spec.dram.channels:
        dram = tech.dram(spec.dram.kind)
        share = number("phy_write_share")
        out["dram.read_bit"] = dram.device_read_j_per_bit
        out["dram.write_bit"] = dram.device_write_j_per_bit
        out["phy.bit"] = (1.0 - share) * dram.phy_read_j_per_bit + share * dram.phy_write_j_per_bit
    return out


def _register_prices(
    tech: Technology, point: OperatingPoint[float], spec: ChipSpec
) -> dict[str, float]:
    """Registers of a PE that the mapper fills; none, no actions."""
    registers = spec.array.registers
    out: dict[str, float] = {}
    for operand, own in (("w", registers.W), ("i", registers.I), ("o", registers.O)):
        for side in ("read", "write") if registers.bytes else ():
            out[f"register.{operand}.{side}_bit"] = tech.register_energy_j_per_bit(
                point, capacity_bytes=float(own or registers.shared), write=side == "write"
            )
    return out


def _nvm_price(tech: Technology, point: OperatingPoint[float], spec: ChipSpec) -> float:
    if not spec.nvm.bytes:
        return 0.0
    if spec.nvm.channels:
        return tech.dram(spec.nvm.kind).read_j_per_bit
    home = nvm_node(tech, point.node_nm, spec.nvm.kind)
    if home == point.node_nm:
        return tech.nvm_energy_j_per_bit(point, spec.nvm.kind)
    there = tech.operating_point(home, junction_c=spec.junction_c)
    link = tech.d2d(label("companion_link")).j_per_bit
    return tech.nvm_energy_j_per_bit(there, spec.nvm.kind) + link


def _split(pair: str) -> tuple[str, str]:
    weights, _, activations = pair.partition("x")
    return weights, activations


def scopes(actions: Mapping[str, float], *, flash: bool = False) -> dict[str, str]:
    """The scope of each action; ``flash``: weights lie in a memory outside the die."""
    own = GROUP_SCOPE | {"nvm": "die_dram"} if flash else GROUP_SCOPE
    return {action: own[action.partition(".")[0]] for action in actions}
