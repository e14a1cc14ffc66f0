"""Public networks for detection, depth and pose, defined from their published shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn
from torch.nn import functional
from zoo_networks import conv_bn_relu, mobilenet_v1_features

#: Builds a convolution from input channels, output channels, kernel and (optional) stride.
Spatial = Callable[..., nn.Sequential]


def conv_silu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalization and SiLU, in channels ``inputs`` -> ``outputs``."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


def separable_silu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Depthwise and 1x1 convolution, each with batch normalization and SiLU."""
    depthwise = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
    return nn.Sequential(
        depthwise, nn.BatchNorm2d(inputs), nn.SiLU(), *conv_silu(inputs, outputs, 1)
    )


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolution, with a residual if ``shortcut``."""

    def __init__(self, channels: int, shortcut: bool, spatial: Spatial = conv_silu) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_silu(channels, channels, 1), spatial(channels, channels, 3)
        )
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        y = self.layers(x)
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """Cross-stage partial block: half the channels pass ``depth`` bottlenecks."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        depth: int,
        shortcut: bool = True,
        spatial: Spatial = conv_silu,
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.main = conv_silu(inputs, half, 1)
        self.side = conv_silu(inputs, half, 1)
        self.blocks = nn.Sequential(*(Bottleneck(half, shortcut, spatial) for _ in range(depth)))
        self.join = conv_silu(2 * half, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, outputs, H, W) of (N, inputs, H, W)."""
        return self.join(torch.cat([self.blocks(self.main(x)), self.side(x)], dim=1))


class PyramidPooling(nn.Module):
    """Max pooling at three window sizes, stacked."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = conv_silu(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.join = conv_silu(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        y = self.reduce(x)
        return self.join(torch.cat([y, *(pool(y) for pool in self.pools)], dim=1))


