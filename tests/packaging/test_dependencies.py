"""The oldest dependencies that pyproject.toml admits, and the newest on every Python there is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built, call, installed, interpreters

pytestmark = pytest.mark.long

#: Tests that touch every dependency: files, mapper, simulation, search, report, command line.
SLICE = (
    "tests/mapping/test_disk.py",
    "tests/mapping/test_stamp.py",
    "tests/mapping/test_oracle.py",
    "tests/workload/test_reader.py",
    "tests/search/test_study.py",
    "tests/simulation/test_alone.py",
    "tests/cli/test_commands.py",
    "tests/reports",
)
#: What is compared. Python 3.12 and later add floats with a compensated sum, older ones do not, so
#: that numbers may differ in their last digits.
METRICS = ("latency_s", "energy_j", "area_mm2", "quality", "unit_cost_usd")


def bounds(extra: str = "") -> list[str]:
    """``name==lowest`` of every dependency (of an extra)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [re.sub(r">=", "==", need) for need in needs if ">=" in need]


def test_every_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(bounds()) == len(project["dependencies"])


def simulated(python: Path, cwd: Path) -> dict[str, float]:
    command = ("-m", "dse", "simulate", "mobilenetv2", "--chip", "edge_vision", "--json")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cwd / "kernels")}
    env.pop("PYTHONPATH", None)
    found = json.loads(call(python, *command, cwd=cwd, env=env).stdout)
    return {name: found[name] for name in METRICS}


def reference() -> dict[str, float]:
    import dse

    found = dse.simulate(dse.load_model("mobilenetv2"), dse.load_chip("edge_vision")).to_dict()
    return {name: found[name] for name in METRICS}


def slice_passes(python: Path, source: Path) -> None:
    """The slice of the tests, with this environment's libraries, over the source beside it."""
    env = {**os.environ, "PYTHONPATH": str(source), "NUMBA_CACHE_DIR": str(source / "kernels")}
    call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SLICE, cwd=source, env=env)


def test_the_oldest_dependencies(built: Built) -> None:
    """On the oldest Python: newer ones have no files of some of these releases."""
    python = installed(
        built.folder / "oldest", interpreters()[0], built.wheel, "pytest", "hypothesis", *bounds(),
        cwd=built.folder,
    )  # fmt: skip
    assert simulated(python, built.folder) == pytest.approx(reference(), rel=1e-12)
    slice_passes(python, built.source)


@pytest.mark.parametrize("number", range(len(interpreters())))
def test_the_newest_dependencies(number: int, built: Built) -> None:
    python = installed(
        built.folder / f"newest{number}", interpreters()[number], built.wheel, "pytest",
        "hypothesis", "--upgrade", cwd=built.folder,
    )  # fmt: skip
    assert simulated(python, built.folder) == pytest.approx(reference(), rel=1e-12)
    slice_passes(python, built.source)
