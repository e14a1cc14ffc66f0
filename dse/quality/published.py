"""Float quality by variant, and the drop of quantization with its risk band.

The figures stand in ``data/quality.json``, distilled from publications by
``experiments/data/distil_quality.py``. Each drop is the difference of two figures of one source;
the float value and the drop may come from different sources, which are then both named.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dse.workload.precision import Precision

#: Share of published cases that the risk band covers.
BAND = 0.9


@dataclass(frozen=True)
class Quality:
    """Quality of one variant at one precision.

    Attributes:
        metric: ``top1``, ``miou``, ``map`` (percent) or ``auc`` (0 to 1).
        higher_is_better: direction of the metric.
        float_value: before quantization.
        drop_median, drop_p90: loss by quantization, in the unit of the metric: the median of the
            published cases, and what nine of ten do not exceed. Negative is a gain.
        value: ``float_value`` less the median drop; ``value_p90`` less the drop at p90.
        method: ``ptq``, ``qat`` or ``float``.
        cases: number of published drops behind the median.
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


def families() -> tuple[str, ...]:
    """Families with a published float value."""
    return tuple(_data()["families"])


def quality(family: str, settings: Mapping[str, str], precision: Precision) -> Quality | None:
    """Published quality of ``family`` at ``precision``; None where it is not known.

    Args:
        family: key of the manifest (``mobilenet_v2``).
        settings: ``width`` (1 if left out) and ``res`` (any if left out), as in ``Model.settings``.
        precision: formats and method; fp32 loses nothing.

    The drop is that of the network itself at the same width. If it was published only once, the
    p90 is not less than that of its task, since one case is no risk band. Without any case of its
    own, the largest single collection over the task stands in, but never with a smaller drop than
    other widths of the network have. Formats that no source tried, and
    widths or resolutions without a float value, are unknown.

    16-bit activations hold every value that 8-bit ones do. So a drop that was published for this
    network at 8 bit bounds the drop at 16 bit by the same method, whatever another source says.
    """
    width, res = str(settings.get("width", "1")), str(settings.get("res", ""))
    found = _known(family, width, res, precision)
    if precision.activations != "int16":
        return found
    narrow = _known(family, width, res, replace(precision, activations="int8"))
    if found is None or narrow is None or narrow.basis != "measured":
        return found
    if narrow.drop_p90 >= found.drop_p90 and narrow.drop_median >= found.drop_median:
        return found
    return replace(
        found,
        drop_median=min(found.drop_median, narrow.drop_median),
        drop_p90=min(found.drop_p90, narrow.drop_p90),
        sources=tuple(dict.fromkeys((*found.sources, *narrow.sources))),
        status=f"{found.status}; assumed: bounded by its own drop at 8 bit",
    )


@functools.lru_cache(maxsize=4096)
def _known(family: str, width: str, res: str, precision: Precision) -> Quality | None:
    facts = _data()["families"].get(family)
    if facts is None:
        return None
    try:
        wide, size = float(width), int(res) if res else None
    except ValueError:
        return None  # 96x160 and the like: nothing is published for oblong inputs
    floating = _float_value(facts, wide, size)
    if floating is None:
        return None
    name = _name(precision)
    if name is None:
        return None
    if name == "fp32":
        return _quality(facts, floating, [0.0], 0.0, precision.method, "measured", (), "read", 0)
    own = [
        d
        for d in facts["drops"]
        if (d["precision"], d["method"], d["width"]) == (name, precision.method, wide)
    ]
    pooled = _statistic(facts["task"], name, precision.method)
    if own:
        drops = [float(d["drop"]) for d in own]
        p90 = nearest_rank(drops, BAND)
        sources = tuple(dict.fromkeys(str(d["source"]) for d in own))
        if len(own) == 1 and pooled is not None:
            p90 = max(p90, float(pooled["p90"]))
            sources = (*sources, f"{pooled['source']} (p90, n={pooled['n']})")
        status = _status([str(d["status"]) for d in own])
        if size is not None and all(d["res"] not in (size, None) for d in own):
            status += "; assumed: drop measured at another resolution"
        return _quality(
            facts, floating, drops, p90, precision.method, "measured", sources, status, len(own)
        )
    return _unmeasured(facts, floating, name, precision.method, pooled)


