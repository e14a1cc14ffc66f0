"""Rooms, circles and doors: who may import whom below the floors, and what is public."""

from __future__ import annotations

import ast
import importlib

import pytest

import dse.mapping
from tests.house.imports import PACKAGE, Arrow, arrows, circles, modules

#: Rooms of ``dse.mapping`` from the ground up; those of one floor do not know each other.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("tools", "ir"),
    ("cost",),
    ("space",),
    ("search", "memory"),
    ("layer",),
    ("path", "given"),
    ("fusion", "chips"),
    ("network",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
MAPPING = "dse.mapping"


def room(module: str) -> str:
    """The room of a module of ``dse.mapping``; empty for the package itself and for others."""
    parts = module.split(".")
    return parts[2] if module.startswith(f"{MAPPING}.") else ""


def inside(module: str) -> bool:
    return f"{module}.".startswith(f"{MAPPING}.")


def named(circle: frozenset[str]) -> str:
    """``package: file file`` of files of one package, full names of others."""
    parents = {name.rpartition(".")[0] for name in circle}
    if len(parents) > 1:
        return " ".join(sorted(circle))
    files = " ".join(sorted(name.rpartition(".")[2] for name in circle))
    return f"{parents.pop().removeprefix('dse.')}: {files}"


def test_every_file_of_mapping_is_in_a_room() -> None:
    rooms = {path.parent.name for path in (PACKAGE / "mapping").rglob("*.py")} - {"mapping"}
    assert rooms == set(LEVEL)
    flat = {path.name for path in (PACKAGE / "mapping").glob("*.py")}
    assert flat == {"__init__.py"}


def test_rooms_import_only_from_below() -> None:
    between = {(room(a.source), room(a.target), a) for a in arrows() if inside(a.source)}
    up = [
        arrow
        for own, other, arrow in between
        if own and inside(arrow.target) and other != own and LEVEL.get(other, 99) >= LEVEL[own]
    ]
    assert not up, f"rooms that know what stands beside or above them: {sorted(up)}"


def test_no_room_has_the_name_of_a_public_function() -> None:
    """Importing the room would put a module where the package's name was."""
    assert not set(LEVEL) & set(dse.mapping.__all__)


def test_files_form_no_circle() -> None:
    found = {named(group) for group in circles((a.source, a.target) for a in arrows())}
    assert not found, f"files that import each other: {sorted(found)}"


def test_circles_are_seen() -> None:
    pairs = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "d"), ("c", "e")]
    assert circles(pairs) == {frozenset("bc"), frozenset("d")}


def test_others_use_the_door_of_mapping() -> None:
    """From outside, names of ``dse.mapping.__all__``; which room they stand in is its affair."""
    deep = [
        arrow
        for arrow in arrows()
        if inside(arrow.target)
        and not inside(arrow.source)
        and (arrow.target != MAPPING or arrow.name not in dse.mapping.__all__)
    ]
    assert not deep, f"imports past dse.mapping's door: {sorted(deep)}"


def test_names_that_begin_with_an_underscore_stay_in_their_file() -> None:
    taken = [a for a in arrows() if inside(a.target) and (a.name or "").startswith("_")]
    assert not taken


@pytest.mark.parametrize("name", dse.mapping.__all__)
def test_public_names_are_there(name: str) -> None:
    home = importlib.import_module(f"{MAPPING}.{dse.mapping._HOME[name]}")
    assert getattr(dse.mapping, name) is getattr(home, name)


def test_the_door_tells_type_checkers_the_same() -> None:
    """Names come by ``__getattr__``; those under TYPE_CHECKING, in the table and public agree."""
    told = {
        (arrow.name, arrow.target.removeprefix(f"{MAPPING}."))
        for arrow in arrows()
        if arrow.source == MAPPING
    }
    assert told == set(dse.mapping._HOME.items())
    assert set(dse.mapping.__all__) == set(dse.mapping._HOME)


def test_the_inside_of_a_room_has_no_door_of_its_own() -> None:
    """A room's ``__init__`` says what the room is, and no more: one name, one place."""
    for name in LEVEL:
        tree = ast.parse(modules()[f"{MAPPING}.{name}"].read_text(encoding="utf-8"))
        assert [type(node) for node in tree.body] == [ast.Expr]
        assert ast.get_docstring(tree)


def test_arrows_are_read_everywhere() -> None:
    """In functions, for types, of modules and of names: each kind is among what is read."""
    read = set(arrows())
    assert Arrow("dse.mapping.search.best", "dse.mapping.search.kernel", None) in read
    assert Arrow(MAPPING, "dse.mapping.layer.mapper", "map_layer") in read
    assert len({arrow.source for arrow in read}) > 200
