"""From a graph to layers: every node gets one fate, and what can be folded into a layer is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dse.errors import InputError
from dse.workload.composites import fuse_composites
from dse.workload.control import body_fault
from dse.workload.empty import without_empty
from dse.workload.fold import absorb
from dse.workload.footprint import check_footprints, check_renamed
from dse.workload.graph import CONTROL, LOOP_DOMAIN, Graph, Node
from dse.workload.layer import Layer, Role, Tensor
from dse.workload.norms import fuse_norms
from dse.workload.ops import is_known, rule_of
from dse.workload.ops.draft import Context, Draft, View
from dse.workload.ops.host import unknown
from dse.workload.ops.layout import is_cache
from dse.workload.sequences import SEQUENCES, sequence_fault

UnknownOps = Literal["error", "host"]


@dataclass(frozen=True)
class Lowered:
    """Layers of a graph without formats.

    Attributes:
        layers: in an order of execution, in the default formats of :class:`Layer`.
        shapes: tensors named by a layer, with their role.
        inputs, outputs: names of tensors.
        fates: of every node in the file.
        prescribed: layers whose operator fixes the format of its weights.
        stored_formats: formats that operators fix for other stored tensors, by tensor.
        beside: formats of what is stored beside weights, by tensor (see ``scales``).
        aliases: for activations that lie in other tensors, those.
    """

    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fates: Mapping[str, str]
    prescribed: Mapping[str, str] = field(default_factory=dict)
    stored_formats: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def lower(graph: Graph, unknown_ops: UnknownOps = "error") -> Lowered:
    """The layers of ``graph``.

    Raises:
        InputError: an operator without a rule (unless ``unknown_ops`` is ``host``), or one in a
            form that its rule does not cover; names node and operator.
    """
    names = [node.name for node in graph.nodes if node.domain != LOOP_DOMAIN]
    given = graph
    graph = without_empty(graph)
    graph = fuse_composites(fuse_norms(graph))
    ctx = Context(graph)
    fates: dict[str, str] = {}
    drafts: list[Draft] = []
    for node in graph.nodes:
        if node.name in fates:
            continue
        fates.update(dict.fromkeys(node.absorbed, "folded"))
        if node.name not in graph.live or graph.is_folded(node):
            fates[node.name] = "folded"
            check_renamed(node, graph)
            continue
        if node.domain == LOOP_DOMAIN:
            _around_loop(node, ctx)
            continue
        outcome = _ruled(node, ctx, unknown_ops)
        if isinstance(outcome, View):
            _alias(node, outcome, ctx)
            fates[node.name] = "folded" if outcome.folded else "view"
            continue
        if any(draft.nest is not None and draft.nest.macs < 1 for draft in outcome):
            outcome = [d for d in outcome if d.nest is None or d.nest.macs > 0]
            ctx.written.update(filter(None, node.outputs))
            if not outcome:
                fates[node.name] = "folded"
                continue
        check_footprints(node, outcome, graph)
        kinds = [draft.kind for draft in outcome]
        fates[node.name] = "compute" if "compute" in kinds else kinds[-1]
        for draft in outcome:
            draft.repeat = node.repeat
        absorb(outcome[-1], ctx, fates)
        for draft in outcome:
            draft.repeated()
            _emit(draft, ctx)
            drafts.append(draft)
    fates.update((n.name, "folded") for n in given.nodes if n.name not in fates)
    loops = [node.attrs["of"] for node in graph.nodes if node.domain == LOOP_DOMAIN]
    return _finished(
        drafts, ctx, {name: fates[name] for name in names} | dict.fromkeys(loops, "view")
    )


def _around_loop(node: Node, ctx: Context) -> None:
    """What a loop hands to its body and takes from it lies where it is written."""
    _alias(node, View(tuple(node.inputs)), ctx)
    if node.op == "Stack":
        trips = int(node.attrs["trips"])
        for root in ctx.roots(node.outputs[0]):
            ctx.stacked[root] = ctx.stacked.get(root, 1) * trips


def _ruled(node: Node, ctx: Context, unknown_ops: UnknownOps) -> list[Draft] | View:
    rule = rule_of(node)
    if rule is not None:
        try:
            return rule(node, ctx)
        except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise _malformed(node, ctx.graph, error) from error
    if node.op in CONTROL and not node.domain:
        raise body_fault(node, ctx.graph)
    if node.op in SEQUENCES and not node.domain and unknown_ops != "host":
        raise sequence_fault(ctx.graph)
    if unknown_ops == "host":
        return unknown(node, ctx, is_known)
    operator = f"{node.domain}.{node.op}" if node.domain else node.op
    raise ctx.graph.fault(
        node,
        f"the operator {operator} is not known",
        "use --unknown-ops host to run it on the host core, or export without it",
    )


def _malformed(node: Node, graph: Graph, error: Exception) -> InputError:
    """A node of a form that its operator does not have, though the checker lets it pass.

    Rules rely on the operator's definition (a needed attribute is there, axes lie in range).
    """
    reason = f"{type(error).__name__}: {error}"
    return graph.fault(
        node,
        f"not a valid {node.op} ({' '.join(reason.split())[:160]})",
        "the graph is invalid: export it again",
    )


def _alias(node: Node, view: View, ctx: Context) -> None:
    moving = [name for name in view.sources if not ctx.graph.is_const(name)]
    # a view of stored tensors alone whose form depends on data lies where they do
    roots = dict.fromkeys(
        root
        for name in moving or view.sources
        for root in ((name,) if ctx.graph.is_const(name) else ctx.roots(name))
    )
    ctx.graph.budget.spend("roots", len(roots), node)
    held = tuple(roots)
    for name in filter(None, node.outputs):
        ctx.sources[name] = held


def _emit(draft: Draft, ctx: Context) -> None:
    """Resolves the inputs of a finished draft to stored tensors and marks what it writes."""
    names: dict[str, None] = {}
    for name in draft.inputs:
        for root in (name,) if ctx.graph.is_const(name) else ctx.roots(name):
            names[root] = None
    ctx.graph.budget.spend("roots", len(names))
    draft.inputs = list(names)
    if draft.w_tensor is not None and draft.w_is_activation:
        draft.w_tensor = ctx.roots(draft.w_tensor)[0]
        draft.w_is_activation = not ctx.graph.is_const(draft.w_tensor)
    ctx.written.update(draft.outputs)


def _finished(drafts: list[Draft], ctx: Context, fates: dict[str, str]) -> Lowered:
    graph = ctx.graph
    roots = dict.fromkeys(r for name in graph.outputs for r in ctx.roots(name))
    outputs = tuple(root for root in roots if root not in graph.inputs)
    roles = _roles(drafts, graph, outputs)
    tensors: dict[str, Tensor] = {}
    for draft in drafts:
        for name in (*draft.inputs, *draft.outputs):
            if name not in tensors:
                shape = draft.shapes.get(name) or graph.shapes.get(name)
                shape = shape or _inner_shape(name, draft)
                if name in ctx.stacked:
                    shape = (ctx.stacked[name], *shape)
                tensors[name] = Tensor(name, shape, roles.get(name, "activation"))
    read = {name for draft in drafts for name in draft.inputs}
    inputs = tuple(name for name in graph.inputs if name in read)
    layers = tuple(_layer(draft) for draft in drafts)
    prescribed = {d.name: d.w_format for d in drafts if d.w_format is not None}
    kept = tuple(name for name in outputs if name in tensors)
    stored = {name: form for draft in drafts for name, form in draft.stored_formats.items()}
    return Lowered(layers, tensors, inputs, kept, fates, prescribed, stored, aliases=ctx.sources)


def _inner_shape(name: str, draft: Draft) -> tuple[int, ...]:
    """Shape of a tensor that only exists between layers of one operator."""
    if name in draft.outputs and len(draft.outputs) == 1:
        return (draft.o_elements,)
    return (0,) if name in draft.outputs else (draft.i_elements,)


def _roles(drafts: list[Draft], graph: Graph, outputs: tuple[str, ...]) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for draft in drafts:
        for name in draft.inputs:
            if not graph.is_const(name):
                continue
            if name in draft.tables:
                roles.setdefault(name, "table")
            elif name in draft.biases:
                roles.setdefault(name, "bias")
            else:
                roles[name] = "weight"  # whatever else reads it
    for name in graph.inputs:
        roles[name] = "kv" if is_cache(name) else "input"
    for name in outputs:
        if name not in roles:
            roles[name] = "kv" if is_cache(name) else "output"
    return roles


def _layer(draft: Draft) -> Layer:
    return Layer(
        name=draft.name,
        op=draft.op,
        kind=draft.kind,
        nodes=tuple(draft.nodes),
        inputs=tuple(draft.inputs),
        outputs=tuple(draft.outputs),
        nest=draft.nest,
        w_tensor=draft.w_tensor,
        w_is_activation=draft.w_is_activation,
        w_elements=draft.w_elements,
        i_elements=draft.i_elements,
        o_elements=draft.o_elements,
        side_elements=draft.side_elements,
        b_elements=draft.b_elements,
        vector_ops=tuple(sorted((f, n) for f, n in draft.ops.items() if n)),
        note=draft.note,
        rectified=draft.rectified,
        row_wise=draft.row_wise,
    )
