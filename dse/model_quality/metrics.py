"""The measures of quality that the package knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A measure of quality.

    Attributes:
        higher_is_better: its direction.
        unit: of values and of drops.
        meaning: in a few words, with the usual test set.
    """

    higher_is_better: bool
    unit: str
    meaning: str


#: Measures by name: the first group is published, the last one measured on the user's own model.
METRICS: dict[str, Metric] = {
    "top1": Metric(True, "%", "share of right first answers (ImageNet, Speech Commands)"),
    "miou": Metric(True, "%", "mean intersection over union of a segmentation"),
    "map": Metric(True, "%", "mean average precision of boxes (COCO, nuScenes)"),
    "mask_map": Metric(True, "%", "mean average precision of masks (COCO)"),
    "oks_map": Metric(True, "%", "mean average precision of body key points (COCO)"),
    "auc": Metric(True, "0 to 1", "area under the curve of an anomaly detector"),
    "rmse": Metric(False, "m", "root of the mean squared error of a depth"),
    "absrel": Metric(False, "1", "mean relative error of a depth"),
    "delta1": Metric(True, "%", "share of depths within a factor of 1.25"),
    "psnr_db": Metric(True, "dB", "peak signal-to-noise ratio of an image"),
    "mmlu": Metric(True, "%", "right answers in MMLU, five examples given"),
    "f1": Metric(True, "%", "F1 of answers to questions (SQuAD 1.1)"),
    "perplexity": Metric(False, "1", "perplexity of WikiText"),
    "wer": Metric(False, "%", "word error rate (LibriSpeech test-clean)"),
    "success_rate": Metric(True, "%", "tasks done by a robot policy (LIBERO, mean of suites)"),
    "l2_m": Metric(False, "m", "distance of a planned trajectory from the driven one"),
    "agreement": Metric(True, "%", "first answers equal to those of the float model"),
    "cosine": Metric(True, "0 to 1", "cosine between outputs and those of the float model"),
    "sqnr_db": Metric(True, "dB", "signal to quantization noise of the outputs"),
}
