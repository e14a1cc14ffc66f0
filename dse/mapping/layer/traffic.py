"""What a mapping moves on the links and counts of actions, from its evaluation."""

from __future__ import annotations

from dse.hardware.chip import LINKS
from dse.mapping.cost.arrays import register_uses
from dse.mapping.cost.streaming import Counts, add
from dse.mapping.ir.homes import READ_ACTIONS, WRITE_ACTIONS, Home, Homes
from dse.mapping.ir.schedule import NO_BYTES, Bytes, add_bytes
from dse.mapping.search.placement import Evaluation, Placement
from dse.mapping.space.problem import Problem
from dse.registry import cached
from dse.workload.precision import bits_of

#: Where all operands are while they pass the port of L2.
_IN_L2 = Homes("l2", "l2", "l2", "l2")


@cached(256)
def _columns(homes: Homes) -> tuple[int, ...]:
    """The link of each operand's home by its number; one more than there are for the buffer."""
    return tuple(LINKS.index(home) if home in LINKS else len(LINKS) for home in homes)


class Traffic:
    """Bytes of a mapping by operand, home and link.

    An operand that passes through L2 has two hops: home to L2, and L2 to the buffer. ``sources``
    is where the buffer gets each operand from.
    """

    def __init__(self, problem: Problem, placed: Placement, found: Evaluation) -> None:
        self.problem, self.found, self.outer = problem, found, placed.outer
        self.sources = problem.homes
        if placed.outer is not None:
            through: dict[str, Home] = dict.fromkeys(placed.outer.operands, "l2")
            self.sources = self.sources._replace(**through)

    def upper_bytes(self) -> dict[str, float]:
        """Bytes of one core between homes and L2: W, I and O loaded, O stored."""
        return dict(zip(("W", "I", "O", "stored"), self.found.above, strict=True))

    def ends(self, w: float, i: float, o: float, side: float) -> Bytes:
        """Bytes of all cores on each link for the first load or last store: all links passed."""
        own = self._on(w, i, o, side, self.sources)
        if self.outer is None:
            return own
        through = self.outer.operands
        w, i, o = (v if n in through else 0.0 for n, v in zip("WIO", (w, i, o), strict=True))
        return self._past(own, w, i, o)

    def steps(self, w: float, i: float, o: float, side: float) -> Bytes:
        """Bytes of all cores on each link in one step, what moves above the buffer's source too."""
        own = self._on(w, i, o, side, self.sources)
        if self.outer is None:
            return own
        moving = max(float(self.found.move.steps) - 1.0, 1.0)
        up = self.upper_bytes()
        ends = self.found.result.ends
        first = {"W": float(ends.w), "I": float(ends.i), "O": 0.0, "stored": float(ends.o)}
        left = {n: max(v - first[n] * (v > 0.0), 0.0) / moving for n, v in up.items()}
        return self._past(own, left["W"], left["I"], left["O"] + left["stored"])

    def _past(self, own: Bytes, w: float, i: float, o: float) -> Bytes:
        """``own`` with what passes between L2 and the homes: on their links, and on L2's port."""
        far = self._on(w, i, o, 0.0, self.problem.homes)
        return add_bytes(add_bytes(own, far), self._on(w, i, o, 0.0, _IN_L2))

    def counts(self) -> Counts:
        """Actions of all transfers of one core; the buffer's own accesses are not among them."""
        totals = self.found.result.totals
        sources, homes = self.sources, self.problem.homes
        counts: Counts = {}
        for actions, home, amount in (
            (READ_ACTIONS, sources.W, totals.w),
            (READ_ACTIONS, sources.I, totals.i),
            (READ_ACTIONS, sources.O, totals.spilled),
            (READ_ACTIONS, sources.side, totals.side),
            (WRITE_ACTIONS, sources.O, totals.o),
        ):
            if amount:
                bits = 8.0 * float(amount)
                for action in actions[home]:
                    counts[action] = counts.get(action, 0.0) + bits
        if self.outer is None:
            return counts
        w, i, loaded, stored = self.found.above
        for actions, port, home, amount in (
            (READ_ACTIONS, "l2.write_bit", homes.W, w),
            (READ_ACTIONS, "l2.write_bit", homes.I, i),
            (READ_ACTIONS, "l2.write_bit", homes.O, loaded),
            (WRITE_ACTIONS, "l2.read_bit", homes.O, stored),
        ):
            for action in actions[home] if amount else ():
                add(counts, action, 8.0 * amount)
            add(counts, port, 8.0 * amount)
        return counts

    def _on(self, w: float, i: float, o: float, side: float, homes: Homes) -> Bytes:
        """Bytes of all cores on each link if operands come from ``homes``."""
        if not (w or i or o or side):
            return NO_BYTES
        totals = [0.0] * (len(LINKS) + 1)
        to_w, to_i, to_o, to_side = _columns(homes)
        totals[to_w] += float(w)
        totals[to_i] += float(i)
        totals[to_o] += float(o)
        totals[to_side] += float(side)
        totals.pop()
        cores = self.problem.cores
        return tuple(totals) if cores == 1 else tuple([cores * amount for amount in totals])


def register_counts(problem: Problem, placed: Placement, found: Evaluation) -> Counts:
    """Reads and writes of the registers of one core, bits."""
    layer = problem.layer
    rows = tuple(found.rows[d, 0] for d in range(6))
    uses = register_uses(found.c, placed.flow, placed.spatial, found.q, *rows).moves
    counts: Counts = {}
    bits = (bits_of(layer.w_format), bits_of(layer.i_format), layer.acc_bits)
    moved = ((uses.w_read, uses.w_write), (uses.i_read, uses.i_write), (uses.o_read, uses.o_write))
    for name, width, (read, written) in zip("wio", bits, moved, strict=True):
        add(counts, f"register.{name}.read_bit", width * float(read))
        add(counts, f"register.{name}.write_bit", width * float(written))
    return counts
