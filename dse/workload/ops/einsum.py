"""Einsum of any number of operands."""

from __future__ import annotations

import math
from collections import Counter

from dse.workload.graph import Node
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, View, vector


def terms_of(equation: str, ranks: list[int]) -> tuple[list[str], str] | None:
    """Letters of the operands and of the result, ellipses spelled out; None if they do not fit.

    The axes of an ellipsis are named by digits, counted from the right, so that they broadcast.
    """
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        return None
    hidden = 0
    for index, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        free = rank - len(term.replace("...", ""))
        if free < 0 or (free and "..." not in term) or free > 10:
            return None
        terms[index] = term.replace("...", "".join(map(str, range(free)))[::-1])
        hidden = max(hidden, free)
    if not arrow:
        counts = Counter("".join(terms))
        single = sorted(x for x, n in counts.items() if n == 1 and x.isalpha())
        result = "..." + "".join(single)
    return terms, result.replace("...", "".join(map(str, range(hidden)))[::-1])


def einsum(node: Node, ctx: Context) -> Outcome:
    """Einsum: operands are multiplied pair by pair, from the left.

    Of a pair, letters that both have and that are still needed are groups, lost ones are summed;
    letters of the first operand alone are rows, of the second alone output channels. A letter
    that is summed although only one operand has it belongs to the sum as well. One operand alone
    is a rearrangement, or a sum (``reduce`` per element).
    """
    graph = ctx.graph
    names = list(node.inputs)
    equation = str(node.attrs["equation"])
    split = terms_of(equation, [len(graph.shape(name, node)) for name in names])
    if split is None:
        raise graph.fault(
            node, f"the equation {equation!r} does not fit its operands", "export the model again"
        )
    terms, result = split
    sizes: dict[str, int] = {}
    for name, term in zip(names, terms, strict=True):
        for letter, size in zip(term, graph.shape(name, node), strict=True):
            if 1 != size != sizes.get(letter, size) != 1:
                raise graph.fault(
                    node,
                    f"{letter} of {equation!r} is both {sizes[letter]} and {size}",
                    "the graph is invalid: export it again",
                )
            sizes[letter] = max(size, sizes.get(letter, 1))
    if len(names) == 1 or any(len(set(term)) != len(term) for term in terms):
        return _rearranged(node, ctx, terms, result)
    drafts: list[Draft] = []
    left, left_term = names[0], terms[0]
    for index in range(1, len(names)):
        last = index == len(names) - 1
        wanted = set(result) if last else set(result).union(*terms[index + 1 :])
        out = node.outputs[0] if last else f"{node.name}:{index}"
        term = (
            result
            if last
            else "".join(x for x in dict.fromkeys(left_term + terms[index]) if x in wanted)
        )
        pair = (left, names[index], left_term, terms[index])
        drafts.append(_product(node, ctx, pair, wanted, sizes, out, len(names) > 2))
        left, left_term = out, term
    return drafts


def _product(
    node: Node,
    ctx: Context,
    pair: tuple[str, str, str, str],
    wanted: set[str],
    sizes: dict[str, int],
    out: str,
    several: bool,
) -> Draft:
    graph = ctx.graph
    i, w, first_term, second_term = pair
    if graph.is_const(i) and not graph.is_const(w):
        i, w, first_term, second_term = w, i, second_term, first_term
    first, second = set(first_term), set(second_term)

    def product(letters: set[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    def elements(name: str, term: str) -> int:
        return graph.size(name, node) if name in graph.shapes else product(set(term))

    nest = LoopNest(
        G=product(first & second & wanted),
        K=product((second - first) & wanted),
        C=product((first | second) - wanted),
        OX=product((first - second) & wanted),
    )
    return Draft(
        name=f"{node.name}:{out}" if several else node.name,
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[i, w],
        outputs=[out],
        nest=nest,
        w_tensor=w,
        w_is_activation=not graph.is_const(w),
        w_elements=elements(w, second_term),
        i_elements=elements(i, first_term),
        o_elements=product((first | second) & wanted),
        linear=True,
    )


def _rearranged(node: Node, ctx: Context, terms: list[str], result: str) -> Outcome:
    """One operand (a transpose, a diagonal, sums), or operands of which diagonals are taken."""
    graph = ctx.graph
    n = sum(graph.size(name, node) for name in node.inputs)
    out = graph.size(node.outputs[0], node)
    if len(terms) == 1 and terms[0] == result:
        return View((node.inputs[0],))
    if len(terms) > 1:
        letters = set("".join(terms))
        sizes = {
            letter: size
            for name, term in zip(node.inputs, terms, strict=True)
            for letter, size in zip(term, graph.shape(name, node), strict=True)
        }
        space = math.prod(sizes[letter] for letter in letters)
        return [vector(node, ctx, {"mul": space * (len(terms) - 1), "add": max(0, space - out)})]
    summed = set(terms[0]) - set(result)
    if summed:
        return [vector(node, ctx, {"reduce": n}, weights=[])]
    draft = vector(node, ctx, {}, weights=[], kind="movement")
    draft.i_elements = out
    return [draft]


RULES: dict[str, Rule] = {"Einsum": einsum}
