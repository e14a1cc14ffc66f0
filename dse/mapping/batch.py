"""Many chips at once: the best mapping of each layer on each of thousands of chips.

Chips that differ in capacity, clock, bandwidths, prices and fixed costs only share the shape of the
map space: unrollings, tiles, and all counts of a mapping. For those a *table* of candidate mappings
is made per layer: the optima of some of the chips, spread over the range of all of them. A chip is
then a pass over the table, by the same cost functions that the mapper uses.

What the table gives is a mapping that fits and costs what it says, so never better than the
optimum; it *is* the optimum where one of the probes' optima is, which the record's ``exact`` says
chip by chip for those that were searched, and ``gap`` estimates for the rest from chips drawn at
random. With ``exact=True`` every chip is searched.

Homes are those of a layer mapped alone (:func:`default_homes`), of one core. Layers without a loop
nest and layers on chips with an L2 in the way of tiling are mapped chip by chip.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.mapping import Objective, kernel
from dse.mapping import costs as k
from dse.mapping.build import schedule
from dse.mapping.chain import item
from dse.mapping.compiling import COMPILED, Function, compiled
from dse.mapping.homes import Homes, default_homes
from dse.mapping.mapper import map_layer
from dse.mapping.problem import Problem, pack
from dse.mapping.rows import constants, shape_of
from dse.mapping.schedule import LayerSchedule
from dse.workload.layer import Layer, Workload

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: Chips of a shape searched in full to make the table of a layer.
PROBES = 32
#: Further chips, drawn at random, that say how far the table is from the optimum.
CHECKS = 8
#: Fewest chips of a shape for which a table is made; fewer are all searched.
TABLE_FROM = 64


@dataclass(frozen=True)
class BatchResult:
    """Layers by chips.

    Attributes:
        layers: names of the distinct layers, in order of first appearance.
        times: how often each of them occurs.
        latency_s, energy_j: layer x chip, of the layer alone on one core; energy includes
            ``mapping_static_w`` times latency. Infinite where the layer cannot run.
        exact: layer x chip, whether the mapping is known to be the optimum.
        gap: largest excess of the objective over the optimum among the chips checked at random.
        searched: how many (layer, chip) pairs were searched in full.
    """

    layers: tuple[str, ...]
    times: tuple[int, ...]
    latency_s: FloatArray
    energy_j: FloatArray
    exact: Any
    gap: float
    searched: int

    @property
    def network_latency_s(self) -> FloatArray:
        """Per chip: sum over all layers, each alone (no residency, prefetch or fusion), s."""
        return np.asarray(np.array(self.times, np.float64) @ self.latency_s, np.float64)

    @property
    def network_energy_j(self) -> FloatArray:
        """Per chip: the same sum of energies, J."""
        return np.asarray(np.array(self.times, np.float64) @ self.energy_j, np.float64)


def map_batch(
    layers: Workload | Sequence[Layer],
    chips: Sequence[Chip],
    objective: Objective = "edp",
    *,
    exact: bool = False,
    probes: int = PROBES,
    seed: int = 0,
) -> BatchResult:
    """Best mappings of layers on many chips.

    Args:
        layers: a network or layers; equal ones are mapped once.
        chips: any chips; those of one array shape share tables.
        objective: ``edp``, ``latency`` or ``energy``, with the tie-breaks of ``map_layer``.
        exact: search every chip instead of using tables.
        probes: chips of a shape searched for a table.
        seed: of the chips that are checked.

    Raises:
        InputError: no chips, or an unknown objective.
    """
    if not chips:
        raise InputError("no chips to map on", field="chips", mend="give at least one")
    if objective not in k.OBJECTIVES:
        raise InputError(
            f"unknown objective {objective!r}", field="objective", mend="use edp, latency or energy"
        )
    found: dict[object, list[Any]] = {}
    for layer in layers.layers if isinstance(layers, Workload) else layers:
        found.setdefault(layer.shape_key, [layer, 0])[1] += 1
    distinct = [layer for layer, _ in found.values()]
    shape = (len(distinct), len(chips))
    latency, energy = np.full(shape, np.inf), np.full(shape, np.inf)
    known = np.zeros(shape, np.bool_)
    groups: dict[object, list[int]] = {}
    for number, chip in enumerate(chips):
        groups.setdefault(shape_of(chip), []).append(number)
    worst, searched = 0.0, 0
    rng = np.random.default_rng(seed)
    for numbers in groups.values():
        members = [chips[n] for n in numbers]
        few = exact or len(members) < TABLE_FROM
        for row, layer in enumerate(distinct):
            if layer.kind != "compute":
                latency[row, numbers], energy[row, numbers] = _plain(layer, members, objective)
                known[row, numbers] = True
                continue
            made = _Table(layer, members, objective)
            every = len(members) if few else probes
            gap = made.run(every, 0 if few else CHECKS, rng)
            latency[row, numbers], energy[row, numbers] = made.latency_s, made.energy_j
            known[row, numbers] = made.exact
            worst, searched = max(worst, gap), searched + int(made.exact.sum())
    return BatchResult(
        layers=tuple(layer.name for layer in distinct),
        times=tuple(count for _, count in found.values()),
        latency_s=latency,
        energy_j=energy,
        exact=known,
        gap=worst,
        searched=searched,
    )


def _plain(
    layer: Layer, chips: Sequence[Chip], objective: Objective
) -> tuple[list[float], list[float]]:
    """Layers without a loop nest, chip by chip."""
    latency, energy = [], []
    for chip in chips:
        try:
            one = item((map_layer(layer, chip, objective),), chip)
        except UnmappableError:
            latency.append(np.inf)
            energy.append(np.inf)
            continue
        seconds = one.own_s + one.first_s
        latency.append(seconds)
        energy.append(one.energy_j + chip.mapping_static_w * seconds)
    return latency, energy


class _Table:
    """One compute layer on chips of one array shape."""

    def __init__(self, layer: Layer, chips: Sequence[Chip], objective: Objective) -> None:
        self.layer, self.chips = layer, chips
        self.number = k.OBJECTIVES.index(objective)
        self.latency_s = np.full(len(chips), np.inf)
        self.energy_j = np.full(len(chips), np.inf)
        self.exact = np.zeros(len(chips), np.bool_)
        self._rows: list[tuple[int, ...]] = []
        self.base: Problem | None = None
        self.c = np.zeros((len(chips), 0))
        try:
            homes = [_homes(layer, chip) for chip in chips]
        except UnmappableError:
            return
        first = next((n for n, pair in enumerate(homes) if pair is not None), None)
        if first is None:
            return
        found = homes[first]
        assert found is not None
        self.able = np.array([pair is not None for pair in homes])
        rooms = [pair[1] if pair else 0.0 for pair in homes]
        same = all(pair is None or pair[0] == found[0] for pair in homes)
        if not same:
            raise InputError(
                f"layer {layer.name}: operands live in different memories on chips of one shape",
                field="chips",
                mend="map chips with and without NVM or DRAM apart",
            )
        assert layer.nest is not None
        self.base = pack(layer, chips[first], found[0], rooms[first], layer.nest.sizes, 1)
        self.c = constants(self.base, chips, rooms)

    def run(self, probes: int, checks: int, rng: np.random.Generator) -> float:
        """Search ``probes`` chips, pass the table over all, check some; the largest excess seen."""
        if self.base is None:
            self.exact[:] = True
            return 0.0
        self.exact |= ~self.able
        for number in spread(self.c, np.flatnonzero(self.able), probes):
            self._search(int(number))
        if self.exact.all():
            return 0.0
        self._pass()
        worst = 0.0
        rest = np.flatnonzero(~self.exact)
        for number in rng.choice(rest, min(checks, len(rest)), replace=False):
            before = self._value(int(number))
            self._search(int(number))
            after = self._value(int(number))
            if np.isfinite(after):
                worst = max(worst, before / after - 1.0)
        self._pass()
        return worst

    def _value(self, number: int) -> float:
        seconds, joules = self.latency_s[number], self.energy_j[number]
        return float(k.keys(seconds, joules, self.number)[0])

    def _search(self, number: int) -> None:
        """The optimum of one chip, also as a row of the table."""
        assert self.base is not None
        run = kernel.search if COMPILED else kernel.search_numpy
        found = run(self.c[number], self.number, *self.base.arguments)
        self.exact[number] = True
        if found[0] < 0:
            return
        row = tuple(int(v) for v in found)
        if row not in self._rows:
            self._rows.append(row)
        costs = _costs(self.base, [row], self.c[number : number + 1])
        self.latency_s[number], self.energy_j[number] = costs[0][0, 0], costs[1][0, 0]

    def _pass(self) -> None:
        """The best row of the table for every chip that was not searched."""
        rest = np.flatnonzero(~self.exact)
        if not self._rows or not len(rest):
            return
        assert self.base is not None
        seconds, joules = _costs(self.base, self._rows, self.c[rest])
        key1, key2 = k.keys(seconds, joules, self.number)
        key1 = np.where(np.isfinite(seconds), key1, np.inf)
        low = key1.min(axis=0)
        best = np.where(key1 == low, key2, np.inf).argmin(axis=0)
        columns = np.arange(len(rest))
        self.latency_s[rest] = seconds[best, columns]
        self.energy_j[rest] = joules[best, columns]


def _homes(layer: Layer, chip: Chip) -> tuple[Homes, float] | None:
    """Homes and room of a layer alone; None if what must be resident does not fit."""
    homes = default_homes(layer, chip)
    resident = sum(
        amount
        for home, amount in (
            (homes.W, layer.w_bytes + layer.b_bytes),
            (homes.I, layer.i_bytes),
            (homes.O, layer.o_bytes),
            (homes.side, layer.side_bytes),
        )
        if home == "buffer"
    )
    room = chip.buffer.capacity_bytes - resident
    return (homes, room) if room >= 0.0 else None


def spread(c: FloatArray, among: Any, count: int) -> Any:
    """``count`` of the chips ``among``, far from each other in the logarithm of their constants."""
    if len(among) <= count:
        return among
    varied = c[among][:, np.ptp(c[among], axis=0) > 0.0]
    points = np.log(np.maximum(np.abs(varied), 1e-30))
    points -= points.min(axis=0)
    points /= np.maximum(points.max(axis=0), 1e-30)
    chosen = [0]
    far = np.abs(points - points[0]).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, np.abs(points - points[chosen[-1]]).sum(axis=1))
    return among[chosen]


def _costs(problem: Problem, rows: Sequence[tuple[int, ...]], c: FloatArray) -> Any:
    """Latency and energy (rows x chips) of mappings given by their indices; inf if too large."""
    spatial = problem.spatial[[row[0] for row in rows]]
    tiles = np.array([[problem.tiles[d, row[1 + d]] for d in range(6)] for row in rows], np.float64)
    codes = np.array([(problem.flows[row[7]], row[8]) for row in rows], np.int64)
    seconds = np.empty((len(rows), len(c)))
    joules = np.empty((len(rows), len(c)))
    _evaluate(
        np.ascontiguousarray(c), spatial, tiles, codes, problem.dims, problem.align, problem.nest,
        seconds, joules,
    )  # fmt: skip
    return seconds, joules


def _evaluation(version: int) -> Function:
    """The evaluation, bound to the cost functions of ``version`` (see ``kernel.py``)."""

    def evaluate(  # type: ignore[no-untyped-def]
        c, spatial, tiles, codes, sizes, align, nest, seconds, joules
    ):
        """Fill ``seconds`` and ``joules`` (mappings x chips); all chips share a shape."""
        if version < 0:
            return
        rows = np.ones((7, 1, k.ROW_FIELDS))
        one = rows[6, 0]
        one[k.R_RAG] = 0.0
        one[k.R_NRAG] = 0.0
        lengths = np.ones(6, np.int64)
        for m in range(spatial.shape[0]):
            s = spatial[m]
            kernel.fill_rows(rows, sizes, tiles[m].copy().reshape(6, 1), lengths, align, s, nest)
            g, b, ko = rows[0, 0], rows[1, 0], rows[2, 0]
            r, y, x = rows[3, 0], rows[4, 0], rows[5, 0]
            first = c[0]
            n = kernel.tile_counts(g, b, ko, r, y, x)
            vol = kernel.volumes(sizes, s, y, x)
            arr = k.array_side(first, codes[m, 0], s, one, g, b, ko, r, y, x)
            tile = k.tile_side(first, g, b, ko, r, y, x)
            f = k.footprint(first, arr[5], tile[3], tile[4], tile[5], n)
            need = f[0] + f[1] + f[2] + f[3]
            for j in range(c.shape[0]):
                if need > c[j, k.C_ROOM]:
                    seconds[m, j] = np.inf
                    joules[m, j] = np.inf
                    continue
                out = k.class_side(c[j], codes[m, 1], arr, tile, n, vol)
                seconds[m, j] = out[0]
                joules[m, j] = out[1]

    return evaluate


_SOURCES = (Path(k.__file__), Path(kernel.__file__))
_evaluate = compiled(_evaluation(zlib.crc32(b"".join(path.read_bytes() for path in _SOURCES))))


def best_schedule(layer: Layer, chip: Chip, objective: Objective = "edp") -> LayerSchedule:
    """The schedule behind an entry of a batch: the optimum of that layer on that chip."""
    found = _Table(layer, [chip], objective)
    if found.base is None:
        return map_layer(layer, chip, objective)
    run = kernel.search if COMPILED else kernel.search_numpy
    indices = run(found.c[0], found.number, *found.base.arguments)
    if indices[0] < 0:
        return map_layer(layer, chip, objective)
    return schedule(found.base, indices)
