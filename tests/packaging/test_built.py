"""What is built: the whole package and nothing else, the same by both ways."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.conftest import Built

pytestmark = pytest.mark.full

SHIPPED = ("models", "hwconfigs", "experiments")
LITTER = ("__pycache__", "swp", "litter", "old.yaml~")


def contents(wheel: Path) -> dict[str, bytes]:
    """Files of a wheel by name, but for its metadata."""
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if ".dist-info/" not in name]
        return {name: file.read(name) for name in names}


def wanted(source: Path) -> dict[str, bytes]:
    """What a wheel of the checkout should hold."""
    found = {}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        top = name.partition("/")[0]
        if not path.is_file() or top not in ("dse", *SHIPPED) or any(bad in name for bad in LITTER):
            continue
        found[name if top == "dse" else f"dse/shipped/{name}"] = path.read_bytes()
    return found


def test_the_wheel_holds_the_package_and_what_ships(built: Built) -> None:
    found, expected = contents(built.wheel), wanted(built.source)
    assert sorted(found) == sorted(expected)
    assert found == expected
    assert "dse/py.typed" in found
    kinds = {PurePosixPath(name).suffix for name in found}
    assert {".onnx", ".yaml", ".json", ".npz", ".j2", ".py", ".typed"} <= kinds
    assert sum(name.endswith(".onnx") for name in found) > 100


def test_without_the_sdist_the_wheel_is_the_same(built: Built) -> None:
    assert contents(built.direct) == contents(built.wheel)


def test_the_sdist_holds_what_the_build_needs(built: Built) -> None:
    with tarfile.open(built.sdist) as file:
        names = [
            name.partition("/")[2] for name in file.getnames() if file.getmember(name).isfile()
        ]
    tops = {name.partition("/")[0] for name in names}
    assert {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "dse", *SHIPPED} <= tops
    assert not tops & {"tests", "out", "docs", ".git", "build"}
    assert not [name for name in names if any(bad in name for bad in LITTER)]


def test_what_its_metadata_say(built: Built) -> None:
    project = tomllib.loads((built.source / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(built.wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        lines = file.read(name).decode().splitlines()
    assert f"Version: {project['version']}" in lines
    assert "Requires-Python: >=3.11" in lines
    assert "Classifier: Typing :: Typed" in lines
    needs = [line for line in lines if line.startswith("Requires-Dist: ") and "extra" not in line]
    assert len(needs) == len(project["dependencies"])
