"""A design: what a search proposes; and the one function that evaluates it."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dse.apps import App, Stream, load_app
from dse.apps.scenario import APP_FOLDER
from dse.apps.stream import MODEL_SLOT
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.core_choice import seats
from dse.evaluation.loads import part_keys
from dse.evaluation.placement import CLOUD
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity
from dse.files import find_file, nearest
from dse.hardware.chip import Chip, Platform
from dse.hardware.platform import load_platform, platform_file
from dse.hardware.resolve import load_chip, resolve
from dse.schema import digest
from dse.version import model_version
from dse.workload import Model, Workload, load_model, parse_precision
from dse.workload.layer import Binding
from dse.workload.lower import UnknownOps

Value = str | int | float | bool | None

#: Parameters of a stream's model (``model.<stream>.<key>``) and of a stream
#: (``app.<stream>.<key>``).
MODEL_KEYS = (
    "name",
    "precision",
    "width",
    "res",
    "batch",
    "w_bits",
    "a_bits",
    "kv_bits",
    "acc_bits",
    "first_last",
    "method",
    "sparsity",
    "act_density",
    "per_layer",
    "quality",
)
STREAM_KEYS = (
    "rate_hz",
    "deadline_s",
    "percentile",
    "instances",
    "priority",
    "probability",
    "placement",
    "late",
    "output_tokens",
    "cores",
    "pipeline",
)
#: Fields of the whole app (``app.<key>``), and its blocks (``app.budgets.<key>``).
APP_KEYS = (
    "scheduler",
    "preemption",
    "partition",
    "horizon_s",
    "junction_c",
    "placement_objective",
)
APP_BLOCKS = ("budgets", "environment")
#: Groups of parameter paths; ``link`` and ``cloud`` belong to a platform.
GROUPS = ("app", "model", "chip", "link", "cloud")


@dataclass(frozen=True)
class Design:
    """An app on a chip with every setting, by parameter path.

    ``settings`` holds paths of the contract: ``chip.node``, ``chip.array.rows``,
    ``model.<stream>.precision``, ``app.<stream>.rate_hz``. ``chip`` may be a platform of device
    and data centre: then ``chip.`` is the device, ``link.`` and ``cloud.`` the rest, and
    ``app.<stream>.placement`` says where a stream runs.
    """

    app: str
    chip: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Resolved:
    """A design with all its parts found: ready to be mapped and simulated."""

    app: App
    chip: Chip | Platform
    workloads: Mapping[str, Workload]
    identity: str

    @property
    def device(self) -> Chip:
        """The chip, or the device of the platform."""
        return self.chip.chip if isinstance(self.chip, Platform) else self.chip


def split_settings(settings: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Settings by group (see :data:`GROUPS`), the group's prefix removed.

    Raises:
        InputError: a path outside the groups.
    """
    groups: dict[str, dict[str, Value]] = {group: {} for group in GROUPS}
    for path, value in settings.items():
        group, _, rest = path.partition(".")
        if group not in groups or not rest:
            raise InputError(
                f"unknown parameter {path!r}",
                field=path,
                mend="write "
                + ", ".join(f"{known}.NAME" for known in groups)
                + ("" if group in groups else nearest(group, list(groups))),
            )
        groups[group][rest] = value
    return groups


def resolve_design(design: Design) -> Resolved:
    """Find and check everything a design names.

    Raises:
        InputError: unknown names, paths or values; a chip that cannot exist (a clock its node does
            not reach, a memory that is not positive) or lacks a core that a stream names.
    """
    return resolve_parts(design.app, design.chip, design.settings, design.seed)


