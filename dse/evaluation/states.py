"""What became of a design, in one word: the word that records, tables, plots and commands use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from dse.evaluation.causes import Cause

State = Literal["feasible", "infeasible", "dominated", "impossible"]
#: All states, in the order in which they are counted.
STATES: tuple[State, ...] = get_args(State)
#: What each word says, for legends.
MEANING: dict[State, str] = {
    "feasible": "meets every requirement, at the fidelity of the search",
    "infeasible": "breaks a requirement",
    "dominated": (
        "left out before it was simulated: its bounds are no better than a design found before; "
        "it may meet every requirement"
    ),
    "impossible": "cannot be built or mapped",
}
#: Kinds of reasons of what is impossible.
IMPOSSIBLE = ("unbuildable", "unmappable")


def state_of(feasible: bool | None, reasons: Iterable[Cause]) -> State | None:
    """The state of a record by its verdict and its reasons; None where the level decides nothing.

    A requirement that is broken is known whether or not another design dominates this one.
    """
    kinds = {reason.kind for reason in reasons}
    if feasible:
        return "feasible"
    if not kinds.isdisjoint(IMPOSSIBLE):
        return "impossible"
    if kinds == {"dominated"}:
        return "dominated"
    return "infeasible" if feasible is False or kinds else None


def count_states(states: Iterable[State]) -> dict[State, int]:
    """How many there are of each, zeros too."""
    out = dict.fromkeys(STATES, 0)
    for state in states:
        out[state] += 1
    return out


def told_states(counts: Mapping[Any, int]) -> str:
    """Counts for people: ``3 feasible, 5 infeasible``; what never occurred is left out."""
    kept = [state for state in STATES if counts[state] or state == "feasible"]
    return ", ".join(f"{counts[state]} {state}" for state in kept)
