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
        for kind in {_kind(reason) for reason in outcome.reasons}:
            counts[kind] = counts.get(kind, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def _kind(reason: str) -> str:
    if "deadline" in reason or "busy" in reason:
        return "deadline or load"
    for word in ("module power", "peak power", "unit cost", "die area", "constraint"):
        if reason.startswith(word):
            return word
    if " drop " in reason or "quality" in reason or "floor" in reason:
        return "quality floor"
    return "cannot be built or mapped"
