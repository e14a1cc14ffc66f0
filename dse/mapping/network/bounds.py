"""The roofline: network-level bounds that no schedule of the mapper or simulator can beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dse.hardware.chip import Chip
from dse.mapping.cost.streaming import add, merge, vector_counts, vector_cycles
from dse.mapping.cost.zeros import least_savings
from dse.mapping.fusion.groups import fusable
from dse.mapping.ir.homes import byte_price, has_link, price_of, spills, stored_bytes
from dse.mapping.ir.schedule import link_rates
from dse.mapping.ir.starting import crossings, least_invoke_s
from dse.mapping.memory.tensors import tensors_of, weight_name
from dse.mapping.network.fallback import on_chip
from dse.mapping.space.choices import rate_of
from dse.mapping.space.problem import least_input_elements
from dse.workload.layer import Layer, Workload
from dse.workload.precision import bits_of

T = TypeVar("T")


def external_bytes(workload: Workload, chip: Chip, cores: int = 1) -> tuple[float, float]:
    """Bytes an inference must at least read from and write to DRAM; (0, 0) without DRAM.

    Read are the network's inputs (what its layers touch of them) and the weights beyond all
    on-chip room (buffers, L2, NVM); written are its outputs. Beside a memory that cannot be written
    inputs and outputs stay on the chip, and under the policy ``pools`` they may.
    """
    if not has_link(chip, "dram"):
        return 0.0, 0.0
    room = float(chip.buffer.capacity_bytes) * cores
    for name in ("l2", "nvm"):
        if has_link(chip, name):
            room += chip.links[name].capacity_bytes
    read, written, weights = edge_bytes(workload, chip)
    beyond = max(0.0, weights - room)
    return read + beyond, written


def edge_bytes(workload: Workload, chip: Chip) -> tuple[float, float, float]:
    """Bytes of the network's inputs that its layers touch, of its outputs, and of its weights as
    the chip may store them; inputs and outputs are 0 beside a memory that cannot be written."""
    weights: dict[str, float] = {}
    inputs: dict[str, float] = {}
    outputs = 0.0
    for layer, reads in zip(workload.layers, tensors_of(workload).reads, strict=True):
        if layer.w_elements and not layer.w_is_activation:
            name = weight_name(layer)
            stored = _stored_bytes(layer, chip)
            weights[name] = min(stored, weights.get(name, stored))
        main = reads.main
        if len(main) == 1 and main[0] in workload.inputs and layer.kind == "compute":
            need = _input_bytes(layer)
            inputs[main[0]] = min(need, inputs.get(main[0], need))
        if layer.outputs and layer.outputs[0] in workload.outputs:
            outputs += layer.o_bytes
    if not spills(chip) or chip.placement.activations == "pools":
        return 0.0, 0.0, sum(weights.values())
    return sum(inputs.values()), outputs, sum(weights.values())


def _stored_bytes(layer: Layer, chip: Chip) -> float:
    """Bytes of weights and bias as the chip may store them."""
    if layer.kind != "compute":
        return stored_bytes(layer)
    return layer.w_bytes * least_savings(layer, chip.array).stored_bits + layer.b_bytes


def _input_bytes(layer: Layer) -> float:
    return least_input_elements(layer) * bits_of(layer.i_format) / 8


def layer_s(layer: Layer, chip: Chip, cores: int) -> tuple[float, float]:
    """Time of a layer on array and vector unit, each at its peak, s; host layers as array time."""
    if layer.kind == "host":
        operations = sum(n for _, n in layer.vector_ops)
        return operations / chip.host.ops_per_s if operations else 0.0, 0.0
    bits = bits_of(layer.o_format)
    if layer.kind == "vector":
        bits = max(bits, bits_of(layer.i_format))
    vector = vector_cycles(chip, layer.vector_ops, bits) / cores
    array = 0.0
    if layer.nest is not None:
        if layer.nest.depthwise and chip.array.depthwise == "vector":
            peak = min(chip.vector.ops_per_cycle.get(f, 0.0) for f in ("mul", "add"))
        else:
            _, rate = rate_of(chip.array.rates, layer.w_format, layer.i_format)
            peak = chip.array.macs_per_cycle * rate / least_savings(layer, chip.array).slots
        array = layer.macs / (peak * cores)
    return array / chip.f_hz, vector / chip.f_hz


def of_layers(workload: Workload, value: Callable[[Layer], T]) -> list[T]:
    """The value of each layer, worked out once for those of one shape."""
    known: dict[int, T] = {}
    numbers = tensors_of(workload).shapes
    for number, layer in zip(numbers, workload.layers, strict=True):
        if number not in known:
            known[number] = value(layer)
    return [known[number] for number in numbers]


def _compute_s(workload: Workload, chip: Chip, cores: int) -> float:
    """All layers at peak, s: in turn, but array and vector side by side within fusable layers."""
    times = of_layers(workload, lambda layer: layer_s(layer, chip, cores))
    if chip.execution == "pipelined":  # all units side by side, and the host beside them
        pairs = list(zip(workload.layers, times, strict=True))
        hosted = sum(array for layer, (array, _) in pairs if layer.kind == "host")
        array = sum(array for layer, (array, _) in pairs if layer.kind != "host")
        return max(hosted / cores, array, sum(vector for _, (_, vector) in pairs))
    joint = fusable(workload) if cores == 1 and chip.buffer.fuses else frozenset()
    apart = sum(max(pair) for number, pair in enumerate(times) if number not in joint)
    both = [times[number] for number in sorted(joint)]
    return apart + max(sum(a for a, _ in both), sum(v for _, v in both))


@dataclass(frozen=True, slots=True)
class Roofline:
    """Lower bounds of one inference.

    Attributes:
        compute_s: every layer at the peak of the units that can run it, array and vector unit side
            by side where layers may run fused.
        link_s: external bytes over DRAM bandwidth.
        latency_s: the larger of the two, and the time to invoke.
        interval_s: from one inference to the next: the same, but where a pipeline in space takes
            the next one while the last is under way.
        dram_bytes: external bytes, read and written.
        dynamic_j: MACs and vector operations at their prices, external bytes at those of DRAM.
        energy_j: with the static power of one working core over ``latency_s``.
    """

    compute_s: float
    link_s: float
    latency_s: float
    interval_s: float
    dram_bytes: float
    dynamic_j: float
    energy_j: float


def roofline(workload: Workload, chip: Chip, cores: int = 1) -> Roofline:
    """Bounds that no schedule of the mapper or simulator can beat.

    Raises:
        UnmappableError: no unit runs a layer's formats or functions.
    """
    workload = on_chip(workload, chip)
    if chip.execution == "pipelined" and cores <= 1:
        cores = chip.cores
    compute = _compute_s(workload, chip, cores)
    read, written = external_bytes(workload, chip, cores)
    rate = link_rates(chip)[0]
    transfer = (read + written) / rate if rate > 0.0 else 0.0
    changes = sum(crossings([layer.kind == "host" for layer in workload.layers]))
    start = least_invoke_s(chip, language=workload.language) + changes * chip.overheads.crossing_s
    latency = start + max(compute, transfer)
    dynamic = sum(of_layers(workload, lambda layer: layer_j(layer, chip)))
    if read + written > 0.0:
        dynamic += read * byte_price(chip, "dram", write=False)
        dynamic += written * byte_price(chip, "dram", write=True)
    return Roofline(
        compute_s=compute,
        link_s=transfer,
        latency_s=latency,
        interval_s=max(compute, transfer) if chip.execution == "pipelined" else latency,
        dram_bytes=read + written,
        dynamic_j=dynamic,
        energy_j=dynamic + chip.mapping_static_w * latency,
    )


def roofline_latency_s(workload: Workload, chip: Chip, cores: int = 1) -> float:
    """Lower bound of the latency of one inference, s; see :func:`roofline`."""
    return roofline(workload, chip, cores).latency_s


def roofline_energy_j(workload: Workload, chip: Chip, cores: int = 1) -> float:
    """Lower bound of the energy of one inference, J; see :func:`roofline`."""
    return roofline(workload, chip, cores).energy_j


def layer_j(layer: Layer, chip: Chip) -> float:
    """Energy of a layer's operations alone, J."""
    if layer.kind == "host":
        return price_of(chip, "host.op") * sum(n for _, n in layer.vector_ops)
    bits = bits_of(layer.o_format)
    if layer.kind == "vector":
        bits = max(bits, bits_of(layer.i_format))
    actions = vector_counts(((f, float(n)) for f, n in layer.vector_ops), bits)
    if layer.nest is not None and layer.nest.depthwise and chip.array.depthwise == "vector":
        merge(actions, vector_counts((("mul", layer.macs), ("add", layer.macs)), 8))
    elif layer.nest is not None:
        pair, _ = rate_of(chip.array.rates, layer.w_format, layer.i_format)
        worked = layer.macs * least_savings(layer, chip.array).worked
        add(actions, f"mac.{pair.replace('x', '.')}", worked)
    return sum(amount * price_of(chip, action) for action, amount in actions.items())
