"""The architecture page tells what the imports and the code say."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.imports import ROOT, arrows, modules
from tests.house.test_floors import FLOORS
from tests.house.test_rooms import ROOMS, inside, room

PAGE = ROOT / "docs" / "developing" / "architecture.md"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def block(kind: str) -> list[str]:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", text(), re.S)
    return str(found).splitlines()


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first column has this heading."""
    lines = text().splitlines()
    (start,) = [n for n, line in enumerate(lines) if line.startswith(f"| {heading} |")]
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return found


def between_rooms() -> set[tuple[str, str]]:
    pairs = {(room(a.source), room(a.target)) for a in arrows() if inside(a.source)}
    return {(own, other) for own, other in pairs if own and other and own != other}


def drawn() -> set[tuple[str, str]]:
    found = [re.fullmatch(r"  (\w+) --> (\w+)", line) for line in block("mermaid")[1:]]
    return {(match[1], match[2]) for match in found if match}


def test_the_floors_are_those_of_the_test() -> None:
    told = [tuple(sorted(line.split(", "))) for line in reversed(block("floors"))]
    assert told == [tuple(sorted(names)) for names in FLOORS]


def test_the_rooms_stand_on_their_floors() -> None:
    told = {(int(floor), name) for floor, name, _, _ in rows("floor")}
    assert told == {(n, name) for n, names in enumerate(ROOMS, 1) for name in names}


def test_the_rooms_import_what_the_table_says() -> None:
    told = {(name, other) for _, name, _, knows in rows("floor") for other in knows.split(", ")}
    assert {pair for pair in told if pair[1]} == between_rooms()


def test_the_drawing_says_the_same() -> None:
    """Each arrow is one of the imports, and all others follow from those drawn."""
    arrows_drawn = drawn()
    assert len(arrows_drawn) == len(block("mermaid")) - 1
    assert arrows_drawn <= between_rooms()
    reached = set(arrows_drawn)
    for _ in ROOMS:
        reached |= {(a, d) for a, b in reached for c, d in arrows_drawn if b == c}
    assert between_rooms() <= reached


@pytest.mark.parametrize("step", rows("step") + rows("call"), ids=lambda step: step[1])
def test_the_walks_name_what_is_there(step: list[str]) -> None:
    module, _, name = step[1].rpartition(".")
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    defined = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    assert name in defined


def test_files_named_in_the_mapping_page_are_there() -> None:
    page = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/\w+\.py)`", page)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / "dse" / "mapping" / name).is_file()]
