"""What the mapper's lists of tile sizes cost against every whole number.

The mapper is exact on the candidates of ``docs/mapping.md``; tile sizes are thinned lists. Here
each layer of some networks whose tilings are few enough is searched again with every whole number
as the buffer tile of every dim, by the same cost and the same unrollings, dataflows and orders
(even cuts, no L2 tiles), and the excess of the objective is printed.

Run ``python experiments/benchmarks/mapping_gap.py [--most TILINGS] [--objective edp]``: 20 s.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from common import distinct_layers

import dse
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import default_homes
from dse.mapping.layer.mapper import default_room
from dse.mapping.search.best import best_mapping
from dse.mapping.space.problem import Problem, pack
from dse.workload.layer import Layer

CASES = (
    ("mobilenetv2", "edge_vision"),
    ("resnet50_v1.5", "edge_vision"),
    ("deit_tiny", "edge_vision"),
    ("mobilenetv2", "ethos_u55_128"),
    ("resnet8", "ethos_u55_128"),
    ("resnet50_v1.5", "nvdla_256"),
    ("yolox_s", "tda4vm"),
    ("deit_tiny", "tda4vm"),
)


def every_integer(problem: Problem) -> Problem:
    """The problem with all whole numbers as tile sizes, the largest first."""
    sizes = problem.sizes[:6]
    table = np.ones((6, max(sizes)))
    for d, size in enumerate(sizes):
        table[d, :size] = np.arange(size, 0, -1)
    lengths = np.array(sizes, np.int64)
    return replace(problem, tiles=table, lengths=lengths)


def layers(model: str, most: float) -> Iterator[Layer]:
    """Distinct compute layers of a model with at most ``most`` tilings."""
    for layer in distinct_layers(dse.load_model(model).at("w8a8")):
        assert layer.nest is not None
        if 1 < math.prod(layer.nest.sizes[:6]) <= most:
            yield layer


def excess(layer: Layer, chip: Chip, objective: Any) -> float:
    """The mapper's value of the objective over that with every whole number, less 1."""
    assert layer.nest is not None
    homes = default_homes(layer, chip)
    problem = pack(layer, chip, homes, default_room(layer, chip, homes), layer.nest.sizes, 1)
    listed = best_mapping(problem, objective, uneven=False)
    full = best_mapping(every_integer(problem), objective, uneven=False)
    assert listed is not None
    assert full is not None
    return listed.keys[0] / full.keys[0] - 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=2e7, help="tilings of a layer")
    parser.add_argument("--objective", default="edp", choices=("edp", "latency", "energy"))
    options = parser.parse_args()
    print("network, chip: layers; equal; excess mean, worst (layer); s")
    everything: list[float] = []
    for model, name in CASES:
        begin, chip = time.perf_counter(), load_chip(name)
        found = [
            (excess(layer, chip, options.objective), layer.name)
            for layer in layers(model, options.most)
        ]
        if not found:
            print(f"{model}, {name}: no layer of so few tilings")
            continue
        gaps = [gap for gap, _ in found]
        everything += gaps
        worst, where = max(found)
        equal = sum(gap <= 1e-9 for gap in gaps)
        print(
            f"{model}, {name}: {len(gaps)}; {equal}; {np.mean(gaps):.2%}, {worst:.2%} ({where}); "
            f"{time.perf_counter() - begin:.1f}",
            flush=True,
        )
    equal = sum(gap <= 1e-9 for gap in everything)
    print(
        f"all: {len(everything)} layers, {equal} equal, mean {np.mean(everything):.2%}, "
        f"hundredth {np.quantile(everything, 0.99):.2%}, worst {max(everything):.2%}"
    )


if __name__ == "__main__":
    main()
