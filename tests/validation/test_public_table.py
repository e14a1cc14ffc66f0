"""The public table: rows, what is left out of a chip, null models and bands without its family."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dse.hardware.library import load_spec
from dse.hardware.resolve import load_chip
from dse.hardware.runtimes import COSTS, runtime_classes
from dse.validation import constants, published
from dse.validation.chip_files import chip_file
from dse.validation.families import families, family_of
from dse.validation.leaving import left_out_of, of_other_classes
from dse.validation.public import all_rows, table_chips, without_copies
from dse.validation.record import Section
from dse.validation.silicon import grade_of, pairs_on_a_chip, silicon_sections
from dse.validation.table_fits import Facts, bands, family_weights, null_times, quantile, score

TINY = ("ad_autoencoder", "resnet8", "dscnn_kws", "mobilenetv1_vww")
ROWS, COPIES = without_copies(all_rows())


# Rows and chips.


def test_the_table_is_broad_enough() -> None:
    """350 rows in all, of which at least 12 families have chips of grade A or B."""
    assert len(ROWS) >= 350
    good = {family_of(row.chip).id for row in ROWS if grade_of(row) in ("A", "B")}
    assert len(good) >= 12
    assert {row.chip for row in ROWS} == set(table_chips())


def test_copies_are_dropped_by_their_job() -> None:
    """The vendor's table has one die under two names with the same job numbers."""
    assert {row.part for row in COPIES} == {"Qualcomm SA7255P"}
    kept = {row.job: row for row in ROWS if row.job}
    for copy in COPIES:
        assert kept[copy.job].part == "Qualcomm QCS8275"
        assert kept[copy.job].seconds == copy.seconds
    again, none = without_copies(ROWS)
    assert (again, none) == (ROWS, ())


@pytest.mark.parametrize("chip", sorted(table_chips()))
def test_nothing_fitted_on_the_family_is_left_in_a_chip(chip: str) -> None:
    """Neither a figure of its runtime class nor a constant of fits.yaml."""
    family, left = family_of(chip), left_out_of(chip)
    overhead = load_chip(chip_file(chip), overrides=left.values).spec.overhead
    if overhead.runtime is not None:
        of = runtime_classes()[overhead.runtime]
        estimates = {name for cost in COSTS for name in getattr(of, cost).estimates}
        assert estimates & set(family.runtime) <= set(overhead.runtime_without)
    of_row = {row.id: row.chip for row in published.silicon().rows}
    of_row |= {row.id: row.chip for row in published.languages()}
    for constant in constants():
        if all(of_row[row] not in family.chips for row in constant.fitted_on):
            continue
        for field in constant.fields:
            if field.chip == chip:
                assert field.path in left.values, constant.name
        if load_spec(chip_file(chip)).dram.kind in constant.stream_ceiling_of:
            assert "dram.efficiency" in left.values, constant.name


def test_a_class_of_one_family_takes_the_cost_of_classes_that_start_alike() -> None:
    """TI alone speaks for its class, so others that start layer by layer do; each family once."""
    left, of = left_out_of("tda4vm"), runtime_classes()["dsp_layer"]
    figure, number = of_other_classes(of, "layer", families()["ti_c7x_mma"])
    assert left.values["overhead.launch_cycles"] == figure
    assert number == 4
    rockchip = runtime_classes()["task_chain"].layer
    only = [name for name in rockchip.estimates if name not in family_of("rk3588_npu").runtime]
    assert only == []
    assert any("layer:" in line for line in left.told)


def test_conditions_of_a_measurement_win() -> None:
    assert left_out_of("gap9", {"f_hz": 240e6}).values["f_hz"] == 240e6


# Null models, bands, scores.


def facts(family: str, factor: float = 1.0, n: int = 6) -> list[Facts]:
    """Rows of a family whose times are ``factor`` times 2 compute + 10 us a layer."""
    out = []
    for k in range(1, n + 1):
        layers = 20.0 + 3 * k * k
        measured = factor * (2e-3 * k + 1e-5 * layers)
        out.append(Facts(family, measured, 1e-3 * k, 1e-4 * k * k, 1e-5, layers, 1e-3 * k))
    return out


