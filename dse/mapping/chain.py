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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dse.hardware.chip import Chip
from dse.mapping.schedule import (
    Bytes,
    LayerSchedule,
    Segment,
    hidden_share,
    link_rates,
    price,
    unroll,
)

#: Prices of time tried for the least product of energy and latency.
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One way to run ``layers`` consecutive layers; ``made`` gives their schedules.

    ``own_s`` is their time without the fill of the first weights ``fill`` and without what the last
    step ``last`` fetches for the item after it; ``first_s`` what the fill adds if nothing hides it;
    ``fill_other`` is loaded with them by ``cores`` cores; ``spare_bytes`` is the buffer left beside
    the last step (None: enough), ``last_s`` the time of that step alone. ``energy_j`` is dynamic,
    ``busy_s`` the time for which the busiest unit works.
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


class Cost(NamedTuple):
    """Time and energy (static power included) of a path."""

    latency_s: float
    energy_j: float


def item(schedules: Sequence[LayerSchedule], chip: Chip) -> Item:
    """The item of consecutive schedules that run in this way only together."""
    rates, prefetch = link_rates(chip), chip.buffer.double_buffered
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


#: Time that one item adds behind another, by their identities.
Added = dict[tuple[int, int], float]


class _Chip(NamedTuple):
    f_hz: float
    rates: tuple[float, ...]
    prefetch: bool
    static_w: float


def _added_s(before: Item | None, after: Item, chip: _Chip) -> float:
    """Time that the first weights of ``after`` add behind ``before``, s."""
    if before is None or not chip.prefetch:
        return after.first_s
    if before.last is None or not any(after.fill):
        return 0.0
    share = hidden_share(before.spare_bytes, after.fill, after.cores)
    worst = before.last_s
    for own, more, rate in zip(before.last.link_bytes, after.fill, chip.rates, strict=True):
        if more > 0.0:
            worst = max(worst, (own + share * more) / rate)
    added = worst - before.last_s
    if share < 1.0:
        bare = shown = 0.0
        for own, more, rate in zip(after.fill_other, after.fill, chip.rates, strict=True):
            bare = max(bare, own / rate if own else 0.0)
            total = own + (1.0 - share) * more
            shown = max(shown, total / rate if total else 0.0)
        added += shown - bare
    return added


def best_path(
    items: Mapping[int, Sequence[Item]],
    layers: int,
    chip: Chip,
    objective: str,
    invoke_s: float = 0.0,
) -> tuple[tuple[Item, ...], Cost]:
    """The items that cover layers 0 to ``layers`` at the least cost.

    Args:
        items: by the number of the first layer they run; every layer has at least one of its own.
        layers: how many layers there are.
        chip: the chip.
        objective: ``latency`` (ties to less energy), ``energy`` (ties to less latency) or ``edp``.
        invoke_s: time per inference beside the layers.
    """
    frame = _frame(chip)
    added: Added = {}
    if objective == "latency":
        return _shortest(items, layers, frame, None, invoke_s, added)
    path, cost = _shortest(items, layers, frame, 0.0, invoke_s, added)
    if objective == "energy":
        return path, cost
    other, second = _shortest(items, layers, frame, None, invoke_s, added)
    best = min(((path, cost), (other, second)), key=_product)
    for _ in range(ROUNDS):
        cost = best[1]
        watts = cost.energy_j / cost.latency_s
        found = _shortest(items, layers, frame, watts, invoke_s, added)
        if not _product(found) < _product(best):
            break
        best = found
    return best


def _frame(chip: Chip) -> _Chip:
    return _Chip(chip.f_hz, link_rates(chip), chip.buffer.double_buffered, chip.mapping_static_w)


def _product(found: tuple[tuple[Item, ...], Cost]) -> tuple[float, float]:
    return found[1].latency_s * found[1].energy_j, found[1].energy_j


def _shortest(
    items: Mapping[int, Sequence[Item]],
    layers: int,
    chip: _Chip,
    time_price_w: float | None,
    invoke_s: float,
    added: Added,
) -> tuple[tuple[Item, ...], Cost]:
    """Least energy plus priced time, or (None) least time; ties to the other of the two.

    ``added`` remembers :func:`_added_s` by the identities of both items.
    """
    watts = chip.static_w + (time_price_w or 0.0)
    # Per end: reached states as (score, tie, latency, energy, item, state before).
    State = tuple[float, float, float, float, Item | None, int, int]
    ends: list[list[State]] = [[] for _ in range(layers + 1)]
    ends[0].append((0.0, 0.0, 0.0, 0.0, None, -1, -1))
    for start in range(layers):
        states = ends[start]
        for choice in items.get(start, ()):
            best: State | None = None
            for index, state in enumerate(states):
                pair = (id(state[4]), id(choice))
                more = added.get(pair)
                if more is None:
                    more = added[pair] = _added_s(state[4], choice, chip)
                seconds = state[2] + choice.own_s + more
                joules = state[3] + choice.energy_j
                if time_price_w is None:
                    score, tie = seconds, joules
                else:
                    score, tie = joules + watts * seconds, seconds
                if best is None or (score, tie) < best[:2]:
                    best = (score, tie, seconds, joules, choice, start, index)
            if best is not None:
                ends[start + choice.layers].append(best)
    state = min(ends[layers], key=lambda reached: reached[:2])
    latency, energy = state[2] + invoke_s, state[3]
    path: list[Item] = []
    while state[4] is not None:
        path.append(state[4])
        state = ends[state[5]][state[6]]
    return tuple(reversed(path)), Cost(latency, energy + chip.static_w * latency)
