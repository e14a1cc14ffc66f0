"""What the files that an experiment names hold, as digests: names alone do not make a study.

A chip, app or model file that changed between two runs makes other figures under the same name.
Comments, titles and sources change no figure and are left out.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dse.apps import App
from dse.apps.stream import MODEL_SLOT
from dse.errors import InputError
from dse.evaluation.inputs import app_named
from dse.files import is_file
from dse.hardware.library import load_spec
from dse.hardware.platform import load_platform_spec, platform_file
from dse.hardware.resolve import stated
from dse.registry import cached
from dse.schema import digest
from dse.search.experiment import Experiment
from dse.workload.zoo import resolve

#: Fields of chips, apps and platforms that say something of figures, and change none.
WORDS = frozenset({"schema_version", "title", "description", "domain", "source", "sources", "text"})
_BLOCK = 1 << 20


def input_digests(experiment: Experiment) -> dict[str, str]:
    """Digest of every chip, app, platform and model, by kind and name (``chip mine.yaml``).

    Raises:
        InputError: a file that cannot be read.
    """
    out = dict(_sites(experiment.chip))
    models = set(_settings(experiment))
    for use in experiment.uses:
        app, _ = app_named(use.app)
        out[f"app {use.app}"] = digest(_without_words(app.model_dump(mode="json")))
        models.update(_models(app))
    for model in sorted(models):
        for file in _files(model):
            with contextlib.suppress(OSError):  # whoever reads it says what is wrong
                out[f"file {_label(file)}"] = _file_digest(file, *_stamp(file))
    return out


def changed_inputs(there: object, here: Mapping[str, str]) -> str:
    """What differs between the inputs a study was made of and those of now; empty if nothing."""
    if not isinstance(there, Mapping):
        return ""  # not known: said by whoever reads the study
    out = [
        f"{name} has changed since" if name in there else f"{name} was no part of it"
        for name, value in here.items()
        if there.get(name) != value
    ]
    out += [f"{name} is no part of it any more" for name in there if name not in here]
    return ", ".join(out)


def _sites(name: str) -> Iterator[tuple[str, str]]:
    path = platform_file(name)
    if path is None:
        yield f"chip {name}", _chip_digest(name)
        return
    spec = load_platform_spec(path)
    yield f"platform {name}", digest(_without_words(spec.model_dump(mode="json")))
    for side in (spec.device, spec.cloud):
        beside = path.parent / side.chip
        chip = str(beside) if is_file(beside) else side.chip
        yield f"chip {chip}", _chip_digest(chip)


def _chip_digest(name: str) -> str:
    """Of what a chip's file says, and of what its runtime class costs."""
    return digest(_without_words(stated(load_spec(name))))


def _without_words(content: Any) -> Any:
    if isinstance(content, Mapping):
        left = WORDS | {"ranges"}
        return {key: _without_words(v) for key, v in content.items() if key not in left}
    if isinstance(content, (list, tuple)):
        return [_without_words(value) for value in content]
    return content


def _models(app: App) -> Iterator[str]:
    """Every network that an app may run."""
    for stream in app.streams:
        own = [name for name in (stream.model, *stream.choices) if name]
        yield from own
        for part in stream.request.parts if stream.request else ():
            names = own if MODEL_SLOT in part.model else [""]
            yield from (part.model.replace(MODEL_SLOT, name) for name in names)


def _settings(experiment: Experiment) -> Iterator[str]:
    """Texts that designs may set: names of models, files of precisions by layer."""
    parameters = experiment.parameters.values()
    for value in (*experiment.fixed.values(), *(v for p in parameters for v in p.values)):
        if isinstance(value, str):
            yield value


def _files(text: str) -> Iterator[Path]:
    """The files that a model's name speaks of: its network, and those in its settings."""
    network, _, settings = text.partition("@")
    with contextlib.suppress(InputError, OSError, ValueError):
        yield resolve(text).file
    for part in (network, *(one.partition("=")[2] for one in settings.split(","))):
        with contextlib.suppress(OSError, ValueError):
            if part and is_file(part):
                yield Path(part)


def _label(file: Path) -> str:
    """Shipped networks by their name alone: where the package is installed does not count."""
    from dse.files import shipped_folder

    folder = shipped_folder("models")
    return file.name if file.parent == folder else str(file)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@cached(256)
def _file_digest(file: Path, changed_ns: int, size: int) -> str:
    found = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
