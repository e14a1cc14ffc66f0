"""One load of an application: a network that runs at a rate, or a request of several stages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dse.apps.arrivals import Arrivals
from dse.apps.limits import Privacy, QualityFloor
from dse.errors import ImpossibleChipError, InputError
from dse.ranges import (
    CoreNumber,
    Duration,
    Instances,
    Jitter,
    PartShare,
    Payload,
    PerSecond,
    PipelineCores,
    Pixels,
    Priority,
    Repeats,
    Tokens,
)
from dse.schema import Strict
from dse.workload.precision import parse_precision

#: Stands in a stage's model for the model of its stream: ``"{model}_prefill"``.
MODEL_SLOT = "{model}"
ID_PATTERN = r"^[a-z][a-z0-9_]*$"
Id = Annotated[str, Field(pattern=ID_PATTERN)]
CoreName = CoreNumber | Id


def _is_core(value: object) -> bool:
    """Whether this may be the number of a core (as text too) or the name of a kind."""
    if isinstance(value, str):
        return bool(re.match(ID_PATTERN, value)) or value.isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)


class RequestStage(Strict):
    """A part of a request: ``model`` runs ``repeat`` times before the next stage begins.

    ``model`` may hold ``{model}`` for the stream's own.
    """

    model: str
    repeat: Repeats = 1
    name: Id | None = None
    precision: str | None = None


class Request(Strict):
    """A job of several stages, such as a prompt and the tokens after it, or a policy's steps.

    Written as ``prefill``, ``decode`` and ``output_tokens`` (the prefill gives the first token, the
    decode step runs for each of the others), or in general as ``stages``. ``ttft_s`` bounds the
    time from release to the end of the first stage, ``tpot_s`` the mean time of one repeat after
    it; both hold for ``percentile`` p99 of the requests.
    """

    prefill: str | None = None
    decode: str | None = None
    output_tokens: Tokens | None = None
    stages: tuple[RequestStage, ...] = Field(default=(), max_length=16)
    ttft_s: Duration | None = None
    tpot_s: Duration | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Request:
        pair = (self.prefill, self.decode, self.output_tokens)
        if self.stages and any(part is not None for part in pair):
            raise ValueError("a request has prefill and decode, or stages; give one of the two")
        if not self.stages and any(part is None for part in pair):
            raise ValueError(
                "a request is incomplete; give prefill, decode and output_tokens, or stages"
            )
        names = [stage.name for stage in self.parts if stage.name]
        if len(set(names)) < len(names):
            raise ValueError("two stages have one name; give each its own")
        return self

    @property
    def parts(self) -> tuple[RequestStage, ...]:
        """The stages in either way of writing."""
        if self.stages:
            return self.stages
        assert self.prefill is not None
        assert self.decode is not None
        assert self.output_tokens is not None
        return (
            RequestStage(model=self.prefill, name="prefill"),
            RequestStage(model=self.decode, repeat=self.output_tokens - 1, name="decode"),
        )

    @property
    def repeats_after_first(self) -> int:
        """Repeats of all stages but the first: what the time per output is a mean over."""
        return sum(stage.repeat for stage in self.parts[1:])


class Stream(Strict):
    """One periodic, random or triggered load of the app.

    What runs: ``model`` (one of ``choices``, if there are any) at ``precision`` (a search may take
    any of ``precisions``) and, if the graph allows it, any of ``resolutions``; or a ``request``.
    How often: ``instances`` equal sources (cameras) share the model, their releases spread evenly
    over a period; ``rate_hz`` is per instance, within ``rate_range_hz``. Or ``after`` each job of
    another stream, with ``probability``. Or at recorded ``arrivals`` (all instances at once).
    How well: ``percentile`` of the frames must meet ``deadline_s`` (within ``deadline_range_s`` a
    search may move it). ``late`` frames are kept, dropped once their deadline has passed
    (``drop``), or skipped as soon as they could no longer meet it (``skip``).
    On which cores: ``all`` (any one of them), ``split`` (every job over all of them together), or a
    list, of which a job takes any one, or with ``split: true`` all together. A list holds numbers
    from 0 and names of kinds of cores; one name or number may stand alone. On a chip with several
    kinds a stream runs on one of them: the one its cores belong to, else the one that the objective
    prefers. ``pipeline``: the layers are dealt out over that many of its cores.
    Where: ``placement`` is ``device``, ``cloud``, ``split@LAYER`` (the network up to and with
    that layer on the device) or ``auto``; only ``device`` means anything on a single chip.
    ``upload_bytes`` and ``reply_bytes`` are what an offload sends (compressed, say) and gets back;
    by default the network's inputs and outputs. ``privacy`` overrides the app's.
    ``frame_bytes``: of one frame as its source (a camera) leaves it in memory; by default the
    network's inputs.
    """

    id: Id
    model: str = ""
    choices: tuple[str, ...] = ()
    precision: str | None = None
    precisions: tuple[str, ...] = ()
    resolutions: tuple[Pixels, ...] = ()
    request: Request | None = None
    description: str = ""
    instances: Instances = 1
    rate_hz: PerSecond | None = None
    rate_range_hz: tuple[PerSecond, PerSecond] | None = None
    release: Literal["periodic", "poisson"] = "periodic"
    jitter_s: Jitter = 0.0
    arrivals: Arrivals | None = None
    after: str | None = None
    probability: PartShare = 1.0
    deadline_s: Duration | None = None
    deadline_range_s: tuple[Duration, Duration] | None = None
    percentile: PartShare = 1.0
    priority: Priority = 0
    late: Literal["drop", "keep", "skip"] = "keep"
    cores: tuple[CoreName, ...] | Id = "all"
    split: bool = False
    pipeline: PipelineCores | None = None
    placement: str = Field(default="device", pattern=r"^(device|cloud|auto|split@.+)$")
    upload_bytes: Payload | None = None
    reply_bytes: Payload | None = None
    frame_bytes: Payload | None = None
    privacy: Privacy | None = None
    quality: QualityFloor | None = None
    source: str = "assumed"

    @model_validator(mode="after")
    def _ranges(self) -> Stream:
        for name, value, range_name, limits in (
            ("rate_hz", self.rate_hz, "rate_range_hz", self.rate_range_hz),
            ("deadline_s", self.deadline_s, "deadline_range_s", self.deadline_range_s),
        ):
            if limits is None:
                continue
            if not 0 < limits[0] <= limits[1]:
                raise ValueError(f"{range_name} is not in order; write [low, high] above 0")
            if value is not None and not limits[0] <= value <= limits[1]:
                raise ValueError(
                    f"{name} of {value:g} is outside {range_name}, which is what the app allows; "
                    f"stay within {limits[0]:g} to {limits[1]:g}"
                )
        return self

    @field_validator("precision", "precisions")
    @classmethod
    def _known_precisions(cls, value: str | tuple[str, ...] | None) -> object:
        for word in (value,) if isinstance(value, str) else value or ():
            try:
                parse_precision(word)
            except InputError as error:
                raise ValueError(f"{error.message}; {error.mend}") from None
        return value

    @field_validator("cores", mode="before")
    @classmethod
    def _core_names(cls, value: object) -> object:
        words = ("all", "split")
        if isinstance(value, str) and value in words:
            return value
        named = value if isinstance(value, (list, tuple)) else (value,)
        for core in named:
            if not _is_core(core) or core in words:
                raise ValueError(
                    f"{core!r} is no core; write all, split, a number from 0, the name of a kind, "
                    "or a list of numbers and names"
                )
        return tuple(int(c) if isinstance(c, str) and c.isdecimal() else c for c in named)

    @model_validator(mode="after")
    def _names_cores(self) -> Stream:
        if isinstance(self.cores, tuple):
            numbers = [core for core in self.cores if isinstance(core, int)]
            if not self.cores or min(numbers, default=0) < 0:
                raise ValueError("cores names none; count them from 0, or write all")
            if len(set(self.cores)) < len(self.cores):
                raise ValueError("cores names one twice; name each once")
        if self.pipeline is not None:
            if self.split or self.cores == "split":
                raise ValueError("a stream is split or a pipeline; give one of the two")
            if self.request is not None:
                raise ValueError("a request is no pipeline; leave out pipeline, or the request")
            if self.placement not in ("device", "auto"):
                raise ValueError("a pipeline runs on the device; leave out placement")
        return self

    @model_validator(mode="after")
    def _one_release(self) -> Stream:
        ways = (self.rate_hz, self.after, self.arrivals)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "a stream has a rate_hz, follows another with after, or has recorded arrivals; "
                "give exactly one of them"
            )
        if self.jitter_s and (self.rate_hz is None or self.release == "poisson"):
            raise ValueError(
                "jitter_s is of periodic releases; leave it out, or give rate_hz and no poisson"
            )
        if self.rate_range_hz is not None and self.rate_hz is None:
            raise ValueError("rate_range_hz needs a rate_hz; give one, or leave the range out")
        if self.release == "poisson" and self.rate_hz is None:
            raise ValueError("poisson releases need a rate_hz; give one, or leave release out")
        return self

    @model_validator(mode="after")
    def _something_runs(self) -> Stream:
        parts = self.request.parts if self.request else ()
        slots = any(MODEL_SLOT in part.model for part in parts)
        if not self.model and (slots or not parts):
            raise ValueError("the stream runs nothing; give it a model")
        if self.choices and self.model not in self.choices:
            raise ValueError(
                f"model {self.model!r} is not among its choices; add it, or take one of: "
                + ", ".join(self.choices)
            )
        if self.request and self.placement.startswith("split@"):
            raise ValueError("a request cannot be split at a layer; place it on device or cloud")
        return self

    def cores_of(
        self, count: int, kinds: Mapping[str, tuple[int, ...]] | None = None
    ) -> tuple[int, ...]:
        """The cores it may use, in its own order.

        Args:
            count: cores of the chip.
            kinds: its kinds of cores by name, if it has several.

        Raises:
            ImpossibleChipError: a core or a kind that the chip lacks (bad input; in a search, a
                design that cannot be built).
        """
        if self.cores in ("all", "split"):
            return tuple(range(count))
        field, known = f"app.{self.id}.cores", dict(kinds or {})
        found: list[int] = []
        for core in (self.cores,) if isinstance(self.cores, str) else self.cores:
            if isinstance(core, int) and core >= count:
                raise ImpossibleChipError(
                    f"stream {self.id!r} asks for core {core}, the chip has {count}",
                    field=field,
                    mend=f"use cores 0 to {count - 1}, write all, or take a chip with more",
                )
            if isinstance(core, str) and core not in known:
                has = f"has {', '.join(known)}" if known else "has equal cores without names"
                raise ImpossibleChipError(
                    f"stream {self.id!r} asks for cores of kind {core!r}, the chip {has}",
                    field=field,
                    mend=f"use {' or '.join(known) or 'their numbers'}, write all, or take a chip "
                    "with that kind",
                )
            found += [core] if isinstance(core, int) else known[core]
        return tuple(dict.fromkeys(found))

    @property
    def together(self) -> bool:
        """Whether every job takes all of its cores at once."""
        return self.split or self.cores == "split"

    @property
    def due_s(self) -> float | None:
        """The deadline; of a request without one what its limits on TTFT and TPOT add up to."""
        request = self.request
        if self.deadline_s is not None or request is None:
            return self.deadline_s
        if request.ttft_s is None or request.tpot_s is None:
            return None
        return request.ttft_s + request.tpot_s * request.repeats_after_first
