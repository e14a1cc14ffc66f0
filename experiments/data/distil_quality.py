"""Distils the collection of published accuracies into ``dse/model_quality/data/quality.json``.

Run ``python experiments/data/distil_quality.py ACCURACY.json``. The collection is a JSON file with
``facts`` (model, task, metric, precision, method, value, input, source, how) and ``drop_summary``
(median and p90 drop by task, precision and method); ``quality_families.yaml`` beside this script
says which models stand for which family. A drop is only taken between two figures of the same
source; what differs by runtime only is averaged.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median
from typing import Any

from ruamel.yaml import YAML

OUTPUT = Path(__file__).resolve().parents[2] / "dse" / "model_quality" / "data" / "quality.json"
FAMILIES = Path(__file__).with_name("quality_families.yaml")
Fact = dict[str, Any]

#: Tasks whose statistics the collection already has.
SUMMARISED = ("classification", "segmentation mIoU", "detection/pose/seg mAP")
#: Metrics of which less is better, and those given as shares in some sources and here in percent.
LOWER = ("rmse", "absrel", "wer", "perplexity", "l2_m")
PERCENT = ("top1", "miou", "map", "oks_map", "mask_map", "mmlu", "delta1")
FLOATS = ("bf16", "fp16", "f16", "fp16 dense", "bf16 dense")
TARGET_SOURCE = "MLPerf Tiny v1.3 quality target, met by its int8 reference"


def main() -> int:
    """Writes the data file; 2 without an argument."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    collection = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    chosen = YAML(typ="safe").load(FAMILIES.read_text(encoding="utf-8"))
    facts = [_tidied(f, chosen["same_source"]) for f in collection["facts"] + chosen["facts"]]
    facts = [f for f in facts if isinstance(f.get("value"), (int, float)) and not f.get("suspect")]
    families = {name: _family(facts, spec) for name, spec in chosen["families"].items()}
    families = {name: found for name, found in families.items() if found["floats"]}
    families |= {name: _target(spec) for name, spec in chosen["targets"].items()}
    statistics = _statistics(collection["drop_summary"]) + _half(facts) + _pruned(facts)
    data = {
        "schema_version": 2,
        "date": collection["meta"]["date"],
        "unit": "points of the metric (shares in percent; AUC from 0 to 1)",
        "families": families,
        "statistics": statistics + _language(facts) + chosen["statistics"],
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    drops = sum(len(f["drops"]) for f in families.values())
    print(f"{len(families)} families, {drops} drops, {len(data['statistics'])} statistics")
    return 0


def _tidied(fact: Fact, same_source: dict[str, str]) -> Fact:
    """A fact with one name per source, and with the precision out of the model's name."""
    fact = {**fact, "source": same_source.get(fact["source"], fact["source"])}
    if match := re.fullmatch(r"(DS-CNN \w+) (FP32|INT8|INT16)", fact["model"]):
        kind = {"FP32": "float", "INT8": "int8", "INT16": "w8a16"}[match[2]]
        fact |= {"model": match[1], "precision": kind, "method": None if kind == "float" else "PTQ"}
    return fact


def _family(facts: list[Fact], spec: dict[str, Any]) -> dict[str, Any]:
    """Float values and drops of one family, grouped by source, model and input."""
    groups: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
    widths: dict[tuple[str, ...], float] = {}
    sign = -1.0 if spec["metric"] in LOWER else 1.0
    for fact in facts:
        match = re.fullmatch(spec["match"], fact["model"], re.IGNORECASE)
        about = f"{fact['task']}: {fact['metric']}"
        if match is None or not re.search(spec.get("only", ""), about, re.IGNORECASE):
            continue
        resolution = None if spec.get("any_res") else _resolution(fact)
        key = (fact["source"], fact["model"], str(resolution))
        groups[key].append(fact)
        widths[key] = float(match.groupdict().get("w") or 1)
    floats, drops = [], []
    recoveries = [f for members in groups.values() for f in members if "recovery" in f["metric"]]
    for key, members in sorted(groups.items()):
        floating = _float_of(members)
        if floating is None:
            continue
        scale = 100.0 if spec["metric"] in PERCENT and floating["value"] <= 1 else 1.0
        common = {
            "width": widths[key],
            "res": None if spec.get("any_res") else _resolution(floating),
            "source": key[0],
            "model": key[1],
            "status": floating["how"],
            "samples": _samples(floating),
        }
        value = round(scale * floating["value"], 4)
        floats.append({**common, "value": value, "format": _float_format(floating["precision"])})
        by_kind: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
        for fact in members:
            kind = _kind(fact, spec["task"])
            if kind is not None and fact is not floating:
                by_kind[kind].append(fact)
        for kind, found in sorted(by_kind.items()):
            lost = mean(sign * scale * (floating["value"] - f["value"]) for f in found)
            status = "read" if all(f["how"] == "read" for f in (floating, *found)) else "recalled"
            drops.append({**common, "status": status, **_labels(kind), "drop": round(lost, 4)})
        drops += [_recovered(common, scale * floating["value"], f) for f in recoveries]
    return {
        "task": spec["task"],
        "metric": spec["metric"],
        "higher_is_better": sign > 0,
        "remark": spec.get("remark", ""),
        "floats": floats,
        "drops": drops,
    }


def _labels(kind: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("precision", "method", "scheme", "sparsity"), kind, strict=True))


