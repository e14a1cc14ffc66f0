"""Our figure for a case: load the chip and the network, vary it as the row says, evaluate."""

from __future__ import annotations

from dataclasses import replace

from dse.errors import InputError
from dse.evaluation import Evaluation, Terms, evaluate_model, model_at
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.registry import cached
from dse.validation.published import Case
from dse.workload.layer import Layer, Workload

#: NVDLA's spreadsheet counts no overhead, no limit of the data processor or ports, outputs in
#: multiples of 128 and 1 KiB as 1000 bytes of its bandwidth.
SHEET: dict[str, object] = {
    "overhead.launch_cycles": 0,
    "overhead.invoke_s": 0.0,
    "dma.descriptor_cycles": 0,
    "vector.lanes": 4096,
    "array.align": {"K": 128, "C": 4},
    "buffer.read_bytes_per_cycle": 4096,
    "buffer.write_bytes_per_cycle": 4096,
}
KIB_PER_KILOBYTE = 1.024


def chip_of(case: Case) -> Chip:
    """The chip of a case with its parameters set."""
    values: dict[str, object] = dict(case.set)
    if case.sheet:
        bandwidth = load_chip(case.chip).links["dram"].bytes_per_s
        values |= SHEET | {"dram.bytes_per_s_per_channel": bandwidth * KIB_PER_KILOBYTE}
    return load_chip(case.chip, node=case.node, overrides=values)


def workload_of(case: Case, chip: Chip) -> Workload:
    """The network of a case at its precision on a chip, varied as the case says."""
    made = model_at(case.model, case.precision, chip)
    if case.classes is not None:
        made = with_classes(made, case.classes)
    if case.activation == "relu":
        made = made.with_layers(tuple(with_relu(layer) for layer in made.layers))
    if case.sheet:
        made = made.with_layers(tuple(with_winograd(layer) for layer in made.layers))
    return made


def with_classes(workload: Workload, classes: int) -> Workload:
    """The network with another number of outputs of its last layer with weights."""
    numbers = [n for n, x in enumerate(workload.layers) if x.nest and not x.w_is_activation]
    last = numbers[-1]
    layer = workload.layers[last]
    nest = layer.nest
    if nest is None or nest.G != 1:
        raise InputError(f"{workload.name} does not end in a layer of classes", field="classes")
    share = classes / nest.K

    def scaled(amount: int) -> int:
        return round(amount * share)

    changed = replace(
        layer,
        nest=replace(nest, K=classes),
        w_elements=scaled(layer.w_elements),
        o_elements=scaled(layer.o_elements),
        b_elements=scaled(layer.b_elements),
        vector_ops=tuple((name, scaled(amount)) for name, amount in layer.vector_ops),
    )
    tensors = dict(workload.tensors)
    if layer.w_tensor is not None:
        old = tensors[layer.w_tensor]
        shape = tuple(classes if size == nest.K else size for size in old.shape)
        tensors[layer.w_tensor] = replace(old, shape=shape)
    layers = (*workload.layers[:last], changed, *workload.layers[last + 1 :])
    return replace(workload, layers=layers, tensors=tensors)


def with_relu(layer: Layer) -> Layer:
    """A compute layer whose fused SiLU (a table and a product) is a ReLU instead."""
    work = dict(layer.vector_ops)
    silu = work.get("lut", 0)
    if layer.kind != "compute" or silu != layer.o_elements or work.get("mul", 0) < 2 * silu:
        return layer
    del work["lut"]
    work["mul"] -= silu
    work["relu"] = work.get("relu", 0) + silu
    return replace(layer, vector_ops=tuple(sorted(work.items())))


def with_winograd(layer: Layer) -> Layer:
    """A 3x3 layer of stride 1 with its MACs over 2.25 and its weights times 16/9."""
    nest = layer.nest
    if nest is None or nest.G > 1 or (nest.FY, nest.FX) != (3, 3) or nest.stride_y != 1:
        return layer
    return replace(layer, nest=replace(nest, FY=2, FX=2), w_elements=layer.w_elements * 16 // 9)


def predict(case: Case, fidelity: Fidelity = "simulate") -> Evaluation:
    """The evaluation of a case, once per process."""
    return _predict(case.model_dump_json(), fidelity)


@cached(512)
def _predict(case_json: str, fidelity: Fidelity) -> Evaluation:
    case = Case.model_validate_json(case_json)
    chip = chip_of(case)
    terms = Terms(objective=case.objective, cores=case.cores)
    return evaluate_model(workload_of(case, chip), chip, fidelity, terms)


def missing(case: Case) -> str:
    """Why a case cannot be tried (no such chip or network here); empty if it can."""
    try:
        workload_of(case, load_chip(case.chip))
    except InputError as error:
        return error.message
    return ""
