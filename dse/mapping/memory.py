"""The memory plan of a network: which tensors stay on the chip, and so where each layer finds its
operands.

Activations live from the layer that makes them to the last one that reads them. The *store* is the
shared L2 if the chip has one, else a share of the buffer. On a chip without DRAM everything must
fit; with DRAM, the activations that save most traffic per byte and layer of lifetime are kept, then
weights in what is left. Every activation that stays has an address for its whole life
(:mod:`dse.mapping.addresses`): what would fit only after moving others about does not fit. Weights
lie above the highest activation; tiles use what is free while their layer runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.addresses import Allocation, Arena, Interval, allocate
from dse.mapping.homes import Home, Homes, has_link, spills, stored_bytes
from dse.workload.layer import Layer, Workload

#: Shares of the buffer tried as a store on a chip with DRAM and without L2.
SHARES = (0.0, 0.25, 0.5, 0.75)
#: The same where every activation must stay on the chip.
INSIDE_SHARES = (0.5, 0.75, 0.875, 1.0)
#: Roles of tensors that are part of the model, not made by an inference.
STORED = ("weight", "bias", "table")


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

    @property
    def fragmentation(self) -> float:
        """Share of the activations' room that lies between them."""
        return 1.0 - self.peak_bytes / self.top_bytes if self.top_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A tensor from layer ``first`` to layer ``last``, read by ``readers`` layers."""

    name: str
    bytes: float
    first: int
    last: int
    readers: int


def operands(layer: Layer, workload: Workload) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Activation tensors read as main and as side input (or second operand)."""
    names = [
        name
        for name in layer.inputs
        if name in workload.tensors
        and workload.tensors[name].role not in STORED
        and name != layer.w_tensor
    ]
    if layer.kind == "compute":
        second = layer.w_tensor
        if not names and layer.w_is_activation and second in workload.tensors:
            names = [str(second)]  # both operands lie in one tensor, such as Q and K
        return tuple(names[:1]), tuple(names[1:])
    return tuple(names), ()


def lifetimes(workload: Workload) -> dict[str, Lifetime]:
    """Lifetime of every activation, network input and output, by tensor name."""
    end = len(workload.layers) - 1
    first: dict[str, int] = dict.fromkeys(workload.inputs, 0)
    last: dict[str, int] = {}
    readers: dict[str, int] = {}
    for number, layer in enumerate(workload.layers):
        for name in layer.outputs:
            first.setdefault(name, number)
        read = {name for group in operands(layer, workload) for name in group}
        if layer.w_is_activation and layer.w_tensor:
            read.add(layer.w_tensor)
        for name in read:
            first.setdefault(name, 0)
            last[name] = number
            readers[name] = readers.get(name, 0) + 1
    for name in workload.outputs:
        last[name] = end
    return {
        name: Lifetime(
            name,
            float(workload.tensors[name].bytes),
            begin,
            max(begin, last.get(name, begin)),
            readers.get(name, 0),
        )
        for name, begin in first.items()
        if name in workload.tensors and workload.tensors[name].role not in STORED
    }


def plan_memory(
    workload: Workload,
    chip: Chip,
    share: float = 0.0,
    cores: int = 1,
    *,
    shared: bool = False,
) -> MemoryPlan:
    """Where everything lives.

    Args:
        share: part of the buffer that keeps tensors (chips with DRAM and without L2 only).
        cores: cores the network is split over; what stays in their buffers is taken as spread
            evenly.
        shared: whether other networks run on the chip too. Then no weights stay in the L2 or buffer
            from one inference to the next (the others need the room) unless there is no DRAM.

    Raises:
        UnmappableError: a chip without DRAM (or with flash only) on which activations or weights
            do not fit, or a network beyond the DRAM's capacity.
    """
    dram, l2, spill = has_link(chip, "dram"), has_link(chip, "l2"), spills(chip)
    inside = spill and not chip.links["dram"].holds_activations
    store: Home = "l2" if l2 else "buffer"
    buffer_bytes = float(chip.buffer.capacity_bytes) * cores
    capacity = chip.links["l2"].capacity_bytes if l2 else buffer_bytes * (share if spill else 1.0)
    lives = lifetimes(workload)
    live = [0.0] * len(workload.layers)
    if inside:
        ends = {*workload.inputs, *workload.outputs}
        inner = {name: life for name, life in lives.items() if name not in ends}
        kept = _keep_all(workload, inner, capacity, live, store)
    elif spill:
        kept = _keep(workload, lives, capacity, live)
    else:
        kept = _keep_all(workload, lives, capacity, live, store)
    peak, top = max(live, default=0.0), float(kept.top_bytes)
    weights, resident = _place_weights(workload, chip, store, capacity - top, dram, shared)
    places: dict[str, Home] = {name: store if name in kept.offsets else "dram" for name in lives}
    in_store = resident.get(store, 0.0)
    if store == "l2":
        rooms = [float(chip.buffer.capacity_bytes)] * len(live)
    elif spill and not inside:
        rooms = [(buffer_bytes - top - in_store) / cores] * len(live)
    else:
        rooms = [(buffer_bytes - now - in_store) / cores for now in live]
    homes = tuple(
        _homes(layer, workload, places, weights, store, spill) for layer in workload.layers
    )
    if dram:
        _check_dram(workload, chip, lives, places, weights)
    stays = tuple(sorted(name for name, home in weights.items() if home != "dram"))
    names = tuple(sorted(kept.offsets))
    l2_room = max(0.0, capacity - top - in_store) if store == "l2" and spill else 0.0
    return MemoryPlan(
        homes, tuple(rooms), names, stays, resident, peak, store, kept.offsets, top, l2_room
    )


