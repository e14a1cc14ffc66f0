"""Detectors and segmenters on mobile backbones, from their published shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import mobilenet_v2
from zoo_networks import conv_bn_relu, mobilenet_v1_features
from zoo_xr import RoiAlign

Activation = Callable[[], nn.Module]


def unit(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU6,
) -> nn.Sequential:
    """Convolution and batch normalization, then an activation if there is one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Squeeze(nn.Module):
    """Squeeze and excitation: channels scaled by a small network of their averages."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        return x * self.gate(x)


class Block(nn.Module):
    """Layers with a shortcut if the shapes allow and it is wanted."""

    def __init__(self, layers: Sequence[nn.Module], residual: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layers' result, plus x if this is a residual block."""
        y = self.layers(x)
        return x + y if self.residual else y


def inverted(
    inputs: int,
    outputs: int,
    hidden: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    squeeze: int = 0,
    residual: bool = True,
    activation: Activation = nn.ReLU6,
) -> Block:
    """Inverted bottleneck: 1x1 to ``hidden`` channels, depthwise, 1x1; all without expansion."""
    layers: list[nn.Module] = []
    if hidden != inputs:
        layers.append(unit(inputs, hidden, activation=activation))
    layers.append(unit(hidden, hidden, kernel, stride, hidden, activation))
    if squeeze:
        layers.append(Squeeze(hidden, squeeze))
    layers.append(unit(hidden, outputs, activation=None))
    return Block(layers, residual and stride == 1 and inputs == outputs)


def fused(inputs: int, outputs: int, factor: int, kernel: int = 3, stride: int = 1) -> Block:
    """Fused bottleneck: a full convolution to ``factor`` times the channels, then 1x1."""
    hidden = inputs * factor
    layers = [unit(inputs, hidden, kernel, stride), unit(hidden, outputs, activation=None)]
    return Block(layers, stride == 1 and inputs == outputs)


def expanded(
    inputs: int, outputs: int, factor: int, kernel: int = 3, stride: int = 1, same: bool = True
) -> Block:
    """Inverted bottleneck whose hidden layer is ``factor`` times its input."""
    return inverted(inputs, outputs, inputs * factor, kernel, stride, residual=same)


def mobiledet_edgetpu() -> tuple[nn.Module, nn.Module]:
    """The EdgeTPU backbone of MobileDets (arXiv 2004.14525), up to stride 16 and from there to 32.

    The layers are those of tensorflow/models ssd_mobiledet_feature_extractor.
    """
    tucker = Block([unit(32, 8), unit(8, 16, 3), unit(16, 16, activation=None)], False)
    to_16 = nn.Sequential(
        unit(3, 32, 3, 2),
        tucker,
        fused(16, 16, 8, 3, 2),
        *(fused(16, 16, n) for n in (4, 8, 4)),
        fused(16, 40, 8, 5, 2),
        *(fused(40, 40, 4) for _ in range(3)),
        expanded(40, 72, 8, 3, 2),
        expanded(72, 72, 8),
        *(fused(72, 72, 4) for _ in range(2)),
        expanded(72, 96, 8, 5, same=False),
        expanded(96, 96, 8, 5),
        *(expanded(96, 96, 8) for _ in range(2)),
    )
    to_32 = nn.Sequential(
        expanded(96, 120, 8, 5, 2),
        expanded(120, 120, 8),
        expanded(120, 120, 4, 5),
        expanded(120, 120, 8),
        expanded(120, 384, 8, 5, same=False),
    )
    return to_16, to_32


def mobilenet_v1_halves() -> tuple[nn.Module, nn.Module]:
    """MobileNetV1 up to its eleventh separable block (stride 16) and from there to stride 32."""
    features = mobilenet_v1_features(1.0)
    return features[:12], features[12:]


class V2Halves(nn.Module):
    """MobileNetV2 from its fourteenth block on, with that block's expansion as a second result."""

    def __init__(self) -> None:
        super().__init__()
        features = mobilenet_v2(weights=None).features
        block = features[14].conv
        self.before = features[:14]
        self.expand = block[0]
        self.after = nn.Sequential(*block[1:], *features[15:])


