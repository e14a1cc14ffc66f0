"""Finding, reading and combining chip files: template < YAML < node < overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.errors import InputError, shortened
from dse.files import (
    Stamp,
    find_file,
    is_file,
    nearest,
    shipped_folder,
    shipped_names,
    stamp_of,
)
from dse.hardware.kind_spec import KindSpec, combine
from dse.hardware.spec import ChipSpec, set_path
from dse.migrations import read_versioned
from dse.registry import cached
from dse.schema import validate

_FOLDER = "hwconfigs"
_TEMPLATES = "hwconfigs/templates"
#: Name that stands for a file which brings every field itself.
CUSTOM = "custom"


def load_spec(path_or_name: str | Path) -> ChipSpec:
    """The spec in a file, or of a shipped chip or template.

    Args:
        path_or_name: a YAML file, the name of a shipped chip, or of a template.

    Raises:
        InputError: no such chip, or a fault in its file (with file, line, field and mend).
    """
    path = find_chip_file(path_or_name)
    stamp = stamp_of(path)
    template = _template_of(path, stamp)
    return _load(str(path), stamp, template, stamp_of(template) if template else None)


def find_chip_file(path_or_name: str | Path) -> Path:
    """The file of a chip or template; a chip goes before a template of the same name."""
    text = str(path_or_name)
    templates = _template_files()
    if text in templates and not is_file(text) and text not in _chip_files():
        return templates[text]
    platforms = [path.stem for path in (shipped_folder(_FOLDER) / "platforms").glob("*.yaml")]
    if text in platforms and not is_file(text) and text not in _chip_files():
        raise InputError(
            f"{text!r} is a platform, a device with a data centre; only an app runs on one",
            mend=f"give an app, or the device's chip: `dse show {text}` names it",
        )
    return find_file(text, _FOLDER, ".yaml", "chip", also=platforms)


def template_file_of(path: Path) -> Path | None:
    """The file of the template that a chip file is based on; None if on none (or on itself)."""
    data, lines = _content(str(path), stamp_of(path))
    name = data.get("template", CUSTOM)
    if name == CUSTOM:
        return None
    templates = _template_files()
    if not isinstance(name, str):
        line = lines.get("template")
        raise InputError(
            f"{shortened(repr(name))} is no template's name",
            file=path,
            field=f"line {line}: template" if line else "template",
            mend=f"use one of: {', '.join([*templates, CUSTOM])}",
        )
    if name not in templates:
        line = lines.get("template")
        raise InputError(
            f"unknown template {name!r}",
            file=path,
            field=f"line {line}: template" if line else "template",
            mend=f"use one of: {', '.join([*templates, CUSTOM])}"
            + nearest(str(name), list(templates)),
        )
    found = templates[name]
    return None if found.resolve() == path.resolve() else found


def apply_values(spec: ChipSpec, node: str | int | None, values: Mapping[str, object]) -> ChipSpec:
    """A spec at another node and with overrides, validated once.

    A voltage that the file pins holds for the file's own node only: at another node it is dropped
    (and follows from the frequency), unless the overrides give one.
    """
    if node is None and not values:
        return spec
    data = spec.model_dump()
    before = spec.node_nm
    if node is not None:
        data["node"] = node
    for path, value in values.items():
        if path == "template":
            raise InputError(
                "a template is not a value to change: the file took all of its values from it",
                field=path,
                mend=f"write a file with `template: {value}`, or take the template as the chip",
            )
        set_path(data, path, value)
    made = validate(ChipSpec, data)  # the file itself was valid, so a fault is not its own
    made.check_turned(values)
    made._origin = spec.origin
    if made.node_nm != before:
        drop = _pinned(made, "", made.f_hz is not None)
        for name, kind in made.kinds.items():
            has_clock = kind.f_hz is not None or (not kind.own_point and made.f_hz is not None)
            drop += _pinned(kind, f"kinds.{name}.", has_clock)
        made = made.with_values({field: None for field in drop if field not in values})
    return made


def _pinned(of: ChipSpec | KindSpec, prefix: str, has_clock: bool) -> list[str]:
    """Paths of the voltages that a file pins beside a clock."""
    rails = ("voltage_v", "sram_voltage_v") if has_clock else ()
    return [prefix + rail for rail in rails if getattr(of, rail) is not None]


@cached(256)
def _content(path: str, stamp: Stamp) -> tuple[dict[str, Any], dict[str, int]]:
    """A chip file read once as long as it stays as it is; not to be changed."""
    return read_versioned("chip", path)


@cached(256)
def _template_of(path: Path, stamp: Stamp) -> Path | None:
    return template_file_of(path)


@cached(256)
def _load(path: str, stamp: Stamp, base: Path | None, base_stamp: Stamp | None) -> ChipSpec:
    data, lines = _content(path, stamp)
    whole: Mapping[str, Any] = data
    if base is not None and base_stamp is not None:
        below, _ = _content(str(base), base_stamp)
        whole = combine({k: v for k, v in below.items() if k != "ranges"}, data)
        whole = {**whole, "ranges": {**below.get("ranges", {}), **data.get("ranges", {})}}
        if "name" not in data:
            raise InputError("the field is missing", file=path, field="name", mend="add it")
    spec = validate(ChipSpec, whole, file=path, lines=lines)
    spec._origin = path
    _check_documented(spec, path)
    return spec


def _check_documented(spec: ChipSpec, path: str) -> None:
    """Sources and ranges must speak of fields that exist."""
    for block in ("sources", "ranges"):
        for field in getattr(spec, block):
            try:
                spec.value(field)
            except InputError:
                raise InputError(
                    f"{block} speaks of a field that no chip has",
                    file=path,
                    field=f"{block}.{field}",
                    mend="name a field path such as array.rows",
                ) from None


def _chip_files() -> dict[str, Path]:
    return shipped_names(_FOLDER, ".yaml")


def _template_files() -> dict[str, Path]:
    folder = shipped_folder(_FOLDER) / "templates"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@dataclass(frozen=True)
class ChipEntry:
    """A shipped chip or template in a list.

    ``macs_per_cycle`` is that of all cores at the native precision, ``ranges`` are the paths a
    search may turn.
    """

    name: str
    description: str
    template: str
    node: str
    f_hz: float | None
    cores: int
    macs_per_cycle: int
    formats: tuple[str, ...]
    buffer_bytes: int
    l2_bytes: int
    dram: str
    ranges: tuple[str, ...]


def list_chips() -> tuple[ChipEntry, ...]:
    """Shipped chips, by name."""
    return tuple(_entry(name) for name in _chip_files())


def list_templates() -> tuple[ChipEntry, ...]:
    """Shipped templates, by name."""
    return tuple(_entry(name) for name in _template_files())


def load_template(name: str) -> dict[str, Any]:
    """All values of a shipped template, its sources and ranges, as plain data.

    Raises:
        InputError: no such template; the error lists them.
    """
    known = _template_files()
    if name not in known:
        raise InputError(
            f"unknown template {name!r}",
            field="template",
            mend=f"use one of: {', '.join(known)}{nearest(name, list(known))}",
        )
    return load_spec(known[name]).model_dump(mode="json")


def _entry(name: str) -> ChipEntry:
    spec = load_spec(name)
    array = spec.array
    every = [spec.of_kind(kind) for kind in spec.kind_names] if spec.kinds else [spec]
    rates = [one.cores * one.macs_per_cycle for one in every]
    return ChipEntry(
        name=spec.name,
        description=spec.description,
        template=spec.template,
        node=spec.node,
        f_hz=spec.f_hz,
        cores=spec.total_cores,
        macs_per_cycle=round(sum(rates)),
        formats=tuple(array.formats),
        buffer_bytes=spec.buffer.bytes,
        l2_bytes=spec.l2.bytes,
        dram=spec.dram.kind,
        ranges=tuple(sorted(spec.ranges)),
    )
