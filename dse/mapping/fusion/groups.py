"""Which consecutive layers may run fused, and whether it pays.

A group is a run of layers in execution order of which each but the last hands its output to later
members only, row by row: matrix products and convolutions (the lines that bands share are kept),
vector work along rows (activation, softmax, normalisation, residual addition). Attention
(QK-softmax-AV), MLPs, chains of convolutions, separable and residual blocks are all found so.
Of a group, the cuts into heads and bands that fit the buffer are tried, the coarsest first; the
best by the objective goes to the path search of :mod:`dse.mapping.path.chain`, which uses it only
where it is better than its layers one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dse.errors import UnmappableError
from dse.hardware.chip import LINKS, Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.fusion.blocks import Blocks, Member
from dse.mapping.fusion.fused import Fused, Group, Work
from dse.mapping.ir.homes import Homes, byte_price
from dse.mapping.ir.schedule import link_rates
from dse.mapping.memory.plan import MemoryPlan
from dse.mapping.memory.tensors import operands
from dse.mapping.path.chain import Item
from dse.mapping.space.shape import layer_number
from dse.registry import Remembered
from dse.workload.layer import Layer, Workload

#: Most members of a group.
LONGEST = 8
#: Least gain, as a share of the network's cost, for which a group is built.
WORTH = 1e-3
#: Cuts tried per group beyond the coarsest that fits, where both units work.
FINER = 2
#: Networks, with homes, whose fusable layers are remembered.
REMEMBERED = 64


@dataclass(frozen=True)
class Span:
    """Layers ``first`` to ``last`` of a network that may run fused."""

    first: int
    last: int
    members: tuple[Member, ...]
    axis: str
    heads: int


@dataclass(frozen=True)
class Weights:
    """What a joule and a second are worth when cuts of a group are compared.

    ``watts`` is the price of time on top of static power, ``price_w`` both together.
    """

    objective: Objective
    watts: float
    price_w: float

    def score(self, found: Item) -> tuple[float, float]:
        seconds = found.own_s + found.first_s
        if self.objective == "latency":
            return seconds, found.energy_j
        return found.energy_j + self.price_w * seconds, seconds


def spans(workload: Workload, homes: Sequence[Homes]) -> Iterator[Span]:
    """All runs of layers that may be fused, by first layer, then by length."""
    readers = _readers(workload)
    for first in range(len(workload.layers) - 1):
        members: list[Member] = []
        made: dict[str, int] = {}
        closed = -1  # the last reader of what the group has made so far
        for number in range(first, min(first + LONGEST, len(workload.layers))):
            layer = workload.layers[number]
            axis = _axis(workload.layers[first : number + 1])
            if members and axis != _axis(workload.layers[first:number]):
                break  # bands of image rows and rows of matrices do not match
            member = _member(workload, layer, homes[number], axis, members, made)
            if member is None:
                break
            members.append(member)
            if number > first and closed <= number:
                whole = _with_rows(members)
                if whole is not None:
                    yield Span(first, number, whole, axis, _heads(members))
            if len(layer.outputs) != 1 or layer.outputs[0] in workload.outputs:
                break
            after = readers.get(layer.outputs[0], ())
            if not after or min(after) <= number:
                break
            made[layer.outputs[0]] = number - first
            closed = max(closed, *after)
            if closed >= first + LONGEST:
                break


def fusable(workload: Workload) -> frozenset[int]:
    """Numbers of the layers that may run in a group of both array and vector work."""
    parts = _parts(workload)
    return _fusable.of(tuple(map(id, parts)), lambda: _find_fusable(workload), parts)


def _find_fusable(workload: Workload) -> frozenset[int]:
    found: set[int] = set()
    for span in _spans_of(workload, (Homes(),) * len(workload.layers)):
        if len({member.on_array for member in span.members}) > 1 or any(
            member.layer.vector_ops for member in span.members
        ):
            found.update(range(span.first, span.last + 1))
    return frozenset(found)


def in_groups(workload: Workload) -> frozenset[int]:
    """Numbers of the layers that may run in any group."""
    found = _spans_of(workload, (Homes(),) * len(workload.layers))
    return frozenset(n for span in found for n in range(span.first, span.last + 1))


def _spans_of(workload: Workload, homes: tuple[Homes, ...]) -> tuple[Span, ...]:
    """:func:`spans`, remembered: a search maps the same networks on many chips."""
    parts = _parts(workload)
    return _spans.of((homes, *map(id, parts)), lambda: tuple(spans(workload, homes)), parts)


def _parts(workload: Workload) -> tuple[object, ...]:
    """What :func:`spans` depends on beside homes."""
    return workload.layers, workload.tensors, workload.outputs


_spans = Remembered("mapping.fusion.groups.spans", REMEMBERED)
_fusable = Remembered("mapping.fusion.groups.fusable", REMEMBERED)


def _readers(workload: Workload) -> Mapping[str, tuple[int, ...]]:
    out: dict[str, list[int]] = {}
    for number, layer in enumerate(workload.layers):
        for name in {*layer.inputs, *((layer.w_tensor,) if layer.w_tensor else ())}:
            out.setdefault(name, []).append(number)
    return {name: tuple(numbers) for name, numbers in out.items()}


def _axis(layers: Sequence[Layer]) -> str:
    """Image rows if a layer has any, else the rows of matrices."""
    return "OY" if any(layer.nest and layer.nest.OY > 1 for layer in layers) else "OX"


def _heads(members: Sequence[Member]) -> int:
    """Parts that the groups of every member can be cut into: heads, if both operands have them."""
    nests = [m.layer.nest for m in members if m.layer.nest]
    groups = {nest.G for nest in nests}
    if len(groups) != 1 or not all(m.layer.w_is_activation for m in members if m.layer.nest):
        return 1
    heads = groups.pop()
    even = all(m.layer.o_elements % heads == 0 for m in members)
    return heads if even else 1


def _member(
    workload: Workload,
    layer: Layer,
    homes: Homes,
    axis: str,
    members: Sequence[Member],
    made: Mapping[str, int],
) -> Member | None:
    """A layer as the next member of a group; None if it cannot be one."""
    main, side = operands(layer, workload)
    if layer.kind == "vector":
        if not layer.row_wise or not 1 <= len(main) <= 2:
            return None
        if len(main) == 2:
            inner = 0 if main[0] in made or not members else 1
            sizes = [workload.tensors[name].elements for name in main]
            if sizes[0] != sizes[1] or sum(sizes) != layer.i_elements:
                return None
            main, side = (main[inner],), (main[1 - inner],)
            layer = replace(layer, i_elements=sizes[0], side_elements=sizes[0])
        if layer.i_elements != layer.o_elements:
            return None
    elif layer.kind != "compute" or layer.nest is None:
        return None
    if len(main) != 1 or len(side) > 1 or layer.w_tensor in made:
        return None
    taken = made.get(main[0], -1)
    if members and taken < 0:
        return None
    rows, taps, stride = _rows(layer, axis)
    if taken >= 0:
        maker = members[taken]
        if maker.layer.o_elements != layer.i_elements:
            return None
        if not layer.nest:
            rows = maker.rows
        elif maker.rows and rows not in (
            -(-maker.rows // stride),
            (maker.rows - taps) // stride + 1,
        ):
            return None
    beside = made.get(side[0], -1) if side else -1
    reread = False
    if side and members and beside < 0:
        source, _ = operands(members[0].layer, workload)
        same = layer.side_elements == members[0].layer.i_elements and members[0].stride == 1
        reread = same and side[0] == source[0] and members[0].homes.I != "buffer"
    if beside >= 0 and members[beside].layer.o_elements != layer.side_elements:
        return None
    return Member(layer, homes, rows, taps, stride, taken, beside, reread)


def _rows(layer: Layer, axis: str) -> tuple[int, int, int]:
    """Output rows, input rows under one output row, and stride; no rows yet for vector work."""
    nest = layer.nest
    if nest is None:
        return 0, 1, 1
    if axis == "OY":
        return nest.OY, (nest.FY - 1) * nest.dilation_y + 1, nest.stride_y
    return nest.OX, (nest.FX - 1) * nest.dilation_x + 1, nest.stride_x


def _with_rows(members: Sequence[Member]) -> tuple[Member, ...] | None:
    """Members with the rows of leading vector layers filled in; None if rows do not come out."""
    known = next((m for m in members if m.rows), None)
    if known is None or known.stride != 1 or known.taps != 1:
        rows = known.rows if known and members[0].rows else 0
    else:
        rows = known.rows
    out: list[Member] = []
    for member in members:
        filled = member if member.rows else replace(member, rows=rows)
        if not filled.rows or filled.layer.o_elements % filled.rows:
            return None
        out.append(filled)
    return tuple(out)


@dataclass
class Hope:
    """A group not built yet: its layers at their own optimum, less the most that fusing saves."""

    span: Span
    item: Item
    built: bool = False


class Finder:
    """Finds the groups that a network's best path would use, building few of those there are.

    A path search over hopeful items names the groups worth building; with what they really cost it
    is run again, until its path holds none that are only hoped for.
    """

    def __init__(
        self,
        workload: Workload,
        chip: Chip,
        plan: MemoryPlan,
        weights: Weights,
        *,
        legal: bool = False,
    ) -> None:
        self._workload, self._chip, self._plan, self._weights = workload, chip, plan, weights
        self._legal = legal
        self._best: dict[object, Fused | None] = {}
        self._blocks: dict[object, Work] = {}

    def hopes(self, alone: Callable[[int], Item], worth: float) -> list[Hope]:
        """All groups that might gain at least ``worth`` (in the unit of :meth:`Weights.score`)."""
        out = []
        links = _Links(self._chip)
        for span in _spans_of(self._workload, self._plan.homes):
            parts = [alone(n) for n in range(span.first, span.last + 1)]
            seconds, joules = _most_gain(span, links, parts)
            priced = joules + self._weights.price_w * seconds
            if (seconds if self._weights.objective == "latency" else priced) < worth:
                continue
            item = replace(
                parts[0],
                layers=len(parts),
                own_s=sum(part.own_s for part in parts) - seconds,
                energy_j=sum(part.energy_j for part in parts) - joules,
                last=parts[-1].last,
                last_s=parts[-1].last_s,
            )
            out.append(Hope(span, item))
        return out

    def build(self, span: Span) -> Item | None:
        """The best cut of a group; None if none fits the buffer."""
        numbers = range(span.first, span.last + 1)
        room = min(self._plan.room_bytes[n] for n in numbers)
        key = (tuple(_key(member) for member in span.members), span.axis, span.heads, room)
        layers = [self._workload.layers[n] for n in numbers]
        name = f"{layers[0].name} .. {layers[-1].name}"
        group = Group(
            name, span.members, span.axis, span.heads, self._chip, room, self._blocks,
            legal=self._legal,
        )  # fmt: skip
        if key not in self._best:
            self._best[key] = _best(group, self._weights)
        found = self._best[key]
        if found is None:
            return None
        return replace(found, group=group).item([(layer.name, layer.op) for layer in layers])


def _key(member: Member) -> tuple[object, ...]:
    where = (member.rows, member.taps, member.stride, member.taken, member.side, member.reread)
    return (layer_number(member.layer), member.homes, where)


class _Links:
    """Prices and rates of moving a byte to each home and back, looked up once."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self.rates = dict(zip(LINKS, link_rates(chip), strict=True))
        self._prices: dict[str, float] = {}

    def price(self, home: str) -> float:
        """Joules per byte out of the buffer to a home and back."""
        if home not in self._prices:
            chip = self._chip
            away = byte_price(chip, home, write=False) + byte_price(chip, home, write=True)
            both = 8.0 * (chip.prices["buffer.read_bit"] + chip.prices["buffer.write_bit"])
            self._prices[home] = away + both
        return self._prices[home]


