"""How far from the best possible a network's program is: a bound of every plan, fusing and mapping.

Whatever stays on the chip and whatever runs fused, an inference takes at least the larger of two
times beside its call: that of all layers' work (array and vector unit side by side where layers may
run fused, in turn elsewhere, each at what the best of all unrollings makes of the layer), and that
of the bytes which must cross the DRAM's link. It takes at least the energy of all layers' work,
with one crossing of the buffer's edge by what cannot live in the buffer, and of those bytes.

Bytes that must cross: weights beyond all room on the chip, the network's inputs and outputs, and
activations: one larger than the store, and where those alive at once are more than the store
holds, the difference (over layers that have no activation alive in common, so that none is counted
twice). What may pass from layer to layer within a fused group needs no store.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import Objective, objective_value, plain, time_price_w
from dse.mapping.fusion.groups import in_groups
from dse.mapping.ir.certificate import Certificate
from dse.mapping.ir.homes import Home, Homes, byte_price, has_link, price_of, spills
from dse.mapping.ir.schedule import (
    LayerSchedule,
    Program,
    layer_latencies_s,
    link_rates,
    price,
    program_latency_s,
)
from dse.mapping.ir.starting import crossings, least_invoke_s
from dse.mapping.layer.certificate import certify_layer, objective_text, problems_of
from dse.mapping.layer.mapper import question
from dse.mapping.memory.plan import INSIDE_SHARES, SHARES
from dse.mapping.memory.tensors import Lifetime, tensors_of
from dse.mapping.network.bounds import edge_bytes, layer_j, layer_s, of_layers, roofline
from dse.mapping.network.fallback import on_chip
from dse.mapping.network.program import program_energy_j
from dse.mapping.search.proof import least_of
from dse.mapping.space.problem import Problem, least_input_elements
from dse.mapping.space.unrollings import banded_unit, every_unit
from dse.workload.layer import Layer, Workload
from dse.workload.parts import in_parts
from dse.workload.precision import bits_of

#: Boxes of tilings looked at for the energy of a layer.
EFFORT = 60
#: A hair less, so that rounding never lifts a bound.
_HAIR = 1.0 - 1e-9


class Least(NamedTuple):
    """What a layer takes at least: seconds of the array (or host) and of the vector unit, J."""

    array_s: float
    vector_s: float
    joules: float


@dataclass(frozen=True, slots=True)
class NetworkBound:
    """What an inference takes at least, under every memory plan, with whatever fused.

    Attributes:
        latency_s, energy_j: of any program; energy as the mapper counts it (``die_dram``, static
            power of the working cores included).
        compute_s, link_s: time of all work, and of the bytes that must cross the DRAM's link.
        dram_bytes: those bytes.
    """

    latency_s: float
    energy_j: float
    compute_s: float
    link_s: float
    dram_bytes: float


def certify_program(
    program: Program, workload: Workload, chip: Chip, objective: Objective, *, cores: int = 1
) -> Certificate:
    """What is proven of the program of a network.

    Args:
        cores: that the program might have taken.
    """
    least = network_bound(workload, chip, cores)
    kind = plain(objective)
    latency, energy = program_latency_s(program, chip), program_energy_j(program, chip)
    value = objective_value(kind, latency, energy)
    bound = min(value, objective_value(kind, least.latency_s, least.energy_j))
    name = kind if isinstance(kind, str) else objective_text(kind)
    return Certificate(name, value, bound)


def certify_layers(
    program: Program, workload: Workload, chip: Chip, objective: Objective
) -> dict[str, Certificate]:
    """What is proven of the compute layers that run alone, by name, where their operands live.

    Compared is what the layer adds to the network (energy and increment of completion time, at the
    network's price of time, or that of them which the objective counts) with the least of any
    mapping in its place whose first weights were all loaded before.
    """
    if not program.room_bytes:  # laid out in space: no plan gave the layers room in turn
        return {}
    workload = on_chip(workload, chip)
    if program.parts > 1:
        workload = in_parts(workload, program.parts) or workload
    kind: Objective = plain(objective)
    latency, energy = program_latency_s(program, chip), program_energy_j(program, chip)
    watts = time_price_w(kind, latency, energy) or 0.0
    if kind != "latency":
        kind = "energy"
    name = f"energy + {watts:.3g} W * latency" if watts else str(kind)
    times = layer_latencies_s(program, chip)
    out: dict[str, Certificate] = {}
    for number, (made, layer) in enumerate(zip(program.schedules, workload.layers, strict=True)):
        if layer.kind != "compute" or made.fused:
            continue
        asked = question(
            layer, chip, kind, homes=_homes_of(made), cores=program.cores,
            room_bytes=program.room_bytes[number], l2_room_bytes=program.l2_room_bytes,
            exposed=0.0, time_price_w=watts, legal=program.legality == "legal", uneven=True,
        )  # fmt: skip
        value = seconds = times[number] / program.parts
        if kind == "energy":
            joules = sum(price(made.counts, chip).values()) / program.parts
            value = joules + (chip.mapping_static_w + watts) * seconds
        bound = certify_layer(layer, chip, asked).certificate.bound
        out[made.layer] = Certificate(name, value, min(bound, value))
    return out


def _homes_of(made: LayerSchedule) -> Homes:
    where: dict[str, Any] = dict(made.homes)
    return Homes(**where)


def network_bound(workload: Workload, chip: Chip, cores: int = 1) -> NetworkBound:
    """Bounds that no program of :func:`dse.mapping.map_network` can beat.

    Raises:
        UnmappableError: no unit runs a layer's formats or functions.
    """
    rough = roofline(workload, chip, cores)
    if chip.execution == "pipelined":  # no layer waits for the one before: the roofline alone holds
        return NetworkBound(
            rough.latency_s, rough.energy_j, rough.compute_s, rough.link_s, rough.dram_bytes
        )
    workload = on_chip(workload, chip)
    fuses = chip.buffer.fuses and chip.buffer.parts is None
    grouped = in_groups(workload) if fuses else frozenset()
    alone = of_layers(workload, lambda layer: _least(layer, chip, grouped=False))
    fused = of_layers(workload, lambda layer: _least(layer, chip, grouped=True)) if fuses else alone
    least = [(fused if n in grouped else alone)[n] for n in range(len(workload.layers))]
    apart = sum(max(one[:2]) for n, one in enumerate(least) if n not in grouped)
    arrays = sum(least[n].array_s for n in grouped)
    vectors = sum(least[n].vector_s for n in grouped)
    launched = sum(layer.kind == "compute" for layer in workload.layers)
    launches = launched * chip.overheads.launch_cycles / chip.f_hz
    changes = sum(crossings([layer.kind == "host" for layer in workload.layers]))
    call = chip.overheads.invoke_s
    begun = max(call + launches, least_invoke_s(chip, language=workload.language))
    compute = (apart + max(arrays, vectors)) / cores
    outside = _outside(workload, chip, cores, grouped)
    rate = link_rates(chip)[0]
    link = outside.bytes / rate if rate > 0.0 else 0.0
    start = begun + changes * chip.overheads.crossing_s
    latency = max(rough.latency_s, start + compute, call + link) * _HAIR
    dynamic = sum(one.joules for one in least) + outside.joules
    dynamic = max(rough.dynamic_j, dynamic) * _HAIR
    energy = dynamic + chip.mapping_static_w * latency
    return NetworkBound(latency, energy, compute, link, outside.bytes)


def _least(layer: Layer, chip: Chip, *, grouped: bool) -> Least:
    """The least of one layer in any home, on one core; ``grouped``: it may run in a fused group."""
    array, vector = layer_s(layer, chip, 1)
    joules = layer_j(layer, chip)
    if layer.nest is None:
        return Least(array, vector, joules)
    ways = _homes(layer, chip, grouped=grouped)
    times = []
    for homes in ways[:1] if grouped else ways:
        for problem in _problems(layer, chip, homes):
            units, fewest = banded_unit(problem) if grouped else every_unit(problem)[:2]
            busy = float(fewest / problem.c[k.C_RATE] / chip.f_hz)
            if not grouped:
                busy = least_of(problem, "latency", units, fewest) - float(problem.c[k.C_LAT0])
            times.append(busy)
    energies = []
    for homes in _cheapest(ways, chip):
        for problem in _problems(layer, chip, homes):
            units, fewest = banded_unit(problem) if grouped else every_unit(problem)[:2]
            # (A pass after the layer may be cut into fewer chunks, and take fewer descriptors.)
            jobs = problem.fixed_counts.get("descriptor", 0.0)
            spare = jobs * price_of(chip, "descriptor") if jobs else 0.0
            energies.append(least_of(problem, "energy", units, fewest, EFFORT) - spare)
    if not times:
        return Least(array, vector, joules)
    return Least(max(array, min(times)), vector, max(joules, min(energies)))


def _cheapest(ways: list[Homes], chip: Chip) -> list[Homes]:
    """The homes with the least energy a byte of every operand, if there are such; else all."""
    places: list[list[Home]] = [[], [], [], []]
    for at, found in enumerate(zip(*ways, strict=True)):
        every = tuple(dict.fromkeys(found))
        prices = [
            (
                byte_price(chip, home, write=False),
                byte_price(chip, home, write=True) if at == 2 else 0.0,
            )
            for home in every
        ]
        least = tuple(min(price[n] for price in prices) for n in range(2))
        best = [home for home, price in zip(every, prices, strict=True) if price == least]
        places[at] = best[:1] or list(every)
    return [Homes(*found) for found in itertools.product(*places)]


def _problems(layer: Layer, chip: Chip, homes: Homes) -> list[Problem]:
    """The ways in which a layer may run on one core, at no price of time, with room for all."""
    asked = question(
        layer, chip, "energy", homes=homes, cores=1, room_bytes=1e18, l2_room_bytes=0.0,
        exposed=0.0, time_price_w=0.0, legal=False, uneven=True,
    )  # fmt: skip
    made = []
    try:
        problems = problems_of(layer, chip, asked)
    except UnmappableError:
        return []
    for problem in problems:
        c = problem.c.copy()
        c[k.C_STATIC] = 0.0
        made.append(Problem.of(problem, c=c))
    return made


def _homes(layer: Layer, chip: Chip, *, grouped: bool) -> list[Homes]:
    """Homes that operands of a layer may have on a chip, those that cost least."""
    store: Home = "l2" if has_link(chip, "l2") else "buffer"
    weights: list[Home] = [store]
    others: list[Home] = [store]
    if store == "buffer" and _store_bytes(chip, 1) == 0.0:
        weights, others = ["dram"], ["dram"]
    elif store != "buffer" and has_link(chip, "dram"):
        weights.append("dram")
        if spills(chip):
            others.append("dram")
    if has_link(chip, "nvm") and not layer.w_is_activation:
        weights.append("nvm")
    if grouped:  # what passes within the group never leaves the buffer
        others = ["buffer"]
        if layer.w_is_activation:
            weights = ["buffer"]
    return [Homes(w, i, o, s) for w, i, o, s in itertools.product(weights, others, others, others)]


def _store_bytes(chip: Chip, cores: int) -> float:
    """Most bytes that a memory plan keeps on the chip, NVM left out."""
    if has_link(chip, "l2"):
        return float(chip.links["l2"].capacity_bytes)
    share = 1.0
    if spills(chip):
        if not chip.buffer.keeps_results:
            share = 0.0
        else:
            share = max(SHARES if chip.links["dram"].holds_activations else INSIDE_SHARES)
    return float(chip.buffer.capacity_bytes) * cores * share


class _Outside(NamedTuple):
    """Least bytes that an inference reads from DRAM and writes to it, and their least energy, J,
    beyond what the layers' bounds count of them."""

    bytes: float
    joules: float


def _outside(workload: Workload, chip: Chip, cores: int, grouped: frozenset[int]) -> _Outside:
    """What must cross the DRAM's link, however the store is shared out to weights and activations.

    With ``kept`` bytes for weights the rest of them is read, and activations find so much less
    room: both are least at one of few ``kept``, as they rise and fall in straight lines.
    """
    if not has_link(chip, "dram"):
        return _Outside(0.0, 0.0)
    read, written, stored = edge_bytes(workload, chip)
    store = _store_bytes(chip, cores)
    spares = has_link(chip, "nvm")
    stored = max(0.0, stored - (chip.links["nvm"].capacity_bytes if spares else 0.0))
    kept = [0.0] if chip.links["dram"].streams_weights else [0.0, store, min(store, stored)]
    groups: list[_Alive] = []
    if spills(chip) and chip.links["dram"].holds_activations:
        large, groups = _alive(workload, store, grouped)
        read, written = read + large.read, written + large.written
        if len(kept) > 1:
            kept += [store - one.bytes for one in groups if 0.0 < one.bytes < store]
    read_j, write_j = _prices(chip)
    found = []
    for room in kept:
        more_read, more_written = read + max(0.0, stored - room), written
        for one in groups:
            over = max(0.0, one.bytes - (store - room))
            more_read, more_written = more_read + over * one.read, more_written + over * one.written
        moved = more_read + more_written
        found.append(_Outside(moved, more_read * read_j + more_written * write_j))
    return _Outside(min(one.bytes for one in found), min(one.joules for one in found))


class _Alive(NamedTuple):
    """Activations alive at one time: their bytes, and the bytes read and written at least for each
    of them that is outside."""

    bytes: float
    read: float
    written: float


def _alive(
    workload: Workload, store: float, grouped: frozenset[int]
) -> tuple[_Alive, list[_Alive]]:
    """Activations that are outside for being larger than the store, and those that are alive
    together, none of them at two of the times."""
    inner = [
        life
        for life in tensors_of(workload).inner
        if life.name not in workload.outputs and not _passes_on(life, grouped)
    ]
    read = {life.name: _least_read_share(workload, life) for life in inner}
    made = {life.name: _written_share(workload.layers[life.first], life) for life in inner}
    large = [life for life in inner if life.bytes > store]
    outside = _Alive(
        sum(life.bytes for life in large),
        sum(life.bytes * read[life.name] for life in large),
        sum(life.bytes * made[life.name] for life in large),
    )
    groups = [
        _Alive(
            sum(life.bytes for life in alive),
            min(read[life.name] for life in alive),
            min(made[life.name] for life in alive),
        )
        for alive in _apart([x for x in inner if x.bytes <= store], len(workload.layers))
    ]
    return outside, groups


def _passes_on(life: Lifetime, grouped: frozenset[int]) -> bool:
    """Whether an activation may pass from layer to layer within a group."""
    return life.first in grouped and life.last in grouped


def _least_read_share(workload: Workload, life: Lifetime) -> float:
    """Share of an activation that its readers must at least read, of one of them."""
    shares = [0.0]
    for number, reads in enumerate(tensors_of(workload).reads):
        layer = workload.layers[number]
        if reads.main == (life.name,) and layer.nest is not None:
            need = least_input_elements(layer) * bits_of(layer.i_format) / 8
            shares.append(min(1.0, need / life.bytes) if life.bytes else 0.0)
    return max(shares)


def _written_share(layer: Layer, life: Lifetime) -> float:
    """Share of an activation that the layer which makes it writes."""
    if life.name not in layer.outputs or not life.bytes:
        return 0.0
    return min(1.0, layer.o_bytes / life.bytes)


def _apart(lives: list[Lifetime], layers: int) -> list[list[Lifetime]]:
    """Activations alive at some layers, of which none is alive at two; the fullest first."""
    alive: list[list[Lifetime]] = [[] for _ in range(layers)]
    for life in lives:
        for number in range(life.first, life.last + 1):
            alive[number].append(life)
    taken: set[str] = set()
    out = []
    for group in sorted(alive, key=lambda group: -sum(life.bytes for life in group)):
        if group and taken.isdisjoint(life.name for life in group):
            taken.update(life.name for life in group)
            out.append(group)
    return out


def _prices(chip: Chip) -> tuple[float, float]:
    """Energy of a byte read from DRAM and written to it beyond that of the store, of which the
    layers' bounds count at most as much, J."""
    near: Home = "l2" if has_link(chip, "l2") else "buffer"
    if near == "buffer" and _store_bytes(chip, 1) == 0.0:
        near = "dram"
    read, write = (byte_price(chip, "dram", write=False) - byte_price(chip, near, write=False), 0.0)
    if spills(chip):
        write = byte_price(chip, "dram", write=True) - byte_price(chip, near, write=True)
    return max(0.0, read), max(0.0, write)
