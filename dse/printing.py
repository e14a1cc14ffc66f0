"""How a record looks: on one screen of text, and as a table in a notebook.

A record says what it is (:meth:`Printed._title`), its main figures (:meth:`Printed._figures`) and
its rows (``table()``); the rest is the same for all. Numbers have three significant digits; what is
left out is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

#: Lines and columns of a screen that every text of a record fits.
LINES, COLUMNS = 40, 100
#: Rows of a notebook's table, and columns.
ROWS_SHOWN, FIELDS_SHOWN = 100, 16
#: Widest cell, characters.
WIDEST = 28

_PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
)

Row = Mapping[str, Any]


def si(value: float | None, unit: str) -> str:
    """A number with an SI prefix and three significant digits: ``12.3 mW``."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = abs(float(f"{value:.3g}"))  # 999.6 mW are 1 W
    for factor, prefix in _PREFIXES:
        if rounded >= factor * (1.0 - 1e-9):
            digits = f"{value / factor:.3g}"
            if "e+" in digits:  # beyond the largest prefix
                digits = f"{value / factor:,.0f}"
            return f"{digits} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def cell(value: Any) -> str:
    """One cell: three significant digits, short mappings as ``key=value``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e5 else f"{value:.3e}"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return str(value)


def setting(path: str, value: object) -> str:
    """A parameter value as a person would write it: MHz for clocks, KiB or MiB for sizes."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    name = path.rpartition(".")[2]
    if name == "f_hz":
        return f"{value / 1e6:.4g} MHz"
    if name == "bytes" or name.endswith("_bytes"):
        mib = value / (1 << 20)
        return f"{mib:.4g} MiB" if mib >= 1 else f"{value / 1024:.4g} KiB"
    return f"{value:.4g}"


class Printed:
    """What a record of the package inherits to print well (as ``@dataclass(repr=False)``)."""

    def _title(self) -> str:
        """What it is, in a line."""
        return type(self).__name__

    def _figures(self) -> Mapping[str, Any]:
        """Its main figures by name."""
        return {}

    def _rows(self) -> Sequence[Row]:
        """Its rows as shown: those of its ``table()``."""
        table = getattr(self, "table", None)
        return table() if table is not None else ()

    def __repr__(self) -> str:
        return as_text(self._title(), self._figures(), self._rows())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return as_html(self._title(), self._figures(), self._rows())


def as_text(title: str, figures: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Title, figures and the first rows in :data:`LINES` lines of :data:`COLUMNS` characters."""
    lines = [_cut(title, COLUMNS)]
    wide = max((len(name) for name in figures), default=0)
    lines += [_cut(f"  {name:<{wide}}  {cell(value)}", COLUMNS) for name, value in figures.items()]
    lines = lines[: LINES - 1]
    room = LINES - len(lines) - 2
    if rows and room > 2:
        shown = rows[:room]
        lines += _grid(shown, _fields(shown))
        if len(rows) > len(shown):
            lines.append(f"... {len(rows) - len(shown)} more rows; table() has all")
    return "\n".join(lines)


def as_html(title: str, figures: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The same as a heading, a table of figures and one of rows, for a notebook."""
    import html

    parts = [f"<h4>{html.escape(title)}</h4>"]
    if figures:
        parts.append("<table>")
        for name, value in figures.items():
            text = html.escape(cell(value))
            parts.append(f"<tr><th>{html.escape(name)}</th><td>{text}</td></tr>")
        parts.append("</table>")
    if rows:
        shown = rows[:ROWS_SHOWN]
        names = _known(shown)[:FIELDS_SHOWN]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
        for row in shown:
            cells = "".join(f"<td>{html.escape(cell(row.get(name)))}</td>" for name in names)
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody></table>")
        if len(rows) > len(shown):
            parts.append(f"<p>{len(rows) - len(shown)} more rows; table() has all</p>")
    return "".join(parts)


def _known(rows: Sequence[Row]) -> list[str]:
    """Fields that say something in at least one row."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return [n for n in names if any(row.get(n) not in (None, "", (), {}, []) for row in rows)]


def _fields(rows: Sequence[Row]) -> list[str]:
    """The first fields that fit the screen side by side; mappings are left to ``table()``."""
    out: list[str] = []
    used = 0
    for name in _known(rows):
        if any(isinstance(row.get(name), (Mapping, list, tuple)) for row in rows):
            continue
        width = _width(name, rows)
        if used + width > COLUMNS:
            break
        used += width + 2
        out.append(name)
    return out


def _width(name: str, rows: Sequence[Row]) -> int:
    return min(WIDEST, max(len(name), *(len(cell(row.get(name))) for row in rows)))


def _grid(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Rows under a line of names: numbers to the right, words to the left."""
    sides = {name: ">" if all(_numeric(row.get(name)) for row in rows) else "<" for name in names}
    wide = {name: _width(name, rows) for name in names}
    table = [
        {name: name for name in names},
        *({name: cell(row.get(name)) for name in names} for row in rows),
    ]
    return [
        "  ".join(f"{_cut(line[n], wide[n]):{sides[n]}{wide[n]}}" for n in names).rstrip()
        for line in table
    ]


def _numeric(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cut(text: str, room: int) -> str:
    line = " ".join(text.splitlines()) if "\n" in text else text
    return line if len(line) <= room else line[: room - 3] + "..."
