"""From a torch module to a small ONNX graph without weights.

Weights become ``ConstantOfShape`` nodes: every reader sees their shapes, no file holds data.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnxscript import optimizer
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

#: Opset of the exported graphs: LayerNormalization (17), Gelu (20) exist.
OPSET = 20
#: Floating-point constants with more elements than this count as weights and lose their values.
KEPT_ELEMENTS = 16
#: Value of every element of a weight: not zero, so that no reader takes weights for sparse.
FILL = 0.02
#: Metadata key of the modules that a node comes from.
SCOPES = "pkg.torch.onnx.name_scopes"
#: Prefix of the names inside the wrapping modules of the zoo, left out of the graphs.
WRAPPER = "network."
#: Attributes of convolutions and pooling that mean nothing when all their entries are these.
NEUTRAL = {"strides": 1, "dilations": 1, "pads": 0}
#: Graphs above this many bytes name their inner tensors by number.
LONG_NAMES_BYTES = 200_000
#: Operators that only change the layout of a weight.
LAYOUT_OPS = frozenset(
    {"Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Cast", "Expand", "Gather"}
)


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How one network is built.

    Attributes:
        build: returns the network in evaluation mode.
        inputs: input name -> shape (N, ...), in the order of ``forward``.
        integers: names of the inputs that hold int64 indices.
        fake: build without allocating weights; false where initialization needs values.
    """

    build: Callable[[], torch.nn.Module]
    inputs: dict[str, tuple[int, ...]]
    integers: frozenset[str] = frozenset()
    fake: bool = True

    def examples(self) -> tuple[torch.Tensor, ...]:
        """One zero tensor per input."""
        return tuple(
            torch.zeros(shape, dtype=torch.int64 if name in self.integers else torch.float32)
            for name, shape in self.inputs.items()
        )


def image(height: int, width: int | None = None, *, name: str = "image") -> dict[str, Shape]:
    """One RGB image, ``height`` x ``width`` (square by default)."""
    return {name: (1, 3, height, width or height)}


def export_graph(name: str, recipe: Recipe) -> tuple[onnx.ModelProto, int]:
    """The weightless graph of one network and its number of trainable parameters."""
    if recipe.fake:
        with FakeTensorMode():
            model, params = _exported(recipe)
    else:
        torch.manual_seed(0)
        model, params = _exported(recipe)
    graph = model.graph
    for value, input_name in zip(graph.inputs, recipe.inputs, strict=True):
        value.name = input_name
    weights = _weights_as_inputs(graph)
    optimizer.optimize(model)
    weights += _constants_as_weights(graph)
    _fold_layouts(graph, weights)
    _join_tied_products(graph, weights)
    _drop_zero_bias(graph)
    _drop_nan_guards(graph)
    _drop_neutral(graph)
    _follow_sizes(graph)
    _remove_unused(graph)
    _rename(graph)
    _weights_as_nodes(graph, weights)
    proto = _cleaned(model, name)
    if proto.ByteSize() > LONG_NAMES_BYTES:
        _number_tensors(proto.graph)
    return proto, params


def _exported(recipe: Recipe) -> tuple[ir.Model, int]:
    network = recipe.build().eval()
    params = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        program = torch.export.export(network, recipe.examples(), strict=False)
        exported = torch.onnx.export(
            program, dynamo=True, optimize=False, opset_version=OPSET, verbose=False
        )
    if exported is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return exported.model, params


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value
    floating = value.dtype is not None and value.dtype.is_floating_point()
    return tensor is not None and floating and tensor.size > KEPT_ELEMENTS


def _weights_as_inputs(graph: ir.Graph) -> list[ir.Value]:
    """Turns weights into graph inputs, so that the optimizer cannot ask for their values."""
    weights = []
    for value in list(graph.initializers.values()):
        raw = getattr(value.const_value, "raw", None)
        parameter = isinstance(raw, torch.Tensor) and raw.is_floating_point() and raw.dim() > 0
        if parameter or isinstance(raw, FakeTensor):
            weights.append(_without_data(graph, value))
    graph.inputs.extend(weights)
    return weights


def _without_data(graph: ir.Graph, value: ir.Value) -> ir.Value:
    del graph.initializers[value.name or ""]
    value.const_value = None
    return value


def _constants_as_weights(graph: ir.Graph) -> list[ir.Value]:
    """Large tensors that the optimizer computed (masks, position tables) become weights."""
    large = [v for v in graph.initializers.values() if _is_weight(v) and not _is_zero(v)]
    return [_without_data(graph, value) for value in large]


def _is_zero(value: ir.Value | None) -> bool:
    return (
        value is not None
        and value.const_value is not None
        and not np.any(value.const_value.numpy())
    )


def _fold_layouts(graph: ir.Graph, weights: list[ir.Value]) -> None:
    """Replaces a layout change of a weight used once by a weight of the new shape."""
    pending = list(weights)
    while pending:
        weight = pending.pop()
        uses = list(weight.uses())
        if len(uses) != 1 or uses[0].idx != 0 or uses[0].node.op_type not in LAYOUT_OPS:
            continue
        node = uses[0].node
        output = node.outputs[0]
        if node.op_type == "Gather" and not _takes_all(node):
            continue
        if _elements(output) is None or _elements(output) != _elements(weight):
            continue
        weight.shape, weight.type = output.shape, output.type
        ir.convenience.replace_all_uses_with(output, weight)
        graph.remove(node, safe=True)
        pending.append(weight)


