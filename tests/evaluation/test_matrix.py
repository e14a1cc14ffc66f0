"""Every shipped app has a chip that satisfies it and one that does not.

Quick apps always; all of them in the long tier (some minutes), as ``experiments/app_matrix.py``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dse.apps import list_apps
from dse.hardware.library import list_chips, list_templates
from dse.hardware.platform import shipped_platforms

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "app_matrix.py"
QUICK = ("wearable_kws", "mlperf_tiny")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("app_matrix", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["app_matrix"] = module
    spec.loader.exec_module(module)
    return module


MATRIX = script()
LINES = MATRIX.expectations()


def test_every_app_has_its_line_with_shipped_chips() -> None:
    assert set(LINES) == {app.name for app in list_apps()}
    known = {chip.name for chip in (*list_chips(), *list_templates())} | set(shipped_platforms())
    for line in LINES.values():
        assert {line["satisfied"], line["fails"]} <= known


@pytest.mark.parametrize(
    "app", [*QUICK, *(pytest.param(n, marks=pytest.mark.long) for n in LINES if n not in QUICK)]
)
def test_one_chip_satisfies_it_and_one_does_not(app: str) -> None:
    line = MATRIX.check(app, LINES[app])
    assert line.faults == ()
    assert line.binds
