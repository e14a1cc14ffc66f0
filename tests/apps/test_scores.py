"""Quality margins in MLPerf's form, an app's own figures, and the scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.apps import QualityFloor, judge_quality
from dse.apps.limits import QualityFigure
from dse.apps.score import (
    QualityVerdict,
    StreamScore,
    combined_score,
    deadline_satisfaction,
    energy_score,
    quality_score,
    stream_quality,
)
from dse.model_quality import Quality
from dse.workload import load_model

LOSSY = Quality("wer", False, 4.0, 0.5, 1.5, "ptq", 3, "measured", ("x",), "read")
SHARP = Quality("top1", True, 80.0, 0.4, 1.2, "ptq", 3, "measured", ("x",), "read")


@pytest.mark.parametrize(
    ("found", "floor", "margin"),
    [
        (SHARP, {"metric": "top1", "min_ratio": 0.99, "risk": "median"}, 0.5),
        (SHARP, {"metric": "top1", "min_ratio": 0.99, "risk": "p90"}, -0.5),
        (SHARP, {"metric": "top1", "min_ratio": 0.99, "max_drop": 0.5, "risk": "median"}, 0.2),
        (LOSSY, {"metric": "wer", "max_drop": 1.0, "risk": "median"}, 0.5),
        (LOSSY, {"metric": "wer", "min_value": 5.0, "risk": "median"}, 0.5),
        (LOSSY, {"metric": "wer", "min_value": 5.0, "risk": "p90"}, -0.5),
        (LOSSY, {"metric": "wer", "min_ratio": 0.8, "risk": "median"}, 0.5),
    ],
)
def test_margins_of_ratios_and_of_metrics_where_less_is_better(
    found: Quality, floor: dict[str, object], margin: float
) -> None:
    verdict = judge_quality("s", QualityFloor.model_validate(floor), found)
    assert verdict.margin == pytest.approx(margin)
    assert verdict.passes == (margin > 0)


def test_a_floor_may_ask_how_a_precision_was_reached() -> None:
    floor = QualityFloor(metric="top1", max_drop=1.0, risk="median", method="qat")
    verdict = judge_quality("s", floor, SHARP)
    assert not verdict.passes
    assert "qat" in str(verdict.reason)


def test_an_app_s_own_figure_steps_in_where_nothing_is_published() -> None:
    figure = QualityFigure(
        model="bert_tiny", precision=("w8a8",), float_value=80.0, drop_median=1.0, drop_p90=2.0,
        source="a test", status="assumed",
    )  # fmt: skip
    floor = QualityFloor(metric="f1", max_drop=1.5, risk="median", figures=(figure,))
    model = load_model("bert_tiny")
    found = stream_quality(floor, model.at("w8a8"))
    assert found is not None
    assert (found.metric, found.value, found.sources) == ("f1", 79.0, ("a test",))
    other = stream_quality(floor, model.at("w8a16"))
    assert other is None or other.metric != "f1"
    # A published figure in the floor's metric goes before the app's own.
    own = figure.model_copy(update={"model": "resnet50", "float_value": 1.0})
    named = QualityFloor(metric="top1", max_drop=1.5, figures=(own,))
    published = stream_quality(named, load_model("resnet50").at("w8a8"))
    assert published is not None
    assert published.float_value > 70


def verdict(margin: float | None, passes: bool) -> QualityVerdict:
    return QualityVerdict("s", "top1", None, None, margin, passes, None)


def test_quality_counts_from_its_floor() -> None:
    known = [quality_score(verdict(m, m >= 0)) for m in (0.9, 0.0, -0.25, -1.0, -7.0)]
    assert known == [1.0, 1.0, 0.75, 0.0, 0.0]
    assert quality_score(verdict(None, False)) == 0.0
    assert quality_score(verdict(None, True)) == 1.0


@given(
    st.floats(0, 1e4), st.floats(1e-4, 1e4) | st.none(), st.floats(0, 1e4),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)  # fmt: skip
def test_the_score_stays_between_0_and_1(
    power: float, budget: float | None, rate: float, parts: list[tuple[float, float]]
) -> None:
    """However much energy: the code the idea comes from went below 0."""
    streams = [StreamScore(str(i), *part) for i, part in enumerate(parts)]
    energy = energy_score(power, budget, rate)
    assert 0.0 <= energy <= 1.0
    assert 0.0 <= combined_score(streams, energy) <= deadline_satisfaction(streams) + 1e-12
    assert energy_score(power + 1.0, budget, rate) <= energy


def test_at_the_budget_half_the_energy_score_is_left() -> None:
    assert energy_score(2.0, 2.0, 5.0) == pytest.approx(0.5)


def test_a_lost_frame_counts_once() -> None:
    """Half the frames lost, the others in time: half, not a quarter."""
    half, whole = StreamScore("a", 0.5, 1.0), StreamScore("a", 1.0, 1.0)
    assert combined_score([half], 0.8) == pytest.approx(combined_score([whole], 0.8) / 2)
