"""Small public networks that no Python package ships, defined from their published shapes.

Padding: TensorFlow's ``same`` padding is uneven for stride 2; here it is even, which gives the
same output sizes and the same number of multiply-accumulates.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn


def conv_bn_relu(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution, batch normalization and ReLU, in channels ``inputs`` -> ``outputs``."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Classifier(nn.Module):
    """Features, global average pooling and one fully connected layer.

    Args:
        features: maps an image (N, C, H, W) to (N, ``channels``, h, w).
        channels: of the features.
        classes: number of outputs.
    """

    def __init__(self, features: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of an image (N, C, H, W)."""
        return self.classifier(self.pool(self.features(image)).flatten(1))


#: (output channels at width 1, stride) of the 13 separable blocks (Howard et al. 2017, table 1).
MOBILENET_V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1_features(width: float, bias: bool = False) -> nn.Sequential:
    """Convolutions of MobileNetV1 (arXiv 1704.04861, table 1), at least 8 channels wide."""

    def scaled(channels: int) -> int:
        return max(int(channels * width), 8)

    channels = scaled(32)
    blocks: list[nn.Module] = [conv_bn_relu(3, channels, 3, 2, 1, bias=bias)]
    for outputs, stride in MOBILENET_V1_BLOCKS:
        depthwise = conv_bn_relu(channels, channels, 3, stride, 1, groups=channels, bias=bias)
        pointwise = conv_bn_relu(channels, scaled(outputs), 1, bias=bias)
        blocks.append(nn.Sequential(depthwise, pointwise))
        channels = scaled(outputs)
    return nn.Sequential(*blocks)


def mobilenet_v1(width: float, classes: int = 1000, bias: bool = False) -> nn.Module:
    """MobileNetV1; ``bias`` adds biases to the convolutions, as MLPerf Tiny's reference has."""
    return Classifier(mobilenet_v1_features(width, bias), int(1024 * width), classes)


def ds_cnn(classes: int = 12, channels: int = 64, blocks: int = 4) -> nn.Module:
    """Keyword spotting DS-CNN of MLPerf Tiny: 49 frames x 10 MFCC features -> 12 words."""
    layers: list[nn.Module] = [conv_bn_relu(1, channels, (10, 4), 2, (5, 1), bias=True)]
    for _ in range(blocks):
        depthwise = conv_bn_relu(channels, channels, 3, 1, 1, groups=channels, bias=True)
        layers.append(nn.Sequential(depthwise, conv_bn_relu(channels, channels, 1, bias=True)))
    return Classifier(nn.Sequential(*layers), channels, classes)


class ResidualStack(nn.Module):
    """Two 3x3 convolutions with a shortcut (1x1 convolution without normalization if resized)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(inputs, outputs, 3, stride, 1, bias=True)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, outputs, H / stride, W / stride) of (N, inputs, H, W)."""
        return self.relu(self.shortcut(image) + self.second(self.first(image)))


def resnet8(classes: int = 10, channels: int = 16) -> nn.Module:
    """Image classification ResNet-8 of MLPerf Tiny (CIFAR-10, 32x32)."""
    features = nn.Sequential(
        conv_bn_relu(3, channels, 3, 1, 1, bias=True),
        ResidualStack(channels, channels, 1),
        ResidualStack(channels, 2 * channels, 2),
        ResidualStack(2 * channels, 4 * channels, 2),
    )
    return Classifier(features, 4 * channels, classes)


def autoencoder(
    features: int = 640, hidden: int = 128, code: int = 8, depth: int = 4
) -> nn.Sequential:
    """Anomaly detection autoencoder of MLPerf Tiny: 640 -> 128 x 4 -> 8 -> 128 x 4 -> 640."""
    widths = [features, *[hidden] * depth, code, *[hidden] * depth]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, features))


class OneOutput(nn.Module):
    """A network reduced to one entry of its dictionary of outputs."""

    def __init__(self, network: nn.Module, key: str) -> None:
        super().__init__()
        self.network = network
        self.key = key

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The tensor ``network(image)[key]``."""
        return self.network(image)[self.key]
