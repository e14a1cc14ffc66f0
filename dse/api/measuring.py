"""Our figures beside measured and published ones: validation, quality, and this machine's CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.api.options import UnknownOps, check_counts
from dse.errors import InputError
from dse.files import SCHEMA_VERSION
from dse.printing import Printed, si

if TYPE_CHECKING:
    from dse.evaluation import CpuProfile, Evaluation
    from dse.hardware.chip import Chip
    from dse.model_quality import QualityReport
    from dse.model_quality.quantize import Calibration
    from dse.validation import Section
    from dse.workload import Model
    from dse.workload.layer import Binding

#: The row of a profile for views, layouts, start and end.
OUTSIDE = "(outside layers)"


@dataclass(frozen=True, repr=False)
class Validation(Printed):
    """Published figures against ours, by section."""

    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        content = [found.to_dict() for found in self.sections]
        return {"schema_version": SCHEMA_VERSION, "sections": content}

    def table(self) -> list[dict[str, Any]]:
        """One row per figure, with its section; ``ratio`` is ours / published."""
        return [
            {"section": found.name, **row.to_dict()}
            for found in self.sections
            for row in found.rows
        ]

    def _title(self) -> str:
        return f"validation: {', '.join(found.name for found in self.sections)}"

    def _figures(self) -> Mapping[str, Any]:
        return {
            found.name: {k: found.summary[k] for k in ("judged", "median_absolute_error", "worst")}
            for found in self.sections
        }


def validate(
    section: str | None = None,
    *,
    html: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Compare with published figures: energy, speed, area, whole chips, other tools.

    Args:
        section: one only, such as ``silicon``.
        html: a file for the tables as a page.
        on_progress: told after each row of the section ``silicon``, which takes minutes, how many
            are done and wanted.

    Raises:
        InputError: there is no such section, or the file cannot be written.
    """
    from dse.validation import run_sections, write_page

    sections = tuple(run_sections(section, on_progress))
    if html is not None:
        write_page(sections, html)
    return Validation(sections)


@dataclass(frozen=True, repr=False)
class PublishedQuality(Printed):
    """What is known of a network without measuring it: a row per precision.

    A row without ``metric`` says that nothing is published for that precision.
    """

    model: str
    rows: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, "model": self.model, "quality": self.table()}

    def table(self) -> list[dict[str, Any]]:
        """One row per precision, in the units of its metric."""
        return [dict(row) for row in self.rows]

    def _title(self) -> str:
        return f"{self.model}, as published"


def quality(
    model: str | Path,
    inputs: str | Path | None = None,
    precisions: Sequence[str] = ("w8a8",),
    *,
    evaluate: str | Path | None = None,
    labels: str | Path | None = None,
    dynamic: bool = False,
    calibration: Calibration = "minmax",
    group: int = 0,
    out: str | Path | None = None,
) -> QualityReport | PublishedQuality:
    """What quantization costs a model: measured on a file and its inputs, else as published.

    Args:
        model: an ONNX file with weights, or a shipped name.
        inputs: calibration inputs, an .npz or a folder of .npy; without them nothing is measured.
        precisions: such as ``w8a8``, ``w8a16``, ``w4a8``, ``w4afp16`` (weights only).
        evaluate: inputs to compare with; by default the second half of ``inputs``.
        labels: an .npy with the right class of every evaluation input.
        dynamic: ranges are found while running, in place of calibration.
        calibration: how ranges are chosen: ``minmax``, ``entropy`` or ``percentile``.
        group: inputs that share a scale below 8 bit; 0 for all.
        out: a file for the report; results in it are not measured again.

    Raises:
        InputError: a file that cannot be used, or options of a measurement without inputs.
        RunError: onnxruntime fails to quantize or to run the model.
    """
    from dse.model_quality import measure_quality

    if inputs is None:
        given = {"evaluate": evaluate, "labels": labels, "out": out, "dynamic": dynamic or None}
        return _published(model, precisions, given)
    report = measure_quality(
        model,
        inputs,
        precisions,
        evaluate=evaluate,
        labels=labels,
        dynamic=dynamic,
        calibration=calibration,
        group=group,
        cache=out,
    )
    if out is not None:
        report.write(out)
    return report


def _published(
    model: str | Path, precisions: Sequence[str], given: Mapping[str, object]
) -> PublishedQuality:
    from dse.model_quality import quality as look_up
    from dse.workload import load_model

    for option, value in given.items():
        if value is not None:
            raise InputError(
                "nothing is measured without inputs",
                field=option,
                mend="give inputs, or leave it out to see what is published",
            )
    loaded = load_model(model)
    rows: list[dict[str, Any]] = []
    for precision in precisions:
        workload = loaded.at(precision)
        found = look_up(workload.family, workload.settings, workload.precision)
        rows.append({"precision": workload.precision.name, **(found.to_dict() if found else {})})
    return PublishedQuality(loaded.name, tuple(rows))


