"""An app on a chip with changed settings, judged at a level: what searches for steps ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from dse.apps import App
from dse.errors import InputError
from dse.evaluation import (
    Evaluation,
    Fidelity,
    Resolved,
    Value,
    app_uncertainty,
    evaluate_app,
    read_inputs,
    resolve_parts,
)
from dse.evaluation.finite import not_finite
from dse.evaluation.metrics import Band
from dse.evaluation.requirements import Requirement, requirements, violation
from dse.explanation.sets import Demand, Judged
from dse.hardware.chip import Chip, Platform

#: Kinds of demands that every level knows.
EXACT = ("cost", "area", "quality")
#: Share over 1 from which on a resource counts as overloaded.
OVERLOADED = 1e-9


class AppJudge:
    """Judges one app on one chip; the files that both name are read once."""

    def __init__(
        self,
        app: App | str,
        chip: Chip | Platform | str,
        settings: Mapping[str, Value],
        changes: Iterable[tuple[str, Value]],
    ) -> None:
        """
        Args:
            app, chip: objects, names or files.
            settings: overrides by path that all designs share.
            changes: every path and value that will be asked for.
        """
        self._app, self._chip, self._settings = app, chip, settings
        self._inputs = None
        if isinstance(app, str) and isinstance(chip, str):
            choices = {path: (value,) for path, value in settings.items()}
            for path, value in changes:
                choices[path] = (*choices.get(path, ()), value)
            self._inputs = read_inputs(app, chip, choices)

    def resolved(self, changes: Mapping[str, Value]) -> Resolved:
        """The design with these settings.

        Raises:
            InputError: a setting that cannot be had; an ``ImpossibleChipError`` if it cannot be
                built.
        """
        settings = {**self._settings, **changes}
        return resolve_parts(self._app, self._chip, settings, inputs=self._inputs)

    def __call__(self, level: Fidelity, changes: Mapping[str, Value]) -> Judged:
        """The design at a level; one that cannot be had is impossible."""
        try:
            found = self.resolved(changes)
            record, _ = evaluate_app(found.app, found.workloads, found.chip, level)
        except InputError as error:
            return impossible(error.describe())
        except OverflowError as error:
            return impossible(f"a figure is beyond what a number can hold ({error})")
        return judged(found.app, record)

    def spread(
        self, draws: int, fidelity: Fidelity
    ) -> Callable[[Mapping[str, Value]], Mapping[str, Band] | None]:
        """Bands of a design with changed settings, of so many draws of the technology facts."""

        def bands(changes: Mapping[str, Value]) -> Mapping[str, Band] | None:
            try:
                one = self.resolved(changes)
            except InputError:
                return None
            found = app_uncertainty(one.app, one.workloads, one.chip, draws, fidelity=fidelity)
            return found.bands

        return bands


def impossible(why: str) -> Judged:
    """What cannot be built, or had at all."""
    return Judged(None, (), math.inf, (why,))


def judged(app: App, record: Evaluation) -> Judged:
    """A record held against the demands of its app."""
    demands = tuple(as_demand(one) for one in [*requirements(app, record), *loads(record)])
    broken = math.inf if not_finite(record) else violation(app, record)
    return Judged(record, demands, broken, tuple(record.reasons))


def loads(record: Evaluation) -> list[Requirement]:
    """The time of resources that is left, beside what ``requirements`` says of overloaded ones."""
    return [
        Requirement("load", f"time of {name}", "offered_load", share, 1.0, 1.0 - share)
        for name, share in record.offered_load.items()
        if 0.0 < share <= 1.0 + OVERLOADED
    ]


def as_demand(one: Requirement, prefix: str = "") -> Demand:
    """A requirement as searches know it; ``prefix`` tells apart those of several apps."""
    key = f"{prefix}{one.kind} {one.stream or one.metric}"
    if one.kind == "load":
        key = f"{prefix}{one.name}"
    exact = one.kind in EXACT
    return Demand(key, f"{prefix}{one.name}", one.metric, one.value, one.limit, one.room, exact)
