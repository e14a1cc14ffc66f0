"""Ranges of activations by least divergence: entropy calibration as TensorRT describes it.

A symmetric range that keeps all values wastes levels on rare large ones. Of every smaller range
the distribution of magnitudes as it is (what lies beyond counted at the edge) is held against the
same after rounding to the levels of the format; the range with the least Kullback-Leibler
divergence between the two is taken (Migacz, "8-bit inference with TensorRT", GTC 2017). Zeros are
left out: zero is a level of its own and costs nothing, however often a Relu gives it. What so few
values as there are would diverge by chance is taken off, so that a small calibration does not cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dse.errors import InputError
from dse.model_quality.samples import Array, Sample

#: Bins of a histogram of magnitudes, and of how many of them ranges are tried.
BINS = 2048
STEP = 8
#: Share of the counts that stands in a bin that rounding leaves empty: divergence stays finite.
_TINY = 1e-9


def least_divergence(counts: Array, levels: int) -> int:
    """How many of the bins a range should hold: those whose divergence is least.

    Args:
        counts: magnitudes by bin, from zero on.
        levels: of the format on one side of zero.

    Returns:
        A number of bins from ``levels`` to all of them.
    """
    total = float(counts.sum())
    if total <= 0.0 or levels >= len(counts):
        return len(counts)
    best, least = len(counts), np.inf
    for size in range(levels, len(counts) + 1, STEP):
        found = _divergence(counts, size, levels, total)
        if found < least:
            best, least = size, found
    return best


def _divergence(counts: Array, size: int, levels: int, total: float) -> float:
    """KL(P || Q) of a range of ``size`` bins: P with what lies beyond at its edge, Q rounded.

    The counts of all bins that share a level are spread evenly over those of them that P fills. By
    chance alone 2 N KL is a chi squared of as many degrees as bins are filled beyond the levels.
    """
    held = counts[:size].astype(np.float64)
    p = held.copy()
    p[-1] += counts[size:].sum()
    starts = (np.arange(levels) * size) // levels
    filled = p > 0.0
    sums, bins = np.add.reduceat(held, starts), np.add.reduceat(filled.astype(np.float64), starts)
    share = np.divide(sums, bins, out=np.zeros(levels), where=bins > 0.0)
    q = np.repeat(share, np.diff(np.append(starts, size)))[filled]
    p, q = p[filled] / total, np.maximum(q, _TINY * total)
    by_chance = (len(p) - np.count_nonzero(bins)) / (2.0 * total)
    return float(np.sum(p * np.log(p / (q / q.sum())))) - by_chance


def entropy_ranges(
    model: Path, samples: Sequence[Sample], bits: int = 8
) -> dict[str, tuple[float, float]]:
    """Range of each activation of a float model over the samples, by least divergence.

    Left to the quantizer are tensors without values, and those whose range it takes from elsewhere:
    what only a Relu or Clip reads (its output's range), and the result of a Softmax (0 to 1).

    Args:
        model: with inferred shapes, so that its tensors are named there.
        samples: calibration inputs.
        bits: of the activations.

    Raises:
        InputError: an activation that is not finite.
    """
    proto = onnx.load(str(model))
    names = _activations(proto)
    session, outputs = _probe(proto, names, model)
    lows = dict.fromkeys(names, np.inf)
    highs = dict.fromkeys(names, -np.inf)
    for values in _runs(session, outputs, samples):
        for name, value in values.items():
            if value.size:
                lows[name] = min(lows[name], float(value.min()))
                highs[name] = max(highs[name], float(value.max()))
    tops = {name: max(-lows[name], highs[name]) for name in names}
    for name, top in tops.items():
        if top > -np.inf and not np.isfinite(top):
            raise InputError(
                f"{name!r} is not finite over the calibration inputs",
                file=model.name,
                field="--inputs",
                mend="give inputs of the range that the model was trained on, or finite masks",
            )
    counts = {name: np.zeros(BINS, np.int64) for name, top in tops.items() if top > 0.0}
    for values in _runs(session, outputs, samples):
        for name, count in counts.items():
            sizes = np.abs(values[name])
            count += np.histogram(sizes[sizes > 0.0], BINS, (0.0, tops[name]))[0]
    found = {}
    for name, count in counts.items():
        one_sided = lows[name] >= 0.0 or highs[name] <= 0.0
        levels = 2**bits if one_sided else 2 ** (bits - 1)
        top = tops[name] * least_divergence(count, levels) / BINS
        found[name] = max(lows[name], -top), min(highs[name], top)
    return found


def _activations(proto: onnx.ModelProto) -> list[str]:
    """Float tensors that nodes compute or read, but for those whose range comes from elsewhere."""
    graph = proto.graph
    stored = {tensor.name for tensor in graph.initializer}
    known = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
    readers: dict[str, list[str]] = {}
    made: dict[str, str] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
        made.update(dict.fromkeys(node.output, node.op_type))
    return [
        name
        for name, info in known.items()
        if info.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        and name not in stored
        and (name in made or name in readers)
        and made.get(name) != "Softmax"
        and readers.get(name) not in (["Relu"], ["Clip"])
    ]


def _probe(proto: onnx.ModelProto, names: Sequence[str], model: Path) -> tuple[Any, list[str]]:
    """A session of the model that gives these tensors beside its results."""
    import onnxruntime as ort

    fed = {value.name for value in proto.graph.input}
    asked = [name for name in names if name not in fed]
    there = {value.name for value in proto.graph.output}
    known = {value.name: value for value in proto.graph.value_info}
    proto.graph.output.extend(known[name] for name in asked if name not in there)
    beside = model.with_name("probe.onnx")
    onnx.save(proto, str(beside))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(str(beside), options, providers=["CPUExecutionProvider"]), asked


def _runs(session: Any, outputs: Sequence[str], samples: Sequence[Sample]) -> Any:
    """The tensors of each sample in turn, inputs of the model among them."""
    for sample in samples:
        found: Mapping[str, Array] = dict(
            zip(outputs, session.run(list(outputs), sample) if outputs else [], strict=True)
        )
        floats = {n: v for n, v in sample.items() if np.issubdtype(v.dtype, np.floating)}
        yield {**floats, **found}
