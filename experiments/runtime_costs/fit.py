"""Fit what starting a network and a layer costs, class by class, and judge it on chips left out.

    python experiments/runtime_costs/fit.py [--write] [--table FILE]

Rows of ``rows.yaml`` (public, with source), chips and classes of ``classes.yaml``. A chip's time is

    t = call + layers * layer + rest

where ``rest`` is what the project's model says with all overheads at zero, times a free factor
(chips with a shipped file), or a roofline layer by layer with a free rate of MACs, a free bandwidth
and a free slowdown of depthwise layers (chips without one). ``call`` and ``layer`` are not
negative; the fit is of least absolute relative error, by reweighted least squares, so that one odd
network does not turn it. A chip with few rows does not tell a call from its layers: then the layers
get it all.

A class takes the median of its chips, in its own unit (time, cycles of the accelerator, cycles of
the host). Every chip is then judged with the median of the *other* chips of its class; what is
fitted on the chip itself beside that (rate, bandwidth) is fitted on its other networks. The table
has, for each chip, the median absolute relative error, the geometric mean of ours over measured,
and the share of networks off by more than 2:

    nothing   no cost of starting at all
    before    the defaults that chip files had: see BEFORE
    after     the class from the other chips

``--write`` makes ``dse/hardware/data/runtimes.json`` from the fit.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from scipy.optimize import nnls

from dse.evaluation import Terms, evaluate_model, model_at
from dse.hardware.resolve import load_chip

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "dse" / "hardware" / "data" / "runtimes.json"
Array = NDArray[np.float64]
Classes = Mapping[str, Mapping[str, Any]]
#: Bytes that move while one MAC is done, at most and at least, and slowdowns of depthwise layers.
BALANCES = (0.0, *np.geomspace(3.0, 3000.0, 22))
SLOWDOWNS = (1.0, 4.0, 16.0, 64.0)
#: Rows from which a chip tells a call from its layers, and a slowdown of its own.
ENOUGH = 6
ROUNDS = 8
#: Relative error below which rows count as met: the noise floor of measured times.
MET = 0.02
#: Defaults of chip files before, s: a layer and a call, by class.
BEFORE = {
    "command_stream": (4e-6, 1e-4),
    "task_chain": (4e-6, 1.5e-4),
    "firmware": (4e-6, 1.5e-4),
    "dsp_layer": (4e-6, 3.5e-4),
    "dsp_graph": (4e-6, 1e-4),
    "mcu_interpreter": (2e-5, 2e-5),
    "mcu_code": (2e-5, 2e-5),
    "host_framework": (4e-6, 1.5e-4),
}
ZERO = {"overhead.launch_cycles": 0, "overhead.invoke_s": 0.0}
#: Networks that the belief in a chip's file counts as: its rest is right as it stands.
BELIEF = 2.0
#: Factor of uncertainty of what one chip, or none, tells.
LONE = 3.0


@dataclass(frozen=True)
class Rows:
    """The networks of one chip: measured seconds, layers, and what else their time may be.

    ``rests`` are shapes of the rest of the time, of which one is chosen and scaled.
    """

    chip: str
    seconds: Array
    layers: Array
    rests: Array

    def without(self, row: int) -> Rows:
        keep = np.arange(len(self.seconds)) != row
        return Rows(self.chip, self.seconds[keep], self.layers[keep], self.rests[:, keep])


@dataclass(frozen=True)
class Fit:
    """A chip's costs in seconds, its rest (which shape, times which scale), and its error."""

    call: float
    layer: float
    shape: int
    scale: float
    error: float

    def says(self, rows: Rows, row: int) -> float:
        rest = self.scale * rows.rests[self.shape, row]
        return float(self.call + self.layer * rows.layers[row] + rest)


def read(name: str) -> Any:
    return YAML(typ="safe").load((HERE / name).read_text("utf-8"))


# what a chip's rest may be


