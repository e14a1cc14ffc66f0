"""Operators that treat every element alike: activations, arithmetic, comparisons, casts."""

from __future__ import annotations

import onnx

from dse.workload.dialects import is_formatting
from dse.workload.graph import Node
from dse.workload.ops.draft import Context, Draft, Outcome, Rule, View, over_rows, vector
from dse.workload.ops.layout import only_products

#: Functions per result of operators of one tensor. A gated activation x·f(x) is a table and a
#: product: the table holds f, whose range is bounded. ``HardSwish`` is x·clip(x/6 + 1/2).
UNARY: dict[str, tuple[str, ...]] = {
    "Relu": ("relu",),
    "Clip": ("relu",),
    "ThresholdedRelu": ("relu",),
    "HardSigmoid": ("mul", "relu"),
    "HardSwish": ("mul", "relu", "mul"),
    "LeakyRelu": ("relu", "mul"),
    "PRelu": ("relu", "mul"),
    "Abs": ("relu",),
    "Sign": ("compare",),
    "Neg": ("mul",),
    "Sigmoid": ("lut",),
    "Tanh": ("lut",),
    "Erf": ("lut",),
    "Softplus": ("lut",),
    "Softsign": ("lut",),
    "Elu": ("lut",),
    "Selu": ("lut",),
    "Celu": ("lut",),
    "Log": ("lut",),
    "Silu": ("lut", "mul"),
    "Swish": ("lut", "mul"),
    "Gelu": ("lut", "mul"),
    "FastGelu": ("lut", "mul"),
    "QuickGelu": ("lut", "mul"),
    "Mish": ("lut", "mul"),
    "TableFunction": ("lut", "mul"),
    "Exp": ("exp",),
    "Sqrt": ("div",),
    "Reciprocal": ("div",),
    "Floor": ("copy",),
    "Ceil": ("copy",),
    "Round": ("copy",),
    "Not": ("compare",),
    "IsNaN": ("compare",),
    "IsInf": ("compare",),
    "Shrink": ("compare", "add"),
    "BitwiseNot": ("copy",),
    **dict.fromkeys(
        ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        ("lut",),
    ),
    "QLinearSigmoid": ("lut",),
    "QLinearLeakyRelu": ("lut",),
    # of no standard any more, but still in files
    "ImageScaler": ("mul", "add"),
    "Affine": ("mul", "add"),
    "Scale": ("mul",),
    "ScaledTanh": ("lut", "mul"),
    "ParametricSoftplus": ("lut", "mul"),
}
#: Activations that fused operators name by attribute.
ACTIVATIONS = {
    **{name: UNARY[name] for name in ("Relu", "Clip", "LeakyRelu", "Tanh", "Sigmoid")},
    "HardSigmoid": UNARY["HardSigmoid"],
    "Silu": UNARY["Silu"],
    "Swish": UNARY["Silu"],
}
#: Functions per result of operators of two tensors or more (per further operand).
BINARY: dict[str, tuple[str, ...]] = {
    "Add": ("add",),
    "Sub": ("add",),
    "Sum": ("add",),
    "Mean": ("add",),
    "Mul": ("mul",),
    "Div": ("div",),
    "Mod": ("div", "mul", "add"),
    "Max": ("compare",),
    "Min": ("compare",),
    "Equal": ("compare",),
    "Less": ("compare",),
    "LessOrEqual": ("compare",),
    "Greater": ("compare",),
    "GreaterOrEqual": ("compare",),
    "And": ("compare",),
    "Or": ("compare",),
    "Xor": ("compare",),
    "BitShift": ("mul",),
    "BitwiseAnd": ("compare",),
    "BitwiseOr": ("compare",),
    "BitwiseXor": ("compare",),
}
#: com.microsoft pairs with scales and zero points; operands stand at inputs 0 and 3.
QLINEAR_PAIRS = {"QLinearAdd": ("add",), "QLinearMul": ("mul",)}

_REAL = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    | {onnx.TensorProto.BFLOAT16}
)


