"""Facts: numbers with unit, source, status and uncertainty, read from the data files.

A fact's ``uncertainty`` u is a factor: 90 % of the belief lies between value/u and value x u.
A *draw* multiplies every uncertain fact by u^(z/1.645) with z from a standard normal that depends
only on (seed, index, name of the fact), so all designs of one draw live in the same world.
One z serves all nodes of a series (so order between nodes survives); the families that a file
calls ``independent`` give half of the variance to each node on its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse.errors import InputError
from dse.technology.nodes import NodeFile, Nodes, Provenance, place_nodes

DATA_FOLDER = Path(__file__).resolve().parent / "data"
FILES = (
    "nodes",
    "device",
    "datapath",
    "operations",
    "memory",
    "dram",
    "links",
    "floor",
    "cost",
    "carbon",
    "lines",
)
#: Folder of the files of nodes beside these.
NODES = "nodes"
#: Digests of facts by bytes of files, as studies hold that were made then, and those by content.
FORMER_DIGESTS = {
    "660c86b989ce899c95916bd980ff0b84832026bb462f6bc197178a46cf3e3cea": (
        "724c68e57c1adcc5bee7e7848af39c85dc304a36cb1939ea1353720eddf264fb"
    ),
}
Status = Literal["read", "recalled", "assumed", "computed", "fitted"]
M = TypeVar("M", bound=BaseModel)
#: What a data file says to people only.
_WORDS: Any = {
    "about": True,
    "facts": {"__all__": {"source": True, "status": True, "exceptions": True}},
}
_Z90 = 1.6449
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Fact(BaseModel):
    """One number, table or name with where it comes from."""

    model_config = _STRICT
    value: Any
    unit: str
    source: str = Field(min_length=1)
    status: Status
    uncertainty: float = Field(ge=1.0, le=10.0)
    draws: list[str] | None = None


class Series(BaseModel):
    """One quantity over process nodes (nm); the values stand in the files of the nodes."""

    model_config = _STRICT
    values: dict[int, float | str]
    unit: str
    source: str = Field(min_length=1)
    status: Status
    uncertainty: float = Field(ge=1.0, le=10.0)
    exceptions: dict[int, Provenance] = Field(default_factory=dict)


class FactFile(BaseModel):
    """The content of one data file."""

    model_config = _STRICT
    schema_version: Literal[1]
    about: str
    independent: list[str]
    facts: dict[str, Fact | Series]


@dataclass(frozen=True)
class FactRow:
    """One fact laid out for printing: ``path`` is ``file.name[.node]``."""

    path: str
    value: Any
    unit: str
    source: str
    status: str
    uncertainty: float


@dataclass(frozen=True)
class FactBase:
    """All facts of the package, nominal or under one draw.

    ``digest`` is of what the facts say, not of the files that say it.
    """

    files: dict[str, FactFile]
    nodes: Nodes
    digest: str
    draw: tuple[int, int] | None

    def drawn(self, draw: tuple[int, int] | None) -> FactBase:
        """The same facts under another draw."""
        return replace(self, digest=facts_digest(self.files, self.nodes, draw), draw=draw)

    def value(self, file: str, name: str) -> Any:
        """The value of a scalar or table fact, under the draw."""
        fact = self.files[file].facts[name]
        if not isinstance(fact, Fact):
            raise TypeError(f"{file}.{name} is a series over nodes")
        if self.draw is None or fact.uncertainty == 1.0:
            return fact.value
        if fact.draws is None:
            factor = self._factor(f"{file}.{name}", fact.uncertainty)
            return _scale(fact.value, factor)
        factors = {
            key: self._factor(f"{file}.{name}.{key}", fact.uncertainty) for key in fact.draws
        }
        return _scale_keys(fact.value, factors)

    def number(self, file: str, name: str) -> float:
        """The value of a scalar fact."""
        return float(self.value(file, name))

    def table(self, file: str, name: str) -> dict[str, Any]:
        """The value of a fact that is a mapping."""
        return dict(self.value(file, name))

    def series(self, file: str, name: str) -> dict[int, float]:
        """A quantity over nodes, under the draw."""
        content = self.files[file]
        fact = content.facts[name]
        if not isinstance(fact, Series):
            raise TypeError(f"{file}.{name} is not a series")
        if self.draw is None or fact.uncertainty == 1.0:
            return {node: float(value) for node, value in fact.values.items()}
        key = f"{file}.{name}"
        shared = self._normal(key)
        out: dict[int, float] = {}
        for node, value in fact.values.items():
            z = shared
            if name in content.independent:
                z = (shared + self._normal(f"{key}.{node}")) * 0.5**0.5
            out[node] = float(value) * fact.uncertainty ** (z / _Z90)
        return out

    def labels(self, file: str, name: str) -> dict[int, str]:
        """A series of names over nodes (such as the kind of transistor)."""
        fact = self.files[file].facts[name]
        if not isinstance(fact, Series):
            raise TypeError(f"{file}.{name} is not a series")
        return {node: str(value) for node, value in fact.values.items()}

    def names(self, file: str) -> list[str]:
        """Names of the facts of one file."""
        return list(self.files[file].facts)

    def rows(self) -> Iterator[FactRow]:
        """Every nominal fact with its provenance, series laid out by node."""
        for file, content in self.files.items():
            for name, fact in content.facts.items():
                path = f"{file}.{name}"
                if isinstance(fact, Fact):
                    yield FactRow(
                        path, fact.value, fact.unit, fact.source, fact.status, fact.uncertainty
                    )
                    continue
                for node, value in fact.values.items():
                    own = fact.exceptions.get(node)
                    yield FactRow(
                        f"{path}.{node}",
                        value,
                        fact.unit,
                        own.source if own else fact.source,
                        own.status if own else fact.status,
                        fact.uncertainty,
                    )

    def factor(self, key: str, uncertainty: float) -> float:
        """What a figure that is kept elsewhere is multiplied with in this world: 1 at the nominal
        one, else as a fact of that name and uncertainty would be."""
        if self.draw is None or uncertainty == 1.0:
            return 1.0
        return self._factor(key, uncertainty)

    def _normal(self, key: str) -> float:
        seed, index = self.draw or (0, 0)
        raw = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()[:8]
        return NormalDist().inv_cdf((int.from_bytes(raw, "big") + 0.5) / 2.0**64)

    def _factor(self, key: str, uncertainty: float) -> float:
        return float(uncertainty ** (self._normal(key) / _Z90))


def load_facts(draw: tuple[int, int] | None = None, folder: Path = DATA_FOLDER) -> FactBase:
    """Read and check all data files.

    Raises:
        InputError: naming file and field when a data file is missing or malformed.
    """
    raw = {name: _read(folder / f"{name}.json") for name in FILES}
    nodes = _read_nodes(folder / NODES)
    place_nodes(raw, nodes)
    files = {
        name: _checked(FactFile.model_validate, content, folder / f"{name}.json")
        for name, content in raw.items()
    }
    known = Nodes.of({size: node for size, (_, node) in nodes.items()})
    return FactBase(files, known, facts_digest(files, known, draw), draw)


def facts_digest(files: Mapping[str, FactFile], nodes: Nodes, draw: tuple[int, int] | None) -> str:
    """Digest of all that decides a price: values, units, uncertainties and how they are drawn."""
    said = {
        name: content.model_dump(mode="json", exclude=_WORDS) for name, content in files.items()
    }
    whole = [said, nodes.design, nodes.validation, draw]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def digest_of_today(digest: str) -> str:
    """The digest that the facts with this one have now, where the way to digest them changed."""
    return FORMER_DIGESTS.get(digest, digest)


def _read_nodes(folder: Path) -> dict[int, tuple[Path, NodeFile]]:
    """The nodes of a folder by size; each stands in the file of its name."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:
        names = []
    if not names:
        raise InputError(
            "there are no technology nodes", file=folder, mend="install the package again"
        )
    found: dict[int, tuple[Path, NodeFile]] = {}
    for name in names:
        path = folder / name
        node = _checked(NodeFile.model_validate_json, _bytes(path), path)
        if name != f"{node.node_nm}nm.json":
            raise InputError(
                f"the file is of the {node.node_nm} nm node",
                file=path,
                field="node_nm",
                mend=f"name the file {node.node_nm}nm.json, or mend the field",
            )
        found[node.node_nm] = path, node
    return found


def _read(path: Path) -> Any:
    try:
        raw = json.loads(_bytes(path))
    except ValueError as exc:
        raise InputError(f"not JSON: {exc}", file=path) from exc
    if not isinstance(raw, dict) or not isinstance(raw.get("facts"), dict):
        raise InputError("no data file: it has no facts", file=path, field="facts")
    return raw


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputError(
            "a technology data file is missing", file=path, mend="install the package again"
        ) from exc


def _checked(check: Callable[[Any], M], content: Any, path: Path) -> M:
    try:
        return check(content)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise InputError(
            first["msg"], file=path, field=".".join(str(part) for part in first["loc"])
        ) from exc


def _scale(value: Any, factor: float) -> Any:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return value * factor
    if isinstance(value, dict):
        return {key: _scale(item, factor) for key, item in value.items()}
    if isinstance(value, list):
        return [_scale(item, factor) for item in value]
    return value


def _scale_keys(value: Any, factors: dict[str, float]) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _scale(item, factors[key]) if key in factors else _scale_keys(item, factors)
        for key, item in value.items()
    }
