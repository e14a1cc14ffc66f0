"""The mapper: the best schedule of one layer on a chip, remembered by what it depends on."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.mapping import Objective, kernel
from dse.mapping import costs as k
from dse.mapping.build import evaluate, schedule
from dse.mapping.compiling import COMPILED
from dse.mapping.homes import Homes, byte_price, default_homes, stored_bytes
from dse.mapping.problem import Problem, pack
from dse.mapping.schedule import LayerSchedule
from dse.mapping.space import Factors
from dse.mapping.streaming import map_streaming
from dse.workload.layer import DIMS, Layer

#: Dims along which a layer may be split over cores.
SPLITS = ("K", "OY", "OX", "B", "G")
CACHE_SIZE = 32768


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How often a mapping was remembered, and how many are."""

    hits: int
    misses: int
    size: int


class _Cache:
    """Least recently used mappings, safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._store: OrderedDict[object, LayerSchedule] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def get(self, key: object) -> LayerSchedule | None:
        with self._lock:
            found = self._store.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._store.move_to_end(key)
            return found

    def put(self, key: object, value: LayerSchedule) -> None:
        with self._lock:
            self._store[key] = value
            if len(self._store) > self._limit:
                self._store.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._store.clear()
            self.hits = self.misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(self.hits, self.misses, len(self._store))


_cache = _Cache(CACHE_SIZE)


def cache_statistics() -> CacheStatistics:
    """Hits, misses and size of the mapping cache of this process."""
    return _cache.statistics


def clear_cache() -> None:
    """Forget all mappings."""
    _cache.clear()


def map_layer(
    layer: Layer,
    chip: Chip,
    objective: Objective = "edp",
    *,
    homes: Homes | None = None,
    cores: int = 1,
    room_bytes: float | None = None,
    exposed: float = 1.0,
    time_price_w: float = 0.0,
) -> LayerSchedule:
    """The best schedule of a layer within the map space of ``docs/mapping.md``.

    Args:
        objective: ``edp``, ``latency`` or ``energy``; ties of latency and EDP go to less energy,
            ties of energy to less latency. Energy is counts times the chip's prices plus
            ``chip.mapping_static_w`` times latency.
        homes: where the operands live; by default :func:`default_homes`.
        cores: cores the layer is split over.
        room_bytes: buffer of one core available to tiles; by default all of it, less the operands
            whose home is ``buffer``.
        exposed: share of the first weights' fill that the objective counts as time: 1 for a layer
            alone, 0 for one whose first weights the network has prefetched. A layer without a loop
            nest then takes the fewest chunks: long steps hide most of the next layer's weights.
        time_price_w: J per s of latency that the objective counts on top of the static power.

    Raises:
        UnmappableError: no unit runs the layer, or its smallest tile does not fit.
        InputError: unknown objective, a home the chip lacks, more cores than the chip has.
    """
    if objective not in get_args(Objective):
        raise InputError(
            f"unknown objective {objective!r}", field="objective", mend="use edp, latency or energy"
        )
    if not 1 <= cores <= chip.cores:
        raise InputError(
            f"{cores} cores asked of chip {chip.name}, which has {chip.cores}",
            field="cores",
            mend=f"use 1 to {chip.cores}",
        )
    homes = homes or default_homes(layer, chip)
    room = _default_room(layer, chip, homes) if room_bytes is None else float(room_bytes)
    fresh = layer.w_is_activation and layer.kind == "compute"
    weights = (1.0 if fresh else float(exposed), float(time_price_w))
    key = (layer.shape_key, chip.slice_key, homes, objective, cores, room, weights)
    found = _cache.get(key)
    if found is None:
        if layer.kind == "compute":
            found = _map_compute(layer, chip, objective, homes, cores, room, weights)
        else:
            watts = math.inf
            if weights[0] < 1.0:
                watts = 0.0
            elif objective == "energy":
                watts = chip.mapping_static_w + weights[1]
            found = map_streaming(layer, chip, homes, cores, room, watts)
        _cache.put(key, found)
    return found.renamed(layer.name, layer.op)


def _default_room(layer: Layer, chip: Chip, homes: Homes) -> float:
    resident = sum(
        amount
        for home, amount in (
            (homes.W, stored_bytes(layer)),
            (homes.I, layer.i_bytes),
            (homes.O, layer.o_bytes),
            (homes.side, layer.side_bytes),
        )
        if home == "buffer"
    )
    room = chip.buffer.capacity_bytes - resident
    if room < 0.0:
        raise UnmappableError(
            f"layer {layer.name}: its resident operands need {resident:.0f} bytes of the buffer, "
            f"which has {chip.buffer.capacity_bytes}",
            field="buffer.bytes",
            mend="enlarge the buffer or add DRAM or L2",
        )
    return room


def _map_compute(
    layer: Layer,
    chip: Chip,
    objective: Objective,
    homes: Homes,
    cores: int,
    room: float,
    weights: tuple[float, float],
) -> LayerSchedule:
    assert layer.nest is not None
    byte_price(chip, homes.W, write=False)
    number = k.OBJECTIVES.index(objective)
    best: tuple[tuple[float, float], Problem, Any] | None = None
    failed: Problem | None = None
    for sizes, used in _splits(layer.nest.sizes, cores):
        problem = pack(layer, chip, homes, room, sizes, used, *weights)
        found = search(problem, objective)
        if found[0] < 0:
            failed = problem
            continue
        if cores == 1:
            return schedule(problem, found)
        tiles = [int(problem.tiles[d, found[1 + d]]) for d in range(6)]
        result = evaluate(
            problem, problem.spatial[found[0]], tiles, int(problem.flows[found[7]]), int(found[8])
        )
        score = k.keys(result.latency_s, result.energy_j * used, number)
        if best is None or score < best[0]:
            best = (score, problem, found)
    if best is None:
        assert failed is not None
        raise _unfit(failed)
    return schedule(best[1], best[2])


def _splits(sizes: Factors, cores: int) -> Iterator[tuple[Factors, int]]:
    """Parts of one core and how many cores work: unsplit, and cut along each possible dim."""
    yield sizes, 1
    for dim in SPLITS if cores > 1 else ():
        d = DIMS.index(dim)
        part = -(-sizes[d] // cores)
        used = -(-sizes[d] // part)
        if used > 1:
            yield (*sizes[:d], part, *sizes[d + 1 :]), used


def search(problem: Problem, objective: Objective, *, compiled: bool | None = None) -> Any:
    """Indices of the best mapping (see ``kernel.search``); all -1 if none fits.

    Args:
        compiled: whether Numba does it; by default if it is there (``DSE_MAPPER=numpy`` in the
            environment turns it off). Both ways find the same mapping.
    """
    run = kernel.search if (COMPILED if compiled is None else compiled) else kernel.search_numpy
    return run(problem.c, k.OBJECTIVES.index(objective), *problem.arguments)


def _unfit(problem: Problem) -> UnmappableError:
    """The error of a layer whose smallest tile overflows the buffer."""
    smallest = [1] * 6
    best = min(
        (
            evaluate(problem, row, smallest, int(flow), order).footprint
            for row in problem.spatial
            for flow in problem.flows
            for order in range(3)
        ),
        key=lambda f: float(sum(f)),
    )
    need = float(sum(best))
    sizes = {name: float(b) for name, b in zip(("W", "I", "O", "side input"), best, strict=True)}
    largest = max(sizes, key=lambda name: sizes[name])
    return UnmappableError(
        f"layer {problem.layer.name}: its smallest tile needs {need:.0f} bytes of the buffer "
        f"({largest} {sizes[largest]:.0f}), the room is {problem.room:.0f}",
        field="buffer.bytes",
        mend="enlarge the buffer or keep less resident in it",
    )


def warm_up() -> None:
    """Compile the search, or load it from Numba's disk cache (seconds when it is cold).

    Call it where a wait can be announced; otherwise the first compute layer pays for it.
    """
    if COMPILED:
        ones, one = np.ones((1, 13)), np.ones(6, np.int64)
        shape = (np.ones(6), np.ones((6, 1)), one, np.ones(6), np.ones(6))
        kernel.search(np.ones(k.CONSTANTS), 0, np.zeros(1, np.int64), ones, *shape)
