"""How far from the best possible a mapping is, proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Excess that rounding alone may make.
_HAIR = 1e-8


@dataclass(frozen=True, slots=True)
class Certificate:
    """A value of the objective that a mapping reaches, and one that no mapping of its space beats.

    Attributes:
        objective: what is minimised: ``edp`` (J s), ``latency`` (s), ``energy`` (J), or a product
            of powers, such as ``energy*latency^2``.
        value: of the mapping.
        bound: no mapping has less.
    """

    objective: str
    value: float
    bound: float

    @property
    def within(self) -> float:
        """Largest share by which the mapping may exceed the best one; 0 if it is the best."""
        if self.bound >= self.value * (1.0 - _HAIR):
            return 0.0
        return self.value / self.bound - 1.0 if self.bound > 0.0 else float("inf")

    @property
    def optimal(self) -> bool:
        """Whether nothing is better."""
        return self.within == 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the fields, and ``within`` as a share (None without a bound)."""
        within = self.within if self.within < float("inf") else None
        return {
            "objective": self.objective,
            "value": self.value,
            "bound": self.bound,
            "within": within,
            "optimal": self.optimal,
        }

    def __str__(self) -> str:
        return within_text(self.within)


def within_text(within: float) -> str:
    """``optimal``, or ``within x %``: never less than it is."""
    if within == 0.0:
        return "optimal"
    if within == float("inf"):
        return "no bound"
    percent = 100.0 * within
    digits = 0 if percent >= 10.0 else 1 if percent >= 1.0 else 2
    step = 10.0**-digits
    rounded = step * -(-percent // step)
    return f"within {rounded:.{digits}f} %"
