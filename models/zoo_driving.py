"""Perception for driving: segmentation and point clouds."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50
from torchvision.models.segmentation.deeplabv3 import ASPP
from zoo_networks import conv_bn_relu


class CatBottleneck(nn.Module):
    """Short-term dense concatenate block (arXiv 2104.13188): four convolutions, all joined.

    With stride 2 a depthwise convolution halves the map after the first convolution, whose own
    output is pooled before it joins.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = outputs // 2, outputs // 4, outputs // 8
        self.first = conv_bn_relu(inputs, half, 1)
        self.halve: nn.Module = nn.Identity()
        self.skip: nn.Module = nn.Identity()
        if stride == 2:
            depthwise = nn.Conv2d(half, half, 3, 2, 1, groups=half, bias=False)
            self.halve = nn.Sequential(depthwise, nn.BatchNorm2d(half))
            self.skip = nn.AvgPool2d(3, 2, 1)
        self.rest = nn.ModuleList(
            conv_bn_relu(i, o, 3, 1, 1)
            for i, o in ((half, quarter), (quarter, eighth), (eighth, eighth))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, outputs, H / stride, W / stride) of (N, inputs, H, W)."""
        first = self.first(x)
        parts = [self.skip(first)]
        y = self.halve(first)
        for layer in self.rest:
            y = layer(y)
            parts.append(y)
        return torch.cat(parts, dim=1)


class Refined(nn.Module):
    """Attention refinement of BiSeNet: a 3x3 convolution scaled by its channels' averages."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(inputs, outputs, 3, 1, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, outputs, H, W) of (N, inputs, H, W)."""
        y = self.conv(x)
        return y * self.gate(y)


