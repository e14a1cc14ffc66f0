"""``dse migrate``: written beside or in place, comments kept, nothing lost, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

import dse
from dse.apps import App
from dse.errors import InputError, OlderFileWarning
from dse.files import shipped_folder
from dse.hardware.library import load_spec
from dse.hardware.spec import ChipSpec
from dse.migrations import KINDS, Kind, Step, migrate_path, read_versioned
from dse.migrations.rewrite import rewritten
from dse.registry import clear_caches
from dse.schema import read_yaml
from tests.cli.conftest import Run, run  # noqa: F401

TEXT = """\
# What this gadget is for.
gadget: x   # its name

# how large
size: 8   # rows
parts:
  - name: a
    mhz: 400   # fast
  - {name: b}
note: "8e8"     # quoted
limit: 8e8
"""


@pytest.fixture
def file(gadget: Kind, tmp_path: Path) -> Path:
    path = tmp_path / "g.yaml"
    path.write_text(TEXT)
    return path


def test_a_file_is_written_beside_with_its_comments(file: Path) -> None:
    done = migrate_path(file)
    assert file.read_text() == TEXT
    assert done.out == str(file.with_name("g.migrated.yaml"))
    new = Path(done.out)
    for comment in ("# What this gadget is for.", "# its name", "# rows", "# fast", "# quoted"):
        assert comment in new.read_text()
    assert "limit: 8e8" in new.read_text()
    with pytest.warns(OlderFileWarning):
        in_memory, _ = read_versioned("gadget", file)
    assert read_yaml(new)[0] == in_memory
    assert list(read_yaml(new)[0]).count("schema_version") == 1


def test_a_comment_moves_with_its_field(file: Path) -> None:
    new = [line.split() for line in Path(migrate_path(file).out or "").read_text().splitlines()]
    assert ["rows:", "8", "#", "rows"] in new
    assert ["f_hz:", "400000000.0", "#", "fast"] in new


def test_in_place_keeps_every_old_file(file: Path) -> None:
    done = migrate_path(file, in_place=True)
    (one,) = done.files
    assert one.written == str(file)
    assert one.backup == str(file.with_name("g.yaml.bak"))
    assert Path(one.backup).read_text() == TEXT
    assert migrate_path(file, in_place=True).changed == ()
    file.write_text(TEXT)
    assert migrate_path(file, in_place=True).files[0].backup == str(file) + ".bak2"
    assert file.with_name("g.yaml.bak").read_text() == TEXT


def test_what_is_of_today_is_left_alone(file: Path) -> None:
    new = Path(migrate_path(file).out or "")
    before = sorted(file.parent.iterdir())
    for out in (None, str(file.parent / "z.yaml")):
        done = migrate_path(new, out)
        assert done.changed == ()
        assert done.out is None
    assert sorted(file.parent.iterdir()) == before


def test_nothing_is_written_over(file: Path) -> None:
    (file.parent / "taken.yaml").write_text("mine")
    for out in (None, "taken.yaml", "g.yaml"):
        if out is None:
            migrate_path(file)
        with pytest.raises(InputError, match="nothing is written over"):
            migrate_path(file, None if out is None else file.parent / out)
    assert (file.parent / "taken.yaml").read_text() == "mine"
    with pytest.raises(InputError, match="one of --out and --in-place"):
        migrate_path(file, "x", in_place=True)


def test_a_folder_of_many_is_copied_whole(file: Path) -> None:
    folder = file.parent
    (folder / "sub").mkdir()
    (folder / "sub" / "pins.yaml").write_text("pins: []  # none\n")
    (folder / "trace.csv").write_text("0.1\n")
    (folder / "broken.yaml").write_text("a: [1")
    goal = folder.parent / "new"
    done = migrate_path(folder, goal)
    assert [Path(one.file).name for one in done.changed] == ["g.yaml"]
    assert {Path(one.file).name for one in done.files} == {"g.yaml", "pins.yaml"}
    assert {Path(one).name for one in done.ignored} == {"trace.csv", "broken.yaml"}
    for name in ("sub/pins.yaml", "trace.csv", "broken.yaml"):
        assert (goal / name).read_bytes() == (folder / name).read_bytes()
    assert read_yaml(goal / "g.yaml")[0]["schema_version"] == 3


def test_a_newer_file_among_them_stops_before_anything_is_written(file: Path) -> None:
    (file.parent / "z.yaml").write_text("gadget: y\nschema_version: 9\n")
    with pytest.raises(InputError, match=r"z\.yaml: line 2: schema_version"):
        migrate_path(file.parent, in_place=True)
    assert file.read_text() == TEXT


def test_a_log_is_migrated_line_by_line(gadget: Kind, tmp_path: Path) -> None:
    new = '{"schema_version": 3,  "gadget": "new", "parts": []}'
    (tmp_path / "g.jsonl").write_text(f'{{"gadget": "a", "size": 2}}\n{new}\n{{"gadget": "cu')
    (one,) = migrate_path(tmp_path / "g.jsonl", tmp_path / "out.jsonl").files
    assert one.was == 1
    lines = (tmp_path / "out.jsonl").read_text().split("\n")
    assert json.loads(lines[0])["shape"] == {"rows": 2, "cols": 2}
    assert lines[1:] == [new, '{"gadget": "cu']  # as they were, also what a kill left
    (tmp_path / "g.jsonl").write_text('{"gadget": "a"}\n{"gadget": 1, "schema_version": 8}\n')
    with pytest.raises(InputError) as refused:
        migrate_path(tmp_path / "g.jsonl")
    assert refused.value.field == "line 2: schema_version"


@pytest.mark.parametrize("content", ["a: 1\n", "- 1\n", "", "\x00", "colour: red\nname: x\n"])
def test_what_is_none_of_ours_is_refused(tmp_path: Path, content: str) -> None:
    for name in ("x.yaml", "x.json", "x.jsonl", "x"):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError) as refused:
            migrate_path(tmp_path / name)
        assert refused.value.mend
    with pytest.raises(InputError, match="no file in it carries a version"):
        migrate_path(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        migrate_path(tmp_path / "nowhere.yaml")


def test_shipped_files_survive_a_rewriting() -> None:
    """Reading and writing by itself loses no field and no comment."""
    files = sorted(shipped_folder("hwconfigs").glob("*.yaml"))[:3]
    files += sorted((shipped_folder("experiments") / "apps").glob("*.yaml"))[:2]
    for path in files:
        text, (data, _) = path.read_text(), read_yaml(path)
        again = rewritten(text, (), data)
        copy = [line for line in again.splitlines() if "#" in line]
        assert [line.split("#")[1] for line in copy] == [
            line.split("#")[1] for line in text.splitlines() if "#" in line
        ]
        from ruamel.yaml import YAML

        assert YAML(typ="safe").load(again) == YAML(typ="safe").load(text)


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    """`clock_hz` is `f_hz`."""
    if "clock_hz" in data:
        data["f_hz"] = data.pop("clock_hz")
    return data


class NewChip(ChipSpec):
    """Chips of a later release."""

    schema_version: Literal[2] = 2  # type: ignore[assignment]


@pytest.fixture
def older_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A chip file from before a (made-up) change in the form of chips."""
    clear_caches()
    kind = replace(KINDS["chip"], steps=(Step(renamed, {"clock_hz": "f_hz"}),))
    monkeypatch.setitem(KINDS, "chip", kind)
    monkeypatch.setattr("dse.hardware.library.ChipSpec", NewChip)
    path = tmp_path / "old.yaml"
    path.write_text("name: old\ntemplate: mcu_npu\nnode: 22nm\nclock_hz: 1e8  # slow\n")
    yield path
    clear_caches()  # or later tests would get chips of the later release


