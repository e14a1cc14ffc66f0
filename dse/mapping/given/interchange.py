"""Mappings written for Timeloop and ZigZag, read as pins.

Their loops go to ours by name. A mapping of Timeloop says which loops run outside the buffer: those
of its first temporal target; everything below makes the buffer tile, all spatial factors together
the unrolling. ZigZag gives the unrolling, and perhaps one temporal order, which it lays out over
memories itself; an unrolling beyond a layer's size is clipped to it, as ZigZag does. Here as many
of the inner loops as possible make the tile that fits. Which operand stays in the array is left to
the mapper, unless only one can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.files import regular
from dse.mapping.given.pins import STAYS, Pin, Pins
from dse.mapping.space.choices import TILED
from dse.workload.layer import DIMS

#: Loops of Timeloop's convolution: R S filter, P Q output columns and rows, M (or K) outputs.
TIMELOOP = {
    "N": "B", "G": "G", "M": "K", "K": "K", "C": "C", "Q": "OY", "P": "OX", "S": "FY", "R": "FX",
}  # fmt: skip
#: Loops of ZigZag; D is the rows of a matrix product.
ZIGZAG = {**{dim: dim for dim in DIMS}, "D": "OX"}


def read_foreign(path: str | Path) -> Pins | None:
    """Pins of a Timeloop or ZigZag mapping file; None if it is neither.

    Raises:
        InputError: it is one, but cannot be understood.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe").load(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, YAMLError):
        return None  # the reader of our own files says what is wrong
    if isinstance(data, Mapping) and isinstance(data.get("mapping"), (list, Mapping)):
        nodes = data["mapping"]
        return timeloop(nodes["nodes"] if isinstance(nodes, Mapping) else nodes, str(path))
    if isinstance(data, Sequence) and not isinstance(data, str):
        entries = [entry for entry in data if isinstance(entry, Mapping)]
        if entries and all("spatial_mapping" in e or "temporal_ordering" in e for e in entries):
            return zigzag(entries, str(path))
    return None


def timeloop(nodes: Sequence[Any], origin: str = "") -> Pins:
    """The pin of a Timeloop mapping: targets outermost first, or inner ones after outer ones.

    Raises:
        InputError: a loop it does not know, or factors that do not say how large the layer is.
    """
    temporal: list[tuple[dict[str, int], list[str]]] = []
    spatial: dict[str, int] = {}
    for number, node in enumerate(nodes):
        if not isinstance(node, Mapping):
            raise InputError("a target is no mapping", file=origin, field=f"mapping[{number}]")
        kind = str(node.get("type", "temporal"))
        if kind not in ("temporal", "spatial"):
            continue  # what is kept or passed by at a level follows from this chip's levels
        where = f"mapping[{number}].factors"
        factors = _factors(node.get("factors", ""), TIMELOOP, origin, where)
        if kind == "spatial":
            for dim, factor in factors.items():
                spatial[dim] = spatial.get(dim, 1) * factor
            continue
        order = [TIMELOOP[x] for x in _letters(node.get("permutation", "")) if x in TIMELOOP]
        temporal.append((factors, order))
    if not temporal:
        raise InputError("no temporal target", file=origin, field="mapping", mend="add its factors")
    if any(0 in factors.values() for factors, _ in temporal):
        raise InputError(
            "a factor of 0 leaves the layer's size open",
            file=origin,
            field="mapping",
            mend="write the factor itself",
        )
    outer, order = temporal[0]
    inner = dict(spatial)
    for factors, _ in temporal[1:]:
        for dim, factor in factors.items():
            inner[dim] = inner.get(dim, 1) * factor
    sizes = tuple(inner.get(dim, 1) * outer.get(dim, 1) for dim in DIMS)
    if outer.get("FY", 1) > 1 or outer.get("FX", 1) > 1:
        raise InputError(
            "filter taps are cut outside the buffer",
            file=origin,
            field="mapping",
            mend="keep R and S inside: tiles of filter taps are not in this map space",
        )
    pin = Pin.model_validate(
        {
            "spatial": {dim: n for dim, n in spatial.items() if n > 1},
            "tiles": {dim: inner.get(dim, 1) for dim in TILED},
            "order": _stays([dim for dim in order if outer.get(dim, 1) > 1]),
        }
    )
    return Pins((), origin, ((sizes, pin),))


def zigzag(entries: Sequence[Mapping[str, Any]], origin: str = "") -> Pins:
    """One pin per entry of a ZigZag mapping, for layers of that name or operator.

    Raises:
        InputError: a loop it does not know, or a factor that is no number.
    """
    pins = []
    for number, entry in enumerate(entries):
        spatial: dict[str, int] = {}
        for axis, loops in (entry.get("spatial_mapping") or {}).items():
            where = f"[{number}].spatial_mapping.{axis}"
            for dim, factor in _pairs(loops, origin, where):
                spatial[dim] = spatial.get(dim, 1) * factor
        where = f"[{number}].temporal_ordering"
        order = _pairs(entry.get("temporal_ordering") or [], origin, where)
        name = str(entry.get("name", entry.get("layer", "*")))
        values: dict[str, Any] = {"spatial": spatial or None, "temporal": tuple(order)}
        if name not in ("default", "*"):
            pins += [Pin(layer=name, **values), Pin(op=name, **values)]
        else:
            pins.append(Pin(**values))
    return Pins(tuple(pins), origin, clipped=True)


def _stays(innermost_first: Sequence[str]) -> Any:
    for dim in innermost_first:
        if dim in STAYS:
            return STAYS[dim]
    return None


def _letters(permutation: Any) -> list[str]:
    if isinstance(permutation, str):
        return [x for x in re.split(r"[\s,]*", permutation) if x]
    return [str(x) for x in permutation or ()]


def _factors(written: Any, names: Mapping[str, str], origin: str, where: str) -> dict[str, int]:
    """``"C1 M4"``, ``"C=1,M=4"`` or a list of such: loop sizes by our dims."""
    parts = re.split(r"[\s,]+", written) if isinstance(written, str) else list(written or ())
    out: dict[str, int] = {}
    for part in (str(p).strip() for p in parts):
        if not part:
            continue
        match = re.fullmatch(r"([A-Za-z]+)\s*=?\s*(\d+)(?:,\d+)?", part)
        if match is None or match.group(1) not in names:
            raise InputError(
                f"{part!r} is no loop factor",
                file=origin,
                field=where,
                mend=f"write factors of {', '.join(sorted(names))}, such as C4",
            )
        dim = names[match.group(1)]
        out[dim] = out.get(dim, 1) * int(match.group(2))
    return out


def _pairs(loops: Any, origin: str, where: str) -> list[tuple[str, int]]:
    """``["K, 16", "C, 4"]`` or ``[["K", 16]]``: loops in the order they are written."""
    if isinstance(loops, str):
        loops = [loops]
    out = []
    for loop in loops or ():
        parts = [p.strip() for p in loop.split(",")] if isinstance(loop, str) else list(loop)
        known = len(parts) == 2 and str(parts[0]) in ZIGZAG and str(parts[1]).isdigit()
        if not known:
            raise InputError(
                f"{loop!r} is no loop",
                file=origin,
                field=where,
                mend=f"write a loop of {', '.join(ZIGZAG)} and its size, such as 'K, 16'",
            )
        out.append((ZIGZAG[str(parts[0])], int(parts[1])))
    return out