def rooflines(model: str, batch: int) -> list[float]:
    """Time of each layer as the longer of MACs and bytes, summed, for each balance and slowdown;
    the unit is that of one MAC."""
    work = model_at(model, "int8", load_chip("rk3588_npu"))
    table = []
    for layer in work.layers:
        kept = 0.0 if layer.w_is_activation else layer.w_bytes
        moved = layer.i_bytes + layer.o_bytes + layer.side_bytes + layer.w_bytes - kept
        slow = layer.nest is not None and layer.nest.depthwise
        table.append((batch * layer.macs, slow, kept + batch * moved))
    macs, slow, moved = (np.array(column, float) for column in zip(*table, strict=True))
    return [
        float(np.maximum(np.where(slow > 0, factor * macs, macs), balance * moved).sum())
        for factor in SLOWDOWNS
        for balance in BALANCES
    ]


def layers_of(model: str) -> int:
    return len(model_at(model, "int8", load_chip("rk3588_npu")).layers)


def own_rest(file: str, values: Mapping[str, object], runtime: str, model: str) -> float:
    """What the model says of the rest: no call, nothing to start a layer."""
    whole = {**values, **ZERO, "overhead.runtime": runtime, "overhead.runtime_without": ()}
    chip = load_chip(file, overrides=whole)
    work = model_at(model, None, chip)
    record = evaluate_model(work, chip, "analytic", Terms(objective="latency"))
    assert record.latency_s is not None, (file, model, record.reasons)
    return record.latency_s


def rows_of(
    chip: str, runtime: str, told: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]
) -> Rows:
    rests = []
    for row in measured:
        if "file" in told:
            rests.append([own_rest(told["file"], told.get("set", {}), runtime, row["model"])])
        else:
            rests.append(rooflines(row["model"], row.get("batch", 1)))
    return Rows(
        chip,
        np.array([row["seconds"] for row in measured]),
        np.array([float(layers_of(row["model"])) for row in measured]),
        np.array(rests).T,
    )


# fits


def shapes(rows: Rows) -> range:
    """Shapes that so many rows may choose among: few of them get no slowdown of their own."""
    few = len(rows.rests) > 1 and len(rows.seconds) < ENOUGH
    return range(len(BALANCES) if few else len(rows.rests))


def least(columns: Sequence[Array], seconds: Array, believed: bool = False) -> tuple[Array, float]:
    """Factors of the columns, none negative, of least absolute relative error, and that error.

    ``believed``: the factor of the first column leans to 1.
    """
    relative = np.array(columns).T / seconds[:, None]
    if believed:
        relative = np.vstack([relative, np.eye(1, len(columns))])
    scale = relative.max(axis=0)
    counts = np.ones(len(relative))
    counts[len(seconds) :] = BELIEF
    weights = np.sqrt(counts)
    for _ in range(ROUNDS):
        found, _ = nnls(relative / scale * weights[:, None], weights)
        off = np.abs(relative / scale @ found - 1.0)
        weights = np.sqrt(counts / np.maximum(off, MET))
    return found / scale, float(off[: len(seconds)].mean())


def free(rows: Rows, call: bool) -> Fit:
    """Call and layer fitted with the rest; where a file tells the rest, its factor leans to 1."""
    best = None
    calls = [np.ones_like(rows.seconds)] if call else []
    for shape in shapes(rows):
        columns = [rows.rests[shape], rows.layers, *calls]
        found, error = least(columns, rows.seconds, len(rows.rests) == 1)
        start = float(found[2]) if call else 0.0
        made = Fit(start, float(found[1]), shape, float(found[0]), error)
        if best is None or made.error < best.error:
            best = made
    assert best is not None
    return best


def given(rows: Rows, call: float, layer: float) -> Fit:
    """The rest alone fitted, beside a call and a layer that are given."""
    best = None
    start = call + layer * rows.layers
    for shape in shapes(rows):
        rest = rows.rests[shape]
        scale = max(0.0, weighted_median((rows.seconds - start) / rest, rest / rows.seconds))
        error = float(np.abs((start + scale * rest) / rows.seconds - 1.0).mean())
        if best is None or error < best.error:
            best = Fit(call, layer, shape, scale, error)
    assert best is not None
    return best


def weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2.0)])


