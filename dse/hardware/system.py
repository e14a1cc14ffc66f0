"""What a product keeps in its external memory beside networks."""

from __future__ import annotations

from dse.hardware.blocks import number
from dse.hardware.chip import Chip

#: Cores that run an operating system with virtual memory; all others are microcontrollers.
RICH_CORES = "cortex-a"
#: Links to the memory of another computer, whose operating system lives there.
HOST_LINKS = "host_"


def system_bytes(chip: Chip) -> float:
    """Operating system, drivers and what else runs beside the networks, bytes.

    As the chip says (``dram.system_bytes``), else the block fact of the host's class; none where
    there is no external memory that can be written.
    """
    dram = chip.spec.dram
    link = chip.links["dram"]
    if not (link.bytes_per_s > 0.0 and link.writable):
        return 0.0
    if dram.system_bytes is not None:
        return float(dram.system_bytes)
    rich = chip.spec.host.core.startswith(RICH_CORES) or dram.kind.startswith(HOST_LINKS)
    return number("rich_system_bytes" if rich else "small_system_bytes")


def frame_buffers() -> float:
    """Buffers that a camera or another source of frames cycles through unless an app says."""
    return number("frame_buffers")
