"""Benchmark apps carry the rates, chains, probabilities and rules that the benchmarks publish."""

from __future__ import annotations

import pytest

from dse.apps import load_app

#: XRBench (Kwon et al., MLSys 2023), usage_scenarios of its code: frames/s by network, and what
#: triggers it with which probability.
XRBENCH: dict[str, dict[str, float | tuple[str, float]]] = {
    "ar_assistant": {
        "kws_res8_narrow": 3, "emformer_asr_standin": ("kws_res8_narrow", 0.5),
        "hrvit_b1_standin": 10, "midas_small": 30, "planercnn_standin": 15, "fasterrcnn_fbnet": 10,
    },
    "ar_gaming": {"hand_graph": 45, "midas_small": 30, "planercnn_standin": 15},
    "vr_gaming": {"ritnet_standin": 60, "fbnet_c": ("ritnet_standin", 1.0), "hand_graph": 45},
    "outdoor_a": {
        "kws_res8_narrow": 3, "emformer_asr_standin": ("kws_res8_narrow", 0.2),
        "hrvit_b1_standin": 10, "fasterrcnn_fbnet": 30,
    },
    "outdoor_b": {
        "kws_res8_narrow": 3, "emformer_asr_standin": ("kws_res8_narrow", 0.2),
        "fasterrcnn_fbnet": 30,
    },
    "social_a": {
        "ritnet_standin": 60, "fbnet_c": ("ritnet_standin", 1.0), "rgbd_depth": 30,
        "hand_graph": 30,
    },
    "social_b": {"ritnet_standin": 60, "fbnet_c": ("ritnet_standin", 1.0), "edtcn": 30},
}  # fmt: skip


@pytest.mark.parametrize("name", XRBENCH)
def test_xrbench(name: str) -> None:
    app = load_app(f"xrbench_{name}")
    rates = {stream.id: stream.rate_hz for stream in app.streams}
    found: dict[str, float | tuple[str, float]] = {}
    for stream in app.streams:
        if stream.after is None:
            assert stream.rate_hz is not None
            found[stream.model] = stream.rate_hz
        else:
            found[stream.model] = (app.stream(stream.after).model, stream.probability)
        rate = stream.rate_hz or rates[str(stream.after)]
        assert rate is not None
        assert stream.deadline_s == pytest.approx(1 / rate, rel=1e-3), "due when the next one comes"
    assert found == XRBENCH[name]


def test_mlperf_automotive() -> None:
    """Constant stream (mlperf_automotive loadgen/mlperf.conf): queries/s, judged at p99.9."""
    app = load_app("mlperf_automotive")
    assert {s.id: s.rate_hz for s in app.streams} == {
        "objects": 15, "segments": 15, "surround": 12, "plan": 12,
    }  # fmt: skip
    assert {s.percentile for s in app.streams} == {0.999}


@pytest.mark.parametrize(
    ("name", "floors"),
    [
        # MLPerf Tiny v1.3: top-1 90, 80 and 85 %, AUC 0.85.
        ("mlperf_tiny", {"kws": 90.0, "vww": 80.0, "ic": 85.0, "ad": 0.85}),
        # MLPerf Mobile: 98 % of 76.19, 95 % of mAP .285, 96 % of mIoU, int8 33 dB, 93 % of F1 90.5.
        (
            "mlperf_mobile",
            {"classify": 0.98, "detect": 0.95, "segment": 0.96, "sharpen": 33.0, "answer": 0.93},
        ),
    ],
)
def test_mlperf_floors_in_single_stream(name: str, floors: dict[str, float]) -> None:
    app = load_app(name)
    found = {s.id: s.quality.min_value or s.quality.min_ratio for s in app.streams if s.quality}
    assert found == floors
    assert {s.percentile for s in app.streams} == {0.9}
    after = [s.after for s in app.streams]
    assert after == [None, *(s.id for s in app.streams[:-1])], "one after the other"
