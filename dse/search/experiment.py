"""An experiment file: which app on which chip, what may vary, what is wanted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dse.apps import load_app
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.design import Design, Value
from dse.evaluation.record import METRICS
from dse.files import find_file, nearest
from dse.hardware.library import load_spec
from dse.schema import Strict, read_yaml, validate
from dse.technology import load_technology


class Choices(Strict):
    """A parameter with named alternatives, without order."""

    choices: tuple[Value, ...] = Field(min_length=1)

    @property
    def values(self) -> tuple[Value, ...]:
        return self.choices


class Ladder(Strict):
    """A parameter with ordered steps, such as powers of two."""

    ladder: tuple[float | int | str, ...] = Field(min_length=1)

    @property
    def values(self) -> tuple[Value, ...]:
        return self.ladder


class Range(Strict):
    """A number between ``low`` and ``high`` in ``steps`` equal (or equal-ratio, ``log``) steps."""

    low: float
    high: float
    steps: int = Field(ge=2, le=1000)
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                "low must be below high, and above 0 on a log scale; correct the range"
            )
        return self

    @property
    def values(self) -> tuple[Value, ...]:
        shares = [i / (self.steps - 1) for i in range(self.steps)]
        if self.log:
            ratio = math.log(self.high / self.low)
            raw = [self.low * math.exp(ratio * share) for share in shares]
        else:
            raw = [self.low + (self.high - self.low) * share for share in shares]
        if self.integer:
            return tuple(dict.fromkeys(round(value) for value in raw))
        return tuple(float(f"{value:.6g}") for value in raw)


class LineNodes(Strict):
    """The nodes of a production line (``jasm1``, ``rapidus`` ...), coarsest first."""

    line: str

    @field_validator("line")
    @classmethod
    def _known(cls, line: str) -> str:
        lines = load_technology().lines
        if line not in lines:
            raise ValueError(f"unknown line {line!r}; use one of: {', '.join(lines)}")
        return line

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(
            f"{n}nm" for n in sorted(load_technology().lines[self.line].nodes, reverse=True)
        )


Parameter = Annotated[Choices | Ladder | Range | LineNodes, Field(union_mode="left_to_right")]


class Objective(Strict):
    """A metric to minimise or maximise (its natural direction if left out)."""

    metric: str
    direction: Literal["minimize", "maximize"] | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        return known_metric(metric)

    @property
    def sense(self) -> Literal["minimize", "maximize"]:
        chosen = self.direction or METRICS[self.metric.rpartition(".")[2]]
        return "maximize" if chosen == "maximize" else "minimize"

    def loss(self, value: float) -> float:
        """The value turned so that less is better."""
        return -value if self.sense == "maximize" else value


class Constraint(Strict):
    """A limit on a metric, beside the app's own budgets and deadlines."""

    metric: str
    max: float | None = None
    min: float | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        return known_metric(metric)

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


def known_metric(metric: str) -> str:
    """``metric`` if it is one of the contract's, or one of a scope such as ``npu.area_mm2``."""
    name = metric
    scope, dot, rest = metric.partition(".")
    if dot and scope in ("npu", "die", "die_dram", "module"):
        name = rest
    if name not in METRICS:
        raise ValueError(
            f"unknown metric {metric!r}; use one of: {', '.join(METRICS)}"
            + nearest(name, list(METRICS))
        )
    return metric


class Experiment(Strict):
    """A search or a sweep: everything that defines its result.

    ``parameters`` maps paths (``chip.node``, ``model.sort.precision``, ``app.sort.rate_hz``) to
    what they may be. ``fixed`` are settings all designs share. ``sampler`` is used by ``explore``;
    a ``sweep`` visits the whole grid. ``population`` designs are drawn at random first; from then
    on ``local_share`` of each batch are untried one-step neighbours of the present front, the rest
    come from the sampler.
    """

    schema_version: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    app: str
    chip: str
    parameters: dict[str, Parameter] = Field(min_length=1)
    fixed: dict[str, Value] = Field(default_factory=dict)
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=6)
    constraints: tuple[Constraint, ...] = ()
    fidelity: Literal["analytic", "simulate"] = "simulate"
    sampler: Literal["nsga2", "nsga3", "tpe", "qmc", "random"] = "nsga2"
    population: int = Field(default=24, ge=4, le=1000)
    batch: int = Field(default=8, ge=1, le=1000)
    local_share: float = Field(default=0.5, ge=0, le=1)
    stratify: str | None = None
    trials: int = Field(default=200, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("parameters")
    @classmethod
    def _groups(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for path in parameters:
            if path.split(".")[0] not in ("app", "model", "chip"):
                raise ValueError(
                    f"parameter {path!r} is in no group; start it with app., model. or chip."
                )
        return parameters

    @model_validator(mode="after")
    def _stratum(self) -> Experiment:
        if self.stratify is not None and self.stratify not in self.parameters:
            raise ValueError(
                f"stratify names no parameter ({self.stratify}); use one of the parameters"
            )
        return self

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        names = [objective.metric for objective in objectives]
        if len(set(names)) < len(names):
            raise ValueError("an objective is named twice; give each metric once")
        return objectives

    @property
    def size(self) -> int:
        """Number of designs in the grid."""
        return math.prod(len(parameter.values) for parameter in self.parameters.values())

    def design(self, values: Mapping[str, Value]) -> Design:
        """The design with these parameter values."""
        return Design(self.app, self.chip, {**self.fixed, **values}, self.seed)

    def grid(self) -> list[dict[str, Value]]:
        """All points of the space, the last parameter varying fastest."""
        names = list(self.parameters)
        steps = [parameter.values for parameter in self.parameters.values()]
        return [dict(zip(names, point, strict=True)) for point in itertools.product(*steps)]


def load_experiment(path_or_name: str | Path) -> Experiment:
    """The experiment of a YAML file or of a shipped name (``experiments/*.yaml``).

    Relative ``app`` and ``chip`` file paths are taken from the experiment's own folder.
    """
    path = find_file(str(path_or_name), "experiments", ".yaml", "experiment")
    data, lines = read_yaml(path)
    experiment = validate(Experiment, data, file=path, lines=lines)
    update = {
        key: str(path.parent / name)
        for key in ("app", "chip")
        if (name := getattr(experiment, key)).endswith((".yaml", ".yml"))
        and (path.parent / name).is_file()
    }
    return experiment.model_copy(update=update)


def check_experiment(experiment: Experiment, file: str) -> None:
    """Resolve one design, so that a wrong name is found before the search and not in it.

    Raises:
        InputError: an unknown app, chip, model, parameter path or precision.
    """
    from dse.evaluation.design import resolve_design

    for kind, load, name in (
        ("app", load_app, experiment.app),
        ("chip", load_spec, experiment.chip),
    ):
        try:
            load(name)
        except InputError as error:
            where = error.file or file
            raise InputError(
                error.message, file=where, field=error.field or kind, mend=error.mend
            ) from None
    first = {path: parameter.values[0] for path, parameter in experiment.parameters.items()}
    tried: set[tuple[str, Value]] = set()
    for path, parameter in experiment.parameters.items():
        for value in parameter.values:
            if (path, value) in tried:
                continue
            tried.add((path, value))
            try:
                resolve_design(experiment.design({**first, path: value}))
            except ImpossibleChipError:
                continue
            except InputError as error:
                field = f"parameters: {error.field or path}"
                raise InputError(error.message, file=file, field=field, mend=error.mend) from None
