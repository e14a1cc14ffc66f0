"""Scenario files, tasks and quality margins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dse.apps import QualityFloor, judge_quality, list_apps, stream_tasks, worst_margin
from dse.apps.scenario import App
from dse.mapping import Program
from dse.model_quality import Quality, quality
from dse.simulation import Periodic, Triggered
from dse.workload import parse_precision


def test_shipped_apps_load() -> None:
    names = [app.name for app in list_apps()]
    assert {"factory_inspection", "wearable_kws"} <= set(names)


def test_instances_are_spread_over_the_period() -> None:
    app = App.model_validate(
        {
            "name": "x",
            "streams": [
                {"id": "cam", "model": "m", "instances": 4, "rate_hz": 5},
                {"id": "next", "model": "m", "after": "cam", "probability": 0.5, "instances": 4},
            ],
        }
    )
    program = Program("p", (), (), 1, 0.0)
    cores = {stream.id: stream.cores_of(2) for stream in app.streams}
    tasks = stream_tasks(app, {"cam": program, "next": program}, cores)
    cams = [task.release for task in tasks[:4]]
    assert [r.phase_s for r in cams if isinstance(r, Periodic)] == [
        0.0,
        0.05,
        0.1,
        pytest.approx(0.15),
    ]
    assert tasks[5].release == Triggered("cam.1", 0.5)
    assert tasks[0].cores == (0, 1)


FOUND = Quality("top1", True, 75.0, 0.7, 1.2, "ptq", 5, "measured", ("x",), "read")


@pytest.mark.parametrize(
    ("floor", "margin"),
    [
        ({"max_drop": 1.0, "risk": "p90"}, -0.2),
        ({"max_drop": 1.0, "risk": "median"}, 0.3),
        ({"max_drop": 2.4, "risk": "p90"}, 0.5),
        ({"min_value": 70.0, "risk": "median"}, (74.3 - 70) / 5),
        ({"max_drop": 2.4, "min_value": 73.8, "risk": "p90"}, 0.0),
    ],
)
def test_margins(floor: dict[str, object], margin: float) -> None:
    verdict = judge_quality("s", QualityFloor.model_validate({"metric": "top1", **floor}), FOUND)
    assert verdict.margin == pytest.approx(margin, abs=1e-9)
    if abs(margin) > 1e-9:  # exactly at the floor rounding decides
        assert verdict.passes == (margin > 0)
    assert (verdict.reason is None) == verdict.passes


def test_unknown_quality_passes_no_floor() -> None:
    floor = QualityFloor(metric="top1", max_drop=1.0)
    unknown = judge_quality("s", floor, None)
    assert not unknown.passes
    assert judge_quality("s", None, None).passes
    good = judge_quality("t", floor, replace(FOUND, drop_p90=0.5))
    assert worst_margin([good, unknown]) is None
    assert worst_margin([good]) == pytest.approx(0.5)


def test_a_floor_in_another_metric_is_refused() -> None:
    verdict = judge_quality("s", QualityFloor(metric="miou", max_drop=1.0), FOUND)
    assert not verdict.passes
    assert verdict.reason is not None
    assert "miou" in verdict.reason


def test_int8_ptq_does_not_pass_everywhere_in_the_demo() -> None:
    """The demo's point: at its p90 the drop of int8 PTQ breaks a 1-point floor, QAT holds it."""
    floor = QualityFloor(metric="top1", max_drop=1.0)

    def passes(precision: str) -> bool:
        found = quality("mobilenet_v2", {"width": "1"}, parse_precision(precision))
        return judge_quality("s", floor, found).passes

    assert not passes("w8a8")
    assert passes("w8a8-qat")
    assert passes("fp16")
