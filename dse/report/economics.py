"""The parts of a unit cost at another volume than the record's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Parts of the unit cost that are spread over the volume.
ONE_TIME = ("nre", "ip")


def parts_at(record: Mapping[str, Any], volume: float) -> dict[str, float]:
    """Cost parts of ``record`` at ``volume``: one-time parts scale with 1/volume, others stay."""
    own = float(record["volume"])
    parts = {
        name: value * own / volume if name in ONE_TIME else value
        for name, value in record["cost_breakdown_usd"].items()
    }
    known = record["unit_cost_by_volume_usd"].get(f"{volume:g}")
    if known is not None:
        rest = known - sum(parts.values())
        if abs(rest) > 1e-6 * known:
            parts["royalty"] = parts.get("royalty", 0.0) + rest
    return parts
