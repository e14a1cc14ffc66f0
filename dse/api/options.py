"""What the options that many functions and commands share may be: one definition of each.

The error of a value names the Python parameter; ``dse.cli`` writes it as the command's option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from dse.errors import InputError

if TYPE_CHECKING:
    from dse.evaluation import Value as Value
    from dse.workload.layer import Binding as Binding

Fidelity = Literal["roofline", "analytic", "simulate"]
#: What the mapper minimises: ``edp``, ``latency``, ``energy``, a product such as
#: ``energy*latency^2``, or the exponents of (energy, latency).
Objective = str | tuple[float, float]
UnknownOps = Literal["error", "host"]

#: The most units over a product's life, and those of a model alone unless they are given.
MOST_UNITS = 1e12
USUAL_UNITS = 1e6
#: Each draw evaluates the design again: beyond this the quantiles no longer move.
MOST_DRAWS = 10_000
USUAL_DRAWS = 32
#: Steps of an explanation taken together, at most: beyond, sets are too many to look at.
MOST_TOGETHER = 6
#: Sets of steps mapped or played for an explanation, unless it is said.
USUAL_TRIES = 200
#: Grids beyond this are a slip of the pen, not a sweep.
LARGEST_SWEEP = 100_000


def check_seed(seed: int | None) -> None:
    """A seed of jitter, arrivals, triggers and proposals: 0 or more.

    Raises:
        InputError: it is negative.
    """
    if seed is not None and seed < 0:
        raise InputError(f"a seed of {seed}", field="seed", mend="give 0 or more")


def check_volume(volume: float | None) -> None:
    """Units over the product's life: 1 to :data:`MOST_UNITS`.

    Raises:
        InputError: outside of that.
    """
    if volume is not None and not 1 <= volume <= MOST_UNITS:
        raise InputError(
            f"a volume of {volume:g}",
            field="volume",
            mend=f"give units from 1 to {MOST_UNITS:.0e}",
        )


def check_draws(draws: int | None) -> None:
    """Draws of the technology facts: 2 to :data:`MOST_DRAWS`; None is none.

    Raises:
        InputError: outside of that.
    """
    if draws is not None and not 2 <= draws <= MOST_DRAWS:
        raise InputError(
            f"{draws:,} draws",
            field="draws",
            mend=f"give 2 to {MOST_DRAWS:,}; {USUAL_DRAWS} is usual",
        )


def check_together(together: int) -> None:
    """Steps taken together: 0 to :data:`MOST_TOGETHER`.

    Raises:
        InputError: outside of that.
    """
    if not 0 <= together <= MOST_TOGETHER:
        raise InputError(
            f"{together} steps together",
            field="together",
            mend=f"give 0 (single steps only) to {MOST_TOGETHER}",
        )


def check_counts(**counts: int | None) -> None:
    """Numbers of trials, processes, runs: 1 or more; None is the default.

    Raises:
        InputError: naming the one that is less.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"a count of {count}", field=name, mend="give 1 or more")


def check_limits(**limits: float | None) -> None:
    """Limits of a search, in s or evaluations: more than 0; None is no limit.

    Raises:
        InputError: naming the one that is not.
    """
    for name, limit in limits.items():
        if limit is not None and limit <= 0:
            raise InputError(f"a limit of {limit:g}", field=name, mend="give more than 0")


def read_binding(text: str) -> Binding | None:
    """The number, or numbers, that a dynamic axis or small input is bound to; None if it is none.

    As in ``batch=1`` or ``shape=1,3,224,224``.
    """
    from dse.workload.load import parse_binding

    return parse_binding(text)


def told_states(counts: Mapping[Any, int]) -> str:
    """How many designs came to which state, for people: ``3 feasible, 5 infeasible``."""
    from dse.evaluation.states import told_states as told

    return told(counts)


def metric_words(name: str) -> tuple[str, str]:
    """Label and unit of a metric; of a time that is no metric, its name and s."""
    from dse.evaluation.metrics import METRICS

    if name in METRICS:
        return METRICS[name].label, METRICS[name].unit
    return name, "s" if name.endswith("_s") else ""


def check_page(path: str | None, name: str) -> None:
    """A file for a page ends in ``.html``.

    Raises:
        InputError: it does not.
    """
    if path is not None and not path.endswith(".html"):
        raise InputError("not an .html file", file=path, field=name, mend="name it so")
