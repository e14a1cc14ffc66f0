"""Names of dynamic axes: symbols, axes without a name, and sizes written as sums and products."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import onnx

#: Longer texts than this are names, not sums (characters).
LONGEST = 200
#: What makes a symbol a sum or a product: ``past + 1``, ``2*s0``, ``floor(s1/2)``. A hyphen or a
#: slash between words does not (``batch-size``).
_FORMULA = re.compile(r"[+*]|//| [-/] |\b(?:floor|ceiling|ceil|Max|Min)\(")
_CALLS: dict[str, Callable[..., float]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "ceiling": math.ceil,
    "Max": max,
    "Min": min,
}


@dataclass(frozen=True)
class Axis:
    """A dynamic axis of a graph input.

    Attributes:
        input, index, rank: where it stands.
        symbol: its name, else ``input.index``.
        named: whether the file names it.
        zero: the file writes the size 0, as some exporters do for a dynamic axis.
        dim: the size in the file, to be set.
    """

    input: str
    index: int
    rank: int
    symbol: str
    named: bool
    zero: bool
    dim: onnx.TensorShapeProto.Dimension

    @property
    def place(self) -> str:
        """Its name by position, which always means this axis."""
        return f"{self.input}.{self.index}"


def open_axes(inputs: Iterable[onnx.ValueInfoProto]) -> list[Axis]:
    """The dynamic axes of ``inputs``: without a size, or with one of 0 or below."""
    found: list[Axis] = []
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        for index, dim in enumerate(dims):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            zero = dim.HasField("dim_value") and dim.dim_value == 0
            symbol = dim.dim_param or f"{value.name}.{index}"
            named = bool(dim.dim_param)
            found.append(Axis(value.name, index, len(dims), symbol, named, zero, dim))
    return found


def parts(symbol: str) -> tuple[str, ...]:
    """The symbols that a formula such as ``past + 1`` is made of; none for a plain name."""
    tree = _formula(symbol)
    if tree is None:
        return ()
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(name for name in names if name not in _CALLS))


def computed(symbol: str, sizes: Mapping[str, int]) -> int | None:
    """The size that a formula comes to; None if it is no whole number from 0.

    Args:
        symbol: a formula.
        sizes: the size of each of its :func:`parts`.
    """
    tree = _formula(symbol)
    if tree is None:
        return None
    try:
        size = _number(tree, sizes)
    except (ArithmeticError, ValueError, TypeError, KeyError):
        return None
    return int(size) if size >= 0 and size == int(size) else None


def _formula(symbol: str) -> ast.expr | None:
    if len(symbol) > LONGEST or not _FORMULA.search(symbol):
        return None
    try:
        tree = ast.parse(symbol.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if _is_plain(tree) else None


def _is_plain(tree: ast.expr) -> bool:
    """Whether a formula has nothing but names, whole numbers, arithmetic and known calls."""
    if isinstance(tree, ast.Name):
        return True
    if isinstance(tree, ast.Constant):
        return type(tree.value) is int
    if isinstance(tree, ast.UnaryOp):
        return isinstance(tree.op, ast.USub) and _is_plain(tree.operand)
    if isinstance(tree, ast.BinOp):
        known = isinstance(tree.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod))
        return known and _is_plain(tree.left) and _is_plain(tree.right)
    if isinstance(tree, ast.Call):
        called = isinstance(tree.func, ast.Name) and tree.func.id in _CALLS
        return called and not tree.keywords and all(_is_plain(item) for item in tree.args)
    return False


def _number(tree: ast.expr, sizes: Mapping[str, int]) -> float:
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if isinstance(tree, ast.Constant):
        return int(str(tree.value))
    if isinstance(tree, ast.UnaryOp):
        return -_number(tree.operand, sizes)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return _CALLS[tree.func.id](*(_number(item, sizes) for item in tree.args))
    if not isinstance(tree, ast.BinOp):
        raise TypeError("no formula")
    left, right = _number(tree.left, sizes), _number(tree.right, sizes)
    if isinstance(tree.op, ast.Add):
        return left + right
    if isinstance(tree.op, ast.Sub):
        return left - right
    if isinstance(tree.op, ast.Mult):
        return left * right
    if isinstance(tree.op, ast.Div):
        return left / right
    return left // right if isinstance(tree.op, ast.FloorDiv) else left % right
