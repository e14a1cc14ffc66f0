"""What the docs print runs as printed: files, commands and snippets, from a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dse.files import shipped_root
from tests.cli.conftest import Run, run

__all__ = ["run"]

DOCS = shipped_root() / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not installed")


def block(page: str, kind: str, holding: str) -> str:
    """The one block of ``kind`` on a page that holds a text."""
    text = (shipped_root() / page).read_text(encoding="utf-8")
    found = [b for b in re.findall(rf"```{kind}\n(.*?)```", text, re.S) if holding in b]
    assert len(found) == 1, (page, holding)
    return str(found[0])


def test_the_pin_file(run: Run, tmp_path: Path) -> None:
    """The README's command with the file of docs/mapping.md."""
    (tmp_path / "mine.yaml").write_text(block("docs/mapping.md", "yaml", "pins:"))
    command = "map resnet18 --chip edge_vision --pin mine.yaml"
    assert command in (shipped_root() / "README.md").read_text(encoding="utf-8")
    done = run(*command.split(), "--json")
    assert done.code == 0, done.err
    assert any(row["tiles"].get("OX") == 14 for row in done.json["layers"])


def test_the_chip_in_30_lines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my_camera_chip.yaml").write_text(block("docs/chips.md", "yaml", "my_camera_chip"))
    assert run("show", "my_camera_chip.yaml", "--json").json["area_mm2"] > 0
    assert run("map", "resnet8", "--chip", "my_camera_chip.yaml", "--json").code == 0


def test_the_experiment(run: Run, tmp_path: Path) -> None:
    """The whole file, its second block merged in where it extends the first one."""
    first = block("docs/search.md", "yaml", "name: my_search")
    (tmp_path / "my_search.yaml").write_text(first)
    done = run("explore", "my_search.yaml", "--out", "study", "--trials", "2", "--workers", "1")
    assert done.code == 0, done.err
    lines = block("docs/search.md", "yaml", "conditional").splitlines()
    condition = "\n".join(line for line in lines if line.startswith("  chip."))
    rest = "\n".join(x for x in lines if not x.startswith(("apps", "strat", "  chip.")))
    extended = first.replace("  chip.buffer.bytes", "  chip.l2.bytes: {ladder: [524288, 1048576, "
                             f"2097152]}}\n{condition}\n  chip.buffer.bytes")  # fmt: skip
    (tmp_path / "more.yaml").write_text(extended + rest + "\n")
    done = run("explore", "more.yaml", "--out", "study2", "--trials", "2", "--workers", "1")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("page", "holding"),
    [
        ("README.md", "import dse"),
        ("docs/python.md", "import dse"),
        ("docs/technology.md", "load_technology"),
    ],
)
def test_snippets(page: str, holding: str) -> None:
    snippet = block(page, "python", holding).replace("trials=50", "trials=2")
    exec(compile(snippet, page, "exec"), {})
