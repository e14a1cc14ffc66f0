"""Figures that no float can hold: a design that has one is infeasible, and says which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dse.evaluation.record import METRICS, Evaluation


def not_finite(record: Evaluation) -> tuple[str, ...]:
    """A reason for each metric of the record that is infinite or no number; none if all are.

    The ranges of files keep figures far from there; what is left are products of extremes.
    """
    out: list[str] = []
    for name in METRICS:
        value = record.metric(name)
        if value is not None and not math.isfinite(value):
            out.append(
                f"{name} is not finite ({value:g}): some values of the chip or the app are "
                "extreme together"
            )
    return tuple(out)


def with_finite_verdict(record: Evaluation) -> Evaluation:
    """The record, infeasible with its reasons if a metric is not finite; else itself."""
    reasons = tuple(why for why in not_finite(record) if why not in record.reasons)
    if not reasons:
        return record
    return replace(record, feasible=False, reasons=(*record.reasons, *reasons))


def storable(content: Any) -> Any:
    """Plain data with null where a number is not finite, as JSON has it."""
    if isinstance(content, Mapping):
        return {key: storable(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [storable(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
