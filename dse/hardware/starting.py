"""The block ``overhead`` of a chip file, and what starting work costs on a chip at its clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from dse.hardware.operators import check_operators, operator_lists
from dse.hardware.runtimes import COSTS, Cost, check_runtime, runtime_classes
from dse.ranges import Gates, PartCycles, StartSeconds
from dse.schema import Strict
from dse.technology import Technology

#: Where a chip file states a cost itself.
FIELD_OF_COST = {
    "call": "invoke_s",
    "layer": "launch_cycles",
    "token": "token_s",
    "crossing": "crossing_s",
}
#: Fields that a chip without a class leaves out; then they are no part of its identity.
CLASS_FIELDS = ("runtime", "runtime_without", "token_s", "crossing_s", "operators")


class OverheadSpec(Strict):
    """What starting work costs, and who pays for it.

    ``runtime``: the class of the vendor's software (:mod:`dse.hardware.runtimes`), which gives
    every cost that is null here; ``runtime_without``: chips whose measurements that class must not
    use, because this chip is judged by them. Without a class ``launch_cycles`` must be given.

    ``launch_cycles`` before each layer, in cycles of the chip clock; ``invoke_s`` once per
    inference; ``token_s`` is the least that call and launches of a run of a language model take
    together; ``crossing_s`` comes for each change between accelerator and host. ``operators``: the
    list of what the vendor's software runs on the accelerator (:mod:`dse.hardware.operators`);
    null: all that the accelerator can. ``attachment``: whose energy a launch takes: ``cpu`` (the
    host writes registers and takes an interrupt), ``chained`` (the NPU fetches a command list),
    ``dsp`` (programmable cores set it up: all ``host.count`` of them are awake meanwhile), ``link``
    (as chained, behind USB or PCIe).
    """

    attachment: Literal["cpu", "chained", "dsp", "link"]
    launch_cycles: PartCycles | None = None
    invoke_s: StartSeconds | None = 0.0
    control_gates: Gates = 300_000
    runtime: str | None = None
    runtime_without: tuple[str, ...] = ()
    token_s: StartSeconds | None = None
    crossing_s: StartSeconds | None = None
    operators: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _call_of_the_class(cls, data: Any) -> Any:
        """With a class, a call that is not mentioned is the class's."""
        if isinstance(data, dict) and data.get("runtime") is not None:
            return {"invoke_s": None, **data}
        return data

    @model_validator(mode="after")
    def _known(self) -> OverheadSpec:
        if self.operators is not None:
            check_operators(self.operators)
        if self.runtime is not None:
            check_runtime(self.runtime, self.runtime_without, self.stated)
        elif self.runtime_without:
            raise ValueError("runtime_without: there is no runtime; name it, or leave this out")
        elif self.launch_cycles is None or self.invoke_s is None:
            missing = "launch_cycles" if self.launch_cycles is None else "invoke_s"
            raise ValueError(
                f"{missing}: nothing says what it is; give a number, or the class in runtime "
                f"({', '.join(runtime_classes())})"
            )
        return self

    @property
    def stated(self) -> frozenset[str]:
        """Costs of a class that the file states in its place."""
        return frozenset(
            cost for cost, field in FIELD_OF_COST.items() if getattr(self, field) is not None
        )


@dataclass(frozen=True, slots=True)
class Starts:
    """What starting work costs on a chip at its clock: cycles of the chip's clock, and seconds."""

    launch_cycles: float
    invoke_s: float
    token_s: float
    crossing_s: float
    prefetches: bool


def starts(spec: OverheadSpec, tech: Technology, f_hz: float, host_hz: float) -> Starts:
    """What a chip's file says of starting work, and its class for the rest.

    Args:
        spec: the block ``overhead`` of the chip.
        tech: nominal, or a draw: a class's figures are drawn with the technology's facts, the same
            for all chips of the class; figures of the file are not.
        f_hz: the chip's clock.
        host_hz: that of its control processor.
    """
    if spec.runtime is None:
        return Starts(
            spec.launch_cycles or 0.0,
            spec.invoke_s or 0.0,
            spec.token_s or 0.0,
            spec.crossing_s or 0.0,
            prefetches=True,
        )
    name, of = spec.runtime, runtime_classes()[spec.runtime]

    def seconds(cost: str, stated: float | None) -> float:
        if stated is not None:
            return stated
        fact: Cost = getattr(of, cost)
        figure = fact.value(spec.runtime_without) or 0.0
        figure *= tech.draw_factor(f"runtime.{name}.{cost}", fact.uncertainty)
        if fact.unit == "s":
            return figure
        return figure / (f_hz if fact.unit == "cycles" else host_hz)

    stated_s = None if spec.launch_cycles is None else spec.launch_cycles / f_hz
    launch = seconds("layer", stated_s) * f_hz
    return Starts(
        launch if spec.launch_cycles is None else spec.launch_cycles,
        seconds("call", spec.invoke_s),
        seconds("token", spec.token_s),
        seconds("crossing", spec.crossing_s),
        of.prefetches,
    )


def operators_of(spec: OverheadSpec) -> tuple[str, ...] | None:
    """The operators that the chip's software runs on the accelerator; None: all."""
    return None if spec.operators is None else operator_lists()[spec.operators].operators


def split_of(spec: OverheadSpec) -> tuple[str, ...] | None:
    """The operators that the chip's software splits over cores; None: all."""
    return None if spec.operators is None else operator_lists()[spec.operators].split


def class_figures(spec: OverheadSpec) -> dict[str, object]:
    """What class and list add to the identity of a chip that names them: what they say now."""
    out: dict[str, object] = {}
    if spec.operators is not None:
        out["operators"] = operators_of(spec)
        if split_of(spec) is not None:
            out["split"] = split_of(spec)
    if spec.runtime is None:
        return out
    of = runtime_classes()[spec.runtime]
    out["prefetches"] = of.prefetches
    for cost in COSTS:
        fact: Cost = getattr(of, cost)
        out[cost] = [fact.value(spec.runtime_without), fact.unit, fact.uncertainty]
    return out


def identity(spec: OverheadSpec) -> dict[str, object]:
    """The block as part of a chip's identity: what is not set is no part of it."""
    data = spec.model_dump()
    unset = {name for name in CLASS_FIELDS if data[name] in (None, ())}
    return {name: value for name, value in data.items() if name not in unset} | class_figures(spec)
