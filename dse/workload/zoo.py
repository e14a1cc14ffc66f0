"""The networks that ship (``models/manifest.yaml``), and names like ``mobilenetv2@width=0.75``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dse.errors import InputError, shortened
from dse.files import nearest, regular, shipped_folder
from dse.registry import cached
from dse.schema import read_yaml, validate
from dse.workload.sources import ON_DISK, ModelFiles

#: Prefix of a manifest file that lies inside the installed ``onnx`` package.
PACKAGED = "onnx:"


class Published(BaseModel):
    """Parameters and MACs of a network as its source prints them."""

    model_config = ConfigDict(extra="allow", frozen=True)
    params: float | None = None
    macs: float | None = None
    source: str = ""
    status: str = ""


class ManifestEntry(BaseModel):
    """One entry of the manifest; fields that only documentation needs are let through."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    file: str
    task: str
    family: str
    description: str = ""
    source: str = ""
    licence: str = ""
    width: float | None = None
    resolution: int | None = None
    resizable: bool = False
    params: int | None = None
    macs: int | None = None
    inputs: dict[str, list[int]] = {}
    symbols: dict[str, int] = {}
    published: Published | None = None
    deviates: str = ""
    serves: list[str] = []
    stand_in_for: str = ""
    why: str = ""
    target: Published | None = None


class Manifest(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int
    models: list[ManifestEntry]


@dataclass(frozen=True)
class ModelInfo:
    """A shipped network.

    Attributes:
        name: as accepted by ``load_model``.
        task, description, source, licence: facts of the manifest.
        family: key for published quality; ``width`` and ``resolution`` belong to it.
        file: the ONNX file.
        resizable: whether ``res`` may change the height and width of its input.
        parameters: trainable parameters (weights, biases, scale and shift of normalizations).
        macs: multiply-accumulates of one inference at batch 1.
        inputs: shape of each input (``past.*.key`` stands for one of each layer).
        symbols: symbolic sizes of the graph with the values they have unless they are bound.
        published_parameters, published_macs: as printed by ``published_source``.
        deviates: why ours differ from the published figures by more than 1 %, if they do.
        serves: streams of the application scenarios that this network is for.
        stand_in_for: the network it takes the place of, and ``why`` it may.
        target_parameters, target_macs: of that network, as printed by ``target_source``.
    """

    name: str
    task: str
    family: str
    file: Path
    description: str = ""
    source: str = ""
    licence: str = ""
    width: float | None = None
    resolution: int | None = None
    resizable: bool = False
    parameters: int | None = None
    macs: int | None = None
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    symbols: tuple[tuple[str, int], ...] = ()
    published_parameters: float | None = None
    published_macs: float | None = None
    published_source: str = ""
    deviates: str = ""
    serves: tuple[str, ...] = ()
    stand_in_for: str = ""
    why: str = ""
    target_parameters: float | None = None
    target_macs: float | None = None
    target_source: str = ""


def list_models() -> list[ModelInfo]:
    """The shipped networks, in the order of the manifest.

    Raises:
        InputError: if the manifest is missing or wrong.
    """
    return list(_listed(shipped_folder("models") / "manifest.yaml"))


@cached(4)
def _listed(path: Path) -> tuple[ModelInfo, ...]:
    return tuple(_info(entry, path.parent) for entry in _manifest(path).models)


def _manifest(path: Path) -> Manifest:
    """The manifest by the fast reader; whatever it trips over is read again with line numbers."""
    from pydantic import ValidationError
    from ruamel.yaml import YAML, YAMLError

    try:
        return Manifest.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, YAMLError, ValidationError):
        data, lines = read_yaml(path)
        return validate(Manifest, data, file=path, lines=lines)


