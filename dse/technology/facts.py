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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse.errors import InputError

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
Status = Literal["read", "recalled", "assumed", "computed", "fitted"]
_Z90 = 1.6449
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Provenance(BaseModel):
    """Status and source of one node's value where it differs from its series."""

    model_config = _STRICT
    status: Status
    source: str = Field(min_length=1)


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
    """One quantity over process nodes (nm)."""

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
    """All facts of the package, nominal or under one draw."""

    files: dict[str, FactFile]
    digest: str
    draw: tuple[int, int] | None

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
    files: dict[str, FactFile] = {}
    sha = hashlib.sha256()
    for name in FILES:
        path = folder / f"{name}.json"
        try:
            raw = path.read_bytes()
            files[name] = FactFile.model_validate(json.loads(raw))
        except OSError as exc:
            raise InputError(
                "a technology data file is missing", file=path, mend="install the package again"
            ) from exc
        except json.JSONDecodeError as exc:
            raise InputError(f"not JSON: {exc}", file=path) from exc
        except ValidationError as exc:
            first = exc.errors()[0]
            raise InputError(
                first["msg"], file=path, field=".".join(str(part) for part in first["loc"])
            ) from exc
        sha.update(name.encode() + b"\0" + raw)
    sha.update(repr(draw).encode())
    return FactBase(files=files, digest=sha.hexdigest(), draw=draw)


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
