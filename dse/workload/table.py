"""The per-layer table of ``dse show MODEL``."""

from __future__ import annotations

from dse.workload.layer import DIMS, Layer, Workload


def layer_table(workload: Workload) -> list[dict[str, object]]:
    """One row per layer, in order of execution.

    Keys: ``name``, ``op``, ``kind``, ``dims`` (loop sizes above 1, such as ``K=64 C=3``), ``macs``,
    ``w_bytes`` (weights or second activation operand), ``i_bytes`` (inputs and side operands),
    ``o_bytes``, ``vector_ops`` (sum over functions), ``intensity`` (MACs per byte of all operands;
    operations per byte for layers without MACs), ``precision`` (weights x inputs -> outputs),
    ``note``.
    """
    return [_row(layer) for layer in workload.layers]


def _row(layer: Layer) -> dict[str, object]:
    operations = sum(count for _, count in layer.vector_ops)
    inputs = layer.i_bytes + layer.side_bytes
    moved = layer.w_bytes + layer.b_bytes + inputs + layer.o_bytes
    return {
        "name": layer.name,
        "op": layer.op,
        "kind": layer.kind,
        "dims": _dims(layer),
        "macs": layer.macs,
        "w_bytes": layer.w_bytes + layer.b_bytes,
        "i_bytes": inputs,
        "o_bytes": layer.o_bytes,
        "vector_ops": operations,
        "intensity": (layer.macs or operations) / moved if moved else 0.0,
        "precision": f"{layer.w_format} x {layer.i_format} -> {layer.o_format}",
        "note": layer.note,
    }


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
