"""Printing: JSON on stdout and nothing else, or tables for a person."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dse.printing import cell


def print_json(content: Any) -> None:
    """One JSON object; numbers that are not finite become null."""
    print(json.dumps(_finite(content), indent=1, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def note_step(what: str, done: int, wanted: int) -> None:
    """Progress on stderr: rewritten in place on a terminal, else its end only."""
    if done == wanted or sys.stderr.isatty():
        end = "\n" if done == wanted else "\r"
        print(f"{what} {done} of {wanted}", end=end, file=sys.stderr, flush=True)


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, title: str = ""
) -> None:
    """Rows as a table; the columns of the first row by default."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        print("(nothing)")
        return
    names = list(columns or rows[0])
    table = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        # a path that is wider than its column breaks at its dots, not within a word
        table.add_column(
            name.replace(".", ".\n") if name.count(".") > 1 else name,
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=max(len(word) for word in name.split(".")) if "." in name else None,
        )
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in names))
    width = None if Console().is_terminal else 200
    Console(width=width, highlight=False, markup=False).print(table)


def print_tree(content: Any, indent: int = 0) -> None:
    """Nested mappings as indented lines."""
    pad = "  " * indent
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            print(f"{pad}{key}:")
            print_tree(value, indent + 1)
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            print(f"{pad}{key}:")
            for item in value:
                print(f"{pad}  - {cell(item)}")
        else:
            print(f"{pad}{key}: {cell(value)}")
