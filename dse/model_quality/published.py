"""Float quality by variant, and the drop of quantization with its risk band.

The figures stand in ``data/quality.json``, distilled from publications by
``experiments/data/distil_quality.py``. Each drop is the difference of two figures of one source;
the float value and the drop may come from different sources, which are then both named.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dse.model_quality.figure import Quality
from dse.model_quality.results import read_quality
from dse.registry import cached
from dse.workload.precision import Precision, bits_of, parse_precision

#: Share of published cases that the risk band covers.
BAND = 0.9
#: Float formats in which a network is as good as in its reference.
FLOATS = ("fp16", "bf16", "fp32")


def families() -> tuple[str, ...]:
    """Families with a published float value."""
    return tuple(_data()["families"])


def quality(family: str, settings: Mapping[str, str], precision: Precision) -> Quality | None:
    """Quality of ``family`` at ``precision``; None where it is not known.

    Args:
        family: key of the manifest (``mobilenet_v2``).
        settings: as in ``Workload.settings``: ``width`` (1 if left out), ``res`` (any if left out),
            ``sparsity``; ``per_layer`` (precisions of single layers, joined by ``+``); ``quality``,
            a file of ``dse quality``, which then answers instead of publications.
        precision: formats and method; fp32 loses nothing.

    Raises:
        InputError: the file of measured quality is missing or wrong.

    The drop is that of the network itself at the same width. If it was published only once, the
    p90 is not less than that of its task, since one case is no risk band. Without any case of its
    own, the largest single collection over the task stands in, but never with a smaller drop than
    other widths of the network have. Formats that no source tried, and
    widths or resolutions without a float value, are unknown.

    16-bit activations hold every value that 8-bit ones do. So a drop that was published for this
    network at 8 bit bounds the drop at 16 bit by the same method, whatever another source says.
    In the same way the narrowest precision of a mixed one bounds it, a KV cache of 8 bit is taken
    for lossless, and a narrower one than that is unknown.
    """
    if settings.get("quality"):
        return read_quality(settings["quality"], precision)
    mixed = [parse_precision(name) for name in settings.get("per_layer", "").split("+") if name]
    found = [_uniform(family, settings, each) for each in (precision, *mixed)]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    worst = max(known, key=lambda q: (q.drop_p90, q.drop_median))
    return _remarked(worst, "assumed: bounded by its narrowest layers") if mixed else worst


def _uniform(family: str, settings: Mapping[str, str], precision: Precision) -> Quality | None:
    """Quality where all layers but the ends have one precision."""
    width, res = str(settings.get("width", "1")), str(settings.get("res", ""))
    pruned = settings.get("sparsity", "")
    bare = Precision(precision.weights, precision.activations, method=precision.method)
    found = _known(family, width, res, pruned, bare)
    if precision.activations == "int16":
        narrow = _known(family, width, res, pruned, replace(bare, activations="int8"))
        if found is not None and narrow is not None and narrow.basis == "measured":
            found = _bounded(found, narrow)
    if found is not None and found.basis == "statistics" and precision.activations == "int8":
        wider = _known(family, width, res, pruned, replace(bare, activations="int16"))
        if wider is not None and wider.basis == "measured":
            found = _no_better(found, wider)
    if found is not None and precision.ends not in (None, precision.weights):
        found = _remarked(found, "assumed: wide ends no worse than none")
    if found is None or precision.kv is None:
        return found
    if bits_of(precision.kv) < min(8, bits_of(precision.activations)):
        return None
    if bits_of(precision.kv) < bits_of(precision.activations):
        return _remarked(found, "assumed: a KV cache of 8 bit or more loses nothing")
    return found


def _bounded(found: Quality, narrow: Quality) -> Quality:
    """``found`` with no larger drop than the same network has in narrower formats."""
    if narrow.drop_p90 >= found.drop_p90 and narrow.drop_median >= found.drop_median:
        return found
    bounded = replace(
        found,
        drop_median=min(found.drop_median, narrow.drop_median),
        drop_p90=min(found.drop_p90, narrow.drop_p90),
        sources=tuple(dict.fromkeys((*found.sources, *narrow.sources))),
    )
    return _remarked(bounded, "assumed: bounded by its own drop at 8 bit")


def _no_better(found: Quality, wider: Quality) -> Quality:
    """``found`` with no smaller drop than the same network has with wider activations."""
    if wider.drop_p90 <= found.drop_p90 and wider.drop_median <= found.drop_median:
        return found
    raised = replace(
        found,
        drop_median=max(found.drop_median, wider.drop_median),
        drop_p90=max(found.drop_p90, wider.drop_p90),
        sources=tuple(dict.fromkeys((*found.sources, *wider.sources))),
    )
    return _remarked(raised, "not less than its own drop with wider activations")


def _remarked(found: Quality, remark: str) -> Quality:
    return replace(found, status=f"{found.status}; {remark}")


@cached(4096)
def _known(family: str, width: str, res: str, pruned: str, precision: Precision) -> Quality | None:
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
    names, remark = _names(precision, facts["task"], floating["format"])
    if not pruned and (names == ("fp32",) or floating["format"] in names):
        found = _quality(facts, floating, [0.0], 0.0, precision.method, "measured", (), "read", 0)
        return _remarked(found, remark) if remark else found
    if pruned and precision.method == "float":
        names = FLOATS  # what pruning costs does not depend on the float format
    sought = _Sought(names, precision.method, pruned)
    own = sought.among([d for d in facts["drops"] if d["width"] == wide])
    pooled = sought.among([s for s in _data()["statistics"] if s["task"] == facts["task"]])
    statistic = pooled[0] if pooled else None
    if own:
        drops = [float(d["drop"]) for d in own]
        p90 = nearest_rank(drops, BAND)
        sources = tuple(dict.fromkeys(str(d["source"]) for d in own))
        if len(own) == 1 and statistic is not None:
            p90 = max(p90, float(statistic["p90"]))
            sources = (*sources, f"{statistic['source']} (p90, n={statistic['n']})")
        status = _status([str(d["status"]) for d in own])
        if len(own) == 1 and statistic is None:
            status += "; one case, no risk band"
        if size is not None and all(d["res"] not in (size, None) for d in own):
            status += "; assumed: drop measured at another resolution"
        basis, cases, median = "measured", len(own), statistics.median(drops)
        if any(d["sparsity"] != pruned for d in own):
            status += f"; assumed: drop at a sparsity of {own[0]['sparsity']}"
        found = _quality(
            facts, floating, [median], p90, precision.method, basis, sources, status, cases
        )
    else:
        other = sought.among(facts["drops"])
        maybe = _unmeasured(facts, floating, other, precision.method, statistic)
        if maybe is None:
            return None
        found = maybe
    return _remarked(found, remark) if remark else found


@dataclass(frozen=True)
class _Sought:
    """Published cases of one kind: formats by their names there, method and sparsity."""

    names: tuple[str, ...]
    method: str
    pruned: str

    def among(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of ``rows`` that fit, at the nearest sparsity that is not less than the own."""
        fit = [r for r in rows if r["precision"] in self.names and r["method"] == self.method]
        exact = [r for r in fit if r["sparsity"] == self.pruned]
        if exact or not self.pruned or ":" in self.pruned:
            return exact
        shares = {float(r["sparsity"]) for r in fit if r["sparsity"] and ":" not in r["sparsity"]}
        enough = [share for share in shares if share >= float(self.pruned)]
        return [r for r in fit if enough and r["sparsity"] == f"{min(enough):g}"]


