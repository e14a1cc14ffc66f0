"""From a public torch module to the graph that its users export, without the data of its weights.

Nothing of the graph is changed: what the exporter writes stays, but for the data of stored tensors
(declared as external data in a file that is not there) and what tells of the exporting machine
(descriptions, stack traces).
"""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

#: Real constants with more elements than this lose their data; whole numbers keep more, since
#: shapes may follow from them.
KEPT_REALS, KEPT_WHOLES = 16, 1024
#: From larger files the sizes written beside every tensor are dropped; if that is not enough,
#: inner tensors are called by number (nodes keep their names).
LARGE_BYTES = 150_000
REALS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16,
     onnx.TensorProto.DOUBLE}
)  # fmt: skip
COUNTER = "torch.utils.flop_counter on the torch module, FLOPs / 2"

#: Size of an axis, or the name of one that the file leaves open.
Axis = int | str


@dataclass(frozen=True)
class Input:
    """One input: its axes, and the element type of its values (zeros when traced)."""

    axes: tuple[Axis, ...]
    dtype: torch.dtype = torch.float32


def image(height: Axis, width: Axis, batch: Axis = 1) -> Input:
    """RGB images."""
    return Input((batch, 3, height, width))


def indices(*axes: Axis) -> Input:
    """Indices of tokens."""
    return Input(axes, torch.int64)


@dataclass(frozen=True)
class Counted:
    """An independent count of multiply-accumulates, and how it was made."""

    macs: int
    method: str


@dataclass(frozen=True)
class Public:
    """How one public network is built, exported and counted.

    Attributes:
        package: of PyPI, that holds the code.
        of: class or function of the package.
        build: the network with random weights.
        inputs: in the order of ``forward``.
        sizes: of every named axis when the network is exported, and when it is counted and read.
        exporter: ``dynamo`` (torch.export) or ``torchscript`` (tracing).
        opset: of the graph.
        task: what the network is for.
        reduced: what was made smaller than published, if anything.
        listed: the network takes a list of images (torchvision's detectors).
        count: another way to count than running :data:`COUNTER` over the whole network.
        folded: multiply-accumulates of the module that depend on nothing but its weights, so
            that whoever reads the graph computes them beforehand; ``differs`` says which.
        values: of inner tensors that the graph leaves to the data, for reading it.
    """

    package: str
    of: str
    build: Callable[[], nn.Module]
    inputs: dict[str, Input]
    task: str
    sizes: dict[str, tuple[int, int]]
    exporter: str = "dynamo"
    opset: int = 20
    reduced: str = ""
    listed: bool = False
    count: Callable[[nn.Module], Counted] | None = None
    folded: int = 0
    differs: str = ""
    values: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def examples(self, *, bound: bool) -> tuple[torch.Tensor, ...]:
        """One tensor per input, at the sizes of export or those that are counted."""
        return tuple(
            torch.zeros([self._size(a, bound) for a in i.axes], dtype=i.dtype)
            if i.dtype != torch.float32
            else torch.rand([self._size(a, bound) for a in i.axes])
            for i in self.inputs.values()
        )

    def _size(self, axis: Axis, bound: bool) -> int:
        return axis if isinstance(axis, int) else self.sizes[axis][bound]

    @property
    def bindings(self) -> dict[str, int | list[int]]:
        """Sizes at which the network is counted, and values."""
        sizes = {name: bound for name, (_, bound) in self.sizes.items()}
        return sizes | {name: list(value) for name, value in self.values.items()}

    @property
    def dynamic(self) -> dict[str, dict[int, str]]:
        """Named axes by input."""
        named = {
            name: {k: a for k, a in enumerate(i.axes) if isinstance(a, str)}
            for name, i in self.inputs.items()
        }
        return {name: axes for name, axes in named.items() if axes}


