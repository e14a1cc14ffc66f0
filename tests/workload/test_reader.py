"""Bad input gives one line that names file, field and mend; sizes are bound as asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dse.errors import InputError
from dse.workload import list_models, load_model

from .graphs import graph, load, weight


def refused(path: str | Path, **bindings: int) -> InputError:
    with pytest.raises(InputError) as caught:
        load_model(path, unknown_ops="error", **bindings)
    assert "\n" not in str(caught.value)
    assert caught.value.mend
    return caught.value


def test_missing_file() -> None:
    error = refused("no/such/net.onnx")
    assert error.file == "no/such/net.onnx"


def test_unknown_name_suggests() -> None:
    assert "did you mean mobilenetv2?" in str(refused("mobilenetv22"))


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_not_onnx(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    error = refused(path)
    assert error.message == "not an ONNX file"
    assert error.file == str(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_truncated(share: float, tmp_path: Path) -> None:
    whole = next(i.file for i in list_models() if i.name == "resnet50").read_bytes()
    path = tmp_path / "net.onnx"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cut short" in refused(path).message


RELU = helper.make_node("Relu", ["x"], ["y"], name="r")


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([helper.make_node("Add", ["x", "y"], ["y"], name="n")], "cycle"),
        ([helper.make_node("Add", ["x", "lost"], ["y"], name="n")], "nothing writes"),
        ([RELU, helper.make_node("Tanh", ["x"], ["y"], name="n")], "twice"),
        ([helper.make_node("Frobnicate", ["x"], ["y"], name="n")], "Frobnicate is not known"),
        ([helper.make_node("MatMul", ["x", "x"], ["y"], name="n")], "n"),
    ],
)
def test_invalid_graphs(nodes: list[onnx.NodeProto], words: str, tmp_path: Path) -> None:
    model = graph(nodes, {"x": (2, 3)}, ["y"])
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    error = refused(path)
    assert words in str(error)
    assert error.field is not None
    assert "'n'" in error.field


def test_unknown_operator_may_go_to_the_host(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Frobnicate", ["a"], ["y"], name="n", domain="my.own"),
    ]
    path = tmp_path / "net.onnx"
    path.write_bytes(graph(nodes, {"x": (2, 3)}, ["y"]).SerializeToString())
    assert "my.own.Frobnicate" in str(refused(path))
    model = load_model(path, unknown_ops="host")
    assert model.fates["n"] == "host"
    assert model.layers[-1].kind == "host"


def test_symbols(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = graph([node], {"x": ("batch_size", "seq", 4)}, ["y"], {"w": weight(4, 3)})
    free = load(model, tmp_path)
    assert free.macs == 12
    assert "seq=1 by default (axis 1 of x): --bind seq=VALUE sets it" in free.remarks
    assert load(model, tmp_path, batch=2, seq=5).macs == 2 * 5 * 12
    assert load_model(f"{tmp_path / 'net.onnx'}@seq=7").macs == 7 * 12
    assert "seq" in str(refused(tmp_path / "net.onnx", length=3))
    assert "below 1" in str(refused(tmp_path / "net.onnx", seq=0))


def test_spatial_symbols_must_be_bound(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = graph([node], {"x": ("N", 3, "height", "width")}, ["y"], {"w": weight(2, 3, 1, 1)})
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    message = str(refused(path))
    assert "height" in message
    assert "width" in message
    assert load_model(path, height=4, width=6).macs == 24 * 6
    assert load_model(f"{path}@res=4x6").macs == 24 * 6


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2@width=0.9",
        "mobilenetv2@width",
        "mobilenetv2@res=big",
        "mobilenetv2@res=0",
        "mobilenetv2@w=17",
        "mobilenetv2@method=magic",
        "mobilenetv2@seq=3",
        "mobilenetv2@res=96,res=128",
        "deit_tiny@res=192",
        "mobilenetv2@w=4,a=fp64",
    ],
)
def test_bad_settings(name: str) -> None:
    refused(name)


def test_a_fixed_graph_that_does_not_resize(tmp_path: Path) -> None:
    info = next(i for i in list_models() if i.name == "deit_tiny")
    path = tmp_path / "net.onnx"
    path.write_bytes(info.file.read_bytes())
    refused(f"{path}@res=160")


def test_external_data_is_not_needed(tmp_path: Path) -> None:
    """The weights' file is absent, also that of a vector which is as small as a shape."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    model = graph(nodes, {"x": (2, 64)}, ["y"], {"w": weight(64, 32), "b": weight(32)})
    for tensor in model.graph.initializer:
        _put_elsewhere(tensor, "absent.bin")
    assert load(model, tmp_path).macs == 2 * 64 * 32


