"""Published quality: known figures, risk bands, and unknown where nothing is known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

import dse.model_quality
from dse.model_quality import METRICS, families, quality
from dse.model_quality.published import nearest_rank
from dse.workload.precision import parse_precision

DATA = json.loads(
    (Path(dse.model_quality.__file__).parent / "data" / "quality.json").read_text(encoding="utf-8")
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


def test_language_models_by_published_rows() -> None:
    """Qwen2's own page (MMLU 37.9, GPTQ-Int4 33.0, AWQ 34.4, Int8 35.6), Llama 3.2's card."""
    int4 = quality("qwen2-0.5b", {}, parse_precision("w4afp16"))
    assert int4 is not None
    assert (int4.metric, int4.float_value, int4.cases) == ("mmlu", 37.9, 2)
    assert int4.drop_median == pytest.approx((4.9 + 3.5) / 2)
    assert int4.drop_p90 == pytest.approx(4.9)
    integer = quality("qwen2-0.5b", {}, parse_precision("w4a16"))
    assert integer is not None
    assert integer.drop_median == int4.drop_median
    assert "assumed" in integer.status
    trained = quality("llama3.2-1b", {}, parse_precision("w4a8-qat"))
    assert trained is not None
    assert trained.drop_median == pytest.approx(0.3)
    assert trained.status.startswith("recalled")
    plain = quality("llama3.2-1b", {}, parse_precision("bf16"))
    assert plain is not None
    assert plain.value_p90 == plain.float_value == 49.3


def test_narrower_activations_are_never_better() -> None:
    """Qwen2-0.5B lost 2.3 points with 8-bit weights alone (GPTQ-Int8)."""
    narrow = quality("qwen2-0.5b", {}, parse_precision("w8a8"))
    assert narrow is not None
    assert narrow.drop_median == pytest.approx(2.3)
    assert narrow.basis == "statistics"


def test_a_narrower_cache_is_known_down_to_8_bit() -> None:
    found = [quality("qwen2-0.5b", {}, parse_precision(f"w4a16-kv{kv}")) for kv in (16, 8, 4)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1].drop_p90 == found[0].drop_p90
    assert "KV cache" in found[1].status
    assert found[2] is None


def test_sparsity_by_published_rows() -> None:
    """2:4 costs ResNet-50 nothing after retraining; one-shot a language model 26 points."""
    pruned = quality("resnet50", {"sparsity": "2:4"}, parse_precision("w8a8"))
    assert pruned is not None
    assert pruned.drop_median == pytest.approx(-0.1)
    assert pruned.drop_p90 >= pruned.drop_median
    assert quality("resnet50", {"sparsity": "1:4"}, parse_precision("w8a8")) is None
    assert quality("resnet50", {"sparsity": "2:4"}, parse_precision("w4a8")) is None
    half = quality("resnet50", {"sparsity": "0.5"}, parse_precision("w8a8-qat"))
    less = quality("resnet50", {"sparsity": "0.3"}, parse_precision("w8a8-qat"))
    assert half is not None
    assert less is not None
    assert less.drop_median == half.drop_median
    assert "sparsity of 0.5" in less.status
    assert quality("resnet50", {"sparsity": "0.9"}, parse_precision("w8a8-qat")) is None
    shot = quality("llama3-8b", {"sparsity": "2:4"}, parse_precision("bf16"))
    assert shot is not None
    assert shot.drop_median == pytest.approx(26.3)
    perplexity = quality("llama2-7b", {"sparsity": "2:4"}, parse_precision("fp16"))
    assert perplexity is not None
    assert not perplexity.higher_is_better
    assert perplexity.value > perplexity.float_value == 5.12


def test_mixed_precision_is_bounded_by_its_narrowest_layers() -> None:
    settings = {"width": "1", "res": "224"}
    narrow = quality("mobilenet_v2", settings, parse_precision("w4a8"))
    mixed = quality("mobilenet_v2", {**settings, "per_layer": "w4a8"}, parse_precision("w8a8"))
    assert narrow is not None
    assert mixed is not None
    assert mixed.drop_p90 == narrow.drop_p90
    assert "narrowest" in mixed.status
    unknown = {**settings, "per_layer": "w8a8+w2a2"}
    assert quality("mobilenet_v2", unknown, parse_precision("w8a8")) is None


def test_every_metric_is_described_and_points_the_right_way() -> None:
    for family, facts in DATA["families"].items():
        assert METRICS[facts["metric"]].higher_is_better == facts["higher_is_better"], family
    wrong = [f for f in families() if DATA["families"][f]["metric"] not in METRICS]
    assert not wrong


def test_losses_raise_what_should_be_low() -> None:
    """Depth-Anything-S on Hailo-10H: absolute relative error 0.13, quantized 0.16."""
    found = quality("depth_anything_s", {"res": "518"}, parse_precision("w8a8"))
    assert found is not None
    assert found.value == pytest.approx(0.16)
    assert found.status.count("one case")


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
