"""How much is proven of the mapper's answers: layers alone, and whole networks.

For each network and chip: of its distinct compute layers, alone, how many are proven the best of
all whole numbers as tile sizes, the median and the worst of what is left open, how many were mapped
better than from the mapper's lists and by how much; and how far the whole network's program can be
from the best under any memory plan with whatever fused.

Run ``python experiments/benchmarks/certificates.py [--objective edp] [--effort BOXES]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from common import distinct_layers

import dse
from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.certificate import Certificate, within_text
from dse.mapping.layer.certificate import certify_layer, keys_of
from dse.mapping.layer.mapper import fitted, question
from dse.mapping.network.certificate import certify_program
from dse.mapping.network.program import map_network
from dse.mapping.search.proof import EFFORT
from dse.workload.layer import Layer

CASES = (
    ("mobilenetv2", "edge_vision"),
    ("resnet50_v1.5", "edge_vision"),
    ("deit_tiny", "edge_vision"),
    ("mobilenetv2", "ethos_u55_128"),
    ("resnet8", "ethos_u55_128"),
    ("resnet50_v1.5", "nvdla_256"),
    ("yolox_s", "tda4vm"),
    ("mobilenetv2", "mcu_npu"),
    ("resnet50_v1.5", "rk3588_npu"),
    ("mobilenetv2", "hailo8"),
    ("bert_tiny", "edge_tpu"),
    ("resnet8", "gap9"),
    ("alexnet_227", "eyeriss"),
)


class Proven(NamedTuple):
    """A layer's certificate, what the lists' best lost to it, and the seconds both took."""

    name: str
    certificate: Certificate
    lost: float
    listed_s: float
    proof_s: float


def proven(layer: Layer, chip: Chip, objective: Objective, effort: int) -> Proven:
    asked = question(
        layer, chip, objective, homes=None, cores=1, room_bytes=None, l2_room_bytes=None,
        exposed=1.0, time_price_w=0.0, legal=False, uneven=True,
    )  # fmt: skip
    begin = time.process_time()
    listed = fitted(layer, chip, asked)
    middle = time.process_time()
    found = certify_layer(layer, chip, asked, effort).certificate
    value = keys_of(listed.problem, listed, asked)[0]
    spent = time.process_time() - middle
    return Proven(layer.name, found, value / found.value - 1.0, middle - begin, spent)


def row(model: str, name: str, objective: Objective, effort: int) -> tuple[list[Proven], str]:
    workload, chip = dse.load_model(model).at("w8a8"), load_chip(name)
    found = []
    for layer in distinct_layers(workload):
        try:
            found.append(proven(layer, chip, objective, effort))
        except UnmappableError:
            continue
    try:
        program = map_network(workload, chip, objective, finer=True)
        whole = within_text(certify_program(program, workload, chip, objective).within)
    except UnmappableError:
        whole = "not mapped"
    return found, whole


def figures(found: Sequence[Proven]) -> list[str]:
    gaps = np.array([one.certificate.within for one in found])
    lost = np.array([one.lost for one in found])
    worst = max(found, key=lambda one: one.certificate.within)
    return [
        f"{len(found)}",
        f"{np.mean(gaps == 0.0):.0%}",
        f"{np.mean(gaps <= 1e-3):.0%}",
        f"{np.median(gaps):.2%}",
        f"{gaps.max():.1%} ({worst.name})",
        f"{np.sum(lost > 1e-9)}",
        f"{lost.max():.1%}",
        f"{1e3 * sum(one.proof_s for one in found) / len(found):.1f}",
    ]


HEADS = (
    "network, chip", "layers", "optimal", "within 0.1 %", "median", "worst", "better than lists",
    "by at most", "ms a proof", "network",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objective", default="edp", choices=("edp", "latency", "energy"))
    parser.add_argument("--effort", type=int, default=EFFORT, help="boxes of tilings a layer")
    options = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |")
    print(f"|{' --- |' * len(HEADS)}")
    everything: list[Proven] = []
    first = next(iter(distinct_layers(dse.load_model("resnet8").at("w8a8"))))
    proven(first, load_chip("edge_vision"), options.objective, 1)  # compiles, or loads
    for model, name in CASES:
        found, whole = row(model, name, options.objective, options.effort)
        if found:
            everything += found
            cells = [f"{model}, {name}", *figures(found), whole]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"| {' | '.join(['all', *figures(everything), ''])} |")


if __name__ == "__main__":
    main()
