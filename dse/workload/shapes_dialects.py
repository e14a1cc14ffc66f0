"""Shape rules of the quantization dialects (see ``dialects``)."""

from __future__ import annotations

from collections.abc import Callable

from dse.workload.dialects import FORMATTING, INTEGER_OPS
from dse.workload.graph import DIALECT, Graph, Node, Shape
from dse.workload.shapes_fused import broadcast
from dse.workload.shapes_windows import windows

Found = dict[str, Shape]
#: Domain of operators with channels last, of which the first is the batch (QONNX).
CHANNELS_LAST = "qonnx.custom_op.channels_last"


def _same(node: Node, graph: Graph) -> Found:
    return {node.outputs[0]: graph.shapes[node.inputs[0]]}


def _pair(node: Node, graph: Graph) -> Found:
    shapes = [graph.shapes[name] for name in node.inputs[:2]]
    return {node.outputs[0]: shapes[0] if len(shapes) == 1 else broadcast(*shapes)}


def _mean(node: Node, graph: Graph) -> Found:
    """IntegerMean: axes are a number or several."""
    shape = graph.shapes[node.inputs[0]]
    axes = node.attrs.get("axes", list(range(len(shape))))
    gone = {int(a) % len(shape) for a in (axes if isinstance(axes, (list, tuple)) else [axes])}
    if node.attrs.get("keepdims", 1):
        return {node.outputs[0]: tuple(1 if i in gone else n for i, n in enumerate(shape))}
    return {node.outputs[0]: tuple(n for i, n in enumerate(shape) if i not in gone)}


def _average(node: Node, graph: Graph) -> Found:
    """QuantAvgPool2d: one size and step for both axes, no border."""
    x = graph.shapes[node.inputs[0]]
    size, step = int(node.attrs["kernel"]), int(node.attrs["stride"])
    last = str(node.attrs.get("data_layout", "NCHW")) == "NHWC"
    sizes = tuple((n - size) // step + 1 for n in (x[1:3] if last else x[2:]))
    return {node.outputs[0]: (x[0], *sizes, x[-1]) if last else (*x[:2], *sizes)}


def _max_last(node: Node, graph: Graph) -> Found:
    x = graph.shapes[node.inputs[0]]
    sizes = windows(node, x[1:-1], tuple(node.ints("kernel_shape", [])))
    return {node.outputs[0]: (x[0], *sizes, x[-1])}


def _patches(node: Node, graph: Graph) -> Found:
    """Im2Col over (batch, height, width, channels): every window's elements side by side."""
    x = graph.shapes[node.inputs[0]]
    kernel, stride = node.ints("kernel_size", []), node.ints("stride", [1, 1])
    pads, dilations = node.ints("pad_amount", [0] * 4), node.ints("dilations", [1, 1])
    sizes = tuple(
        (x[1 + i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(2)
    )
    return {node.outputs[0]: (x[0], *sizes, kernel[0] * kernel[1] * x[-1])}


def _product(node: Node, graph: Graph) -> Found:
    a, b = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    return {node.outputs[0]: (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])}


def _convolution_last(node: Node, graph: Graph) -> Found:
    x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    return {node.outputs[0]: (x[0], *windows(node, x[1:-1], w[1:-1]), w[0])}


ELSEWHERE_SHAPES: dict[tuple[str, str], Callable[[Node, Graph], Found]] = {
    **dict.fromkeys(((DIALECT, op) for op in FORMATTING | INTEGER_OPS), _same),
    **dict.fromkeys(((DIALECT, op) for op in ("MultiThreshold", "RMSNorm")), _same),
    **dict.fromkeys(((DIALECT, op) for op in ("IntegerDiv", "TrueIntegerDiv")), _pair),
    (DIALECT, "IntegerMean"): _mean,
    (DIALECT, "QuantAvgPool2d"): _average,
    (DIALECT, "MaxPoolNHWC"): _max_last,
    (DIALECT, "Im2Col"): _patches,
    (DIALECT, "XnorPopcountMatMul"): _product,
    (CHANNELS_LAST, "Conv"): _convolution_last,
    (CHANNELS_LAST, "MaxPool"): _max_last,
    (CHANNELS_LAST, "BatchNormalization"): _same,
}
