"""Searching a space of designs, and reading what a search left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.api.options import (
    LARGEST_SWEEP,
    check_counts,
    check_draws,
    check_limits,
    check_seed,
)
from dse.errors import InputError
from dse.files import SCHEMA_VERSION
from dse.printing import Printed

if TYPE_CHECKING:
    from dse.reports import Contest
    from dse.search import Experiment, Progress, ResolvedExperiment, StudyResult


def sweep(
    experiment: Experiment | str | Path,
    out: str | Path | None = None,
    *,
    workers: int | None = 1,
    seed: int | None = None,
    line: str | None = None,
    break_lock: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> StudyResult:
    """Evaluate the whole grid of an experiment; one that was interrupted goes on.

    Args:
        experiment: the experiment, its YAML file, or a shipped name.
        out: study folder; without one nothing is kept.
        workers: processes (None: all cores); the result does not depend on it.
        seed: of jitter, arrivals and triggers, in place of the experiment's.
        line: only nodes of a production line, such as ``jasm1``.
        break_lock: take the folder from another run that holds it and is known to be dead.
        on_progress: called after each batch.

    Raises:
        InputError: a fault in the experiment, a grid of more than 100,000 designs, or a folder of
            another study.
    """
    from dse.search import grid_size
    from dse.search import sweep as run

    check_counts(workers=workers)
    found = _experiment(experiment, seed, line)
    size = grid_size(found.experiment)
    if size > LARGEST_SWEEP:
        raise InputError(
            f"a grid of {size:,} designs",
            file=None if experiment is found.experiment else _name(experiment),
            field="parameters",
            mend=f"shorten them to {LARGEST_SWEEP:,} at most, or explore it",
        )
    return run(found, out, workers=workers, on_progress=on_progress, break_lock=break_lock)


def explore(
    experiment: Experiment | str | Path,
    trials: int | None = None,
    storage: str | None = None,
    *,
    out: str | Path | None = None,
    workers: int | None = 1,
    seed: int | None = None,
    line: str | None = None,
    warm_start: str | Path | None = None,
    max_s: float | None = None,
    stall: int | None = None,
    break_lock: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> StudyResult:
    """Search an experiment's space with Optuna.

    Args:
        experiment: the experiment, its YAML file, or a shipped name.
        trials: distinct designs wanted (default: the experiment's own number).
        storage: an Optuna storage URL or journal file that mirrors the study.
        out: study folder; an interrupted run in it is continued.
        workers: processes (None: all cores); the result does not depend on it. A script that asks
            for several must guard its entry with ``if __name__ == "__main__"``.
        seed: of proposals, jitter, arrivals and triggers, in place of the experiment's.
        line: only nodes of a production line, such as ``jasm1``.
        warm_start: folder of an earlier study, also one of another model version, whose best
            designs this search begins with; they are evaluated anew.
        max_s: stop after this time, s.
        stall: stop when so many evaluations brought no better front.
        break_lock: take the folder from another run that holds it and is known to be dead.
        on_progress: called after each batch.

    Raises:
        InputError: a fault in the experiment, or a folder or storage of another study.
    """
    from dse.search import explore as run
    from dse.search import starting_designs

    check_counts(trials=trials, workers=workers)
    check_limits(max_s=max_s, stall=stall)
    resolved = _experiment(experiment, seed, line)
    limits = {"max_s": max_s, "stall": stall}
    found = resolved.experiment.model_copy(
        update={name: limit for name, limit in limits.items() if limit is not None}
    )
    start = () if warm_start is None else starting_designs(found, warm_start)
    return run(
        replace(resolved, experiment=found),
        out,
        trials=trials,
        workers=workers,
        storage=storage,
        start=start,
        on_progress=on_progress,
        break_lock=break_lock,
    )


def _experiment(
    experiment: Experiment | str | Path, seed: int | None, line: str | None
) -> ResolvedExperiment:
    """The experiment with its seed and line, checked, and all that it names."""
    from dse.search import Experiment, check_experiment, load_experiment

    found = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    check_seed(seed)
    if seed is not None:
        found = found.model_copy(update={"seed": seed})
    if line is not None:
        found = found.on_line(line)
    return check_experiment(found, _name(experiment))


def _name(experiment: Experiment | str | Path) -> str:
    return str(experiment) if isinstance(experiment, (str, Path)) else "experiment"


@dataclass(frozen=True, repr=False)
class Report(Printed):
    """What a report wrote.

    Attributes:
        files: paths.
        designs, feasible, pareto: number of designs, of those that meet everything, of the front.
        by_state: how many designs are feasible, infeasible, dominated, impossible.
        made_by: digests of the technology data and the code that made the figures.
        of_this_model: whether those are this code and its data.
        left_out: what was asked for and would have mixed them with those of this model.
    """

    files: tuple[str, ...]
    designs: int
    feasible: int
    pareto: int
    by_state: Mapping[str, int]
    made_by: Mapping[str, str]
    of_this_model: bool
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def table(self) -> list[dict[str, Any]]:
        """One row per file."""
        return [{"file": file} for file in self.files]

    def _title(self) -> str:
        return f"report: {self.designs} designs, {self.pareto} on the front"


def report(
    study: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    feedback: bool = True,
    draws: int | None = None,
    workers: int | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Write report.html, pareto.csv, pareto.json and designs.csv of a study.

    Args:
        study: its folder, or an Optuna storage.
        out: folder, made if missing.
        name: of the study, for a storage that holds several (or ``STORAGE#NAME`` as ``study``).
        feedback: simulate one step around the best designs and say what it buys.
        draws: say how likely each front member beats its neighbour, over so many draws of the
            uncertain technology facts.
        workers: processes for that (None: all cores).
        on_step: called with (what, done, all) on the way.

    Raises:
        InputError: no study, several and no name, one without a design, or a folder that cannot
            be written.
    """
    from dse.reports import write_report

    check_counts(workers=workers)
    check_draws(draws)
    written = write_report(
        study, out, name=name, feedback=feedback, draws=draws, workers=workers, on_step=on_step
    )
    lists = {name: tuple(written[name]) for name in ("files", "left_out")}
    return Report(**{**written, **lists})


@dataclass(frozen=True, repr=False)
class Comparison(Printed):
    """Studies side by side: a contest for every app and volume, the best study first in each."""

    contests: tuple[Contest, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        from dse.reports.compare import to_json

        return to_json(self.contests)

    def table(self) -> list[dict[str, Any]]:
        """One row for each app, volume (units) and study: USD, W, mm2."""
        from dse.reports.compare import rows_of

        return rows_of(self.contests)

    def _title(self) -> str:
        apps = dict.fromkeys(contest.app for contest in self.contests)
        return f"studies compared for {', '.join(apps)}"

    def _figures(self) -> Mapping[str, Any]:
        return {f"{one.app}, {one.volume:,.0f} units": one.verdict for one in self.contests[:12]}


def compare(studies: Sequence[str | Path], *, html: str | None = None) -> Comparison:
    """Studies side by side: which serves an app best at which volume, and why.

    Args:
        studies: two or more folders or Optuna storages (``STORAGE#NAME`` if it holds several).
        html: a file for the comparison as a page.

    Raises:
        InputError: fewer than two studies, or two that cannot be compared.
    """
    from dse.reports import compare_studies, write_comparison

    contests = tuple(compare_studies(studies))
    if html is not None:
        write_comparison(contests, html)
    return Comparison(contests)
