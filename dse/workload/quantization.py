"""The precision that a file brings along: formats by tensor, read off its quantizers and types.

A file is quantized if an operand of a product (or a dequantized table) is. Then every tensor has
the format that the file gives it: what a quantizer wrote has that one, what no quantizer touched
stays in the real type of the file. A file that quantizes its weights alone so runs with real
activations. Any other file leaves the formats open.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onnx import TensorProto

from dse.workload.dialects import (
    INTEGER_OPS,
    NARROW,
    PLAIN,
    REAL,
    integer_format,
    is_formatting,
    quantized_format,
)
from dse.workload.graph import DIALECT, Graph, Node
from dse.workload.layer import Layer
from dse.workload.lower import Lowered
from dse.workload.precision import Precision, bits_of

#: Operators of the moving operand 0 that they round to 8 bit by themselves.
_ROUNDS_ITSELF = frozenset({"DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
#: Vector operators whose results are among their operands: they keep the format.
_KEEPS = frozenset(
    {"MaxPool", "NhwcMaxPool", "MaxPoolNHWC", "GlobalMaxPool", "ReduceMax", "ReduceMin"}
    | {"Relu", "Clip", "Max", "Min"}
)
#: Nodes between a stored tensor and its reader that are followed back.
REACH = 64


@dataclass(frozen=True)
class FilePrecision:
    """What a quantized file says: formats by tensor, the precision they amount to, remarks."""

    formats: Mapping[str, str]
    native: Precision | None
    remarks: tuple[str, ...] = ()


def file_precision(graph: Graph, lowered: Lowered) -> FilePrecision:
    """The precision of a file; none if it is not quantized.

    Raises:
        InputError: a quantizer whose bits cannot be told.
    """
    if not _may_be_quantized(graph, lowered):
        return FilePrecision({}, None)
    formats, touched = _quantized(graph, lowered)
    for name, tensor in lowered.tensors.items():
        if tensor.role in ("weight", "table"):
            form = lowered.stored_formats.get(name) or stored_format(name, graph)
            if form is not None:
                formats[name] = form
            if (node := graph.producers.get(name)) and quantized_format(node, graph):
                touched.add(name)
    products = [layer for layer in lowered.layers if layer.kind == "compute"]
    for layer in products:
        if layer.name in lowered.prescribed and layer.w_tensor is not None:
            formats[layer.w_tensor] = lowered.prescribed[layer.name]
    if not _is_quantized(graph, lowered, products, formats, touched):
        return FilePrecision({}, None)
    _keep(graph, lowered, formats)
    integer = _is_integer(graph)
    real = _real_type(graph)
    untouched: list[str] = []
    if not integer:
        untouched = _fill(graph, lowered, formats, real)
    bare = _bare_weights(products, formats)
    for name in bare:
        formats.pop(name, None)
    weights = [_weight_format(x, lowered, formats) for x in products]
    moving = [formats.get(_moving(x) or "") for x in products]
    others = [formats[n] for n, t in lowered.tensors.items() if t.role in _MOVES and n in formats]
    native = Precision(
        weights=_usual(weights) or "int8",
        activations=_usual(moving) or _usual(others) or ("int8" if integer else real),
    )
    if not native.weights.startswith("int"):
        native = replace(native, method="float")
    for name, tensor in lowered.tensors.items():
        if tensor.role == "bias" and (form := stored_format(name, graph)) is not None:
            formats[name] = form
    return FilePrecision(formats, native, _remarks(products, native, untouched, bare))


_MOVES = ("input", "activation", "output", "kv")


def _may_be_quantized(graph: Graph, lowered: Lowered) -> bool:
    """Whether anything at all hints at quantization: most files have nothing of the kind."""
    return bool(
        lowered.prescribed
        or lowered.stored_formats
        or graph.noted
        or not NARROW.keys().isdisjoint(graph.types.values())
        or any(node.domain == DIALECT or node.op == "QuantizeLinear" for node in graph.nodes)
    )


def _quantized(graph: Graph, lowered: Lowered) -> tuple[dict[str, str], set[str]]:
    """Formats of activations: by type, by note, and by quantizers; which ones those touch."""
    formats: dict[str, str] = {}
    touched: set[str] = set()
    products = {x.name for x in lowered.layers if x.kind == "compute"}
    read = {n for x in lowered.layers if x.name in products for n in x.inputs}
    for name in lowered.tensors:
        own = NARROW.get(graph.types.get(name, 0))
        if own is not None and (name in graph.producers or name in read):
            formats[name] = own
        if (noted := graph.noted.get(name)) is not None:
            formats[name] = noted
    for node in graph.nodes:
        if node.name not in graph.live or graph.is_folded(node):
            continue
        if node.op in _ROUNDS_ITSELF:
            name, form = node.inputs[0], "int8"
        else:
            found = quantized_format(node, graph)
            if found is None:
                continue
            name, form = node.outputs[0], found
        for root in lowered.aliases.get(name, (name,)):
            if root in lowered.tensors and not graph.is_const(root):
                formats[root] = form
                touched.add(root)
    return formats, touched


def stored_format(name: str, graph: Graph) -> str | None:
    """The format in which a stored tensor lies in the file, behind what is done to it beforehand.

    Followed back is the largest operand of each node: scales are smaller than what they scale.
    """
    for _ in range(REACH):
        if (noted := graph.noted.get(name)) is not None:
            return noted
        if (own := NARROW.get(graph.types.get(name, 0))) is not None and (
            name not in graph.producers or not _narrows_more(name, graph)
        ):
            return own
        node = graph.producers.get(name)
        if node is None or not any(node.inputs):
            break
        form = quantized_format(node, graph) or _unpacked(node, graph)
        if form is not None:
            return form
        if is_formatting(node, graph):
            name = node.inputs[0]
        else:
            known = [n for n in node.inputs if n]
            name = max(known, key=lambda n: math.prod(graph.shapes.get(n, ())))
    return REAL.get(graph.types.get(name, 0))


def _unpacked(node: Node, graph: Graph) -> str | None:
    """The format of numbers that lie several in a byte, cut out by a mask or a shift."""
    own = NARROW.get(graph.types.get(node.inputs[0], 0), "")
    operand = graph.scalar(node.input(1))
    if not own.startswith("int") or operand is None or node.domain:
        return None
    if node.op == "BitwiseAnd" and operand > 0 and math.log2(operand + 1).is_integer():
        return integer_format(math.log2(operand + 1))
    if node.op == "BitShift" and 0 < operand < bits_of(own):
        return integer_format(bits_of(own) - operand)
    return None


def _narrows_more(name: str, graph: Graph) -> bool:
    """Whether a tensor of a narrow type is written by what leaves fewer bits (a Clip)."""
    node = graph.producers[name]
    return quantized_format(node, graph) is not None or node.op not in ("Constant", "Cast")


def _is_quantized(
    graph: Graph,
    lowered: Lowered,
    products: list[Layer],
    formats: Mapping[str, str],
    touched: set[str],
) -> bool:
    if lowered.prescribed or lowered.stored_formats or _is_integer(graph):
        return True
    operands = (n for x in products for n in (x.w_tensor, _moving(x)) if n)
    if any(n in touched or formats.get(n, "fp32") not in PLAIN for n in operands):
        return True
    return any(
        tensor.role == "table"
        and formats.get(name, "fp32") not in PLAIN
        and graph.types.get(name) in REAL
        for name, tensor in lowered.tensors.items()
    )


def _is_integer(graph: Graph) -> bool:
    """Whether it is a network of integers that the file types as real numbers."""
    return any(n.domain == DIALECT and n.op in INTEGER_OPS for n in graph.nodes)


def _moving(layer: Layer) -> str | None:
    """The operand of a product that is no weight."""
    return next((n for n in layer.inputs if n != layer.w_tensor), None) or next(
        iter(layer.inputs), None
    )


def _keep(graph: Graph, lowered: Lowered, formats: dict[str, str]) -> None:
    """Hands formats on through layers that only pick or move numbers."""
    ops = {node.name: node for node in graph.nodes}
    for layer in lowered.layers:
        if layer.kind == "vector":
            nodes = [ops[n] for n in layer.nodes if n in ops]
            if not all(n.op in _KEEPS or _silent(n, graph) for n in nodes):
                continue
        elif layer.kind != "movement":
            continue
        read = [formats.get(n) for n in layer.inputs]
        known = [form for form in read if form is not None and form not in PLAIN]
        if known and len(known) == len(read):
            for name in layer.outputs:
                formats.setdefault(name, max(known, key=bits_of))


def _silent(node: Node, graph: Graph) -> bool:
    if node.op in ("Resize", "Upsample"):
        return str(node.attrs.get("mode", "nearest")) == "nearest"
    return is_formatting(node, graph) or node.op in ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def _real_type(graph: Graph) -> str:
    """The real format that most inputs of the graph (else most tensors) are typed as."""
    for names in (graph.inputs, graph.types):
        kinds = [REAL[k] for n in names if (k := graph.types.get(n, 0)) in REAL]
        if kinds:
            return Counter(kinds).most_common(1)[0][0]
    return "fp32"


def _fill(graph: Graph, lowered: Lowered, formats: dict[str, str], real: str) -> list[str]:
    """Gives tensors that nothing quantizes the real type of the file; names those activations.

    Tensors between the layers of one operator follow what they are computed from.
    """
    untouched: list[str] = []
    sums = {n for x in lowered.layers if x.kind == "compute" for n in x.outputs}
    for name, tensor in lowered.tensors.items():
        kind = graph.types.get(name, 0)
        if name in formats or tensor.role not in (*_MOVES, "table"):
            continue
        if kind == TensorProto.INT32 and tensor.role in _MOVES and name in sums:
            formats[name] = "int32"
        elif kind in REAL or (kind == 0 and name in graph.shapes):
            formats[name] = REAL.get(kind, real)
            if tensor.role in _MOVES:
                untouched.append(name)
    for layer in lowered.layers:
        inner = [n for n in layer.outputs if n not in formats and n not in graph.types]
        source = formats.get(_moving(layer) or "")
        if source in PLAIN:
            formats.update(dict.fromkeys(inner, source))
    return untouched


def _bare_weights(products: Iterable[Layer], formats: Mapping[str, str]) -> list[str]:
    """Real weights that meet whole-number activations: no unit multiplies the two as they are."""
    return [
        layer.w_tensor
        for layer in products
        if layer.w_tensor is not None
        and not layer.w_is_activation
        and formats.get(layer.w_tensor, "fp32") in PLAIN
        and formats.get(_moving(layer) or "", "int8") not in PLAIN
    ]


def _weight_format(layer: Layer, lowered: Lowered, formats: Mapping[str, str]) -> str | None:
    if layer.name in lowered.prescribed:
        return lowered.prescribed[layer.name]
    if layer.w_tensor is None or layer.w_is_activation:
        return None
    return formats.get(layer.w_tensor)


def _usual(formats: Iterable[str | None]) -> str | None:
    """The commonest format, quantized ones first."""
    known = [form for form in formats if form is not None]
    chosen = [form for form in known if form not in PLAIN] or known
    return Counter(chosen).most_common(1)[0][0] if chosen else None


def _remarks(
    products: list[Layer], native: Precision, untouched: list[str], bare: list[str]
) -> tuple[str, ...]:
    remarks = []
    plain = set(untouched)
    moving = list(dict.fromkeys(n for x in products if (n := _moving(x)) in plain and n))
    if native.activations in PLAIN:
        remarks.append(
            f"activations are {native.activations} as in the file, which quantizes weights alone; "
            "--precision w8a8 quantizes both"
        )
    elif moving:
        remarks.append(
            "operands of products that no quantizer touches stay real as in the file "
            f"({len(moving)}, such as {moving[0]!r}); --precision quantizes all"
        )
    if bare:
        remarks.append(
            "real weights that meet quantized activations are taken at "
            f"{native.weights} ({len(bare)}, such as {bare[0]!r})"
        )
    return tuple(remarks)
