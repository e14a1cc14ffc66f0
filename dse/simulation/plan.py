"""A program made ready to play: nominal step times, demands on shared resources, power rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from dse.errors import InputError
from dse.hardware.chip import LINKS, Chip
from dse.mapping import ENGINES, NO_BYTES, Bytes, Program, Segment, add_bytes, link_rates, price
from dse.simulation.noc import Site

#: What the cores share: the links and the host, in the order of every ``use`` tuple; the links of
#: the network between the cores follow.
SHARED = (*LINKS, "host")
_HOST = ENGINES.index("host")
#: Actions paid for every bit that a refill brings over a link (a read there, a write here).
_REFILL_ACTIONS = {
    "dram": ("dram.read_bit", "phy.bit", "noc.bit", "buffer.write_bit"),
    "l2": ("l2.read_bit", "noc.bit", "buffer.write_bit"),
    "nvm": ("nvm.read_bit", "noc.bit", "buffer.write_bit"),
}
#: And for every bit that a preempted job puts away.
_SAVE_ACTIONS = {
    "dram": ("buffer.read_bit", "noc.bit", "phy.bit", "dram.write_bit"),
    "l2": ("buffer.read_bit", "noc.bit", "l2.write_bit"),
    "nvm": (),
}
#: Stages of a layer before its first tile is whole, and transfers that nothing overlaps.
EARLY = ("launch", "fill")
_ALONE = ("fill", "drain", "refill", "save")
#: What :attr:`Seg.layer` says of activations that come from another core (-1: the invocation).
_RECEIVE = -2
Transfer = tuple[Sequence[tuple[int, float]], float, float, float]


class Seg:
    """A segment with its times and demands; ``steps`` and ``elapsed_s`` count what was played.

    ``use`` is the share of each shared resource that the segment takes at full speed: at most 1 of
    each of :data:`SHARED`; of links between cores it may be more, then it never runs at full speed.
    ``dominant`` is the largest of them. ``row`` is its line in the power table, ``delay_s`` what it
    waits for its first byte to cross the network between the cores.
    """

    __slots__ = (
        "bottleneck",
        "count",
        "delay_s",
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
        site: Site | None = None,
    ) -> None:
        self.layer = layer
        self.stage = stage
        self.count = count
        self.step_s = step_s
        self.link_bytes = link_bytes
        self.host_s = host_s
        self.use: tuple[float, ...] = (
            *(
                min(1.0, amount / rate / step_s) if amount > 0.0 else 0.0
                for amount, rate in zip(link_bytes, rates, strict=True)
            ),
            min(1.0, host_s / step_s),
        )
        self.delay_s = 0.0
        if site is not None:
            self.use += _crossing(site, link_bytes, step_s)
            if stage in _ALONE:
                waits = zip(link_bytes, site.delay_s, strict=True)
                self.delay_s = max((wait for amount, wait in waits if amount > 0.0), default=0.0)
        self.dominant = max(self.use)
        self.bottleneck = bottleneck
        self.row = -1
        self.steps = 0.0
        self.elapsed_s = 0.0


def _groups(program: Program) -> tuple[dict[int, int], dict[int, int]]:
    """For each layer the first and the last layer of its fused group (itself if it runs alone)."""
    leaders: dict[int, int] = {}
    lasts: dict[int, int] = {}
    for index, schedule in enumerate(program.schedules):
        before = program.schedules[index - 1] if index else None
        joined = before is not None and schedule.fused and schedule.fused == before.fused
        leaders[index] = leaders[index - 1] if joined else index
    for index, leader in leaders.items():
        for member in range(leader, index + 1):
            lasts[member] = index
    return leaders, lasts


def _crossing(site: Site, link_bytes: Bytes, step_s: float) -> tuple[float, ...]:
    """Share of each link between the cores."""
    busy = [0.0] * site.resources
    for amount, load in zip(link_bytes, site.load, strict=True):
        for resource, seconds in load if amount > 0.0 else ():
            busy[resource] += amount * seconds
    return tuple(seconds / step_s for seconds in busy)


class PowerTable:
    """Energy and nominal duration of everything that can run; its rows give power when it runs.

    ``sources`` are the same rows by action, each with the chip whose prices they are at.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.components: list[tuple[str, str]] = []
        self._index: dict[tuple[str, str], int] = {}
        self.rows: list[tuple[dict[int, float], float]] = []
        self.sources: list[tuple[dict[str, float], Chip]] = []

    def add(self, energy_j: dict[str, float], seconds: float, chip: Chip | None = None) -> int:
        """A row for ``energy_j`` by action spread evenly over ``seconds``; its number.

        ``chip``: whose prices they are at; the table's own by default.
        """
        self.sources.append((energy_j, chip or self.chip))
        row: dict[int, float] = {}
        for action, joules in energy_j.items():
            key = (action.split(".", 1)[0], self.chip.action_scope.get(action, "npu"))
            if key not in self._index:
                self._index[key] = len(self.components)
                self.components.append(key)
            column = self._index[key]
            row[column] = row.get(column, 0.0) + joules
        self.rows.append((row, seconds))
        return len(self.rows) - 1

    def repriced(self, chips: Mapping[int, Chip], ratio: Callable[[str, Chip, Chip], float]
                 ) -> PowerTable:  # fmt: skip
        """The same rows and components at the prices of other chips.

        Args:
            chips: by the identity of each chip that rows are priced at, the one in its place.
            ratio: price of an action on the second chip over that on the first.
        """
        out = PowerTable(chips.get(id(self.chip), self.chip))
        out.components, out._index = self.components, self._index
        for (energy_j, cold), (_, seconds) in zip(self.sources, self.rows, strict=True):
            hot = chips[id(cold)]
            dear = {name: joules * ratio(name, cold, hot) for name, joules in energy_j.items()}
            out.add(dear, seconds, hot)
        return out


