"""Mapping a layer, a network, or layers onto many chips at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from dse.api.options import Objective, check_counts
from dse.errors import InputError, UnmappableError
from dse.files import SCHEMA_VERSION, nearest
from dse.mapping import Certificate, LayerRow
from dse.printing import Printed, si

if TYPE_CHECKING:
    from pathlib import Path

    from dse.evaluation import Evaluation, Value
    from dse.hardware.chip import Chip
    from dse.mapping import BatchResult, LayerSchedule, Pins, Program
    from dse.workload import Layer, Model, Workload


@dataclass(frozen=True, kw_only=True, repr=False)
class MappedLayer(Printed, LayerRow):
    """The best mapping of one layer alone on one core.

    ``energy_j`` is the dynamic energy (scope ``die_dram``); ``latency_s`` includes launch, fill and
    drain. ``schedule`` holds phases and action counts, ``certificate`` what is proven of it (None
    for layers without loops to map, and for schedules that were given).
    """

    schedule: LayerSchedule
    certificate: Certificate | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        proven = None if self.certificate is None else self.certificate.to_dict()
        return {"schema_version": SCHEMA_VERSION, **asdict(self), "certificate": proven}

    def table(self) -> list[dict[str, Any]]:
        """One row per phase of the schedule."""
        return [asdict(phase) for phase in self.schedule.phases]

    def _title(self) -> str:
        return f"layer {self.name} ({self.op}) mapped alone"

    def _figures(self) -> Mapping[str, Any]:
        return {
            "latency": si(self.latency_s, "s"),
            "energy": si(self.energy_j, "J"),
            "utilization": f"{self.utilization:.1%}",
            "bottleneck": self.bottleneck,
            "dims": self.dims,
            "dataflow": self.dataflow or "-",
            "spatial": self.spatial,
            "tiles": self.tiles,
            "order": self.order or "-",
            "homes": self.homes,
            "proven": str(self.certificate or "-"),
        }


@dataclass(frozen=True, repr=False)
class NetworkMapping(Printed):
    """A whole network as mapped onto a chip.

    ``evaluation`` is its record at the analytic level, ``program`` the schedules of its layers and
    how they follow each other, ``chip`` the chip as the kind of core sees it that ``evaluation``
    names, ``objective`` what was minimised, ``workload_notes`` what was taken for granted when the
    network was read. ``certificate`` says how far from the best of all plans, groups and mappings
    the network can be, ``layer_certificates`` the same of each compute layer that runs alone, its
    operands where they are (see ``docs/mapping.md``, Certificates).
    """

    evaluation: Evaluation
    program: Program
    chip: Chip
    objective: Objective
    workload_notes: tuple[str, ...] = ()
    certificate: Certificate | None = None
    layer_certificates: Mapping[str, Certificate] = field(default_factory=dict)

    def layer(self, name: str) -> LayerSchedule:
        """The schedule of one layer.

        Raises:
            InputError: the network has no such layer.
        """
        return self.program.schedules[self._place(name)]

    def loop_nest(self, name: str) -> str:
        """The loop nest of one layer as text, with its counts and what its operands do.

        Raises:
            InputError: the network has no such layer.
        """
        from dse.mapping import explain

        return explain(self.layer(name), self.chip)

    def _place(self, name: str) -> int:
        names = [schedule.layer for schedule in self.program.schedules]
        if name not in names:
            raise InputError(
                f"no layer {name!r} in {self.evaluation.subject}",
                field="layer",
                mend="see the layer table for the names" + nearest(name, names),
            )
        return names.index(name)

    def in_network(self, name: str) -> LayerRow:
        """One layer's row within the network: its increment of latency (s), bottleneck and why.

        Raises:
            InputError: the network has no such layer.
        """
        from dse.mapping import layer_rows

        return layer_rows(self.program, self.chip)[self._place(name)]

    def to_dict(self) -> dict[str, Any]:
        """The evaluation's mapping, with ``objective``, ``legality`` and the certificates."""
        proven = None if self.certificate is None else self.certificate.to_dict()
        return {
            **self.evaluation.to_dict(),
            "objective": self.objective,
            "legality": self.program.legality,
            "certificate": proven,
            "layer_certificates": {
                name: one.to_dict() for name, one in self.layer_certificates.items()
            },
        }

    def table(self) -> list[dict[str, Any]]:
        """One row per layer, then the rows ``static`` and ``idle``; they add up to the totals."""
        return self.evaluation.table()

    def _title(self) -> str:
        found = self.evaluation
        return f"{found.subject} mapped onto {found.chip} at {found.node} for {self.objective}"

    def _figures(self) -> Mapping[str, Any]:
        figures = {"mapping": self.program.legality, "proven": self.proven}
        return {**figures, **self.evaluation._figures()}

    @property
    def proven(self) -> str:
        """In a line, how far from the best possible the network is, and its layers."""
        if self.certificate is None:
            return "-"
        return f"{self.certificate}{_of_layers(self.layer_certificates)}"

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return self.evaluation._rows()


