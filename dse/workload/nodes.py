"""The nodes of a file as the reader's own, in an order of execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from dse.errors import InputError
from dse.workload.dialects import domain_of
from dse.workload.graph import Node, attributes
from dse.workload.order import ordered
from dse.workload.refused import check_readable

#: Domains in which operators are looked up; others are refused as unknown operators.
STANDARD = ("", "ai.onnx")


def nodes_of(model: onnx.ModelProto, repeats: Mapping[str, int]) -> list[Node]:
    """The nodes of a graph, each with a name of its own, which its node of the file gets, too.

    Args:
        model: with its functions written out.
        repeats: how often nodes run, by name, where that is not once.
    """
    used: set[str] = set()
    counts: dict[str, int] = {}
    nodes: list[Node] = []
    for index, proto in enumerate(model.graph.node):
        first = next((o for o in proto.output if o), "")
        stem = proto.name or first or f"{proto.op_type}_{index}"
        name, count = stem, counts.get(stem, 1)
        while name in used:
            count += 1
            name = f"{stem}#{count}"
        counts[stem] = count
        used.add(name)
        proto.name = name
        domain = domain_of("" if proto.domain in STANDARD else proto.domain, proto.op_type)
        inputs, outputs = tuple(proto.input), tuple(proto.output)
        nodes.append(
            Node(
                name,
                proto.op_type,
                domain,
                inputs,
                outputs,
                attributes(proto),
                repeat=repeats.get(proto.name, 1),
                proto=proto,
            )
        )
    return nodes


def executed(
    nodes: list[Node],
    stored: Mapping[str, Any],
    model: onnx.ModelProto,
    file: str,
) -> tuple[Node, ...]:
    """``nodes`` in an order of execution.

    Raises:
        InputError: a tensor without producer or with two, or a cycle.
    """
    check_readable(nodes, file)
    producers: dict[str, Node] = {}
    for node in nodes:
        for out in filter(None, node.outputs):
            if out in producers:
                raise _invalid(node, f"tensor {out!r} is written twice", file)
            producers[out] = node
    given = {value.name for value in model.graph.input} | set(stored)
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in given and name not in producers:
                raise _invalid(node, f"nothing writes its input {name!r}", file)
    for value in model.graph.output:
        if value.name not in producers and value.name not in given:
            raise InputError(
                f"nothing writes the output {value.name!r}", file=file, mend="export it again"
            )
    found, circular = ordered(nodes, given)
    if circular is not None:
        raise _invalid(circular, "the graph has a cycle through this node", file)
    return found


def _invalid(node: Node, message: str, file: str) -> InputError:
    return InputError(
        message,
        file=file,
        field=f"node {node.name!r} ({node.op})",
        mend="the graph is invalid: export it again",
    )
