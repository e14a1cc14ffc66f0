"""Recorded arrivals: release times from a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from dse.errors import InputError
from dse.files import regular
from dse.simulation.task import Trace

#: Name of the column with the times.
COLUMN = "time_s"


def read_trace(path: str | Path, *, ordered: bool = False) -> Trace:
    """Release times of a CSV file: the column ``time_s``, or the first one if nothing is named.

    Times are seconds from the start of the simulation; they are sorted, or with ``ordered`` must
    ascend in the file. Empty lines and lines that start with ``#`` are passed over.

    Raises:
        InputError: unreadable file, no times, or a time that is none or out of order (named with
            its line).
    """
    try:
        lines = regular(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the trace cannot be read ({getattr(error, 'strerror', None) or 'not text'})",
            file=path,
            mend="give a CSV file of release times",
        ) from None
    rows = [
        (number, [cell.strip() for cell in next(csv.reader([line]))])
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    column = 0
    if rows and not _is_number(rows[0][1][0]):
        names = rows.pop(0)[1]
        if COLUMN not in names:
            raise InputError(
                f"no column is called {COLUMN}",
                file=path,
                field=", ".join(names),
                mend=f"name the column of times in seconds {COLUMN}",
            )
        column = names.index(COLUMN)
    times: list[float] = []
    for number, cells in rows:
        text = cells[column] if column < len(cells) else ""
        if not _is_number(text) or float(text) < 0.0:
            raise InputError(
                f"line {number}: {text!r} is no time of 0 s or more",
                file=path,
                field=COLUMN,
                mend="give seconds from the start of the simulation",
            )
        if ordered and times and float(text) < times[-1]:
            raise InputError(
                f"line {number}: {float(text):g} s comes after {times[-1]:g} s",
                file=path,
                field=COLUMN,
                mend="sort the lines by time",
            )
        times.append(float(text))
    if not times:
        raise InputError("the trace holds no times", file=path, mend="give one time a line")
    return Trace(tuple(sorted(times)))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
