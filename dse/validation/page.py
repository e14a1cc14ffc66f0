"""The sections of a validation as one HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.validation.record import Section

STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:2px 10px;text-align:left;border-bottom:1px solid #ddd}"
    "td.n{text-align:right}.missed{color:#a00}.met{color:#070}.fitted{color:#888}"
)


def write_page(sections: Sequence[Section], path: str | Path) -> None:
    """Write all sections with summary, targets, null models and rows.

    Raises:
        InputError: the file cannot be written.
    """
    body = "\n".join(line for section in sections for line in _section(section))
    page = (
        "<!doctype html><html><head><meta charset='utf-8'><title>Validation</title>"
        f"<style>{STYLE}</style></head><body><h1>Validation</h1>{body}</body></html>"
    )
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the page cannot be written ({error.strerror or error})",
            file=str(path),
            field="--html",
            mend="give a file in a folder that exists",
        ) from None


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{html.escape(section.name)}</h2><p>{_pairs(section.summary)}</p>"
    if section.targets:
        yield "<ul>"
        for target in section.targets:
            verdict = "met" if target.met else "missed"
            name = html.escape(target.name)
            value, limit = _number(target.value), _number(target.limit)
            yield f"<li class='{verdict}'>{verdict}: {name} {value} (at most {limit})</li>"
        yield "</ul>"
    if section.null_errors:
        yield f"<p>null models: {_pairs(section.null_errors)}</p>"
    for note in section.notes:
        yield f"<p>{html.escape(note)}</p>"
    for title, lines in section.tables.items():
        yield f"<h3>{html.escape(title)}</h3>"
        yield from _table(lines)
    columns = ["item", "quantity", "published", "ours", "ratio", "role", "kind", "note"]
    if section.rows:
        columns[-1:-1] = section.rows[0].details
    yield "<table><tr>" + "".join(f"<th>{name}</th>" for name in columns) + "</tr>"
    for row in section.rows:
        cells = row.to_dict()
        yield (
            f"<tr class='{row.role}'>"
            + "".join(_cell(cells.get(name)) for name in columns)
            + "</tr>"
        )
    yield "</table>"


def _table(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not lines:
        return
    columns = list(lines[0])
    yield "<table><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in columns) + "</tr>"
    for line in lines:
        yield "<tr>" + "".join(_cell(line.get(name)) for name in columns) + "</tr>"
    yield "</table>"


def _cell(value: Any) -> str:
    if value is None or isinstance(value, (int, float)):
        return f"<td class='n'>{_number(value)}</td>"
    return f"<td>{html.escape(str(value))}</td>"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{html.escape(key)} {_number(value)}" for key, value in values.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
