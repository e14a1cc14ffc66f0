"""Convolutions of any kind."""

from __future__ import annotations

import math
from typing import cast

from dse.workload.footprint import check_sizes
from dse.workload.graph import Node, Shape
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule
from dse.workload.ops.elementwise import activated
from dse.workload.shapes_windows import transposed, windows


def convolution(
    node: Node,
    ctx: Context,
    x: str,
    w: str,
    bias: str | None,
    *,
    last: bool = False,
    kernel: Shape | None = None,
) -> Draft:
    """One convolution over ``x`` (N, C, ...) with kernel ``w`` (M, C/groups, ...).

    With ``last`` the channels of ``x`` and of the result are the last axis. ``kernel`` is the
    shape of ``w`` in the order above if it is stored in another.

    A third spatial axis is folded: output slices into ``B``, taps into ``C`` (same MACs, without
    the reuse between slices). More than three axes are refused.
    """
    graph = ctx.graph
    xs, ws = graph.shape(x, node), kernel or graph.shape(w, node)
    ys = graph.shape(node.outputs[0], node)
    if last:
        xs, ys = (xs[0], xs[-1], *xs[1:-1]), (ys[0], ys[-1], *ys[1:-1])
    groups = int(node.attrs.get("group", 1))
    rank = len(ws) - 2
    if rank < 1 or rank > 3 or len(xs) != len(ws) or len(ys) != len(ws):
        raise graph.fault(node, f"a convolution over {rank} axes", "use one to three spatial axes")
    if xs[1] != ws[1] * groups or ws[0] % groups:
        raise graph.fault(
            node,
            f"{xs[1]} input channels do not fit a kernel {ws} in {groups} groups",
            "the graph is invalid: export it again",
        )
    check_sizes(node, graph, ys, (xs[0], ws[0], *windows(node, xs[2:], ws[2:])))
    strides, dilations = node.ints("strides", [1] * rank), node.ints("dilations", [1] * rank)
    (oz, oy, ox), (fz, fy, fx) = _padded(ys[2:]), _padded(ws[2:])
    nest = LoopNest(
        G=groups,
        B=xs[0] * oz,
        K=ws[0] // groups,
        C=ws[1] * fz,
        OY=oy,
        OX=ox,
        FY=fy,
        FX=fx,
        stride_y=strides[-2] if rank > 1 else 1,
        stride_x=strides[-1],
        dilation_y=dilations[-2] if rank > 1 else 1,
        dilation_x=dilations[-1],
    )
    return _layer(node, ctx, x, w, bias, nest, channels=ws[0], axis=len(ys) - 1 if last else 1)


def _padded(sizes: Shape) -> tuple[int, int, int]:
    """One to three sizes as (depth, height, width)."""
    return cast("tuple[int, int, int]", (1,) * (3 - len(sizes)) + tuple(sizes))


def _layer(
    node: Node,
    ctx: Context,
    x: str,
    w: str,
    bias: str | None,
    nest: LoopNest,
    channels: int,
    axis: int = 1,
) -> Draft:
    graph = ctx.graph
    weight = graph.is_const(w)
    out = node.outputs[0]
    draft = Draft(
        name=node.name,
        op=node.op,
        kind="compute",
        nodes=[node.name],
        inputs=[x, w],
        outputs=[out],
        nest=nest,
        w_tensor=w,
        w_is_activation=not weight,
        w_elements=graph.size(w, node),
        i_elements=graph.size(x, node),
        o_elements=graph.size(out, node),
        channel_axis=axis,
        linear=True,
    )
    if bias is not None:
        if graph.size(bias, node) != channels:
            raise graph.fault(
                node,
                f"{graph.size(bias, node)} biases for {channels} channels",
                "the graph is invalid: export it again",
            )
        draft.b_elements = channels
        draft.biases.append(bias)
        draft.inputs.append(bias)
    return draft


def conv(node: Node, ctx: Context) -> Outcome:
    """Conv, FusedConv with its activation (and residual), the Nhwc forms with channels last."""
    last = node.op.startswith("Nhwc")
    draft = convolution(node, ctx, node.inputs[0], node.inputs[1], node.input(2), last=last)
    if residual := node.input(3):
        draft.inputs.append(residual)
        draft.side_elements = ctx.graph.size(residual, node)
        draft.work(["add"], draft.o_elements)
    return [activated(draft, node, ctx)]


