"""``--line`` and ``dse compare``: one experiment on several production lines, side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

EXPERIMENT = """
schema_version: 1
name: tiny
app: wearable_kws
chip: mcu_mram_npu
parameters:
  chip.node: {ladder: [28nm, 2nm]}
  chip.f_hz: {ladder: [2.5e+7, 5.0e+7]}
objectives: [{metric: average_power_w}, {metric: unit_cost_usd}]
population: 4
batch: 4
trials: 8
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of one experiment on two lines, swept once for all tests here."""
    from dse.search import load_experiment
    from dse.search import sweep as run_sweep

    folder = tmp_path_factory.mktemp("lines")
    file = folder / "tiny.yaml"
    file.write_text(EXPERIMENT)
    for line in ("jasm2", "rapidus"):
        run_sweep(load_experiment(file).on_line(line), folder / line, workers=1)
    return folder


def compared(run: Run, folder: Path, *more: str) -> Any:
    return run("compare", str(folder / "jasm2"), str(folder / "rapidus"), *more)


def test_a_line_restricts_the_nodes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    found = run("sweep", "tiny.yaml", "--line", "jasm1", "--out", "r", "--workers", "1", "--json")
    assert found.json["experiment"] == "tiny-jasm1"
    assert found.json["designs"] == 8
    nodes = {o["values"]["chip.node"] for o in found.json["pareto"]}
    assert nodes
    assert nodes <= {"28nm", "22nm", "16nm", "12nm"}
    refused = run("explore", "tiny.yaml", "--line", "nowhere", "--out", "x")
    assert refused.code == 2
    assert "--line" in refused.err
    assert "jasm1" in refused.err


def test_the_verdict_follows_from_the_costs(run: Run, lines: Path) -> None:
    contests = compared(run, lines, "--json").json["contests"]
    assert [c["volume"] for c in contests] == [1e6, 1e7, 1e8]
    for contest in contests:
        standings = contest["standings"]
        for one in standings:
            assert sum(one["parts_usd"].values()) == pytest.approx(one["unit_cost_usd"], rel=1e-9)
            assert one["within_budget"] == (one["unit_cost_usd"] <= 5.0)
        able = [one for one in standings if one["within_budget"]]
        cheapest = min(able, key=lambda one: one["unit_cost_usd"], default=None)
        assert contest["winner"] == (cheapest["study"] if cheapest else None)
        best, other = standings
        more = other["unit_cost_usd"] - best["unit_cost_usd"]
        assert f"{more:+.3g} USD" in contest["verdict"]
    # One-time cost decides at a million; it is spread thin at a hundred million.
    once = [c["standings"][-1]["parts_usd"]["nre_per_unit"] for c in contests]
    assert once[0] == pytest.approx(100 * once[2])
    assert "design and masks" in contests[0]["verdict"]


def test_a_study_that_serves_nobody_says_what_breaks(run: Run, lines: Path, tmp_path: Path) -> None:
    text = EXPERIMENT.replace(
        "objectives:", "constraints: [{metric: area_mm2, max: 0.01}]\nobjectives:"
    )
    (tmp_path / "strict.yaml").write_text(text)
    assert (
        run("sweep", "strict.yaml", "--line", "jasm2", "--out", "strict", "--workers", "1").code
        == 0
    )
    found = run("compare", "strict", str(lines / "rapidus"), "--json").json["contests"]
    for contest in found:
        last = contest["standings"][-1]
        assert last["study"] == "strict"
        assert last["node"] == ""
        assert "area_mm2" in last["reason"]
        assert "serves in none" in contest["verdict"]


def test_the_page_and_the_table(run: Run, lines: Path, tmp_path: Path) -> None:
    done = compared(run, lines, "--html", "side.html")
    assert done.code == 0
    assert "wearable_kws, 1,000,000 units" in done.out
    page = (tmp_path / "side.html").read_text()
    assert "jasm2" in page
    assert "unit cost" in page
    assert compared(run, lines, "--html", "side.txt").code == 2
    assert run("compare", str(lines / "jasm2")).code == 2
    assert run("compare", str(lines / "jasm2"), "nowhere").code == 2


def test_studies_without_a_chip_that_exists_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fast.yaml").write_text(EXPERIMENT.replace("[2.5e+7, 5.0e+7]", "[9.0e+9]"))
    for out in ("one", "other"):
        assert run("sweep", "fast.yaml", "--out", out, "--workers", "1").code == 0
    found = run("compare", "one", "other")
    assert found.code == 2
    assert "can be built" in found.err
    assert "Traceback" not in found.err


def test_studies_of_two_versions_are_refused(run: Run, lines: Path, tmp_path: Path) -> None:
    shutil.copytree(lines / "rapidus", tmp_path / "old")
    config = json.loads((tmp_path / "old" / "study.json").read_text())
    config["version"] = "0.0.9+0"
    (tmp_path / "old" / "study.json").write_text(json.dumps(config))
    found = run("compare", str(lines / "jasm2"), "old")
    assert found.code == 2
    assert found.err.startswith("error: old: made by another version")
    assert found.out == ""
