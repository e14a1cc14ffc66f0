"""Functions of a file, written out where they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from dse.errors import InputError
from dse.workload.limits import LIMITS, Budget, beyond

#: Domain, name and overload.
Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Extent:
    """What one call of a function, or the graph itself, comes to: operators, bytes, depth."""

    nodes: int
    text: int
    depth: int


def inlined(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """``model`` with its functions written out; what they come to is counted first.

    Raises:
        InputError: functions that call each other in a circle, or too deep, or too often.
    """
    if not model.functions:
        return model
    from onnx import inliner

    whole = _extent(model, budget.file)
    budget.spend("nodes", whole.nodes)
    budget.spend("text", whole.text)
    try:
        return inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError, MemoryError) as error:
        raise InputError(
            f"its functions cannot be written out ({' '.join(str(error).split())[:160]})",
            file=budget.file,
            mend="the graph is invalid: export it again",
        ) from None


def _extent(model: onnx.ModelProto, file: str) -> _Extent:
    """What the graph comes to once every call is written out."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    longest = max(
        (len(n) for node in _nodes(model.graph) for n in (*node.input, *node.output)), default=0
    )
    calls: dict[Key, Counter[Key]] = {}
    own: dict[Key, tuple[int, int]] = {}
    for key, function in functions.items():
        formal = {*function.input, *function.output}
        nodes = list(_nodes(function))
        calls[key] = Counter(called for n in nodes if (called := _key(n)) in functions)
        reads = sum(name in formal for n in nodes for name in (*n.input, *n.output))
        own[key] = (len(nodes), function.ByteSize() + reads * longest)
    known: dict[Key, _Extent] = {}
    root = Counter(called for n in _nodes(model.graph) if (called := _key(n)) in functions)
    for start in root:
        _settle(start, calls, own, known, file)
    return _sum((0, 0), root, known)


def _settle(
    start: Key,
    calls: dict[Key, Counter[Key]],
    own: dict[Key, tuple[int, int]],
    known: dict[Key, _Extent],
    file: str,
) -> None:
    """Finds the extent of ``start`` and of all that it calls."""
    path: list[Key] = [start]
    while path:
        key = path[-1]
        missing = next((c for c in calls[key] if c not in known), None)
        if missing is None:
            known[key] = _sum(own[key], calls[key], known)
            path.pop()
            continue
        if missing in path:
            raise InputError(
                f"the function {missing[1]!r} calls itself",
                file=file,
                field=f"function {missing[1]!r}",
                mend="the graph is invalid: export it again",
            )
        path.append(missing)
        if len(path) > LIMITS.depth:
            raise beyond(
                file,
                f"functions call each other {LIMITS.depth} deep, the last is {missing[1]!r}",
                "export it with its functions inlined",
            )
    if known[start].depth > LIMITS.depth:
        raise beyond(
            file,
            f"functions call each other more than {LIMITS.depth} deep below {start[1]!r}",
            "export it with its functions inlined",
        )


def _sum(own: tuple[int, int], calls: Counter[Key], known: dict[Key, _Extent]) -> _Extent:
    return _Extent(
        own[0] + sum(times * known[key].nodes for key, times in calls.items()),
        own[1] + sum(times * known[key].text for key, times in calls.items()),
        1 + max((known[key].depth for key in calls), default=0),
    )


def _key(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _nodes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of bodies too."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)
