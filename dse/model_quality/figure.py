"""Quality of one variant of a network at one precision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """Quality of one variant at one precision.

    Attributes:
        metric: a name of :data:`~dse.model_quality.metrics.METRICS`, such as ``top1`` or ``mmlu``.
        higher_is_better: direction of the metric.
        float_value: before quantization.
        drop_median, drop_p90: loss by quantization, in the unit of the metric: the median of the
            published cases, and what nine of ten do not exceed. Negative is a gain.
        value: ``float_value`` less the median drop; ``value_p90`` less the drop at p90.
        method: ``ptq``, ``qat``, ``float``, or ``measured`` on the user's own model here.
        cases: number of published drops behind the median, or of inputs that were measured.
        basis: ``measured`` on this network, or ``statistics`` over networks of the same task.
        sources: of the float value and of the drops.
        status: ``read``, ``recalled`` or ``mixed``; ``assumed`` where the drop was measured at
            another resolution, another width or other networks, or is bounded by a narrower format;
            and a remark for a stand-in.
    """

    metric: str
    higher_is_better: bool
    float_value: float
    drop_median: float
    drop_p90: float
    method: str
    cases: int
    basis: str
    sources: tuple[str, ...]
    status: str

    @property
    def value(self) -> float:
        return self._after(self.drop_median)

    @property
    def value_p90(self) -> float:
        return self._after(self.drop_p90)

    def _after(self, drop: float) -> float:
        return self.float_value - drop if self.higher_is_better else self.float_value + drop

    def to_dict(self) -> dict[str, object]:
        """All attributes as plain values."""
        return {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "float_value": self.float_value,
            "drop_median": self.drop_median,
            "drop_p90": self.drop_p90,
            "value": self.value,
            "value_p90": self.value_p90,
            "method": self.method,
            "cases": self.cases,
            "basis": self.basis,
            "sources": list(self.sources),
            "status": self.status,
        }
