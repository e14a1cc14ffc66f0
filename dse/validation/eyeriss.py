"""Section ``eyeriss``: AlexNet layer by layer on the row-stationary chip."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from dse.evaluation import model_at
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping.mapper import map_layer
from dse.mapping.schedule import LayerSchedule, Program, price, program_latency_s, unroll
from dse.schema import Strict
from dse.validation.published import Positive, read_data
from dse.validation.record import Row, Section, Target

#: Quantity of a row, and the mean error it is asked to reach.
LIMITS = {"processing s": 0.1, "power W": 0.2, "DRAM bytes": 0.25, "buffer bytes": 0.3}


class EyerissLayer(Strict):
    name: str
    processing_s: Positive
    total_s: Positive
    power_w: Positive
    buffer_bytes: Positive
    dram_bytes: Positive
    zeros: Annotated[float, Field(ge=0, lt=1)]


class Eyeriss(Strict):
    schema_version: Literal[1]
    source: str
    chip: str
    model: str
    precision: str
    layers: tuple[EyerissLayer, ...]


@functools.cache
def published() -> Eyeriss:
    return read_data("eyeriss.yaml", Eyeriss)


def eyeriss() -> Section:
    """Time, power, DRAM and buffer traffic of the five convolutions; none was fitted on."""
    file = published()
    chip = load_chip(file.chip)
    work = model_at(file.model, file.precision, chip)
    convolutions = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1]
    rows: list[Row] = []
    for item, layer in zip(file.layers, convolutions, strict=True):
        dense = replace(layer, input_density=1.0 - item.zeros)
        rows += _rows(item, map_layer(dense, chip, "energy"), chip)
    targets = []
    for quantity, limit in LIMITS.items():
        ratios = [row.ratio for row in rows if row.quantity == quantity and row.ratio]
        mean = statistics.fmean(abs(ratio - 1.0) for ratio in ratios)
        targets.append(Target(f"Eyeriss AlexNet: {quantity}, mean error", mean, limit))
    return Section("eyeriss", tuple(rows), targets=tuple(targets))


def _rows(item: EyerissLayer, made: LayerSchedule, chip: Chip) -> Iterator[Row]:
    segments = unroll((made,), prefetch=chip.buffer.double_buffered)
    seconds = program_latency_s(Program(made.layer, (made,), segments, 1, 0.0), chip)
    array = sum(phase.count * phase.array_cycles for phase in made.phases) / chip.f_hz
    energy = price(made.counts, chip)
    joules = sum(j for action, j in energy.items() if chip.action_scope[action] == "npu")
    static = sum(part.active_w for part in chip.static if part.scope == "npu")
    moved = made.fill_weight[0] + made.fill_other[0] + made.drain[0]
    moved += sum(phase.count * phase.link_bytes[0] for phase in made.phases)
    buffer = sum(made.counts.get(f"buffer.{side}_bit", 0.0) for side in ("read", "write")) / 8
    clock = chip.spec.power.clock_share
    note = (
        f"clock network: {clock:.0%} of the energy of a MAC; none of the registers and the buffer"
    )
    for quantity, stated, ours in (
        ("processing s", item.processing_s, array),
        ("total s", item.total_s, seconds),
        ("power W", item.power_w, joules / seconds + static),
        ("DRAM bytes", item.dram_bytes, moved),
        ("buffer bytes", item.buffer_bytes, buffer),
    ):
        remark = note if quantity == "power W" else ""
        yield Row(f"{item.name} on eyeriss", quantity, stated, ours, "judged", "silicon", remark)
