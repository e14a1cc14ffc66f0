"""Section ``eyeriss``: AlexNet layer by layer on the row-stationary chip.

The layers run with the mapping that the paper gives. Its buffer holds one copy of inputs and sums
and the weights of the next pass; activations cross to DRAM run-length coded; the clock network is
a term of its own, the published share of the whole chip's power.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from dse.evaluation import model_at
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.hardware.sections import Dim
from dse.mapping import (
    GivenMapping,
    LayerSchedule,
    Program,
    given_mapping,
    map_layer,
    price,
    program_latency_s,
    unroll,
)
from dse.registry import cached
from dse.schema import Strict
from dse.validation.published import Positive, read_data
from dse.validation.record import Row, Section, Target
from dse.workload.layer import Layer

#: Quantity of a row, and the mean error it is asked to reach.
LIMITS = {"processing s": 0.1, "power W": 0.2, "DRAM bytes": 0.25, "buffer bytes": 0.3}

#: A zero input also leaves the registers of weights and sums alone (JSSC 2017, recalled).
GATED = ("register.w.read_bit", "register.o.read_bit", "register.o.write_bit")

Operand = Literal["W", "I", "O"]


class EyerissLayer(Strict):
    """A layer with what was published of it, and how the chip ran it.

    ``spatial`` is unrolled over the array, ``buffer`` and ``in_pe`` are tiles of these dims (the
    others whole, or one in a PE), ``order`` the operand that stays while the innermost loop around
    the buffer runs, ``held`` what stays longer.
    """

    name: str
    processing_s: Positive
    total_s: Positive
    power_w: Positive
    buffer_bytes: Positive
    dram_bytes: Positive
    zeros: Annotated[float, Field(ge=0, lt=1)]
    active_pes: int
    spatial: dict[Dim, int]
    buffer: dict[Dim, int]
    in_pe: dict[Dim, int]
    order: Operand
    held: dict[Operand, tuple[Dim, ...]] = Field(default_factory=dict)


class Eyeriss(Strict):
    schema_version: Literal[1]
    source: str
    chip: str
    model: str
    precision: str
    weights_ahead_bytes: Positive
    inputs_and_sums_bytes: Positive
    buffer_source: str
    run_bits: int
    word_bits: int
    pairs_per_word: int
    code_source: str
    clock_share_of_chip: Annotated[float, Field(gt=0, lt=1)]
    clock_source: str
    mapping_source: str
    layers: tuple[EyerissLayer, ...]


@cached(1)
def published() -> Eyeriss:
    return read_data("eyeriss.yaml", Eyeriss)


def eyeriss() -> Section:
    """Time, power, DRAM and buffer traffic of the five convolutions; none was fitted on."""
    file = published()
    chip = one_copy(load_chip(file.chip, overrides={"power.clock_share": 0.0}))
    rows: list[Row] = []
    free: list[float] = []
    zeros = [item.zeros for item in file.layers]
    for n, (item, layer) in enumerate(zip(file.layers, convolutions(chip), strict=True)):
        seen = zeros[min(n + 1, len(zeros) - 1)]  # what the next layer reads, the last as itself
        run = as_published(item, layer, chip)
        rows += _rows(item, run, coded_bytes(run, zeros[n] if n else None, seen), chip)
        own = map_layer(layer, chip, "energy", room_bytes=_room(chip))
        free.append(array_s(own, chip) / item.processing_s)
    targets = []
    for quantity, limit in LIMITS.items():
        ratios = [row.ratio for row in rows if row.quantity == quantity and row.ratio]
        mean = statistics.fmean(abs(ratio - 1.0) for ratio in ratios)
        targets.append(Target(f"Eyeriss AlexNet: {quantity}, mean error", mean, limit))
    off = statistics.fmean(abs(ratio - 1.0) for ratio in free)
    note = f"with the mapper's own mappings in place of the paper's: processing s {off:.0%} off"
    return Section("eyeriss", tuple(rows), targets=tuple(targets), notes=(note,))


def convolutions(chip: Chip) -> list[Layer]:
    """The five layers at the precision of the chip, with their share of zero inputs."""
    file = published()
    work = model_at(file.model, file.precision, chip)
    found = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1]
    return [
        replace(layer, input_density=1.0 - item.zeros)
        for item, layer in zip(file.layers, found, strict=True)
    ]


def one_copy(chip: Chip) -> Chip:
    """The chip with the parts of its buffer as published.

    The mapper counts two copies of what is loaded while the array works. Weights have a part of
    their own for the next pass; of inputs and sums there is one copy, hence twice the part.
    """
    file = published()
    twice = 2.0 * file.inputs_and_sums_bytes
    parts = (2.0 * file.weights_ahead_bytes, twice, twice)
    return replace(chip, buffer=replace(chip.buffer, parts=parts))


def _room(chip: Chip) -> float:
    assert chip.buffer.parts is not None
    return chip.buffer.parts[0] + chip.buffer.parts[1]


def as_published(item: EyerissLayer, layer: Layer, chip: Chip) -> GivenMapping:
    """The layer with the paper's mapping: weights stay in the PEs, sums in the buffer."""
    tiles = {"buffer": _sizes(item.buffer), "register": _sizes(item.in_pe)}
    return given_mapping(
        layer,
        chip,
        _sizes(item.spatial),
        tiles,
        item.order,
        held={str(operand): dims for operand, dims in item.held.items()},
        room_bytes=_room(chip),
    )


