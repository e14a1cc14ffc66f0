"""Widths that follow the array, and widths that a chip fixes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.hardware import chip_table, list_templates, load_chip
from dse.hardware.chip import Chip
from dse.hardware.library import load_spec
from dse.hardware.widths import WidthRule, width_rows, widths_of

#: The widths of each family as it ships: the arrays on which its figures rest.
FAMILIES = {
    "big_sram_vision": (256.0, 128.0, 64, 65536),
    "conv_core": (64.0, 64.0, 16, 16384),
    "dsp_mma": (128.0, 64.0, 64, 16384),
    "llm_npu": (256.0, 128.0, 128, 65536),
    "mcu_npu": (32.0, 16.0, 4, 8192),
    "riscv_cluster": (36.0, 36.0, 32, 1152),
}


def widths(chip: Chip) -> tuple[float, float, float, int]:
    lanes = chip.vector.ops_per_cycle["copy"] / chip.spec.vector.ops_per_lane_cycle["copy"]
    buffer = chip.buffer
    ports = (buffer.read_bytes_per_cycle, buffer.write_bytes_per_cycle)
    return (*ports, lanes, chip.array.accumulator_bytes)


def conv_core(**values: object) -> Chip:
    paths = {name.replace("__", "."): value for name, value in values.items()}
    return load_chip("conv_core", overrides=paths)


def written(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(f"name: mine\ntemplate: conv_core\n{text}\n")
    return str(file)


def test_each_family_has_the_widths_of_its_own_array() -> None:
    assert {entry.name for entry in list_templates()} == set(FAMILIES)
    for name, expected in FAMILIES.items():
        assert widths(load_chip(name)) == expected, name


@pytest.mark.parametrize("name", FAMILIES)
def test_twice_the_array_is_twice_as_wide(name: str) -> None:
    spec = load_spec(name)
    size = {"array.rows": 2 * spec.array.rows, "array.cols": 2 * spec.array.cols}
    read, write, lanes, accumulators = widths(load_chip(name, overrides=size))
    fixed = 1 if name == "riscv_cluster" else 2  # its lanes are those of its processors
    assert (read, write) == (2 * FAMILIES[name][0], 2 * FAMILIES[name][1])
    assert (lanes, accumulators) == (fixed * FAMILIES[name][2], 2 * FAMILIES[name][3])


def test_rows_and_columns_count_by_themselves_and_with_their_depth() -> None:
    assert widths(conv_core(array__cols=64)) == (96.0, 96.0, 32, 32768)
    assert widths(conv_core(array__rows=64)) == (96.0, 96.0, 16, 16384)
    deep = load_chip("riscv_cluster", overrides={"array.depth": 32})
    assert deep.buffer.read_bytes_per_cycle == 72.0
    assert WidthRule(per_row=1, per_col=2, times=0.5).of(8, 4, depth=16) == 8.0


def test_what_is_part_of_a_lane_is_a_whole_one() -> None:
    assert widths(load_chip("mcu_npu", overrides={"array.cols": 12}))[2:] == (2, 3072)
    assert widths(load_chip("mcu_npu", overrides={"array.cols": 1}))[2] == 1


def test_a_number_stays_whatever_the_array_becomes(tmp_path: Path) -> None:
    file = written(tmp_path, "buffer: {write_bytes_per_cycle: 48}\nvector: {lanes: 8}")
    sizes = {"array.rows": 128, "array.cols": 128}
    assert widths(load_chip(file, overrides=sizes)) == (256.0, 48.0, 8, 65536)
    back = sizes | {"vector.lanes": None}
    assert widths(load_chip(file, overrides=back))[2] == 64


def test_the_table_says_which_widths_follow_and_how(tmp_path: Path) -> None:
    rows = {row["field"]: row for row in chip_table(load_chip("rk3588_npu"))["widths"]}
    fixed = rows["buffer.fetch_bytes_per_cycle"]
    assert (fixed["value"], fixed["follows_array"]) == (12.0, False)
    assert fixed["why"] == "fixed by the chip file"
    port = rows["buffer.read_bytes_per_cycle"]
    assert (port["value"], port["follows_array"]) == (64.0, True)
    assert port["why"] == "follows the array: 2 a row"
    spec = load_spec("conv_core").with_values({"widths.read.times": 0.5})
    assert width_rows(spec)[0]["why"] == "follows the array: 0.5 x (1 a row + 1 a column)"
    deep = width_rows(load_spec("riscv_cluster"))[0]
    assert deep["why"] == "follows the array: 0.25 a row x depth"


def test_widths_relative_to_the_array() -> None:
    half = conv_core(widths__read__times=0.5, widths__lanes__times=4)
    assert widths(half) == (32.0, 64.0, 64, 16384)


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        ("widths: {read: {per_row: 0, per_col: 0}}", {}, ("read_bytes_per_cycle", "per_row")),
        ("widths: {reads: {per_row: 1}}", {}, ("widths.reads", "read")),
        ("widths: {lanes: {times: 0}}", {}, ("widths.lanes.times", "0.015625")),
        ("widths: {lanes: {depth: 2}}", {}, ("widths.lanes.depth",)),
        ("vector: {lanes: 8}", {"widths.lanes.times": 2}, ("vector.lanes", "fixed at 8", "null")),
        ("", {"widths.lane.times": 2}, ("widths.lane", "widths.lanes")),
    ],
)
def test_bad_rules_are_told(
    tmp_path: Path, text: str, overrides: Mapping[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as error:
        load_chip(written(tmp_path, text), overrides=overrides)
    for word in words:
        assert word in str(error.value)


def test_a_chip_without_a_family_gives_a_number_or_a_rule(tmp_path: Path) -> None:
    data = load_spec("conv_core").model_dump(mode="json")
    data |= {"template": "custom", "sources": {}, "ranges": {}}
    data.pop("widths")
    from dse.hardware.spec import ChipSpec
    from dse.schema import validate

    with pytest.raises(InputError, match=r"widths\.read says nothing"):
        validate(ChipSpec, data)
    data["widths"] = {"read": {"per_row": 3}, "write": {"per_row": 1}, "lanes": {"per_col": 1}}
    data["array"]["accumulator_bytes"] = 0
    made = widths_of(validate(ChipSpec, data))
    assert (made.read, made.write, made.lanes, made.accumulators) == (96.0, 32.0, 32, 0)


def test_each_kind_of_core_follows_its_own_array() -> None:
    big, small = (kind.chip for kind in load_chip("wearable_duo_npu").kinds)
    assert widths(big) == (64.0, 32.0, 16, 32768)
    assert widths(small) == (16.0, 16.0, 4, 2048)
    turned = {"kinds.listen.array.rows": 16, "kinds.listen.array.cols": 16}
    chip = load_chip("wearable_duo_npu", overrides=turned)
    assert widths(chip.kinds[0].chip) == widths(big)
    assert widths(chip.kinds[1].chip) == (32.0, 32.0, 8, 4096)
    times = {"kinds.listen.widths.lanes.times": 2}
    assert widths(load_chip("wearable_duo_npu", overrides=times).kinds[1].chip)[2] == 8
    fixed = times | {"kinds.listen.vector.lanes": 4}
    with pytest.raises(InputError, match=r"kinds\.listen\.vector\.lanes is fixed"):
        load_chip("wearable_duo_npu", overrides=fixed)


def test_equal_widths_make_equal_chips() -> None:
    """A width that follows the array to a number, and that number, are one design."""
    following = load_chip("conv_core")
    numbers = {
        "buffer.read_bytes_per_cycle": 64,
        "buffer.write_bytes_per_cycle": 64,
        "vector.lanes": 16,
        "array.accumulator_bytes": 16384,
    }
    fixed = load_chip("conv_core", overrides=numbers)
    assert fixed.digest == following.digest
    assert load_chip("conv_core", overrides={"vector.lanes": 17}).digest != fixed.digest


def area(chip: Chip, block: str) -> float:
    return next(node.total_mm2 for path, node in chip.area.walk() if path.endswith(f"/{block}"))


def leakage(chip: Chip) -> float:
    return sum(part.active_w for part in chip.static if part.component == "logic_leakage")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_search_pays_for_every_width_that_it_turns(name: str) -> None:
    """Wires, macros and lanes of a wider core take area and leak; at the same array."""
    plain = load_chip(name)
    port = load_chip(name, overrides={"widths.read.times": 2, "widths.write.times": 2})
    assert area(port, "noc") == pytest.approx(2 * area(plain, "noc"), rel=1e-9)
    assert area(port, "buffer") >= area(plain, "buffer")
    assert leakage(port) > leakage(plain)
    assert port.prices["noc.bit"] >= plain.prices["noc.bit"]
    if name == "riscv_cluster":
        return
    lanes = load_chip(name, overrides={"widths.lanes.times": 2})
    assert area(lanes, "vector") == pytest.approx(2 * area(plain, "vector"), rel=1e-9)
    assert leakage(lanes) > leakage(plain)
    sums = load_chip(name, overrides={"widths.accumulators.times": 2})
    assert area(sums, "accumulators") > area(plain, "accumulators")
    assert sums.prices["accumulator.read_bit"] > plain.prices["accumulator.read_bit"]


def test_a_bank_of_wider_words_takes_more_macros() -> None:
    """Sixteen banks of 128 bit give 256 bytes a cycle; twice that takes two macros a bank."""
    narrow, wide = (
        load_chip("conv_core", overrides={"buffer.read_bytes_per_cycle": port})
        for port in (256, 512)
    )
    assert area(narrow, "buffer") == area(load_chip("conv_core"), "buffer")
    assert area(wide, "buffer") > area(narrow, "buffer")
    more = load_chip("conv_core", overrides={"buffer.read_bytes_per_cycle": 4096})
    assert area(more, "buffer") > area(wide, "buffer")


@pytest.mark.parametrize("side", ["array.rows", "array.cols"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_bigger_array_costs_its_wires(name: str, side: str) -> None:
    spec = load_spec(name)
    size = spec.value(side)
    assert isinstance(size, int)
    small, big = load_chip(name), load_chip(name, overrides={side: 2 * size})
    fixed: dict[str, object] = {
        "buffer.read_bytes_per_cycle": small.buffer.read_bytes_per_cycle,
        "buffer.write_bytes_per_cycle": small.buffer.write_bytes_per_cycle,
        "vector.lanes": widths_of(spec).lanes,
        "array.accumulator_bytes": small.array.accumulator_bytes,
    }
    starved = load_chip(name, overrides={side: 2 * size} | fixed)
    assert starved.area_mm2 > small.area_mm2
    if widths(big) == widths(starved):
        assert big.area_mm2 == starved.area_mm2
    else:
        assert big.area_mm2 > starved.area_mm2
        assert leakage(big) > leakage(starved)
