"""A design: what a search proposes; and the one function that evaluates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dse.apps import App, Stream
from dse.apps.stream import MODEL_SLOT
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.app_values import with_settings
from dse.evaluation.core_choice import seats
from dse.evaluation.inputs import (
    ResolvedInputs,
    Value,
    app_named,
    load_cached,
    model_named,
    model_names,
    named_with,
    read_inputs,
    read_models,
    site_named,
    stage_models,
)
from dse.evaluation.loads import part_keys
from dse.evaluation.placement import CLOUD
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity
from dse.files import nearest
from dse.hardware.chip import Chip, Platform
from dse.hardware.platform import ReadPlatform, platform_at
from dse.hardware.resolve import chip_at, resolve
from dse.hardware.spec import ChipSpec
from dse.registry import Remembered
from dse.schema import canonical_json, digest, digest_of_texts
from dse.technology import Technology, load_technology
from dse.version import model_version
from dse.workload import Model, Workload, parse_precision
from dse.workload.layer import Binding
from dse.workload.lower import UnknownOps
from dse.workload.sources import ReadFiles

#: Apps and chips of the designs looked at last; neighbours in a search often share them.
REMEMBERED = 512
_apps = Remembered("evaluation.design.apps", REMEMBERED)
_sites = Remembered("evaluation.design.sites", REMEMBERED)

#: Parameters of a stream's model (``model.<stream>.<key>``).
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


def resolve_design(design: Design, inputs: ResolvedInputs | None = None) -> Resolved:
    """Apply the values of a design to what it names, and check them.

    Args:
        design: names and values.
        inputs: what the names mean, read before: then no file is looked at. By default they are
            found and read here; whoever has many designs reads them once.

    Raises:
        InputError: unknown names, paths or values; a chip that cannot exist (a clock its node does
            not reach, a memory that is not positive) or lacks a core that a stream names.
    """
    groups = split_settings(design.settings)
    if inputs is None:
        choices = {path: (value,) for path, value in design.settings.items()}
        inputs = read_inputs(design.app, design.chip, choices)
    app, app_text = _app(inputs, groups["app"])
    site = _site(inputs, groups, app.junction_c)
    _check_cores(design.settings, app, site, inputs.app_file)
    workloads = stream_workloads(app, site, groups["model"], inputs.models)
    identity = _identity(inputs.version, app_text, site, workloads, design.seed)
    return Resolved(app, site, workloads, identity)


def resolve_parts(
    app: App | str,
    chip: Chip | Platform | str,
    settings: Mapping[str, Value],
    seed: int = 0,
    inputs: ResolvedInputs | None = None,
) -> Resolved:
    """The same for an app or a chip that is at hand already, or the name of it.

    Either takes the app's junction temperature, if the app states one and no setting does.
    ``inputs`` is what both names mean, if it was read before.

    Raises:
        InputError: as :func:`resolve_design`; settings of the link or the data centre of a platform
            that is at hand.
    """
    if isinstance(app, str) and isinstance(chip, str):
        return resolve_design(Design(app, chip, settings, seed), inputs)
    groups = split_settings(settings)
    plain, file = app_named(app) if isinstance(app, str) else (app, None)
    found = with_settings(plain, groups["app"])
    if isinstance(chip, str):
        site = _priced(site_named(chip), groups, found.junction_c, load_technology())
    else:
        site = _changed_site(chip, groups, found)
    _check_cores(settings, found, site, file)
    workloads = stream_workloads(found, site, groups["model"])
    identity = _identity(model_version(), app_text_of(found), site, workloads, seed)
    return Resolved(found, site, workloads, identity)


def _identity(
    version: str,
    app_text: str,
    site: Chip | Platform,
    workloads: Mapping[str, Workload],
    seed: int,
) -> str:
    """Identity of a design; ``app_text`` is its app as canonical JSON."""
    return digest_of_texts(
        {
            "version": canonical_json(version),
            "app": app_text,
            "chip": canonical_json(site.digest),
            "workloads": canonical_json({name: load.digest for name, load in workloads.items()}),
            "seed": canonical_json(seed),
        }
    )


def _changed_site(
    site: Chip | Platform, groups: Mapping[str, Mapping[str, Value]], app: App
) -> Chip | Platform:
    """A chip or platform with other values of its chip (the device), at the app's junction
    temperature unless set."""
    for group in ("link", "cloud"):
        for path in groups[group]:
            raise InputError(
                f"{group} settings of a site that is loaded already",
                field=f"{group}.{path}",
                mend="give them where the platform is loaded",
            )
    device, values = site if isinstance(site, Chip) else site.chip, dict(groups["chip"])
    if app.junction_c not in (None, device.junction_c):
        values.setdefault("junction_c", app.junction_c)
    changed = with_values(device, values)
    return changed if isinstance(site, Chip) else replace(site, chips=(changed, *site.chips[1:]))


def with_values(chip: Chip, values: Mapping[str, Value]) -> Chip:
    """A chip with other values by path (``array.rows``, ``node``), resolved anew."""
    if not values:
        return chip
    return resolve(chip.spec.with_values(values), chip.technology)


def _check_cores(
    settings: Mapping[str, Value], app: App, chip: Chip | Platform, app_file: Path | None
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
            file = None if field in settings else app_file
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


def resolve_app(design: Design, inputs: ResolvedInputs) -> App:
    """The app alone with what the design sets in it."""
    return _app(inputs, split_settings(design.settings)["app"])[0]


def _app(inputs: ResolvedInputs, settings: Mapping[str, Value]) -> tuple[App, str]:
    """The app with its settings, and its canonical JSON."""

    def make() -> tuple[App, str]:
        app = with_settings(inputs.app, settings)
        return app, app_text_of(app)

    return _apps.of((id(inputs), _key(settings)), make, inputs)


def app_text_of(app: App) -> str:
    """An app as canonical JSON."""
    return canonical_json(app.model_dump(mode="json"))


def _key(settings: Mapping[str, Value]) -> tuple[object, ...]:
    """Settings as a key: 1, 1.0 and True are not the same value of a file."""
    return tuple((path, type(value), value) for path, value in settings.items())


def _site(
    inputs: ResolvedInputs,
    groups: Mapping[str, Mapping[str, Value]],
    junction_c: float | None,
) -> Chip | Platform:
    """The chip or platform of a design, remembered."""
    own = tuple(_key(groups[group]) for group in ("chip", "link", "cloud"))
    key = (id(inputs), junction_c, own)

    def make() -> Chip | Platform:
        return _priced(inputs.site, groups, junction_c, inputs.technology)

    return _sites.of(key, make, inputs)


def _priced(
    site: ChipSpec | ReadPlatform,
    groups: Mapping[str, Mapping[str, Value]],
    junction_c: float | None,
    technology: Technology,
) -> Chip | Platform:
    """A chip or platform with a design's values, at the app's junction temperature unless set."""
    settings = dict(groups["chip"])
    if junction_c is not None:
        settings.setdefault("junction_c", junction_c)
    apart = {f"{group}.{k}": v for group in ("link", "cloud") for k, v in groups[group].items()}
    node = settings.pop("node", None)
    wanted = None if node is None else str(node)
    if isinstance(site, ReadPlatform):
        return platform_at(site, wanted, {**settings, **apart}, technology)
    for path in apart:
        raise InputError(
            f"a chip alone has no {path.partition('.')[0]}",
            field=path,
            mend="give a platform as the chip, or leave this out",
        )
    return chip_at(site, wanted, settings or None, technology)


def stream_workloads(
    app: App,
    chip: Chip | Platform,
    settings: Mapping[str, Value] | None = None,
    files: ReadFiles | None = None,
) -> dict[str, Workload]:
    """The network of every stream: name and variant, then precision.

    Precision: explicit setting > the app's > what the model file is quantized to > the chip's
    native. Keys are those of :func:`dse.evaluation.loads.part_keys`; on a platform the networks at
    the native precision of the data-centre chip, and at its batch, follow behind ``cloud/``.
    ``files`` are those of the models, if they were read before.
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
    if files is None:
        choices = {f"model.{path}": (value,) for path, value in (settings or {}).items()}
        files = read_models(model_names(app, choices))
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
            files, stream, side if prefix else _seen_by(stream, side), by_stream[stream.id], batch
        ).items()
    }


