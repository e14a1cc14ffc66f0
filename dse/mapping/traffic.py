"""What a mapping moves on the links and counts of actions, from its evaluation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from dse.hardware.chip import LINKS
from dse.mapping.arrays import register_uses
from dse.mapping.homes import READ_ACTIONS, WRITE_ACTIONS
from dse.mapping.placement import Evaluation, Placement
from dse.mapping.problem import Problem
from dse.mapping.schedule import NO_BYTES, Bytes, add_bytes
from dse.mapping.streaming import Counts, add, merge, transfer_counts
from dse.workload.precision import bits_of


@dataclass(frozen=True)
class Traffic:
    """Bytes of a mapping by operand, home and link.

    An operand that passes through L2 has two hops: home to L2, and L2 to the buffer.
    """

    problem: Problem
    placed: Placement
    found: Evaluation

    @functools.cached_property
    def sources(self) -> dict[str, str]:
        """Where the buffer gets each operand from."""
        homes = self.problem.homes.to_dict()
        through = self.placed.outer.operands if self.placed.outer else ()
        return {name: "l2" if name in through else home for name, home in homes.items()}

    def upper_bytes(self) -> dict[str, float]:
        """Bytes of one core between homes and L2: W, I and O loaded, O stored."""
        return dict(zip(("W", "I", "O", "stored"), self.found.above, strict=True))

    def ends(self, w: float, i: float, o: float, side: float) -> Bytes:
        """Bytes of all cores on each link for the first load or last store: all links passed."""
        own = self._on(w, i, o, side, self.sources)
        outer = self.placed.outer
        if outer is None:
            return own
        homes = self.problem.homes.to_dict()
        up = {n: v for n, v in zip(("W", "I", "O"), (w, i, o), strict=True) if n in outer.operands}
        far = self._on(up.get("W", 0.0), up.get("I", 0.0), up.get("O", 0.0), 0.0, homes)
        again = self._on(
            up.get("W", 0.0), up.get("I", 0.0), up.get("O", 0.0), 0.0, dict.fromkeys(homes, "l2")
        )
        return add_bytes(add_bytes(own, far), again)

    def steps(self, w: float, i: float, o: float, side: float) -> Bytes:
        """Bytes of all cores on each link in one step, what moves above the buffer's source too."""
        own = self._on(w, i, o, side, self.sources)
        outer = self.placed.outer
        if outer is None:
            return own
        moving = max(float(self.found.move[0]) - 1.0, 1.0)
        up = self.upper_bytes()
        ends = self.found.result[6]
        first = {"W": float(ends[0]), "I": float(ends[1]), "O": 0.0, "stored": float(ends[3])}
        left = {n: max(v - first[n] * (v > 0.0), 0.0) / moving for n, v in up.items()}
        both = (left["W"], left["I"], left["O"] + left["stored"])
        homes = self.problem.homes.to_dict()
        far = self._on(*both, 0.0, homes)
        again = self._on(*both, 0.0, dict.fromkeys(homes, "l2"))
        return add_bytes(add_bytes(own, far), again)

    def counts(self) -> Counts:
        """Actions of all transfers of one core; the buffer's own accesses are not among them."""
        _, _, w, i, spilled = (float(v) for v in self.found.result[7])
        stored, side = (float(v) for v in self.found.result[8][:2])
        sources, homes = self.sources, self.problem.homes.to_dict()
        counts: Counts = {}
        for home, amount, write in (
            (sources["W"], w, False),
            (sources["I"], i, False),
            (sources["O"], spilled, False),
            (sources["side"], side, False),
            (sources["O"], stored, True),
        ):
            if not amount:
                continue
            moved = transfer_counts(home, amount, write=write)
            moved.pop("buffer.read_bit", None)
            moved.pop("buffer.write_bit", None)
            merge(counts, moved)
        for name, amount in self.upper_bytes().items():
            write = name == "stored"
            home = homes["O" if write else name]
            for action in (WRITE_ACTIONS if write else READ_ACTIONS)[home] if amount else ():
                add(counts, action, 8.0 * amount)
            add(counts, "l2.read_bit" if write else "l2.write_bit", 8.0 * amount)
        return counts

    def _on(self, w: float, i: float, o: float, side: float, homes: dict[str, str]) -> Bytes:
        if not (w or i or o or side):
            return NO_BYTES
        totals = dict.fromkeys(LINKS, 0.0)
        for home, amount in (
            (homes["W"], w), (homes["I"], i), (homes["O"], o), (homes["side"], side),
        ):  # fmt: skip
            if home in totals:
                totals[home] += float(amount)
        cores = self.problem.cores
        return tuple([cores * amount for amount in totals.values()])


def register_counts(problem: Problem, placed: Placement, found: Evaluation) -> Counts:
    """Reads and writes of the registers of one core, bits."""
    layer = problem.layer
    rows = tuple(found.rows[d, 0] for d in range(6))
    uses = register_uses(found.c, placed.flow, placed.spatial, found.q, *rows)[4]
    counts: Counts = {}
    bits = (bits_of(layer.w_format), bits_of(layer.i_format), layer.acc_bits)
    for number, name in enumerate("wio"):
        add(counts, f"register.{name}.read_bit", bits[number] * float(uses[2 * number]))
        add(counts, f"register.{name}.write_bit", bits[number] * float(uses[2 * number + 1]))
    return counts