def _unmeasured(
    facts: Mapping[str, Any],
    floating: Mapping[str, Any],
    other: list[Mapping[str, Any]],
    method: str,
    pooled: Mapping[str, Any] | None,
) -> Quality | None:
    """A width without a drop of its own: its task's, not less than that of ``other`` widths."""
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


def _names(precision: Precision, task: str, reference: str) -> tuple[tuple[str, ...], str]:
    """How the data file calls the formats (none for formats that no source tried), and a remark.

    Of language models, 16-bit activations are published as floats; and 16-bit floats, if one of
    them is the reference of the source, are taken as equal.
    """
    weights, activations = precision.weights, precision.activations
    if weights.startswith("int"):
        name = f"w{weights.removeprefix('int')}a"
        if activations in ("fp16", "bf16"):
            return (f"{name}fp16",), ""
        if activations == "int16" and task.startswith("llm"):
            return (f"{name}fp16",), "assumed: published with 16-bit floating-point activations"
        if activations.startswith("int"):
            return (f"{name}{activations.removeprefix('int')}",), ""
        return (), ""
    if weights != activations:
        return (), ""
    if weights in ("fp16", "bf16") and reference in ("fp16", "bf16"):
        remark = "" if weights == reference else f"assumed: {weights} as good as {reference}"
        return ("fp16", "bf16"), remark
    return (weights,), ""


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


def nearest_rank(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _status(found: list[str]) -> str:
    kinds = set(found)
    return kinds.pop() if len(kinds) == 1 else "mixed"


@cached(1)
def _data() -> dict[str, Any]:
    path = Path(__file__).with_name("data") / "quality.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
