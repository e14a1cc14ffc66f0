"""Predictions that were committed before their measured latencies were read."""

from __future__ import annotations

import pytest

from dse.validation import constants, foretold, freeze, published
from dse.validation.predict import predict

FILE = foretold.foretellings()
LOGGED = foretold.as_logged(FILE)


@pytest.mark.parametrize("row", FILE.rows, ids=lambda row: f"{row.chip} {row.model}")
def test_the_model_still_says_so_or_the_log_says_why(row: foretold.Foretold) -> None:
    """If this fails, add a row under ``later`` with its ground; never change the first one."""
    ours = predict(row.case).latency_s
    assert ours == pytest.approx(LOGGED[row.chip, row.model], rel=foretold.TOLERANCE)


def test_rows_are_single_and_later_ones_follow() -> None:
    dates = {(row.chip, row.model): row.date for row in FILE.rows}
    assert len(dates) == len(FILE.rows) >= 10
    for row in FILE.later:
        assert row.date >= dates[row.chip, row.model]


def test_the_last_word_of_the_log_counts() -> None:
    first = FILE.rows[0]
    new = foretold.Later(
        chip=first.chip,
        model=first.model,
        predicted_s=2.0 * first.predicted_s,
        date=first.date,
        ground="a test of the log of later predictions",
    )
    logged = foretold.as_logged(FILE.model_copy(update={"later": (*FILE.later, new)}))
    assert logged[first.chip, first.model] == new.predicted_s
    assert len(logged) == len(LOGGED)


def test_their_chips_are_frozen_from_the_first_and_serve_no_fit() -> None:
    log, chips = freeze.freeze(), set(foretold.foretold_chips())
    dates = {item.chip: item.date for item in log.chips}
    assert all(dates[row.chip] <= row.date for row in FILE.rows)
    changes = [change for change in log.changes if change.chip in chips]
    assert all(set(change.blocks) == {"buffer"} for change in changes)  # the same fact elsewhere
    assert all("are the fetch limit" in change.ground for change in changes)
    assert not chips & {field.chip for constant in constants() for field in constant.fields}
    assert not chips & {row.chip for row in published.silicon().rows}


def test_a_comparison_keeps_what_was_said() -> None:
    said = {(row.chip, row.model): row.predicted_s for row in FILE.rows}
    for row in published.blinds():
        if row.chip in foretold.foretold_chips():
            assert row.predicted_s == said[row.chip, row.model]
