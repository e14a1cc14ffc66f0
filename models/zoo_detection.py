"""Detectors on images, up to their raw output maps, defined from their published shapes."""

from __future__ import annotations

import itertools

import timm
import torch
from torch import nn
from torchvision.models import resnet50
from torchvision.models.resnet import ResNet
from zoo_dense import DetectionHead, YoloX, conv_silu
from zoo_networks import conv_bn_relu


class WithTower(nn.Module):
    """A detection head of one scale and a further tower for what else a box carries.

    Args:
        head: gives (N, 5 + classes, H, W).
        channels: of the head's stem.
        width: channels of the tower's two 3x3 convolutions.
        outputs: values per place, such as mask coefficients or the coordinates of joints.
    """

    def __init__(self, head: DetectionHead, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        self.head = head
        self.tower = nn.Sequential(
            conv_silu(channels, width, 3), conv_silu(width, width, 3), nn.Conv2d(width, outputs, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 5 + classes + outputs, H, W) of (N, inputs, H, W)."""
        return torch.cat([self.head(x), self.tower(self.head.stem(x))], dim=1)


def yolox_pose(width: int, depth: int, tower: int, joints: int = 17) -> YoloX:
    """YOLOX for persons whose boxes carry ``joints`` joints (x, y and visibility each)."""
    network = YoloX(width, depth, classes=1)
    heads = [WithTower(head, 4 * width, tower, 3 * joints) for head in network.heads]
    network.heads = nn.ModuleList(heads)
    return network


class YoloXMasks(YoloX):
    """YOLOX with a mask per box: coefficients of ``masks`` prototypes (YOLACT, arXiv 1904.02689).

    The prototypes come from the finest scale: a 3x3 convolution, a 2x2 transposed convolution, a
    3x3 and a 1x1 convolution.
    """

    def __init__(self, width: int, depth: int, masks: int = 32) -> None:
        super().__init__(width, depth)
        channels = 4 * width
        heads = [WithTower(head, channels, channels, masks) for head in self.heads]
        self.heads = nn.ModuleList(heads)
        self.prototypes = nn.Sequential(
            conv_silu(channels, channels, 3),
            nn.ConvTranspose2d(channels, channels, 2, 2),
            conv_silu(channels, channels, 3),
            conv_silu(channels, masks, 1),
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Three maps with boxes, scores and coefficients, and the prototypes at stride 4."""
        features = self.features(image)
        return (*self.detections(features), self.prototypes(features[0]))


class SsdResNet50(nn.Module):
    """SSD of MLPerf Automotive: ResNet-50 up to its third stage at stride 8, seven scales.

    Shapes of ``baseline_8MP_ss_scales_fm1_5x5_all`` in mlcommons/mlperf_automotive: 5x5 heads with
    4 or 6 boxes a place and 15 classes of Cognata.
    """

    CHANNELS = (1024, 512, 512, 256, 256, 256, 256)
    MIDDLE = (256, 256, 128, 128, 128, 128)
    BOXES = (4, 6, 6, 6, 4, 4, 4)

    def __init__(self, classes: int = 15) -> None:
        super().__init__()
        trunk = resnet50(weights=None)
        first = trunk.layer3[0]
        first.conv2.stride = first.downsample[0].stride = (1, 1)
        self.trunk = nn.Sequential(*list(trunk.children())[:7])
        self.extra = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, m, 1), conv_bn_relu(m, o, 3, 2, 1))
            for (i, o), m in zip(itertools.pairwise(self.CHANNELS), self.MIDDLE, strict=True)
        )
        pairs = list(zip(self.CHANNELS, self.BOXES, strict=True))
        self.boxes = nn.ModuleList(nn.Conv2d(c, 4 * n, 5, padding=2) for c, n in pairs)
        self.classes = nn.ModuleList(nn.Conv2d(c, classes * n, 5, padding=2) for c, n in pairs)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Offsets and class scores (N, boxes x 4 or classes, h, w) of every scale."""
        scales = [self.trunk(image)]
        for block in self.extra:
            scales.append(block(scales[-1]))
        boxes = [head(x) for head, x in zip(self.boxes, scales, strict=True)]
        return (*boxes, *(head(x) for head, x in zip(self.classes, scales, strict=True)))


def resnet50_v1() -> ResNet:
    """ResNet-50 of the paper: a stage halves its map in its first 1x1, not in its 3x3."""
    network = resnet50(weights=None)
    for stage in (network.layer2, network.layer3, network.layer4):
        block = stage[0]
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return network


def efficientnet_edgetpu(name: str) -> nn.Module:
    """EfficientNet-EdgeTPU of timm with the strides where the published networks have them.

    A fused block halves its map in the closing 1x1 convolution there, not in the 3x3: that is what
    the published multiply-accumulates say (2.36 G for S; timm's have 1.79 G).
    """
    network = timm.create_model(name)
    for module in network.modules():
        if hasattr(module, "conv_exp") and module.conv_exp.stride == (2, 2):
            module.conv_exp.stride, module.conv_pwl.stride = (1, 1), (2, 2)
    return network


class LocalNorm(nn.Module):
    """Local response normalization over 5 channels, as one operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        return torch.onnx.ops.symbolic(
            "LRN",
            (x,),
            {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0},
            dtype=x.dtype,
            shape=x.shape,
            version=13,
        )


def alexnet_grouped(classes: int = 1000) -> nn.Module:
    """AlexNet as published: two groups in convolutions 2, 4 and 5, a 227 x 227 image."""

    def conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
        padding = 0 if stride > 1 else kernel // 2
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
        return nn.Sequential(layer, nn.ReLU())

    return nn.Sequential(
        conv(3, 96, 11, 4, 1),
        LocalNorm(),
        nn.MaxPool2d(3, 2),
        conv(96, 256, 5, 1, 2),
        LocalNorm(),
        nn.MaxPool2d(3, 2),
        conv(256, 384, 3, 1, 1),
        conv(384, 384, 3, 1, 2),
        conv(384, 256, 3, 1, 2),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
