"""``dse quality``: what quantization costs the user's own model, or what is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dse.cli.output import print_json, print_table
from dse.errors import InputError
from dse.files import SCHEMA_VERSION

if TYPE_CHECKING:
    from dse.model_quality import QualityReport
    from dse.model_quality.quantize import Calibration
    from dse.model_quality.results import MeasuredOutput


@dataclass(frozen=True)
class QualityRequest:
    """A model, the data to measure it with (none: publications answer), and the schemes."""

    model: str
    inputs: str | None
    evaluate: str | None
    labels: str | None
    precisions: list[str]
    dynamic: bool
    calibration: Calibration
    group: int
    out: str | None


def quality(request: QualityRequest, as_json: bool) -> None:
    """Measure a file, or look a network up."""
    if request.inputs is None:
        _published(request, as_json)
        return
    from dse.model_quality import measure_quality

    report = measure_quality(
        request.model,
        request.inputs,
        request.precisions,
        evaluate=request.evaluate,
        labels=request.labels,
        dynamic=request.dynamic,
        calibration=request.calibration,
        group=request.group,
        cache=request.out,
    )
    if request.out is not None:
        report.write(request.out)
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    _show(report, request.out)


def _show(report: QualityReport, out: str | None) -> None:
    print(f"{report.model} on {report.inputs}, by {report.runtime}")
    print_table(
        [
            {
                "precision": r.precision,
                "scheme": r.scheme,
                "metric": r.metric,
                "float": round(r.float_value, 4),
                "quantized": round(r.value, 4),
                "at p90": round(r.value_p90, 4),
                "inputs": r.samples,
            }
            for r in report.results
        ]
    )
    print()
    print_table(
        [
            {
                "precision": r.precision,
                "output": o.name,
                "shape": "x".join(map(str, o.shape)),
                "SQNR": f"{o.sqnr_db:.1f} dB" if o.sqnr_db is not None else _no_sqnr(o),
                "cosine": f"{o.cosine:.5f}",
                "agreement": "-" if o.agreement is None else f"{o.agreement:.1f} %",
            }
            for r in report.results
            for o in r.outputs
        ]
    )
    if out is not None:
        print(f"\nwritten to {out}; use it as {report.model}@quality={out}")


def _no_sqnr(output: MeasuredOutput) -> str:
    return "equal" if output.cosine > 0 else "no signal"


def _published(request: QualityRequest, as_json: bool) -> None:
    """What is known of a network without measuring it."""
    from dse.model_quality import quality as look_up
    from dse.workload import load_model

    for option, given in (
        ("--eval", request.evaluate),
        ("--labels", request.labels),
        ("--out", request.out),
        ("--dynamic", request.dynamic or None),
    ):
        if given is not None:
            raise InputError(
                "nothing is measured without inputs",
                field=option,
                mend="add --inputs DATA.npz, or leave it out to see what is published",
            )
    model = load_model(request.model)
    rows: list[dict[str, Any]] = []
    for precision in request.precisions:
        workload = model.at(precision)
        found = look_up(workload.family, workload.settings, workload.precision)
        rows.append({"precision": workload.precision.name, **(found.to_dict() if found else {})})
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "model": model.name, "quality": rows})
        return
    keys = ("metric", "float_value", "drop_median", "drop_p90", "value_p90", "cases", "basis")
    print_table(
        [
            {"precision": row["precision"], **{key: row.get(key, "unknown") for key in keys}}
            for row in rows
        ],
        title=f"{model.name}, as published",
    )
    for row in rows:
        for source in row.get("sources", ()):
            print(f"  {row['precision']}: {source}")
        if "status" in row:
            print(f"  {row['precision']}: {row['status']}")
