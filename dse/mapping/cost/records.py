"""What the cost functions return, by name: as fast as plain tuples, in Numba as well.

Fields hold numbers, or in the uncompiled functions arrays of them (one for each tile tried).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class ArraySide(NamedTuple):
    """What the array does over all tiles.

    Attributes:
        cycles: of the array.
        w_reads, i_reads: elements read from the buffer.
        updates: of the accumulators.
        sums: partial sums read from (and written to) the buffer, at accumulator width.
        partial: whether an output element in the buffer is a partial sum.
        usable: whether the accumulators hold at least one step's outputs.
        joules: of registers, and of transforming inputs.
        switch: cycles in which the array stands still while what stays in it is loaded (none
            where that is hidden); loaded: bytes read from the buffer meanwhile; passing: cycles of
            the port, if it has its own, of the operand that passes by what stays.
    """

    cycles: Any
    w_reads: Any
    i_reads: Any
    updates: Any
    sums: Any
    partial: Any
    usable: Any
    joules: Any
    switch: Any
    loaded: Any
    passing: Any


class RegisterMoves(NamedTuple):
    """Reads and writes of registers: of W, of I, of O."""

    w_read: Any
    w_write: Any
    i_read: Any
    i_write: Any
    o_read: Any
    o_write: Any


class RegisterUses(NamedTuple):
    """What an array with registers does over all tiles.

    Attributes:
        w_reads, i_reads: elements read from the buffer.
        visits: of each output.
        fills: of the operand that stays.
        moves: reads and writes of registers.
    """

    w_reads: Any
    i_reads: Any
    visits: Any
    fills: Any
    moves: RegisterMoves


class Tile(NamedTuple):
    """One full tile of each operand.

    Attributes:
        w, i, o: elements.
        w_pad, i_pad, o_pad: the same padded to the alignment.
        o_last: outputs of the last tile.
        w_jobs, i_jobs, o_jobs: DMA descriptors to move it.
    """

    w: Any
    i: Any
    o: Any
    w_pad: Any
    i_pad: Any
    o_pad: Any
    o_last: Any
    w_jobs: Any
    i_jobs: Any
    o_jobs: Any


class Operands(NamedTuple):
    """An amount of each operand: of room in the buffer, or of bytes moved."""

    w: Any
    i: Any
    o: Any
    side: Any


class Groups(NamedTuple):
    """Tiles of G, of the group irrelevant to W (B, OY, OX), to I (K) and to O (C, FY, FX)."""

    g: Any
    a: Any
    k: Any
    r: Any


class TileCounts(NamedTuple):
    """Tiles of W, I and O, of the groups irrelevant to each (see :class:`Groups`), of all dims."""

    w: Any
    i: Any
    o: Any
    a: Any
    k: Any
    r: Any
    every: Any


class Cuts(NamedTuple):
    """Tiles of G, B, K, and of C and the filter together."""

    g: Any
    b: Any
    k: Any
    r: Any


class Volumes(NamedTuple):
    """Elements over all tiles: of W, of I with the halo fetched again, of O, of I with it kept."""

    w: Any
    i_again: Any
    o: Any
    i_kept: Any


class Kept(NamedTuple):
    """Input elements over all tiles: no lines kept from tile to tile, those that slide, all."""

    none: Any
    slides: Any
    every: Any


class Move(NamedTuple):
    """What moves between the buffer and what feeds it.

    Attributes:
        steps: of all tiles.
        outer: steps at which the operand that stays changes.
        w, i: elements brought into the buffer.
        o: elements of outputs.
        visits: of each output.
        w_share, i_share, o_share: of the steps, at which an operand that does not stay moves.
    """

    steps: Any
    outer: Any
    w: Any
    i: Any
    o: Any
    visits: Any
    w_share: Any
    i_share: Any
    o_share: Any


class Above(NamedTuple):
    """What moves above the memory that feeds the buffer.

    Attributes:
        s0, s1, s2: seconds of the links beyond the first and last tile.
        joules: of it.
        jobs: DMA descriptors.
    """

    s0: Any
    s1: Any
    s2: Any
    joules: Any
    jobs: Any


class Bound(NamedTuple):
    """Seconds and joules, at least."""

    seconds: Any
    joules: Any


class LeastSide(NamedTuple):
    """The array's side at least, and joules that each further tile of OY and OX adds."""

    seconds: Any
    joules: Any
    again: Any


class Parts(NamedTuple):
    """Cycles of each part of a step: of one that changes what stays (1), of all others (2), and of
    the last (3); ``often`` is vector work on top where what stays changes; ``wait`` is for the
    descriptors of the first tile and of the last store, beyond the bytes they bring."""

    array: Any
    vector: Any
    often: Any
    port1: Any
    port2: Any
    port3: Any
    dma1: Any
    dma2: Any
    wait: Any


class Ends(NamedTuple):
    """Bytes of the first load of W, I and side input, and of the last store of O."""

    w: Any
    i: Any
    side: Any
    o: Any


class Totals(NamedTuple):
    """A whole layer.

    Attributes:
        reads, writes: bytes at the buffer's port.
        w, i, spilled, o, side: bytes of W, I, side input brought in, of partial sums that leave
            and come again, of outputs that leave (those included).
        idle: cycles of array units without work.
        jobs: DMA descriptors.
        count1, count2: steps that change what stays, and others.
    """

    reads: Any
    writes: Any
    w: Any
    i: Any
    spilled: Any
    o: Any
    side: Any
    idle: Any
    jobs: Any
    count1: Any
    count2: Any


class Cost(NamedTuple):
    """A mapping's cost, with the parts that a schedule is built from.

    Attributes:
        latency_s, energy_j: of one core, its share of static energy included.
        allowed: whether the order is one of its own, and partial sums may leave the buffer.
        parts: cycles by part of a step.
        bytes1, bytes2: moved in a step that changes what stays, and in others.
        ends: first loads and last store.
        totals: of the layer.
    """

    latency_s: Any
    energy_j: Any
    allowed: Any
    parts: Parts
    bytes1: Operands
    bytes2: Operands
    ends: Ends
    totals: Totals
