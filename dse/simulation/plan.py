"""A program made ready to play: nominal step times, demands on shared resources, power rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.errors import InputError
from dse.hardware.chip import LINKS, Chip
from dse.mapping.schedule import (
    ENGINES,
    NO_BYTES,
    Bytes,
    Program,
    Segment,
    add_bytes,
    link_rates,
    price,
)

#: What the cores share: the links and the host, in the order of every ``use`` tuple.
SHARED = (*LINKS, "host")
_HOST = ENGINES.index("host")
#: Actions paid for every bit that a refill brings over a link (a read there, a write here).
_REFILL_ACTIONS = {
    "dram": ("dram.read_bit", "phy.bit", "noc.bit", "buffer.write_bit"),
    "l2": ("l2.read_bit", "noc.bit", "buffer.write_bit"),
    "nvm": ("nvm.read_bit", "noc.bit", "buffer.write_bit"),
}


class Seg:
    """A segment with its times and demands; ``steps`` and ``elapsed_s`` count what was played.

    ``use`` is the share of each of :data:`SHARED` that the segment takes at full speed, at most 1;
    ``dominant`` the largest of them. ``row`` is its line in the power table.
    """

    __slots__ = (
        "bottleneck",
        "count",
        "dominant",
        "elapsed_s",
        "host_s",
        "layer",
        "link_bytes",
        "row",
        "stage",
        "step_s",
        "steps",
        "use",
    )

    def __init__(
        self,
        layer: int,
        stage: str,
        count: int,
        step_s: float,
        link_bytes: Bytes,
        host_s: float,
        rates: Sequence[float],
        bottleneck: str,
    ) -> None:
        self.layer = layer
        self.stage = stage
        self.count = count
        self.step_s = step_s
        self.link_bytes = link_bytes
        self.host_s = host_s
        self.use = (
            *(
                min(1.0, amount / rate / step_s) if amount > 0.0 else 0.0
                for amount, rate in zip(link_bytes, rates, strict=True)
            ),
            min(1.0, host_s / step_s),
        )
        self.dominant = max(self.use)
        self.bottleneck = bottleneck
        self.row = -1
        self.steps = 0.0
        self.elapsed_s = 0.0


class PowerTable:
    """Energy and nominal duration of everything that can run; its rows give power when it runs."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.components: list[tuple[str, str]] = []
        self._index: dict[tuple[str, str], int] = {}
        self.rows: list[tuple[dict[int, float], float]] = []

    def add(self, energy_j: dict[str, float], seconds: float) -> int:
        """A row for ``energy_j`` by action spread evenly over ``seconds``; its number."""
        row: dict[int, float] = {}
        for action, joules in energy_j.items():
            key = (action.split(".", 1)[0], self.chip.action_scope[action])
            if key not in self._index:
                self._index[key] = len(self.components)
                self.components.append(key)
            column = self._index[key]
            row[column] = row.get(column, 0.0) + joules
        self.rows.append((row, seconds))
        return len(self.rows) - 1


