"""Predictions of chips whose measured latencies nobody here has read yet.

``data/frozen_predictions.yaml`` is committed before a comparison, so that the history proves the
order. A row is never changed afterwards; what a later model says instead is added under ``later``
with its ground, and a test fails where the model has moved and nothing was added.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field

from dse.registry import cached
from dse.schema import Strict
from dse.validation.published import Case, Positive, read_data

#: How far a prediction may move before it must be logged, as a share.
TOLERANCE = 0.05


class Foretold(Strict):
    """The latency of a network on one core of a chip at int8 and batch 1, as predicted."""

    chip: str
    model: str
    predicted_s: Positive
    date: datetime.date

    @property
    def case(self) -> Case:
        return Case(chip=self.chip, model=self.model)


class Later(Strict):
    """What the model says since ``date``, and what changed it."""

    chip: str
    model: str
    predicted_s: Positive
    date: datetime.date
    ground: Annotated[str, Field(min_length=20)]


class Foretellings(Strict):
    schema_version: Literal[1]
    rows: tuple[Foretold, ...]
    later: tuple[Later, ...]


@cached(1)
def foretellings() -> Foretellings:
    return read_data("frozen_predictions.yaml", Foretellings)


def foretold_chips() -> tuple[str, ...]:
    """Names of the chips of all predictions, in the order of the file."""
    return tuple(dict.fromkeys(row.chip for row in foretellings().rows))


def as_logged(file: Foretellings) -> dict[tuple[str, str], float]:
    """Seconds by chip and network that the model gave when the file was last added to."""
    said = {(row.chip, row.model): row.predicted_s for row in file.rows}
    return said | {(row.chip, row.model): row.predicted_s for row in file.later}
