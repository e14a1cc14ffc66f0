"""Chips with cores of several kinds: what each kind sees, costs and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.errors import ImpossibleChipError, InputError
from dse.hardware.chip import Chip
from dse.hardware.kind_spec import RESERVED
from dse.hardware.kinds import core_kinds, kind_named, view_of
from dse.hardware.library import find_chip_file, load_spec
from dse.hardware.reach import within_reach
from dse.hardware.resolve import load_chip, resolve, spec_digest
from dse.hardware.spec import ChipSpec
from dse.hardware.table import chip_table
from dse.technology import load_technology

DUO = "wearable_duo_npu"


@pytest.fixture(scope="module")
def duo() -> Chip:
    return load_chip(DUO)


def alone(kind: str, **values: Any) -> Chip:
    """A chip of one kind of core with the values of that kind."""
    return resolve(load_spec(DUO).of_kind(kind).with_values(values))


def static(chip: Chip, *, per_core: bool) -> dict[str, float]:
    return {p.component: p.active_w for p in chip.static if p.per_core == per_core}


def test_cores_are_numbered_in_the_order_of_the_file(duo: Chip) -> None:
    wide = load_chip(DUO, overrides={"cores": 2, "kinds.listen.cores": 3})
    assert [(kind.name, kind.cores) for kind in wide.kinds] == [
        ("vision", (0, 1)),
        ("listen", (2, 3, 4)),
    ]
    assert wide.cores == 5
    assert [view_of(wide, core) for core in (1, 4)] == [kind.chip for kind in wide.kinds]
    assert view_of(wide.kinds[0].chip, 1) is wide.kinds[0].chip
    assert kind_named(wide, "listen").chip.cores == 3
    assert [kind.cores for kind in core_kinds(duo)] == [(0,), (1,)]


def test_each_kind_has_its_own_array_clock_rail_and_prices(duo: Chip) -> None:
    """As a chip with cores of that kind alone, in all that belongs to a core."""
    for kind in duo.kinds:
        by_itself, view = alone(kind.name), kind.chip
        assert (view.array, view.buffer, view.vector) == (
            by_itself.array,
            by_itself.buffer,
            by_itself.vector,
        )
        assert (view.f_hz, view.voltage_v) == (by_itself.f_hz, by_itself.voltage_v)
        assert static(view, per_core=True) == static(by_itself, per_core=True)
        for action, joules in by_itself.prices.items():
            if action.partition(".")[0] in ("mac", "array", "accumulator", "buffer", "vector"):
                assert view.prices[action] == joules, action
    vision, listen = (kind.chip for kind in duo.kinds)
    assert listen.f_hz == 5e7 < vision.f_hz
    assert listen.voltage_v < vision.voltage_v
    assert listen.prices["mac.int8.int8"] < vision.prices["mac.int8.int8"]


def test_what_they_share_is_the_same_for_both(duo: Chip) -> None:
    vision, listen = (kind.chip for kind in duo.kinds)
    assert listen.links == vision.links
    assert listen.host == vision.host
    assert static(listen, per_core=False) == static(vision, per_core=False)
    for action, joules in vision.prices.items():
        if action.partition(".")[0] in ("l2", "nvm", "noc", "host", "dram", "phy"):
            assert listen.prices[action] == joules, action


def test_area_is_that_of_all_kinds(duo: Chip) -> None:
    """Every block of the one-kind chips is there; what is shared once."""
    blocks = {node.name: node.own_mm2 for _, node in duo.area.walk()}
    assert len(blocks) == sum(1 for _ in duo.area.walk())  # no name twice
    for name in ("array", "accumulators", "buffer", "vector", "control", "noc"):
        for kind, label in (("vision", name), ("listen", f"{name}.listen")):
            own = {node.name: node.own_mm2 for _, node in alone(kind).area.walk()}
            assert blocks[label] == own[name]
    rows = {row["name"]: row for row in chip_table(duo)["kinds"]}
    npu = duo.area.scope_mm2("npu")
    assert sum(row["area_mm2"] for row in rows.values()) + blocks["l2"] == pytest.approx(npu)
    for one in duo.kinds:
        assert one.chip.area_mm2 == pytest.approx(duo.area_mm2, rel=1e-12)
    more = chip_table(load_chip(DUO, overrides={"kinds.listen.cores": 2}))["kinds"][1]
    assert more["area_mm2"] == pytest.approx(2 * rows["listen"]["area_mm2"])
    assert rows["vision"]["die_cost_usd"] > rows["listen"]["die_cost_usd"] > 0.0


def test_static_parts_are_per_kind_and_add_up(duo: Chip) -> None:
    own = [part for part in duo.static if part.per_core]
    assert {(part.component, part.kind, duo.cores_of(part)) for part in own} >= {
        ("logic_leakage", "vision", (0,)),
        ("logic_leakage.listen", "listen", (1,)),
    }
    every = sum(part.active_w * max(1, len(duo.cores_of(part))) for part in duo.static)
    shared = sum(static(duo.kinds[0].chip, per_core=False).values())
    parts = [sum(static(kind.chip, per_core=True).values()) for kind in duo.kinds]
    assert every == pytest.approx(shared + sum(parts))
    assert duo.mapping_static_w == pytest.approx(shared + parts[0])
    assert duo.kinds[1].chip.mapping_static_w == pytest.approx(shared + parts[1])
    assert duo.peak_macs_per_s == pytest.approx(1024 * 4e8 + 64 * 5e7)


def test_a_kind_may_share_the_clock_of_the_chip() -> None:
    same = load_chip(DUO, overrides={"kinds.listen.f_hz": None})
    assert same.kinds[1].chip.f_hz == same.f_hz
    slow = load_chip(DUO, overrides={"kinds.listen.f_hz": None, "f_hz": 1e8})
    assert slow.kinds[1].chip.f_hz == 1e8


def test_operating_points_and_temperature_are_of_both() -> None:
    values = {"power.dvfs.points": "0.5", "power.thermal.resistance_k_per_w": 20.0}
    chip = load_chip(DUO, overrides=values)
    assert chip.dvfs is not None
    assert chip.thermal is not None
    (lower,) = chip.dvfs.points
    assert [kind.chip.f_hz for kind in lower.kinds] == [2e8, 2.5e7]
    assert [part.component for part in lower.static] == [part.component for part in chip.static]
    assert set(chip.thermal.scale) == {part.component for part in chip.static}
    scale = chip.thermal.scale["logic_leakage.listen"]
    assert scale[0] < 1.0 < scale[-1]


def test_another_node_lowers_the_clock_of_each_kind() -> None:
    chip = load_chip(DUO, node="28nm", overrides={"f_hz": 3e8, "kinds.listen.f_hz": 4e7})
    assert chip.notes == ()
    values = {"f_hz": 3e9, "kinds.listen.f_hz": 2e9, "node": "28nm"}
    fast = load_spec(DUO).with_values(values)
    lowered, notes = within_reach(fast, load_technology())
    assert [note.partition(" from")[0] for note in notes] == [
        "clock lowered",
        "clock of listen lowered",
    ]
    assert (lowered.kinds["listen"].f_hz or 0.0) < 2e9
    asked, notes = within_reach(fast, load_technology(), ("f_hz", "kinds.listen.f_hz"))
    assert (asked, notes) == (fast, ())
    with pytest.raises(ImpossibleChipError, match=r"kinds\.listen\.f_hz"):
        load_chip(DUO, node="28nm", overrides={"kinds.listen.f_hz": 3e9})


def test_identity_counts_kinds_and_their_order(tmp_path: Path, duo: Chip) -> None:
    assert load_chip(DUO, overrides={"kinds.listen.array.rows": 4}).digest != duo.digest
    assert len({duo.digest, *(kind.chip.digest for kind in duo.kinds)}) == 3
    spec = load_spec(DUO)
    data = spec.model_dump()
    data["kinds"]["third"] = {**data["kinds"]["listen"], "cores": 2}
    turned = {**data, "kinds": dict(reversed(list(data["kinds"].items())))}
    tech = load_technology()
    one, other = (spec_digest(ChipSpec.model_validate(d), tech) for d in (data, turned))
    assert one != other


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  listen:", "  vision:", ("kinds.vision", "name")),
        ("  listen:", "  all:", ("kinds.all", "another name")),
        ("  listen:", "  buffer:", ("kinds.buffer", "another name")),
        ("  listen:", "  l2:", ("kinds.l2", "another name")),
        ("kind: vision", "kind: all", ("kind", "'all'", "another")),
        ("rows: 8,", "rowz: 8,", ("kinds.listen.array.rowz", "array")),
        ("rows: 8,", "rows: -8,", ("kinds.listen.array.rows", "give 1 to 4,096")),
        ("cores: 1\n    f_hz", "cores: 0\n    f_hz", ("kinds.listen.cores",)),
        ("    f_hz: 5.0e7", "    f_hz: 9.0e9", ("kinds.listen.f_hz", "at most")),
        ("    widths: {", "    widhts: {", ("widhts", "widths")),
        ("    widths: {", "    native_precision: fp16\n    widths: {", ("kinds.listen", "fp16")),
        ("    cores: 1\n", "    cores: 64\n", ("65 cores",)),
    ],
)
def test_faults_in_a_kind_are_named(
    tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    text = find_chip_file(DUO).read_text(encoding="utf-8")
    assert old in text
    text = text.partition("ranges:\n")[0].replace(old, new, 1)
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as fault:
        load_chip(tmp_path / "bad.yaml")
    for word in ("bad.yaml", *words):
        assert word in fault.value.describe()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("kinds.listn.cores", "did you mean kinds.listen.cores"),
        ("kinds.listen.array.rowz", "kinds.listen.array.rowz"),
        ("kinds.listen.dram.channels", "kinds.listen"),
    ],
)
def test_overrides_of_a_kind(path: str, words: str) -> None:
    with pytest.raises(InputError) as fault:
        load_chip(DUO, overrides={path: 1})
    assert words in fault.value.describe()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("array.registers.W", 64),
        ("array.align.K", 16),
        ("array.formats.int4xint8", 2.0),
        ("array.sparsity.kind", "gating"),
        ("legality.granularity.K", 4),
        ("buffer.bytes", 4096),
    ],
)
def test_a_field_of_a_kind_is_of_that_kind_alone(path: str, value: Any) -> None:
    """Whatever its depth; and nothing else of what the kind follows the chip in changes."""
    spec = load_spec(DUO)
    made = spec.with_values({f"kinds.listen.{path}": value})
    assert made.of_kind("vision") == spec.of_kind("vision")
    assert made.of_kind("listen") == spec.of_kind("listen").with_values({path: value})


def test_every_block_of_a_chip_is_no_name_of_a_kind() -> None:
    """Blocks are found by name: a kind called like one would stand in its place."""
    nvm = {"nvm.bytes": 1 << 20, "nvm.kind": "mram", "nvm.bytes_per_cycle": 8}
    chip = load_chip("vision_dsp_duo", overrides=nvm)
    names = {node.name.partition(".")[0] for _, node in chip.area.walk()} - {"dsp"}
    seen = {node.name for _, node in chip.kinds[1].chip.area.walk()}
    assert names | seen <= set(RESERVED)


def test_cost_of_a_kind_is_that_of_the_die_without_it(duo: Chip) -> None:
    tech, without = load_technology(), alone("vision")
    more = tech.die_cost_usd(22, duo.area_mm2) - tech.die_cost_usd(22, without.area_mm2)
    row = chip_table(duo)["kinds"][1]
    assert row["die_cost_usd"] == pytest.approx(more, rel=1e-9)
    own = {node.name: node.own_mm2 for _, node in alone("listen").area.walk()}
    blocks = ("array", "accumulators", "buffer", "vector", "control", "noc")
    assert row["area_mm2"] == pytest.approx(sum(own[name] for name in blocks), rel=1e-12)


def test_a_slower_kind_on_the_clock_of_the_chip_lowers_it() -> None:
    values = {"kinds.listen.f_hz": None, "kinds.listen.speed_factor": 0.3, "f_hz": 2e8}
    spec = load_spec(DUO).with_values(values)
    fast = load_spec(DUO).with_values({"f_hz": 4e8})
    assert within_reach(spec, load_technology()) == (spec, ())
    lowered, notes = within_reach(spec.with_values({"f_hz": 4e8}), load_technology())
    assert 2e8 < (lowered.f_hz or 0.0) < 4e8
    assert len(notes) == 1
    assert resolve(lowered).kinds[1].chip.f_hz == lowered.f_hz
    assert within_reach(fast, load_technology()) == (fast, ())


def test_a_voltage_that_a_kind_pins_is_for_the_files_node(tmp_path: Path) -> None:
    text = find_chip_file(DUO).read_text(encoding="utf-8")
    pinned = text.replace("    f_hz: 5.0e7", "    f_hz: 5.0e7\n    voltage_v: 0.75")
    (tmp_path / "pinned.yaml").write_text(pinned, encoding="utf-8")
    home, away = (load_chip(tmp_path / "pinned.yaml", node=node) for node in (None, "12nm"))
    assert home.kinds[1].chip.voltage_v == 0.75
    assert away.kinds[1].chip.voltage_v == load_chip(DUO, node="12nm").kinds[1].chip.voltage_v


@pytest.mark.parametrize(("field", "there"), [("dma.channels", True), ("dma.chanels", False)])
def test_ranges_speak_of_what_a_kind_may_change(tmp_path: Path, field: str, there: bool) -> None:
    """Whether or not the file changes it."""
    text = find_chip_file(DUO).read_text(encoding="utf-8")
    ranges = f"ranges:\n  kinds.listen.{field}: {{choices: [1, 2]}}\n"
    (tmp_path / "wide.yaml").write_text(text.replace("ranges:\n", ranges, 1), encoding="utf-8")
    if there:
        assert f"kinds.listen.{field}" in load_spec(tmp_path / "wide.yaml").ranges
        return
    with pytest.raises(InputError, match="no chip has"):
        load_spec(tmp_path / "wide.yaml")


def test_values_of_a_kind_are_those_that_hold() -> None:
    spec = load_spec(DUO)
    assert spec.value("kinds.listen.array.rows") == 8
    assert spec.value("kinds.listen.array.depthwise") == "diagonal"  # the chip's own
    assert (
        spec.with_values({"kinds.listen.dma.channels": 1}).value("kinds.listen.dma.channels") == 1
    )
    assert spec.value("dma.channels") == 2


def test_a_kind_that_is_not_there() -> None:
    with pytest.raises(ImpossibleChipError, match="vision, listen"):
        kind_named(load_chip(DUO), "talk")
    with pytest.raises(ImpossibleChipError, match="all equal"):
        kind_named(load_chip("edge_vision"), "talk")
