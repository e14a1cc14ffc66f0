"""The map space: spatial unrollings, tile sizes and number formats that the mapper chooses from."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping

from dse.errors import UnmappableError
from dse.hardware.chip import Axis
from dse.registry import cached
from dse.workload.layer import DIMS
from dse.workload.precision import bits_of

#: Dims that are cut into buffer tiles; filters (FY, FX) of more taps than :data:`FILTER_TAPS` too.
TILED = DIMS[:6]
#: Taps of a filter that stays whole in a tile, and most sizes tried of the rows, or columns, of a
#: larger one.
FILTER_TAPS = 9
FILTER_LIMIT = 4
#: Most tile sizes tried per dim (G, B, K, C, OY, OX).
TILE_LIMITS = (12, 8, 18, 16, 14, 14)
#: The same where more levels than the buffer are tiled, or operands held beyond their tile.
LEVEL_LIMITS = (5, 4, 8, 8, 6, 6)
#: Most mixes of dims kept per axis, and most spatial unrollings kept per layer.
MIX_LIMIT = 12
SPATIAL_LIMIT = 12

Factors = tuple[int, ...]


@cached(4096)
def ceil_quotients(size: int) -> tuple[int, ...]:
    """All values of ``ceil(size / q)``, descending: the sizes worth cutting ``size`` into.

    Any other tile size needs as many tiles as the next smaller one of these.
    """
    out: list[int] = []
    parts = 1
    while True:
        value = -(-size // parts)
        out.append(value)
        if value == 1:
            return tuple(out)
        parts = -(-size // (value - 1))


def thinned(values: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """At most ``limit`` of the descending ``values``, first and last kept, even in logarithm."""
    if len(values) <= limit:
        return values
    high, low = math.log(values[0]), math.log(values[-1])
    targets = [high + (low - high) * i / (limit - 1) for i in range(limit)]
    kept = {min(values, key=lambda v: (abs(math.log(v) - t), -v)) for t in targets}
    return tuple(sorted(kept, reverse=True))


@cached(16384)
def tile_sizes(size: int, unit: int, limit: int, align: int = 1) -> tuple[int, ...]:
    """Tile sizes tried for a dim of ``size``, descending.

    They are the ceil-quotients of the number of array steps times ``unit`` (the spatial factor of
    the best unrolling), so that no full tile wastes array lanes, and the ceil-quotients of a unit
    below it; both lists are thinned for big dims to ``limit`` sizes together. A tile is padded to
    ``align`` in room and array steps alike, so where ``unit`` is no multiple of it, that takes its
    place.
    """
    unit = max(1, min(align if unit % align else unit, size))
    steps = ceil_quotients(-(-size // unit))
    coarse = tuple(min(size, unit * step) for step in steps)
    fine = tuple(v for v in ceil_quotients(unit) if v < unit)
    few = thinned(fine, max(2, limit // 3))
    return thinned(coarse, limit - len(few)) + few


@cached(4096)
def filter_tiles(rows: int, columns: int) -> tuple[tuple[int, int], ...]:
    """Filter tiles (taps along FY and FX) tried, the whole filter first.

    A filter of more than :data:`FILTER_TAPS` taps is cut into groups of rows, and its rows into
    groups of columns.
    """
    if rows * columns <= FILTER_TAPS:
        return ((rows, columns),)
    in_rows = [(v, columns) for v in thinned(ceil_quotients(rows), FILTER_LIMIT)]
    in_columns = [(1, v) for v in thinned(ceil_quotients(columns), FILTER_LIMIT)]
    return tuple(dict.fromkeys((*in_rows, *in_columns)))


@cached(16384)
def _mixes(sizes: Factors, axis: Axis) -> tuple[Factors, ...]:
    """The maximal unrollings of one axis with the fewest steps."""
    return axis_mixes(sizes, axis)[:MIX_LIMIT]


def axis_mixes(sizes: Factors, axis: Axis) -> tuple[Factors, ...]:
    """Maximal unrollings of one axis, those of fewest steps first: no dim can take its next useful
    factor without overflow."""
    dims = [d for d in dict.fromkeys(axis.dims) if sizes[DIMS.index(d)] > 1]
    choices = [tuple(sorted(ceil_quotients(sizes[DIMS.index(d)]))) for d in dims]
    found: list[Factors] = []

    def walk(position: int, room: int, taken: list[int]) -> None:
        if position == len(dims):
            product = math.prod(taken)
            for factor, options in zip(taken, choices, strict=True):
                larger = next((v for v in options if v > factor), None)
                if larger is not None and product // factor * larger <= axis.size:
                    return
            factors = [1] * len(DIMS)
            for dim, factor in zip(dims, taken, strict=True):
                factors[DIMS.index(dim)] = factor
            found.append(tuple(factors))
            return
        for factor in choices[position]:
            if factor > room:
                break
            walk(position + 1, room // factor, [*taken, factor])

    walk(0, axis.size, [])
    found.sort(key=lambda f: (_steps(sizes, f), [-v for v in f]))
    return tuple(found)


def _steps(sizes: Factors, factors: Factors) -> int:
    return math.prod(-(-size // factor) for size, factor in zip(sizes, factors, strict=True))


def _join(
    sizes: Factors, axes: tuple[Axis, ...], done: tuple[Factors, ...]
) -> Iterator[tuple[Factors, ...]]:
    if not axes:
        yield done
        return
    for mix in _mixes(sizes, axes[0]):
        rest = tuple(-(-size // factor) for size, factor in zip(sizes, mix, strict=True))
        yield from _join(rest, axes[1:], (*done, mix))


@cached(16384)
def spatial_choices(
    sizes: Factors,
    axes: tuple[Axis, ...],
    align: Factors,
    diagonal: bool,
    window: Factors | None = None,
) -> tuple[Factors, ...]:
    """Spatial factors per dim of the unrollings tried, those with the fewest array steps first.

    Args:
        sizes: dims in the order of ``DIMS``; ``align`` multiples they are padded to.
        axes: each may unroll any mix of its dims (several at once: replication).
        diagonal: groups may lie along the diagonal of the first two axes.
        window: of a matrix engine, whose rows take one input each (:func:`input_rows`): stride and
            dilation along y and x.

    Ties go to the unrolling with less traffic between buffer and array.
    """
    padded = tuple(-(-size // a) * a for size, a in zip(sizes, align, strict=True))
    found: dict[Factors, None] = {}
    if window is not None:
        found = dict.fromkeys(_matrices(padded, axes, window, diagonal))
    for mixes in () if window is not None else _join(padded, axes, ()):
        factors = tuple(math.prod(column) for column in zip(*mixes, strict=True))
        found[factors] = None
        if diagonal and len(axes) > 1 and sizes[0] > 1 and factors[0] == 1:
            places = min(
                axis.size // math.prod(mix) for axis, mix in zip(axes[:2], mixes[:2], strict=True)
            )
            groups = min(places, sizes[0])
            found[(-(-sizes[0] // -(-sizes[0] // groups)), *factors[1:])] = None

    def rank(factors: Factors) -> tuple[object, ...]:
        _, b, k, c, y, x, fy, fx = (-(-n // f) for n, f in zip(padded, factors, strict=True))
        macs = math.prod(sizes)
        reads = macs // sizes[2] * k + macs // math.prod((sizes[1], sizes[4], sizes[5])) * b * y * x
        sums = macs // math.prod((sizes[3], sizes[6], sizes[7])) * c * fy * fx
        return (_steps(padded, factors), reads + 4 * sums, factors)

    return tuple(sorted(found, key=rank)[:SPATIAL_LIMIT])


def input_rows(factors: Factors, window: Factors) -> int:
    """Distinct input elements that an unrolling takes in a step: rows of a matrix engine.

    Rows of ``OX`` pixels under ``FX`` taps are a Toeplitz matrix, with zeros beside each filter.

    Args:
        window: stride and dilation along y and x, each pair without common divisor.
    """
    g, b, _, c, oy, ox, fy, fx = factors
    sy, dy, sx, dx = window
    rows = oy * fy - max(0, oy - dy) * max(0, fy - sy)
    cols = ox * fx - max(0, ox - dx) * max(0, fx - sx)
    return g * b * c * rows * cols


def _matrices(
    sizes: Factors, axes: tuple[Axis, ...], window: Factors, diagonal: bool
) -> Iterator[Factors]:
    """Unrollings of a matrix engine, of which no dim can take its next useful factor; on the
    diagonal as many groups as there is room for, and one."""
    across = [axis.size for axis in axes if {"K", "OX", "OY"} & set(axis.dims)]
    cols = math.prod(across)
    rows = math.prod(axis.size for axis in axes) // cols
    unrolled, most = {d for axis in axes for d in axis.dims}, max(rows, cols)
    options = [
        tuple(v for v in reversed(ceil_quotients(size)) if v <= most) if d in unrolled else (1,)
        for d, size in zip(DIMS, sizes, strict=True)
    ]

    def filled(oy: int, ox: int, fy: int, fx: int) -> tuple[int, int]:
        """As many filters and channels as there is room for beside these; none: 0."""
        taken = input_rows((1, 1, 1, 1, oy, ox, fy, fx), window)
        k, c = (
            bisect_right(values, room) for values, room in
            ((options[2], cols // (oy * ox)), (options[3], rows // taken))
        )  # fmt: skip
        return (options[2][k - 1], options[3][c - 1]) if k and c else (0, 0)

    room = {sides: filled(*sides) for sides in itertools.product(*options[4:])}
    for sides, (k, c) in room.items():
        if k and not any(
            room[*sides[:at], values[values.index(sides[at]) + 1], *sides[at + 1 :]] == (k, c)
            for at, values in enumerate(options[4:])
            if values[-1] > sides[at]
        ):
            found = (1, 1, k, c, *sides)
            yield found
            places = min(rows // input_rows(found, window), cols // (k * sides[0] * sides[1]))
            if diagonal and min(places, sizes[0]) > 1:
                groups = min(places, sizes[0])
                yield (-(-sizes[0] // -(-sizes[0] // groups)), *found[1:])


def rate_of(rates: Mapping[str, float], w_format: str, a_format: str) -> tuple[str, float]:
    """The format pair ``"int8xint8"`` a layer runs at, and its rate.

    The layer's own pair if the array has it, else the narrowest pair that can hold both operands:
    integers in wider integers, floats in wider floats, integer weights also in float arrays.

    Raises:
        UnmappableError: no pair of the array can hold them.
    """
    own = f"{w_format}x{a_format}"
    if own in rates:
        return own, rates[own]
    fitting = []
    for pair, rate in rates.items():
        weights, _, activations = pair.partition("x")
        if _holds(activations, a_format) and (
            _holds(weights, w_format)
            or (
                (_integer(w_format) and not _integer(activations))
                and bits_of(weights) >= bits_of(w_format)
            )
        ):
            fitting.append((bits_of(weights) + bits_of(activations), -rate, pair))
    if not fitting:
        raise UnmappableError(
            f"no MAC unit runs {w_format} weights with {a_format} activations",
            mend=f"the array has {', '.join(rates)}: change precision (--precision) or formats",
        )
    _, negative, pair = min(fitting)
    return pair, -negative


def _integer(number_format: str) -> bool:
    return number_format.startswith("int")


def _holds(wide: str, narrow: str) -> bool:
    if wide == narrow:
        return True
    return _integer(wide) == _integer(narrow) and bits_of(wide) > bits_of(narrow)


def fits_axes(factors: Factors, axes: tuple[Axis, ...]) -> bool:
    """Whether factors of all dims can be dealt out to axes (a factor may be split over several)."""
    wanted = [(d, n) for d, n in zip(DIMS, factors, strict=True) if n > 1]

    def deal(position: int, room: tuple[int, ...]) -> bool:
        if position == len(wanted):
            return True
        dim, factor = wanted[position]
        return split(dim, factor, 0, room, position)

    def split(dim: str, factor: int, axis: int, room: tuple[int, ...], position: int) -> bool:
        if factor == 1:
            return deal(position + 1, room)
        if axis == len(axes):
            return False
        options = [1]
        if dim in axes[axis].dims:
            options = [n for n in range(1, factor + 1) if factor % n == 0 and n <= room[axis]]
        return any(
            split(
                dim, factor // n, axis + 1, (*room[:axis], room[axis] // n, *room[axis + 1 :]),
                position,
            )
            for n in reversed(options)
        )  # fmt: skip

    return deal(0, tuple(axis.size for axis in axes))
