"""If, Loop and Scan: their bodies taken out into the graph around them.

A body becomes ordinary nodes called ``LOOP/NODE`` that run ``trips`` times:

- Scan: as many trips as its sequences are long; Loop: its trip count if that is known before the
  network runs, else the binding ``LOOP.trips``;
- If: the branch that runs if the condition is known, else the branch that costs more (see
  ``branches``).

Shapes inside a loop are those of its first trip. What a loop does around its body costs nothing:
operators of :data:`~dse.workload.graph.LOOP_DOMAIN` stand for it. ``Step`` is the trip's number,
``Carry`` what one trip hands to the next, ``Slot`` the trip's part of a sequence, ``Stack`` the
parts put together again, ``Out`` a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx

from dse.errors import InputError
from dse.workload.assumed import Assumed
from dse.workload.bodies import renamed
from dse.workload.branches import Choice, Cost, choose
from dse.workload.declared import Declared
from dse.workload.graph import CONTROL, LOOP_DOMAIN, VALUE_ELEMENTS, Graph, Node
from dse.workload.layer import Binding
from dse.workload.limits import Budget
from dse.workload.remedies import open_sizes, to_bind, undecided

#: Ending of the binding that sets the trips of a loop.
TRIPS = ".trips"
#: A trip count above this is the "for ever" of a while loop.
FOREVER = 1 << 31


def _has_bodies(node: Node) -> bool:
    """Whether the attributes that its operator needs are there, and of the right kind."""
    if node.op == "If":
        needed: tuple[str, ...] = ("then_branch", "else_branch")
    else:
        needed = ("body",)
        if node.op == "Scan" and not isinstance(node.attrs.get("num_scan_inputs"), int):
            return False
    return all(isinstance(node.attrs.get(name), onnx.GraphProto) for name in needed)


def body_fault(node: Node, graph: Graph) -> InputError:
    """Why an If, Loop or Scan could not be taken out."""
    if node.op == "Loop":
        count = graph.scalar(node.input(0))
        known = count is not None and count < FOREVER
        limit = undecided(node, graph)
        by_input = "" if limit is None else to_bind(limit, graph)
        return graph.fault(
            node,
            f"the loop runs {int(count or 0)} times"
            if known
            else "how often the loop runs is not known before the network runs",
            f"bind it: --bind {node.name}{TRIPS}=N (N from 1), or @{node.name}{TRIPS}=N behind "
            "the name" + (f", or {by_input}" if by_input else ""),
        )
    if node.op == "If":
        condition = undecided(node, graph)
        ways = [] if condition is None else [f"say which branch runs: {to_bind(condition, graph)}"]
        return graph.fault(
            node,
            "the shapes that its branches read are not known, or they give other results",
            open_sizes(node, graph, *ways, otherwise="export it with the branch that runs alone"),
        )
    return graph.fault(
        node,
        "the shapes that its body reads are not known, or it is of a form that is not lowered",
        open_sizes(node, graph, otherwise="export it unrolled"),
    )


@dataclass
class Bodies:
    """Takes bodies out, and remembers how often their nodes run.

    Attributes:
        budget: what may be spent on the file.
        trips: bindings ``LOOP.trips``.
        repeats: runs per inference of each node that was taken out, by name.
        used: bindings of trips that a loop took.
        bound: graph inputs and tensors whose value is bound.
        branches: the branch chosen for each If, and why; of those in ``taken`` it was taken out.
        assumed: bindings of tensors inside, which the branches of an If may hold as well.
        declared: shapes that the file states, set aside.
        defaults: names of dynamic axes that took their default, for errors.
        named: names that mean an axis, for errors.
        forbidden: remarks on element types that operators do not take.
        costs_of: reads and lowers a branch by itself.
    """

    budget: Budget
    trips: Mapping[str, Binding]
    costs_of: Callable[[onnx.ModelProto, Bodies], Cost]
    repeats: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    bound: frozenset[str] = frozenset()
    branches: dict[str, Choice] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    assumed: Assumed = field(default_factory=lambda: Assumed(""))
    declared: Declared = field(default_factory=Declared)
    defaults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    forbidden: list[str] = field(default_factory=list)

    @property
    def file(self) -> str:
        """For errors."""
        return self.budget.file

    def take_out(
        self,
        model: onnx.ModelProto,
        graph: Graph,
        stored: dict[str, onnx.TensorProto | None],
    ) -> bool:
        """Takes out, in place, every body whose trips are known; whether there was one."""
        bodies: dict[int, list[onnx.NodeProto]] = {}
        for node in graph.nodes:
            if node.op not in CONTROL or node.domain or node.proto is None:
                continue
            if not _has_bodies(node):
                raise body_fault(node, graph)
            try:
                taken = self._body(node, model, graph, stored)
            except (LookupError, ValueError, TypeError) as error:
                raise body_fault(node, graph) from error
            if taken is not None:
                bodies[id(node.proto)] = taken
        if not bodies:
            return False
        wanted = [node.proto for node in graph.nodes if node.proto is not None]
        nodes = [n for proto in wanted for n in bodies.get(id(proto), [proto])]
        copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
        del model.graph.node[:]
        model.graph.node.extend(copies)
        return True

    def check_trips(self) -> None:
        """Refuses a binding of trips that no loop took."""
        for name in self.trips:
            if name not in self.used:
                raise InputError(
                    f"no loop is called {name.removesuffix(TRIPS)!r}",
                    file=self.file,
                    field=name,
                    mend="see the error without this binding for the loop's name",
                )

    def _body(
        self,
        node: Node,
        model: onnx.ModelProto,
        graph: Graph,
        stored: dict[str, onnx.TensorProto | None],
    ) -> list[onnx.NodeProto] | None:
        if node.op == "If":
            branch = self._branch(node, model, graph)
            if branch is None or len(branch.output) != len(node.outputs):
                return None
            self.taken.append(node.name)
            results = [_around("Out", node, name) for name in node.outputs]
            _spend(self.budget, node, branch)
            return self._inlined(node, branch, {}, results, 1, model, stored)
        trips = self._trips(node, graph)
        body: onnx.GraphProto = node.attrs["body"]
        if trips is None:
            return None
        _spend(self.budget, node, body)
        before = _loop_inputs(node, body) if node.op == "Loop" else _scan_inputs(node, body)
        after = _loop_outputs(node, trips) if node.op == "Loop" else _scan_outputs(node, trips)
        if (
            before is None
            or "" in before
            or len(body.output) != len(after)
            or len(body.input) < len(before)
        ):
            return None
        return self._inlined(node, body, before, after, trips, model, stored)

    def _trips(self, node: Node, graph: Graph) -> int | None:
        given = self.trips.get(f"{node.name}{TRIPS}")
        if isinstance(given, int):
            self.used.add(f"{node.name}{TRIPS}")
            return given
        if node.op == "Loop":
            if graph.scalar(node.input(1)) == 0:
                return 0
            count = graph.scalar(node.input(0))
            return int(count) if count is not None and 0 <= count < FOREVER else None
        sequences = int(node.attrs["num_scan_inputs"])
        if graph.opset < 9 or not sequences:
            return None
        if not 0 < sequences <= len(node.inputs):
            return None
        axis = node.ints("scan_input_axes", [0] * sequences)[0]
        shape = graph.shapes.get(node.inputs[len(node.inputs) - sequences])
        return shape[axis] if shape and shape[axis] >= 0 else None

    def _alone(self, branch: onnx.ModelProto, names: Sequence[str]) -> Cost:
        """What a branch by itself costs."""
        once = dict.fromkeys(names, 1)
        return self.costs_of(branch, replace(self, repeats=once, taken=[], forbidden=[]))

    def _branch(self, node: Node, model: onnx.ModelProto, graph: Graph) -> onnx.GraphProto | None:
        if node.name not in self.branches:
            choice = choose(node, model, graph, self.bound, self._alone)
            if choice is None:
                return None
            self.branches[node.name] = choice
        taken: onnx.GraphProto = node.attrs[self.branches[node.name].attribute]
        return taken

    def _inlined(
        self,
        node: Node,
        body: onnx.GraphProto,
        before: Mapping[str, onnx.NodeProto],
        after: list[onnx.NodeProto],
        trips: int,
        model: onnx.ModelProto,
        stored: dict[str, onnx.TensorProto | None],
    ) -> list[onnx.NodeProto]:
        """Nodes in front of the body, the body's under names of their own, and those behind it."""
        inner, tensors, names = renamed(node.name, body, self.repeats)
        found: list[onnx.NodeProto] = []
        for name, proto in before.items():
            made = onnx.NodeProto.FromString(proto.SerializeToString())
            made.output[0] = names[name]
            found.append(made)
        self.repeats.update((made.name, node.repeat * max(1, trips)) for made in inner)
        found.extend(inner)
        for tensor in tensors:
            if math.prod(tensor.dims) > VALUE_ELEMENTS:
                stored[tensor.name] = None
                model.graph.input.append(
                    onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                )
                continue
            stored[tensor.name] = tensor
            model.graph.initializer.append(tensor)
        for value, proto in zip(body.output, after, strict=True):
            if proto.output[0]:
                if not proto.input[0]:
                    proto.input[0] = names.get(value.name, value.name)
                found.append(proto)
        for proto in (*before.values(), *after):
            self.repeats[proto.name] = node.repeat
        if not any(o.domain == LOOP_DOMAIN for o in model.opset_import):
            model.opset_import.append(onnx.helper.make_opsetid(LOOP_DOMAIN, 1))
        return found


