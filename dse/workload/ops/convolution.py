"""Convolutions of any kind."""

from __future__ import annotations

import math
from typing import cast

from dse.workload.graph import Node, Shape
from dse.workload.layer import LoopNest
from dse.workload.ops.draft import Context, Draft, Outcome, Rule
from dse.workload.ops.elementwise import ACTIVATIONS


def convolution(
    node: Node, ctx: Context, x: str, w: str, bias: str | None, y: str | None = None
) -> Draft:
    """One convolution over ``x`` (N, C, ...) with kernel ``w`` (M, C/groups, ...).

    A third spatial axis is folded: output slices into ``B``, taps into ``C`` (same MACs, without
    the reuse between slices). More than three axes are refused.
    """
    graph = ctx.graph
    xs, ws = graph.shape(x, node), graph.shape(w, node)
    ys = graph.shape(y or node.outputs[0], node)
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
    return _layer(node, ctx, x, w, bias, nest, channels=ws[0], y=y)


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
    y: str | None = None,
) -> Draft:
    graph = ctx.graph
    weight = graph.is_const(w)
    out = y or node.outputs[0]
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
        channel_axis=1,
        linear=True,
    )
    if bias is not None:
        draft.b_elements = channels
        draft.biases.append(bias)
        draft.inputs.append(bias)
    return draft


def conv(node: Node, ctx: Context) -> Outcome:
    """Conv, and com.microsoft FusedConv with its activation (and residual)."""
    draft = convolution(node, ctx, node.inputs[0], node.inputs[1], node.input(2))
    if residual := node.input(3):
        draft.inputs.append(residual)
        draft.side_elements = ctx.graph.size(residual, node)
        draft.work(["add"], draft.o_elements)
    activation = str(node.attrs.get("activation", ""))
    if activation:
        functions = ACTIVATIONS.get(activation)
        if functions is None:
            raise ctx.graph.fault(node, f"unknown activation {activation!r}", "use Conv and Relu")
        draft.work(functions, draft.o_elements)
        draft.linear = False
    return [draft]


def conv_integer(node: Node, ctx: Context) -> Outcome:
    """ConvInteger: inputs x, w, zero points."""
    return [convolution(node, ctx, node.inputs[0], node.inputs[1], None)]


def qlinear_conv(node: Node, ctx: Context) -> Outcome:
    """QLinearConv: x, its scale and zero point, w, its two, the two of y, bias."""
    return [convolution(node, ctx, node.inputs[0], node.inputs[3], node.input(8))]


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
    draft = _layer(node, ctx, x, w, node.input(2), nest, channels=ws[1] * groups)
    if not exact:
        partial = math.prod((xs[0], *sizes)) * ws[1] * groups * phases
        draft.work(["add"], max(0, partial - draft.o_elements))
        draft.note = "strides do not divide the kernel: column-to-image additions"
    return [draft]


RULES: dict[str, Rule] = {
    "Conv": conv,
    "FusedConv": conv,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "ConvTranspose": conv_transpose,
}
