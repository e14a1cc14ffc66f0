"""Zeros in weights and activations: which layers have them, and what they are part of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dse.errors import InputError
from dse.workload import layer_table, load_model
from dse.workload.sparsity import Sparsity, parse_sparsity

from .graphs import graph, weight


def test_structured_sparsity_prunes_every_convolution_but_the_first() -> None:
    """NVIDIA's rule: input channels in multiples of four; RGB is not."""
    dense = load_model("resnet50_v1.5").at(None)
    sparse = load_model("resnet50_v1.5@sparsity=2:4").at(None)
    left = [x.name for x in sparse.layers if x.nest and x.weight_pattern == "dense"]
    assert left == ["conv1/Conv"]
    pruned = [x for x in sparse.layers if x.weight_pattern == "2:4"]
    assert {x.weight_density for x in pruned} == {0.5}
    assert sparse.macs == dense.macs
    assert sparse.weight_bytes == dense.weight_bytes
    assert sparse.digest != dense.digest
    assert not {x.mapping_view for x in pruned} & {x.mapping_view for x in dense.layers}
    assert [r["sparsity"] for r in layer_table(sparse) if r["name"] == "conv1/Conv"] == [""]


def test_unstructured_sparsity_spares_depthwise_and_first_layers() -> None:
    workload = load_model("mobilenetv2@sparsity=0.6").at("w4a8")
    for layer in workload.layers:
        if layer.nest is None:
            continue
        spared = layer.nest.depthwise or layer.inputs[0] in workload.inputs
        assert layer.weight_density == pytest.approx(1.0 if spared else 0.4)
        assert layer.weight_pattern == ("dense" if spared else "unstructured")
    assert workload.sparsity == Sparsity(0.4, "unstructured")
    assert workload.settings["sparsity"] == "0.6"


def test_activations_are_zero_only_behind_a_relu() -> None:
    """Linear bottlenecks of MobileNetV2 have no ReLU, so expansions read dense inputs."""
    workload = load_model("mobilenetv2@act_density=0.5").at(None)
    by_name = {layer.name: layer for layer in workload.layers}
    assert by_name["features.2.conv.0.0/Conv"].input_density == 1.0
    assert by_name["features.2.conv.1.0/Conv"].input_density == 0.5
    assert by_name["features.2.conv.2/Conv"].input_density == 0.5
    assert all(layer.weight_pattern == "dense" for layer in workload.layers)


def between_convolutions(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A convolution to ``c``, then ``nodes``, then a convolution of ``d``."""
    first = helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1])
    last = helper.make_node("Conv", ["d", "v"], ["y"], name="last")
    stored = {"w": weight(4, 4, 3, 3), "v": weight(4, 4, 3, 3), "s": weight(4, 1, 1)}
    for name, value in (("zero", 0), ("below", -1), ("six", 6)):
        stored[name] = np.array(value, np.float32)
    return graph([first, *nodes, last], {"x": (1, 4, 8, 8)}, ["y"], stored)


def node(op: str, *reads: str, out: str = "d") -> onnx.NodeProto:
    return helper.make_node(op, list(reads), [out])


@pytest.mark.parametrize(
    ("nodes", "zeros"),
    [
        ([node("Relu", "c")], True),
        ([node("Clip", "c", "zero", "six")], True),
        ([node("Relu", "c", out="r"), node("Mul", "r", "s")], True),
        ([node("Relu", "c", out="r"), node("Mul", "r", "x")], True),
        ([node("Add", "c", "x", out="r"), node("Relu", "r")], True),
        ([node("Relu", "c", out="r"), node("MaxPool", "r")], True),
        ([node("Clip", "c", "below", "six")], False),
        ([node("LeakyRelu", "c")], False),
        ([node("PRelu", "c", "s")], False),
        ([node("Abs", "c")], False),
        ([node("HardSwish", "c")], False),
        ([node("Relu", "c", out="r"), node("Add", "r", "s")], False),
        ([node("Relu", "c", out="r"), node("Add", "r", "x")], False),
        ([node("Relu", "c", out="r"), node("Sigmoid", "r")], False),
    ],
    ids=lambda v: "+".join(n.op_type for n in v) if isinstance(v, list) else str(v),
)
def test_only_what_a_relu_leaves_last_is_zero(
    nodes: list[onnx.NodeProto], zeros: bool, tmp_path: Path
) -> None:
    if nodes[-1].op_type == "MaxPool":
        nodes[-1].attribute.append(helper.make_attribute("kernel_shape", [2, 2]))
    path = tmp_path / "net.onnx"
    path.write_bytes(between_convolutions(*nodes).SerializeToString())
    model = load_model(f"{path}@act_density=0.5")
    if not zeros:
        with pytest.raises(InputError, match="reads the result of a ReLU"):
            model.at(None)
        return
    by_name = {layer.name: layer for layer in model.at(None).layers}
    assert by_name["last"].input_density == 0.5
    assert by_name["first"].input_density == 1.0


@pytest.mark.parametrize("text", ["0", "0.0", "dense", "4:4"])
def test_no_zeros_is_the_dense_network(text: str) -> None:
    plain, same = load_model("resnet8").at(None), load_model(f"resnet8@sparsity={text}").at(None)
    assert same.digest == plain.digest
    assert same.layers == plain.layers
    assert "sparsity" not in same.settings


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ("sparsity=5:4", "sparsity"),
        ("sparsity=1", "sparsity"),
        ("sparsity=-0.2", "sparsity"),
        ("sparsity=half", "sparsity"),
        ("sparsity=0:4", "sparsity"),
        ("act_density=0", "act_density"),
        ("act_density=1.5", "act_density"),
    ],
)
def test_a_value_that_is_no_sparsity_is_refused(settings: str, field: str) -> None:
    with pytest.raises(InputError, match=field) as caught:
        load_model(f"resnet8@{settings}")
    assert caught.value.field == field
    assert caught.value.mend


def test_sparsity_that_fits_no_layer_is_refused() -> None:
    with pytest.raises(InputError, match="reads the result of a ReLU"):
        load_model("bert_tiny@act_density=0.5").at(None)
    with pytest.raises(InputError, match="fits no layer"):
        load_model("resnet8@sparsity=7:31").at(None)


@pytest.mark.parametrize("text", ["2:4", "0.6", "1:8", "0.123"])
def test_settings_read_back(text: str) -> None:
    found = parse_sparsity({"sparsity": text, "act_density": "0.25"})
    assert parse_sparsity(found.settings) == found