def _spend(budget: Budget, node: Node, body: onnx.GraphProto) -> None:
    """Counts a body that is to be written out in place of ``node``.

    Raises:
        InputError: nothing is left for it.
    """
    prefix = len(node.name) + 1
    tensors = sum(len(n.input) + len(n.output) + 1 for n in body.node) + len(body.initializer)
    budget.spend("nodes", len(body.node), node)
    budget.spend("text", body.ByteSize() + prefix * tensors, node)


def _around(
    op: str, node: Node, output: str, read: str | None = "", **attrs: int
) -> onnx.NodeProto:
    """An operator of the loop domain that belongs to ``node``; ``read`` None: it reads nothing."""
    made = onnx.helper.make_node(
        op,
        [] if read is None else [read],
        [output],
        name=f"{node.name}/{op}:{output or read}",
        domain=LOOP_DOMAIN,
        of=node.name,
    )
    made.attribute.extend(onnx.helper.make_attribute(key, n) for key, n in attrs.items())
    return made


def _loop_inputs(node: Node, body: onnx.GraphProto) -> dict[str, onnx.NodeProto] | None:
    """Body inputs: the trip's number, the condition, what is carried."""
    names = [value.name for value in body.input]
    if len(names) != max(2, len(node.inputs)):
        return None
    truth = onnx.helper.make_tensor("", onnx.TensorProto.BOOL, (), [True])
    condition = onnx.helper.make_node(
        "Constant", [], [""], name=f"{node.name}/goes_on", value=truth
    )
    found = {names[0]: _around("Step", node, names[0], None), names[1]: condition}
    for name, first in zip(names[2:], node.inputs[2:], strict=True):
        found[name] = _around("Carry", node, name, first)
    return found