def _homes(
    layer: Layer,
    workload: Workload,
    places: Mapping[str, Home],
    weights: Mapping[str, Home],
    store: Home,
    spill: bool,
) -> Homes:
    outside: Home = "dram" if spill else store

    def common(names: tuple[str, ...]) -> Home:
        found = [places.get(name, outside) for name in names]
        return "dram" if "dram" in found else found[0] if found else outside

    main, side = operands(layer, workload)
    tables = tables_of(layer, workload)
    source = weights[tables[0]] if tables else common(main)
    if layer.w_is_activation:
        second = places.get(layer.w_tensor or "", outside)
    else:
        second = weights.get(weight_name(layer), outside)
    return Homes(second, source, common(layer.outputs[:1]), common(side))


def tables_of(layer: Layer, workload: Workload) -> tuple[str, ...]:
    """Stored tables (embeddings) of which the layer reads rows."""
    return tuple(
        name
        for name in layer.inputs
        if name in workload.tensors and workload.tensors[name].role == "table"
    )


def weight_name(layer: Layer) -> str:
    """The stored tensor a layer's weights come from (the layer's name if it has none)."""
    return layer.w_tensor or layer.name


def _check_dram(
    workload: Workload,
    chip: Chip,
    lives: Mapping[str, Lifetime],
    places: Mapping[str, Home],
    weights: Mapping[str, Home],
) -> None:
    """All weights and the most activations alive at once must fit what is outside the chip."""
    stored = sum(
        workload.tensors[name].bytes if name in workload.tensors else 0
        for name, home in weights.items()
        if home == "dram"
    )
    alive = [0.0] * len(workload.layers)
    for life in lives.values():
        if places[life.name] == "dram":
            for n in range(life.first, life.last + 1):
                alive[n] += life.bytes
    need, room = stored + max(alive, default=0.0), chip.links["dram"].capacity_bytes
    if need > room:
        raise UnmappableError(
            f"{workload.name} needs {need:.3g} bytes outside the chip, "
            f"the external memory has {room:.3g}",
            field="dram.capacity_bytes",
            mend="enlarge it, or store the weights in fewer bits",
        )


def _keep(
    workload: Workload, lives: Mapping[str, Lifetime], capacity: float, live: list[float]
) -> Allocation:
    """Activations kept in ``capacity`` bytes, best saving first; ``live`` gains their bytes."""
    outside = {*workload.inputs, *workload.outputs}
    inner = [
        life
        for name, life in lives.items()
        if name not in outside and workload.tensors[name].role == "activation" and life.readers
    ]
    # Bytes saved are (1 store + readers) * size; the cost is size * layers of lifetime.
    inner.sort(key=lambda t: (-(1 + t.readers) / (t.last - t.first + 1), t.first, t.name))
    arena = Arena(capacity)
    for life in inner:
        if arena.place(Interval(life.name, life.bytes, life.first, life.last)):
            for n in range(life.first, life.last + 1):
                live[n] += life.bytes
    return arena.allocation()


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
            field=f"{store}.bytes",
            mend=f"enlarge the {store}: tensors are not moved about to make room",
        )
    return found


def _place_weights(
    workload: Workload, chip: Chip, store: Home, left: float, dram: bool, shared: bool
) -> tuple[dict[str, Home], dict[str, float]]:
    """Home of every stored tensor, the biggest first: into the store, the fastest, then into NVM.

    On a chip that other networks share NVM comes first, and beside DRAM the store is not used.
    Tables come last: an inference reads a few rows of them, so keeping them saves little.
    """
    sizes: dict[str, tuple[float, str]] = {}
    tables: dict[str, tuple[float, str]] = {}
    for layer in workload.layers:
        if layer.w_elements and not layer.w_is_activation:
            name = weight_name(layer)
            most = max(stored_bytes(layer), sizes.get(name, (0.0, ""))[0])
            sizes[name] = (most, layer.name)
        for name in tables_of(layer, workload):
            tables[name] = (float(workload.tensors[name].bytes), layer.name)
    room: dict[Home, float] = {}
    if dram and chip.links["dram"].streams_weights:
        left = 0.0
    if not shared:
        room[store] = left
    if has_link(chip, "nvm"):
        room["nvm"] = chip.links["nvm"].capacity_bytes
    if shared and not dram:
        room[store] = left
    places: dict[str, Home] = {}
    taken: dict[str, float] = {}

    def biggest(of: Mapping[str, tuple[float, str]]) -> list[tuple[str, tuple[float, str]]]:
        return sorted(of.items(), key=lambda item: (-item[1][0], item[0]))

    for name, (need, layer_name) in biggest(sizes) + biggest(tables):
        home = next((h for h, free in room.items() if need <= free), None)
        if home is not None:
            room[home] -= need
            taken[home] = taken.get(home, 0.0) + need
        elif dram:
            home = "dram"
        else:
            free = max(room.values(), default=0.0)
            raise UnmappableError(
                f"layer {layer_name}: its weights need {need:.0f} bytes, "
                f"{free:.0f} are left on the chip, which has no DRAM",
                field="nvm.bytes" if "nvm" in room else f"{store}.bytes",
                mend="enlarge the memory that holds weights, or use fewer weight bits",
            )
        places[name] = home
    return places, taken