class Plan:
    """One task's program on the chip. Times in s, energies in J."""

    def __init__(self, name: str, program: Program, chip: Chip, table: PowerTable) -> None:
        self.name = name
        self.program = program
        self._chip = chip
        self._table = table
        self._rates = link_rates(chip)
        self.segs = self._compile()
        if not self.segs:
            raise InputError(
                f"program {program.name!r} takes no time",
                field=f"tasks.{name}.program",
                mend="give a program with at least one segment of work",
            )
        #: For each segment, where the segments of its layer end.
        self.layer_end = self._layer_ends()
        self.own_fill = {seg.layer: seg.link_bytes for seg in self.segs if seg.stage == "fill"}
        self.refills: dict[tuple[int, bool], Seg | None] = {}
        self._price_layers()
        self.service_s = self.finish_s(0.0)

    def finish_s(self, start_s: float) -> float:
        """When a job that starts at ``start_s`` and is alone finishes, added up as it is played."""
        time = start_s
        for seg in self.segs:
            time += seg.count * seg.step_s
        return time

    def layer_name(self, layer: int) -> str:
        return self.program.schedules[layer].layer if layer >= 0 else "invoke"

    def prepare_refills(self) -> None:
        """Price every refill now, so that a missing price shows before anything is played."""
        for position in range(len(self.segs)):
            self.refill(position)

    def refill(self, position: int) -> Seg | None:
        """What a job resumed at segment ``position`` must load again; None if nothing.

        Before the layer's own fill: the weights that were prefetched for it. Later: its whole
        first tile, weights and activations.
        """
        seg = self.segs[position]
        early = seg.stage in ("launch", "fill")
        key = (seg.layer, early)
        if key not in self.refills:
            self.refills[key] = self._make_refill(seg.layer, early)
        return self.refills[key]

    def all_segs(self) -> list[Seg]:
        """Every segment that may have been played, refills included."""
        return [*self.segs, *(seg for seg in self.refills.values() if seg is not None)]

    def _make_refill(self, layer: int, early: bool) -> Seg | None:
        if layer < 0:
            return None
        schedule = self.program.schedules[layer]
        needed = add_bytes(schedule.fill_weight, schedule.fill_other)
        if early:
            own = self.own_fill.get(layer, NO_BYTES)
            needed = tuple(max(0.0, a - b) for a, b in zip(needed, own, strict=True))
        if not any(needed):
            return None
        idle = tuple(0.0 for _ in ENGINES)
        seg = self._seg(Segment(layer, "refill", 1, idle, needed))
        if seg is None:
            return None
        bits: dict[str, float] = {}
        for link, amount in zip(LINKS, needed, strict=True):
            for action in _REFILL_ACTIONS[link] if amount > 0.0 else ():
                bits[action] = bits.get(action, 0.0) + 8.0 * amount
        seg.row = self._table.add(self._price(bits), seg.step_s)
        return seg

    def _compile(self) -> list[Seg]:
        segs: list[Seg] = []
        if self.program.invoke_s > 0.0:
            invoke = self.program.invoke_s
            segs.append(Seg(-1, "invoke", 1, invoke, NO_BYTES, invoke, self._rates, "host"))
        for segment in self.program.segments:
            seg = self._seg(segment)
            if seg is not None:
                segs.append(seg)
        return segs

    def _layer_ends(self) -> list[int]:
        ends = [0] * len(self.segs)
        for index in reversed(range(len(self.segs))):
            last = index + 1 == len(self.segs)
            same = not last and self.segs[index + 1].layer == self.segs[index].layer
            ends[index] = ends[index + 1] if same else index + 1
        return ends

    def _seg(self, segment: Segment) -> Seg | None:
        step_s = segment.step_s(self._chip.f_hz, self._rates)
        if not math.isfinite(step_s):
            link = segment.bottleneck(self._chip.f_hz, self._rates)
            layer = self.program.schedules[segment.layer].layer
            raise InputError(
                f"layer {layer!r} moves bytes over {link}, which chip {self._chip.name!r} lacks",
                field=f"tasks.{self.name}.program",
                mend="map the program onto this chip",
            )
        if step_s <= 0.0 or segment.count <= 0:
            return None
        return Seg(
            segment.layer,
            segment.stage,
            segment.count,
            step_s,
            segment.link_bytes,
            segment.cycles[_HOST] / self._chip.f_hz,
            self._rates,
            segment.bottleneck(self._chip.f_hz, self._rates),
        )

    def _price(self, counts: dict[str, float]) -> dict[str, float]:
        missing = [action for action in counts if action not in self._chip.prices]
        if missing:
            raise InputError(
                f"chip {self._chip.name!r} has no price for {missing[0]!r}",
                field="chip.prices",
                mend="price every action that the program counts",
            )
        return price(counts, self._chip)

    def _price_layers(self) -> None:
        """One power row per layer; the energy of a layer without time goes to its neighbour."""
        seconds: dict[int, float] = {}
        for seg in self.segs:
            if seg.layer >= 0:
                seconds[seg.layer] = seconds.get(seg.layer, 0.0) + seg.count * seg.step_s
        energies: dict[int, dict[str, float]] = {}
        if not seconds:  # nothing but the invocation takes time
            seconds[-1] = self.program.invoke_s
        timed = sorted(seconds)
        for index, schedule in enumerate(self.program.schedules):
            target = next((layer for layer in timed if layer >= index), timed[-1])
            into = energies.setdefault(target, {})
            for action, joules in self._price(dict(schedule.counts)).items():
                into[action] = into.get(action, 0.0) + joules
        rows = {layer: self._table.add(energies.get(layer, {}), seconds[layer]) for layer in timed}
        for seg in self.segs:
            seg.row = rows.get(seg.layer, -1)
