"""CPU time of the mapper, all figures of one machine in one run.

Run ``python experiments/benchmarks/mapping_speed.py [CHIP]``. It prints, warm and from an empty
cache: milliseconds a layer and a network (with and without fused groups), a layer on arrays that
hold weights, all operands, or three on-chip levels, microseconds a (layer, chip) pair for
batches of chips of one array shape and of mixed shapes, with how far the tables are from the
optimum, and milliseconds a design of a search. It checks that the mapper without compiled code
finds the same mappings. Two cores of a shared machine move these figures by a tenth or two from
run to run.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from common import STUDY, distinct_layers, drawn_designs, spent

import dse
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import (
    clear_cache,
    map_batch,
    map_layer,
    map_network,
    use_disk_cache,
    warm_up,
)
from dse.mapping.chips.batch import forget_tables
from dse.search.candidate import evaluate_candidate
from dse.search.experiment import load_experiment
from dse.search.resolved import resolve_experiment
from dse.workload.layer import Layer

NETWORKS = ("resnet50_v1.5", "mobilenetv2", "deit_tiny", "segformer_b0")
RUNS = 3
BATCH = 1000


def cpu_ms(work: Callable[[], object]) -> float:
    """Median CPU milliseconds of a few runs, after one that is not counted."""
    work()
    times = []
    for _ in range(RUNS):
        clear_cache()
        times.append(spent(work).cpu_s)
    return statistics.median(times) * 1e3


def networks(chip: Chip) -> None:
    """Networks, all in: memory plans, mappings, fused groups, path, schedules."""
    print(f"networks on {chip.name}, CPU ms from an empty cache")
    for name in NETWORKS:
        workload = dse.load_model(name).at("w8a8")
        distinct = len({layer.mapping_view for layer in workload.layers})
        apart = cpu_ms(lambda net=workload: map_network(net, chip, fuse=False))  # type: ignore[misc]
        fused = cpu_ms(lambda net=workload: map_network(net, chip))  # type: ignore[misc]
        print(
            f"  {name:<16}{len(workload.layers):4} layers, {distinct:3} distinct: "
            f"{apart:7.1f} ms layer by layer ({apart / distinct:.2f} a distinct layer), "
            f"{fused:7.1f} ms with fused groups"
        )


def layer_times(title: str, layers: list[Layer], chip: Chip, **options: Any) -> None:
    times = sorted(
        cpu_ms(lambda one=layer: map_layer(one, chip, **options))  # type: ignore[misc]
        for layer in layers
    )
    mean = sum(times) / len(times)
    middle = times[len(times) // 2]
    print(f"  {title:<52}{mean:7.2f} ms mean, {middle:7.2f} median, {times[-1]:7.2f} worst")


def weight_registers(name: str) -> None:
    """ResNet-50 on an array that holds weights, beside one on-chip memory: no tiles of L2."""
    chip = load_chip(name, overrides={"l2.bytes": 0})
    workload = dse.load_model("resnet50_v1.5").at("w8a8")
    several = distinct_layers(workload)
    print(f"weight-register array, network: ResNet-50 on {name} without L2, CPU ms")
    for title, uneven in (("even cuts", False), ("operands held as well", True)):
        took = cpu_ms(lambda: [map_layer(x, chip, uneven=uneven) for x in several])  # noqa: B023
        print(
            f"  {len(several)} distinct layers, each alone, {title:<24}"
            f"{took:6.1f} ({took / len(several):.2f} a layer)"
        )
    took = cpu_ms(lambda: map_network(workload, chip, fuse=False))
    print(f"  the network layer by layer: 4 memory plans, candidates, path {took:6.1f}")


def designs(count: int = 12) -> None:
    """Designs of the reference space as ``dse explore`` evaluates them, all different."""
    experiment = load_experiment(STUDY)
    drawn = drawn_designs(experiment, count)
    print("designs of MobileNetV2 and ResNet-50, analytic, drawn at random, CPU ms a mapped design")
    for title, more in (
        ("with fused groups", {"chip.buffer.fuses": True}),
        ("layer by layer", {"chip.buffer.fuses": False}),
    ):
        chosen = experiment.model_copy(update={"fixed": {**experiment.fixed, **more}})
        found = resolve_experiment(chosen)
        evaluate_candidate(found, drawn[0])
        clear_cache()
        done = spent(lambda: sum(evaluate_candidate(found, values).evaluated for values in drawn))  # noqa: B023
        mapped, each = done.result, done.cpu_s / max(1, done.result) * 1e3
        print(f"  {title:<20}{each:6.0f} ({mapped} of {count} mapped, the rest ruled out before)")


def layers(chip: Chip) -> None:
    """One layer on arrays and memories of several kinds."""
    print(f"a layer of ResNet-50 on {chip.name} and its relatives, CPU ms from an empty cache")
    several = distinct_layers(dse.load_model("resnet50_v1.5").at("w8a8"))[::3]
    layer_times("weights in the array, even cuts", several, chip, l2_room_bytes=0.0, uneven=False)
    layer_times("and operands held beyond their tile", several, chip, l2_room_bytes=0.0)
    if chip.links.get("l2") and chip.links["l2"].bytes_per_s > 0.0:
        layer_times("and tiles of L2 (three on-chip levels)", several, chip)
    for words in (16, 64, 256):
        try:
            registers = load_chip(chip.name, overrides={"array.registers.shared": words})
        except dse.DseError:
            break
        layer_times(f"registers of {words} bytes for all operands", several, registers)


def chips_like(chip: Chip, count: int, seed: int = 0) -> list[Chip]:
    """Chips of one shape that differ in clock, capacity, bandwidth and prices."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        links = {
            name: replace(link, bytes_per_s=link.bytes_per_s * 2 ** rng.uniform(-2, 2))
            for name, link in chip.links.items()
        }
        capacity = chip.buffer.capacity_bytes * 2 ** rng.uniform(-2, 2)
        out.append(
            replace(
                chip,
                f_hz=chip.f_hz * 2 ** rng.uniform(-1, 1),
                prices={a: joules * rng.uniform(0.5, 2.0) for a, joules in chip.prices.items()},
                links=links,
                buffer=replace(chip.buffer, capacity_bytes=int(capacity)),
            )
        )
    return out


