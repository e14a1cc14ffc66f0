"""Operators that a vendor's software does not run on its accelerator go to the host.

The list of a chip (``Chip.overheads.operators``) is of ONNX operators. A layer is judged by the
operator that it was made of; what is folded into it (an activation, a residual) is taken to go
with it. On the host its MACs and operations take the time of one core; the copies that a layer
without operations makes count as one operation an element.
"""

from __future__ import annotations

from dataclasses import replace

from dse.hardware.chip import Chip
from dse.workload.layer import Layer, Workload


def on_chip(workload: Workload, chip: Chip) -> Workload:
    """The network as the chip's software deals it out; itself if all runs on the accelerator."""
    if chip.overheads.operators is None:
        return workload
    known = frozenset(chip.overheads.operators)
    if all(_runs(layer, known) for layer in workload.layers):
        return workload
    return workload.with_layers(
        tuple(
            layer if _runs(layer, known) else _host_layer(layer, chip) for layer in workload.layers
        )
    )


def _runs(layer: Layer, known: frozenset[str]) -> bool:
    return layer.kind == "host" or layer.op in known


def _host_layer(layer: Layer, chip: Chip) -> Layer:
    work = dict(layer.vector_ops)
    if layer.macs:
        each = chip.host.ops_per_s / chip.host.macs_per_s if chip.host.macs_per_s > 0.0 else 1.0
        work["mul"] = work.get("mul", 0) + round(layer.macs * each)
    if not work:
        work["copy"] = layer.o_elements
    return replace(
        layer,
        kind="host",
        nest=None,
        vector_ops=tuple(sorted(work.items())),
        row_wise=False,
        note=layer.note or "not among the operators of the chip's software",
    )


def splits(layer: Layer, chip: Chip) -> bool:
    """Whether the chip's software runs a layer, by the operator that it was made of, on several
    cores at once."""
    return chip.overheads.split is None or layer.op in chip.overheads.split
