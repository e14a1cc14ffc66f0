"""Calibration: numbers that are none, ranges by entropy, old opsets, and nothing but JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.cli import main
from dse.errors import InputError
from dse.model_quality import measure_quality
from dse.model_quality.calibration import BINS, STEP, entropy_ranges, least_divergence

RNG = np.random.default_rng(7)
#: Kinds of values that networks have between layers, and a few rare large ones among them.
VALUES = {
    "normal": RNG.standard_normal(60_000),
    "laplace": RNG.laplace(size=60_000),
    "rectified": np.maximum(RNG.standard_normal(60_000), 0.0),
    "rare": np.r_[RNG.standard_normal(60_000), RNG.uniform(40.0, 60.0, 6)],
    "few": RNG.laplace(size=2_000),
}


def network(folder: Path, opset: int, kind: str = "conv", ir: int = 8) -> Path:
    """Two layers with weights; of opset 9 to 12 as exporters of their time wrote them."""
    rng = np.random.default_rng(11)
    if kind == "conv":
        weights = {"w1": rng.standard_normal((8, 3, 3, 3)), "w2": rng.standard_normal((10, 8))}
        weights["b2"] = rng.standard_normal(10)
        nodes = [
            helper.make_node("Conv", ["x", "w1"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["g"]),
            helper.make_node("Flatten", ["g"], ["f"]),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
        ]
        shape = [1, 3, 8, 8]
    else:
        weights = {"w1": rng.standard_normal((64, 48)), "w2": rng.standard_normal((48, 10))}
        middle = ["s"] if kind == "softmax" else ["h"]
        nodes = [
            helper.make_node("MatMul", ["x", "w1"], ["h"]),
            *([helper.make_node("Softmax", ["h"], ["s"], axis=-1)] if kind == "softmax" else []),
            helper.make_node("MatMul", [*middle, "w2"], ["y"]),
        ]
        shape = [1, 64]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array((v / 5).astype(np.float32), k) for k, v in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    file = folder / f"{kind}{opset}.onnx"
    onnx.save(made, file)
    return file


def inputs(folder: Path, kind: Any = "conv", count: Any = 40, **at: float) -> Path:
    shape = (count, 3, 8, 8) if kind == "conv" else (count, 64)
    array = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    for place, value in at.items():
        array.reshape(count, -1)[int(place.removeprefix("sample")), 3] = value
    file = folder / "x.npz"
    np.savez(file, x=array)
    return file


@pytest.mark.parametrize(
    ("place", "value"),
    [("sample0", np.inf), ("sample7", -np.inf), ("sample3", np.nan), ("sample39", np.inf)],
)
@pytest.mark.parametrize("calibration", ["minmax", "entropy"])
def test_a_number_that_is_none_is_refused_with_its_place(
    tmp_path: Path, place: str, value: float, calibration: Any
) -> None:
    """In the calibration as in the evaluation: one infinite number made all of it 0.0 dB."""
    given = inputs(tmp_path, **{place: value})
    with pytest.raises(InputError, match=rf"'x' of sample {place[6:]} .*1 of 192") as caught:
        measure_quality(network(tmp_path, 17), given, ["w8a8"], calibration=calibration)
    assert caught.value.file is not None


def test_a_folder_names_the_file_of_the_number(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for number in range(4):
        array = np.zeros((3, 8, 8), np.float32)
        array[0, 0, 0] = np.inf if number == 2 else 1.0
        np.save(tmp_path / "samples" / f"{number}.npy", array)
    with pytest.raises(InputError, match=r"2\.npy"):
        measure_quality(network(tmp_path, 17), tmp_path / "samples", ["w8a8"])


def test_values_beyond_the_type_of_the_input_are_refused(tmp_path: Path) -> None:
    """Finite in the file, infinite as half floats."""
    model = network(tmp_path, 17, "matmul")
    proto = onnx.load(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in proto.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    onnx.save(proto, model)
    np.savez(tmp_path / "x.npz", x=np.full((8, 64), 1e6, np.float32))
    with pytest.raises(InputError, match="as float16"):
        measure_quality(model, tmp_path / "x.npz", ["w8a8"])


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
def test_a_tensor_without_end_inside_the_model_is_named(tmp_path: Path, calibration: Any) -> None:
    """An infinite mask is no number for a grid, though the softmax after it is finite."""
    rng = np.random.default_rng(2)
    mask = np.where(np.arange(48) < 40, 0.0, -np.inf).astype(np.float32)
    weights = {"w1": rng.standard_normal((64, 48)), "w2": rng.standard_normal((48, 10))}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h"]),
            helper.make_node("Add", ["h", "mask"], ["m"]),
            helper.make_node("Softmax", ["m"], ["s"], axis=-1),
            helper.make_node("MatMul", ["s", "w2"], ["y"]),
        ],
        "masked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [
            *(numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()),
            numpy_helper.from_array(mask, "mask"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "masked.onnx")
    with pytest.raises(Exception, match=r"not finite|cannot quantize") as caught:
        measure_quality(
            tmp_path / "masked.onnx", inputs(tmp_path, "matmul"), calibration=calibration
        )
    assert type(caught.value).__module__ == "dse.errors"


def divergence_by_hand(counts: np.ndarray[Any, Any], size: int, levels: int) -> float:
    """The same definition bin by bin."""
    p = [float(n) for n in counts[:size]]
    p[-1] += float(counts[size:].sum())
    q, used = [0.0] * size, 0
    for level in range(levels):
        bins = range(level * size // levels, (level + 1) * size // levels)
        filled = [n for n in bins if p[n] > 0.0]
        used += bool(filled)
        for n in filled:
            q[n] = float(sum(counts[k] for k in bins)) / len(filled)
    total, seen = float(counts.sum()), [n for n in range(size) if p[n] > 0.0]
    q = [max(value, 1e-9 * total) for value in q]
    norm = sum(q[n] for n in seen)
    found = sum(p[n] / total * np.log(p[n] / total / (q[n] / norm)) for n in seen)
    return float(found) - (len(seen) - used) / (2 * total)


@pytest.mark.parametrize("name", VALUES)
def test_the_range_is_that_of_least_divergence(name: str) -> None:
    values = np.abs(VALUES[name])
    counts = np.histogram(values[values > 0.0], BINS, (0.0, values.max()))[0]
    chosen = least_divergence(counts, 128)
    tried = [128, chosen, max(128, chosen - STEP), min(BINS, chosen + STEP), BINS]
    found = {size: divergence_by_hand(counts, size, 128) for size in tried}
    assert min(found, key=lambda size: found[size]) == chosen


@pytest.mark.parametrize(("name", "cut"), [("normal", 1.0), ("rare", 0.2), ("few", 1.0)])
def test_rare_large_values_are_cut_and_others_are_not(name: str, cut: float) -> None:
    values = np.abs(VALUES[name])
    counts = np.histogram(values[values > 0.0], BINS, (0.0, values.max()))[0]
    share = least_divergence(counts, 128) / BINS
    assert share <= cut
    assert share > 0.6 or cut < 1.0


@pytest.mark.parametrize("kind", ["conv", "matmul", "softmax"])
def test_entropy_is_another_calibration_than_minmax(tmp_path: Path, kind: str) -> None:
    """With a few large values in the calibration the bulk keeps more of its signal."""
    model = network(tmp_path, 17, kind)
    calibrating = inputs(tmp_path, kind, 64, sample1=60.0, sample9=-75.0)
    shape = (32, 3, 8, 8) if kind == "conv" else (32, 64)
    np.savez(tmp_path / "e.npz", x=RNG.standard_normal(shape).astype(np.float32))
    signal = {}
    for calibration in ("minmax", "entropy"):
        report = measure_quality(
            model,
            calibrating,
            ["w8a8"],
            evaluate=tmp_path / "e.npz",
            calibration=calibration,
        )
        signal[calibration] = report.results[0].outputs[0].sqnr_db or 0.0
    assert signal["entropy"] > signal["minmax"] + 3.0


def test_ranges_hold_what_is_there_and_leave_fixed_ones_out(tmp_path: Path) -> None:
    model = network(tmp_path, 17, "softmax")
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), model)
    samples = [{"x": RNG.standard_normal((1, 64)).astype(np.float32)} for _ in range(50)]
    ranges = entropy_ranges(model, samples)
    assert set(ranges) == {"x", "h", "y"}
    values = np.concatenate([sample["x"] for sample in samples])
    assert values.min() <= ranges["x"][0] < 0.0 < ranges["x"][1] <= values.max()


def test_entropy_does_not_pretend_to_16_bit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minmax or percentile"):
        measure_quality(network(tmp_path, 17), inputs(tmp_path), ["w8a16"], calibration="entropy")


@pytest.mark.parametrize(("opset", "ir"), [(9, 4), (10, 5), (11, 6), (12, 7), (13, 7)])
@pytest.mark.parametrize("kind", ["conv", "matmul", "softmax"])
def test_models_of_old_opsets_are_measured(tmp_path: Path, opset: int, ir: int, kind: str) -> None:
    """Softmax of opset 12 and older flattens; both of two axes are the same here."""
    given = inputs(tmp_path, kind)
    old = measure_quality(network(tmp_path, opset, kind, ir), given, ["w8a8"]).results[0]
    new = measure_quality(network(tmp_path, 17, kind), given, ["w8a8"]).results[0]
    assert old.outputs[0].sqnr_db == pytest.approx(new.outputs[0].sqnr_db, abs=0.5)


def test_an_operator_without_a_way_up_is_quantized_per_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no adapter")

    monkeypatch.setattr("onnx.version_converter.convert_version", fails)
    found = measure_quality(network(tmp_path, 11), inputs(tmp_path), ["w8a8"]).results[0]
    assert (found.outputs[0].sqnr_db or 0.0) > 15.0


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
def test_json_alone_is_on_stdout(
    tmp_path: Path,
    calibration: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """onnxruntime tells of its histograms by print."""
    options = ["--inputs", str(inputs(tmp_path)), "--calibration", calibration, "--json"]
    monkeypatch.setattr(sys, "argv", ["dse", "quality", str(network(tmp_path, 17)), *options])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert json.loads(capfd.readouterr().out)["results"]
