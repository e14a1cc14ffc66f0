"""Networks of extended reality (XRBench, arXiv 2211.08675): speech, eyes, hands, planes, depth."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18, resnet101
from zoo_networks import conv_bn_relu


class Res8Narrow(nn.Module):
    """Keyword spotting res8-narrow (arXiv 1710.10361): 19 maps, three residual pairs."""

    def __init__(self, maps: int = 19, words: int = 12) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, maps, 3, 1, 1, bias=False)
        self.pool = nn.AvgPool2d((4, 3))
        self.layers = nn.ModuleList(nn.Conv2d(maps, maps, 3, 1, 1, bias=False) for _ in range(6))
        self.norms = nn.ModuleList(nn.BatchNorm2d(maps, affine=False) for _ in range(6))
        self.classify = nn.Linear(maps, words)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (N, words) of features (N, 1, frames, 40)."""
        x = kept = self.pool(self.first(features).relu())
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = layer(x).relu()
            if index % 2:
                x = kept = x + kept
            x = norm(x)
        return self.classify(x.mean(dim=(2, 3)))


class EdTcn(nn.Module):
    """Encoder-decoder temporal convolutions (arXiv 1611.05267): kernel 25, two levels."""

    def __init__(self, features: int = 128, classes: int = 18) -> None:
        super().__init__()
        channels = (features, 64, 96)
        self.down = nn.ModuleList(
            nn.Conv1d(i, o, 25, padding=12) for i, o in itertools.pairwise(channels)
        )
        self.up = nn.ModuleList(nn.Conv1d(i, o, 25, padding=12) for i, o in ((96, 96), (96, 64)))
        self.classify = nn.Conv1d(64, classes, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, frames) of features (N, 128, frames), frames a multiple of 4."""
        x = features
        for layer in self.down:
            x = functional.max_pool1d(normalized(layer(x)), 2)
        for layer in self.up:
            x = normalized(layer(functional.interpolate(x, scale_factor=2.0)))
        return self.classify(x)


def normalized(x: torch.Tensor) -> torch.Tensor:
    """ReLU divided by the largest of the channels at each time."""
    y = x.relu()
    return y / (y.amax(dim=1, keepdim=True) + 1e-5)


class EyeBlock(nn.Module):
    """Densely connected block of RITnet (arXiv 1910.00694).

    Args:
        inputs: channels of x.
        pairs: 1x1 and 3x3 convolutions after the first layer.
        first: kernel of the first layer, none if 0.
        width: channels of every layer.
    """

    def __init__(self, inputs: int, pairs: int, first: bool, width: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, 1, 1) if first else None
        joined = inputs + width * int(first)
        self.narrow = nn.ModuleList(nn.Conv2d(joined + width * i, width, 1) for i in range(pairs))
        self.wide = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(pairs))
        self.norm = nn.BatchNorm2d(width) if first else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 32, H, W) of (N, inputs, H, W)."""
        if self.first is not None:
            x = torch.cat([x, functional.leaky_relu(self.first(x))], dim=1)
        for narrow, wide in zip(self.narrow, self.wide, strict=True):
            y = functional.leaky_relu(wide(narrow(x)))
            x = torch.cat([x, y], dim=1)
        return self.norm(y)


class RitNet(nn.Module):
    """RITnet (arXiv 1910.00694): parts of the eye in a grey image, five levels of 32 channels."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.down = nn.ModuleList(EyeBlock(1 if i == 0 else 32, 2, True) for i in range(5))
        self.up = nn.ModuleList(EyeBlock(64, 2, False) for _ in range(4))
        self.classify = nn.Conv2d(32, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of an image (N, 1, H, W)."""
        kept = [self.down[0](image)]
        for block in self.down[1:]:
            kept.append(block(functional.avg_pool2d(kept[-1], 2, ceil_mode=True)))
        x = kept.pop()
        for block, skip in zip(self.up, reversed(kept), strict=True):
            up = functional.interpolate(x, size=skip.shape[2:])
            x = block(torch.cat([up, skip], dim=1))
        return self.classify(x)


class Residual(nn.Module):
    """Bottleneck of the stacked hourglass (arXiv 1603.06937): norm and ReLU before each layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            conv_bn_relu(inputs, half, 1, bias=True),
            conv_bn_relu(half, half, 3, 1, 1, bias=True),
            nn.Conv2d(half, outputs, 1),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, outputs, H, W) of (N, inputs, H, W)."""
        return self.layers(x) + self.skip(x)


def residuals(count: int, channels: int = 256) -> nn.Sequential:
    """``count`` blocks of the same channels."""
    return nn.Sequential(*(Residual(channels, channels) for _ in range(count)))