def resolve_parts(
    app: App | str, chip: Chip | Platform | str, settings: Mapping[str, Value], seed: int = 0
) -> Resolved:
    """The same for an app or a chip that is at hand already, or the name of it.

    A chip at hand keeps its junction temperature; one that is named takes the app's.

    Raises:
        InputError: as :func:`resolve_design`; settings of the link or the data centre of a platform
            that is at hand.
    """
    groups = split_settings(settings)
    found = with_settings(_load_app(app) if isinstance(app, str) else app, groups["app"])
    site = _site(chip, groups, found) if isinstance(chip, str) else _changed_site(chip, groups)
    _check_cores(app if isinstance(app, str) else None, settings, found, site)
    workloads = stream_workloads(found, site, groups["model"])
    identity = digest(
        {
            "version": model_version(),
            "app": found.model_dump(mode="json"),
            "chip": site.digest,
            "workloads": {name: load.digest for name, load in workloads.items()},
            "seed": seed,
        }
    )
    return Resolved(found, site, workloads, identity)


def _changed_site(
    site: Chip | Platform, groups: Mapping[str, Mapping[str, Value]]
) -> Chip | Platform:
    """A chip or platform with other values of its chip (the device)."""
    for group in ("link", "cloud"):
        for path in groups[group]:
            raise InputError(
                f"{group} settings of a site that is loaded already",
                field=f"{group}.{path}",
                mend="give them where the platform is loaded",
            )
    if isinstance(site, Chip):
        return with_values(site, groups["chip"])
    return replace(site, chips=(with_values(site.chip, groups["chip"]), *site.chips[1:]))


def with_values(chip: Chip, values: Mapping[str, Value]) -> Chip:
    """A chip with other values by path (``array.rows``, ``node``), resolved anew."""
    if not values:
        return chip
    return resolve(chip.spec.with_values(values), chip.technology)


def _check_cores(
    named: str | None, settings: Mapping[str, Value], app: App, chip: Chip | Platform
) -> None:
    """Every stream must find its cores on the chip (the device); the error names the app's file if
    that says which they are."""
    device = chip.chip if isinstance(chip, Platform) else chip
    for stream in app.streams:
        if isinstance(chip, Platform) and chip.reaches_cloud and stream.placement == "cloud":
            continue
        try:
            seats(stream, device)
        except ImpossibleChipError as error:
            field = error.field or ""
            file = (
                None
                if named is None or field in settings
                else find_file(named, APP_FOLDER, ".yaml", "app")
            )
            raise ImpossibleChipError(
                error.message, file=file, field=field, mend=error.mend
            ) from None


def evaluate(design: Design, fidelity: Fidelity = "simulate") -> Evaluation:
    """The one function from a design to its record.

    Raises:
        InputError: see :func:`resolve_design`; an ``ImpossibleChipError`` among them is what a
            search records as an infeasible design.
    """
    found = resolve_design(design)
    record, _ = evaluate_app(found.app, found.workloads, found.chip, fidelity, seed=design.seed)
    return replace(record, identity=identity_at(found.identity, fidelity))


def identity_at(identity: str, fidelity: str) -> str:
    """Identity of a design's evaluation at one fidelity."""
    return digest([identity, fidelity])


def with_settings(app: App, settings: Mapping[str, Value]) -> App:
    """The app with other values of its streams, by ``<stream>.<key>``.

    Raises:
        InputError: no such stream, key or value.
    """
    if not settings:
        return app
    app = _changed_app(app, settings)
    streams = {stream.id: stream for stream in app.streams}
    for path, value in settings.items():
        stream_id, _, key = path.partition(".")
        if _of_the_app(app, path):
            continue
        stream = _stream(app, stream_id)
        if key not in STREAM_KEYS:
            raise InputError(
                f"a stream has no parameter {key!r}",
                field=f"app.{path}",
                mend=f"use one of: {', '.join(STREAM_KEYS)}{nearest(key, list(STREAM_KEYS))}",
            )
        streams[stream.id] = _changed(streams[stream.id], key, value, f"app.{path}")
    return app.model_copy(update={"streams": tuple(streams[s.id] for s in app.streams)})


