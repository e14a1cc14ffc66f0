"""Shapes of what slides a window: convolutions of any kind and pools.

The inference of onnx lets the last window of a pool with ``ceil_mode`` start behind the input, and
ignores how automatic padding, ``output_padding`` and ``output_shape`` of a transposed convolution
go together. The rules here are those of ONNX Runtime (``PoolAttributes`` and
``ConvTransposeAttributes``), which is what a graph runs on. Where those leave the standard, a
remark says so: of a pool with dilations, automatic padding makes room for the window without them,
so that the result is smaller than the standard's.
"""

from __future__ import annotations

from collections.abc import Callable

from dse.workload.graph import CONTROL, Graph, Node, Shape

Found = dict[str, Shape]


def _same(node: Node) -> bool:
    return str(node.attrs.get("auto_pad", "NOTSET")).startswith("SAME")


def _pads(node: Node, rank: int) -> list[int]:
    """Padding of each axis in front, then behind; ``VALID`` has none."""
    explicit = str(node.attrs.get("auto_pad", "NOTSET")) in ("NOTSET", "")
    return node.ints("pads", [0] * 2 * rank) if explicit else [0] * 2 * rank


def _dilated(node: Node) -> bool:
    return any(n > 1 for n in node.ints("dilations", []))


def _padded_without_dilations(node: Node, spatial: Shape, kernel: Shape) -> list[int]:
    """Automatic padding of a pool as ONNX Runtime has it: for the window without its dilations."""
    strides = node.ints("strides", [1] * len(spatial))
    lower = node.attrs["auto_pad"] == "SAME_LOWER"
    front: list[int] = []
    behind: list[int] = []
    for n, k, s in zip(spatial, kernel, strides, strict=True):
        needed = (-(-n // s) - 1) * s + k - n
        front.append(int((needed + 1 if lower else needed) / 2))
        behind.append(needed - front[-1])
    return front + behind


def windows(node: Node, spatial: Shape, kernel: Shape, *, pooled: bool = False) -> Shape:
    """Output sizes of a convolution or pooling over ``spatial`` with ``kernel``.

    With ``ceil_mode`` the last window may hang over the end, but has to start inside the input or
    its padding in front. A window larger than what it slides over gives no result.
    """
    rank = len(spatial)
    strides, dilations = node.ints("strides", [1] * rank), node.ints("dilations", [1] * rank)
    automatic = _same(node)
    if not automatic:
        pads = _pads(node, rank)
    elif pooled and _dilated(node):
        pads = _padded_without_dilations(node, spatial, kernel)
    else:
        return tuple(-(-n // s) for n, s in zip(spatial, strides, strict=True))
    up = int(node.attrs.get("ceil_mode", 0))
    sizes: list[int] = []
    for i, n in enumerate(spatial):
        room = n + pads[i] + pads[i + rank] - dilations[i] * (kernel[i] - 1) - 1
        count = (room + (strides[i] - 1 if up else 0)) // strides[i] + 1
        if automatic and not up:
            count = int(room / strides[i]) + 1  # rounded towards zero
        hangs = up and (count - 1) * strides[i] >= n + pads[i]
        sizes.append(max(0, count - 1 if hangs else count))
    return tuple(sizes)


def transposed_sizes(node: Node, spatial: Shape, kernel: Shape, pads: list[int]) -> Shape:
    """Output sizes of a transposed convolution over ``spatial`` with ``kernel``.

    An ``output_shape`` is what it says; automatic padding crops to stride x size where the whole
    result is larger than that.
    """
    rank = len(spatial)
    strides, dilations = node.ints("strides", [1] * rank), node.ints("dilations", [1] * rank)
    more = node.ints("output_padding", [0] * rank)
    wanted = node.ints("output_shape", [])
    if wanted:
        return tuple(wanted[-rank:])
    sizes: list[int] = []
    for i, n in enumerate(spatial):
        whole = strides[i] * (n - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1
        cropped = min(whole, n * strides[i]) if _same(node) else whole - pads[i] - pads[i + rank]
        sizes.append(cropped)
    return tuple(sizes)


def convolution(weight: int, *, last: bool | None) -> Callable[[Node, Graph], Found]:
    """Shape of a convolution; ``last`` tells whether channels are last (None: by attribute)."""

    def rule(node: Node, graph: Graph) -> Found:
        x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[weight]]
        behind = bool(node.attrs.get("channels_last", 0)) if last is None else last
        spatial = x[1:-1] if behind else x[2:]
        sizes = windows(node, spatial, w[2:])
        return {node.outputs[0]: (x[0], *sizes, w[0]) if behind else (x[0], w[0], *sizes)}

    return rule


def transposed(node: Node, graph: Graph) -> Found:
    """ConvTranspose, and the form whose pads are its third input."""
    x, w = graph.shapes[node.inputs[0]], graph.shapes[node.inputs[1]]
    rank = len(w) - 2
    ends = _pads(node, rank)
    if node.op == "ConvTransposeWithDynamicPads":
        pads = graph.value(node.input(2))
        ends = [int(p) for p in pads.reshape(-1)] if pads is not None else [0] * 2 * rank
    sizes = transposed_sizes(node, x[2:], w[2:], ends)
    return {node.outputs[0]: (x[0], w[1] * int(node.attrs.get("group", 1)), *sizes)}


def pool(node: Node, graph: Graph) -> Found:
    """Pools with a window; MaxPool may give the places of its results as well."""
    x = graph.shapes[node.inputs[0]]
    last = node.op == "NhwcMaxPool" or bool(node.attrs.get("channels_last", 0))
    kernel = tuple(node.ints("kernel_shape", []))
    sizes = windows(node, x[1:-1] if last else x[2:], kernel, pooled=True)
    shape = (x[0], *sizes, x[-1]) if last else (*x[:2], *sizes)
    return dict.fromkeys(filter(None, node.outputs), shape)


def global_pool(node: Node, graph: Graph) -> Found:
    x = graph.shapes[node.inputs[0]]
    ones = (1,) * (len(x) - 2)
    last = bool(node.attrs.get("channels_last", 0))
    return {node.outputs[0]: (x[0], *ones, x[-1]) if last else (*x[:2], *ones)}


def _unlike_onnx(node: Node) -> bool:
    return bool(node.attrs.get("ceil_mode", 0)) or (_same(node) and _dilated(node))


def _cropping(node: Node) -> bool:
    return _same(node) or "output_shape" in node.attrs


#: Standard operators whose shapes onnx infers wrongly, and of which of their nodes.
CORRECTED: dict[str, Callable[[Node], bool]] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _unlike_onnx),
    "ConvTranspose": _cropping,
}
#: Rules of standard operators; also those that onnx infers as well.
WINDOW_RULES: dict[str, Callable[[Node, Graph], Found]] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pool),
    "ConvTranspose": transposed,
}


