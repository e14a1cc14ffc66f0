"""Literal walks of nests with a tiled L2, held operands, filter tiles and operand registers.

As in :mod:`oracle`, tiles are ranges of indices and contents of memories are what was last put
there; nothing of the mapper's formulas is used.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from dse.workload.layer import DIMS, Layer

RELEVANT = {
    "W": ("G", "K", "C", "FY", "FX"),
    "I": ("G", "B", "C", "OY", "OX", "FY", "FX"),
    "O": ("G", "B", "K", "OY", "OX"),
}
GROUPS = {"W": ("B", "OY", "OX"), "I": ("K",), "O": ("C", "FY", "FX")}


def pieces(start: int, stop: int, size: int) -> list[range]:
    return [range(at, min(at + size, stop)) for at in range(start, stop, size)]


def lines(outputs: range, taps: range, stride: int, dilation: int) -> frozenset[int]:
    return frozenset(o * stride + t * dilation for o in outputs for t in taps)


#: Of the two operands that do not stay (in the order W, I, O), which has its group of loops in the
#: middle, by code of the uneven cut.
MIDDLE = (0, 0, 1, 1, 0, 0, 1)


def nest_loops(stays: str, hold: int, last: str) -> tuple[str, ...]:
    """Loop dims, outermost first: the group of ``stays`` innermost; ``last`` (OX or OY) inside the
    other one."""
    others = [name for name in GROUPS if name != stays]
    middle = others[MIDDLE[hold]]
    outer = others[1 - MIDDLE[hold]]
    rows = ("OY", "OX") if last == "OX" else ("OX", "OY")
    dims = {**GROUPS, "W": ("B", *rows)}
    return ("G", *dims[outer], *dims[middle], *dims[stays])


@dataclass
class Counted:
    """What a walk counted, elements and events."""

    steps: int = 0
    changes: int = 0
    w: int = 0
    i: int = 0
    loads_o: int = 0
    stores_o: int = 0
    up_w: int = 0
    up_i: int = 0
    up_loads_o: int = 0
    up_stores_o: int = 0


def walk(
    layer: Layer,
    outer: dict[str, int],
    inner: dict[str, int],
    loops0: tuple[str, ...],
    loops1: tuple[str, ...],
    stays: str,
    hold: dict[str, tuple[str, ...]],
    mask: tuple[str, ...],
) -> Counted:
    """Visit every buffer tile of every L2 tile and count what must move.

    Args:
        outer, inner: L2 and buffer tile sizes of all dims; loops outermost first.
        stays: operand of the buffer's order class; hold: operands held, and over which loops.
        mask: operands that pass through L2.
    """
    nest = layer.nest
    assert nest is not None
    sizes = dict(zip(DIMS, nest.sizes, strict=True))
    out = Counted()
    in_l2: dict[str, Any] = {}
    done_l2: set[Any] = set()
    here: dict[str, Any] = {}
    regions: dict[str, dict[Any, Any]] = {name: {} for name in RELEVANT}
    before: dict[Any, Any] = {}
    base: dict[str, Any] = {}
    done: set[Any] = set()
    window: Any = None
    window_l2: Any = None
    outer_cut = {d: pieces(0, sizes[d], outer[d]) for d in DIMS}

    for far in itertools.product(*(range(len(outer_cut[d])) for d in loops0)):
        at0 = dict(zip(loops0, far, strict=True))
        big = {d: outer_cut[d][at0[d]] for d in DIMS}
        for operand in mask:
            key: Any = tuple(at0[d] for d in RELEVANT[operand])
            if in_l2.get(operand) == key:
                continue
            in_l2[operand] = key
            if operand == "W":
                out.up_w += volume(layer, "W", big)
            elif operand == "I":
                kept = shared(layer, window_l2, (at0, big)) if window_l2 else 0
                out.up_i += volume(layer, "I", big) - kept
                window_l2 = (at0, big)
            else:
                out.up_loads_o += volume(layer, "O", big) * (key in done_l2)
                done_l2.add(key)
                out.up_stores_o += volume(layer, "O", big)
        cut = {d: pieces(big[d].start, big[d].stop, inner[d]) for d in DIMS}
        window = None
        for near in itertools.product(*(range(len(cut[d])) for d in loops1)):
            at = dict(zip(loops1, near, strict=True))
            tile = {d: cut[d][at[d]] for d in DIMS}
            out.steps += 1
            new: dict[str, bool] = {}
            for operand in ("W", "I", "O"):
                key = tuple(tile[d] for d in RELEVANT[operand])
                new[operand] = here.get(operand) != key
                here[operand] = key
                if operand in hold:
                    fixed = tuple(tile[d] for d in RELEVANT[operand] if d not in hold[operand])
                    if base.get(operand) != fixed:
                        base[operand] = fixed
                        if operand == "I":
                            before = regions["I"]
                        regions[operand] = {}
                    new[operand] = key not in regions[operand]
                    regions[operand][key] = (at, tile)
            out.changes += new[stays]
            if new["W"]:
                out.w += volume(layer, "W", tile)
            if new["I"]:
                count = volume(layer, "I", tile)
                if "I" not in hold:
                    count -= shared(layer, window, (at, tile)) if window else 0
                elif "OY" in hold["I"]:
                    own = [old for old in regions["I"].values() if old[1] is not tile]
                    count -= covered(layer, own, tile)
                else:
                    count -= sum(shared(layer, old, (at, tile)) for old in before.values())
                window = (at, tile)
                out.i += count
            if new["O"]:
                key = here["O"]
                out.loads_o += volume(layer, "O", tile) * (key in done)
                out.stores_o += volume(layer, "O", tile)
                done.add(key)
    return out


def volume(layer: Layer, operand: str, tile: dict[str, range]) -> int:
    """Elements of an operand that a tile touches."""
    if operand != "I":
        return math.prod(len(tile[d]) for d in RELEVANT[operand])
    nest = layer.nest
    assert nest is not None
    rows = lines(tile["OY"], tile["FY"], nest.stride_y, nest.dilation_y)
    cols = lines(tile["OX"], tile["FX"], nest.stride_x, nest.dilation_x)
    return math.prod(len(tile[d]) for d in ("G", "B", "C")) * len(rows) * len(cols)


def shared(layer: Layer, old: Any, new: Any) -> int:
    """Input elements of a tile that the one before it held, sliding forwards along OY or OX."""
    nest = layer.nest
    assert nest is not None
    (at, tile), (now, other) = old, new
    if any(tile[d] != other[d] for d in ("G", "B", "C", "FY", "FX")):
        return 0
    steps = (now["OY"] - at["OY"], now["OX"] - at["OX"])
    if steps not in ((0, 1), (1, 0)):
        return 0
    if steps == (1, 0) and len(other["FY"]) < nest.FY:
        return 0
    if steps == (0, 1) and len(other["FX"]) < nest.FX:
        return 0
    out = math.prod(len(other[d]) for d in ("G", "B", "C"))
    for dim, tap, form in (
        ("OY", "FY", (nest.stride_y, nest.dilation_y)),
        ("OX", "FX", (nest.stride_x, nest.dilation_x)),
    ):
        out *= len(lines(tile[dim], tile[tap], *form) & lines(other[dim], other[tap], *form))
    return out


def covered(layer: Layer, before: list[Any], tile: dict[str, range]) -> int:
    """Input elements of a tile among those of the tiles ``before``."""
    nest = layer.nest
    assert nest is not None

    def places(of: dict[str, range]) -> set[tuple[int, int]]:
        rows = lines(of["OY"], of["FY"], nest.stride_y, nest.dilation_y)
        cols = lines(of["OX"], of["FX"], nest.stride_x, nest.dilation_x)
        return set(itertools.product(rows, cols))

    have: set[tuple[int, int]] = set()
    for _, old in before:
        if all(old[d] == tile[d] for d in ("G", "B", "C")):
            have |= places(old)
    return math.prod(len(tile[d]) for d in ("G", "B", "C")) * len(have & places(tile))


@dataclass
class Passes:
    """What the passes of an array with registers read over all buffer tiles, elements."""

    w: int = 0
    i: int = 0
    visits: int = 0
    fills: int = 0
    w_held: int = 0
    i_held: int = 0
    a_runs: int = 0
    k_runs: int = 0
    sum_runs: int = 0


def walk_registers(
    layer: Layer,
    tiles: list[dict[str, range]],
    factors: dict[str, int],
    inside: dict[str, int],
    stays: str,
    last: str,
) -> Passes:
    """Run every pass of every buffer tile.

    A pass covers ``factors * inside`` of each dim; PEs take equal contiguous shares of what it
    covers. What does not stay is fetched for every pass, of the input only what the pass before
    along OY or OX did not have, where one PE works along it.
    """
    nest = layer.nest
    assert nest is not None
    out = Passes()
    loops = nest_loops(stays, 0, last)
    for tile in tiles:
        cut = {d: pieces(tile[d].start, tile[d].stop, factors[d] * inside[d]) for d in DIMS}
        here: dict[str, Any] = {}
        window: Any = None
        for number in itertools.product(*(range(len(cut[d])) for d in loops)):
            at = dict(zip(loops, number, strict=True))
            part = {d: cut[d][at[d]] for d in DIMS}
            own = {d: shares(part[d], factors[d]) for d in DIMS}
            new = {}
            for operand in RELEVANT:
                key = tuple(part[d] for d in RELEVANT[operand])
                new[operand] = here.get(operand) != key or operand != stays
                here[operand] = key
            out.fills += new[stays]
            if new["W"]:
                words = volume(layer, "W", part)
                out.w += words
                out.w_held += words * math.prod(len(own[d]) for d in GROUPS["W"])
            if new["I"]:
                kept = pass_shared(layer, window, (at, part), factors) if stays != "O" else None
                seen, held = pass_lines(layer, part, own, kept)
                out.i += seen
                out.i_held += held * len(own["K"])
                window = (at, part)
            elif window is not None:
                window = (at, part)
            if new["O"]:
                out.visits += volume(layer, "O", part)
            runs = {name: math.prod(len(own[d]) for d in GROUPS[name]) for name in GROUPS}
            out.a_runs += volume(layer, "W", part) * runs["W"]
            out.k_runs += runs["I"] * math.prod(len(part[d]) for d in DIMS if d != "K")
            out.sum_runs += volume(layer, "O", part) * runs["O"]
    return out


def shares(part: range, factor: int) -> list[range]:
    return pieces(part.start, part.stop, -(-len(part) // factor))


def pass_shared(layer: Layer, old: Any, new: Any, factors: dict[str, int]) -> Any:
    """The pass before and the dim along which it slides on to the new one, if it does."""
    if old is None:
        return None
    (at, part), (now, other) = old, new
    if any(part[d] != other[d] for d in ("G", "B", "C", "FY", "FX")):
        return None
    steps = (now["OY"] - at["OY"], now["OX"] - at["OX"])
    if steps == (1, 0) and factors["OY"] == 1:
        return "OY", part
    if steps == (0, 1) and factors["OX"] == 1:
        return "OX", part
    return None


def pass_lines(
    layer: Layer, part: dict[str, range], own: dict[str, list[range]], kept: Any
) -> tuple[int, int]:
    """Input elements that a pass brings into the array, and into its PEs (for one of K)."""
    nest = layer.nest
    assert nest is not None
    seen, held = 1, 1
    for dim, tap, form in (
        ("OY", "FY", (nest.stride_y, nest.dilation_y)),
        ("OX", "FX", (nest.stride_x, nest.dilation_x)),
    ):
        before = kept[1][dim] if kept and kept[0] == dim else range(0)
        seen *= len(lines(part[dim], part[tap], *form) - lines(before, part[tap], *form))
        of_pe = 0
        for outputs in own[dim]:
            for taps in own[tap]:
                of_pe += len(lines(outputs, taps, *form) - lines(before, taps, *form))
        held *= of_pe
    deep = math.prod(len(part[d]) for d in ("G", "B", "C"))
    return deep * seen, deep * held
