"""Every figure of an app with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from dse.apps.limits import Status
from dse.apps.scenario import App, parts_of

#: Numbers that are no facts about the app: how it is played and reported.
SETTINGS = ("schema_version", "horizon_s", "volumes", "priority", "cores", "pipeline", "times_s")
#: Status of a figure whose source is not stated.
UNSTATED = "unstated"


@dataclass(frozen=True)
class Figure:
    """One number of an app: its path, value, status (see ``SourceNote``) and source."""

    path: str
    value: float | int
    status: str
    source: str


def figures(app: App) -> list[Figure]:
    """All numbers that the app's file states, in its order.

    The source is that of the longest path in ``app.sources`` that holds the figure, else the
    ``source`` text of the stream or floor it stands in (``assumed: why``).
    """
    data = app.model_dump(exclude_unset=True, exclude={"sources"})
    out: list[Figure] = []
    for path, value, inline in _numbers(data, "", ""):
        note = _note(app, path)
        status, source = note if note else _inline(inline)
        out.append(Figure(path, value, status, source))
    return out


def _numbers(node: Any, path: str, inline: str) -> Iterator[tuple[str, float | int, str]]:
    if isinstance(node, Mapping):
        inline = str(node.get("source") or inline)
        if "status" in node and "source" in node:
            inline = f"{node['status']}: {node['source']}"
    for key, value in parts_of(node).items():
        if key not in SETTINGS:
            yield from _numbers(value, f"{path}.{key}" if path else key, inline)
    if isinstance(node, (int, float)) and not isinstance(node, bool):
        yield path, node, inline


def _note(app: App, path: str) -> tuple[str, str] | None:
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        note = app.sources.get(".".join(parts[:end]))
        if note is not None:
            return note.status, note.source
    return None


def _inline(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    if head.strip() in get_args(Status):
        return head.strip(), rest.strip() if colon else head.strip()
    return UNSTATED, text
