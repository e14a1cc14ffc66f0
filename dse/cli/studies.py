"""``dse sweep|explore|report|compare``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dse
from dse.api.options import told_states
from dse.cli.output import note_step, print_json, print_table
from dse.errors import InputError, RunError
from dse.printing import setting
from dse.version import model_version

if TYPE_CHECKING:
    from dse import Progress, StudyResult


def sweep(options: Mapping[str, Any], as_json: bool) -> None:
    """The whole grid; ``options`` are the arguments of ``dse.sweep``."""
    _folder(options["out"])
    _finish(dse.sweep(**options, on_progress=_note), options["out"], as_json)


def explore(options: Mapping[str, Any], as_json: bool) -> None:
    """A search; ``options`` are the arguments of ``dse.explore``."""
    _folder(options["out"])
    _finish(dse.explore(**options, on_progress=_note), options["out"], as_json)


def _folder(out: str) -> None:
    """The name of a folder for results, which must be one."""
    if not out.strip():
        raise InputError("no folder", field="--out", mend="name one; it is made if missing")


def _note(state: Progress) -> None:
    """One progress line on stderr, rewritten in place on a terminal."""
    rate = state.distinct / state.elapsed_s if state.elapsed_s else 0.0
    left = (state.wanted - state.distinct) / rate if rate else 0.0
    line = (
        f"{state.distinct}/{state.wanted} designs: {told_states(state.states)}; "
        f"front {state.front}, hypervolume {state.hypervolume:.4g}, {rate:.1f}/s, {left:.0f} s left"
    )
    end = "\r" if sys.stderr.isatty() and state.distinct < state.wanted else "\n"
    print(f"{line:<120}", end=end, file=sys.stderr, flush=True)


def _finish(result: StudyResult, out: str, as_json: bool) -> None:
    if as_json:
        print_json({**result.to_dict(), "out": out})
    else:
        print(
            f"{len(result.outcomes)} distinct designs ({told_states(result.states)}; "
            f"{result.evaluated} mapped) from {result.proposals} proposals in "
            f"{result.elapsed_s:.1f} s; {len(result.front)} on the front, in {out}"
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
            broken = ", ".join(f"{what} {n}" for what, n in result.failures)
            print("no design meets everything")
            if broken:
                print(f"what the infeasible ones break: {broken}")
        if result.exhausted:
            print("the sampler found no further new designs in this space")
        if not result.interrupted:
            print(f"next: dse report {out} --out {out}/report")
    if result.interrupted:
        raise RunError(
            f"interrupted after {_kept(out)} designs",
            mend="run the same command again: it goes on where it stopped",
        )


def _kept(out: str) -> int:
    """Designs in the log: of the last batch some that the search has not been told of yet."""
    try:
        return len(dse.load_study(out).outcomes)
    except InputError:
        return 0


def _print_front(rows: list[dict[str, Any]], metrics: list[str]) -> None:
    """The front: a column for what differs among its members, one line for what does not."""
    paths = [key for key in dict.fromkeys(k for row in rows for k in row) if key not in metrics]
    text = [{p: setting(p, row[p]) if p in row else "-" for p in paths} for row in rows]
    same = [p for p in paths if len(rows) > 1 and len({line[p] for line in text}) == 1]
    lines = [
        {**{m: row[m] for m in metrics}, **{p: line[p] for p in paths if p not in same}}
        for row, line in zip(rows, text, strict=True)
    ]
    print_table(sorted(lines, key=lambda line: line[metrics[0]]))
    if same:
        print("the same in all: " + ", ".join(f"{p} {text[0][p]}" for p in same))


def report(options: Mapping[str, Any], as_json: bool) -> None:
    """Write a report; ``options`` are the arguments of ``dse.report``."""
    _folder(options["out"])
    written = dse.report(**options, on_step=note_step)
    if as_json:
        print_json(written.to_dict())
        return
    if not written.of_this_model:
        made = written.made_by["version"] or "(the study does not say which)"
        print(
            f"note: the figures are those of model version {made}, as stored; this is "
            f"{model_version()}"
        )
        if written.left_out:
            print(f"  left out, as another model would be mixed in: {', '.join(written.left_out)}")
    told = told_states(written.by_state)
    print(f"{written.designs} designs ({told}), {written.pareto} on the front; written:")
    for name in written.files:
        print(f"  {name}")


def compare(sources: list[str], html: str | None, as_json: bool) -> None:
    """Studies side by side, an app and a volume at a time."""
    found = dse.compare(sources, html=html)
    if as_json:
        print_json(found.to_dict())
        return
    rows = found.table()
    for app in dict.fromkeys(contest.app for contest in found.contests):
        for contest in (contest for contest in found.contests if contest.app == app):
            own = [
                {key: value for key, value in row.items() if key not in ("app", "volume", "reason")}
                for row in rows
                if (row["app"], row["volume"]) == (app, contest.volume)
            ]
            print_table(own, title=f"{app}, {contest.volume:,.0f} units")
            print(f"  {contest.verdict}\n")
    makers = (c.maker for c in found.contests if c.maker and not c.of_this_model)
    for line in dict.fromkeys(makers):
        print(f"note: figures by {line}, as stored; this is model version {model_version()}")
    if html is not None:
        print(f"written: {html}")
