"""What a file says of its shapes, set aside until they are inferred from its inputs.

A file whose input was edited keeps the shapes that were written for another one, so nothing that is
written down is believed where it follows from inputs and stored tensors; a difference is remarked.
What cannot be inferred (operators that nobody else knows, sizes that depend on data) is taken from
the user (``--bind TENSOR.AXIS=N``, see ``assumed``), else as the file says it, which is remarked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx

from dse.errors import InputError
from dse.workload.axes import computed
from dse.workload.graph import CONTROL, LOOP_DOMAIN, Graph, Shape
from dse.workload.layer import Binding

#: Differences that are remarked one by one; the rest is a number.
SHOWN = 3
#: No input that a machine holds has more elements.
LARGEST = 1 << 40

#: Standard operators with bodies.
_WITH_BODIES = CONTROL | {"SequenceMap"}

#: Sizes as written: a number, a symbol, or nothing at all.
Written = tuple[int | str | None, ...]


def check_inputs(model: onnx.ModelProto, file: str, bindings: Mapping[str, Binding]) -> None:
    """Refuses inputs with negative sizes that are not bound, or too large for any machine.

    A leading -1 is how exporters write an open batch, which is bound like one without a name.

    Raises:
        InputError: names the input, and the binding that mends it.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in stored:
            continue
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        for axis, size in enumerate(sizes):
            open_batch = axis == 0 and size == -1
            if (
                size < 0
                and not open_batch
                and not _is_bound(value.name, axis, len(sizes), bindings)
            ):
                raise InputError(
                    f"axis {axis} of its input {value.name!r} has the size {size} and is not bound",
                    file=file,
                    field=_reader(model, value.name),
                    mend=f"give its true size: --bind {value.name}.{axis}=N",
                )
        if math.prod(n for n in sizes if n > 0) > LARGEST:
            raise InputError(
                f"its input {value.name!r} ({shown(tuple(sizes))}) is beyond any machine's memory",
                file=file,
                field=_reader(model, value.name),
                mend="export it with its true sizes, or with symbols and --bind them",
            )


def _reader(model: onnx.ModelProto, name: str) -> str:
    """The first node that reads an input, as errors call it."""
    node = next((n for n in model.graph.node if name in n.input), None)
    if node is None:
        return f"input {name!r}"
    return f"node {node.name or next(iter(node.output), '')!r} ({node.op_type})"


def _is_bound(name: str, axis: int, rank: int, bindings: Mapping[str, Binding]) -> bool:
    """Whether a size without a symbol is bound: by its place, as a batch or as a resolution."""
    by_role = (axis == 0 and "batch" in bindings) or (rank == 4 and axis > 1 and "res" in bindings)
    return by_role or f"{name}.{axis}" in bindings


def shown(sizes: Written) -> str:
    """``1x3x20x20``; a scalar is called one, an open size ``?``."""
    return "x".join("?" if n is None else str(n) for n in sizes) or "a scalar"


