"""The memory plan of a network: which tensors stay on the chip, and so where each layer finds its
operands.

Activations live from the layer that makes them to the last one that reads them. The *store* is the
shared L2 if the chip has one, else a share of the buffer. On a chip without DRAM everything must
fit; with DRAM, the activations that save most traffic per byte and layer of lifetime are kept, then
weights in what is left. Every activation that stays has an address for its whole life
(:mod:`dse.mapping.memory.addresses`): what would fit only after moving others about does not fit.
Weights lie above the highest activation; tiles use what is free while their layer runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.ir.homes import Home, Homes, has_link, spills
from dse.mapping.memory.addresses import Allocation, Arena, Interval, allocate, peak_bytes
from dse.mapping.memory.tensors import Lifetime, Reads, Stored, Tensors, tensors_of
from dse.workload.layer import Workload

#: Shares of the buffer tried as a store on a chip with DRAM and without L2.
SHARES = (0.0, 0.25, 0.5, 0.75)
#: The same where every activation must stay on the chip.
INSIDE_SHARES = (0.5, 0.75, 0.875, 1.0)


@dataclass(frozen=True)
class MemoryPlan:
    """Homes of every layer, and what stays on the chip.

    Attributes:
        homes: per layer.
        room_bytes: buffer of one core left to each layer's tiles.
        kept: activations that never leave the chip.
        resident_weights: weight tensors that stay on the chip between inferences.
        resident_bytes: room taken between inferences, by memory.
        peak_bytes: most bytes of activations in the store at once.
        store: the memory that keeps activations.
        offsets: address in the store of each activation kept there.
        top_bytes: room in the store that activations take, gaps between them included.
        l2_room_bytes: what is left of L2 for tiles of any layer.
        outside_bytes: most bytes of activations outside the chip at once, a KV cache left out.
        outside_weight_bytes: weights that stay outside the chip.
    """

    homes: tuple[Homes, ...]
    room_bytes: tuple[float, ...]
    kept: tuple[str, ...]
    resident_weights: tuple[str, ...]
    resident_bytes: Mapping[str, float]
    peak_bytes: float
    store: Home
    offsets: Mapping[str, int]
    top_bytes: float
    l2_room_bytes: float = 0.0
    outside_bytes: float = 0.0
    outside_weight_bytes: float = 0.0

    @property
    def fragmentation(self) -> float:
        """Share of the activations' room that lies between them."""
        return 1.0 - self.peak_bytes / self.top_bytes if self.top_bytes else 0.0


