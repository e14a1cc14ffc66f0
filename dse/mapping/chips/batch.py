"""Many chips at once: the best mapping of each layer on each of thousands of chips.

Chips that differ in capacity, clock, bandwidths, prices and fixed costs only share the shape of the
map space: unrollings, tiles, and all counts of a mapping. For those a *table* of candidate mappings
is made per layer: the optima of some of the chips, spread over the range of all of them. A chip is
then a pass over the table, by the same cost functions that the mapper uses.

What the table gives is a mapping that fits and costs what it says, so never better than the
optimum; it *is* the optimum where one of the probes' optima is, which the record's ``exact`` says
chip by chip for those that were searched, and ``gap`` estimates for the rest from chips drawn at
random. With ``exact=True`` every chip is searched.

Homes are those of a layer mapped alone (:func:`default_homes`), of one core; L2 is not tiled, and
operands are not held in the buffer beyond their tile. Layers without a loop nest, and those with
registers or Winograd, are mapped chip by chip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import InputError, UnmappableError
from dse.files import SCHEMA_VERSION
from dse.hardware.chip import Chip
from dse.mapping.chips.batch_costs import costs_of
from dse.mapping.chips.rows import Columns, constants, shape_of
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import Objective, objective_code, plain
from dse.mapping.cost.zeros import winograd_fits
from dse.mapping.ir.homes import default_homes, resident_bytes
from dse.mapping.layer.mapper import map_layer
from dse.mapping.path.chain import item
from dse.mapping.search import kernel
from dse.mapping.search.best import ALL_ORDERS
from dse.mapping.space.candidates import FloatArray
from dse.mapping.space.problem import Problem, pack
from dse.mapping.space.shape import layer_number
from dse.printing import Printed
from dse.registry import Remembered
from dse.workload.layer import Layer, Workload

#: Searches that make the table of a layer: chips far apart, each at several capacities.
PROBES = 16
DIRECTIONS = 4
#: Chips on which the table is improved by steps, and most steps.
SAMPLE = 100
STEPS = 6
#: Tables remembered; a later batch of the same shape starts from them.
TABLES = 4096
#: Further chips, drawn at random, that say how far the table is from the optimum.
CHECKS = 4
#: Fewest chips of a shape for which a table is made; fewer are all searched.
TABLE_FROM = 64


_tables = Remembered("mapping.chips.batch.tables", TABLES)


def forget_tables() -> None:
    """Forget all tables of mappings."""
    _tables.clear()


@dataclass(frozen=True, repr=False)
class BatchResult(Printed):
    """Layers by chips.

    Attributes:
        layers: names of the distinct layers, in order of first appearance.
        times: how often each of them occurs.
        latency_s, energy_j: layer x chip, of the layer alone on one core; energy includes
            ``mapping_static_w`` times latency. Infinite where the layer cannot run.
        exact: layer x chip, whether the mapping is known to be the optimum.
        gap: largest excess of the objective over the optimum among the chips checked at random.
        searched: how many (layer, chip) pairs were searched in full.
        chips: names of the chips.
    """

    layers: tuple[str, ...]
    times: tuple[int, ...]
    latency_s: FloatArray
    energy_j: FloatArray
    exact: Any
    gap: float
    searched: int
    chips: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``; null where a layer cannot run."""
        return {
            "schema_version": SCHEMA_VERSION,
            "layers": list(self.layers),
            "times": list(self.times),
            "gap": self.gap,
            "searched": self.searched,
            "chips": [
                {
                    **row,
                    "layer_latency_s": _finite(self.latency_s[:, number]),
                    "layer_energy_j": _finite(self.energy_j[:, number]),
                }
                for number, row in enumerate(self.table())
            ],
        }

    def table(self) -> list[dict[str, Any]]:
        """One row per chip: latency, s, and energy, J, summed over layers each mapped alone."""
        names = self.chips or tuple(map(str, range(self.latency_s.shape[1])))
        seconds, joules = _finite(self.network_latency_s), _finite(self.network_energy_j)
        known = self.exact.all(axis=0).tolist()
        return [
            {"chip": name, "latency_s": s, "energy_j": j, "exact": sure}
            for name, s, j, sure in zip(names, seconds, joules, known, strict=True)
        ]

    def _title(self) -> str:
        return f"{len(self.layers)} distinct layers on {self.latency_s.shape[1]} chips"

    def _figures(self) -> dict[str, Any]:
        return {"searched in full": self.searched, "largest gap seen": f"{self.gap:.2%}"}

    @property
    def network_latency_s(self) -> FloatArray:
        """Per chip: sum over all layers, each alone (no residency, prefetch or fusion), s."""
        return np.asarray(np.array(self.times, np.float64) @ self.latency_s, np.float64)

    @property
    def network_energy_j(self) -> FloatArray:
        """Per chip: the same sum of energies, J."""
        return np.asarray(np.array(self.times, np.float64) @ self.energy_j, np.float64)


