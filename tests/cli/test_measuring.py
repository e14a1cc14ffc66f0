"""``dse quality`` and ``dse profile``: the user's own model, measured here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.evaluation import cpu_baseline
from tests.cli.conftest import Run


def trained(file: Path) -> None:
    """A network of two layers with weights, and inputs for it beside it."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((12, 16)), "v": rng.standard_normal((16, 4))}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"], name="relu"),
            helper.make_node("MatMul", ["r", "v"], ["y"], name="second"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    np.savez(file.with_suffix(".npz"), x=rng.standard_normal((64, 12)))


def test_quality_is_measured_kept_and_used(run: Run, tmp_path: Path) -> None:
    trained(tmp_path / "net.onnx")
    command = ["quality", "net.onnx", "--inputs", "net.npz", "--out", "q.json"]
    assert run(*command, "-p", "w8a8").code == 0
    answer = run(*command, "-p", "w8a8", "-p", "w3a8", "--json").json
    assert [r["precision"] for r in answer["results"]] == ["w8a8", "w3a8"]
    assert answer["results"][0]["outputs"][0]["sqnr_db"] > 25
    used = run("simulate", "net.onnx@quality=q.json", "-c", "edge_vision", "-p", "w8a8", "--json")
    assert used.json["quality"] == pytest.approx(answer["results"][0]["value"])
    shown = run("show", "net.onnx@quality=q.json,w=3,a=8", "--json").json["quality"]
    assert shown["method"] == "measured"
    assert shown["value"] == pytest.approx(answer["results"][1]["value"])


def test_a_policy_file_in_the_name_is_no_app(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text('"features.1*": w4a8\n')
    name = "resnet8@per_layer=mix.yaml"
    shown = run("show", name, "--json").json["layers"]
    narrow = [row["name"] for row in shown if row["precision"].startswith("int4")]
    assert narrow == ["features.1.first.0/Conv", "features.1.second.0/Conv"]
    assert run("simulate", name, "-c", "edge_vision", "--json").json["latency_s"] > 0


def test_published_quality_is_shown_without_inputs(run: Run) -> None:
    answer = run("quality", "mobilenetv2", "-p", "w8a8-qat", "-p", "w2a2", "--json").json
    known, unknown = answer["quality"]
    assert known["metric"] == "top1"
    assert known["sources"]
    assert set(unknown) == {"precision"}
    assert run("quality", "mobilenetv2", "--out", "q.json").code == 2


@pytest.fixture
def fixed_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel takes 1 ms, whatever else this machine does."""
    read = cpu_baseline.kernels_of
    monkeypatch.setattr(
        cpu_baseline, "kernels_of", lambda profile: [{**e, "dur": 1000} for e in read(profile)]
    )


@pytest.mark.usefixtures("fixed_times")
def test_profile_lays_layers_beside_each_other(run: Run) -> None:
    """Every kernel of MobileNetV2 is one of our layers; times add up to the operators'."""
    answer = run("profile", "mobilenetv2@res=96", "--runs", "2", "--json").json
    spent = {row["layer"]: row["cpu_s"] for row in answer["layers"]}
    total = sum(spent.values())
    assert total == pytest.approx(sum(s for _, s, _ in answer["cpu"]["by_operator"]))
    outside = spent.pop("(outside layers)")
    assert outside < 0.2 * total
    assert min(spent.values()) == pytest.approx(1e-3)
    by_op = {row["op"]: row for row in answer["operators"]}
    assert by_op["Conv"]["layers"] == 52
    assert sum(row["macs"] for row in answer["layers"]) == answer["macs"]
    chip = sum(row["chip_s"] for row in answer["layers"])
    assert chip == pytest.approx(answer["chip"]["latency_s"], rel=1e-6)


@pytest.mark.usefixtures("fixed_times")
def test_kernels_named_after_tensors_find_their_layer(run: Run, tmp_path: Path) -> None:
    """onnxruntime names a convolution that it moves to another layout after what it makes."""
    weight = np.ones((16, 16, 3, 3), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["h"], name="first", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["h"], ["y"], name="relu"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 64, 64])],
        [numpy_helper.from_array(weight, "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(proto, tmp_path / "net.onnx")
    answer = run("profile", "net.onnx", "--runs", "2", "--json").json
    spent = {row["layer"]: row["cpu_s"] for row in answer["layers"]}
    assert spent["first"] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["profile", "llama3.2_1b_decode"], "--force"),
        (["profile", "mobilenetv2@batch=4"], "batch"),
        (["profile", "resnet8", "--runs", "0"], "--runs"),
        (["quality", "resnet8", "--inputs", "x.npz"], "no weights"),
        (["quality", "none.onnx", "--inputs", "x.npz"], "none.onnx"),
    ],
)
def test_what_cannot_be_measured_is_refused(run: Run, arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert done.err.count("\n") == 1
