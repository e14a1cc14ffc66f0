"""A made-up kind of file with three forms, and a chip whose form has changed twice."""

from __future__ import annotations

from typing import Any

import pytest

from dse.migrations import KINDS, Kind, Step


def widened(data: dict[str, Any]) -> dict[str, Any]:
    """`size` is `shape.rows`, since a gadget has columns, too.

    Columns were as many as rows.
    """
    if "size" in data:
        size = data.pop("size")
        data["shape"] = {"rows": size, "cols": size}
    return data


def in_si(data: dict[str, Any]) -> dict[str, Any]:
    """`parts.*.mhz` is `parts.*.f_hz`: units are SI."""
    parts = [
        {("f_hz" if k == "mhz" else k): (v * 1e6 if k == "mhz" else v) for k, v in part.items()}
        for part in data.get("parts", [])
    ]
    return {**data, "parts": parts}


STEPS = (
    Step(widened, {"size": "shape.rows"}),
    Step(in_si, {"parts.*.mhz": "parts.*.f_hz"}),
)


@pytest.fixture
def gadget(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Registered as any kind is."""
    kind = Kind("a gadget", (("gadget",),), STEPS)
    monkeypatch.setitem(KINDS, "gadget", kind)
    return kind
