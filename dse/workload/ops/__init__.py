"""The operator table: from an operator's name to the rule that lowers it.

One small module per family holds the rules; ``docs/workloads.md`` lists what each does.
"""

from __future__ import annotations

from dse.workload.graph import Node
from dse.workload.ops import (
    attention,
    convolution,
    elementwise,
    host,
    layout,
    matmul,
    normalization,
    pooling,
    recurrent,
)
from dse.workload.ops.draft import Rule

#: Domains whose operators the rules know.
DOMAINS = ("", "com.microsoft")

FAMILIES: dict[str, dict[str, Rule]] = {
    "convolution": convolution.RULES,
    "matmul": matmul.RULES,
    "attention": attention.RULES,
    "recurrent": recurrent.RULES,
    "normalization": normalization.RULES,
    "elementwise": elementwise.RULES,
    "pooling": pooling.RULES,
    "layout": layout.RULES,
    "host": host.RULES,
}

RULES: dict[str, Rule] = {op: rule for rules in FAMILIES.values() for op, rule in rules.items()}


def is_known(node: Node) -> bool:
    """Whether there is a rule for the node's operator."""
    return node.domain in DOMAINS and node.op in RULES
