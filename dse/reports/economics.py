"""The parts of a unit cost at another volume than the record's own."""

from __future__ import annotations

from dse.evaluation import Evaluation

#: Parts of the unit cost that are spread over the volume.
ONE_TIME = ("nre_per_unit", "ip_per_unit")
#: What the parts of a unit cost are called in a sentence.
PARTS = {
    "nre_per_unit": "design and masks",
    "ip_per_unit": "licences",
    "dram": "DRAM",
}


def parts_at(record: Evaluation, volume: float) -> dict[str, float]:
    """Cost parts of ``record`` at ``volume``: one-time parts scale with 1/volume, others stay."""
    return {
        name: value * record.volume / volume if name in ONE_TIME else value
        for name, value in record.cost_breakdown_usd.items()
    }
