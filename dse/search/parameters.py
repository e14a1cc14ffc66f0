"""What a search may turn: the forms of a parameter in an experiment file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from dse.evaluation.design import Value
from dse.ranges import MetricLimit, Setting, Step, Steps
from dse.schema import Strict, distinct
from dse.technology import load_technology


class _Parameter(Strict):
    """What all parameters share: ``when`` says in which designs the parameter counts at all.

    ``when: {chip.l2.bytes: [1048576, 2097152]}``: only where that other parameter has one of these
    values; elsewhere the chip's (or model's) own value stands.
    """

    when: dict[str, tuple[Setting, ...]] = Field(default_factory=dict)


class Choices(_Parameter):
    """A parameter with named alternatives, without order."""

    choices: Annotated[tuple[Setting, ...], Field(min_length=1), AfterValidator(distinct)]

    @property
    def values(self) -> tuple[Value, ...]:
        return self.choices


class Ladder(_Parameter):
    """A parameter with ordered steps, such as powers of two."""

    ladder: Annotated[tuple[Step, ...], Field(min_length=1), AfterValidator(distinct)]

    @property
    def values(self) -> tuple[Value, ...]:
        return self.ladder


class Range(_Parameter):
    """A number between ``low`` and ``high`` in ``steps`` equal (or equal-ratio, ``log``) steps."""

    low: MetricLimit
    high: MetricLimit
    steps: Steps
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


class LineNodes(_Parameter):
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


def _form(data: Any) -> str:
    """Which form of a parameter is meant; a misspelt one is the form it comes closest to."""
    if isinstance(data, _Parameter):
        return f"<{type(data).__name__}>"
    keys = list(data) if isinstance(data, Mapping) else []
    forms: dict[str, type] = {"choices": Choices, "ladder": Ladder, "line": LineNodes}
    forms |= dict.fromkeys(("low", "high", "steps", "log"), Range)
    close = [near for key in keys for near in get_close_matches(str(key), forms, n=1)]
    meant = next((key for key in (*keys, *close) if key in forms), "choices")
    return f"<{forms[meant].__name__}>"


#: Tags in angle brackets are no part of a field's path in an error (:mod:`dse.schema`).
Parameter = Annotated[
    Annotated[Choices, Tag("<Choices>")]
    | Annotated[Ladder, Tag("<Ladder>")]
    | Annotated[Range, Tag("<Range>")]
    | Annotated[LineNodes, Tag("<LineNodes>")],
    Discriminator(_form),
]
