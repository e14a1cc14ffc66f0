"""Who of several networks may use how much of an on-chip memory that they share.

The memory is the L2, or on a chip without one the buffer of its only core (or of all cores, where
every job takes them together). It holds the activations of the jobs that run at one time, and in
what they leave free, weights that stay from one inference to the next. The policy: networks are
served in the order of how often they run, each keeps as many of its weights as there is room for
(the largest first), and nobody's weights are put out for another's. What finds no room is streamed
in every inference.

Where several jobs run at one time, each has room for its own activations and an equal part of the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.apps import App, Stream
from dse.errors import UnmappableError
from dse.evaluation.core_choice import seats
from dse.evaluation.loads import part_keys, stream_rate_hz
from dse.evaluation.room import Allotment, Allotments
from dse.hardware.chip import Chip
from dse.mapping import plan_memory
from dse.workload import Workload

#: Shares of the buffer that are left to tiles: where activations must stay inside, and where they
#: may leave the chip (the mapper's largest store there).
TILES_INSIDE, TILES = 1.0 / 16.0, 0.25


@dataclass
class _Network:
    """One network: runs a second of all streams, the cores it takes, jobs of it that may be under
    way at one time, what its activations take and how many of its weights could stay, bytes."""

    rate_hz: float
    width: int
    jobs: int
    top_bytes: float
    wanted_bytes: float


def allotments(app: App, workloads: Mapping[str, Workload], chip: Chip) -> Allotments:
    """What each network of an app may use of the memory that all share; empty where nothing is to
    be shared out: a single job, no memory of the kind, or pipelines, which share out themselves."""
    jobs = sum(stream.instances for stream in app.streams)
    parts = sum(len(part_keys(stream)) for stream in app.streams)
    if (jobs == 1 and parts == 1) or any(stream.pipeline for stream in app.streams):
        return {}
    l2 = chip.links["l2"].bytes_per_s > 0.0
    dram = chip.links["dram"]
    if not dram.bytes_per_s > 0.0 or not dram.writable or chip.buffer.parts is not None:
        return {}
    alone = all(_width(stream, chip) == chip.cores for stream in app.streams)
    if not l2 and not alone:
        return {}
    try:
        networks = _networks(app, workloads, chip)
    except UnmappableError:
        return {}  # whoever maps it says why
    return _dealt(list(networks.items()), chip, alone=alone)


def _width(stream: Stream, chip: Chip) -> int:
    return max(seat.width for seat in seats(stream, chip))


def _networks(
    app: App, workloads: Mapping[str, Workload], chip: Chip
) -> dict[tuple[str, int], _Network]:
    out: dict[tuple[str, int], _Network] = {}
    for stream in app.streams:
        if stream.placement == "cloud":
            continue
        runs = stream_rate_hz(app, stream)
        for seat in seats(stream, chip):
            for key, _, repeat in part_keys(stream):
                network = workloads[key]
                name = (network.digest, seat.width)
                if name not in out:
                    share = 0.0 if seat.view.links["l2"].bytes_per_s > 0.0 else 1.0
                    plan = plan_memory(network, seat.view, share, seat.width)
                    kept = plan.resident_bytes.get(plan.store, 0.0)
                    top = plan.top_bytes if not _spilling(seat.view) else 0.0
                    out[name] = _Network(0.0, seat.width, 0, top, kept)
                out[name].rate_hz += runs * repeat
                out[name].jobs += stream.instances
    return out


def _spilling(chip: Chip) -> bool:
    """Whether activations share the buffer with tiles and may leave it for the DRAM."""
    return not chip.links["l2"].bytes_per_s > 0.0 and chip.links["dram"].holds_activations


def _dealt(
    networks: Sequence[tuple[tuple[str, int], _Network]], chip: Chip, *, alone: bool
) -> Allotments:
    memory = "l2" if chip.links["l2"].bytes_per_s > 0.0 else "buffer"
    if memory == "l2":
        size, tiles = chip.links["l2"].capacity_bytes, 0.0
    else:
        size = float(chip.buffer.capacity_bytes * chip.cores)
        tiles = size * (TILES if _spilling(chip) else TILES_INSIDE)
    at_once = _at_once([network for _, network in networks], chip, alone=alone)
    work = sum(at_once) + tiles
    free = max(0.0, size - work)
    keep: dict[tuple[str, int], float] = {}
    for name, network in sorted(networks, key=lambda item: -item[1].rate_hz):
        keep[name] = min(network.wanted_bytes, free)
        free -= keep[name]
    kept = sum(keep.values())
    spare = max(0.0, size - kept - work)
    out: dict[tuple[str, int], Allotment] = {}
    for name, network in networks:
        if len(at_once) == 1:
            room = size - (kept - keep[name])
        elif work <= size:
            room = network.top_bytes + spare / len(at_once) + keep[name]
        else:
            room = size / len(at_once)
        cores = 1 if memory == "l2" else chip.cores
        out[name] = Allotment(memory, room / cores, keep[name])
    return out


def _at_once(networks: Sequence[_Network], chip: Chip, *, alone: bool) -> list[float]:
    """Activations of the jobs that can run at one time and take most, bytes each."""
    wanted = sorted(
        (network.top_bytes for network in networks for _ in range(network.jobs)), reverse=True
    )
    width = min(network.width for network in networks)
    return wanted[: 1 if alone else max(1, chip.cores // width)]