def _of_the_app(app: App, path: str) -> bool:
    """Whether a path is of the whole app; a stream of the same name goes first."""
    head, _, rest = path.partition(".")
    if head in {stream.id for stream in app.streams}:
        return False
    return head in (APP_BLOCKS if rest else APP_KEYS)


def _stream(app: App, name: str) -> Stream:
    try:
        return app.stream(name)
    except InputError as error:
        keys = (*APP_KEYS, *(f"{block}.NAME" for block in APP_BLOCKS))
        mend = f"{error.mend}; or of the whole app: {', '.join(keys)}"
        raise InputError(error.message, field=error.field, mend=mend) from None


def _changed_app(app: App, settings: Mapping[str, Value]) -> App:
    """The app with its own fields set; what the file may say, a setting may."""
    from dse.schema import validate

    for path, value in settings.items():
        if not _of_the_app(app, path):
            continue
        data = app.model_dump()
        head, _, rest = path.partition(".")
        data[head] = {**(data[head] or {}), rest: value} if rest else value
        try:
            app = validate(App, data)
        except InputError as error:
            raise InputError(error.message, field=f"app.{path}", mend=error.mend) from None
    return app


def _changed(stream: Stream, key: str, value: Value, path: str) -> Stream:
    from dse.schema import validate

    data = stream.model_dump() | {key: value}
    if key == "output_tokens":
        data.pop(key)
        if stream.request is None or stream.request.stages:
            raise InputError(
                f"stream {stream.id!r} is no prefill and decode request",
                field=path,
                mend="leave it out, or change the repeats in the app's file",
            )
        data["request"] = data["request"] | {key: value}
    try:
        return validate(Stream, data)
    except InputError as error:
        raise InputError(error.message, field=path, mend=error.mend) from None


def _load_app(name: str) -> App:
    """The app, read once as long as its file stays as it is."""
    path = find_file(name, APP_FOLDER, ".yaml", "app")
    status = path.stat()
    app = _read_app(str(path), (status.st_mtime_ns, status.st_size))
    traced = any(stream.arrivals and stream.arrivals.trace for stream in app.streams)
    return load_app(path) if traced else app  # a trace may have changed since


@functools.lru_cache(maxsize=64)
def _read_app(path: str, stamp: tuple[int, int]) -> App:
    return load_app(path)


def _site(name: str, groups: Mapping[str, Mapping[str, Value]], app: App) -> Chip | Platform:
    """The chip or platform of a design, at the app's junction temperature unless set."""
    settings = dict(groups["chip"])
    if app.junction_c is not None:
        settings.setdefault("junction_c", app.junction_c)
    node = settings.pop("node", None)
    wanted = None if node is None else str(node)
    if platform_file(name) is None:
        for group in ("link", "cloud"):
            for path in groups[group]:
                raise InputError(
                    f"a chip alone has no {group}",
                    field=f"{group}.{path}",
                    mend="give a platform as the chip, or leave this out",
                )
        return load_chip(name, node=wanted, overrides=settings or None)
    further = {f"{group}.{k}": v for group in ("link", "cloud") for k, v in groups[group].items()}
    return load_platform(name, wanted, {**settings, **further})


