"""How fast the simulator plays: events and simulated cycles per CPU second.

Run ``python experiments/benchmarks/simulation_speed.py``. It maps ResNet-50 and MobileNetV2 onto a
chip with a 32x32 array at 1 GHz (``edge_vision`` at 7 nm), plays each alone and a second of an app
of three networks, and prints the rates beside those of two cycle-level simulators, measured in
November 2026 on a loaded 2-core machine: ONNXim 88,000 and SCALE-Sim 3 4,800 simulated cycles per
CPU second, on one core of a 32x32 array too. The rates are of the play itself; mapping is apart.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

from common import spent

from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import Program, map_network
from dse.simulation import Periodic, Policy, Task, Timeline, simulate, simulate_alone
from dse.workload.load import load_model

PEERS = {"ONNXim": 88_000.0, "SCALE-Sim 3": 4_800.0}
#: What one core must do: CPU seconds at most.
LIMITS_S = {"resnet50": 0.2, "mobilenetv2": 0.1, "three": 2.0}
APP = (("resnet50", 30.0), ("mobilenetv2", 60.0), ("deeplabv3_mobilenet", 30.0))
MODES = {
    "power.dvfs.points": "0.4,0.7",
    "power.dvfs.governor": "deadline_aware",
    "power.thermal.resistance_k_per_w": 20.0,
    "power.sleep_states": "clock_gated,retention",
}


def chip(cores: int, **overrides: object) -> Chip:
    """The 32x32 chip at 1 GHz."""
    return load_chip("edge_vision", "7nm", overrides={"f_hz": 1e9, "cores": cores, **overrides})


def best_cpu_s(run: Callable[[], Timeline], repeat: int) -> tuple[float, Timeline]:
    """The least CPU time of several runs, and the result (the same every time)."""
    least, result = math.inf, run()
    for _ in range(repeat):
        done = spent(run)
        least, result = min(least, done.cpu_s), done.result
    return least, result


def cases() -> list[tuple[str, str, Callable[[], Timeline]]]:
    """Label, key of the limit, and what to run."""
    one = chip(1)
    alone = {name: map_network(load_model(name), one) for name, _ in APP}
    shared: dict[str, Program] = {
        name: map_network(load_model(name), one, shared=True) for name, _ in APP
    }
    out: list[tuple[str, str, Callable[[], Timeline]]] = [
        (f"{name} alone", name, lambda name=name: simulate_alone(one, alone[name]))  # type: ignore[misc]
        for name in ("resnet50", "mobilenetv2")
    ]
    for cores, preemption, modes in (
        (1, "layer", False),
        (1, "segment", False),
        (2, "layer", False),
        (4, "segment", False),
        (2, "segment", True),
    ):
        board = chip(cores, **(MODES if modes else {}))
        tasks = [
            Task(name, shared[name], Periodic(rate), 1 / rate, cores=tuple(range(cores)))
            for name, rate in APP
        ]
        policy = Policy("edf", preemption, horizon_s=1.0)  # type: ignore[arg-type]
        label = f"three networks, {cores} cores, by {preemption}" + (", all modes" if modes else "")
        out.append(
            (label, "three", lambda b=board, t=tasks, p=policy: simulate(b, t, p))  # type: ignore[misc]
        )
    return out


def measure(repeat: int) -> list[dict[str, Any]]:
    rows = []
    for label, key, run in cases():
        cpu_s, result = best_cpu_s(run, repeat)
        cycles = result.horizon_s * 1e9
        row: dict[str, Any] = {
            "case": label,
            "cpu_s": cpu_s,
            "limit_s": LIMITS_S[key],
            "inferences": sum(result.completed.values()),
            "events_per_cpu_s": result.events / cpu_s,
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
        print(json.dumps({"schema_version": 1, "peers_cycles_per_cpu_s": PEERS, "rows": rows}))
        return
    print(f"{'case':46s} {'CPU s':>8s} {'limit':>6s} {'cycles/s':>9s} x ONNXim  x SCALE-Sim 3")
    for row in rows:
        print(
            f"{row['case']:46s} {row['cpu_s']:8.4f} {row['limit_s']:6.1f} "
            f"{row['cycles_per_cpu_s']:9.2g} {row['times_ONNXim']:8.2g}  "
            f"{row['times_SCALE-Sim 3']:.2g}"
        )


if __name__ == "__main__":
    main()
