"""The worked example in the docs is what the code gives today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "experiments" / "studies" / "worked_example" / "walk.py"


def test_the_page_is_true(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("walk", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "worked_example.md").read_text(encoding="utf-8").splitlines()
    assert module.walk(tmp_path) == page, "run the script named in the page and commit the result"
