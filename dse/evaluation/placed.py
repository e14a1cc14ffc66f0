"""Where the tensors of one inference lie: weights and activations by memory."""

from __future__ import annotations

from typing import Any

from dse.hardware.chip import LINKS, Chip
from dse.mapping import Program


def placed(program: Program, chip: Chip) -> dict[str, dict[str, Any]]:
    """Of each memory that an inference uses: its capacity, and what it holds of weights (for good,
    or all of them if they are outside) and of activations (the most at once), bytes.

    The memories are the links of the chip, and ``buffer`` of the cores that the network runs on.
    """
    sizes = {name: chip.links[name].capacity_bytes for name in LINKS}
    sizes["buffer"] = float(chip.buffer.capacity_bytes) * program.cores
    weights = dict(program.resident_bytes)
    weights["dram"] = weights.get("dram", 0.0) + program.outside_weight_bytes
    out: dict[str, dict[str, Any]] = {}
    for name, size in sizes.items():
        found = {
            "weights": weights.get(name, 0.0),
            "activations": program.activation_bytes.get(name, 0.0),
        }
        parts = {what: amount for what, amount in found.items() if amount > 0.0}
        if parts:
            need = sum(parts.values())
            out[name] = {"capacity_bytes": size, "need_bytes": need, "parts": parts}
    return out
