"""Studies: reproducible, resumable, never twice, and honest about their front."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from dse.errors import InputError
from dse.reports import write_report
from dse.search import Effort, Experiment, StudyFolder, StudyResult, explore, front_of, sweep
from dse.search.candidate import Outcome
from dse.search.experiment import Constraint
from dse.search.folder import CONFIG, LOG
from dse.search.parameters import Range
from dse.search.space import grid_size

SPACE = {
    "chip.node": {"ladder": ["28nm", "16nm", "7nm"]},
    "chip.f_hz": {"ladder": [1e8, 1.5e8, 2e8, 3e8, 4e8]},
    "chip.array.cols": {"ladder": [8, 16, 32]},
    "chip.buffer.bytes": {"ladder": [65536, 262144]},
}


def experiment(**changes: object) -> Experiment:
    data: dict[str, object] = {
        "name": "test",
        "app": "wearable_kws",
        "chip": "gap9",
        "parameters": SPACE,
        "objectives": [{"metric": "average_power_w"}, {"metric": "unit_cost_usd"}],
        "population": 8,
        "batch": 4,
        "trials": 20,
        "seed": 3,
    }
    return Experiment.model_validate(data | changes)


def keys(result: StudyResult) -> list[str]:
    return [outcome.key for outcome in result.outcomes]


def test_same_seed_same_study_and_no_design_twice(tmp_path: Path) -> None:
    first = explore(experiment(), tmp_path / "a", workers=1)
    second = explore(experiment(), tmp_path / "b", workers=1)
    assert keys(first) == keys(second)
    assert len(set(keys(first))) == len(first.outcomes) == 20 >= first.evaluated
    assert keys(explore(experiment(seed=4), workers=1)) != keys(first)
    logged = (tmp_path / "a" / LOG).read_text().splitlines()
    assert len(logged) == len(first.outcomes)


def test_two_workers_find_the_same(tmp_path: Path) -> None:
    one = explore(experiment(), workers=1)
    two = explore(experiment(), tmp_path / "two", workers=2)
    assert keys(one) == keys(two)
    assert [o.key for o in one.front] == [o.key for o in two.front]


def test_an_interrupted_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explore(experiment(), workers=1)
    seen = 0
    real = StudyFolder.append

    def append(self: StudyFolder, outcome: Outcome, effort: Effort) -> None:
        nonlocal seen
        seen += 1
        if seen == 10:
            raise KeyboardInterrupt
        real(self, outcome, effort)

    monkeypatch.setattr(StudyFolder, "append", append)
    cut = explore(experiment(), tmp_path, workers=1)
    assert cut.interrupted
    monkeypatch.setattr(StudyFolder, "append", real)
    with (tmp_path / LOG).open("a") as log:
        log.write('{"schema_version": 1, "values": {"chip.no')  # killed while writing
    before = len((tmp_path / LOG).read_text().splitlines())
    resumed = explore(experiment(), tmp_path, workers=1)
    assert keys(resumed) == keys(whole)
    assert [o.key for o in resumed.front] == [o.key for o in whole.front]
    assert len((tmp_path / LOG).read_text().splitlines()) == len(whole.outcomes) >= before


def test_a_finished_study_is_not_evaluated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = explore(experiment(), tmp_path, workers=1)

    def never(*_: object) -> None:
        raise AssertionError("evaluated again")

    monkeypatch.setattr("dse.search.workers.run_candidate", never)
    assert keys(explore(experiment(), tmp_path, workers=1)) == keys(first)


def test_more_trials_extend_the_same_study(tmp_path: Path) -> None:
    explore(experiment(), tmp_path, trials=8, workers=1)
    longer = explore(experiment(), tmp_path, trials=20, workers=1)
    assert keys(longer) == keys(explore(experiment(), workers=1))


def test_another_experiment_in_the_folder_is_refused(tmp_path: Path) -> None:
    explore(experiment(), tmp_path, trials=4, workers=1)
    with pytest.raises(InputError, match="another experiment"):
        explore(experiment(seed=9), tmp_path, trials=4, workers=1)


def test_the_sweep_is_the_grid_and_its_front_is_true(tmp_path: Path) -> None:
    chosen = experiment(parameters={k: SPACE[k] for k in ("chip.node", "chip.f_hz")})
    result = sweep(chosen, tmp_path, workers=1)
    assert len(result.outcomes) == grid_size(chosen) == 15
    assert front_of(result.outcomes, chosen) == result.front_indices


def test_exported_front_is_dominated_by_no_feasible_simulated_row(tmp_path: Path) -> None:
    chosen = experiment()
    explore(chosen, tmp_path / "study", workers=1)
    write_report(tmp_path / "study", tmp_path / "page", feedback=False)
    table = pd.read_csv(tmp_path / "page" / "designs.csv")
    rows = table[table["feasible"] & (table["fidelity"] == "simulate")]
    names = [objective.metric for objective in chosen.objectives]
    front = json.loads((tmp_path / "page" / "pareto.json").read_text())["pareto"]
    assert front
    for member in front:
        own = [member["objectives"][name] for name in names]
        for _, row in rows.iterrows():
            other = [row[name] for name in names]
            no_worse = all(b <= a * (1 + 1e-12) for a, b in zip(own, other, strict=True))
            better = any(b < a * (1 - 1e-9) for a, b in zip(own, other, strict=True))
            assert not (no_worse and better)


def test_a_chip_that_cannot_be_built_is_a_result() -> None:
    chosen = experiment(parameters={"chip.f_hz": {"ladder": [3e8, 9e10]}})
    result = sweep(chosen, workers=1)
    impossible = result.outcomes[1]
    assert impossible.fidelity == "none"
    assert not impossible.feasible
    assert "reach" in impossible.reasons[0]


def test_what_analytic_refuses_simulation_refuses_too() -> None:
    """Pruning is safe: a design rejected at the optimistic level is infeasible when simulated."""
    from dse.evaluation import evaluate

    chosen = experiment(
        app="factory_inspection",
        chip="edge_vision",
        parameters={"chip.array.rows": {"ladder": [8, 16]}, "chip.node": {"ladder": ["16nm"]}},
    )
    for outcome in sweep(chosen, workers=1).outcomes:
        assert outcome.fidelity == "analytic"
        assert evaluate(chosen.design(outcome.values)).feasible is False


def test_constraints_and_ranges() -> None:
    limit = Constraint(metric="area_mm2", max=10.0)
    assert limit.excess(12.0) == pytest.approx(0.2)
    assert limit.excess(9.0) < 0
    assert limit.excess(None) == float("inf")
    assert Range(low=1, high=8, steps=4, log=True).values == (1.0, 2.0, 4.0, 8.0)


def test_a_log_without_its_study_is_not_mixed_with_another(tmp_path: Path) -> None:
    """Nothing says which experiment the rows belong to: they are neither used nor added to."""
    explore(experiment(trials=4), tmp_path, workers=1)
    before = (tmp_path / LOG).read_bytes()
    (tmp_path / CONFIG).unlink()
    with pytest.raises(InputError, match=r"evaluations\.jsonl.*no study\.json"):
        explore(experiment(trials=4), tmp_path, workers=1)
    assert (tmp_path / LOG).read_bytes() == before


@pytest.mark.parametrize(
    "config",
    [
        {"schema_version": 1},
        {"schema_version": 1, "experiment": {"name": "x"}},
        {"schema_version": 1, "experiment": 3},
    ],
)
def test_a_damaged_study_is_one_error(tmp_path: Path, config: dict[str, object]) -> None:
    explore(experiment(trials=4), tmp_path, workers=1)
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError):
        explore(experiment(trials=4), tmp_path, workers=1)
    with pytest.raises(InputError, match=r"study\.json"):
        write_report(tmp_path, tmp_path / "page", feedback=False)


def test_a_full_disk_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explore(experiment(trials=4), tmp_path / "study", workers=1)

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"page.*cannot be written \(No space left"):
        write_report(tmp_path / "study", tmp_path / "page", feedback=False)
