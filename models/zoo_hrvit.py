"""A high-resolution vision transformer in the manner of HRViT-b1 (arXiv 2111.01236)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from zoo_networks import conv_bn_relu


class CrossShaped(nn.Module):
    """Attention of half the heads along rows and of the other half along columns."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Conv2d(channels, 3 * channels, 1)
        self.local = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.join = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x (N, channels, H, H)."""
        rows, columns = self.mix(x).chunk(2, dim=1)
        lines = torch.cat([rows, columns.transpose(2, 3)], dim=1)
        parts = lines.unflatten(1, (self.heads, 3, -1)).permute(2, 0, 4, 1, 5, 3)
        q, k, v = (part.squeeze(0) for part in parts.chunk(3))
        weights = (q @ k.transpose(3, 4) / math.sqrt(q.shape[4])).softmax(dim=-1)
        mixed = (weights @ v).permute(0, 2, 4, 1, 3).flatten(1, 2)
        rows, columns = mixed.chunk(2, dim=1)
        return self.join(torch.cat([rows, columns.transpose(2, 3)], dim=1) + self.local(x))


class MixedFeed(nn.Module):
    """Feed-forward network with a depthwise 3x3 and a 5x5 on a half of its channels each."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        half = channels * ratio // 2
        self.widen = nn.Conv2d(channels, 2 * half, 1)
        self.small = nn.Conv2d(half, half, 3, 1, 1, groups=half)
        self.large = nn.Conv2d(half, half, 5, 1, 2, groups=half)
        self.narrow = nn.Conv2d(2 * half, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        a, b = self.widen(x).chunk(2, dim=1)
        return self.narrow(functional.gelu(torch.cat([self.small(a), self.large(b)], dim=1)))


class Stage(nn.Module):
    """Transformer blocks on one branch, normalized over channels."""

    def __init__(self, channels: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.attend = nn.ModuleList(CrossShaped(channels, heads) for _ in range(blocks))
        self.feed = nn.ModuleList(MixedFeed(channels) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 * blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        for index, (attend, feed) in enumerate(zip(self.attend, self.feed, strict=True)):
            x = x + attend(self.norms[2 * index](x))
            x = x + feed(self.norms[2 * index + 1](x))
        return x


class Exchange(nn.Module):
    """Every branch becomes the sum of all: depthwise down or 1x1 and upsampling."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList(self._path(channels, i, j) for i in range(len(channels)))
            for j in range(outputs)
        )

    @staticmethod
    def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
        i, o, factor = channels[source], 32 << target, 1 << abs(target - source)
        if target < source:
            wide = nn.Upsample(scale_factor=float(factor))
            return nn.Sequential(nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o), wide)
        kernel = factor + 1 if factor > 1 else 3
        depthwise = nn.Conv2d(i, i, kernel, factor, kernel // 2, groups=i, bias=False)
        return nn.Sequential(depthwise, nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o))

    def forward(self, branches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The branches after the exchange, perhaps one more than before."""
        results = []
        for paths in self.paths:
            total = paths[0](branches[0])
            for path, branch in zip(paths[1:], branches[1:], strict=True):
                total = total + path(branch)
            results.append(total)
        return results


class HrVit(nn.Module):
    """Four branches of 32, 64, 128 and 256 channels and the all-MLP segmentation head.

    Channels and blocks of each branch follow HRViT-b1; its windows are whole rows and columns
    here, its shared keys and values are separate, and one module of three branches is left out.
    """

    #: Blocks of each branch in the modules one after the other.
    MODULES = ((1,), (1, 1), (1, 1, 6), (1, 1, 6, 2), (1, 1, 6, 2))
    HEADS = (2, 2, 4, 8)

    def __init__(self, classes: int = 150, width: int = 256) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 32, 3, 2, 1), conv_bn_relu(32, 32, 3, 2, 1))
        self.stages = nn.ModuleList(
            nn.ModuleList(Stage(32 << i, self.HEADS[i], n) for i, n in enumerate(module))
            for module in self.MODULES
        )
        following = [*(len(m) for m in self.MODULES[1:]), 4]
        self.exchanges = nn.ModuleList(
            Exchange([32 << i for i in range(len(module))], outputs)
            for module, outputs in zip(self.MODULES, following, strict=True)
        )
        self.project = nn.ModuleList(nn.Conv2d(32 << i, width, 1) for i in range(4))
        self.classify = nn.Sequential(
            conv_bn_relu(4 * width, width, 1), nn.Conv2d(width, classes, 1)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H / 4, W / 4) of an image (N, 3, H, W)."""
        branches = [self.stem(image)]
        for stages, exchange in zip(self.stages, self.exchanges, strict=True):
            branches = exchange([s(x) for s, x in zip(stages, branches, strict=True)])
        size = branches[0].shape[2:]
        maps = [project(x) for project, x in zip(self.project, branches, strict=True)]
        wide = [maps[0], *(functional.interpolate(m, size=size, mode="bilinear") for m in maps[1:])]
        return self.classify(torch.cat(wide, dim=1))
