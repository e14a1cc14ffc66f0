"""The data files of a validation: published figures, what is fitted on them, and how to predict."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from dse.errors import InputError
from dse.registry import cached
from dse.schema import Strict, read_yaml, validate
from dse.validation.record import Kind

Positive = Annotated[float, Field(gt=0)]
Scope = Literal["npu", "die", "die_dram", "module"]
#: Roles of rows that are not brackets.
Marked = Literal["judged", "fitted"]
Model = TypeVar("Model", bound=Strict)


class Case(Strict):
    """One prediction: a network on a chip.

    ``classes`` replaces the outputs of the last layer; ``activation: relu`` takes every fused SiLU
    for a ReLU; ``sheet`` are the conditions of NVDLA's spreadsheet (no overheads, Winograd, outputs
    padded, one KiB counted as a thousand bytes). ``set`` are chip parameters by path.
    ``objective`` is what the compiler works for.
    """

    chip: str
    model: str
    node: str | None = None
    precision: str | None = None
    cores: int = 1
    classes: int | None = None
    activation: Literal["relu"] | None = None
    sheet: bool = False
    objective: Literal["latency", "edp", "energy"] = "latency"
    set: dict[str, bool | int | float | str] = Field(default_factory=dict)


class Measured(Strict):
    """A published latency, and perhaps energy, of a network on a chip."""

    id: str
    chip: str
    family: str
    model: str
    classes: int | None = None
    latency_s: Positive
    energy_j: Positive | None = None
    energy_scope: Scope | None = None
    role: Marked
    kind: Kind
    source: str
    note: str = ""

    @property
    def case(self) -> Case:
        return Case(chip=self.chip, model=self.model, classes=self.classes)


class BlockArea(Strict):
    chip: str
    node: str
    block: Literal["npu", "die"]
    area_mm2: Positive
    kind: Kind
    source: str


class AreaShare(Strict):
    chip: str
    node: str
    part: str
    share: Positive
    source: str


class Silicon(Strict):
    schema_version: Literal[1]
    area_ratio_role: Marked
    rows: tuple[Measured, ...]
    area: tuple[BlockArea, ...]
    shares: tuple[AreaShare, ...]


class Ratio(Strict):
    """Latency of one case over that of another; fitted if the row of either case is.

    ``of: interval``: from call to call instead, where the published figures are rates of a stream.
    """

    item: str
    of: Literal["latency", "interval"] = "latency"
    role: Marked = "judged"
    over: Case
    under: Case
    published: Positive
    kind: Kind
    source: str
    note: str = ""


class Ratios(Strict):
    schema_version: Literal[1]
    rows: tuple[Ratio, ...]


class Language(Strict):
    """Prompt time and decode rate of a language model; ``past`` is the mean length of the cache.

    ``role`` is that of the prompt time, ``decode_role`` that of the decode rate.
    """

    id: str
    chip: str
    cores: int
    model: str
    precision: str | None = None
    prompt: int
    past: int
    ttft_s: Positive
    tokens_per_s: Positive
    role: Marked = "judged"
    decode_role: Marked = "judged"
    kind: Kind
    source: str
    note: str = ""


class Languages(Strict):
    schema_version: Literal[1]
    rows: tuple[Language, ...]


class Blind(Strict):
    """A latency that was predicted (``predicted_s``) before the measured one was read."""

    chip: str
    model: str
    latency_s: Positive
    predicted_s: Positive
    kind: Kind
    source: str
    note: str = ""

    @property
    def case(self) -> Case:
        return Case(chip=self.chip, model=self.model)


class Blinds(Strict):
    schema_version: Literal[1]
    rows: tuple[Blind, ...]


class EnergyRow(Strict):
    """A published energy of one inference at a stated scope, with no latency beside it."""

    case: Case
    energy_j: Positive
    scope: Scope
    kind: Kind
    source: str
    note: str = ""


class Bracket(Strict):
    """A figure of a chip whose parameters are not public enough, against two of our cases."""

    item: str
    quantity: Literal["latency s", "throughput 1/s", "energy J", "TOPS/W"]
    published: Positive
    cases: tuple[Case, ...] = Field(min_length=2, max_length=2)
    levels: tuple[Literal["roofline", "analytic", "simulate"], ...] = ("simulate", "simulate")
    scope: Scope = "npu"
    kind: Kind
    source: str
    note: str = ""


class Stream(Strict):
    """Frames a second of a network whose calls follow each other, at each batch."""

    chip: str
    model: str
    rates: dict[int, Positive]
    kind: Kind
    source: str
    note: str = ""

    def case(self, batch: int) -> Case:
        """The network at a batch, as the chip's compiler works for throughput."""
        joint = "," if "@" in self.model else "@"
        model = self.model if batch == 1 else f"{self.model}{joint}batch={batch}"
        return Case(chip=self.chip, model=model)


class Streams(Strict):
    schema_version: Literal[1]
    rows: tuple[Stream, ...]


class Brackets(Strict):
    schema_version: Literal[1]
    energies: tuple[EnergyRow, ...]
    rows: tuple[Bracket, ...]


class FittedField(Strict):
    """A parameter that carries a fitted value; ``per: f_hz`` if the file counts cycles."""

    chip: str
    path: str
    per: Literal["f_hz"] | None = None


class Constant(Strict):
    """A fitted constant, where it stands, and the rows it was fitted on.

    It stands in ``fields`` of chips, or is the ``stream_ceiling`` of kinds of DRAM. A language
    model among the rows means its decode rate.
    """

    name: str
    unit: str
    value: float | str
    fields: tuple[FittedField, ...] = ()
    stream_ceiling_of: tuple[str, ...] = ()
    fitted_on: tuple[str, ...]
    method: str


class Constants(Strict):
    schema_version: Literal[1]
    constants: tuple[Constant, ...]


def read_data(name: str, model: type[Model]) -> Model:
    """A file of this package's data as a model."""
    path = Path(str(resources.files("dse.validation") / "data" / name))
    data, lines = read_yaml(path)
    return validate(model, data, file=path, lines=lines)


@cached(1)
def silicon() -> Silicon:
    return read_data("silicon.yaml", Silicon)


@cached(1)
def ratios() -> tuple[Ratio, ...]:
    return read_data("differential.yaml", Ratios).rows


@cached(1)
def blinds() -> tuple[Blind, ...]:
    return read_data("blind.yaml", Blinds).rows


@cached(1)
def languages() -> tuple[Language, ...]:
    return read_data("llm.yaml", Languages).rows


@cached(1)
def _streams() -> Streams:
    return read_data("streams.yaml", Streams)


def streams() -> tuple[Stream, ...]:
    """Rates of calls that follow each other, at each batch."""
    return _streams().rows


@cached(1)
def brackets() -> Brackets:
    return read_data("brackets.yaml", Brackets)


def constants() -> tuple[Constant, ...]:
    """Fitted constants; every row they name must exist and be marked fitted.

    Raises:
        InputError: a constant fitted on a row that is unknown or judged.
    """
    known: dict[str, str] = {row.id: row.role for row in silicon().rows}
    known |= {row.id: row.decode_role for row in languages()}
    found = read_data("fits.yaml", Constants).constants
    for constant in found:
        for row in constant.fitted_on:
            if known.get(row) != "fitted":
                what = "is judged" if row in known else "does not exist"
                raise InputError(
                    f"{constant.name!r} is fitted on {row!r}, which {what}", field="fitted_on"
                )
    return found
