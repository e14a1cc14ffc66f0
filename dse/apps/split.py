"""Cutting a network at a layer boundary: a head here, a tail there, and what crosses between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dse.errors import InputError
from dse.files import nearest
from dse.workload.layer import Layer, Tensor, Workload

#: Roles of tensors that are part of the model and so are on either side already.
STORED = ("weight", "bias", "table")


@dataclass(frozen=True)
class Split:
    """A network in two parts.

    ``crossing`` are the tensors that the tail reads and the head (or the network's input) holds;
    ``raw`` those of them that are inputs of the network itself. ``bytes`` is their size in the
    head's formats, which is what goes over the link.
    """

    head: Workload
    tail: Workload
    crossing: tuple[str, ...]
    raw: tuple[str, ...]
    bytes: float


def read_tensors(layer: Layer, workload: Workload) -> list[str]:
    """Tensors a layer reads that an inference makes (or that come in from outside)."""
    names = list(layer.inputs)
    if layer.w_is_activation and layer.w_tensor is not None:
        names.append(layer.w_tensor)
    return [
        name
        for name in dict.fromkeys(names)
        if name in workload.tensors and workload.tensors[name].role not in STORED
    ]


def crossing_tensors(workload: Workload, count: int) -> tuple[str, ...]:
    """Tensors that the layers from number ``count`` on read and those before do not make for
    themselves alone; network inputs that are read behind the cut included."""
    made = {name for layer in workload.layers[count:] for name in layer.outputs}
    found: dict[str, None] = {}
    for layer in workload.layers[count:]:
        for name in read_tensors(layer, workload):
            if name not in made:
                found[name] = None
    return tuple(found)


def split_at(workload: Workload, layer: str, tail: Workload | None = None) -> Split:
    """``workload`` cut behind ``layer``.

    Args:
        workload: the network as the device runs it.
        layer: the last layer of the head.
        tail: the same network as the other side runs it (its own precision); the device's if left
            out. What crosses keeps the head's formats.

    Raises:
        InputError: no such layer, or the last one (nothing would be left to the tail).
    """
    names = [found.name for found in workload.layers]
    if layer not in names[:-1]:
        last = bool(names) and layer == names[-1]
        raise InputError(
            f"{workload.model!r} cannot be split behind layer {layer!r}"
            + (": it is the last one" if last else ""),
            field="placement",
            mend="name one of its layers but the last (dse show MODEL lists them)"
            + nearest(layer, names[:-1]),
        )
    count = names.index(layer) + 1
    other = tail or workload
    crossing = crossing_tensors(workload, count)
    raw = tuple(name for name in crossing if name in workload.inputs)
    made = {name for part in workload.layers[:count] for name in part.outputs}
    keep = tuple(name for name in workload.outputs if name in made)
    handed = tuple(name for name in crossing if name in made)
    return Split(
        head=_part(workload, workload.layers[:count], workload.inputs, (*handed, *keep), "head"),
        tail=_part(
            other,
            other.layers[count:],
            crossing,
            tuple(name for name in other.outputs if name not in made),
            "tail",
        ),
        crossing=crossing,
        raw=raw,
        bytes=float(sum(workload.tensors[name].bytes for name in crossing)),
    )


def _part(
    workload: Workload,
    layers: Sequence[Layer],
    inputs: Sequence[str],
    outputs: Sequence[str],
    side: str,
) -> Workload:
    """Some layers of a network as a network of its own."""
    used = {name for layer in layers for name in (*layer.inputs, *layer.outputs)}
    used |= {layer.w_tensor for layer in layers if layer.w_tensor}
    tensors: dict[str, Tensor] = {n: t for n, t in workload.tensors.items() if n in used}
    stored = sum(t.elements for t in tensors.values() if t.role in STORED)
    return replace(
        workload,
        name=f"{workload.name}#{side}@{layers[-1 if side == 'head' else 0].name}",
        layers=tuple(layers),
        tensors=tensors,
        inputs=tuple(name for name in inputs if name in tensors),
        outputs=tuple(dict.fromkeys(outputs)),
        parameters=stored,
        digest=f"{workload.digest}#{side}:{len(layers)}",
    )


def cuts(workload: Workload, most: int = 12) -> list[tuple[str, float]]:
    """Layers behind which a cut is worth a look: those where fewest bytes cross so far.

    Returns:
        (layer, bytes that cross), in execution order: each one crosses fewer bytes than every cut
        before it, thinned out to ``most``.
    """
    least = float(sum(workload.tensors[name].bytes for name in workload.inputs))
    found: list[tuple[str, float]] = []
    for count in range(1, len(workload.layers)):
        crossing = crossing_tensors(workload, count)
        size = float(sum(workload.tensors[name].bytes for name in crossing))
        if size < least:
            least = size
            found.append((workload.layers[count - 1].name, size))
    if len(found) <= most:
        return found
    step = (len(found) - 1) / (most - 1)
    return [found[round(index * step)] for index in range(most)]
