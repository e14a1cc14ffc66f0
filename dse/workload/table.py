"""The per-layer table of ``dse show MODEL``."""

from __future__ import annotations

from dse.workload.layer import DIMS, Layer, Workload


def layer_table(workload: Workload) -> list[dict[str, object]]:
    """One row per layer, in order of execution.

    Keys: ``name``, ``op``, ``kind``, ``dims`` (loop sizes above 1, such as ``K=64 C=3``; shape of
    the result of layers without MACs), ``macs``,
    ``w_bytes`` (weights or second activation operand), ``i_bytes`` (inputs and side operands),
    ``o_bytes``, ``vector_ops`` (sum over functions), ``intensity`` (MACs per byte of all operands;
    operations per byte for layers without MACs), ``precision`` (weights x inputs -> outputs),
    ``sparsity`` (share of zeros among weights and inputs, empty if dense), ``note``.
    """
    return [_row(layer, workload) for layer in workload.layers]


def _row(layer: Layer, workload: Workload) -> dict[str, object]:
    operations = sum(count for _, count in layer.vector_ops)
    inputs = layer.i_bytes + layer.side_bytes
    moved = layer.w_bytes + layer.b_bytes + inputs + layer.o_bytes
    return {
        "name": layer.name,
        "op": layer.op,
        "kind": layer.kind,
        "dims": _dims(layer) if layer.nest else _shape(layer, workload),
        "macs": layer.macs,
        "w_bytes": layer.w_bytes + layer.b_bytes,
        "i_bytes": inputs,
        "o_bytes": layer.o_bytes,
        "vector_ops": operations,
        "intensity": (layer.macs or operations) / moved if moved else 0.0,
        "precision": f"{layer.w_format} x {layer.i_format} -> {layer.o_format}",
        "sparsity": _zeros(layer),
        "note": layer.note,
    }


def _zeros(layer: Layer) -> str:
    parts = []
    if layer.weight_pattern == "unstructured":
        parts.append(f"weights {1 - layer.weight_density:.0%}")
    elif layer.weight_pattern != "dense":
        parts.append(f"weights {layer.weight_pattern}")
    if layer.input_density < 1:
        parts.append(f"inputs {1 - layer.input_density:.0%}")
    return ", ".join(parts)


def _shape(layer: Layer, workload: Workload) -> str:
    shape = workload.tensors[layer.outputs[0]].shape if layer.outputs else ()
    return "x".join(map(str, shape))


def _dims(layer: Layer) -> str:
    nest = layer.nest
    if nest is None:
        return ""
    sizes = " ".join(f"{d}={n}" for d, n in zip(DIMS, nest.sizes, strict=True) if n > 1)
    steps = [(nest.stride_y, nest.stride_x), (nest.dilation_y, nest.dilation_x)]
    for label, (y, x) in zip(("stride", "dilation"), steps, strict=True):
        if (y, x) != (1, 1):
            sizes += f" {label}={y}x{x}"
    return sizes