class DetectionHead(nn.Module):
    """Decoupled head of one scale: box (4), objectness (1) and class scores."""

    def __init__(self, inputs: int, width: int, classes: int, spatial: Spatial = conv_silu) -> None:
        super().__init__()
        self.stem = conv_silu(inputs, width, 1)
        self.class_tower = nn.Sequential(spatial(width, width, 3), spatial(width, width, 3))
        self.box_tower = nn.Sequential(spatial(width, width, 3), spatial(width, width, 3))
        self.scores = nn.Conv2d(width, classes, 1)
        self.box = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 5 + classes, H, W) of (N, inputs, H, W)."""
        stem = self.stem(x)
        boxes = self.box_tower(stem)
        scores = self.scores(self.class_tower(stem)).sigmoid()
        return torch.cat([self.box(boxes), self.objectness(boxes).sigmoid(), scores], dim=1)


class YoloX(nn.Module):
    """YOLOX (arXiv 2107.08430) up to the three raw output maps; boxes are not decoded.

    Args:
        width: channels of the first stage (32 in YOLOX-s).
        depth: bottlenecks of a short stage (1 in YOLOX-s).
        classes: object classes.
        spatial: builds the 3x3 convolutions after the first (separable in YOLOX-nano).
    """

    def __init__(
        self, width: int = 32, depth: int = 1, classes: int = 80, spatial: Spatial = conv_silu
    ) -> None:
        super().__init__()
        a, b, c, d = (width * n for n in (2, 4, 8, 16))
        top = partial(CrossStage, depth=depth, shortcut=False, spatial=spatial)
        self.stem = conv_silu(12, width, 3)
        self.stage2 = nn.Sequential(
            spatial(width, a, 3, 2), CrossStage(a, a, depth, spatial=spatial)
        )
        self.stage3 = nn.Sequential(
            spatial(a, b, 3, 2), CrossStage(b, b, 3 * depth, spatial=spatial)
        )
        self.stage4 = nn.Sequential(
            spatial(b, c, 3, 2), CrossStage(c, c, 3 * depth, spatial=spatial)
        )
        self.stage5 = nn.Sequential(spatial(c, d, 3, 2), PyramidPooling(d), top(d, d))
        self.lateral5 = conv_silu(d, c, 1)
        self.top4 = top(2 * c, c)
        self.lateral4 = conv_silu(c, b, 1)
        self.top3 = top(2 * b, b)
        self.down3 = spatial(b, b, 3, 2)
        self.bottom4 = top(2 * b, c)
        self.down4 = spatial(c, c, 3, 2)
        self.bottom5 = top(2 * c, d)
        self.heads = nn.ModuleList(DetectionHead(n, b, classes, spatial) for n in (b, c, d))

    def features(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Feature maps at strides 8, 16 and 32 of an image (N, 3, H, W)."""
        phases = [image[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        p3 = self.stage3(self.stage2(self.stem(torch.cat(phases, dim=1))))
        p4 = self.stage4(p3)
        lateral5 = self.lateral5(self.stage5(p4))
        up5 = functional.interpolate(lateral5, scale_factor=2.0)
        lateral4 = self.lateral4(self.top4(torch.cat([up5, p4], dim=1)))
        up4 = functional.interpolate(lateral4, scale_factor=2.0)
        n3 = self.top3(torch.cat([up4, p3], dim=1))
        n4 = self.bottom4(torch.cat([self.down3(n3), lateral4], dim=1))
        return n3, n4, self.bottom5(torch.cat([self.down4(n4), lateral5], dim=1))

    def detections(self, features: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """One raw map a scale."""
        return tuple(head(n) for head, n in zip(self.heads, features, strict=True))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps of 5 + classes channels at strides 8, 16 and 32 of an image (N, 3, H, W)."""
        return self.detections(self.features(image))


class FastDepth(nn.Module):
    """FastDepth (arXiv 1903.03273) before pruning: MobileNetV1 and five upsampling stages.

    The decoder stages are 5x5 depthwise and 1x1 convolutions with nearest upsampling; encoder
    features are added at three resolutions. ``width`` multiplies all channels.
    """

    #: Encoder blocks whose outputs (64, 128 and 256 channels) are added in the decoder.
    SKIPS = (1, 3, 5)

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = mobilenet_v1_features(width)
        channels = [int(c * width) for c in (1024, 512, 256, 128, 64, 32)]
        self.decoder = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, i, 5, 1, 2, groups=i), conv_bn_relu(i, o, 1))
            for i, o in itertools.pairwise(channels)
        )
        self.depth = conv_bn_relu(channels[-1], 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Depth (N, 1, H, W) of an image (N, 3, H, W), H and W multiples of 32."""
        x = image
        skips: dict[int, torch.Tensor] = {}
        for index, block in enumerate(self.encoder):
            x = block(x)
            if index in self.SKIPS:
                skips[x.shape[1]] = x
        for stage in self.decoder:
            x = functional.interpolate(stage(x), scale_factor=2.0)
            if x.shape[1] in skips:
                x = x + skips[x.shape[1]]
        return self.depth(x)


def heatmap_pose(features: nn.Module, channels: int, joints: int = 17) -> nn.Sequential:
    """Simple-baseline pose network (arXiv 1804.06208): features and three deconvolutions."""
    layers: list[nn.Module] = [features]
    for inputs in (channels, 256, 256):
        layers += [
            nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(256, joints, 1))


class RawMaps(nn.Module):
    """A torchvision SSD up to its output maps (no anchors, no suppression)."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.classes = detector.head.classification_head.module_list
        self.boxes = detector.head.regression_head.module_list

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Box offsets and class logits (N, anchors x 4 or classes, h, w) of every scale."""
        features = list(self.backbone(image).values())
        boxes = [head(x) for head, x in zip(self.boxes, features, strict=True)]
        scores = [head(x) for head, x in zip(self.classes, features, strict=True)]
        return (*boxes, *scores)
