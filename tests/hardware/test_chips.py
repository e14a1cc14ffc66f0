"""Every shipped chip and template, at every node."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from dse.errors import InputError
from dse.hardware import Chip, chip_table, list_chips, list_templates, load_chip, load_spec
from dse.hardware.chip import LINKS, SCOPES
from dse.hardware.formats import FORMATS, holds, serving_pair
from dse.hardware.library import find_chip_file
from dse.hardware.options import Dim
from dse.hardware.prices import GROUP_SCOPE
from dse.hardware.sections import VECTOR_FUNCTIONS
from dse.hardware.table import area_by_scope, static_by_scope
from dse.schema import read_yaml
from dse.technology import load_technology

CHIPS = [entry.name for entry in list_chips()]
TEMPLATES = [entry.name for entry in list_templates()]
NODES = load_technology().nodes
SHIPPED = CHIPS + TEMPLATES


def test_enough_ships() -> None:
    assert len(CHIPS) >= 11
    assert len(TEMPLATES) >= 6
    assert {load_spec(name).template for name in CHIPS} <= set(TEMPLATES)


@pytest.mark.parametrize("name", SHIPPED)
def test_loads_as_written(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name
    assert chip.f_hz > 0.0
    assert chip.area_mm2 > chip.area.scope_mm2("npu") > 0.0


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("node", NODES)
def test_loads_at_any_node_or_says_what_is_reachable(name: str, node: int) -> None:
    values: dict[str, object] = {}
    fault = _fault(name, node, values)
    if fault is not None and fault.field == "dram.kind":
        assert "PHY" in str(fault)
        values["dram.kind"] = "lpddr4"
        fault = _fault(name, node, values)
    if fault is not None:
        reach = re.search(r"at most (\d+) MHz", str(fault))
        assert fault.field == "f_hz"
        assert reach is not None, str(fault)
        values["f_hz"] = float(reach.group(1)) * 0.999e6
    chip = load_chip(name, node, overrides=values)
    assert chip.node_nm == node
    assert all(price >= 0.0 for price in chip.prices.values())


def _fault(name: str, node: int, values: dict[str, object]) -> InputError | None:
    try:
        load_chip(name, f"{node}nm", overrides=values)
    except InputError as error:
        return error
    return None


def test_five_real_chips_load_at_every_node() -> None:
    reached = [name for name in CHIPS if all(_loads(name, node) for node in NODES)]
    assert len(set(reached) - {"edge_vision"}) >= 5


def _loads(name: str, node: int) -> bool:
    try:
        load_chip(name, node)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_in_a_file_has_its_source_there(name: str) -> None:
    """Also where a chip overrides its template: the template's source does not cover it."""
    data, _ = read_yaml(find_chip_file(name))
    sources = set(data.pop("sources", {}))
    for words in ("schema_version", "ranges"):
        data.pop(words, None)
    bare = [path for path in numbers(data, "") if not covered(path, sources)]
    # Conditions of operation are chosen by whoever evaluates; an absent memory has no facts.
    conditions = {"junction_c", "cores"}
    absent = {f"{block}." for block in ("l2", "nvm", "dram") if not present(data, block)}
    assert {p for p in bare if not p.startswith(tuple(absent) or ("-",))} <= conditions


def numbers(data: Any, path: str) -> list[str]:
    """Paths of all numbers in nested plain data."""
    if isinstance(data, dict):
        below = [numbers(value, f"{path}.{key}".strip(".")) for key, value in data.items()]
        return [found for some in below for found in some]
    return [path] if isinstance(data, (int, float)) and not isinstance(data, bool) else []


