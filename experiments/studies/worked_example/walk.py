"""Every record from ONNX to Evaluation on a tiny convolution, chip and app, as Markdown.

Run ``python experiments/studies/worked_example/walk.py > docs/worked_example.md``; a test compares.
"""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

import dse
from dse.evaluation import evaluate_app
from dse.mapping import ENGINES, link_rates, map_network, price
from dse.simulation.run import simulate_alone
from dse.workload import Workload

HERE = Path(__file__).resolve().parent


def tiny_model(folder: Path) -> Path:
    """A 3x3 convolution, 3 to 4 channels on 8x8 pixels, with ReLU; weights are not stored."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["weight"], name="weight"),
        helper.make_node("Conv", ["x", "weight"], ["y"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor("shape", TensorProto.INT64, [4], [4, 3, 3, 3])],
    )
    path = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def record(value: Any, names: tuple[str, ...] = ()) -> list[str]:
    """The fields of a dataclass as a Markdown table."""
    rows = [(f.name, getattr(value, f.name)) for f in fields(value)]
    chosen = [(name, held) for name, held in rows if not names or name in names]
    return ["| field | value |", "| --- | --- |", *(f"| `{n}` | {shown(v)} |" for n, v in chosen)]


def shown(value: Any) -> str:
    """Numbers with four significant digits; the rest as it is."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(shown(item) for item in value) + ")"
    return str(value).replace("|", "\\|")


def walk(folder: Path) -> list[str]:
    """The whole page."""
    path = tiny_model(folder)
    model = dse.load_model(path)
    workload: Workload = model.at("w8a8")
    chip = dse.load_chip(HERE / "chip.yaml")
    app = dse.load_app(HERE / "app.yaml")
    layer = workload.layers[0]
    program = map_network(workload, chip)
    schedule = program.schedules[0]
    energies = price(schedule.counts, chip)
    timeline = simulate_alone(chip, program)
    alone = dse.simulate(workload, chip)
    whole, _ = evaluate_app(app, {"eye": workload}, chip)
    out = [
        "# A worked example: every record from ONNX to Evaluation",
        "",
        "Written by `experiments/studies/worked_example/walk.py`; a test keeps it true. The",
        "network is one 3x3 convolution (3 to 4 channels, 8x8 pixels) with ReLU, the chip has 4x4",
        "MACs.",
        "",
        "## 1. The ONNX graph becomes layers (`dse.workload`)",
        "",
        "What became of each node: "
        + ", ".join(f"`{name}` {fate}" for name, fate in sorted(workload.fates.items()))
        + ". The ReLU is folded into the convolution; the weight's shape is all that is stored.",
        "",
        *record(layer),
        "",
        f"MACs = K x C x OY x OX x FY x FX = {layer.macs}. The requantization of each result to",
        "8 bit is the `mul` of `vector_ops`.",
        "",
        "## 2. The chip is resolved and priced (`dse.hardware` on `dse.technology`)",
        "",
        *record(chip, ("node_nm", "f_hz", "voltage_v", "cores", "buffer", "native_precision")),
        "",
        "The array: " + " x ".join(f"{a.size} MACs over {a.dims}" for a in chip.array.axes)
        + f", {chip.array.dataflows[0]} dataflow.",
        "",
        f"Die {chip.area_mm2:.3g} mm2, of which the NPU {chip.area.scope_mm2('npu'):.3g}. "
        "Prices in J per count, for the actions used below:",
        "",
        "| action | price | scope |",
        "| --- | --- | --- |",
        *(f"| `{a}` | {chip.prices[a]:.4g} | {chip.action_scope[a]} |" for a in energies),
        "",
        "## 3. The layer is mapped (`dse.mapping`): a `LayerSchedule`",
        "",
        *record(schedule, ("unit", "launch_cycles", "fill_weight", "fill_other", "drain", "spatial",
                           "tiles", "dataflow", "order", "homes", "ideal_cycles")),
        "",
        "Its phases; bytes are on the links (dram, l2, nvm), cycles are per step:",
        "",
        "| steps | array | vector | buffer port | dma | link bytes |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {p.count} | {p.array_cycles:.4g} | {p.vector_cycles:.4g} | {p.port_cycles:.4g} | "
            f"{p.dma_cycles:.4g} | {shown(p.link_bytes)} |"
            for p in schedule.phases
        ),
        "",
        "The loop nest:",
        "",
        "```",
        *schedule.loop_nest,
        "```",
        "",
        "Counts before prices; energy is their product:",
        "",
        "| action | count | energy, J |",
        "| --- | --- | --- |",
        *(f"| `{a}` | {schedule.counts[a]:.6g} | {joules:.4g} |" for a, joules in energies.items()),
        f"| sum | | {sum(energies.values()):.4g} |",
        "",
        "## 4. The network is a program of segments",
        "",
        "Step time is the slowest of the engines (cycles / clock) and links (bytes / bandwidth,",
        f"here {link_rates(chip)[0] / 1e9:.4g} GB/s of DRAM).",
        "",
        "| stage | count | slowest engine, cycles | link bytes | time, s | waits for |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {s.stage} | {s.count} | {max(s.cycles):.4g} "
            f"({ENGINES[s.cycles.index(max(s.cycles))] if any(s.cycles) else '-'}) | "
            f"{shown(s.link_bytes)} | {s.count * s.step_s(chip.f_hz, link_rates(chip)):.4g} | "
            f"{s.bottleneck(chip.f_hz, link_rates(chip))} |"
            for s in program.segments
        ),
        "",
        f"With the driver call of {program.invoke_s:.4g} s, one inference takes the sum, "
        f"{alone.latency_s:.4g} s.",
        "",
        "## 5. It is played (`dse.simulation`): a `Timeline`",
        "",
        *record(timeline, ("horizon_s", "busy_s", "link_bytes", "scope_energy_j", "peak_power_w")),
        "",
        "## 6. One model alone: an `Evaluation`",
        "",
        *record(alone, ("latency_s", "energy_j", "average_power_w", "peak_power_w", "macs",
                        "utilization", "dram_bytes", "area_mm2", "die_cost_usd", "unit_cost_usd",
                        "carbon_kg", "quality", "bottleneck", "feasible")),
        "",
        "Its rows add up to the totals; every row carries its share of the converter's losses:",
        "",
        "| row | latency, s | energy, J |",
        "| --- | --- | --- |",
        *(f"| {r.name} | {r.latency_s:.4g} | {r.energy_j:.4g} |" for r in alone.layers),
        "",
        "Quality is unknown: nothing is published for this network, and unknown passes no floor.",
        "",
        "## 7. The app: tasks, deadlines, an `Evaluation` over its horizon",
        "",
        *record(whole, ("feasible", "reasons", "horizon_s", "energy_j", "average_power_w",
                        "throughput_per_s", "resource_utilization", "unit_cost_by_volume_usd")),
        "",
        *record(whole.tasks[0], ("task", "rate_hz", "deadline_s", "released", "completed",
                                 "missed_fraction", "latency_p99_s", "isolated_latency_s",
                                 "energy_per_inference_j", "meets_deadline")),
    ]  # fmt: skip
    return [line.rstrip() for line in out]


def main() -> None:
    """Print the page."""
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(walk(Path(folder))))


if __name__ == "__main__":
    main()
