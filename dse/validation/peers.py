"""Section ``peers``: what other tools report for hardware and layers that they spell out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dse.hardware.chip import Chip
from dse.mapping.mapper import map_layer
from dse.mapping.schedule import LayerSchedule, Program, price, program_latency_s, unroll
from dse.validation.peer_data import (
    Hardware,
    SheetLayer,
    SystolicRow,
    Tool,
    VelaLayer,
    bare_chip,
    bare_layer,
    compute_layer,
    peer_file,
    sheet,
    vela,
)
from dse.validation.predict import chip_of, predict
from dse.validation.published import Case
from dse.validation.record import Row, Section
from dse.workload.layer import LoopNest

#: Differences above this share get a note: why, or what bounds the layer on either side.
EXPLAIN = 0.05


def peers() -> Section:
    """All tools, one row per layer and figure."""
    rows = [row for tool in peer_file().tools for row in _tool(tool)]
    rows += [_systolic(row) for row in peer_file().scalesim.rows]
    rows += _sheet_rows()
    rows += _vela_rows()
    return Section("peers", tuple(rows))


def _tool(tool: Tool) -> Iterator[Row]:
    chip = bare_chip(tool.hardware, tool.prices_pj)
    for item in tool.layers:
        made = map_layer(bare_layer(item), chip, item.objective)
        name = f"{tool.tool}: {item.name}"
        if item.energy_j is not None:
            ours = sum(price(made.counts, chip).values())
            yield Row(name, "energy J", item.energy_j, ours, "judged", "tool", item.why)
        if item.cycles is not None:
            yield Row(name, "cycles", item.cycles, _cycles(made, chip), "judged", "tool", item.why)


def _cycles(made: LayerSchedule, chip: Chip) -> float:
    segments = unroll((made,), prefetch=chip.buffer.double_buffered)
    return program_latency_s(Program(made.layer, (made,), segments, 1, 0.0), chip) * chip.f_hz


def _systolic(row: SystolicRow) -> Row:
    """Array cycles of a product of M rows, N columns and K deep, everything in the buffer."""
    m, n, k = row.gemm
    sides: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "ws": (("C",), ("K",)),
        "is": (("C",), ("OX",)),
        "os": (("OX",), ("K",)),
    }
    over, across = sides[row.dataflow]
    hardware = Hardware.model_validate(
        {
            "rows": row.array[0],
            "cols": row.array[1],
            "row_dims": over,
            "col_dims": across,
            "dataflows": (row.dataflow,),
            "accumulator_bytes": 1 << 34,
            "buffer_bytes": 1 << 34,
            "skewed": True,
        }
    )
    chip = bare_chip(hardware, {})
    made = map_layer(compute_layer(row.name, LoopNest(OX=m, K=n, C=k), m), chip, "latency")
    ours = sum(phase.count * phase.array_cycles for phase in made.phases) - 1.0
    name = f"SCALE-Sim: {row.name}, {row.dataflow} {row.array[0]}x{row.array[1]}"
    return Row(name, "cycles", row.cycles, ours, "judged", "tool")


def _sheet_rows() -> list[Row]:
    chip = chip_of(Case(chip="nvdla_2048", model="resnet50_v1", sheet=True))
    dram = chip.links["dram"]
    half = replace(dram, bytes_per_s=dram.bytes_per_s / 2, peak_bytes_per_s=dram.bytes_per_s / 2)
    chip = replace(chip, links={**chip.links, "dram": half})
    return [_sheet_row(item, chip) for item in sheet().layers]


def _sheet_row(item: SheetLayer, chip: Chip) -> Row:
    taps = 2 if item.winograd else item.F
    size = item.O * item.stride
    nest = LoopNest(
        K=item.K, C=item.C, OY=item.O, OX=item.O, FY=taps, FX=taps,
        stride_y=item.stride, stride_x=item.stride,
    )  # fmt: skip
    layer = compute_layer(
        item.name, nest, size * size, side=item.residual, weights=4.0 if item.winograd else 1.0
    )
    made = map_layer(layer, chip, "latency")
    moved = _bytes(made) / 1024
    ours = _cycles(made, chip)
    why = ""
    if abs(ours / item.cycles - 1.0) > EXPLAIN:
        sums = sum(phase.count * phase.array_cycles for phase in made.phases)
        why = item.why or (
            f"sheet: {item.dram_kib:.0f} KiB moved and {item.mac_cycles} cycles of MACs; "
            f"ours: {moved:.0f} KiB and {sums:.0f}, with the first fill and last drain on top"
        )
    name = f"NVDLA sheet: {item.name}"
    return Row(name, "cycles", item.cycles, ours, "judged", "vendor estimate", why)


def _bytes(made: LayerSchedule) -> float:
    steps = sum(phase.count * sum(phase.link_bytes) for phase in made.phases)
    return steps + sum(made.fill_weight) + sum(made.fill_other) + sum(made.drain)


def _vela_rows() -> list[Row]:
    rows: list[Row] = []
    for run in vela().runs:
        case = Case(chip=vela().chip, model=run.model)
        record = predict(case)
        clock = chip_of(case).f_hz
        ours = [row for row in record.layers if row.macs]
        total = 0.0
        for layer, item in zip(ours, run.layers, strict=True):
            cycles = layer.latency_s * clock
            total += cycles
            name = f"Vela: {run.model} {layer.name}"
            off = abs(cycles / item.cycles - 1.0) > EXPLAIN
            why = _vela_why(item, layer.bottleneck) if off else ""
            rows.append(Row(name, "cycles", item.cycles, cycles, "judged", "vendor estimate", why))
        name = f"Vela: {run.model}, layers with weights"
        stated = float(sum(item.cycles for item in run.layers))
        rows.append(Row(name, "cycles", stated, total, "judged", "vendor estimate"))
    return rows


def _vela_why(item: VelaLayer, bottleneck: str) -> str:
    """What bounds the layer on either side; it describes a difference and does not explain it."""
    limits = {"its MACs or output stage": item.npu, "SRAM": item.sram, "flash": item.flash}
    slowest = max(limits, key=lambda name: limits[name])
    rate = item.macs / item.npu
    return f"bound in Vela: {slowest} ({rate:.0f} MACs a cycle while computing); ours: {bottleneck}"
