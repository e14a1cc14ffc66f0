"""Quality of an app: how far each stream's model is above its floor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dse.apps.scenario import QualityFloor
from dse.quality import Quality


@dataclass(frozen=True)
class QualityVerdict:
    """One stream's quality against its floor.

    ``margin`` is normalized: 0 exactly at the floor, 1 for a model without any loss; None if the
    quality is unknown (it passes no floor) or the stream has no floor.
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


def judge_quality(
    stream: str, floor: QualityFloor | None, quality: Quality | None
) -> QualityVerdict:
    """Hold a published quality against a stream's floor.

    The drop margin is ``(max_drop - drop) / max_drop`` with the drop at the floor's risk; the value
    margin is ``(value - min_value) / |float value - min_value|`` with the sign turned if less is
    better. The worse of the two counts.
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
    rest = (quality.sources, quality.method)
    if floor is None:
        return QualityVerdict(*base, None, True, None, *rest)
    if floor.metric != quality.metric:
        reason = f"the floor is in {floor.metric}, published quality in {quality.metric}"
        return QualityVerdict(*base, None, False, reason, *rest)
    margins: list[tuple[float, str]] = []
    if floor.max_drop is not None:
        text = f"{quality.metric} drop {drop:.2f} over the allowed {floor.max_drop:g}"
        margins.append(((floor.max_drop - drop) / floor.max_drop, text))
    if floor.min_value is not None:
        sign = 1.0 if quality.higher_is_better else -1.0
        span = max(abs(quality.float_value - floor.min_value), 1e-9)
        text = f"{quality.metric} {value:.2f} beyond the floor {floor.min_value:g}"
        margins.append((sign * (value - floor.min_value) / span, text))
    margin, text = min(margins)
    return QualityVerdict(
        *base, min(margin, 1.0), margin >= 0, None if margin >= 0 else text, *rest
    )


def worst_margin(verdicts: Iterable[QualityVerdict]) -> float | None:
    """An app's quality: the worst normalized margin; None if a stream with a floor is unknown."""
    margins: list[float] = []
    for verdict in verdicts:
        if verdict.margin is not None:
            margins.append(verdict.margin)
        elif not verdict.passes:
            return None
    return min(margins) if margins else None