def plan_memory(
    workload: Workload,
    chip: Chip,
    share: float = 0.0,
    cores: int = 1,
    *,
    shared: bool = False,
    keep_bytes: float = 0.0,
    handed: frozenset[str] = frozenset(),
) -> MemoryPlan:
    """Where everything lives.

    Args:
        share: part of the buffer that keeps tensors (chips with DRAM and without L2 only).
        cores: cores the network is split over; what stays in their buffers is taken as spread
            evenly.
        shared: whether other networks run on the chip too. Then no weights stay in the L2 or buffer
            from one inference to the next (the others need the room) unless there is no DRAM.
        keep_bytes: room there that is this network's own all the same.
        handed: inputs and outputs that other parts of a pipeline make and read: they may stay on a
            chip with DRAM too, in a place of their own all the time (the part before writes the
            next one meanwhile).

    Raises:
        UnmappableError: a chip without DRAM (or with flash only) on which activations or weights
            do not fit, or a network beyond the DRAM's capacity.
    """
    dram, l2, spill = has_link(chip, "dram"), has_link(chip, "l2"), spills(chip)
    inside = spill and not chip.links["dram"].holds_activations
    store: Home = "l2" if l2 else "buffer"
    buffer_bytes = float(chip.buffer.capacity_bytes) * cores
    capacity = chip.links["l2"].capacity_bytes if l2 else buffer_bytes * (share if spill else 1.0)
    tensors = tensors_of(workload)
    lives = tensors.lives
    live = [0.0] * len(workload.layers)
    pooled = spill and not inside and chip.placement.activations == "pools"
    if pooled:
        made = {n: life for n, life in lives.items() if workload.tensors[n].role != "kv"}
        kept = _keep_in_pools(made, chip.placement.pools, capacity, live)
    elif inside:
        ends = {*workload.inputs, *workload.outputs}
        inner = {name: life for name, life in lives.items() if name not in ends}
        kept = _keep_all(workload, inner, capacity, live, store)
    elif spill:
        passed = [
            replace(lives[name], first=0, last=len(live) - 1)
            for name in sorted(handed)
            if name in lives
        ]
        kept = _keep([*passed, *tensors.inner], capacity, live)
    else:
        kept = _keep_all(workload, lives, capacity, live, store)
    peak, top = max(live, default=0.0), float(kept.top_bytes)
    left = min(capacity - top, keep_bytes) if shared and dram else capacity - top
    weights, resident = _place_weights(tensors.stored, chip, store, left, dram, shared)
    places: dict[str, Home] = {name: store if name in kept.offsets else "dram" for name in lives}
    in_store = resident.get(store, 0.0)
    if store == "l2":
        rooms = [float(chip.buffer.capacity_bytes)] * len(live)
    elif spill and not inside:
        rooms = [(buffer_bytes - top - in_store) / cores] * len(live)
    else:
        rooms = [(buffer_bytes - now - in_store) / cores for now in live]
    homes = tuple(
        _homes(layer.w_is_activation, reads, places, weights, store, spill, pooled)
        for layer, reads in zip(workload.layers, tensors.reads, strict=True)
    )
    outside = _check_dram(workload, chip, tensors, places, weights) if dram else 0.0
    stays = tuple(sorted(name for name, home in weights.items() if home != "dram"))
    names = tuple(sorted(kept.offsets))
    passes = store == "l2" and spill and not pooled
    l2_room = max(0.0, capacity - top - in_store) if passes else 0.0
    return MemoryPlan(
        homes,
        tuple(rooms),
        names,
        stays,
        resident,
        peak,
        store,
        kept.offsets,
        top,
        l2_room,
        outside,
        sum(one.need for one in tensors.stored if weights[one.name] == "dram"),
    )


def _homes(
    fresh: bool,
    reads: Reads,
    places: Mapping[str, Home],
    weights: Mapping[str, Home],
    store: Home,
    spill: bool,
    pooled: bool,
) -> Homes:
    """Homes of a layer; ``fresh``: its second operand is an activation; ``pooled``: what it reads
    beside lies where its inputs do, unless it is a tensor of its own."""
    outside: Home = "dram" if spill else store
    source, made, side = (
        _common(names, places, outside) for names in (reads.main, reads.made, reads.side)
    )
    if pooled and not reads.side:
        side = source
    if reads.tables:
        source = weights[reads.tables[0]]
    second = (places if fresh else weights).get(reads.second, outside)
    return Homes(second, source, made, side)


def _common(names: Sequence[str], places: Mapping[str, Home], outside: Home) -> Home:
    """Where several tensors are taken to be: outside the chip if one of them is."""
    if len(names) == 1:
        return places.get(names[0], outside)
    found = [places.get(name, outside) for name in names]
    return "dram" if "dram" in found else found[0] if found else outside


def _check_dram(
    workload: Workload,
    chip: Chip,
    tensors: Tensors,
    places: Mapping[str, Home],
    weights: Mapping[str, Home],
) -> float:
    """All weights and the most activations alive at once must fit what is outside the chip; the
    latter without KV caches, which outlive the inference, bytes."""
    sizes = {one.name: one.bytes for one in tensors.stored}
    stored = sum(sizes[name] for name, home in weights.items() if home == "dram")
    alive = [0.0] * len(workload.layers)
    passing = [0.0] * len(workload.layers)
    for life in tensors.lives.values():
        if places[life.name] == "dram":
            cache = workload.tensors[life.name].role == "kv"
            for n in range(life.first, life.last + 1):
                alive[n] += life.bytes
                passing[n] += 0.0 if cache else life.bytes
    need, room = stored + max(alive, default=0.0), chip.links["dram"].capacity_bytes
    if need > room:
        raise UnmappableError(
            f"{workload.name} needs {need:.3g} bytes outside the chip, "
            f"the external memory has {room:.3g}",
            field="dram.capacity_bytes",
            mend="enlarge it, or store the weights in fewer bits",
        )
    return max(passing, default=0.0)