def _sizes(given: dict[Dim, int]) -> dict[str, int]:
    return {str(dim): size for dim, size in given.items()}


def raw_bytes(run: GivenMapping) -> float:
    """Bytes to and from DRAM before the run-length code."""
    return run.weights + run.inputs + run.outputs + run.sums


def run_length_share(zeros: float) -> float:
    """Bits of the run-length code over the bits of the values, zeros falling at random.

    A pair is a run of zeros (at most ``2**run_bits - 1``) and the value behind it, so it covers
    ``(1 - z**n) / (1 - z)`` values on average, ``n = 2**run_bits``.
    """
    file = published()
    longest = float(2**file.run_bits)
    pairs: float = (1.0 - zeros) / (1.0 - zeros**longest)
    return pairs * file.word_bits / file.pairs_per_word / 16.0


def coded_bytes(run: GivenMapping, zeros_in: float | None, zeros_out: float) -> float:
    """Bytes on the DRAM link; ``zeros_in`` None is the image, which is not coded."""
    inputs = run.inputs * (1.0 if zeros_in is None else run_length_share(zeros_in))
    return run.weights + inputs + run.outputs * run_length_share(zeros_out) + run.sums


def array_s(made: LayerSchedule, chip: Chip) -> float:
    """Time in which the array works or waits for the buffer, s."""
    busy = (phase.count * max(phase.array_cycles, phase.port_cycles) for phase in made.phases)
    return sum(busy) / chip.f_hz


def _coded(made: LayerSchedule, share: float) -> LayerSchedule:
    """The schedule with ``share`` of its bytes on the links."""

    def less(amounts: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(share * amount for amount in amounts)

    return replace(
        made,
        phases=tuple(replace(p, link_bytes=less(p.link_bytes)) for p in made.phases),
        fill_weight=less(made.fill_weight),
        fill_other=less(made.fill_other),
        drain=less(made.drain),
    )


def _rows(item: EyerissLayer, run: GivenMapping, moved: float, chip: Chip) -> Iterator[Row]:
    made = _coded(run.schedule, moved / raw_bytes(run))
    segments = unroll((made,), prefetch=chip.prefetches)
    seconds = program_latency_s(Program(made.layer, (made,), segments, 1, 0.0), chip)
    energy = price(made.counts, chip)
    joules = sum(j for action, j in energy.items() if chip.action_scope[action] == "npu")
    joules -= item.zeros * sum(energy.get(action, 0.0) for action in GATED)
    static = sum(
        part.active_w
        for part in chip.static
        if part.scope == "npu" and part.component != "clock_root"  # in the share of the clock
    )
    share = published().clock_share_of_chip
    power = (joules / seconds + static) / (1.0 - share)
    buffer = sum(made.counts.get(f"buffer.{side}_bit", 0.0) for side in ("read", "write")) / 8
    remarks = {
        "power W": f"{power * share:.3f} W of it the clock network, {share:.0%} of the chip",
        "DRAM bytes": f"{raw_bytes(run) / 1e6:.2f} MB before the run-length code",
    }
    for quantity, stated, ours in (
        ("processing s", item.processing_s, array_s(made, chip)),
        ("total s", item.total_s, seconds),
        ("power W", item.power_w, power),
        ("DRAM bytes", item.dram_bytes, moved),
        ("buffer bytes", item.buffer_bytes, buffer),
    ):
        remark = remarks.get(quantity, "")
        yield Row(f"{item.name} on eyeriss", quantity, stated, ours, "judged", "silicon", remark)