@pytest.mark.filterwarnings("ignore::dse.errors.OlderFileWarning")
def test_an_older_chip_on_a_template_is_read_and_written(run: Run, older_chip: Path) -> None:  # noqa: F811
    assert load_spec(older_chip).f_hz == 1e8
    done = run("migrate", "old.yaml")
    assert done.code == 0
    assert "old.yaml: chip, version 1 to 2" in done.out
    assert "written: old.migrated.yaml" in done.out
    lines = [line.split() for line in Path("old.migrated.yaml").read_text().splitlines()]
    assert ["f_hz:", "1e8", "#", "slow"] in lines  # as the user wrote the number
    assert load_spec("old.migrated.yaml").f_hz == 1e8
    again = run("migrate", "old.migrated.yaml")
    assert again.code == 0
    assert "nothing to do: the file is in the form of this release" in again.out


def in_seconds(data: dict[str, Any]) -> dict[str, Any]:
    """`horizon_ms` is `horizon_s`: units are SI."""
    return {**{k: v for k, v in data.items() if k != "horizon_ms"}, "horizon_s": 2.0}


class NewApp(App):
    """Apps of a later release."""

    schema_version: Literal[2] = 2  # type: ignore[assignment]


def test_the_remark_is_a_line_on_stderr(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = Step(in_seconds, {"horizon_ms": "horizon_s"})
    monkeypatch.setitem(KINDS, "app", replace(KINDS["app"], steps=(step,)))
    monkeypatch.setattr("dse.apps.scenario.App", NewApp)
    shipped = (shipped_folder("experiments") / "apps" / "wearable_kws.yaml").read_text()
    (tmp_path / "old.yaml").write_text(shipped.replace("horizon_s: 2.0", "horizon_ms: 2000"))
    shown = run("show", "old.yaml", "--json")
    assert shown.code == 0
    assert shown.json["horizon_s"] == 2.0
    assert "note: old.yaml: read in an older form and migrated (app 2: `horizon_ms` " in shown.err
    assert "Warning" not in shown.err
    assert ".py" not in shown.err


def test_a_fault_in_an_older_chip_is_shown_in_its_own_line(older_chip: Path) -> None:
    older_chip.write_text("name: old\ntemplate: mcu_npu\nnode: 22nm\n\nclock_hz: -3\n")
    with pytest.warns(OlderFileWarning), pytest.raises(InputError) as refused:
        load_spec(older_chip)
    assert refused.value.field == "line 5: f_hz"


def test_the_command_and_the_function_say_the_same(run: Run, file: Path) -> None:  # noqa: F811
    said = run("migrate", "g.yaml", "--out", "new.yaml", "--json")
    assert said.code == 0
    assert said.err == ""
    (one,) = said.json["files"]
    assert (one["kind"], one["was"], one["now"], one["written"]) == ("gadget", 1, 3, "new.yaml")
    assert len(one["changes"]) == 2
    same = dse.migrate("g.yaml", "other.yaml")
    assert same.to_dict()["files"][0]["changes"] == tuple(one["changes"])
    assert Path("new.yaml").read_text() == Path("other.yaml").read_text()
    idle = run("migrate", "new.yaml", "--json")
    assert idle.code == 0
    assert idle.json["files"][0]["written"] is None
    assert run("migrate", "nowhere.yaml").code == 2
    assert run("migrate", "g.yaml", "--out", "new.yaml").code == 2
    assert "--out" in run("migrate", "g.yaml", "--out", " ").err
