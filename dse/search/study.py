"""The search loop: ask, evaluate in parallel, log, tell; stop, resume, report progress."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.errors import InputError
from dse.evaluation.design import Value
from dse.evaluation.states import State, told_states
from dse.files import SCHEMA_VERSION
from dse.printing import Printed
from dse.search.candidate import Outcome, values_key
from dse.search.effort import Effort
from dse.search.experiment import Experiment
from dse.search.failures import by_level, by_state, failure_counts
from dse.search.folder import StudyFolder
from dse.search.front import Losses, front_of
from dse.search.progress import Progress, SearchState
from dse.search.resolved import ResolvedExperiment, resolve_experiment
from dse.search.space import grid_size
from dse.search.workers import Evaluator, Workers

if TYPE_CHECKING:
    from dse.search.mirror import Mirror

#: Batches without a single new design after which a space counts as exhausted.
IDLE_BATCHES = 40


@dataclass(frozen=True, repr=False)
class StudyResult(Printed):
    """All distinct designs of a study, in the order proposed, and which of them are the front."""

    experiment: Experiment
    outcomes: tuple[Outcome, ...]
    front_indices: tuple[int, ...]
    proposals: int
    elapsed_s: float
    interrupted: bool = False
    exhausted: bool = False
    stopped: str = ""
    effort: Effort = field(default_factory=Effort)

    @property
    def evaluated(self) -> int:
        """Designs that were mapped."""
        return sum(outcome.evaluated for outcome in self.outcomes)

    @property
    def failures(self) -> list[tuple[str, int]]:
        """How many designs break each kind of requirement, most frequent first."""
        return failure_counts(self.outcomes)

    @property
    def states(self) -> dict[State, int]:
        """How many designs there are of each state."""
        return by_state(self.outcomes)

    @property
    def front(self) -> tuple[Outcome, ...]:
        """Feasible designs at the experiment's own fidelity that none of their kind dominates."""
        return tuple(self.outcomes[index] for index in self.front_indices)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``: the counts, and the front in full."""
        return {
            "schema_version": SCHEMA_VERSION,
            "experiment": self.experiment.name,
            "designs": len(self.outcomes),
            "evaluated": self.evaluated,
            "by_level": by_level(self.outcomes),
            "by_state": self.states,
            "feasible": self.states["feasible"],
            "proposals": self.proposals,
            "elapsed_s": self.elapsed_s,
            "interrupted": self.interrupted,
            "exhausted": self.exhausted,
            "stopped": self.stopped,
            "level_s": dict(self.effort.seconds),
            "mapping_hit_rate": self.effort.hit_rate,
            "pareto": [outcome.to_dict() for outcome in self.front],
        }

    def table(self) -> list[dict[str, Any]]:
        """One flat row per design: parameters, objectives, fidelity, feasible."""
        return [design_row(outcome, self.experiment) for outcome in self.outcomes]

    def _title(self) -> str:
        return f"study {self.experiment.name}: {len(self.outcomes)} designs"

    def _figures(self) -> Mapping[str, Any]:
        return {
            "of them": told_states(self.states),
            "mapped": self.evaluated,
            "on the front": len(self.front_indices),
            "time": f"{self.elapsed_s:.1f} s",
            **({"stopped": self.stopped} if self.stopped else {}),
        }

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return front_rows(self.front, self.experiment)


def front_rows(front: Iterable[Outcome], experiment: Experiment) -> list[dict[str, Any]]:
    """A row for each member of a front: its objectives, then its parameters."""
    metrics = [objective.metric for objective in experiment.objectives]
    return [
        {**dict(zip(metrics, outcome.objectives or (), strict=True)), **outcome.values}
        for outcome in front
    ]


def design_row(outcome: Outcome, experiment: Experiment) -> dict[str, Any]:
    """A design as a flat mapping of parameters and scalar metrics."""
    record = {} if outcome.evaluation is None else outcome.evaluation.to_dict()
    scalars = {
        key: value
        for key, value in record.items()
        if isinstance(value, (int, float, str)) or value is None
    }
    for key in ("schema_version", "kind", "fidelity", "feasible", "identity"):
        scalars.pop(key, None)  # the outcome's own stand for them
    by_volume = record.get("unit_cost_by_volume_usd", {})
    return {
        **outcome.values,
        "fidelity": outcome.fidelity,
        "state": outcome.state,
        "feasible": outcome.feasible,
        "violation": outcome.violation,
        **scalars,
        **{f"unit_cost_usd@{volume}": cost for volume, cost in by_volume.items()},
        "reasons": " | ".join(outcome.reasons),
        "identity": outcome.identity,
    }


def explore(
    what: Experiment | ResolvedExperiment,
    out: str | Path | None = None,
    *,
    trials: int | None = None,
    evaluations: int | None = None,
    workers: int | None = None,
    storage: str | None = None,
    start: Sequence[Mapping[str, Value]] = (),
    evaluator: Evaluator | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    break_lock: bool = False,
) -> StudyResult:
    """Search the experiment's space until ``trials`` distinct designs were judged.

    Args:
        what: the space, the objectives and the seed; what it names is read if it was not before.
        out: study folder; a folder with an earlier run of the same experiment is continued. None
            keeps everything in memory.
        trials: distinct designs wanted in total (default: the experiment's), also those that a
            bound decides.
        evaluations: count only designs that were mapped, and stop at this many of them.
        workers: processes (default: the machine's cores). Does not change the result.
        storage: an Optuna storage URL or journal file that mirrors the log.
        start: designs to try first (:func:`dse.search.warm.starting_designs`); a study that is
            continued keeps those it began with.
        evaluator: who evaluates in place of this package's levels, such as a table of a space that
            was enumerated before (for comparing searches).
        on_progress: called after each batch.
        break_lock: take the folder from another run that holds it (one that is known to be dead).

    Returns:
        The result; ``interrupted`` is true after Ctrl-C (what was evaluated is in the folder).
    """
    check_numbers(trials, workers)
    experiment = what.experiment if isinstance(what, ResolvedExperiment) else what
    wanted = min(experiment.trials if trials is None else trials, grid_size(experiment))
    if experiment.sampler == "grid":
        plan = _grid(experiment)
        pool = evaluator or Workers(what, workers)
        place = _Place(out, storage, break_lock)
        return _run(experiment, place, wanted, pool, on_progress, plan, ())
    from dse.search.proposals import OptunaProposer

    if out is not None and not start:
        start = StudyFolder(out).start()
    proposer = OptunaProposer(experiment, start)
    # A sampler repeats itself near the end of a small space, and bounds leave out most of a large
    # one: give up after sixty proposals per wanted design rather than never.
    most = 60 * wanted // experiment.batch + 60
    plan = _Plan(proposer.ask, proposer.tell, most, prune=experiment.prune)
    pool = evaluator or Workers(what, workers)
    if evaluations is not None:
        wanted, most = min(evaluations, grid_size(experiment)), most + 60 * evaluations
        plan = replace(plan, batches=most, mapped_only=True)
    place = _Place(out, storage, break_lock)
    return _run(experiment, place, wanted, pool, on_progress, plan, start)


def check_numbers(trials: int | None, workers: int | None) -> None:
    """Refuse counts below one.

    Raises:
        InputError: naming the option.
    """
    for option, count in (("trials", trials), ("workers", workers)):
        if count is not None and count < 1:
            raise InputError(f"a count of {count}", field=option, mend="give 1 or more")


def sweep(
    what: Experiment | ResolvedExperiment,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    break_lock: bool = False,
) -> StudyResult:
    """Evaluate the whole grid of the experiment; resumable like :func:`explore`."""
    check_numbers(None, workers)
    found = what if isinstance(what, ResolvedExperiment) else resolve_experiment(what)
    experiment = found.experiment.model_copy(update={"prune": False})
    pool = Workers(replace(found, experiment=experiment), workers)
    plan = _grid(experiment)
    place = _Place(out, None, break_lock)
    return _run(experiment, place, grid_size(experiment), pool, on_progress, plan, ())


def _grid(experiment: Experiment) -> _Plan:
    """The whole grid in order."""
    from dse.search.proposals import grid_batches

    batches = grid_batches(experiment)

    def ask(_: object, __: object) -> list[tuple[Any, dict[str, Value]]]:
        return [(None, values) for values in next(batches, [])]

    most = grid_size(experiment) // experiment.batch + 1
    return _Plan(ask, lambda _, __: None, most, prune=experiment.prune)


@dataclass(frozen=True)
class _Plan:
    """Where batches come from, who is told, how many there are at most, and whether to prune."""

    ask: Callable[[Any, Losses], list[tuple[Any, dict[str, Value]]]]
    tell: Callable[[Any, Outcome], None]
    batches: int
    prune: bool
    mapped_only: bool = False


@dataclass(frozen=True)
class _Place:
    """Where a study is kept."""

    out: str | Path | None
    storage: str | None
    break_lock: bool


def _run(
    experiment: Experiment,
    place: _Place,
    wanted: int,
    evaluator: Evaluator,
    on_progress: Callable[[Progress], None] | None,
    plan: _Plan,
    start: Sequence[Mapping[str, Value]],
) -> StudyResult:
    from dse.technology import load_technology

    folder = StudyFolder(place.out) if place.out is not None else None
    technology = load_technology().digest
    with contextlib.closing(_Closer(folder)):
        known: dict[str, Outcome] = {}
        if folder is not None:
            found = folder.open(experiment, technology, start, break_lock=place.break_lock)
            known = {outcome.key: outcome for outcome in found}
        mirror = None
        if place.storage is not None:
            from dse.search.mirror import Mirror

            mirror = Mirror(place.storage, experiment, technology)
        return _searched(experiment, folder, known, mirror, wanted, evaluator, on_progress, plan)


def _searched(
    experiment: Experiment,
    folder: StudyFolder | None,
    known: dict[str, Outcome],
    mirror: Mirror | None,
    wanted: int,
    evaluator: Evaluator,
    on_progress: Callable[[Progress], None] | None,
    plan: _Plan,
) -> StudyResult:
    started = time.perf_counter()
    state, size = SearchState(experiment), grid_size(experiment)
    effort = Effort()
    interrupted, exhausted, stopped = False, True, ""
    if on_progress is not None:
        on_progress(SearchState(experiment).progress(wanted, 0.0))
    try:
        with evaluator as pool:
            for _ in range(plan.batches):
                batch = plan.ask(pool.bounds, state.rows)
                if not batch:
                    break
                front = state.rows if plan.prune else None
                room = wanted - state.count(mapped_only=plan.mapped_only)
                fresh = _fresh(batch, known, state.distinct, room)
                for outcome, took in pool.evaluate(fresh, front):
                    known[outcome.key] = outcome
                    effort += took
                    if folder is not None:
                        folder.append(outcome, took)
                for trial, values in batch:
                    found = known.get(values_key(values))
                    if found is None:
                        continue
                    outcome = replace(found, values=values)
                    plan.tell(trial, outcome)
                    if state.add(outcome) and mirror is not None:
                        mirror.add(outcome)
                elapsed = time.perf_counter() - started
                state.close_batch()
                now = state.progress(wanted, elapsed)
                if folder is not None:
                    folder.note(asdict(now))
                if on_progress is not None:
                    on_progress(now)
                if state.count(mapped_only=plan.mapped_only) >= wanted:
                    exhausted = False
                    break
                if len(state.distinct) >= size or state.idle_batches >= IDLE_BATCHES:
                    break
                stopped = state.stop(elapsed)
                if stopped:
                    exhausted = False
                    break
    except KeyboardInterrupt:
        interrupted = True
    outcomes = tuple(state.distinct.values())
    return StudyResult(
        experiment,
        outcomes,
        front_of(outcomes, experiment),
        state.proposals,
        time.perf_counter() - started,
        interrupted,
        not interrupted and exhausted and state.count(mapped_only=plan.mapped_only) < wanted,
        stopped,
        effort,
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
    room: int,
) -> list[dict[str, Value]]:
    """The batch's designs that must be evaluated, each once, no more than are still wanted."""
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
