"""How fast the simulator plays: events and simulated cycles per CPU second.

Run ``python experiments/benchmarks/simulation_speed.py``. It plays a network with the convolutions
of ResNet-50 (He et al., CVPR 2016, table 1) on a 32x32 weight-stationary array, alone and as three
streams of an app, and prints the rates beside those of two cycle-level simulators, measured in
November 2026 on a loaded 2-core machine: ONNXim 88,000 and SCALE-Sim 3 4,800 simulated cycles per
CPU second. The rates are of the play itself; mapping is not part of it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

from dse.hardware.area import AreaNode
from dse.hardware.chip import (
    Array,
    Axis,
    Buffer,
    Chip,
    Host,
    Link,
    Overheads,
    Pmic,
    StaticPower,
    VectorUnit,
)
from dse.mapping.schedule import LayerSchedule, Phase, Program, unroll
from dse.simulation import Periodic, Policy, Task, Timeline, simulate, simulate_alone

PEERS = {"ONNXim": 88_000.0, "SCALE-Sim 3": 4_800.0}
SIDE = 32
TILE_BYTES = 64 * 1024


def chip(cores: int) -> Chip:
    """A round-number chip: 32x32 array, 1 GHz, DRAM of 8 GB/s; the prices do not affect speed."""
    prices = {
        "mac.int8.int8": 5e-13,
        "buffer.read_bit": 1e-14,
        "buffer.write_bit": 1e-14,
        "noc.bit": 1e-14,
        "phy.bit": 1e-12,
        "dram.read_bit": 4e-12,
    }
    return Chip(
        name="benchmark",
        template="benchmark",
        node_nm=7,
        f_hz=1e9,
        voltage_v=0.75,
        sram_voltage_v=0.75,
        junction_c=60.0,
        native_precision="int8",
        cores=cores,
        array=Array(
            axes=(Axis(SIDE, ("C",)), Axis(SIDE, ("K",))),
            dataflows=("ws",),
            rates={"int8xint8": 1.0},
            preload="hidden",
            preload_cycles=0,
            fill_drain="hidden",
            fill_drain_cycles=0,
            depthwise="none",
            align={},
            accumulator_bytes=0,
        ),
        buffer=Buffer(4 * TILE_BYTES, 64.0, 64.0, True),
        vector=VectorUnit({}, 2.0, ()),
        links={"dram": Link("dram", 8e9, 12.8e9, 1e9)},
        overheads=Overheads(2000.0, 50.0, 2, 1e-5, 1e6),
        host=Host("host", 1e9),
        prices=prices,
        action_scope=dict.fromkeys(prices, "npu") | {"phy.bit": "die", "dram.read_bit": "die_dram"},
        static=(
            StaticPower("array", "npu", 1e-2, 5e-3, 1e-3, per_core=True, wake_s=1e-6, wake_j=1e-8),
            StaticPower("dram", "die_dram", 3e-2, 1e-2, 2e-3, wake_s=5e-7, wake_j=1e-8),
        ),
        pmic=Pmic((0.0, 0.1, 1.0), (0.7, 0.85, 0.9)),
        area=AreaNode("die"),
        dram_capacity_bytes=1e9,
        power_gating=True,
        digest="benchmark",
        spec=None,
        technology=None,
    )


def shapes() -> list[tuple[int, int, int, int]]:
    """(input channels, output channels, kernel, output side) of ResNet-50's layers."""
    out = [(3, 64, 7, 112)]
    channels = 64
    for blocks, width, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        for block in range(blocks):
            out += [
                (channels, width, 1, side),
                (width, width, 3, side),
                (width, 4 * width, 1, side),
            ]
            if block == 0:
                out.append((channels, 4 * width, 1, side))
            channels = 4 * width
    return [*out, (2048, 1000, 1, 1)]