@dataclass
class Declared:
    """Shapes that a file states of tensors inside the graph.

    Attributes:
        written: of the file, by tensor; ``inner`` of tensors inside bodies.
        inputs: sizes of the inputs before they were bound.
        stored: differences between stored tensors and the inputs they are listed as.
        taken: tensors whose shape was taken from here.
        carried: of what a loop hands from trip to trip, the tensor that the first trip takes, by
            the result of the last.
        moved: whether sizes that the file fixes were changed, so that what it says is void.
    """

    written: dict[str, Written] = field(default_factory=dict)
    inner: dict[str, Written] = field(default_factory=dict)
    inputs: dict[str, Written] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    taken: dict[str, None] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    moved: bool = False

    @classmethod
    def set_aside(cls, model: onnx.ModelProto) -> Declared:
        """Takes the shapes out of ``model``, in place; those of its inputs stay."""
        stored = _listed(model)
        inner: dict[str, Written] = {}
        for body in _bodies(model.graph):
            for value in (*body.value_info, *body.output):
                _take(value, inner)
            for value in body.input:
                _take(value, {})
        written: dict[str, Written] = {}
        for value in (*model.graph.value_info, *model.graph.output):
            _take(value, written)
        kept = {tensor.name for tensor in model.graph.initializer}
        inputs = {v.name: _sizes(v) for v in model.graph.input if v.name not in kept}
        for name in kept.union(inputs).intersection(written):
            del written[name]
        return cls(written, inner, inputs, stored)

    def bound(self, model: onnx.ModelProto) -> None:
        """Learns from the bound inputs what each symbol is, and whether fixed sizes changed."""
        for value in model.graph.input:
            before = self.inputs.get(value.name, ())
            for old, new in zip(before, _sizes(value) if before else (), strict=False):
                if isinstance(old, str) and isinstance(new, int):
                    self.symbols.setdefault(old, new)
                self.moved |= isinstance(old, int) and old >= 0 and old != new

    def shape(self, name: str, *, inside: bool = False) -> Shape | None:
        """The shape to take for a tensor that inference leaves open, if it is known whole.

        ``inside``: the tensor was taken out of a body, and its name has that node's in front.
        """
        if self.moved or not self._states(name, inside):
            return None
        known = self._known(self._written(name, inside))
        return None if any(n is None or n < 0 for n in known) else tuple(n or 0 for n in known)

    def open_shapes(self) -> dict[str, list[int | None]]:
        """What is stated of each tensor, with None for the axes that are not."""
        return {} if self.moved else {name: self._known(w) for name, w in self.written.items()}

    def _known(self, sizes: Written) -> list[int | None]:
        """Sizes with the numbers that the bound inputs give to symbols and formulas of them."""
        return [
            self.symbols.get(n, computed(n, self.symbols)) if isinstance(n, str) else n
            for n in sizes
        ]

    def note_loops(self, graph: Graph) -> None:
        """Notes what goes into the loops of ``graph`` and comes out, before they are taken out."""
        for node in graph.nodes:
            if node.op == "Loop" and not node.domain:
                self.carried |= dict(zip(node.outputs, node.inputs[2:], strict=False))
            elif node.op == "Scan" and not node.domain:
                states = len(node.inputs) - int(node.attrs.get("num_scan_inputs", 0))
                self.carried |= dict(zip(node.outputs, node.inputs[: max(0, states)], strict=False))

    def grows(self, name: str, last: Shape, graph: Graph) -> bool:
        """Whether a loop hands on a tensor of other sizes (``last``) than its first trip took."""
        first = graph.shapes.get(self.carried.get(name, ""))
        return first is not None and first != last

    def take(self, name: str) -> None:
        """Notes that the shape of ``name`` was taken from here."""
        self.taken[name] = None

    def _states(self, name: str, inside: bool) -> bool:
        return name in self.written or (inside and self._inner_name(name) is not None)

    def _inner_name(self, name: str) -> str | None:
        """``name`` without the names of the nodes whose bodies it was taken out of."""
        return next((tail for tail in _tails(name) if tail in self.inner), None)

    def _written(self, name: str, inside: bool) -> Written:
        if name in self.written or not inside:
            return self.written.get(name, ())
        found = self._inner_name(name)
        return self.inner[found] if found is not None else ()

    def remarks(self, graph: Graph, inside: frozenset[str]) -> list[str]:
        """What was found wrong in the file, and what was taken from it unseen.

        Args:
            graph: with all shapes.
            inside: nodes that were taken out of bodies.
        """
        wrong = list(self.stored)
        stating = [graph.producers[name] for name in self.written if name in graph.producers]
        stating += [node for node in graph.nodes if self.inner and node.name in inside]
        for node in {n.name: n for n in stating}.values() if not self.moved else ():
            for name in filter(None, node.outputs):
                said, real = self._written(name, node.name in inside), graph.shapes.get(name)
                stated = self._states(name, node.name in inside)
                stated = stated and name not in self.taken and name not in graph.lengths
                if stated and real is not None and _differ(said, real):
                    op = "" if node.domain == LOOP_DOMAIN else f" ({node.op})"
                    text = f"{name!r}{op} is {shown(real)}, not {shown(said)} as written"
                    wrong.append(text)
        seen = []
        for name in self.taken:
            if name in graph.shapes:
                op = graph.producers[name].op if name in graph.producers else "input"
                seen.append(f"{name!r} ({op}) is {shown(graph.shapes[name])}")
        grown = []
        for name in self.carried:
            real = graph.shapes.get(name)
            if name not in self.taken and real is not None and self.grows(name, real, graph):
                grown.append(f"{name!r} is {shown(real)}")
        return [
            *_counted(wrong, "is written wrong and not used", "are written wrong and not used"),
            *_counted(
                seen,
                "is taken as written, since it cannot be inferred",
                "are taken as written, since they cannot be inferred",
            ),
            *_counted(
                grown,
                "grows in a loop and is that of its first trip",
                "grow in a loop and are those of its first trip",
            ),
            *_counted(
                list(_open(graph)), "is not known and counts as 0", "are not known and count as 0"
            ),
        ]


