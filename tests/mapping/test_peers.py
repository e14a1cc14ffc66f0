"""The exact peer AccelForge on its own hardware: as good or better by its own rules.

Figures: AccelForge commit 1c1929c2 (2026-08-12), architecture ``edge256_ws``: 16 x 16 MACs that
hold one weight each, a single-buffered 256 KiB buffer with 0.15 and 0.18 pJ a bit, DRAM with 8 pJ a
bit at 12.8 GB/s, 0.2 pJ a MAC and 0.08 pJ a weight register read, partial sums of 8 bit, no
leakage. Its latency overlaps everything perfectly, so only energy is compared.
"""

from __future__ import annotations

from typing import Any

import pytest

from dse.mapping.mapper import map_layer
from dse.mapping.schedule import price
from dse.workload.layer import FUNCTIONS, Layer

from .conftest import make_chip, make_layer

ZERO = ("array.idle_mac", "noc.bit", "phy.bit", "launch", "descriptor")
PRICES = {
    **dict.fromkeys(ZERO, 0.0),
    **{f"vector.{f}": 0.0 for f in FUNCTIONS},
    "mac.int8.int8": 0.28e-12,
    "buffer.read_bit": 0.15e-12,
    "buffer.write_bit": 0.18e-12,
    "dram.read_bit": 8e-12,
    "dram.write_bit": 8e-12,
}
#: Layer, and the least energy that AccelForge finds, J.
POINTS = [
    (make_layer("gemm", OX=512, C=768, K=3072, acc_bits=8), 1.0693587828427553e-3),
    (make_layer("conv", K=64, C=64, OY=56, OX=56, FY=3, FX=3, acc_bits=8), 8.955563680501655e-5),
    (make_layer("gemv", K=4096, C=4096, acc_bits=8), 1.1286302469670773e-3),
]


@pytest.mark.parametrize(("layer", "published"), POINTS, ids=lambda part: getattr(part, "name", ""))
def test_energy_on_edge256(layer: Layer, published: float) -> None:
    chip: Any = make_chip(
        accumulator_bytes=0,
        buffer_bytes=256 * 1024,
        double=False,
        dram=12.8e9,
        f_hz=1e9,
        static_w=0.0,
        prices=PRICES,
    )
    made = map_layer(layer, chip, "energy")
    # The weight registers are written once per weight and tile, 0.08 pJ each.
    ours = sum(price(made.counts, chip).values())
    assert 0.95 * published < ours <= published
