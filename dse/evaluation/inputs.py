"""The edge: whatever designs name is found, read and checked here, once.

A :class:`ResolvedInputs` is an app on a chip (or platform) as their files say, with the files that
its models may come from. A design is values applied to it
(:func:`dse.evaluation.design.resolve_design`), and no file is looked at from there on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.apps import App, Stream, load_app
from dse.apps.scenario import APP_FOLDER
from dse.apps.stream import MODEL_SLOT
from dse.errors import InputError
from dse.files import Stamp, find_file, stamp_of
from dse.hardware.blocks import block_facts
from dse.hardware.library import load_spec
from dse.hardware.platform import ReadPlatform, platform_file, read_platform
from dse.hardware.spec import ChipSpec
from dse.model_quality import families
from dse.registry import Remembered, cached
from dse.technology import Technology, load_technology
from dse.version import model_version
from dse.workload import Model
from dse.workload.layer import Binding
from dse.workload.load import FILE_KEYS, files_of, model_of
from dse.workload.lower import UnknownOps
from dse.workload.sources import ReadFiles
from dse.workload.zoo import resolve

Value = str | int | float | bool | None

#: Settings of a model that decide which files it is made of.
NAMING = ("width", *FILE_KEYS)
#: Models remembered, each with its workloads: a design that comes again has the same ones.
MODELS = 256
_models = Remembered("evaluation.inputs.models", MODELS)


@dataclass(frozen=True)
class ResolvedInputs:
    """An app and where it runs, as read: what designs apply their values to.

    Attributes:
        app: as its file says, with the arrivals of its traces.
        app_file: that file, for errors.
        site: the chip's values, or those of a platform and its chips; not priced yet.
        models: the files that models may come from.
        technology: what chips are priced against.
        version: of the model that will evaluate them.
    """

    app: App
    app_file: Path
    site: ChipSpec | ReadPlatform
    models: ReadFiles
    technology: Technology
    version: str


def read_inputs(
    app: str, chip: str, choices: Mapping[str, Sequence[Value]] | None = None
) -> ResolvedInputs:
    """What an app's and a chip's (or platform's) names and files mean.

    Args:
        app, chip: names or files.
        choices: the values that settings by path may take; those of models
            (``model.<stream>.name``) decide which networks are read.

    Raises:
        InputError: unknown names, or a fault in a file. What is wrong with a model is said where
            it is asked for.
    """
    found, file = app_named(app)
    site = site_named(chip)
    models = read_models(model_names(found, choices or {}))
    families(), block_facts()  # what ships is read here, too, and not while designs are judged
    return ResolvedInputs(found, file, site, models, load_technology(), model_version())


def app_named(name: str) -> tuple[App, Path]:
    """The app of a name or file, read once as long as the file stays as it is; and the file."""
    path = find_file(name, APP_FOLDER, ".yaml", "app")
    app = _read_app(str(path), stamp_of(path))
    traced = any(stream.arrivals and stream.arrivals.trace for stream in app.streams)
    # A trace may have changed since.
    return (load_app(path) if traced else app), path


@cached(64)
def _read_app(path: str, stamp: Stamp) -> App:
    return load_app(path)


def site_named(name: str) -> ChipSpec | ReadPlatform:
    """The chip or platform of a name or file; InputError if there is none."""
    path = platform_file(name)
    return load_spec(name) if path is None else read_platform(path)


def model_names(app: App, choices: Mapping[str, Sequence[Value]]) -> Iterator[str]:
    """Every model that the app's streams may have, named with what decides its files."""
    for stream in app.streams:
        ways = [(None, *choices.get(f"model.{stream.id}.{key}", ())) for key in NAMING]
        for name in (stream.model, *choices.get(f"model.{stream.id}.name", ())):
            for model in stage_models(stream, str(name or "")):
                for values in itertools.product(*ways):
                    yield named_with(model, dict(zip(NAMING, values, strict=True)))


def stage_models(stream: Stream, name: str) -> tuple[str, ...]:
    """The models of a stream's stages, where its own is ``name``; of a plain one that alone."""
    if stream.request is None:
        return (name,)
    return tuple(stage.model.replace(MODEL_SLOT, name) for stage in stream.request.parts)


def named_with(name: str, settings: Mapping[str, Value]) -> str:
    """A model's name with settings behind it; those that are None are left out."""
    settled = ",".join(f"{key}={value}" for key, value in settings.items() if value is not None)
    return name + (("," if "@" in name else "@") + settled if settled else "")


def read_models(names: Iterable[str]) -> ReadFiles:
    """The files of models, each read once."""
    content: dict[str, bytes | OSError | InputError] = {}
    for name in dict.fromkeys(names):
        for file, held in files_of(name).items():
            content.setdefault(file, held)
    return ReadFiles(content)


def model_named(
    files: ReadFiles,
    name: str,
    bindings: tuple[tuple[str, Binding], ...] = (),
    unknown_ops: UnknownOps = "error",
) -> Model:
    """A model lowered once per process, as long as its files hold the same.

    Raises:
        InputError: as :func:`dse.workload.load.model_of`.
    """
    request = resolve(name, files)
    spoken = (str(request.file), *(request.settings.get(key) for key in FILE_KEYS))
    held = tuple(file and (file, files.digest(file)) for file in spoken)
    key = (name, held, repr(bindings), unknown_ops)
    return _models.of(key, lambda: model_of(files, name, unknown_ops=unknown_ops, **dict(bindings)))


def load_cached(
    name: str, bindings: tuple[tuple[str, Binding], ...] = (), unknown_ops: UnknownOps = "error"
) -> Model:
    """A model by name alone: its files are read, but lowered only if they changed."""
    return model_named(read_models([name]), name, bindings, unknown_ops)
