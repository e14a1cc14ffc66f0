"""One word for what became of a design: in records, logs, counts, tables, plots and pages."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse.evaluation.causes import Cause
from dse.evaluation.states import MEANING, STATES, state_of, told_states
from dse.migrations import KINDS, migrated
from dse.reports import read_study, write_report
from dse.reports.compare import standing
from dse.reports.plots import SYMBOLS, front_plot, hover
from dse.reports.tables import volumes_of
from dse.search import Outcome, StudyFolder, StudyResult, explore
from dse.search.candidate import evaluate_candidate
from dse.search.failures import by_level, by_state, failure_counts
from dse.search.folder import LOG
from dse.search.resolved import resolve_experiment
from tests.search.test_study import SPACE, experiment

#: Clocks that no node reaches, too slow for the app, and good ones; so that all states occur.
STATED = {**SPACE, "chip.f_hz": {"ladder": [1e6, 2e8, 3e8, 4e8, 9e10]}}
COMPAT = Path(__file__).resolve().parents[1] / "compat" / "8677067"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    folder = tmp_path_factory.mktemp("states") / "study"
    return folder, explore(experiment(parameters=STATED, trials=40), folder, workers=1)


def test_every_state_occurs_and_they_add_up(made: tuple[Path, StudyResult]) -> None:
    _, result = made
    counts = result.states
    assert list(counts) == list(STATES) == list(MEANING)
    assert all(counts.values()), counts
    assert sum(counts.values()) == len(result.outcomes)
    levels = by_level(result.outcomes)
    for state in STATES:
        assert sum(row[state] for row in levels.values()) == counts[state]
    assert levels["none"]["impossible"] == levels["none"]["designs"]
    shown = result.to_dict()
    assert (shown["by_state"], shown["by_level"]) == (counts, levels)
    assert shown["feasible"] == counts["feasible"]


def test_what_each_state_stands_for(made: tuple[Path, StudyResult]) -> None:
    _, result = made
    for one in result.outcomes:
        kinds = {reason.kind for reason in one.reasons}
        assert one.feasible is (one.state == "feasible")
        if one.state == "feasible":
            assert (one.fidelity, one.violation, kinds) == ("simulate", 0.0, set())
        elif one.state == "dominated":
            assert one.fidelity in ("roofline", "analytic")
            assert (one.violation, kinds) == (0.0, {"dominated"})
            assert one.record.feasible is None, "nobody knows whether it is"
        elif one.state == "infeasible":
            assert one.violation > 0.0
            assert kinds - {"dominated"}
            assert one.record.feasible is False
        else:
            assert one.fidelity == "none"
            assert kinds == {"unbuildable"}


def test_only_what_breaks_a_requirement_is_counted_as_breaking(
    made: tuple[Path, StudyResult],
) -> None:
    _, result = made
    broken = failure_counts(result.outcomes)
    assert max(count for _, count in broken) <= result.states["infeasible"]
    words = {what for what, _ in broken}
    assert "dominated" not in words
    assert "cannot be built or mapped" not in words
    others = [one for one in result.outcomes if one.state in ("dominated", "impossible")]
    assert failure_counts(others) == []


def test_a_broken_budget_is_known_of_a_dominated_design_too() -> None:
    """Unit cost is exact at every level; that another design is better takes nothing back."""
    dear = resolve_experiment(experiment(fixed={"app.budgets.unit_cost_usd": 0.01}))
    values = {name: parameter.values[1] for name, parameter in dear.experiment.parameters.items()}
    best = np.zeros((1, 2 + 3))  # nothing costs or draws less
    found = evaluate_candidate(dear, values, best)
    assert found.pruned
    assert {reason.kind for reason in found.reasons} == {"cost", "dominated"}
    assert found.state == "infeasible"
    assert found.record.feasible is False
    assert [what for what, _ in failure_counts([found])] == ["unit cost"]
    cheap = evaluate_candidate(resolve_experiment(experiment()), values, best)
    assert (cheap.state, cheap.record.feasible) == ("dominated", None)
    assert state_of(None, [Cause("x", "load"), Cause("y", "unmappable")]) == "impossible"
    assert state_of(None, ()) is None


def test_the_log_keeps_the_state(made: tuple[Path, StudyResult]) -> None:
    folder, result = made
    rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    assert {row["schema_version"] for row in rows} == {KINDS["outcome"].current} == {2}
    assert Counter(row["state"] for row in rows) == result.states
    kept = {one.key: one for one in StudyFolder(folder).outcomes()}
    assert all(kept[one.key].state == one.state for one in result.outcomes)
    last = StudyFolder(folder).progress()[-1]
    assert {state: last[state] for state in STATES} == result.states
    assert last["mapped"] == result.evaluated
    strange = {**result.outcomes[0].to_dict(), "state": "maybe"}
    with pytest.raises(ValueError, match="state"):
        Outcome.from_dict(strange)


def row_of(**changes: Any) -> dict[str, Any]:
    """A line of a log as version 1 wrote it."""
    row = {
        "schema_version": 1,
        "values": {},
        "fidelity": "analytic",
        "feasible": False,
        "violation": 0.3,
        "reasons": ["module power 2 W over the budget of 1 W by 100%"],
        "evaluation": {"bottleneck": "cores"},
        "pruned": False,
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"feasible": True, "fidelity": "simulate", "violation": 0.0, "reasons": []}, "feasible"),
        ({}, "infeasible"),
        ({"pruned": True}, "infeasible"),
        ({"pruned": True, "violation": 0.0, "reasons": ["dominated by a design"]}, "dominated"),
        ({"fidelity": "none", "evaluation": None, "violation": 1e6}, "impossible"),
        ({"violation": 1e6, "evaluation": {"bottleneck": "unmappable"}}, "impossible"),
        ({"violation": 1e6, "reasons": ["kws: no unit runs LSTM"]}, "impossible"),
        ({"violation": 1e6, "reasons": ["constraint on score broken by inf%"]}, "infeasible"),
        ({"violation": 1e6, "reasons": ["carbon_kg is not finite (inf): x"]}, "infeasible"),
    ],
)
def test_an_old_line_says_it_too(changes: Mapping[str, Any], state: str) -> None:
    assert migrated("outcome", row_of(**changes)).data["state"] == state


def test_a_landed_study_is_told_apart() -> None:
    study = read_study(COMPAT / "study")
    before = [json.loads(line) for line in (COMPAT / "study" / LOG).read_text().splitlines()]
    assert len(study.outcomes) == len(before)
    counts = by_state(study.outcomes)
    assert counts["feasible"] == sum(row["feasible"] for row in before)
    assert counts["impossible"] == sum(row["fidelity"] == "none" for row in before)
    assert sum(one.pruned for one in study.outcomes) == sum(row["pruned"] for row in before)


def test_pages_tables_and_plots_use_the_same_words(
    made: tuple[Path, StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = made
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")  # megabytes, not read
    written = write_report(folder, tmp_path, feedback=False, workers=1)
    assert written["by_state"] == result.states
    rows = list(csv.DictReader((tmp_path / "designs.csv").read_text().splitlines()))
    assert Counter(row["state"] for row in rows) == result.states
    assert all((row["feasible"] == "True") == (row["state"] == "feasible") for row in rows)
    assert json.loads((tmp_path / "pareto.json").read_text())["designs_by_state"] == result.states
    page = (tmp_path / "report.html").read_text()
    (legend,) = re.findall(r'<table id="legend">(.*?)</table>', page, re.DOTALL)
    for state in STATES:
        cells = re.search(rf"<td>{state}</td><td>(.*?)</td><td>(.*?)</td>", legend)
        assert cells is not None
        assert cells.groups() == (SYMBOLS[state][1], str(result.states[state]))
        assert MEANING[state] in legend
        assert f"<th>{state}</th>" in page, "levels are counted in the same words"
    assert "left out: dominated" not in page
    study = read_study(folder)
    one = standing("it", study, volumes_of(study.outcomes)[0])
    assert one.states == result.states
    assert one.told_states == told_states(result.states)


def test_the_plot_draws_each_state_by_its_own_symbol(made: tuple[Path, StudyResult]) -> None:
    folder, _ = made
    study = read_study(folder)
    drawn = Counter[str]()
    for trace in front_plot(study).data:
        _, state = trace.name.split(", ")
        assert trace.marker.symbol == SYMBOLS[state][0]
        assert all(f"<b>{state}</b>" in text for text in trace.text)
        drawn[state] += len(trace.x)
    mapped = [one for one in study.outcomes if one.evaluated and one.objectives]
    assert drawn == Counter(one.state for one in mapped)
    assert len({symbol for symbol, _ in SYMBOLS.values()}) == len(SYMBOLS)


def test_a_hover_text_is_text(made: tuple[Path, StudyResult]) -> None:
    _, result = made
    bad = next(one for one in result.outcomes if one.state == "infeasible")
    told = hover(replace(bad, reasons=(Cause("a < b & c", "load"),)))
    assert told.startswith("<b>infeasible</b>, decided at the ")
    assert "a &lt; b &amp; c" in told
