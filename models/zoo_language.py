"""Decoder-only language models: one step over a context held in a key-value cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of a Llama-like decoder (normalization before, rotary positions, gated MLP).

    Attributes:
        layers: decoder layers.
        width: model width.
        hidden: inner width of the gated MLP.
        heads: query heads.
        kv_heads: key and value heads (divides ``heads``).
        vocabulary: tokens.
        tied: output projection shares the embedding.
        qkv_bias: query, key and value projections have biases.
    """

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    qkv_bias: bool = False

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads


class RmsNorm(nn.Module):
    """Root-mean-square normalization with a gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x, normalized over its last axis."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


class Attention(nn.Module):
    """Grouped-query attention of ``tokens`` new tokens over ``context`` cached and new ones.

    The query heads that share a key-value head are stacked along the token axis, so keys and
    values are never copied.
    """

    def __init__(self, shape: DecoderShape, tokens: int) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = tokens
        kv_width = shape.kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=shape.qkv_bias)
        self.k_proj = nn.Linear(shape.width, kv_width, bias=shape.qkv_bias)
        self.v_proj = nn.Linear(shape.width, kv_width, bias=shape.qkv_bias)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def _heads(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        return x.view(1, self.tokens, heads, self.shape.head_width).transpose(1, 2)

    @staticmethod
    def _rotated(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * cosine + torch.cat([-second, first], dim=-1) * sine

    def forward(
        self,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        cache: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:
        """(1, tokens, width) of the same; ``cache`` holds (1, kv_heads, cached, head_width)."""
        shape = self.shape
        query = self._rotated(self._heads(self.q_proj(x), shape.heads), *rotation)
        key = self._rotated(self._heads(self.k_proj(x), shape.kv_heads), *rotation)
        value = self._heads(self.v_proj(x), shape.kv_heads)
        if cache is not None:
            key = torch.cat([cache[0], key], dim=2)
            value = torch.cat([cache[1], value], dim=2)
        rows = shape.heads // shape.kv_heads * self.tokens
        query = query.reshape(1, shape.kv_heads, rows, shape.head_width)
        scores = query @ key.transpose(2, 3) * shape.head_width**-0.5
        if mask is not None:
            scores = scores + mask
        mixed = torch.softmax(scores, dim=-1) @ value
        mixed = mixed.reshape(1, shape.heads, self.tokens, shape.head_width).transpose(1, 2)
        return self.o_proj(mixed.reshape(1, self.tokens, shape.width))


class GatedMlp(nn.Module):
    """SiLU-gated two-layer perceptron."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: DecoderShape, tokens: int) -> None:
        super().__init__()
        self.input_norm = RmsNorm(shape.width)
        self.attention = Attention(shape, tokens)
        self.mlp_norm = RmsNorm(shape.width)
        self.mlp = GatedMlp(shape)

    def forward(
        self,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        cache: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:
        """(1, tokens, width) of the same."""
        x = x + self.attention(self.input_norm(x), rotation, mask, cache)
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nn.Module):
    """A decoder that takes ``tokens`` new tokens after ``cached`` ones; batch 1.

    ``cached`` 0 is a prefill; ``tokens`` 1 is a generation step. Inputs are the token numbers
    and, with a cache, the keys and values of every layer; output are the logits of the last
    token. The keys and values of the new tokens stay inside the graph.
    """

    def __init__(self, shape: DecoderShape, tokens: int, cached: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, tokens) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.width)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        if shape.tied:
            self.output.weight = self.embedding.weight
        rotation = torch.zeros(tokens, shape.head_width)
        self.register_buffer("cosine", rotation)
        self.register_buffer("sine", rotation.clone())
        rows = shape.heads // shape.kv_heads * tokens
        mask = torch.zeros(rows, cached + tokens) if tokens > 1 else None
        self.register_buffer("mask", mask)

    def forward(self, tokens: torch.Tensor, *cache: torch.Tensor) -> torch.Tensor:
        """Logits (1, vocabulary) of token numbers (1, tokens)."""
        x = self.embedding(tokens)
        for index, layer in enumerate(self.layers):
            pair = (cache[2 * index], cache[2 * index + 1]) if cache else None
            x = layer(x, (self.cosine, self.sine), self.mask, pair)
        return self.output(self.norm(x[:, -1]))


def decoder_inputs(shape: DecoderShape, tokens: int, cached: int) -> dict[str, tuple[int, ...]]:
    """Input name -> shape of a :class:`Decoder`."""
    inputs: dict[str, tuple[int, ...]] = {"tokens": (1, tokens)}
    if cached:
        for layer in range(shape.layers):
            for kind in ("key", "value"):
                inputs[f"past_{kind}_{layer}"] = (1, shape.kv_heads, cached, shape.head_width)
    return inputs