class Plan:
    """One program on the chip at one operating point and site. Times in s, energies in J.

    Args:
        name: the task, for errors.
        chip: at the operating point.
        table: of all plans of a play.
        site: where its cores sit; None if the network between cores is left out.
        prefix: put before the names of layers.
        receive: (path, s until the first byte, J per byte, bytes) of activations that come from
            another core first (:meth:`dse.simulation.noc.Network.hop_path`).
        drains: whether the cores wait until the results of a pipeline in space are out.
    """

    def __init__(
        self,
        name: str,
        program: Program,
        chip: Chip,
        table: PowerTable,
        site: Site | None = None,
        prefix: str = "",
        receive: Transfer | None = None,
        *,
        drains: bool = False,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.program = program
        self._chip = chip
        self._table = table
        self._site = site
        self._rates = link_rates(chip)
        self._leaders, self._lasts = _groups(program)
        self.segs = self._compile()
        if drains and program.drain_cycles:
            drain_s = program.drain_cycles / chip.f_hz
            last = len(program.schedules) - 1
            self.segs.append(
                Seg(last, "drain", 1, drain_s, NO_BYTES, 0.0, self._rates, "compute", site)
            )
        if not self.segs:
            raise InputError(
                f"program {program.name!r} takes no time",
                field=f"tasks.{name}.program",
                mend="give a program with at least one segment of work",
            )
        if receive is not None:
            self.segs.insert(0, self._receive(receive))
        #: For each segment, where the segments of its layer (or fused group) end.
        self.layer_end = self._layer_ends()
        self.own_fill = {seg.layer: seg.link_bytes for seg in self.segs if seg.stage == "fill"}
        self.extras: dict[tuple[int, str], Seg | None] = {}
        self._price_layers()
        self.service_s = self.finish_s(0.0)
        self._tail_s: list[float] | None = None

    def finish_s(self, start_s: float) -> float:
        """When a job that starts at ``start_s`` and is alone finishes, added up as it is played."""
        time = start_s
        for seg in self.segs:
            time += seg.count * seg.step_s
        return time

    def remaining_s(self, position: int, done: float) -> float:
        """Time alone from segment ``position`` on, ``done`` of whose steps are done."""
        if self._tail_s is None:
            tail = [0.0]
            for seg in reversed(self.segs):
                tail.append(tail[-1] + seg.count * seg.step_s)
            self._tail_s = tail[::-1]
        return self._tail_s[position] - done * self.segs[position].step_s

    def layer_name(self, layer: int) -> str:
        if layer < 0:
            return self.prefix + ("receive" if layer == _RECEIVE else "invoke")
        return self.prefix + self.program.schedules[layer].layer

    def prepare_extras(self) -> None:
        """Price every refill and save now, so that a missing price shows before anything plays."""
        for position in range(len(self.segs)):
            self.refill(position)
            self.save(position)

    def refill(self, position: int) -> Seg | None:
        """What a job resumed at segment ``position`` must load again; None if nothing.

        Before the layer's own fill: the weights that were prefetched for it. Later: its whole
        first tile, weights and activations; of a fused group, the first tile of the group.
        """
        seg = self.segs[position]
        leader = self._leaders.get(seg.layer, seg.layer)
        early = seg.stage in EARLY and leader == seg.layer
        key = (leader, "early" if early else "refill")
        if key not in self.extras:
            self.extras[key] = self._make_refill(leader, early)
        return self.extras[key]

    def save(self, position: int) -> Seg | None:
        """What a job preempted at segment ``position`` must put away; None if nothing.

        Between two tiles of a layer the output of the last one is still in the buffer (it is
        stored beside the next): as many bytes as the layer's last store.
        """
        seg = self.segs[position]
        if seg.layer < 0:
            return None
        last = self._lasts[seg.layer]
        key = (last, "save")
        if key not in self.extras:
            drain = self.program.schedules[last].drain
            self.extras[key] = self._make_extra(last, "save", drain, _SAVE_ACTIONS)
        return self.extras[key]

    def together(self, one: int, other: int) -> bool:
        """Whether two layers are the same, or run in one fused group: no boundary lies between."""
        return self._leaders.get(one, one) == self._leaders.get(other, other)

    def all_segs(self) -> list[Seg]:
        """Every segment that may have been played, refills and saves included."""
        return [*self.segs, *(seg for seg in self.extras.values() if seg is not None)]

    def _make_refill(self, layer: int, early: bool) -> Seg | None:
        if layer < 0:
            return None
        schedule = self.program.schedules[layer]
        needed = add_bytes(schedule.fill_weight, schedule.fill_other)
        if early:
            own = self.own_fill.get(layer, NO_BYTES)
            needed = tuple(max(0.0, a - b) for a, b in zip(needed, own, strict=True))
        return self._make_extra(layer, "refill", needed, _REFILL_ACTIONS)

    def _make_extra(
        self, layer: int, stage: str, needed: Bytes, actions: dict[str, tuple[str, ...]]
    ) -> Seg | None:
        if not any(needed):
            return None
        idle = tuple(0.0 for _ in ENGINES)
        seg = self._seg(Segment(layer, stage, 1, idle, needed))
        if seg is None:
            return None
        bits: dict[str, float] = {}
        for link, amount in zip(LINKS, needed, strict=True):
            for action in actions[link] if amount > 0.0 else ():
                bits[action] = bits.get(action, 0.0) + 8.0 * amount
        energy_j = self._price(bits) | self._hops([seg])
        seg.row = self._table.add(energy_j, seg.step_s, self._chip)
        return seg

    def _compile(self) -> list[Seg]:
        segs: list[Seg] = []
        if self.program.invoke_s > 0.0:
            invoke = self.program.invoke_s
            seg = Seg(-1, "invoke", 1, invoke, NO_BYTES, invoke, self._rates, "host", self._site)
            segs.append(seg)
        made = (self._seg(segment) for segment in self.program.segments)
        segs.extend(seg for seg in made if seg is not None)
        return segs

    def _receive(self, receive: Transfer) -> Seg:
        path, first_s, joules, amount = receive
        step_s = first_s + amount * max(seconds for _, seconds in path)
        seg = Seg(_RECEIVE, "receive", 1, step_s, NO_BYTES, 0.0, self._rates, "die link")
        busy = [0.0] * (self._site.resources if self._site else 0)
        for resource, seconds in path:
            busy[resource] += amount * seconds / step_s
        seg.use = (*seg.use[: len(SHARED)], *busy)
        seg.dominant = max(seg.use)
        seg.row = self._table.add({"noc_hops": amount * joules}, step_s, self._chip)
        return seg

    def _layer_ends(self) -> list[int]:
        ends = [0] * len(self.segs)
        for index in reversed(range(len(self.segs))):
            last = index + 1 == len(self.segs)
            same = not last and self.together(self.segs[index + 1].layer, self.segs[index].layer)
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
            self._site,
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

    def _hops(self, segs: Sequence[Seg]) -> dict[str, float]:
        """Energy of the bytes of some segments on the network between the cores."""
        if self._site is None:
            return {}
        joules = sum(
            seg.count * amount * each
            for seg in segs
            for amount, each in zip(seg.link_bytes, self._site.joules, strict=True)
        )
        return {"noc_hops": joules} if joules else {}

    def _price_layers(self) -> None:
        """One power row per layer; the energy of a layer without time goes to its neighbour."""
        seconds: dict[int, float] = {}
        by_layer: dict[int, list[Seg]] = {}
        for seg in self.segs:
            if seg.layer >= 0:
                seconds[seg.layer] = seconds.get(seg.layer, 0.0) + seg.count * seg.step_s
                by_layer.setdefault(seg.layer, []).append(seg)
        energies: dict[int, dict[str, float]] = {}
        if not seconds:  # nothing but the invocation takes time
            seconds[-1] = self.program.invoke_s
        timed = sorted(seconds)
        for index, schedule in enumerate(self.program.schedules):
            target = next((layer for layer in timed if layer >= index), timed[-1])
            into = energies.setdefault(target, {})
            for action, joules in self._price(dict(schedule.counts)).items():
                into[action] = into.get(action, 0.0) + joules
        for layer, segs in by_layer.items():
            energies.setdefault(layer, {}).update(self._hops(segs))
        rows = {
            layer: self._table.add(energies.get(layer, {}), seconds[layer], self._chip)
            for layer in timed
        }
        for seg in self.segs:
            if seg.layer != _RECEIVE:
                seg.row = rows.get(seg.layer, -1)
