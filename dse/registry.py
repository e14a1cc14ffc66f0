"""What is remembered in this process: values by key, as many as a limit, the oldest dropped.

Every cache has a name, is known by :func:`caches` and emptied by :func:`clear_caches`; there are
none but those made here (``tests/house/test_caches.py``). A key made by
:func:`key_of` holds every field of a record, but for those that say themselves that they are
:data:`APART`: what nobody thought of is in it.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


#: Metadata of a record's field (``field(metadata=APART)``) that is no part of its key.
APART: Mapping[str, bool] = MappingProxyType({"apart": True})
#: What stands in a key as it is.
_PLAIN = frozenset({int, float, bool, str, type(None)})
#: How the parts of a record's key are read, by its class; there are few classes.
_parts: dict[type, Callable[[Any], tuple[Any, ...]]] = {}


def key_of(value: Any) -> Any:
    """A hashable, frozen view of a record: equal where all that counts is equal.

    Records are read field by field, mappings as sorted pairs, tuples item by item; the text
    (``repr``) of a key says all of it.

    Raises:
        TypeError: there is something else in it, which might change or be equal unseen.
    """
    kind = type(value)
    read = _parts.get(kind)
    if read is not None:
        found = read(value)
    elif kind is tuple:
        found = value
    elif kind in _PLAIN:
        return value
    elif kind is dict or isinstance(value, Mapping):
        pairs = sorted(value.items())
        if not _PLAIN.issuperset(map(type, value.values())):
            pairs = [(name, key_of(item)) for name, item in pairs]
        return tuple(pairs)
    elif dataclasses.is_dataclass(value):
        _parts[kind] = read = _reader(kind)
        found = read(value)
    elif isinstance(value, (int, float, str)):
        return value
    else:
        raise TypeError(f"{value!r} cannot be part of a key")
    if _PLAIN.issuperset(map(type, found)):
        return found
    return tuple([part if type(part) in _PLAIN else key_of(part) for part in found])


def _reader(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """What reads the fields of a class that are not apart."""
    names = [f.name for f in dataclasses.fields(kind) if not f.metadata.get("apart", False)]
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda record: (get(record),)


class Cache(Protocol):
    """A bounded store with a name that can be emptied; its length is what it holds."""

    @property
    def name(self) -> str: ...

    @property
    def limit(self) -> int: ...

    def __len__(self) -> int: ...

    def clear(self) -> None: ...


#: All caches of the process that are still there.
_caches: weakref.WeakSet[Any] = weakref.WeakSet()


def caches() -> tuple[Cache, ...]:
    """All caches of this process, by name."""
    return tuple(sorted(_caches, key=lambda cache: cache.name))


def clear_caches() -> None:
    """Forget all that is remembered: the next answers are computed anew, and are the same."""
    for cache in caches():
        cache.clear()


class _Results:
    """The cache of one function."""

    def __init__(self, name: str, made: Any, limit: int) -> None:
        self.name, self.limit = name, limit
        self.clear: Callable[[], None] = made.cache_clear
        self._made = made

    def __len__(self) -> int:
        return int(self._made.cache_info().currsize)


def cached(limit: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As ``functools.lru_cache``, among the caches known here, and with the arguments' types.

    Its name is the function's, with its module.
    """

    def remembering(function: Callable[P, T]) -> Callable[P, T]:
        made = functools.lru_cache(maxsize=limit)(function)
        name = f"{function.__module__}.{function.__qualname__}".removeprefix("dse.")
        results = _Results(name, made, limit)
        made.results = results  # type: ignore[attr-defined]  # alive as long as the function
        _caches.add(results)
        return cast("Callable[P, T]", made)

    return remembering


class Remembered:
    """As many values by key as ``limit``; safe to share between threads.

    Args:
        name: ``<module>.<what>``, of which there is one, but for stores that live in objects.
        limit: values held.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit = name, limit
        self._store: OrderedDict[object, tuple[Any, object]] = OrderedDict()
        self._lock = threading.Lock()
        _caches.add(self)

    def __len__(self) -> int:
        return len(self._store)

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
