"""What a chip's compiler can express: the tile sizes that its legality profile leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dse.errors import InputError
from dse.hardware.chip import Chip, Legality


def check_profile(chip: Chip) -> None:
    """Refuse a legal mapping of a chip that does not say what its compiler can express.

    Raises:
        InputError: the chip has no profile.
    """
    if not chip.legality.stated:
        raise InputError(
            f"chip {chip.name} says nothing of what its compiler can express",
            field="legality",
            mend="map without legal, or give the chip a legality block (granularity, min_tile, "
            "max_tile, dataflow, own_banks)",
        )


def rule(legality: Legality, dim: str, sizes: Sequence[int]) -> tuple[int, int, int | None]:
    """Granularity, least and most of the tiles of a dim; None for no upper limit.

    Args:
        sizes: of all dims of the layer, in the order of ``DIMS``. Where ``OY`` is 1, ``OX`` counts
            the rows of a matrix, which follow the rules of ``OY``; the channels of a depthwise
            layer (``G``, with ``K`` = ``C`` = 1) follow those of ``K``.
    """
    name = dim
    if dim == "OX" and sizes[4] == 1:
        name = "OY"
    elif dim == "G" and sizes[2] == sizes[3] == 1:
        name = "K"
    most = dict(legality.max_tile).get(name)
    return dict(legality.granularity).get(name, 1), dict(legality.min_tile).get(name, 1), most


def legal_sizes(
    values: Iterable[int], whole: int, limits: tuple[int, int, int | None]
) -> tuple[int, ...]:
    """Tile sizes rounded up to what can be expressed, descending, each once.

    Args:
        whole: size of the dim, itself a legal size unless it is above the most.
        limits: what :func:`rule` returns.
    """
    grain, least, most = limits
    top = whole if most is None or whole <= most else most // grain * grain
    found = {min(top, -(-max(value, least) // grain) * grain) for value in values}
    return tuple(sorted(found, reverse=True))


def is_legal(size: int, whole: int, limits: tuple[int, int, int | None]) -> bool:
    """Whether tiles of ``size`` along a dim of ``whole`` can be expressed."""
    return legal_sizes((size,), whole, limits) == (size,)


def broken_rule(size: int, whole: int, limits: tuple[int, int, int | None]) -> str:
    """What a tile size breaks, in words; empty if it is legal."""
    grain, least, most = limits
    if is_legal(size, whole, limits):
        return ""
    if most is not None and size > most:
        return f"is above the most, {most}"
    if size < min(least, whole):
        return f"is below the least, {min(least, whole)}"
    return f"is no multiple of {grain}, nor the whole dim of {whole}"
