"""The search loop: ask, evaluate in parallel, log, tell; stop, resume, report progress."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError
from dse.evaluation.design import Value
from dse.files import SCHEMA_VERSION
from dse.search.candidate import Outcome, values_key
from dse.search.experiment import Experiment
from dse.search.folder import StudyFolder
from dse.search.front import front_of, hypervolume, losses_of
from dse.search.workers import Workers


@dataclass(frozen=True)
class Progress:
    """State of a running search, at its start and after each batch."""

    distinct: int
    wanted: int
    proposals: int
    feasible: int
    front: int
    hypervolume: float
    elapsed_s: float


@dataclass(frozen=True)
class StudyResult:
    """All distinct designs of a study, in the order proposed, and which of them are the front."""

    experiment: Experiment
    outcomes: tuple[Outcome, ...]
    front_indices: tuple[int, ...]
    proposals: int
    elapsed_s: float
    interrupted: bool = False
    exhausted: bool = False

    @property
    def front(self) -> tuple[Outcome, ...]:
        """Feasible designs at the experiment's own fidelity that none of their kind dominates."""
        return tuple(self.outcomes[index] for index in self.front_indices)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "experiment": self.experiment.name,
            "designs": len(self.outcomes),
            "feasible": sum(outcome.feasible for outcome in self.outcomes),
            "proposals": self.proposals,
            "elapsed_s": self.elapsed_s,
            "interrupted": self.interrupted,
            "exhausted": self.exhausted,
            "pareto": [outcome.to_dict() for outcome in self.front],
        }

    def table(self) -> list[dict[str, Any]]:
        """One flat row per design: parameters, objectives, fidelity, feasible."""
        return [design_row(outcome, self.experiment) for outcome in self.outcomes]


def design_row(outcome: Outcome, experiment: Experiment) -> dict[str, Any]:
    """A design as a flat mapping of parameters and scalar metrics."""
    record = outcome.evaluation or {}
    scalars = {
        key: value
        for key, value in record.items()
        if isinstance(value, (int, float, str)) or value is None
    }
    for key in ("schema_version", "kind", "fidelity", "feasible", "identity"):
        scalars.pop(key, None)
    by_volume = record.get("unit_cost_by_volume_usd", {})
    return {
        **outcome.values,
        "fidelity": outcome.fidelity,
        "feasible": outcome.feasible,
        "violation": outcome.violation,
        **scalars,
        **{f"unit_cost_usd@{volume}": cost for volume, cost in by_volume.items()},
        "reasons": " | ".join(outcome.reasons),
        "identity": outcome.identity,
    }


