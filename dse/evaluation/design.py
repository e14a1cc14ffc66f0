"""A design: what a search proposes; and the one function that evaluates it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dse.apps import App, Stream, load_app
from dse.errors import InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity
from dse.files import nearest
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.schema import digest
from dse.version import model_version
from dse.workload import Model, Workload, load_model, parse_precision
from dse.workload.lower import UnknownOps

Value = str | int | float | bool | None

#: Parameters of a stream's model (``model.<stream>.<key>``) and of a stream
#: (``app.<stream>.<key>``).
MODEL_KEYS = ("name", "precision", "width", "res", "batch", "w_bits", "a_bits", "method")
STREAM_KEYS = ("rate_hz", "deadline_s", "percentile", "instances", "priority", "probability")


@dataclass(frozen=True)
class Design:
    """An app on a chip with every setting, by parameter path.

    ``settings`` holds paths of the contract: ``chip.node``, ``chip.array.rows``,
    ``model.<stream>.precision``, ``app.<stream>.rate_hz``. ``volume`` is units over the product's
    life.
    """

    app: str
    chip: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Resolved:
    """A design with all its parts found: ready to be mapped and simulated."""

    app: App
    chip: Chip
    workloads: Mapping[str, Workload]
    identity: str


def split_settings(settings: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Settings by group (``app``, ``model``, ``chip``), the group's prefix removed.

    Raises:
        InputError: a path outside the three groups.
    """
    groups: dict[str, dict[str, Value]] = {"app": {}, "model": {}, "chip": {}}
    for path, value in settings.items():
        group, _, rest = path.partition(".")
        if group not in groups or not rest:
            raise InputError(
                f"unknown parameter {path!r}",
                field=path,
                mend="start it with app., model. or chip." + nearest(group, list(groups)),
            )
        groups[group][rest] = value
    return groups


def resolve_design(design: Design) -> Resolved:
    """Find and check everything a design names.

    Raises:
        InputError: unknown names, paths or values; a chip that cannot exist (a clock its node does
            not reach, a memory that is not positive).
    """
    groups = split_settings(design.settings)
    app = _app(design.app, groups["app"])
    chip = _chip(design.chip, groups["chip"])
    workloads = stream_workloads(app, chip, groups["model"])
    identity = digest(
        {
            "version": model_version(),
            "app": app.model_dump(mode="json"),
            "chip": chip.digest,
            "workloads": {name: load.digest for name, load in workloads.items()},
            "seed": design.seed,
        }
    )
    return Resolved(app, chip, workloads, identity)


def evaluate(design: Design, fidelity: Fidelity = "simulate") -> Evaluation:
    """The one function from a design to its record.

    Raises:
        InputError: see :func:`resolve_design`; an ``ImpossibleChipError`` among them is what a
        search
            records as an infeasible design.
    """
    found = resolve_design(design)
    record, _ = evaluate_app(found.app, found.workloads, found.chip, fidelity, seed=design.seed)
    return replace(record, identity=identity_at(found.identity, fidelity))


def identity_at(identity: str, fidelity: str) -> str:
    """Identity of a design's evaluation at one fidelity."""
    return digest([identity, fidelity])


def _app(name: str, settings: Mapping[str, Value]) -> App:
    app = _load_app(name)
    if not settings:
        return app
    streams = {stream.id: stream for stream in app.streams}
    for path, value in settings.items():
        stream_id, _, key = path.partition(".")
        stream = app.stream(stream_id)
        if key not in STREAM_KEYS:
            raise InputError(
                f"a stream has no parameter {key!r}",
                field=f"app.{path}",
                mend=f"use one of: {', '.join(STREAM_KEYS)}{nearest(key, list(STREAM_KEYS))}",
            )
        streams[stream.id] = _changed(streams[stream.id], key, value, f"app.{path}")
    return app.model_copy(update={"streams": tuple(streams[s.id] for s in app.streams)})


