"""Where the operands of a layer live, and what moving them costs."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dse.errors import InputError
from dse.hardware.chip import LINKS, Chip
from dse.workload.layer import Layer

Home = Literal["dram", "l2", "nvm", "buffer"]

#: Actions per bit of reading from and writing to a home, up to the buffer's edge.
READ_ACTIONS = {
    "dram": ("dram.read_bit", "phy.bit", "noc.bit"),
    "l2": ("l2.read_bit", "noc.bit"),
    "nvm": ("nvm.read_bit", "noc.bit"),
    "buffer": (),
}
WRITE_ACTIONS = {
    "dram": ("dram.write_bit", "phy.bit", "noc.bit"),
    "l2": ("l2.write_bit", "noc.bit"),
    "buffer": (),
}


class Homes(NamedTuple):
    """Home of the weights (or second operand), input, output and side input of a layer.

    ``buffer`` means resident in the scratchpad: no transfer and no tile room, the room it takes is
    the caller's to subtract (``room_bytes`` of ``map_layer``).
    """

    W: Home = "dram"
    I: Home = "dram"  # noqa: E741 - the operand's name everywhere
    O: Home = "dram"  # noqa: E741
    side: Home = "dram"

    def to_dict(self) -> dict[str, str]:
        return self._asdict()


def stored_bytes(layer: Layer) -> float:
    """Bytes of weights, and of the bias that travels with them."""
    return layer.w_bytes + layer.b_bytes


def bytes_by_operand(layer: Layer, homes: Homes) -> tuple[tuple[Home, float], ...]:
    """Home and bytes of W, I, O and the side input of a layer."""
    return (
        (homes.W, stored_bytes(layer)),
        (homes.I, layer.i_bytes),
        (homes.O, layer.o_bytes),
        (homes.side, layer.side_bytes),
    )


def resident_bytes(layer: Layer, homes: Homes, memory: Home) -> float:
    """Bytes of ``memory`` that the operands of a layer take which live there."""
    return sum(amount for home, amount in bytes_by_operand(layer, homes) if home == memory)


def load_cycles(chip: Chip, home: Home) -> float:
    """Cycles that a byte from a home takes at the fill port and the fetch limit of a core."""
    return 0.0 if home == "buffer" else chip.buffer.load_cycles(home)


def has_link(chip: Chip, name: str) -> bool:
    """Whether the chip has the link at all."""
    return name in chip.links and chip.links[name].bytes_per_s > 0.0


def spills(chip: Chip) -> bool:
    """Whether activations may leave the chip: it has a DRAM that can be written (no flash)."""
    return has_link(chip, "dram") and chip.links["dram"].writable


def default_homes(layer: Layer, chip: Chip) -> Homes:
    """Homes of a layer mapped on its own.

    Activations live in DRAM, without one that can be written (or where the compiler puts them on
    the chip first) in L2, else in the buffer; weights in NVM if the chip has it and they fit, else
    in external memory, else beside the activations.
    """
    inside = has_link(chip, "l2") and chip.placement.activations == "pools"
    leaves = spills(chip) and not inside
    outer: Home = "dram" if leaves else "l2" if has_link(chip, "l2") else "buffer"
    weights: Home = "dram" if has_link(chip, "dram") else outer
    if (
        not layer.w_is_activation
        and has_link(chip, "nvm")
        and stored_bytes(layer) <= chip.links["nvm"].capacity_bytes
    ):
        weights = "nvm"
    return Homes(weights, outer, outer, outer)


def price_of(chip: Chip, action: str) -> float:
    """Joules per count of ``action``; InputError if the chip has no price for it."""
    try:
        return chip.prices[action]
    except KeyError:
        raise InputError(
            f"chip {chip.name} has no price for action {action!r}", field="prices", mend="add one"
        ) from None


def byte_price(chip: Chip, home: str, *, write: bool) -> float:
    """Joules per byte between a home and the buffer's edge (the buffer's own access not included).

    Raises:
        InputError: the chip has no such memory, or it cannot be written.
    """
    actions = (WRITE_ACTIONS if write else READ_ACTIONS).get(home)
    if actions is None or (home in LINKS and not has_link(chip, home)):
        what = "written" if write and home in LINKS and has_link(chip, home) else "used"
        raise InputError(f"home {home!r} cannot be {what} on chip {chip.name}", field="homes")
    return 8.0 * sum([price_of(chip, action) for action in actions])
