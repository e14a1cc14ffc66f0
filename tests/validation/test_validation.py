"""Validation tables, what is fitted and what is judged, and the null models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.evaluation import model_at
from dse.hardware.resolve import load_chip
from dse.hardware.runtimes import COSTS, runtime_classes
from dse.mapping import map_layer
from dse.technology import load_technology, technology_checks
from dse.validation import (
    Row,
    Section,
    Target,
    constants,
    eyeriss,
    freeze,
    published,
    run_sections,
    write_page,
)
from dse.validation.chip_files import chip_file
from dse.validation.null_models import Sample, null_errors, rank_correlation
from dse.validation.peers import EXPLAIN, peers
from dse.validation.predict import (
    chip_of,
    predict,
    with_classes,
    with_relu,
    with_winograd,
    workload_of,
)
from dse.validation.published import Case
from dse.validation.record import bracket, median_error
from dse.validation.sections import SECTIONS
from dse.workload import load_model


def test_summary_counts_judged_rows_only() -> None:
    rows = (
        Row("a", "x", 1.0, 2.0, "judged", "silicon"),
        Row("b", "x", 1.0, 0.5, "judged", "silicon"),
        Row("c", "x", 1.0, 100.0, "fitted", "silicon"),
        Row("d", "x", 1.0, None, "judged", "silicon"),
        bracket("e", "x", 1.0, 3.0, 2.0, "silicon"),
        bracket("f", "x", 1.0, 0.5, 2.0, "silicon"),
    )
    summary = Section("s", rows).summary
    assert summary["geometric_mean_ratio"] == pytest.approx(1.0)
    assert summary["median_absolute_error"] == pytest.approx(0.75)
    assert summary["worst"] == pytest.approx(1.0)
    assert summary["worst_factor"] == pytest.approx(2.0)
    assert (summary["brackets"], summary["inside"]) == (2, 1)
    assert rows[4].ours == 2.0


def test_targets_without_a_value_are_missed() -> None:
    assert not Target("t", None, 1.0).met
    assert Target("t", 1.0, 1.0).met
    assert not Target("t", 1.1, 1.0).met


# What is fitted and what is judged.


def test_no_fitted_row_is_judged() -> None:
    """What a constant was fitted on is marked, and nothing else is."""
    roles = {row.id: row.role for row in published.silicon().rows}
    assert len(roles) == len(published.silicon().rows)
    decode = {row.id: row.decode_role for row in published.languages()}
    assert not roles.keys() & decode.keys()
    roles |= decode
    used = {row for constant in constants() for row in constant.fitted_on}
    assert used
    assert {row for row, role in roles.items() if role == "fitted"} == used


def test_a_ratio_with_a_fitted_side_is_fitted() -> None:
    fitted = [row.case for row in published.silicon().rows if row.role == "fitted"]
    ratios = published.ratios()
    for ratio in ratios:
        assert (ratio.role == "fitted") == (ratio.over in fitted or ratio.under in fitted)
    assert {ratio.role for ratio in ratios} == {"fitted", "judged"}


def test_technology_is_not_judged_by_what_it_was_fitted_on() -> None:
    """Checks that the technology calls fitted are fitted in the sections of chips too."""
    fitted = {check.item for check in technology_checks() if check.role == "fitted"}
    assert "NVDLA 28 -> 16 nm" in fitted
    assert published.silicon().area_ratio_role == "fitted"
    assert "RK3588 weight stream" in fitted
    rk3588 = [row for row in published.languages() if row.chip == "rk3588_npu"]
    assert {row.decode_role for row in rk3588} == {"fitted"}


def test_chips_carry_the_fitted_values() -> None:
    for constant in constants():
        assert constant.fields or constant.stream_ceiling_of
        for field in constant.fields:
            chip = load_chip(field.chip)
            value = chip.spec.value(field.path)
            if isinstance(constant.value, float):
                value = float(value) / chip.f_hz if field.per else float(value)
                assert value == pytest.approx(constant.value, rel=1e-6), (constant.name, field.chip)
            else:
                assert value == constant.value
        for kind in constant.stream_ceiling_of:
            assert load_technology().dram(kind).stream_ceiling == constant.value


def test_a_runtime_class_says_nothing_of_a_chip_from_its_own_rows() -> None:
    """A chip that is compared leaves what was estimated on it out of its class."""
    seen = 0
    for name in freeze.validated_chips():
        overhead = load_chip(chip_file(name)).spec.overhead
        if overhead.runtime is None:
            continue
        of = runtime_classes()[overhead.runtime]
        own = {
            chip
            for cost in COSTS
            for chip in getattr(of, cost).estimates
            if chip in (name, name.removesuffix("_npu"), name.removeprefix("synaptics_"))
        }
        assert own <= set(overhead.runtime_without), name
        seen += bool(own)
    assert seen >= 8


def test_a_constant_fitted_on_a_judged_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    file = published.silicon()
    first = next(
        row.id for constant in constants() for row in file.rows if row.id in constant.fitted_on
    )
    changed = tuple(
        row.model_copy(update={"role": "judged"}) if row.id == first else row for row in file.rows
    )
    monkeypatch.setattr(published, "silicon", lambda: file.model_copy(update={"rows": changed}))
    with pytest.raises(InputError, match="judged"):
        published.constants()


def test_a_chip_of_unknown_node_has_no_energy_row() -> None:
    unknown = {"edge_tpu", "ethos_u55_128", "hailo8"}
    silicon = {row.chip for row in published.silicon().rows if row.energy_j is not None}
    single = {row.case.chip for row in published.brackets().energies}
    tops = {c.chip for r in published.brackets().rows for c in r.cases if r.quantity == "TOPS/W"}
    assert not unknown & (silicon | single | tops)
    for name in silicon | single:
        assert load_chip(name).spec.sources["node"].status in ("read", "recalled")


# Null models.


def test_null_models_are_exact_where_they_are_true() -> None:
    samples = [Sample("f", macs, 1e6 / macs, 2e-9 * macs) for macs in (1.0, 3.0, 10.0, 7.0)]
    errors = null_errors(samples)
    assert errors["a MACs, one out"] == pytest.approx(0.0, abs=1e-12)
    assert errors["a bytes, one out"] > 0.5
    affine = [
        Sample(family, m, b, 1e-3 + 2e-9 * m + 3e-9 * b, m, b)
        for family in ("f", "g")
        for m, b in ((1e6, 5e5), (4e6, 1e5), (2e6, 9e5), (7e6, 4e5), (3e6, 3e5), (9e6, 8e5))
    ]
    errors = null_errors(affine)
    assert errors["a + b MACs + c bytes, one out"] == pytest.approx(0.0, abs=1e-9)
    assert errors["a + b MACs + c bytes, family out"] == pytest.approx(0.0, abs=1e-9)


def test_family_out_sees_nothing_of_the_family() -> None:
    slow = [Sample("slow", m, m, 10.0 * m, m, m) for m in (1.0, 2.0, 4.0)]
    fast = [Sample("fast", m, m, 1.0 * m, m, m) for m in (1.0, 2.0, 4.0)]
    errors = null_errors([*slow, *fast])
    assert errors["a MACs, one out"] == pytest.approx(0.0, abs=1e-9)
    assert errors["a MACs, family out"] > 0.8


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 1, 2], [1, 1, 3]) == pytest.approx(1.0)
    assert rank_correlation([1, 2], [1, 2]) is None


# Cases.


def test_other_classes_change_the_last_layer_only() -> None:
    case = Case(chip="stm32n6", model="mobilenetv1@width=0.25")
    whole = workload_of(case, chip_of(case))
    small = with_classes(whole, 101)
    assert small.layers[:-1] == whole.layers[:-1]
    lost = 899 * 256
    assert whole.macs - small.macs == lost
    assert whole.weight_bytes - small.weight_bytes == lost


def test_relu_twin_has_the_same_macs_and_less_vector_work() -> None:
    case = Case(chip="rk3588_npu", model="yolox_nano")
    whole = workload_of(case, chip_of(case))
    twin = workload_of(case.model_copy(update={"activation": "relu"}), chip_of(case))
    assert twin.macs == whole.macs
    tables = [sum(dict(x.vector_ops).get("lut", 0) for x in w.layers) for w in (whole, twin)]
    assert tables[1] < 0.1 * tables[0]
    assert with_relu(whole.layers[-1]).macs == whole.layers[-1].macs


def test_winograd_of_the_sheet() -> None:
    case = Case(chip="nvdla_2048", model="resnet18")
    layers = workload_of(case, chip_of(case)).layers
    three = next(x for x in layers if x.nest and x.nest.FY == 3 and x.nest.stride_y == 1)
    assert with_winograd(three).macs * 9 == three.macs * 4
    assert with_winograd(three).w_elements * 9 == three.w_elements * 16
    strided = next(x for x in layers if x.nest and x.nest.FY == 3 and x.nest.stride_y == 2)
    assert with_winograd(strided) == strided


# Sections.


@pytest.mark.parametrize(("name", "macs"), [("resnet50", 4.089e9), ("mobilenetv2", 0.301e9)])
def test_zoo_macs_are_right(name: str, macs: float) -> None:
    assert load_model(name).macs == pytest.approx(macs, rel=0.005)


def test_peers_agree_or_say_why() -> None:
    rows = peers().rows
    assert len(rows) > 80
    for row in rows:
        assert row.ratio is not None
        assert abs(row.ratio - 1.0) <= EXPLAIN or row.note, row.item
    exact = [row for row in rows if row.item.startswith(("SCALE-Sim", "AccelForge"))]
    assert len(exact) == 17
    assert all(row.ratio == pytest.approx(1.0, abs=0.005) for row in exact)
    sheet = [row.ratio for row in rows if row.item.startswith("NVDLA") and row.ratio]
    assert median_error(sheet) == pytest.approx(0.0, abs=0.02)


def test_eyeriss_keeps_narrow_sums_and_gates_zeros() -> None:
    """Sums of 16 bit, as the chip has them; a layer with zeros works on fewer products."""
    file = eyeriss.published()
    chip = load_chip(file.chip)
    work = model_at(file.model, file.precision, chip)
    layers = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1]
    bits = chip.spec.array.accumulator_bits
    assert {layer.acc_bits for layer in layers} == {bits}
    dense = map_layer(layers[4], chip, "energy").counts
    sparse = map_layer(replace(layers[4], input_density=0.25), chip, "energy").counts
    worked = [sum(n for a, n in c.items() if a.startswith("mac.")) for c in (dense, sparse)]
    assert worked[1] == pytest.approx(0.25 * worked[0])


def test_coral_falls_off_its_cliff() -> None:
    """A network beyond 8 MB pays the link for every weight that does not fit."""

    def seconds(model: str) -> float:
        return predict(Case(chip="edge_tpu", model=model), "analytic").latency_s or 0.0

    small, large = seconds("inception_v1"), seconds("resnet50_v1@res=299")
    macs_ratio = 7.2 / 1.43
    assert large / small > 2.0 * macs_ratio


def test_area_ratio_between_nodes() -> None:
    section = run_sections("area")[0]
    ratios = [t for t in section.targets if "ratio" in t.name]
    assert len(ratios) >= 7
    assert all(target.met for target in ratios)


def test_unknown_section() -> None:
    with pytest.raises(InputError, match="unknown section"):
        run_sections("silicom")


def test_every_section_writes_itself(tmp_path: Path) -> None:
    row = Row("a <b>", "x", 1.0, 1.2, "judged", "silicon", "why & how")
    section = Section("s", (row, replace(row, ours=None)), {"n": 0.5}, (Target("t", 0.2, 0.1),))
    write_page([section], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "a &lt;b&gt;" in text
    assert "missed: t 0.2" in text
    assert json.loads(json.dumps(section.to_dict()))["targets"][0]["met"] is False
    with pytest.raises(InputError):
        write_page([section], tmp_path / "no" / "page.html")
    assert set(SECTIONS) >= {"shipped", "differential", "llm", "peers", "energy", "bracket"}
