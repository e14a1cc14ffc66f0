"""The house stands: each package imports only from the floors below it, and files stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dse"
#: Floors from the ground up; packages on one floor do not know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("registry",),
    ("errors", "version", "printing"),
    ("files", "ranges"),
    ("schema",),
    ("migrations",),
    ("technology", "workload"),
    ("model_quality",),
    ("hardware",),
    ("mapping",),
    ("simulation",),
    ("apps",),
    ("evaluation",),
    ("search", "explanation", "validation"),
    ("reports",),
    ("api",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
#: What a floor may not know although it lies below (architecture: "knows nothing of").
STRANGERS = {
    "hardware": {"workload", "model_quality"},
    "model_quality": {"technology"},
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def owner(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Top names below ``dse`` that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dse."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "dse":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(a.name.split(".")[1] for a in node.names if a.name.startswith("dse."))
    return found & set(LEVEL)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = owner(path)
    if own in ("__init__", "__main__"):
        return
    above = {name for name in imported(path) - {own} if LEVEL[name] >= LEVEL[own]} | (
        imported(path) & STRANGERS.get(own, set())
    )
    assert not above, f"{path.name} on floor {own!r} imports {sorted(above)}"


def test_every_package_has_a_floor() -> None:
    names = {owner(path) for path in sources()} - {"__init__", "__main__"}
    assert names <= set(LEVEL)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


HEAVY = ("numpy", "onnx", "onnxruntime", "optuna", "simpy", "numba", "pandas", "plotly", "pydantic")


@pytest.mark.parametrize("statement", ["import dse", "import dse.cli.commands"])
def test_light_imports(statement: str) -> None:
    code = f"{statement}; import sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
