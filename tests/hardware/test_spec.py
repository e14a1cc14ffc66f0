"""Reading, combining and refusing chip files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.hardware import load_chip, load_spec, load_template
from dse.hardware.library import combine

MINE = """\
schema_version: 1
name: mine
template: conv_core
node: 12nm
array:
  rows: 16
  cols: 64
buffer:
  bytes: 262144
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_template_under_file_under_node_under_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, MINE)
    base = load_spec("conv_core")
    chip = load_chip(path, "7nm", overrides={"chip.buffer.bytes": 131072, "cores": 2})
    assert chip.spec.array.rows == 16
    assert chip.spec.vector == base.vector
    assert chip.node_nm == 7
    assert chip.buffer.capacity_bytes == 131072
    assert chip.cores == 2


def test_combine_replaces_formats_whole() -> None:
    old = {"array": {"rows": 4, "formats": {"int8": 1.0, "int16": 0.25}}}
    assert combine(old, {"array": {"formats": {"int4": 1.0}}}) == {
        "array": {"rows": 4, "formats": {"int4": 1.0}}
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "mend"),
    [
        ("  rows: 16", "  rowz: 16", 6, "array.rowz", "did you mean rows?"),
        ("node: 12nm", "node: 6.5nm", 4, "node", "7nm"),
        ("  bytes: 262144", "  bytes: -1", 9, "buffer.bytes", "give 1 to"),
        ("  bytes: 262144", "  bytes: 0", 9, "buffer.bytes", "give 1 to"),
        ("template: conv_core", "template: conv_cor", 3, "template", "did you mean conv_core?"),
        ("  cols: 64", "  cols: many", 7, "array.cols", "correct the value"),
        (
            "name: mine",
            "name: mine\nl2: {bytes: 4096, bytes_per_cycle: 0}",
            3,
            "l2",
            "bytes_per_cycle",
        ),
        ("name: mine", "name: mine\nnative_precision: fp16", 3, "", "array"),
        ("name: mine", "name: mine\nlegality: {dataflow: os}", 3, "", "use one of ws"),
    ],
)
def test_faults_name_file_line_field_and_mend(
    tmp_path: Path, old: str, new: str, line: int, field: str, mend: str
) -> None:
    path = write(tmp_path, MINE.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_chip(path)
    error = caught.value
    assert error.file == str(path)
    assert mend in (error.mend or "") + error.message
    if field:
        assert error.field == f"line {line}: {field}"


def test_unknown_chip_and_missing_file() -> None:
    with pytest.raises(InputError, match="did you mean edge_vision"):
        load_chip("edge_vison")
    with pytest.raises(InputError, match="there is no such file"):
        load_chip("nowhere/mine.yaml")
    with pytest.raises(InputError, match="did you mean llm_npu"):
        load_template("llm_np")


@pytest.mark.parametrize(
    ("path", "value", "needle"),
    [
        ("array.rowz", 4, "did you mean array.rows"),
        ("bufer.bytes", 4, "did you mean buffer.bytes"),
        ("buffer.bytes", -5, "buffer.bytes"),
        ("dram.capacity_bytes", 0, "capacity"),
        ("node", "6.5nm", "6.5"),
        ("host.core", "cortex-a5", "cortex-a55"),
        ("dram.kind", "lpddr9", "lpddr5"),
        ("die.package", "shoebox", "fccsp"),
        ("vt", "low", "lvt"),
        ("die.other_vt", "low", "lvt"),
        ("die.other_area_node", "9nm", "10nm"),
        ("cost.design_class", "tiny", "small_npu"),
        ("array.formats.int7", 1.0, "int7"),
        ("vector.ops_per_lane_cycle.frobnicate", 1.0, "frobnicate"),
        ("f_hz", 9e9, "at most"),
        ("host.f_hz", 9e9, "at most"),
    ],
)
def test_bad_overrides(path: str, value: object, needle: str) -> None:
    with pytest.raises(InputError) as caught:
        load_chip("edge_vision", overrides={path: value})
    assert needle in str(caught.value)
    assert caught.value.mend
    assert caught.value.field is not None
    assert path.split(".")[0] in caught.value.field


def test_with_values_is_a_new_spec() -> None:
    spec = load_spec("edge_vision")
    other = spec.with_values({"array.rows": 8, "array.formats.int4": 2.0, "dram.kind": "lpddr5"})
    assert (spec.array.rows, other.array.rows) == (32, 8)
    assert other.array.formats["int4xint4"] == 2.0
    assert other.value("dram.kind") == "lpddr5"
    assert spec.with_values({}) is spec
    with pytest.raises(InputError, match="no such parameter"):
        spec.value("array.row")


def test_voltage_pinned_by_the_file_holds_at_its_own_node_only() -> None:
    assert load_chip("gap9").voltage_v == pytest.approx(0.80)
    moved = load_chip("gap9", "12nm")
    assert moved.voltage_v < 0.80
    assert moved.f_hz == load_chip("gap9").f_hz
    kept = load_chip("gap9", "12nm", overrides={"voltage_v": 0.8})
    assert kept.voltage_v == pytest.approx(0.8)


def test_a_chip_that_pins_voltage_alone_derives_its_clock() -> None:
    slow = load_chip("edge_vision", overrides={"f_hz": None, "voltage_v": 0.7})
    fast = load_chip("edge_vision", overrides={"f_hz": None, "voltage_v": 0.8})
    assert fast.f_hz > slow.f_hz > 0.0


def test_digest_follows_values_not_words(tmp_path: Path) -> None:
    path = write(tmp_path, MINE)
    first = load_chip(path).digest
    assert load_chip(write(tmp_path, MINE + "description: words\n")).digest == first
    assert load_chip(write(tmp_path, MINE + "cores: 2\n")).digest != first