def unary(node: Node, ctx: Context) -> Outcome:
    if is_formatting(node, ctx.graph):
        return View((node.inputs[0],), folded=True)
    n = ctx.graph.size(node.outputs[0], node)
    work: dict[str, int] = {}
    for function in UNARY[node.op]:
        work[function] = work.get(function, 0) + n
    weights = [node.inputs[1]] if node.op == "PRelu" and ctx.graph.is_const(node.input(1)) else []
    draft = vector(node, ctx, work, weights=weights, row_wise=True)
    draft.rectified = rectifies(node, ctx)
    return [draft]


def rectifies(node: Node, ctx: Context) -> bool:
    """Whether all negative inputs of an operator of one tensor become exactly zero."""
    if node.op != "Clip":
        return node.op in ("Relu", "ThresholdedRelu")
    low = node.attrs.get("min") if ctx.graph.opset < 11 else ctx.graph.scalar(node.input(1))
    return low == 0


def activated(draft: Draft, node: Node, ctx: Context) -> Draft:
    """``draft`` with the activation that a fused operator names by attribute."""
    activation = str(node.attrs.get("activation", ""))
    if activation:
        functions = ACTIVATIONS.get(activation)
        if functions is None:
            raise ctx.graph.fault(node, f"unknown activation {activation!r}", "write Relu apart")
        draft.work(functions, draft.o_elements)
        low = list(node.attrs.get("activation_params", ()))[:1]
        draft.linear, draft.rectified = (
            False,
            activation == "Relu" or (activation == "Clip" and low == [0]),
        )
    return draft


def binary_functions(node: Node, ctx: Context) -> tuple[str, ...]:
    """Functions per result; division by a constant is a multiplication."""
    if node.op == "Div" and ctx.graph.is_const(node.input(1)):
        return ("mul",)
    return BINARY[node.op]


def _is_factor(node: Node, ctx: Context) -> bool:
    """Whether the node multiplies or divides one tensor by a constant scalar."""
    graph = ctx.graph
    if node.op not in ("Mul", "Div") or len(node.inputs) != 2:
        return False
    constant = [graph.is_const(name) for name in node.inputs]
    if constant == [False, True]:
        return graph.size(node.inputs[1], node) == 1
    return node.op == "Mul" and constant == [True, False] and graph.size(node.inputs[0], node) == 1


def binary(node: Node, ctx: Context) -> Outcome:
    """Arithmetic and comparisons with broadcasting; one operation for each operand past the first.

    One operand alone (``Sum`` of one) is a view. A scalar factor of an operand of matrix products
    is folded into their scale.
    """
    if _is_factor(node, ctx) and only_products(node.outputs[0], ctx):
        return View(
            (node.inputs[0] if ctx.graph.is_const(node.inputs[1]) else node.inputs[1],), True
        )
    n = ctx.graph.size(node.outputs[0], node)
    operands = len([name for name in node.inputs if name])
    if operands == 1:
        return View((node.inputs[0],))
    work = dict.fromkeys(binary_functions(node, ctx), n * (operands - 1))
    if node.op == "Mean":
        work["mul"] = n
    return [vector(node, ctx, work, row_wise=True)]


def qlinear_pair(node: Node, ctx: Context) -> Outcome:
    n = ctx.graph.size(node.outputs[0], node)
    stored = [name for name in (node.inputs[0], node.inputs[3]) if ctx.graph.is_const(name)]
    work = dict.fromkeys(QLINEAR_PAIRS[node.op], n)
    work["mul"] = work.get("mul", 0) + 2 * n  # both operands to a common scale
    return [vector(node, ctx, work, weights=stored, row_wise=True)]


def power(node: Node, ctx: Context) -> Outcome:
    """Pow: 2 and 3 are products, 0.5, -0.5 and -1 root and reciprocal, the rest a table."""
    n = ctx.graph.size(node.outputs[0], node)
    exponent = ctx.graph.scalar(node.input(1))
    known = {
        2.0: {"mul": n},
        3.0: {"mul": 2 * n},
        0.5: {"div": n},
        -0.5: {"div": n},
        -1.0: {"div": n},
    }
    work = known.get(exponent, {"lut": n}) if exponent is not None else {"lut": n}
    return [vector(node, ctx, work, weights=[], row_wise=True)]


def is_guard(node: Node, ctx: Context) -> bool:
    """Whether ``node`` is ``Where(IsNaN(x), constant, x)``, put around a softmax by exporters."""
    test = ctx.graph.producers.get(node.inputs[0])
    return (
        node.op == "Where"
        and test is not None
        and test.op == "IsNaN"
        and test.inputs[0] == node.inputs[2]
        and ctx.graph.is_const(node.inputs[1])
    )


