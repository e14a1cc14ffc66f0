"""``dse profile``: onnxruntime on this CPU beside our simulated chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dse.cli.output import print_json, print_table, si
from dse.cli.parse import bindings
from dse.files import SCHEMA_VERSION

if TYPE_CHECKING:
    from dse.evaluation import CpuProfile, Evaluation
    from dse.workload import Model

#: Layers shown to a person; --json has all.
SHOWN = 30
_REST = "(outside layers)"


@dataclass(frozen=True)
class ProfileRequest:
    """What is to be timed, and the chip beside it."""

    file: str
    chip: str | None
    node: str | None
    precision: str | None
    runs: int
    bind: list[str]
    unknown_ops: Literal["error", "host"]
    force: bool


def profile(request: ProfileRequest, as_json: bool) -> None:
    """Time the model here, and simulate it there."""
    from dse.evaluation import evaluate_model, profile_cpu, workload_on
    from dse.hardware.resolve import load_chip
    from dse.workload import load_model

    sizes = bindings(request.bind)
    chip = load_chip(request.chip or "edge_vision", node=request.node)
    model = load_model(request.file, unknown_ops=request.unknown_ops, **sizes)
    workload = workload_on(model, request.precision, chip)
    cpu = profile_cpu(request.file, request.runs, sizes, force=request.force)
    record = evaluate_model(workload, chip)
    rows = _layers(model, cpu, record)
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
        "layers": rows,
        "operators": _operators(rows),
    }
    if as_json:
        print_json(content)
        return
    print(
        f"{workload.name}: {si(float(workload.macs), 'MAC')}; this CPU {si(cpu.latency_s, 's')} "
        f"(fp32, median of {cpu.runs}, {cpu.threads} threads), {chip.name} at {record.node} "
        f"{si(record.latency_s, 's')} and {si(record.energy_j, 'J')} ({record.precision})"
    )
    print_table([_shown(row, cpu, record) for row in _operators(rows)], title="by operator")
    print()
    slowest = sorted(rows, key=lambda row: -row["cpu_s"])[:SHOWN]
    title = "by layer, slowest on the CPU first"
    if len(rows) > SHOWN:
        title += f" ({SHOWN} of {len(rows)}; --json has all)"
    print_table([_shown(row, cpu, record) for row in slowest], title=title)


def _layers(model: Model, cpu: CpuProfile, record: Evaluation) -> list[dict[str, Any]]:
    """Every layer with its time on both, and one row for views, layouts, start and end."""
    spent, rest = cpu.by_layer(model)
    chip = {row.name: row.latency_s for row in record.layers}
    rows: list[dict[str, Any]] = [
        {
            "layer": layer.name,
            "op": layer.op,
            "macs": layer.macs,
            "cpu_s": spent[layer.name],
            "chip_s": chip.pop(layer.name, 0.0),
        }
        for layer in model.layers
    ]
    other = sum(chip.values())
    rows.append({"layer": _REST, "op": _REST, "macs": 0, "cpu_s": rest, "chip_s": other})
    return rows


def _operators(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows summed by operator, slowest on the CPU first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = found.setdefault(
            row["op"], {"op": row["op"], "layers": 0, "macs": 0, "cpu_s": 0.0, "chip_s": 0.0}
        )
        total["layers"] += 1
        for key in ("macs", "cpu_s", "chip_s"):
            total[key] += row[key]
    return sorted(found.values(), key=lambda total: -total["cpu_s"])


def _shown(row: Mapping[str, Any], cpu: CpuProfile, record: Evaluation) -> dict[str, Any]:
    """A row for a person: times, and the share of each in its total."""
    names = {key: row[key] for key in ("layer", "op", "layers") if key in row}
    return {
        **names,
        "MACs": row["macs"],
        "CPU": f"{row['cpu_s'] * 1e3:.3f} ms",
        "of CPU": f"{row['cpu_s'] / cpu.op_total_s:.1%}",
        "chip": f"{row['chip_s'] * 1e3:.3f} ms",
        "of chip": f"{row['chip_s'] / record.latency_s:.1%}" if record.latency_s else "-",
        "CPU/chip": f"{row['cpu_s'] / row['chip_s']:.1f}" if row["chip_s"] > 0 else "-",
    }
