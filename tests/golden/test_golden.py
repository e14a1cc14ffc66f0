"""The golden corpus: what differs is found, named after what moved first, and told."""

from __future__ import annotations

import copy
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).resolve().parents[2] / "experiments" / "golden"

Corpus = dict[str, dict[str, Any]]


def module(name: str) -> Any:
    """A module of the folder, whose scripts find each other by their place."""
    if str(GOLDEN) not in sys.path:
        sys.path.append(str(GOLDEN))
    return importlib.import_module(name)


def row(name: str, record: dict[str, Any], *inputs: str) -> tuple[str, dict[str, Any]]:
    return name, {"id": name, "inputs": list(inputs), "record": record}


@pytest.fixture
def corpus() -> Corpus:
    """Two chips in two nodes with two memories, a network on each, and one validation row."""
    chips = {"one": (16, "lpddr4"), "two": (7, "lpddr5")}
    rows = [
        row("facts/dram.lpddr4", {"value": {"read": 8.5, "write": 5.0}}),
        row("facts/dram.lpddr5", {"value": {"read": 5.5, "write": 4.0}}),
        row("facts/cost.wafer_usd.16", {"value": 3984.0}),
        row("models/net", {"macs": 100, "layers": [{"name": "a", "dims": "K=1"}]}),
        row("validation/silicon", {"median": 0.2}, "facts", "all"),
    ]
    for name, (node, dram) in chips.items():
        content = {"node_nm": node, "listed": {"dram": dram}, "prices_j": {"dram_read": 1e-12}}
        rows.append(row(f"chips/{name}", content, "facts"))
        layers = [
            {"name": "a", "tiles": {"K": 4}, "cycles": 10.0, "energy_j": 1.0, "bottleneck": "dram"},
            {"name": "a", "tiles": {"K": 2}, "cycles": 20.0, "energy_j": 2.0, "bottleneck": "dma"},
        ]
        record = {"latency_s": 0.5, "energy_j": 3.0, "unit_cost_usd": 9.0, "identity": name,
                  "layers": layers, "feasible": True}  # fmt: skip
        rows.append(row(f"networks/net/{name}", record, f"chips/{name}", "models/net", "facts"))
    return dict(rows)


def told(before: Corpus, after: Corpus) -> tuple[Any, dict[str, list[str]]]:
    """The differences, and the ids of each cause."""
    differences = module("differences")
    found = differences.compare(before, after)
    grouped = differences.causes(found, after)
    return found, {cause.label: sorted(cause.ids) for cause in grouped}


def test_equal_corpora_are_equal_whatever_their_identity(corpus: Corpus) -> None:
    after = copy.deepcopy(corpus)
    after["networks/net/one"]["record"]["identity"] = "another"
    found, causes = told(corpus, after)
    assert found.equal
    assert not causes
    assert not found.words


def test_the_smallest_change_of_a_number_is_found(corpus: Corpus) -> None:
    import math

    after = copy.deepcopy(corpus)
    layer = after["networks/net/one"]["record"]["layers"][1]
    layer["energy_j"] = math.nextafter(layer["energy_j"], 3.0)
    found, causes = told(corpus, after)
    assert not found.equal
    (move,) = found.moved
    assert (move.path, move.metric) == ("layers.[a#2].energy_j", "layers.energy_j")
    assert causes == {"networks: energy and power": ["networks/net/one"]}


def test_a_price_is_named_with_all_that_follows_from_it(corpus: Corpus) -> None:
    after = copy.deepcopy(corpus)
    after["facts/dram.lpddr4"]["record"]["value"]["read"] = 9.0
    after["facts/cost.wafer_usd.16"]["record"]["value"] = 4000.0
    after["chips/one"]["record"]["prices_j"]["dram_read"] = 1.1e-12
    after["networks/net/one"]["record"]["energy_j"] = 3.2
    after["validation/silicon"]["record"]["median"] = 0.21
    _, causes = told(corpus, after)
    dram = "fact dram.lpddr4 (value.read 8.5 -> 9.0)"
    wafer = "fact cost.wafer_usd.16 (value 3984.0 -> 4000.0)"
    both = f"{wafer}, {dram}"
    assert causes[dram] == ["facts/dram.lpddr4"]
    assert causes[both] == ["chips/one", "networks/net/one", "validation/silicon"]
    # A fact of another node and another memory is no cause of what moves on the other chip.
    after = copy.deepcopy(after)
    after["facts/dram.lpddr5"]["record"]["value"]["read"] = 6.0
    after["chips/two"]["record"]["prices_j"]["dram_read"] = 1.2e-12
    _, causes = told(corpus, after)
    assert causes["fact dram.lpddr5 (value.read 5.5 -> 6.0)"] == ["chips/two", "facts/dram.lpddr5"]


