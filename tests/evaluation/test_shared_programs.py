"""Networks mapped once for chips that mapping cannot tell apart, and never beyond."""

from __future__ import annotations

import pytest

from dse.apps import load_app
from dse.evaluation import loads
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.design import Design, resolve_design


def judged(
    monkeypatch: pytest.MonkeyPatch, *settings: dict[str, object]
) -> tuple[list[object], int]:
    """Records of the app on variants of a chip in turn, and how often networks were mapped."""
    made = []
    real = loads.map_network

    def counted(*args: object, **options: object) -> object:
        made.append(args)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loads, "map_network", counted)
    loads._programs.clear()
    records: list[object] = []
    for values in settings:
        found = resolve_design(Design("wearable_kws", "edge_vision", values, 0))  # type: ignore[arg-type]
        record, _ = evaluate_app(found.app, found.workloads, found.chip, "analytic", seed=0)
        records.append(record)
    return records, len(made)


def test_only_what_mapping_sees_maps_again(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = len(load_app("wearable_kws").streams)
    plain: dict[str, object] = {}
    _, once = judged(monkeypatch, plain)
    assert once == streams
    _, shared = judged(monkeypatch, plain, {"chip.power.pmic_rated_w": 5.0})
    assert shared == streams
    for path, value in (
        ("chip.buffer.bytes", 131072),
        ("chip.f_hz", 5.0e8),
        ("chip.node", "7nm"),
        ("chip.dram.channels", 2),
        ("chip.dram.weights", "streamed"),
    ):
        _, apart = judged(monkeypatch, plain, {path: value})
        assert apart == 2 * streams, path


def test_a_shared_program_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    other: dict[str, object] = {"chip.power.pmic_rated_w": 5.0}
    (_, second), _ = judged(monkeypatch, {}, other)
    (alone,), _ = judged(monkeypatch, other)
    assert second == alone
