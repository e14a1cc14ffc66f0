"""Chips and layers made by hand, so that the mapper is tested without the floors below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from dse.workload.layer import FUNCTIONS, Layer, LoopNest

#: Joules per count of a made-up chip; the sizes are those of a 16 nm design.
PRICES = {
    "mac.int4.int8": 0.12e-12,
    "mac.int8.int8": 0.2e-12,
    "mac.int16.int16": 0.7e-12,
    "array.idle_mac": 0.02e-12,
    "accumulator.read_bit": 0.01e-12,
    "accumulator.write_bit": 0.012e-12,
    "buffer.read_bit": 0.05e-12,
    "buffer.write_bit": 0.06e-12,
    "l2.read_bit": 0.2e-12,
    "l2.write_bit": 0.22e-12,
    "nvm.read_bit": 0.5e-12,
    "dram.read_bit": 4e-12,
    "dram.write_bit": 4.5e-12,
    "phy.bit": 1e-12,
    "noc.bit": 0.03e-12,
    "host.op": 50e-12,
    "launch": 1e-9,
    "descriptor": 20e-12,
}


def make_chip(
    rows: int = 16,
    cols: int = 16,
    *,
    row_dims: tuple[str, ...] = ("C", "FY", "FX"),
    col_dims: tuple[str, ...] = ("K",),
    more_axes: tuple[Axis, ...] = (),
    dataflows: tuple[Any, ...] = ("ws",),
    rates: Mapping[str, float] | None = None,
    preload: Any = "hidden",
    preload_cycles: int | None = None,
    fill_drain: Any = "hidden",
    depthwise: Any = "none",
    row_inputs: Any = "any",
    align: Mapping[str, int] | None = None,
    accumulator_bytes: int = 8192,
    buffer_bytes: int = 128 * 1024,
    port: float = 64.0,
    ports: Mapping[str, float] | None = None,
    double: bool = True,
    lanes: float = 16.0,
    fused: tuple[str, ...] = FUNCTIONS,
    functions: tuple[str, ...] = FUNCTIONS,
    dram: float = 8e9,
    l2: float = 0.0,
    l2_bytes: float = 0.0,
    nvm: float = 0.0,
    nvm_bytes: float = 0.0,
    launch: float = 200.0,
    descriptor: float = 20.0,
    f_hz: float = 500e6,
    cores: int = 1,
    static_w: float = 0.05,
    prices: Mapping[str, float] | None = None,
    host_ops: float = 1e9,
) -> Chip:
    """A priced chip from a few parameters; ``ports``: of one operand or use, by name."""
    table = dict(PRICES)
    own_ports: dict[str, Any] = {
        f"{n}_bytes_per_cycle": width for n, width in (ports or {}).items()
    }
    for function in FUNCTIONS:
        table[f"vector.{function}"] = 0.3e-12
        table[f"vector.{function}.wide"] = 0.7e-12
    table.update(prices or {})
    links = {
        "dram": Link("dram", dram, dram * 1.3, 1e9 if dram else 0.0),
        "l2": Link("l2", l2, l2, l2_bytes),
        "nvm": Link("nvm", nvm, nvm, nvm_bytes, writable=False),
    }
    axes = (Axis(rows, row_dims), Axis(cols, col_dims), *more_axes)
    return Chip(
        name="test chip",
        template="test",
        node_nm=16,
        f_hz=f_hz,
        voltage_v=0.8,
        sram_voltage_v=0.8,
        junction_c=60.0,
        native_precision="int8",
        cores=cores,
        array=Array(
            axes=tuple(axis for axis in axes if axis.size > 1) or axes[:1],
            dataflows=dataflows,
            rates=dict(rates or {"int8xint8": 1.0}),
            preload=preload,
            preload_cycles=rows if preload_cycles is None else preload_cycles,
            fill_drain=fill_drain,
            fill_drain_cycles=rows + cols - 2,
            depthwise=depthwise,
            row_inputs=row_inputs,
            align=dict(align or {}),
            accumulator_bytes=accumulator_bytes,
        ),
        buffer=Buffer(
            buffer_bytes,
            port,
            port,
            double,
            **own_ports,
        ),
        vector=VectorUnit(dict.fromkeys(functions, lanes), 2.0, fused),
        links=links,
        overheads=Overheads(launch, descriptor, 2, 1e-5, 65536.0),
        host=Host("test host", host_ops),
        prices=table,
        action_scope={
            a: "die_dram" if a.startswith("dram.") else "die" if a.startswith("phy") else "npu"
            for a in table
        },
        static=(StaticPower("all", "npu", static_w, static_w / 2, 0.0),),
        pmic=Pmic((0.0, 1.0), (0.9, 0.9)),
        area=AreaNode("die", 1.0),
        dram_capacity_bytes=1e9 if dram else 0.0,
        power_gating=False,
        digest="test",
        spec=None,
        technology=None,
    )


def make_layer(name: str = "layer", op: str = "Conv", **parts: Any) -> Layer:
    """A compute layer of the given dims (and Layer fields), its elements those of its nest."""
    nest_fields = set(LoopNest.__dataclass_fields__)
    nest = LoopNest(**{key: value for key, value in parts.items() if key in nest_fields})
    rest: dict[str, Any] = {key: value for key, value in parts.items() if key not in nest_fields}
    rows = (nest.OY - 1) * nest.stride_y + (nest.FY - 1) * nest.dilation_y + 1
    cols = (nest.OX - 1) * nest.stride_x + (nest.FX - 1) * nest.dilation_x + 1
    given: dict[str, Any] = {
        "w_elements": nest.G * nest.K * nest.C * nest.FY * nest.FX,
        "i_elements": nest.G * nest.B * nest.C * rows * cols,
        "o_elements": nest.G * nest.B * nest.K * nest.OY * nest.OX,
        "w_tensor": f"{name}.w",
        **rest,
    }
    return Layer(name, op, "compute", (name,), (f"{name}.i",), (f"{name}.o",), nest, **given)


@pytest.fixture
def chip() -> Chip:
    return make_chip()