def judged(rows: Rows, call: float, layer: float) -> list[float]:
    """Ours over measured, each network with the rest fitted on the chip's other networks."""
    out = []
    for row in range(len(rows.seconds)):
        fit = given(rows.without(row), call, layer)
        out.append(fit.says(rows, row) / float(rows.seconds[row]))
    return out


def unscaled(rows: Rows, call: float, layer: float) -> list[float]:
    """Ours over measured of a chip with a file: nothing is fitted on it."""
    said = call + layer * rows.layers + rows.rests[0]
    return [float(ratio) for ratio in said / rows.seconds]


def told(ratios: Sequence[float]) -> str:
    off = median(abs(ratio - 1.0) for ratio in ratios)
    mean = math.exp(sum(math.log(max(ratio, 1e-9)) for ratio in ratios) / len(ratios))
    far = sum(not 0.5 <= ratio <= 2.0 for ratio in ratios) / len(ratios)
    return f"{off:.0%}, {mean:.2f}, {far:.0%}"


# classes


@dataclass(frozen=True)
class Estimate:
    """What one chip says of its class: a layer in the unit of the class, a call in seconds."""

    layer: float
    call: float | None


def clock(of: Mapping[str, Any], chip: str) -> float:
    """What turns seconds into the unit of a class."""
    return 1.0 if of["unit"] == "s" else float(of["chips"][chip]["clock_hz"])


def stated_call(of: Mapping[str, Any]) -> float:
    return float(of["call"]["otherwise"]) if "call" in of else 0.0


def estimates(of: Mapping[str, Any], made: Mapping[str, Rows]) -> dict[str, Estimate]:
    out = {}
    for chip, entry in of["chips"].items():
        rows, known = made[chip], "call" in of or not entry.get("call", True)
        call = len(rows.seconds) >= ENOUGH and not known
        if entry.get("call", True):
            rows = replace(rows, seconds=rows.seconds - stated_call(of))
        fit = free(rows, call)
        out[chip] = Estimate(fit.layer * clock(of, chip), fit.call if call else None)
    return out


def of_others(
    of: Mapping[str, Any], found: Mapping[str, Estimate], chip: str
) -> tuple[float, float]:
    """Layer and call (s) of a chip from all chips of its class that are not of its die."""
    chips = of["chips"]
    own = chips[chip].get("die", chip)
    kept = [one for name, one in found.items() if chips[name].get("die", name) != own]
    calls = [one.call for one in kept if one.call is not None]
    call = median(calls) if calls else stated_call(of)
    if not calls and "call_otherwise" in of:
        call = float(of["call_otherwise"]["otherwise"])
    return median(one.layer for one in kept) / clock(of, chip), call


def spread(figures: Sequence[float]) -> float:
    """A factor with 90 % of the belief on either side: the scatter between chips, which is all
    there is to know it from."""
    known = [figure for figure in figures if figure > 0.0]
    if len(known) < 2:
        return LONE
    middle = math.log(median(known))
    scatter = math.sqrt(sum((math.log(f) - middle) ** 2 for f in known) / (len(known) - 1))
    return min(10.0, max(1.5, round(math.exp(NormalDist().inv_cdf(0.95) * scatter), 2)))


def table(classes: Classes, made: Mapping[str, Rows]) -> tuple[list[str], dict[str, Any]]:
    titles = (
        "class, chip, rows, a layer and a call by itself, from the others, nothing, before, after"
    )
    lines = [
        f"| {' | '.join(titles.split(', '))} |",
        "|" + " --- |" * 8,
    ]
    found: dict[str, Any] = {}
    for name, of in classes.items():
        found[name] = estimates(of, made)
        for chip, entry in of["chips"].items():
            layer, call = of_others(of, found[name], chip)
            rows, own = made[chip], found[name][chip]
            judge = unscaled if "file" in entry else judged
            counts = entry.get("call", True)
            cells = [
                told(judge(rows, start if counts else 0.0, each))
                for each, start in ((0.0, 0.0), BEFORE[name], (layer, call))
            ]
            own_call = "" if own.call is None else f", {own.call * 1e6:.0f}"
            lines.append(
                f"| {name} | {chip} | {len(rows.seconds)} "
                f"| {own.layer / clock(of, chip) * 1e6:.1f}{own_call} us "
                f"| {layer * 1e6:.1f}, {call * 1e6 if counts else 0.0:.0f} us "
                f"| {' | '.join(cells)} |"
            )
    return lines, found