def batches(chip: Chip) -> None:
    """Batches of chips; the table is checked against searching some of them in full."""
    print(f"batches of {BATCH} chips like {chip.name}, EDP, CPU us a (layer, chip) pair")
    chips, more = chips_like(chip, BATCH), chips_like(chip, BATCH, 1)
    for name in NETWORKS[:2]:
        several = distinct_layers(dse.load_model(name).at("w8a8"))
        map_batch(several[:1], chips[:80])
        forget_tables()
        pairs, sample = len(several) * BATCH, list(range(0, BATCH, 20))
        first = spent(lambda: map_batch(several, chips)).cpu_s / pairs * 1e6  # noqa: B023
        done = spent(lambda: map_batch(several, more))  # noqa: B023
        found, again = done.result, done.cpu_s / pairs * 1e6
        some = [more[n] for n in sample]
        one_by_one = spent(lambda: map_batch(several, some, exact=True))  # noqa: B023
        truth, exact = one_by_one.result, one_by_one.cpu_s / len(several) / len(sample) * 1e6
        ours = found.latency_s[:, sample] * found.energy_j[:, sample]
        excess = ours / (truth.latency_s * truth.energy_j) - 1.0
        print(
            f"  {name:<16}{first:6.1f} with the table made, {again:6.1f} once it is there, "
            f"{exact:6.0f} searched one by one; the optimum on {(excess < 1e-9).mean():.1%}, "
            f"mean excess {excess.mean():.2%}, 99 % within {np.quantile(excess, 0.99):.1%}"
        )
    several = distinct_layers(dse.load_model("mobilenetv2").at("w8a8"))
    mixed = [
        load_chip(chip.name, overrides={"array.rows": rows, "array.cols": cols})
        for rows in (8, 16, 24, 32, 48)
        for cols in (8, 16, 32, 64)
    ]
    each = spent(lambda: map_batch(several, mixed)).cpu_s / len(several) / len(mixed) * 1e6
    print(f"  mixed shapes, {len(mixed)} chips, mobilenetv2: {each:.0f} us a pair")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chip", nargs="?", default="edge_vision")
    chip = load_chip(parser.parse_args().chip)
    use_disk_cache(None)
    print(f"kernels loaded or compiled in {spent(warm_up).cpu_s:.1f} s CPU")
    networks(chip)
    weight_registers(chip.name)
    layers(chip)
    batches(chip)
    designs()


if __name__ == "__main__":
    main()
