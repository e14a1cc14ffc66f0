"""What other tools report, as data; and the chips and layers they report it for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from dse.hardware.chip import Array, Axis, Buffer, Chip, Dataflow, Link, Overheads, VectorUnit
from dse.hardware.resolve import load_chip
from dse.hardware.sections import Dim
from dse.registry import cached
from dse.schema import Strict
from dse.validation.published import Positive, read_data
from dse.workload.layer import FUNCTIONS, Layer, LoopNest

#: A rate, bytes/s or results/cycle, that limits nothing.
ENDLESS = 1e15


class Hardware(Strict):
    rows: int
    cols: int
    depth: int = 1
    row_dims: tuple[Dim, ...]
    col_dims: tuple[Dim, ...]
    depth_dims: tuple[Dim, ...] = ()
    dataflows: tuple[Dataflow, ...]
    accumulator_bytes: int = 0
    buffer_bytes: int
    double_buffered: bool = True
    read_bytes_per_cycle: float = ENDLESS
    write_bytes_per_cycle: float = ENDLESS
    dram_bytes_per_s: float = ENDLESS
    f_hz: float = 1e9
    skewed: bool = False


class PeerLayer(Strict):
    """A layer and what the tool says of it; ``padded`` input has the size of the output."""

    name: str
    dims: dict[Dim, int]
    stride: int = 1
    padded: bool = False
    acc_bits: int = 32
    objective: Literal["edp", "latency", "energy"]
    energy_j: Positive | None = None
    cycles: Positive | None = None
    why: str = ""


class Tool(Strict):
    tool: str
    source: str
    model: str
    hardware: Hardware
    prices_pj: dict[str, float]
    layers: tuple[PeerLayer, ...]


class SystolicRow(Strict):
    name: str
    gemm: tuple[int, int, int]
    array: tuple[int, int]
    dataflow: Dataflow
    cycles: Positive


class Systolic(Strict):
    source: str
    rows: tuple[SystolicRow, ...]


class PeerFile(Strict):
    schema_version: Literal[1]
    tools: tuple[Tool, ...]
    scalesim: Systolic


class SheetLayer(Strict):
    """A layer of NVDLA's spreadsheet; ``times`` it occurs, ``dram_kib`` it moves."""

    name: str
    K: int
    C: int
    O: int  # noqa: E741
    F: int
    stride: int
    residual: bool
    winograd: bool
    cycles: int
    mac_cycles: int
    dram_kib: float
    times: int
    why: str = ""


class Sheet(Strict):
    schema_version: Literal[1]
    source: str
    layers: tuple[SheetLayer, ...]


class VelaLayer(Strict):
    kind: Literal["conv", "depthwise", "matmul"]
    output: tuple[int, ...]
    macs: int
    cycles: int
    npu: int
    sram: int
    flash: int


class VelaRun(Strict):
    model: str
    total_cycles: int
    layers: tuple[VelaLayer, ...]


class Vela(Strict):
    schema_version: Literal[1]
    source: str
    chip: str
    runs: tuple[VelaRun, ...]


@cached(1)
def peer_file() -> PeerFile:
    return read_data("peers.yaml", PeerFile)


@cached(1)
def sheet() -> Sheet:
    return read_data("nvdla_sheet.yaml", Sheet)


@cached(1)
def vela() -> Vela:
    return read_data("vela.yaml", Vela)


def bare_chip(hardware: Hardware, prices_pj: dict[str, float]) -> Chip:
    """A chip with just a tool's parameters: no launch, descriptors, leakage, or vector limits.

    ``skewed`` arrays pay preload and skew at every pass.
    """
    base = load_chip("nvdla_2048")
    sides = (
        (hardware.rows, hardware.row_dims),
        (hardware.cols, hardware.col_dims),
        (hardware.depth, hardware.depth_dims),
    )
    pj = {name: value * 1e-12 for name, value in prices_pj.items()}
    prices = dict.fromkeys(base.prices, 0.0)
    for action in prices:
        group, _, rest = action.partition(".")
        if group == "mac":
            prices[action] = pj.get("mac", 0.0)
        elif group == "accumulator":
            prices[action] = pj.get("accumulator_bit", 0.0)
        else:
            prices[action] = pj.get(f"{group}_{rest}", 0.0)
    when: Literal["paid", "hidden"] = "paid" if hardware.skewed else "hidden"
    return replace(
        base,
        name="peer",
        f_hz=hardware.f_hz,
        array=Array(
            axes=tuple(Axis(size, dims) for size, dims in sides if size > 1),
            dataflows=hardware.dataflows,
            rates={"int8xint8": 1.0},
            preload=when,
            preload_cycles=hardware.rows,
            fill_drain=when,
            fill_drain_cycles=hardware.rows + hardware.cols - 2,
            depthwise="none",
            align={},
            accumulator_bytes=hardware.accumulator_bytes,
        ),
        buffer=Buffer(
            hardware.buffer_bytes,
            hardware.read_bytes_per_cycle,
            hardware.write_bytes_per_cycle,
            hardware.double_buffered,
        ),
        vector=VectorUnit(dict.fromkeys(FUNCTIONS, ENDLESS), 1.0, FUNCTIONS),
        links={
            "dram": Link("dram", hardware.dram_bytes_per_s, hardware.dram_bytes_per_s, 1e12),
            "l2": Link("l2", 0.0, 0.0, 0.0),
            "nvm": Link("nvm", 0.0, 0.0, 0.0, writable=False),
        },
        overheads=Overheads(0.0, 0.0, 1, 0.0, 1e12),
        prices=prices,
        static=(),
        digest="peer",
    )


def bare_layer(item: PeerLayer) -> Layer:
    """The layer of a tool, with no vector work."""
    nest = LoopNest(**item.dims, stride_y=item.stride, stride_x=item.stride)
    if item.padded:
        rows, cols = nest.OY * item.stride, nest.OX * item.stride
    else:
        rows = (nest.OY - 1) * item.stride + nest.FY
        cols = (nest.OX - 1) * item.stride + nest.FX
    return compute_layer(item.name, nest, rows * cols, acc_bits=item.acc_bits)


def compute_layer(
    name: str,
    nest: LoopNest,
    pixels: int,
    *,
    acc_bits: int = 32,
    side: bool = False,
    weights: float = 1.0,
) -> Layer:
    """A layer of a nest with ``pixels`` inputs a channel; ``weights`` scales what is stored."""
    outputs = nest.G * nest.B * nest.K * nest.OY * nest.OX
    return Layer(
        name,
        "Conv",
        "compute",
        (name,),
        (f"{name}.i",),
        (f"{name}.o",),
        nest,
        w_tensor=f"{name}.w",
        w_elements=round(nest.G * nest.K * nest.C * nest.FY * nest.FX * weights),
        i_elements=nest.G * nest.B * nest.C * pixels,
        o_elements=outputs,
        side_elements=outputs if side else 0,
        acc_bits=acc_bits,
    )
