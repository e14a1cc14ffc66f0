"""A design on which a simulation gives no verdict is infeasible to a search, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.search import evaluate_candidate, resolve_experiment
from dse.search.experiment import Experiment
from dse.search.failures import failure_counts
from dse.search.study import explore

APP = """
schema_version: 1
name: hardly_ever
streams:
  - {id: see, model: resnet8, rate_hz: 20, deadline_s: 0.05}
  - {id: hear, model: dscnn_kws, rate_hz: 0.02, release: poisson, deadline_s: 0.1}
horizon_s: 1
"""
GRID: dict[str, Any] = {
    "name": "hardly_ever",
    "chip": "edge_vision",
    "parameters": {"chip.f_hz": {"ladder": [2e8, 4e8]}},
    "objectives": [{"metric": "average_power_w"}, {"metric": "unit_cost_usd"}],
    "sampler": "grid",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.yaml"
    path.write_text(APP)
    return path


def test_it_is_infeasible_with_its_reason(app: Path) -> None:
    found = resolve_experiment(Experiment.model_validate({**GRID, "app": str(app)}))
    outcome = evaluate_candidate(found, {"chip.f_hz": 2e8})
    assert (outcome.fidelity, outcome.feasible, outcome.serves) == ("simulate", False, False)
    assert outcome.violation == 1.0
    (reason,) = outcome.reasons
    assert (reason.kind, reason.stream) == ("horizon", "hear")
    assert "horizon_s of 149.8 would decide" in reason
    assert reason.broken == "not decided within the horizon"
    longer = evaluate_candidate(found, {"chip.f_hz": 2e8, "app.horizon_s": 150.0})
    assert longer.feasible is True, longer.reasons


def test_a_study_has_no_front_and_counts_why(app: Path, tmp_path: Path) -> None:
    experiment = Experiment.model_validate({**GRID, "app": str(app)})
    result = explore(experiment, tmp_path / "out")
    assert result.front == ()
    assert failure_counts(result.outcomes) == [("not decided within the horizon", 2)]
