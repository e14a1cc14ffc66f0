"""The parts of a unit cost at another volume than the record's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Parts of the unit cost that are spread over the volume.
ONE_TIME = ("nre_per_unit", "ip_per_unit")
#: What the parts of a unit cost are called in a sentence.
PARTS = {
    "nre_per_unit": "design and masks",
    "ip_per_unit": "licences",
    "dram": "DRAM",
}


def parts_at(record: Mapping[str, Any], volume: float) -> dict[str, float]:
    """Cost parts of ``record`` at ``volume``: one-time parts scale with 1/volume, others stay."""
    own = float(record["volume"])
    return {
        name: value * own / volume if name in ONE_TIME else value
        for name, value in record["cost_breakdown_usd"].items()
    }
