"""Lines of a study's log from version 1 to 2: what became of a design is one word."""

from __future__ import annotations

from typing import Any

#: Violation from which on a design could not be built or mapped, as version 1 wrote it.
_UNBUILDABLE = 1e6
#: What reasons of as large a violation begin or go on with where the design was mapped.
_MAPPED = ("constraint on", " is not finite")


def with_state(data: dict[str, Any]) -> dict[str, Any]:
    """`state` says whether a design is feasible, infeasible, dominated or impossible."""
    data["state"] = _state(data)
    return data


def _state(data: dict[str, Any]) -> str:
    if data["feasible"]:
        return "feasible"
    record, violation = data.get("evaluation"), float(data["violation"])
    if data["fidelity"] == "none" or record is None or record.get("bottleneck") == "unmappable":
        return "impossible"
    told = [str(reason) for reason in data["reasons"]]
    if violation >= _UNBUILDABLE and not any(word in text for text in told for word in _MAPPED):
        return "impossible"
    # A requirement that is broken is known whether or not another design dominates this one.
    return "dominated" if data.get("pruned") and violation == 0.0 else "infeasible"
