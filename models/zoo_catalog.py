"""The networks of the zoo: which public code builds each, with which inputs.

Facts about a network (licence, published figures) stand in ``manifest.yaml``.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import torch
import zoo_dense as dense
import zoo_networks as own
from torch import nn
from zoo_graph import Recipe, image


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
from transformers import (  # noqa: E402
    BertConfig,
    BertModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    WhisperConfig,
    WhisperModel,
)
from zoo_vision import VISION  # noqa: E402

set_fused_attn(False)


def deeplabv3_mobilenet() -> nn.Module:
    """DeepLabV3 on MobileNetV3-Large, output stride 16, 21 classes, no auxiliary head."""
    network = vision.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=False
    )
    return own.OneOutput(network, "out")


def ssdlite_mobilenet() -> nn.Module:
    """SSDLite on MobileNetV3-Large, 91 classes, up to its raw output maps."""
    detector = vision.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=91
    )
    return dense.RawMaps(detector)


def pose_mobilenetv2() -> nn.Module:
    """Heat maps of 17 joints from MobileNetV2 features and three deconvolutions."""
    return dense.heatmap_pose(vision.mobilenet_v2(weights=None).features, 1280)


def segformer_b0() -> nn.Module:
    """SegFormer-B0 (the default sizes of its configuration) with 150 classes."""
    config = SegformerConfig(num_labels=150, attn_implementation="eager")
    return FirstOutput(SegformerForSemanticSegmentation(config))


def whisper_tiny_encoder() -> nn.Module:
    """Audio encoder of Whisper tiny: 4 layers, width 384."""
    config = WhisperConfig(
        num_mel_bins=80,
        d_model=384,
        encoder_layers=4,
        encoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_layers=1,
        attn_implementation="eager",
    )
    return FirstOutput(WhisperModel(config).encoder)


def bert_tiny() -> nn.Module:
    """BERT tiny encoder: 2 layers, width 128, 2 heads."""
    config = BertConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        attn_implementation="eager",
    )
    return WholeSequence(BertModel(config, add_pooling_layer=False))


class WholeSequence(nn.Module):
    """A BERT over one unpadded sequence of one segment."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Features (1, tokens, width) of token numbers (1, tokens)."""
        positions = torch.arange(tokens.shape[1])[None]
        segments = torch.zeros_like(positions)
        return self.network(
            tokens, token_type_ids=segments, position_ids=positions, return_dict=False
        )[0]


class FirstOutput(nn.Module):
    """A transformers network reduced to the first of its outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The first output for the one input x."""
        return self.network(x, return_dict=False)[0]


def depth_anything_s() -> nn.Module:
    """Depth Anything small: DINOv2-S/14 and a DPT head of 64 channels."""
    backbone = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=["stage9", "stage10", "stage11", "stage12"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        attn_implementation="eager",
    )
    return FirstOutput(DepthAnythingForDepthEstimation(config))


def rtdetr_r18() -> nn.Module:
    """RT-DETR on ResNet-18: hybrid encoder, three decoder layers of 300 queries, 80 classes."""
    backbone = RTDetrResNetConfig(
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
        anchor_image_size=[640, 640],
        attn_implementation="eager",
    )
    network = RTDetrForObjectDetection(config)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "RTDetrFrozenBatchNorm2d":
                module.add_module(name, nn.BatchNorm2d(child.weight.numel()))
    return FirstOutput(network)


def scaled(stem: str, width: float) -> str:
    """File stem of a width variant: ``stem`` at width 1, else ``stem_w0.5``."""
    return stem if width == 1 else f"{stem}_w{width:g}"


NETWORKS: dict[str, Recipe] = {
    **VISION,
    **{
        scaled("mobilenetv1", w): Recipe(partial(own.mobilenet_v1, w), image(224))
        for w in (1.0, 0.75, 0.5, 0.25)
    },
    "mobilenetv1_vww": Recipe(partial(own.mobilenet_v1, 0.25, 2, True), image(96)),
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
    "depth_anything_s": Recipe(depth_anything_s, image(518), fake=False),
    "rtdetr_r18": Recipe(rtdetr_r18, image(640), fake=False),
    "resnet18": Recipe(partial(vision.resnet18, weights=None), image(224)),
    "resnet50_v1.5": Recipe(partial(vision.resnet50, weights=None), image(224)),
    "deit_tiny": Recipe(
        partial(timm.create_model, "deit_tiny_patch16_224"), image(224), fake=False
    ),
    "deeplabv3_mobilenet": Recipe(deeplabv3_mobilenet, image(513)),
    "resnet8": Recipe(own.resnet8, image(32)),
    "dscnn_kws": Recipe(own.ds_cnn, {"features": (1, 1, 49, 10)}),
    "ad_autoencoder": Recipe(own.autoencoder, {"features": (1, 640)}),
    "segformer_b0": Recipe(segformer_b0, image(512), fake=False),
    "ssdlite_mobilenet": Recipe(ssdlite_mobilenet, image(320), fake=False),
    "yolox_s": Recipe(dense.YoloX, image(640)),
    "fastdepth": Recipe(dense.FastDepth, image(224)),
    "pose_mobilenetv2": Recipe(pose_mobilenetv2, image(256, 192)),
    "whisper_tiny_encoder": Recipe(whisper_tiny_encoder, {"features": (1, 80, 3000)}, fake=False),
    "bert_tiny": Recipe(
        bert_tiny, {"tokens": (1, 128)}, integers=frozenset({"tokens"}), fake=False
    ),
}
