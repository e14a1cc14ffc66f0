"""The invariant of lowering: what a layer's loops touch lies in the tensors it reads and writes."""

from __future__ import annotations

import math

from dse.workload.graph import Graph, Node, Shape
from dse.workload.ops.draft import Draft
from dse.workload.remedies import fitting

#: Operators whose result is cropped, so that their loops write more than the result.
_CROPPED = frozenset({"ConvTranspose", "ConvTransposeWithDynamicPads"})
#: Operators whose rows are spread over groups and rounded up.
_ROUNDED = frozenset({"MoE", "QMoE"})
#: Operators that only name the elements of their first input anew.
_RENAMED = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose"})

_MEND = "the graph is invalid or its shapes are written wrong: export it again"


def check_footprints(node: Node, drafts: list[Draft], graph: Graph) -> None:
    """Refuses a layer whose loops do not fit its operands.

    Raises:
        InputError: names the node, the operand, and both counts of elements.
    """
    for draft in drafts:
        if draft.nest is None:
            continue
        n = draft.nest
        if node.op not in _CROPPED | _ROUNDED:
            made = n.G * n.B * n.K * n.OY * n.OX
            _equal(node, graph, "write", made, "its result", draft.o_elements)
        if node.op == "Einsum":  # may repeat axes of one element
            continue
        weights = [draft.w_tensor or ""]
        held = _held(draft.inputs if draft.w_is_activation else weights, draft, graph)
        stored = n.G * n.K * n.C * n.FY * n.FX
        what = "its second operand" if draft.w_is_activation else "its weights"
        _fit(node, graph, stored, what, held)
        _fit(node, graph, stored, what, draft.w_elements)
        if "Conv" not in node.op:  # those read padding, too: see check_sizes
            read = n.B * n.C * n.OY * n.OX  # groups may share it
            _fit(node, graph, read, "its input", _held(draft.inputs[:1], draft, graph))
            _fit(node, graph, read, "its input", draft.i_elements)


def check_renamed(node: Node, graph: Graph) -> None:
    """Refuses a stored tensor that is read in a shape with another number of elements."""
    if node.domain or node.op not in _RENAMED or not node.outputs:
        return
    before, after = graph.shapes.get(node.input(0) or ""), graph.shapes.get(node.outputs[0])
    if before is not None and after is not None and math.prod(before) != math.prod(after):
        raise graph.fault(node, f"{before} cannot be read as {after}", fitting(node, graph, _MEND))


def check_sizes(node: Node, graph: Graph, real: Shape, sizes: Shape) -> None:
    """Refuses a result that is not as large as its operands make it."""
    if real != sizes:
        raise graph.fault(node, f"its operands give the sizes {sizes}, not {real}", _MEND)


def _held(names: list[str], draft: Draft, graph: Graph) -> int | None:
    """Elements of ``names`` together; None if one is not a tensor of the graph as it is."""
    total = 0
    for name in names:
        shape = graph.shapes.get(name)
        if shape is None or name in draft.shapes:
            return None
        total += math.prod(shape)
    return total


def _equal(node: Node, graph: Graph, verb: str, count: int, what: str, held: int) -> None:
    if count != held:
        raise graph.fault(node, f"its loops {verb} {count} elements, but {what} has {held}", _MEND)


def _fit(node: Node, graph: Graph, count: int, what: str, held: int | None) -> None:
    if held is not None and count > held:
        raise graph.fault(
            node, f"its loops read {count} elements of {what}, which has {held}", _MEND
        )
