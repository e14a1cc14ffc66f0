"""``dse sweep|explore|report|validate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dse.cli.output import note_step, print_json, print_table
from dse.cli.parse import draws as check_draws
from dse.errors import InputError, RunError
from dse.files import SCHEMA_VERSION
from dse.version import model_version

if TYPE_CHECKING:
    from dse.search import Experiment, Progress, StudyResult


#: Grids beyond this are a slip of the pen, not a sweep.
LARGEST_SWEEP = 100_000


def _load(file: str, seed: int | None = None, line: str | None = None) -> Experiment:
    from dse.search import check_experiment, load_experiment

    experiment = load_experiment(file)
    if seed is not None and seed < 0:
        raise InputError(f"a seed of {seed}", field="--seed", mend="give 0 or more")
    if seed is not None:
        experiment = experiment.model_copy(update={"seed": seed})
    if line is not None:
        experiment = experiment.on_line(line)
    check_experiment(experiment, file)
    return experiment


def sweep(
    file: str,
    out: str,
    workers: int | None,
    as_json: bool,
    *,
    line: str | None = None,
    break_lock: bool = False,
) -> None:
    from dse.search import check_numbers
    from dse.search import sweep as run

    check_numbers(None, workers)
    _folder(out)
    experiment = _load(file, line=line)
    if experiment.size > LARGEST_SWEEP:
        raise InputError(
            f"a grid of {experiment.size:,} designs",
            file=file,
            field="parameters",
            mend=f"shorten them to {LARGEST_SWEEP:,} at most, or use dse explore",
        )
    result = run(experiment, out, workers=workers, on_progress=_note, break_lock=break_lock)
    _finish(result, out, as_json)


def explore(
    file: str,
    out: str,
    trials: int | None,
    seed: int | None,
    workers: int | None,
    storage: str | None,
    as_json: bool,
    *,
    warm_start: str | None = None,
    max_s: float | None = None,
    stall: int | None = None,
    line: str | None = None,
    break_lock: bool = False,
) -> None:
    from dse.search import check_numbers, starting_designs
    from dse.search import explore as run

    check_numbers(trials, workers)
    _folder(out)
    for option, limit in (("--max-time", max_s), ("--stall", stall)):
        if limit is not None and limit <= 0:
            raise InputError(f"a limit of {limit:g}", field=option, mend="give more than 0")
    experiment = _load(file, seed, line)
    limits = {"max_s": max_s, "stall": stall}
    experiment = experiment.model_copy(
        update={name: limit for name, limit in limits.items() if limit is not None}
    )
    result = run(
        experiment,
        out,
        trials=trials,
        workers=workers,
        storage=storage,
        start=starting_designs(experiment, warm_start) if warm_start is not None else (),
        on_progress=_note,
        break_lock=break_lock,
    )
    _finish(result, out, as_json)


def _folder(out: str) -> str:
    """The name of a folder for results, which must be one."""
    if not out.strip():
        raise InputError("no folder", field="--out", mend="name one; it is made if missing")
    return out


def _note(state: Progress) -> None:
    """One progress line on stderr, rewritten in place on a terminal."""
    rate = state.distinct / state.elapsed_s if state.elapsed_s else 0.0
    left = (state.wanted - state.distinct) / rate if rate else 0.0
    line = (
        f"{state.distinct}/{state.wanted} designs, {state.pruned} decided before mapping, "
        f"{state.feasible} feasible, front {state.front}, "
        f"hypervolume {state.hypervolume:.4g}, {rate:.1f}/s, {left:.0f} s left"
    )
    end = "\r" if sys.stderr.isatty() and state.distinct < state.wanted else "\n"
    print(f"{line:<120}", end=end, file=sys.stderr, flush=True)


def _finish(result: StudyResult, out: str, as_json: bool) -> None:
    if as_json:
        print_json({**result.to_dict(), "out": out})
    else:
        feasible = sum(outcome.feasible for outcome in result.outcomes)
        print(
            f"{len(result.outcomes)} distinct designs ({feasible} feasible, "
            f"{len(result.outcomes) - result.evaluated} decided before mapping) from "
            f"{result.proposals} proposals in {result.elapsed_s:.1f} s; "
            f"{len(result.front)} on the front, in {out}"
        )
        if result.effort.hit_rate is not None:
            print(f"{result.effort.hit_rate:.0%} of the layers asked of the mapper were remembered")
        if result.stopped:
            print(f"stopped: {result.stopped}")
        metrics = [objective.metric for objective in result.experiment.objectives]
        rows: list[dict[str, Any]] = [
            {**dict(zip(metrics, outcome.objectives or (), strict=True)), **outcome.values}
            for outcome in result.front
        ]
        if rows:
            _print_front(rows, metrics)
        else:
            from dse.reports.page import failure_counts

            broken = ", ".join(f"{what} {n}" for what, n in failure_counts(result.outcomes))
            print(f"no design meets everything; designs that break: {broken}")
        if result.exhausted:
            print("the sampler found no further new designs in this space")
        if not result.interrupted:
            print(f"next: dse report {out} --out {out}/report")
    if result.interrupted:
        from dse.search import StudyFolder

        # Of the last batch some are in the log that the search has not been told of yet.
        kept = sum(1 for _ in StudyFolder(out).outcomes())
        raise RunError(
            f"interrupted after {kept} designs",
            mend="run the same command again: it goes on where it stopped",
        )


def _print_front(rows: list[dict[str, Any]], metrics: list[str]) -> None:
    """The front: a column for what differs among its members, one line for what does not."""
    from dse.explanation import shown

    paths = [key for key in dict.fromkeys(k for row in rows for k in row) if key not in metrics]
    text = [{p: shown(p, row[p]) if p in row else "-" for p in paths} for row in rows]
    same = [p for p in paths if len(rows) > 1 and len({line[p] for line in text}) == 1]
    lines = [
        {**{m: row[m] for m in metrics}, **{p: line[p] for p in paths if p not in same}}
        for row, line in zip(rows, text, strict=True)
    ]
    print_table(sorted(lines, key=lambda line: line[metrics[0]]))
    if same:
        print("the same in all: " + ", ".join(f"{p} {text[0][p]}" for p in same))


def report(
    source: str, out: str, feedback: bool, draws: int | None, workers: int | None, as_json: bool
) -> None:
    from dse.reports import write_report
    from dse.search import check_numbers

    check_numbers(None, workers)
    check_draws(draws)
    _folder(out)
    written = write_report(
        source, out, feedback=feedback, draws=draws, workers=workers, on_step=note_step
    )
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **written})
        return
    if not written["of_this_model"]:
        made = written["made_by"]["version"] or "(the study does not say which)"
        print(
            f"note: the figures are those of model version {made}, as stored; this is "
            f"{model_version()}"
        )
        if written["left_out"]:
            print(
                f"  left out, as another model would be mixed in: {', '.join(written['left_out'])}"
            )
    print(f"{written['designs']} designs, {written['pareto']} on the front; written:")
    for name in written["files"]:
        print(f"  {name}")


def compare(sources: list[str], html: str | None, as_json: bool) -> None:
    from dse.reports.compare import compare_studies, rows_of, to_json, write_comparison

    contests = compare_studies(sources)
    if html is not None:
        write_comparison(contests, html)
    if as_json:
        print_json(to_json(contests))
        return
    for app in dict.fromkeys(contest.app for contest in contests):
        own = [contest for contest in contests if contest.app == app]
        for contest in own:
            rows = [
                {key: value for key, value in row.items() if key not in ("app", "volume", "reason")}
                for row in rows_of([contest])
            ]
            print_table(rows, title=f"{app}, {contest.volume:,.0f} units")
            print(f"  {contest.verdict}\n")
    for line in dict.fromkeys(c.maker for c in contests if c.maker and not c.of_this_model):
        print(f"note: figures by {line}, as stored; this is model version {model_version()}")
    if html is not None:
        print(f"written: {html}")


def validate(section: str | None, html: str | None, as_json: bool) -> None:
    from dse.validation import run_sections, write_page

    sections = run_sections(section)
    if html is not None:
        write_page(sections, html)
    if as_json:
        content = [found.to_dict() for found in sections]
        print_json({"schema_version": SCHEMA_VERSION, "sections": content})
        return
    for found in sections:
        print_table([row.to_dict() for row in found.rows], title=found.name)
        print(
            "  "
            + ", ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in found.summary.items()
            )
        )
        for target in found.targets:
            shown = "-" if target.value is None else f"{target.value:.3g}"
            verdict = "met" if target.met else "missed"
            print(f"  target {verdict}: {target.name} {shown} (at most {target.limit:.3g})")
        for line in found.notes:
            print(f"  {line}")
        print()
    if html is not None:
        print(f"written: {html}")
