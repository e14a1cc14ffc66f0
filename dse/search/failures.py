"""What the designs of a study break."""

from __future__ import annotations

from collections.abc import Sequence

from dse.search.candidate import Outcome


def failure_counts(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    """How many designs break each kind of requirement, most frequent first."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.pruned:
            continue
        for what in {cause.broken for cause in outcome.reasons}:
            counts[what] = counts.get(what, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
