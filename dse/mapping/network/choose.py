"""The layers of a network mapped for the network's objective: candidates, then the best path.

A layer's own optimum counts the fill of its first weights in full, which the network hides as far
as the layer before gives it time, and weighs energy against time by its own figures, which in a
network are those of the whole. So some layers are mapped more than once:

1. All of them alone, by the network's objective, with even cuts.
2. Those that move more than they must or wait, with uneven cuts; under EDP for energy plus time at
   the price ``E / L`` of the network (to the next power of two), which is what a minimal product
   means layer by layer.
3. Those whose first weights could hide better, with their fill counted half and not at all. The
   time they could gain is what the step before them leaves on the links beyond their own fill: a
   mapping that fills longer than that gains nothing over the layer's own optimum.
4. Groups of layers join as further items, see :mod:`dse.mapping.fusion.groups`.

:mod:`dse.mapping.path.chain` picks the path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective, objective_value, time_price_w
from dse.mapping.fusion.groups import WORTH as WORTH_FUSING
from dse.mapping.fusion.groups import Finder, Hope, Weights
from dse.mapping.given.pinned import map_pinned
from dse.mapping.given.pins import NO_PINS, Pin, Pins
from dse.mapping.ir.homes import Homes, bytes_by_operand, stored_bytes
from dse.mapping.ir.schedule import LayerSchedule, link_rates
from dse.mapping.ir.starting import crossings, invoke_s
from dse.mapping.layer.build import Amounts, Draft, numbers_of
from dse.mapping.layer.certificate import certify_layer
from dse.mapping.layer.mapper import draft_layer, question
from dse.mapping.memory.plan import MemoryPlan
from dse.mapping.memory.tensors import tensors_of
from dse.mapping.network.fallback import splits
from dse.mapping.path.chain import Cost, Item, best_path, layer_item
from dse.workload.layer import Layer, Workload

#: Share of the network's latency that a layer must be able to gain to be mapped again.
WORTH = 2e-4
#: Path searches after which groups still only hoped for are given up.
ROUNDS = 6
#: Excess over what must move (twice that over the busiest unit's time) that is let be.
SETTLED = 0.02
#: How far the first fill counts when a layer is mapped again.
EXPOSED = (0.0, 0.5)

Groups = dict[int, list[Item]]


@dataclass(frozen=True)
class Choice:
    """The path through a network's candidates and what it costs."""

    items: tuple[Item, ...]
    cost: Cost

    def score(self, objective: Objective) -> tuple[float, float, float]:
        """What is minimised, then the tie-breaks."""
        latency, energy = self.cost
        return (objective_value(objective, latency, energy), energy, latency)


@dataclass
class _Slot:
    """Layers of one shape with the same homes and room: they share their candidates.

    ``layer`` is the first of them; ``numbers`` are those of the ``items``, ``drafts`` tells what
    is among them already, ``asked`` what the mapper was asked for.
    """

    layer: Layer
    homes: Homes
    room: float
    pin: Pin | None
    items: list[Item] = field(default_factory=list)
    numbers: list[Amounts | LayerSchedule] = field(default_factory=list)
    drafts: set[object] = field(default_factory=set)
    asked: set[object] = field(default_factory=set)


