"""Public networks for images: detectors of torchvision as their users export them, and others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import timm
import torch
import transformers as hf
from public_build import COUNTER, Counted, Input, Public, counted, image
from torch import nn
from torchvision.models import detection, optical_flow, segmentation, swin_v2_t, video, vit_b_16

HEIGHT, WIDTH = 320, 416
#: Boxes that torchvision's two-stage detectors send through their heads, at most
#: (``rpn_post_nms_top_n_test``, ``box_detections_per_img``).
PROPOSALS, KEPT = 1000, 100
#: Queries of DETR and their width.
QUERIES, STATES = 100, 256


def _detector(make: Callable[..., nn.Module], **settings: object) -> Callable[[], nn.Module]:
    """A detector of torchvision with random weights, for images of ``HEIGHT`` x ``WIDTH``."""
    return partial(make, weights=None, weights_backbone=None, **settings)


def _two_stage(network: nn.Module) -> Counted:
    """Backbone, proposals and heads one by one, the heads at the most boxes they can get."""
    picture = torch.rand(1, 3, HEIGHT, WIDTH)
    images, _ = network.transform([picture[0]])
    features = network.backbone(images.tensors)
    total = counted(network.backbone, images.tensors)
    total += counted(network.rpn.head, list(features.values()))
    heads = network.roi_heads
    box = torch.rand(PROPOSALS, 256, 7, 7)
    total += counted(nn.Sequential(heads.box_head, heads.box_predictor), box)
    if heads.has_mask():
        mask = torch.rand(KEPT, 256, 14, 14)
        total += counted(nn.Sequential(heads.mask_head, heads.mask_predictor), mask)
    return Counted(
        total,
        f"{COUNTER}, by part: backbone, heads of {PROPOSALS} proposals"
        + (f", of {KEPT} detections" if heads.has_mask() else ""),
    )


class OneOutput(nn.Module):
    """One of the results that a network returns in a dictionary or record."""

    def __init__(self, network: nn.Module, *keys: str) -> None:
        super().__init__()
        self.network = network
        self.keys = keys

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The results called ``keys``."""
        results = self.network(*inputs)
        return tuple(results[key] for key in self.keys)


class RawMaps(nn.Module):
    """A one-stage detector of torchvision up to its head: no anchors, no suppression."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Box offsets and class logits of all anchors."""
        return self.head(list(self.backbone(pixels).values()))


class LastFlow(nn.Module):
    """RAFT with its last refinement only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The flow after four refinements."""
        return self.network(first, second, num_flow_updates=4)[-1]


SIZED = {"min_size": HEIGHT, "max_size": WIDTH}


def _vision(of: str, build: Callable[[], nn.Module], task: str, **more: object) -> Public:
    given: dict[str, object] = {"inputs": {"image": image(224, 224, "batch")}}
    given |= {"sizes": {"batch": (2, 1)}} | more
    return Public("torchvision", of, build, task=task, **given)  # type: ignore[arg-type]


def _listed(of: str, build: Callable[[], nn.Module], task: str, **more: object) -> Public:
    """A whole detector of torchvision with its resizing, anchors and suppression."""
    given: dict[str, object] = {"inputs": {"image": image(HEIGHT, WIDTH)}, "sizes": {}}
    given |= {"exporter": "torchscript", "opset": 17, "listed": True} | more
    return Public("torchvision", of, build, task=task, **given)  # type: ignore[arg-type]


def _segformer() -> nn.Module:
    return OneOutput(hf.SegformerForSemanticSegmentation(hf.SegformerConfig()), "logits")


def _resnet50() -> hf.ResNetConfig:
    return hf.ResNetConfig(out_features=["stage4"])


def _detr() -> nn.Module:
    config = hf.DetrConfig(use_timm_backbone=False, backbone_config=_resnet50(), backbone=None)
    return OneOutput(hf.DetrForObjectDetection(config), "logits", "pred_boxes")


def _rtdetr() -> nn.Module:
    return OneOutput(hf.RTDetrForObjectDetection(hf.RTDetrConfig()), "logits", "pred_boxes")


def _hf(of: str, build: Callable[[], nn.Module], task: str, **more: object) -> Public:
    given: dict[str, object] = {"inputs": {"pixel_values": image(224, 224, "batch")}}
    given |= {"sizes": {"batch": (2, 1)}} | more
    return Public("transformers", of, build, task=task, **given)  # type: ignore[arg-type]


def _timm(name: str, side: int = 224, task: str = "classification", **more: object) -> Public:
    given: dict[str, object] = {"inputs": {"x": image(side, side, "batch")}}
    given |= {"sizes": {"batch": (2, 1)}} | more
    build = partial(timm.create_model, name, pretrained=False)
    return Public("timm", name, build, task=task, **given)  # type: ignore[arg-type]


