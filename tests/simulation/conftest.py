"""Hand-made chips and programs with round numbers: 1 GHz, DRAM 1 GB/s, L2 4 GB/s."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dse.hardware.area import AreaNode
from dse.hardware.chip import (
    Array,
    Axis,
    Buffer,
    Chip,
    Host,
    Link,
    Overheads,
    Pmic,
    StaticPower,
    VectorUnit,
)
from dse.mapping import LayerSchedule, Phase, Program, unroll

PRICES = {
    "mac.int8.int8": 1e-12,
    "buffer.read_bit": 1e-14,
    "buffer.write_bit": 2e-14,
    "dram.read_bit": 4e-12,
    "dram.write_bit": 5e-12,
    "phy.bit": 1e-12,
    "noc.bit": 3e-14,
    "l2.read_bit": 1e-13,
    "l2.write_bit": 1e-13,
}
SCOPE_OF = (
    dict.fromkeys(PRICES, "npu")
    | {"phy.bit": "die", "dram.read_bit": "die_dram"}
    | {"dram.write_bit": "die_dram"}
)
STATIC = (
    StaticPower("array", "npu", 5e-3, 2e-3, 1e-4, per_core=True, wake_s=2e-6, wake_j=1e-8),
    StaticPower("always_on", "die", 3e-3, 3e-3, 3e-3),
    StaticPower("dram", "die_dram", 2e-2, 8e-3, 1e-3, wake_s=1e-6, wake_j=5e-9),
)


def make_chip(
    *,
    cores: int = 1,
    dram_bytes_per_s: float = 1e9,
    static: tuple[StaticPower, ...] = STATIC,
    power_gating: bool = False,
    f_hz: float = 1e9,
) -> Chip:
    array = Array(
        axes=(Axis(16, ("C",)), Axis(16, ("K",))),
        dataflows=("ws",),
        rates={"int8xint8": 1.0},
        preload="hidden",
        preload_cycles=0,
        fill_drain="hidden",
        fill_drain_cycles=0,
        depthwise="none",
        align={},
        accumulator_bytes=0,
    )
    return Chip(
        name="test-chip",
        template="test",
        node_nm=28,
        f_hz=f_hz,
        voltage_v=0.9,
        sram_voltage_v=0.9,
        junction_c=60.0,
        native_precision="int8",
        cores=cores,
        array=array,
        buffer=Buffer(1 << 18, 64.0, 64.0, True),
        vector=VectorUnit({}, 2.0, ()),
        links={
            "dram": Link("dram", dram_bytes_per_s, 2e9, 1e9),
            "l2": Link("l2", 4e9, 4e9, 1 << 20),
        },
        overheads=Overheads(0.0, 0.0, 1, 0.0, 1e9),
        host=Host("host", 1e8),
        prices=PRICES,
        action_scope=SCOPE_OF,
        static=static,
        pmic=Pmic((0.0, 0.02, 0.2), (0.6, 0.8, 0.9)),
        area=AreaNode("die"),
        dram_capacity_bytes=1e9,
        power_gating=power_gating,
        digest="test",
        spec=None,
        technology=None,
    )


def make_layer(
    name: str,
    *,
    steps: int = 10,
    cycles: float = 1000.0,
    dram: float = 0.0,
    l2: float = 0.0,
    launch: float = 0.0,
    fill_weight: float = 0.0,
    fill_other: float = 0.0,
    drain: float = 0.0,
    cores: int = 1,
) -> LayerSchedule:
    """``dram`` and ``l2`` are bytes per step; fill and drain bytes go over DRAM."""
    moved = steps * dram + fill_weight + fill_other
    return LayerSchedule(
        layer=name,
        op="Conv",
        kind="conv",
        unit="array",
        macs=int(steps * cycles * 256),
        cores=cores,
        launch_cycles=launch,
        fill_weight=(fill_weight, 0.0, 0.0),
        fill_other=(fill_other, 0.0, 0.0),
        phases=(Phase(steps, array_cycles=cycles, link_bytes=(dram, l2, 0.0)),),
        drain=(drain, 0.0, 0.0),
        counts={
            "mac.int8.int8": steps * cycles * 256.0,
            "buffer.read_bit": steps * cycles * 512.0,
            "dram.read_bit": 8.0 * moved,
            "phy.bit": 8.0 * moved,
            "l2.read_bit": 8.0 * steps * l2,
        },
        ideal_cycles=steps * cycles,
    )


def make_program(
    name: str,
    layers: Sequence[LayerSchedule],
    *,
    cores: int = 1,
    invoke_s: float = 0.0,
    prefetch: bool = True,
) -> Program:
    return Program(name, tuple(layers), unroll(layers, prefetch=prefetch), cores, invoke_s)


def fixed(name: str, seconds: float, *, tiles: int = 1, cores: int = 1) -> Program:
    """A program that computes for ``seconds`` at 1 GHz in ``tiles`` steps and moves nothing."""
    layer = make_layer(name, steps=tiles, cycles=seconds * 1e9 / tiles, cores=cores)
    return make_program(name, [layer], cores=cores)


def resnet_like(layers: int = 60) -> Program:
    """60 layers of launch, fill, steps and drain; some bound by DRAM, some by the array."""
    return make_program(
        "resnet-like",
        [
            make_layer(
                f"layer{k}",
                steps=20 + k % 7,
                cycles=3000.0 + 100 * (k % 5),
                dram=2000.0 + 500 * (k % 4),
                launch=1000.0,
                fill_weight=4000.0,
                fill_other=3000.0,
                drain=2500.0,
            )
            for k in range(layers)
        ],
        invoke_s=1e-5,
    )


@pytest.fixture
def chip() -> Chip:
    return make_chip()


ChipMaker = Callable[..., Chip]
