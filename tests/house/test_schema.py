"""Files in, one clear error out; canonical identities."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from dse.errors import DseError, InputError
from dse.schema import Strict, canonical_json, digest, read_yaml, validate


class Inner(Strict):
    rows: int = Field(gt=0)


class Outer(Strict):
    name: str
    array: Inner


def test_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# comment\nname: x\narray:\n  rows: 0\n")
    data, lines = read_yaml(path)
    assert lines["array.rows"] == 4
    with pytest.raises(InputError) as fault:
        validate(Outer, data, file=path, lines=lines)
    assert "line 4: array.rows" in fault.value.describe()


def test_unknown_field_suggests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean rows"):
        validate(Outer, {"name": "x", "array": {"rowz": 1}})


@pytest.mark.parametrize(
    "text", ["a: [1", "- 1\n- 2\n", "a: 1\na: 2\n", "\tx: 1", "!!python/none x"]
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as fault:
        read_yaml(path)
    assert "bad.yaml" in fault.value.describe()


@pytest.mark.parametrize(("text", "value"), [("8e8", 8e8), ("1.5e-3", 1.5e-3), ("16nm", "16nm")])
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "n.yaml"
    path.write_text(f"x: {text}\n")
    assert read_yaml(path)[0]["x"] == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1))
def test_identity_does_not_depend_on_order(data: dict[str, object]) -> None:
    turned = dict(reversed(list(data.items())))
    assert canonical_json(data) == canonical_json(turned)
    assert digest(data) == digest(turned)


def test_one_and_one_point_zero_are_the_same_value() -> None:
    assert digest({"x": 1}) == digest({"x": 1.0})
    assert digest({"x": 1}) != digest({"x": 1.5})


def test_errors_survive_a_process_boundary() -> None:
    import pickle

    error = InputError("it is wrong", file="f", field="g", mend="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, DseError)
    assert again.describe() == error.describe() == "f: g: it is wrong; mend it"
