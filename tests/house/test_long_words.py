"""What a file says is told in an error by its start only, however long it is."""

from __future__ import annotations

from pathlib import Path

import pytest

import dse
from dse.errors import TEXT, WORD, InputError


@pytest.mark.parametrize("field", ["template", "node", "schema_version", "x"])
def test_a_value_of_5000_characters_is_cut(field: str, tmp_path: Path) -> None:
    chip = {"template": "conv_core", "node": "7nm"} | {field: "a" * 5000}
    path = tmp_path / "chip.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in chip.items()))
    with pytest.raises(InputError) as error:
        dse.load_chip(path)
    assert "a" * (WORD + 1) not in error.value.describe()


def test_a_long_text_is_cut_and_a_usual_one_is_not() -> None:
    told = InputError("word " * 1000, mend="short").describe()
    assert len(told) < TEXT + 60
    assert told.endswith("; short")
    usual = "unknown metric 'x'; use one of: " + ", ".join(f"metric_{n}" for n in range(60))
    assert InputError(usual).describe() == usual


@pytest.mark.parametrize("name", ["\x00x", "a\x00b.yaml", "\x00"])
def test_a_name_with_a_null_character_is_refused(name: str) -> None:
    for read in (dse.load_chip, dse.load_app, dse.load_experiment, dse.load_model, dse.migrate):
        with pytest.raises(InputError):
            read(name)
