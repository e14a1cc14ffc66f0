"""What cores that share a layer fetch from each other's buffers.

A tensor whose home is the buffer lies evenly over the buffers of all cores that a network is split
over. A core that works on a part of a layer has its own share at hand and fetches the rest: halo
rows where the layer is cut along rows or columns, all other channels where it is cut along K. Each
core receives through the ports by which its buffer is filled, all of them at once, before the layer
starts (assumed: nothing overlaps it); a bit costs a read there, the wires, and a write here.
"""

from __future__ import annotations

from typing import NamedTuple

from dse.hardware.chip import Chip
from dse.mapping.cost.streaming import Counts
from dse.mapping.ir.homes import Homes, stored_bytes
from dse.mapping.space.shape import Shape
from dse.workload.layer import Layer


class Exchange(NamedTuple):
    """Of one core: bytes received from the others, and the cycles that takes."""

    bytes: float
    cycles: float

    @property
    def counts(self) -> Counts:
        """Actions of one core."""
        bits = 8.0 * self.bytes
        return {"buffer.read_bit": bits, "noc.bit": bits, "buffer.write_bit": bits}


NONE = Exchange(0.0, 0.0)


def exchange(shape: Shape, layer: Layer, chip: Chip, homes: Homes, spread: int) -> Exchange:
    """What a core fetches for its part of a layer whose tensors are spread over ``spread`` cores.

    Results that a core makes beyond its own share are fetched by the others: the same bytes.
    """
    if spread == 1 or "buffer" not in homes:
        return NONE
    (w, i, o), whole = shape.part, shape.whole
    parts = (
        (homes.W, stored_bytes(layer), w / whole[0] if whole[0] else 0.0),
        (homes.I, layer.i_bytes, i / whole[1] if whole[1] else 0.0),
        (homes.O, layer.o_bytes, o / whole[2] if whole[2] else 0.0),
    )
    received = sum(
        amount * max(0.0, part - 1.0 / spread) for home, amount, part in parts if home == "buffer"
    )
    slowest = max(1.0 / chip.buffer.write_bytes_per_cycle, chip.buffer.load_cycles("l2"))
    return Exchange(received, received * slowest)
