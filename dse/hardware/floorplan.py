"""Where each square millimetre goes: the area tree of a chip at a node."""

from __future__ import annotations

from dataclasses import replace

from dse.errors import InputError
from dse.hardware.area import AreaNode
from dse.hardware.blocks import number
from dse.hardware.dies import check_joined, link_parts, surrounded
from dse.hardware.external import externals
from dse.hardware.formats import is_float
from dse.hardware.sections import ArraySpec
from dse.hardware.spec import ChipSpec
from dse.hardware.widths import Widths, widths_of
from dse.registry import cached
from dse.technology import FloorFacts, Technology


def mac_unit_mm2(tech: Technology, node: int, array: ArraySpec) -> float:
    """One MAC unit with all its formats.

    Composable multipliers share silicon within a family (integer, float), so a family costs its
    most expensive member at its rate. Of a second family only what cannot use the multipliers of
    the first is added (exponents, alignment, wide adders). Every further format adds multiplexing.
    """
    families: dict[bool, float] = {}
    for pair, rate in array.formats.items():
        weights, _, activations = pair.partition("x")
        floating = is_float(weights) or is_float(activations)
        acc = 32 if floating else array.accumulator_bits
        area = rate * tech.mac_area_mm2(node, weights, activations, acc, array.dot_width)
        families[floating] = max(families.get(floating, 0.0), area)
    modes = 1.0 + number("mode_area_share") * (len(array.formats) - 1)
    sizes = sorted(families.values())
    return (sizes[-1] + number("second_family_share") * sum(sizes[:-1])) * modes


def bank_width_bits(bytes_per_cycle: float, banks: int) -> int:
    """Word of one macro: 128 bit, less for a narrower port, more if all banks must serve it.

    Words of over 512 bit are several macros side by side, of which each is as if by itself.
    """
    return min(bank_word_bits(bytes_per_cycle, banks), 512)


def bank_word_bits(bytes_per_cycle: float, banks: int) -> int:
    """What a bank gives in a cycle so that all banks together serve a port."""
    port = 8.0 * bytes_per_cycle
    return int(max(min(port, max(128.0, port / banks)), 8.0))


def port_bytes(width: Widths) -> float:
    """Bytes a cycle of wires and FIFOs between buffer, array and links.

    Ports of one operand or use are part of the port of all, so that they count where they are
    wider. The fetch limit is one of requests, not of wires.
    """
    outward = max(width.read, width.inputs, width.weights, width.sums)
    return outward + max(width.write, width.results, width.sums, width.fill)


def core_parts(tech: Technology, node: int, spec: ChipSpec) -> tuple[AreaNode, ...]:
    """The blocks of one core."""
    array, buffer, width = spec.array, spec.buffer, widths_of(spec)
    units = array.rows * array.cols * array.depth
    macs = units * mac_unit_mm2(tech, node, array) * array.sparsity.area_factor
    if array.winograd:
        macs *= 1.0 + number("winograd_area_share")
    registers = 0.0
    if stored := array.register_bytes + array.registers.bytes:
        registers = units * tech.register_area_mm2(node, 8.0 * stored)
    array_mm2 = (macs + registers) * (1.0 + number("array_distribution_share"))
    accumulators = 0.0
    if width.accumulators:
        accumulators = tech.sram_area_mm2(node, width.accumulators, banks=array.cols)
        accumulators *= 1.0 + number("buffer_logic_share")
    # Banks that give more than 128 bit a cycle are macros side by side, each with its periphery.
    word = bank_word_bits(max(width.read, width.write), buffer.banks)
    macro = tech.sram_area_mm2(node, buffer.bytes, word, buffer.banks)
    macro *= number("dual_port_area_factor") if buffer.dual_port else 1.0
    lanes = width.lanes * spec.vector.stages * number("lane_gates")
    gates = spec.overhead.control_gates + spec.dma.channels * number("dma_channel_gates")
    gates += array.weight_compression.decoder_bytes_per_cycle * number("decoder_gates_per_byte")
    port_bits = 8.0 * port_bytes(width)
    return (
        AreaNode("array", array_mm2, "npu"),
        AreaNode("accumulators", accumulators, "npu"),
        AreaNode("buffer", macro * (1.0 + number("buffer_logic_share")), "npu"),
        AreaNode("vector", tech.logic_area_mm2(node, lanes), "npu"),
        AreaNode("control", tech.logic_area_mm2(node, gates), "npu"),
        AreaNode("noc", tech.logic_area_mm2(node, port_bits * number("noc_gates_per_bit")), "npu"),
    )


def npu_area(tech: Technology, node: int, spec: ChipSpec) -> AreaNode:
    """The accelerator: its cores of every kind and the shared L2."""
    parts = [
        AreaNode(part.name, part.own_mm2 * spec.cores, "npu")
        for part in core_parts(tech, node, spec)
    ]
    if spec.l2.bytes:
        l2 = tech.sram_area_mm2(node, spec.l2.bytes, banks=spec.l2.banks)
        parts.append(AreaNode("l2", l2 * (1.0 + number("buffer_logic_share")), "npu"))
    for name in spec.kinds:
        own = spec.of_kind(name)
        blocks = tuple(
            AreaNode(f"{part.name}.{name}", part.own_mm2 * own.cores, "npu")
            for part in core_parts(tech, node, own)
        )
        parts.append(AreaNode(name, 0.0, "npu", blocks))
    return AreaNode("npu", 0.0, "npu", tuple(parts))


