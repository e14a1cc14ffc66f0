"""The networks of the zoo: which public code builds each, with which inputs.

Facts about a network (licence, published figures) stand in ``manifest.yaml``.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import torch
import zoo_networks as own
from torch import nn
from zoo_graph import Recipe


def declare_torchvision_operators() -> None:
    """Declares the two operators torchvision needs to import, if its compiled part won't load.

    That is the case for a torchvision wheel built for CUDA beside a torch without it.
    """
    found = importlib.util.find_spec("torchvision")
    locations = found.submodule_search_locations if found is not None else None
    for folder in locations or ():
        for compiled in Path(folder).glob("_C.*"):
            try:
                torch.ops.load_library(str(compiled))
            except OSError:
                break
            return
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", signature)


declare_torchvision_operators()

import timm  # noqa: E402
from timm.layers import set_fused_attn  # noqa: E402
from torchvision import models as vision  # noqa: E402

set_fused_attn(False)


def image(height: int, width: int | None = None) -> dict[str, tuple[int, ...]]:
    """One RGB image, ``height`` x ``width`` (square by default)."""
    return {"image": (1, 3, height, width or height)}


def deeplabv3_mobilenet() -> nn.Module:
    """DeepLabV3 on MobileNetV3-Large, output stride 16, 21 classes, no auxiliary head."""
    network = vision.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=False
    )
    return own.OneOutput(network, "out")


def scaled(stem: str, width: float) -> str:
    """File stem of a width variant: ``stem`` at width 1, else ``stem_w0.5``."""
    return stem if width == 1 else f"{stem}_w{width:g}"


NETWORKS: dict[str, Recipe] = {
    **{
        scaled("mobilenetv1", w): Recipe(partial(own.mobilenet_v1, w), image(224))
        for w in (1.0, 0.75, 0.5, 0.25)
    },
    "mobilenetv1_vww": Recipe(partial(own.mobilenet_v1, 0.25, 2), image(96)),
    **{
        scaled("mobilenetv2", w): Recipe(
            partial(vision.mobilenet_v2, weights=None, width_mult=w), image(224)
        )
        for w in (1.0, 0.75, 0.5, 0.35)
    },
    "mobilenetv3_large": Recipe(partial(vision.mobilenet_v3_large, weights=None), image(224)),
    "mobilenetv3_small": Recipe(partial(vision.mobilenet_v3_small, weights=None), image(224)),
    "efficientnet_lite0": Recipe(
        partial(timm.create_model, "efficientnet_lite0"), image(224), fake=False
    ),
    "resnet18": Recipe(partial(vision.resnet18, weights=None), image(224)),
    "resnet50_v1.5": Recipe(partial(vision.resnet50, weights=None), image(224)),
    "deit_tiny": Recipe(
        partial(timm.create_model, "deit_tiny_patch16_224"), image(224), fake=False
    ),
    "deeplabv3_mobilenet": Recipe(deeplabv3_mobilenet, image(513)),
    "resnet8": Recipe(own.resnet8, image(32)),
    "dscnn_kws": Recipe(own.ds_cnn, {"features": (1, 1, 49, 10)}),
    "ad_autoencoder": Recipe(own.autoencoder, {"features": (1, 640)}),
}