def _loop_outputs(node: Node, trips: int) -> list[onnx.NodeProto]:
    """For the body's outputs: the condition (dropped), what is carried, what is stacked.

    Without a trip what is carried comes out as it went in, and nothing reads the body.
    """
    carried = max(0, len(node.inputs) - 2)
    made = [_around("Out", node, "")]
    for index, name in enumerate(node.outputs):
        stacked = index >= carried
        made.append(
            _around("Stack", node, name, trips=trips, axis=0)
            if stacked
            else _around("Out", node, name, "" if trips else node.inputs[2 + index], trips=trips)
        )
    return made


def _scan_inputs(node: Node, body: onnx.GraphProto) -> dict[str, onnx.NodeProto] | None:
    sequences = int(node.attrs["num_scan_inputs"])
    axes = node.ints("scan_input_axes", [0] * sequences)
    states = len(node.inputs) - sequences
    names = [value.name for value in body.input]
    if len(names) != len(node.inputs):
        return None
    found: dict[str, onnx.NodeProto] = {}
    for index, (name, given) in enumerate(zip(names, node.inputs, strict=True)):
        found[name] = (
            _around("Carry", node, name, given)
            if index < states
            else _around("Slot", node, name, given, axis=axes[index - states])
        )
    return found


def _scan_outputs(node: Node, trips: int) -> list[onnx.NodeProto]:
    states = len(node.inputs) - int(node.attrs["num_scan_inputs"])
    axes = node.ints("scan_output_axes", [0] * (len(node.outputs) - states))
    return [
        _around("Out", node, name, "" if trips else node.inputs[index])
        if index < states
        else _around("Stack", node, name, trips=trips, axis=axes[index - states])
        for index, name in enumerate(node.outputs)
    ]
