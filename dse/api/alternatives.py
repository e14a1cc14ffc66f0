"""Other mappings than the best one: all that none beats, and a network pipelined in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dse.api.mapping import MappedLayer, alone
from dse.api.options import Objective
from dse.errors import InputError
from dse.files import SCHEMA_VERSION, nearest
from dse.printing import Printed, si

if TYPE_CHECKING:
    from pathlib import Path

    from dse.evaluation import Value
    from dse.hardware.chip import Chip
    from dse.mapping import PipelinePlan
    from dse.workload import Model, Workload


@dataclass(frozen=True, repr=False)
class LayerFront(Printed):
    """The mappings of one layer, alone on one core, that no other beats.

    No mapping in ``points`` has at once less latency, energy (static power included) and buffer
    than another, and none that was searched beats one of them; the fastest comes first.
    """

    layer: str
    op: str
    chip: str
    points: tuple[MappedLayer, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def table(self) -> list[dict[str, Any]]:
        """One row per mapping: s, J (dynamic), bytes of the buffer, and how it is mapped."""
        return [
            {
                "latency_s": point.latency_s,
                "energy_j": point.energy_j,
                "buffer_bytes": point.schedule.footprint_bytes,
                "utilization": point.utilization,
                "bottleneck": point.bottleneck,
                "dataflow": point.dataflow,
                "spatial": point.spatial,
                "tiles": point.tiles,
                "order": point.order,
                "held": point.schedule.held,
            }
            for point in self.points
        ]

    def _title(self) -> str:
        return f"layer {self.layer} ({self.op}) on {self.chip}: {len(self.points)} mappings"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "latency": si(row["latency_s"], "s"),
                "energy": si(row["energy_j"], "J"),
                "buffer": si(row["buffer_bytes"], "B"),
                "util": f"{row['utilization']:.0%}",
                **{name: row[name] or "-" for name in ("bottleneck", "dataflow", "tiles", "order")},
            }
            for row in self.table()
        ]


@dataclass(frozen=True, repr=False)
class PipelineMapping(Printed):
    """A network laid out over a chip's cores, each stage's weights resident in its buffers.

    ``layers`` are the names that the stages of ``plan`` count by; ``chip_cores`` all there are.
    """

    network: str
    chip: str
    chip_cores: int
    layers: tuple[str, ...]
    plan: PipelinePlan

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        plan = self.plan
        figures = {"throughput_per_s": plan.throughput_per_s, "cores": plan.cores}
        return {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            **figures,
            "stages": self.table(),
        }

    def table(self) -> list[dict[str, Any]]:
        """One row per stage: its layers, cores, s of an inference, bytes of each core's buffer."""
        return [
            {
                "first": self.layers[stage.first],
                "last": self.layers[stage.last],
                "layers": stage.last - stage.first + 1,
                "cores": stage.cores,
                "seconds": stage.seconds,
                "weight_bytes": stage.weight_bytes / stage.cores,
                "line_bytes": stage.line_bytes / stage.cores,
            }
            for stage in self.plan.stages
        ]

    def _title(self) -> str:
        return f"{self.network} in {len(self.plan.stages)} stages over the cores of {self.chip}"

    def _figures(self) -> Mapping[str, Any]:
        plan = self.plan
        return {
            "throughput": f"{plan.throughput_per_s:.3g} inferences/s",
            "interval": si(plan.interval_s, "s"),
            "latency": si(plan.latency_s, "s"),
            "energy": si(plan.energy_j, "J") + " (dynamic)",
            "utilization": f"{plan.utilization:.1%}",
            "cores": f"{plan.cores} of {self.chip_cores}",
        }


def map_front(
    model: Model | Workload | str | Path,
    chip: Chip | str | Path,
    layer: str,
    *,
    precision: str | None = None,
    kind: str | None = None,
    legal: bool = False,
    settings: Mapping[str, Value] | None = None,
) -> LayerFront:
    """All mappings of one layer of which none is better in latency, energy and buffer at once.

    L2 is not tiled. The optima of ``map_layer`` for latency, energy and their product are among
    them, where it does not tile L2.

    Args:
        model: from :func:`dse.load_model`, or its name or file.
        chip: from :func:`dse.load_chip`, or its name or file.
        layer: its name, as the layer table of :func:`dse.map_network` has it.
        precision: such as ``w8a8``; by default the file's own, else the chip's native.
        kind: of core; needed on a chip with several.
        legal: keep to what the chip's compiler can express.
        settings: values of the chip by path, such as ``{"chip.array.rows": 32}``.

    Raises:
        UnmappableError: no unit runs the layer, or its smallest tile does not fit.
        InputError: unknown names, precision or kind, or ``legal`` on a chip without a profile.
    """
    from dse.mapping import pareto_layer

    workload, view = _subject(model, chip, precision, kind, settings)
    names = [one.name for one in workload.layers]
    if layer not in names:
        raise InputError(
            f"no layer {layer!r} in {workload.name}",
            field="layer",
            mend="see the layer table for the names" + nearest(layer, names),
        )
    asked = workload.layer(layer)
    points = tuple(alone(found, view) for found in pareto_layer(asked, view, legal=legal))
    return LayerFront(asked.name, asked.op, view.name, points)


def map_pipeline(
    model: Model | Workload | str | Path,
    chip: Chip | str | Path,
    objective: Objective = "edp",
    *,
    precision: str | None = None,
    kind: str | None = None,
    settings: Mapping[str, Value] | None = None,
) -> PipelineMapping:
    """A network laid out over all cores of a chip, as distributed dataflow chips run it.

    Runs of layers (stages) take one or more cores each, their weights stay there, and results pass
    on to the next; the layout with the shortest slowest stage. Nothing but cores limits the
    transfers between them (assumed).

    Args:
        model: from :func:`dse.load_model`, or its name or file.
        chip: from :func:`dse.load_chip`, or its name or file.
        objective: by which each layer is mapped on its cores: ``edp``, ``latency``, ``energy``, or
            a product such as ``energy*latency^2``.
        precision: such as ``w8a8``; by default the file's own, else the chip's native.
        kind: of core; needed on a chip with several.
        settings: values of the chip by path, such as ``{"chip.cores": 32}``.

    Raises:
        UnmappableError: a layer that no unit runs, or weights that do not fit the buffers.
        InputError: unknown names, objective, precision or kind, or a network without layers.
    """
    from dse.mapping import map_pipeline as lay_out

    workload, view = _subject(model, chip, precision, kind, settings)
    plan = lay_out(workload, view, objective)
    names = tuple(layer.name for layer in workload.layers)
    return PipelineMapping(workload.name, view.name, view.cores, names, plan)


def _subject(
    model: Model | Workload | str | Path,
    chip: Chip | str | Path,
    precision: str | None,
    kind: str | None,
    settings: Mapping[str, Value] | None,
) -> tuple[Workload, Chip]:
    """The network, and the chip as the cores of one kind see it."""
    from dse.api.subjects import site_of, workload_of
    from dse.hardware.kinds import kind_named

    site = site_of(chip, settings)
    if site.kinds and kind is None:
        raise InputError(
            f"chip {site.name} has several kinds of cores",
            field="kind",
            mend=f"name one: {', '.join(one.name for one in site.kinds)}",
        )
    view = site if kind is None else kind_named(site, kind, "kind").chip
    return workload_of(model, site, precision, kind), view
