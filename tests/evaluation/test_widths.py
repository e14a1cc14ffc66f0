"""What a search turns moves time, energy and area: a bigger array behind ports that follow it."""

from __future__ import annotations

import functools
import itertools

import pytest

from dse.evaluation import model_at
from dse.hardware import load_chip
from dse.hardware.chip import Chip
from dse.mapping import (
    LayerSchedule,
    Program,
    map_layer,
    program_energy_j,
    program_latency_s,
    unroll,
)
from dse.workload.layer import Layer

#: A memory that never is the limit here.
FAST = {"dram.kind": "lpddr5", "dram.channels": 16, "overhead.launch_cycles": 0}
#: The widths of a 32x32 core, as they stood in the family whatever the array.
FIXED: dict[str, object] = {
    "buffer.read_bytes_per_cycle": 64,
    "buffer.write_bytes_per_cycle": 64,
    "vector.lanes": 16,
    "array.accumulator_bytes": 16384,
}
SIZES = (16, 32, 64, 128)


@functools.cache
def core(size: int, *values: tuple[str, object]) -> Chip:
    sides = {"array.rows": size, "array.cols": size}
    return load_chip("conv_core", overrides=FAST | sides | dict(values))


@functools.cache
def layers() -> tuple[Layer, ...]:
    """Convolutions of a small network with channels enough for every size."""
    found = model_at("resnet18", None, core(32)).layers
    return tuple(layer for layer in found if layer.nest and min(layer.nest.C, layer.nest.K) >= 64)


def mapped(chip: Chip) -> list[LayerSchedule]:
    return [map_layer(layer, chip, "latency") for layer in layers()]


def program(chip: Chip) -> Program:
    made = mapped(chip)
    return Program("network", tuple(made), unroll(made, prefetch=True), 1, 0.0)


def seconds(chip: Chip) -> float:
    return program_latency_s(program(chip), chip)


def test_each_doubling_of_the_array_is_worth_its_ports() -> None:
    following = [seconds(core(size)) for size in SIZES]
    starved = [seconds(core(size, *FIXED.items())) for size in SIZES]
    gains = [small / big for small, big in itertools.pairwise(following)]
    assert min(gains) > 1.8, gains
    # What a fixed port made of it: hardly anything from 64 on.
    assert starved[1] == pytest.approx(following[1], rel=1e-9)
    assert starved[2] / starved[3] < 1.3
    assert starved[3] > 1.5 * following[3]


def test_what_is_gained_is_paid() -> None:
    following, starved = core(64), core(64, *FIXED.items())
    assert following.area_mm2 > starved.area_mm2
    idle, active = (
        [sum(getattr(part, f"{state}_w") for part in chip.static) for chip in (following, starved)]
        for state in ("idle", "active")
    )
    assert idle[0] > idle[1]
    assert active[0] > active[1]


def test_widths_relative_to_the_array_trade_time_for_area() -> None:
    half, one, twice = (
        core(64, *{f"widths.{name}.times": times for name in ("read", "write", "lanes")}.items())
        for times in (0.5, 1.0, 2.0)
    )
    times = [seconds(chip) for chip in (half, one, twice)]
    assert times[0] > 1.05 * times[1]
    assert times[1] >= times[2]
    assert half.area_mm2 < one.area_mm2 < twice.area_mm2
    # Waiting for a narrow port costs static energy, a port wider than is used leaks for nothing.
    joules = [program_energy_j(program(chip), chip) for chip in (half, one, twice)]
    assert joules[0] > joules[1]
    assert joules[2] > joules[1]


@pytest.mark.parametrize(
    ("port", "width"),
    [("input", 8), ("weight", 8), ("result", 0.5), ("fill", 4), ("fetch", 4)],
)
def test_a_port_of_one_use_holds_up_what_passes_it(port: str, width: float) -> None:
    field = f"buffer.{port}_bytes_per_cycle"
    plain, wide = core(32), core(32, (field, 4096))
    narrow = core(32, (field, width))
    assert seconds(wide) == pytest.approx(seconds(plain), rel=1e-9)
    assert seconds(narrow) > 1.1 * seconds(plain)
    assert narrow.area_mm2 <= plain.area_mm2


def test_partial_sums_pass_their_own_port() -> None:
    """Without accumulators every step's sums go through the buffer."""
    values = {
        "array.accumulator_bytes": 0,
        "buffer.read_bytes_per_cycle": 256,
        "buffer.write_bytes_per_cycle": 256,
    }
    narrow = {**values, "buffer.sum_bytes_per_cycle": 8}
    assert seconds(core(32, *narrow.items())) > 2.0 * seconds(core(32, *values.items()))


def test_what_feeds_the_array_is_no_limit() -> None:
    """An input a row and a weight a column each cycle is all that an array of C x K takes."""
    rules = {"widths.inputs.per_row": 1, "widths.weights.per_col": 1, "widths.results.per_col": 1}
    for size in SIZES:
        assert seconds(core(size, *rules.items())) == pytest.approx(seconds(core(size)), rel=1e-9)
    half = {**rules, "widths.inputs.times": 0.5}
    assert seconds(core(64, *half.items())) > 1.1 * seconds(core(64))
