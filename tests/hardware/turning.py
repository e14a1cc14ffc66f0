"""A small network that uses every part of a chip, and what a chip makes of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dse.evaluation.model_run import evaluate_model
from dse.evaluation.terms import Fidelity, Terms
from dse.hardware import carbon, lifetime_energy_j, unit_cost
from dse.hardware.chip import Chip
from dse.hardware.resolve import resolve
from dse.hardware.spec import ChipSpec
from dse.workload import Workload, load_model

#: What is looked at when a field is turned.
METRICS = ("time", "energy", "area", "cost", "carbon")


@dataclass(frozen=True)
class Turned:
    """One inference as fast as it goes (s), one with the least energy (J), all dies (mm2), a unit
    of a million (USD), and its carbon at that energy's power over its life (kg)."""

    time: float
    energy: float
    area: float
    cost: float
    carbon: float


def write_network(file: Path) -> None:
    """Convolutions of each kind, an addition, tables, pooling, matrices and a softmax."""
    rng = np.random.default_rng(0)
    shapes = {
        "w1": (16, 3, 3, 3), "w2": (16, 1, 3, 3), "w3": (32, 16, 1, 1), "w4": (32, 32, 3, 3),
        "w5": (256, 32), "w6": (1024, 256),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1], group=16),
        node("Sigmoid", ["c"], ["d"]),
        node("Conv", ["d", "w3"], ["e"]),
        node("Conv", ["e", "w4"], ["f"], pads=[1, 1, 1, 1]),
        node("Add", ["e", "f"], ["g"]),
        node("GlobalAveragePool", ["g"], ["h"]),
        node("Flatten", ["h"], ["i"]),
        node("Gemm", ["i", "w5"], ["j"], transB=1),
        node("Relu", ["j"], ["k"]),
        node("Gemm", ["k", "w6"], ["l"], transB=1),
        node("Softmax", ["l"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "parts",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1024])],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, file)


@functools.lru_cache(maxsize=1)
def network(file: Path) -> Any:
    return load_model(str(file))


def turned(spec: ChipSpec, file: Path, level: Fidelity = "analytic") -> Turned:
    """What the chip of ``spec`` makes of the network in ``file``."""
    chip: Chip = resolve(spec)
    workload: Workload = network(file).at(spec.native_precision)
    quick = evaluate_model(workload, chip, level, Terms(objective="latency"))
    frugal = evaluate_model(workload, chip, level, Terms(objective="energy"))
    assert quick.latency_s is not None, quick.reasons
    assert frugal.energy_j is not None, frugal.reasons
    power = frugal.average_power_w or 0.0
    return Turned(
        quick.latency_s,
        frugal.energy_j,
        chip.area_mm2,
        unit_cost(chip, 1e6).unit_cost_usd,
        carbon(chip, energy_j=lifetime_energy_j(chip, power)).total_kg,
    )


def leaves(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every field of a chip with its value, by path."""
    out: list[tuple[str, Any]] = []
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            out.extend(leaves(value, f"{path}."))
        else:
            out.append((path, value))
    return out