def counted(network: nn.Module, *inputs: object) -> int:
    """Multiply-accumulates of one run, by torch's own counter.

    Attention runs as matrix products and a softmax, since the counter lacks kernels of the CPU.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() // 2


def export_public(name: str, public: Public) -> tuple[onnx.ModelProto, Counted]:
    """The weightless graph of one network and its independent count."""
    torch.manual_seed(0)
    network = public.build().eval()
    inputs = public.examples(bound=True)
    if public.count is not None:
        found = public.count(network)
    else:
        given = ([inputs[0][0]],) if public.listed else inputs
        found = Counted(counted(network, *given), COUNTER)
    exporter = _by_dynamo if public.exporter == "dynamo" else _by_tracing
    model = exporter(network, public)
    return _without_traces(model, name), found


def _by_dynamo(network: nn.Module, public: Public) -> onnx.ModelProto:
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            public.examples(bound=False),
            dynamo=True,
            input_names=list(public.inputs),
            dynamic_shapes=_dynamic_shapes(network, public),
            opset_version=public.opset,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    for value in program.model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.size <= KEPT_WHOLES:
            continue
        value.const_value = ir.ExternalTensor(
            "absent", 0, 0, tensor.dtype, shape=tensor.shape, name=value.name or ""
        )
    return ir.to_proto(program.model)


def _dynamic_shapes(network: nn.Module, public: Public) -> tuple[object, ...] | None:
    """Named axes of every input as torch.export wants them: what ``*args`` takes is one tuple."""
    if not public.dynamic:
        return None
    shapes = tuple(public.dynamic.get(name) for name in public.inputs)
    named = [
        p for p in inspect.signature(network.forward).parameters.values()
        if p.kind is not inspect.Parameter.VAR_POSITIONAL
    ]  # fmt: skip
    rest = shapes[len(named) :]
    return (*shapes[: len(named)], rest) if rest else shapes


def _by_tracing(network: nn.Module, public: Public) -> onnx.ModelProto:
    inputs = public.examples(bound=False)
    written = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            network,
            ([inputs[0][0]],) if public.listed else inputs,
            written,
            dynamo=False,
            input_names=list(public.inputs),
            dynamic_axes=public.dynamic,
            opset_version=public.opset,
        )
    return onnx.load_from_string(written.getvalue())


def _without_traces(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The graph without data of weights, descriptions and metadata."""
    model.ClearField("doc_string")
    del model.metadata_props[:]
    model.graph.name = name
    for part in (*_graphs(model.graph), *model.functions):
        part.ClearField("doc_string")
        del part.metadata_props[:]
        for node in part.node:
            node.ClearField("doc_string")
            del node.metadata_props[:]
        values = list(part.value_info)
        if isinstance(part, onnx.GraphProto):
            values += [*part.input, *part.output]
            for tensor in part.initializer:
                _forget(tensor, name)
        for value in values:
            value.ClearField("doc_string")
            del value.metadata_props[:]
    if model.ByteSize() > LARGE_BYTES:
        for graph in _graphs(model.graph):
            del graph.value_info[:]
    if model.ByteSize() > LARGE_BYTES:
        _number_tensors(model.graph)
    return model


def _number_tensors(whole: onnx.GraphProto) -> None:
    """Renames all tensors but inputs and results, the same way in the graph and its bodies."""
    short = {v.name: v.name for v in (*whole.input, *whole.output)} | {"": ""}
    for graph in _graphs(whole):
        tensors = [*graph.initializer, *graph.input, *graph.output]
        for name in (*(t.name for t in tensors), *(o for n in graph.node for o in n.output)):
            short.setdefault(name, f"t{len(short)}")
        for tensor in tensors:
            tensor.name = short[tensor.name]
    for graph in _graphs(whole):
        for node in graph.node:
            node.input[:] = [short[name] for name in node.input]
            node.output[:] = [short[name] for name in node.output]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all bodies inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(body)


def _forget(tensor: onnx.TensorProto, name: str) -> None:
    """Declares the data of a weight as lying in ``NAME.onnx.data``, which does not ship."""
    tensor.ClearField("doc_string")
    del tensor.metadata_props[:]
    kept = KEPT_REALS if tensor.data_type in REALS else KEPT_WHOLES
    if math.prod(tensor.dims) <= kept:
        return
    bare = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=list(tensor.dims))
    bare.data_location = onnx.TensorProto.EXTERNAL
    bare.external_data.add(key="location", value=f"{name}.onnx.data")
    tensor.CopyFrom(bare)