def test_a_record_s_own_first_stage_is_its_cause(corpus: Corpus) -> None:
    after = copy.deepcopy(corpus)
    record = after["networks/net/two"]["record"]
    record["layers"][0]["tiles"]["K"] = 8
    record["layers"][0]["cycles"] = 9.0
    record["latency_s"] = 0.45
    record["layers"][0]["bottleneck"] = "array"
    found, causes = told(corpus, after)
    assert causes == {"networks: mapping": ["networks/net/two"]}
    assert [move.after for move in found.words] == ["array"]


def test_what_is_lost_counts_and_what_is_added_does_not(corpus: Corpus) -> None:
    more = copy.deepcopy(corpus)
    more["networks/net/one"]["record"]["carbon_kg"] = 1.0
    more.update([row("networks/new/one", {"latency_s": 1.0})])
    found, _ = told(corpus, more)
    assert found.equal
    assert (found.added, found.fields_added) == (("networks/new/one",), {"carbon_kg": 1})
    found, _ = told(more, corpus)
    assert not found.equal
    assert (found.gone, found.fields_gone) == (("networks/new/one",), {"carbon_kg": 1})


def test_a_refusal_is_one_change_of_its_record(corpus: Corpus) -> None:
    after = copy.deepcopy(corpus)
    after["networks/net/one"]["record"] = {"refused": "no room"}
    for one, other in ((corpus, after), (after, corpus)):
        found, causes = told(one, other)
        assert [move.path for move in found.words + found.moved] == ["refused"]
        assert not found.equal
        assert sum(map(len, causes.values())) == 1


def test_a_number_that_became_a_word_or_nothing_moved(corpus: Corpus) -> None:
    for value in (None, "much", True):
        after = copy.deepcopy(corpus)
        after["networks/net/one"]["record"]["latency_s"] = value
        assert not told(corpus, after)[0].equal


def test_the_changelog_s_newest_entry_holds_the_table_once(corpus: Corpus) -> None:
    telling, differences = module("telling"), module("differences")
    after = copy.deepcopy(corpus)
    after["networks/net/one"]["record"]["latency_s"] = 1.0
    found = differences.compare(corpus, after)
    grouped = differences.causes(found, after)
    before = (
        "# Changes\n\n## Unreleased\n\n- New.\n\n## 0.1.0\n\n### Numbers that changed\n\nOld.\n"
    )
    once = telling.changelog(before, found, grouped, after)
    assert telling.changelog(once, found, grouped, after) == once
    assert once.index("latency_s` x 2 to 2") < once.index("## 0.1.0") < once.index("Old.")
    assert "1 of 2 networks" in once
    with pytest.raises(ValueError, match="no entry"):
        telling.changelog("# Changes\n", found, grouped, after)


def test_the_script_compares_two_folders(corpus: Corpus, tmp_path: Path) -> None:
    def write(name: str, content: Corpus) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        lines = [json.dumps(one) for key, one in content.items() if key.startswith("chips/")]
        (folder / "chips.jsonl").write_text("".join(f"{line}\n" for line in lines))
        (folder / "about.json").write_text("{}")
        return folder

    def run(one: object, other: object) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(GOLDEN / "compare.py"), str(one), str(other)]
        return subprocess.run([*script, "--only", "chips"], capture_output=True, text=True)

    after = copy.deepcopy(corpus)
    after["chips/one"]["record"]["prices_j"]["dram_read"] = 2e-12
    first, second = write("first", corpus), write("second", after)
    assert run(first, first).returncode == 0
    done = run(first, second)
    assert done.returncode == 1
    assert "cause: chips/one: prices" in done.stdout
    done = run(first, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    (second / "chips.jsonl").write_text("{")
    assert "damaged" in run(first, second).stderr


def test_the_list_is_what_ships() -> None:
    """Every shipped app has a line; every network, chip and study that is named can be had."""
    import dse
    from dse.apps import list_apps

    listed = module("corpus").corpus()
    assert set(listed["apps"]) == {app.name for app in list_apps()}
    networks = listed["networks"]
    assert len(networks["models"]) >= 20
    assert len(networks["chips"]) >= 8
    for chip in networks["chips"]:
        dse.load_chip(chip)
    templates = {dse.load_chip(chip).template for chip in networks["chips"]}
    assert len(templates) == 6
    for study in listed["studies"]:
        assert (GOLDEN.parent / f"{study['experiment']}.yaml").is_file()


def test_records_are_the_same_once_written_and_read() -> None:
    corpus = module("corpus")
    task = corpus.Task("networks", "resnet8", "gap9")
    found = {one["id"]: one for one in corpus.records(task)}
    assert set(found) == {
        f"networks/resnet8/gap9/{f}" for f in ("roofline", "analytic", "simulate")
    }
    record = found["networks/resnet8/gap9/analytic"]["record"]
    assert record["latency_s"] > 0
    assert record["layers"]
    written = json.loads(json.dumps(found, allow_nan=False))
    differences, _ = told(found, written)
    assert differences.equal
    assert not differences.words
