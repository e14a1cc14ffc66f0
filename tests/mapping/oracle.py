"""A literal walk of the loop nest: every tile, every array pass, counted one by one.

Nothing here uses the mapper's formulas: tiles are ranges of indices, an operand is loaded when the
tile it needs is not the one it had, and an output tile goes home when another one takes its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from dse.hardware.chip import Chip
from dse.mapping.ir.homes import Homes
from dse.mapping.space.choices import TILE_LIMITS, TILED, spatial_choices, tile_sizes
from dse.workload.layer import DIMS, Layer
from dse.workload.precision import bits_of

RELEVANT = {
    "W": ("G", "K", "C"),
    "I": ("G", "B", "C", "OY", "OX"),
    "O": ("G", "B", "K", "OY", "OX"),
}
CLASS_LOOPS = {
    "W": ("G", "K", "C", "B", "OY", "OX"),
    "I": ("G", "B", "C", "OY", "OX", "K"),
    "O": ("G", "B", "K", "OY", "OX", "C"),
}
INNERMOST = {"W": {"B", "OY", "OX"}, "I": {"K"}, "O": {"C"}}
STREAMED = {"ws": ("B", "OY", "OX"), "os": ("C", "FY", "FX"), "is": ("K",)}


@dataclass(frozen=True)
class Case:
    """A layer on a chip with homes and room."""

    layer: Layer
    chip: Chip
    homes: Homes
    room: float

    @property
    def sizes(self) -> dict[str, int]:
        assert self.layer.nest is not None
        return dict(zip(DIMS, self.layer.nest.sizes, strict=True))

    def align(self, dim: str) -> int:
        array, nest = self.chip.array, self.layer.nest
        assert nest is not None
        if nest.depthwise and array.depthwise == "diagonal":  # there a channel is a group
            multiples = {"G": math.lcm(array.align.get("C", 1), array.align.get("G", 1))}
            return multiples.get(dim, 1 if dim in ("C", "K") else array.align.get(dim, 1))
        shares = any("C" in axis.dims and {"FX", "FY"} & set(axis.dims) for axis in array.axes)
        if dim == "C" and shares and array.align.get("C", 1) > nest.C:
            return 1  # image mode: channels and taps share the lanes
        return array.align.get(dim, 1)


@dataclass(frozen=True)
class Choice:
    """One mapping; ``flow`` is (dataflow, where partial sums go), ``loops`` outermost first."""

    spatial: tuple[int, ...]
    tiles: tuple[int, ...]
    flow: tuple[str, bool]
    loops: tuple[str, ...]
    kept: str


@dataclass
class Walk:
    """What the walk of the tile loops counted, in bytes of each step and in events."""

    steps: int = 0
    loads: dict[str, list[float]] = field(default_factory=dict)
    stores: list[float] = field(default_factory=list)
    reloads: float = 0.0
    events: dict[str, int] = field(default_factory=dict)


def choices(case: Case) -> Iterator[Choice]:
    """The stated candidate space, three order classes each, in the mapper's order."""
    array, sizes = case.chip.array, tuple(case.sizes.values())
    align = tuple(case.align(d) for d in DIMS)
    diagonal = array.depthwise == "diagonal"
    window = window_of(case.layer) if array.row_inputs == "one" else None
    spatials = spatial_choices(sizes, array.axes, align, diagonal, window)
    lists = [tile_sizes(sizes[d], spatials[0][d], TILE_LIMITS[d], align[d]) for d in range(6)]
    flows: list[tuple[str, bool]] = []
    for name in array.dataflows:
        if name != "os" and array.accumulator_bytes:
            flows.append((name, True))
        flows.append((name, False))
    for spatial in spatials:
        for tiles in itertools.product(*lists):
            for flow in flows:
                cut = {d for d, t in zip(TILED, tiles, strict=True) if t < case.sizes[d]} - {"G"}
                for kept, loops in CLASS_LOOPS.items():
                    # A class whose innermost group is not cut is another class in disguise.
                    if not cut or INNERMOST[kept] & cut:
                        yield Choice(spatial, tiles, flow, loops, kept)
                        if {"OY", "OX"} <= cut and kept != "O":
                            yield Choice(spatial, tiles, flow, swapped(loops), kept)


