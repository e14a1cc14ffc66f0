"""The ends of a network: what is customarily kept wider when the rest is narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dse.workload.layer import Layer, Tensor


def ends_of(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> set[str]:
    """Tensors that the setting ``first_last`` widens to its format.

    First are layers with stored operands (products, embeddings) that no other such layer comes
    before, last those that none comes behind: of a detector every head, of a language model the
    embedding and the vocabulary projection. Their stored operands and inputs are meant, and what
    the last ones write until the network ends.
    """
    weighted = {layer.name: _stored(layer, tensors) for layer in layers}
    first, last = _first(layers, weighted), _last(layers, weighted)
    found: set[str] = set()
    for layer in layers:
        if layer.name in first or layer.name in last:
            found.update(weighted[layer.name])
            found.update(n for n in _moving(layer, tensors)[:1] if tensors[n].role != "kv")
    behind: set[str] = set()
    for layer in layers:
        if layer.name in last or behind.intersection(layer.inputs):
            behind.update(layer.outputs)
    return found | {n for n in behind if tensors[n].role != "kv"}


def _stored(layer: Layer, tensors: Mapping[str, Tensor]) -> set[str]:
    """Weights of a product, or the table that a lookup reads."""
    if layer.kind == "compute":
        own = layer.w_tensor is not None and not layer.w_is_activation
        return {layer.w_tensor} if own and layer.w_tensor else set()
    looked_up = ("table", "weight") if layer.op == "Gather" else ("table",)  # weights if tied
    return {name for name in layer.inputs if tensors[name].role in looked_up}


def _moving(layer: Layer, tensors: Mapping[str, Tensor]) -> list[str]:
    stored = ("weight", "bias", "table")
    return [name for name in layer.inputs if tensors[name].role not in stored]


def _first(layers: Sequence[Layer], weighted: Mapping[str, set[str]]) -> set[str]:
    behind: set[str] = set()
    first = set()
    for layer in layers:
        late = bool(behind.intersection(layer.inputs))
        if weighted[layer.name] and not late:
            first.add(layer.name)
        if weighted[layer.name] or late:
            behind.update(layer.outputs)
    return first


def _last(layers: Sequence[Layer], weighted: Mapping[str, set[str]]) -> set[str]:
    before: set[str] = set()
    last = set()
    for layer in reversed(layers):
        early = bool(before.intersection(layer.outputs))
        if weighted[layer.name] and not early:
            last.add(layer.name)
        if weighted[layer.name] or early:
            before.update(layer.inputs)
    return last
