"""What the reasons of records are about that were written before records said it.

These texts are of landed releases and change no more; nothing else takes a sentence apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from dse.evaluation.causes import Cause, CauseKind

#: Beginnings of texts: kind and metric.
_BEGINNINGS: tuple[tuple[str, CauseKind, str | None], ...] = (
    ("module power", "power", "average_power_w"),
    ("peak power", "power", "peak_power_w"),
    ("unit cost", "cost", "unit_cost_usd"),
    ("die area", "area", "area_mm2"),
    ("battery lasts", "battery", "battery_hours"),
    ("junction at", "heat", "junction_c"),
    ("constraint on", "constraint", None),
    ("dominated by", "dominated", None),
)


def told(texts: Sequence[str]) -> tuple[Cause, ...]:
    """Reasons with the kind that their texts tell."""
    return tuple(_told(text) for text in texts)


def _told(text: str) -> Cause:
    for beginning, kind, metric in _BEGINNINGS:
        if text.startswith(beginning):
            return Cause(text, kind, metric=metric)
    if "deadline" in text or "busy" in text:
        return Cause(text, "load" if "busy" in text else "deadline")
    if " drop " in text or "quality" in text or "floor" in text:
        return Cause(text, "quality")
    return Cause(text, "unmappable")