class Hourglass(nn.Module):
    """Down and up again over ``depth`` halvings, two blocks at each turn."""

    def __init__(self, depth: int = 4) -> None:
        super().__init__()
        self.beside = residuals(2)
        self.before = residuals(2)
        self.inside: nn.Module = Hourglass(depth - 1) if depth > 1 else residuals(2)
        self.after = residuals(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor of the shape of x."""
        low = self.after(self.inside(self.before(functional.max_pool2d(x, 2))))
        return self.beside(x) + functional.interpolate(low, scale_factor=2.0)


class HandGraph(nn.Module):
    """Hand mesh and joints from a crop (arXiv 1903.00812): two hourglasses, a graph decoder.

    The mesh decoder's Chebyshev neighbourhoods (order 3) are rings here: each node and the two
    beside it, so that a layer is the same product of node count, 3 x inputs and outputs.
    """

    def __init__(self, joints: int = 21) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, 64, 7, 2, 3, bias=True),
            Residual(64, 128),
            nn.MaxPool2d(2),
            Residual(128, 128),
            Residual(128, 256),
        )
        self.turns = nn.ModuleList(nn.Sequential(Hourglass(), residuals(2)) for _ in range(2))
        self.lines = nn.ModuleList(conv_bn_relu(256, 256, 1, bias=True) for _ in range(2))
        self.heat = nn.ModuleList(nn.Conv2d(256, joints, 1) for _ in range(2))
        self.keep = nn.ModuleList(nn.Conv2d(256, 256, 1) for _ in range(2))
        self.back = nn.ModuleList(nn.Conv2d(joints, 256, 1) for _ in range(2))
        self.encode = nn.ModuleList(residuals(2) for _ in range(4))
        self.latent = nn.Linear(4096, 512)
        self.nodes = nn.Linear(512, 80 * 64)
        sizes = ((64, 64), (64, 32), (32, 32), (32, 3))
        self.mesh = nn.ModuleList(nn.Linear(3 * i, o) for i, o in sizes)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Heat maps (N, 21, H / 4, W / 4) and mesh nodes (N, 1280, 3) of a 128 x 128 crop."""
        x = self.stem(image)
        maps = image
        for turn, line, heat, keep, back in zip(
            self.turns, self.lines, self.heat, self.keep, self.back, strict=True
        ):
            y = line(turn(x))
            maps = heat(y)
            x = x + keep(y) + back(maps)
        for index, block in enumerate(self.encode):
            x = block(functional.max_pool2d(x, 2) if index else x)
        nodes = self.nodes(self.latent(x.flatten(1)).relu()).unflatten(1, (80, 64))
        for index, layer in enumerate(self.mesh):
            ring = [nodes, nodes.roll(1, 1), nodes.roll(-1, 1)]
            nodes = layer(torch.cat(ring, dim=2))
            if index < 2:
                nodes = nodes.relu().repeat_interleave(4, dim=1)
        return maps, nodes


class UpProjection(nn.Module):
    """Up-projection of Laina et al. 2016: unpooling, then two branches of 5x5 that are added."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        outputs = inputs // 2
        self.main = nn.Sequential(
            conv_bn_relu(inputs, outputs, 5, 1, 2),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.side = nn.Sequential(
            nn.Conv2d(inputs, outputs, 5, 1, 2, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs / 2, 2 H, 2 W) of (N, inputs, H, W)."""
        up = functional.interpolate(x, scale_factor=2.0)
        return (self.main(up) + self.side(up)).relu()


class SparseToDense(nn.Module):
    """Depth from an image and 200 measured points (arXiv 1709.07492): ResNet-18, up-projections."""

    def __init__(self) -> None:
        super().__init__()
        trunk = resnet18(weights=None)
        trunk.conv1 = nn.Conv2d(4, 64, 7, 2, 3, bias=False)
        self.trunk = nn.Sequential(*list(trunk.children())[:-2])
        self.narrow = nn.Sequential(nn.Conv2d(512, 256, 1, bias=False), nn.BatchNorm2d(256))
        self.up = nn.Sequential(*(UpProjection(c) for c in (256, 128, 64, 32)))
        self.depth = nn.Conv2d(16, 1, 3, 1, 1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Depth (N, 1, H, W) of an image with a sparse depth channel (N, 4, H, W)."""
        depth = self.depth(self.up(self.narrow(self.trunk(image))))
        return functional.interpolate(depth, size=image.shape[2:], mode="bilinear")


class RoiAlign(nn.Module):
    """Bilinear crops of a map at boxes, as one operator."""

    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, x: torch.Tensor, boxes: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """(boxes, C, size, size) of a map (N, C, H, W), boxes (boxes, 4), their images (boxes,)."""
        return torch.onnx.ops.symbolic(
            "RoiAlign",
            (x, boxes, images),
            {
                "output_height": self.size,
                "output_width": self.size,
                "sampling_ratio": 2,
                "spatial_scale": self.scale,
            },
            dtype=x.dtype,
            shape=(boxes.shape[0], x.shape[1], self.size, self.size),
            version=16,
        )


class PlaneRcnn(nn.Module):
    """PlaneRCNN (arXiv 1812.04072) at a quarter of its size: planes, their masks, a depth map.

    ResNet-101 with a feature pyramid; region proposals at the three coarser scales; boxes, normals
    and masks from crops of 4x4; a depth decoder; and the refinement network once at 64 x 48.
    """

    def __init__(self, classes: int = 8) -> None:
        super().__init__()
        trunk = resnet101(weights=None)
        stem = (trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool, trunk.layer1)
        self.stages = nn.ModuleList(
            [nn.Sequential(*stem), trunk.layer2, trunk.layer3, trunk.layer4]
        )
        self.lateral = nn.ModuleList(nn.Conv2d(c, 256, 1) for c in (256, 512, 1024, 2048))
        self.smooth = nn.ModuleList(nn.Conv2d(256, 256, 3, 1, 1) for _ in range(4))
        self.propose = nn.Sequential(nn.Conv2d(256, 512, 3, 1, 1), nn.ReLU())
        self.scores, self.offsets = nn.Conv2d(512, 6, 1), nn.Conv2d(512, 12, 1)
        self.decode = nn.ModuleList(conv_bn_relu(256, 128, 3, 1, 1) for _ in range(4))
        self.join = nn.ModuleList(conv_bn_relu(256, 128, 3, 1, 1) for _ in range(3))
        self.depth = nn.Sequential(conv_bn_relu(128, 64, 3, 1, 1), nn.Conv2d(64, 1, 3, 1, 1))
        self.crop = RoiAlign(4, 1 / 4)
        self.box = nn.Sequential(conv_bn_relu(256, 1024, 4), conv_bn_relu(1024, 1024, 1))
        self.heads = nn.ModuleList(nn.Linear(1024, n * classes) for n in (1, 4, 3))
        self.mask = nn.Sequential(
            *(conv_bn_relu(256, 256, 3, 1, 1) for _ in range(4)),
            nn.ConvTranspose2d(256, 256, 2, 2),
            nn.ReLU(),
            nn.Conv2d(256, classes, 1),
        )
        self.refine = Refinement()

    def forward(
        self,
        image: torch.Tensor,
        boxes: torch.Tensor,
        owners: torch.Tensor,
        planes: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Proposals, box outputs, masks, depth and refined masks.

        ``boxes`` (boxes, 4) of images ``owners`` (boxes,); ``planes`` (1, 10, 48, 64) to refine.
        """
        found = []
        x = image
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        tops = [self.lateral[3](found[3])]
        for level in (2, 1, 0):
            up = functional.interpolate(tops[0], scale_factor=2.0)
            tops.insert(0, self.lateral[level](found[level]) + up)
        maps = [layer(top) for layer, top in zip(self.smooth, tops, strict=True)]
        proposals = [self.propose(m) for m in maps[1:]]
        y = self.decode[3](maps[3])
        for level in (2, 1, 0):
            up = functional.interpolate(y, scale_factor=2.0)
            y = self.join[level](torch.cat([up, self.decode[level](maps[level])], dim=1))
        depth = functional.interpolate(self.depth(y), scale_factor=4.0, mode="bilinear")
        crops = self.crop(maps[0], boxes, owners)
        features = self.box(crops).flatten(1)
        outputs = [head(features) for head in self.heads]
        scores = [self.scores(p) for p in proposals] + [self.offsets(p) for p in proposals]
        return (*scores, *outputs, self.mask(crops), depth, self.refine(planes))


class Refinement(nn.Module):
    """The refinement network of PlaneRCNN: a U-Net of three levels with two decoders."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [
                conv_bn_relu(10, 32, 3, 1, 1),
                conv_bn_relu(32, 64, 3, 1, 1),
                nn.Sequential(conv_bn_relu(64, 64, 3, 2, 1), conv_bn_relu(64, 128, 3, 1, 1)),
                nn.Sequential(conv_bn_relu(128, 128, 3, 2, 1), conv_bn_relu(128, 128, 3, 1, 1)),
            ]
        )
        self.up = nn.ModuleList(nn.ModuleList(self._decoder()) for _ in range(2))

    @staticmethod
    def _decoder() -> Iterable[nn.Module]:
        for inputs, outputs in ((128, 64), (192, 32)):
            yield nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU())
        yield nn.Sequential(conv_bn_relu(96, 16, 3, 1, 1), nn.Conv2d(16, 1, 3, 1, 1))

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Masks and depth (N, 2, H, W) of planes (N, 10, H, W)."""
        kept: Sequence[torch.Tensor] = ()
        x = planes
        for layer in self.down:
            x = layer(x)
            kept = (*kept, x)
        results = []
        for first, second, last in self.up:
            y = torch.cat([first(kept[3]), kept[2]], dim=1)
            y = torch.cat([second(y), kept[1]], dim=1)
            results.append(last(y))
        return torch.cat(results, dim=1)
