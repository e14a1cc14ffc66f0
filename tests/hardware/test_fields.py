"""Each field of each template turned: time, energy, area, cost and carbon move as physics says.

The table is ``fields.yaml``: a direction for each, or none for a stated reason. A field that is not
in it fails, so that no new cost comes with one of its sides missing.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from dse.hardware import load_spec
from dse.hardware.spec import ChipSpec
from tests.hardware.turning import METRICS, Turned, leaves, turned, write_network

TABLE: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "fields.yaml").read_text(encoding="utf-8")
)["fields"]
#: The first two in the suite, all in the long tier.
FIRST = ("mcu_npu", "conv_core")
TEMPLATES = (*FIRST, "big_sram_vision", "dsp_mma", "llm_npu", "riscv_cluster")
#: What a chip file tells people.
WORDS = {"schema_version", "name", "template", "description", "sources", "ranges"}
WAYS = ("up", "down", "same", "any")
#: Rounding.
EXACT = 1e-9


def entry(path: str) -> str | None:
    """The entry of a field: its own, or that of all keys of its mapping."""
    if path in TABLE:
        return path
    any_key = f"{path.rpartition('.')[0]}.*"
    return any_key if any_key in TABLE else None


def paths_of(spec: ChipSpec) -> list[tuple[str, Any]]:
    return leaves(spec.model_dump(exclude=WORDS))


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("turned") / "parts.onnx"
    write_network(file)
    return file


def turns(name: str) -> list[tuple[str, str, ChipSpec, list[Any]]]:
    """Entry, field, the template to begin with, and the values along which it is turned."""
    spec = load_spec(name)
    out = []
    for path, value in paths_of(spec):
        key = entry(path)
        assert key is not None, f"{path} is not in fields.yaml"
        how = TABLE[key]
        if "fixed" in how or name not in how.get("only", TEMPLATES):
            continue
        base = spec.with_values(how.get("with", {}))
        given = base.value(path) if path not in how.get("with", {}) else value
        if "values" in how:
            values = list(how["values"])
        else:
            whole = isinstance(given, int)
            values = [int(given * x) if whole else given * x for x in how["times"] if given]
        out.append((key, path, base, values))
    return out


@functools.lru_cache(maxsize=8)
def found(name: str, file: Path) -> list[tuple[str, str, list[Turned]]]:
    """Every field of a template turned."""
    out = []
    for key, path, base, values in turns(name):
        level = TABLE[key].get("level", "analytic")
        results = [turned(base.with_values({path: value}), file, level) for value in values]
        out.append((key, path, results))
    return out


def faults(name: str, key: str, path: str, results: list[Turned]) -> list[str]:
    """Where a metric of a template goes another way than the table says."""
    how, out = {**TABLE[key], **TABLE[key].get("differs", {}).get(name, {})}, []
    for metric in METRICS:
        values = [getattr(result, metric) for result in results]
        for before, after in pairwise(values):
            change = after / before - 1.0
            way, slack = how[metric], how.get("slack", 0.0) + EXACT
            wrong = {"up": change < -slack, "down": change > slack, "same": abs(change) > slack}
            if wrong.get(way):
                out.append(f"{path}: {metric} should be {way}, moves by {change:+.4%}")
    return out


@pytest.mark.parametrize("key", TABLE)
def test_every_entry_says_a_direction_or_why_not(key: str) -> None:
    how = TABLE[key]
    if "fixed" in how:
        assert how["fixed"]
        return
    assert {how[metric] for metric in METRICS} <= set(WAYS)
    assert ("times" in how) != ("values" in how)
    moving = {"up", "down"}
    assert how["because"] or {how[metric] for metric in METRICS} <= moving


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_field_of_a_template_is_in_the_table(name: str) -> None:
    known = {entry(path) for path, _ in paths_of(load_spec(name))}
    assert None not in known
    assert turns(name)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FIRST else (pytest.mark.long,)) for n in TEMPLATES]
)
def test_each_field_moves_what_physics_says(name: str, network_file: Path) -> None:
    wrong = [text for one in found(name, network_file) for text in faults(name, *one)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "names",
    [pytest.param(FIRST, id="first"), pytest.param(TEMPLATES, id="all", marks=pytest.mark.long)],
)
def test_what_should_move_does_somewhere(names: tuple[str, ...], network_file: Path) -> None:
    """A direction that holds because nothing moves at all would be no finding.

    ``elsewhere``: it moves on other templates than the first ones.
    """
    tried: set[str] = set()
    moved: set[tuple[str, str]] = set()
    for name in names:
        for key, _, results in found(name, network_file):
            if names == FIRST and TABLE[key].get("elsewhere"):
                continue
            tried.add(key)
            for metric in METRICS:
                values = {getattr(result, metric) for result in results}
                if max(values) > min(values) * (1.0 + EXACT):
                    moved.add((key, metric))
    still = [
        f"{key}: {metric}"
        for key in sorted(tried)
        for metric in METRICS
        if TABLE[key][metric] in ("up", "down") and (key, metric) not in moved
    ]
    assert not still, "\n".join(still)
