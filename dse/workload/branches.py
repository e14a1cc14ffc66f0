"""Which branch of an If is counted, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from dse.errors import InputError
from dse.workload.bodies import renamed
from dse.workload.graph import Graph, Node
from dse.workload.remedies import ends, to_bind

#: MACs, vector operations and moved elements.
Cost = tuple[int, int, int]
#: The cost of a model that holds a branch alone, in nodes of these names.
Costs = Callable[[onnx.ModelProto, Sequence[str]], Cost]
#: Attributes of an If that hold its branches, for a condition that is true and for one that is not.
BRANCHES = ("then_branch", "else_branch")
#: What a branch costs, in the order in which costs are compared.
_UNITS = ("MACs", "vector operations", "elements moved")
#: Ifs that one remark names.
_NAMED = 3


@dataclass(frozen=True)
class Choice:
    """The branch of an If that is counted.

    Attributes:
        attribute: of :data:`BRANCHES`.
        why: for the user; empty where the condition follows from what is stored and from shapes.
    """

    attribute: str
    why: str = ""

    @property
    def branch(self) -> str:
        return self.attribute.removesuffix("_branch")


def choose(
    node: Node, model: onnx.ModelProto, graph: Graph, known: frozenset[str], costs_of: Costs
) -> Choice | None:
    """The branch that runs, else the one that costs more; None as long as shapes are missing.

    Args:
        known: inputs and tensors whose value is bound.
        costs_of: reads and lowers a branch alone.

    Raises:
        InputError: the condition is not known, and one of the branches cannot be read.
    """
    condition = node.inputs[0]
    value = graph.scalar(condition)
    if value is not None:
        bound = [name for name in ends(condition, graph) if name in known]
        why = f"as {' and '.join(bound)} is bound" if bound else ""
        return Choice(BRANCHES[0 if value else 1], why)
    how = to_bind(condition, graph)
    costs = []
    for attribute in BRANCHES:
        try:
            cost = _cost(node, node.attrs[attribute], model, graph, costs_of)
        except InputError as error:
            mend = f"{error.mend}; or say which branch of {node.name!r} runs: {how}"
            raise InputError(error.message, file=error.file, field=error.field, mend=mend) from None
        if cost is None:
            return None
        costs.append(cost)
    dear = 0 if costs[0] >= costs[1] else 1
    unit = next((i for i in range(3) if costs[0][i] != costs[1][i]), None)
    more = (
        "both branches cost the same"
        if unit is None
        else f"it costs more ({_short(costs[dear][unit])} {_UNITS[unit]} against "
        f"{_short(costs[1 - dear][unit])})"
    )
    return Choice(
        BRANCHES[dear],
        f"since {more}, and its condition {condition!r} is not known before the network runs: "
        f"{how} says which runs",
    )


def remarks(choices: Mapping[str, Choice], taken: Sequence[str]) -> list[str]:
    """One line for each If whose branch was chosen or bound, one for all the others."""
    branches = {name: choices[name] for name in taken}
    found = [
        f"If {name!r}: the {choice.branch} branch is counted, {choice.why}"
        for name, choice in branches.items()
        if choice.why
    ]
    plain = [name for name, choice in branches.items() if not choice.why]
    if plain:
        names = ", ".join(f"{name!r} ({branches[name].branch})" for name in plain[:_NAMED])
        more = f" and {len(plain) - _NAMED} more" if len(plain) > _NAMED else ""
        found.append(f"If {names}{more}: the branch follows from stored values and shapes")
    return found


def _short(count: int) -> str:
    """At most three digits."""
    for factor, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return str(count)


def _captured(body: onnx.GraphProto) -> Iterator[str]:
    """Names that a body reads from around it."""
    own = {value.name for value in body.input} | {t.name for t in body.initializer}
    for node in body.node:
        read = list(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                read += list(_captured(inner))
        yield from (name for name in read if name and name not in own)
        own.update(node.output)
    yield from (value.name for value in body.output if value.name not in own)


def _cost(
    node: Node, branch: onnx.GraphProto, model: onnx.ModelProto, graph: Graph, costs_of: Costs
) -> Cost | None:
    """What a branch costs; None if shapes are missing.

    The branch is read under the names that it has once taken out, so that what is decided in it
    (the branch of an inner If) is decided once.
    """
    alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    nodes, tensors, names = renamed(node.name, branch, ())
    for name in dict.fromkeys(_captured(branch)):
        if name not in graph.shapes:
            return None
        kind, shape = graph.types.get(name, onnx.TensorProto.FLOAT), graph.shapes[name]
        value = graph.value(name)
        if value is not None:
            alone.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        elif graph.is_const(name):
            alone.graph.initializer.append(
                onnx.TensorProto(name=name, data_type=kind, dims=list(shape))
            )
        else:
            alone.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    if not nodes:
        return (0, 0, 0)
    alone.graph.name = node.name
    alone.graph.node.extend(nodes)
    alone.graph.initializer.extend(tensors)
    for value_info in branch.output:
        alone.graph.output.add().CopyFrom(value_info)
        alone.graph.output[-1].name = names.get(value_info.name, value_info.name)
    return costs_of(alone, [made.name for made in nodes])
