"""The cost of one given mapping, level by level, exactly as the searches count it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.flows import DATAFLOWS, FLOWS
from dse.mapping.cost.zeros import winograd_fits
from dse.mapping.ir.homes import Homes, byte_price, default_homes, has_link
from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer.build import schedule
from dse.mapping.layer.mapper import default_l2_room, default_room
from dse.mapping.search.placement import (
    GROUPS,
    Evaluation,
    Placement,
    evaluate,
    hold_code,
    unrolled,
)
from dse.mapping.space.choices import TILED
from dse.mapping.space.hierarchy import Outer, can_tile, outer_room
from dse.mapping.space.problem import Problem, pack
from dse.mapping.space.registers import holds_tile
from dse.workload.layer import DIMS, Layer

Operand = Literal["W", "I", "O"]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class GivenMapping:
    """One given mapping: its schedule, and the bytes of one core between homes and buffer.

    ``outputs`` are final ones, stored; ``sums`` partial ones, stored and loaded again.
    """

    schedule: LayerSchedule
    weights: float
    inputs: float
    outputs: float
    sums: float


def evaluate_mapping(
    layer: Layer,
    chip: Chip,
    spatial: Sizes,
    tiles: Mapping[str, Sizes],
    order: Operand | Mapping[str, Operand] = "W",
    dataflow: str = "ws",
    **options: Any,
) -> LayerSchedule:
    """The schedule of one mapping of a compute layer on one core: see :func:`given_mapping`."""
    return given_mapping(layer, chip, spatial, tiles, order, dataflow, **options).schedule


def given_mapping(
    layer: Layer,
    chip: Chip,
    spatial: Sizes,
    tiles: Mapping[str, Sizes],
    order: Operand | Mapping[str, Operand] = "W",
    dataflow: str = "ws",
    *,
    accumulate: bool = True,
    through_l2: Collection[str] = ("W", "I", "O"),
    held: Mapping[str, Collection[str]] | None = None,
    homes: Homes | None = None,
    room_bytes: float | None = None,
    l2_room_bytes: float | None = None,
    winograd: bool = False,
) -> GivenMapping:
    """One mapping of a compute layer on one core, whole: nothing is searched.

    Args:
        spatial: factors of the dims unrolled over the array; the others are not.
        tiles: by level (``buffer``, ``l2``, ``register``) tile sizes of dims; a dim that is missing
            is whole in ``buffer`` and ``l2``, and one in ``register``. ``FY`` and ``FX`` may be
            given for the buffer. An L2 tile is a whole number of buffer tiles, or the whole dim.
        order: the operand that stays while the innermost loops around the buffer tile run, or one
            by level (``buffer``, ``l2``).
        dataflow: what stays in the PEs (``ws``, ``os``, ``is``), or with registers in them.
        accumulate: whether partial sums of a tile lie beside the array, if the chip has room there.
        through_l2: operands that pass through L2, if ``tiles`` has that level.
        held: operands held in the buffer beyond their tile, and over which loops; not together with
            tiles of L2 or of the filter.
        homes, room_bytes, l2_room_bytes: as of ``map_layer``.
        winograd: as F(2x2, 3x3).

    Raises:
        InputError: sizes that the layer, or a level that the chip does not have.
        UnmappableError: a unit, axis or memory that cannot hold it: level, operand, need and room.
    """
    # So many arguments: each is one property of a mapping, and most may be left out.
    if layer.nest is None:
        raise InputError(f"layer {layer.name} has no loops to map", field="layer")
    homes = homes or default_homes(layer, chip)
    byte_price(chip, homes.W, write=False)
    _check_names(layer, chip, spatial, tiles, winograd)
    room = default_room(layer, chip, homes) if room_bytes is None else float(room_bytes)
    problem = pack(layer, chip, homes, room, layer.nest.sizes, 1, winograd=winograd)
    orders = {"buffer": order, "l2": order} if isinstance(order, str) else dict(order)
    inner = _sizes(problem, tiles.get("buffer", {}), "tiles.buffer")
    number = k.CLASSES.index(orders.get("buffer", "W"))
    outer = None
    if "l2" in tiles:
        outer = _outer(problem, tiles["l2"], inner, through_l2, orders.get("l2", "W"))
    if held and (outer or (inner["FY"], inner["FX"]) != layer.nest.sizes[6:]):
        raise InputError(
            f"layer {layer.name}: operands are held beyond their tile only where neither L2 nor "
            "the filter is tiled",
            field="held",
            mend="leave held out, or the tiles of L2, FY and FX",
        )
    placed = Placement(
        unrolled(problem, spatial, (inner["FY"], inner["FX"])),
        tuple(inner[d] for d in TILED),
        _flow(problem, dataflow, accumulate),
        number,
        _registers(problem, tiles.get("register", {})),
        outer,
        hold_code(number, held or {}),
    )
    found = evaluate(problem, placed)
    l2_room = default_l2_room(layer, chip, homes) if l2_room_bytes is None else l2_room_bytes
    _check(problem, placed, found, l2_room)
    moved = found.result.totals
    w, i, sums = float(moved.w), float(moved.i), float(moved.spilled)
    return GivenMapping(schedule(problem, placed), w, i, float(moved.o) - sums, 2.0 * sums)


def _check_names(
    layer: Layer, chip: Chip, spatial: Sizes, tiles: Mapping[str, Sizes], winograd: bool
) -> None:
    """Refuse dims and levels that there are not, and a transform that does not apply."""
    assert layer.nest is not None
    if winograd and (not winograd_fits(layer.nest, chip.array) or {"FY", "FX"} & set(spatial)):
        raise InputError(
            f"layer {layer.name} cannot run as F(2x2, 3x3) so",
            field="winograd",
            mend="take a 3x3 convolution of stride 1, an array with winograd, and no FY or FX in "
            "the unrolling",
        )
    for dim in set(spatial) - set(DIMS):
        raise InputError(f"unknown dim {dim!r}", field="spatial", mend=f"use {', '.join(DIMS)}")
    unknown = set(tiles) - {"buffer", "l2", "register"}
    if unknown:
        raise InputError(
            f"unknown level {min(unknown)!r}", field="tiles", mend="use buffer, l2, register"
        )


def _sizes(problem: Problem, given: Sizes, field: str) -> dict[str, int]:
    """Sizes of all dims, those that are not given whole."""
    out = dict(zip(DIMS, problem.sizes, strict=True))
    for dim, size in given.items():
        if dim not in out or not 1 <= size <= out[dim]:
            raise InputError(
                f"layer {problem.layer.name}: {dim} = {size} is no size of a tile",
                field=f"{field}.{dim}",
                mend=f"use dims of {', '.join(DIMS)} and sizes from 1 to the layer's",
            )
        out[dim] = int(size)
    return out


def _flow(problem: Problem, dataflow: str, accumulate: bool) -> int:
    codes = [int(code) for code in problem.flows if DATAFLOWS[int(code)] == dataflow]
    if not codes:
        raise UnmappableError(
            f"layer {problem.layer.name}: {problem.chip.name} does not run {dataflow}",
            layer=problem.layer.name,
            field="dataflow",
            mend=f"use one of {', '.join(sorted({DATAFLOWS[int(c)] for c in problem.flows}))}",
        )
    return codes[0] if accumulate else codes[-1]


def _registers(problem: Problem, given: Sizes) -> Any:
    """Sizes in a PE; refused if its registers do not hold them."""
    if not problem.registers:
        if given:
            raise InputError(
                f"the array of {problem.chip.name} has no operand registers",
                field="tiles.register",
                mend="leave that level out, or give the chip array.registers",
            )
        return None
    sizes = np.array([float(given.get(d, 1)) for d in DIMS])
    over = holds_tile(problem, sizes)
    if over is not None:
        operand, need, room = over
        raise UnmappableError(
            f"layer {problem.layer.name}: level register: {operand} needs {need:.0f} bytes "
            f"of each PE, the room is {room}",
            layer=problem.layer.name,
            field="tiles.register",
            mend="make it smaller or enlarge array.registers",
        )
    return sizes


def _outer(
    problem: Problem, given: Sizes, inner: Sizes, through: Collection[str], order: Operand
) -> Outer:
    if not has_link(problem.chip, "l2"):
        raise InputError(
            f"{problem.chip.name} has no L2", field="tiles.l2", mend="leave that level out"
        )
    sizes = _sizes(problem, given, "tiles.l2")
    for d in TILED:
        whole = sizes[d] == dict(zip(DIMS, problem.sizes, strict=True))[d]
        if sizes[d] < inner[d] or not (whole or sizes[d] % inner[d] == 0):
            raise InputError(
                f"layer {problem.layer.name}: the L2 tile of {sizes[d]} along {d} is no whole "
                f"number of buffer tiles of {inner[d]}",
                field=f"tiles.l2.{d}",
                mend="make it a multiple, or the whole dim",
            )
    mask = sum(1 << k.CLASSES.index(name) for name in through) & can_tile(problem)
    if not mask:
        raise InputError(
            f"layer {problem.layer.name}: no operand comes from beyond L2",
            field="through_l2",
            mend="leave the level out",
        )
    return Outer(tuple(sizes[d] for d in TILED), mask, k.CLASSES.index(order))


def _check(problem: Problem, placed: Placement, found: Evaluation, l2_room: float) -> None:
    """Refuse a mapping that overflows a memory, or whose order is not one."""
    if not bool(k.fits(found.c, found.footprint)):
        need, largest, most = found.need
        parts = problem.chip.buffer.parts
        room = f"{problem.room:.0f}" + (f" in parts of {parts}" if parts else "")
        raise UnmappableError(
            f"layer {problem.layer.name}: level buffer needs {need:.0f} bytes "
            f"({largest} {most:.0f}), the room is {room}"
            + (f", {need - problem.room:.0f} too few" if need > problem.room else ""),
            layer=problem.layer.name,
            field="tiles.buffer",
            mend="make the tiles smaller or the buffer larger",
        )
    if placed.outer is not None:
        need = outer_room(problem, placed.outer, float(found.move.visits) > 1.0)
        if need > l2_room:
            raise UnmappableError(
                f"layer {problem.layer.name}: level l2 needs {need:.0f} bytes for "
                f"{', '.join(placed.outer.operands)}, the room is {l2_room:.0f}",
                layer=problem.layer.name,
                field="tiles.l2",
                mend="make the tiles smaller, or let an operand pass L2 by",
            )
    if not bool(found.array.usable):
        raise UnmappableError(
            f"layer {problem.layer.name}: level accumulator: the outputs of one step need "
            f"{_step_bytes(problem, placed):.0f} bytes, the room is "
            f"{problem.chip.array.accumulator_bytes}",
            layer=problem.layer.name,
            field="accumulate",
            mend="unroll fewer outputs, or accumulate in the buffer",
        )
    if not bool(found.result.allowed):
        raise UnmappableError(
            f"layer {problem.layer.name}: order {k.CLASSES[placed.order]}: none of its innermost "
            f"loops ({', '.join(GROUPS[k.CLASSES[placed.order]])}) is cut, or partial sums would "
            f"have to leave a buffer that is the output's home (home of O: {problem.homes.O})",
            layer=problem.layer.name,
            field="order",
            mend="name an operand whose loops are cut",
        )


def _step_bytes(problem: Problem, placed: Placement) -> float:
    """Bytes of partial sums that one array step makes, those of the stationary operand's dims."""
    dims = ("G", "K") if FLOWS[placed.flow].stays == "W" else ("G", "B", "OY", "OX")
    outputs = 1
    for dim in dims:
        d = DIMS.index(dim)
        outputs *= min(int(placed.spatial[d]), placed.tiles[d])
    return outputs * problem.layer.acc_bits / 8
