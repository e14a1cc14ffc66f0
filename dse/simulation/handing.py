"""What the parts of a pipeline over cores keep in the L2 that they share.

All parts work at once, on different frames. So the L2 holds what each part makes for itself, twice
what one part hands the next (one is read while the next one is made), what passes by a part on its
way to a later one, and the weights that stay. What is handed over stays there as far as there is
room, the smallest first; then weights. The rest goes through the DRAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.mapping import plan_memory
from dse.workload.layer import Workload


@dataclass(frozen=True)
class Handing:
    """What is handed over in the L2, and the room for each part's weights there, bytes."""

    names: frozenset[str]
    keep_bytes: tuple[float, ...]


def through_l2(pieces: Sequence[Workload], chip: Chip, *, alone: bool) -> Handing | None:
    """What the parts of a pipeline keep in the L2; None if they hand nothing over in it.

    Args:
        pieces: the parts in order, each a network of its own.
        alone: whether nothing else runs on the chip. Else they take the L2 by their share of the
            cores, and no weights stay.
    """
    link = chip.links.get("l2")
    if link is None or not link.bytes_per_s > 0.0 or not chip.links["dram"].bytes_per_s > 0.0:
        return None
    room = link.capacity_bytes * (1.0 if alone else min(1.0, len(pieces) / chip.cores))
    handed = _handed(pieces)
    # The largest goes out first: one tensor less in the L2 for the most room.
    for count in range(len(handed), 0, -1):
        names = frozenset(handed[:count])
        taken = _taken(pieces, chip, names)
        if taken is not None and taken <= room:
            return Handing(names, _shares(pieces, room - taken if alone else 0.0))
    return None


def _handed(pieces: Sequence[Workload]) -> list[str]:
    """Activations that a part makes and a later one reads, the smallest first."""
    made: dict[str, int] = {}
    read: set[str] = set()
    for piece in pieces:
        read |= {name for name in piece.inputs if name in made}
        tensors = piece.tensors
        made |= {n: tensors[n].bytes for n in piece.outputs if tensors[n].role == "activation"}
    return sorted(read, key=lambda name: (made[name], name))


def _taken(pieces: Sequence[Workload], chip: Chip, names: frozenset[str]) -> float | None:
    """L2 for the activations of all parts at once; None where one of ``names`` finds no place."""
    total = 0.0
    for piece in pieces:
        try:
            plan = plan_memory(piece, chip, shared=True, handed=names)
        except UnmappableError:
            return None
        ends = names & {*piece.inputs, *piece.outputs}
        if not ends <= set(plan.kept):
            return None
        total += plan.top_bytes
    return total + _passing(pieces, names)


def _passing(pieces: Sequence[Workload], names: frozenset[str]) -> float:
    """Bytes that lie in the L2 for parts between the one that makes them and the last reader."""
    total = 0.0
    for name in names:
        users = [
            number
            for number, piece in enumerate(pieces)
            if name in piece.inputs or name in piece.outputs
        ]
        size = next(p.tensors[name].bytes for p in pieces if name in p.outputs)
        total += float(size) * (users[-1] - users[0] + 1 - len(users))
    return total


def _shares(pieces: Sequence[Workload], room: float) -> tuple[float, ...]:
    """Room for the weights of each part: the parts with least get all that they need first."""
    needs = [sum(_stored(piece).values()) for piece in pieces]
    out = [0.0] * len(pieces)
    for number in sorted(range(len(pieces)), key=lambda n: (needs[n], n)):
        out[number] = min(needs[number], max(0.0, room))
        room -= out[number]
    return tuple(out)


def _stored(piece: Workload) -> dict[str, float]:
    """Bytes of each stored tensor that a part's layers read, with what is stored beside it."""
    out: dict[str, float] = {}
    for layer in piece.layers:
        if not layer.w_is_activation and layer.w_elements:
            name = layer.w_tensor or layer.name
            out[name] = max(out.get(name, 0.0), layer.w_bytes + layer.b_bytes)
        for name in layer.inputs:
            if name in piece.tensors and piece.tensors[name].role == "table":
                out[name] = float(piece.tensors[name].bytes)
    return out
