"""Layer tables of records, as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dse.cli.output import print_table
from dse.printing import si

if TYPE_CHECKING:
    from dse import Evaluation, LayerRow

#: Columns from this width on, characters; below it a layer takes two lines.
WIDE = 150
#: Components named in the column of energy shares.
SHOWN = 3


def terminal_width() -> int:
    """Columns to print to: the terminal's, or many where there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 200


def layer_table(record: Evaluation, proven: Mapping[str, str] | None = None) -> None:
    """The layers of a record, one line each, or two where the terminal is narrow.

    Args:
        proven: what certificates say, by layer.
    """
    width = terminal_width()
    groups: dict[str, str] = {}
    for row in record.layers:
        if row.fused and row.fused not in groups:
            groups[row.fused] = f"F{len(groups) + 1}"
    print()
    if width >= WIDE:
        rows = [_wide(row, groups) for row in record.layers]
        if proven:
            rows = [{**row, "proven": proven.get(row["layer"], "-")} for row in rows]
        print_table(rows)
    else:
        _narrow(record.layers, groups, width, proven or {})
    if groups:
        print(f"\n{len(groups)} fused groups: blocks pass from layer to layer in the buffer")


def _wide(row: LayerRow, groups: Mapping[str, str]) -> dict[str, Any]:
    return {
        "layer": row.name,
        "op": row.op,
        "dims": _dims(row),
        "MACs": si(float(row.macs), "").strip() if row.macs else "-",
        "util": f"{row.utilization:.0%}" if row.macs else "-",
        "latency": si(row.latency_s, "s"),
        "energy": si(row.energy_j, "J"),
        "energy by component": _shares(row),
        "bottleneck": row.bottleneck,
        "flow": row.dataflow or "-",
        "spatial": _factors(row.spatial),
        "tiles": _tiles(row),
        "order": row.order or "-",
        "fused": groups.get(row.fused, "-"),
    }


def _narrow(
    rows: Sequence[LayerRow], groups: Mapping[str, str], width: int, proven: Mapping[str, str]
) -> None:
    """First the figures of a layer, then how it is mapped."""
    for row in rows:
        mark = f" [{groups[row.fused]}]" if row.fused else ""
        figures = (
            f"{si(row.latency_s, 's'):>9} {si(row.energy_j, 'J'):>9} "
            f"{f'{row.utilization:.0%}' if row.macs else '-':>5} {row.bottleneck}"
        )
        room = max(12, width - len(figures) - 1)
        print(f"{shortened(row.name + mark, room):<{room}} {figures}")
        parts = [row.op, _dims(row)]
        if row.spatial:
            parts.append(f"{row.dataflow} {_factors(row.spatial)}")
        if row.tiles:
            parts.append(f"tiles {_tiles(row)}")
        if row.order:
            parts.append(row.order)
        parts.append(proven.get(row.name, "-"))
        parts.append(_shares(row))
        line = "  "
        for part in (part for part in parts if part and part != "-"):
            if len(line) > 2 and len(line) + len(part) + 2 > width:
                print(line.rstrip())
                line = "  "
            line += part + "; "
        print(line.rstrip("; "))


def shortened(name: str, room: int) -> str:
    return name if len(name) <= room else f"...{name[-(room - 3) :]}"


def _dims(row: LayerRow) -> str:
    return _factors({d: n for d, n in row.dims.items() if n > 1}) if row.dims else "-"


def _factors(factors: Mapping[str, int]) -> str:
    return " ".join(f"{d}{n}" for d, n in factors.items()) or "-"


def _tiles(row: LayerRow) -> str:
    """Tile sizes of the dims that are cut."""
    cut = {d: n for d, n in row.tiles.items() if n < row.dims.get(d, n)}
    return _factors(cut) if cut else "whole" if row.tiles else "-"


def _shares(row: LayerRow) -> str:
    """The components that take most of the energy."""
    total = sum(row.energy_breakdown_j.values())
    if total <= 0.0:
        return "-"
    parts = sorted(row.energy_breakdown_j.items(), key=lambda part: -part[1])
    return " ".join(f"{name} {joules / total:.0%}" for name, joules in parts[:SHOWN])
