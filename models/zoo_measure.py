"""Figures and checks of a graph: multiply-accumulates, inferred shapes, other resolutions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as refusal

#: Ways in which ONNX Runtime refuses a graph.
REFUSALS = (refusal.Fail, refusal.InvalidArgument, refusal.InvalidGraph, refusal.RuntimeException)


class GraphFault(Exception):
    """A graph that does not do what the zoo promises."""


def inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Static shape of every tensor.

    Raises:
        GraphFault: if a shape stays unknown.
    """
    graph = onnx.shape_inference.infer_shapes(
        model, check_type=True, strict_mode=True, data_prop=True
    ).graph
    shapes: dict[str, tuple[int, ...]] = {i.name: tuple(i.dims) for i in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    read = {i for n in graph.node for i in n.input} | {o.name for o in graph.output}
    missing = [o for n in graph.node for o in n.output if o in read and o not in shapes]
    if missing:
        raise GraphFault(f"{len(missing)} tensors without a shape, such as {missing[0]!r}")
    return shapes


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the convolutions and matrix products, for the static input.

    Per output element a convolution takes (input channels / groups) x kernel, a product its
    inner dimension; a transposed convolution takes (output channels / groups) x kernel per
    input element. Biases, normalization, activations and pooling are not counted.
    """
    shapes = inferred_shapes(model)
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "ConvTranspose":
            total += math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "MatMul":
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            inner = shapes[node.input[0]][0 if transposed else 1]
            total += math.prod(shapes[node.output[0]]) * inner
    return total


def input_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shape of every input that is not an initializer."""
    held = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in held]
    return {i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in inputs}


def count_params(model: onnx.ModelProto) -> int:
    """Elements of the weights, without the running statistics of normalizations."""
    shapes = inferred_shapes(model)
    statistics = {
        i for n in model.graph.node if n.op_type == "BatchNormalization" for i in n.input[3:]
    }
    weights = [n.output[0] for n in model.graph.node if n.op_type == "ConstantOfShape"]
    return sum(math.prod(shapes[w]) for w in weights if w not in statistics)


def op_counts(model: onnx.ModelProto) -> Counter[str]:
    """Number of nodes by operator type."""
    return Counter(node.op_type for node in model.graph.node)


def resized(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """A copy whose image inputs (rank 4) are ``height`` x ``width``."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inputs = input_shapes(model)
    for value in (v for v in copy.graph.input if v.name in inputs):
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4:
            dims[2].dim_value, dims[3].dim_value = height, width
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy


def is_resizable(model: onnx.ModelProto, height: int, width: int, execute: bool) -> bool:
    """Whether shape inference, and execution if asked for, work at another resolution."""
    try:
        other = resized(model, height, width)
        return runs(other, execute) and count_macs(other) != count_macs(model)
    except (GraphFault, onnx.shape_inference.InferenceError, *REFUSALS):
        return False


def runs(model: onnx.ModelProto, execute: bool) -> bool:
    """Whether ONNX Runtime loads the graph and, if executed, computes the inferred shapes."""
    shapes = inferred_shapes(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    if not execute:
        return True
    feeds = {
        i.name: np.zeros(i.shape, dtype=np.int64 if "int64" in i.type else np.float32)
        for i in session.get_inputs()
    }
    names = [o.name for o in session.get_outputs()]
    results = session.run(names, feeds)
    return all(r.shape == shapes[n] for n, r in zip(names, results, strict=True))
