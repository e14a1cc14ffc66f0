"""Published quality: known figures, risk bands, and unknown where nothing is known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

import dse.quality
from dse.quality import families, quality
from dse.quality.published import nearest_rank
from dse.workload.precision import parse_precision

DATA = json.loads(
    (Path(dse.quality.__file__).parent / "data" / "quality.json").read_text(encoding="utf-8")
)
DEMO = {
    "mobilenet_v2": {"width": "1", "res": "224"},
    "efficientnet_lite0": {"width": "1", "res": "224"},
    "resnet50": {"width": "1", "res": "224"},
    "deeplabv3_mobilenet": {"width": "1", "res": "513"},
    "ad_autoencoder": {"width": "1"},
    "deit_tiny": {"width": "1", "res": "224"},
}


@pytest.mark.parametrize("family", DEMO)
@pytest.mark.parametrize("precision", ["w8a8", "w8a8-qat", "w8a16", "fp16", "fp32"])
def test_demo_networks_are_known(family: str, precision: str) -> None:
    found = quality(family, DEMO[family], parse_precision(precision))
    assert found is not None
    assert found.drop_median <= found.drop_p90
    assert found.value_p90 <= found.value
    assert found.sources
    assert found.status


def test_golden_float_values() -> None:
    """TensorFlow's MobileNetV2 table (tensorflow/models, research/slim/nets/mobilenet)."""
    table = {("1", "224"): 71.8, ("0.75", "192"): 68.7, ("0.5", "160"): 61.0, ("0.35", "96"): 45.5}
    for (width, res), top1 in table.items():
        found = quality("mobilenet_v2", {"width": width, "res": res}, parse_precision("fp32"))
        assert found is not None
        assert found.float_value == found.value == top1


def test_one_point_separates_methods() -> None:
    """PTQ at its p90 costs MobileNetV2 more than a point; QAT does not."""
    ptq = quality("mobilenet_v2", DEMO["mobilenet_v2"], parse_precision("w8a8"))
    qat = quality("mobilenet_v2", DEMO["mobilenet_v2"], parse_precision("w8a8-qat"))
    assert ptq is not None
    assert qat is not None
    assert ptq.drop_p90 > 1 >= qat.drop_p90


@pytest.mark.parametrize(
    ("family", "settings", "precision"),
    [
        ("no_such_family", {}, "w8a8"),
        ("mobilenet_v2", {"width": "0.9"}, "w8a8"),
        ("mobilenet_v2", {"res": "200"}, "w8a8"),
        ("mobilenet_v2", {"res": "96x160"}, "w8a8"),
        ("mobilenet_v2", {}, "bf16"),
        ("mobilenet_v2", {}, "fp8"),
        ("mobilenet_v2", {}, "int2"),
        ("ad_autoencoder", {}, "w4a8"),
    ],
)
def test_unknown_is_none(family: str, settings: dict[str, str], precision: str) -> None:
    assert quality(family, settings, parse_precision(precision)) is None


def test_a_single_case_is_no_risk_band() -> None:
    """EfficientNet-Lite0 was trained quantized once: the p90 is at least its task's."""
    found = quality("efficientnet_lite0", {"res": "224"}, parse_precision("w8a8-qat"))
    assert found is not None
    assert found.cases == 1
    task = next(
        s
        for s in DATA["statistics"]
        if (s["task"], s["precision"], s["method"]) == ("classification", "w8a8", "qat")
    )
    assert found.drop_p90 >= task["p90"]


@pytest.mark.parametrize("precision", ["w8a8", "w4a8", "w8a8-qat", "w4a8-qat", "w8a16"])
def test_unmeasured_widths_are_never_better_than_measured(precision: str) -> None:
    known = quality("mobilenet_v2", {"width": "1"}, parse_precision(precision))
    narrow = quality("mobilenet_v2", {"width": "0.5", "res": "160"}, parse_precision(precision))
    assert known is not None
    assert narrow is not None
    assert narrow.drop_median >= known.drop_median
    assert narrow.basis == "statistics"


def test_data_never_mixes_sources() -> None:
    """Every drop has a float figure of the same source and model in the file."""
    for family, facts in DATA["families"].items():
        floats = {(f["source"], f["model"], f["width"], f["res"]) for f in facts["floats"]}
        for drop in facts["drops"]:
            assert (drop["source"], drop["model"], drop["width"], drop["res"]) in floats, family


def test_every_family_answers_at_fp32() -> None:
    for family in families():
        widths = {f["width"] for f in DATA["families"][family]["floats"]}
        for width in widths:
            assert quality(family, {"width": f"{width:g}"}, parse_precision("fp32")) is not None


def test_nearest_rank_against_definition() -> None:
    for values in itertools.product([0.0, 1.0, 2.5, 7.0], repeat=3):
        rank = nearest_rank(list(values), 0.9)
        assert sum(v <= rank for v in values) / len(values) >= 0.9
        smaller = [v for v in values if v < rank]
        assert len(smaller) / len(values) < 0.9
