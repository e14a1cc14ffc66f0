"""The scripts of ``experiments/hardening`` in a short form; long by hand (``make test-long``)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import numbers_of_cases
from tests.workload.graphs import script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


def judged(tool: Any, cases: Iterator[Any], work: Any) -> Counter[str]:
    """What came of the cases, all of which came to a good end."""
    counts: Counter[str] = Counter()
    for index, case, outcome, detail in tool.judged(cases, work, tool.GOOD):
        counts[outcome] += 1
        assert outcome in tool.GOOD, f"case {index}: {outcome}: {detail}: {case!r}"
    return counts


@numbers_of_cases(80, 10_000)
def test_damaged_yaml_files_are_read_or_refused(cases: int, tmp_path: Path) -> None:
    tool = script("mutate_yaml")
    use_every = 20 if cases > 1000 else 0
    counts = judged(tool, tool.cases(cases, 3, use_every), partial(tool.read, tmp_path))
    assert min(counts["read"], counts["refused"]) > cases / 20


@numbers_of_cases(25, 2_000)
def test_random_command_lines_end_with_0_1_or_2(cases: int) -> None:
    tool = script("command_lines")
    quick = ("models", "chips", "nodes", "apps", "schema", "templates", "show", "migrate", "report")
    some = tool.cases(cases if cases > 1000 else 10 * cases, 3)
    if cases < 1000:
        some = islice((one for one in some if one[1][0] in quick), cases)
    counts = judged(tool, some, tool.tried)
    assert min(counts["done"], counts["refused"]) > cases / 20


@numbers_of_cases(25, 5_000)
def test_turned_numbers_of_chips_give_finite_records_or_one_line(cases: int) -> None:
    tool = script("chip_numbers")
    every = sum(1 for _ in tool.cases()) // cases
    counts = judged(tool, islice(enumerate(tool.cases()), 0, None, every), tool.tried)
    assert min(counts["finite"], counts["refused"]) > cases / 20


@pytest.mark.long
def test_killed_searches_go_on(tmp_path: Path) -> None:
    tool = script("kills")
    (tmp_path / "kills.yaml").write_text(tool.EXPERIMENT)
    whole = tool.run_to_its_end(tmp_path, "whole", 1)
    for index, _, outcome, detail in tool.killed(tmp_path, 55, 3, whole):
        assert outcome in tool.GOOD, f"case {index}: {outcome}: {detail}"
