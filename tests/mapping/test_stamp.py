"""No stale kernel: its version covers every function and constant that is compiled in."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dse.mapping.chips import batch_costs
from dse.mapping.cost import outer_tiles
from dse.mapping.layer import pareto
from dse.mapping.path import shortest
from dse.mapping.search import evaluated, kernel, levels, proof_kernel
from dse.mapping.tools import stamp
from dse.mapping.tools.compiling import COMPILED, compiled
from dse.mapping.tools.stamp import parts_of, stamped, version_of

ROOT = Path(__file__).resolve().parents[2]
#: Every kernel that is kept on disk, as the function that makes it.
KERNELS: dict[str, Callable[[int], Any]] = {
    "search": kernel._search_function,
    "search_levels": levels._search_function,
    "find_entries": outer_tiles._function,
    "evaluate_tiles": evaluated._function,
    "shortest": shortest._function,
    "front_of": pareto._front_function,
    "prove_boxes": proof_kernel._proof_function,
    "evaluate": batch_costs._evaluation,
}


def test_every_kernel_is_stamped() -> None:
    """Nothing but :mod:`stamp` keeps a kernel on disk, and all that it keeps are known here."""
    makers = []
    for file in sorted((ROOT / "dse").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and file.name != "stamp.py":
                assert "compiled" not in [alias.name for alias in node.names], file
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "stamped":
                module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                makers.append((module, ast.unparse(node.args[0])))
    assert sorted(makers) == sorted((m.__module__, m.__name__) for m in KERNELS.values())


class _Reader:
    """Functions reached from a kernel, read from the source: another way than :mod:`stamp`'s."""

    def __init__(self) -> None:
        self.trees: dict[str, ast.Module] = {}
        self.reached: set[tuple[str, str]] = set()

    def tree(self, module: str) -> ast.Module:
        if module not in self.trees:
            file = importlib.util.find_spec(module)
            assert file is not None
            assert file.origin is not None
            self.trees[module] = ast.parse(Path(file.origin).read_text(encoding="utf-8"))
        return self.trees[module]

    def origin(self, module: str, name: str) -> tuple[str, str] | None:
        """Where a module's global is defined, as (module, name); (module, "") of a module."""
        for node in self.tree(module).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dse"):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        inner = f"{node.module}.{alias.name}"
                        if importlib.util.find_spec(str(node.module)).submodule_search_locations:  # type: ignore[union-attr]
                            return inner, ""
                        return self.origin(str(node.module), alias.name)
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return module, name
        return None

    def follow(self, module: str, body: ast.AST) -> None:
        for node in ast.walk(body):
            found = None
            if isinstance(node, ast.Name):
                found = self.origin(module, node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                whole = self.origin(module, node.value.id)
                if whole is not None and whole[1] == "":
                    found = self.origin(whole[0], node.attr)
            if found is None or found[1] == "" or found in self.reached:
                continue
            self.reached.add(found)
            inner = self.tree(found[0])
            self.follow(found[0], next(
                n for n in inner.body if isinstance(n, ast.FunctionDef) and n.name == found[1]
            ))  # fmt: skip


def _stripped(function: ast.FunctionDef) -> ast.FunctionDef:
    """Without decorators and annotations, which are not compiled in."""
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list, node.returns = [], None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return function


@pytest.mark.parametrize("name", KERNELS)
def test_every_function_that_is_called_counts(name: str) -> None:
    make, reader = KERNELS[name], _Reader()
    for module in list(sys.modules):
        if module.startswith("dse.mapping."):
            for node in ast.walk(reader.tree(module)):
                if isinstance(node, ast.FunctionDef):
                    _stripped(node)
    maker = next(
        node
        for node in reader.tree(make.__module__).body
        if isinstance(node, ast.FunctionDef) and node.name == make.__name__
    )
    own = next(node for node in maker.body if isinstance(node, ast.FunctionDef))
    reader.follow(make.__module__, own)
    found = {(part.__module__, part.__name__) for part in parts_of(make(0))[1:]}
    assert found == reader.reached
    assert len(found) >= 1


@pytest.mark.parametrize("name", KERNELS)
def test_a_change_of_any_part_is_another_version(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = KERNELS[name](0)
    before = version_of(made)
    assert before == version_of(KERNELS[name](0))
    for part in parts_of(made):
        code = part.__code__
        monkeypatch.setattr(part, "__code__", code.replace(co_consts=(*code.co_consts, "more")))
        assert version_of(made) != before, part
        monkeypatch.setattr(part, "__code__", code)
        for key in sorted(stamp._used(part)):
            value = part.__globals__.get(key)
            if isinstance(value, (int, float, tuple)):
                with monkeypatch.context() as patched:
                    patched.setitem(part.__globals__, key, 99 if value != 99 else 98)
                    assert version_of(made) != before, (part, key)
    assert version_of(made) == before


def test_the_same_in_every_process() -> None:
    code = (
        "from tests.mapping.test_stamp import KERNELS, version_of; "
        "print(*(version_of(make(0)) for make in KERNELS.values()))"
    )
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "NUMBA_DISABLE_JIT": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True
        )
        assert done.stdout.split() == [str(version_of(make(0))) for make in KERNELS.values()]


def test_a_value_of_an_unknown_kind_is_refused() -> None:
    odd = {"a": 1}

    def uses() -> object:
        return odd

    with pytest.raises(TypeError, match="teach"):
        version_of(uses)


SOURCE = """
from dse.mapping.probe_part import part

def make(version):
    def probe(x):
        if version < 0:
            return x
        return part(x)
    return probe
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """A kernel in one file that calls a function in another, which multiplies by ``factor``."""
    config = pytest.importorskip("numba").config
    from dse.mapping.tools.compiling import shared

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "probe.py"
    file.write_text(SOURCE)

    def load(factor: int) -> Any:
        part = types.ModuleType("dse.mapping.probe_part")
        exec(f"def part(x):\n    return {factor} * x", vars(part))
        vars(part)["part"].__module__ = part.__name__
        vars(part)["part"] = shared(vars(part)["part"])
        monkeypatch.setitem(sys.modules, part.__name__, part)
        spec = importlib.util.spec_from_file_location("dse.mapping.probe", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        return module.make

    return load


@pytest.mark.skipif(not COMPILED, reason="needs Numba")
def test_no_stale_and_no_damaged_kernel(probe: Callable[[int], Any], tmp_path: Path) -> None:
    """Numba itself gives the kernel of another part; with its version it does not."""
    assert compiled(probe(2)(1))(10) == 20
    assert compiled(probe(3)(1))(10) == 20  # what the version is there for
    assert stamped(probe(4))(10) == 40
    assert stamped(probe(5))(10) == 50
    again = stamped(probe(4))
    assert again(10) == 40
    assert sum(again._function.stats.cache_hits.values()) == 1
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.suffix in (".nbi", ".nbc")]
    assert len(kept) >= 4
    for cut in (0, 40):
        for file in kept:
            file.write_bytes(file.read_bytes()[:cut])
        assert stamped(probe(5))(10) == 50
        assert stamped(probe(4))(10) == 40