def _unmeasured(
    facts: Mapping[str, Any],
    floating: Mapping[str, Any],
    name: str,
    method: str,
    pooled: Mapping[str, Any] | None,
) -> Quality | None:
    """A width without a drop of its own: its task's, not less than that of other widths."""
    other = [d for d in facts["drops"] if (d["precision"], d["method"]) == (name, method)]
    if pooled is None and not other:
        return None
    sources = list(dict.fromkeys(str(d["source"]) for d in other))
    drops = [float(d["drop"]) for d in other]
    median = statistics.median(drops) if drops else -math.inf
    p90 = nearest_rank(drops, BAND) if drops else -math.inf
    cases, status = len(other), "assumed: drop of other widths"
    if pooled is not None:
        median, p90 = max(median, float(pooled["median"])), max(p90, float(pooled["p90"]))
        sources.append(f"{pooled['source']} (n={pooled['n']})")
        cases = int(pooled["n"])
        status = "assumed: the larger drop of other widths and of other networks of the task"
        if not other:
            status = "assumed: drop of other networks of the task"
    return _quality(
        facts, floating, [median], p90, method, "statistics", tuple(sources), status, cases
    )


def _quality(
    facts: Mapping[str, Any],
    floating: Mapping[str, Any],
    drops: list[float],
    p90: float,
    method: str,
    basis: str,
    sources: tuple[str, ...],
    status: str,
    cases: int,
) -> Quality:
    if floating["status"] != "read":
        status = f"float value {floating['status']}; {status}"
    if facts["remark"]:
        status = f"{status}; {facts['remark']}"
    return Quality(
        metric=facts["metric"],
        higher_is_better=facts["higher_is_better"],
        float_value=float(floating["value"]),
        drop_median=statistics.median(drops),
        drop_p90=p90,
        method=method,
        cases=cases,
        basis=basis,
        sources=tuple(dict.fromkeys((str(floating["source"]), *sources))),
        status=status,
    )


def _name(precision: Precision) -> str | None:
    """How the data file calls the formats; None for formats that no source tried."""
    weights, activations = precision.weights, precision.activations
    if weights.startswith("int") and activations.startswith("int"):
        return f"w{weights.removeprefix('int')}a{activations.removeprefix('int')}"
    return weights if weights == activations and weights in ("fp16", "fp32") else None


def _float_value(
    facts: Mapping[str, Any], width: float, res: int | None
) -> Mapping[str, Any] | None:
    """The float figure of a variant, from the source that covers most variants of the family.

    So variants compare within one source. Before that, figures that were read, over a whole test
    set, come first.
    """
    unsized = all(f["res"] is None for f in facts["floats"])
    matching: list[Mapping[str, Any]] = [
        f
        for f in facts["floats"]
        if f["width"] == width and (res is None or unsized or f["res"] == res)
    ]
    if not matching:
        return None
    covered = Counter(f["source"] for f in facts["floats"])
    largest = max((f["res"] or 0 for f in matching), default=0)

    def order(f: Mapping[str, Any]) -> tuple[object, ...]:
        same = (f["res"] or 0) == (res or largest)
        return (
            f["status"] != "read",
            f["samples"] is not None,
            not same,
            -covered[f["source"]],
            f["source"],
        )

    return min(matching, key=order)


def _statistic(task: str, name: str, method: str) -> Mapping[str, Any] | None:
    rows: list[Mapping[str, Any]] = _data()["statistics"]
    for row in rows:
        if (row["task"], row["precision"], row["method"]) == (task, name, method):
            return row
    return None


def nearest_rank(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _status(found: list[str]) -> str:
    kinds = set(found)
    return kinds.pop() if len(kinds) == 1 else "mixed"


@functools.lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    path = Path(__file__).with_name("data") / "quality.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