def where(node: Node, ctx: Context) -> Outcome:
    """Where: one selection per result; the guard against NaN is dropped."""
    if is_guard(node, ctx):
        return View((node.inputs[2],), folded=True)
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"compare": n}, row_wise=True)]


def is_nan(node: Node, ctx: Context) -> Outcome:
    users = ctx.graph.users.get(node.outputs[0], [])
    if users and node.outputs[0] not in ctx.graph.outputs and all(is_guard(u, ctx) for u in users):
        return View((node.inputs[0],), folded=True)
    return unary(node, ctx)


def cast(node: Node, ctx: Context) -> Outcome:
    """Cast, CastLike: free between real formats (the precision decides them), else a copy."""
    if is_formatting(node, ctx.graph):
        return View((node.inputs[0],), folded=True)
    before, after = (ctx.graph.types.get(n) for n in (node.inputs[0], node.outputs[0]))
    if before == after or (before in _REAL and after in _REAL):
        return View((node.inputs[0],))
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"copy": n}, weights=[], row_wise=True)]


def identity(node: Node, ctx: Context) -> Outcome:
    return View((node.inputs[0],))


def dynamic_quantize(node: Node, ctx: Context) -> Outcome:
    """DynamicQuantizeLinear: range of the tensor (two reductions), then scale each element."""
    n = ctx.graph.size(node.inputs[0], node)
    return [vector(node, ctx, {"reduce": 2 * n, "mul": n, "div": 1}, weights=[])]


def bias_gelu(node: Node, ctx: Context) -> Outcome:
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"add": n, "lut": n, "mul": n}, row_wise=True)]


def biased(node: Node, ctx: Context) -> Outcome:
    """BiasAdd (with a residual), BiasDropout: one addition for each further operand."""
    n = ctx.graph.size(node.outputs[0], node)
    work = {"add": n * len([x for x in node.inputs[1:3] if x])}
    return [vector(node, ctx, work, row_wise=True)]


def split_gelu(node: Node, ctx: Context) -> Outcome:
    """BiasSplitGelu: bias, then one half times the table of the other."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"add": 2 * n, "lut": n, "mul": 2 * n}, row_wise=True)]


def distances(node: Node, ctx: Context) -> Outcome:
    """CDist: difference, square and sum for each element of each pair of rows."""
    n = ctx.graph.size(node.outputs[0], node)
    width = ctx.graph.shape(node.inputs[0], node)[-1]
    work = {"add": n * width, "mul": n * width, "reduce": n * width}
    if str(node.attrs.get("metric", "sqeuclidean")) == "euclidean":
        work["div"] = n
    return [vector(node, ctx, work)]


def gated(node: Node, ctx: Context) -> Outcome:
    """SwiGLU: table, product with the table's argument, product with the gate."""
    n = ctx.graph.size(node.outputs[0], node)
    return [vector(node, ctx, {"lut": n, "mul": 2 * n}, row_wise=True)]


def cumulative(node: Node, ctx: Context) -> Outcome:
    """CumSum, CumProd: one operation for each element; row-wise along the last axis."""
    n = ctx.graph.size(node.outputs[0], node)
    axis, shape = ctx.graph.scalar(node.input(1)), ctx.graph.shape(node.inputs[0], node)
    within = axis is not None and over_rows([int(axis)], shape)
    work = {"mul" if node.op == "CumProd" else "add": n}
    return [vector(node, ctx, work, weights=[], row_wise=within)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(QLINEAR_PAIRS, qlinear_pair),
    "Pow": power,
    "Where": where,
    "IsNaN": is_nan,
    "Cast": cast,
    "CastLike": cast,
    "Identity": identity,
    "Dropout": identity,
    "DynamicQuantizeLinear": dynamic_quantize,
    "BiasGelu": bias_gelu,
    "BiasAdd": biased,
    **dict.fromkeys(("BiasDropout", "BitmaskBiasDropout"), biased),
    "BiasSplitGelu": split_gelu,
    "CDist": distances,
    "SwiGLU": gated,
    "BitCast": identity,
    "CumSum": cumulative,
    "CumProd": cumulative,
}
