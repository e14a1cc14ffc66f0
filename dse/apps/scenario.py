"""Applications: streams with rates and deadlines, and the requirements that bind.

An app is a YAML file (shipped ones: ``experiments/apps``). It says what must run, how often and how
well, and what the module may draw and cost; it does not say on which chip.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dse.errors import InputError
from dse.files import find_file, shipped_folder
from dse.schema import Strict, read_yaml, validate

#: Folder of the shipped apps, below the shipped root.
APP_FOLDER = "experiments/apps"


class QualityFloor(Strict):
    """What a stream's model must still deliver.

    ``max_drop`` bounds the loss against the float model in the metric's own points, judged at
    ``risk``: ``median`` of the published drops or their 90th percentile ``p90``. ``min_value`` is
    an absolute floor (a ceiling if less is better). At least one of the two.
    """

    metric: Literal["top1", "miou", "map", "auc"]
    max_drop: float | None = Field(default=None, gt=0)
    min_value: float | None = None
    risk: Literal["median", "p90"] = "p90"
    source: str = "assumed"

    @model_validator(mode="after")
    def _needs_one(self) -> QualityFloor:
        if self.max_drop is None and self.min_value is None:
            raise ValueError("a quality floor needs max_drop or min_value; add one of them")
        return self


class Stream(Strict):
    """One periodic, random or triggered load of the app.

    ``instances`` equal sources (cameras) share the model, their releases spread evenly over a
    period. ``rate_hz`` is per instance. ``percentile`` of the frames must meet ``deadline_s``.
    ``late`` frames are kept, dropped once their deadline has passed (``drop``), or skipped as soon
    as they could no longer meet it (``skip``).
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    model: str
    precision: str | None = None
    description: str = ""
    instances: int = Field(default=1, ge=1, le=64)
    rate_hz: float | None = Field(default=None, gt=0, le=1e6)
    rate_range_hz: tuple[float, float] | None = None
    release: Literal["periodic", "poisson"] = "periodic"
    jitter_s: float = Field(default=0.0, ge=0)
    after: str | None = None
    probability: float = Field(default=1.0, gt=0, le=1)
    deadline_s: float | None = Field(default=None, gt=0)
    percentile: float = Field(default=1.0, gt=0, le=1)
    priority: int = 0
    late: Literal["drop", "keep", "skip"] = "keep"
    cores: tuple[int, ...] | Literal["all", "split"] = "all"
    quality: QualityFloor | None = None
    source: str = "assumed"

    @model_validator(mode="after")
    def _rates(self) -> Stream:
        limits = self.rate_range_hz
        if limits is None:
            return self
        if not 0 < limits[0] <= limits[1]:
            raise ValueError("rate_range_hz is not in order; write [low, high] above 0")
        return self

    @model_validator(mode="after")
    def _one_release(self) -> Stream:
        if (self.rate_hz is None) == (self.after is None):
            raise ValueError("a stream has either rate_hz or after; give exactly one of them")
        return self


class Budgets(Strict):
    """Limits of the module; a missing one does not bind. ``volume`` is units over the lifetime."""

    module_power_w: float | None = Field(default=None, gt=0)
    peak_power_w: float | None = Field(default=None, gt=0)
    unit_cost_usd: float | None = Field(default=None, gt=0)
    area_mm2: float | None = Field(default=None, gt=0)
    volume: float = Field(default=1e6, gt=0)
    volumes: tuple[float, ...] = ()
    lifetime_years: float = Field(default=5.0, gt=0)
    duty: float = Field(default=1.0, gt=0, le=1)
    grid: str = "japan"
    battery_wh: float | None = Field(default=None, gt=0)


class App(Strict):
    """An application scenario."""

    schema_version: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    domain: str = ""
    streams: tuple[Stream, ...] = Field(min_length=1)
    budgets: Budgets = Budgets()
    horizon_s: float = Field(default=1.0, gt=0, le=3600)
    scheduler: Literal["edf", "fifo", "fixed", "rm"] = "edf"
    preemption: Literal["segment", "layer", "none"] = "layer"
    junction_c: float | None = None
    privacy: str = ""

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
            seen, here = {stream}, source
            while here in after:
                if here in seen:
                    raise ValueError(f"the chain of stream {stream!r} is a cycle; break it")
                seen.add(here)
                here = after[here]
        return streams

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


def load_app(path_or_name: str | Path) -> App:
    """The app of a YAML file or a shipped name.

    Raises:
        InputError: unknown name, or a fault in the file (named with its line).
    """
    path = find_file(str(path_or_name), APP_FOLDER, ".yaml", "app")
    data, lines = read_yaml(path)
    return validate(App, data, file=path, lines=lines)


def list_apps() -> list[App]:
    """All shipped apps, by name."""
    folder = shipped_folder("experiments") / "apps"
    return [load_app(path) for path in sorted(folder.glob("*.yaml"))]
