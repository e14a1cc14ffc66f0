"""Why a design does not do: a sentence for people, and beside it what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from pydantic_core import CoreSchema, core_schema

from dse.evaluation.metrics import METRICS

CauseKind = Literal[
    "",  # not said: of a record that says reasons in words only
    "load",
    "deadline",
    "ttft",
    "tpot",
    "chain",
    "power",
    "cost",
    "area",
    "battery",
    "heat",
    "quality",
    "memory",
    "horizon",
    "placement",
    "constraint",
    "dominated",
    "unmappable",
    "unbuildable",
]
#: What a reason of each kind breaks, as reports count it.
BROKEN: dict[str, str] = {
    "": "something else",
    **dict.fromkeys(("load", "deadline", "ttft", "tpot", "chain"), "deadline or load"),
    "battery": "battery life",
    "heat": "junction temperature",
    "quality": "quality floor",
    "memory": "memory",
    "horizon": "not decided within the horizon",
    "placement": "placement",
    "constraint": "constraint",
    **dict.fromkeys(("unmappable", "unbuildable"), "cannot be built or mapped"),
}


class Cause(str):
    """A sentence that carries what it is about; where only words count, it is its sentence.

    Attributes:
        kind: of the demand that is broken, or of what else is in the way.
        stream: the stream instance, chain or stream that it is about.
        layer: the layer to blame.
        metric: the metric beyond its limit.
    """

    kind: CauseKind
    stream: str | None
    layer: str | None
    metric: str | None

    def __new__(
        cls,
        text: str,
        kind: CauseKind = "",
        stream: str | None = None,
        layer: str | None = None,
        metric: str | None = None,
    ) -> Cause:
        made = super().__new__(cls, text)
        made.kind, made.stream, made.layer, made.metric = kind, stream, layer, metric
        return made

    @property
    def about(self) -> dict[str, str | None]:
        """What stands beside the sentence."""
        return {
            "kind": self.kind, "stream": self.stream, "layer": self.layer, "metric": self.metric,
        }  # fmt: skip

    @property
    def broken(self) -> str:
        """What it breaks, as reports count it: the metric beyond its budget, or by kind."""
        if self.kind in ("power", "cost", "area") and self.metric in METRICS:
            return METRICS[self.metric].label
        return BROKEN.get(self.kind, self.kind)

    def of(self, app: str) -> Cause:
        """The reason as one of several apps gives it, whose name stands before it."""
        stream = None if self.stream is None else f"{app}:{self.stream}"
        return Cause(f"{app}: {self}", self.kind, stream, self.layer, self.metric)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _read, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _read(given: Any) -> Cause:
    """A reason from itself, or from its text."""
    if isinstance(given, Cause):
        return given
    if not isinstance(given, str):
        raise ValueError("a reason is a text")
    return Cause(given)


def with_causes(reasons: Sequence[Any], causes: Sequence[Any] | None) -> tuple[Cause, ...]:
    """Reasons from texts, and what they are about (as :attr:`Cause.about`); None: not said.

    Raises:
        ValueError: not one cause for each text, or a kind that is none.
    """
    if causes is None:
        return tuple(_read(text) for text in reasons)
    out = []
    for text, cause in zip(reasons, causes, strict=True):
        kind = cause["kind"]
        if kind not in get_args(CauseKind):
            raise ValueError(f"unknown kind of reason {kind!r}")
        found = {key: cause.get(key) for key in ("stream", "layer", "metric")}
        out.append(Cause(str(text), kind, **found))
    return tuple(out)


def of_kind(kind: CauseKind, texts: Iterable[str]) -> list[Cause]:
    """Texts that are all of one kind."""
    return [Cause(text, kind) for text in texts]