def _changed(stream: Stream, key: str, value: Value, path: str) -> Stream:
    from dse.schema import validate

    data = stream.model_dump() | {key: value}
    try:
        changed = validate(Stream, data)
    except InputError as error:
        raise InputError(error.message, field=path, mend=error.mend) from None
    limits = stream.rate_range_hz
    if key == "rate_hz" and limits and not limits[0] <= float(changed.rate_hz or 0) <= limits[1]:
        raise InputError(
            f"{value} is outside what the app allows",
            field=path,
            mend=f"stay within {limits[0]:g} to {limits[1]:g}",
        )
    return changed


@functools.lru_cache(maxsize=64)
def _load_app(name: str) -> App:
    return load_app(name)


def _chip(name: str, settings: Mapping[str, Value]) -> Chip:
    overrides = dict(settings)
    node = overrides.pop("node", None)
    return load_chip(name, node=None if node is None else str(node), overrides=overrides or None)


def stream_workloads(
    app: App, chip: Chip, settings: Mapping[str, Value] | None = None
) -> dict[str, Workload]:
    """The network of every stream: name and variant, then precision.

    Precision: explicit setting > the app's > what the model file is quantized to > the chip's
    native.
    """
    by_stream: dict[str, dict[str, Value]] = {stream.id: {} for stream in app.streams}
    for path, value in (settings or {}).items():
        stream_id, _, key = path.partition(".")
        app.stream(stream_id)
        if key not in MODEL_KEYS:
            raise InputError(
                f"a model has no parameter {key!r}",
                field=f"model.{path}",
                mend=f"use one of: {', '.join(MODEL_KEYS)}{nearest(key, list(MODEL_KEYS))}",
            )
        by_stream[stream_id][key] = value
    return {stream.id: _workload(stream, chip, by_stream[stream.id]) for stream in app.streams}


def _workload(stream: Stream, chip: Chip, settings: Mapping[str, Value]) -> Workload:
    name = str(settings.get("name") or stream.model)
    variant = [f"{key}={settings[key]}" for key in ("width", "res", "batch") if key in settings]
    if "w_bits" in settings:
        variant.append(f"w={settings['w_bits']}")
    if "a_bits" in settings:
        variant.append(f"a={settings['a_bits']}")
    if "method" in settings:
        variant.append(f"method={settings['method']}")
    full = name + (("," if "@" in name else "@") + ",".join(variant) if variant else "")
    precision = str(settings.get("precision") or stream.precision or "") or None
    try:
        return model_at(full, precision, chip)
    except InputError as error:
        where = f"stream {stream.id}: {error.field or 'model'}"
        raise InputError(error.message, file=error.file, field=where, mend=error.mend) from None


def model_at(
    name: str,
    precision: str | None,
    chip: Chip,
    *,
    bindings: Mapping[str, int] | None = None,
    unknown_ops: UnknownOps = "error",
) -> Workload:
    """A named model on a chip, see :func:`workload_on`."""
    sizes = tuple(sorted((bindings or {}).items()))
    return workload_on(load_cached(name, sizes, unknown_ops), precision, chip)


def workload_on(model: Model, precision: str | None, chip: Chip) -> Workload:
    """A model at an explicit precision, else at its file's own, else at the chip's native one."""
    if precision is not None:
        return model.at(parse_precision(precision))
    return model.at(model.precision(chip.native_precision))


@functools.lru_cache(maxsize=256)
def load_cached(
    name: str, bindings: tuple[tuple[str, int], ...] = (), unknown_ops: UnknownOps = "error"
) -> Model:
    """A model read once per process."""
    return load_model(name, unknown_ops=unknown_ops, **dict(bindings))


def app_design(app: str, chip: str, settings: Mapping[str, Value], seed: int) -> Design:
    """The design of an app on a chip with overrides by path."""
    return Design(app, chip, dict(settings), seed)