def _of_layers(certificates: Mapping[str, Certificate]) -> str:
    """How many layers are proven optimal where their operands are, and the worst of the others."""
    if not certificates:
        return ""
    worst = max(certificates, key=lambda name: certificates[name].within)
    optimal = sum(one.optimal for one in certificates.values())
    text = f"; of {len(certificates)} layers alone {optimal} optimal"
    if not certificates[worst].optimal:
        text += f", the others {certificates[worst]} ({worst})"
    return text


def map_layer(
    layer: Layer,
    chip: Chip,
    objective: Objective = "edp",
    *,
    cores: int = 1,
    legal: bool = False,
    kind: str | None = None,
) -> MappedLayer:
    """The best mapping of one layer alone on ``chip``.

    Activations are in DRAM (without DRAM in L2 or the buffer), weights in NVM if they fit there. It
    comes with a proof of how far from the best of its whole map space it can be; where every whole
    number as a tile size gives a better mapping than the mapper's lists, that one is taken.

    Args:
        layer: of a model: ``model.at("w8a8").layers``.
        chip: from :func:`dse.load_chip`.
        objective: ``edp``, ``latency``, ``energy``, or a product such as ``energy*latency^2``.
        cores: over which the layer is split.
        legal: keep to what the chip's compiler can express (its ``legality``).
        kind: of core, on a chip with several; by default the one on which ``objective`` is least.

    Raises:
        UnmappableError: no unit of the chip (or kind) can run the layer, or it fits no memory.
        InputError: unknown objective or kind, or ``legal`` on a chip without a profile.
    """
    from dse.evaluation.core_choice import preferred, usable
    from dse.mapping import certified_layer
    from dse.mapping import map_layer as best

    check_counts(cores=cores)

    def on(view: Chip) -> tuple[MappedLayer, float, float]:
        if layer.kind == "compute":
            found, proven = certified_layer(layer, view, objective, cores=cores, legal=legal)
            schedule = found.schedule.renamed(layer.name, layer.op)
            made = alone(schedule, view, proven)
        else:
            made = alone(best(layer, view, objective, cores=cores, legal=legal), view)
        return made, made.latency_s, made.energy_j + view.mapping_static_w * made.latency_s

    options = [(one.name, partial(on, one.chip)) for one in usable(chip, kind, cores)]
    return preferred(options, objective)[1]


def alone(
    schedule: LayerSchedule, chip: Chip, certificate: Certificate | None = None
) -> MappedLayer:
    """A schedule as the only layer of a network."""
    from dse.mapping import Program, layer_rows, unroll

    segments = unroll((schedule,), prefetch=chip.prefetches)
    program = Program(schedule.layer, (schedule,), segments, schedule.cores, 0.0)
    (row,) = layer_rows(program, chip)
    return MappedLayer(**vars(row), schedule=schedule, certificate=certificate)


