"""Attention blocks: dense, and deformable by bilinear sampling."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    """Two fully connected layers with a ReLU between."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


class DenseAttention(nn.Module):
    """Multi-head attention of queries (N, Q, width) to keys (N, K, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.join = nn.Linear(width, width), nn.Linear(width, width)
        self.both = nn.Linear(width, 2 * width)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(N, Q, width)."""
        q = self._split(self.query(queries))
        k, v = self.both(keys).chunk(2, dim=2)
        scores = (q @ self._split(k).transpose(2, 3)) / math.sqrt(q.shape[3])
        mixed = scores.softmax(dim=-1) @ self._split(v)
        return self.join(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Each query reads a few places of a map (arXiv 2010.04159, one level).

    Args:
        width: channels of the map and of the result.
        heads, points: places read per query are ``heads * points``.
        query_width: channels of the queries.
    """

    def __init__(self, width: int, heads: int, points: int, query_width: int | None = None) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.value, self.join = nn.Linear(width, width), nn.Linear(width, width)
        self.offsets = nn.Linear(query_width or width, heads * points * 2)
        self.weights = nn.Linear(query_width or width, heads * points)

    def forward(
        self, queries: torch.Tensor, values: torch.Tensor, size: tuple[int, int], at: torch.Tensor
    ) -> torch.Tensor:
        """(N, Q, width) from a map (N, H x W, width) of ``size`` at places (N, Q, 2) in -1..1."""
        count, found = queries.shape[0] * self.heads, queries.shape[1]
        v = self.value(values).transpose(1, 2).reshape(count, -1, *size)
        offsets = self.offsets(queries).unflatten(2, (self.heads * self.points, 2))
        places = (at[:, :, None] + offsets).unflatten(2, (self.heads, self.points))
        grid = places.transpose(1, 2).reshape(count, found, self.points, 2)
        read = functional.grid_sample(v, grid, align_corners=False)
        weights = self.weights(queries).unflatten(2, (self.heads, self.points)).softmax(dim=-1)
        weights = weights.transpose(1, 2).reshape(count, 1, found, self.points)
        mixed = (read * weights).sum(dim=-1).reshape(queries.shape[0], -1, found)
        return self.join(mixed.transpose(1, 2))


class CrossLayer(nn.Module):
    """Dense attention to keys and a feed-forward network, each with residual and norm."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross = DenseAttention(width, heads)
        self.feed = feed_forward(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(N, Q, width) from queries (N, Q, width) and keys (N, K, width)."""
        x = self.norms[0](queries + self.cross(queries, keys))
        return self.norms[1](x + self.feed(x))


class DecoderLayer(nn.Module):
    """Attention among the queries, deformable attention to a map, a feed-forward network."""

    def __init__(self, width: int, heads: int, hidden: int, points: int = 4) -> None:
        super().__init__()
        self.among = DenseAttention(width, heads)
        self.cross = DeformableAttention(width, heads, points)
        self.feed = feed_forward(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, queries: torch.Tensor, values: torch.Tensor, size: tuple[int, int], at: torch.Tensor
    ) -> torch.Tensor:
        """As :meth:`DeformableAttention.forward`."""
        x = self.norms[0](queries + self.among(queries, queries))
        x = self.norms[1](x + self.cross(x, values, size, at))
        return self.norms[2](x + self.feed(x))


class MapLayer(nn.Module):
    """Deformable attention of a map to itself and a feed-forward network."""

    def __init__(self, width: int, heads: int, hidden: int, points: int = 4) -> None:
        super().__init__()
        self.own = DeformableAttention(width, heads, points)
        self.feed = feed_forward(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: torch.Tensor, size: tuple[int, int], at: torch.Tensor) -> torch.Tensor:
        """(N, H x W, width), read around its own places ``at``."""
        y = self.norms[0](x + self.own(x, x, size, at))
        return self.norms[1](y + self.feed(y))
