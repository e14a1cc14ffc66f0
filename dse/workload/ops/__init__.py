"""The operator table: from an operator's name to the rule that lowers it.

One small module per family holds the rules; ``docs/workloads.md`` lists what each does.
"""

from __future__ import annotations

from dse.workload.graph import Node
from dse.workload.ops import (
    attention,
    attention_fused,
    convolution,
    einsum,
    elementwise,
    embedding,
    host,
    layout,
    matmul,
    normalization,
    pooling,
    quant_dialects,
    quantized,
    recurrent,
    signal,
)
from dse.workload.ops.draft import Rule
from dse.workload.shapes_fused import is_packed_attention

FAMILIES: dict[str, dict[str, Rule]] = {
    "convolution": convolution.RULES,
    "matmul": matmul.RULES,
    "einsum": einsum.RULES,
    "attention": attention.RULES,
    "fused attention": attention_fused.RULES,
    "recurrent": recurrent.RULES,
    "normalization": normalization.RULES,
    "elementwise": elementwise.RULES,
    "pooling": pooling.RULES,
    "layout": layout.RULES,
    "embedding": embedding.RULES,
    "quantized": quantized.RULES,
    "quantization dialects": quant_dialects.RULES,
    "signal": signal.RULES,
    "host": host.RULES,
}

#: Rules of the standard operators and of those of com.microsoft that mean the same.
RULES: dict[str, Rule] = {op: rule for rules in FAMILIES.values() for op, rule in rules.items()}
#: Operators of other domains, and those whose com.microsoft form differs from the standard one.
ELSEWHERE: dict[tuple[str, str], Rule] = {
    ("com.microsoft", "GatherND"): layout.move,
    ("ai.onnx.preview", "FlexAttention"): attention.flexible,
    **quant_dialects.ELSEWHERE,
}


def rule_of(node: Node) -> Rule | None:
    """The rule for a node's operator; None if it is not known."""
    if is_packed_attention(node) and node.domain in ("", "com.microsoft"):
        return attention_fused.packed
    special = ELSEWHERE.get((node.domain, node.op))
    if special is not None or node.domain not in ("", "com.microsoft"):
        return special
    return RULES.get(node.op)


def is_known(node: Node) -> bool:
    """Whether there is a rule for the node's operator."""
    return rule_of(node) is not None