@dataclass(frozen=True, repr=False)
class Profile(Printed):
    """A model on this machine's CPU beside a simulated chip.

    ``cpu`` was measured with onnxruntime at fp32; ``record`` is the chip's; ``layers`` and
    ``operators`` have the time on both, s (``cpu_s``, ``chip_s``), the operators slowest first.
    """

    model: str
    macs: int
    cpu: CpuProfile
    record: Evaluation
    layers: tuple[Mapping[str, Any], ...]

    @property
    def operators(self) -> tuple[dict[str, Any], ...]:
        """The layers summed by operator, slowest on the CPU first."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.layers:
            total = found.setdefault(
                row["op"], {"op": row["op"], "layers": 0, "macs": 0, "cpu_s": 0.0, "chip_s": 0.0}
            )
            total["layers"] += 1
            for key in ("macs", "cpu_s", "chip_s"):
                total[key] += row[key]
        return tuple(sorted(found.values(), key=lambda total: -total["cpu_s"]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        record = self.record
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "macs": self.macs,
            "cpu": self.cpu.to_dict(),
            "chip": {
                "name": record.chip,
                "node": record.node,
                "latency_s": record.latency_s,
                "energy_j": record.energy_j,
                "precision": record.precision,
            },
            "layers": self.table(),
            "operators": list(self.operators),
        }

    def table(self) -> list[dict[str, Any]]:
        """One row per layer, and one for what is outside of them."""
        return [dict(row) for row in self.layers]

    def _title(self) -> str:
        return f"{self.model} on this CPU and on {self.record.chip} at {self.record.node}"

    def _figures(self) -> Mapping[str, Any]:
        return {
            "CPU": f"{si(self.cpu.latency_s, 's')} (fp32, {self.cpu.threads} threads)",
            "chip": f"{si(self.record.latency_s, 's')}, {si(self.record.energy_j, 'J')}",
        }

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return self.operators


def profile(
    model: str | Path,
    chip: Chip | str | Path = "edge_vision",
    *,
    node: str | None = None,
    precision: str | None = None,
    runs: int = 5,
    unknown_ops: UnknownOps = "error",
    force: bool = False,
    bindings: Mapping[str, Binding] | None = None,
) -> Profile:
    """Run a model in onnxruntime on this CPU, and simulate it on a chip.

    Args:
        model: an .onnx file or a shipped name.
        chip: from :func:`dse.load_chip`, or its name or file; ``node`` of a named one.
        precision: on the chip, such as ``w8a8``.
        runs: timed runs after one warm-up; the median counts.
        unknown_ops: refuse operators that the chip does not know, or run them on its host.
        force: run a model of any size.
        bindings: sizes of dynamic axes and values of small inputs.

    Raises:
        InputError: unknown names, or a model that is too large without ``force``.
        RunError: onnxruntime cannot run it.
    """
    from dse.api.subjects import site_of
    from dse.evaluation import evaluate_model, profile_cpu, workload_on
    from dse.workload import load_model

    check_counts(runs=runs)
    site = site_of(chip, None if node is None else {"chip.node": node})
    sizes = dict(bindings or {})
    loaded = load_model(model, unknown_ops=unknown_ops, **sizes)
    workload = workload_on(loaded, precision, site)
    cpu = profile_cpu(str(model), runs, sizes, force=force)
    record = evaluate_model(workload, site)
    return Profile(workload.name, workload.macs, cpu, record, _layers(loaded, cpu, record))


def _layers(model: Model, cpu: CpuProfile, record: Evaluation) -> tuple[dict[str, Any], ...]:
    """Every layer with its time on both, and one row for views, layouts, start and end."""
    spent, rest = cpu.by_layer(model)
    chip = {row.name: row.latency_s for row in record.layers}
    rows: list[dict[str, Any]] = [
        {
            "layer": layer.name,
            "op": layer.op,
            "macs": layer.macs,
            "cpu_s": spent[layer.name],
            "chip_s": chip.pop(layer.name, 0.0),
        }
        for layer in model.layers
    ]
    other = sum(chip.values())
    rows.append({"layer": OUTSIDE, "op": OUTSIDE, "macs": 0, "cpu_s": rest, "chip_s": other})
    return tuple(rows)
