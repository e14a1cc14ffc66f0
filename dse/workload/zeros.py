"""Which layers of a network the zeros of pruning and of ReLUs reach."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dse.workload.layer import Layer
from dse.workload.sparsity import Sparsity

#: Kinds of work that pass the zeros of their inputs on.
_PASSING = frozenset({"MaxPool", "GlobalMaxPool", "Concat", "Slice", "Transpose", "Pad"})


def pruned_layers(
    layers: Sequence[Layer], sparsity: Sparsity, network_inputs: Collection[str]
) -> set[str]:
    """Names of the layers whose weights ``sparsity`` prunes."""
    found: set[str] = set()
    if sparsity.weight_pattern == "dense":
        return found
    for layer in layers:
        nest = layer.nest
        if nest is None or layer.w_tensor is None or layer.w_is_activation or nest.depthwise:
            continue
        if sparsity.weight_pattern == "unstructured":
            chosen = not any(name in network_inputs for name in layer.inputs)
        else:
            chosen = nest.C % int(sparsity.weight_pattern.partition(":")[2]) == 0
        if chosen:
            found.add(layer.name)
    return found


def rectified_layers(layers: Sequence[Layer]) -> set[str]:
    """Names of the compute layers with stored weights whose moving input comes from a ReLU.

    Only there activations are exactly zero. Zeros pass through maximum pooling and movement.
    """
    rectified: set[str] = set()
    found = set()
    for layer in layers:
        moving = [name for name in layer.inputs if name != layer.w_tensor]
        behind = bool(moving) and moving[0] in rectified
        if layer.kind == "compute" and layer.w_tensor and not layer.w_is_activation and behind:
            found.add(layer.name)
        if layer.rectified or (layer.op in _PASSING and behind):
            rectified.update(layer.outputs)
    return found
