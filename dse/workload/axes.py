"""Names of dynamic axes: symbols, axes without a name, and sizes written as sums and products."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

import onnx

from dse.errors import InputError
from dse.registry import cached

#: Longer texts than this are names, not sums (characters).
LONGEST = 200
#: What makes a symbol a sum or a product: ``past + 1``, ``2*s0``, ``floor(s1/2)``. A hyphen or a
#: slash without spaces (``batch-size``, ``s-1``) does only if all words are symbols of their own.
_FORMULA = re.compile(r"[+*%]|//| [-/] |\b(?:floor|ceiling|ceil|Max|Min|Mod)\(")
_CALLS: dict[str, Callable[..., float]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "ceiling": math.ceil,
    "Max": max,
    "Min": min,
    "Mod": lambda number, by: number % by,
}
#: Powers up to this are sizes.
_POWER = 8


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


def parts(symbol: str, known: Container[str] = ()) -> tuple[str, ...]:
    """The symbols that a formula such as ``past + 1`` is made of; none for a plain name.

    Args:
        symbol: a formula or a name.
        known: symbols by themselves, which tell ``s-1`` from a name with a hyphen.
    """
    tree = _formula(symbol)
    names = () if tree is None else _names(tree)
    return names if _FORMULA.search(symbol) or all(name in known for name in names) else ()


def _names(tree: ast.expr) -> tuple[str, ...]:
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


def solved(symbol: str, size: int, name: str, sizes: Mapping[str, int]) -> int | None:
    """The size of ``name`` for which a formula comes to ``size``; None if there is none, or more
    than sums, products, quotients and powers lie between.

    Args:
        symbol: a formula.
        size: what it comes to.
        name: one of its :func:`parts`.
        sizes: the sizes of all others.
    """
    tree, wanted = _formula(symbol), float(size)
    try:
        while tree is not None and not isinstance(tree, ast.Name):
            tree, wanted = _inverted(tree, wanted, name, sizes)
    except (ArithmeticError, ValueError, TypeError, KeyError, LookupError):
        return None
    found = round(wanted)
    whole = dict(sizes) | {name: found}
    return found if found >= 0 and computed(symbol, whole) == size else None


def _inverted(
    tree: ast.expr, wanted: float, name: str, sizes: Mapping[str, int]
) -> tuple[ast.expr, float]:
    """The part of a formula that holds ``name``, and what it must come to."""
    if isinstance(tree, ast.UnaryOp):
        return tree.operand, -wanted
    if isinstance(tree, ast.Call) and len(tree.args) == 1:  # a rounding
        return tree.args[0], wanted
    if not isinstance(tree, ast.BinOp):
        raise TypeError("cannot be inverted")
    left = name in _names(tree.left)
    if left and name in _names(tree.right):
        raise TypeError("stands on both sides")
    inner, other = (tree.left, tree.right) if left else (tree.right, tree.left)
    number = _number(other, sizes)
    if isinstance(tree.op, ast.Add):
        return inner, wanted - number
    if isinstance(tree.op, ast.Mult):
        return inner, wanted / number
    if isinstance(tree.op, ast.Sub):
        return inner, wanted + number if left else number - wanted
    if isinstance(tree.op, (ast.Div, ast.FloorDiv)):
        return inner, wanted * number if left else number / wanted
    if isinstance(tree.op, ast.Pow) and left:
        return inner, wanted ** (1 / number)
    raise TypeError("cannot be inverted")


def fitting(name: str, formulas: Iterable[str], sizes: Mapping[str, int]) -> int:
    """The smallest size of ``name`` from 1 for which no formula comes to 0 or below; 1 if there is
    none up to 64."""
    texts = list(formulas)
    for size in range(1, 65):
        found = [computed(text, dict(sizes) | {name: size}) for text in texts]
        if all(found):
            return size
    return 1


@cached(1024)
def _formula(symbol: str) -> ast.expr | None:
    """``symbol`` as arithmetic of names and whole numbers; None if it is none."""
    if len(symbol) > LONGEST or symbol.isidentifier():
        return None
    try:
        tree = ast.parse(symbol.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if _is_plain(tree) and not isinstance(tree, (ast.Name, ast.Constant)) else None


_OPERATIONS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


def _is_plain(tree: ast.expr) -> bool:
    """Whether a formula has nothing but names, whole numbers, arithmetic and known calls."""
    if isinstance(tree, ast.Name):
        return True
    if isinstance(tree, ast.Constant):
        return type(tree.value) is int
    if isinstance(tree, ast.UnaryOp):
        return isinstance(tree.op, ast.USub) and _is_plain(tree.operand)
    if isinstance(tree, ast.BinOp):
        known = isinstance(tree.op, _OPERATIONS)
        if isinstance(tree.op, ast.Pow):
            by = tree.right.value if isinstance(tree.right, ast.Constant) else None
            known = type(by) is int and 0 < by <= _POWER
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
    if isinstance(tree.op, ast.Pow):
        return math.pow(left, right)
    return left // right if isinstance(tree.op, ast.FloorDiv) else left % right


@dataclass(frozen=True)
class Known:
    """Symbols of the file, and names that are bound."""

    symbols: Container[str]
    bound: Container[str]

    def __contains__(self, name: object) -> bool:
        return name in self.symbols or name in self.bound


def solve(axes: list[Axis], known: Container[str], file: str, chosen: dict[str, int]) -> None:
    """Binds what a formula is made of where only the formula is bound: ``s-1=7`` makes s 8.

    Raises:
        InputError: no whole size comes to that.
    """
    for axis in axes:
        names = parts(axis.symbol, known) if axis.named and axis.symbol in chosen else ()
        missing = [name for name in names if name not in chosen]
        if len(missing) != 1:
            continue
        size = solved(axis.symbol, chosen[axis.symbol], missing[0], chosen)
        if size is not None:
            chosen[missing[0]] = size
        elif not any(mark in axis.symbol for mark in ("%", "Mod", "Max", "Min")):
            raise InputError(
                f"no whole {missing[0]} gives {axis.symbol}={chosen[axis.symbol]}",
                file=file,
                field=axis.symbol,
                mend=f"bind {missing[0]} instead: --bind {missing[0]}=VALUE",
            )


def least_sizes(
    axes: list[Axis], chosen: Mapping[str, int], known: Container[str]
) -> dict[str, int]:
    """Defaults of symbols for which no formula made of them leaves nothing (``s-1`` wants 2)."""
    formulas: dict[str, list[str]] = {}
    for axis in axes:
        names = parts(axis.symbol, known) if axis.named and axis.symbol not in chosen else ()
        missing = [name for name in names if name not in chosen]
        if len(missing) == 1:
            formulas.setdefault(missing[0], []).append(axis.symbol)
    return {name: fitting(name, texts, chosen) for name, texts in formulas.items()}
