"""Shape inference by onnx, in a process of its own where it could take all memory or never end.

What the C++ code of onnx makes of a file can be far larger than the file: a tensor that serves as
a shape gives its result as many axes as it has elements, and Gather adds the axes of its operands,
so that thirty of them make 2^30. :func:`outlook` follows the most axes and elements that each
tensor can have. A file that passes is inferred here; any other one in a child process whose memory
and processor time are limited, which costs a third of a second.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import shape_inference

from dse.errors import InputError
from dse.workload.graph import stored_value
from dse.workload.limits import LIMITS

#: Wall-clock limit of the child (s): only against a process that sleeps.
PATIENCE = 300
#: Bodies times tensors around them; the inference copies those into each body.
COPIES = 2_000_000
#: Longest vector whose values onnx may follow, elements; shapes and indices are far shorter.
VALUED = 4096
#: The operator whose inference by onnx reads beyond its operand's axes, and ends the process, where
#: its indices point to more axes than there are (up to 1.22 at least). It is hidden from onnx under
#: a name that means nothing; ``shapes`` has a rule of its own.
CRASHING, HIDDEN = "GatherND", "GatherND of this reader"
#: Which operand of an operator is a shape: its result has as many axes as that has elements.
SHAPE_OPERAND = {
    "Reshape": 1,
    "Expand": 1,
    "ConstantOfShape": 0,
    "Resize": 3,
    "AffineGrid": 1,
    "CenterCropPad": 1,
    "Col2Im": 1,
}

Bounds = dict[str, float]


def infer(model: onnx.ModelProto, file: str, *, check: bool) -> onnx.ModelProto:
    """``model`` with the shapes that onnx infers; ``check``: element types are checked, too.

    Raises:
        InferenceError, RuntimeError, ValueError: onnx finds the graph invalid.
        InputError: onnx needs more memory or time than the limits allow.
    """
    seen = outlook(model.graph)
    hidden = list(_crashing(model.graph))
    _renamed(hidden, HIDDEN)
    try:
        if seen.doubt is None:
            found = shape_inference.infer_shapes(model, check_type=check, data_prop=seen.values)
        else:
            found = _apart(model, file, seen.doubt, check)
    finally:
        _renamed(hidden, CRASHING)
    if hidden:
        _renamed(list(_crashing(found.graph, HIDDEN)), CRASHING)
    return found


def _crashing(graph: onnx.GraphProto, name: str = CRASHING) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        if node.op_type == name:
            yield node
        elif node.op_type in _BODIED:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from _crashing(attribute.g, name)


def _renamed(nodes: Iterable[onnx.NodeProto], op: str) -> None:
    for node in nodes:
        node.op_type = op


def _apart(
    model: onnx.ModelProto, file: str, doubt: onnx.NodeProto, check: bool
) -> onnx.ModelProto:
    """:func:`infer` in a limited child process."""
    worker = Path(__file__).with_name("guarded.py")
    command = [sys.executable, "-P", str(worker)]
    command += [str(LIMITS.child_seconds), str(LIMITS.child_bytes), str(int(check))]
    try:
        done = subprocess.run(
            command,
            input=model.SerializeToString(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(command, -1, b"", b"")
    if done.returncode == 0:
        inferred = onnx.ModelProto()
        inferred.ParseFromString(done.stdout)
        return inferred
    if done.returncode == 1 and done.stdout:
        raise shape_inference.InferenceError(done.stdout.decode("utf-8", "replace"))
    raise InputError(
        f"the shape inference of onnx fails, or needs more than {LIMITS.child_seconds} s or "
        f"{LIMITS.child_bytes >> 20} MB",
        file=file,
        field=f"node {_shown(doubt)!r} ({doubt.op_type})",
        mend=f"export it with static shapes of at most {LIMITS.axes} axes",
    )


def _shown(node: onnx.NodeProto) -> str:
    return node.name or next((name for name in node.output if name), "")


@dataclass(frozen=True)
class Outlook:
    """What the inference of onnx would make of a graph.

    Attributes:
        doubt: the first node whose result could have more axes than any network's has, or a node
            with a body if there are so many that onnx copies too much into them.
        values: whether onnx may follow values (``data_prop``): it keeps a record of each element of
            every vector. Where all sizes are written down there is nothing to follow.
    """

    doubt: onnx.NodeProto | None = None
    values: bool = False


def outlook(graph: onnx.GraphProto) -> Outlook:
    """What to expect of a graph, by cheap bounds."""
    if _plain(graph):
        return Outlook()
    bodies, nodes, first = _size(graph)
    if bodies * nodes > COPIES:
        return Outlook(first)
    bounds = _Bounds({}, {}, {})
    bounds.passes(graph)
    return Outlook(bounds.doubt, bounds.longest() <= VALUED)


def _plain(graph: onnx.GraphProto) -> bool:
    """Whether all that makes axes is written down, and comes to few of them even in one chain.

    True of most networks, at a tenth of what :class:`_Bounds` takes; False says nothing.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    counts = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    ranks |= {value.name: len(value.type.tensor_type.shape.dim) for value in graph.input}
    stated = (*graph.value_info, *graph.output)
    widest = max(len(value.type.tensor_type.shape.dim) for value in stated) if stated else 0
    widest, more = max([_FIXED, widest, *ranks.values()]), 0
    for node in graph.node:
        op = node.op_type
        if op not in _SPECIAL or op in _FLAT:
            continue
        inputs = node.input
        if op == "Constant":
            for attribute in node.attribute:
                if attribute.HasField("t") and node.output:
                    ranks[node.output[0]] = len(attribute.t.dims)
                    counts[node.output[0]] = math.prod(attribute.t.dims)
                    widest = max(widest, len(attribute.t.dims))
        elif op in SHAPE_OPERAND and SHAPE_OPERAND[op] < len(inputs):
            widest = max(widest, counts.get(inputs[SHAPE_OPERAND[op]], LIMITS.axes + 1))
        elif op == "Gather" and len(inputs) > 1:
            more += max(0, ranks.get(inputs[1], LIMITS.axes) - 1)
        elif op in ("Unsqueeze", "Squeeze"):
            listed = [len(a.ints) for a in node.attribute if a.name == "axes"]
            named = counts.get(inputs[1], LIMITS.axes) if len(inputs) > 1 else 0
            more += (sum(listed) + named) * (op == "Unsqueeze")
        else:
            return False
    return widest + more <= LIMITS.axes


