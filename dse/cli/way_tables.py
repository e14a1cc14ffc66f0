"""What the command prints of several steps together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dse.api.options import metric_words
from dse.printing import setting, si

#: Metrics of a step that are printed beside the broken demands, if the step moves them.
BESIDE = ("average_power_w", "unit_cost_usd", "area_mm2", "quality")
#: Changes below this share are no change to print.
NOTICEABLE = 0.005

Way = Mapping[str, Any]


def print_ways(ways: Sequence[Way], tried: Mapping[str, Any]) -> None:
    """Every way with its steps one after the other, and what was tried."""
    print(f"\nseveral steps together: {tried['text']}")
    for number, way in enumerate(ways, 1):
        need = "each step is needed" if way["minimal"] else "perhaps not every step is needed"
        print(f"\nway out {number}: {way['changes']} changes, cost of change {way['cost']}; {need}")
        for step in way["steps"]:
            _print_step(step)


def _print_step(step: Mapping[str, Any]) -> None:
    old, new = (setting(step["path"], step[key]) for key in ("before", "after"))
    state = step["state"] or "nothing broken at this level"
    print(f"  {step['path']}: {old} -> {new} ({state} then)")
    named = {demand["metric"] for demand in step["demands"]}
    for demand in step["demands"]:
        before, after = (_value(demand["metric"], demand[key]) for key in ("before", "after"))
        bands = step["bands"].get(demand["metric"], (None, None))
        limit = _value(demand["metric"], demand["limit"])
        print(
            f"      {demand['name']}: {before}{_band(demand['metric'], bands[0])} -> "
            f"{after}{_band(demand['metric'], bands[1])}, limit {limit}"
        )
    for name in BESIDE:
        before, after = step["metrics"].get(name, (None, None))
        if name in named or before is None or after is None:
            continue
        if abs(after - before) > NOTICEABLE * max(abs(before), abs(after)):
            bands = step["bands"].get(name, (None, None))
            print(
                f"      {metric_words(name)[0]}: {_value(name, before)}{_band(name, bands[0])} -> "
                f"{_value(name, after)}{_band(name, bands[1])}"
            )


def _value(metric: str, value: float | None) -> str:
    """A number in the unit of its metric; a demand that a level does not list is met."""
    if value is None:
        return "-"
    unit = metric_words(metric)[1]
    if unit in ("W", "J", "s"):
        return si(value, unit)
    return f"{value:.3g} {unit}".strip()


def _band(metric: str, band: Mapping[str, float] | None) -> str:
    """Low to high of the draws, in brackets."""
    if band is None:
        return ""
    return f" ({_value(metric, band['low'])} to {_value(metric, band['high'])})"