@dataclass
class Candidates:
    """The candidates of a network's layers under one memory plan, extended round by round.

    ``fuse`` lets layers run fused; ``legal`` keeps to what the chip's compiler can express;
    ``groups`` are the items that run several layers so, by the first of them.
    """

    workload: Workload
    chip: Chip
    objective: Objective
    plan: MemoryPlan
    cores: int
    fuse: bool = True
    pins: Pins = NO_PINS
    legal: bool = False
    groups: Groups = field(default_factory=dict)
    _slots: dict[object, _Slot] = field(default_factory=dict)
    _of_layer: list[_Slot] = field(default_factory=list)

    def __post_init__(self) -> None:
        shapes = tensors_of(self.workload).shapes
        parts = zip(
            self.workload.layers, shapes, self.plan.homes, self.plan.room_bytes, strict=True
        )
        for layer, shape, homes, room in parts:
            pin = self.pins.of(layer)
            key = (shape if pin is None else layer.name, homes, room)
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot(layer, homes, room, pin)
            self._of_layer.append(slot)

    def alone(self) -> Choice:
        """First round: every layer by its own optimum.

        Raises:
            UnmappableError: a layer that no unit runs or that does not fit.
        """
        for slot in self._slots.values():
            self._ask(slot, self.objective, 1.0, 0.0, uneven=False)
            if slot.layer.kind != "compute" and self.chip.prefetches:
                # In few chunks: a long last step hides more of the next layer's weights.
                self._ask(slot, self.objective, 0.0, 0.0, uneven=False)
        return self.choose()

    def refined(self, first: Choice) -> Choice:
        """Second and third round, starting from what the first one chose."""
        best, kind, watts = first, self.objective, self._time_price_w(first)
        if watts:
            kind, watts = "energy", _near(watts)
        for slot in self._slots.values():
            if slot.layer.kind == "compute" and _open(slot):
                self._ask(slot, kind, 1.0, watts, uneven=True)
        best = min(best, self.choose(), key=self._score)
        hiding = self._hiding(best) if self.chip.prefetches else []
        for number in hiding:
            slot = self._of_layer[number]
            for exposed in EXPOSED if slot.layer.kind == "compute" else ():
                self._ask(slot, kind, exposed, watts, uneven=False)
        if hiding:
            best = min(best, self.choose(), key=self._score)
        return self._fused(best, watts) if self.fuse else best

    def finer(self, best: Choice) -> Choice:
        """Last round: the layers that run alone, with every whole number as a tile size."""
        kind, watts = self.objective, self._time_price_w(best)
        if watts:
            kind, watts = "energy", _near(watts)
        number = 0
        for chosen in best.items:
            slot = self._of_layer[number]
            if chosen.layers == 1 and slot.layer.kind == "compute" and slot.pin is None:
                asked = question(
                    slot.layer, self.chip, kind, homes=slot.homes,
                    cores=self.cores if splits(slot.layer, self.chip) else 1, spread=self.cores,
                    room_bytes=slot.room, l2_room_bytes=self.plan.l2_room_bytes, exposed=1.0,
                    time_price_w=watts, legal=False, uneven=True,
                )  # fmt: skip
                if asked not in slot.asked:
                    slot.asked.add(asked)
                    self._add(slot, certify_layer(slot.layer, self.chip, asked).draft)
            number += chosen.layers
        return min(best, self.choose(), key=self._score)

    def promises(self, first: Choice, least: tuple[float, float, float]) -> bool:
        """Whether fusing as well as can be hoped for would get below the score ``least``."""
        if not self.fuse:
            return False
        _, hopes = self._hopes(first, self._time_price_w(first))
        better = bool(hopes) and self._hoping(hopes).score(self.objective) < least
        self.groups = {}
        return better

    def _time_price_w(self, choice: Choice) -> float:
        """The price of time beside the static power; 0 where only one of energy and time counts."""
        return time_price_w(self.objective, *choice.cost) or 0.0

    def _hopes(self, best: Choice, watts: float) -> tuple[Finder, list[Hope]]:
        """Groups that might gain, for energy and time at the price ``watts`` (or time alone)."""
        kind: Objective = "latency" if self.objective == "latency" else "energy"
        price = watts + self.chip.mapping_static_w
        whole = best.cost.latency_s
        if kind == "energy":
            whole = best.cost.energy_j + watts * best.cost.latency_s
        weights = Weights(kind, watts, price)
        finder = Finder(self.workload, self.chip, self.plan, weights, legal=self.legal)
        hopes = finder.hopes(lambda n: self._of_layer[n].items[0], WORTH_FUSING * whole)
        pinned = {n for n, x in enumerate(self.workload.layers) if self.pins.of(x) is not None}
        free = [h for h in hopes if pinned.isdisjoint(range(h.span.first, h.span.last + 1))]
        return finder, free

    def _hoping(self, hopes: Iterable[Hope]) -> Choice:
        """The best path with the groups at what they cost or are hoped to."""
        self.groups = {}
        for hope in hopes:
            self.groups.setdefault(hope.span.first, []).append(hope.item)
        return self.choose()

    def _fused(self, best: Choice, watts: float) -> Choice:
        """Fourth round: groups of layers that run fused."""
        finder, hopes = self._hopes(best, watts)
        for _ in range(ROUNDS):
            chosen = {id(one) for one in self._hoping(hopes).items}
            wanted = [h for h in hopes if not h.built and id(h.item) in chosen]
            if not wanted:
                break
            for hope in wanted:
                real = finder.build(hope.span)
                if real is None:
                    hopes.remove(hope)
                else:
                    hope.item, hope.built = real, True
        return min(best, self._hoping(h for h in hopes if h.built), key=self._score)

    def choose(self) -> Choice:
        """The best path through the candidates there are."""
        layers = len(self.workload.layers)
        items: dict[int, list[Item]] = {}
        for number in range(layers):
            items[number] = [*self._of_layer[number].items, *self.groups.get(number, ())]
        changes = sum(crossings([layer.kind == "host" for layer in self.workload.layers]))
        call = invoke_s(self.chip, layers, language=self.workload.language)
        invoke = call + changes * self.chip.overheads.crossing_s
        return Choice(*best_path(items, layers, self.chip, self.objective, invoke))

    def _score(self, choice: Choice) -> tuple[float, float, float]:
        return choice.score(self.objective)

    def _ask(
        self, slot: _Slot, objective: Objective, exposed: float, watts: float, *, uneven: bool
    ) -> None:
        """Add the best mapping under the given objective, if it is new."""
        question = (objective, exposed, watts, uneven)
        if question in slot.asked:
            return
        slot.asked.add(question)
        layer, chip = slot.layer, self.chip
        found: Draft | LayerSchedule
        if slot.pin is not None:
            found = map_pinned(
                layer, chip, slot.pin, objective, slot.homes, slot.room, exposed, watts,
                legal=self.legal,
            )  # fmt: skip
        else:
            found = draft_layer(
                layer,
                chip,
                objective,
                homes=slot.homes,
                cores=self.cores if splits(layer, chip) else 1,
                spread=self.cores,
                room_bytes=slot.room,
                l2_room_bytes=self.plan.l2_room_bytes if uneven else 0.0,
                exposed=exposed,
                time_price_w=watts,
                legal=self.legal,
                uneven=uneven,
            )
        self._add(slot, found)

    def _add(self, slot: _Slot, found: Draft | LayerSchedule) -> None:
        """A mapping of a slot among its candidates, if it is new."""
        if isinstance(found, Draft):
            if found.key in slot.drafts:
                return
            slot.drafts.add(found.key)
        made = numbers_of(found)
        if all(known.phases != made.phases for known in slot.numbers):
            slot.numbers.append(made)
            slot.items.append(layer_item(found, self.chip))

    def _hiding(self, choice: Choice) -> list[int]:
        """Layers before which the links have time for more first weights than they ask for."""
        rates = link_rates(self.chip)
        out: list[int] = []
        number, before = 0, None
        for chosen in choice.items:
            if chosen.layers == 1 and before is not None and before.last is not None:
                moved = zip(before.last.link_bytes, chosen.fill, rates, strict=True)
                room = [before.last_s - (own + fill) / rate for own, fill, rate in moved if fill]
                stored = stored_bytes(self.workload.layers[number])
                partly = sum(chosen.fill) < stored * (1.0 - 1e-9)
                if room and partly and min(room) > WORTH * choice.cost.latency_s:
                    out.append(number)
            number += chosen.layers
            before = chosen
        return out


def _open(slot: _Slot) -> bool:
    """Whether a layer moves more than it must, or waits for what it moves."""
    found, made = slot.items[0], slot.numbers[0]
    ends = (made.fill_weight, made.fill_other, made.drain)
    moved = sum(sum(amounts) for amounts in ends)
    moved += sum(phase.count * sum(phase.link_bytes) for phase in made.phases)
    operands = bytes_by_operand(slot.layer, slot.homes)
    must = sum(amount for home, amount in operands if home != "buffer")
    return moved > must * (1.0 + SETTLED) or found.own_s > found.busy_s * (1.0 + 2.0 * SETTLED)


def _near(watts: float) -> float:
    """The power of two next to ``watts``, so that networks and plans share mappings."""
    return float(2.0 ** round(math.log2(watts)))
