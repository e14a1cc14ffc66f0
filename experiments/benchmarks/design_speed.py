"""Designs a second: distinct designs of the reference space at the analytic level, on some cores.

Run ``python experiments/benchmarks/design_speed.py [--designs 1000] [--workers 2] [--fused]``.
Every design is a chip for an app of MobileNetV2 and ResNet-50, drawn at random and evaluated as
``dse explore`` does it, from an empty mapping cache. Time counts from the first design to the last;
starting the workers is printed apart.
"""

from __future__ import annotations

import argparse
import os
import time

from common import STUDY, drawn_designs

from dse.mapping import use_disk_cache
from dse.search.experiment import load_experiment
from dse.search.workers import Workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fused", action="store_true", help="let layers run fused")
    chosen = parser.parse_args()
    use_disk_cache(None)
    os.environ.pop("DSE_MAPPING_CACHE", None)  # the workers' too
    experiment = load_experiment(STUDY)
    fixed = {**experiment.fixed, "chip.buffer.fuses": chosen.fused}
    experiment = experiment.model_copy(update={"fixed": fixed})
    designs = drawn_designs(experiment, chosen.designs + chosen.workers)
    with Workers(experiment, chosen.workers) as workers:
        started = time.perf_counter()
        for _ in workers.evaluate(designs[chosen.designs :]):
            pass
        print(f"workers started in {time.perf_counter() - started:.1f} s")
        started = time.perf_counter()
        outcomes = [outcome for outcome, _ in workers.evaluate(designs[: chosen.designs])]
        spent = time.perf_counter() - started
    mapped = sum(outcome.evaluated for outcome in outcomes)
    print(
        f"{len(outcomes)} designs in {spent:.1f} s on {chosen.workers} workers: "
        f"{len(outcomes) / spent:.1f} a second, {mapped} mapped, the rest ruled out before"
    )


if __name__ == "__main__":
    main()
