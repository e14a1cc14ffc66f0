"""Layers mapped as a file of pins says: constraints kept exactly, what they leave open searched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import LINKS, Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.flows import DATAFLOWS
from dse.mapping.cost.objectives import Objective
from dse.mapping.given.interchange import read_foreign
from dse.mapping.given.pins import STAYS, Pin, PinFile, Pins
from dse.mapping.ir.homes import Homes, bytes_by_operand, has_link
from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer.build import schedule
from dse.mapping.search.best import Found, best_mapping
from dse.mapping.search.placement import GROUPS, Placement, evaluate, hold_code, unrolled
from dse.mapping.space.choices import TILED, Factors
from dse.mapping.space.legal import broken_rule, rule
from dse.mapping.space.problem import Problem, pack
from dse.migrations import read_versioned
from dse.schema import validate
from dse.workload.layer import DIMS, Layer


def load_pins(path: str | Path) -> Pins:
    """Pins from a file of this project, or from a mapping of Timeloop or ZigZag.

    Raises:
        InputError: a file that cannot be read, or holds none of the three.
    """
    foreign = read_foreign(path)
    if foreign is not None:
        return foreign
    data, lines = read_versioned("pins", path)
    found = validate(PinFile, data, file=path, lines=lines)
    return Pins(found.pins, str(path))


def map_pinned(
    layer: Layer,
    chip: Chip,
    pin: Pin,
    objective: Objective,
    homes: Homes,
    room: float,
    exposed: float = 1.0,
    time_price_w: float = 0.0,
    *,
    legal: bool = False,
) -> LayerSchedule:
    """The best schedule of a layer that keeps to a pin, and if ``legal`` to the chip's compiler.

    Raises:
        UnmappableError: no mapping keeps to it: names the level, operand, need and room, or the
            constraint that forbids it.
    """
    assert layer.nest is not None
    homes = _homes(layer, chip, homes, pin)
    sizes = layer.nest.sizes
    problem = pack(layer, chip, homes, room, sizes, 1, exposed, time_price_w, legal=legal)
    if pin.spatial is not None:
        row = unrolled(problem, pin.spatial, (sizes[6], sizes[7]))
        problem = replace(problem, spatial=row.reshape(1, -1))
    if pin.dataflow is not None:
        flows = [code for code in problem.flows if DATAFLOWS[int(code)] == pin.dataflow]
        if not flows:
            runs = ", ".join(dict.fromkeys(DATAFLOWS[int(code)] for code in problem.flows))
            who = "the compiler of " if legal else ""
            why = f"dataflow {pin.dataflow}: {who}{chip.name} runs {runs}"
            raise _forbidden(layer, "dataflow", why)
        problem = replace(problem, flows=np.array(flows, np.int64))
    for tiles, order in _cuts(pin, sizes):
        cut = _with_tiles(problem, tiles)
        orders = tuple(range(3)) if order is None else (k.CLASSES.index(order),)
        found = _best(cut, objective, orders, {} if pin.temporal else pin.held)
        if found is not None:
            made = schedule(cut, found.placement)
            return replace(made, loop_nest=("pinned", *made.loop_nest))
    raise _reason(cut, orders, {} if pin.temporal else pin.held or {})


def _best(
    problem: Problem,
    objective: Objective,
    orders: tuple[int, ...],
    held: Mapping[Any, Sequence[Any]] | None,
) -> Found | None:
    """The best mapping in one of the orders that holds the operands so (None: as is best)."""
    if not held:
        hold = None if held is None else 0
        return best_mapping(problem, objective, orders=orders, hold=hold)
    best: Found | None = None
    refused: InputError | None = None
    for order in orders:  # what an uneven cut holds depends on the order
        try:
            hold = hold_code(order, held)
        except InputError as error:
            refused = error
            continue
        found = best_mapping(problem, objective, orders=(order,), hold=hold)
        if found is not None and (best is None or found.keys < best.keys):
            best = found
    if best is None and refused is not None:
        raise refused
    return best


def _homes(layer: Layer, chip: Chip, planned: Homes, pin: Pin) -> Homes:
    """The planned homes with those of the pin; refused where an operand has no room.

    What the pin moves takes no room from other layers, so the buffer, which they all share, cannot
    be pinned: only the memory plan puts tensors there.
    """
    for operand, home in pin.homes.items():
        name: str = operand
        if home == getattr(planned, name):
            continue
        if home == "buffer":
            why = f"{name} into the buffer, which the memory plan shares out among all layers"
            raise _forbidden(layer, f"homes.{name}", why)
        if not has_link(chip, home):
            levels = ", ".join(link for link in LINKS if has_link(chip, link))
            why = f"{name} to level {home}, which {chip.name} does not have: it has {levels}"
            raise _forbidden(layer, f"homes.{name}", why)
        if not chip.links[home].writable and (name != "W" or layer.w_is_activation):
            why = f"{name} to level {home}, which holds constant weights only"
            raise _forbidden(layer, f"homes.{name}", why)
    homes = planned._replace(**pin.homes)
    before = bytes_by_operand(layer, planned)
    names = ("W", "I", "O", "side")
    for name, (home, need), (old, _) in zip(
        names, bytes_by_operand(layer, homes), before, strict=True
    ):
        link = chip.links.get(home)
        room = link.capacity_bytes if link is not None else 0.0
        if home != old and need > room:
            raise _forbidden(
                layer,
                f"homes.{name}",
                f"{name} to level {home}: it needs {need:.0f} bytes, the room is {room:.0f}, "
                f"{need - room:.0f} too few",
            )
    return homes


def _cuts(pin: Pin, sizes: Factors) -> Iterator[tuple[Mapping[Any, int], str | None]]:
    """Tiles and order that the pin asks for; with ``temporal``, the largest tile first."""
    if not pin.temporal:
        yield pin.tiles, pin.order
        return
    whole = dict(zip(DIMS, sizes, strict=True))
    for inside in range(len(pin.temporal), -1, -1):
        factors: Mapping[Any, int] = pin.spatial or {}
        tiles: dict[str, int] = {dim: factors.get(dim, 1) for dim in DIMS[:6]}
        for dim, size in pin.temporal[:inside]:
            if dim in tiles:
                tiles[dim] *= size
        tiles = {dim: min(n, whole[dim]) for dim, n in tiles.items()}
        outside = [dim for dim, size in pin.temporal[inside:] if size > 1]
        cut = next((dim for dim in outside if tiles.get(dim, whole[dim]) < whole[dim]), None)
        yield tiles, STAYS.get(cut) if cut else None


def _with_tiles(problem: Problem, tiles: Mapping[Any, int]) -> Problem:
    """The problem with one tile size for each pinned dim."""
    if not tiles:
        return problem
    table, lengths = problem.tiles.copy(), problem.lengths.copy()
    levels, counts = problem.level_tiles.copy(), problem.level_lengths.copy()
    for d, dim in enumerate(TILED):
        if dim not in tiles:
            continue
        size, whole = int(tiles[dim]), problem.sizes[d]
        if not 1 <= size <= whole:
            raise _forbidden(
                problem.layer, f"tiles.{dim}", f"tile {dim}: {size} is not in 1 to {whole}"
            )
        if problem.legal:
            broken = broken_rule(size, whole, rule(problem.chip.legality, dim, problem.sizes))
            if broken:
                why = f"tile {dim}: {size} {broken}, by the compiler of {problem.chip.name}"
                raise _forbidden(problem.layer, f"tiles.{dim}", why)
        table[d, 0] = levels[d, 0] = size
        lengths[d] = counts[d] = 1
    return replace(problem, tiles=table, lengths=lengths, level_tiles=levels, level_lengths=counts)


def _forbidden(layer: Layer, name: str, why: str) -> UnmappableError:
    return UnmappableError(
        f"layer {layer.name}: pinned {why}",
        layer=layer.name,
        field=name,
        mend="change the pin or leave it open",
    )


def _reason(
    problem: Problem, orders: Sequence[int], held: Mapping[Any, Sequence[Any]]
) -> UnmappableError:
    """Why no mapping keeps to the pin, and by how much: the buffer, an order whose loops are not
    cut, or partial sums that have nowhere to go."""
    holds: dict[int, int] = {}
    for order in orders:
        with contextlib.suppress(InputError):  # another order holds operands so
            holds[order] = hold_code(order, held)
    smallest = problem.smallest_tile
    ones = np.ones(8) if problem.registers else None
    found = min(
        (
            evaluate(problem, Placement(row, smallest, int(flow), order, ones, None, hold))
            for row in problem.spatial
            for flow in problem.flows
            for order, hold in holds.items()
        ),
        key=lambda one: one.need[0],
    )
    need, largest, bytes_ = found.need
    if need > problem.room:
        tile = " ".join(f"{d}:{n}" for d, n in zip(TILED, smallest, strict=True) if n > 1)
        kept = "".join(f", {name} held over {' '.join(over)}" for name, over in held.items())
        return _forbidden(
            problem.layer,
            "tiles",
            f"tiles overflow level buffer: the smallest, {tile or 'one of each'}{kept}, needs "
            f"{need:.0f} bytes ({largest} {bytes_:.0f}), the room is {problem.room:.0f}, "
            f"{need - problem.room:.0f} too few",
        )
    sizes = dict(zip(TILED, problem.sizes[:6], strict=True))
    loops = [d for order in orders for d in GROUPS[k.CLASSES[order]] if d in sizes]
    if all(smallest[TILED.index(d)] == sizes[d] for d in loops):
        whole = ", ".join(f"{d} {sizes[d]}" for d in loops)
        return _forbidden(
            problem.layer,
            "order",
            f"order {'/'.join(k.CLASSES[o] for o in orders)}: none of its innermost tile loops is "
            f"cut, the pinned tile holds all of {whole}",
        )
    return _forbidden(
        problem.layer,
        "order",
        f"order {'/'.join(k.CLASSES[o] for o in orders)}: partial sums would have to leave a "
        f"buffer that is the home of O (home {problem.homes.O}), or no tile fits with two copies "
        f"in {problem.room:.0f} bytes",
    )
