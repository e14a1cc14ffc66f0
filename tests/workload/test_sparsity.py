"""Zeros in weights and activations: which layers have them, and what they are part of."""

from __future__ import annotations

import pytest

from dse.errors import InputError
from dse.workload import layer_table, load_model
from dse.workload.sparsity import Sparsity, parse_sparsity


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
    assert not {x.shape_key for x in pruned} & {x.shape_key for x in dense.layers}
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
