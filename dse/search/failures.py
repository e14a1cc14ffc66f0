"""What became of the designs of a study, and what those that are infeasible break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dse.evaluation.states import State, count_states
from dse.search.candidate import Outcome


def failure_counts(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    """How many infeasible designs break each kind of requirement, most frequent first.

    What was left out as dominated breaks nothing that is known, and what cannot be built or mapped
    was held against no requirement.
    """
    counts: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.state != "infeasible":
            continue
        for what in {cause.broken for cause in outcome.reasons if cause.kind != "dominated"}:
            counts[what] = counts.get(what, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def by_state(outcomes: Iterable[Outcome]) -> dict[State, int]:
    """How many designs there are of each state."""
    return count_states(outcome.state for outcome in outcomes)


def by_level(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """How many designs ended at each level (``designs``), and how many of them in each state."""
    levels: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        levels.setdefault(outcome.fidelity, []).append(outcome)
    return {
        level: {"designs": len(found), **by_state(found)}  # type: ignore[dict-item]
        for level, found in levels.items()
    }
