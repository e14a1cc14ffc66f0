"""Measured latencies of public networks on public chips, from every file that has some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from dse.registry import cached
from dse.schema import Strict
from dse.validation import published
from dse.validation.published import Positive, read_data

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Value = bool | int | float | str | tuple[str, ...] | None
Grade = Literal["A", "B", "C"]


class Known(Strict):
    """What the rows of a chip in silicon.yaml and blind.yaml are."""

    part: Text
    software: Text
    scope: Text


class TableChip(Strict):
    """A chip of the table: how well it is known, and what replaces what its family was fitted on.

    ``instead`` are parameters by path; None takes the figure of the class or the template.
    """

    chip: Text
    grade: Grade
    rows: Known | None = None
    instead: dict[str, Value] = Field(default_factory=dict)
    why: str = ""


class TableChips(Strict):
    schema_version: Literal[1]
    chips: tuple[TableChip, ...]


class MeasuredRow(Strict):
    """Time (s) of one run of ``batch`` images; ``job`` is the source's number of it."""

    model: Text
    seconds: Positive
    precision: Text = "int8"
    batch: Count = 1
    cores: Count = 1
    classes: Count | None = None
    job: str = ""
    note: str = ""


class MeasuredSet(Strict):
    """Rows of one part under one software and scope; ``set`` are conditions as chip parameters.

    ``rate``: the source gives a rate of work that overlaps, not a time of one run.
    """

    chip: Text
    part: Text
    software: Text
    scope: Text
    quality: Literal["A", "A-", "B", "B-", "C"]
    source: Text
    set: dict[str, Value] = Field(default_factory=dict)
    note: str = ""
    rate: bool = False
    rows: tuple[MeasuredRow, ...]


class LeftOut(Strict):
    """Rows of the sources that no set has, and why."""

    rows: Count
    reason: Text


class PublicFile(Strict):
    schema_version: Literal[1]
    left_out: tuple[LeftOut, ...]
    sets: tuple[MeasuredSet, ...]


@dataclass(frozen=True)
class Public:
    """A measured latency (s) with everything that it was measured under."""

    chip: str
    part: str
    software: str
    scope: str
    source: str
    quality: str
    model: str
    seconds: float
    precision: str = "int8"
    batch: int = 1
    cores: int = 1
    classes: int | None = None
    set: tuple[tuple[str, Value], ...] = ()
    job: str = ""
    note: str = ""
    rate: bool = False


@cached(1)
def table_chips() -> dict[str, TableChip]:
    """The chips of the table by name."""
    return {item.chip: item for item in read_data("table_chips.yaml", TableChips).chips}


@cached(1)
def _file() -> PublicFile:
    return read_data("public.yaml", PublicFile)


def left_out() -> tuple[LeftOut, ...]:
    """What the sources have beside the table."""
    return _file().left_out


def all_rows() -> tuple[Public, ...]:
    """Every measured latency of the data files, copies included."""
    return (*_known(), *_listed())


def without_copies(rows: tuple[Public, ...]) -> tuple[tuple[Public, ...], tuple[Public, ...]]:
    """Rows with those whose job was there before taken out, and the ones taken out."""
    kept: list[Public] = []
    copies: list[Public] = []
    jobs: set[str] = set()
    for row in rows:
        (copies if row.job and row.job in jobs else kept).append(row)
        jobs.add(row.job)
    return tuple(kept), tuple(copies)


def _known() -> Iterator[Public]:
    """Rows that other sections have, too."""
    chips = table_chips()
    for item in published.silicon().rows:
        known = chips[item.chip].rows if item.chip in chips else None
        if known is not None and item.kind == "silicon" and not item.note.startswith("measured is"):
            yield Public(
                item.chip, known.part, known.software, known.scope, item.source, "B", item.model,
                item.latency_s, classes=item.classes, note=item.note,
            )  # fmt: skip
    for row in published.blinds():
        known = chips[row.chip].rows if row.chip in chips else None
        if known is not None and row.kind == "silicon" and not row.note.startswith("measured is"):
            yield Public(
                row.chip, known.part, known.software, known.scope, row.source, "B", row.model,
                row.latency_s, note=row.note,
            )  # fmt: skip


def _listed() -> Iterator[Public]:
    for of in _file().sets:
        for row in of.rows:
            yield Public(
                of.chip, of.part, of.software, of.scope, of.source, of.quality, row.model,
                row.seconds, row.precision, row.batch, row.cores, row.classes,
                tuple(of.set.items()), row.job, "; ".join(t for t in (of.note, row.note) if t),
                of.rate,
            )  # fmt: skip
