"""Applications: streams with rates and deadlines, and the requirements that bind.

An app is a YAML file (shipped ones: ``experiments/apps``). It says what must run, how often and how
well, and what the module may draw and cost; it does not say on which chip.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dse.apps.limits import Budgets, Environment, MemoryNeeds, Privacy, SourceNote
from dse.apps.observed import default_s
from dse.apps.stream import Id, Stream
from dse.apps.traces import check_begun, with_traces
from dse.errors import InputError
from dse.files import find_file, nearest, shipped_folder
from dse.migrations import read_versioned
from dse.ranges import Celsius, Duration, Horizon, PartShare
from dse.schema import Strict, validate

#: Folder of the shipped apps, below the shipped root.
APP_FOLDER = "experiments/apps"
#: The committed copy of :func:`app_schema`, for editors.
SCHEMA_FILE = "app.schema.json"


class Chain(Strict):
    """An end-to-end deadline over streams that trigger one another.

    From the release of the first stream's job (it has a rate) to the completion of the last one's,
    for ``percentile`` of the jobs that go all the way or are lost on it.
    """

    id: Id
    streams: tuple[str, ...] = Field(min_length=2)
    deadline_s: Duration
    percentile: PartShare = 0.99


class App(Strict):
    """An application scenario.

    ``sources`` says of every figure, by path (``streams.sort.rate_hz``, or ``budgets`` for all
    below it), where it comes from. ``privacy`` as a plain text means that nothing may leave.
    ``placement_objective`` is what streams placed ``auto`` minimise among the placements that meet
    their deadline: ``device_energy``, ``energy`` (of both sides) or ``latency``. ``partition``:
    every stream that may take one of several cores is pinned to one of them, the heaviest first to
    the least loaded; else its jobs take the first that is free.
    """

    schema_version: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    domain: str = ""
    streams: tuple[Stream, ...] = Field(min_length=1)
    chains: tuple[Chain, ...] = ()
    budgets: Budgets = Budgets()
    environment: Environment | None = None
    memory: MemoryNeeds = MemoryNeeds()
    horizon_s: Horizon | None = None
    scheduler: Literal["edf", "fifo", "fixed", "rm"] = "edf"
    preemption: Literal["segment", "layer", "none"] = "layer"
    partition: bool = False
    junction_c: Celsius | None = None
    privacy: Privacy | str = ""
    placement_objective: Literal["device_energy", "energy", "latency"] = "device_energy"
    sources: dict[str, SourceNote] = Field(default_factory=dict)

    @field_validator("streams")
    @classmethod
    def _ids_and_chains(cls, streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
        ids = [stream.id for stream in streams]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"the stream id {name!r} is used twice; give each its own")
        after = {s.id: s.after for s in streams if s.after}
        for stream, source in after.items():
            if source not in ids:
                raise ValueError(
                    f"stream {stream!r} follows unknown stream {source!r}; "
                    f"use one of: {', '.join(ids)}"
                )
            seen, here = [stream], source
            while here in after:
                if here in seen:
                    ring = " -> ".join([*seen[seen.index(here) :], here])
                    raise ValueError(
                        f"the chain of stream {stream!r} is a cycle: {ring} (each waits for the "
                        "next); give one of them a rate_hz in place of after"
                    )
                seen.append(here)
                here = after[here]
        return streams

    @model_validator(mode="after")
    def _chains_are_links(self) -> App:
        after = {stream.id: stream.after for stream in self.streams}
        for chain in self.chains:
            for name in chain.streams:
                if name not in after:
                    raise ValueError(
                        f"chain {chain.id!r} names unknown stream {name!r}; "
                        f"use one of: {', '.join(after)}{nearest(name, list(after))}"
                    )
            if after[chain.streams[0]] is not None:
                raise ValueError(
                    f"chain {chain.id!r} begins with a stream that follows another; "
                    "begin it where it is released, at a stream with rate_hz"
                )
            for first, second in zip(chain.streams, chain.streams[1:], strict=False):
                if after[second] != first:
                    raise ValueError(
                        f"chain {chain.id!r}: {second!r} does not follow {first!r}; "
                        f"write `after: {first}` in it, or mend the chain"
                    )
        return self

    @model_validator(mode="after")
    def _sources_are_of_figures(self) -> App:
        data = self.model_dump(exclude={"sources"})
        for path in self.sources:
            node: Any = data
            for part in path.split("."):
                node = parts_of(node).get(part)
            if node is None:
                raise ValueError(
                    f"sources speaks of {path!r}, which the app does not have; correct the path "
                    "(streams by their id), or remove it"
                )
        return self

    @property
    def rule(self) -> Privacy:
        """The privacy rule of the whole app."""
        if isinstance(self.privacy, Privacy):
            return self.privacy
        return Privacy(may_leave="none", text=self.privacy)

    def privacy_of(self, stream: Stream) -> Privacy:
        """The privacy rule of one stream: its own, else the app's."""
        return stream.privacy or self.rule

    @property
    def observed_s(self) -> float:
        """The time over which the app is observed, s."""
        return default_s(self.streams) if self.horizon_s is None else self.horizon_s

    def stream(self, name: str) -> Stream:
        """The stream called ``name``; InputError if there is none."""
        for stream in self.streams:
            if stream.id == name:
                return stream
        raise InputError(
            f"app {self.name!r} has no stream {name!r}",
            field=f"app.{name}",
            mend=f"use one of: {', '.join(s.id for s in self.streams)}",
        )


def parts_of(node: Any) -> dict[str, Any]:
    """What a mapping holds by key, or a list by its items' ``id`` or else their position."""
    if isinstance(node, dict):
        return node
    if not isinstance(node, (list, tuple)):
        return {}
    ids = [item.get("id") if isinstance(item, dict) else None for item in node]
    return {str(ids[index] or index): item for index, item in enumerate(node)}


def load_app(path_or_name: str | Path) -> App:
    """The app of a YAML file or a shipped name.

    Raises:
        InputError: unknown name, a fault in the file (named with its line), or in a trace that it
            names.
    """
    path = find_file(str(path_or_name), APP_FOLDER, ".yaml", "app")
    data, lines = read_versioned("app", path)
    app = validate(App, data, file=path, lines=lines)
    app = app.model_copy(update={"streams": with_traces(app.streams, path)})
    check_begun(app.streams, app.observed_s, path)
    return app


def list_apps() -> list[App]:
    """All shipped apps, by name."""
    folder = shipped_folder("experiments") / "apps"
    return [load_app(path) for path in sorted(folder.glob("*.yaml"))]


def app_schema() -> dict[str, Any]:
    """The JSON schema of an app file; a copy ships as ``experiments/apps/app.schema.json``."""
    schema = App.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
