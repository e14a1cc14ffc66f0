"""Distils the collection of published accuracies into ``dse/quality/data/quality.json``.

Run ``python experiments/data/distil_quality.py ACCURACY.json``. The collection is a JSON file with
``facts`` (model, task, metric, precision, method, value, input, source, how) and ``drop_summary``
(median and p90 drop by task, precision and method). A drop is only taken between two figures of
the same source; what differs by runtime only is averaged.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

OUTPUT = Path(__file__).resolve().parents[2] / "dse" / "quality" / "data" / "quality.json"

#: Family -> (task, pattern of the model names in the collection, remark if it is a stand-in).
FAMILIES: dict[str, tuple[str, str, str]] = {
    "mobilenet_v1": ("classification", r"mobilenet_v1(_(?P<w>[\d.]+))?", ""),
    "mobilenet_v2": ("classification", r"mobilenet_?v2(_(?P<w>[\d.]+))?", ""),
    "mobilenet_v3_large": ("classification", r"mobilenet_v3(_large(_(?P<w>[\d.]+))?)?", ""),
    "mobilenet_v3_small": ("classification", r"mobilenet_v3_small(_(?P<w>[\d.]+))?", ""),
    "efficientnet_lite0": ("classification", r"efficientnet_lite0", ""),
    "resnet18": ("classification", r"resnet(_v1_)?18", ""),
    "resnet50": ("classification", r"resnet(_v1_)?50", ""),
    "deit_tiny": ("classification", r"deit_tiny(_patch16_224)?", ""),
    "squeezenet": ("classification", r"squeezenet(_?v?1[._][01])?", ""),
    "shufflenet": ("classification", r"shufflenet", ""),
    "densenet121": ("classification", r"densenet_?121", ""),
    "deeplabv3_mobilenet": (
        "segmentation mIoU",
        r"deeplab_v3_mobilenet_v2|deeplabv3_plus_mobilenet|deeplabv3_mnv2|deeplabv3\+_mobilenetv2",
        "stand-in: DeepLabV3 or V3+ on MobileNetV2",
    ),
    "segformer_b0": ("segmentation mIoU", r"segformer_b0_bn", "stand-in: with batch normalization"),
    "yolox_s": ("detection/pose/seg mAP", r"yolox[-_]s", ""),
    "yolox_s_leaky": ("detection/pose/seg mAP", r"yolox_s_leaky", ""),
}
METRICS = {
    "classification": "top1",
    "segmentation mIoU": "miou",
    "detection/pose/seg mAP": "map",
}
#: Facts that no source of the collection measures; the autoencoder of MLPerf Tiny.
AUTOENCODER_SOURCE = (
    "MLPerf Tiny v1.3 quality target for anomaly detection (AUC 0.85), met by its int8 reference"
)


def main() -> int:
    """Writes the data file; 2 without an argument."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    collection = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    data = {
        "schema_version": 1,
        "date": collection["meta"]["date"],
        "unit": "points of the metric (top-1, mIoU and mAP in percent; AUC from 0 to 1)",
        "families": {name: _family(collection["facts"], *spec) for name, spec in FAMILIES.items()},
        "statistics": _statistics(collection["drop_summary"]) + _half(collection["facts"]),
    }
    data["families"] = {n: f for n, f in data["families"].items() if f["floats"]}
    data["families"]["ad_autoencoder"] = _autoencoder()
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    drops = sum(len(f["drops"]) for f in data["families"].values())
    print(f"{len(data['families'])} families, {drops} drops, {len(data['statistics'])} statistics")
    return 0


def _family(facts: list[dict[str, Any]], task: str, pattern: str, remark: str) -> dict[str, Any]:
    """Float values and drops of one family, grouped by source, model and input."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    widths: dict[tuple[str, ...], float] = {}
    for fact in facts:
        match = re.fullmatch(pattern, fact["model"], re.IGNORECASE)
        if match is None or not isinstance(fact.get("value"), (int, float)):
            continue
        key = (fact["source"], fact["model"], str(_resolution(fact)))
        groups[key].append(fact)
        widths[key] = float(match.groupdict().get("w") or 1)
    floats, drops = [], []
    for key, members in sorted(groups.items()):
        floating = _float_of(members)
        if floating is None:
            continue
        scale = 100.0 if task.startswith("seg") and floating["value"] <= 1 else 1.0
        common = {
            "width": widths[key],
            "res": _resolution(floating),
            "source": key[0],
            "model": key[1],
            "status": floating["how"],
            "samples": _samples(floating),
        }
        floats.append({**common, "value": round(scale * floating["value"], 4)})
        by_kind: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for fact in members:
            kind = _kind(fact)
            if kind is not None and fact is not floating:
                by_kind[kind].append(scale * (floating["value"] - fact["value"]))
        for (precision, method, scheme), values in sorted(by_kind.items()):
            drop = {"precision": precision, "method": method, "scheme": scheme}
            drops.append({**common, **drop, "drop": round(mean(values), 4)})
    return {
        "task": task,
        "metric": METRICS[task],
        "higher_is_better": True,
        "remark": remark,
        "floats": floats,
        "drops": drops,
    }


def _float_of(members: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The reference of a source: computed in a framework, not on a device."""
    for fact in members:
        on_device = str(fact.get("method") or "").startswith("device")
        floating = fact["precision"].startswith(("float", "fp32")) and "," not in fact["precision"]
        if floating and not on_device:
            return fact
    return None