def _most_gain(span: Span, links: _Links, alone: Sequence[Item]) -> tuple[float, float]:
    """Time and energy that fusing can save: transfers inside, and waiting for the other unit."""
    joules = seconds = 0.0
    for member in span.members:
        for taken, home, amount in (
            (member.taken, member.homes.I, member.layer.i_bytes),
            (member.side, member.homes.side, member.layer.side_bytes),
            (0 if member.reread else -1, member.homes.side, member.layer.side_bytes),
        ):
            if taken < 0 or home == "buffer" or not amount:
                continue
            joules += amount * links.price(home)
            seconds += 2.0 * amount / links.rates[home]
    waits = sum(found.own_s - found.busy_s for found in alone)
    seconds = min(seconds, waits)
    if len({member.on_array for member in span.members}) > 1:
        pairs = list(zip(alone, span.members, strict=True))
        array = sum(found.busy_s for found, member in pairs if member.on_array)
        seconds += min(array, sum(found.busy_s for found in alone) - array)
    return seconds, joules


def _best(group: Group, weights: Weights) -> Fused | None:
    """The best cut of a group by its own cost; None if none fits."""
    names = [("", "") for _ in group.members]
    best: tuple[tuple[float, float], Fused] | None = None
    for blocks in _cuts(group):
        try:
            made = group.build(blocks, weights.objective, weights.watts)
        except UnmappableError:
            continue
        if made is None:
            continue
        score = weights.score(made.item(names))
        if best is None or score < best[0]:
            best = (score, made)
    return best[1] if best else None


def _cuts(group: Group) -> Iterator[Blocks]:
    """Per number of heads at once: the coarsest bands that fit, and a few finer ones."""
    rows = max(member.rows for member in group.members)
    ladder = sorted({n for k in range(14) for n in (1 << k, 3 << k) if n <= rows} | {rows})
    everything = len(group.members)
    # Finer bands shorten the ends; where two units take turns, also the wait of one for the other.
    finer = FINER if len({member.on_array for member in group.members}) > 1 else 1
    most = 2 * finer + 1
    for heads in sorted({group.heads, 1}, reverse=True):
        whole: list[Blocks] = []
        fitting: list[Blocks] = []
        for bands in ladder:
            cut = Blocks(heads, bands)
            stays = group.staying(cut) if group.expressible(cut) else None
            if stays is not None:
                fitting.append(cut)
                if len(stays) == everything:
                    whole.append(cut)
            if len(whole) == most:
                break
        yield from (whole or fitting)[:most:2]
