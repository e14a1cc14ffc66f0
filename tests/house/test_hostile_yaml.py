"""YAML that people write, and YAML that must not hang, crash or be believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.schema import MOST_DIGITS, MOST_VALUES, read_yaml

MERGED = """\
base: &base {rows: 8, cols: 4}
array:
  <<: *base
  rows: 16
other: {<<: [{a: 1, b: 2}, {b: 3, c: 4}]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as fault:
        read_yaml(written(tmp_path, text))
    told = fault.value.describe()
    assert "a.yaml" in told
    assert len(told) < 400
    return told


def test_merge_keys_are_read(tmp_path: Path) -> None:
    data, lines = read_yaml(written(tmp_path, MERGED))
    assert data["array"] == {"rows": 16, "cols": 4}  # its own keys win
    assert data["other"] == {"a": 1, "b": 2, "c": 4}  # and the first of several
    assert lines["array.rows"] == 4
    assert read_yaml(written(tmp_path, "<<: {name: x}\n"))[0] == {"name": "x"}


@pytest.mark.parametrize("text", ["<<: 3\n", "<<: [1, 2]\n", "a: {<<: text}\n"])
def test_a_merge_of_no_mapping_is_one_error(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


def test_aliases_are_read_up_to_a_limit(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: &a [1, 2]\nb: [*a, *a]\n"))[0]["b"] == [[1, 2], [1, 2]]
    nine = ", ".join("*a{0}" for _ in range(9))
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n + 1}: &a{n + 1} [{nine.format(n)}]" for n in range(8)]
    told = refused(tmp_path, "\n".join(bomb) + "\n")
    assert f"{MOST_VALUES:,} values" in told
    assert "aliases" in told


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", f"a: {'[' * 5000}\n"])
def test_what_holds_itself_or_nests_too_deep_is_one_error(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


@pytest.mark.parametrize("digits", [MOST_DIGITS + 1, 5000])
def test_an_integer_of_many_digits_names_its_line(tmp_path: Path, digits: int) -> None:
    told = refused(tmp_path, f"a: 1\nb: {'9' * digits}\n")
    assert "line 2" in told
    assert f"{digits:,} digits" in told


def test_an_integer_of_few_digits_is_one(tmp_path: Path) -> None:
    number = "9" * MOST_DIGITS
    assert read_yaml(written(tmp_path, f"b: {number}\n"))[0]["b"] == int(number)


@pytest.mark.parametrize("text", ["a: !!int x\n", "a: !!float x\n", "a: !!timestamp x\n"])
def test_a_tag_that_its_value_does_not_fit_is_one_error(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)
