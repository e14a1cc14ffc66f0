"""How the kernels are compiled: by Numba where it is, else run as they are over arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np

Function = Callable[..., Any]


def _plain(function: Function) -> Function:
    return function


def pick(condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the condition holds, else ``no``."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def _compilers() -> tuple[bool, Function, Function]:
    """Whether Numba compiles the search, and the decorators for helpers and for the search."""
    if os.environ.get("DSE_MAPPER", "").lower() == "numpy":
        return False, _plain, _plain
    try:
        from numba import njit
        from numba.extending import overload, register_jitable
    except ImportError:
        return False, _plain, _plain

    @overload(pick)
    def pick_number(condition, yes, no):  # type: ignore[no-untyped-def]
        def choose(condition, yes, no):  # type: ignore[no-untyped-def]
            return yes if condition else no

        return choose

    def compile_cached(function: Function) -> Function:
        try:
            return cast("Function", njit(cache=True)(function))
        except RuntimeError:  # no folder for the disk cache can be written
            return cast("Function", njit(function))

    return True, register_jitable, compile_cached


#: ``COMPILED`` is false without Numba or with ``DSE_MAPPER=numpy`` in the environment.
COMPILED, shared, compiled = _compilers()
