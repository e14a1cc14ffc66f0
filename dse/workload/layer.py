"""What a network is made of once lowered: tensors and layers, without any chip in sight.

A *compute* layer is a loop nest over the dims of :data:`DIMS`; one nest form covers convolution
(any kind), matrix products and attention. *Vector* layers are counted operations by function,
*movement* layers are bytes that must really move, *host* layers are what no accelerator unit does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from dse.registry import APART, key_of
from dse.workload.precision import Precision, bits_of
from dse.workload.sparsity import DENSE, Sparsity

#: What a binding may give: a size or a value, or the values of a small tensor.
Binding = int | float | tuple[int | float, ...]

#: Loop dims of a compute layer, in canonical order. ``G`` groups (depthwise channels, heads),
#: ``B`` batch, ``K`` output and ``C`` input channels of a group, ``OY OX`` output rows and columns
#: (``OX`` holds the rows of a matrix product), ``FY FX`` filter taps.
DIMS = ("G", "B", "K", "C", "OY", "OX", "FY", "FX")

#: Functions by which vector work is counted (operations = results of the function).
FUNCTIONS = (
    "relu",  # max/min/clip against constants; also hard-sigmoid pieces
    "add",  # also subtract, and the accumulation of pooling
    "mul",  # also scale, requantize
    "compare",  # max-pool comparisons, where, top-k steps
    "lut",  # any table function of one argument: sigmoid, SiLU, GELU, tanh, erf
    "exp",
    "div",  # also reciprocal, square root, reciprocal square root
    "reduce",  # one element folded into a sum or maximum
    "copy",  # an element passed through (casts, resize nearest)
)

Kind = Literal["compute", "vector", "movement", "host"]
Role = Literal["input", "weight", "activation", "kv", "output", "bias", "table"]
#: Roles of what is stored with the network.
STORED = ("weight", "bias", "table")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the network. ``format`` is its number format once a precision is applied.

    Roles: ``weight`` is stored and read in full by every inference; ``bias`` is what is stored per
    output channel beside it; of a ``table`` (an embedding) an inference reads a few rows only.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    format: str = "int8"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Stored size, rounded up to whole bytes."""
        return -(-self.elements * bits_of(self.format) // 8)


@dataclass(frozen=True, slots=True)
class LoopNest:
    """The loops of a compute layer: ``O[g,b,k,oy,ox] += W[g,k,c,fy,fx] * I[g,b,c,iy,ix]``.

    ``iy = oy * stride_y + fy * dilation_y``. Padding is not represented: border taps count as
    MACs, as every published count does. A transposed convolution is the nest of the equivalent
    sub-pixel convolution.
    """

    G: int = 1
    B: int = 1
    K: int = 1
    C: int = 1
    OY: int = 1
    OX: int = 1
    FY: int = 1
    FX: int = 1
    stride_y: int = 1
    stride_x: int = 1
    dilation_y: int = 1
    dilation_x: int = 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes in the order of :data:`DIMS`."""
        return (self.G, self.B, self.K, self.C, self.OY, self.OX, self.FY, self.FX)

    @property
    def macs(self) -> int:
        return math.prod(self.sizes)

    @property
    def depthwise(self) -> bool:
        return self.G > 1 and self.K == 1 and self.C == 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """Everything that defines the nest, as integers (for keys and kernels)."""
        strides = (self.stride_y, self.stride_x, self.dilation_y, self.dilation_x)
        return self.sizes + strides


@dataclass(frozen=True, slots=True)
class Layer:
    """One unit of scheduling: a compute nest with what is folded into it, or vector/movement/host.

    Element counts are of whole tensors as the ONNX graph states them (no padding). ``w_elements``
    are stored weights; for a product of two activations (attention) ``w_elements`` counts the
    second activation operand, ``w_tensor`` is its name and ``w_is_activation`` is true.
    ``side_elements`` are further activations read, such as a residual added at write-back.
    ``b_elements`` are numbers stored per output channel (bias, slopes), of ``acc_bits`` each; they
    are not part of ``w_elements``. Loading a bias into the accumulators is no operation.
    ``vector_ops`` is work by function of :data:`FUNCTIONS`: done on the way out of the array for a
    compute layer, the work itself for a vector layer; for a host layer, operations on the host.
    ``acc_bits`` is the width of partial sums. ``rectified`` tells that results passed a ReLU last.
    ``row_wise`` tells of vector work that every row of the result depends on the same row of each
    operand only, so that it may run fused in bands of rows; the lowering rule says it.
    ``weight_density`` and ``input_density`` are shares of nonzero weights and inputs, 0 to 1;
    ``weight_pattern`` is ``dense``, ``unstructured`` or ``n:m`` (at most n of m neighbours along C
    are nonzero). MACs and bytes here are those of the dense layer: what zeros save is the chip's.
    Fields that are ``APART`` do not change how the layer by itself is best mapped.
    """

    name: str = field(metadata=APART)
    op: str = field(metadata=APART)
    kind: Kind
    nodes: tuple[str, ...] = field(metadata=APART)
    inputs: tuple[str, ...] = field(metadata=APART)
    outputs: tuple[str, ...] = field(metadata=APART)
    nest: LoopNest | None = None
    w_tensor: str | None = field(default=None, metadata=APART)
    w_is_activation: bool = False
    w_elements: int = 0
    i_elements: int = 0
    o_elements: int = 0
    side_elements: int = 0
    b_elements: int = 0
    vector_ops: tuple[tuple[str, int], ...] = ()
    w_format: str = "int8"
    i_format: str = "int8"
    o_format: str = "int8"
    acc_bits: int = 32
    note: str = field(default="", metadata=APART)
    rectified: bool = field(default=False, metadata=APART)
    row_wise: bool = field(default=False, metadata=APART)
    weight_density: float = 1.0
    weight_pattern: str = "dense"
    input_density: float = 1.0

    @property
    def macs(self) -> int:
        return self.nest.macs if self.nest else 0

    @property
    def w_bytes(self) -> float:
        return self.w_elements * bits_of(self.w_format) / 8

    @property
    def i_bytes(self) -> float:
        return self.i_elements * bits_of(self.i_format) / 8

    @property
    def o_bytes(self) -> float:
        return self.o_elements * bits_of(self.o_format) / 8

    @property
    def side_bytes(self) -> float:
        return self.side_elements * bits_of(self.i_format) / 8

    @property
    def b_bytes(self) -> float:
        return self.b_elements * self.acc_bits / 8

    @property
    def mapping_view(self) -> tuple[object, ...]:
        """What the mapper sees of the layer, hashable: equal views give equal mappings."""
        return cast("tuple[object, ...]", key_of(self))


@dataclass(frozen=True)
class Workload:
    """A network at given shapes and precision, ready to be mapped.

    Attributes:
        name: full name with settings, such as ``mobilenetv2@width=0.75,w=8,a=8``.
        model: the bare model name (or file stem).
        layers: in a topological order of execution.
        tensors: every tensor named by a layer.
        parameters: number of stored weights, biases and table entries (normalizations folded).
        fates: what became of every ONNX node: node name to ``compute``, ``vector``, ``movement``,
            ``host``, ``folded`` (into another layer) or ``view`` (free).
        digest: identity of graph, bindings and precision.
        family: key for published quality; ``settings`` are width, resolution and the like.
        sparsity: zeros in weights and activations, as applied to ``layers``.
        notes: what the user should know of how the network was read: sizes that took a default,
            branches taken.
    """

    name: str
    model: str
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    precision: Precision
    fates: Mapping[str, str]
    digest: str
    family: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    sparsity: Sparsity = DENSE
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @functools.cached_property
    def weight_bytes(self) -> float:
        """Weights that an inference reads, each tensor once however many layers read it."""
        return float(sum(t.bytes for t in self.tensors.values() if t.role == "weight"))

    @functools.cached_property
    def stored_bytes(self) -> float:
        """Everything stored with the network: weights, biases and whole tables; of weights that a
        file quantizes also scales and zero points."""
        return float(sum(t.bytes for t in self.tensors.values() if t.role in STORED))

    @functools.cached_property
    def language(self) -> bool:
        """Whether it is a language model, run token by token or on a prompt: it adds to a KV cache.
        What only reads one (an action step of a policy) is an inference like others: no token is
        picked behind it."""
        cache = {name for name, tensor in self.tensors.items() if tensor.role == "kv"}
        return any(name in cache for layer in self.layers for name in layer.outputs)

    def layer(self, name: str) -> Layer:
        """The layer called ``name``; KeyError if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def with_layers(self, layers: tuple[Layer, ...]) -> Workload:
        return replace(self, layers=layers)
