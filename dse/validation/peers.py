"""Section ``peers``: what other tools report for hardware and layers that they spell out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dse.evaluation import Terms, evaluate_model, model_at
from dse.hardware.chip import Chip
from dse.mapping import LayerSchedule, Program, map_layer, price, program_latency_s, unroll
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
from dse.validation.predict import chip_of
from dse.validation.published import Case
from dse.validation.record import Row, Section
from dse.workload.layer import Layer, LoopNest

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
    segments = unroll((made,), prefetch=chip.prefetches)
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
        chip = chip_of(Case(chip=vela().chip, model=run.model))
        work = model_at(run.model, None, chip)
        # Vela lists residual additions as operations of their own, and its layers without them.
        bare = work.with_layers(tuple(without_addition(layer) for layer in work.layers))
        terms = Terms(objective="latency")
        record = evaluate_model(bare, chip, "simulate", terms)
        layers = [layer for layer in bare.layers if layer.macs]
        ours = [row for row in record.layers if row.macs]
        total = 0.0
        for layer, row, item in zip(layers, ours, run.layers, strict=True):
            cycles = row.latency_s * chip.f_hz
            total += cycles
            name = f"Vela: {run.model} {layer.name}"
            off = abs(cycles / item.cycles - 1.0) > EXPLAIN
            why = vela_why(item, layer, row.bottleneck, chip) if off else ""
            rows.append(Row(name, "cycles", item.cycles, cycles, "judged", "vendor estimate", why))
        name = f"Vela: {run.model}, layers with weights"
        stated = float(sum(item.cycles for item in run.layers))
        summed = "the sum of the rows above" if abs(total / stated - 1.0) > EXPLAIN else ""
        rows.append(Row(name, "cycles", stated, total, "judged", "vendor estimate", summed))
        whole = evaluate_model(work, chip, "simulate", terms).latency_s
        rows.append(
            Row(
                f"Vela: {run.model}, whole network",
                "cycles",
                float(run.total_cycles),
                whole * chip.f_hz if whole else None,
                "judged",
                "vendor estimate",
                "with additions and pooling; without softmax in Vela",
            )
        )
    return rows


def without_addition(layer: Layer) -> Layer:
    """The layer without a residual addition at its write-back."""
    work = tuple((name, n) for name, n in layer.vector_ops if name != "add")
    return replace(layer, vector_ops=work, side_elements=0) if layer.side_elements else layer


def vela_engine_cycles(nest: LoopNest) -> int:
    """Cycles that Vela gives the micro-blocks of Ethos-U55 with 128 MACs (its npu_performance.py).

    A step of four cycles takes two pixels, eight output channels, and 32 input channels of a tap or
    8 of four taps, whichever is faster for the layer; depthwise it takes four taps.
    """
    pixels, taps = -(-nest.OX // 2) * nest.OY, nest.FY * nest.FX
    if nest.depthwise:
        return 4 * pixels * -(-nest.G // 8) * -(-taps // 4)
    inner = min(-(-nest.C // 32) * taps, -(-nest.C // 8) * -(-taps // 4))
    return 4 * pixels * -(-nest.K // 8) * inner


def vela_why(item: VelaLayer, layer: Layer, bottleneck: str, chip: Chip) -> str:
    """What Vela counts that we do not, in its own terms."""
    assert layer.nest is not None
    if item.cycles == item.flash:
        scales = 10 * layer.nest.K
        return (
            f"Vela fetches {item.flash} bytes: coded weights, {scales} bytes of scales and biases, "
            f"whole bursts; ours the {layer.w_elements} weights"
        )
    engine = vela_engine_cycles(layer.nest)
    if item.cycles == item.sram:
        moved = layer.i_elements + layer.o_elements
        return (
            "bound by SRAM in Vela, which fetches the input of every output block with its halo in "
            f"whole bursts: {8 * item.sram} bytes for {moved} of input and output; ours keeps lines"
        )
    output = round(layer.nest.OX * layer.nest.OY * layer.nest.K * layer.nest.G / 2)
    what = "micro-blocks" if engine >= output else "output stage"
    text = f"Vela: {max(engine, output)} cycles of {what}"
    begun = item.npu - max(engine, output)
    if begun > 0.05 * item.npu:
        text += f" and {begun} to begin and end its blocks, which ours does not count"
    if layer.nest.depthwise:
        text += "; it takes 2 pixels of 8 channels and 9 taps as 12, ours pixels of one row"
    wide = layer.nest.OX % 2 and not layer.nest.depthwise
    if wide:
        text += f"; half of the last pair of pixels of its rows of {layer.nest.OX} is empty"
    return f"{text}; ours is bound by {bottleneck}"
