"""An experiment with everything that it names found, read and checked: once per search.

Whoever evaluates designs of an experiment makes this first and hands it on, to worker processes
too. A design is then values applied to it; no file is looked at while designs are evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.apps import App
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.design import Resolved, Value, resolve_app, resolve_design
from dse.evaluation.inputs import ResolvedInputs, app_named, read_inputs, site_named
from dse.evaluation.metrics import metric_of
from dse.search.experiment import AppUse, Experiment

#: A design as each of its apps sees it.
Parts = Sequence[tuple[AppUse, Resolved]]


@dataclass(frozen=True)
class ResolvedExperiment:
    """An experiment and what it names: the inputs of each of its apps, by the app's name."""

    experiment: Experiment
    inputs: Mapping[str, ResolvedInputs]

    def design(self, values: Mapping[str, Value], app: str | None = None) -> Resolved:
        """The design with these values as one of the apps sees it (the first).

        Raises:
            InputError: see :func:`dse.evaluation.design.resolve_design`.
        """
        named = self.experiment.design(values, app)
        return resolve_design(named, self.inputs[named.app])

    def parts(self, values: Mapping[str, Value]) -> Parts:
        """The design with these values as each of the apps sees it."""
        return [(use, self.design(values, use.app)) for use in self.experiment.uses]

    def app(self, values: Mapping[str, Value]) -> App:
        """The first app with what these values set in it."""
        named = self.experiment.design(values)
        return resolve_app(named, self.inputs[named.app])


def resolve_experiment(experiment: Experiment) -> ResolvedExperiment:
    """Find and read all that an experiment names.

    Raises:
        InputError: an unknown app or chip, or a fault in a file.
    """
    return ResolvedExperiment(
        experiment,
        {
            use.app: read_inputs(use.app, experiment.chip, _choices(experiment, use.app))
            for use in experiment.uses
        },
    )


def _choices(experiment: Experiment, app: str) -> dict[str, tuple[Value, ...]]:
    """What the models' settings may be as one app knows them, fixed ones too."""
    out: dict[str, tuple[Value, ...]] = {}
    free = {path: parameter.values for path, parameter in experiment.parameters.items()}
    fixed = {path: (value,) for path, value in experiment.fixed.items()}
    for path, values in {**fixed, **free}.items():
        if path.startswith("model."):
            alone = experiment.model_copy(update={"fixed": {}})
            for own in alone.design({path: None}, app).settings:
                out[own] = values
    return out


def check_experiment(experiment: Experiment, file: str) -> ResolvedExperiment:
    """Resolve an experiment and some designs, so that a fault is found before the search.

    Returns:
        The experiment with all that it names.

    Raises:
        InputError: an unknown app, chip, model, parameter path or precision.
    """
    named = [("app", app_named, use.app) for use in experiment.uses]
    for kind, find, name in (*named, ("chip", site_named, experiment.chip)):
        try:
            find(name)
        except InputError as error:
            where = error.file or file
            raise InputError(
                error.message, file=where, field=error.field or kind, mend=error.mend
            ) from None
    found = resolve_experiment(experiment)
    first = {path: parameter.values[0] for path, parameter in experiment.parameters.items()}
    unknown: dict[tuple[str, str], int] = {}
    whole = 0
    tried: set[tuple[str, Value]] = set()
    for path, parameter in experiment.parameters.items():
        for value in parameter.values:
            if (path, value) in tried:
                continue
            tried.add((path, value))
            try:
                parts = found.parts({**first, path: value})
            except ImpossibleChipError:
                continue
            except InputError as error:
                field = f"parameters: {error.field or path}"
                raise InputError(error.message, file=file, field=field, mend=error.mend) from None
            whole += 1
            for metric, lacking in _lacking(experiment, parts):
                unknown[(metric, lacking)] = unknown.get((metric, lacking), 0) + 1
    _check_known(experiment, unknown, whole, file)
    return found


def _lacking(experiment: Experiment, parts: Parts) -> set[tuple[str, str]]:
    """Metrics that are asked for and that this design cannot have, and what it would need."""
    asked = [goal.metric for goal in experiment.objectives]
    asked += [limit.metric for limit in experiment.constraints]
    out = set()
    for metric in asked:
        for _, design in parts:
            what = metric_of(metric).lacks(design.app, design.device, experiment.fidelity)
            if what:
                out.add((metric, what))
    return out


def _check_known(
    experiment: Experiment, unknown: Mapping[tuple[str, str], int], whole: int, file: str
) -> None:
    """That each metric asked for is known of some design: else no design would ever be feasible.

    Raises:
        InputError: naming the metric, and what must be stated for it.
    """
    for (metric, what), count in unknown.items():
        if count == whole:
            objectives = [objective.metric for objective in experiment.objectives]
            field = "objectives" if metric in objectives else "constraints"
            raise InputError(
                f"no design has a {metric}: {what} is not given",
                file=file,
                field=f"{field}: {metric}",
                mend=f"give {what}, or leave the metric out",
            )