def _keep(inner: Sequence[Lifetime], capacity: float, live: list[float]) -> Allocation:
    """Activations kept in ``capacity`` bytes, best saving first; ``live`` gains their bytes."""
    arena = Arena(capacity)
    for life in inner:
        if arena.place(Interval(life.name, life.bytes, life.first, life.last)):
            for n in range(life.first, life.last + 1):
                live[n] += life.bytes
    return arena.allocation()


def _keep_in_pools(
    lives: Mapping[str, Lifetime], pools: Sequence[float], capacity: float, live: list[float]
) -> Allocation:
    """Tensors in the first pool with a place for their whole life, the biggest first; ``live``
    gains the bytes of those that found one.

    Addresses are those of the store, in which the pools follow each other.
    """
    arenas, base = [], 0
    for size in pools or (capacity,):
        cut = max(0.0, min(size, capacity - base))
        arenas.append((base, Arena(cut)))
        base += int(cut)
    offsets: dict[str, int] = {}
    placed: list[Interval] = []
    for life in sorted(lives.values(), key=lambda one: (-one.bytes, one.first, one.name)):
        tensor = Interval(life.name, life.bytes, life.first, life.last)
        for start, arena in arenas:
            if arena.place(tensor):
                offsets[life.name] = start + arena.offsets[life.name]
                placed.append(tensor)
                for n in range(life.first, life.last + 1):
                    live[n] += life.bytes
                break
    ends = [start + arena.allocation().top_bytes for start, arena in arenas if arena.offsets]
    return Allocation(offsets, max(ends, default=0), peak_bytes(placed))


def _keep_all(
    workload: Workload,
    lives: Mapping[str, Lifetime],
    capacity: float,
    live: list[float],
    store: Home,
) -> Allocation:
    for life in lives.values():
        for n in range(life.first, life.last + 1):
            live[n] += life.bytes
    for layer, need in zip(workload.layers, live, strict=True):
        if need > capacity:
            raise UnmappableError(
                f"layer {layer.name}: {need:.0f} bytes of activations are alive, "
                f"the {store} has {capacity:.0f} and the chip has no DRAM to write to",
                layer=layer.name,
                field=f"{store}.bytes",
                mend=f"enlarge the {store}, add DRAM, or lower the input resolution",
            )
    found, stuck = allocate(
        [Interval(life.name, life.bytes, life.first, life.last) for life in lives.values()],
        capacity,
    )
    if found is None:
        assert stuck is not None
        raise UnmappableError(
            f"layer {workload.layers[stuck.first].name}: no gap of {stuck.bytes:.0f} bytes for "
            f"{stuck.name} in the {store} of {capacity:.0f}: at most {max(live):.0f} bytes are "
            "alive at once, but not in one place",
            layer=workload.layers[stuck.first].name,
            field=f"{store}.bytes",
            mend=f"enlarge the {store}: tensors are not moved about to make room",
        )
    return found


def _place_weights(
    stored: Sequence[Stored], chip: Chip, store: Home, left: float, dram: bool, shared: bool
) -> tuple[dict[str, Home], dict[str, float]]:
    """Home of every stored tensor, the biggest first: into the store, the fastest, then into NVM.

    On a chip that other networks share NVM comes first.
    Tables come last: an inference reads a few rows of them, so keeping them saves little.
    """
    room: dict[Home, float] = {}
    if dram and chip.links["dram"].streams_weights:
        left = 0.0
    if not shared:
        room[store] = left
    if has_link(chip, "nvm"):
        room["nvm"] = chip.links["nvm"].capacity_bytes
    if shared:
        room[store] = left
    places: dict[str, Home] = {}
    taken: dict[str, float] = {}
    for one in stored:
        need = one.need
        home = next((h for h, free in room.items() if need <= free), None)
        if home is not None:
            room[home] -= need
            taken[home] = taken.get(home, 0.0) + need
        elif dram:
            home = "dram"
        else:
            free = max(room.values(), default=0.0)
            raise UnmappableError(
                f"layer {one.layer}: its weights need {need:.0f} bytes, "
                f"{free:.0f} are left on the chip, which has no DRAM",
                layer=one.layer,
                field="nvm.bytes" if "nvm" in room else f"{store}.bytes",
                mend="enlarge the memory that holds weights, or use fewer weight bits",
            )
        places[one.name] = home
    return places, taken
