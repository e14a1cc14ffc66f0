"""Monocular depth, and image-to-image networks: super-resolution, a talking head, volumes."""

from __future__ import annotations

import itertools

import timm
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18


class TwoConvs(nn.Module):
    """Residual of two 3x3 convolutions, each after a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        return x + self.layers(x)


class Fusion(nn.Module):
    """Refinement of MiDaS: a finer map joins, the sum is refined, doubled and projected."""

    def __init__(self, inputs: int, outputs: int, joins: bool) -> None:
        super().__init__()
        self.finer = TwoConvs(inputs) if joins else None
        self.refine = TwoConvs(inputs)
        self.project = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, finer: torch.Tensor | None = None) -> torch.Tensor:
        """(N, outputs, 2 H, 2 W) of (N, inputs, H, W)."""
        if self.finer is not None and finer is not None:
            x = x + self.finer(finer)
        up = functional.interpolate(self.refine(x), scale_factor=2.0, mode="bilinear")
        return self.project(up)


class MidasSmall(nn.Module):
    """MiDaS v2.1 small (isl-org/MiDaS): EfficientNet-Lite3 and four fusion blocks."""

    def __init__(self) -> None:
        super().__init__()
        trunk = timm.create_model("tf_efficientnet_lite3")
        b = trunk.blocks
        self.stages = nn.ModuleList(
            [
                nn.Sequential(trunk.conv_stem, trunk.bn1, b[0], b[1]),
                b[2],
                nn.Sequential(b[3], b[4]),
                nn.Sequential(b[5], b[6]),
            ]
        )
        widths = (64, 128, 256, 512)
        self.narrow = nn.ModuleList(
            nn.Conv2d(i, o, 3, 1, 1, bias=False)
            for i, o in zip((32, 48, 136, 384), widths, strict=True)
        )
        self.fuse = nn.ModuleList(Fusion(w, max(w // 2, 64), joins=w < 512) for w in widths)
        self.depth = nn.Sequential(
            nn.Conv2d(64, 32, 3, 1, 1),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Conv2d(32, 32, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Inverse depth (N, 1, H, W) of an image (N, 3, H, W), H and W multiples of 32."""
        x = image
        maps = []
        for stage, narrow in zip(self.stages, self.narrow, strict=True):
            x = stage(x)
            maps.append(narrow(x))
        y = self.fuse[3](maps[3])
        for level in (2, 1, 0):
            y = self.fuse[level](y, maps[level])
        return self.depth(y)


class DepthResNet18(nn.Module):
    """ResNet-18 and the decoder of Monodepth2 (arXiv 1806.01260), which SC-Depth uses."""

    WIDTHS = (16, 32, 64, 128, 256)
    SKIPS = (0, 64, 64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        trunk = resnet18(weights=None)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu),
                nn.Sequential(trunk.maxpool, trunk.layer1),
                trunk.layer2,
                trunk.layer3,
                trunk.layer4,
            ]
        )
        inputs = (*self.WIDTHS[1:], 512)
        self.before = nn.ModuleList(
            self._conv(i, o) for i, o in zip(inputs, self.WIDTHS, strict=True)
        )
        self.after = nn.ModuleList(
            self._conv(o + s, o) for o, s in zip(self.WIDTHS, self.SKIPS, strict=True)
        )
        self.depth = nn.Conv2d(16, 1, 3, 1, 1)

    @staticmethod
    def _conv(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ELU())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Inverse depth (N, 1, H, W) of an image (N, 3, H, W), H and W multiples of 32."""
        x = image
        kept = []
        for stage in self.stages:
            x = stage(x)
            kept.append(x)
        for level in (4, 3, 2, 1, 0):
            x = functional.interpolate(self.before[level](x), scale_factor=2.0)
            if level:
                x = torch.cat([x, kept[level - 1]], dim=1)
            x = self.after[level](x)
        return self.depth(x).sigmoid()


class Edsr(nn.Module):
    """EDSR f32b5 of MLPerf Mobile: five residual blocks of 32 channels, twice the size."""

    def __init__(self, channels: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, 1, 1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, 1, 1),
            )
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(channels, channels, 3, 1, 1)
        self.enlarge = nn.Sequential(nn.Conv2d(channels, 12, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """An image (N, 3, 2 H, 2 W) of one (N, 3, H, W)."""
        first = x = self.first(image)
        for block in self.blocks:
            x = x + block(x)
        return self.enlarge(first + self.last(x))


class TalkingHead(nn.Module):
    """Generator of the first-order motion model (arXiv 2003.00196): warps features of a portrait.

    Args:
        width: channels at full resolution (64 in the paper).
        blocks: residual blocks at a quarter of the resolution.
    """

    def __init__(self, width: int = 40, blocks: int = 6) -> None:
        super().__init__()
        self.first = self._conv(3, width, 7)
        self.down = nn.ModuleList(self._conv(width * n, 2 * width * n) for n in (1, 2))
        self.blocks = nn.Sequential(*(TwoConvs(4 * width) for _ in range(blocks)))
        self.up = nn.ModuleList(self._conv(2 * width * n, width * n) for n in (2, 1))
        self.last = nn.Conv2d(width, 3, 7, 1, 3)

    @staticmethod
    def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(
        self, portrait: torch.Tensor, motion: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        """A frame (N, 3, H, W).

        ``motion``: (N, H / 4, W / 4, 2) where each place comes from, in -1..1; ``hidden``:
        (N, 1, H / 4, W / 4) what the portrait does not show.
        """
        x = self.first(portrait)
        for layer in self.down:
            x = functional.avg_pool2d(layer(x), 2)
        x = functional.grid_sample(x, motion, align_corners=False) * hidden
        x = self.blocks(x)
        for layer in self.up:
            x = layer(functional.interpolate(x, scale_factor=2.0))
        return self.last(x).sigmoid()


class UNet3d(nn.Module):
    """3D U-Net of MLPerf (KiTS19): five halvings, instance normalization, 2x2x2 upsampling."""

    WIDTHS = (32, 64, 128, 256, 320, 320)

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.first = self._pair(1, self.WIDTHS[0], 1)
        self.down = nn.ModuleList(self._pair(i, o, 2) for i, o in itertools.pairwise(self.WIDTHS))
        turned = list(reversed(self.WIDTHS))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(i, o, 2, 2) for i, o in itertools.pairwise(turned)
        )
        self.join = nn.ModuleList(self._pair(2 * o, o, 1) for o in turned[1:])
        self.classify = nn.Conv3d(self.WIDTHS[0], classes, 1)

    @staticmethod
    def _pair(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, s in ((inputs, stride), (outputs, 1)):
            layers += [
                nn.Conv3d(i, outputs, 3, s, 1, bias=False),
                nn.InstanceNorm3d(outputs, affine=True),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, D, H, W) of a volume (N, 1, D, H, W), sizes multiples of 32."""
        kept = [self.first(volume)]
        for layer in self.down:
            kept.append(layer(kept[-1]))
        x = kept.pop()
        for up, join, skip in zip(self.up, self.join, reversed(kept), strict=True):
            x = join(torch.cat([up(x), skip], dim=1))
        return self.classify(x)
