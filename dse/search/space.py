"""The grid that an experiment spans: steps, neighbours, encodings, and which values count.

A *point* is one step index per parameter. A parameter with ``when`` counts only in designs where
the parameter it names has one of the listed values; where it does not count its value is left out,
so that points which differ only there are the same design.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from dse.evaluation.design import Value
from dse.search.experiment import Experiment
from dse.search.parameters import Choices

Floats = NDArray[np.float64]
#: Grids with conditions are counted one by one up to this size.
COUNTED = 200_000


class Space:
    """Steps of every parameter of an experiment, in the order of its file."""

    def __init__(self, experiment: Experiment) -> None:
        self.names = tuple(experiment.parameters)
        self.steps = {name: experiment.parameters[name].values for name in self.names}
        self.plain = {
            name for name in self.names if isinstance(experiment.parameters[name], Choices)
        }
        self.when = {
            name: parameter.when
            for name, parameter in experiment.parameters.items()
            if parameter.when
        }

    def values(self, point: Mapping[str, int]) -> dict[str, Value]:
        """The design of a point: the values that count."""
        full = {name: self.steps[name][int(point[name])] for name in self.names}
        return {name: value for name, value in full.items() if self.counts(name, full)}

    def counts(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a parameter matters in a design (its condition, and that of its condition)."""
        return all(
            other in values and values[other] in allowed and self.counts(other, values)
            for other, allowed in self.when.get(name, {}).items()
        )

    def point(self, values: Mapping[str, Value]) -> dict[str, int]:
        """Step indices of a design; 0 for values that do not count."""
        return {
            name: list(self.steps[name]).index(values[name]) if name in values else 0
            for name in self.names
        }

    def around(
        self, values: Mapping[str, Value], held: str | None = None
    ) -> list[dict[str, Value]]:
        """Designs one step away: the next values of a ladder, any other of plain choices."""
        here = self.point(values)
        out: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}
        for name in values:
            if name == held:
                continue
            for index in self._beside(name, here[name]):
                near = self.values({**here, name: index})
                out[tuple(near.items())] = near
        return list(out.values())

    def _beside(self, name: str, index: int) -> list[int]:
        count = len(self.steps[name])
        if name in self.plain:
            return [other for other in range(count) if other != index]
        return [other for other in (index - 1, index + 1) if 0 <= other < count]

    def distributions(self) -> dict[str, BaseDistribution]:
        """For Optuna: ordered parameters as indices into their steps, others as categories."""
        return {
            name: (
                CategoricalDistribution(tuple(range(len(steps))))
                if name in self.plain
                else IntDistribution(0, len(steps) - 1)
            )
            for name, steps in self.steps.items()
        }

    def encode(self, designs: Sequence[Mapping[str, Value]]) -> Floats:
        """One row of coordinates per design: ladders on 0..1, plain choices as corners of a simplex

        (distance 1 between any two), and one more coordinate for a value that may not count.
        """
        columns: list[Floats] = []
        points = [self.point(values) for values in designs]
        for name, steps in self.steps.items():
            index = np.array([point[name] for point in points])
            if name in self.plain:
                columns.extend((index == k) * 0.5**0.5 for k in range(len(steps)))
            else:
                columns.append(index / max(len(steps) - 1, 1))
            if name in self.when:
                columns.append(np.array([float(name in values) for values in designs]))
        return np.stack(columns, axis=1).astype(np.float64)

    def spread(self, count: int, seed: int) -> list[dict[str, int]]:
        """``count`` points of a scrambled Sobol sequence (Sobol 1967, Owen scrambling)."""
        from scipy.stats import qmc

        draws = qmc.Sobol(len(self.names), rng=seed).random_base2(max(count - 1, 1).bit_length())
        sizes = np.array([len(self.steps[name]) for name in self.names])
        picked = np.minimum((draws[:count] * sizes).astype(int), sizes - 1)
        return [dict(zip(self.names, map(int, row), strict=True)) for row in picked]

    def designs(self) -> Iterator[dict[str, Value]]:
        """Every design once, the last parameter varying fastest."""
        seen: set[tuple[tuple[str, Value], ...]] = set()
        for row in itertools.product(*(range(len(steps)) for steps in self.steps.values())):
            values = self.values(dict(zip(self.names, row, strict=True)))
            if self.when:
                key = tuple(values.items())
                if key in seen:
                    continue
                seen.add(key)
            yield values


def grid_size(experiment: Experiment) -> int:
    """Number of designs in the grid (with conditions and beyond :data:`COUNTED`: at most)."""
    points = math.prod(len(parameter.values) for parameter in experiment.parameters.values())
    if points <= COUNTED and any(parameter.when for parameter in experiment.parameters.values()):
        return sum(1 for _ in Space(experiment).designs())
    return points