def _finite(values: FloatArray) -> list[float | None]:
    """The numbers, None where they are not finite."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


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
        objective: that of ``map_layer``, with its tie-breaks.
        exact: search every chip instead of using tables.
        probes: searches that make a table; one of the same layer and shape is used again.
        seed: of the chips that are checked.

    Raises:
        InputError: no chips, or an unknown objective.
    """
    if not chips:
        raise InputError("no chips to map on", field="chips", mend="give at least one")
    objective = plain(objective)
    found: dict[object, list[Any]] = {}
    for layer in layers.layers if isinstance(layers, Workload) else layers:
        found.setdefault(layer_number(layer), [layer, 0])[1] += 1
    distinct = [layer for layer, _ in found.values()]
    size = (len(distinct), len(chips))
    latency, energy = np.full(size, np.inf), np.full(size, np.inf)
    known = np.zeros(size, np.bool_)
    groups: dict[object, list[int]] = {}
    for number, chip in enumerate(chips):
        groups.setdefault(shape_of(chip), []).append(number)
    worst, searched = 0.0, 0
    rng = np.random.default_rng(seed)
    for shape, numbers in groups.items():
        members = [chips[n] for n in numbers]
        columns = Columns(members)
        few = exact or len(members) < TABLE_FROM
        for row, layer in enumerate(distinct):
            if layer.kind != "compute" or not two_level(layer, members[0]):
                latency[row, numbers], energy[row, numbers] = _plain(layer, members, objective)
                known[row, numbers] = True
                continue
            made = _Table(layer, columns, shape, objective)
            gap = made.run(few, probes, CHECKS, rng)
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
        chips=tuple(chip.name for chip in chips),
    )


def two_level(layer: Layer, chip: Chip) -> bool:
    """Whether the layer's map space is that of buffer and array alone, which tables cover."""
    nest, array = layer.nest, chip.array
    if nest is None:
        return False
    on_vector = nest.depthwise and array.depthwise == "vector"
    return on_vector or not (array.registers.present or winograd_fits(nest, array))


def _plain(
    layer: Layer, chips: Sequence[Chip], objective: Objective
) -> tuple[list[float], list[float]]:
    """Layers that tables do not cover, chip by chip."""
    latency, energy = [], []
    for chip in chips:
        try:
            made = map_layer(layer, chip, objective, l2_room_bytes=0.0, uneven=False)
        except UnmappableError:
            latency.append(np.inf)
            energy.append(np.inf)
            continue
        one = item((made,), chip)
        seconds = one.own_s + one.first_s
        latency.append(seconds)
        energy.append(one.energy_j + chip.mapping_static_w * seconds)
    return latency, energy