def explore(
    experiment: Experiment,
    out: str | Path | None = None,
    *,
    trials: int | None = None,
    workers: int | None = None,
    storage: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> StudyResult:
    """Search the experiment's space until ``trials`` distinct designs were evaluated.

    Args:
        experiment: the space, the objectives and the seed.
        out: study folder; a folder with an earlier run of the same experiment is continued. None
            keeps everything in memory.
        trials: distinct designs wanted in total (default: the experiment's).
        workers: processes (default: the machine's cores). Does not change the result.
        storage: an Optuna storage URL or journal file that mirrors the log.
        on_progress: called after each batch.

    Returns:
        The result; ``interrupted`` is true after Ctrl-C (what was evaluated is in the folder).
    """
    check_numbers(trials, workers)
    wanted = min(experiment.trials if trials is None else trials, experiment.size)
    from dse.search.proposals import OptunaProposer

    proposer = OptunaProposer(experiment)

    def batches() -> Iterator[list[tuple[Any, dict[str, Value]]]]:
        # An evolutionary sampler repeats itself near the end of a small space: give up after
        # twenty proposals per wanted design rather than never.
        for _ in range(20 * wanted // experiment.batch + 20):
            yield proposer.ask()

    return _run(experiment, out, wanted, workers, storage, on_progress, batches(), proposer.tell)


def check_numbers(trials: int | None, workers: int | None) -> None:
    """Refuse counts below one.

    Raises:
        InputError: naming the option.
    """
    for option, count in (("--trials", trials), ("--workers", workers)):
        if count is not None and count < 1:
            raise InputError(f"a count of {count}", field=option, mend="give 1 or more")


def sweep(
    experiment: Experiment,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> StudyResult:
    """Evaluate the whole grid of the experiment; resumable like :func:`explore`."""
    from dse.search.proposals import grid_batches

    check_numbers(None, workers)
    batches = ([(None, values) for values in batch] for batch in grid_batches(experiment))
    return _run(
        experiment, out, experiment.size, workers, None, on_progress, batches, lambda _, __: None
    )


def _run(
    experiment: Experiment,
    out: str | Path | None,
    wanted: int,
    workers: int | None,
    storage: str | None,
    on_progress: Callable[[Progress], None] | None,
    batches: Iterator[list[tuple[Any, dict[str, Value]]]],
    tell: Callable[[Any, Outcome], None],
) -> StudyResult:
    from dse.search.mirror import Mirror
    from dse.technology import load_technology

    started = time.perf_counter()
    folder = StudyFolder(out) if out is not None else None
    known: dict[str, Outcome] = {}
    if folder is not None:
        known = {outcome.key: outcome for outcome in folder.outcomes()} if folder.exists else {}
        folder.open(experiment, load_technology().digest)
    mirror = Mirror(storage, experiment) if storage is not None else None
    distinct: dict[str, Outcome] = {}
    proposals, interrupted = 0, False
    reference: list[float] | None = None
    if on_progress is not None:
        on_progress(Progress(0, wanted, 0, 0, 0, 0.0, 0.0))
    try:
        with Workers(experiment, workers) as pool, contextlib.closing(_Closer(folder)):
            for batch in batches:
                fresh = _fresh(batch, known, distinct, wanted)
                for outcome, seconds in pool.evaluate(fresh):
                    known[outcome.key] = outcome
                    if folder is not None:
                        folder.append(outcome, seconds)
                for trial, values in batch:
                    found = known.get(values_key(values))
                    if found is None:
                        continue
                    outcome = replace(found, values=values)
                    tell(trial, outcome)
                    proposals += 1
                    if outcome.key not in distinct:
                        distinct[outcome.key] = outcome
                        if mirror is not None:
                            mirror.add(outcome)
                if on_progress is not None:
                    elapsed = time.perf_counter() - started
                    state, reference = _progress(
                        experiment, distinct, wanted, proposals, elapsed, reference
                    )
                    on_progress(state)
                if len(distinct) >= wanted:
                    break
    except KeyboardInterrupt:
        interrupted = True
    outcomes = tuple(distinct.values())
    return StudyResult(
        experiment,
        outcomes,
        front_of(outcomes, experiment),
        proposals,
        time.perf_counter() - started,
        interrupted,
        not interrupted and len(outcomes) < wanted,
    )


class _Closer:
    """Closes the study folder's log at the end, whatever ends the run."""

    def __init__(self, folder: StudyFolder | None) -> None:
        self.folder = folder

    def close(self) -> None:
        if self.folder is not None:
            self.folder.close()


def _fresh(
    batch: Sequence[tuple[Any, dict[str, Value]]],
    known: dict[str, Outcome],
    distinct: dict[str, Outcome],
    wanted: int,
) -> list[dict[str, Value]]:
    """The batch's designs that must be evaluated, each once, no more than are still wanted."""
    room = wanted - len(distinct)
    out: dict[str, dict[str, Value]] = {}
    counted: set[str] = set()
    for _, values in batch:
        key = values_key(values)
        if key in distinct or key in counted:
            continue
        if len(counted) == room:
            break
        counted.add(key)
        if key not in known:
            out[key] = values
    return list(out.values())


def _progress(
    experiment: Experiment,
    distinct: dict[str, Outcome],
    wanted: int,
    proposals: int,
    elapsed_s: float,
    reference: list[float] | None,
) -> tuple[Progress, list[float] | None]:
    outcomes = list(distinct.values())
    front = front_of(outcomes, experiment)
    volume = 0.0
    if front:
        losses = losses_of([outcomes[index] for index in front], experiment)
        if reference is None:
            spread = np.abs(losses).max(axis=0)
            reference = list(losses.max(axis=0) + np.where(spread > 0, 0.5 * spread, 1.0))
        volume = hypervolume(losses, reference)
    feasible = sum(outcome.feasible for outcome in outcomes)
    state = Progress(len(outcomes), wanted, proposals, feasible, len(front), volume, elapsed_s)
    return state, reference
