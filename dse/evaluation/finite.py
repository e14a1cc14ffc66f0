"""Figures that no float can hold: a design that has one is infeasible, and says which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dse.evaluation.causes import Cause
from dse.evaluation.metrics import METRICS
from dse.evaluation.record import Evaluation


def not_finite(record: Evaluation) -> tuple[Cause, ...]:
    """A reason for each metric of the record that is infinite or no number; none if all are.

    The ranges of files keep figures far from there; what is left are products of extremes.
    """
    out: list[Cause] = []
    for name in METRICS:
        value = record.metric(name)
        if value is not None and not math.isfinite(value):
            text = (
                f"{name} is not finite ({value:g}): some values of the chip or the app are "
                "extreme together"
            )
            out.append(Cause(text, "constraint", metric=name))
    return tuple(out)


def with_finite_verdict(record: Evaluation) -> Evaluation:
    """The record, infeasible with its reasons if a metric is not finite; else itself."""
    reasons = tuple(why for why in not_finite(record) if why not in record.reasons)
    if not reasons:
        return record
    return replace(record, feasible=False, reasons=(*record.reasons, *reasons))


def storable(record: Evaluation) -> Evaluation:
    """The record with None where a number is not finite, as JSON has it."""
    if not not_finite(record):
        return record
    return Evaluation.from_dict(_finite(record.to_dict()))


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
