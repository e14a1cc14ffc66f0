"""A study in which nothing holds: what its report says of the design that comes closest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dse.evaluation import Design, evaluate
from dse.explanation import Limits
from dse.reports import write_report
from dse.reports.ways import closest
from dse.search import Experiment, explore
from tests.explanation.test_only_together import CASES, LOOSE, figure, judge_of, write


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of clocks and cores for a robot that needs another node besides."""
    folder, case = tmp_path_factory.mktemp("nothing"), CASES["robot"]
    chip = write(case.chip, folder / "chip.yaml", {})
    loose, _ = judge_of(write(case.app, folder / "loose.yaml", LOOSE), chip)
    words = {
        word: repr(factor * figure(loose, metric, changes))
        for word, (metric, changes, factor) in case.limits.items()
    }
    experiment = Experiment.model_validate(
        {
            "name": "nothing",
            "app": write(case.app, folder / "app.yaml", words),
            "chip": chip,
            "parameters": {
                "chip.cores": {"ladder": [3, 4]},
                "chip.f_hz": {"choices": [5e8, 6e8]},
            },
            "fixed": {"app.budgets.volume": 1e6},
            "objectives": [{"metric": "unit_cost_usd"}],
            "constraints": [{"metric": "die_cost_usd", "max": 1e4}],
            "population": 4,
            "batch": 2,
            "trials": 4,
        }
    )
    assert explore(experiment, folder / "study", workers=1).front == ()
    return folder / "study"


def test_the_report_finds_the_way_out(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")  # megabytes, not read
    monkeypatch.setattr("dse.reports.ways.LIMITS", Limits(tries=50, ways=1))
    monkeypatch.setattr("dse.reports.ways.DRAWS", 2)
    told: list[str] = []
    write_report(study, tmp_path, workers=1, on_step=lambda what, done, most: told.append(what))
    assert {"sets held against the bound", "sets mapped or played"} <= set(told)
    (reply,) = json.loads((tmp_path / "feedback.json").read_text())
    assert reply["title"] == "The design that comes closest"
    assert not any(effect["feasible"] for effect in reply["effects"])
    assert {effect["state"] for effect in reply["effects"]} == {"infeasible"}
    (way,) = reply["ways"]
    assert "app.budgets.volume" not in way["set"], "what the experiment fixes stays"
    assert {"chip.node", "chip.buffer.bytes"} <= set(reply["tried"]["parameters"])
    page = (tmp_path / "report.html").read_text()
    assert f"Way out 1: {way['changes']} changes together" in page
    for step in way["steps"]:
        assert step["path"] in page
    from dse.reports import read_study

    found = read_study(study)
    base = closest(found.outcomes)
    assert base is not None
    settings = {**found.experiment.fixed, **base.values, **way["set"]}
    made = evaluate(Design(found.experiment.app, found.experiment.chip, settings, 0))
    assert made.feasible is True
    assert evaluate(
        Design(found.experiment.app, found.experiment.chip, base.values, 0)
    ).feasible is False  # fmt: skip


def test_without_feedback_nothing_is_searched(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")
    done = write_report(study, tmp_path, feedback=False, workers=1)
    assert (done["feasible"], done["by_state"]["infeasible"]) == (0, 4)
    assert not (tmp_path / "feedback.json").exists()
    assert "What the infeasible ones break" in (tmp_path / "report.html").read_text()