VISION: dict[str, Public] = {
    "tv_retinanet": _listed(
        "detection.retinanet_resnet50_fpn_v2",
        _detector(detection.retinanet_resnet50_fpn_v2, **SIZED),
        "detection, with suppression",
    ),
    "tv_fcos": _listed(
        "detection.fcos_resnet50_fpn",
        _detector(detection.fcos_resnet50_fpn, **SIZED),
        "detection, with suppression",
    ),
    "tv_ssdlite": _listed(
        "detection.ssdlite320_mobilenet_v3_large",
        _detector(detection.ssdlite320_mobilenet_v3_large),
        "detection, with suppression",
    ),
    "tv_faster_rcnn": _listed(
        "detection.fasterrcnn_resnet50_fpn_v2",
        _detector(detection.fasterrcnn_resnet50_fpn_v2, **SIZED),
        "detection in two stages",
        count=_two_stage,
    ),
    "tv_mask_rcnn": _listed(
        "detection.maskrcnn_resnet50_fpn",
        _detector(detection.maskrcnn_resnet50_fpn, **SIZED),
        "instance segmentation in two stages",
        count=_two_stage,
        # The masks are pasted in a loop over boxes: the largest box is the whole image.
        values={"Loop_3160/t2531": (0, 0, WIDTH - 1, HEIGHT - 1)},
    ),
    "tv_ssdlite_raw": _vision(
        "detection.ssdlite320_mobilenet_v3_large, backbone and head",
        lambda: RawMaps(_detector(detection.ssdlite320_mobilenet_v3_large)()),
        "detection, raw maps",
        inputs={"image": image(320, 320, "batch")},
    ),
    "tv_retinanet_raw": _vision(
        "detection.retinanet_resnet50_fpn, backbone and head",
        lambda: RawMaps(_detector(detection.retinanet_resnet50_fpn)()),
        "detection, raw maps",
        inputs={"image": image("height", "width", "batch")},
        sizes={"batch": (2, 1), "height": (256, 480), "width": (320, 640)},
    ),
    "tv_deeplabv3": _vision(
        "segmentation.deeplabv3_resnet50",
        lambda: OneOutput(
            segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None), "out"
        ),
        "segmentation",
        exporter="torchscript",
        opset=17,
        inputs={"image": image("height", "width", "batch")},
        sizes={"batch": (2, 1), "height": (128, 256), "width": (160, 320)},
    ),
    "tv_swin_v2": _vision(
        "swin_v2_t",
        partial(swin_v2_t, weights=None),
        "classification",
        inputs={"image": image(256, 256, "batch")},
        # 15 x 15 offsets in a window of 8 x 8; 2, 2, 6, 2 blocks with 3, 6, 12, 24 heads.
        folded=15**2 * 512 * (12 * 2 + 2 * 3 + 2 * 6 + 6 * 12 + 2 * 24),
        differs="The position biases are networks of two layers over the offsets in a window.",
    ),
    "tv_vit_traced": _vision(
        "vit_b_16",
        partial(vit_b_16, weights=None),
        "classification",
        exporter="torchscript",
        opset=17,
    ),
    "tv_raft": _vision(
        "optical_flow.raft_small",
        lambda: LastFlow(optical_flow.raft_small(weights=None)),
        "optical flow",
        inputs={"first": image(240, 320), "second": image(240, 320)},
        sizes={},
        reduced="4 of 12 refinements (one body, written out)",
        # At an eighth of the size: 7x7 from 2 to 64 channels, 3x3 to 32.
        folded=30 * 40 * (49 * 2 * 64 + 9 * 64 * 32),
        differs="The first refinement encodes a flow of zero: both convolutions over it.",
    ),
    "tv_r2plus1d": _vision(
        "video.r2plus1d_18",
        partial(video.r2plus1d_18, weights=None),
        "video classification",
        inputs={"video": Input(("batch", 3, 8, 112, 112))},
    ),
    "hf_detr": _hf(
        "DetrForObjectDetection",
        _detr,
        "detection without suppression",
        # Five projections of the queries, and their products with each other.
        folded=5 * QUERIES * STATES**2 + 2 * QUERIES**2 * STATES,
        differs="The learned queries attend to each other before they see the image: self-attention"
        " of the first decoder layer, and its projection of queries for cross-attention.",
    ),
    "hf_rtdetr": _hf("RTDetrForObjectDetection", _rtdetr, "detection without suppression"),
    "hf_segformer": _hf(
        "SegformerForSemanticSegmentation",
        _segformer,
        "segmentation",
        inputs={"pixel_values": image("height", "width", "batch")},
        sizes={"batch": (2, 1), "height": (128, 512), "width": (160, 512)},
    ),
    "timm_convnext": _timm("convnext_tiny"),
    "timm_mobilenetv4": _timm("mobilenetv4_conv_small", exporter="torchscript", opset=17),
    "timm_maxvit": _timm("maxvit_nano_rw_256", 256),
    "timm_fastvit": _timm("fastvit_t8", 256),
}
