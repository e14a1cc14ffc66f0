"""What an evaluation needs to know beside design and fidelity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dse.errors import InputError
from dse.files import nearest
from dse.mapping import Objective

Fidelity = Literal["roofline", "analytic", "simulate"]
FIDELITIES: tuple[Fidelity, ...] = ("roofline", "analytic", "simulate")


def check_fidelity(fidelity: str) -> None:
    """Refuse a level that there is not.

    Raises:
        InputError: naming the three levels.
    """
    if fidelity not in FIDELITIES:
        raise InputError(
            f"unknown fidelity {fidelity!r}",
            field="fidelity",
            mend=f"use one of: {', '.join(FIDELITIES)}{nearest(fidelity, list(FIDELITIES))}",
        )


@dataclass(frozen=True)
class Terms:
    """Economics and options of a model's evaluation (an app brings its own).

    ``volume`` is units over the product's life, ``volumes`` further ones to state the unit cost at;
    ``duty`` the share of the lifetime in operation; ``grid`` the electricity the product uses;
    ``cores`` how many cores a layer is split over; ``objective`` what the mapper minimises;
    ``kind`` of core, on a chip with several (None: the one that the objective prefers); ``legal``
    keeps mappings to what the chip's compiler can express.
    """

    volume: float = 1e6
    volumes: tuple[float, ...] = (1e5, 1e6, 1e7)
    lifetime_years: float = 5.0
    duty: float = 1.0
    grid: str = "japan"
    cores: int = 1
    objective: Objective = "edp"
    seed: int = 0
    kind: str | None = None
    legal: bool = False