def _tails(name: str) -> Iterator[str]:
    """What stands behind each slash of ``name``."""
    parts = name.split("/")
    return ("/".join(parts[i:]) for i in range(1, len(parts)))


def _differ(said: Written, real: Shape) -> bool:
    """Whether ranks or fixed sizes differ; symbols of an exporter say nothing."""
    pairs = zip(said, real, strict=False)
    return len(said) != len(real) or any(isinstance(a, int) and a >= 0 and a != b for a, b in pairs)


def _counted(found: list[str], one: str, many: str) -> Iterator[str]:
    """One remark for all of ``found``: their number, and the first few."""
    if found:
        head = f"1 shape {one}" if len(found) == 1 else f"{len(found)} shapes {many}"
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield f"{head}: {'; '.join(found[:SHOWN])}{more}"


def _open(graph: Graph) -> Iterator[str]:
    """Results of unknown operators that nothing tells the shape of."""
    from dse.workload.ops import is_known

    for node in graph.nodes:
        unknown = [name for name in node.outputs if name and name not in graph.shapes]
        if not unknown or node.name not in graph.live or node.domain == LOOP_DOMAIN:
            continue
        for name in unknown if not is_known(node) else ():
            if name in graph.users or name in graph.outputs:
                yield f"{name!r} ({node.op})"


def _sizes(value: onnx.ValueInfoProto) -> Written:
    return tuple(
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
        for d in value.type.tensor_type.shape.dim
    )


def _take(value: onnx.ValueInfoProto, found: dict[str, Written]) -> None:
    """Moves the shape of ``value`` to ``found``; its type stays."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return
    found[value.name] = _sizes(value)
    value.type.tensor_type.ClearField("shape")


def _bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Every graph that is an attribute of a node, however deep."""
    for node in graph.node:
        # of the standard operators only these have bodies (looking at every attribute takes long)
        if not node.domain and node.op_type not in _WITH_BODIES:
            continue
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for body in (*inner, *attribute.graphs):
                yield body
                yield from _bodies(body)


def _listed(model: onnx.ModelProto) -> list[str]:
    """Gives stored tensors that are listed as inputs their own shapes; tells what differed."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        tensor = stored.get(value.name)
        if tensor is None or not value.type.HasField("tensor_type"):
            continue
        real = tuple(tensor.dims)
        if [d.dim_value for d in value.type.tensor_type.shape.dim] == list(real):
            continue
        said = _sizes(value)
        if said != real and value.type.tensor_type.HasField("shape"):
            info = onnx.helper.make_tensor_value_info(value.name, tensor.data_type, real)
            value.CopyFrom(info)
            if _differ(said, real):
                text = f"{value.name!r} (stored) is {shown(real)}, not {shown(said)} as written"
                found.append(text)
    return found
