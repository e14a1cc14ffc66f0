"""Quality of a network at a width, a resolution, a sparsity and a precision.

``quality`` answers with what has been published, with what ``dse quality`` measured on the user's
own model, or with None where nothing is known. ``measure_quality`` is that measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dse.model_quality.figure import Quality
from dse.model_quality.metrics import METRICS, Metric
from dse.model_quality.published import families, quality
from dse.model_quality.results import MeasuredOutput, MeasuredQuality, QualityReport, read_report

if TYPE_CHECKING:
    from dse.model_quality.measured import measure_quality

__all__ = [
    "METRICS",
    "MeasuredOutput",
    "MeasuredQuality",
    "Metric",
    "Quality",
    "QualityReport",
    "families",
    "measure_quality",
    "quality",
    "read_report",
]


def __getattr__(name: str) -> Any:
    if name != "measure_quality":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dse.model_quality.measured import measure_quality

    return measure_quality
