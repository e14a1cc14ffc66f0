"""Signals and grids: Fourier transforms, filter banks, sampling grids."""

from __future__ import annotations

import math

from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Outcome, Rule, live_outputs, vector


def butterflies(length: int) -> int:
    """Butterflies of a fast transform of ``length`` points, ``n / 2 log2 n`` (Cooley-Tukey).

    Each is a complex product and two complex sums: 4 ``mul`` and 6 ``add``. Lengths that are no
    power of two are counted as the next one.
    """
    steps = max(1, math.ceil(math.log2(max(2, length))))
    return steps * (1 << steps) // 2


def fourier(node: Node, ctx: Context) -> Outcome:
    """DFT, STFT: fast transforms; a real signal takes half of the butterflies.

    STFT windows every frame first (``mul`` per sample).
    """
    graph = ctx.graph
    shape, out = graph.shape(node.inputs[0], node), graph.shape(node.outputs[0], node)
    work: dict[str, int] = {}
    if node.op == "STFT":
        frame = graph.scalar(node.input(3))
        window = node.input(2)
        length = int(frame) if frame is not None else graph.size(window, node) if window else 0
        count = out[0] * out[1]
        work["mul"] = count * length if window else 0
    else:
        given = graph.scalar(node.input(2))
        written = int(node.attrs.get("axis", 1)) if graph.opset < 20 else -2
        axis = int(given) if given is not None else written
        wanted = graph.scalar(node.input(1))
        length = int(wanted) if wanted is not None else shape[axis % len(shape)]
        count = math.prod(out[:-1]) // max(1, out[axis % len(out)])
    half = 2 if shape[-1] == 1 else 1
    total = count * butterflies(length) // half
    work["mul"] = work.get("mul", 0) + 4 * total
    work["add"] = 6 * total
    return [vector(node, ctx, work)]


def mel_weights(node: Node, ctx: Context) -> Outcome:
    """MelWeightMatrix: a filter bank made at run time, about two operations per entry."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"mul": n, "add": n}, weights=[])]


def affine_grid(node: Node, ctx: Context) -> Outcome:
    """AffineGrid: a small matrix (2 x 3 or 3 x 4) applied to every position."""
    graph = ctx.graph
    n = sum(graph.size(o, node) for o in live_outputs(node, graph))
    axes = graph.shape(node.inputs[0], node)[-1] - 1
    return [vector(node, ctx, {"mul": n * axes, "add": n * axes}, weights=[])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("DFT", "STFT"), fourier),
    "MelWeightMatrix": mel_weights,
    "AffineGrid": affine_grid,
}