def test_null_models_find_what_is_there_and_know_nothing_of_the_family() -> None:
    rows = [*facts("a"), *facts("b"), *facts("c", factor=7.0, n=3)]
    said = null_times(rows)
    for row, guess in zip(rows[12:], said["MACs + layers"][12:], strict=True):
        assert guess == pytest.approx(row.measured_s / 7.0)
    moved = [*rows[:12], *(replace(row, measured_s=row.measured_s * 50) for row in rows[12:])]
    for name in said:
        assert null_times(moved)[name][12:] == said[name][12:]
        assert name == "roofline" or null_times(moved)[name][:12] != said[name][:12]
    assert null_times(rows[:6])["MACs + layers"] == [None] * 6


def test_bands_are_quantiles_of_other_families() -> None:
    names = ["a"] * 100 + ["b"] * 10
    ratios = [0.5 + n / 100 for n in range(100)] + [9.0] * 10
    found = bands(names, ratios)
    assert found[0] == pytest.approx((1 / 9.0, 1 / 9.0))
    low, high = found[-1] or (0.0, 0.0)
    assert 1 / 1.46 < low < 1 / 1.42
    assert 1 / 0.56 < high < 1 / 0.53
    assert bands(["a", "a"], [1.0, 2.0]) == [None, None]


def test_families_weigh_the_same() -> None:
    weights = family_weights(["a"] * 9 + ["b"])
    assert weights[0] == pytest.approx(0.5 / 9)
    assert weights[-1] == pytest.approx(0.5)
    found = score(["a"] * 9 + ["b"], [1.0] * 9 + [4.0])
    assert found is not None
    assert (found.geometric_mean, found.beyond_2x) == pytest.approx((2.0, 0.5))
    assert quantile([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], [0.5, 0.5], 0.5) == 1.5
    assert score([], []) is None


# A slice of the table as a whole.


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    rows = [row for row in ROWS if row.model.split("@")[0] in TINY]
    return silicon_sections(rows=rows)


def test_a_slice_of_the_table(sections: list[Section]) -> None:
    good, weak = sections
    assert [good.name, weak.name] == ["silicon", "silicon_c"]
    assert {row.details["family"] for row in good.rows} >= {
        "greenwaves_gap9", "arm_ethos_u", "nxp_vip8000", "nxp_neutron",
    }  # fmt: skip
    assert {row.details["chip"] for row in weak.rows} == {"silabs_xg24"}
    for row in good.rows:
        shown = row.to_dict()
        assert shown["ours"] is not None
        assert shown["low"] < shown["ours"] * 3
        assert shown["low"] <= shown["high"]
        assert {"software", "scope", "grade", "MACs + layers s", "roofline s"} <= set(shown)
    total = good.tables["families"][-1]
    assert total["family"] == "all, equal weight"
    assert total["rows"] == len(good.rows)
    assert good.null_errors["MACs + layers"] == total["MACs + layers: median_error"]
    assert {line["chip"] for line in good.tables["chips"]} >= {"gap9", "imx93"}
    assert all(line["left out"] for line in good.tables["chips"] if line["chip"] == "gap9")
    versions = {line["what"]: line for line in weak.tables["noise floor"]}
    assert versions["two versions"]["pairs"] == 4


def test_a_slower_clock_is_slower_and_pairs_are_counted(sections: list[Section]) -> None:
    gap9 = [row for row in sections[0].rows if row.details["chip"] == "gap9"]
    by_part: dict[str, dict[str, float]] = {}
    for row in gap9:
        by_part.setdefault(row.details["part"], {})[row.details["network"]] = row.ours or 0.0
    fast, slow = by_part["GAP9 at 0.80 V"], by_part["GAP9 at 0.65 V"]
    for network, time in slow.items():
        assert 1.3 < time / fast[network] <= 370 / 240 * 1.001  # the call is time, not cycles
    assert pairs_on_a_chip([]) == ([], [])


@pytest.mark.long
def test_the_whole_table() -> None:
    """Every row has a figure or says why not, and the table shows what the issue of it is."""
    good, weak = silicon_sections()
    assert len(good.rows) + len(weak.rows) == len(ROWS)
    for row in (*good.rows, *weak.rows):
        assert row.ours is not None or row.note
    known = [row for row in good.rows if row.ours is not None]
    assert len(known) >= 0.95 * len(good.rows)
    total = good.tables["families"][-1]
    assert total["median_error"] < 0.5
    assert 0.6 < total["geometric_mean"] < 1.5
    die = {line["what"]: line for line in weak.tables["noise floor"]}["one die, two names"]
    assert die["pairs"] >= 15
