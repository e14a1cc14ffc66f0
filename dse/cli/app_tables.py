"""What the command prints of an app's record and of what binds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dse.cli.output import print_table
from dse.printing import si

if TYPE_CHECKING:
    from dse import Evaluation, TaskRow


def _requests(record: Evaluation) -> None:
    """Time to first token and per token of requests, and what they reach of the DRAM's peak."""
    rows = [
        {
            "request": row.task,
            "TTFT p50": si(row.ttft_p50_s, "s"),
            "TTFT p99": si(row.ttft_p99_s, "s"),
            "limit": si(row.ttft_limit_s, "s"),
            "TPOT p50": si(row.tpot_p50_s, "s"),
            "TPOT p99": si(row.tpot_p99_s, "s"),
            "limit ": si(row.tpot_limit_s, "s"),
            "alone": f"{si(row.isolated_ttft_s, 's')} + {si(row.isolated_tpot_s, 's')}",
            "of DRAM peak": "-" if row.dram_peak_share is None else f"{row.dram_peak_share:.0%}",
        }
        for row in record.tasks
        if row.isolated_ttft_s is not None
    ]
    if rows:
        print()
        print_table(rows)


def app_figures(record: Evaluation) -> dict[str, Any]:
    """Figures that only an app has."""
    if record.kind != "app":
        return {}
    out: dict[str, Any] = {}
    if record.kind_energy_j:
        used = [f"{name} {si(joules, 'J')}" for name, joules in record.kind_energy_j.items()]
        out["by kind"] = f"{', '.join(used)} used by its cores"
    if record.platform:
        share, parts = record.platform["cloud_chip_share"], record.platform
        out["data centre"] = (
            f"{share:.3g} of a chip, {si(parts['cloud_energy_j'], 'J')}, "
            f"network {si(parts['network_energy_j'], 'J')}, radio "
            f"{si(parts['radio_energy_j'], 'J')}; {parts['cloud_cost_usd']:.3g} USD and "
            f"{parts['cloud_carbon_kg']:.3g} kg over the life"
        )
    return out


def print_binding(found: Mapping[str, Any]) -> None:
    """What binds: demand, stream, layer, resource; and whether relief of it helped."""
    if not found["requirement"]:
        return
    text = f"binds: {found['requirement']} ({found['room']:.0%} room)"
    if found["stream"]:
        text += f", stream {found['stream']}"
    if found["layer"]:
        text += f", layer {found['layer']} ({found['layer_share']:.0%}, {found['layer_bound_by']})"
    print(f"{text}, resource {found['resource']}")
    relief = found["relief_tried"]
    if relief:
        state = "confirmed" if relief["confirmed"] else "NOT confirmed"
        print(
            f"  {state}: {relief['path']} {relief['before']} -> {relief['after']} takes it from "
            f"{si(relief['latency_before_s'], 's')} to {si(relief['latency_after_s'], 's')} alone"
        )


def _cores(row: TaskRow) -> str:
    """The kind of core and the numbers of those that a stream may use."""
    return f"{row.core_kind} {','.join(map(str, row.cores))}".strip()


def print_tasks(record: Evaluation) -> None:
    """Rows by stream, requests, placements, chains and busy shares."""
    named = any(row.core_kind for row in record.tasks) or len({r.cores for r in record.tasks}) > 1
    rows = [
        {
            "task": row.task,
            "model": row.model,
            **({"cores": _cores(row)} if named else {}),
            "rate": si(row.rate_hz, "/s"),
            "deadline": si(row.deadline_s, "s"),
            "alone": si(row.isolated_latency_s, "s"),
            "p50": si(row.latency_p50_s, "s"),
            "p99": si(row.latency_p99_s, "s"),
            "max": si(row.latency_max_s, "s"),
            "late": "-" if row.missed_fraction is None else f"{row.missed_fraction:.1%}",
            "energy": si(row.energy_per_inference_j, "J"),
            "bottleneck": row.bottleneck,
            "quality": "-"
            if row.quality_value is None
            else f"{row.quality_metric} {row.quality_value:.3g}",
            "margin": "-" if row.quality_margin is None else f"{row.quality_margin:.2f}",
        }
        for row in record.tasks
    ]
    print()
    print_table(rows)
    _requests(record)
    if any(row.placement != "device" for row in record.tasks):
        print("\nplaced: " + ", ".join(f"{row.task} {row.placement}" for row in record.tasks))
    for chain in record.chains:
        print(
            f"chain {' > '.join(chain.streams)}: p50 {si(chain.latency_p50_s, 's')}, "
            f"p99 {si(chain.latency_p99_s, 's')}, deadline {si(chain.deadline_s, 's')}"
        )
    busy = ", ".join(f"{k} {v:.0%}" for k, v in record.resource_utilization.items())
    print(f"\nbusy: {busy}")