def _recovered(common: dict[str, Any], value: float, fact: Fact) -> dict[str, Any]:
    """A drop published as a share of the float figure, applied to the figure of the family."""
    precision = {"w8a8": "w8a8", "w4a16": "w4afp16"}[fact["precision"].split()[0]]
    scheme = f"{fact['value']:g} % of its float figure ({fact['source']}), applied to this one"
    lost = round(value * (1.0 - fact["value"] / 100.0), 4)
    return {**common, **_labels((precision, "ptq", scheme, "")), "drop": lost}


def _float_of(members: list[Fact]) -> Fact | None:
    """The reference of a source: computed in a framework, not on a device."""
    for fact in members:
        on_device = str(fact.get("method") or "").startswith("device")
        floating = fact["precision"].startswith(("float", "fp32")) and "," not in fact["precision"]
        if (floating or fact["precision"] in FLOATS) and not on_device:
            return fact
    return None


def _float_format(text: str) -> str:
    """The float format of a reference: ``fp32`` where the source only says that it is float."""
    return {"bf16": "bf16", "fp16": "fp16", "f16": "fp16"}.get(text.split()[0], "fp32")


def _kind(fact: Fact, task: str) -> tuple[str, str, str, str] | None:
    """(precision, method, scheme, sparsity) in the words of the package; None if it has none."""
    method, text = str(fact.get("method") or ""), str(fact["precision"])
    if text == "float" and method.startswith("device"):
        return "fp16", "float", "on a neural processor in half precision", ""
    if "2:4" in text or "4:8" in text or "unstructured" in text:
        return _sparse(text, method)
    if task.startswith("llm"):
        return _language_kind(text, method)
    precision = {"int8": "w8a8", "int8 per-tensor": "w8a8", "uint8": "w8a8"}.get(text, text)
    if not re.fullmatch(r"w\d+a\d+", precision) or method.startswith("PTQ base"):
        return None
    if method.startswith("QAT"):
        return precision, "qat", method, ""
    if task == "super resolution":
        return precision, "ptq", "target of the suite", ""
    if method.startswith(("PTQ", "device", "TF 8-bit")):
        how = "PTQ run on a device" if method.startswith("device") else method
        return precision, "ptq", how.partition(" (value")[0], ""
    return None


def _sparse(text: str, method: str) -> tuple[str, str, str, str] | None:
    """Published sparsity, without pruning by magnitude alone and fine-tuned language models."""
    if "magnitude" in text or "fine-tuned" in text:
        return None
    if match := re.match(r"int8 \+ (\d+)% unstructured", text):
        return "w8a8", "qat", method, f"{int(match[1]) / 100:g}"
    pattern = match[0] if (match := re.search(r"\d:\d", text)) else "0.5"
    if text.startswith("int8"):
        return "w8a8", "ptq", text, pattern
    return "bf16" if text.startswith("2:4") else "fp16", "float", text, pattern


def _language_kind(text: str, method: str) -> tuple[str, str, str, str] | None:
    """Of language models: 16-bit activations are floats."""
    if text.startswith("fp8"):
        return "fp8", "float", text, ""
    match = re.match(r"w(?P<w>\d)a(?P<a>\d+)", text)
    if match is None or "recovery" in text:
        return None
    activations = "fp16" if match["a"] == "16" else match["a"]
    trained = "qat" if method.startswith("QAT") else "ptq"
    return f"w{match['w']}a{activations}", trained, f"{method} {text}".strip(), ""


def _resolution(fact: Fact) -> int | None:
    match = re.match(r"(\d+)x", str(fact.get("input") or ""))
    return int(match[1]) if match else None


def _samples(fact: Fact) -> int | None:
    match = re.search(r"(\d+) samples", str(fact["metric"]))
    return int(match[1]) if match else None


