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


def some(condition: Any) -> Any:
    """Whether the condition holds: at all, of an array."""
    return condition.any() if isinstance(condition, np.ndarray) else condition


def _compilers() -> tuple[bool, Function, Function, Function, Function]:
    """Whether Numba compiles the search; decorators for helpers, for the search and its loops."""
    if os.environ.get("DSE_MAPPER", "").lower() == "numpy":
        return False, _plain, _plain, _plain, _plain
    try:
        from numba import njit
        from numba.extending import overload, register_jitable
    except ImportError:
        return False, _plain, _plain, _plain, _plain

    @overload(pick)
    def pick_number(condition, yes, no):  # type: ignore[no-untyped-def]
        def choose(condition, yes, no):  # type: ignore[no-untyped-def]
            return yes if condition else no

        return choose

    @overload(some)
    def some_number(condition):  # type: ignore[no-untyped-def]
        def hold(condition):  # type: ignore[no-untyped-def]
            return condition

        return hold

    def compile_cached(function: Function) -> Function:
        try:
            made = njit(cache=True)(function)
        except RuntimeError:  # no folder for the disk cache can be written
            made = njit(function)
        return _Announced(cast("Function", made))

    def compile_loops(function: Function) -> Function:
        return cast("Function", njit(_nrt=False)(function))

    def share(function: Function) -> Function:
        return cast("Function", register_jitable(_nrt=False)(function))

    return True, share, register_jitable, compile_cached, compile_loops


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
        timer = threading.Timer(PATIENCE_S, _announce)
        timer.daemon = True
        timer.start()
        try:
            return self._function(*arguments)
        finally:
            timer.cancel()
            self._ready = True


def _announce() -> None:
    global _said
    if not _said and multiprocessing.parent_process() is None:
        print("compiling the mapper for this machine: once, some 15 seconds", file=sys.stderr)
    _said = True


_said = False


#: ``COMPILED`` is false without Numba or with ``DSE_MAPPER=numpy`` in the environment.
#: ``loops`` decorates what works on arrays given to it and makes none: Numba then counts no
#: references, which otherwise takes longer than the arithmetic of a short function.
COMPILED, shared, making, compiled, loops = _compilers()
