"""Versions cover all that decides a number: the import closure, and every file of the package."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from dse import version
from dse.version import (
    ABOVE_EVALUATION,
    ABOVE_MAPPING,
    ABOVE_SEARCH,
    package_digest,
    package_files,
)

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dse"
#: What each digest leaves out, and the packages whose numbers it stands for.
DIGESTS = {
    "mapper": (ABOVE_MAPPING, ("dse.mapping",)),
    "model": (ABOVE_EVALUATION, ("dse.evaluation",)),
    "search": (ABOVE_SEARCH, ("dse.search",)),
}
COVERED = {name: frozenset(package_files(out, PACKAGE)) for name, (out, _) in DIGESTS.items()}


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = ("dse", *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: Iterable[str]) -> Iterator[str]:
    """Modules that a file imports, wherever in it: at its top, in functions, for types."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        heads: list[str] = []
        if isinstance(node, ast.Import):
            heads = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            head = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            heads = [head, *(f"{head}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            heads = [node.value] if node.value.startswith("dse.") else []  # import_module("dse.x")
        yield from (head for head in heads if head in known)


def closure(roots: Iterable[str]) -> set[str]:
    """Files from which the modules of the packages ``roots`` can be reached by importing.

    The package itself is left out as one from which to go on: its names stand for the whole API,
    loaded when they are asked for.
    """
    known = modules()
    todo = [name for name in known if any(f"{name}.".startswith(f"{root}.") for root in roots)]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in reached or name == "dse":
            continue
        reached.add(name)
        todo.extend(imports(name, known[name], known))
        todo.append(name.rpartition(".")[0])
    return {known[name].relative_to(PACKAGE).as_posix() for name in reached}


@pytest.mark.parametrize("name", DIGESTS)
def test_covers_the_import_closure(name: str) -> None:
    reached = closure(DIGESTS[name][1])
    assert len(reached) > 50
    assert {"schema.py", "files.py", "errors.py", "version.py"} <= reached
    assert reached <= COVERED[name]


def test_covers_every_data_file_of_these_packages() -> None:
    """Whatever its kind: what is left out is named, and nothing else is."""
    for name, (left_out, _) in DIGESTS.items():
        there = {
            path.relative_to(PACKAGE).as_posix()
            for path in PACKAGE.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert there - COVERED[name] == {file for file in there if file.split("/")[0] in left_out}
        assert "technology/data/nodes.json" in COVERED[name]
    assert COVERED["mapper"] < COVERED["model"] < COVERED["search"]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("copy") / "dse"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def samples(files: Iterable[str]) -> list[str]:
    """A file of each folder and kind, and all of the package's own."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted(files):
        folder, kind = file.rpartition("/")[0], file.rpartition(".")[2]
        found.setdefault((folder, kind) if folder else (file, kind), file)
    return sorted(found.values())


@pytest.mark.parametrize("name", DIGESTS)
def test_a_changed_byte_is_another_version(name: str, copied: Path) -> None:
    left_out = DIGESTS[name][0]
    before = package_digest(left_out, copied)
    assert before == package_digest(left_out)
    tried = samples(COVERED[name])
    assert len(tried) > 10
    for file in tried:
        path = copied / file
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")
        assert package_digest(left_out, copied) != before, file
        path.write_bytes(content)
    assert package_digest(left_out, copied) == before


def test_every_byte_of_the_mapper_counts(copied: Path) -> None:
    """In whichever room of it: else old mappings come back from the cache on disk."""
    before = package_digest(ABOVE_MAPPING, copied)
    files = sorted((copied / "mapping").rglob("*.py"))
    assert len({file.parent for file in files}) > 10
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"#")
        assert package_digest(ABOVE_MAPPING, copied) != before, file
        file.write_bytes(content)
    assert package_digest(ABOVE_MAPPING, copied) == before


def _moved(root: Path) -> None:
    (root / "mapping" / "room").mkdir()
    (root / "mapping" / "cost" / "costs.py").rename(root / "mapping" / "room" / "costs.py")


def _deep_data(root: Path) -> None:
    folder = root / "technology" / "data" / "foundries"
    folder.mkdir()
    (folder / "one.toml").write_text("x = 1")


def _new_package(root: Path) -> None:
    (root / "thermal").mkdir()
    (root / "thermal" / "model.py").write_text("X = 1\n")


@pytest.mark.parametrize("change", [_moved, _deep_data, _new_package])
def test_files_are_seen_wherever_they_stand(change: Callable[[Path], None], tmp_path: Path) -> None:
    root = tmp_path / "dse"
    for file in [*samples(COVERED["model"]), "mapping/cost/costs.py"]:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGE / file, root / file)
    before = package_digest(ABOVE_EVALUATION, root)
    change(root)
    assert package_digest(ABOVE_EVALUATION, root) != before


def test_what_shows_results_does_not_throw_studies_away(copied: Path) -> None:
    """Nor does what running the package leaves behind, or an editor."""
    before = package_digest(ABOVE_SEARCH, copied)
    for file in ("cli/commands.py", "reports/templates/report.html.j2", "explanation/__init__.py"):
        with (copied / file).open("a") as handle:
            handle.write("\n")
    (copied / "shipped" / "models").mkdir(parents=True)
    (copied / "shipped" / "models" / "x.onnx").write_bytes(b"x")
    (copied / "mapping" / "__pycache__").mkdir()
    for left in ("mapping/__pycache__/costs.nbi", "mapping/.costs.py.swp", "mapping/costs.py~"):
        (copied / left).write_bytes(b"x")
    assert package_digest(ABOVE_SEARCH, copied) == before
    (copied / "search" / "guide.py").write_text("")
    assert package_digest(ABOVE_SEARCH, copied) != before


def test_computed_once_and_without_anything_heavy() -> None:
    code = (
        "import sys; from dse.version import model_version, search_version, mapper_version; "
        "print(model_version(), search_version(), mapper_version()); "
        "print(*(m for m in ('numpy', 'pydantic', 'importlib.metadata') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    own = (version.model_version(), version.search_version(), version.mapper_version())
    assert done.stdout.split() == list(own)
    assert len(set(own)) == 3
    assert version.model_version() is version.model_version()
