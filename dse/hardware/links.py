"""What brings bytes to the buffers of a chip file, as fast as the technology's facts make it."""

from __future__ import annotations

from dse.hardware.chip import Link
from dse.hardware.floorplan import nvm_node
from dse.hardware.spec import ChipSpec
from dse.technology import Technology

#: External memories that can only be read in operation.
_READ_ONLY = ("nor",)


def links(spec: ChipSpec, tech: Technology, f_hz: float) -> dict[str, Link]:
    """The links of a chip at a clock; one that it lacks has bandwidth 0."""
    dram_peak = dram_rate = 0.0
    if spec.dram.channels:
        kind = tech.dram(spec.dram.kind)
        channel = spec.dram.bytes_per_s_per_channel or kind.peak_bytes_per_s_per_channel
        dram_peak = channel * spec.dram.channels
        dram_rate = dram_peak * (spec.dram.efficiency or kind.efficiency(spec.dram.burst_bytes))
        dram_rate *= 1.0 - spec.dram.reserved_fraction
    l2 = spec.l2.bytes_per_cycle * f_hz if spec.l2.bytes else 0.0
    nvm = nvm_peak = spec.nvm.bytes_per_cycle * f_hz if spec.nvm.bytes else 0.0
    if spec.nvm.channels:
        flash = tech.dram(spec.nvm.kind)
        nvm_peak = flash.peak_bytes_per_s_per_channel * spec.nvm.channels
        nvm = nvm_peak * flash.efficiency(spec.nvm.burst_bytes)
    return {
        "dram": Link(
            "dram",
            dram_rate,
            dram_peak,
            float(spec.dram.capacity_bytes),
            spec.dram.kind not in _READ_ONLY,
            spec.dram.weights == "streamed",
            spec.dram.activations,
        ),
        "l2": Link("l2", l2, l2, float(spec.l2.bytes)),
        "nvm": Link("nvm", nvm, nvm_peak, float(spec.nvm.bytes), writable=False),
    }


def check_nvm(spec: ChipSpec, tech: Technology) -> None:
    """The memory for weights exists.

    Raises:
        InputError: unknown kind.
        ImpossibleChipError: none that the chip's node can have on or beside it.
    """
    if spec.nvm.channels:
        tech.dram_at(spec.node_nm, spec.nvm.kind)
    else:
        nvm_node(tech, spec.node_nm, spec.nvm.kind)