def _statistics(summary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops by task, precision and method; of several collections the largest, never a mixture."""
    best: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in summary:
        if row.get("family") not in SUMMARISED:
            continue
        kind = _kind({"precision": row["precision"], "method": row["method"]}, row["family"])
        if kind is None and row["method"].startswith(("Hailo PTQ", "AI-Hub")):
            kind = _kind({"precision": row["precision"], "method": "PTQ"}, row["family"])
        if kind is None or kind[3]:
            continue
        key = (row["family"], kind[0], kind[1])
        if key not in best or row["n"] > best[key]["n"]:
            best[key] = row
    return [
        {
            "task": task,
            "precision": precision,
            "method": method,
            "sparsity": "",
            "n": row["n"],
            "median": row["median_drop_pt"],
            "p90": row["p90_drop_pt"],
            "source": f"{row['method']} collection, {row['family']}",
        }
        for (task, precision, method), row in sorted(best.items())
    ]


def _drops(facts: Iterable[Fact], task: str) -> dict[tuple[str, ...], list[float]]:
    """Drops of one collection by kind, each between two figures of one model and metric."""
    groups: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[(fact["model"], fact["metric"])].append(fact)
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for members in groups.values():
        floating = _float_of(members)
        for fact in members:
            kind = _kind(fact, task)
            if floating is not None and kind is not None:
                scale = 100.0 if floating["value"] <= 1 else 1.0
                lost = scale * (floating["value"] - fact["value"])
                found[(kind[0], kind[1], kind[3])].append(lost)
    return found


def _row(task: str, kind: tuple[str, ...], drops: list[float], source: str) -> dict[str, Any]:
    ordered = sorted(drops)
    return {
        "task": task,
        "precision": kind[0],
        "method": kind[1],
        "sparsity": kind[2],
        "n": len(ordered),
        "median": round(median(ordered), 3),
        "p90": round(ordered[-(-9 * len(ordered) // 10) - 1], 3),
        "source": source,
    }


def _half(facts: list[Fact]) -> list[dict[str, Any]]:
    """Half precision on devices against the framework, by task (models of one collection)."""
    tasks = {"Image Classification": "classification", "Semantic Segmentation": "segmentation mIoU"}
    tasks["Object Detection"] = "detection/pose/seg mAP"
    groups: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact["task"] in tasks and fact["source"].startswith("ai-hub"):
            groups[(tasks[fact["task"]], fact["source"])].append(fact)
    by_task: dict[str, list[float]] = defaultdict(list)
    for (task, _), members in groups.items():
        floating = _float_of(members)
        device = [f["value"] for f in members if (_kind(f, task) or ("",))[0] == "fp16"]
        if floating is not None and device:
            by_task[task].append(floating["value"] - mean(device))
    return [
        _row(task, ("fp16", "float", ""), drops, f"AI-Hub device collection, {task}")
        for task, drops in sorted(by_task.items())
    ]


def _pruned(facts: list[Fact]) -> list[dict[str, Any]]:
    """Structured sparsity of classifiers after retraining, of one publication."""
    source = "Mishra et al. 2104.08378"
    drops = _drops((f for f in facts if f["source"] == source), "classification")
    return [_row("classification", k, d, f"{source} (recalled)") for k, d in sorted(drops.items())]


def _language(facts: list[Fact]) -> list[dict[str, Any]]:
    """Language models: one collection for each pair of formats.

    A narrower format never loses less than the same weights with wider activations do, whatever
    other collection says so; then the row of the wider one stands, with both sources.
    """

    def rows(of: Callable[[Fact], bool], source: str) -> list[dict[str, Any]]:
        found = _drops((f for f in facts if f["task"] == "llm" and of(f)), "llm")
        return [_row("llm", kind, drops, source) for kind, drops in sorted(found.items())]

    qwen = rows(lambda f: "Qwen2 series" in f["source"] and f["metric"] == "MMLU %", "Qwen2 MMLU")
    meta = rows(lambda f: "llama3_2/MODEL_CARD" in f["source"], "Llama 3.2 model card, MMLU")
    cards = rows(
        lambda f: "RedHatAI" in f["source"] and f["metric"] == "OpenLLM v1 avg",
        "RedHatAI model cards, average of OpenLLM v1",
    )
    pruned = rows(lambda f: "hpc-ai.com" in f["source"], "Llama3-8B 2:4 one-shot, MMLU")
    wide = {(r["precision"], r["method"]): r for r in qwen}
    narrow = [r for r in meta + cards if (r["precision"], r["method"]) not in wide]
    for row in narrow:
        wider = wide.get((re.sub(r"a8$", "afp16", row["precision"]), row["method"]))
        if wider is not None and (wider["median"] > row["median"] or wider["p90"] > row["p90"]):
            row["source"] += f"; bounded by {wider['source']} at {wider['precision']}"
            row["median"] = max(row["median"], wider["median"])
            row["p90"] = max(row["p90"], wider["p90"])
    return qwen + narrow + pruned


def _target(spec: dict[str, Any]) -> dict[str, Any]:
    common = {"width": spec.get("width", 1.0), "res": None, "model": spec["model"]}
    common["source"] = TARGET_SOURCE
    drops = []
    for precision, method in (
        ("w8a8", "ptq"),
        ("w8a8", "qat"),
        ("w8a16", "ptq"),
        ("fp16", "float"),
    ):
        measured = (precision, method) == ("w8a8", "ptq")
        scheme = "int8 reference" if measured else "at least as wide as the int8 reference"
        row = {**common, **_labels((precision, method, scheme, "")), "drop": 0.0, "samples": None}
        drops.append({**row, "status": "read" if measured else "assumed"})
    return {
        "task": spec["task"],
        "metric": spec["metric"],
        "higher_is_better": True,
        "remark": "the target that the int8 reference meets, taken as its value (a lower bound)",
        "floats": [
            {**common, "value": spec["value"], "status": "read", "samples": None, "format": "fp32"}
        ],
        "drops": drops,
    }


if __name__ == "__main__":
    sys.exit(main())