def _seen_by(stream: Stream, device: Chip) -> Chip:
    """The device as the one kind of core sees it that a stream may use: whose precision holds."""
    places = seats(stream, device) if stream.placement != "cloud" else []
    return places[0].view if len(places) == 1 else device


def _stream_parts(
    files: ReadFiles, stream: Stream, chip: Chip, settings: Mapping[str, Value], batch: int
) -> dict[str, Workload]:
    """The networks of one stream on one chip, by key."""
    chosen = dict(settings)
    if batch > 1:
        chosen["batch"] = batch * int(str(chosen.get("batch") or 1))
    name = str(chosen.get("name") or stream.model)
    if stream.request is None:
        return {stream.id: _workload(files, stream, name, stream.precision, chip, chosen)}
    out = {}
    stages = zip(stream.request.parts, stage_models(stream, name), strict=True)
    for (key, _, _), (stage, model) in zip(part_keys(stream), stages, strict=True):
        if "name" in chosen and model == stage.model:
            raise InputError(
                f"the stages of stream {stream.id!r} name their models themselves",
                field=f"model.{stream.id}.name",
                mend=f"write {MODEL_SLOT} in them where the stream's model belongs",
            )
        stated = stage.precision or stream.precision
        out[key] = _workload(files, stream, model, stated, chip, chosen)
    return out


def _workload(
    files: ReadFiles,
    stream: Stream,
    name: str,
    stated: str | None,
    chip: Chip,
    settings: Mapping[str, Value],
) -> Workload:
    precision = str(settings.get("precision") or stated or "") or None
    variant: dict[str, Value] = {}
    for key in MODEL_KEYS[2:]:
        if settings.get(key) is not None:
            variant[key.removesuffix("_bits")] = settings[key]
    if precision is not None and not variant.keys().isdisjoint(("w", "a", "method")):
        variant["precision"] = parse_precision(precision).name  # which w, a and method then change
        precision = None
    full = named_with(name, variant)

    def make() -> Workload:
        return workload_on(model_named(files, full), precision, chip)

    try:
        return files.made.of((full, precision, chip.native_precision), make)
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
