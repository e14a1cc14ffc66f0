"""A batch in parts: the same network on fewer of the batch's inferences."""

from __future__ import annotations

from dataclasses import replace

from dse.workload.layer import STORED, Layer, LoopNest, Tensor, Workload


def batch_of(workload: Workload) -> int:
    """Inferences that the network runs at once, as its name says (``batch=16``); else 1."""
    said = str(workload.settings.get("batch") or 1)
    return int(said) if said.isdecimal() else 1


def in_parts(workload: Workload, parts: int) -> Workload | None:
    """The network on one of ``parts`` equal parts of its batch; None if a layer has no such part.

    The batch of a layer lies in B; of a product of activations in G; of a matrix product also in
    its rows, OX. Stored tensors stay whole.
    """
    if parts == 1:
        return workload
    layers = [_part(layer, parts) for layer in workload.layers]
    made = tuple(layer for layer in layers if layer is not None)
    if len(made) < len(layers):
        return None
    tensors = {name: _smaller(tensor, parts) for name, tensor in workload.tensors.items()}
    return replace(workload, layers=made, tensors=tensors)


def _part(layer: Layer, parts: int) -> Layer | None:
    nest = None if layer.nest is None else _nest(layer.nest, parts, layer.w_is_activation)
    if layer.nest is not None and nest is None:
        return None
    return replace(
        layer,
        nest=nest,
        w_elements=-(-layer.w_elements // parts) if layer.w_is_activation else layer.w_elements,
        i_elements=-(-layer.i_elements // parts),
        o_elements=-(-layer.o_elements // parts),
        side_elements=-(-layer.side_elements // parts),
        vector_ops=tuple((function, -(-count // parts)) for function, count in layer.vector_ops),
    )


def _nest(nest: LoopNest, parts: int, activations: bool) -> LoopNest | None:
    if nest.B % parts == 0:
        return replace(nest, B=nest.B // parts)
    if activations:
        return replace(nest, G=nest.G // parts) if nest.G % parts == 0 else None
    rows = nest.OY == nest.FY == nest.FX == 1 and nest.OX % parts == 0
    return replace(nest, OX=nest.OX // parts) if rows else None


def _smaller(tensor: Tensor, parts: int) -> Tensor:
    if tensor.role in STORED:
        return tensor
    shape = tensor.shape or (1,)
    at = next((n for n, size in enumerate(shape) if size % parts == 0), None)
    if at is None:
        return replace(tensor, shape=(-(-tensor.elements // parts),))
    return replace(tensor, shape=(*shape[:at], shape[at] // parts, *shape[at + 1 :]))