def stream_workloads(
    app: App, chip: Chip | Platform, settings: Mapping[str, Value] | None = None
) -> dict[str, Workload]:
    """The network of every stream: name and variant, then precision.

    Precision: explicit setting > the app's > what the model file is quantized to > the chip's
    native. Keys are those of :func:`dse.evaluation.loads.part_keys`; on a platform the networks at
    the native precision of the data-centre chip, and at its batch, follow behind ``cloud/``.
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
    sides: list[tuple[str, Chip, int]] = [
        ("", chip.chip if isinstance(chip, Platform) else chip, 1)
    ]
    if isinstance(chip, Platform) and chip.reaches_cloud and chip.cloud is not None:
        sides.append((CLOUD, chip.chips[1], chip.cloud.batch))
    return {
        prefix + key: load
        for prefix, side, batch in sides
        for stream in app.streams
        if not prefix or stream.placement != "device"
        for key, load in _stream_parts(
            stream, side if prefix else _seen_by(stream, side), by_stream[stream.id], batch
        ).items()
    }


def _seen_by(stream: Stream, device: Chip) -> Chip:
    """The device as the one kind of core sees it that a stream may use: whose precision holds."""
    places = seats(stream, device) if stream.placement != "cloud" else []
    return places[0].view if len(places) == 1 else device


def _stream_parts(
    stream: Stream, chip: Chip, settings: Mapping[str, Value], batch: int
) -> dict[str, Workload]:
    """The networks of one stream on one chip, by key."""
    chosen = dict(settings)
    if batch > 1:
        chosen["batch"] = batch * int(str(chosen.get("batch") or 1))
    name = str(chosen.get("name") or stream.model)
    if stream.request is None:
        return {stream.id: _workload(stream, name, stream.precision, chip, chosen)}
    out = {}
    for (key, _, _), stage in zip(part_keys(stream), stream.request.parts, strict=True):
        model = stage.model.replace(MODEL_SLOT, name)
        if "name" in chosen and model == stage.model:
            raise InputError(
                f"the stages of stream {stream.id!r} name their models themselves",
                field=f"model.{stream.id}.name",
                mend=f"write {MODEL_SLOT} in them where the stream's model belongs",
            )
        out[key] = _workload(stream, model, stage.precision or stream.precision, chip, chosen)
    return out


def _workload(
    stream: Stream, name: str, stated: str | None, chip: Chip, settings: Mapping[str, Value]
) -> Workload:
    precision = str(settings.get("precision") or stated or "") or None
    variant: dict[str, Value] = {}
    for key in MODEL_KEYS[2:]:
        if settings.get(key) is not None:
            variant[key.removesuffix("_bits")] = settings[key]
    if precision is not None and not variant.keys().isdisjoint(("w", "a", "method")):
        variant["precision"] = parse_precision(precision).name  # which w, a and method then change
        precision = None
    settled = ",".join(f"{key}={value}" for key, value in variant.items())
    full = name + (("," if "@" in name else "@") + settled if settled else "")
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
    bindings: Mapping[str, Binding] | None = None,
    unknown_ops: UnknownOps = "error",
) -> Workload:
    """A named model on a chip, see :func:`workload_on`."""
    sizes = tuple(sorted((bindings or {}).items()))
    return workload_on(load_cached(name, sizes, unknown_ops), precision, chip)


def workload_on(model: Model, precision: str | None, chip: Chip) -> Workload:
    """A model at an explicit precision, else at its file's own, else at the chip's native one."""
    if precision is not None:
        return model.at(parse_precision(precision))
    return model.at(default=chip.native_precision)


def load_cached(
    name: str, bindings: tuple[tuple[str, Binding], ...] = (), unknown_ops: UnknownOps = "error"
) -> Model:
    """A model read once per process, as long as the files that its name speaks of stay."""
    return _loaded(name, _stamps(name), bindings, unknown_ops)


@functools.lru_cache(maxsize=256)
def _loaded(
    name: str,
    stamps: tuple[tuple[int, int], ...],
    bindings: tuple[tuple[str, Binding], ...],
    unknown_ops: UnknownOps,
) -> Model:
    return load_model(name, unknown_ops=unknown_ops, **dict(bindings))


def _stamps(name: str) -> tuple[tuple[int, int], ...]:
    """Time and size of the user's files in a name: the network, precisions, measured quality."""
    network, _, settings = name.partition("@")
    files = [name, network, *(part.partition("=")[2] for part in settings.split(","))]
    found = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            if file and (status := os.stat(file)):
                found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def app_design(app: str, chip: str, settings: Mapping[str, Value], seed: int) -> Design:
    """The design of an app on a chip with overrides by path."""
    return Design(app, chip, dict(settings), seed)
