"""Which code a compiled kernel was made of, so that Numba's cache on disk never gives a stale one.

Numba watches the file of the function that it keeps, its bytecode, and the values in its closure,
and nothing of what that function calls. :func:`stamped` puts a checksum of all of it into the
closure. It follows the names that the bytecode looks up, as Numba does, so that there is no list of
modules to be kept: every function and every constant that is compiled in counts, wherever it
stands, and nothing else does.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dse.mapping.tools import compiling
from dse.mapping.tools.compiling import Function, compiled

#: The package whose functions are followed; those of others change with their own versions.
_PACKAGE = __name__.partition(".")[0]


def stamped(make: Callable[[int], Function]) -> Any:
    """The kernel that ``make`` returns, compiled and kept on disk under the version of its parts.

    Args:
        make: returns the kernel for a version, which must be in its closure: the kernel reads it
            (``if version < 0: return`` at its start does, and never happens).
    """
    return compiled(make(version_of(make(0))))


def version_of(kernel: Function) -> int:
    """Checksum of a kernel, of all that it is compiled from, and of how that is done.

    Raises:
        TypeError: the kernel uses a value of a kind that is not known here.
    """
    found = hashlib.sha256(repr(_code(compiling._compilers.__code__)).encode())
    for text in sorted(_texts(kernel)):
        found.update(text)
    return int.from_bytes(found.digest()[:7], "big")


def parts_of(kernel: Function) -> list[types.FunctionType]:
    """The functions that a kernel is compiled from, itself first."""
    found, seen = [_bare(kernel)], {id(_bare(kernel))}
    for function in found:
        for value in _used(function).values():
            inner = _bare(value)
            if isinstance(inner, types.FunctionType) and _ours(inner) and id(inner) not in seen:
                seen.add(id(inner))
                found.append(inner)
    return found


def _texts(kernel: Function) -> Iterator[bytes]:
    """One text of each function: its name, code, and the values that it uses."""
    for function in parts_of(kernel):
        used = {name: _text(value) for name, value in sorted(_used(function).items())}
        defaults = _text(function.__defaults__ or ())
        name = f"{function.__module__}.{function.__qualname__}"
        yield repr((name, _code(function.__code__), defaults, used)).encode()


def _bare(value: Any) -> Any:
    """The Python function that a compiled one was made of."""
    if isinstance(value, compiling.Announced):
        return value.plain
    return getattr(value, "py_func", value)


def _ours(function: types.FunctionType) -> bool:
    return function.__module__.partition(".")[0] == _PACKAGE


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code and those of the functions and comprehensions within it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _code(code: types.CodeType) -> list[tuple[object, ...]]:
    """What a code does, without where it stands in its file."""
    return [
        (
            one.co_code, one.co_exceptiontable, one.co_names, one.co_varnames, one.co_freevars,
            *(repr(value) for value in one.co_consts if not isinstance(value, types.CodeType)),
        )
        for one in _codes(code)
    ]  # fmt: skip


def _used(function: types.FunctionType) -> dict[str, Any]:
    """What a function uses from outside, by name: its closure, globals, and what it takes of
    modules (too much rather than too little: a module's name that is another's attribute)."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    closure = function.__closure__ or ()
    found = {
        name: cell.cell_contents
        for name, cell in zip(function.__code__.co_freevars, closure, strict=True)
    }
    for name in names & function.__globals__.keys():
        value = found[name] = function.__globals__[name]
        if isinstance(value, types.ModuleType) and value.__name__.startswith(_PACKAGE):
            found |= {f"{name}.{n}": getattr(value, n) for n in names if hasattr(value, n)}
    return found


def _text(value: Any) -> str:
    """A value in the one way that is the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str, np.number)):
        return repr(value)
    if isinstance(value, tuple):
        return f"({','.join(_text(item) for item in value)})"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{value.tobytes()!r}"
    bare = _bare(value)
    if isinstance(bare, types.ModuleType):
        return bare.__name__
    if isinstance(bare, type) and hasattr(bare, "_fields"):  # a record: its fields, in order
        return f"{bare.__qualname__}{bare._fields}"
    if isinstance(bare, (types.FunctionType, types.BuiltinFunctionType, type, np.ufunc)):
        return str(getattr(bare, "__qualname__", bare.__name__))
    raise TypeError(f"a compiled function uses {value!r}; teach {__name__} to write it")