class Ssd(nn.Module):
    """SSD with six scales on a mobile backbone, 91 classes, up to its raw output maps.

    Args:
        halves: backbone up to stride 16 and from there to stride 32.
        channels: of the two.
        separable: whether further scales and heads are depthwise 3x3 and 1x1 (SSDLite); else the
            further scales are full 3x3 and the heads 1x1.
    """

    EXTRA = (512, 256, 256, 128)

    def __init__(
        self, halves: tuple[nn.Module, nn.Module], channels: tuple[int, int], separable: bool
    ) -> None:
        super().__init__()
        self.to_16, self.to_32 = halves
        self.separable = separable
        widths = [*channels, *self.EXTRA]
        self.extra = nn.ModuleList(
            nn.Sequential(unit(i, o // 2), *self._halving(o // 2, o))
            for i, o in itertools.pairwise(widths[1:])
        )
        counts = (3, 6, 6, 6, 6, 6)
        pairs = list(zip(widths, counts, strict=True))
        self.boxes = nn.ModuleList(self._head(c, 4 * n) for c, n in pairs)
        self.scores = nn.ModuleList(self._head(c, 91 * n) for c, n in pairs)

    def _halving(self, inputs: int, outputs: int) -> Iterator[nn.Module]:
        if self.separable:
            yield unit(inputs, inputs, 3, 2, inputs)
            yield unit(inputs, outputs)
        else:
            yield unit(inputs, outputs, 3, 2)

    def _head(self, inputs: int, outputs: int) -> nn.Module:
        last = nn.Conv2d(inputs, outputs, 1)
        return nn.Sequential(unit(inputs, inputs, 3, 1, inputs), last) if self.separable else last

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Offsets and class scores (N, boxes x 4 or 91, h, w) of every scale."""
        x = self.to_16(image)
        scales = [x, self.to_32(x)]
        for block in self.extra:
            scales.append(block(scales[-1]))
        boxes = [head(x) for head, x in zip(self.boxes, scales, strict=True)]
        return (*boxes, *(head(x) for head, x in zip(self.scores, scales, strict=True)))


def ssdlite_mobilenet_v2() -> Ssd:
    """SSDLite on MobileNetV2 (arXiv 1801.04381): the first scale is a block's expansion."""
    halves = V2Halves()
    to_16 = nn.Sequential(halves.before, halves.expand)
    return Ssd((to_16, halves.after), (576, 1280), separable=True)


class DeepLabMobile(nn.Module):
    """DeepLabV3 on MobileNetV2 at output stride 8, without atrous branches (TF's mobile model)."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None).features[:18]
        for index, dilation in ((7, 2), (14, 4)):
            self._dilate(index, dilation)
        self.local = conv_bn_relu(320, 256, 1)
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(320, 256, 1))
        self.classify = nn.Sequential(conv_bn_relu(512, 256, 1), nn.Conv2d(256, classes, 1))

    def _dilate(self, first: int, dilation: int) -> None:
        """Makes block ``first`` keep its size and those after it look wider instead."""
        for block in self.features[first:]:
            depthwise = block.conv[-3][0]
            if depthwise.stride == (2, 2):
                depthwise.stride = (1, 1)
            else:
                depthwise.dilation = depthwise.padding = (dilation, dilation)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of an image (N, 3, H, W)."""
        x = self.features(image)
        y = self.local(x)
        whole = functional.interpolate(self.whole(x), size=y.shape[2:], mode="bilinear")
        logits = self.classify(torch.cat([whole, y], dim=1))
        return functional.interpolate(logits, size=image.shape[2:], mode="bilinear")


class UNetMobile(nn.Module):
    """U-Net on MobileNetV2 of TensorFlow's segmentation tutorial: transposed 3x3 convolutions."""

    SKIPS = (2, 4, 7, 14)

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None).features[:18]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
            )
            for i, o in ((320, 512), (1088, 256), (448, 128), (272, 64))
        )
        self.classify = nn.ConvTranspose2d(160, classes, 3, 2, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of an image (N, 3, H, W)."""
        x = image
        kept = []
        for index, block in enumerate(self.features):
            if index in self.SKIPS:
                wide = block.conv[0](x)
                kept.append(wide)
                x = block.conv[1:](wide)
            else:
                x = block(x)
        for layer, skip in zip(self.up, reversed(kept), strict=True):
            x = torch.cat([layer(x), skip], dim=1)
        return self.classify(x)


class FasterRcnnFbnet(nn.Module):
    """Faster R-CNN on FBNetV3-A (facebookresearch/d2go, C4): the trunk's last stage per box.

    Layer sizes as XRBench lists them; depthwise layers are depthwise.
    """

    def __init__(self) -> None:
        super().__init__()
        swish = nn.Hardswish

        def block(
            inputs: int, hidden: int, outputs: int, kernel: int, stride: int, squeeze: int
        ) -> Block:
            return inverted(
                inputs, outputs, hidden, kernel, stride, squeeze=squeeze, activation=swish
            )

        self.trunk = nn.Sequential(
            unit(3, 16, 3, 2, activation=swish),
            *(block(16, 16, 16, 3, 1, 0) for _ in range(2)),
            block(16, 64, 24, 5, 2, 0),
            *(block(24, 72, 24, 5, 1, 0) for _ in range(3)),
            block(24, 96, 32, 5, 2, 24),
            *(block(32, 96, 32, 3, 1, 24) for _ in range(3)),
            block(32, 128, 64, 5, 2, 0),
            *(block(64, 192, 64, 3, 1, 0) for _ in range(3)),
            block(64, 256, 112, 5, 1, 64),
            *(block(112, 336, 112, 5, 1, 88) for _ in range(10)),
        )
        self.objects, self.anchors = nn.Conv2d(112, 15, 1), nn.Conv2d(112, 60, 1)
        self.crop = RoiAlign(6, 1 / 16)
        self.stage = nn.Sequential(
            block(112, 448, 184, 5, 2, 112),
            *(block(184, 736, 184, 3, 1, 184) for _ in range(4)),
            block(184, 1104, 200, 5, 1, 280),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.scores, self.boxes = nn.Linear(200, 81), nn.Linear(200, 320)

    def forward(
        self, image: torch.Tensor, boxes: torch.Tensor, owners: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Proposal maps, and class scores and offsets of ``boxes`` (boxes, 4) of ``owners``."""
        x = self.trunk(image)
        y = self.stage(self.crop(x, boxes, owners))
        return self.objects(x), self.anchors(x), self.scores(y), self.boxes(y)
