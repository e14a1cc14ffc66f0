"""Parts that the transformer networks of the zoo share: attention and pre-norm layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_build import GraphBuilder


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of a stack of pre-norm transformer layers.

    Attributes:
        layers, width, hidden, heads: of the stack; ``hidden`` is the inner width of the MLP.
        gelu: ``exact``, ``tanh`` or ``quick`` (``x * sigmoid(1.702 x)``).
        key_bias: the key projection has a bias as the others do.
    """

    layers: int
    width: int
    hidden: int
    heads: int
    gelu: str = "exact"
    key_bias: bool = True


def split_heads(g: GraphBuilder, x: str, heads: int, head_width: int) -> str:
    """``x (N, tokens, heads x head width)`` as (N, tokens, heads, head width)."""
    return g.reshape(x, 0, 0, heads, head_width)


def attend(
    g: GraphBuilder, operands: Sequence[str], head_width: int, mask: str | None = None
) -> str:
    """``softmax(Q K^T / sqrt(d) + mask) V`` of Q, K, V, each (N, tokens, heads, head width).

    The result is (N, tokens, heads x head width).
    """
    query, key, value = operands
    query, key = g.transpose(query, 0, 2, 1, 3), g.transpose(key, 0, 2, 3, 1)
    scores = g.op("Mul", [g.op("MatMul", [query, key]), g.number(head_width**-0.5)])
    if mask is not None:
        scores = g.op("Add", [scores, mask])
    weights = g.op("Softmax", [scores], attrs={"axis": -1})
    mixed = g.op("MatMul", [weights, g.transpose(value, 0, 2, 1, 3)])
    return g.op("Reshape", [g.transpose(mixed, 0, 2, 1, 3), g.ints([0, 0, -1])])


def self_attention(g: GraphBuilder, x: str, shape: EncoderShape, mask: str | None = None) -> str:
    """Attention of ``x (N, tokens, width)`` over itself, with its output projection."""
    head_width = shape.width // shape.heads
    with g.within("attn"):
        parts = [
            split_heads(
                g,
                g.linear(x, part, shape.width, shape.width, bias=part != "k" or shape.key_bias),
                shape.heads,
                head_width,
            )
            for part in ("q", "k", "v")
        ]
        mixed = attend(g, parts, head_width, mask)
        return g.linear(mixed, "o", shape.width, shape.width)


def mlp(g: GraphBuilder, x: str, shape: EncoderShape) -> str:
    """Two products with a GELU between."""
    with g.within("mlp"):
        y = g.linear(x, "up", shape.width, shape.hidden)
        if shape.gelu == "quick":
            gate = g.op("Sigmoid", [g.op("Mul", [y, g.number(1.702)])])
            y = g.op("Mul", [y, gate])
        else:
            y = g.gelu(y, tanh=shape.gelu == "tanh")
        return g.linear(y, "down", shape.hidden, shape.width)


def encoder(g: GraphBuilder, x: str, shape: EncoderShape, mask: str | None = None) -> str:
    """The layers and the final normalization over ``x (N, tokens, width)``."""
    for index in range(shape.layers):
        with g.within(f"layers.{index}"):
            normed = g.layer_norm(x, "attn_norm", shape.width)
            x = g.op("Add", [x, self_attention(g, normed, shape, mask)])
            x = g.op("Add", [x, mlp(g, g.layer_norm(x, "mlp_norm", shape.width), shape)])
    return g.layer_norm(x, "norm", shape.width)


def vision_encoder(g: GraphBuilder, image: str, shape: EncoderShape, size: int, patch: int) -> str:
    """Patches of square images (N, 3, size, size) through the layers: (N, patches, width)."""
    with g.within("vision"):
        x = g.conv(image, "patch", 3, shape.width, (patch, patch), stride=patch, padding=(0, 0))
        count = (size // patch) ** 2
        x = g.transpose(g.op("Reshape", [x, g.ints([0, shape.width, count])]), 0, 2, 1)
        x = g.op("Add", [x, g.weight("positions", count, shape.width)])
        return encoder(g, x, shape)
