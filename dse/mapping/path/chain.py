"""Which mapping of each layer a network uses: the best path through the candidates of its layers.

The latency of a network is not the sum of the latencies of its layers: the first weights of a layer
are fetched during the last step of the layer before (``schedule.unroll``). A layer therefore brings
several candidates, and what one of them costs depends on the one chosen before it. An *item* is a
candidate for one layer, or for a fused group of consecutive layers. The path of items that covers
all layers at the least cost is found by dynamic programming, exactly for the candidates given when
the objective is a sum (latency; energy). The product of energy and latency is no sum: the price of
time at which the sum of energy and priced time gives the least product is found by iteration, which
reaches the paths on the lower convex hull of (latency, energy).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective, objective_value, time_price_w
from dse.mapping.ir.schedule import (
    NO_BYTES,
    Bytes,
    LayerSchedule,
    Segment,
    add_bytes,
    link_rates,
    price,
    slowest_s,
    unroll,
)
from dse.mapping.layer.build import Draft, numbers_of, schedule_of
from dse.mapping.path.shortest import shortest

#: Prices of time tried for the least product of energy and latency.
ROUNDS = 8


@dataclass(slots=True)
class Item:
    """One way to run ``layers`` consecutive layers; ``made`` gives their schedules.

    ``own_s`` is their time without the fill of the first weights ``fill`` and without what the last
    step ``last`` fetches for the item after it; ``first_s`` what the fill adds if nothing hides it;
    ``fill_other`` is loaded with them by ``cores`` cores; ``spare_bytes`` is the buffer left beside
    the last step (None: enough), ``last_s`` the time of that step alone. ``energy_j`` is dynamic,
    ``busy_s`` the time for which the busiest unit works; ``numbers`` are what the path search
    needs of all that (fields of :mod:`dse.mapping.path.shortest`).
    """

    layers: int
    made: Callable[[], tuple[LayerSchedule, ...]]
    own_s: float
    first_s: float
    energy_j: float
    fill: Bytes
    fill_other: Bytes
    cores: int
    spare_bytes: float | None
    last: Segment | None
    last_s: float
    busy_s: float
    numbers: tuple[float, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        last = self.last.link_bytes if self.last is not None else NO_BYTES
        spare = math.inf if self.spare_bytes is None else self.spare_bytes
        own = (self.own_s, self.first_s, self.energy_j, spare, float(self.cores), self.last_s)
        steps = float(self.last is not None)
        numbers = (*own, steps, *self.fill, *self.fill_other, *last)
        self.numbers = numbers


class Cost(NamedTuple):
    """Time and energy (static power included) of a path."""

    latency_s: float
    energy_j: float


def layer_item(found: Draft | LayerSchedule, chip: Chip) -> Item:
    """The :func:`item` of one layer, from its numbers alone."""
    made = numbers_of(found)
    f_hz, rates = chip.f_hz, link_rates(chip)
    times: list[float] = []
    if made.launch_cycles > 0.0:
        times.append(made.launch_cycles / f_hz)
    bare = 0.0
    first = add_bytes(made.fill_other, made.fill_weight)
    if any(first):
        times.append(slowest_s(0.0, first, rates))
        bare = times[-1] - slowest_s(0.0, made.fill_other, rates)
    last, last_s, busy = None, 0.0, []
    for phase in made.phases:
        count, cycles = phase.count, phase.cycles
        busy.append(count * max(cycles[0], cycles[1], cycles[4]))
        if count > 0:
            last, last_s = phase, slowest_s(max(cycles) / f_hz, phase.link_bytes, rates)
            times.append(count * last_s)
    if any(made.drain):
        times.append(slowest_s(0.0, made.drain, rates))
    prices = chip.prices
    end = None
    if last is not None:
        end = Segment(0, "steps", last.count, last.cycles, last.link_bytes)
    return Item(
        layers=1,
        made=lambda: (schedule_of(found),),
        own_s=sum(times) - bare,
        first_s=bare,
        energy_j=sum([n * prices[action] for action, n in made.counts.items() if n]),
        fill=made.fill_weight,
        fill_other=made.fill_other,
        cores=made.cores,
        spare_bytes=made.spare_bytes,
        last=end,
        last_s=last_s,
        busy_s=sum(busy) / f_hz,
    )


def item(schedules: Sequence[LayerSchedule], chip: Chip) -> Item:
    """The item of consecutive schedules that run in this way only together."""
    rates, prefetch = link_rates(chip), chip.prefetches
    segments = unroll(schedules, prefetch=prefetch)
    total = sum(seg.count * seg.step_s(chip.f_hz, rates) for seg in segments)
    first = schedules[0].fill_weight
    bare = 0.0
    for seg in segments:
        if seg.layer == 0 and seg.stage == "fill":
            with_weights = seg.step_s(chip.f_hz, rates)
            rest = Segment(0, "fill", 1, seg.cycles, schedules[0].fill_other)
            bare = with_weights - rest.step_s(chip.f_hz, rates)
    ends = [seg for seg in segments if seg.stage == "steps" and seg.layer == len(schedules) - 1]
    last = ends[-1] if ends else None
    energy = sum(sum(price(made.counts, chip).values()) for made in schedules)
    whole = tuple(schedules)
    busy = sum(
        phase.count * max(phase.array_cycles, phase.vector_cycles, phase.host_cycles)
        for made in whole
        for phase in made.phases
    )
    return Item(
        layers=len(whole),
        made=lambda: whole,
        own_s=total - bare,
        first_s=bare,
        energy_j=energy,
        fill=first,
        fill_other=schedules[0].fill_other,
        cores=schedules[0].cores,
        spare_bytes=schedules[-1].spare_bytes,
        last=last,
        last_s=last.step_s(chip.f_hz, rates) if last else 0.0,
        busy_s=busy / chip.f_hz,
    )


def best_path(
    items: Mapping[int, Sequence[Item]],
    layers: int,
    chip: Chip,
    objective: Objective,
    invoke_s: float = 0.0,
) -> tuple[tuple[Item, ...], Cost]:
    """The items that cover layers 0 to ``layers`` at the least cost.

    Args:
        items: by the number of the first layer they run; every layer has at least one of its own.
        layers: how many layers there are.
        chip: the chip.
        objective: ``latency`` (ties to less energy), ``energy`` (ties to less latency), ``edp`` or
            another product of their powers (ties to less energy).
        invoke_s: time per inference beside the layers.
    """
    frame = _Frame(items, layers, chip, invoke_s)
    if objective == "latency":
        return frame.shortest(None)
    path, cost = frame.shortest(0.0)
    if objective == "energy":
        return path, cost
    other, second = frame.shortest(None)

    def product(found: tuple[tuple[Item, ...], Cost]) -> tuple[float, float]:
        return objective_value(objective, *found[1]), found[1].energy_j

    best = min(((path, cost), (other, second)), key=product)
    for _ in range(ROUNDS):
        found = frame.shortest(time_price_w(objective, *best[1]))
        if not product(found) < product(best):
            break
        best = found
    return best


class _Frame:
    """Items and chip as the numbers of :mod:`dse.mapping.path.shortest`."""

    def __init__(
        self, items: Mapping[int, Sequence[Item]], layers: int, chip: Chip, invoke_s: float
    ) -> None:
        self.layers, self.chip, self.invoke_s = layers, chip, invoke_s
        self.items = [choice for start in range(layers) for choice in items.get(start, ())]
        starts = [start for start in range(layers) for _ in items.get(start, ())]
        ends = [start + choice.layers for start, choice in zip(starts, self.items, strict=True)]
        self.arrays: tuple[Any, ...] = (
            np.array(starts, np.int64),
            np.array(ends, np.int64),
            np.array([choice.numbers for choice in self.items], np.float64),
            np.array(link_rates(chip), np.float64),
        )

    def shortest(self, time_price_w: float | None) -> tuple[tuple[Item, ...], Cost]:
        """Least energy plus priced time, or (None) least time; ties to the other of the two."""
        static_w, count = self.chip.mapping_static_w, len(self.items)
        before, seconds, joules = np.full(count, -1, np.int64), np.zeros(count), np.zeros(count)
        at = last = shortest(
            *self.arrays, self.layers, self.chip.prefetches, time_price_w is None,
            static_w + (time_price_w or 0.0), before, seconds, joules,
        )  # fmt: skip
        path: list[Item] = []
        while at >= 0:
            path.append(self.items[at])
            at = int(before[at])
        latency, energy = float(seconds[last]) + self.invoke_s, float(joules[last])
        return tuple(reversed(path)), Cost(latency, energy + static_w * latency)
