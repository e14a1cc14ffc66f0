"""An experiment file: which app on which chip, what may vary, what is wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from dse.errors import InputError
from dse.evaluation.design import GROUPS, Design, Value
from dse.evaluation.metrics import METRICS, metric_of, named
from dse.files import find_file, is_file, nearest
from dse.hardware.chip import SCOPES
from dse.migrations import read_versioned
from dse.ranges import (
    Batch,
    Fraction,
    LongSeconds,
    MetricLimit,
    Population,
    Seed,
    Setting,
    Trials,
    Weight,
)
from dse.schema import Strict, validate
from dse.search.parameters import LineNodes, Parameter


class AppUse(Strict):
    """One app of a product line, and how much it weighs against the others."""

    app: str
    weight: Weight = 1.0


def known_metric(metric: str) -> str:
    """``metric`` if it is one of the contract's, or one of a scope such as ``npu.area_mm2``."""
    scope, dot, rest = metric.partition(".")
    by_scope = bool(dot) and scope in SCOPES
    name = rest if by_scope else metric
    if name not in METRICS:
        raise ValueError(
            f"unknown metric {metric!r}; use one of: {', '.join(METRICS)}"
            + nearest(name, list(METRICS))
        )
    if by_scope and not METRICS[name].scoped:
        scoped = ", ".join(named(found for found in METRICS.values() if found.scoped))
        raise ValueError(
            f"{name} is not known by scope; use {name}, or of a scope one of: {scoped}"
        )
    return metric


def _metric_names(schema: dict[str, Any]) -> None:
    """Tells a JSON schema which metrics there are."""
    scoped = named(found for found in METRICS.values() if found.scoped)
    schema["enum"] = [*METRICS, *(f"{scope}.{name}" for scope in SCOPES for name in scoped)]


#: A metric, or one of a scope.
MetricName = Annotated[str, AfterValidator(known_metric), Field(json_schema_extra=_metric_names)]


class Objective(Strict):
    """A metric to minimise or maximise (its natural direction if left out)."""

    metric: MetricName
    direction: Literal["minimize", "maximize"] | None = None

    @property
    def sense(self) -> Literal["minimize", "maximize"]:
        chosen = self.direction or metric_of(self.metric).sense
        return "maximize" if chosen == "maximize" else "minimize"

    def loss(self, value: float) -> float:
        """The value turned so that less is better."""
        return -value if self.sense == "maximize" else value


class Constraint(Strict):
    """A limit on a metric, beside the app's own budgets and deadlines."""

    metric: MetricName
    max: MetricLimit | None = None
    min: MetricLimit | None = None

    @model_validator(mode="after")
    def _limits(self) -> Constraint:
        if self.max is None and self.min is None:
            raise ValueError("a constraint without a limit holds nothing back; give max or min")
        return self

    def excess(self, value: float | None) -> float:
        """How far beyond the limit, relative to it; 0 or less if it holds, inf if unknown."""
        if value is None:
            return math.inf
        over = -math.inf
        if self.max is not None:
            over = max(over, (value - self.max) / max(abs(self.max), 1e-30))
        if self.min is not None:
            over = max(over, (self.min - value) / max(abs(self.min), 1e-30))
        return over