def window_of(layer: Layer) -> tuple[int, ...]:
    """Stride and dilation along y and x, each pair without common divisor."""
    nest = layer.nest
    assert nest is not None
    y, x = math.gcd(nest.stride_y, nest.dilation_y), math.gcd(nest.stride_x, nest.dilation_x)
    return (nest.stride_y // y, nest.dilation_y // y, nest.stride_x // x, nest.dilation_x // x)


def swapped(loops: tuple[str, ...]) -> tuple[str, ...]:
    """The same loops with OY and OX in each other's place."""
    other = {"OY": "OX", "OX": "OY"}
    return tuple(other.get(d, d) for d in loops)


def pieces(size: int, tile: int) -> list[int]:
    return [min(tile, size - start) for start in range(0, size, tile)]


def touched(outputs: int, taps: int, stride: int, dilation: int) -> int:
    """Distinct input positions, by listing them."""
    return len({o * stride + t * dilation for o in range(outputs) for t in range(taps)})


def elements(case: Case, tile: dict[str, int]) -> dict[str, int]:
    nest = case.layer.nest
    assert nest is not None
    rows = touched(tile["OY"], nest.FY, nest.stride_y, nest.dilation_y)
    cols = touched(tile["OX"], nest.FX, nest.stride_x, nest.dilation_x)
    return {
        "W": tile["G"] * tile["K"] * tile["C"] * nest.FY * nest.FX,
        "I": tile["G"] * tile["B"] * tile["C"] * rows * cols,
        "O": tile["G"] * tile["B"] * tile["K"] * tile["OY"] * tile["OX"],
    }


def walk_tiles(case: Case, tiles: tuple[int, ...], loops: tuple[str, ...]) -> Walk:
    """Visit every buffer tile in loop order and count what must move."""
    layer, homes = case.layer, case.homes.to_dict()
    cut = {d: pieces(case.sizes[d], t) for d, t in zip(TILED, tiles, strict=True)}
    wb, ib, ob = (bits_of(f) / 8 for f in (layer.w_format, layer.i_format, layer.o_format))
    whole = elements(case, {d: case.sizes[d] for d in TILED})
    i_scale = min(1.0, layer.i_elements / whole["I"])
    side = layer.side_bytes / whole["O"]
    walk = Walk(loads={"W": [], "I": [], "side": []})
    here: dict[str, tuple[int, ...]] = {}
    reductions_done: dict[tuple[int, ...], int] = {}
    order = [range(len(cut[d])) for d in loops]
    visits = 0
    pending: tuple[int, ...] | None = None
    before: tuple[int, ...] | None = None

    def leave(key: tuple[int, ...]) -> float:
        index = dict(zip(RELEVANT["O"], key, strict=True))
        tile = {d: cut[d][index[d]] if d in index else 1 for d in TILED}
        done = reductions_done[key] == len(cut["C"])
        width = ob if done else layer.acc_bits / 8
        return elements(case, tile)["O"] * width * (homes["O"] != "buffer")

    for number in itertools.product(*order):
        at = dict(zip(loops, number, strict=True))
        tile = {d: cut[d][at[d]] for d in TILED}
        size = elements(case, tile)
        walk.steps += 1
        for operand, width, scale in (("W", wb, 1.0), ("I", ib, i_scale)):
            key = tuple(at[d] for d in RELEVANT[operand])
            new = here.get(operand) != key
            here[operand] = key
            count = size[operand]
            if operand == "I" and new:
                count -= still_there(case, cut, before, key)
                before = key
            moved = count * width * scale * (homes[operand] != "buffer")
            walk.loads[operand].append(moved if new else 0.0)
            walk.events[operand] = walk.events.get(operand, 0) + new
        key = tuple(at[d] for d in RELEVANT["O"])
        store, load_side = 0.0, 0.0
        if pending != key:
            visits += 1
            if pending is not None:
                store = leave(pending)
            if key in reductions_done:
                walk.reloads += size["O"] * layer.acc_bits / 8 * (homes["O"] != "buffer")
                walk.events["reload"] = walk.events.get("reload", 0) + 1
            else:
                load_side = size["O"] * side * (homes["side"] != "buffer")
            walk.events["O"] = walk.events.get("O", 0) + 1
            pending = key
        reductions_done[key] = reductions_done.get(key, 0) + 1
        walk.stores.append(store)
        walk.loads["side"].append(load_side)
    assert pending is not None
    walk.stores.append(leave(pending))
    return walk


def still_there(
    case: Case, cut: dict[str, list[int]], old: tuple[int, ...] | None, new: tuple[int, ...]
) -> int:
    """Input elements of the new tile that the tile before it held.

    The window slides forwards along OY or OX; a loop that starts again loads its tile in full.
    """
    nest = case.layer.nest
    assert nest is not None
    steps = (0, 0) if old is None else (new[3] - old[3], new[4] - old[4])
    if old is None or old[:3] != new[:3] or steps not in ((0, 1), (1, 0)):
        return 0

    def lines(dim: str, index: int, taps: int, stride: int, dilation: int) -> set[int]:
        start = sum(cut[dim][:index])
        outputs = range(start, start + cut[dim][index])
        return {o * stride + t * dilation for o in outputs for t in range(taps)}

    shared = 1
    for dim, place, form in (
        ("OY", 3, (nest.FY, nest.stride_y, nest.dilation_y)),
        ("OX", 4, (nest.FX, nest.stride_x, nest.dilation_x)),
    ):
        shared *= len(lines(dim, old[place], *form) & lines(dim, new[place], *form))
    return cut["G"][new[0]] * cut["B"][new[1]] * cut["C"][new[2]] * shared


@dataclass(frozen=True)
class Inside:
    """What happens between buffer and array, over all tiles."""

    cycles: float
    w_reads: float
    i_reads: float
    updates: float
    partial_sums: float
    partial: bool
    still: float


def walk_array(
    case: Case,
    spatial: tuple[int, ...],
    tiles: tuple[int, ...],
    flow: tuple[str, bool],
    rate: float,
) -> Inside | None:
    """Run every pass of every tile; None if the accumulators hold not even one step."""
    layer, array = case.layer, case.chip.array
    factor = dict(zip(DIMS, spatial, strict=True))
    name, accumulate = flow
    streamed = STREAMED[name]
    cut = {d: pieces(case.sizes[d], t) for d, t in zip(TILED, tiles, strict=True)}
    cut["FY"], cut["FX"] = [case.sizes["FY"]], [case.sizes["FX"]]

    def chunks(dim: str, size: int) -> list[int]:
        padded = -(-size // case.align(dim)) * case.align(dim)
        return [max(0, min(factor[dim], size - s)) for s in range(0, padded, factor[dim])]

    first = {d: cut[d][0] for d in DIMS}
    inner = math.prod(len(chunks(d, first[d])) for d in ("C", "FY", "FX"))
    inside = accumulate and inner > 1
    blocks = 1
    if accumulate:
        outs = {"ws": ("G", "K"), "is": ("G", "B", "OY", "OX")}[name]
        live = math.prod(min(factor[d], first[d]) for d in outs)
        places = array.accumulator_bytes // (live * layer.acc_bits // 8)
        if inside:
            if places < 1:
                return None
            blocks = -(-math.prod(first[d] for d in streamed) // places)
    cycles = w_reads = i_reads = updates = sums = still = 0.0
    visited: set[tuple[int, ...]] = set()
    for parts in itertools.product(*(range(len(cut[d])) for d in TILED)):
        at = dict(zip(TILED, parts, strict=True))
        step = {d: chunks(d, cut[d][at.get(d, 0)]) for d in DIMS}
        held = [d for d in DIMS if d not in streamed]
        stream = math.prod(len(step[d]) for d in streamed) / rate
        passes = math.prod(len(step[d]) for d in held)
        preload = array.preload_cycles if name != "os" else 0
        drain = array.fill_drain_cycles if array.fill_drain == "paid" else 0
        if array.preload == "hidden":
            each = max(stream, preload * blocks)
        else:
            each = stream + preload * blocks
            still += passes * preload * blocks
        cycles += passes * (each + drain * blocks)
        size = {d: cut[d][at.get(d, 0)] for d in DIMS}
        weights = math.prod(size[d] for d in ("G", "K", "C", "FY", "FX"))
        taps = math.prod(size[d] for d in DIMS if d != "K")
        outputs = math.prod(size[d] for d in RELEVANT["O"])
        repeats = math.prod(len(step[d]) for d in ("B", "OY", "OX"))
        w_reads += weights * (blocks if name == "ws" else repeats)
        i_reads += taps * (blocks if name == "is" else len(step["K"]))
        reductions = math.prod(len(step[d]) for d in ("C", "FY", "FX"))
        key = tuple(at[d] for d in RELEVANT["O"])
        again = key in visited
        visited.add(key)
        if inside:
            updates += outputs * reductions
        if inside or name == "os":
            sums += outputs * again
        else:
            sums += outputs * (reductions if again else reductions - 1)
    partial = len(cut["C"]) > 1 if inside or name == "os" else sums > 0
    return Inside(cycles, w_reads, i_reads, updates, sums, partial, still)


def fits(case: Case, tiles: tuple[int, ...], partial: bool) -> bool:
    """Whether the padded tiles, twice where the next one loads meanwhile, fit the room."""
    layer, homes = case.layer, case.homes.to_dict()
    cut = {d: len(pieces(case.sizes[d], t)) for d, t in zip(TILED, tiles, strict=True)}
    padded = {
        d: -(-t // case.align(d)) * case.align(d) if d in ("G", "K", "C") else t
        for d, t in zip(TILED, tiles, strict=True)
    }
    size = elements(case, padded)
    whole = elements(case, {d: case.sizes[d] for d in TILED})
    double = case.chip.buffer.double_buffered

    def copies(operand: str) -> int:
        return 2 if double and any(cut[d] > 1 for d in RELEVANT[operand]) else 1

    total = 0.0
    if homes["W"] != "buffer":
        total += size["W"] * bits_of(layer.w_format) / 8 * copies("W")
    if homes["I"] != "buffer":
        total += size["I"] * bits_of(layer.i_format) / 8 * copies("I")
    if partial:
        total += size["O"] * layer.acc_bits / 8 * copies("O")
    elif homes["O"] != "buffer":
        total += size["O"] * bits_of(layer.o_format) / 8 * copies("O")
    if homes["side"] != "buffer":
        total += size["O"] * layer.side_bytes / whole["O"] * copies("O")
    return total <= case.room
