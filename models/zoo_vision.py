"""Recipes of the vision networks that ``zoo_catalog`` does not build itself."""

from __future__ import annotations

from functools import partial

import timm
import zoo_bev as bev
import zoo_depth as depth
import zoo_detection as detection
import zoo_driving as driving
import zoo_hrvit as hrvit
import zoo_mobile as mobile
import zoo_xr as xr
from torchvision import models as vision
from zoo_dense import FastDepth, YoloX, separable_silu
from zoo_graph import Recipe, Shape, image

#: Pillars and points per pillar of the point-cloud networks.
PILLARS, POINTS = 12000, 32
#: What the networks of six cameras take beside the images (see zoo_bev.BevFormer).
VIEW: dict[str, Shape] = {
    "past": (1, bev.SIDE**2, bev.WIDTH),
    "cells": (1, bev.SIDE**2, 2),
    "pixels": (6, bev.SEEN, 2),
    "seen": (6, bev.SEEN),
    "back": (2, bev.SIDE**2),
}

#: Networks of timm: name here, name there, height and width.
TIMM = (
    ("fbnet_c", "fbnetc_100", 224),
    ("mobilenet_edgetpu", "mobilenet_edgetpu_100", 224),
    ("efficientnet_lite4", "efficientnet_lite4", 300),
    ("inception_v3", "inception_v3", 299),
    ("inception_v4", "inception_v4", 299),
    ("mobilenetv2_w1.4", "mobilenetv2_140", 224),
    ("regnetx_800mf", "regnetx_008", 224),
    ("regnetx_1.6gf", "regnetx_016", 224),
    ("resnet50_v2", "resnetv2_50", 299),
    ("vit_tiny", "vit_tiny_patch16_224", 224),
    ("vit_small", "vit_small_patch16_224", 224),
    ("vit_base", "vit_base_patch16_224", 224),
)
#: EfficientNet-EdgeTPU in the same way.
EDGE_TPU = (
    ("efficientnet_edgetpu_s", "tf_efficientnet_es", 224),
    ("efficientnet_edgetpu_m", "tf_efficientnet_em", 240),
    ("efficientnet_edgetpu_l", "tf_efficientnet_el", 300),
)
#: Networks of torchvision in the same way.
TORCHVISION = (
    ("resnet34", "resnet34", 224),
    ("resnext50_32x4d", "resnext50_32x4d", 224),
    ("squeezenet_v1.1", "squeezenet1_1", 224),
    ("vgg16", "vgg16", 224),
)

VISION: dict[str, Recipe] = {
    "resnet50_v1": Recipe(detection.resnet50_v1, image(224)),
    "alexnet_227": Recipe(detection.alexnet_grouped, image(227)),
    "yolox_nano": Recipe(partial(YoloX, 16, spatial=separable_silu), image(416)),
    "yolox_tiny": Recipe(partial(YoloX, 24), image(416)),
    "yolox_n": Recipe(partial(YoloX, 16, 2), image(640)),
    "yolox_m": Recipe(partial(YoloX, 48, 2), image(640)),
    "ssd_resnet50_8mp": Recipe(detection.SsdResNet50, image(2160, 3840)),
    "stdc1_seg": Recipe(driving.StdcSegmentation, image(1024, 1920)),
    "pointpillars": Recipe(
        driving.PointPillars,
        {"points": (PILLARS, POINTS, 9), "cells": (496 * 432,)},
        integers=frozenset({"cells"}),
    ),
    "bev_r50_camera": Recipe(bev.CameraToBev, image(480, 800) | {"view": (1, 2500, 256)}),
    "bevformer_tiny_standin": Recipe(
        bev.BevFormer,
        {"images": (6, 3, 480, 800)} | VIEW | {"queries": (1, 900, bev.WIDTH)},
        integers=frozenset({"seen", "back"}),
    ),
    "uniad_standin": Recipe(
        bev.UniAd,
        {"images": (6, 3, 256, 416)}
        | VIEW
        | {"queries": (1, 901, bev.WIDTH), "lanes": (1, 300, bev.WIDTH)},
        integers=frozenset({"seen", "back"}),
    ),
    "pointpainting_standin": Recipe(
        driving.PointPainting,
        {
            "front": (3, 3, 1280, 1920),
            "sides": (2, 3, 886, 1920),
            "points": (32000, 20, 10),
            "pixels": (32000, 20),
            "cells": (468 * 468,),
        },
        integers=frozenset({"pixels", "cells"}),
    ),
    "deeplabv3plus_8mp": Recipe(driving.DeepLabPlus, image(2160, 3840)),
    "yolox_s_seg": Recipe(partial(detection.YoloXMasks, 32, 1), image(640)),
    "yolox_s_pose": Recipe(partial(detection.yolox_pose, 32, 1, 96), image(640)),
    "yolox_n_pose": Recipe(partial(detection.yolox_pose, 16, 2, 48), image(640)),
    "kws_res8_narrow": Recipe(xr.Res8Narrow, {"features": (1, 1, 101, 40)}),
    "edtcn": Recipe(xr.EdTcn, {"features": (1, 128, 668)}),
    "ritnet_standin": Recipe(xr.RitNet, {"image": (1, 1, 160, 100)}),
    "hand_graph": Recipe(xr.HandGraph, image(128)),
    "rgbd_depth": Recipe(xr.SparseToDense, {"image": (1, 4, 228, 912)}),
    "planercnn_standin": Recipe(
        xr.PlaneRcnn,
        image(160) | {"boxes": (16, 4), "owners": (16,), "planes": (1, 10, 48, 64)},
        integers=frozenset({"owners"}),
    ),
    "hrvit_b1_standin": Recipe(hrvit.HrVit, image(512)),
    "mobiledet_320": Recipe(
        lambda: mobile.Ssd(mobile.mobiledet_edgetpu(), (96, 384), separable=True), image(320)
    ),
    "ssd_mobilenetv1": Recipe(
        lambda: mobile.Ssd(mobile.mobilenet_v1_halves(), (512, 1024), separable=False), image(300)
    ),
    "ssdlite_mobilenetv2": Recipe(mobile.ssdlite_mobilenet_v2, image(300)),
    "deeplabv3_mobilenetv2": Recipe(mobile.DeepLabMobile, image(513)),
    "unet_mobilenetv2": Recipe(mobile.UNetMobile, image(128)),
    "fasterrcnn_fbnet": Recipe(
        mobile.FasterRcnnFbnet,
        image(224, 320) | {"boxes": (8, 4), "owners": (8,)},
        integers=frozenset({"owners"}),
    ),
    "midas_small": Recipe(depth.MidasSmall, image(256), fake=False),
    "fastdepth_pruned_standin": Recipe(partial(FastDepth, 0.6875), image(224)),
    "scdepth_r18": Recipe(depth.DepthResNet18, image(256, 320)),
    "edsr": Recipe(depth.Edsr, image(540, 960)),
    "talking_head_256": Recipe(
        depth.TalkingHead,
        image(256, name="portrait") | {"motion": (1, 64, 64, 2), "hidden": (1, 1, 64, 64)},
    ),
    "unet3d": Recipe(depth.UNet3d, {"volume": (1, 1, 128, 128, 128)}),
    **{
        name: Recipe(partial(timm.create_model, source), image(size), fake=False)
        for name, source, size in TIMM
    },
    **{
        name: Recipe(partial(detection.efficientnet_edgetpu, source), image(size), fake=False)
        for name, source, size in EDGE_TPU
    },
    **{
        name: Recipe(partial(vision.get_model, source, weights=None), image(size))
        for name, source, size in TORCHVISION
    },
}
