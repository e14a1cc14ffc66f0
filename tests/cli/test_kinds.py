"""Chips with several kinds of cores from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

DUO = "wearable_duo_npu"


def test_show_prints_each_kind(run: Run) -> None:
    done = run("show", DUO)
    assert done.code == 0
    assert "name=vision" in done.out
    assert "name=listen" in done.out
    table = json.loads(run("show", DUO, "--json").out)
    assert [row["name"] for row in table["kinds"]] == ["vision", "listen"]
    assert table["cores"] == 2
    assert "kinds" not in json.loads(run("show", "edge_vision", "--json").out)


@pytest.mark.parametrize("command", ["map", "simulate"])
@pytest.mark.parametrize("kind", ["vision", "listen"])
def test_a_model_runs_on_the_kind_asked_for(run: Run, command: str, kind: str) -> None:
    done = run(command, "dscnn_kws", "--chip", DUO, "--kind", kind)
    assert done.code == 0, done.err
    assert f"on {DUO}, its {kind} cores" in done.out
    record = json.loads(run(command, "dscnn_kws", "--chip", DUO, "--kind", kind, "--json").out)
    assert record["core_kind"] == kind
    assert record["f_hz"] == {"vision": 4e8, "listen": 5e7}[kind]


def test_a_layer_is_explained_on_its_kind(run: Run) -> None:
    record = json.loads(run("map", "dscnn_kws", "--chip", DUO, "--json").out)
    layer = next(row["name"] for row in record["layers"] if row["macs"])
    done = run("map", "dscnn_kws", "--chip", DUO, "--kind", "listen", "--explain", layer)
    assert done.code == 0, done.err
    assert f"on the listen cores of {DUO}" in done.out


def test_an_app_prints_the_kind_of_each_stream(run: Run) -> None:
    done = run("simulate", "wearable_kws", "--chip", DUO, "--objective", "energy")
    assert done.code == 0, done.err
    assert "listen 1" in done.out
    assert "by kind" in done.out
    pinned = run(
        "simulate", "wearable_kws", "--chip", DUO, "--objective", "energy",
        "--set", "app.keyword.cores=vision", "--json",
    )  # fmt: skip
    rows = {row["task"]: row for row in json.loads(pinned.out)["tasks"]}
    assert (rows["keyword"]["core_kind"], rows["keyword"]["cores"]) == ("vision", [0])
    assert set(json.loads(pinned.out)["kind_energy_j"]) == {"vision", "listen"}
    spread = run("simulate", "wearable_kws", "--chip", DUO, "--uncertainty", "2", "--json")
    assert spread.code == 0, spread.err


def test_a_sweep_turns_kinds_and_cores(run: Run, tmp_path: Path) -> None:
    (tmp_path / "duo.yaml").write_text(
        "schema_version: 1\nname: duo\napp: wearable_kws\nchip: wearable_duo_npu\n"
        "parameters:\n"
        "  chip.kinds.listen.array.rows: {choices: [4, 8]}\n"
        "  app.keyword.cores: {choices: [listen, vision, 5]}\n"
        "objectives: [{metric: average_power_w}, {metric: area_mm2}]\n"
    )
    done = run("sweep", "duo.yaml", "--out", "study", "--workers", "1", "--json")
    assert done.code == 0, done.err
    text = (tmp_path / "study" / "evaluations.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in text]
    by_core = {"listen": 0, "vision": 0, 5: 0}
    for entry in found:
        by_core[entry["values"]["app.keyword.cores"]] += bool(entry["feasible"])
    assert by_core == {"listen": 2, "vision": 2, 5: 0}  # the chip has no core 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "dscnn_kws", "--chip", DUO, "--kind", "talk"), "vision, listen"),
        (("map", "dscnn_kws", "--chip", "edge_vision", "--kind", "talk"), "all equal"),
        (("simulate", "wearable_kws", "--chip", DUO, "--kind", "listen"), "app.<stream>.cores"),
        (
            ("simulate", "wearable_kws", "--chip", DUO, "--set", "app.keyword.cores=talk"),
            "use vision or listen",
        ),
        (
            ("simulate", "dscnn_kws", "--chip", DUO, "--set", "chip.kinds.listen.array.rowz=3"),
            "kinds.listen.array.rowz",
        ),
    ],
)
def test_wrong_kinds_are_refused(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
