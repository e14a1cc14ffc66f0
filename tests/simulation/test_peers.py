"""Cycle-level peers on the same hardware: SCALE-Sim's closed form exactly, ONNXim within 3 %.

Figures: SCALE-Sim 3.0.0 (PyPI), ``total_cycles`` of GEMMs (M pixels, N filters, K window) on R x C
arrays, preload and skew paid in every pass; it counts from zero, so one less than the cycles taken.
ONNXim commit a1e86296: 32x32 weight-stationary array at 1 GHz that overlaps preload and skew with
compute, 256 KiB scratchpad and 64 KiB accumulators (each half for the tile that is worked on), HBM
of 8 channels at 877 MHz and 32 bytes.
"""

from __future__ import annotations

import math

import pytest

from dse.mapping import LayerSchedule, Phase, Program, unroll
from dse.simulation import simulate_alone

from .conftest import make_chip

SCALESIM = [
    ("ws", 32, (128, 64, 128), 1775),
    ("ws", 32, (144, 1, 4608), 34271),
    ("ws", 32, (196, 1176, 64), 21459),
    ("os", 32, (196, 512, 256), 35615),
    ("os", 32, (196, 192, 384), 18731),
    ("is", 32, (1, 1000, 512), 17503),
    ("is", 32, (9, 1, 9216), 27359),
    ("ws", 16, (64, 512, 256), 56319),
    ("os", 16, (128, 64, 128), 5055),
    ("os", 16, (9, 1, 9216), 9245),
    ("is", 16, (144, 1, 4608), 121823),
    ("ws", 128, (1, 1000, 512), 12255),
    ("os", 128, (64, 512, 256), 2039),
    ("is", 128, (128, 64, 128), 445),
]
#: Layer as (M, K, N, taps of the kernel) and ONNXim's cycles.
ONNXIM = {
    "mm_128_128_128": ((128, 128, 128, 1), 2293),
    "mm_256_256_256": ((256, 256, 256, 1), 17093),
    "mm_1_512_1024": ((1, 512, 1024, 1), 17081),
    "cv_256_14_512_1_2": ((49, 256, 512, 1), 6538),
    "cv_512_7_512_3": ((49, 512, 512, 9), 113285),
}
HALF_SCRATCHPAD, HALF_ACCUMULATORS = 128 * 1024, 32 * 1024


def played_cycles(schedule: LayerSchedule, bytes_per_cycle: float) -> float:
    """Cycles of 1 ns that the simulator takes for one layer."""
    chip = make_chip(static=(), dram_bytes_per_s=bytes_per_cycle * 1e9)
    program = Program("layer", (schedule,), unroll((schedule,), prefetch=True), 1, 0.0)
    return simulate_alone(chip, program).horizon_s * 1e9


def layer(phases: tuple[Phase, ...], fill: float, drain: float, macs: int) -> LayerSchedule:
    return LayerSchedule(
        "layer",
        "Gemm",
        "compute",
        "array",
        macs,
        1,
        0.0,
        (0.0, 0.0, 0.0),
        (fill, 0.0, 0.0),
        phases,
        (drain, 0.0, 0.0),
        {},
        0.0,
    )


@pytest.mark.parametrize(("flow", "side", "mnk", "published"), SCALESIM)
def test_scalesim_exactly(flow: str, side: int, mnk: tuple[int, int, int], published: int) -> None:
    """A pass streams one dim through the array after its preload (but for ``os``) and the skew."""
    m, n, k = mnk
    stream, over_rows, over_cols = {"ws": (m, k, n), "is": (n, k, m), "os": (k, m, n)}[flow]
    preload = 0 if flow == "os" else side
    passes = math.ceil(over_rows / side) * math.ceil(over_cols / side)
    phase = Phase(passes, array_cycles=float(preload + stream + 2 * side - 2))
    assert round(played_cycles(layer((phase,), 0.0, 0.0, m * n * k), 1e6), 6) - 1 == published


@pytest.mark.parametrize("name", ONNXIM)
def test_onnxim_within_three_per_cent(name: str) -> None:
    """As few equal tiles as fit half of the scratchpads, the first one loaded before compute."""
    (m, k, n, taps), published = ONNXIM[name]
    parts_n = parts_k = 1
    while m * n / parts_n > HALF_ACCUMULATORS:
        parts_n += 1
    while k * taps * n / (parts_n * parts_k) + k / parts_k * m > HALF_SCRATCHPAD:
        if taps * k / parts_k * 32 > HALF_SCRATCHPAD // 2:
            parts_k += 1  # no whole window fits beside a block of filters
        else:
            parts_n += 1
    tiles = parts_n * parts_k
    passes = taps * math.ceil(k / 32) * math.ceil(n / 32)
    loaded = k * taps * n / tiles + k / parts_k * m
    phase = Phase(tiles - 1, passes * max(m, 32) / tiles, link_bytes=(loaded, 0.0, 0.0))
    last = Phase(1, passes * max(m, 32) / tiles)
    phases = (phase, last) if tiles > 1 else (last,)
    cycles = played_cycles(layer(phases, loaded, m * n / parts_n, m * n * k * taps), 8 * 32 * 0.877)
    assert cycles == pytest.approx(published, rel=0.03)
    assert cycles > passes * max(m, 32)


def test_paying_for_preload_and_skew_is_a_factor_of_three() -> None:
    """A matrix-vector product by the rule of either: 95 cycles a pass, or 32."""
    passes = 16 * 32
    paid = played_cycles(layer((Phase(passes, 32.0 + 1 + 62),), 0.0, 0.0, 1), 1e6)
    hidden = played_cycles(layer((Phase(passes, 32.0),), 0.0, 0.0, 1), 1e6)
    assert paid / hidden == pytest.approx(95 / 32)
