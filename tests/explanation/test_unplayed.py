"""A step that was not played is not compared with a play."""

from __future__ import annotations

from dse.evaluation import Design, evaluate_app, resolve_design
from dse.evaluation.metrics import METRICS
from dse.explanation import Step
from dse.explanation.feedback import effects


def test_power_and_latency_of_an_unplayed_step_are_open() -> None:
    found = resolve_design(Design("wearable_kws", "gap9"))
    played, _ = evaluate_app(found.app, found.workloads, found.chip, "simulate")
    summed, _ = evaluate_app(found.app, found.workloads, found.chip, "analytic")
    step = Step("chip.f_hz", 3.7e8, 2.4e8)
    (effect,) = effects(played, [step], lambda _: summed, found.app)
    open_ones = [m.name for m in METRICS.values() if m.judged and not m.exact]
    assert open_ones == ["average_power_w", "energy_j", "latency_s", "score"]
    for name in open_ones:
        assert effect.metrics[name] == (played.metric(name), None)
    assert effect.metrics["unit_cost_usd"][1] == summed.metric("unit_cost_usd")
    (effect,) = effects(played, [step], lambda _: played, found.app)
    assert all(after is not None for _, after in effect.metrics.values())
