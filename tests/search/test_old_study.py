"""A study whose form, or whose model, is not today's: read, named, told apart, started from."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.errors import InputError, OlderFileWarning
from dse.migrations import KINDS, Step, migrate_path
from dse.reports import read_study, write_report
from dse.search import StudyFolder, explore
from dse.search.folder import CONFIG, LOG, PROGRESS
from dse.version import model_version, search_version
from tests.search.test_study import SPACE, experiment


def by_another_model(folder: Path, version: str = "0.0.9+abc") -> None:
    """As if another release had made the study."""
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "version": version, "identity": "x"}))


def refusal(folder: Path, **changes: object) -> str:
    with pytest.raises(InputError) as refused:
        explore(experiment(**changes), folder, trials=4, workers=1)
    return refused.value.describe()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "study"
    explore(experiment(), folder, trials=6, workers=1)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(made, tmp_path / "study"))


def test_what_differs_is_named(study: Path) -> None:
    assert "another experiment: seed (3 there, 9 here)" in refusal(study, seed=9)
    other = {**SPACE, "chip.f_hz": {"ladder": [1e8, 2e8]}}
    del other["chip.buffer.bytes"]
    text = refusal(study, parameters=other)
    assert "parameters.chip.f_hz" in text
    assert "parameters.chip.buffer.bytes (only there)" in text
    assert "chip.node" not in text
    assert "this is" not in text  # the model is the same
    with pytest.raises(InputError, match="began with other designs"):
        explore(experiment(), study, workers=1, start=[{"chip.node": "16nm"}])
    by_another_model(study)
    both = refusal(study, seed=9)
    assert "seed (3 there, 9 here)" in both
    assert "model version 0.0.9+abc" in both


def test_another_model_is_named_with_the_ways_on(study: Path) -> None:
    by_another_model(study)
    text = refusal(study)
    assert f"made by model version 0.0.9+abc, this is {model_version()}" in text
    assert f"dse report {study} --out {study / 'report'}" in text
    assert f"--warm-start {study}" in text
    assert "remove" not in text
    assert "technology" not in text


def test_another_search_is_named_and_keeps_the_figures(study: Path) -> None:
    """It would propose other designs from here on; those that are there are of this model."""
    config = json.loads((study / CONFIG).read_text())
    (study / CONFIG).write_text(json.dumps({**config, "search": "0.0.9+abc"}))
    text = refusal(study)
    assert f"made by search version 0.0.9+abc, this is {search_version()}" in text
    assert "model version" not in text
    assert f"--warm-start {study}" in text
    assert read_study(study).of_this_model


def test_other_technology_data_are_named(study: Path) -> None:
    config = json.loads((study / CONFIG).read_text())
    (study / CONFIG).write_text(json.dumps({**config, "technology": "f" * 64}))
    text = refusal(study)
    assert "with technology data " + "f" * 24 in text
    assert "model version" not in text


def test_a_new_field_of_experiments_does_not_end_old_studies(study: Path) -> None:
    """What a study is made of is compared in the form of today, not its digest of then."""
    config = json.loads((study / CONFIG).read_text())
    del config["experiment"]["stratify"]  # as written before there was this field
    (study / CONFIG).write_text(json.dumps({**config, "identity": "of then"}))
    assert len(explore(experiment(), study, trials=6, workers=1).outcomes) == 6


def test_the_page_names_the_model_and_leaves_out_what_it_did_not_compute(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")  # megabytes, not read
    own = write_report(study, tmp_path / "own", feedback=False, workers=1)
    assert own["of_this_model"]
    assert own["left_out"] == []
    page = (tmp_path / "own" / "report.html").read_text()
    assert "All figures of this page" not in page
    assert f"Figures by model version {model_version()}" in page
    by_another_model(study)
    done = write_report(study, tmp_path / "page", draws=8, workers=1)
    assert done["left_out"] == ["feedback", "uncertainty"]
    assert not (tmp_path / "page" / "feedback.json").exists()
    page = (tmp_path / "page" / "report.html").read_text()
    assert "All figures of this page were made by model version 0.0.9+abc" in page
    fronts = [json.loads((tmp_path / d / "pareto.json").read_text()) for d in ("own", "page")]
    assert fronts[0]["pareto"] == fronts[1]["pareto"]
    assert fronts[1]["made_by"]["version"] == "0.0.9+abc"


def test_a_storage_of_another_model_is_not_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its designs would count as present, and one front would hold figures of two models."""
    file = str(tmp_path / "mirror")
    explore(experiment(), trials=4, workers=1, storage=file)
    explore(experiment(), trials=6, workers=1, storage=file)  # the same study goes on
    assert len(read_study(file).outcomes) == 6
    assert read_study(file).of_this_model
    with pytest.raises(InputError, match=r"the storage holds another experiment: seed"):
        explore(experiment(seed=8), trials=4, workers=1, storage=file)
    for module in ("mirror", "origin"):
        monkeypatch.setattr(f"dse.search.{module}.model_version", lambda: "9.9.9+new")
    with pytest.raises(InputError, match=r"this is 9\.9\.9\+new.*another storage"):
        explore(experiment(), trials=4, workers=1, storage=file)
    assert len(read_study(file).outcomes) == 6