def _size(graph: onnx.GraphProto) -> tuple[int, int, onnx.NodeProto | None]:
    """Bodies, and nodes, of ``graph`` and all bodies inside it, and a node with a body."""
    bodies, nodes, waiting = 0, 0, [graph]
    first = None
    while waiting:
        inner = waiting.pop()
        nodes += len(inner.node)
        for node in inner.node:
            if node.op_type not in _BODIED:
                continue
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                    bodies, first = bodies + 1, first or node
    return bodies, nodes, first


#: Standard operators with bodies; the inference looks into no others.
_BODIED = frozenset({"If", "Loop", "Scan", "SequenceMap"})
#: Operators whose results have no more elements than their first operand.
_SHRINKING = frozenset(
    {"Slice", "Squeeze", "Unsqueeze", "Cast", "Identity", "Neg", "Abs", "Floor", "Ceil", "Sign"}
    | {"Not", "Split", "Clip", "Reshape", "Flatten", "Transpose", "Round", "Dropout", "CumSum"}
    | {"ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "Relu", "Sqrt"}
)
#: Those that compare or compute two shapes.
_BROADCAST = frozenset(
    {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "Where", "Equal", "Greater", "Less"}
    | {"And", "Or", "Xor", "GreaterOrEqual", "LessOrEqual"}
)
#: Those whose values are among the values of their first operand.
_PASSING = frozenset({"Slice", "Squeeze", "Unsqueeze", "Cast", "Identity", "Gather", "Reshape"})
#: Those with one axis more than their operands.
_GROWING = frozenset(
    {"OneHot", "StringSplit", "ConcatFromSequence", "RNN", "GRU", "LSTM", "Loop", "Scan", "STFT"}
)
#: Those whose results have as many axes as this, whatever they read.
_FLAT = {"Size": 0, "Shape": 1, "Range": 1, "Flatten": 2, "NonZero": 2}
#: Axes of the result of operators that have no operand of as many.
_FIXED = 6


class _Bounds:
    """The most axes, elements, and largest value that each tensor seen so far can have.

    A tensor that is not in ``axes`` has not been written yet, so that onnx knows nothing of it
    either. A tensor that is not in ``elements`` may have any number.
    """

    def __init__(self, axes: Bounds, elements: Bounds, values: Bounds) -> None:
        self.axes, self.elements, self.values = axes, elements, values
        self.doubt: onnx.NodeProto | None = None

    def passes(self, graph: onnx.GraphProto, widest: float | None = None) -> bool:
        """Takes up the tensors of ``graph``; False once one can have too many axes.

        ``widest`` is the most axes that something handed to a body can have.
        """
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = value.type.tensor_type.shape.dim
            self.axes[value.name] = len(dims)
            if len(dims) <= 1 and all(d.HasField("dim_value") for d in dims):
                self.elements[value.name] = math.prod(d.dim_value for d in dims)
        for value in graph.input if widest is not None else ():
            self.axes[value.name] = max(widest or 0, self.axes[value.name])
            self.elements.pop(value.name, None)
        for tensor in graph.initializer:
            self._stored(tensor.name, tensor)
        self.doubt = next((node for node in graph.node if not self._node(node)), None)
        return self.doubt is None

    def _stored(self, name: str, tensor: onnx.TensorProto) -> None:
        self.axes[name] = len(tensor.dims)
        self.elements[name] = math.prod(tensor.dims)
        if len(tensor.dims) <= 1 and self.elements[name] <= LIMITS.axes:
            array = stored_value(tensor)
            with contextlib.suppress(ValueError, TypeError):
                if array is not None:
                    self.values[name] = float(abs(array).max()) if array.size else 0.0

    def _node(self, node: onnx.NodeProto) -> bool:
        op, inputs = node.op_type, node.input
        if op not in _SPECIAL:
            seen, widest = self.axes, -1.0
            for name in inputs:
                axes = seen.get(name, -1.0)
                if axes > widest:
                    widest = axes
            widest = widest if widest >= 0 else _FIXED
            for name in node.output:
                if widest >= seen.get(name, 0):
                    seen[name] = widest
            if widest > 1 or op not in _ELEMENTS or not inputs:
                return widest <= LIMITS.axes
            for name in node.output:
                self.elements[name] = _ELEMENTS[op](self, node)
                if op in _PASSING and inputs[0] in self.values:
                    self.values[name] = self.values[inputs[0]]
            return True
        for attribute in node.attribute if op in _BODIED else ():
            if attribute.HasField("g") and not self._body(node, attribute.g):
                return False
        operand = SHAPE_OPERAND.get(op)
        known = operand is not None and operand < len(inputs) and inputs[operand] in self.axes
        if known and self.of(inputs[operand or 0]) > LIMITS.axes:
            return False
        axes = self._axes(node)
        if axes > LIMITS.axes:
            return False
        for name in node.output:
            self.axes[name] = max(axes, self.axes.get(name, 0))
        if op == "Constant":
            for attribute in node.attribute:
                self._constant(node.output[0] if node.output else "", attribute)
        elif op in _ELEMENTS and inputs:
            for name in node.output:
                self.elements[name] = _ELEMENTS[op](self, node)
            if op == "Shape" and self.axes.get(inputs[0], 2) <= 1 and node.output:
                self.values[node.output[0]] = self.of(inputs[0])
            elif op in _PASSING and inputs[0] in self.values and node.output:
                self.values[node.output[0]] = self.values[inputs[0]]
        return True

    def _body(self, node: onnx.NodeProto, body: onnx.GraphProto) -> bool:
        """Looks into a body, which sees what is around it."""
        widest = max((self.axes.get(name, 0) for name in node.input), default=0)
        inner = _Bounds(dict(self.axes), dict(self.elements), dict(self.values))
        if not inner.passes(body, widest):
            return False
        deepest = max((inner.axes.get(value.name, 0) for value in body.output), default=0)
        for name in node.output:
            self.axes[name] = max(deepest + 1, self.axes.get(name, 0))
        return True

    def _constant(self, name: str, attribute: onnx.AttributeProto) -> None:
        if attribute.HasField("t"):
            self._stored(name, attribute.t)
        elif attribute.ints or attribute.HasField("i"):
            numbers = list(attribute.ints) or [attribute.i]
            self.axes[name], self.elements[name] = 1, len(numbers)
            self.values[name] = max(map(abs, numbers))

    def _axes(self, node: onnx.NodeProto) -> float:
        """The most axes of a node's results."""
        op, inputs = node.op_type, node.input
        own = [self.axes.get(name, 0) for name in inputs]
        widest = max(own, default=0)
        if op in SHAPE_OPERAND:
            operand = SHAPE_OPERAND[op]
            named = sum(len(a.ints) for a in node.attribute if a.name == "shape")
            target = self.elements.get(inputs[operand], 0) if operand < len(inputs) else named
            if op == "Reshape":
                return target
            return max(widest, target + 2 if op == "Col2Im" else target)
        if op in ("Gather", "GatherND") and len(own) > 1:
            return own[0] + own[1] - (op == "Gather")
        if op == "Unsqueeze":
            return (own[0] if own else 0) + self._listed(node)
        if op == "Squeeze":
            return max(0, (own[0] if own else 0) - self._listed(node))
        if op in _FLAT:
            return _FLAT[op]
        if op in _GROWING:
            return max(widest + 1, 4)
        if op == "Einsum":
            return widest + 52
        if op.startswith("Random"):
            return max((len(a.ints) for a in node.attribute), default=0) + widest
        return widest or _FIXED

    def _listed(self, node: onnx.NodeProto) -> float:
        """The axes that a node lists, as an attribute or as its second operand."""
        for attribute in node.attribute:
            if attribute.name == "axes":
                return len(attribute.ints)
        return self.elements.get(node.input[1], math.inf) if len(node.input) > 1 else 0

    def of(self, name: str) -> float:
        """The most elements of a tensor."""
        return self.elements.get(name, math.inf)

    def longest(self) -> float:
        """Elements of the longest vector; of one that may have any number no value is known."""
        axes = self.axes
        counts = (n for name, n in self.elements.items() if axes.get(name, 0) <= 1)
        return max((n for n in counts if n < math.inf), default=0)


def _broadcast(bounds: _Bounds, node: onnx.NodeProto) -> float:
    counts = [bounds.of(name) for name in node.input]
    flat = all(bounds.axes.get(name, 0) <= 1 for name in node.input)
    return max(counts) if flat else math.prod(counts)


def _gathered(bounds: _Bounds, node: onnx.NodeProto) -> float:
    picked = bounds.of(node.input[1]) if len(node.input) > 1 else math.inf
    flat = bounds.axes.get(node.input[0], math.inf) <= 1
    return picked if flat else picked * bounds.of(node.input[0])


def _filled(bounds: _Bounds, node: onnx.NodeProto) -> float:
    """Of ConstantOfShape: the product of the values of its operand."""
    value, count = bounds.values.get(node.input[0], math.inf), bounds.of(node.input[0])
    return float(value) ** count if count <= 4 and value < math.inf else math.inf


_ELEMENTS: dict[str, Callable[[_Bounds, onnx.NodeProto], float]] = {
    **dict.fromkeys(_SHRINKING, lambda bounds, node: bounds.of(node.input[0])),
    **dict.fromkeys(_BROADCAST, _broadcast),
    "Shape": lambda bounds, node: bounds.axes.get(node.input[0], LIMITS.axes),
    "Size": lambda bounds, node: 1,
    "Concat": lambda bounds, node: sum(bounds.of(name) for name in node.input),
    "Gather": _gathered,
    "ConstantOfShape": _filled,
}
#: Operators that are looked at closely; the results of others have as many axes as their operands.
_SPECIAL = frozenset(
    {*SHAPE_OPERAND, *_BODIED, *_GROWING, "Constant", "Gather", "GatherND", "Unsqueeze", "Squeeze"}
    | {*_FLAT, "Einsum", "RandomNormal", "RandomUniform"}
)