def conv_integer(node: Node, ctx: Context) -> Outcome:
    """ConvInteger: inputs x, w, zero points."""
    return [convolution(node, ctx, node.inputs[0], node.inputs[1], None)]


def qlinear_conv(node: Node, ctx: Context) -> Outcome:
    """QLinearConv: x, its scale and zero point, w, its two, the two of y, bias."""
    last = bool(node.attrs.get("channels_last", 0))
    return [convolution(node, ctx, node.inputs[0], node.inputs[3], node.input(8), last=last)]


def conv_transpose(node: Node, ctx: Context) -> Outcome:
    """ConvTranspose over one to three axes, with the MACs of the published convention.

    Published counts are (input pixels) x C x M x taps. If every stride divides its kernel size,
    that is the sub-pixel convolution: each of the s_y s_x phases of the output is a convolution
    with k/s taps, and the phases are output channels. Otherwise the taps are output channels of a
    1x1 convolution, whose overlapping results are added (column-to-image).
    """
    graph = ctx.graph
    x, w = node.inputs[0], node.inputs[1]
    xs, ws = graph.shape(x, node), graph.shape(w, node)
    groups, rank = int(node.attrs.get("group", 1)), len(ws) - 2
    if rank < 1 or rank > 3 or xs[1] != ws[0] or xs[1] % groups:
        raise graph.fault(
            node, f"a kernel {ws} on an input {xs}", "the graph is invalid: export it again"
        )
    for name, sizes_made in transposed(node, graph).items():
        check_sizes(node, graph, graph.shape(name, node), sizes_made)
    strides = _padded(tuple(node.ints("strides", [1] * rank)))
    taps, sizes = _padded(ws[2:]), _padded(xs[2:])
    exact = all(k % s == 0 for k, s in zip(taps, strides, strict=True))
    if exact:
        phases = math.prod(strides)
        fz, fy, fx = (k // s for k, s in zip(taps, strides, strict=True))
    else:
        phases, (fz, fy, fx) = math.prod(taps), (1, 1, 1)
    nest = LoopNest(
        G=groups,
        B=xs[0] * sizes[0],
        K=ws[1] * phases,
        C=ws[0] // groups * fz,
        OY=sizes[1],
        OX=sizes[2],
        FY=fy,
        FX=fx,
    )
    bias = node.input(3 if node.op == "ConvTransposeWithDynamicPads" else 2)
    draft = _layer(node, ctx, x, w, bias, nest, channels=ws[1] * groups)
    if not exact:
        partial = math.prod((xs[0], *sizes)) * ws[1] * groups * phases
        draft.work(["add"], max(0, partial - draft.o_elements))
        draft.note = "strides do not divide the kernel: column-to-image additions"
    return [draft]


def deformable(node: Node, ctx: Context) -> Outcome:
    """DeformConv: every tap of every group of offsets is sampled bilinearly, then one product.

    A sample is four elements copied, weighed and added, and once more weighed by the mask.
    """
    graph = ctx.graph
    x, w, offset, mask = node.inputs[0], node.inputs[1], node.inputs[2], node.input(4)
    xs, ws, ys = graph.shape(x, node), graph.shape(w, node), graph.shape(node.outputs[0], node)
    groups, taps, points = int(node.attrs.get("group", 1)), math.prod(ws[2:]), math.prod(ys[2:])
    samples = xs[0] * xs[1] * taps * points
    sampled = f"{node.name}:sampled"
    sampling = Draft(
        name=f"{node.name}:sample",
        op=node.op,
        kind="vector",
        nodes=[node.name],
        inputs=[n for n in (x, offset, mask) if n],
        outputs=[sampled],
        i_elements=sum(graph.size(n, node) for n in (x, offset, mask) if n),
        o_elements=samples,
    )
    sampling.work(["copy", "mul"], 4 * samples)
    sampling.work(["add"], 3 * samples)
    if mask:
        sampling.work(["mul"], samples)
    nest = LoopNest(G=groups, B=xs[0], K=ws[0] // groups, C=ws[1] * taps, OX=points)
    product = _layer(node, ctx, x, w, node.input(3), nest, channels=ws[0])
    product.inputs[0], product.i_elements = sampled, samples
    return [sampling, product]


RULES: dict[str, Rule] = {
    "Conv": conv,
    "FusedConv": conv,
    "NhwcConv": conv,
    "NhwcFusedConv": conv,
    "ConvTransposeWithDynamicPads": conv_transpose,
    "DeformConv": deformable,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "ConvTranspose": conv_transpose,
}
