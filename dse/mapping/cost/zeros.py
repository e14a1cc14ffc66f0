"""What a chip makes of zeros in a layer, of compressed weights and of Winograd's transform."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dse.hardware.blocks import number
from dse.hardware.chip import Array
from dse.workload.layer import Layer, LoopNest
from dse.workload.precision import bits_of

#: Of a 3x3 filter and the 2x2 outputs of a tile: elements multiplied, and read, per output.
_WINOGRAD_PRODUCTS = 4.0
_TAPS = 9.0


@dataclass(frozen=True, slots=True)
class Savings:
    """How the work of a layer on an array differs from the dense layer.

    Attributes:
        slots: multiplier slots over MACs of the dense layer (time).
        worked: MACs that cost the energy of a MAC, over those of the dense layer.
        weight_bits: bits of a weight as the buffer holds it, over its raw bits.
        stored_bits: the same outside the buffer.
        winograd: whether the layer runs as F(2x2, 3x3).
    """

    slots: float = 1.0
    worked: float = 1.0
    weight_bits: float = 1.0
    stored_bits: float = 1.0
    winograd: bool = False


def savings(layer: Layer, array: Array, *, winograd: bool = False) -> Savings:
    """What ``array`` saves on ``layer``; nothing for a layer without zeros, nor off the array."""
    slots, worked, weight_bits = _zeros(layer, array)
    bits = bits_of(layer.w_format)
    stored_bits = weight_bits
    compression = array.compression
    if compression.decoder_bytes_per_cycle > 0.0 and not layer.w_is_activation:
        if compression.ratio is not None:
            stored_bits = weight_bits / compression.ratio
        elif weight_bits == 1.0:
            stored_bits = min(1.0, _density(layer) + 1.0 / bits)
    if winograd:
        assert layer.nest is not None
        tiles = -(-layer.nest.OY // 2) * -(-layer.nest.OX // 2)
        share = 4.0 * tiles / (layer.nest.OY * layer.nest.OX)
        products = _WINOGRAD_PRODUCTS / _TAPS * share
        wider = 16.0 / _TAPS
        slots, worked = slots * products, worked * products
        weight_bits, stored_bits = weight_bits * wider, stored_bits * wider
    return Savings(slots, worked, weight_bits, stored_bits, winograd)


def least_savings(layer: Layer, array: Array) -> Savings:
    """Fewest slots, worked MACs and bits of a layer in any way that it may run on ``array``."""
    direct = savings(layer, array)
    if layer.nest is None or not winograd_fits(layer.nest, array):
        return direct
    other = savings(layer, array, winograd=True)
    return Savings(
        min(direct.slots, other.slots),
        min(direct.worked, other.worked),
        min(direct.weight_bits, other.weight_bits),
        min(direct.stored_bits, other.stored_bits),
    )


def _density(layer: Layer) -> float:
    return 1.0 if layer.weight_pattern == "dense" else layer.weight_density


def _zeros(layer: Layer, array: Array) -> tuple[float, float, float]:
    """Slots, worked MACs and bits of a weight in the buffer, over those of the dense layer."""
    sparsity = array.sparsity
    weights, inputs = _density(layer), layer.input_density
    if sparsity.kind == "none":
        return 1.0, 1.0, 1.0
    if sparsity.kind == "gating":
        return 1.0, weights * inputs, 1.0
    bits = bits_of(layer.w_format)
    if sparsity.kind == "structured":
        n, m = sparsity.pattern
        own_n, _, own_m = layer.weight_pattern.partition(":")
        if not own_m or int(own_m) != m or int(own_n) > n:
            return 1.0, 1.0, 1.0
        share = n / m
        index = math.ceil(math.log2(m))
        return max(share, 1.0 / sparsity.max_speedup), share, min(1.0, share * (1.0 + index / bits))
    skipped = weights * inputs if sparsity.both else weights
    if skipped >= 1.0:
        return 1.0, weights * inputs, 1.0
    slots = min(1.0, max(skipped / sparsity.utilization, 1.0 / sparsity.max_speedup))
    return slots, weights * inputs, min(1.0, weights + 1.0 / bits)


def winograd_fits(nest: LoopNest, array: Array) -> bool:
    """Whether the layer may run as F(2x2, 3x3): a dense 3x3 convolution of stride 1."""
    strides = (nest.stride_y, nest.stride_x, nest.dilation_y, nest.dilation_x)
    return (
        array.winograd
        and (nest.FY, nest.FX) == (3, 3)
        and strides == (1, 1, 1, 1)
        and not nest.depthwise
        and nest.OY > 1
        and nest.OX > 1
    )


def winograd_adds() -> tuple[float, float]:
    """Adds per transformed input element and per output element."""
    return number("winograd_input_adds"), number("winograd_output_adds")
