"""The JSON schemas of the files a user writes, with the range and the ground of every number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dse.apps import App
from dse.errors import InputError
from dse.files import nearest
from dse.hardware.platform import PlatformSpec
from dse.hardware.spec import ChipSpec
from dse.ranges import shown
from dse.search.experiment import Experiment

#: Kinds of files by name.
SCHEMAS: dict[str, type[BaseModel]] = {
    "app": App,
    "chip": ChipSpec,
    "experiment": Experiment,
    "platform": PlatformSpec,
}


@dataclass(frozen=True)
class NumberField:
    """A number of a file: its path (``*``: any key or item), range, unit and ground."""

    field: str
    low: float
    high: float
    low_allowed: bool
    unit: str
    ground: str

    @property
    def range(self) -> str:
        """As people read it."""
        return f"{'' if self.low_allowed else 'above '}{shown(self.low)} to {shown(self.high)}"


def file_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind of file: ``app``, ``chip``, ``experiment`` or ``platform``.

    Raises:
        InputError: no such kind.
    """
    if kind not in SCHEMAS:
        raise InputError(
            f"unknown kind of file {kind!r}",
            mend=f"use one of: {', '.join(SCHEMAS)}{nearest(kind, list(SCHEMAS))}",
        )
    schema = SCHEMAS[kind].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def number_fields(schema: Mapping[str, Any]) -> list[NumberField]:
    """Every number that a schema has limits for, in the order of the fields."""
    return list(dict.fromkeys(_numbers(schema, schema.get("$defs", {}), "")))


def _numbers(node: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Iterator[NumberField]:
    if "maximum" in node:
        low = node.get("minimum", node.get("exclusiveMinimum"))
        yield NumberField(
            path,
            low,
            node["maximum"],
            "minimum" in node,
            node.get("x-unit", ""),
            node.get("description", ""),
        )
        return
    if "$ref" in node:
        yield from _numbers(defs[node["$ref"].rpartition("/")[2]], defs, path)
    for key, inner in node.get("properties", {}).items():
        yield from _numbers(inner, defs, f"{path}.{key}" if path else key)
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _numbers(part, defs, path)
    items = [*node.get("prefixItems", ()), node.get("items"), node.get("additionalProperties")]
    for item in items:
        if isinstance(item, Mapping):
            yield from _numbers(item, defs, f"{path}.*")
