"""How the kernels are compiled, by Numba."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

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
    from numba import config, njit
    from numba.extending import overload, register_jitable

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
        global _kept
        # (Without a home Numba would make a folder called ~ where it stands.)
        named = getattr(config, "CACHE_DIR", "") or os.environ.get("XDG_CACHE_HOME")
        kept = bool(named) or os.path.expanduser("~") != "~"
        try:
            made = njit(cache=kept, **plain)(function)
        except RuntimeError:  # no folder for the disk cache can be written
            kept, made = False, njit(**plain)(function)
        _kept = _kept and kept
        return Announced(function, made, lambda: njit(**plain)(function))

    shares, makes = register_jitable(forceinline=True, **bare), register_jitable(**plain)
    return True, shares, makes, compile_cached, njit(**bare)


class Announced:
    """A compiled function whose first call, if it takes long, says on stderr why.

    Compiling takes seconds, loading from Numba's disk cache tenths of one; which of them the first
    call does is known once the cache has been asked. What cannot be loaded (a file cut short, say)
    is compiled.

    Attributes:
        plain: the Python function.
    """

    def __init__(self, plain: Function, function: Any, again: Callable[[], Any]) -> None:
        self.plain = plain
        self._function = function
        self._again = again
        self._ready = False

    def __call__(self, *arguments: Any) -> Any:
        if not self._ready:
            self.compile(tuple(self._function.typeof_pyval(value) for value in arguments))
        return self._function(*arguments)

    def compile(self, signature: Any) -> None:
        """Compile for arguments of these types, or load what is on disk, before the first call."""
        over, missed = threading.Event(), self._missed()

        def watch() -> None:
            wait = PATIENCE_S
            while not over.wait(wait):
                now = self._missed()
                if missed is None or now is None or now > missed:  # else it is loaded, slowly
                    _announce()
                    return
                wait = max(PATIENCE_S, 0.1)

        threading.Thread(target=watch, daemon=True).start()
        try:
            self._function.compile(signature)
        except Exception:  # of any kind, from a damaged file; one of our own comes again below
            with contextlib.suppress(Exception):
                self._function._cache.flush()  # so that the next process finds none
            self._function = self._again()
            self._function.compile(signature)
        finally:
            over.set()
            self._ready = True

    def _missed(self) -> int | None:
        """How often Numba's disk cache had nothing for this function; None if it does not say."""
        stats = getattr(self._function, "stats", None)
        return None if stats is None else sum(stats.cache_misses.values())


def _announce() -> None:
    global _said
    if not _said and multiprocessing.parent_process() is None:
        how = "once" if _kept else "in each process (NUMBA_CACHE_DIR names no folder to keep it)"
        print(f"compiling the mapper for this machine: {how}, some 15 seconds", file=sys.stderr)
    _said = True


_said = False
#: Whether what is compiled is kept on disk.
_kept = True


#: ``COMPILED`` is false with ``NUMBA_DISABLE_JIT``, Numba's own switch: all runs as Python, slowly.
#: The decorators: ``shared`` for what takes arrays and numbers and returns numbers; ``making`` for
#: what makes or returns arrays; ``compiled`` for what Python calls, kept on disk; ``loops`` for its
#: loops over arrays made before. For ``shared`` and ``loops`` Numba counts no references to arrays:
#: that takes atomic operations, which were half of a search's time. A function so compiled must not
#: return an array to one that counts. What is ``shared`` is put into its callers: handing over
#: arrays, seven words each, takes longer than the arithmetic.
COMPILED, shared, making, compiled, loops = _compilers()
