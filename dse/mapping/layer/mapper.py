"""The mapper: the best schedule of one layer on a chip, remembered by what it depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.kinds import one_kind
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import Objective, objective_code, plain
from dse.mapping.cost.streaming import map_streaming
from dse.mapping.cost.zeros import winograd_fits
from dse.mapping.ir.homes import Homes, default_homes, resident_bytes
from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer.build import Draft, schedule_of
from dse.mapping.layer.disk import disk_cache
from dse.mapping.search.best import Found, best_mapping
from dse.mapping.search.placement import Placement, evaluate
from dse.mapping.space.choices import Factors
from dse.mapping.space.legal import check_profile
from dse.mapping.space.problem import Problem, forget_problems, pack
from dse.mapping.space.shape import chip_number, layer_number
from dse.registry import Remembered
from dse.workload.layer import DIMS, Layer

#: Dims along which a layer may be split over cores.
SPLITS = ("K", "OY", "OX", "B", "G")
CACHE_SIZE = 32768
ROOMY_SIZE = 4096


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How often a mapping was remembered, and how many are; misses found on disk are hits there."""

    hits: int
    misses: int
    size: int
    disk_hits: int = 0
    disk_misses: int = 0


class _Cache(Remembered):
    """Least recently used mappings, and how often they were asked for."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.hits = self.misses = 0

    def get(self, key: object) -> Draft | LayerSchedule | None:
        with self._lock:
            if key not in self._store:
                self.misses += 1
                return None
            self.hits += 1
            self._store.move_to_end(key)
            found: Draft | LayerSchedule = self._store[key][0]
            return found

    def clear(self) -> None:
        super().clear()
        self.hits = self.misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(self.hits, self.misses, len(self._store))


_cache = _Cache("mapping.layer.mapper.mappings", CACHE_SIZE)
#: The last mappings searched, by layer, chip and question without its room.
_roomy = Remembered("mapping.layer.mapper.roomy", ROOMY_SIZE)


def cache_statistics() -> CacheStatistics:
    """Hits, misses and size of the mapping cache of this process, and of that on disk."""
    found, disk = _cache.statistics, disk_cache()
    return found if disk is None else replace(found, disk_hits=disk.hits, disk_misses=disk.misses)


def clear_cache() -> None:
    """Forget all mappings, and the problems packed for them."""
    _cache.clear()
    _roomy.clear()
    forget_problems()


def map_layer(
    layer: Layer,
    chip: Chip,
    objective: Objective = "edp",
    *,
    homes: Homes | None = None,
    cores: int = 1,
    room_bytes: float | None = None,
    l2_room_bytes: float | None = None,
    exposed: float = 1.0,
    time_price_w: float = 0.0,
    legal: bool = False,
    uneven: bool = True,
    spread: int | None = None,
) -> LayerSchedule:
    """The best schedule of a layer within the map space of ``docs/mapping.md``.

    Args:
        objective: ``edp``, ``latency`` or ``energy``, or a product of their powers such as
            ``energy*latency^2`` (see :mod:`dse.mapping.cost.objectives`); ties of energy go to less
            latency, all others to less energy. Energy is counts times the chip's prices plus
            ``chip.mapping_static_w`` times latency.
        homes: where the operands live; by default :func:`default_homes`.
        cores: cores the layer is split over.
        room_bytes: buffer of one core available to tiles; by default all of it, less the operands
            whose home is ``buffer``.
        l2_room_bytes: L2 available to tiles of this layer; by default all of it, less the operands
            whose home is ``l2``, for a layer alone, and none if ``room_bytes`` is given.
        exposed: share of the first weights' fill that the objective counts as time: 1 for a layer
            alone, 0 for one whose first weights the network has prefetched. A layer without a loop
            nest then takes the fewest chunks: long steps hide most of the next layer's weights.
        time_price_w: J per s of latency that the objective counts on top of the static power.
        legal: whether only what the chip's compiler can express (``chip.legality``) is searched.
            Otherwise its tile sizes are tried besides the mapper's own, so that a legal mapping is
            never better than the ideal one.
        uneven: whether operands may be held in the buffer beyond their tile.
        spread: cores over whose buffers lies what has its home there, by default all ``cores``,
            which fetch from each other what they lack (:mod:`dse.mapping.space.exchange`). 1: each
            has all that it needs.

    Raises:
        UnmappableError: no unit runs the layer, or its smallest tile does not fit.
        InputError: unknown objective, a home the chip lacks, more cores than the chip has, a chip
            with several kinds of cores (give the view of one), or ``legal`` on a chip that does not
            say what its compiler can express.
    """
    found = draft_layer(
        layer, chip, objective, homes=homes, cores=cores, room_bytes=room_bytes,
        l2_room_bytes=l2_room_bytes, exposed=exposed, time_price_w=time_price_w, legal=legal,
        uneven=uneven, spread=spread,
    )  # fmt: skip
    return schedule_of(found).renamed(layer.name, layer.op)


def draft_layer(
    layer: Layer,
    chip: Chip,
    objective: Objective,
    *,
    homes: Homes | None,
    cores: int,
    room_bytes: float | None,
    l2_room_bytes: float | None,
    exposed: float,
    time_price_w: float,
    legal: bool,
    uneven: bool,
    spread: int | None = None,
) -> Draft | LayerSchedule:
    """What :func:`map_layer` gives, its schedule not made yet, for a layer of this shape."""
    asked = question(
        layer, chip, objective, homes=homes, cores=cores, room_bytes=room_bytes,
        l2_room_bytes=l2_room_bytes, exposed=exposed, time_price_w=time_price_w, legal=legal,
        uneven=uneven, spread=spread,
    )  # fmt: skip
    return draft_of(layer, chip, asked)


def question(
    layer: Layer,
    chip: Chip,
    objective: Objective,
    *,
    homes: Homes | None,
    cores: int,
    room_bytes: float | None,
    l2_room_bytes: float | None,
    exposed: float,
    time_price_w: float,
    legal: bool,
    uneven: bool,
    spread: int | None = None,
) -> Asked:
    """The question that arguments of :func:`map_layer` mean, its defaults filled in."""
    objective = plain(objective)
    one_kind(chip)
    if legal:
        check_profile(chip)
    if not 1 <= cores <= chip.cores:
        raise InputError(
            f"{cores} cores asked of chip {chip.name}, which has {chip.cores}",
            field="cores",
            mend=f"use 1 to {chip.cores}",
        )
    homes = homes or default_homes(layer, chip)
    if l2_room_bytes is None:
        l2_room_bytes = default_l2_room(layer, chip, homes) if room_bytes is None else 0.0
    room = default_room(layer, chip, homes) if room_bytes is None else float(room_bytes)
    fresh = layer.w_is_activation and layer.kind == "compute"
    weights = (1.0 if fresh else float(exposed), float(time_price_w))
    l2_room = max(float(l2_room_bytes), 0.0)
    return Asked(homes, objective, cores, spread or cores, room, l2_room, weights, legal, uneven)


def draft_of(layer: Layer, chip: Chip, asked: Asked) -> Draft | LayerSchedule:
    """The answer to a question about a layer of this shape, remembered or searched."""
    homes, cores, room, weights = asked.homes, asked.cores, asked.room, asked.weights
    # The number of a chip stands for its view, which takes long to hash.
    key = (layer_number(layer), chip_number(chip), asked)
    found = _cache.get(key)
    if found is None:
        disk = disk_cache() if layer.kind == "compute" else None
        whole = (layer.mapping_view, chip.mapping_view, asked) if disk else None
        found = disk.get(whole) if disk else None
        if found is not None:
            return _cache.put(key, found)
        if layer.kind == "compute":
            found = fitted(layer, chip, asked)
            if disk:
                disk.put(whole, schedule_of(found))
        else:
            watts = math.inf
            if weights[0] < 1.0:
                watts = 0.0
            elif asked.objective == "energy":
                watts = chip.mapping_static_w + weights[1]
            found = map_streaming(layer, chip, homes, cores, room, watts)
        _cache.put(key, found)
    return found


def default_room(layer: Layer, chip: Chip, homes: Homes) -> float:
    """Buffer of one core left to tiles of a layer alone, bytes."""
    resident = resident_bytes(layer, homes, "buffer")
    room = chip.buffer.capacity_bytes - resident
    if room < 0.0:
        raise UnmappableError(
            f"layer {layer.name}: its resident operands need {resident:.0f} bytes of the buffer, "
            f"which has {chip.buffer.capacity_bytes}",
            layer=layer.name,
            field="buffer.bytes",
            mend="enlarge the buffer or add DRAM or L2",
        )
    return room


def default_l2_room(layer: Layer, chip: Chip, homes: Homes) -> float:
    """L2 left to tiles of a layer alone, bytes."""
    if "l2" not in chip.links:
        return 0.0
    return chip.links["l2"].capacity_bytes - resident_bytes(layer, homes, "l2")


class Asked(NamedTuple):
    """What a layer is mapped for on a chip; ``weights`` are ``exposed`` and ``time_price_w``."""

    homes: Homes
    objective: Objective
    cores: int
    spread: int
    room: float
    l2_room: float
    weights: tuple[float, float]
    legal: bool
    uneven: bool


#: Where the room is in it.
ROOM = Asked._fields.index("room")


def fitted(layer: Layer, chip: Chip, asked: Asked) -> Draft:
    """The best mapping; it is that of more room, if one is known and it fits.

    Less room only takes mappings away, and the best is still there. Searched are layers with a pass
    after them, which is cut by the room, and what may be found among a compiler's tiles, which take
    whole banks.
    """
    key = (layer_number(layer), chip_number(chip), (*asked[:ROOM], *asked[ROOM + 1 :]))
    known: Draft | None = _roomy.get(key)
    if known is not None and known.footprint_bytes <= asked.room <= known.problem.room:
        return known.in_room(asked.room)
    made = Draft(*_map_compute(layer, chip, asked))
    if not made.problem.tail and (asked.legal or not chip.legality.limits_tiles):
        _roomy.put(key, made)
    return made


def _map_compute(layer: Layer, chip: Chip, asked: Asked) -> tuple[Problem, Placement]:
    """The best mapping of a compute layer, in all ways that it may run."""
    assert layer.nest is not None
    homes, room, weights = asked.homes, asked.room, asked.weights
    number = objective_code(asked.objective)
    best: tuple[tuple[float, float], Problem, Found] | None = None
    failed: Problem | None = None
    ways = ways_of(layer, chip, legal=asked.legal)
    for sizes, used in splits(layer.nest.sizes, asked.cores):
        for legal, winograd in ways:
            problem = pack(
                layer, chip, homes, room, sizes, used, *weights,
                legal=legal, winograd=winograd, spread=asked.spread,
            )  # fmt: skip
            found = best_mapping(
                problem, asked.objective, outer_room=asked.l2_room / used, uneven=asked.uneven
            )
            if found is None:
                failed = failed or problem
                continue
            score = found.keys
            if used > 1:
                result = evaluate(problem, found.placement)
                first, second = k.keys(result.latency_s, result.energy_j * used, number)
                score = (float(first), float(second))
            if best is None or score < best[0]:
                best = (score, problem, found)
    if best is None:
        assert failed is not None
        raise _unfit(failed)
    problem = best[1]
    if problem.legal and not asked.legal:
        used, winograd = problem.cores, problem.saved.winograd
        problem = pack(
            layer, chip, homes, room, problem.sizes, used, *weights,
            winograd=winograd, spread=asked.spread,
        )  # fmt: skip
    return problem, best[2].placement


def ways_of(layer: Layer, chip: Chip, *, legal: bool) -> list[tuple[bool, bool]]:
    """The ways in which a compute layer may run: ``legal`` tile sizes or not, Winograd or not."""
    assert layer.nest is not None
    limits = (legal,) if legal or not chip.legality.limits_tiles else (False, True)
    direct = (False, True) if winograd_fits(layer.nest, chip.array) else (False,)
    return [(limit, winograd) for limit in limits for winograd in direct]


def splits(sizes: Factors, cores: int) -> Iterator[tuple[Factors, int]]:
    """Parts of one core and how many cores work: unsplit, and cut along each possible dim."""
    yield sizes, 1
    for dim in SPLITS if cores > 1 else ():
        d = DIMS.index(dim)
        part = -(-sizes[d] // cores)
        used = -(-sizes[d] // part)
        if used > 1:
            yield (*sizes[:d], part, *sizes[d + 1 :]), used


def _unfit(problem: Problem) -> UnmappableError:
    """The error of a layer whose smallest tile overflows the buffer."""
    ones = np.ones(8) if problem.registers else None
    need, largest, most = min(
        evaluate(problem, Placement(row, problem.smallest_tile, int(flow), 0, ones)).need
        for row in problem.spatial
        for flow in problem.flows
    )
    tile = "smallest tile that the compiler can express" if problem.legal else "smallest tile"
    return UnmappableError(
        f"layer {problem.layer.name}: its {tile} needs {need:.0f} bytes of the buffer "
        f"({largest} {most:.0f}), the room is {problem.room:.0f}",
        layer=problem.layer.name,
        field="buffer.bytes",
        mend="enlarge the buffer or keep less resident in it",
    )