def map_network(
    model: Model | Workload | str | Path,
    chip: Chip | str | Path,
    objective: Objective = "edp",
    *,
    precision: str | None = None,
    cores: int = 1,
    kind: str | None = None,
    fuse: bool = True,
    legal: bool = False,
    pins: Pins | str | Path | None = None,
    settings: Mapping[str, Value] | None = None,
) -> NetworkMapping:
    """Every layer of a network mapped onto a chip, for the network as a whole.

    Args:
        model: from :func:`dse.load_model`, or its name or file.
        chip: from :func:`dse.load_chip`, or its name or file.
        objective: ``edp``, ``latency``, ``energy``, or a product such as ``energy*latency^2``.
        precision: such as ``w8a8``; by default the file's own, else the chip's native.
        cores: over which a layer is split.
        kind: of core, on a chip with several; by default the one that ``objective`` prefers.
        fuse: whether groups of layers may run fused.
        legal: keep to what the chip's compiler can express.
        pins: a file of mappings or constraints that layers must keep to.
        settings: values of the chip by path, such as ``{"chip.array.rows": 32}``.

    Raises:
        UnmappableError: a layer that no unit runs, or tensors that do not fit the chip.
        InputError: unknown names, objective, precision or kind; a fault in the pins.
    """
    from dse.api.subjects import site_of, workload_of
    from dse.evaluation import Terms, evaluate_model
    from dse.evaluation.core_choice import mapped_model
    from dse.mapping import Pins, certify_layers, certify_program, load_pins

    check_counts(cores=cores)
    site = site_of(chip, settings)
    workload = workload_of(model, site, precision, kind)
    file = None if pins is None or isinstance(pins, Pins) else pins
    held = load_pins(file) if file is not None else pins
    assert held is None or isinstance(held, Pins)
    if held is not None and not (held.pins or held.sized):
        raise InputError(
            "no pin in the file", file=file, field="pins", mend="write one, or leave the file out"
        )
    try:
        on, program = mapped_model(
            workload, site, objective, kind=kind, cores=cores, fuse=fuse, pins=held, legal=legal,
            finer=True,
        )  # fmt: skip
    except UnmappableError as error:
        if held is None or not _about_a_pin(error, held, workload):
            raise
        raise InputError(
            error.message, file=file, field=error.field, mend=error.mend or "change the pin"
        ) from None
    terms = Terms(objective=objective, cores=cores, kind=on.name or None, legal=legal)
    record = evaluate_model(workload, site, "analytic", terms, program=program)
    proven = certify_program(program, workload, on.chip, objective, cores=cores)
    layers = certify_layers(program, workload, on.chip, objective)
    notes = tuple(workload.notes)
    return NetworkMapping(record, program, on.chip, objective, notes, proven, layers)


def _about_a_pin(error: UnmappableError, pins: Pins, workload: Workload) -> bool:
    """Whether what cannot be mapped is a pinned layer: then the pin file is what to mend."""
    return any(
        layer.name == error.layer and pins.of(layer) is not None for layer in workload.layers
    )


def map_chips(
    model: Model | Workload | Sequence[Layer],
    chips: Sequence[Chip],
    objective: Objective = "edp",
    *,
    precision: str | None = None,
    exact: bool = False,
    seed: int = 0,
) -> BatchResult:
    """The best mapping of every layer on each of many chips, alone on one core, at once.

    Made for thousands of chips of one array shape that differ in capacity, clock, bandwidth and
    prices: those share tables of good mappings. Nothing is fused, kept or prefetched,
    L2 is not tiled, and no operand is held in the buffer beyond its tile.

    Args:
        model: a network or layers; equal layers are mapped once.
        chips: any chips.
        objective: ``edp``, ``latency``, ``energy``, or a product such as ``energy*latency^2``.
        precision: of a model, such as ``w8a8``; by default the file's own, else the chips' native.
        exact: search every chip in full in place of using tables.
        seed: of the chips on which the tables are checked.

    Returns:
        Latency (s) and energy (J, static power included) by layer and chip, infinite where a layer
        cannot run; which are known to be optimal, and the largest gap that was seen.

    Raises:
        InputError: no chips, an unknown objective or precision, or chips of several native
            precisions for a model that has none.
    """
    from dse.api.options import check_seed
    from dse.evaluation import workload_on
    from dse.mapping import map_batch
    from dse.workload import Model

    check_seed(seed)
    if not chips:
        raise InputError("no chips to map on", field="chips", mend="give at least one")
    if isinstance(model, Model):
        loads = {chip.native_precision: workload_on(model, precision, chip) for chip in chips}
        if len({load.digest for load in loads.values()}) > 1:
            raise InputError(
                f"the chips' native precisions differ ({', '.join(sorted(loads))})",
                field="precision",
                mend="give one, such as w8a8",
            )
        return map_batch(next(iter(loads.values())), chips, objective, exact=exact, seed=seed)
    return map_batch(model, chips, objective, exact=exact, seed=seed)
