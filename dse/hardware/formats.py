"""Which MAC mode serves a pair of number formats.

The hardware floor knows formats by name only; their bits are part of the name. A pair that an array
does not implement runs in the cheapest implemented pair that holds both values exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

from dse.errors import InputError
from dse.registry import cached

#: Formats a MAC array can be asked for, narrow before wide within a family.
FORMATS = ("int2", "int4", "int8", "int16", "fp8", "fp16", "bf16", "fp32")

#: Significant bits and exponent bits; an integer has none of the latter.
_SHAPE = {
    "int2": (2, 0),
    "int4": (4, 0),
    "int8": (8, 0),
    "int16": (16, 0),
    "fp8": (4, 4),
    "fp16": (11, 5),
    "bf16": (8, 8),
    "fp32": (24, 8),
}


def pair_key(text: str) -> str:
    """``int8`` or ``int4xint8`` (weights x activations) as a full pair key.

    Raises:
        InputError: if a format is unknown; the error lists them.
    """
    weights, _, activations = text.partition("x")
    pair = (weights, activations or weights)
    for part in pair:
        if part not in FORMATS:
            raise InputError(
                f"unknown number format {part!r}",
                mend=f"use one of {', '.join(FORMATS)}, or a pair such as int4xint8",
            )
    return "x".join(pair)


def is_float(number_format: str) -> bool:
    """Whether the format has an exponent."""
    return _SHAPE[number_format][1] > 0


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of ``narrow`` is a value of ``wide`` (integers scaled to ordinary range).

    A signed integer of n bits needs n - 1 significant bits in a float (the sign is apart).
    """
    significand, exponent = _SHAPE[wide]
    need, need_exponent = _SHAPE[narrow]
    if need_exponent:
        return exponent >= need_exponent and significand >= need
    return significand >= (need - 1 if exponent else need)


def serving_pair(implemented: Mapping[str, float], weights: str, activations: str) -> str | None:
    """The implemented pair that runs weights x activations: the fastest, then the narrowest.

    Args:
        implemented: pair key to relative rate.

    Returns:
        A key of ``implemented``; None if the array cannot run the pair.
    """
    return _serving(tuple(sorted(implemented.items())), weights, activations)


@cached(4096)
def _serving(
    implemented: tuple[tuple[str, float], ...], weights: str, activations: str
) -> str | None:
    exact = f"{weights}x{activations}"
    best: tuple[float, int, str] | None = None
    for key, rate in implemented:
        if key == exact:
            return key
        w, _, a = key.partition("x")
        if holds(w, weights) and holds(a, activations):
            size = sum(sum(_SHAPE[part]) for part in (w, a))
            candidate = (-rate, size, key)
            best = candidate if best is None else min(best, candidate)
    return best[2] if best else None


def served_pairs(implemented: Mapping[str, float]) -> dict[tuple[str, str], str]:
    """Every pair the array can run, and the implemented pair that serves it."""
    return dict(_all_served(tuple(sorted(implemented.items()))))


@cached(512)
def _all_served(
    implemented: tuple[tuple[str, float], ...],
) -> tuple[tuple[tuple[str, str], str], ...]:
    out = []
    for weights in FORMATS:
        for activations in FORMATS:
            key = _serving(implemented, weights, activations)
            if key is not None:
                out.append(((weights, activations), key))
    return tuple(out)
