"""Coefficients of the blocks whose size and power follow from chip parameters.

The values, with unit, source, status and uncertainty, are in ``data/blocks.json``.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from dse.registry import cached


@cached(1)
def block_facts() -> dict[str, dict[str, Any]]:
    """Every block fact as read from the data file (for reports and docs)."""
    text = resources.files("dse.hardware").joinpath("data/blocks.json").read_text("utf-8")
    facts: dict[str, dict[str, Any]] = json.loads(text)["facts"]
    return facts


@cached(256)
def number(name: str) -> float:
    """The value of a numeric block fact."""
    return float(block_facts()[name]["value"])


@cached(64)
def label(name: str) -> str:
    """The value of a block fact that is a name."""
    return str(block_facts()[name]["value"])
