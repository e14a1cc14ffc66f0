"""Files of every landed version are read as that version read them, and their studies reported.

What is promised is the inputs and the stored numbers. What today's model makes of those inputs is
not: the model may get better.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dse.errors import InputError
from dse.migrations import KINDS, kind_of, migrate, migrate_path, read_json
from dse.reports import compare_studies, read_study, write_report
from dse.search import StudyFolder, explore, load_experiment, starting_designs
from dse.search.mirror import read_storage
from dse.technology import digest_of_today, load_technology
from dse.version import model_version
from tests.compat.freeze import STUDY, WRITTEN, read

HERE = Path(__file__).resolve().parent
VERSIONS = sorted(path.parent for path in HERE.glob("*/expected.json"))
#: Of a chip of a template only what its own file says is frozen: the family's values may change.
OWN_VALUES = ("name", "template", "node", "f_hz", "array.rows", "array.cols", "buffer.bytes")


@pytest.fixture(params=VERSIONS, ids=[path.name for path in VERSIONS])
def landed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of one version, copied where they may be written to, as the working folder."""
    folder = tmp_path / "landed"
    shutil.copytree(request.param, folder)
    monkeypatch.chdir(folder)
    return folder


def expected() -> Any:
    return json.loads(Path("expected.json").read_text())


def as_expected(found: Any, wanted: Any, where: str = "") -> None:
    """All that was read then is read now; fields that came later may stand beside it."""
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            assert key in found, f"{where}.{key} is gone"
            as_expected(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            as_expected(one, other, f"{where}.{index}")
    else:
        assert found == wanted, where


def table(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def value(content: Any, path: str) -> Any:
    for part in path.split("."):
        content = content[part]
    return content


def test_the_first_version_is_there() -> None:
    assert "8677067" in [path.name for path in VERSIONS]


@pytest.mark.parametrize("name", [*WRITTEN, "quality.json"])
def test_a_file_means_what_it_meant(landed: Path, name: str) -> None:
    then = expected()["read"][name]
    kind = kind_of(then)
    assert kind is not None
    now, then = read(name), migrate(kind, then)
    if name == "family.yaml":
        assert [value(now, path) for path in OWN_VALUES] == [value(then, p) for p in OWN_VALUES]
        return
    as_expected(now, {k: v for k, v in then.items() if k != "schema_version"}, name)


def test_every_file_is_known_by_its_content(landed: Path) -> None:
    found = {Path(one.file).name: one.kind for one in migrate_path(landed).files}
    assert found == {
        "chip.yaml": "chip",
        "family.yaml": "chip",
        "app.yaml": "app",
        "platform.yaml": "platform",
        "experiment.yaml": "experiment",
        "study_experiment.yaml": "experiment",
        "pins.yaml": "pins",
        "quality.json": "quality",
        "study.json": "study",
        "evaluations.jsonl": "outcome",
        "progress.jsonl": "progress",
        "pareto.json": "pareto",
    }


def test_a_study_is_read_whole(landed: Path) -> None:
    then, study = expected()["study"], read_study("study")
    assert list(study.made_by) == then["made_by"]
    as_expected(study.experiment.model_dump(mode="json"), migrate("experiment", then["experiment"]))
    designs = [json.loads(json.dumps(outcome.to_dict())) for outcome in study.outcomes]
    as_expected(designs, then["designs"])
    assert [outcome.values for outcome in study.front] == then["front"]
    as_expected(list(study.progress), then["progress"])
    as_expected(study.effort.to_dict(), then["effort"])


def test_a_mirror_is_read_whole(landed: Path) -> None:
    stored, folder = read_storage("storage.journal"), read_study("study")
    assert stored.experiment == folder.experiment
    own = {outcome.key: outcome.to_dict() for outcome in folder.outcomes}
    assert {outcome.key: outcome.to_dict() for outcome in stored.outcomes} == own


def test_the_numbers_are_reported_unchanged_and_nothing_is_simulated(
    landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("evaluated again, by another model")

    monkeypatch.setattr("dse.search.workers.run_candidate", never)
    monkeypatch.setattr("dse.search.workers.resolve_experiment", never)
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")  # megabytes, not read
    done = write_report("study", "page", draws=4, workers=1)
    assert not done["of_this_model"]
    assert done["left_out"] == ["feedback", "uncertainty"]
    then, now = read_json("pareto", "report/pareto.json"), read_json("pareto", "page/pareto.json")
    as_expected(now, {k: v for k, v in then.items() if k != "schema_version"})
    assert now["made_by"]["version"] == expected()["study"]["made_by"][1]
    for name in ("designs.csv", "pareto.csv"):
        as_expected(table(f"page/{name}"), table(f"report/{name}"), name)
    page = Path("page/report.html").read_text()
    made = expected()["study"]["made_by"][1]
    assert f"All figures of this page were made by model version {made}" in page
    assert model_version() in page
    assert "What to change next" not in page


def test_a_storage_that_names_no_model_says_so(
    landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.reports.page.plot_html", lambda *_, **__: "")
    done = write_report("storage.journal", "page", workers=1)
    stored = read_storage("storage.journal")
    if stored.made_by == ("", ""):
        assert done["left_out"] == ["feedback"]
        assert (
            "a model version that the study does not name" in Path("page/report.html").read_text()
        )


def test_studies_of_the_version_are_compared_under_its_name(landed: Path) -> None:
    shutil.copytree("study", "again")
    contests = compare_studies(["study", "again"])
    assert contests
    for contest in contests:
        assert not contest.of_this_model
        assert expected()["study"]["made_by"][1] in contest.maker
        assert contest.standings[0].unit_cost_usd == contest.standings[1].unit_cost_usd


def test_going_on_is_refused_with_what_differs_and_the_ways_on(landed: Path) -> None:
    before = Path("study/evaluations.jsonl").read_bytes(), Path("study/study.json").read_bytes()
    data, version = expected()["study"]["made_by"]
    with pytest.raises(InputError) as refused:
        StudyFolder("study").open(load_experiment(STUDY), load_technology().digest)
    text = refused.value.describe()
    assert text.count("\n") == 0
    assert f"holds this experiment, made by model version {version}, this is {model_version()}" in (
        text
    )
    assert ("technology data" in text) == (digest_of_today(data) != load_technology().digest)
    assert "dse report study" in text
    assert "--warm-start study" in text
    assert "remove" not in text
    after = Path("study/evaluations.jsonl").read_bytes(), Path("study/study.json").read_bytes()
    assert after == before


def test_a_new_study_begins_with_the_designs_of_the_old_one(landed: Path) -> None:
    experiment = load_experiment(STUDY)
    start = starting_designs(experiment, "study")
    assert start == [outcome.values for outcome in read_study("study").front]
    found = explore(experiment, "new", trials=2, workers=1, start=start)
    assert [outcome.values for outcome in found.outcomes[: len(start)]] == start
    fresh = read_study("new")
    assert fresh.of_this_model
    assert StudyFolder("new").start() == tuple(start)


def test_migrating_the_folder_changes_no_meaning(landed: Path) -> None:
    done = migrate_path("study")
    assert bool(done.changed) == any(KINDS[one.kind].current > 1 for one in done.files)
    if done.out is not None:
        old, new = read_study("study"), read_study(done.out)
        assert [o.to_dict() for o in new.outcomes] == [o.to_dict() for o in old.outcomes]