def _by_rule(node: Node, graph: Graph) -> Found:
    """What the rule gives; nothing for a node that is not valid or reads what is not known."""
    try:
        return WINDOW_RULES[node.op](node, graph)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, TypeError):
        return {}


def correct_shapes(graph: Graph) -> bool:
    """Replaces shapes that onnx infers wrongly, and drops what was inferred from those.

    Returns:
        Whether there was one.
    """
    doubtful: set[str] = set()
    for node in graph.nodes:
        captures = node.op in CONTROL  # its bodies may read anything
        if doubtful and (captures or not doubtful.isdisjoint(node.inputs)):
            for name in filter(None, node.outputs):
                graph.forget(name)
                doubtful.add(name)
        elif not node.domain and node.op in CORRECTED and CORRECTED[node.op](node):
            for name, shape in _by_rule(node, graph).items():
                if graph.shapes.get(name, shape) != shape:
                    doubtful.add(name)
                    graph.forget(name)
                    graph.learn(name, 0, shape)
    return bool(doubtful)


def unlike_the_standard(graph: Graph) -> list[str]:
    """Remarks on pools whose result ONNX Runtime makes smaller than the standard has it."""
    found = []
    for node in graph.nodes:
        pools = node.op in WINDOW_RULES and node.op.endswith("Pool") and not node.domain
        if not pools or not (_same(node) and _dilated(node)) or node.name not in graph.live:
            continue
        x, y = graph.shapes.get(node.inputs[0]), graph.shapes.get(node.outputs[0])
        if x is None or y is None:
            continue
        strides = node.ints("strides", [1] * len(x[2:]))
        standard = tuple(-(-n // s) for n, s in zip(x[2:], strides, strict=True))
        if standard != y[2:]:
            ours, theirs = ("x".join(map(str, sizes)) for sizes in (y[2:], standard))
            found.append(
                f"node {node.name!r} ({node.op}): {ours} as ONNX Runtime computes it, {theirs} by "
                f"the standard (auto_pad={node.attrs['auto_pad']} with dilations)"
            )
    return found