def covered(path: str, sources: set[str]) -> bool:
    """Whether a source speaks of the field or of a block that holds it."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in sources for end in range(1, len(parts) + 1))


def present(data: dict[str, Any], block: str) -> bool:
    held = data.get(block, {})
    return bool(held.get("bytes") or held.get("channels"))


@pytest.mark.parametrize("name", SHIPPED)
def test_scopes_nest_and_areas_add(name: str) -> None:
    chip = load_chip(name)
    areas = area_by_scope(chip)
    assert list(areas) == list(SCOPES)
    assert areas["npu"] < areas["die"] == pytest.approx(chip.area_mm2)
    assert chip.area_mm2 == pytest.approx(sum(node.own_mm2 for _, node in chip.area.walk()))
    for state in ("active", "idle", "gated"):
        power = static_by_scope(chip, state)
        values = [power[scope] for scope in SCOPES]
        assert values == sorted(values)
        assert power["module"] > power["die_dram"]
    for part in chip.static:
        assert part.gated_w <= part.idle_w + 1e-15
        assert part.gated_w >= 0.0


@pytest.mark.parametrize("name", SHIPPED)
def test_prices_are_complete(name: str) -> None:
    chip = load_chip(name)
    assert set(chip.action_scope) == set(chip.prices)
    assert set(GROUP_SCOPE.values()) <= set(SCOPES)
    wanted = {
        "array.idle_mac", "noc.bit", "nvm.read_bit", "phy.bit", "host.op", "launch", "descriptor",
    }  # fmt: skip
    for memory in ("accumulator", "buffer", "l2", "dram"):
        wanted |= {f"{memory}.read_bit", f"{memory}.write_bit"}
    for function in VECTOR_FUNCTIONS:
        wanted |= {f"vector.{function}", f"vector.{function}.wide"}
    wanted |= {f"mac.{pair.replace('x', '.')}" for pair in chip.array.rates}
    wanted |= {
        f"register.{operand.lower()}.{way}_bit"
        for operand in ("W", "I", "O")
        for way in ("read", "write")
        if chip.array.registers.present
    }
    assert wanted == set(chip.prices)
    for action, price in chip.prices.items():
        assert price > 0.0 or _absent(chip, action), action


def _absent(chip: Chip, action: str) -> bool:
    """Whether the action belongs to a memory that the chip lacks (or that has no device)."""
    group = action.partition(".")[0]
    link = {"phy": "dram"}.get(group, group)
    if link not in chip.links:
        return False
    return chip.links[link].bytes_per_s == 0.0 or chip.spec.dram.kind.startswith("host_")


@pytest.mark.parametrize("name", SHIPPED)
def test_links_and_homes(name: str) -> None:
    chip = load_chip(name)
    assert tuple(chip.links) == LINKS
    for link in chip.links.values():
        assert 0.0 <= link.bytes_per_s <= link.peak_bytes_per_s
        assert (link.bytes_per_s > 0.0) == (link.capacity_bytes > 0.0)


@pytest.mark.parametrize("name", SHIPPED)
def test_table_is_plain_data(name: str) -> None:
    import json

    table = chip_table(load_chip(name))
    assert json.loads(json.dumps(table, allow_nan=False))["name"] == name


def test_words_of_other_floors_agree() -> None:
    layer = pytest.importorskip("dse.workload.layer")
    precision = pytest.importorskip("dse.workload.precision")
    assert layer.FUNCTIONS == VECTOR_FUNCTIONS
    assert get_args(Dim) == layer.DIMS
    assert set(FORMATS) <= set(precision.FORMAT_BITS)


def test_serving_pairs_hold_their_values() -> None:
    implemented = {"int8xint8": 1.0, "int16xint16": 0.25, "int4xint8": 2.0}
    assert serving_pair(implemented, "int4", "int8") == "int4xint8"
    assert serving_pair(implemented, "int4", "int4") == "int4xint8"
    assert serving_pair(implemented, "int8", "int16") == "int16xint16"
    assert serving_pair(implemented, "fp16", "fp16") is None
    assert serving_pair({"fp16xfp16": 1.0}, "int8", "int8") == "fp16xfp16"
    assert serving_pair({"fp16xfp16": 1.0}, "int16", "int16") is None
    assert all(holds(name, name) for name in FORMATS)


@pytest.mark.parametrize(
    ("name", "macs"),
    [("ethos_u55_32", 32), ("ethos_u55_128", 128), ("gap9", 162), ("rk3588_npu", 3 * 1024)],
)
def test_macs_of_a_cycle_are_those_of_the_native_precision(name: str, macs: int) -> None:
    """As the vendors count: units of a rate below 1 take several cycles for one."""
    (entry,) = (one for one in list_chips() if one.name == name)
    table = chip_table(load_chip(name))
    assert entry.macs_per_cycle == table["macs_per_cycle"] == macs
    assert table["peak_macs_per_s"] == pytest.approx(macs * table["f_hz"])
