"""Evaluate every design of a space at the bound and the analytic level, once, into one table.

Run ``python experiments/studies/reference_space/enumerate.py SPACE.yaml TABLE.npz [--every N]``. It
goes on where it stopped (a part file for each node). ``--every N`` takes each N-th step of every
ladder longer than four: a smaller space of the same kind.

The table holds, in the order of the grid: ``losses`` (designs x objectives, NaN where a design
cannot be built or mapped), ``violation``, ``bounds`` (designs x objectives) and ``serves`` of the
bound; and ``space`` (the experiment as JSON) with ``version`` of the code that made it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.evaluation.design import Value
from dse.search.candidate import bound_of, evaluate_candidate
from dse.search.experiment import Experiment, load_experiment
from dse.search.parameters import Ladder
from dse.search.resolved import ResolvedExperiment, resolve_experiment
from dse.search.space import Space
from dse.version import model_version

#: Designs that a worker takes at once: neighbours share layer mappings in its memory.
CHUNK = 64


def main() -> None:
    """Enumerate a space into a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space")
    parser.add_argument("table", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    experiment = thinned(load_experiment(options.space), options.every)
    designs = list(Space(experiment).designs())
    parts: list[Any] = []
    started = time.time()
    first = next(iter(experiment.parameters))
    for value in experiment.parameters[first].values:
        own = [values for values in designs if values[first] == value]
        part = options.table.with_suffix(f".{value}.part.npy")
        if not part.is_file():
            with multiprocessing.get_context("spawn").Pool(
                options.workers, begin, (resolve_experiment(experiment),)
            ) as pool:
                rows = pool.map(row, own, chunksize=CHUNK)
            np.save(part, np.array(rows))
        parts.append(np.load(part))
        print(f"{first} {value}: {len(own)} designs, {time.time() - started:.0f} s", flush=True)
    table = np.concatenate(parts)
    m = len(experiment.objectives)
    np.savez_compressed(
        options.table,
        losses=table[:, :m].astype(np.float32),
        violation=table[:, m].astype(np.float32),
        bounds=table[:, m + 1 : 2 * m + 1].astype(np.float32),
        serves=table[:, 2 * m + 1].astype(bool),
        space=json.dumps(experiment.model_dump(mode="json")),
        version=model_version(),
    )


def thinned(experiment: Experiment, every: int) -> Experiment:
    """The experiment with each ``every``-th step of its longer ladders."""
    kept = {
        name: (
            Ladder(ladder=parameter.ladder[::every])
            if isinstance(parameter, Ladder) and len(parameter.ladder) > 4
            else parameter
        )
        for name, parameter in experiment.parameters.items()
    }
    return experiment.model_copy(update={"parameters": kept})


#: In a worker: the experiment with its bounds, and the same without pruning.
found: list[ResolvedExperiment] = []


def begin(resolved: ResolvedExperiment) -> None:
    """What a worker evaluates."""
    full = resolved.experiment.model_copy(update={"prune": False})
    found[:] = [resolved, replace(resolved, experiment=full)]


def row(values: dict[str, Value]) -> list[float]:
    """Losses, violation, bounds and whether the bound serves, of one design."""
    bounding, full = found
    experiment = bounding.experiment
    m = len(experiment.objectives)
    bound = bound_of(bounding, values)
    outcome = evaluate_candidate(full, values)
    if outcome.objectives is None or bound.losses is None:
        return [np.nan] * m + [outcome.violation] + [np.nan] * m + [0.0]
    losses = [
        objective.loss(value)
        for objective, value in zip(experiment.objectives, outcome.objectives, strict=True)
    ]
    return [*losses, outcome.violation, *bound.losses[:m], float(bound.serves)]


if __name__ == "__main__":
    main()
