"""The sections of ``dse validate``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field

from dse.errors import InputError
from dse.evaluation import evaluate_model, model_at
from dse.files import nearest
from dse.hardware.resolve import load_chip
from dse.schema import Strict, read_yaml, validate
from dse.technology import technology_checks
from dse.validation.null_models import Sample, null_errors
from dse.validation.record import Kind, Row, Section
from dse.workload import list_models, load_model


class _Measured(Strict):
    chip: str
    family: str
    model: str
    latency_s: float = Field(gt=0)
    energy_j: float | None = None
    energy_scope: Literal["npu", "die", "die_dram", "module"] | None = None
    kind: Kind
    source: str


class _Area(Strict):
    chip: str
    node: str
    block: Literal["npu", "die"]
    area_mm2: float = Field(gt=0)
    kind: Kind
    source: str


class _Published(Strict):
    schema_version: Literal[1]
    rows: tuple[_Measured, ...]
    area: tuple[_Area, ...]


def published() -> _Published:
    """The published figures that ship with the package."""
    path = Path(str(resources.files("dse.validation") / "data" / "silicon.yaml"))
    data, lines = read_yaml(path)
    return validate(_Published, data, file=path, lines=lines)


def models() -> Section:
    """MACs and parameters of the zoo against published figures."""
    rows = []
    for info in list_models():
        for quantity, figure in (
            ("MACs", info.published_macs),
            ("parameters", info.published_parameters),
        ):
            if figure:
                model = load_model(info.name)
                ours = model.macs if quantity == "MACs" else model.trainable
                rows.append(Row(info.name, quantity, figure, float(ours), "judged", "paper"))
    return Section("models", tuple(rows))


def technology() -> Section:
    """Energy, speed and voltage steps against what was published."""
    rows = [
        Row(
            check.item,
            check.quantity,
            check.published,
            check.ours,
            check.role,
            cast(Kind, check.kind),
        )
        for check in technology_checks()
    ]
    return Section("technology", tuple(rows))


def area() -> Section:
    """Die and block areas."""
    rows = []
    for item in published().area:
        chip = load_chip(item.chip, node=item.node)
        ours = chip.area.scope_mm2("npu" if item.block == "npu" else "die")
        name = f"{item.chip} at {item.node}"
        rows.append(Row(name, f"{item.block} area mm2", item.area_mm2, ours, "judged", item.kind))
    return Section("area", tuple(rows))


def silicon() -> Section:
    """Latency and energy of networks on real chips, beside null models."""
    rows: list[Row] = []
    samples: list[Sample] = []
    for item in published().rows:
        chip = load_chip(item.chip)
        workload = model_at(item.model, None, chip)
        record = evaluate_model(workload, chip)
        name = f"{item.model} on {item.chip}"
        note = "; ".join(record.reasons)
        rows.append(
            Row(name, "latency s", item.latency_s, record.latency_s, "judged", item.kind, note)
        )
        samples.append(Sample(item.family, workload.macs, workload.weight_bytes, item.latency_s))
        if item.energy_j and item.energy_scope:
            ours = record.by_scope[item.energy_scope]["energy_j"]
            quantity = f"energy J, {item.energy_scope}"
            rows.append(Row(name, quantity, item.energy_j, ours, "judged", item.kind, note))
    errors = null_errors(samples)
    notes = tuple(
        f"null model {name}: median absolute error {error:.0%} on latency"
        for name, error in sorted(errors.items(), key=lambda item: item[1])
    )
    return Section("silicon", tuple(rows), min(errors.values(), default=None), notes)


SECTIONS: dict[str, Callable[[], Section]] = {
    "models": models,
    "technology": technology,
    "area": area,
    "silicon": silicon,
}


def run_sections(name: str | None = None) -> list[Section]:
    """All sections, or the one called ``name``.

    Raises:
        InputError: there is no such section.
    """
    if name is not None and name not in SECTIONS:
        raise InputError(
            f"unknown section {name!r}",
            field="--section",
            mend=f"use one of: {', '.join(SECTIONS)}{nearest(name, list(SECTIONS))}",
        )
    chosen: dict[str, Any] = {name: SECTIONS[name]} if name else SECTIONS
    return [run() for run in chosen.values()]
