"""Work without a loop nest: vector, movement and host layers, and passes after a compute layer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from dse.errors import UnmappableError
from dse.hardware.chip import LINKS, Chip
from dse.mapping.ir.homes import READ_ACTIONS, WRITE_ACTIONS, Homes, byte_price, stored_bytes
from dse.mapping.ir.schedule import NO_BYTES, Bytes, LayerSchedule, Phase, add_bytes, link_rates
from dse.workload.layer import Layer
from dse.workload.precision import bits_of

Operations = Iterable[tuple[str, float]]
Counts = dict[str, float]
Amounts = tuple[tuple[str, float], ...]

#: Numbers of chunks a pass may be cut into beyond the fewest that fit.
CHUNKS = (*range(1, 17), 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)


def on_link(home: str, amount: float) -> Bytes:
    """``amount`` bytes on the link of a home; nothing for the buffer."""
    return tuple(amount if name == home else 0.0 for name in LINKS)


def vector_cycles(chip: Chip, operations: Operations, bits: int) -> float:
    """Cycles of one core's vector unit for operations on elements of ``bits``.

    Raises:
        UnmappableError: the unit lacks a function.
    """
    total = 0.0
    for function, amount in operations:
        rate = chip.vector.ops_per_cycle.get(function, 0.0)
        if amount and rate <= 0.0:
            raise UnmappableError(
                f"the vector unit of {chip.name} cannot do {function!r}",
                field=f"vector.ops_per_cycle.{function}",
                mend="give the unit that function",
            )
        total += amount / rate if amount else 0.0
    return total * chip.vector.slowdown(bits)


def vector_counts(operations: Operations, bits: int) -> Counts:
    """Actions of vector work."""
    suffix = ".wide" if bits > 8 else ""
    counts: Counts = {}
    for function, amount in operations:
        add(counts, f"vector.{function}{suffix}", amount)
    return counts


def add(counts: Counts, action: str, amount: float) -> None:
    if amount:
        counts[action] = counts.get(action, 0.0) + amount


def merge(counts: Counts, more: Counts) -> None:
    for action, amount in more.items():
        add(counts, action, amount)


def transfer_counts(home: str, amount: float, *, write: bool) -> Counts:
    """Actions of moving ``amount`` bytes between a home and the buffer, buffer access included."""
    counts: Counts = {}
    if home == "buffer" or not amount:
        return counts
    for action in (WRITE_ACTIONS if write else READ_ACTIONS)[home]:
        add(counts, action, 8.0 * amount)
    add(counts, "buffer.read_bit" if write else "buffer.write_bit", 8.0 * amount)
    return counts


def edge_cycles(chip: Chip, reads: Amounts, write: tuple[str, float]) -> float:
    """Cycles at the fill port and the fetch limit for bytes that come from and go to links."""
    inward = sum(amount * _load_cycles(chip, home) for home, amount in reads)
    outward = 0.0 if write[0] == "buffer" else write[1] * chip.buffer.store_cycles
    return max(inward, outward)


def _load_cycles(chip: Chip, home: str) -> float:
    return 0.0 if home == "buffer" else chip.buffer.load_cycles(home)


def descriptors(chip: Chip, home: str, amount: float, pieces: int) -> float:
    """DMA descriptors of one of ``pieces`` equal transfers of ``amount`` bytes together."""
    if home == "buffer" or not amount:
        return 0.0
    return max(1.0, math.ceil(amount / pieces / chip.overheads.max_descriptor_bytes))


def fewest_chunks(chip: Chip, reads: Amounts, write: tuple[str, float], room: float) -> int:
    """Fewest equal chunks whose transfers fit ``room`` (twice if the chip double-buffers).

    Raises:
        UnmappableError: there is no room at all.
    """
    staged = sum(b for home, b in (*reads, write) if home != "buffer")
    if staged > room:
        if room <= 0.0:
            raise UnmappableError(
                f"no room in the buffer to stream {staged:.0f} bytes through",
                field="buffer.bytes",
                mend="enlarge the buffer or keep less resident in it",
            )
        return math.ceil(staged * (2 if chip.buffer.double_buffered else 1) / room)
    return 1


def chunks(
    chip: Chip,
    reads: Amounts,
    write: tuple[str, float],
    cycles: float,
    room: float,
    cores: int = 1,
    watts: float = math.inf,
) -> int:
    """The number of chunks that costs least: more of them overlap better, but each has its jobs.

    Args:
        watts: J per s of time; infinite if time alone counts.
    """
    fewest = fewest_chunks(chip, reads, write, room)
    if all(home == "buffer" or not amount for home, amount in (*reads, write)):
        return fewest
    rates = link_rates(chip)
    both = [on_link(home, amount * cores) for home, amount in (*reads, write)]
    moved = [sum(column) for column in zip(*both, strict=True)]

    def slowest(amounts: Iterable[float]) -> float:
        return max(a / r if a else 0.0 for a, r in zip(amounts, rates, strict=True))

    link = slowest(moved)
    ends = slowest([a - b for a, b in zip(moved, both[-1], strict=True)]) + slowest(both[-1])
    read, out = sum(amount for _, amount in reads), write[1]
    inward = sum(amount for home, amount in reads if home != "buffer")
    outward = out if write[0] != "buffer" else 0.0
    rate_r, rate_w = chip.buffer.read_bytes_per_cycle, chip.buffer.write_bytes_per_cycle
    double = chip.buffer.double_buffered
    alone = max(cycles, read / rate_r, out / rate_w) / chip.f_hz
    if double:
        port = max(cycles, (read + outward) / rate_r, (out + inward) / rate_w) / chip.f_hz
    else:
        port = max(outward / rate_r, inward / rate_w) / chip.f_hz
    port = max(port, edge_cycles(chip, reads, write) / chip.f_hz)
    most = chip.overheads.max_descriptor_bytes
    sent = [amount for home, amount in (*reads, write) if home != "buffer" and amount]
    job_s = chip.overheads.descriptor_cycles / chip.overheads.dma_channels / chip.f_hz
    job_j = chip.prices["descriptor"]
    first = slowest([a - b for a, b in zip(moved, both[-1], strict=True)])
    stored = slowest(both[-1])
    into = [amount for home, amount in reads if home != "buffer" and amount]
    away = [write[1]] if write[0] != "buffer" and write[1] else []
    best, least = fewest, (math.inf, math.inf)
    for pieces in (fewest, *(n for n in CHUNKS if n > fewest)):
        jobs = sum([max(1.0, math.ceil(amount / pieces / most)) for amount in sent])
        step = max(port / pieces, link / pieces, jobs * job_s)
        last = alone / pieces if double else alone
        seconds = ends / pieces + (pieces - 1) * step + last
        for amounts, moving in ((into, first), (away, stored)):
            own = sum([max(1.0, math.ceil(amount / pieces / most)) for amount in amounts])
            seconds += max(0.0, own * job_s - moving / pieces)
        joules = jobs * pieces * job_j * cores
        score = (seconds, joules) if watts == math.inf else (joules + watts * seconds, seconds)
        if score < least:
            best, least = pieces, score
    return best


def pass_over(
    chip: Chip, reads: Amounts, write: tuple[str, float], cycles: float, pieces: int
) -> tuple[tuple[Phase, ...], Bytes, Bytes, Counts]:
    """Stream ``reads`` (home, bytes) through the buffer, work ``cycles`` on them, store ``write``.

    The work is cut into ``pieces`` equal chunks, see :func:`chunks`.

    Returns:
        phases, first load, last store, counts (without the vector operations).
    """
    double = chip.buffer.double_buffered
    load, store = NO_BYTES, on_link(write[0], write[1] / pieces)
    counts: Counts = {}
    jobs, inward = 0.0, 0.0
    for home, amount in reads:
        load = add_bytes(load, on_link(home, amount / pieces))
        jobs += descriptors(chip, home, amount, pieces)
        inward += 0.0 if home == "buffer" else amount
        merge(counts, transfer_counts(home, amount, write=False))
        add(counts, "buffer.read_bit", 8.0 * amount)
    jobs += descriptors(chip, write[0], write[1], pieces)
    merge(counts, transfer_counts(write[0], write[1], write=True))
    add(counts, "buffer.write_bit", 8.0 * write[1])
    add(counts, "descriptor", jobs * pieces)
    read = sum(amount for _, amount in reads) / pieces
    out = write[1] / pieces if write[0] != "buffer" else 0.0
    rate_r, rate_w = chip.buffer.read_bytes_per_cycle, chip.buffer.write_bytes_per_cycle
    alone = max(read / rate_r, write[1] / pieces / rate_w)
    edge = edge_cycles(chip, reads, write) / pieces
    dma = jobs * chip.overheads.descriptor_cycles / chip.overheads.dma_channels
    both = add_bytes(load, store)
    work = cycles / pieces
    if pieces == 1:
        return (Phase(1, vector_cycles=work, port_cycles=alone),), load, store, counts
    if double:
        port = max((read + out) / rate_r, (write[1] + inward) / pieces / rate_w, edge)
        steady = Phase(
            pieces - 1, vector_cycles=work, port_cycles=port, dma_cycles=dma, link_bytes=both
        )
        return (steady, Phase(1, vector_cycles=work, port_cycles=alone)), load, store, counts
    port = max(out / rate_r, inward / pieces / rate_w, edge)
    moves = Phase(pieces - 1, port_cycles=port, dma_cycles=dma, link_bytes=both)
    return (moves, Phase(pieces, vector_cycles=work, port_cycles=alone)), load, store, counts


def ends_wait(
    chip: Chip, reads: Amounts, write: tuple[str, float], pieces: int, cores: int = 1
) -> tuple[Phase, ...]:
    """What the descriptors of a pass's first load and last store take beyond their bytes.

    A step of its own before the others; none where the bytes take longer, as nearly always.
    """
    rates = link_rates(chip)

    def seconds(amounts: Amounts) -> float:
        both = [on_link(home, amount / pieces * cores) for home, amount in amounts]
        moved = [sum(column) for column in zip(*both, strict=True)]
        return max(a / r if a else 0.0 for a, r in zip(moved, rates, strict=True))

    wait = 0.0
    for amounts in (tuple(reads), (write,)):
        jobs = sum(descriptors(chip, home, amount, pieces) for home, amount in amounts)
        cycles = jobs * chip.overheads.descriptor_cycles / chip.overheads.dma_channels
        if cycles > 0.0:
            wait += max(0.0, cycles - seconds(amounts) * chip.f_hz)
    return (Phase(1, dma_cycles=wait),) if wait > 0.0 else ()


def map_streaming(
    layer: Layer,
    chip: Chip,
    homes: Homes,
    cores: int,
    room: float,
    watts: float = math.inf,
) -> LayerSchedule:
    """Schedule of a vector, movement or host layer, its work shared evenly by ``cores`` cores.

    ``watts`` weighs time against the energy of more descriptors, see :func:`chunks`.
    """
    for home, amount, stored in (
        (homes.W, stored_bytes(layer), False),
        (homes.I, layer.i_bytes, False),
        (homes.side, layer.side_bytes, False),
        (homes.O, layer.o_bytes, True),
    ):
        if amount:
            byte_price(chip, home, write=stored)
    share = 1.0 / cores
    reads = (
        (homes.W, stored_bytes(layer) * share),
        (homes.I, layer.i_bytes * share),
        (homes.side, layer.side_bytes * share),
    )
    write = (homes.O, layer.o_bytes * share)
    bits = max(bits_of(layer.i_format), bits_of(layer.o_format))
    cycles = 0.0
    if layer.kind == "vector":
        cycles = vector_cycles(chip, ((f, n * share) for f, n in layer.vector_ops), bits)
    pieces = chunks(chip, reads, write, cycles, room, cores, watts)
    phases, load, store, counts = pass_over(chip, reads, write, cycles, pieces)
    unit = "vector" if layer.kind == "vector" else "dma"
    if layer.kind == "host":
        unit = "host"
        operations = float(sum(n for _, n in layer.vector_ops))
        if operations and chip.host.ops_per_s <= 0.0:
            raise UnmappableError(
                f"layer {layer.name}: {chip.name} has no host to run {layer.op}",
                layer=layer.name,
                field="host",
                mend="give the chip a host processor",
            )
        host = operations / chip.host.ops_per_s * chip.f_hz if operations else 0.0
        phases = (*phases, Phase(1, host_cycles=host))
    counts = {action: amount * cores for action, amount in counts.items()}
    if layer.kind == "vector":
        merge(counts, vector_counts(((f, float(n)) for f, n in layer.vector_ops), bits))
    elif layer.kind == "host":
        add(counts, "host.op", float(sum(n for _, n in layer.vector_ops)))
    add(counts, "launch", float(cores))
    weights = stored_bytes(layer) / _chunks(phases)
    waiting = ends_wait(chip, reads, write, pieces, cores)
    fill_weight = on_link(homes.W, weights) if not layer.w_is_activation else NO_BYTES
    fill_other = tuple(max(0.0, a * cores - b) for a, b in zip(load, fill_weight, strict=True))
    return LayerSchedule(
        layer=layer.name,
        op=layer.op,
        kind=layer.kind,
        unit=unit,
        macs=0,
        cores=cores,
        launch_cycles=chip.overheads.launch_cycles,
        fill_weight=fill_weight,
        fill_other=fill_other,
        phases=(*waiting, *(_of_all_cores(phase, cores) for phase in phases)),
        drain=tuple(amount * cores for amount in store),
        counts=counts,
        ideal_cycles=0.0,
        loop_nest=(f"{layer.kind}: {_chunks(phases)} equal chunks through the buffer",),
        homes=homes.to_dict(),
        spare_bytes=room - sum(b for home, b in (*reads, write) if home != "buffer") / pieces,
    )


def _chunks(phases: tuple[Phase, ...]) -> int:
    """Chunks of a pass: its first phase holds all but the last one."""
    streamed = [phase for phase in phases if phase.host_cycles == 0.0]
    return streamed[0].count + 1 if len(streamed) > 1 else 1


def _of_all_cores(phase: Phase, cores: int) -> Phase:
    return replace(phase, link_bytes=tuple(b * cores for b in phase.link_bytes))
