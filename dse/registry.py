"""What is remembered in this process: values by key, as many as a limit, the oldest dropped.

Every cache made here is known by :func:`caches` and emptied by :func:`clear_caches`.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Cache(Protocol):
    """A bounded store that can be emptied."""

    @property
    def limit(self) -> int: ...

    def clear(self) -> None: ...


#: All caches of the process that are still there.
_caches: weakref.WeakSet[Any] = weakref.WeakSet()


def caches() -> tuple[Cache, ...]:
    """All caches of this process."""
    return tuple(_caches)


def clear_caches() -> None:
    """Forget all that is remembered: the next answers are computed anew, and are the same."""
    for cache in caches():
        cache.clear()


class _Results:
    """The cache of one function."""

    def __init__(self, clear: Callable[[], None], limit: int) -> None:
        self.clear, self.limit = clear, limit


def cached(limit: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As ``functools.lru_cache``, among the caches known here, and with the arguments' types."""

    def remembering(function: Callable[P, T]) -> Callable[P, T]:
        made = functools.lru_cache(maxsize=limit)(function)
        results = _Results(made.cache_clear, limit)
        made.results = results  # type: ignore[attr-defined]  # alive as long as the function
        _caches.add(results)
        return cast("Callable[P, T]", made)

    return remembering


class Remembered:
    """As many values by key as ``limit``; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._store: OrderedDict[object, tuple[Any, object]] = OrderedDict()
        self._lock = threading.Lock()
        _caches.add(self)

    def get(self, key: object) -> Any:
        """The value of ``key``; None if it is not known."""
        with self._lock:
            found = self._store.get(key)
        return None if found is None else found[0]

    def put(self, key: object, value: T, keep: object = None) -> T:
        """Remember a value; ``keep`` as in :meth:`of`."""
        with self._lock:
            self._store[key] = value, keep
            if len(self._store) > self.limit:
                self._store.popitem(last=False)
        return value

    def of(self, key: object, make: Callable[[], T], keep: object = None) -> T:
        """The value of ``key``, made if it is not known.

        Args:
            keep: objects whose ``id`` is in the key: alive as long as the value, no others have it.
        """
        with self._lock:
            found = self._store.get(key)
        if found is None:
            return self.put(key, make(), keep)
        value: T = found[0]
        return value

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._store.clear()
