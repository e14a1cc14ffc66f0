"""The constants of one layer on many chips of one array shape, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from dse.hardware.chip import LINKS, Chip
from dse.mapping.cost import costs as k
from dse.mapping.ir.homes import READ_ACTIONS, WRITE_ACTIONS
from dse.mapping.ir.schedule import link_rates
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.problem import Problem, pack
from dse.registry import key_of

#: Agreement asked of the rows with what ``pack`` says of the first and the last chip.
AGREE = 1e-9


def shape_of(chip: Chip) -> tuple[object, ...]:
    """What chips must share for their mappings to have the same counts.

    All that the mapper sees, but for what :class:`Columns` holds by chip, and the host.
    """
    links = {
        name: replace(
            link,
            bytes_per_s=float(link.bytes_per_s > 0.0),
            peak_bytes_per_s=0.0,
            capacity_bytes=0.0,
        )
        for name, link in chip.links.items()
    }
    shared = replace(
        chip,
        f_hz=1.0,
        buffer=replace(
            chip.buffer, capacity_bytes=0, read_bytes_per_cycle=0.0, write_bytes_per_cycle=0.0
        ),
        links=links,
        overheads=replace(
            chip.overheads, launch_cycles=0.0, descriptor_cycles=0.0, dma_channels=1, invoke_s=0.0
        ),
        host=replace(chip.host, ops_per_s=0.0),
        prices={},
    )
    return cast("tuple[object, ...]", key_of(shared))


class Columns:
    """What the chips of one shape differ in, as arrays over the chips; SI units and cycles."""

    def __init__(self, chips: Sequence[Chip]) -> None:
        self.chips = tuple(chips)
        self.f_hz = np.array([chip.f_hz for chip in chips])
        self.read = np.array([chip.buffer.read_bytes_per_cycle for chip in chips])
        self.write = np.array([chip.buffer.write_bytes_per_cycle for chip in chips])
        self.ports = tuple(
            np.array([getattr(chip.buffer, f"{name}_bytes_per_cycle") for chip in chips])
            for name in ("weight", "input", "result", "sum")
        )
        self.store = np.array([chip.buffer.store_cycles for chip in chips])
        self.load: dict[str, FloatArray] = {
            link: np.array([chip.buffer.load_cycles(link) for chip in chips]) for link in LINKS
        }
        self.job = np.array(
            [chip.overheads.descriptor_cycles / chip.overheads.dma_channels for chip in chips]
        )
        self.launch = np.array([chip.overheads.launch_cycles for chip in chips])
        self.static_w = np.array([chip.mapping_static_w for chip in chips])
        self.rates = np.array([link_rates(chip) for chip in chips])
        self.capacity = np.array([float(chip.buffer.capacity_bytes) for chip in chips])
        self._prices: dict[str, FloatArray] = {}
        by_nvm = {c.links["nvm"].capacity_bytes if "nvm" in c.links else 0.0: c for c in chips}
        #: Chips on which operands may live in different memories: of a shape, the NVM decides.
        self.unlike = tuple(by_nvm.values())

    def price(self, action: str) -> FloatArray:
        """Joules per count of an action, 0 where the chip has none."""
        if action not in self._prices:
            found = [chip.prices.get(action, 0.0) for chip in self.chips]
            self._prices[action] = np.array(found)
        return self._prices[action]


def constants(base: Problem, columns: Columns, rooms: FloatArray) -> FloatArray:
    """The array ``c`` of the kernels for every chip (chips x constants).

    What does not depend on the chip within one shape is taken from ``base``. A layer with a pass
    after it (vector functions that cannot be fused) is packed chip by chip, and so is everything if
    the first or the last row does not agree with ``pack``.
    """
    chips = columns.chips
    if len(chips) == 1:
        return base.c[None, :].copy()
    if base.tail:
        return _packed(base, chips, rooms)
    c = np.repeat(base.c[None, :], len(chips), axis=0)
    homes, layer, price = base.homes, base.layer, columns.price
    c[:, k.C_F] = columns.f_hz
    c[:, k.C_ROOM] = rooms
    c[:, k.C_READ] = columns.read
    c[:, k.C_WRITE] = columns.write
    _enter_ports(c, base, columns)
    c[:, k.C_DESC] = columns.job
    c[:, k.C_STATIC] = columns.static_w
    c[:, k.C_LAT0] = columns.launch / columns.f_hz
    c[:, k.C_P_IDLE] = price("array.idle_mac")
    c[:, k.C_P_READ] = 8.0 * price("buffer.read_bit")
    c[:, k.C_P_WRITE] = 8.0 * price("buffer.write_bit")
    c[:, k.C_P_DESC] = price("descriptor")
    if base.chip.array.accumulator_bytes > 0:
        both = price("accumulator.read_bit") + price("accumulator.write_bit")
        c[:, k.C_P_ACC] = layer.acc_bits * both

    def byte(home: str, *, write: bool) -> Any:
        actions = (WRITE_ACTIONS if write else READ_ACTIONS)[home]
        return 8.0 * sum((price(action) for action in actions), np.zeros(len(chips)))

    c[:, k.C_P_W] = byte(homes.W, write=False)
    c[:, k.C_P_I] = byte(homes.I, write=False)
    c[:, k.C_P_O_LOAD] = byte(homes.O, write=False)
    c[:, k.C_P_O_STORE] = byte(homes.O, write=True)
    if layer.side_elements:
        c[:, k.C_P_S] = byte(homes.side, write=False)
    c[:, k.C_E0] = sum(
        (amount * price(action) for action, amount in base.fixed_counts.items()),
        np.zeros(len(chips)),
    )
    for number, home in enumerate((homes.W, homes.I, homes.O, homes.side)):
        if home in LINKS:
            link = LINKS.index(home)
            c[:, k.C_LINK + 3 * number + link] = 1.0 / columns.rates[:, link]
    c[:, k.C_ENDS : k.C_ENDS + 12] = c[:, k.C_LINK : k.C_LINK + 12]
    _bounds(base, c)
    whole = base.layer.nest
    assert whole is not None
    for number in {0, len(chips) - 1}:
        one = pack(layer, chips[number], homes, float(rooms[number]), whole.sizes, 1).c
        if not np.allclose(one, c[number], rtol=AGREE, atol=0.0):
            return _packed(base, chips, rooms)
    return c


def _enter_ports(c: FloatArray, base: Problem, columns: Columns) -> None:
    """Cycles at the ports of one operand or use."""
    buses = (k.C_BUS_W, k.C_BUS_I, k.C_BUS_O, k.C_BUS_SUM)
    sizes = (k.C_WB, k.C_IB, k.C_OB, k.C_AB)
    for cycles, size, port in zip(buses, sizes, columns.ports, strict=True):
        own = (port > 0.0) & (not base.on_vector)
        c[:, cycles] = np.divide(c[:, size], port, out=np.zeros(len(c)), where=own)
    results, sums = columns.ports[2:]
    own = (results == 0.0) & (sums > 0.0) & (not base.on_vector)
    c[:, k.C_BUS_OUT] = np.divide(c[:, k.C_OB], sums, out=np.zeros(len(c)), where=own)
    loads = (k.C_LOAD_W, k.C_LOAD_I, k.C_LOAD_O, k.C_LOAD_S)
    for cycles, home in zip(loads, base.homes, strict=True):
        c[:, cycles] = columns.load.get(home, 0.0)
    c[:, k.C_STORE] = columns.store


def _bounds(base: Problem, c: FloatArray) -> None:
    """Time and energy of the least transfers, from those of ``base`` scaled to each chip."""
    least = base.least
    seconds = np.zeros(len(c))
    for link in range(len(LINKS)):
        column = sum((least[n] * c[:, k.C_LINK + 3 * n + link] for n in range(4)), np.zeros(len(c)))
        seconds = np.maximum(seconds, column)
    c[:, k.C_MIN_LINK] = seconds * (1.0 - 1e-9)
    prices = (k.C_P_W, k.C_P_I, k.C_P_O_STORE, k.C_P_S)
    joules = sum((least[n] * c[:, p] for n, p in enumerate(prices)), np.zeros(len(c)))
    c[:, k.C_MIN_LINK_E] = joules * (1.0 - 1e-9)


def _packed(base: Problem, chips: Sequence[Chip], rooms: FloatArray) -> FloatArray:
    nest = base.layer.nest
    assert nest is not None
    rows = [
        pack(base.layer, chip, base.homes, float(room), nest.sizes, 1).c
        for chip, room in zip(chips, rooms, strict=True)
    ]
    return np.array(rows)
