"""Sequences of tensors, where it is known beforehand which tensors they hold.

Nothing runs for a sequence: it is a list of tensors. What reads one becomes an ordinary node:
``SequenceAt`` an Identity of the element, ``ConcatFromSequence`` a Concat, ``SequenceLength`` a
constant, ``SplitToSequence`` a Split, ``SequenceMap`` its body once for each element. The same goes
for an optional tensor, which is a list of one tensor or of none. A loop that appends the result of
every trip gives a ``Stack`` of the trips.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from dse.errors import InputError
from dse.workload.bodies import renamed
from dse.workload.graph import LOOP_DOMAIN, Graph, Node
from dse.workload.remedies import to_bind, undecided

#: Operators that give a sequence (or an optional tensor), and those that read one.
MAKERS = frozenset(
    {"SequenceEmpty", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SplitToSequence"}
    | {"Optional", "SequenceMap"}
)
READERS = frozenset(
    {"SequenceAt", "SequenceLength", "ConcatFromSequence", "OptionalGetElement"}
    | {"OptionalHasElement"}
)
SEQUENCES = MAKERS | READERS
#: Operators that hand a sequence on as it is.
_PASSING = frozenset({"Identity", "Optional", "OptionalGetElement", "Carry", "Out"})
#: Most tensors that one sequence may hold.
MOST = 4096


@dataclass
class Sequences:
    """Resolves the sequences of a graph, round by round, as shapes and values become known.

    Attributes:
        file: for errors.
        lists: the tensors that each sequence holds.
        carried: for a sequence inside a loop, how many tensors it held before the first trip.
        repeats: runs per inference of nodes that were taken out of bodies.
    """

    file: str
    lists: dict[str, list[str]] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)

    def resolve(self, model: onnx.ModelProto, graph: Graph) -> bool:
        """Replaces, in place, what reads a sequence that is known; whether there was one."""
        if not self.lists and SEQUENCES.isdisjoint([node.op for node in graph.nodes]):
            return False
        made: dict[int, list[onnx.NodeProto]] = {}
        for node in graph.nodes:
            if node.proto is None or (node.domain and node.domain != LOOP_DOMAIN):
                continue
            self._follow(node, graph, made)
            if node.op in READERS or (node.op == "Identity" and node.inputs[0] in self.lists):
                read = self._read(node, graph)
                if read is not None:
                    made[id(node.proto)] = read
        changed = self._replace(model, graph, made) if made else False
        return self._outputs(model) or changed

    def _follow(self, node: Node, graph: Graph, made: dict[int, list[onnx.NodeProto]]) -> None:
        """Learns which tensors the result of ``node`` holds."""
        out = node.outputs[0] if node.outputs else ""
        first = self.lists.get(node.input(0) or "")
        if not out or out in self.lists:
            return
        start = self.carried.get(node.input(0) or "")
        if node.op in _PASSING and first is not None:
            if node.op == "Carry":
                self.carried[out] = len(first)
            trips = int(node.attrs.get("trips", 1)) if node.op == "Out" else 1
            if trips > 1 and start is not None and len(first) < start:
                return  # every trip takes tensors out
            if trips > 1 and start is not None:
                if (len(first) - start) * trips > MOST:
                    raise graph.fault(node, f"a sequence of more than {MOST}", "stack it instead")
                first = first[:start] + first[start:] * trips
            elif start is not None and node.op != "Carry":
                self.carried[out] = start
            if node.op != "OptionalGetElement" or _is_list(node, graph):
                self.lists[out] = first
        elif node.op == "SequenceEmpty" or (node.op == "Optional" and not node.inputs):
            self.lists[out] = []
        elif node.op in ("SequenceConstruct", "Optional"):
            self.lists[out] = list(node.inputs)
        elif node.op in ("SequenceInsert", "SequenceErase") and first is not None:
            place = _place(node, graph, len(first))
            if place is None or (start is not None and place < start):
                return
            if start is not None:
                self.carried[out] = start
            if node.op == "SequenceInsert":
                self.lists[out] = [*first[:place], node.inputs[1], *first[place:]][: MOST + 1]
            else:
                self.lists[out] = first[:place] + first[place + 1 :]
        elif node.op == "SplitToSequence":
            pieces = self._split(node, graph)
            if pieces is not None:
                made[id(node.proto)], self.lists[out] = pieces
        elif node.op == "SequenceMap" and first is not None:
            self._map(node, graph, first, made)

    def _map(
        self, node: Node, graph: Graph, first: list[str], made: dict[int, list[onnx.NodeProto]]
    ) -> None:
        """The body of a SequenceMap once for each element of its first sequence; further inputs are
        sequences as long as that, or tensors that every run reads."""
        body = node.attrs["body"]
        if any(n not in self.lists and n not in graph.shapes for n in node.inputs):
            return
        given = [self.lists.get(name) or [name] * len(first) for name in node.inputs]
        if len(body.input) != len(given) or any(len(names) != len(first) for names in given):
            raise graph.fault(node, "its sequences do not go together", "the graph is invalid")
        if len(first) * max(1, len(body.node)) > MOST:
            raise graph.fault(node, f"more than {MOST} nodes once mapped", "map fewer elements")
        nodes: list[onnx.NodeProto] = []
        results: list[list[str]] = [[] for _ in node.outputs]
        for index in range(len(first)):
            inner, tensors, names = renamed(f"{node.name}/{index}", body, ())
            for value, own in zip(body.input, given, strict=True):
                copy = onnx.helper.make_node("Identity", [own[index]], [names[value.name]])
                nodes.append(copy)
            for tensor in tensors:
                stored = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
                nodes.append(stored)
            nodes += inner
            self.repeats.update((one.name, node.repeat) for one in inner)
            for held, value in zip(results, body.output, strict=False):
                held.append(names.get(value.name, value.name))
        made[id(node.proto)] = nodes
        self.lists.update((n, held) for n, held in zip(node.outputs, results, strict=True) if n)

    def _split(self, node: Node, graph: Graph) -> tuple[list[onnx.NodeProto], list[str]] | None:
        """A Split, a Squeeze of each piece where axes are not kept, and the pieces."""
        shape = graph.shapes.get(node.inputs[0])
        sizes = graph.value(node.input(1))
        if shape is None or (node.input(1) and sizes is None):
            return None
        axis = int(node.attrs.get("axis", 0))
        if not -len(shape) <= axis < len(shape):
            raise graph.fault(node, f"there is no axis {axis}", "the graph is invalid")
        whole = shape[axis]
        if sizes is None:
            parts = [1] * whole
        elif sizes.ndim:
            parts = [int(n) for n in sizes]
        else:
            step = int(sizes)
            if step < 1:
                raise graph.fault(node, f"pieces of {step}", "the graph is invalid")
            parts = [min(step, whole - i) for i in range(0, whole, step)]
        if sum(parts) != whole or min(parts, default=0) < 0:
            raise graph.fault(
                node, f"pieces of {parts[:8]} do not add up to {whole}", "the graph is invalid"
            )
        if len(parts) > MOST:
            raise graph.fault(node, f"{len(parts)} pieces", f"split into {MOST} or fewer")
        out = node.outputs[0]
        squeezed = sizes is None and not node.attrs.get("keepdims", 1)
        pieces = [f"{out}/{i}" for i in range(len(parts))]
        cut = [f"{name}/kept" for name in pieces] if squeezed else pieces
        if not parts:
            return [], []
        stored = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [len(parts)], parts)
        given = onnx.helper.make_node(
            "Constant", [], [f"{out}/sizes"], name=f"{node.name}/sizes", value=stored
        )
        inputs = [node.inputs[0]]
        split = onnx.helper.make_node("Split", inputs, cut, name=node.name, axis=axis)
        nodes = [split]
        if graph.opset >= 13:
            split.input.append(f"{out}/sizes")
            nodes.insert(0, given)
        else:
            split.attribute.append(onnx.helper.make_attribute("split", parts))
        if squeezed:
            nodes += _axis_nodes("Squeeze", cut, pieces, axis, node.name, graph.opset)
        return nodes, pieces

    def _read(self, node: Node, graph: Graph) -> list[onnx.NodeProto] | None:
        """The nodes that stand for one that reads a sequence."""
        held = self.lists.get(node.input(0) or "")
        out = node.outputs[0]
        if node.op == "OptionalHasElement":
            if held is None and node.input(0) and node.inputs[0] not in graph.shapes:
                return None
            has = bool(held) if held is not None else node.input(0) is not None
            return [_constant(out, node.name, has)]
        if node.op == "OptionalGetElement":
            if held is None and node.inputs[0] in graph.shapes:
                held = [node.inputs[0]]
            if held is None or out in self.lists:
                return None
            if not held:
                raise graph.fault(node, "the optional tensor is empty", "the graph is invalid")
            return [onnx.helper.make_node("Identity", [held[0]], [out], name=node.name)]
        if held is None or node.op == "Identity":
            return None
        if node.op == "SequenceLength":
            return [_constant(out, node.name, len(held))]
        if node.op == "SequenceAt":
            place = _place(node, graph, len(held))
            if place is None:
                return None
            return [onnx.helper.make_node("Identity", [held[place]], [out], name=node.name)]
        if not held:
            raise graph.fault(node, "it joins an empty sequence", "the graph is invalid")
        axis = int(node.attrs.get("axis", 0))
        if len(held) > 1 and len(set(held)) == 1 and self._of_a_loop(held[0], graph, len(held)):
            return _stacked(node, held, axis, graph)
        if not node.attrs.get("new_axis", 0):
            return [onnx.helper.make_node("Concat", held, [out], name=node.name, axis=axis)]
        raised = [f"{out}/{i}" for i in range(len(held))]
        nodes = _axis_nodes("Unsqueeze", held, raised, axis, node.name, graph.opset)
        joined = onnx.helper.make_node("Concat", raised, [out], name=node.name, axis=axis)
        return [*nodes, joined]

    def _of_a_loop(self, name: str, graph: Graph, trips: int) -> bool:
        """Whether each trip of a loop writes another part of a tensor."""
        maker = graph.producers.get(name)
        return maker is not None and maker.repeat % trips == 0

    def _replace(
        self, model: onnx.ModelProto, graph: Graph, made: dict[int, list[onnx.NodeProto]]
    ) -> bool:
        """Puts the new nodes in; a Split goes in front of the sequence that it replaces."""
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            if node.proto is None:
                continue
            if id(node.proto) not in made:
                nodes.append(node.proto)
                continue
            nodes.extend(made[id(node.proto)])
            for out in node.outputs if node.op in ("SplitToSequence", "SequenceMap") else ():
                pieces = self.lists.get(out, [])
                op = "SequenceConstruct" if pieces else "SequenceEmpty"
                if out:
                    nodes.append(onnx.helper.make_node(op, pieces, [out], name=f"{out}/list"))
        copies = [onnx.NodeProto.FromString(proto.SerializeToString()) for proto in nodes]
        del model.graph.node[:]
        model.graph.node.extend(copies)
        return True

    def _outputs(self, model: onnx.ModelProto) -> bool:
        """Gives the graph the tensors of a sequence as results in its place."""
        names = [value.name for value in model.graph.output]
        if not any(name in self.lists for name in names):
            return False
        wanted = dict.fromkeys(t for name in names for t in self.lists.get(name, [name]))
        infos = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
        results = [infos.get(name) or onnx.ValueInfoProto(name=name) for name in wanted]
        results = [onnx.ValueInfoProto.FromString(r.SerializeToString()) for r in results]
        del model.graph.output[:]
        model.graph.output.extend(results)
        return True


def _stacked(node: Node, held: list[str], axis: int, graph: Graph) -> list[onnx.NodeProto] | None:
    """What the trips of a loop wrote, put together where it is written."""
    shape = graph.shapes.get(held[0])
    if shape is None:
        return None
    out, new = node.outputs[0], bool(node.attrs.get("new_axis", 0))
    name = out if new else f"{out}/stacked"
    stack = onnx.helper.make_node(
        "Stack",
        [held[0]],
        [name],
        name=f"{node.name}/Stack",
        domain=LOOP_DOMAIN,
        of=node.name,
        trips=len(held),
        axis=axis if new else axis % len(shape),
    )
    if new:
        return [stack]
    whole = [n * len(held) if i == axis % len(shape) else n for i, n in enumerate(shape)]
    stored = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [len(whole)], whole)
    sizes = f"{out}/sizes"
    given = onnx.helper.make_node("Constant", [], [sizes], name=sizes, value=stored)
    joined = onnx.helper.make_node("Reshape", [name, sizes], [out], name=node.name)
    return [stack, given, joined]


def sequence_fault(graph: Graph) -> InputError:
    """Why what a sequence holds is not known; names the node that is to blame."""
    about = [n for n in graph.nodes if n.op in SEQUENCES and n.name in graph.live]
    deciding = (n for n in about if undecided(n, graph) is not None)
    node = next(deciding, None) or next((n for n in about if n.op in READERS), about[0])
    name = undecided(node, graph)
    return graph.fault(
        node,
        "which tensors its sequence holds is not known before the network runs",
        (f"bind what decides it ({to_bind(name, graph)}), or " if name is not None else "")
        + "export it with plain tensors",
    )


def _is_list(node: Node, graph: Graph) -> bool:
    """Whether an optional holds a sequence, and no tensor."""
    assert node.proto is not None
    maker = graph.producers.get(node.inputs[0])
    return maker is not None and maker.op == "Optional" and maker.inputs[0] not in graph.shapes


def _place(node: Node, graph: Graph, length: int) -> int | None:
    """The place in a sequence that a node means; None if it is not known.

    Raises:
        InputError: there is no such place.
    """
    index = {"SequenceAt": 1, "SequenceErase": 1, "SequenceInsert": 2}[node.op]
    end = length if node.op == "SequenceInsert" else length - 1
    if node.input(index) is None:
        return end
    value = graph.scalar(node.input(index))
    if value is None:
        return None
    place = int(value) + (length if value < 0 else 0)
    if not 0 <= place <= end:
        raise graph.fault(
            node, f"place {int(value)} of a sequence of {length}", "the graph is invalid"
        )
    return place


def _constant(out: str, name: str, value: bool | int) -> onnx.NodeProto:
    kind = onnx.TensorProto.BOOL if isinstance(value, bool) else onnx.TensorProto.INT64
    stored = onnx.helper.make_tensor("", kind, (), [value])
    return onnx.helper.make_node("Constant", [], [out], name=name, value=stored)


def _axis_nodes(
    op: str, before: list[str], after: list[str], axis: int, name: str, opset: int
) -> list[onnx.NodeProto]:
    """A Squeeze or Unsqueeze of each tensor, in the form of the opset."""
    nodes: list[onnx.NodeProto] = []
    axes = f"{name}/axis"
    if opset >= 13:
        stored = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [1], [axis])
        nodes.append(onnx.helper.make_node("Constant", [], [axes], name=axes, value=stored))
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        made = onnx.helper.make_node(
            op, [old, axes] if opset >= 13 else [old], [new], name=f"{name}/{op}{index}"
        )
        if opset < 13:
            made.attribute.append(onnx.helper.make_attribute("axes", [axis]))
        nodes.append(made)
    return nodes