def _kind(fact: dict[str, Any]) -> tuple[str, str, str] | None:
    """(precision, method, scheme) in the words of the package; None for what it does not have."""
    method = str(fact.get("method") or "")
    precision = {"int8": "w8a8", "int8 per-tensor": "w8a8", "uint8": "w8a8"}.get(
        fact["precision"], fact["precision"]
    )
    if precision == "float" and method.startswith("device"):
        return "fp16", "float", "on a neural processor in half precision"
    if not re.fullmatch(r"w\d+a\d+", precision):
        return None
    if method.startswith("QAT"):
        return precision, "qat", method
    if method.startswith("PTQ base"):
        return None
    if method.startswith(("PTQ", "device", "TF 8-bit")):
        how = "PTQ run on a device" if method.startswith("device") else method
        return precision, "ptq", how.partition(" (value")[0]
    return None


def _resolution(fact: dict[str, Any]) -> int | None:
    match = re.match(r"(\d+)x", str(fact.get("input") or ""))
    return int(match[1]) if match else None


def _samples(fact: dict[str, Any]) -> int | None:
    match = re.search(r"(\d+) samples", str(fact["metric"]))
    return int(match[1]) if match else None


def _statistics(summary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops by task, precision and method; of several collections the largest, never a mixture."""
    best: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in summary:
        if "family" not in row or row["family"] not in METRICS:
            continue
        kind = _kind({"precision": row["precision"], "method": row["method"]})
        if kind is None and row["method"].startswith(("Hailo PTQ", "AI-Hub")):
            kind = _kind({"precision": row["precision"], "method": "PTQ"})
        if kind is None:
            continue
        key = (row["family"], kind[0], kind[1])
        if key not in best or row["n"] > best[key]["n"]:
            best[key] = row
    return [
        {
            "task": task,
            "precision": precision,
            "method": method,
            "n": row["n"],
            "median": row["median_drop_pt"],
            "p90": row["p90_drop_pt"],
            "source": f"{row['method']} collection, {row['family']}",
        }
        for (task, precision, method), row in sorted(best.items())
    ]


def _half(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Half precision on devices against the framework, by task (models of one collection)."""
    tasks = {"Image Classification": "classification", "Semantic Segmentation": "segmentation mIoU"}
    tasks["Object Detection"] = "detection/pose/seg mAP"
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for fact in facts:
        if fact["task"] in tasks and fact["source"].startswith("ai-hub"):
            groups[(tasks[fact["task"]], fact["source"])].append(fact)
    by_task: dict[str, list[float]] = defaultdict(list)
    for (task, _), members in groups.items():
        floating = _float_of(members)
        device = [f["value"] for f in members if (_kind(f) or ("",))[0] == "fp16"]
        if floating is not None and device:
            by_task[task].append(floating["value"] - mean(device))
    found = []
    for task, drops in sorted(by_task.items()):
        ordered = sorted(drops)
        row = {"task": task, "precision": "fp16", "method": "float", "n": len(drops)}
        row |= {"median": round(ordered[(len(ordered) - 1) // 2], 3)}
        row |= {"p90": round(ordered[-(-9 * len(ordered) // 10) - 1], 3)}
        found.append({**row, "source": f"AI-Hub device collection, {task}"})
    return found


def _autoencoder() -> dict[str, Any]:
    common = {"width": 1.0, "res": None, "source": AUTOENCODER_SOURCE, "model": "FC autoencoder"}
    drops = []
    for precision, method in (
        ("w8a8", "ptq"),
        ("w8a8", "qat"),
        ("w8a16", "ptq"),
        ("fp16", "float"),
    ):
        measured = (precision, method) == ("w8a8", "ptq")
        status = "read" if measured else "assumed"
        scheme = "int8 reference" if measured else "at least as wide as the int8 reference"
        row = {"precision": precision, "method": method, "scheme": scheme, "drop": 0.0}
        drops.append({**common, **row, "status": status, "samples": None})
    return {
        "task": "anomaly detection",
        "metric": "auc",
        "higher_is_better": True,
        "remark": "the target that the int8 reference meets, taken as its value (a lower bound)",
        "floats": [{**common, "value": 0.85, "status": "read", "samples": None}],
        "drops": drops,
    }


if __name__ == "__main__":
    sys.exit(main())
