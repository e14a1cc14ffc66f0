"""What a function was asked about, by name or as an object: resolved once, in one way for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dse.api.loading import is_app
from dse.errors import InputError

if TYPE_CHECKING:
    from dse.apps import App
    from dse.evaluation import Value
    from dse.hardware.chip import Chip, Platform
    from dse.workload import Model, Workload

    Subject = Model | Workload | App | str | Path
    Site = Chip | Platform | str | Path


def as_app(subject: Subject) -> App | str | None:
    """The app, or its name; None if it is a model."""
    from dse.apps import App

    if isinstance(subject, App):
        return subject
    return str(subject) if isinstance(subject, (str, Path)) and is_app(subject) else None


def site_of(chip: Site, settings: Mapping[str, Value] | None = None) -> Chip:
    """The one chip that a model alone runs on, with ``chip.`` settings by path.

    Raises:
        InputError: a platform of several chips, an unknown name, or settings of something else.
    """
    from dse.evaluation import split_settings, with_values
    from dse.hardware import load_chip
    from dse.hardware.chip import Platform

    groups = split_settings(settings or {})
    for group in ("app", "model", "link", "cloud"):
        for path in groups[group]:
            raise InputError(
                f"a model alone has no {group} settings",
                field=f"{group}.{path}",
                mend="simulate an app; a model takes a precision and name@res=...,width=...",
            )
    values = dict(groups["chip"])
    if isinstance(chip, (str, Path)):
        node = values.pop("node", None)
        return load_chip(chip, node=None if node is None else str(node), overrides=values or None)
    if isinstance(chip, Platform):
        if len(chip.chips) != 1:
            raise InputError(
                f"a platform of {len(chip.chips)} chips",
                field="chip",
                mend="give one chip; only an app can be placed on several",
            )
        chip = chip.chip
    return with_values(chip, values)


def workload_of(
    model: Subject, chip: Chip, precision: str | None = None, kind: str | None = None
) -> Workload:
    """The network at a precision: the given one, else the file's own, else the chip's native.

    ``kind`` of core whose native precision that is, on a chip with several.

    Raises:
        InputError: no such model, precision or kind, or what is no model.
    """
    from dse.evaluation import model_at, workload_on
    from dse.hardware.kinds import kind_named
    from dse.workload import Model, Workload

    view = chip if kind is None else kind_named(chip, kind, "kind").chip
    if isinstance(model, (str, Path)):
        return model_at(str(model), precision, view)
    if isinstance(model, Model):
        return workload_on(model, precision, view)
    if not isinstance(model, Workload):
        raise InputError(
            f"cannot simulate a {type(model).__name__}",
            mend="give what load_model or load_app returned",
        )
    if precision is not None and precision != model.precision.name:
        raise InputError(
            f"the workload is at {model.precision.name} already",
            field="precision",
            mend="give the model, or leave the precision out",
        )
    return model


def paths_of(
    app: App | str, settings: Mapping[str, Value] | None, precision: str | None
) -> dict[str, Value]:
    """The settings of an app by full path.

    A path without its group (``sort.precision``) is one of a stream's model. ``precision`` is that
    of all streams whose own is not set.
    """
    from dse.apps import load_app
    from dse.evaluation.design import GROUPS

    chosen: dict[str, Value] = {}
    for path, value in (settings or {}).items():
        known = path.partition(".")[0] in GROUPS or "." not in path
        chosen[path if known else f"model.{path}"] = value
    if precision is not None:
        streams = (load_app(app) if isinstance(app, str) else app).streams
        for stream in streams:
            chosen.setdefault(f"model.{stream.id}.precision", precision)
    return chosen


def named(site: Site) -> Chip | Platform | str:
    """A path as text, all else as it is."""
    return str(site) if isinstance(site, Path) else site


def only_of_models(**given: object) -> None:
    """Refuse what an app's own file says, with where it says it.

    Raises:
        InputError: naming the first that was given.
    """
    why = {
        "kind": (
            "an app pins its streams itself",
            "write cores in its file, or set app.<stream>.cores to the kind",
        ),
        "cores": (
            "an app says itself which cores its streams use",
            "write cores in its file, or set app.<stream>.cores",
        ),
        "legal": ("the networks of an app are mapped ideally", "simulate a model"),
        "volume": (
            "an app has volumes of its own",
            "write budgets.volume in its file; the record gives the cost at all its volumes",
        ),
    }
    for name, value in given.items():
        if value:
            message, mend = why[name]
            raise InputError(message, field=name, mend=mend)
