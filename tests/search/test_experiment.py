"""Experiment files: faults are found before the search begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.search import check_experiment, load_experiment

GOOD = """
schema_version: 1
name: mine
app: wearable_kws
chip: edge_vision
parameters:
  chip.node: {ladder: [16nm, 7nm]}
  model.keyword.precision: {choices: [w8a8, w8a16]}
objectives: [{metric: average_power_w}]
"""


def test_a_good_file_passes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    check_experiment(load_experiment(path), str(path))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("metric: average_power_w", "metric: average_powr_w", "average_power_w"),
        ("chip.node", "chipp.node", "chipp.node"),
        ("chip.node", "chip.nodee", "nodee"),
        ("16nm, 7nm", "16nm, 6.5nm", "6.5"),
        ("w8a8, w8a16", "w8a8, w1a1", "w1a1"),
        ("model.keyword", "model.keywrd", "keyword"),
        ("app: wearable_kws", "app: wearable", "wearable_kws"),
        ("chip: edge_vision", "chip: edge", "edge_vision"),
        ("ladder: [16nm, 7nm]", "laddder: [16nm, 7nm]", "chip.node"),
        ("objectives: [{metric: average_power_w}]", "", "objectives"),
    ],
)
def test_faults_are_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as fault:
        check_experiment(load_experiment(path), str(path))
    assert words in fault.value.describe()