class Experiment(Strict):
    """A search or a sweep: everything that defines its result.

    ``parameters`` maps paths (``chip.node``, ``model.sort.precision``, ``app.sort.rate_hz``) to
    what they may be. ``fixed`` are settings all designs share. ``sampler`` is used by ``explore``;
    a ``sweep`` visits the whole grid. Up to ``population`` designs come from a quasi-random
    sequence (:func:`dse.search.proposals.start_of`); from then on ``local_share`` of each batch
    are what a model expects to better the front most, of the designs near it and some from
    anywhere (:mod:`dse.search.guide`), the rest come from the sampler.
    ``prune`` leaves out what a cheaper level proves infeasible or dominated
    (:mod:`dse.search.bound`).
    ``apps`` in place of ``app``: one chip for several apps, judged by the ``worst`` of them or by
    their ``weighted`` mean in each metric; its cost is that of all their volumes together.
    Paths of a stream then begin with its app: ``model.drone_delivery:obstacles.precision``.
    ``stall`` ends a search whose hypervolume has stood still over that many evaluations, ``max_s``
    one that has taken that long.
    """

    schema_version: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    app: str = ""
    apps: tuple[AppUse, ...] = ()
    combine: Literal["worst", "weighted"] = "worst"
    chip: str
    parameters: dict[str, Parameter] = Field(min_length=1)
    fixed: dict[str, Setting] = Field(default_factory=dict)
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=6)
    constraints: tuple[Constraint, ...] = ()
    fidelity: Literal["analytic", "simulate"] = "simulate"
    sampler: Literal["nsga2", "nsga3", "tpe", "qmc", "random", "cmaes", "gp", "grid"] = "nsga2"
    population: Population = 24
    batch: Batch = 8
    local_share: Fraction = 0.85
    stratify: str | None = None
    prune: bool = True
    trials: Trials = 200
    stall: Trials | None = None
    max_s: LongSeconds | None = None
    seed: Seed = 0

    @field_validator("parameters")
    @classmethod
    def _groups(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for path in parameters:
            if path.split(".")[0] not in GROUPS:
                raise ValueError(
                    f"parameter {path!r} is in no group; start it with "
                    + " or ".join(f"{group}." for group in GROUPS)
                )
        return parameters

    @model_validator(mode="after")
    def _some_app(self) -> Experiment:
        if bool(self.app) == bool(self.apps):
            raise ValueError("an experiment has either app or apps; give exactly one of them")
        names = [use.app for use in self.apps]
        if len(set(names)) < len(names):
            raise ValueError("an app is named twice under apps; give it once, with a weight")
        return self

    @model_validator(mode="after")
    def _not_fixed(self) -> Experiment:
        both = [path for path in self.fixed if path in self.parameters]
        if both:
            raise ValueError(f"{both[0]} is both fixed and a parameter; keep one of the two")
        return self

    @model_validator(mode="after")
    def _stratum(self) -> Experiment:
        if self.stratify is not None and self.stratify not in self.parameters:
            raise ValueError(
                f"stratify names no parameter ({self.stratify}); use one of the parameters"
            )
        return self

    @model_validator(mode="after")
    def _conditions(self) -> Experiment:
        for path, parameter in self.parameters.items():
            for other, allowed in parameter.when.items():
                if other not in self.parameters or other == path:
                    raise ValueError(
                        f"parameter {path} counts when {other!r} has a value, but that is no other "
                        "parameter; name one of the file"
                    )
                strange = [v for v in allowed if v not in self.parameters[other].values]
                if strange or not allowed:
                    raise ValueError(
                        f"parameter {path} counts when {other} is one of {list(allowed)}, which it "
                        "cannot be; name some of its steps"
                    )
        seen: set[str] = set()
        ring = {path: set(parameter.when) for path, parameter in self.parameters.items()}
        while ring:
            free = [path for path, needs in ring.items() if needs <= seen]
            if not free:
                raise ValueError(f"the conditions of {', '.join(ring)} form a ring; drop a `when`")
            seen.update(free)
            for path in free:
                del ring[path]
        return self

    @model_validator(mode="after")
    def _one_objective(self) -> Experiment:
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise ValueError("cmaes takes one objective; name one, or use nsga2")
        return self

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        names = [objective.metric for objective in objectives]
        if len(set(names)) < len(names):
            raise ValueError("an objective is named twice; give each metric once")
        return objectives

    @property
    def uses(self) -> tuple[AppUse, ...]:
        """The apps that the chip must serve."""
        return self.apps or (AppUse(app=self.app),)

    @property
    def subject(self) -> str:
        """The app, or the names of all of them."""
        return " + ".join(use.app for use in self.uses)

    def on_line(self, line: str) -> Experiment:
        """This experiment with ``chip.node`` restricted to the nodes of a production line.

        Raises:
            InputError: an unknown line.
        """
        try:
            nodes = validate(LineNodes, {"line": line})
        except InputError as error:
            raise InputError(error.message, field="line", mend=error.mend) from None
        fixed = {path: value for path, value in self.fixed.items() if path != "chip.node"}
        update = {
            "name": f"{self.name}-{line}",
            "parameters": {**self.parameters, "chip.node": nodes},
            "fixed": fixed,
        }
        return self.model_copy(update=update)

    def design(self, values: Mapping[str, Value], app: str | None = None) -> Design:
        """The design with these parameter values, as one of its apps sees it (the first)."""
        settings = {**self.fixed, **values}
        chosen = app or self.uses[0].app
        if self.apps:
            settings = {
                path: value
                for full, value in settings.items()
                if (path := _for_app(full, chosen)) is not None
            }
        return Design(chosen, self.chip, settings, self.seed)


def _for_app(path: str, app: str) -> str | None:
    """A path of a product line as one app knows it; None if it belongs to another app."""
    group, _, rest = path.partition(".")
    if group not in ("app", "model"):
        return path
    owner, colon, inner = rest.partition(":")
    if not colon:
        raise InputError(
            "with several apps a stream's path needs its app",
            field=path,
            mend=f"write {group}.APP:{rest}",
        )
    return f"{group}.{inner}" if owner == app else None


def load_experiment(path_or_name: str | Path) -> Experiment:
    """The experiment of a YAML file or of a shipped name (``experiments/*.yaml``).

    Relative ``app`` and ``chip`` file paths are taken from the experiment's own folder.
    """
    path = find_file(str(path_or_name), "experiments", ".yaml", "experiment")
    data, lines = read_versioned("experiment", path)
    experiment = validate(Experiment, data, file=path, lines=lines)
    update: dict[str, Any] = {
        key: _beside(path, name) for key in ("app", "chip") if (name := getattr(experiment, key))
    }
    update["apps"] = tuple(
        use.model_copy(update={"app": _beside(path, use.app)}) for use in experiment.apps
    )
    return experiment.model_copy(update=update)


def _beside(file: Path, name: str) -> str:
    """``name`` as a path, if it is a YAML file beside the experiment's own."""
    near = file.parent / name
    return str(near) if name.endswith((".yaml", ".yml")) and is_file(near) else name