def test_external_data_of_an_attribute_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where a file of that name lies in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sizes.bin").write_bytes(np.array([3, 4]).tobytes())
    tensor = onnx.numpy_helper.from_array(np.array([3, 4]))
    _put_elsewhere(tensor, "sizes.bin")
    nodes = [
        helper.make_node("Constant", [], ["s"], value=tensor),
        helper.make_node("Reshape", ["x", "s"], ["y"], name="flat"),
    ]
    path = tmp_path / "net.onnx"
    path.write_bytes(graph(nodes, {"x": (2, 6)}, ["y"]).SerializeToString())
    assert "flat" in str(refused(path))


def _put_elsewhere(tensor: onnx.TensorProto, place: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)


def test_sizes_by_a_ratio(tmp_path: Path) -> None:
    """Images brought to a size as torchvision's detectors do: 60x80 to at most 30 and 50."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=2),
        helper.make_node("Cast", ["s"], ["f"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["f"], ["least"], keepdims=0),
        helper.make_node("Reciprocal", ["least"], ["r"]),
        helper.make_node("Mul", ["r", "wanted"], ["scale"]),
        helper.make_node("GreaterOrEqual", ["scale", "one"], ["grows"]),
        helper.make_node("Where", ["grows", "one", "scale"], ["kept"]),
        helper.make_node("Mul", ["f", "kept"], ["g"]),
        helper.make_node("Floor", ["g"], ["h"]),
        helper.make_node("Cast", ["h"], ["i"], to=onnx.TensorProto.INT64),
        helper.make_node("Concat", ["front", "i"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["small"]),
        helper.make_node("Conv", ["small", "w"], ["y"]),
    ]
    stored = {
        "wanted": np.array(30, np.float32),
        "one": np.array(1, np.float32),
        "front": np.array([1, 2]),
        "w": weight(4, 2, 1, 1),
    }
    model = graph(nodes, {"x": (1, 2, 60, 80)}, ["y"], stored)
    assert load(model, tmp_path).macs == 30 * 40 * 2 * 4


@pytest.mark.parametrize("constant", [False, True])
def test_a_shape_whose_data_are_absent_is_bound(tmp_path: Path, constant: bool) -> None:
    """No file is looked for in the folder that one happens to be in."""
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["r"], name="r"),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    model = graph(nodes, {"x": (2, 64)}, ["y"], {"w": weight(64, 3), "to": np.array([2, 64])})
    tensor = next(t for t in model.graph.initializer if t.name == "to")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="absent.bin")
    if constant:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["to"], value=tensor))
        model.graph.initializer.remove(tensor)
    with pytest.raises(InputError, match=r"node 'r' \(Reshape\): the shape of its result"):
        load(model, tmp_path)
    bound = load_model(f"{tmp_path / 'net.onnx'}@r.0=2,r.1=64")
    assert bound.macs == 2 * 64 * 3


def test_shape_subgraphs_fold(tmp_path: Path) -> None:
    """Flatten as exporters write it: Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "first"], ["u"]),
        helper.make_node("Concat", ["u", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["r", "t"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    stored = {"zero": np.array(0), "first": np.array([0]), "rest": np.array([-1])}
    model = load(
        graph(nodes, {"x": ("N", 2, 3, 4)}, ["y"], {**stored, "w": weight(24, 5)}),
        tmp_path,
        batch=3,
    )
    assert model.macs == 3 * 24 * 5
    assert model.fates["flat"] == "view"


def test_the_mend_names_the_box_that_sizes_follow_from(tmp_path: Path) -> None:
    """Mask R-CNN pastes masks into boxes: width and height come from one tensor of four numbers."""
    nodes = [
        helper.make_node("ReduceMax", ["x", "rows"], ["box"], keepdims=0),
        helper.make_node("Gather", ["box", "first"], ["low"]),
        helper.make_node("Gather", ["box", "last"], ["high"]),
        helper.make_node("Sub", ["high", "low"], ["sides"]),
        helper.make_node("Concat", ["front", "sides"], ["f"], axis=0),
        helper.make_node("Cast", ["f"], ["sizes"], to=onnx.TensorProto.INT64),
        helper.make_node("Resize", ["mask", "", "", "sizes"], ["pasted"]),
        helper.make_node("Conv", ["pasted", "w"], ["y"]),
    ]
    stored = {
        "rows": np.array([0]),
        "first": np.array([0, 1]),
        "last": np.array([2, 3]),
        "front": np.ones(2, np.float32),
        "w": weight(3, 1, 1, 1),
    }
    model = graph(nodes, {"x": (9, 4), "mask": (1, 1, 5, 5)}, ["y"], stored)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert "--bind box=VALUE,VALUE,VALUE,VALUE" in str(refused(path))
    assert load_model(path, box=(1, 2, 8, 12)).macs == 7 * 10 * 3


def test_import_is_light() -> None:
    code = (
        "import sys, dse.workload, dse.model_quality; "
        "print([m for m in ('onnx', 'numpy', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
