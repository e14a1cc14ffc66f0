"""The network between the cores: which of its links a core's traffic takes, and what that costs.

Memories (DRAM, L2, NVM) sit at core 0 behind one port. On a ``bus`` all traffic shares one
resource. On a ``ring`` it takes the shorter way, on a ``mesh`` it goes along X, then Y; each link
between neighbours is a resource (one direction's bandwidth for reads and writes together, which
is on the safe side). Cores are dealt out over dies in equal runs, each die with a network of its
own; a die other than the first reaches shared memories over its link to the first one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from dse.hardware.chip import LINKS, Chip
from dse.hardware.modes import CoreNetwork

_DRAM = LINKS.index("dram")


@dataclass(frozen=True)
class Site:
    """Where a group of cores sits, seen from the memories.

    ``load[l]`` lists (resource, s per byte) for bytes of memory link ``l``; ``joules[l]`` is energy
    per byte; ``delay_s[l]`` is what the first byte of a transfer takes longer than at core 0's
    port; ``resources`` is how many there are in all.
    """

    load: tuple[tuple[tuple[int, float], ...], ...]
    joules: tuple[float, ...]
    delay_s: tuple[float, ...]
    resources: int


class Network:
    """Resources of the network by name, and sites by cores. Empty for a chip that has none."""

    def __init__(self, chip: Chip) -> None:
        self._net = chip.network
        self._cores = chip.cores
        dram = chip.links["dram"].bytes_per_s if "dram" in chip.links else 0.0
        self._dram_bytes_per_s = dram
        self.names: list[str] = []
        self._index: dict[str, int] = {}
        self._sites: dict[tuple[int, ...], Site | None] = {}
        if self._net is not None:
            for core in range(chip.cores):
                self._make(self._net, (core,))
                for other in range(chip.cores):
                    self.hop_path(core, other)

    def site(self, cores: tuple[int, ...]) -> Site | None:
        """The site of a group of cores, each with an equal part of the bytes; None without net."""
        if self._net is None:
            return None
        if cores not in self._sites:
            self._sites[cores] = self._make(self._net, cores)
        return self._sites[cores]

    def hop_path(self, source: int, target: int) -> tuple[list[tuple[int, float]], float, float]:
        """From one core to another: (resource, s per byte) on the way, seconds, J per byte."""
        net = self._net
        assert net is not None
        a, b = self._die(source), self._die(target)
        if a == b:
            place = self._place(source)[1]
            names = _route(net.topology, self._side(a), a, place, self._place(target)[1])
            hops, crossings = len(names), 0
        else:
            there = [_route(net.topology, self._side(a), a, self._place(source)[1], 0)]
            there.append(_route(net.topology, self._side(b), b, 0, self._place(target)[1]))
            names = [name for part in there for name in part]
            hops = len(names)
            names += [f"die{die}" for die in (a, b) if die]
            crossings = sum(1 for die in (a, b) if die)
        path = [(self.index(name), 1.0 / self._rate(net, name)) for name in names]
        seconds = hops * net.hop_s + crossings * net.die_s
        joules = 8.0 * (hops * net.hop_j_per_bit + crossings * net.die_j_per_bit)
        return path, seconds, joules

    def apart(self, one: int, other: int) -> bool:
        """Whether two cores are on dies with memories of their own."""
        private = self._net is not None and self._net.private
        return private and self._die(one) != self._die(other)

    def index(self, name: str) -> int:
        """The number of a resource, in order of first use."""
        if name not in self._index:
            self._index[name] = len(self.names)
            self.names.append(name)
        return self._index[name]

    def _make(self, net: CoreNetwork, cores: tuple[int, ...]) -> Site:
        part = 1.0 / len(cores)
        load: list[dict[int, float]] = [{} for _ in LINKS]
        joules = [0.0 for _ in LINKS]
        delay = [0.0 for _ in LINKS]
        for core in cores:
            die, place = self._place(core)
            path = _route(net.topology, self._side(die), die, 0, place)
            names = [f"noc{die}.port", *path] if net.topology != "bus" else path
            far = die > 0 and not net.private
            hop_j = 8.0 * net.hop_j_per_bit * (len(path) if net.topology != "bus" else 1)
            for link in range(len(LINKS)):
                away = die > 0 and (far or link != _DRAM)
                crossed = [*names, f"die{die}"] if away else names
                for name in crossed:
                    self._add(load[link], name, part / self._rate(net, name))
                if link == _DRAM and net.private and self._dram_bytes_per_s > 0.0:
                    own = net.chiplets / self._dram_bytes_per_s
                    self._add(load[link], f"dram{die}", part * own)
                joules[link] += part * (hop_j + (8.0 * net.die_j_per_bit if away else 0.0))
                first = len(path) * net.hop_s + (net.die_s if away else 0.0)
                delay[link] = max(delay[link], first)
        loads = tuple(tuple(sorted(one.items())) for one in load)
        return Site(loads, tuple(joules), tuple(delay), len(self.names))

    def _add(self, load: dict[int, float], name: str, seconds: float) -> None:
        index = self.index(name)
        load[index] = load.get(index, 0.0) + seconds

    def _rate(self, net: CoreNetwork, name: str) -> float:
        return net.die_bytes_per_s if name.startswith("die") else net.bytes_per_s

    def _side(self, die: int) -> int:
        """Cores on a die."""
        assert self._net is not None
        dies = self._net.chiplets
        return (self._cores * (die + 1)) // dies - (self._cores * die) // dies

    def _die(self, core: int) -> int:
        assert self._net is not None
        dies = self._net.chiplets
        return next(d for d in range(dies) if core < (self._cores * (d + 1)) // dies)

    def _place(self, core: int) -> tuple[int, int]:
        assert self._net is not None
        die = self._die(core)
        return die, core - (self._cores * die) // self._net.chiplets


def _route(topology: str, count: int, die: int, start: int, end: int) -> list[str]:
    """Names of the links between two places of a die of ``count`` cores."""
    if topology == "bus":
        return [f"noc{die}"]
    if topology == "ring":
        clockwise = (end - start) % count
        if clockwise <= count - clockwise:
            places = [(start + k) % count for k in range(clockwise + 1)]
        else:
            places = [(start - k) % count for k in range(count - clockwise + 1)]
    else:
        columns = math.ceil(math.sqrt(count))
        places = [start]
        corner = start - start % columns + end % columns
        for along_x in (True, False) if corner < count else (False, True):
            while along_x and places[-1] % columns != end % columns:
                places.append(places[-1] + (1 if places[-1] % columns < end % columns else -1))
            while not along_x and places[-1] // columns != end // columns:
                places.append(places[-1] + (columns if places[-1] < end else -columns))
    return [f"noc{die}.{min(a, b)}-{max(a, b)}" for a, b in pairwise(places)]
