"""The body of a node written out into the graph around it, under names of its own."""

from __future__ import annotations

from collections.abc import Container, Mapping

import onnx


def renamed(
    prefix: str, body: onnx.GraphProto, used: Container[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], dict[str, str]]:
    """Nodes and stored tensors of a body under names of their own (``PREFIX/NAME``).

    Args:
        prefix: the node that the body belongs to.
        body: left as it is.
        used: names of nodes that are taken.

    Returns:
        Nodes, stored tensors, and the new name of each tensor of the body.
    """
    inside = [value.name for value in body.input]
    inside += [tensor.name for tensor in body.initializer]
    inside += [name for proto in body.node for name in proto.output]
    names = {name: f"{prefix}/{name}" for name in inside if name}
    nodes: list[onnx.NodeProto] = []
    own: set[str] = set()
    counts: dict[str, int] = {}
    for index, proto in enumerate(body.node):
        made = onnx.NodeProto.FromString(proto.SerializeToString())
        stem = f"{prefix}/{proto.name or f'{proto.op_type}_{index}'}"
        count = counts.get(stem, 0)
        while stem + _marks(count) in used or stem + _marks(count) in own:
            count += 1
        counts[stem] = count
        made.name = stem + _marks(count)
        own.add(made.name)
        _rename(made, names)
        nodes.append(made)
    tensors = [onnx.TensorProto.FromString(t.SerializeToString()) for t in body.initializer]
    for tensor in tensors:
        tensor.name = names[tensor.name]
    return nodes, tensors, names


def _marks(count: int) -> str:
    """Dashes, with their number if there are many."""
    return "'" * count if count < 8 else f"'{count}"


def _rename(proto: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Gives the tensors of a node, and those that its own bodies capture, other names."""
    for index, name in enumerate(proto.input):
        proto.input[index] = names.get(name, name)
    for index, name in enumerate(proto.output):
        proto.output[index] = names.get(name, name)
    for attribute in proto.attribute:
        for inner in (attribute.g, *attribute.graphs):
            own = {value.name for value in inner.input} | {t.name for t in inner.initializer}
            own |= {name for node in inner.node for name in node.output}
            seen = {old: new for old, new in names.items() if old not in own}
            for node in inner.node:
                _rename(node, seen)
            for value in inner.output:
                value.name = seen.get(value.name, value.name)
