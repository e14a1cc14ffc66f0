"""Platform files: a device, a data-centre chip and the network between them.

Shipped ones are in ``hwconfigs/platforms``. Every number of the file has its source in
``sources``, as in chip files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from dse.errors import InputError
from dse.files import Stamp, is_file, nearest, shipped_folder, stamp_of
from dse.hardware.chip import Chip, Platform
from dse.hardware.library import load_spec
from dse.hardware.offload import CloudTerms, NetLink
from dse.hardware.resolve import chip_at
from dse.hardware.sections import Source
from dse.hardware.spec import ChipSpec
from dse.migrations import kind_of, read_versioned
from dse.ranges import (
    LinkRate,
    PartShare,
    Pue,
    RadioJoules,
    RoundTrip,
    Units,
    Usd,
    UsdPerKwh,
    Users,
    Watts,
    Years,
)
from dse.registry import cached
from dse.schema import Strict, read_yaml, validate
from dse.technology import Technology


class SideSpec(Strict):
    """A chip of the platform: its name or file (beside the platform's), node and overrides."""

    chip: str
    node: str | None = None
    values: dict[str, Any] = Field(default_factory=dict)


class CloudSpec(SideSpec):
    """The data-centre side; see :class:`dse.hardware.offload.CloudTerms`."""

    utilization: PartShare
    batch: Users = 1
    server_w: Watts
    server_cost_usd: Usd
    pue: Pue
    lifetime_years: Years
    volume: Units
    electricity_usd_per_kwh: UsdPerKwh
    grid: str

    @model_validator(mode="after")
    def _leaves_room(self) -> CloudSpec:
        if self.utilization >= 1.0:
            raise ValueError("a utilization of 1 makes every request wait for ever; stay below 1")
        return self


class LinkSpec(Strict):
    """The network; see :class:`dse.hardware.offload.NetLink`."""

    name: str = "network"
    up_bytes_per_s: LinkRate
    down_bytes_per_s: LinkRate
    rtt_s: RoundTrip
    device_j_per_bit: RadioJoules
    network_j_per_bit: RadioJoules
    idle_w: Watts = 0.0
    availability: PartShare = 1.0


class PlatformSpec(Strict):
    """A platform file. ``sources`` by path (``link.rtt_s``, or ``cloud`` for all below it)."""

    schema_version: Literal[1] = 1
    name: str
    description: str = ""
    device: SideSpec
    cloud: CloudSpec
    link: LinkSpec
    sources: dict[str, Source] = Field(default_factory=dict)


def platform_file(path_or_name: str | Path) -> Path | None:
    """The file of a platform; None if the name or file means something else (a chip)."""
    text = str(path_or_name)
    direct = Path(text)
    if is_file(direct):
        return direct if direct.suffix in (".yaml", ".yml") and _holds_device(direct) else None
    return shipped_platforms().get(text)


def shipped_platforms() -> dict[str, Path]:
    """Shipped platform files by name."""
    folder = shipped_folder("hwconfigs") / "platforms"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _holds_device(path: Path) -> bool:
    try:
        data, _ = read_yaml(path)
    except InputError:
        return False  # whoever reads it as a chip says what is wrong with it
    return kind_of(data) == "platform"


def load_platform(
    path_or_name: str | Path,
    node: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Platform:
    """The platform of a file or shipped name, both chips resolved and priced.

    Args:
        path_or_name: file or name.
        node: of the device, in place of the file's.
        overrides: values by path: ``link.rtt_s``, ``cloud.utilization``, ``cloud.chip.cores`` and
            ``device.array.rows`` (or plain ``array.rows``) of the chips.

    Raises:
        InputError: a fault in the file or in an override; a chip that cannot exist.
    """
    path = platform_file(path_or_name)
    if path is None:
        known = list(shipped_platforms())
        raise InputError(
            f"unknown platform {str(path_or_name)!r}",
            mend=f"give a file or one of: {', '.join(known)}{nearest(str(path_or_name), known)}",
        )
    return platform_at(read_platform(path), node, overrides)


@dataclass(frozen=True)
class ReadPlatform:
    """A platform's file and those of its chips, read and checked."""

    spec: PlatformSpec
    device: ChipSpec
    cloud: ChipSpec


def read_platform(path: Path) -> ReadPlatform:
    """The platform of a file.

    Raises:
        InputError: a fault in the file or in a chip's.
    """
    spec = load_platform_spec(path)
    return ReadPlatform(spec, _chip_spec(path, spec.device), _chip_spec(path, spec.cloud))


def platform_at(
    read: ReadPlatform,
    node: str | None = None,
    overrides: Mapping[str, object] | None = None,
    technology: Technology | None = None,
) -> Platform:
    """The platform with overrides; as :func:`load_platform`, without files.

    Raises:
        InputError: as there.
    """
    spec = read.spec
    chips: dict[str, dict[str, object]] = {
        "device": dict(spec.device.values),
        "cloud": dict(spec.cloud.values),
    }
    data = spec.model_dump()
    for name, value in (overrides or {}).items():
        _override(data, chips, name, value)
    spec = validate(PlatformSpec, data)
    device = _chip(read.device, spec.device, node, chips["device"], technology)
    cloud = _chip(read.cloud, spec.cloud, None, chips["cloud"], technology)
    terms = spec.cloud
    return Platform(
        chips=(device, cloud),
        link=NetLink(**spec.link.model_dump()),
        cloud=CloudTerms(
            utilization=terms.utilization,
            batch=terms.batch,
            server_w=terms.server_w,
            server_cost_usd=terms.server_cost_usd,
            pue=terms.pue,
            lifetime_years=terms.lifetime_years,
            volume=terms.volume,
            electricity_usd_per_kwh=terms.electricity_usd_per_kwh,
            grid=terms.grid,
        ),
        name=spec.name,
    )


def load_platform_spec(path: Path) -> PlatformSpec:
    """The checked file; InputError with line, field and mend."""
    return _spec(path, stamp_of(path))


@cached(64)
def _spec(path: Path, stamp: Stamp) -> PlatformSpec:
    data, lines = read_versioned("platform", path)
    return validate(PlatformSpec, data, file=path, lines=lines)


def _override(
    data: dict[str, Any], chips: dict[str, dict[str, object]], name: str, value: object
) -> None:
    head, _, rest = name.partition(".")
    if head == "link" or (head == "cloud" and rest in CloudSpec.model_fields and rest != "chip"):
        if rest not in data[head]:
            known = [f"link.{key}" for key in LinkSpec.model_fields]
            raise InputError(
                "a platform's link has no such parameter",
                field=name,
                mend=f"use one of: {', '.join(known)}{nearest(name, known)}",
            )
        data[head][rest] = value
    elif head == "cloud":
        chips["cloud"][rest.removeprefix("chip.")] = value
    elif head == "device":
        chips["device"][rest.removeprefix("chip.")] = value
    else:
        chips["device"][name] = value


def _chip_spec(path: Path, side: SideSpec) -> ChipSpec:
    beside = path.parent / side.chip
    return load_spec(beside if is_file(beside) else side.chip)


def _chip(
    spec: ChipSpec,
    side: SideSpec,
    node: str | None,
    values: Mapping[str, object],
    technology: Technology | None,
) -> Chip:
    plain = dict(values)
    inner = plain.pop("node", None)
    wanted = node or (str(inner) if inner is not None else side.node)
    return chip_at(spec, wanted, plain or None, technology)
