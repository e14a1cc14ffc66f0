"""How much a file may ask of the reader: one set of limits, and what is spent of them.

A file of 100 MB is either read right, or refused within about 10 s of processor time and 1 GB of
memory. What is counted is work (nodes, numbers, bytes), never time, so that a busy machine refuses
nothing that an idle one reads. The largest network that ships has 3,074 nodes; every limit
leaves room for ten times what a real network asks, and its ground stands beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dse.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dse.workload.layer import Layer


class Named(Protocol):
    """A node of a graph, as far as an error names it."""

    @property
    def name(self) -> str: ...

    @property
    def op(self) -> str: ...


@dataclass(frozen=True)
class Limits:
    """The limits of one file.

    Attributes:
        fields: of the protocol buffer, and ``parsed``, bytes that it takes once it is parsed;
            looked at where more than 4 MB are left of a file without its weights. An empty message
            is two bytes of a file and about 100 to 400 of memory.
        nodes: operators, those of bodies and functions counted as often as they are written out;
            each costs about 100 us and 5 kB until it is lowered.
        visits: operators looked at in all rounds of shape inference; a round costs 50 more, and
            one for each kilobyte.
        rest: bytes of a file without its weights, which onnx copies several times.
        entries: inputs, outputs, stored tensors, written-down shapes and functions.
        numbers: operands and attributes of operators, and the numbers and texts in attributes;
            each becomes a Python object of 40 bytes.
        name: characters of a name. Names are copied into every body and every error.
        text: bytes that functions and bodies may come to when they are written out.
        axes: axes of a tensor (NumPy's own limit is 64).
        elements: of a tensor: 2^40 are a terabyte at one byte each.
        macs: multiply-accumulates of one layer: up to 2^53 a double counts without error, and the
            kernels count in doubles and 64-bit integers.
        folded: bytes of all constants that are computed beforehand.
        operands: of an Einsum: each further one is a product of its own.
        depth: functions that call each other, or bodies inside each other.
        cluster: operators that an exporter writes for one activation, casts in a row.
        roots: tensors that layers read and views lie in, summed over all of them.
        child_seconds, child_bytes: processor time and memory of the process in which onnx infers
            shapes if a file does not pass the cheap checks (see ``guard``).
    """

    fields: int = 1_000_000
    parsed: int = 512 << 20
    nodes: int = 40_000
    visits: int = 200_000
    rest: int = 32 << 20
    entries: int = 200_000
    numbers: int = 1_000_000
    name: int = 4_096
    text: int = 64 << 20
    axes: int = 64
    elements: int = 1 << 40
    macs: int = 1 << 53
    folded: int = 128 << 20
    operands: int = 64
    depth: int = 64
    cluster: int = 64
    roots: int = 1_000_000
    child_seconds: int = 5
    child_bytes: int = 512 << 20


LIMITS = Limits()

#: What can be spent: its name in :class:`Limits`, what it counts, and the mend.
_SPENT = {
    "nodes": ("operators", "export it in parts, or with its loops and functions kept short"),
    "visits": (
        "operators looked at in all rounds of shape inference",
        "bind its symbolic sizes (--bind name=value), or export it with static shapes",
    ),
    "text": ("bytes of functions and bodies written out", "export it with shorter names or bodies"),
    "folded": ("bytes of constants computed beforehand", "store its large constants as weights"),
    "roots": ("tensors behind its views", "export it with fewer tensors joined by Concat"),
}


@dataclass
class Budget:
    """What one file has spent; shared by whatever is read on its behalf.

    Attributes:
        file: for errors.
        limits: how much there is.
    """

    file: str
    limits: Limits = LIMITS
    spent: Counter[str] = field(default_factory=Counter)

    def spend(self, what: str, amount: int, node: Named | None = None) -> None:
        """Takes ``amount`` of the limit ``what``, on behalf of ``node``.

        Raises:
            InputError: nothing is left.
        """
        self.spent[what] += amount
        most = getattr(self.limits, what)
        if self.spent[what] > most:
            counted, mend = _SPENT[what]
            raise beyond(self.file, f"more than {most:,} {counted}", mend, node)


def beyond(file: str, what: str, mend: str, node: Named | None = None) -> InputError:
    """The error for a file that passes a limit."""
    where = None if node is None else f"node {node.name!r} ({node.op})"
    return InputError(f"the network is too large ({what})", file=file, field=where, mend=mend)


def check_size(file: str, name: str, shape: tuple[int, ...], node: Named | None = None) -> None:
    """Refuses a tensor with more axes or elements than any machine holds.

    Raises:
        InputError: names the tensor, and the node if it is given.
    """
    if len(shape) > LIMITS.axes:
        raise beyond(
            file,
            f"tensor {name!r} has {len(shape):,} axes, at most {LIMITS.axes}",
            "the graph is invalid: export it again",
            node,
        )
    elements = math.prod(shape)
    longest = max(shape, key=abs, default=0)  # below 0 where more is cut off than there is
    if abs(longest) > LIMITS.elements:
        elements = longest
    if abs(elements) > LIMITS.elements:
        raise beyond(
            file,
            f"tensor {name!r} has {elements:.3g} elements, at most 2^40",
            "bind its symbolic sizes to smaller numbers, or export it with other sizes",
            node,
        )


def check_work(file: str, layers: Iterable[Layer]) -> None:
    """Refuses a layer whose work cannot be counted without error.

    Raises:
        InputError: names the node.
    """
    for layer in layers:
        sizes = (layer.w_elements, layer.i_elements, layer.o_elements, layer.side_elements)
        largest = max(layer.macs, *sizes, *(count for _, count in layer.vector_ops))
        if largest > LIMITS.macs:
            raise InputError(
                f"the layer is too large ({largest:.3g} operations or elements, at most 2^53)",
                file=file,
                field=f"node {layer.name!r} ({layer.op})",
                mend="bind its symbolic sizes or trips to smaller numbers, or export it with "
                "other sizes",
            )
