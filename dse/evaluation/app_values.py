"""What of an app and its streams a design may set otherwise (``app.<path>``)."""

from __future__ import annotations

from collections.abc import Mapping

from dse.apps import App, Stream
from dse.errors import InputError
from dse.evaluation.inputs import Value
from dse.files import nearest
from dse.schema import validate

#: Parameters of a stream (``app.<stream>.<key>``).
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
APP_BLOCKS = ("budgets", "environment", "memory")


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
