"""What a file stores beside its quantized weights: scales, zero points, orders of groups.

They are read with the weights, so they are part of what is stored (``Workload.stored_bytes``), in
the element type that the file gives them. Those that vary along the depth of a product (a scale for
each block of weights) stream into the array with the weights and count in ``b_elements`` of the
layer, in numbers of 32 bits; those of a channel or a tensor belong to the scaling of its result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import onnx

from dse.workload.dialects import NARROW, PLAIN, REAL
from dse.workload.graph import Graph, Node
from dse.workload.layer import Layer, Tensor
from dse.workload.lower import Lowered
from dse.workload.quantization import REACH, stored_format

#: Operands with scale, zero point or order of a stored operand, by operator.
_PLACES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), (4, 5)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), (3,)),
    "MatMulIntegerToFloat": (3, 5),
    "DynamicQuantizeMatMul": (2, 3),
    "DynamicQuantizeLSTM": (8, 9, 10, 11),
    "QAttention": (4, 7),
    "QEmbedLayerNormalization": tuple(range(8, 18)),
    "MatMulNBits": (2, 3, 4),
    "MatMulBnb4": (2,),
    "GatherBlockQuantized": (2, 3),
}
#: The same for the parts of QMoE, by the end of the layer's name; biases too.
_EXPERTS = {"first": (3, 4, 11), "second": (6, 7, 12), "gate": (9, 10, 13)}
#: Operators whose scales all stream with the weights.
_BLOCKED = frozenset({"MatMulNBits", "MatMulBnb4", "QMoE"})
#: Nodes that make real numbers of whole ones, with scale and zero point as further operands.
_SCALING = frozenset({"DequantizeLinear", "Mul", "Div", "Sub", "Add"})
_TYPE = onnx.TensorProto
#: Number format with the bits of each element type; those of 64 bits count as two numbers.
_WHOLE: dict[int, str] = {
    **dict.fromkeys(map(int, (_TYPE.BOOL, _TYPE.STRING)), "int8"),
    **dict.fromkeys(map(int, (_TYPE.INT32, _TYPE.UINT32, _TYPE.INT64, _TYPE.UINT64)), "int32"),
}
_DOUBLE: frozenset[int] = frozenset(map(int, (_TYPE.DOUBLE, _TYPE.INT64, _TYPE.UINT64)))


def with_scales(graph: Graph, lowered: Lowered) -> Lowered:
    """``lowered`` with the tensors that are stored beside its weights, tables and biases."""
    nodes = {node.name: node for node in graph.nodes}
    tensors: dict[str, Tensor] = {}
    layers: list[Layer] = []
    for layer in lowered.layers:
        found: dict[str, bool] = {}
        for name, streams in _beside(layer, graph, nodes):
            found[name] = streams or found.get(name, False)
        found = {name: s for name, s in found.items() if name not in lowered.tensors}
        tensors |= {name: _tensor(name, graph) for name in found}
        layers.append(_beside_weights(layer, found, tensors, graph) if found else layer)
    if not tensors:
        return lowered
    return replace(
        lowered,
        layers=tuple(layers),
        tensors={**lowered.tensors, **tensors},
        beside={name: tensor.format for name, tensor in tensors.items()},
    )


def _beside(layer: Layer, graph: Graph, nodes: Mapping[str, Node]) -> Iterator[tuple[str, bool]]:
    """Stored tensors beside those that a layer reads, and whether they stream with the weights."""
    for own in layer.nodes:
        node = nodes.get(own)
        if node is None:
            continue
        places = _PLACES.get(node.op, ())
        if node.op == "QMoE":
            places = _EXPERTS[layer.name.rpartition(":")[2]]
        for place in places:
            name = node.input(place)
            if name is not None and graph.is_const(name):
                yield _root(name, graph), node.op in _BLOCKED
    for name in layer.inputs:
        if graph.is_const(name):
            streams = name == layer.w_tensor and layer.kind == "compute"
            yield from ((n, s and streams) for n, s in _behind(name, graph))


def _behind(name: str, graph: Graph) -> Iterator[tuple[str, bool]]:
    """Scales and zero points by which a stored tensor became the real one that a layer reads, and
    whether they differ along more than one axis."""
    if stored_format(name, graph) in (None, *PLAIN):
        return
    for _ in range(REACH):
        node = graph.producers.get(name)
        if node is None or not any(node.inputs):
            return
        known = [n for n in node.inputs if n]
        main = known[0]
        if node.op != "DequantizeLinear":
            main = max(known, key=lambda n: math.prod(graph.shapes.get(n, ())))
        if (node.op in _SCALING and not node.domain) or node.op == "DequantizeLinear":
            for other in known:
                if other != main and graph.is_const(other):
                    several = sum(n > 1 for n in graph.shapes.get(other, ())) > 1
                    yield _root(other, graph), several or bool(node.attrs.get("block_size"))
        name = main


def _root(name: str, graph: Graph) -> str:
    """The stored tensor that a constant operand is made of."""
    for _ in range(REACH):
        node = graph.producers.get(name)
        known = [n for n in node.inputs if n in graph.shapes] if node is not None else []
        if not known:
            break
        name = max(known, key=lambda n: math.prod(graph.shapes[n]))
    return name


def _tensor(name: str, graph: Graph) -> Tensor:
    kind = graph.types.get(name, int(_TYPE.FLOAT))
    form = NARROW.get(kind) or REAL.get(kind) or _WHOLE.get(kind, "fp32")
    shape = graph.shapes.get(name, (1,))
    return Tensor(name, (*shape, 2) if kind in _DOUBLE else shape, "bias", form)


def _beside_weights(
    layer: Layer, found: Mapping[str, bool], tensors: Mapping[str, Tensor], graph: Graph
) -> Layer:
    held = sum(tensors[name].bytes for name, streams in found.items() if streams)
    if layer.op == "QMoE" and layer.nest is not None:  # of the experts that are read
        count = max((graph.shapes[n][0] for n in found if graph.shapes.get(n)), default=1)
        held = held * layer.nest.G // max(layer.nest.G, count)
    inputs = dict.fromkeys((*layer.inputs, *found))
    return replace(layer, inputs=tuple(inputs), b_elements=layer.b_elements + -(-held // 4))
