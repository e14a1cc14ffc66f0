"""A study is made of what its files hold, not of their names."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from dse.errors import InputError, OlderFileWarning, RunError
from dse.files import shipped_folder
from dse.reports import read_study
from dse.search import StudyFolder, explore, load_experiment
from dse.search.experiment import Experiment
from dse.search.folder import CONFIG
from dse.search.inputs import input_digests

CHIP = {"schema_version": 1, "name": "mine", "template": "mcu_npu", "f_hz": 2.0e8}
APP: dict[str, Any] = {
    "name": "tinyapp",
    "streams": [{"id": "a", "model": "net.onnx", "rate_hz": 5, "deadline_s": 1.0}],
}
STUDY = {
    "name": "tiny",
    "app": "app.yaml",
    "chip": "chip.yaml",
    "parameters": {"chip.buffer.bytes": {"ladder": [131072, 262144, 524288]}},
    "objectives": [{"metric": "average_power_w"}, {"metric": "unit_cost_usd"}],
    "sampler": "grid",
    "fidelity": "analytic",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of the user's own chip, app and model, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("chip", CHIP), ("app", APP), ("study", STUDY)):
        write(name, content)
    shutil.copyfile(shipped_folder("models") / "resnet8.onnx", "net.onnx")
    return tmp_path


def write(name: str, content: dict[str, Any]) -> None:
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def study() -> Experiment:
    return load_experiment("study.yaml")


def run(trials: int = 3, **options: Any) -> Any:
    return explore(study(), "out", trials=trials, workers=1, **options)


@pytest.mark.usefixtures("files")
def test_what_counts_and_what_does_not() -> None:
    first = input_digests(study())
    assert set(first) == {"chip chip.yaml", "app app.yaml", "file net.onnx"}
    write("chip", {**CHIP, "description": "words"})
    write("app", {**APP, "title": "words"})
    assert input_digests(study()) == first
    write("chip", {**CHIP, "f_hz": 3.0e8})
    assert input_digests(study())["chip chip.yaml"] != first["chip chip.yaml"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("changed", ["chip chip.yaml", "app app.yaml", "file net.onnx"])
def test_a_changed_file_is_noticed_and_nothing_is_reused(changed: str) -> None:
    run(2)
    kept = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    if changed.startswith("chip"):
        write("chip", {**CHIP, "f_hz": 3.0e8})
    elif changed.startswith("app"):
        streams = [{**APP["streams"][0], "rate_hz": 6}]
        write("app", {**APP, "streams": streams})
    else:
        shutil.copyfile(shipped_folder("models") / "dscnn_kws.onnx", "net.onnx")
    with pytest.raises(InputError) as refused:
        run()
    told = refused.value.describe()
    assert f"with other inputs: {changed} has changed since" in told
    assert "bring back the file" in told
    assert "--warm-start out" in told
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == kept


@pytest.mark.usefixtures("files")
def test_a_folder_without_digests_goes_on_with_a_remark() -> None:
    run(2)
    config = json.loads(Path("out", CONFIG).read_text())
    del config["inputs"]
    Path("out", CONFIG).write_text(json.dumps(config))
    with pytest.warns(OlderFileWarning, match="is not known"):
        assert len(run(3).outcomes) == 3


@pytest.mark.usefixtures("files")
def test_two_studies_of_one_name_do_not_share_a_storage() -> None:
    explore(study(), "one", trials=2, workers=1, storage="both")
    write("other", {**CHIP, "name": "other", "f_hz": 3.0e8})
    write("study", {**STUDY, "chip": "other.yaml"})
    with pytest.raises(InputError, match=r"the storage holds another experiment: chip"):
        explore(study(), "two", trials=2, workers=1, storage="both")
    write("study", STUDY)
    write("chip", {**CHIP, "f_hz": 3.0e8})
    with pytest.raises(InputError, match=r"other inputs: chip chip.yaml has changed"):
        explore(study(), "three", trials=2, workers=1, storage="both")
    assert {o.evaluation.chip for o in read_study("both").outcomes if o.evaluation} == {"mine"}


@pytest.mark.usefixtures("files")
def test_a_storage_in_which_an_early_release_mixed_two_studies_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explore(study(), "one", trials=2, workers=1, storage="both")
    write("chip", {**CHIP, "name": "another", "f_hz": 3.0e8})
    write("study", {**STUDY, "parameters": {"chip.buffer.bytes": {"ladder": [65536, 32768]}}})
    monkeypatch.setattr("dse.search.mirror.differences", lambda *_, **__: None)
    explore(study(), "two", trials=2, workers=1, storage="both")
    with pytest.raises(InputError, match=r"mixes designs of several studies.*another, mine"):
        read_study("both")


@pytest.mark.usefixtures("files")
def test_a_full_disk_at_the_end_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("dse.search.folder.os.fsync", full)
        with pytest.raises(RunError, match=r"No space left on device.*free the disk"):
            run(2)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "evaluations.jsonl",
        "progress.jsonl",
        "study.json",
    ]
    assert len(list(StudyFolder("out").outcomes())) == 2
