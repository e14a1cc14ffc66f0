"""How fast a design begins: technology lookups, resolving a chip, reading and lowering a network.

Run ``python experiments/benchmarks/reading_speed.py [--repeat 5]``. It prints the least CPU time of
several runs of each, none of which finds an earlier one's answer, and of the largest graph the
memory that Python takes at its peak.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import tracemalloc
from collections.abc import Callable

from dse.hardware.resolve import load_spec, resolve
from dse.technology import load_technology
from dse.workload import load_model

LARGE = "qwen2.5_7b_decode"


def cases() -> dict[str, tuple[Callable[[int], object], int]]:
    """What is measured: a call that takes a number never given before, and how often it runs."""
    technology, spec = load_technology(), load_spec("edge_vision")
    point = technology.operating_point(16, f_hz=4e8)
    return {
        "operating point of a clock": (
            lambda n: technology.operating_point(16, f_hz=2e8 + n * 1e3),
            300,
        ),
        "energy of a MAC": (lambda n: technology.mac_energy_j(point, "int8", "int8"), 300),
        "energy of an SRAM": (
            lambda n: technology.sram_energy_j_per_bit(point, 1024.0 * (n + 1)),
            300,
        ),
        "resolving a chip": (
            lambda n: resolve(spec.with_values({"buffer.bytes": 65536 + 64 * n})),
            30,
        ),
        "reading mobilenetv2": (lambda n: load_model(f"mobilenetv2@batch={n + 1}"), 3),
        f"reading {LARGE}": (lambda n: load_model(f"{LARGE}@past={n + 1}"), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs per case; the fastest counts")
    repeat = parser.parse_args().repeat
    numbers = itertools.count()
    for label, (call, count) in cases().items():
        call(next(numbers))  # imports
        least = math.inf
        for _ in range(repeat):
            started = time.process_time()
            for _ in range(count):
                call(next(numbers))
            least = min(least, (time.process_time() - started) / count)
        print(f"{label:32s} {least * 1e3:10.3g} ms CPU")
    tracemalloc.start()
    load_model(f"{LARGE}@past={next(numbers) + 1}")
    print(f"{'memory to read ' + LARGE:32s} {tracemalloc.get_traced_memory()[1] / 1e6:10.3g} MB")


if __name__ == "__main__":
    main()
