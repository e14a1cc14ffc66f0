"""What a lowering rule gives back: layers in the making, or the remark that nothing is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dse.workload.graph import Graph, Node, Shape
from dse.workload.layer import Kind, LoopNest


@dataclass
class Draft:
    """A layer while others are still being folded into it; fields as in ``Layer``.

    Attributes:
        channel_axis: axis of the result that a weight's output channels lie along; constants that
            vary along it only can be folded into the weights.
        linear: nothing nonlinear has been applied on the way out yet.
        rectified: a ReLU was, so that negative results are exactly zero.
        row_wise: a row of the result depends on the same row of each operand only; nothing that is
            folded into a layer changes that.
        w_format: number format that the operator itself prescribes for its weights.
        stored_formats: the same for other stored tensors.
        biases, tables: names of stored tensors that are no weights of the nest.
        shapes: shapes of tensors that differ from what the graph says, such as packed weights.
        repeat: runs per inference (inside a loop's body).
    """

    name: str
    op: str
    kind: Kind
    nodes: list[str]
    inputs: list[str]
    outputs: list[str]
    nest: LoopNest | None = None
    w_tensor: str | None = None
    w_is_activation: bool = False
    w_elements: int = 0
    i_elements: int = 0
    o_elements: int = 0
    side_elements: int = 0
    b_elements: int = 0
    ops: dict[str, int] = field(default_factory=dict)
    channel_axis: int | None = None
    linear: bool = False
    rectified: bool = False
    row_wise: bool = False
    w_format: str | None = None
    stored_formats: dict[str, str] = field(default_factory=dict)
    biases: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    repeat: int = 1
    note: str = ""

    def repeated(self) -> None:
        """Counts everything but stored operands ``repeat`` times, once all is folded in."""
        times = self.repeat
        if times == 1:
            return
        if self.nest is not None and self.w_is_activation:
            self.nest = replace(self.nest, G=self.nest.G * times)
            self.w_elements *= times
        elif self.nest is not None:
            self.nest = replace(self.nest, B=self.nest.B * times)
        self.i_elements *= times
        self.o_elements *= times
        self.side_elements *= times
        self.ops = {function: count * times for function, count in self.ops.items()}
        self.note = f"{times} trips of a loop" + (f"; {self.note}" if self.note else "")

    def work(self, functions: Iterable[str], count: int) -> None:
        """Adds ``count`` operations of each of ``functions``."""
        for function in functions:
            self.ops[function] = self.ops.get(function, 0) + count


@dataclass(frozen=True)
class View:
    """The node does nothing: its results are (parts of) the tensors ``sources``."""

    sources: tuple[str, ...]
    folded: bool = False


@dataclass
class Context:
    """State of lowering that rules may look at.

    Attributes:
        graph: the graph.
        sources: for each activation known so far, the stored tensors that hold it.
        placed: tensors (by what holds them) that already lie inside a concatenated tensor.
        written: tensors written by a layer.
        stacked: tensors of which each trip of a loop writes another part, and the trips.
    """

    graph: Graph
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    placed: set[tuple[str, ...]] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    stacked: dict[str, int] = field(default_factory=dict)

    def roots(self, name: str) -> tuple[str, ...]:
        """The stored tensors that hold activation ``name``."""
        return self.sources.get(name, (name,))


def over_rows(axes: Iterable[int], shape: Shape) -> bool:
    """Whether work along ``axes`` of a tensor stays within each of its rows.

    A row of a matrix is its last axis; a row of an image (batch, channels, height, width) is all
    but batch and height, so that work over channels stays within it, too. Axes of one element do
    not count.
    """
    rank = len(shape)
    found = {axis % rank for axis in axes if shape[axis % rank] > 1} if rank else set()
    within = {rank - 1} if rank < 4 else {1, rank - 1}
    return found <= within


Outcome = list[Draft] | View
Rule = Callable[[Node, Context], Outcome]


def live_outputs(node: Node, graph: Graph) -> list[str]:
    """Results of ``node`` that something reads."""
    used = [o for o in node.outputs if o and (o in graph.users or o in graph.outputs)]
    return used or [o for o in node.outputs[:1] if o]


def activations(node: Node, graph: Graph) -> list[str]:
    """Inputs of ``node`` that are not constants."""
    return [name for name in node.inputs if name and name not in graph.constants]


def stored_operands(node: Node, graph: Graph) -> list[str]:
    """Constant inputs with more than one element whose numbers must be read when it runs."""
    known = [n for n in dict.fromkeys(node.inputs) if n in graph.constants and n in graph.shapes]
    return [name for name in known if math.prod(graph.shapes[name]) > 1]


def vector(
    node: Node,
    ctx: Context,
    work: Mapping[str, int],
    *,
    weights: Iterable[str] | None = None,
    row_wise: bool = False,
    kind: Kind = "vector",
    note: str = "",
) -> Draft:
    """A vector (or movement, host) layer over the whole tensors that ``node`` reads and writes.

    ``weights`` are its stored operands; all of them when left out. ``row_wise`` as in ``Layer``.
    """
    graph = ctx.graph
    reads, writes = activations(node, graph), live_outputs(node, graph)
    stored = list(stored_operands(node, graph) if weights is None else weights)
    draft = Draft(
        name=node.name,
        op=node.op,
        kind=kind,
        nodes=[node.name],
        inputs=reads + stored,
        outputs=writes,
        w_tensor=stored[0] if stored else None,
        w_elements=sum(graph.size(name, node) for name in stored),
        i_elements=sum(graph.size(name, node) for name in reads),
        o_elements=sum(graph.size(name, node) for name in writes),
        row_wise=row_wise,
        note=note,
    )
    for function, count in work.items():
        if count:
            draft.work([function], count)
    return draft
