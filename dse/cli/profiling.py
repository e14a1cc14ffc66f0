"""``dse profile``: onnxruntime on this CPU beside our simulated chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dse
from dse.cli.output import print_json, print_table
from dse.printing import si

if TYPE_CHECKING:
    from dse import Profile

#: Layers shown to a person; --json has all.
SHOWN = 30


def profile(options: Mapping[str, Any], as_json: bool) -> None:
    """Time a model here, and simulate it there; ``options`` are those of ``dse.profile``."""
    found = dse.profile(**options)
    if as_json:
        print_json(found.to_dict())
        return
    cpu, record = found.cpu, found.record
    print(
        f"{found.model}: {si(float(found.macs), 'MAC')}; this CPU {si(cpu.latency_s, 's')} "
        f"(fp32, median of {cpu.runs}, {cpu.threads} threads), {record.chip} at {record.node} "
        f"{si(record.latency_s, 's')} and {si(record.energy_j, 'J')} ({record.precision})"
    )
    print_table([_shown(row, found) for row in found.operators], title="by operator")
    print()
    slowest = sorted(found.layers, key=lambda row: -row["cpu_s"])[:SHOWN]
    title = "by layer, slowest on the CPU first"
    if len(found.layers) > SHOWN:
        title += f" ({SHOWN} of {len(found.layers)}; --json has all)"
    print_table([_shown(row, found) for row in slowest], title=title)


def _shown(row: Mapping[str, Any], found: Profile) -> dict[str, Any]:
    """A row for a person: times, and the share of each in its total."""
    names = {key: row[key] for key in ("layer", "op", "layers") if key in row}
    whole_s = found.record.latency_s
    return {
        **names,
        "MACs": row["macs"],
        "CPU": f"{row['cpu_s'] * 1e3:.3f} ms",
        "of CPU": f"{row['cpu_s'] / found.cpu.op_total_s:.1%}",
        "chip": f"{row['chip_s'] * 1e3:.3f} ms",
        "of chip": f"{row['chip_s'] / whole_s:.1%}" if whole_s else "-",
        "CPU/chip": f"{row['cpu_s'] / row['chip_s']:.1f}" if row["chip_s"] > 0 else "-",
    }
