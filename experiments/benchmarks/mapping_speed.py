"""CPU time of mapping whole networks from nothing, warm kernels.

Run ``python experiments/benchmarks/mapping_speed.py [CHIP] [MODEL ...]``.
"""

from __future__ import annotations

import statistics
import sys
import time

import dse
from dse.mapping.mapper import clear_cache
from dse.mapping.network import map_network

RUNS = 7


def main() -> None:
    """One line per network: layers, distinct shapes, CPU ms for the network and per layer."""
    chip = dse.load_chip(sys.argv[1] if len(sys.argv) > 1 else "edge_vision")
    for name in sys.argv[2:] or ["resnet50", "mobilenetv2", "deeplabv3_mobilenet", "deit_tiny"]:
        workload = dse.load_model(name).at("w8a8")
        map_network(workload, chip)
        times = []
        for _ in range(RUNS):
            clear_cache()
            started = time.process_time()
            map_network(workload, chip)
            times.append(time.process_time() - started)
        distinct = len({layer.shape_key for layer in workload.layers})
        median = statistics.median(times) * 1e3
        print(
            f"{name} on {chip.name}: {len(workload.layers)} layers, {distinct} distinct, "
            f"{median:.1f} ms CPU, {median / distinct:.2f} ms a distinct layer"
        )


if __name__ == "__main__":
    main()