def _info(entry: ManifestEntry, folder: Path) -> ModelInfo:
    published = entry.published or Published()
    target = entry.target or Published()
    return ModelInfo(
        name=entry.name,
        task=entry.task,
        family=entry.family,
        file=_located(entry.file, folder),
        description=entry.description,
        source=entry.source,
        licence=entry.licence,
        width=entry.width,
        resolution=entry.resolution,
        resizable=entry.resizable,
        parameters=entry.params,
        macs=entry.macs,
        inputs=tuple((name, tuple(shape)) for name, shape in entry.inputs.items()),
        symbols=tuple(entry.symbols.items()),
        published_parameters=published.params,
        published_macs=published.macs,
        published_source=published.source,
        deviates=entry.deviates,
        serves=tuple(entry.serves),
        stand_in_for=entry.stand_in_for,
        why=entry.why,
        target_parameters=target.params,
        target_macs=target.macs,
        target_source=target.source,
    )


def _located(file: str, folder: Path) -> Path:
    if not file.startswith(PACKAGED):
        return folder / file
    return _onnx_folder() / "backend" / "test" / "data" / "light" / file.removeprefix(PACKAGED)


@cached(1)
def _onnx_folder() -> Path:
    """Where the ``onnx`` package is installed, found without importing it."""
    import importlib.util

    spec = importlib.util.find_spec("onnx")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise InputError("the onnx package is not installed", mend="pip install onnx")
    return Path(next(iter(places)))


@dataclass(frozen=True)
class Request:
    """A model as asked for: its file, and the settings written behind ``@``.

    ``settings`` keeps the text of each value; those of a shipped network include its symbolic
    sizes. ``info`` is set for a shipped network.
    """

    stem: str
    file: Path
    settings: dict[str, str]
    info: ModelInfo | None


def resolve(path_or_name: str | Path, files: ModelFiles = ON_DISK) -> Request:
    """The file and settings meant by ``mobilenetv2@width=0.75`` or ``some/net.onnx@batch=2``.

    Args:
        path_or_name: the text.
        files: which files there are.

    Raises:
        InputError: no such file or name, a setting that is not ``key=value``, or a width for
            which no graph ships.
    """
    text = str(path_or_name)
    if files.has(text):
        return Request(Path(text).stem, Path(text), {}, None)
    name, _, tail = text.rpartition("@") if "@" in text else (text, "", "")
    settings = _settings(tail, text)
    if files.has(name):
        return Request(Path(name).stem, Path(name), settings, None)
    known = {info.name: info for info in list_models()}
    if name not in known:
        _unknown(name, known)
    info = known[name]
    if "width" in settings:
        info = _of_width(info, settings["width"], text)
    if not files.has(str(info.file)):
        raise InputError(
            f"the graph of {name!r} is missing", file=info.file, mend="install the package again"
        )
    symbols = {symbol: str(value) for symbol, value in info.symbols}
    return Request(name, info.file, symbols | settings, info)


def _unknown(name: str, known: dict[str, Any]) -> None:
    if len(Path(name).parts) > 1:
        regular(name)
    if name.endswith(".onnx") or len(Path(name).parts) > 1:
        raise InputError("there is no such file", file=shortened(name), mend="check the path")
    apps = [path.stem for path in (shipped_folder("experiments") / "apps").glob("*.yaml")]
    if name in apps:
        raise InputError(
            f"{name!r} is an app, and a model is wanted",
            mend=f"give one of its models: `dse show {name}` names them",
        )
    raise InputError(
        f"unknown model {shortened(name)!r}",
        mend=f"give an .onnx file or one of: {', '.join(known)}{nearest(name, [*known, *apps])}",
    )


def _settings(tail: str, whole: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = (item.strip() for item in part.partition("="))
        if not (key and equals and value):
            raise InputError(
                f"{part!r} is not a setting", field=whole, mend="write name@key=value,key=value"
            )
        if key in settings:
            raise InputError(f"{key!r} is set twice", field=whole, mend="keep one")
        settings[key] = value
    return settings


def _of_width(info: ModelInfo, width: str, whole: str) -> ModelInfo:
    same = {i.width: i for i in list_models() if i.family == info.family and i.width is not None}
    try:
        wanted = float(width)
    except ValueError:
        wanted = float("nan")
    if wanted == info.width:
        return info
    if wanted in same:
        return same[wanted]
    raise InputError(
        f"no graph of {info.name!r} has width {width}",
        field=whole,
        mend=f"use one of: {', '.join(f'{w:g}' for w in sorted(same))}",
    )
