"""What a whole product keeps in each memory, against what the memory holds.

External memory that can be written holds the weights of every network once (also where a copy of
them stays on the chip), for each instance of a stream its KV cache at the longest context and what
an inference leaves outside the chip, the frames that its source cycles through, and the operating
system. External flash holds weights alone. On-chip memories hold the weights that stay there and
what the jobs that can run at once make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dse.apps import App, Stream
from dse.evaluation.causes import Cause
from dse.evaluation.loads import Load, Part
from dse.hardware.chip import Chip
from dse.hardware.kinds import core_kinds
from dse.hardware.system import frame_buffers, system_bytes
from dse.printing import si
from dse.simulation.task import Job
from dse.workload import Workload
from dse.workload.layer import STORED

#: Two networks of one family share their weights if this much of the smaller one's is in the other
#: (prefill and decode differ in a table of positions; an encoder and a decoder in a third).
SAME_WEIGHTS = 0.99
#: Parts that a reason lists, largest first, and the least share of the need that counts as one.
LISTED = 6
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Item:
    """Something that takes room: ``count`` times ``bytes`` each."""

    what: str
    bytes: float
    count: int = 1
    stream: str | None = None

    @property
    def total(self) -> float:
        """All of them together, bytes."""
        return self.bytes * self.count

    def __str__(self) -> str:
        each = f" ({self.count} x {si(self.bytes, 'B')})" if self.count > 1 else ""
        return f"{si(self.total, 'B')} {self.what}{each}"


@dataclass(frozen=True)
class Room:
    """A memory and what lies in it."""

    name: str
    capacity_bytes: float
    items: tuple[Item, ...]

    @property
    def need_bytes(self) -> float:
        """All items together."""
        return sum(item.total for item in self.items)

    def cause(self) -> Cause | None:
        """That it overflows, with the parts; None if it does not."""
        need, size = self.need_bytes, self.capacity_bytes
        if need <= size * (1.0 + 1e-9):
            return None
        ranked = sorted(self.items, key=lambda item: -item.total)
        told = [item for item in ranked[:LISTED] if item.total >= LEAST_SHARE * need]
        parts = [str(item) for item in told]
        rest = sum(item.total for item in ranked[len(told) :])
        if rest:
            parts.append(f"{si(rest, 'B')} others")
        text = (
            f"{self.name}: {si(need, 'B')} are needed, {need / size - 1.0:.0%} more than its "
            f"{si(size, 'B')}: {', '.join(parts)}"
        )
        return Cause(text, "memory", ranked[0].stream)


def rooms(
    app: App, loads: Sequence[Load], chip: Chip, jobs: Sequence[Job] = ()
) -> tuple[Room, ...]:
    """Every memory of the chip that the app uses.

    Args:
        app: frame buffers, and what else the product keeps.
        loads: of the streams that run on the chip.
        chip: whose memories they are.
        jobs: played ones; where more of a stream's are under way at once than it has instances,
            each of them has its cache and its activations.
    """
    weights = shared_weights(loads)
    live = in_flight(jobs)
    out = [_external(app, loads, chip, weights, live)]
    shared = [name for name in ("l2", "nvm") if chip.links[name].bytes_per_s > 0.0]
    for name in shared:
        items = _resident(weights, name)
        if name == "l2":
            items += _at_once(loads, name, chip.cores)
        out.append(Room(name, chip.links[name].capacity_bytes, tuple(items)))
    for kind in core_kinds(chip):
        here = [load for load in loads if load.kind == kind.name]
        size = float(kind.chip.buffer.capacity_bytes * len(kind.cores))
        items = _resident(shared_weights(here), "buffer")
        if "l2" not in shared:
            items += _at_once(here, "buffer", len(kind.cores))
        name = f"buffer of the {kind.name} cores" if kind.name else "buffer"
        out.append(Room(name, size, tuple(items)))
    return tuple(room for room in out if room.items)


def overfull(found: Iterable[Room]) -> list[Cause]:
    """The memories that the product overflows, with what lies in them."""
    causes = (room.cause() for room in found)
    return [cause for cause in causes if cause is not None]


def as_table(found: Iterable[Room]) -> dict[str, dict[str, object]]:
    """Memories as a record holds them: capacity, need and its parts, bytes."""
    out: dict[str, dict[str, object]] = {}
    for room in found:
        parts: dict[str, float] = {}
        for item in room.items:
            parts[item.what] = parts.get(item.what, 0.0) + item.total
        out[room.name] = {
            "capacity_bytes": room.capacity_bytes, "need_bytes": room.need_bytes, "parts": parts,
        }  # fmt: skip
    return out


@dataclass
class Weights:
    """Stored tensors that networks of one family share: bytes by name, shape and format."""

    family: str
    name: str
    stream: str
    bytes: dict[tuple[object, ...], int] = field(default_factory=dict)
    resident: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All of them, bytes."""
        return float(sum(self.bytes.values()))

    def takes(self, family: str, tensors: Mapping[tuple[object, ...], int]) -> bool:
        """Whether a network's tensors are these."""
        if family != self.family:
            return False
        both = sum(size for key, size in tensors.items() if key in self.bytes)
        return both >= SAME_WEIGHTS * min(self.total, sum(tensors.values()))

    def add(self, part: Part, tensors: Mapping[tuple[object, ...], int]) -> None:
        """What a further network has beside them."""
        self.bytes.update(tensors)
        for memory, amount in (part.program.resident_bytes if part.program else {}).items():
            self.resident[memory] = max(self.resident.get(memory, 0.0), amount)