def maker(data: dict[str, Any]) -> dict[str, Any]:
    """`made_with` is `version`."""
    data["version"] = data.pop("made_with")
    return data


def why(data: dict[str, Any]) -> dict[str, Any]:
    """`why` is `reasons`, and a list."""
    said = data.pop("why")
    data["reasons"] = said.split("; ") if said else []
    return data


def older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same study as a release would have written it in a (made-up) older form."""
    config = json.loads((folder / CONFIG).read_text())
    config["made_with"] = config.pop("version")
    (folder / CONFIG).write_text(json.dumps(config))
    rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    for row in rows:
        row["why"] = "; ".join(row.pop("reasons"))
    (folder / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for kind, step in (("study", Step(maker)), ("outcome", Step(why))):
        steps = (*KINDS[kind].steps, step)
        monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], steps=steps))


def test_a_study_of_an_older_form_goes_on(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_study(study)
    older(study, monkeypatch)
    with pytest.warns(OlderFileWarning) as said:
        after = read_study(study)
    of_the_log = [str(one.message) for one in said if LOG in str(one.message)]
    assert len(of_the_log) == 1  # not one for each line
    assert after.outcomes == before.outcomes
    assert after.made_by == before.made_by
    assert after.effort == before.effort
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OlderFileWarning)
        longer = explore(experiment(), study, trials=8, workers=1)
        versions = [json.loads(x)["schema_version"] for x in (study / LOG).read_text().splitlines()]
        assert versions == [2] * 6 + [3] * 2
        assert len(longer.outcomes) == 8
        both = read_study(study).outcomes
        done = migrate_path(study, tmp_path / "new")
    assert {Path(one.file).name for one in done.changed} == {CONFIG, LOG}
    with warnings.catch_warnings():
        warnings.simplefilter("error", OlderFileWarning)  # written: nothing to remark any more
        assert read_study(tmp_path / "new").outcomes == both
        assert migrate_path(tmp_path / "new").changed == ()
    assert (tmp_path / "new" / PROGRESS).is_file()
    rows = [line for line in (tmp_path / "new" / LOG).read_text().splitlines() if '"why"' in line]
    assert rows == []


@pytest.mark.parametrize(("name", "kind"), [(CONFIG, "study"), (LOG, "outcome")])
@pytest.mark.parametrize("version", ["newer", True, 0, "1", None])
def test_a_study_of_no_version_of_ours_is_one_error(
    study: Path, name: str, kind: str, version: object
) -> None:
    lines, here = (study / name).read_text(), KINDS[kind].current
    given = here + 1 if version == "newer" else version
    old, new = f'"schema_version": {here}', f'"schema_version": {json.dumps(given)}'
    assert old in lines
    (study / name).write_text(lines.replace(old, new, 1))
    with pytest.raises(InputError) as refused:
        read_study(study)
    assert refused.value.file == str(study / name)
    assert str(refused.value.field).endswith("schema_version")
    with pytest.raises(InputError):
        explore(experiment(), study, trials=6, workers=1)
    assert StudyFolder(study).progress()
