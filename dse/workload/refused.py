"""Operators that no rule could count, and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence

from dse.errors import InputError
from dse.workload.graph import Node

_LAYOUT = (
    "the file was saved with all optimizations of ONNX Runtime, which lays it out for one machine",
    "save it with the optimization level extended (ORT_ENABLE_EXTENDED) at most",
)
_COMPILED = (
    "the file holds what a runtime compiled for one machine, not a network",
    "give the model that it was compiled from",
)
_SEARCH = (
    "it runs a whole model for each token, which is no part of one inference",
    "give that model: the graph that runs for each token as a file of its own",
)
#: By domain, for every operator in it.
_DOMAINS = {
    "com.microsoft.nchwc": _LAYOUT,
    "com.ms.internal.nhwc": _LAYOUT,
}
#: By operator of com.microsoft (or of no domain).
_OPERATORS = {
    "EPContext": _COMPILED,
    **dict.fromkeys(("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"), _SEARCH),
}


def check_readable(nodes: Sequence[Node], file: str) -> None:
    """Refuses files whose operators stand for something that the file does not say.

    Raises:
        InputError: names the node and the mend.
    """
    for node in nodes:
        found = _DOMAINS.get(node.domain)
        if node.domain in ("", "com.microsoft"):
            found = _OPERATORS.get(node.op)
        if found is not None:
            operator = f"{node.domain}.{node.op}" if node.domain else node.op
            mend = _held(node, file) if found is _SEARCH else found[1]
            raise InputError(
                found[0], file=file, field=f"node {node.name!r} ({operator})", mend=mend
            )


def _held(node: Node, file: str) -> str:
    """How to get at the graphs that a node holds: a command that writes the first as a file."""
    held = [name for name in ("decoder", "encoder", "init_decoder") if name in node.attrs]
    if not held or node.proto is None:
        return _SEARCH[1]
    others = "" if len(held) == 1 else f", and so the others ({', '.join(held[1:])})"
    code = (
        f"import onnx; m = onnx.load({file!r}); "
        f"n = [n for n in m.graph.node if n.op_type == '{node.op}'][0]; "
        f"g = [a.g for a in n.attribute if a.name == '{held[0]}'][0]; "
        f"onnx.save(onnx.helper.make_model(g, opset_imports=m.opset_import), '{held[0]}.onnx')"
    )
    return f'give that model, {held[0]}, as a file of its own{others}: python -c "{code}"'
