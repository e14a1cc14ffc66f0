"""Quality measured on a model file: a small trained-like network, its inputs, and bad files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.model_quality import QualityReport, measure_quality, quality, read_report
from dse.model_quality.measured import compare_output, upper_share
from dse.model_quality.quantize import round_array
from dse.workload import load_model, parse_precision

CLASSES = 10


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``net.onnx`` (Conv, Relu, pool, Gemm), ``x.npz`` and ``labels.npy``."""
    folder = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(3)
    weights = {
        "w1": rng.standard_normal((8, 3, 3, 3)) / 5.0,
        "w2": rng.standard_normal((CLASSES, 8)) / 3.0,
        "b2": rng.standard_normal(CLASSES) / 10.0,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["g"]),
            helper.make_node("Flatten", ["g"], ["f"]),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "net.onnx")
    np.savez(folder / "x.npz", x=rng.standard_normal((40, 3, 8, 8)).astype(np.float32))
    np.save(folder / "labels.npy", rng.integers(0, CLASSES, 40))
    return folder


@pytest.fixture(scope="module")
def report(place: Path) -> QualityReport:
    found = measure_quality(place / "net.onnx", place / "x.npz", ["w8a8", "w8a16", "w3a8"])
    found.write(place / "quality.json")
    return found


def test_wider_formats_keep_more_of_the_signal(report: QualityReport) -> None:
    by_name = {result.precision: result.outputs[0].sqnr_db or math.inf for result in report.results}
    assert 20 < by_name["w8a8"] < by_name["w8a16"]
    assert by_name["w3a8"] < by_name["w8a8"] - 10
    assert all(result.samples == 20 for result in report.results)


def test_quality_answers_with_what_was_measured(place: Path, report: QualityReport) -> None:
    settings = {"quality": str(place / "quality.json")}
    found = quality("", settings, parse_precision("w8a8"))
    assert found is not None
    assert (found.method, found.metric, found.float_value) == ("measured", "agreement", 100.0)
    assert 0 <= found.drop_median <= found.drop_p90
    assert found.cases == 20
    assert "net.onnx" in found.sources[0]
    assert "x.npz" in found.sources[0]
    floating = quality("", settings, parse_precision("fp32"))
    assert floating is not None
    assert floating.drop_p90 == 0
    assert quality("", settings, parse_precision("w4a4")) is None


def test_a_model_can_point_to_its_measurement(place: Path, report: QualityReport) -> None:
    name = f"{place / 'net.onnx'}@quality={place / 'quality.json'}"
    workload = load_model(name).at("w3a8")
    found = quality(workload.family, workload.settings, workload.precision)
    assert found is not None
    assert found.value == pytest.approx(report.results[2].value)
    assert workload.digest != load_model(place / "net.onnx").at("w3a8").digest
    with pytest.raises(InputError, match="another file"):
        load_model(f"resnet8@quality={place / 'quality.json'}")


def test_results_are_taken_from_an_earlier_report(place: Path, report: QualityReport) -> None:
    changed = json.loads((place / "quality.json").read_text())
    changed["results"][0]["value"] = 42.0
    (place / "edited.json").write_text(json.dumps(changed))
    inputs = (place / "net.onnx", place / "x.npz", ["w8a8"])
    assert measure_quality(*inputs, cache=place / "edited.json").results[0].value == 42.0
    assert measure_quality(*inputs).results[0] == report.results[0]


def test_labels_give_accuracy(place: Path) -> None:
    found = measure_quality(
        place / "net.onnx", place / "x.npz", ["w8a8"], labels=place / "labels.npy"
    ).results[0]
    assert found.metric == "top1"
    truth = np.load(place / "labels.npy")[20:]
    assert found.float_value * len(truth) / 100 == pytest.approx(
        round(found.float_value * len(truth) / 100)
    )
    assert found.value_p90 <= found.value


def test_weights_only_and_dynamic(place: Path) -> None:
    only = measure_quality(place / "net.onnx", place / "x.npz", ["w4afp16", "w8afp16"]).results
    assert (only[0].outputs[0].sqnr_db or 0) < (only[1].outputs[0].sqnr_db or 0)
    dynamic = measure_quality(place / "net.onnx", place / "x.npz", ["w8a8"], dynamic=True)
    assert "dynamic" in dynamic.results[0].scheme


