"""How a group of layers is cut into blocks, and the room its blocks take in the buffer.

Of a convolution's input the lines that the next band shares stay in the buffer. That takes no more
room than the band that would have to be computed again without them, so nothing is computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dse.hardware.chip import Chip
from dse.mapping.ir.homes import Homes, stored_bytes
from dse.registry import Remembered
from dse.workload.layer import Layer


@dataclass(frozen=True)
class Member:
    """A layer of a group, and where its operands come from.

    Attributes:
        layer: the layer.
        homes: as planned; operands that pass inside the group are not moved there.
        rows: output rows of the layer along the group's axis.
        taps: input rows that one output row needs, ``stride`` input rows between two outputs.
        taken: the member whose output is its main input (-1: from outside).
        side: the member whose output is its side input (-1: from outside, or none); ``reread``
            says that it is the group's own input, still in the buffer.
    """

    layer: Layer
    homes: Homes
    rows: int
    taps: int
    stride: int
    taken: int
    side: int
    reread: bool

    @property
    def on_array(self) -> bool:
        return self.layer.kind == "compute"


@dataclass(frozen=True)
class Blocks:
    """How a group is cut: ``heads`` blocks of groups (G), each in ``bands`` bands of rows."""

    heads: int
    bands: int

    @property
    def count(self) -> int:
        return self.heads * self.bands


def part(layer: Layer, axis: str, rows: int, of: int, heads: int) -> Layer:
    """``rows`` of ``of`` output rows of a layer, of one of ``heads`` equal parts of its groups."""
    key = (id(layer), axis, rows, of, heads)
    return _parts.of(key, lambda: _part(layer, axis, rows, of, heads), layer)


def _part(layer: Layer, axis: str, rows: int, of: int, heads: int) -> Layer:
    share = rows / of / heads
    nest = layer.nest
    if nest is not None:
        size = -(-getattr(nest, axis) * rows // of)
        nest = replace(nest, **{axis: size}, G=-(-nest.G // heads))
    weights = heads if layer.w_is_activation else 1
    return replace(
        layer,
        nest=nest,
        w_elements=-(-layer.w_elements // weights),
        i_elements=math.ceil(layer.i_elements * share),
        o_elements=math.ceil(layer.o_elements * share),
        side_elements=math.ceil(layer.side_elements * share),
        vector_ops=tuple((f, math.ceil(n * share)) for f, n in layer.vector_ops),
    )


def cut(total: int, pieces: int) -> tuple[int, int, int]:
    """A full piece of ``total``, how many pieces there are, and the last one."""
    full = -(-total // pieces)
    count = -(-total // full)
    return full, count, total - full * (count - 1)


#: Parts of layers, by the layer and how it is cut.
_parts = Remembered("mapping.fusion.blocks.parts", 32768)
#: Rows and windows of the groups of the last networks, by their members: a search cuts the same
#: groups on many chips.
_known = Remembered("mapping.fusion.blocks.known", 8192)


class Rooms:
    """Members of a group on a chip: rows, windows and weights of one way of cutting them.

    ``bank_bytes``: each window takes whole banks of this size; 0 for any bytes.
    """

    def __init__(
        self, members: Sequence[Member], chip: Chip, room_bytes: float, bank_bytes: float = 0.0
    ) -> None:
        self.members = members = tuple(members)
        self.chip = chip
        self.room_bytes = room_bytes
        self.bank_bytes = bank_bytes
        key = (id(members), chip.buffer.double_buffered, bank_bytes)
        self._needs: dict[int, list[int]]
        self._windows: dict[Blocks, float]
        self._needs, self._windows = _known.of(key, lambda: ({}, {}), members)

    def band(self, member: Member, bands: int) -> int:
        """Output rows of a member in a full band."""
        return cut(member.rows, bands)[0]

    def needs(self, bands: int) -> list[int]:
        """Output rows each member must have made before the last one makes its first band."""
        known = self._needs.get(bands)
        if known is None:
            known = self._needs[bands] = self._count_needs(bands)
        return known

    def _count_needs(self, bands: int) -> list[int]:
        rows = [self.band(member, bands) for member in self.members]
        for number in range(len(self.members) - 1, -1, -1):
            member = self.members[number]
            rows[number] = min(rows[number], member.rows)
            if member.taken >= 0:
                stride, count = member.stride, rows[number]
                under = max((count - 1) * stride + member.taps, count * stride)
                rows[member.taken] = max(rows[member.taken], under)
            if member.side >= 0:
                rows[member.side] = max(rows[member.side], rows[number])
        return rows

    def windows_bytes(self, blocks: Blocks) -> float:
        """Room of everything but weights in one block of all members, bytes."""
        known = self._windows.get(blocks)
        if known is None:
            known = self._windows[blocks] = self._windows_bytes(blocks)
        return known

    def _windows_bytes(self, blocks: Blocks) -> float:
        copies = 2.0 if self.chip.buffer.double_buffered else 1.0
        total = 0.0
        needs = self.needs(blocks.bands)
        for number, member in enumerate(self.members):
            layer = member.layer
            rows = self.band(member, blocks.bands)
            count, stride = needs[number], member.stride
            span = max((count - 1) * stride + member.taps, count * stride)
            span = min(self._input_rows(member), span)
            if member.taken < 0 and member.homes.I != "buffer":
                fresh = min(self._input_rows(member), rows * member.stride)
                total += self._rows_bytes(layer.i_bytes, self._input_rows(member), span, blocks)
                if copies > 1.0:
                    total += self._rows_bytes(
                        layer.i_bytes, self._input_rows(member), fresh, blocks
                    )
            elif member.taken >= 0:
                maker = self.members[member.taken]
                more = self.band(maker, blocks.bands) if maker.on_array != member.on_array else 0
                total += self._rows_bytes(maker.layer.o_bytes, maker.rows, span + more, blocks)
            if layer.side_bytes:
                total += self._side_bytes(number, member, rows, copies, blocks)
            if number + 1 == len(self.members) and member.homes.O != "buffer":
                total += copies * self._rows_bytes(layer.o_bytes, member.rows, rows, blocks)
        return total

    def _side_bytes(
        self, number: int, member: Member, rows: int, copies: float, blocks: Blocks
    ) -> float:
        """Room of a side input: rows on their way, or lines kept until the member comes to them."""
        size = member.layer.side_bytes
        if member.side < 0 and not member.reread:
            if member.homes.side == "buffer":
                return 0.0
            return copies * self._rows_bytes(size, member.rows, rows, blocks)
        lag = self.needs(blocks.bands)[max(0, member.side)]
        for between in self.members[max(0, member.side) : number]:
            lag += between.taps - 1 + (rows if between.on_array != member.on_array else 0)
        return self._rows_bytes(size, member.rows, lag, blocks)

    def _input_rows(self, member: Member) -> int:
        if member.taken >= 0:
            return self.members[member.taken].rows
        # At least: rows of a tensor that the first and the last output row reach without padding.
        return (member.rows - 1) * member.stride + 1

    def _rows_bytes(self, whole: float, of: int, rows: int, blocks: Blocks) -> float:
        return self._banked(whole / of * min(rows, of) / blocks.heads)

    def _banked(self, amount: float) -> float:
        bank = self.bank_bytes
        return math.ceil(amount / bank) * bank if bank > 0.0 else amount

    def weights_bytes(self, member: Member, blocks: Blocks) -> float:
        """Room of a member's weights (or second operand) if they stay for all bands, bytes."""
        layer = member.layer
        if member.homes.W == "buffer" or not layer.w_elements:
            return 0.0
        if not layer.w_is_activation:
            return self._banked(stored_bytes(layer))
        copies = 2.0 if self.chip.buffer.double_buffered and blocks.heads > 1 else 1.0
        return copies * self._banked(layer.w_bytes / blocks.heads)

    def staying(self, blocks: Blocks) -> tuple[int, ...] | None:
        """Members whose weights stay in the buffer, the smallest first; None if nothing fits."""
        left = self.room_bytes - self.windows_bytes(blocks)
        if left < 0.0:
            return None
        needs = sorted((self.weights_bytes(m, blocks), n) for n, m in enumerate(self.members))
        out: list[int] = []
        for need, number in needs:
            if need > left:
                break
            left -= need
            out.append(number)
        return tuple(sorted(out))
