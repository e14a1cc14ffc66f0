"""Values remembered by key: as many as a limit, the oldest dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Remembered:
    """As many values by key as ``limit``; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._store: OrderedDict[object, tuple[Any, object]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> Any:
        """The value of ``key``; None if it is not known."""
        with self._lock:
            found = self._store.get(key)
        return None if found is None else found[0]

    def put(self, key: object, value: T, keep: object = None) -> T:
        """Remember a value; ``keep`` as in :meth:`of`."""
        with self._lock:
            self._store[key] = value, keep
            if len(self._store) > self._limit:
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
