"""Several studies and several objectives in one storage; objectives that no design has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import dse
from dse.errors import InputError
from dse.files import shipped_folder
from dse.reports import compare_studies, read_study
from dse.search import check_experiment, explore, load_experiment
from dse.search.experiment import Experiment

CHIP = {"schema_version": 1, "name": "mine", "template": "mcu_npu", "f_hz": 2.0e8}
APP: dict[str, Any] = {
    "name": "tinyapp",
    "streams": [{"id": "a", "model": "net.onnx", "rate_hz": 5, "deadline_s": 1.0}],
}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "app": "app.yaml",
    "chip": "chip.yaml",
    "parameters": {"chip.buffer.bytes": {"ladder": [131072, 262144]}},
    "objectives": [{"metric": "average_power_w"}],
    "sampler": "grid",
    "fidelity": "analytic",
}
Make = Callable[..., Experiment]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """``make(app={...}, name="other")``: an experiment whose files stand in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(shipped_folder("models") / "resnet8.onnx", "net.onnx")

    def made(app: dict[str, Any] | None = None, **fields: Any) -> Experiment:
        files = {"chip": CHIP, "app": {**APP, **(app or {})}, "study": {**STUDY, **fields}}
        for name, content in files.items():
            Path(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_experiment("study.yaml")

    return made


def mirrored(experiment: Experiment, storage: str = "both") -> None:
    explore(experiment, workers=1, storage=storage)


@pytest.mark.parametrize(
    "objectives",
    [
        [{"metric": "latency_s"}],
        [{"metric": "energy_j"}],
        [{"metric": "average_power_w", "direction": "maximize"}],
        [{"metric": "average_power_w"}, {"metric": "latency_s"}],
    ],
)
@pytest.mark.parametrize("url", ["both", "sqlite:///both.db"])
def test_another_objective_of_one_name_is_refused(
    make: Make, objectives: list[dict[str, str]], url: str
) -> None:
    """Watts of the first study stood as seconds in the second one's report."""
    mirrored(make(), url)
    with pytest.raises(InputError) as caught:
        mirrored(make(objectives=objectives), url)
    assert caught.value.field == "--storage"
    kept = read_study(url)
    assert [o.metric for o in kept.experiment.objectives] == ["average_power_w"]
    assert all(o.objectives == (o.evaluation.average_power_w,) for o in kept.outcomes)  # type: ignore[union-attr]


@pytest.mark.parametrize("metric", ["latency_s", "area_mm2", "unit_cost_usd", "npu.area_mm2"])
def test_figures_of_another_objective_are_not_ranked(
    make: Make, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a storage where an early release let a second experiment take over the name."""
    mirrored(make())
    monkeypatch.setattr("dse.search.mirror.differences", lambda *_, **__: None)
    mirrored(make(objectives=[{"metric": metric}]))
    with pytest.raises(InputError, match=rf"other objectives than the experiment's \({metric}\)"):
        dse.report("both", "report", feedback=False)
    assert not Path("report").exists()


def test_a_storage_of_several_studies_asks_for_the_name(make: Make) -> None:
    mirrored(make())
    assert read_study("both").experiment.name == "tiny"
    mirrored(make(name="other", objectives=[{"metric": "latency_s"}]))
    mirrored(make(name="third", fixed={"chip.f_hz": 1.0e8}))
    with pytest.raises(InputError, match="3 studies: other, third, tiny") as caught:
        read_study("both")
    assert caught.value.field == "--name"
    assert "--name other" in str(caught.value.mend)
    for name in ("tiny", "other", "third"):
        assert read_study("both", name).experiment.name == name
        assert read_study(f"both#{name}").experiment.name == name
        assert dse.load_study("both", name).experiment.name == name
    with pytest.raises(InputError, match="no study 'thirt'"):
        read_study("both", "thirt")
    written = dse.report("both", "report", name="third", feedback=False)
    assert written.designs == 2
    assert "third" in Path("report/report.html").read_text()
    assert compare_studies(["both#tiny", "both#third"])


@pytest.mark.parametrize("url", ["sqlite:///many.db", "many.journal"])
def test_a_study_of_another_tool_beside_ours_is_not_counted(make: Make, url: str) -> None:
    import optuna

    from dse.search.mirror import open_storage

    optuna.create_study(study_name="a-foreign-one", storage=open_storage(url))
    with pytest.raises(InputError, match="no study of this tool"):
        read_study(url)
    mirrored(make(), url)
    assert read_study(url).experiment.name == "tiny"


def test_a_name_must_be_the_folders_own(make: Make) -> None:
    explore(make(), "out", workers=1)
    assert read_study("out", "tiny").outcomes
    with pytest.raises(InputError, match="holds the study 'tiny', not 'other'"):
        read_study("out", "other")


BATTERY = {"budgets": {"battery_wh": 10.0}}
HEAT = {"environment": {"ambient_c": 30.0, "thermal_c_per_w": 20.0}}


@pytest.mark.parametrize(
    ("fields", "lacking"),
    [
        ({"objectives": [{"metric": "battery_hours"}]}, "budgets.battery_wh"),
        ({"objectives": [{"metric": "junction_c"}]}, "environment.thermal_c_per_w"),
        (
            {"objectives": [{"metric": "area_mm2"}, {"metric": "battery_hours"}]},
            "budgets.battery_wh",
        ),
        ({"constraints": [{"metric": "battery_hours", "min": 2.0}]}, "budgets.battery_wh"),
        ({"constraints": [{"metric": "junction_c", "max": 80}]}, "environment.thermal_c_per_w"),
    ],
)
def test_what_no_design_can_have_is_refused_with_the_mend(
    make: Make, fields: dict[str, Any], lacking: str
) -> None:
    with pytest.raises(InputError, match=lacking) as caught:
        check_experiment(make(**fields), "study.yaml")
    assert caught.value.file is not None
    assert caught.value.mend is not None
    assert lacking in caught.value.mend
    given = BATTERY if "battery" in lacking else HEAT
    found = explore(check_experiment(make(given, **fields), "study.yaml"), workers=1)
    assert found.front


def test_a_value_of_a_parameter_may_give_it(make: Make) -> None:
    fields: dict[str, Any] = {
        "objectives": [{"metric": "battery_hours"}],
        "fixed": {"app.budgets.battery_wh": 5.0},
    }
    assert check_experiment(make(**fields), "study.yaml")


def test_a_play_knows_the_chips_own_heat(make: Make) -> None:
    fields: dict[str, Any] = {
        "objectives": [{"metric": "junction_c"}],
        "fixed": {"chip.power.thermal.resistance_k_per_w": 30.0},
        "fidelity": "simulate",
    }
    assert explore(check_experiment(make(**fields), "study.yaml"), workers=1).front
    with pytest.raises(InputError, match="thermal_c_per_w"):
        check_experiment(make(**{**fields, "fidelity": "analytic"}), "study.yaml")
