"""How the kernels are compiled: by Numba where it is, else run as they are over arrays."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

import numpy as np

Function = Callable[..., Any]
#: Time after which the first call of a kernel is taken to compile it, s; loading takes less.
PATIENCE_S = 1.0


def _plain(function: Function) -> Function:
    return function


def pick(condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the condition holds, else ``no``."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def larger(one: Any, other: Any) -> Any:
    """The larger of two numbers, or of each pair; of numbers faster than NumPy, which has an eye
    for NaN."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.maximum(one, other)
    return one if one > other else other


def smaller(one: Any, other: Any) -> Any:
    """The smaller of two numbers, or of each pair."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.minimum(one, other)
    return one if one < other else other


def some(condition: Any) -> Any:
    """Whether the condition holds: at all, of an array."""
    return condition.any() if isinstance(condition, np.ndarray) else condition


def _compilers() -> tuple[bool, Function, Function, Function, Function]:
    """Whether Numba compiles the search, and the decorators (see :data:`COMPILED`)."""
    if os.environ.get("DSE_MAPPER", "").lower() == "numpy":
        return False, _plain, _plain, _plain, _plain
    try:
        from numba import config, njit
        from numba.extending import overload, register_jitable
    except ImportError:
        return False, _plain, _plain, _plain, _plain
    if getattr(config, "DISABLE_JIT", False):
        return False, _plain, _plain, _plain, _plain

    @overload(pick)
    def pick_number(condition, yes, no):  # type: ignore[no-untyped-def]
        def choose(condition, yes, no):  # type: ignore[no-untyped-def]
            return yes if condition else no

        return choose

    @overload(larger)
    def larger_number(one, other):  # type: ignore[no-untyped-def]
        def choose(one, other):  # type: ignore[no-untyped-def]
            return one if one > other else other

        return choose

    @overload(smaller)
    def smaller_number(one, other):  # type: ignore[no-untyped-def]
        def choose(one, other):  # type: ignore[no-untyped-def]
            return one if one < other else other

        return choose

    @overload(some)
    def some_number(condition):  # type: ignore[no-untyped-def]
        def hold(condition):  # type: ignore[no-untyped-def]
            return condition

        return hold

    # NumPy's rules for a division by zero: no test before each.
    plain: Any = {"error_model": "numpy"}
    bare: Any = {"_nrt": False, **plain}

    def compile_cached(function: Function) -> Function:
        try:
            made = njit(cache=True, **plain)(function)
        except RuntimeError:  # no folder for the disk cache can be written
            made = njit(**plain)(function)
        return _Announced(cast("Function", made))

    shares, makes = register_jitable(forceinline=True, **bare), register_jitable(**plain)
    return True, shares, makes, compile_cached, njit(**bare)


class _Announced:
    """A compiled function whose first call, if it takes long, says on stderr why.

    Compiling takes seconds, loading from Numba's disk cache tenths of one; which of them the first
    call will do is not known beforehand.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._ready = False

    def __call__(self, *arguments: Any) -> Any:
        if self._ready:
            return self._function(*arguments)
        return self._first(self._function, *arguments)

    def compile(self, signature: str) -> None:
        """Compile for arguments of these types, or load what is on disk, before the first call."""
        self._first(self._function.compile, signature)  # type: ignore[attr-defined]

    def _first(self, work: Function, *arguments: Any) -> Any:
        timer = threading.Timer(PATIENCE_S, _announce)
        timer.daemon = True
        timer.start()
        try:
            return work(*arguments)
        finally:
            timer.cancel()
            self._ready = True


def _announce() -> None:
    global _said
    if not _said and multiprocessing.parent_process() is None:
        print("compiling the mapper for this machine: once, some 15 seconds", file=sys.stderr)
    _said = True


_said = False


#: ``COMPILED`` is false without Numba or with ``DSE_MAPPER=numpy`` in the environment. The
#: decorators: ``shared`` for what takes arrays and numbers and returns numbers; ``making`` for
#: what makes or returns arrays; ``compiled`` for what Python calls, kept on disk; ``loops`` for
#: its loops over arrays made before. For ``shared`` and ``loops`` Numba counts no references to
#: arrays: that takes atomic operations, which were half of a search's time. A function so compiled
#: must not return an array to one that counts. What is ``shared`` is put into its callers: handing
#: over arrays, seven words each, takes longer than the arithmetic.
COMPILED, shared, making, compiled, loops = _compilers()
