"""Bird's-eye views from cameras: BEVFormer-tiny, one camera's share of it, and UniAD-tiny."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50
from zoo_attention import (
    CrossLayer,
    DecoderLayer,
    DeformableAttention,
    DenseAttention,
    MapLayer,
    feed_forward,
)
from zoo_networks import conv_bn_relu

#: Sizes of BEVFormer-tiny and UniAD-tiny: channels, heads, hidden layer, cells along a side.
WIDTH, HEADS, HIDDEN, SIDE = 256, 8, 512, 50
#: Queries of one camera after padding: how many of the 2500 cells it may see.
SEEN = 640


class CameraTrunk(nn.Module):
    """ResNet-50 up to stride 32 and a neck of 256 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*list(resnet50(weights=None).children())[:-2])
        self.neck = nn.Sequential(nn.Conv2d(2048, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 256, H / 32, W / 32) of images (N, 3, H, W)."""
        return self.neck(self.trunk(image))


class CameraToBev(nn.Module):
    """What one camera adds to a bird's-eye view of 50 x 50 cells.

    Trunk and neck of BEVFormer-tiny (arXiv 2203.17270), then the cells look at the camera's map
    once by dense attention. The cells carry the view over time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.camera = CameraTrunk()
        self.look = CrossLayer(WIDTH, HEADS, HIDDEN)

    def forward(self, image: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """The view (N, cells, 256) after a look at an image (N, 3, H, W)."""
        return self.look(view, self.camera(image).flatten(2).transpose(1, 2))


class ViewLayer(nn.Module):
    """Encoder layer of BEVFormer: the view reads its past, then every camera, by sampling."""

    def __init__(self) -> None:
        super().__init__()
        self.past = DeformableAttention(WIDTH, HEADS, 2 * 4, 2 * WIDTH)
        self.cameras = DeformableAttention(WIDTH, HEADS, 8)
        self.feed = feed_forward(WIDTH, HIDDEN)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))

    def forward(
        self,
        view: torch.Tensor,
        past: torch.Tensor,
        maps: torch.Tensor,
        places: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """The view (1, cells, 256); ``maps``: (cameras, 256, h, w)."""
        both = torch.cat([past, view], dim=2)
        x = self.norms[0](view + self.past(both, past, (SIDE, SIDE), places["cells"]))
        asked = x[0][places["seen"]]
        keys = maps.flatten(2).transpose(1, 2)
        size = (maps.shape[2], maps.shape[3])
        found = self.cameras(asked, keys, size, places["pixels"]).flatten(0, 1)
        padded = torch.cat([found, found.new_zeros(1, WIDTH)])
        x = self.norms[1](x + padded[places["back"]].mean(dim=0)[None])
        return self.norms[2](x + self.feed(x))


class BevFormer(nn.Module):
    """BEVFormer-tiny: six cameras, three encoder layers, six decoder layers of 900 queries.

    The offsets of the past view are drawn from it alone, so its map is read once, not twice.
    """

    def __init__(self, values: int = 20) -> None:
        super().__init__()
        self.camera = CameraTrunk()
        self.encoder = nn.ModuleList(ViewLayer() for _ in range(3))
        self.start = nn.Linear(WIDTH, 2)
        self.decoder = nn.ModuleList(DecoderLayer(WIDTH, HEADS, HIDDEN) for _ in range(6))
        self.boxes = nn.Sequential(feed_forward(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, values))

    def see(
        self, images: torch.Tensor, past: torch.Tensor, places: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """The view (1, cells, 256) of six images (6, 3, H, W)."""
        maps = self.camera(images)
        view = past
        for layer in self.encoder:
            view = layer(view, past, maps, places)
        return view

    def find(self, view: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """Features (1, queries, 256) of the objects in a view."""
        at = self.start(queries).tanh()
        for layer in self.decoder:
            queries = layer(queries, view, (SIDE, SIDE), at)
        return queries

    def forward(
        self,
        images: torch.Tensor,
        past: torch.Tensor,
        cells: torch.Tensor,
        pixels: torch.Tensor,
        seen: torch.Tensor,
        back: torch.Tensor,
        queries: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The view and the raw boxes (1, queries, values).

        ``cells``: (1, 2500, 2) places in the past view; ``seen``: (6, SEEN) cells that a camera
        sees, at ``pixels`` (6, SEEN, 2); ``back``: (2, 2500) where a cell's two answers stand;
        ``queries``: (1, queries, 256) of the objects.
        """
        places = {"cells": cells, "pixels": pixels, "seen": seen, "back": back}
        view = self.see(images, past, places)
        return view, self.boxes(self.find(view, queries))


class UniAd(BevFormer):
    """UniAD-tiny (arXiv 2212.10156): tracks, a map, motion, occupancy and a plan from one view.

    Numbers of layers and queries as in ``tiny_imgx0.25_e2e`` of mlcommons/mlperf_automotive; a
    fixed number of agents; the heads' odd jobs (matching, sorting, memory bank) are left out.
    """

    AGENTS, MODES = 48, 6

    def __init__(self) -> None:
        super().__init__()
        self.road = nn.ModuleList(MapLayer(WIDTH, HEADS, HIDDEN) for _ in range(6))
        self.line = nn.ModuleList(DecoderLayer(WIDTH, HEADS, HIDDEN) for _ in range(6))
        self.masks = nn.ModuleList(CrossLayer(WIDTH, HEADS, HIDDEN) for _ in range(4))
        self.motion = nn.ModuleList(MotionLayer() for _ in range(3))
        self.paths = nn.Sequential(feed_forward(WIDTH, HIDDEN), nn.Linear(WIDTH, 12 * 5))
        self.shrink = nn.Sequential(*(conv_bn_relu(WIDTH, WIDTH, 3, 1, 1) for _ in range(4)))
        self.occupy = nn.ModuleList(CrossLayer(WIDTH, HEADS, HIDDEN) for _ in range(5))
        self.enlarge = nn.Sequential(
            nn.Upsample(scale_factor=2.0),
            conv_bn_relu(WIDTH, WIDTH, 3, 1, 1),
            nn.Upsample(scale_factor=2.0),
            conv_bn_relu(WIDTH, WIDTH, 3, 1, 1),
        )
        self.adapter = nn.Sequential(*(conv_bn_relu(WIDTH, WIDTH, 3, 1, 1) for _ in range(3)))
        self.plan = nn.ModuleList(CrossLayer(WIDTH, HEADS, HIDDEN) for _ in range(3))
        self.steps = nn.Sequential(feed_forward(WIDTH, WIDTH), nn.Linear(WIDTH, 6 * 2))

    def forward(
        self,
        images: torch.Tensor,
        past: torch.Tensor,
        cells: torch.Tensor,
        pixels: torch.Tensor,
        seen: torch.Tensor,
        back: torch.Tensor,
        queries: torch.Tensor,
        lanes: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Boxes, masks of lanes, paths of agents, occupancy and the plan's six steps.

        Beside the inputs of BevFormer: ``lanes``, the queries (1, lanes, 256) of the map.
        """
        places = {"cells": cells, "pixels": pixels, "seen": seen, "back": back}
        view = self.see(images, past, places)
        size = (SIDE, SIDE)
        tracks = self.find(view, queries)
        road = view
        for layer in self.road:
            road = layer(road, size, cells)
        at = self.start(lanes).tanh()
        for layer in self.line:
            lanes = layer(lanes, road, size, at)
        for layer in self.masks:
            lanes = layer(lanes, road)
        agents = tracks[:, : self.AGENTS].repeat_interleave(self.MODES, dim=1)
        for layer in self.motion:
            agents = layer(agents, tracks[:, : self.AGENTS], lanes, view, cells)
        image = view.transpose(1, 2).unflatten(2, size)
        small = functional.max_pool2d(self.shrink(image), 2)
        future = small.flatten(2).transpose(1, 2)
        for layer in self.occupy:
            future = layer(future, agents)
        wide = self.enlarge(future.transpose(1, 2).unflatten(2, (SIDE // 2, SIDE // 2)))
        occupied = torch.einsum("bqc,bchw->bqhw", tracks[:, : self.AGENTS], wide)
        context = self.adapter(image).flatten(2).transpose(1, 2)
        ego = tracks[:, -1:]
        for layer in self.plan:
            ego = layer(ego, context)
        masks = lanes @ road.transpose(1, 2)
        return self.boxes(tracks), masks, self.paths(agents), occupied, self.steps(ego)


class MotionLayer(nn.Module):
    """Motion decoder layer of UniAD: agents attend to each other, to lanes and to the view."""

    def __init__(self) -> None:
        super().__init__()
        self.agents = CrossLayer(WIDTH, HEADS, HIDDEN)
        self.lanes = CrossLayer(WIDTH, HEADS, HIDDEN)
        self.goal = DeformableAttention(WIDTH, HEADS, 4 * 12)
        self.modes = DenseAttention(WIDTH, HEADS)
        self.fuse = feed_forward(3 * WIDTH, 2 * WIDTH)
        self.join = nn.Linear(3 * WIDTH, WIDTH)

    def forward(
        self,
        queries: torch.Tensor,
        agents: torch.Tensor,
        lanes: torch.Tensor,
        view: torch.Tensor,
        cells: torch.Tensor,
    ) -> torch.Tensor:
        """(1, agents x modes, 256)."""
        x = queries + self.modes(queries, queries)
        at = cells[:, : x.shape[1]]
        seen = self.goal(x, view, (SIDE, SIDE), at)
        mixed = torch.cat([self.agents(x, agents), self.lanes(x, lanes), seen], dim=2)
        return self.join(self.fuse(mixed))
