"""``dse profile``: onnxruntime on this CPU beside our simulated chip."""

from __future__ import annotations

from dse.cli.output import print_json, print_table, si
from dse.cli.parse import bindings
from dse.files import SCHEMA_VERSION


def profile(file: str, chip_name: str | None, runs: int, bind: list[str], as_json: bool) -> None:
    """Time the model here, and simulate it there."""
    from dse.evaluation import evaluate_model, model_at, profile_cpu
    from dse.hardware.resolve import load_chip

    chip = load_chip(chip_name or "edge_vision")
    workload = model_at(file, None, chip, bindings=bindings(bind))
    cpu = profile_cpu(file, runs, bindings(bind))
    record = evaluate_model(workload, chip)
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": workload.name,
        "macs": workload.macs,
        "cpu": cpu.to_dict(),
        "chip": {
            "name": chip.name,
            "node": record.node,
            "latency_s": record.latency_s,
            "energy_j": record.energy_j,
            "precision": record.precision,
        },
    }
    if as_json:
        print_json(content)
        return
    print(
        f"{workload.name}: {si(float(workload.macs), 'MAC')}; this CPU {si(cpu.latency_s, 's')} "
        f"(median of {cpu.runs}), {chip.name} at {record.node} {si(record.latency_s, 's')} and "
        f"{si(record.energy_j, 'J')}"
    )
    print_table(
        [
            {"operator": op, "time": si(s, "s"), "share": f"{s / cpu.op_total_s:.0%}", "calls": n}
            for op, s, n in cpu.by_operator
        ]
    )
