"""The command on an app that a simulation does not decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

APP = """
schema_version: 1
name: hardly_ever
streams:
  - {id: see, model: resnet8, rate_hz: 20, deadline_s: 0.05}
  - {id: hear, model: dscnn_kws, rate_hz: 0.02, release: poisson, deadline_s: 0.1}
horizon_s: 1
"""


def test_the_command_says_so(run: Run, tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(APP)
    found = run("simulate", str(app), "--chip", "edge_vision", "--json")
    assert found.code == 0
    assert (found.json["feasible"], found.json["verdict"]) == (None, "not decided")
    assert found.json["decided_at_s"] == pytest.approx(149.8, abs=0.1)
    shown = run("simulate", str(app), "--chip", "edge_vision").out
    assert "feasibility not decided" in shown
    assert "- not decided: stream hear: no job of it is released within the 1 s observed" in shown
