"""Eyeriss on VGG-16, layer by layer: ours against silicon, time of the array and buffer traffic.

    python experiments/eyeriss_vgg/compare.py

``own``: the mapper's own mapping, legal on the chip, for least energy; nothing of the paper's
mappings. ``pass``: what the model says of processing passes that move what silicon moved. A pass
takes ``e`` output rows of ``p t`` filters and ``q r`` channels in ``n`` images (JSSC 2017, the
terms of its AlexNet table). Of all that fit the buffer and move within a quarter of what silicon
moved the fastest is taken: the traffic says how many channels a pass sums, and its time is a
comparison. So ``pass`` judges the cost of a mapping, ``own`` also the choice.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from dse.errors import UnmappableError
from dse.evaluation import model_at
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import LayerSchedule, given_mapping, map_layer
from dse.validation.eyeriss import array_s, one_copy
from dse.workload.layer import Layer

ROWS = Path(__file__).with_name("rows.yaml")
#: Most by which a pass's traffic may differ from the published, as a factor.
ALIKE = 1.25
#: Filters and channels that a PE holds at most beside one row of three taps: 24 sums, 12 inputs.
FILTERS, CHANNELS = (4, 8, 16), (1, 2, 4)
#: How the four sets of three rows of PEs share channels and filters; and widths of a set.
SETS, WIDTHS = ((1, 4), (2, 2), (4, 1)), (7, 13, 14)


@dataclass(frozen=True)
class Line:
    """A layer: published figures, those of our own mapping, and those of the pass found."""

    name: str
    processing_s: float
    buffer_bytes: float
    own_s: float
    own_bytes: float
    pass_s: float
    pass_bytes: float
    pass_text: str


def main() -> None:
    found = list(lines())
    print(f"{'':8} {'ms':>6} {'own':>5} {'pass':>5}   {'MB':>6} {'own':>5} {'pass':>5}   pass")
    for line in found:
        time, moved = line.processing_s, line.buffer_bytes
        print(
            f"{line.name:8} {time * 1e3:6.1f} {line.own_s / time:5.2f} {line.pass_s / time:5.2f}"
            f"   {moved / 1e6:6.1f} {line.own_bytes / moved:5.2f} {line.pass_bytes / moved:5.2f}"
            f"   {line.pass_text}"
        )
    for name, value in summary(found).items():
        print(f"{name}: {value:.3f}")


def summary(found: list[Line]) -> dict[str, float]:
    """Median errors of time, and the median factor off of buffer traffic."""
    own = [abs(line.own_s / line.processing_s - 1.0) for line in found]
    passes = [abs(line.pass_s / line.processing_s - 1.0) for line in found]
    moved = [line.own_bytes / line.buffer_bytes for line in found]
    return {
        "own: processing, median error": statistics.median(own),
        "own: buffer traffic, median factor off": statistics.median(max(r, 1 / r) for r in moved),
        "pass: processing, median error": statistics.median(passes),
        "pass: processing, worst error": max(passes),
    }


def lines() -> Iterator[Line]:
    """All layers of the table."""
    file = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    chip = one_copy(load_chip(file["chip"]))
    work = model_at(file["model"], file["precision"], chip)
    layers = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1]
    for row, layer in zip(file["layers"], layers, strict=True):
        yield compared(row, replace(layer, input_density=1.0 - row["zeros"]), chip)


def compared(row: dict[str, Any], layer: Layer, chip: Chip) -> Line:
    """One layer of the table."""
    own = map_layer(layer, chip, "energy", room_bytes=room(chip), legal=True)
    known = float(row["buffer_bytes"])
    alike = [
        (array_s(made, chip), buffer_bytes(made), text)
        for made, text in passes(layer, chip)
        if 1.0 / ALIKE < buffer_bytes(made) / known < ALIKE
    ]
    pass_s, pass_bytes, text = min(alike)
    return Line(
        row["name"], row["processing_s"], known, array_s(own, chip), buffer_bytes(own),
        pass_s, pass_bytes, text,
    )  # fmt: skip


def passes(layer: Layer, chip: Chip) -> Iterator[tuple[LayerSchedule, str]]:
    """Processing passes that fit, with their parameters as text."""
    assert layer.nest is not None
    images = range(1, layer.nest.B + 1)
    for n, p, q, (r, t), e in itertools.product(images, FILTERS, CHANNELS, SETS, WIDTHS):
        m, c, wide = p * t, q * r, min(e, layer.nest.OY)
        if c > layer.nest.C or m > layer.nest.K:
            continue
        tiles = {
            "buffer": {"B": n, "K": m, "C": c, "OY": wide},
            "register": {"K": p, "C": q, "FX": 3},
        }
        spatial = {"FY": 3, "OY": wide, "K": t, "C": r}
        try:
            found = given_mapping(layer, chip, spatial, tiles, "O", room_bytes=room(chip))
        except UnmappableError:
            continue
        yield found.schedule, f"n={n} e={wide} p={p} q={q} r={r} t={t}"


def room(chip: Chip) -> float:
    """Bytes of both parts of the buffer."""
    assert chip.buffer.parts is not None
    return chip.buffer.parts[0] + chip.buffer.parts[1]


def buffer_bytes(made: LayerSchedule) -> float:
    """Bytes read from and written to the buffer."""
    return sum(made.counts.get(f"buffer.{side}_bit", 0.0) for side in ("read", "write")) / 8.0


if __name__ == "__main__":
    main()