def layer(number: int, shape: tuple[int, int, int, int]) -> LayerSchedule:
    """One layer cut into tiles of at most :data:`TILE_BYTES` of traffic."""
    c, k, kernel, side = shape
    cycles = math.ceil(c / SIDE) * math.ceil(k / SIDE) * kernel**2 * side**2
    moved = c * k * kernel**2 + (c + k) * side**2
    steps = math.ceil(moved / TILE_BYTES)
    macs = c * k * kernel**2 * side**2
    return LayerSchedule(
        layer=f"conv{number}",
        op="Conv",
        kind="conv",
        unit="array",
        macs=macs,
        cores=1,
        launch_cycles=2000.0,
        fill_weight=(min(moved, TILE_BYTES) / 4.0, 0.0, 0.0),
        fill_other=(min(moved, TILE_BYTES) / 4.0, 0.0, 0.0),
        phases=(Phase(steps, array_cycles=cycles / steps, link_bytes=(moved / steps, 0.0, 0.0)),),
        drain=(min(moved, TILE_BYTES) / 8.0, 0.0, 0.0),
        counts={
            "mac.int8.int8": macs,
            "buffer.read_bit": 8.0 * macs / SIDE,
            "dram.read_bit": moved,
        },
        ideal_cycles=macs / SIDE**2,
    )


def network() -> Program:
    layers = tuple(layer(number, shape) for number, shape in enumerate(shapes()))
    return Program("resnet50-shapes", layers, unroll(layers, prefetch=True), 1, 1e-5)


def best_cpu_s(run: Callable[[], Timeline], repeat: int) -> tuple[float, Timeline]:
    """The least CPU time of several runs, and the result (the same every time)."""
    spent, result = math.inf, run()
    for _ in range(repeat):
        start = time.process_time()
        result = run()
        spent = min(spent, time.process_time() - start)
    return spent, result


def measure(repeat: int) -> list[dict[str, Any]]:
    program = network()
    runs: list[tuple[str, int, Callable[[], Timeline]]] = []
    one = chip(1)
    runs.append(("one inference alone", 1, lambda: simulate_alone(one, program)))
    for cores, preemption in ((1, "layer"), (1, "segment"), (2, "layer"), (4, "segment")):
        allowed = tuple(range(cores))
        tasks = [
            Task(f"camera{number}", program, Periodic(rate, jitter_s=1e-3), 1 / rate, cores=allowed)
            for number, rate in enumerate((60.0, 40.0, 30.0))
        ]
        policy = Policy("edf", preemption, horizon_s=1.0)  # type: ignore[arg-type]
        board = chip(cores)
        runs.append(
            (
                f"three streams, {cores} cores, preemption {preemption}",
                cores,
                lambda board=board, tasks=tasks, policy=policy: simulate(board, tasks, policy),  # type: ignore[misc]
            )
        )
    rows = []
    for label, _, run in runs:
        cpu_s, result = best_cpu_s(run, repeat)
        cycles = result.horizon_s * one.f_hz
        row: dict[str, Any] = {
            "case": label,
            "cpu_s": cpu_s,
            "inferences": sum(result.completed.values()),
            "events_per_cpu_s": result.events / cpu_s,
            "layers_per_cpu_s": sum(result.completed.values()) * len(program.schedules) / cpu_s,
            "cycles_per_cpu_s": cycles / cpu_s,
        }
        row |= {f"times_{peer}": cycles / cpu_s / rate for peer, rate in PEERS.items()}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeat", type=int, default=3, help="runs per case; the fastest counts")
    arguments = parser.parse_args()
    rows = measure(arguments.repeat)
    if arguments.json:
        print(json.dumps({"schema_version": 1, "rows": rows}))
        return
    print(f"{'case':44s} {'CPU s':>8s} {'events/s':>9s} {'layers/s':>9s} {'cycles/s':>9s} x ONNXim")
    for row in rows:
        print(
            f"{row['case']:44s} {row['cpu_s']:8.4f} {row['events_per_cpu_s']:9.2g} "
            f"{row['layers_per_cpu_s']:9.2g} {row['cycles_per_cpu_s']:9.2g} "
            f"{row['times_ONNXim']:.2g}"
        )


if __name__ == "__main__":
    main()
