"""Validation tables and the null models they are compared with."""

from __future__ import annotations

import pytest

from dse.validation import Row, Section, run_sections
from dse.validation.null_models import Sample, null_errors


def test_summary_counts_judged_rows_only() -> None:
    rows = (
        Row("a", "x", 1.0, 2.0, "judged", "silicon"),
        Row("b", "x", 1.0, 0.5, "judged", "silicon"),
        Row("c", "x", 1.0, 100.0, "fitted", "silicon"),
        Row("d", "x", 1.0, None, "judged", "silicon"),
    )
    summary = Section("s", rows).summary
    assert summary["geometric_mean_ratio"] == pytest.approx(1.0)
    assert summary["median_absolute_error"] == pytest.approx(0.75)
    assert summary["worst"] == pytest.approx(1.0)


def test_null_models_are_exact_where_they_are_true() -> None:
    samples = [Sample("f", macs, 1e6 / macs, 2e-9 * macs) for macs in (1.0, 3.0, 10.0, 7.0)]
    errors = null_errors(samples)
    assert errors["MACs"] == pytest.approx(0.0, abs=1e-12)
    assert errors["weight bytes"] > 0.5
    affine = [
        Sample("f", m, b, 1e-3 + 2e-9 * m + 3e-9 * b)
        for m, b in ((1e6, 5e5), (4e6, 1e5), (2e6, 9e5), (7e6, 4e5), (3e6, 3e5), (9e6, 8e5))
    ]
    assert null_errors(affine)["a + b MACs + c bytes"] == pytest.approx(0.0, abs=1e-9)


def test_zoo_macs_are_right() -> None:
    rows = {(r.item, r.quantity): r for r in run_sections("models")[0].rows}
    for name, macs in (("resnet50", 4.089e9), ("mobilenetv2", 0.301e9)):
        ours = rows[name, "MACs"].ours
        assert ours == pytest.approx(macs, rel=0.005)
