"""The chip page says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dse.hardware import list_templates, load_chip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "chips.md"


def test_the_example_loads_and_is_short(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) <= 30
    path = tmp_path / "example.yaml"
    path.write_text(found[1], encoding="utf-8")
    chip = load_chip(path)
    assert chip.array.macs_per_cycle == 16 * 64
    assert chip.links["l2"].bytes_per_s == 0.0


def test_every_family_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{entry.name}`" in text for entry in list_templates())


@pytest.mark.parametrize(
    ("row", "chip", "node", "scope"),
    [
        ("NVDLA 2048, NPU area, 16 nm", "nvdla_2048", 16, "npu"),
        ("NVDLA 2048, NPU area, 28 nm", "nvdla_2048", 28, "npu"),
        ("Keller 5 nm, core area", "keller_5nm", 5, "npu"),
        ("TPU v1, die", "tpu_v1", 28, "die"),
        ("FSD, die", "tesla_fsd_nna", 14, "die"),
    ],
)
def test_the_stated_areas_are_the_model_s(row: str, chip: str, node: int, scope: str) -> None:
    line = next(x for x in PAGE.read_text(encoding="utf-8").splitlines() if f"| {row} |" in x)
    stated = float(line.split("|")[3].split()[0])
    assert load_chip(chip, node).area.scope_mm2(scope) == pytest.approx(stated, rel=0.03)