# language models


def tokens() -> dict[str, float]:
    """The fixed part of a token by chip, s: what bytes of weights over a bandwidth leave of it."""
    out = {}
    for chip, rows in read("language.yaml")["rows"].items():
        works = [
            model_at(f"{row['model']}_decode@past=160", row["precision"], load_chip("rk3588_npu"))
            for row in rows
        ]
        seconds = np.array([1.0 / row["tokens_per_s"] for row in rows])
        weights = np.array([work.weight_bytes for work in works])
        found, error = least([weights, np.ones_like(weights)], seconds)
        out[chip] = float(found[1])
        print(f"{chip}: {found[1] * 1e3:.1f} ms a token at {1e-9 / found[0]:.1f} GB/s, {error:.0%}")
    return out


def cost(unit: str, figures: Mapping[str, float], source: str) -> dict[str, Any]:
    kept = {chip: float(f"{figure:.3g}") for chip, figure in figures.items()}
    return {
        "unit": unit,
        "estimates": kept,
        "uncertainty": spread(list(kept.values())),
        "status": "fitted",
        "source": source,
    }


def class_costs(of: Mapping[str, Any], chips: Mapping[str, Estimate]) -> dict[str, Any]:
    """Call, layer and crossing of a class as its file has them."""
    source = f"experiments/runtime_costs: public rows of {', '.join(chips)}"
    calls = {chip: one.call for chip, one in chips.items() if one.call is not None}
    call: dict[str, Any]
    if calls:
        call = cost("s", calls, source)
        if "call_otherwise" in of:
            call["otherwise"] = float(of["call_otherwise"]["otherwise"])
            call["source"] += f"; otherwise: {of['call_otherwise']['source']}"
    elif "call" in of:
        call = {"unit": "s", **of["call"]}
    else:
        call = {"unit": "s", "otherwise": 0.0, "uncertainty": 1.0, "status": "assumed"}
        call["source"] = "the core that calls also starts the layers"
    layer = cost(of["unit"], {chip: one.layer for chip, one in chips.items()}, source)
    crossing: dict[str, Any] = {"uncertainty": LONE, "status": "assumed"}
    seconds = median(calls.values()) if calls else stated_call(of)
    if seconds > 0.0:
        crossing |= {"unit": "s", "otherwise": float(f"{seconds / 2.0:.3g}")}
        crossing["source"] = "half a call: to leave and to come back is one more call"
    else:
        each = median(one.layer for one in chips.values())
        crossing |= {"unit": of["unit"], "otherwise": float(f"{each:.3g}")}
        crossing["source"] = "as much as starting a layer"
    return {"call": call, "layer": layer, "crossing": crossing}


def write(classes: Classes, found: Mapping[str, Mapping[str, Estimate]]) -> None:
    runs = cost("s", tokens(), "experiments/runtime_costs: rows of language.yaml")
    out: dict[str, Any] = {}
    for name, of in classes.items():
        out[name] = {"about": of["about"], "prefetches": of["prefetches"]}
        out[name] |= class_costs(of, found[name]) | {"token": runs}
    about = (
        "What starting a network, a layer and a token costs, by class of the vendor's software: "
        "figures of single chips, the class takes their median. Made by experiments/runtime_costs."
    )
    whole = {"schema_version": 1, "about": about, "classes": out}
    OUT.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make dse/hardware/data/runtimes.json")
    parser.add_argument("--table", type=Path, help="a file for the table")
    asked = parser.parse_args()
    classes, measured = read("classes.yaml")["classes"], read("rows.yaml")["rows"]
    made = {
        chip: rows_of(chip, name, entry, measured[chip])
        for name, of in classes.items()
        for chip, entry in of["chips"].items()
    }
    lines, found = table(classes, made)
    print("\n".join(lines))
    if asked.table:
        asked.table.write_text("\n".join(lines) + "\n", "utf-8")
    if asked.write:
        write(classes, found)


if __name__ == "__main__":
    main()
