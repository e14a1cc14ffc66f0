"""Scores of an app: quality against its floors, deadlines kept, energy, and one figure of all.

The combined score follows the idea of XRBench (Kwon et al., MLSys 2023: a product of real-time,
energy and quality scores, averaged over models) without the faults of its published code: a lost
frame counts once, intervals are not rounded to milliseconds, the energy score stays within 0 and 1
whatever the energy, and every draw has a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dse.apps.limits import QualityFloor
from dse.model_quality import Quality, quality
from dse.workload.layer import Workload

#: Energy of a frame at which an app without a power budget has the energy score 0.5, J: the scale
#: of XRBench's code (Emax = 1500 mJ, read).
FRAME_SCALE_J = 1.5


@dataclass(frozen=True)
class QualityVerdict:
    """One stream's quality against its floor.

    ``margin`` is normalized: 0 exactly at the floor, 1 for a model without any loss; None if the
    quality is unknown (it passes no floor) or the stream has no floor. ``found`` and ``limit`` are
    what the tightest part of the floor compares: losses in the metric's points, or values.
    """

    stream: str
    metric: str | None
    value: float | None
    drop: float | None
    margin: float | None
    passes: bool
    reason: str | None
    sources: tuple[str, ...] = ()
    method: str | None = None
    higher_is_better: bool | None = None
    status: str | None = None
    found: float | None = None
    limit: float | None = None


def stream_quality(floor: QualityFloor | None, workload: Workload) -> Quality | None:
    """Quality of ``workload`` in the floor's metric: published figures, else the app's own.

    Without a floor, or where neither knows anything in its metric, whatever is published.
    """
    found = quality(workload.family, workload.settings, workload.precision)
    if floor is None or (found is not None and found.metric == floor.metric):
        return found
    for figure in floor.figures:
        if figure.applies(workload.model, workload.precision.name):
            return figure.quality(floor.metric)
    return found


def judge_quality(
    stream: str, floor: QualityFloor | None, quality: Quality | None
) -> QualityVerdict:
    """Hold a published quality against a stream's floor.

    The drop margin is ``(max_drop - drop) / max_drop`` with the drop at the floor's risk (a
    ``min_ratio`` is such a drop, as a share of the float value); the value margin is
    ``(value - min_value) / |float value - min_value|`` with the sign turned if less is better. The
    worst counts.
    """
    if quality is None:
        reason = "quality unknown: nothing is published for this model and precision"
        return QualityVerdict(
            stream, None, None, None, None, floor is None, (floor and reason) or None
        )
    risky = floor is not None and floor.risk == "p90"
    drop = quality.drop_p90 if risky else quality.drop_median
    value = quality.value_p90 if risky else quality.value
    base = (stream, quality.metric, value, drop)
    rest = (quality.sources, quality.method, quality.higher_is_better, quality.status)
    if floor is None:
        return QualityVerdict(*base, None, True, None, *rest)
    if floor.metric != quality.metric:
        reason = f"the floor is in {floor.metric}, published quality in {quality.metric}"
        return QualityVerdict(*base, None, False, reason, *rest)
    if floor.method not in ("any", quality.method) and quality.method != "float":
        reason = f"the floor asks for {floor.method}, the precision was reached by {quality.method}"
        return QualityVerdict(*base, None, False, reason, *rest)
    margin, text, found, limit = min(_margins(floor, quality, value, drop))
    told = None if margin >= 0 else text
    return QualityVerdict(*base, min(margin, 1.0), margin >= 0, told, *rest, found, limit)


def _margins(
    floor: QualityFloor, quality: Quality, value: float, drop: float
) -> list[tuple[float, str, float, float]]:
    """Margin, what is wrong if it is negative, and the figure with its limit, by part."""
    margins: list[tuple[float, str, float, float]] = []
    allowed = []
    if floor.max_drop is not None:
        allowed.append(floor.max_drop)
    if floor.min_ratio is not None:
        share = 1.0 - floor.min_ratio if floor.higher_is_better else 1.0 / floor.min_ratio - 1.0
        allowed.append(max(share * abs(quality.float_value), 1e-9))
    for limit in allowed:
        text = f"{quality.metric} drop {drop:.3g} over the allowed {limit:.3g}"
        margins.append(((limit - drop) / limit, text, drop, limit))
    if floor.min_value is not None:
        sign = 1.0 if quality.higher_is_better else -1.0
        span = max(abs(quality.float_value - floor.min_value), 1e-9)
        text = f"{quality.metric} {value:.4g} beyond the floor {floor.min_value:g}"
        margins.append((sign * (value - floor.min_value) / span, text, value, floor.min_value))
    return margins


def worst_margin(verdicts: Iterable[QualityVerdict]) -> float | None:
    """An app's quality: the worst normalized margin; None if a stream with a floor is unknown."""
    margins: list[float] = []
    for verdict in verdicts:
        if verdict.margin is not None:
            margins.append(verdict.margin)
        elif not verdict.passes:
            return None
    return min(margins) if margins else None


@dataclass(frozen=True)
class StreamScore:
    """One stream's part of the scores, both from 0 to 1.

    ``deadline``: share of its frames in time (a lost frame counts once, as not in time).
    ``quality``: 1 at or above its floor (or without one), falling to 0 one whole margin below it;
    0 if it has a floor and its quality is unknown.
    """

    stream: str
    deadline: float
    quality: float


def quality_score(verdict: QualityVerdict) -> float:
    """See :class:`StreamScore`."""
    if verdict.margin is None:
        return 1.0 if verdict.passes else 0.0
    return min(1.0, max(0.0, 1.0 + verdict.margin))


def energy_score(power_w: float, budget_w: float | None, frames_per_s: float) -> float:
    """``budget / (budget + power)``: 1 at no power, 0.5 at the budget, never below 0.

    Without a budget the scale is :data:`FRAME_SCALE_J` for each frame.
    """
    scale = budget_w if budget_w is not None else FRAME_SCALE_J * max(frames_per_s, 1e-12)
    return scale / (scale + max(power_w, 0.0))


def combined_score(streams: Sequence[StreamScore], energy: float) -> float:
    """``energy x mean over streams of (deadline x quality)``, from 0 to 1.

    Every stream weighs the same, however many frames it has: a stream at 1 Hz is as much a part of
    the app as one at 60 Hz.
    """
    if not streams:
        return 0.0
    return energy * sum(part.deadline * part.quality for part in streams) / len(streams)


def deadline_satisfaction(streams: Sequence[StreamScore]) -> float:
    """Mean over streams of their share of frames in time."""
    return sum(part.deadline for part in streams) / max(len(streams), 1)