class _Table:
    """One compute layer on chips of one array shape."""

    def __init__(self, layer: Layer, columns: Columns, shape: object, objective: Objective) -> None:
        chips = columns.chips
        self.layer = layer
        self.number = objective_code(objective)
        self.latency_s = np.full(len(chips), np.inf)
        self.energy_j = np.full(len(chips), np.inf)
        self.exact = np.zeros(len(chips), np.bool_)
        self.base: Problem | None = None
        self.homes = default_homes(layer, chips[0])
        if any(default_homes(layer, chip) != self.homes for chip in columns.unlike):
            raise InputError(
                f"layer {layer.name}: operands live in different memories on chips of one shape",
                field="chips",
                mend="map chips whose NVM holds the layer and those whose NVM does not apart",
            )
        rooms = columns.capacity - resident_bytes(layer, self.homes, "buffer")
        self.able = np.flatnonzero(rooms >= 0.0)
        if not len(self.able):
            return
        assert layer.nest is not None
        first = int(self.able[0])
        try:
            self.base = pack(
                layer, chips[first], self.homes, float(rooms[first]), layer.nest.sizes, 1
            )
        except UnmappableError:
            return
        self.c = constants(self.base, columns, rooms)
        key = (layer_number(layer), shape, self.homes, objective)
        self._rows: dict[tuple[int, ...], None] = _tables.of(key, dict)

    def run(self, every: bool, probes: int, checks: int, rng: np.random.Generator) -> float:
        """Search all chips, or fill the table, pass it over them and check some.

        Returns:
            the largest excess over the optimum that was seen.
        """
        self.exact[:] = True
        if self.base is None:
            return 0.0
        if every:
            for number in self.able:
                self._search(int(number))
            return 0.0
        self.exact[self.able] = False
        if not self._rows:
            self._probe(probes)
            if self._rows:
                self._improve(rng)
        self._pass()
        worst = 0.0
        for number in rng.choice(self.able, min(checks, len(self.able)), replace=False):
            before = self._value(int(number))
            self._search(int(number))
            after = self._value(int(number))
            if after > 0.0 and after < np.inf:
                worst = max(worst, before / after - 1.0)
        self._pass()
        return worst

    def _probe(self, probes: int) -> None:
        """Optima of a few chips far apart, each at several capacities between the extremes."""
        assert self.base is not None
        rooms = self.c[self.able, k.C_ROOM]
        low, high = max(1.0, float(rooms.min())), max(1.0, float(rooms.max()))
        steps = max(1, probes // DIRECTIONS) if high > low else 1
        for number in spread(self.c, self.able, max(1, probes // steps)):
            c = self.c[number].copy()
            for room in np.geomspace(low, high, steps) if steps > 1 else (c[k.C_ROOM],):
                c[k.C_ROOM] = np.floor(room * (1.0 + 1e-9))
                found = _optimum(c, self.number, self.base)
                if found[0] >= 0:
                    self._rows[tuple(int(v) for v in found)] = None

    def _improve(self, rng: np.random.Generator) -> None:
        """Better rows for chips of every capacity, by steps from those that are best for any.

        A step takes one tile to the next size up or down, another order class or dataflow, or
        another unrolling. Rows that are best for no chip of the sample are dropped.
        """
        assert self.base is not None
        by_room = self.able[np.argsort(self.c[self.able, k.C_ROOM], kind="stable")]
        places = np.linspace(0, len(by_room) - 1, min(SAMPLE, len(by_room)))
        some = by_room[np.unique(places.astype(np.int64))]
        # Each of them also with a room that is spread over all there are, so that rows stay that
        # fit where others do not.
        c = np.concatenate([self.c[some], self.c[some]])
        rooms = np.sort(c[: len(some), k.C_ROOM])
        c[len(some) :, k.C_ROOM] = rng.uniform(0.75, 1.0, len(some)) * rng.permutation(rooms)
        tried: dict[tuple[int, ...], None] = dict(self._rows)
        winners = list(self._rows)
        values = self._keys(winners, c)
        for _ in range(STEPS):
            new = [row for row in self._around(winners) if row not in tried]
            if not new:
                break
            tried.update(dict.fromkeys(new))
            both = winners + new
            values = np.concatenate([values, self._keys(new, c, values.min(axis=0))])
            best = np.unique(values.argmin(axis=0))
            winners = [both[n] for n in best]
            values = values[best]
        self._rows.clear()
        self._rows.update(dict.fromkeys(winners))

    def _keys(
        self, rows: list[tuple[int, ...]], c: FloatArray, known: FloatArray | None = None
    ) -> FloatArray:
        """The objective of rows on chips; infinite where :func:`costs_of` leaves them out."""
        assert self.base is not None
        seconds, joules = costs_of(self.base, rows, c, self.number, known)
        fits = np.isfinite(seconds)
        first = k.keys(np.where(fits, seconds, 1.0), np.where(fits, joules, 1.0), self.number)[0]
        return np.asarray(np.where(fits, first, np.inf), np.float64)

    def _around(self, rows: list[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
        assert self.base is not None
        sizes = (len(self.base.spatial), *self.base.lengths, len(self.base.flows), 3)
        for row in rows:
            for place, size in enumerate(sizes):
                near = range(size) if place >= 7 else (row[place] - 1, row[place] + 1)
                for value in near:
                    if 0 <= value < size and value != row[place]:
                        yield (*row[:place], int(value), *row[place + 1 :])

    def _value(self, number: int) -> float:
        seconds, joules = self.latency_s[number], self.energy_j[number]
        if not np.isfinite(seconds):
            return float("inf")
        return float(k.keys(seconds, joules, self.number)[0])

    def _search(self, number: int) -> None:
        """The optimum of one chip, also as a row of the table."""
        assert self.base is not None
        found = _optimum(self.c[number], self.number, self.base)
        self.exact[number] = True
        if found[0] < 0:
            return
        row = tuple(int(v) for v in found)
        self._rows[row] = None
        costs = costs_of(self.base, [row], self.c[number : number + 1], self.number)
        self.latency_s[number], self.energy_j[number] = costs[0][0, 0], costs[1][0, 0]

    def _pass(self) -> None:
        """The best row of the table for every chip that was not searched."""
        rest = np.flatnonzero(~self.exact)
        if not self._rows or not len(rest):
            return
        assert self.base is not None
        seconds, joules = costs_of(self.base, list(self._rows), self.c[rest], self.number)
        fits = np.isfinite(seconds)
        key1, key2 = k.keys(np.where(fits, seconds, 1.0), np.where(fits, joules, 1.0), self.number)
        key1 = np.where(fits, key1, np.inf)
        low = key1.min(axis=0)
        best = np.where(key1 == low, key2, np.inf).argmin(axis=0)
        columns = np.arange(len(rest))
        self.latency_s[rest] = seconds[best, columns]
        self.energy_j[rest] = joules[best, columns]


def _optimum(c: FloatArray, number: int, base: Problem) -> Any:
    return kernel.search(c, number, ALL_ORDERS, *base.arguments)


def spread(c: FloatArray, among: Any, count: int) -> Any:
    """``count`` of the chips ``among``, far from each other in the logarithm of their constants."""
    if len(among) <= count:
        return among
    apart = np.delete(c[among], k.C_ROOM, axis=1)
    varied = apart[:, (apart != apart[0]).any(axis=0)]
    if not varied.shape[1]:
        return among[:1]
    points = np.log(np.maximum(np.abs(varied), 1e-30))
    points -= points.min(axis=0)
    points /= np.maximum(points.max(axis=0), 1e-30)
    chosen = [int(np.abs(points - np.median(points, axis=0)).sum(axis=1).argmin())]
    far = np.abs(points - points[chosen[0]]).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, np.abs(points - points[chosen[-1]]).sum(axis=1))
    return among[chosen]