def _takes_all(gather: ir.Node) -> bool:
    """Whether a Gather picks every row of a table in order (all the positions of a model)."""
    picked = gather.inputs[1]
    if picked is None or picked.const_value is None:
        return False
    return np.array_equal(picked.const_value.numpy().ravel(), np.arange(picked.const_value.size))


def _elements(value: ir.Value) -> int | None:
    """Number of elements, or None when the shape is not static."""
    if value.shape is None or not value.shape.is_static():
        return None
    return math.prod(value.shape.numpy())


def _drop_zero_bias(graph: ir.Graph) -> None:
    """Removes the zero bias that the exporter adds to convolutions without one."""
    for node in graph:
        biased = node.op_type in {"Conv", "ConvTranspose"} and len(node.inputs) == 3
        if biased and _is_zero(node.inputs[2]):
            node.resize_inputs(2)


def _join_tied_products(graph: ir.Graph, weights: Iterable[ir.Value]) -> None:
    """Turns ``MatMul(x, Transpose(w))`` with a matrix x and a shared w into one Gemm."""
    for weight in weights:
        for use in list(weight.uses()):
            transposed = use.node.outputs[0]
            products = list(transposed.uses())
            if use.node.op_type != "Transpose" or len(products) != 1:
                continue
            product = products[0].node
            left = product.inputs[0]
            matrix = left is not None and left.shape is not None and left.shape.rank() == 2
            if product.op_type != "MatMul" or products[0].idx != 1 or not matrix:
                continue
            gemm = ir.node("Gemm", [left, weight], {"transB": 1})
            gemm.metadata_props.update(product.metadata_props)
            gemm.outputs[0].shape = product.outputs[0].shape
            gemm.outputs[0].type = product.outputs[0].type
            graph.insert_before(product, gemm)
            ir.convenience.replace_all_uses_with(
                product.outputs[0], gemm.outputs[0], replace_graph_outputs=True
            )
            graph.remove([product], safe=True)
            graph.remove([use.node], safe=True)


def _drop_nan_guards(graph: ir.Graph) -> None:
    """Removes ``Where(IsNaN(x), 0, x)``, which the exporter puts around a softmax."""
    for node in list(graph):
        if node.op_type != "Where" or node.inputs[0] is None:
            continue
        test = node.inputs[0].producer()
        if test is None or test.op_type != "IsNaN" or test.inputs[0] is not node.inputs[2]:
            continue
        if test.inputs[0] is not None:
            ir.convenience.replace_all_uses_with(node.outputs[0], test.inputs[0])
            graph.remove(node, safe=True)


def _drop_neutral(graph: ir.Graph) -> None:
    """Removes masks that mask nothing: an addition of zero or of ``Where(true, 0, x)``."""
    for node in list(graph):
        kept, added = node.inputs[:2] if node.op_type == "Add" else (None, None)
        if kept is None or added is None:
            continue
        mask = added.producer()
        if mask is not None and mask.op_type == "Where" and _is_true(mask.inputs[0]):
            added = mask.inputs[1]
        if _is_zero(added) and kept.shape == node.outputs[0].shape:
            ir.convenience.replace_all_uses_with(node.outputs[0], kept)
            graph.remove(node, safe=True)


def _is_true(value: ir.Value | None) -> bool:
    """Whether a constant, or one that is only widened, holds nothing but true."""
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type == "Expand":
        value = maker.inputs[0]
    return (
        value is not None
        and value.const_value is not None
        and bool(np.all(value.const_value.numpy()))
    )


def _follow_sizes(graph: ir.Graph) -> None:
    """Lets a Resize with constant sizes take them from the tensor it is meant to match.

    The sizes then follow the input resolution. The tensor is the input image for a final
    upsampling, otherwise the last one before the Resize that has these sizes.
    """
    images: list[ir.Value] = []
    for node in list(graph):
        if node.op_type == "Resize" and len(node.inputs) == 4 and node.inputs[3] is not None:
            sizes = node.inputs[3].const_value
            wanted = () if sizes is None else tuple(int(n) for n in sizes.numpy())
            source = node.inputs[0]
            if source is not None and source.shape == wanted:
                ir.convenience.replace_all_uses_with(node.outputs[0], source)
                graph.remove(node, safe=True)
                continue
            if wanted:
                _follow(graph, node, wanted, [*images, *graph.inputs])
        images += [v for v in node.outputs if v.shape is not None and v.shape.rank() == 4]


def _follow(
    graph: ir.Graph, node: ir.Node, sizes: tuple[int, ...], images: Sequence[ir.Value]
) -> None:
    same = (v for v in reversed(images) if v.shape is not None and v.shape[2:] == sizes[2:])
    like = next(same, None)
    if like is None:
        return
    shape = ir.node("Shape", [like], attributes={"start": 2, "end": 4})
    fixed = _integers(graph, f"sizes_{sizes[0]}_{sizes[1]}", sizes[:2])
    joined = ir.node("Concat", [fixed, shape.outputs[0]], attributes={"axis": 0})
    for new in (shape, joined):
        new.metadata_props.update(node.metadata_props)
    graph.insert_before(node, [shape, joined])
    node.replace_input_with(3, joined.outputs[0])


