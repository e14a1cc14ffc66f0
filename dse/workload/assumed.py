"""Sizes and values that the user gives for tensors inside a graph, since they depend on the data.

``--bind NAME=VALUE`` says what a tensor of few elements holds (the end of a Range, the k of a TopK,
a condition), ``--bind NAME.AXIS=N`` how long a tensor is (what NonZero found). Shapes and branches
follow from them; the tensors are computed all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from dse.errors import InputError
from dse.workload.graph import Graph
from dse.workload.layer import Binding
from dse.workload.shapes import BOUNDED

#: Rank of results whose length depends on the data, where onnx does not tell it.
_RANKS = {"Range": 1}


@dataclass
class Assumed:
    """Applies such bindings to each new state of a graph.

    Attributes:
        file: for errors.
        bindings: by ``NAME`` or ``NAME.AXIS``.
        used: bindings whose tensor was met.
    """

    file: str
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def apply(self, graph: Graph, open_shapes: Mapping[str, list[int | None]]) -> int:
        """Takes them up in ``graph``; returns how many shapes became known.

        Args:
            graph: changed in place.
            open_shapes: what onnx knows of the shapes that are not static.
        """
        for name, value in self.bindings.items():
            stem, _, axis = name.rpartition(".")
            if name in graph.producers:
                self.used.add(name)
                graph.given[name] = self._array(name, value, graph)
            elif stem in graph.producers and axis.isdigit():
                self.used.add(name)
                graph.lengths.setdefault(stem, {})[int(axis)] = self._length(name, value)
        return sum(
            _learnt(name, sizes, graph, open_shapes) for name, sizes in graph.lengths.items()
        )

    def check(self, graph: Graph) -> None:
        """Refuses bindings that no tensor took, and sizes that contradict the others.

        Raises:
            InputError: names the binding.
        """
        for name, value in self.bindings.items():
            if name not in self.used:
                raise InputError(
                    f"no symbolic size, input or tensor is called {name!r}",
                    file=self.file,
                    field=name,
                    mend="see the error or the notes without this binding for the names",
                )
            stem, _, axis = name.rpartition(".")
            if stem not in graph.lengths or stem not in graph.shapes:
                continue
            held = graph.value(stem)
            shape = graph.shapes[stem] if held is None else held.shape
            if int(axis) >= len(shape) or shape[int(axis)] != value:
                sizes = "x".join(map(str, shape)) or "no axes"
                raise InputError(
                    f"{name}={value} does not fit {stem!r}, whose sizes follow ({sizes})",
                    file=self.file,
                    field=name,
                    mend="leave it out, or bind what they follow from",
                )

    def _array(self, name: str, value: Binding, graph: Graph) -> np.ndarray:
        numbers = value if isinstance(value, tuple) else (value,)
        shape = graph.shapes.get(name)
        if shape is None:
            shape = (len(numbers),) if isinstance(value, tuple) else ()
        if math.prod(shape) != len(numbers):
            raise InputError(
                f"tensor {name!r} has {math.prod(shape)} elements, and {len(numbers)} are given",
                file=self.file,
                field=name,
                mend="give one value for each, or bind its sizes (NAME.AXIS=N)",
            )
        whole = all(isinstance(number, int) for number in numbers)
        kind = graph.types.get(name, onnx.TensorProto.INT64 if whole else onnx.TensorProto.FLOAT)
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
            return np.array(numbers, dtype).reshape(shape)
        except (ValueError, TypeError, OverflowError, KeyError):
            raise InputError(
                f"{name}={value} is no value of its type",
                file=self.file,
                field=name,
                mend="give a value of that type",
            ) from None

    def _length(self, name: str, value: Binding) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise InputError(
            f"{name}={value} is no size", file=self.file, field=name, mend="use a number from 0"
        )


def _learnt(
    name: str,
    sizes: Mapping[int, int],
    graph: Graph,
    open_shapes: Mapping[str, list[int | None]],
) -> bool:
    """Whether the shape of a tensor became known by the sizes given for it."""
    node = graph.producers[name]
    if name in graph.shapes or node.op in BOUNDED:  # these have a most, see ``shapes``
        return False
    axes: list[int | None] | None = open_shapes.get(name)
    if axes is None and node.op in _RANKS:
        axes = [None] * _RANKS[node.op]
    if axes is None and sorted(sizes) == list(range(len(sizes))):
        axes = [None] * len(sizes)
    if axes is None or max(sizes) >= len(axes):
        return False
    full = [sizes.get(axis, size) for axis, size in enumerate(axes)]
    if any(size is None for size in full):
        return False
    kind = graph.types.get(name) or next(
        (graph.types[i] for i in node.inputs if i in graph.types), 0
    )
    graph.learn(name, kind, tuple(size for size in full if size is not None))
    return True
