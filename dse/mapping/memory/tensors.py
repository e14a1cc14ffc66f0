"""What all memory plans of a network have in common: lifetimes of its tensors, and who reads them.

A search maps the same networks on thousands of chips; this is worked out once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dse.mapping.ir.homes import stored_bytes
from dse.mapping.space.shape import layer_number
from dse.registry import Remembered
from dse.workload.layer import Layer, Workload

#: Roles of tensors that are part of the model, not made by an inference.
STORED = ("weight", "bias", "table")
#: Networks remembered.
NETWORKS = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A tensor from layer ``first`` to layer ``last``, read by ``readers`` layers."""

    name: str
    bytes: float
    first: int
    last: int
    readers: int


def operands(layer: Layer, workload: Workload) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Activation tensors read as main and as side input (or second operand)."""
    names = [
        name
        for name in layer.inputs
        if name in workload.tensors
        and workload.tensors[name].role not in STORED
        and name != layer.w_tensor
    ]
    if layer.kind == "compute":
        second = layer.w_tensor
        if not names and layer.w_is_activation and second in workload.tensors:
            names = [str(second)]  # both operands lie in one tensor, such as Q and K
        return tuple(names[:1]), tuple(names[1:])
    return tuple(names), ()


def lifetimes(workload: Workload) -> dict[str, Lifetime]:
    """Lifetime of every activation, network input and output, by tensor name."""
    end = len(workload.layers) - 1
    first: dict[str, int] = dict.fromkeys(workload.inputs, 0)
    last: dict[str, int] = {}
    readers: dict[str, int] = {}
    for number, layer in enumerate(workload.layers):
        for name in layer.outputs:
            first.setdefault(name, number)
        read = {name for group in operands(layer, workload) for name in group}
        if layer.w_is_activation and layer.w_tensor:
            read.add(layer.w_tensor)
        for name in read:
            first.setdefault(name, 0)
            last[name] = number
            readers[name] = readers.get(name, 0) + 1
    for name in workload.outputs:
        last[name] = end
    return {
        name: Lifetime(
            name,
            float(workload.tensors[name].bytes),
            begin,
            max(begin, last.get(name, begin)),
            readers.get(name, 0),
        )
        for name, begin in first.items()
        if name in workload.tensors and workload.tensors[name].role not in STORED
    }


def tables_of(layer: Layer, workload: Workload) -> tuple[str, ...]:
    """Stored tables (embeddings) of which the layer reads rows."""
    return tuple(
        name
        for name in layer.inputs
        if name in workload.tensors and workload.tensors[name].role == "table"
    )


def weight_name(layer: Layer) -> str:
    """The stored tensor a layer's weights come from (the layer's name if it has none)."""
    return layer.w_tensor or layer.name


@dataclass(frozen=True, slots=True)
class Reads:
    """Where a layer's operands come from: main and side activations, tables, and the second operand
    (a stored tensor, unless it is an activation); ``made`` is its result."""

    main: tuple[str, ...]
    side: tuple[str, ...]
    tables: tuple[str, ...]
    second: str
    made: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored tensor: the most bytes that a layer reads of it (all of a table), the last layer
    that reads it, and its size, bytes (none if the network does not list it)."""

    name: str
    need: float
    layer: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a network.

    Attributes:
        lives: of every activation, network input and output, by name.
        inner: activations that may stay on the chip where others leave it, best saving first.
        reads: of every layer.
        stored: weights, the biggest first, then tables likewise.
        shapes: the number of every layer's shape (``shape.layer_number``).
    """

    lives: Mapping[str, Lifetime]
    inner: tuple[Lifetime, ...]
    reads: tuple[Reads, ...]
    stored: tuple[Stored, ...]
    shapes: tuple[int, ...]


_tensors = Remembered("mapping.memory.tensors.tensors", NETWORKS)


def tensors_of(workload: Workload) -> Tensors:
    """The tensors of a network, remembered."""
    parts = (workload.layers, workload.tensors, workload.inputs, workload.outputs)
    return _tensors.of(tuple(map(id, parts)), lambda: _make(workload), parts)


def _make(workload: Workload) -> Tensors:
    lives = lifetimes(workload)
    outside = {*workload.inputs, *workload.outputs}
    inner = [
        life
        for name, life in lives.items()
        if name not in outside and workload.tensors[name].role == "activation" and life.readers
    ]
    # Bytes saved are (1 store + readers) * size; the cost is size * layers of lifetime.
    inner.sort(key=lambda t: (-(1 + t.readers) / (t.last - t.first + 1), t.first, t.name))
    reads = tuple(
        Reads(
            *operands(layer, workload),
            tables_of(layer, workload),
            (layer.w_tensor or "") if layer.w_is_activation else weight_name(layer),
            layer.outputs[:1],
        )
        for layer in workload.layers
    )
    weights: dict[str, tuple[float, str]] = {}
    tables: dict[str, tuple[float, str]] = {}
    for layer in workload.layers:
        if layer.w_elements and not layer.w_is_activation:
            name = weight_name(layer)
            most = max(stored_bytes(layer), weights.get(name, (0.0, ""))[0])
            weights[name] = (most, layer.name)
        for name in tables_of(layer, workload):
            tables[name] = (float(workload.tensors[name].bytes), layer.name)
    stored = (
        Stored(name, need, layer, workload.tensors[name].bytes if name in workload.tensors else 0)
        for group in (weights, tables)
        for name, (need, layer) in sorted(group.items(), key=lambda one: (-one[1][0], one[0]))
    )
    shapes = tuple(layer_number(layer) for layer in workload.layers)
    return Tensors(lives, tuple(inner), reads, tuple(stored), shapes)
