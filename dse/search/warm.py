"""Transfer: begin a search with what an earlier study found, also at another node or chip."""

from __future__ import annotations

from pathlib import Path

from dse.errors import InputError
from dse.evaluation.design import Value
from dse.search.experiment import Experiment
from dse.search.folder import StudyFolder
from dse.search.front import front_of
from dse.search.space import Space

#: Designs taken over, at most.
MOST = 64


def starting_designs(experiment: Experiment, earlier: str | Path) -> list[dict[str, Value]]:
    """The front of an earlier study as designs of this experiment, each once.

    A parameter that both have takes the nearest step of this experiment's ladder (numbers by
    ratio), or its middle step where the earlier value is no step of it; so does one that only this
    experiment has. Without a front the least infeasible designs are taken.

    Raises:
        InputError: the folder is no study, or has no parameter in common.
    """
    folder = StudyFolder(earlier)
    before = folder.experiment()
    outcomes = list(folder.outcomes())
    space = Space(experiment)
    common = [name for name in space.names if name in before.parameters]
    if not common:
        raise InputError(
            "the earlier study has no parameter in common with this experiment",
            file=str(earlier),
            field="--warm-start",
            mend="name a study over some of the same parameters",
        )
    best = [outcomes[index] for index in front_of(outcomes, before)]
    if not best:
        known = [outcome for outcome in outcomes if outcome.objectives]
        best = sorted(known, key=lambda o: (o.violation, o.key))[:MOST]
    out: dict[str, dict[str, Value]] = {}
    for outcome in sorted(best, key=lambda o: o.objectives or ())[:: max(1, len(best) // MOST)]:
        point = {
            name: _nearest(space.steps[name], outcome.values.get(name)) for name in space.names
        }
        values = space.values(point)
        out[repr(sorted(values.items()))] = values
    return list(out.values())[:MOST]


def _nearest(steps: tuple[Value, ...], value: Value) -> int:
    if value in steps:
        return steps.index(value)
    wanted = _number(value)
    numbers = [_number(step) for step in steps]
    if wanted is None or any(number is None for number in numbers):
        return len(steps) // 2
    distances = [abs((n or 0.0) - wanted) / max(abs(n or 0.0), abs(wanted), 1e-30) for n in numbers]
    return distances.index(min(distances))


def _number(value: Value) -> float | None:
    """A number, also of a node such as ``16nm``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.endswith("nm"):
        try:
            return float(value[:-2])
        except ValueError:
            return None
    return None
