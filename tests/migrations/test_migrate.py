"""Content of any version comes in the form of today, or is refused in one line."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dse.apps import App
from dse.errors import InputError, OlderFileWarning
from dse.hardware.platform import PlatformSpec
from dse.hardware.spec import ChipSpec
from dse.mapping.given.pins import PinFile
from dse.migrations import KINDS, Kind, Step, current, kind_of, migrate, migrated, read_versioned
from dse.model_quality.results import QualityReport
from dse.schema import Strict, validate
from dse.search import Experiment

OLD = {"gadget": "x", "size": 8, "parts": [{"name": "a", "mhz": 400}, {"name": "b"}]}
NEW = {
    "schema_version": 3,
    "gadget": "x",
    "shape": {"rows": 8, "cols": 8},
    "parts": [{"name": "a", "f_hz": 4e8}, {"name": "b"}],
}
MODELS: dict[str, type[BaseModel]] = {
    "chip": ChipSpec,
    "platform": PlatformSpec,
    "app": App,
    "experiment": Experiment,
    "pins": PinFile,
    "quality": QualityReport,
}


def plain(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OlderFileWarning)
        return migrate(kind, data)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_takes_the_version_that_the_steps_lead_to(name: str) -> None:
    """A step without a new model, or the other way round, would refuse every file."""
    field = MODELS[name].model_fields["schema_version"]
    assert get_args(field.annotation) == (current(name),)
    assert field.default == current(name)


def test_steps_are_taken_in_order_and_the_input_stays(gadget: Kind) -> None:
    given_ = copy.deepcopy(OLD)
    assert plain("gadget", given_) == NEW
    assert given_ == OLD
    assert next(iter(plain("gadget", given_))) == "schema_version"
    second = {"schema_version": 2, "gadget": "x", "shape": {"rows": 1}, "parts": [{"mhz": 1}]}
    assert plain("gadget", second)["parts"] == [{"f_hz": 1e6}]
    assert gadget.current == 3


def test_what_is_of_today_is_not_touched(gadget: Kind) -> None:
    assert migrate("gadget", NEW) is NEW
    assert plain("gadget", plain("gadget", OLD)) == NEW


@pytest.mark.parametrize("parts", [3, ["x"], [{"mhz": "fast"}], None])
def test_content_that_a_step_can_make_nothing_of_is_one_error(gadget: Kind, parts: object) -> None:
    with pytest.raises(InputError) as refused:
        migrate("gadget", {"gadget": "x", "parts": parts}, file="x.yaml")
    text = refused.value.describe()
    assert text.startswith("x.yaml: a gadget of version 2 that cannot be read as one")
    assert "units are SI" in text


def test_a_remark_says_what_changed(gadget: Kind) -> None:
    with pytest.warns(OlderFileWarning) as said:
        migrate("gadget", OLD, file="x.yaml")
    text = str(said[0].message)
    assert "x.yaml" in text
    assert "gadget 2: `size` is `shape.rows`, since a gadget has columns, too." in text
    assert "dse migrate x.yaml" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "version", [4, 99, 0, -1, True, False, 1.0, "1", None, [1], {"a": 1}, float("nan"), 10**30]
)
@pytest.mark.parametrize("kind", ["gadget", *MODELS, "study", "outcome", "pareto"])
def test_what_is_no_version_of_ours_is_one_error(gadget: Kind, kind: str, version: object) -> None:
    with pytest.raises(InputError) as refused:
        migrate(kind, {"schema_version": version}, file="x")
    assert refused.value.field == "schema_version"
    assert refused.value.mend
    assert refused.value.file == "x"


def test_a_newer_file_asks_for_a_newer_release() -> None:
    with pytest.raises(InputError, match="an app of version 2; this release knows 1; use a newer"):
        migrate("app", {"schema_version": 2})


@pytest.mark.parametrize("kind", ["study", "outcome", "pareto"])
def test_what_the_tool_always_wrote_may_not_be_missing(kind: str) -> None:
    with pytest.raises(InputError, match="without its version"):
        migrate(kind, {})


def test_errors_point_into_the_users_file(gadget: Kind, tmp_path: Path) -> None:
    class Shape(Strict):
        rows: int
        cols: int

    class Part(Strict):
        name: str = ""
        f_hz: float = 1.0

    class Gadget(Strict):
        schema_version: int
        gadget: str
        shape: Shape
        parts: tuple[Part, ...]

    def fault(text: str) -> str:
        file = tmp_path / "g.yaml"
        file.write_text(text)
        with pytest.warns(OlderFileWarning):
            data, lines = read_versioned("gadget", file)
        with pytest.raises(InputError) as refused:
            validate(Gadget, data, file=file, lines=lines)
        return str(refused.value.field)

    head = "# c\ngadget: x\n"
    assert fault(f"{head}\nsize: many\nparts: []\n").startswith("line 4: shape.")
    parts = "parts:\n  - name: a\n    mhz: 1\n  - {name: b, colour: red}\nsize: 3\n"
    assert fault(head + parts) == "line 6: parts.1.colour"
    file = tmp_path / "newer.yaml"
    file.write_text("gadget: x\nschema_version: 7\n")
    with pytest.raises(InputError) as refused:
        read_versioned("gadget", file)
    assert refused.value.field == "line 2: schema_version"


def test_parts_of_other_kinds_are_migrated_in_place(
    gadget: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Kind("a box", (("box",),), parts={"inside.*.one": "gadget"})
    monkeypatch.setitem(KINDS, "box", box)
    data = {"box": 1, "inside": [{"one": OLD}, {"two": 2}, {"one": NEW}]}
    before = copy.deepcopy(data)
    found = migrated("box", data)
    assert found.data == {"box": 1, "inside": [{"one": NEW}, {"two": 2}, {"one": NEW}]}
    assert data == before
    assert len(found.why) == 2
    with pytest.raises(InputError) as refused:
        migrate("box", {"box": 1, "inside": [{"one": {"schema_version": 9}}]})
    assert refused.value.field == "inside.0.one.schema_version"


def test_a_step_that_keeps_its_hands_on_its_input_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def greedy(data: dict[str, Any]) -> dict[str, Any]:
        """Empties what it gets."""
        data["inner"].clear()
        return {"left": 1}

    monkeypatch.setitem(KINDS, "bad", Kind("a bad one", (("bad",),), (Step(greedy),)))
    data = {"inner": {"a": 1}}
    assert plain("bad", data) == {"schema_version": 2, "left": 1}
    assert data == {"inner": {"a": 1}}


@given(
    st.dictionaries(
        st.sampled_from(["size", "gadget", "other", "schema_version"]),
        st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    )
)
@settings(deadline=None, max_examples=60)
def test_any_mapping_is_migrated_or_refused(data: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        from tests.migrations.conftest import STEPS

        patch.setitem(KINDS, "gadget", Kind("a gadget", (("gadget",),), STEPS))
        version = data.get("schema_version", 1)
        if type(version) is not int or not 1 <= version <= 3:
            with pytest.raises(InputError) as refused:
                plain("gadget", data)
            assert refused.value.field == "schema_version"
            return
        found = plain("gadget", data)
        assert found.get("schema_version", 1) == 3
        assert version > 1 or "size" not in found


def test_every_shipped_file_says_its_version_and_its_kind() -> None:
    """What ships is what users copy."""
    from dse.files import shipped_folder

    wanted = {"hwconfigs": "chip", "hwconfigs/templates": "chip", "hwconfigs/platforms": "platform"}
    wanted |= {"experiments": "experiment", "experiments/apps": "app"}
    for place, kind in wanted.items():
        top, _, rest = place.partition("/")
        files = [
            file
            for file in sorted((shipped_folder(top) / rest).glob("*.yaml"))
            if file.name != "app_matrix.yaml"  # the table of a script
        ]
        assert files
        for file in files:
            top_level = dict(re.findall(r"^(\w+):(.*)$", file.read_text(), re.MULTILINE))
            assert top_level["schema_version"].strip() == str(current(kind)), file
            assert kind_of(top_level) == kind, file


def test_the_docs_name_every_kind_with_its_version() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \|[^|]*\| (\d+) \|$", page, re.MULTILINE)
    told = {name: int(version) for names, version in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {name: kind.current for name, kind in KINDS.items()}