def seen_by(area: AreaNode, kind: str) -> AreaNode:
    """The floorplan as the cores of a further kind see it: their blocks under the plain names.

    The cores of other kinds are one block, so that every total stays as it is.
    """
    npu = next(part for part in area.parts if part.name == "npu")
    own = next(part for part in npu.parts if part.name == kind)
    plain = tuple(replace(part, name=part.name.removesuffix(f".{kind}")) for part in own.parts)
    shared = tuple(part for part in npu.parts if part.name == "l2")
    rest = npu.total_mm2 - sum(part.total_mm2 for part in (*plain, *shared))
    seen = replace(npu, parts=(*plain, *shared, AreaNode("other_cores", rest, "npu")))
    return replace(area, parts=tuple(seen if part is npu else part for part in area.parts))


@cached(256)
def nvm_node(tech: Technology, node: int, kind: str) -> int:
    """Node of the non-volatile memory: the chip's own, or the finest coarser one that offers it.

    A node that offers no such memory gets it as a second die in the same package.

    Raises:
        InputError: unknown kind of memory, or none at this node or a coarser one.
    """
    coarser = sorted(n for n in tech.nodes if n >= node)
    fault = InputError(
        f"nothing is known of {kind!r} at {node} nm",
        mend=f"take a node of at most {max(tech.nodes)} nm, or nvm.bytes: 0",
    )
    for candidate in coarser:
        try:
            tech.nvm_area_mm2(candidate, kind, 1.0)
        except InputError as error:
            fault = error
        else:
            return candidate
    raise fault


def chip_area(tech: Technology, node: int, spec: ChipSpec, floor: FloorFacts) -> AreaNode:
    """All dies: NPU, host, interfaces, pads, the rest, and the space that stays empty."""
    die = spec.die
    parts = [npu_area(tech, node, spec)]
    host = floor.host(spec.host.core).area_mm2 * spec.host.count
    parts.append(AreaNode("host", host))
    if outside := [(tech.dram(one.kind), one.channels) for one in externals(spec)]:
        phys = sum(kind.phy_area_mm2(node) * channels for kind, channels in outside)
        controllers = sum(kind.controller_area_mm2(node) * channels for kind, channels in outside)
        parts.append(AreaNode("dram_phy", phys))
        parts.append(AreaNode("dram_controller", controllers))
    if spec.nvm.bytes and not spec.nvm.channels and nvm_node(tech, node, spec.nvm.kind) == node:
        parts.append(AreaNode("nvm", tech.nvm_area_mm2(node, spec.nvm.kind, spec.nvm.bytes)))
    parts.append(AreaNode("pll", floor.pll_area_mm2 * die.pll_count))
    parts.append(AreaNode("always_on", floor.always_on_area_mm2))
    if die.other_area_mm2:
        parts.append(AreaNode("other_logic", other_logic_mm2(tech, node, spec)))
    parts += link_parts(tech, spec, floor.pll_area_mm2)
    white, ring, areas = surrounded(parts, spec, floor)
    check_joined(areas, tech, spec)
    parts.append(AreaNode("io_ring", ring))
    return AreaNode("die", white, "die", tuple(parts))


def other_logic_mm2(tech: Technology, node: int, spec: ChipSpec) -> float:
    """The rest of the die moved from the node where its area was stated.

    It is a mix of logic, SRAM and analog (camera, Ethernet and display PHYs): the first two shrink
    as their own densities do, the last does not.
    """
    home = _other_home(tech, spec)
    if home == node:
        return spec.die.other_area_mm2
    logic = tech.logic_area_mm2(node, 1e6) / tech.logic_area_mm2(home, 1e6)
    sram = tech.sram_area_mm2(node, 1e6) / tech.sram_area_mm2(home, 1e6)
    of_sram, of_analog = number("other_sram_share"), number("other_analog_share")
    mix = (1.0 - of_sram - of_analog) * logic + of_sram * sram + of_analog
    return spec.die.other_area_mm2 * mix


def other_leaking_mm2(tech: Technology, node: int, spec: ChipSpec) -> float:
    """The rest of the die as the logic of ``node`` that leaks as much.

    What leaks is a number of transistors, which stays: where the area stated at another node moves
    as a mix, its SRAM and analog blocks do not leak with the density of the logic beside them.
    """
    home = _other_home(tech, spec)
    if home == node:
        return spec.die.other_area_mm2
    logic = tech.logic_area_mm2(node, 1e6) / tech.logic_area_mm2(home, 1e6)
    return spec.die.other_area_mm2 * logic


def _other_home(tech: Technology, spec: ChipSpec) -> int:
    """The node at which the rest of the die is stated."""
    stated = spec.die.other_area_node
    return tech.known_nodes.parse(stated) if stated else spec.node_nm
