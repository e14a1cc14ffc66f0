"""A node is a file: what is in the folder is what there is."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dse.errors import InputError
from dse.hardware import load_chip
from dse.technology import Technology, digest_of_today, load_technology, node_table
from dse.technology.facts import DATA_FOLDER, FORMER_DIGESTS, load_facts

SHIPPED = load_technology()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the data folder."""
    return Path(shutil.copytree(DATA_FOLDER, tmp_path / "data"))


def node_of(data: Path, size: int) -> tuple[Path, dict[str, Any]]:
    path = data / "nodes" / f"{size}nm.json"
    return path, json.loads(path.read_text())


def add(data: Path, size: int, like: int, **changes: Any) -> Path:
    """A made node: the numbers of another one."""
    _, content = node_of(data, like)
    path = data / "nodes" / f"{size}nm.json"
    path.write_text(json.dumps({**content, "node_nm": size, **changes}))
    return path


def test_the_nodes_are_the_files() -> None:
    sizes = {int(path.stem.removesuffix("nm")) for path in (DATA_FOLDER / "nodes").iterdir()}
    assert set(SHIPPED.known_nodes.every) == sizes
    assert set(SHIPPED.nodes) | set(SHIPPED.validation_nodes) == sizes
    assert not set(SHIPPED.nodes) & set(SHIPPED.validation_nodes)
    assert list(SHIPPED.nodes) == sorted(SHIPPED.nodes, reverse=True)


def test_a_file_adds_a_node(data: Path) -> None:
    add(data, 9, 7)
    technology = load_technology(folder=data)
    assert technology.nodes == tuple(sorted((*SHIPPED.nodes, 9), reverse=True))
    chip = load_chip("edge_vision", "9nm", technology=technology)
    like = load_chip("edge_vision", "7nm", technology=technology)
    assert chip.node_nm == 9
    assert chip.prices == like.prices
    assert chip.area_mm2 == like.area_mm2
    assert [row["node_nm"] for row in node_table(technology)] == list(technology.nodes)
    assert technology.lines["tsmc"].nodes == technology.nodes
    with pytest.raises(InputError, match="there is no 9 nm node"):
        load_chip("edge_vision", "9nm")


def test_a_node_with_other_numbers_has_other_prices(data: Path) -> None:
    _, content = node_of(data, 7)
    facts = {**content["facts"], "nodes.sram_bitcell_um2": 0.03, "cost.wafer_usd": 7000.0}
    add(data, 9, 7, facts=facts, member_of=["memory.nvm_nodes.mram"])
    technology = load_technology(folder=data)
    assert technology.sram_area_mm2(9, 1e6) > technology.sram_area_mm2(7, 1e6)
    assert technology.die_cost_usd(9, 50.0) < technology.die_cost_usd(7, 50.0)
    assert 9 not in technology.lines["tsmc"].nodes
    assert technology.nvm_area_mm2(9, "mram", 1e6) > 0.0
    with pytest.raises(InputError, match="no mram is offered at 7 nm"):
        technology.nvm_area_mm2(7, "mram", 1e6)


def test_a_node_for_validation_is_no_choice_of_a_design(data: Path) -> None:
    add(data, 9, 7, use="validation", member_of=[])
    technology = load_technology(folder=data)
    assert technology.nodes == SHIPPED.nodes
    assert 9 in technology.validation_nodes
    assert technology.known_nodes.parse("9nm") == 9


def test_a_file_less_is_a_node_less(data: Path) -> None:
    (data / "nodes" / "3nm.json").unlink()
    technology = load_technology(folder=data)
    assert technology.nodes == tuple(node for node in SHIPPED.nodes if node != 3)
    with pytest.raises(InputError, match="there is no 3 nm node"):
        load_chip("edge_vision", 3, technology=technology)


def test_nodes_that_were_there_keep_every_number(data: Path) -> None:
    add(data, 9, 7)
    for draw in (None, (3, 1)):
        before = [repr(row) for row in node_table(load_technology(draw))]
        after = [repr(row) for row in node_table(load_technology(draw, data))]
        assert set(before) < set(after)


def test_the_digest_is_of_the_facts(data: Path) -> None:
    for path in data.rglob("*.json"):
        content = json.loads(path.read_text())
        if "facts" in content:
            content["facts"] = dict(reversed(content["facts"].items()))
        path.write_text(json.dumps(content, indent=7))
    assert load_facts(folder=data).digest == SHIPPED.digest
    path, content = node_of(data, 7)
    content["facts"]["cost.wafer_usd"] += 1.0
    path.write_text(json.dumps(content))
    assert load_facts(folder=data).digest != SHIPPED.digest


def test_every_kind_of_change_of_the_facts_is_in_the_digest(data: Path) -> None:
    digests = {SHIPPED.digest, load_technology((1, 1)).digest, load_technology((1, 2)).digest}
    add(data, 9, 7, member_of=[])
    digests.add(load_facts(folder=data).digest)
    add(data, 9, 7, member_of=[], use="validation")
    digests.add(load_facts(folder=data).digest)
    add(data, 9, 7)
    digests.add(load_facts(folder=data).digest)
    assert len(digests) == 6


def test_a_study_of_the_same_facts_is_known_by_its_former_digest() -> None:
    for former, now in FORMER_DIGESTS.items():
        assert digest_of_today(former) == now
    assert digest_of_today(SHIPPED.digest) == SHIPPED.digest


def _without(content: dict[str, Any]) -> None:
    del content["facts"]["cost.wafer_usd"]


def _with(content: dict[str, Any]) -> None:
    content["facts"]["cost.waver_usd"] = 1.0


def _elsewhere(content: dict[str, Any]) -> None:
    content["member_of"] = ["lines.tsmd.nodes"]


def _misnamed(content: dict[str, Any]) -> None:
    content["node_nm"] = 8


def _worded(content: dict[str, Any]) -> None:
    content["use"] = "sale"


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        (_without, "facts.cost.wafer_usd"),
        (_with, "facts.cost.waver_usd"),
        (_elsewhere, "member_of"),
        (_misnamed, "node_nm"),
        (_worded, "use"),
    ],
)
def test_a_faulty_node_is_named(
    data: Path, fault: Callable[[dict[str, Any]], None], field: str
) -> None:
    path, content = node_of(data, 7)
    fault(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load_facts(folder=data)
    assert "7nm.json" in str(caught.value.file)
    assert caught.value.field == field


def test_a_technology_of_a_folder_travels_between_processes(data: Path) -> None:
    add(data, 9, 7)
    copy = pickle.loads(pickle.dumps(load_technology(folder=data)))
    assert isinstance(copy, Technology)
    assert copy.nodes == load_technology(folder=data).nodes
