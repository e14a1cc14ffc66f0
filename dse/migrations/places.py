"""Paths inside nested content: ``pareto.*.evaluation`` as the places that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any

Place = tuple[str | int, ...]


def places(content: Any, path: str) -> list[Place]:
    """Every place in ``content`` that a path means; ``*`` is any item of a list, or any key."""
    return list(_places(content, tuple(path.split("."))))


def _places(content: Any, parts: tuple[str, ...]) -> Iterator[Place]:
    if not parts:
        yield ()
        return
    head, rest = parts[0], parts[1:]
    for key, inner in _items(content):
        if head in ("*", str(key)):
            for place in _places(inner, rest):
                yield (key, *place)


def _items(content: Any) -> list[tuple[str | int, Any]]:
    if isinstance(content, Mapping):
        return list(content.items())
    if isinstance(content, list):
        return list(enumerate(content))
    return []


def moves(content: Any, moved: Mapping[str, str]) -> list[tuple[Place, Place]]:
    """From which place to which, for every field of ``content`` that a step moved."""
    out: list[tuple[Place, Place]] = []
    for old, new in moved.items():
        pattern = old.split(".")
        for place in places(content, old):
            stars = [key for part, key in zip(pattern, place, strict=True) if part == "*"]
            out.append((place, tuple(stars.pop(0) if p == "*" else p for p in new.split("."))))
    return out


def at(content: Any, place: Place) -> Any:
    """What stands at a place; None if there is nothing."""
    for key in place:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def put(content: Any, place: Place, value: Any) -> None:
    """Set what stands at a place that is there."""
    holder: MutableMapping[Any, Any] | MutableSequence[Any] = at(content, place[:-1])
    holder[place[-1]] = value  # type: ignore[index]


def dotted(place: Place) -> str:
    """As errors write it."""
    return ".".join(str(part) for part in place)
