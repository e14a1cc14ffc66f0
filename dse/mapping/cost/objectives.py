"""What a mapping minimises: a name, or a product of powers of energy and latency."""

from __future__ import annotations

import re

from dse.errors import InputError
from dse.mapping.cost.costs import OBJECTIVES
from dse.registry import cached

#: Exponents are multiples of a quarter up to this one: such powers round the same everywhere.
LARGEST_EXPONENT = 8.0

#: What the mapper may minimise: ``edp``, ``latency``, ``energy``, or a product of their powers.
Objective = str | tuple[float, float]

_FACTOR = re.compile(r"(energy|latency)(?:\^([0-9.]+))?")


def objective_code(objective: Objective) -> int:
    """The kernels' number for an objective.

    Args:
        objective: ``edp``, ``latency``, ``energy``; a product such as ``energy*latency^2``; or the
            exponents of (energy, latency), multiples of 0.25 up to 8, not both zero.

    Raises:
        InputError: anything else.
    """
    if objective in OBJECTIVES:
        return OBJECTIVES.index(str(objective))
    energy, latency = exponents(objective)
    if (energy, latency) == (1.0, 1.0):
        return 0
    if energy == 0.0 and latency == 1.0:
        return 1
    if latency == 0.0 and energy == 1.0:
        return 2
    return 3 + 64 * round(4.0 * energy) + round(4.0 * latency)


def exponents(objective: Objective) -> tuple[float, float]:
    """Exponents of energy and latency in the product that an objective minimises."""
    if isinstance(objective, tuple):
        found = objective
    elif objective in OBJECTIVES:
        found = {"edp": (1.0, 1.0), "latency": (0.0, 1.0), "energy": (1.0, 0.0)}[objective]
    else:
        found = _parsed(objective)
    whole = [float(4.0 * value).is_integer() for value in found]
    if (
        len(found) != 2
        or not all(whole)
        or not all(0.0 <= value < LARGEST_EXPONENT + 0.25 for value in found)
        or not any(found)
    ):
        raise _unknown(objective)
    return float(found[0]), float(found[1])


def plain(objective: Objective) -> Objective:
    """The shortest way to write an objective, as which mappings are remembered.

    ``edp``, ``latency`` and ``energy`` under whatever product means them; else its exponents. A
    power of one of them alone, or of their product, prefers the same mappings as without it.

    Raises:
        InputError: no objective, see :func:`objective_code`.
    """
    if objective in OBJECTIVES:
        return objective
    energy, latency = exponents(objective)
    if not energy:
        return "latency"
    if not latency:
        return "energy"
    return "edp" if energy == latency else (energy, latency)


def time_price_w(objective: Objective, latency_s: float, energy_j: float) -> float | None:
    """What a second is worth in J where a small change leaves the objective as it is.

    Of ``energy^a * latency^b`` that is ``b / a * energy / latency``; None if energy does not count.
    """
    energy, latency = exponents(objective)
    return None if not energy else latency / energy * (energy_j / latency_s)


@cached(64)
def _parsed(text: str) -> tuple[float, float]:
    powers = {"energy": 0.0, "latency": 0.0}
    for part in text.replace(" ", "").split("*"):
        match = _FACTOR.fullmatch(part)
        if match is None:
            raise _unknown(text)
        try:
            powers[match[1]] += float(match[2] or 1.0)
        except ValueError:
            raise _unknown(text) from None
    return powers["energy"], powers["latency"]


def _unknown(objective: object) -> InputError:
    return InputError(
        f"unknown objective {objective!r}",
        field="objective",
        mend="use edp, latency, energy, or a product such as energy*latency^2 "
        "with exponents in quarters up to 8",
    )


def objective_value(objective: Objective, latency_s: float, energy_j: float) -> float:
    """What is minimised, for given latency, s, and energy, J."""
    energy, latency = exponents(objective)
    return float(energy_j**energy * latency_s**latency)
