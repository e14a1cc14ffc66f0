"""Pairs in which one fact changes: the file reads, and what the model reached is held."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dse.hardware.resolve import load_chip

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "pairs"
sys.path.insert(0, str(FOLDER))

from one_fact import Judged, Pair, Row, Side, chip_file, judge, medians, read_pairs  # noqa: E402

PAIRS = {pair.id: pair for pair in read_pairs()}
#: Small rows, and how far off they may be: a little more than what was reached.
HELD = {
    ("rk3566-rk3588", "mobilenetv2"): 1.55,
    ("rv1109-rv1126", "mobilenetv2"): 1.10,
    ("ax650n-cores", "mobilenetv2"): 1.10,
    ("ax650n-cores", "resnet50_v1.5"): 1.25,
    ("bm1684x-batch", "resnet50_v1.5"): 1.12,
    ("bm1684x-precision", "resnet50_v1.5"): 1.20,
    ("stm32n6-size", "squeezenet@res=224"): 1.35,
}


def test_rows_say_what_changes() -> None:
    for pair in PAIRS.values():
        assert pair.source
        assert pair.fact
        for row in pair.rows:
            assert row.slow != row.fast
            assert row.factor > 0.0


def test_a_clock_pair_differs_in_its_clock_and_host_only() -> None:
    slow, fast = (load_chip(chip_file(f"chips/{name}.yaml")) for name in ("rv1109", "rv1126"))
    assert fast.f_hz / slow.f_hz == pytest.approx(934 / 600)
    assert slow.array == fast.array
    assert slow.buffer == fast.buffer
    assert slow.links == fast.links


def test_how_far_off_is_symmetric() -> None:
    row = Row(Side("a", "m"), Side("b", "m"), slow_s=3.0, fast_s=1.0)
    assert Judged("p", row, 6.0, 6.0, 1.0, "").off == pytest.approx(2.0)
    assert Judged("p", row, 1.5, 1.5, 1.0, "").off == pytest.approx(2.0)
    assert Judged("p", row, None, None, None, "does not fit").off == math.inf


def test_a_side_that_cannot_run_is_told() -> None:
    row = Row(
        Side("ethos_u55_128", "fastdepth@res=512"), Side("ethos_u55_128", "resnet8"), 2.0, 1.0
    )
    (found,) = judge([Pair("p", "model", "none", (row,))], "analytic")
    assert found.ours is None
    assert found.note
    assert medians([found])["all"] == math.inf


@pytest.mark.parametrize(("pair", "model"), HELD)
def test_what_was_reached_is_held(pair: str, model: str) -> None:
    rows = tuple(row for row in PAIRS[pair].rows if row.slow.model == model)
    found = list(judge([replace(PAIRS[pair], rows=rows)], "analytic"))
    assert found
    assert max(one.off for one in found) <= HELD[pair, model]
