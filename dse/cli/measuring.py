"""``dse validate`` and ``dse quality``: our figures beside published and measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dse
from dse.cli.output import note_step, print_json, print_table

if TYPE_CHECKING:
    from dse import PublishedQuality, QualityReport


def validate(section: str | None, html: str | None, as_json: bool) -> None:
    """Every section with its summary, targets and notes."""
    found = dse.validate(section, html=html, on_progress=partial(note_step, "silicon: row"))
    if as_json:
        print_json(found.to_dict())
        return
    for part in found.sections:
        _rows(part)
        summary = (
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in part.summary.items()
        )
        print("  " + ", ".join(summary))
        for target in part.targets:
            shown = "-" if target.value is None else f"{target.value:.3g}"
            verdict = "met" if target.met else "missed"
            print(f"  target {verdict}: {target.name} {shown} (at most {target.limit:.3g})")
        for title, rows in part.tables.items():
            print_table(rows, title=f"{part.name}: {title}")
        for line in part.notes:
            print(f"  {line}")
        print()
    if html is not None:
        print(f"written: {html}")


def _rows(part: Any) -> None:
    """The rows of a section; where they have a part and a scope, a table for each of these."""
    rows = [row.to_dict() for row in part.rows]
    if not part.rows or not part.rows[0].details:
        print_table(rows, title=part.name)
        return
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        cores = f", {row['cores']} cores" if row["cores"] > 1 else ""
        title = f"{part.name}, {row['family']}: {row['part']}{cores} (grade {row['grade']}), "
        groups.setdefault(f"{title}{row['software']}; {row['scope']}", []).append(row)
    for title, some in groups.items():
        nulls = [name for name in some[0] if name.endswith(" s")]
        columns = ["network", "precision", "batch", "published", "ours", "ratio", "low", "high"]
        print_table(some, [*columns, *nulls, "note"], title=title)


def quality(options: Mapping[str, Any], as_json: bool) -> None:
    """Measure a file, or look a network up; ``options`` are the arguments of ``dse.quality``."""
    found = dse.quality(**options)
    if as_json:
        print_json(found.to_dict())
    elif isinstance(found, dse.PublishedQuality):
        _published(found)
    else:
        _measured(found, options["out"])


def _measured(report: QualityReport, out: str | None) -> None:
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
                "SQNR": _sqnr(o.sqnr_db, o.cosine),
                "cosine": f"{o.cosine:.5f}",
                "agreement": "-" if o.agreement is None else f"{o.agreement:.1f} %",
            }
            for r in report.results
            for o in r.outputs
        ]
    )
    if out is not None:
        print(f"\nwritten to {out}; use it as {report.model}@quality={out}")


def _sqnr(sqnr_db: float | None, cosine: float) -> str:
    if sqnr_db is not None:
        return f"{sqnr_db:.1f} dB"
    return "equal" if cosine > 0 else "no signal"


def _published(found: PublishedQuality) -> None:
    """What is known of a network without measuring it."""
    keys = ("metric", "float_value", "drop_median", "drop_p90", "value_p90", "cases", "basis")
    rows: Sequence[Mapping[str, Any]] = found.rows
    print_table(
        [
            {"precision": row["precision"], **{key: row.get(key, "unknown") for key in keys}}
            for row in rows
        ],
        title=f"{found.model}, as published",
    )
    for row in rows:
        for source in row.get("sources", ()):
            print(f"  {row['precision']}: {source}")
        if "status" in row:
            print(f"  {row['precision']}: {row['status']}")