class StdcSegmentation(nn.Module):
    """STDC1-Seg (arXiv 2104.13188): STDC813 and the decoder of BiSeNet, class maps at stride 8."""

    def __init__(self, classes: int = 19, width: int = 128) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 32, 3, 2, 1), conv_bn_relu(32, 64, 3, 2, 1))
        self.stages = nn.ModuleList(
            nn.Sequential(CatBottleneck(i, o, 2), CatBottleneck(o, o, 1))
            for i, o in ((64, 256), (256, 512), (512, 1024))
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(1024, width, 1))
        self.refine32 = Refined(1024, width)
        self.refine16 = Refined(512, width)
        self.head32 = conv_bn_relu(width, width, 3, 1, 1)
        self.head16 = conv_bn_relu(width, width, 3, 1, 1)
        self.fuse = conv_bn_relu(256 + width, 256, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(256, 64, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(64, 256, 1, bias=False),
            nn.Sigmoid(),
        )
        self.classify = nn.Sequential(
            conv_bn_relu(256, 256, 3, 1, 1), nn.Conv2d(256, classes, 1, bias=False)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of an image (N, 3, H, W), H and W multiples of 32."""
        x8 = self.stages[0](self.stem(image))
        x16 = self.stages[1](x8)
        x32 = self.stages[2](x16)
        y32 = self.refine32(x32) + self.whole(x32)
        y16 = self.refine16(x16) + self.head32(functional.interpolate(y32, scale_factor=2.0))
        y8 = self.head16(functional.interpolate(y16, scale_factor=2.0))
        fused = self.fuse(torch.cat([x8, y8], dim=1))
        logits = self.classify(fused + fused * self.gate(fused))
        return functional.interpolate(logits, scale_factor=8.0, mode="bilinear")


class DeepLabPlus(nn.Module):
    """DeepLabV3+ on ResNet-50 at output stride 16, as MLPerf Automotive runs it on Cognata."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        trunk = resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
        stem = (trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool, trunk.layer1)
        self.low = nn.Sequential(*stem)
        self.high = nn.Sequential(trunk.layer2, trunk.layer3, trunk.layer4)
        self.pyramid = ASPP(2048, [6, 12, 18])
        self.project = conv_bn_relu(256, 48, 1)
        self.classify = nn.Sequential(conv_bn_relu(304, 256, 3, 1, 1), nn.Conv2d(256, classes, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of an image (N, 3, H, W)."""
        low = self.low(image)
        high = self.pyramid(self.high(low))
        up = functional.interpolate(high, size=low.shape[2:], mode="bilinear")
        logits = self.classify(torch.cat([self.project(low), up], dim=1))
        return functional.interpolate(logits, size=image.shape[2:], mode="bilinear")


def pyramid_stage(inputs: int, outputs: int, depth: int, stride: int = 2) -> nn.Sequential:
    """A stage of a bird's-eye-view backbone: a strided 3x3 convolution and ``depth`` more."""
    layers = [conv_bn_relu(inputs, outputs, 3, stride, 1)]
    layers += [conv_bn_relu(outputs, outputs, 3, 1, 1) for _ in range(depth)]
    return nn.Sequential(*layers)


def raised(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    """A transposed convolution that enlarges a map ``factor`` times, normalized."""
    up = nn.ConvTranspose2d(inputs, outputs, factor, factor, bias=False)
    return nn.Sequential(up, nn.BatchNorm2d(outputs), nn.ReLU())


class PointPillars(nn.Module):
    """PointPillars (arXiv 1812.05784) with the sizes for KITTI, three classes.

    Args:
        grid: height and width of the bird's-eye view in pillars.
        features: of a point: place, reflectance, offsets to the pillar's mean and centre.
        outputs: values per place: two boxes a class with scores, 7 sizes and 2 directions.
        stride: of the first stage.
    """

    def __init__(
        self,
        grid: tuple[int, int] = (496, 432),
        features: int = 9,
        outputs: int = 72,
        stride: int = 2,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.point = nn.Linear(features, 64, bias=False)
        self.norm = nn.BatchNorm1d(64)
        self.stages = nn.ModuleList(
            [
                pyramid_stage(64, 64, 3, stride),
                pyramid_stage(64, 128, 5),
                pyramid_stage(128, 256, 5),
            ]
        )
        self.up = nn.ModuleList(raised(c, 128, f) for c, f in ((64, 1), (128, 2), (256, 4)))
        self.head = nn.Conv2d(384, outputs, 1)

    def forward(self, points: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Head outputs (1, outputs, H / 2, W / 2).

        ``points``: (pillars, points, features); ``cells``: (H x W,), for every cell of the grid the
        number of its pillar, or the number of pillars where there is none.
        """
        pillars, count, features = points.shape
        y = self.norm(self.point(points.reshape(pillars * count, features))).relu()
        pooled = y.reshape(pillars, count, 64).amax(dim=1)
        filled = torch.cat([pooled, pooled.new_zeros(1, 64)])[cells]
        x = filled.T.reshape(1, 64, *self.grid)
        raised_maps = []
        for stage, up in zip(self.stages, self.up, strict=True):
            x = stage(x)
            raised_maps.append(up(x))
        return self.head(torch.cat(raised_maps, dim=1))


class PointPainting(nn.Module):
    """PointPainting of MLPerf Inference: camera pixels' classes join the points of PointPillars.

    Sizes as in automotive/3d-object-detection of mlcommons/inference (Waymo): DeepLabV3+ on the
    images of five cameras, six classes a point, a grid of 468 x 468 pillars at full resolution.
    """

    CLASSES = 6

    def __init__(self) -> None:
        super().__init__()
        self.segment = DeepLabPlus(classes=19)
        self.detect = PointPillars((468, 468), 10 + self.CLASSES, 72, stride=1)

    def forward(
        self,
        front: torch.Tensor,
        sides: torch.Tensor,
        points: torch.Tensor,
        pixels: torch.Tensor,
        cells: torch.Tensor,
    ) -> torch.Tensor:
        """Head outputs (1, outputs, 468, 468).

        ``front``: three images, ``sides``: two smaller ones; ``points``: (pillars, points, 10);
        ``pixels``: (pillars, points), the pixel that a point falls on; ``cells``: see PointPillars.
        """
        scores = torch.cat([self._scores(front), self._scores(sides)])
        painted = torch.cat([points, scores[pixels]], dim=2)
        return self.detect(painted, cells)

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        share = self.segment(images).softmax(dim=1)
        ground = share[:, :11].sum(dim=1, keepdim=True)
        vehicles = share[:, 13:17].sum(dim=1, keepdim=True)
        parts = [ground, share[:, 18:], vehicles, share[:, 11:13], share[:, 17:18]]
        return torch.cat(parts, dim=1).permute(0, 2, 3, 1).reshape(-1, self.CLASSES)
