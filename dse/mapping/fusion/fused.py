"""The schedule of a fused group: its members mapped on one block, joined into one pipeline.

See ``schedule.py`` for what a fused group means, ``blocks.py`` for the room it takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dse.hardware.chip import LINKS, Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.cost.streaming import Counts, add, descriptors, merge, on_link, transfer_counts
from dse.mapping.fusion.block_work import Work, over_blocks
from dse.mapping.fusion.blocks import Blocks, Member, Rooms
from dse.mapping.ir.homes import stored_bytes
from dse.mapping.ir.schedule import (
    ENGINES,
    NO_BYTES,
    Bytes,
    LayerSchedule,
    Phase,
    Segment,
    add_bytes,
    link_rates,
    price,
    slowest_s,
)
from dse.mapping.path.chain import Item
from dse.mapping.space.legal import is_legal, rule
from dse.mapping.space.shape import layer_number
from dse.workload.layer import DIMS


class Group(Rooms):
    """Consecutive layers that can be fused; ``build`` gives their schedules for one way of cutting.

    ``axis`` is the loop dim along which rows are cut, ``heads`` the parts that the groups (G) of
    every member can be cut into, 1 if they cannot. ``known`` remembers blocks mapped before, for
    groups of one chip under one objective. ``legal`` keeps to what its compiler can express.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        axis: str,
        heads: int,
        chip: Chip,
        room_bytes: float,
        known: dict[object, Work] | None = None,
        *,
        legal: bool = False,
    ) -> None:
        super().__init__(members, chip, room_bytes, chip.legality.bank_bytes if legal else 0.0)
        self.legal = legal
        self.name = name
        self.axis = axis
        self.heads = heads
        self._known = {} if known is None else known

    def expressible(self, blocks: Blocks) -> bool:
        """Whether the compiler can cut every member so; always true unless ``legal``."""
        if not self.legal:
            return True
        legality = self.chip.legality
        for member in self.members:
            nest = member.layer.nest
            if nest is None:
                continue
            rows = rule(legality, self.axis, nest.sizes)
            groups = rule(legality, "G", nest.sizes)
            band, heads = self.band(member, blocks.bands), -(-nest.G // blocks.heads)
            if not (is_legal(band, member.rows, rows) and is_legal(heads, nest.G, groups)):
                return False
        return True

    def build(self, blocks: Blocks, objective: Objective, watts: float = 0.0) -> Fused | None:
        """The group so cut; None if the blocks do not fit.

        Raises:
            UnmappableError: a member's block overflows what is left of the buffer.
        """
        staying = self.staying(blocks)
        if staying is None:
            return None
        taken = sum(self.weights_bytes(self.members[n], blocks) for n in staying)
        left = self.room_bytes - self.windows_bytes(blocks) - taken
        works = [
            self._work(member, blocks, number in staying, left, objective, watts)
            for number, member in enumerate(self.members)
        ]
        return _join(self, blocks, works, staying, left)

    def _work(
        self,
        member: Member,
        blocks: Blocks,
        stays: bool,
        room: float,
        objective: Objective,
        watts: float,
    ) -> Work:
        """:func:`over_blocks`, remembered: a block that fits is the same in any room."""
        layer = member.layer
        if not stays:
            room /= 2.0  # the tiles of two members are in the buffer while one follows the other
        # Only partial sums and streamed weights need it: rounded, so that blocks are found again.
        room = 2.0 ** math.floor(math.log2(room)) if room >= 1.0 else 0.0
        key = (layer_number(layer), member.homes, self.axis, member.rows, blocks, stays)
        work = self._known.get(key)
        if work is not None and work.need <= room:
            return work if work.room == room else replace(work, room=room)
        work = self._known.get((*key, room))
        if work is None:
            work = over_blocks(
                member, blocks, self.chip, self.axis, stays, room, objective, watts,
                legal=self.legal,
            )  # fmt: skip
            self._known[key if work.need < math.inf else (*key, room)] = work
        return work


@dataclass(frozen=True)
class Fused:
    """A group cut into blocks: the phases it runs in, and what each member has of them.

    ``shares`` are the members' parts of the time, ``counts`` their actions; ``fill_weight``,
    ``fill_other`` and ``drain`` are as in a :class:`LayerSchedule`.
    """

    group: Group
    blocks: Blocks
    works: tuple[Work, ...]
    phases: tuple[Phase, ...]
    shares: tuple[float, ...]
    counts: tuple[Counts, ...]
    fill_weight: Bytes
    fill_other: Bytes
    drain: Bytes
    spare_bytes: float

    def schedules(self, names: Sequence[tuple[str, str]]) -> tuple[LayerSchedule, ...]:
        """One schedule per member, for layers of the given names and operations."""
        made = [
            replace(_member(self, number), layer=name, op=op)
            for number, (name, op) in enumerate(names)
        ]
        made[0] = replace(made[0], fill_weight=self.fill_weight, fill_other=self.fill_other)
        made[-1] = replace(made[-1], drain=self.drain, spare_bytes=self.spare_bytes)
        return tuple(made)

    def item(self, names: Sequence[tuple[str, str]]) -> Item:
        """The group as a candidate for the path search."""
        chip, overheads = self.group.chip, self.group.chip.overheads
        rates = link_rates(chip)
        idle = tuple(0.0 for _ in ENGINES)

        def alone(amounts: Bytes) -> float:
            return Segment(0, "fill", 1, idle, amounts).step_s(chip.f_hz, rates)

        body = sum(
            phase.count
            * Segment(0, "steps", 1, phase.cycles, phase.link_bytes).step_s(chip.f_hz, rates)
            for phase in self.phases
        )
        launches = overheads.launch_cycles / chip.f_hz * len(names)
        bare = alone(self.fill_other)
        end = _part(self.phases[-1], self.shares[-1])
        last = Segment(len(names) - 1, "steps", end.count, end.cycles, end.link_bytes)
        return Item(
            layers=len(names),
            made=lambda: self.schedules(names),
            own_s=launches + bare + body + alone(self.drain),
            first_s=alone(add_bytes(self.fill_weight, self.fill_other)) - bare,
            energy_j=sum(sum(price(counts, chip).values()) for counts in self.counts),
            fill=self.fill_weight,
            fill_other=self.fill_other,
            cores=1,
            spare_bytes=self.spare_bytes,
            last=last,
            last_s=last.step_s(chip.f_hz, rates),
            busy_s=body,
        )


class _Moved(NamedTuple):
    """What all blocks of a group move over the buffer's edge, apart from streamed weights.

    Attributes:
        loads, stores: bytes in and out, in equal parts by block.
        at_heads: second operands that stay for a block of groups (heads).
        first, later: weights that stay: of the first member, and of the others.
        jobs: DMA descriptors.
        counts: actions, by member.
    """

    loads: Bytes
    stores: Bytes
    at_heads: Bytes
    first: Bytes
    later: Bytes
    jobs: float
    counts: list[Counts]


def _moved(group: Group, blocks: Blocks, staying: Sequence[int]) -> _Moved:
    chip, members, steps = group.chip, group.members, blocks.count
    loads, at_heads, first, later, stores = (NO_BYTES,) * 5
    jobs = 0.0
    counts: list[Counts] = [{} for _ in members]
    for number, member in enumerate(members):
        layer, homes, into = member.layer, member.homes, counts[number]
        if member.taken < 0:
            loads = add_bytes(loads, on_link(homes.I, layer.i_bytes))
            jobs += steps * descriptors(chip, homes.I, layer.i_bytes, steps)
            merge(into, transfer_counts(homes.I, layer.i_bytes, write=False))
        if layer.side_bytes and member.side < 0 and not member.reread:
            loads = add_bytes(loads, on_link(homes.side, layer.side_bytes))
            jobs += steps * descriptors(chip, homes.side, layer.side_bytes, steps)
            merge(into, transfer_counts(homes.side, layer.side_bytes, write=False))
        if layer.w_elements and number in staying:
            size = layer.w_bytes if layer.w_is_activation else stored_bytes(layer)
            moved = on_link(homes.W, size)
            pieces = blocks.heads if layer.w_is_activation else 1
            jobs += pieces * descriptors(chip, homes.W, size, pieces)
            merge(into, transfer_counts(homes.W, size, write=False))
            if layer.w_is_activation:
                at_heads = add_bytes(at_heads, moved)
            elif number == 0:
                first = moved
            else:
                later = add_bytes(later, moved)
        if number + 1 == len(members):
            stores = on_link(homes.O, layer.o_bytes)
            jobs += steps * descriptors(chip, homes.O, layer.o_bytes, steps)
            merge(into, transfer_counts(homes.O, layer.o_bytes, write=True))
    return _Moved(loads, stores, at_heads, first, later, jobs, counts)


def _join(
    group: Group, blocks: Blocks, works: Sequence[Work], staying: Sequence[int], spare: float
) -> Fused:
    """The pipeline of the group, and each member's share of it."""
    chip, members = group.chip, group.members
    double, steps = chip.buffer.double_buffered, blocks.count
    loads, stores, at_heads, first_weights, later, jobs, extra = _moved(group, blocks, staying)
    for into, work in zip(extra, works, strict=True):
        merge(into, work.counts)
    add(extra[0], "descriptor", jobs)
    streamed = NO_BYTES
    for work in works:
        streamed = add_bytes(streamed, work.streamed)
    # Of one block.
    load, store = _over(loads, steps), _over(stores, steps)
    head, stream = _over(at_heads, blocks.heads), _over(streamed, steps)
    fill_other = add_bytes(load, head)
    if steps == 1:
        fill_other, later = add_bytes(fill_other, later), NO_BYTES
    held = sum(w.held for w, m in zip(works, members, strict=True) if m.on_array) / steps
    vector = sum(w.vector for w in works) / steps
    waits = sum(w.held for w, m in zip(works, members, strict=True) if not m.on_array) / steps
    vector = max(vector, waits)
    port, shared = sum(w.port for w in works) / steps, sum(w.shared for w in works) / steps
    dma = sum(w.dma for w in works) / steps
    dma += jobs / steps * chip.overheads.descriptor_cycles / chip.overheads.dma_channels
    entering, outward = add_bytes(load, _over(at_heads, steps)), sum(store)
    buffer = chip.buffer
    moving = max(
        sum(entering) / buffer.write_bytes_per_cycle,
        outward / buffer.read_bytes_per_cycle,
        sum(b * buffer.load_cycles(link) for b, link in zip(entering, LINKS, strict=True)),
        outward * buffer.store_cycles,
    )
    heads = blocks.heads - 1
    plain = steps - 1 - heads
    both = add_bytes(load, store)
    phases: list[Phase] = []
    if double:
        engines = (held, vector, max(port, shared + moving), dma)
        steady = add_bytes(both, stream)
        if any(later) and plain:
            plain -= 1
            phases.append(Phase(1, *engines, link_bytes=add_bytes(steady, later)))
        elif any(later):
            heads -= 1
            with_head = add_bytes(steady, head)
            phases.append(Phase(1, *engines, link_bytes=add_bytes(with_head, later)))
        phases.append(Phase(heads, *engines, link_bytes=add_bytes(steady, head)))
        phases.append(Phase(plain, *engines, link_bytes=steady))
    else:
        fill_other, later = add_bytes(fill_other, later), NO_BYTES
        apart = (0.0, 0.0, moving, dma)
        phases.append(Phase(heads, *apart, link_bytes=add_bytes(both, head)))
        phases.append(Phase(plain, *apart, link_bytes=both))
        phases.append(Phase(steps - 1, held, vector, port, link_bytes=stream))
    phases.append(Phase(1, array_cycles=held, link_bytes=stream))
    phases.append(Phase(1, vector_cycles=waits))
    phases = [phase for phase in phases if phase.count > 0 and _busy(phase)]
    rates = link_rates(chip)
    ends = (slowest_s(0.0, fill_other, rates) + slowest_s(0.0, store, rates)) * chip.f_hz
    if dma > ends:  # the descriptors of the first block and the last store, beyond their bytes
        phases.insert(0, Phase(1, dma_cycles=dma - ends))
    return Fused(
        group=group,
        blocks=blocks,
        works=tuple(works),
        phases=tuple(phases),
        shares=tuple(_shares(group, works, phases)),
        counts=tuple(extra),
        fill_weight=first_weights,
        fill_other=fill_other,
        drain=store,
        spare_bytes=spare if len(staying) == len(members) else spare / 2.0,
    )


def _part(phase: Phase, share: float) -> Phase:
    """A member's share of a phase of the group."""
    return Phase(
        phase.count,
        phase.array_cycles * share,
        phase.vector_cycles * share,
        phase.port_cycles * share,
        phase.dma_cycles * share,
        link_bytes=tuple(amount * share for amount in phase.link_bytes),
    )


def _busy(phase: Phase) -> bool:
    return any(phase.cycles) or any(phase.link_bytes)


def _over(amounts: Bytes, parts: int) -> Bytes:
    return tuple(amount / parts for amount in amounts)


def _shares(group: Group, works: Sequence[Work], phases: Sequence[Phase]) -> list[float]:
    """Each member's part of the group's time: what it holds the array for, and of the rest."""
    chip = group.chip
    rates = link_rates(chip)

    def seconds(amounts: Bytes) -> float:
        return max(a / r if a else 0.0 for a, r in zip(amounts, rates, strict=True))

    total = sum(p.count * max(max(p.cycles) / chip.f_hz, seconds(p.link_bytes)) for p in phases)
    held = [
        w.held / chip.f_hz if m.on_array else 0.0 for w, m in zip(works, group.members, strict=True)
    ]
    others = [
        max(0.0, max(w.held / chip.f_hz, seconds(w.streamed)) - own)
        for w, own in zip(works, held, strict=True)
    ]
    rest = max(0.0, total - sum(held))
    weights = others if sum(others) > 0.0 else [w.held for w in works]
    if sum(weights) <= 0.0:
        weights = [1.0] * len(works)
    times = [own + rest * w / sum(weights) for own, w in zip(held, weights, strict=True)]
    return [time / sum(times) for time in times]


def _member(fused: Fused, number: int) -> LayerSchedule:
    """A member's row: its share of the group's steps, its own counts."""
    group, blocks, made = fused.group, fused.blocks, fused.works[number].schedule
    member = group.members[number]
    layer, nest = member.layer, member.layer.nest
    homes = member.homes.to_dict()
    if member.taken >= 0:
        homes["I"] = "buffer"
    if member.side >= 0 or member.reread:
        homes["side"] = "buffer"
    if number + 1 < len(group.members):
        homes["O"] = "buffer"
    head = f"{blocks.bands} bands of {group.band(member, blocks.bands)} rows"
    if blocks.heads > 1:
        head += f" for each of {blocks.heads} heads"
    head += "; one block:"
    peak = made.macs / made.ideal_cycles if made.ideal_cycles else 0.0
    return replace(
        made,
        macs=layer.macs,
        counts=fused.counts[number],
        ideal_cycles=layer.macs / peak if peak else 0.0,
        phases=tuple(_part(phase, fused.shares[number]) for phase in fused.phases),
        fill_weight=NO_BYTES,
        fill_other=NO_BYTES,
        drain=NO_BYTES,
        order=f"{blocks.count} blocks, fused",
        loop_nest=(f"fused: {group.name}", head, *(f"  {line}" for line in made.loop_nest)),
        homes=homes,
        dims=dict(zip(DIMS, nest.sizes, strict=True)) if nest else {},
        fused=group.name,
    )