def test_folders_of_arrays_are_read_in_order(place: Path, report: QualityReport) -> None:
    folder = place / "samples"
    folder.mkdir()
    for index, array in enumerate(np.load(place / "x.npz")["x"]):
        np.save(folder / f"{index:03}.npy", array)
    found = measure_quality(place / "net.onnx", folder, ["w8a8"])
    assert found.results[0].identity == report.results[0].identity


@pytest.mark.parametrize("precision", ["w4a4", "fp16", "w9a8", "w8a8-ends8", "w12a16"])
def test_what_onnxruntime_cannot_quantize_is_refused(place: Path, precision: str) -> None:
    with pytest.raises(InputError, match="--precision"):
        measure_quality(place / "net.onnx", place / "x.npz", [precision])


def test_bad_files_are_refused(place: Path) -> None:
    net, inputs = place / "net.onnx", place / "x.npz"
    np.savez(place / "wrong.npz", x=np.zeros((4, 3, 9, 8), np.float32))
    np.savez(place / "single.npz", x=np.zeros((1, 3, 8, 8), np.float32))
    np.save(place / "few.npy", np.zeros(3, np.int64))
    (place / "text.npz").write_text("no array")
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (place / "none.onnx", inputs, {}, "no such file"),
        (inputs, inputs, {}, "no ONNX model"),
        (load_file("resnet8"), inputs, {}, "no weights"),
        (net, place / "none.npz", {}, "cannot be read"),
        (net, place / "text.npz", {}, "NumPy"),
        (net, place / "wrong.npz", {}, "1x3x8x8"),
        (net, place / "single.npz", {}, "one sample"),
        (net, inputs, {"labels": place / "few.npy"}, "labels"),
    ]
    for model, data, extra, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            measure_quality(model, data, **extra)
        assert caught.value.mend
    (place / "odd.json").write_text("{}")
    with pytest.raises(InputError):
        read_report(place / "odd.json")


def load_file(name: str) -> Path:
    from dse.workload.zoo import resolve

    return resolve(name).file


@given(
    bits=st.integers(2, 8),
    rows=st.integers(1, 4),
    columns=st.integers(1, 9),
    group=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_rounding_stays_on_its_grid(
    bits: int, rows: int, columns: int, group: int, seed: int
) -> None:
    """Rounding is idempotent, errs by half a step at most and keeps the largest value."""
    array = np.random.default_rng(seed).standard_normal((rows, columns))
    rounded = round_array(array, bits, 0, group)
    assert np.allclose(round_array(rounded, bits, 0, group), rounded)
    step = np.abs(array).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    assert np.all(np.abs(rounded - array) <= step / 2 + 1e-12)
    assert np.allclose(np.abs(rounded).max(axis=1), np.abs(array).max(axis=1))


def test_compare_output_by_hand() -> None:
    exact = [np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])]
    near = [np.array([[3.0, 4.0]]), np.array([[0.0, 1.0]])]
    found = compare_output("y", exact, near)
    assert found.sqnr_db == pytest.approx(10 * math.log10(26 / 2))
    assert found.cosine == pytest.approx(0.5)
    assert found.agreement == 50.0


def test_a_quantized_output_that_is_no_number_agrees_with_nothing() -> None:
    exact = [np.array([[3.0, 4.0]])]
    found = compare_output("y", exact, [np.array([[np.nan, np.inf]])])
    assert (found.sqnr_db, found.cosine, found.agreement) == (0.0, 0.0, 0.0)


def test_a_float_model_that_gives_no_numbers_is_refused(place: Path) -> None:
    model = onnx.load(place / "net.onnx")
    model.graph.node[-1].output[0] = "sum"
    model.graph.node.append(helper.make_node("Log", ["sum"], ["y"]))
    onnx.save(model, place / "log.onnx")
    with pytest.raises(InputError, match="undefined numbers in 'y'"):
        measure_quality(place / "log.onnx", place / "x.npz", ["w8a8"])


def test_upper_share_covers() -> None:
    """Nine of ten times the true share lies below the limit (exact binomial sum)."""
    for count, share in ((50, 0.1), (200, 0.02), (1000, 0.05)):
        covered = sum(
            math.comb(count, hits) * share**hits * (1 - share) ** (count - hits)
            for hits in range(count + 1)
            if upper_share(hits, count) >= share
        )
        assert covered > 0.87
