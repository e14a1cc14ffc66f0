"""A metric that is not finite is a design's reason, never a study's traceback."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.errors import InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.finite import with_finite_verdict
from dse.evaluation.record import Evaluation
from dse.search import candidate, check_experiment, evaluate_candidate, resolve_experiment
from dse.search.experiment import Experiment
from dse.search.folder import StudyFolder
from dse.search.study import explore

GRID: dict[str, Any] = {
    "name": "extremes",
    "app": "wearable_kws",
    "chip": "wearable_npu",
    "parameters": {"chip.f_hz": {"ladder": [1e8, 2e8]}},
    "objectives": [{"metric": "carbon_kg"}, {"metric": "unit_cost_usd"}],
    "sampler": "grid",
    "prune": False,
    "fidelity": "analytic",
}
FIRST = {"chip.f_hz": 1e8}


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate({**GRID, **changes})


@pytest.fixture
def made_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record has an infinite carbon footprint and a power that is no number."""

    def evaluate(*given: Any, **named: Any) -> tuple[Evaluation, None]:
        record, _ = evaluate_app(*given, **named)
        broken = replace(record, carbon_kg=math.inf, average_power_w=math.nan)
        return with_finite_verdict(broken), None

    monkeypatch.setattr(candidate, "evaluate_app", evaluate)


@pytest.mark.usefixtures("made_infinite")
def test_the_design_is_infeasible_and_says_why() -> None:
    found = evaluate_candidate(resolve_experiment(experiment()), FIRST)
    assert not found.feasible
    assert not found.serves
    assert found.objectives is None
    assert math.isfinite(found.violation)
    assert any("carbon_kg is not finite (inf)" in why for why in found.reasons)
    assert any("average_power_w is not finite (nan)" in why for why in found.reasons)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.usefixtures("made_infinite")
def test_a_study_of_such_designs_ends_and_goes_on(tmp_path: Path) -> None:
    pool = candidate_pool()
    result = explore(experiment(), tmp_path / "out", evaluator=pool)
    assert len(result.outcomes) == 2
    assert result.front == ()
    kept = list(StudyFolder(tmp_path / "out").outcomes())
    assert [one.objectives for one in kept] == [None, None]


def candidate_pool() -> Any:
    """Evaluates in this process, where the record was broken."""
    resolved = resolve_experiment(experiment())

    class Here:
        bounds = None

        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def evaluate(self, batch: Any, front: Any) -> Any:
            for values in batch:
                yield candidate.run_candidate(resolved, (values, front))

    return Here()


def test_an_overflow_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: Any, **__: Any) -> Any:
        return 10.0**400

    monkeypatch.setattr(candidate, "evaluate_app", evaluate)
    found = evaluate_candidate(resolve_experiment(experiment()), FIRST)
    assert not found.feasible
    assert "beyond what a number can hold" in found.reasons[0]


def test_what_is_finite_is_left_alone() -> None:
    found = evaluate_candidate(resolve_experiment(experiment()), FIRST)
    assert found.objectives is not None
    assert not any("finite" in why for why in found.reasons)


def test_values_out_of_range_are_refused_before_the_search() -> None:
    huge = experiment(parameters={"chip.noc.mm": {"choices": [1.0, 1e17]}})
    with pytest.raises(InputError, match="out of range"):
        check_experiment(huge, "huge.yaml")