def _remove_unused(graph: ir.Graph) -> None:
    """Drops nodes and initializers whose results nobody reads."""
    outputs = set(graph.outputs)
    for node in reversed(list(graph)):
        if all(not v.uses() and v not in outputs for v in node.outputs):
            graph.remove(node, safe=True)
    for key, value in list(graph.initializers.items()):
        if not value.uses():
            del graph.initializers[key]


def _rename(graph: ir.Graph) -> None:
    """Names nodes ``module.path/Op`` after the module they come from, and tensors after nodes."""
    used: dict[str, int] = {}
    for node in graph:
        path = _module_path(node)
        stem = f"{path}/{node.op_type}" if path else node.op_type
        used[stem] = used.get(stem, 0) + 1
        node.name = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
        for index, value in enumerate(node.outputs):
            if value.name:
                value.name = node.name if index == 0 else f"{node.name}:{index}"
    for index, value in enumerate(graph.outputs):
        value.name = "output" if len(graph.outputs) == 1 else f"output_{index}"


def _module_path(node: ir.Node) -> str:
    """Path of the module a node comes from; nodes the optimizer made take their input's."""
    while SCOPES not in node.metadata_props:
        before = node.inputs[0].producer() if node.inputs and node.inputs[0] else None
        if before is None:
            return ""
        node = before
    paths: list[str] = ast.literal_eval(node.metadata_props[SCOPES])
    return paths[-2].removeprefix(WRAPPER) if len(paths) > 1 else ""


def _weights_as_nodes(graph: ir.Graph, weights: Iterable[ir.Value]) -> None:
    """Puts one ConstantOfShape node at the front of the graph for every used weight."""
    nodes: list[ir.Node] = []
    kept = set(graph.inputs)
    for weight in weights:
        kept.discard(weight)
        if not weight.uses() or weight.shape is None or weight.dtype is None:
            continue
        dims = weight.shape.numpy()
        shape = _integers(graph, "shape_" + ("x".join(map(str, dims)) or "scalar"), dims)
        fill = np.array([FILL]).astype(weight.dtype.numpy())
        name = (weight.name or "").removeprefix(WRAPPER)
        node = ir.node("ConstantOfShape", [shape], {"value": ir.tensor(fill)}, name=name)
        node.outputs[0].name = name
        ir.convenience.replace_all_uses_with(weight, node.outputs[0])
        nodes.append(node)
    inputs = [v for v in graph.inputs if v in kept]
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    if nodes:
        graph.insert_before(graph[0], nodes)


def _integers(graph: ir.Graph, name: str, values: Sequence[int]) -> ir.Value:
    """The int64 initializer of that name, made on first use."""
    if name not in graph.initializers:
        tensor = ir.tensor(np.array(values, dtype=np.int64), name=name)
        value = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), const_value=tensor)
        value.shape = ir.Shape([len(values)])
        graph.initializers[name] = value
    return graph.initializers[name]


def _cleaned(model: ir.Model, name: str) -> onnx.ModelProto:
    """The protobuf without metadata, doc strings and inferred shapes (readers infer them)."""
    proto = ir.to_proto(model)
    graph = proto.graph
    del proto.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    del graph.quantization_annotation[:]
    proto.doc_string = graph.doc_string = proto.producer_version = ""
    proto.producer_name, graph.name = "models/export.py", name
    version = next(o.version for o in proto.opset_import if not o.domain)
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        _drop_defaults(node, version)
        if node.name == node.output[0]:
            node.name = ""  # readers call a node without a name after its first output
    for item in (*graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    for opset in list(proto.opset_import):
        if opset.domain and not any(n.domain == opset.domain for n in graph.node):
            proto.opset_import.remove(opset)
    return proto


def _drop_defaults(node: onnx.NodeProto, opset: int) -> None:
    """Removes the attributes that say what the operator does without them."""
    if node.domain:
        return
    known = onnx.defs.get_schema(node.op_type, opset, "").attributes
    kept = []
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        default = known[attribute.name].default_value
        same = bool(default.type) and onnx.helper.get_attribute_value(default) == value
        neutral = attribute.name in NEUTRAL and set(value) == {NEUTRAL[attribute.name]}
        if not same and not neutral:
            kept.append(attribute)
    del node.attribute[:]
    node.attribute.extend(kept)


def _number_tensors(graph: onnx.GraphProto) -> None:
    """Renames inner tensors to ``t1``, ``t2`` ...; nodes keep (or take on) their names."""
    kept = {v.name for v in (*graph.input, *graph.output)}
    inner = [o for n in graph.node for o in n.output if o and o not in kept]
    inner += [i.name for i in graph.initializer]
    short = {name: f"t{index}" for index, name in enumerate(inner)}
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            node.name = node.name or node.output[0]
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