def shared_weights(loads: Iterable[Load]) -> list[Weights]:
    """The distinct sets of weights of all networks.

    Networks of one family (or of one request) whose tensors agree in name, shape and format are one
    model: its prefill and its decode step, or the same network of several streams.
    """
    out: list[Weights] = []
    for load in loads:
        for part in load.parts:
            network = part.workload
            family = network.family or (load.stream.id if load.stream.request else network.name)
            tensors: dict[tuple[object, ...], int] = {
                (tensor.name, tensor.shape, tensor.format): tensor.bytes
                for tensor in network.tensors.values()
                if tensor.role in STORED
            }
            own = next((one for one in out if one.takes(family, tensors)), None)
            if own is None:
                name = f"weights of {network.model} ({network.precision.name})"
                own = Weights(family, name, load.stream.id)
                out.append(own)
            own.add(part, tensors)
    return [one for one in out if one.bytes]


def kv_bytes(parts: Sequence[tuple[Workload, int]]) -> float:
    """KV cache of one job at its longest context, bytes.

    What every run adds is kept: a prefill its whole prompt, each decode step one token (of a
    network that gives the grown cache back, the difference). The cache is never less than what one
    of the networks reads and adds.
    """
    grown, least = 0.0, 0.0
    for number, (network, repeat) in enumerate(parts):
        read = _cache(network, network.inputs)
        made = _cache(network, network.outputs)
        new = made - read if made >= read else made
        if number == 0:
            grown += read
        grown += new * (repeat if read else 1)
        least = max(least, read + new)
    return max(grown, least)


def in_flight(jobs: Sequence[Job]) -> dict[str, int]:
    """The most jobs of each stream that were begun and not finished at one time."""
    steps: dict[str, list[tuple[float, int]]] = {}
    for job in jobs:
        if job.start_s is None:
            continue
        marks = steps.setdefault(job.task.partition("/")[0].partition(".")[0], [])
        marks.append((job.start_s, 1))
        if job.finish_s is not None:
            marks.append((job.finish_s, -1))
    out: dict[str, int] = {}
    for stream, marks in steps.items():
        now = most = 0
        for _, step in sorted(marks):
            now += step
            most = max(most, now)
        out[stream] = most
    return out


def _cache(network: Workload, names: Sequence[str]) -> float:
    tensors = (network.tensors[name] for name in names if name in network.tensors)
    return float(sum(tensor.bytes for tensor in tensors if tensor.role == "kv"))


def _external(
    app: App,
    loads: Sequence[Load],
    chip: Chip,
    weights: Sequence[Weights],
    live: Mapping[str, int],
) -> Room:
    """The DRAM, flash or host's memory behind the chip."""
    link = chip.links["dram"]
    if not link.bytes_per_s > 0.0:
        return Room("dram", 0.0, ())
    items = [
        Item(one.name, one.total - one.resident.get("nvm", 0.0), stream=one.stream)
        for one in weights
    ]
    if link.writable:
        for load in loads:
            count = max(load.stream.instances, live.get(load.stream.id, 0))
            items += _per_instance(load, count) + _frames(app, load)
        items.append(Item("operating system", system_bytes(chip)))
        items.append(Item("other memory of the app", app.memory.other_bytes))
    return Room("dram", link.capacity_bytes, tuple(item for item in items if item.total > 0.0))


def _per_instance(load: Load, count: int) -> list[Item]:
    """KV cache and activations outside the chip of every job that may be under way."""
    stream = load.stream.id
    cache = kv_bytes([(part.workload, part.repeat) for part in load.parts])
    outside = [
        part.program.activation_bytes.get("dram", 0.0) for part in load.parts if part.program
    ]
    apart = load.stream.pipeline is not None  # its parts work on several jobs at once
    most = sum(outside) if apart else max(outside, default=0.0)
    return [
        Item(f"KV cache of {stream}", cache, count, stream),
        Item(f"activations of {stream}", most, count, stream),
    ]


def _frames(app: App, load: Load) -> list[Item]:
    """What the source of a stream's frames cycles through; of a stream that follows, nothing."""
    stream = load.stream
    if stream.after is not None:
        return []
    buffers = app.memory.frame_buffers
    count = frame_buffers() if buffers is None else float(buffers)
    each = _frame_bytes(stream, load.workload) * count
    return [Item(f"frame buffers of {stream.id}", each, stream.instances, stream.id)]


def _frame_bytes(stream: Stream, network: Workload) -> float:
    if stream.frame_bytes is not None:
        return stream.frame_bytes
    tensors = (network.tensors[name] for name in network.inputs if name in network.tensors)
    return float(sum(tensor.bytes for tensor in tensors if tensor.role != "kv"))


def _resident(weights: Sequence[Weights], memory: str) -> list[Item]:
    return [
        Item(one.name, one.resident[memory], stream=one.stream)
        for one in weights
        if one.resident.get(memory, 0.0) > 0.0
    ]


def _at_once(loads: Sequence[Load], memory: str, cores: int) -> list[Item]:
    """Activations of the jobs that take most of a memory among those that can run at one time."""
    wants = []
    for load in loads:
        kept = [part.program.activation_bytes.get(memory, 0.0)
                for part in load.parts if part.program]  # fmt: skip
        apart = load.stream.pipeline is not None  # its parts work on several jobs at once
        most = sum(kept) if apart else max(kept, default=0.0)
        wants += [(most, load)] * load.stream.instances
    wants.sort(key=lambda pair: -pair[0])
    items: dict[str, Item] = {}
    left = cores
    for amount, load in wants:
        left -= load.stream.pipeline or load.cores
        if amount <= 0.0 or left < 0:
            break
        stream = load.stream.id
        count = items[stream].count + 1 if stream in items else 1
        items[stream] = Item(f"activations of {stream}", amount, count, stream)
    return list(items.values())
