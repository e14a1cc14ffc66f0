"""Runtime classes: what starting a network, a layer and a token costs, by who starts them.

A class is a way of working of a vendor's software: one command stream for the whole network, tasks
that a driver chains, firmware that starts each operation, a DSP that sets each one up, and so on.
Its costs are data (``data/runtimes.json``, made by ``experiments/runtime_costs``): figures of
single chips, of which the class takes the median, each with a unit that says what it scales with:

* ``s``: time of a host or a link, whatever the clocks are,
* ``cycles``: work at the accelerator's own clock,
* ``host cycles``: work of the control processor at its clock.

A chip that is judged by its own measurements names itself in ``overhead.runtime_without``, so that
its class speaks from the other chips alone. Numbers that a chip file states win over its class.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from importlib import resources
from statistics import median
from typing import Literal

from pydantic import Field, model_validator

from dse.files import nearest
from dse.registry import cached
from dse.schema import Strict

Unit = Literal["s", "cycles", "host cycles"]
#: Costs of a class, in the order of its file.
COSTS = ("call", "layer", "token", "crossing")


class Cost(Strict):
    """One cost of a class: figures of single chips, or one figure that no chip gave.

    ``uncertainty`` is a factor: 90 % of the belief lies between the value over it and times it.
    """

    unit: Unit
    estimates: dict[str, float] = Field(default_factory=dict)
    otherwise: float | None = Field(default=None, ge=0.0)
    uncertainty: float = Field(ge=1.0, le=10.0)
    status: Literal["read", "recalled", "assumed", "computed", "fitted"]
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _has_a_figure(self) -> Cost:
        if not self.estimates and self.otherwise is None:
            raise ValueError("a cost needs a figure; give estimates or otherwise")
        return self

    def value(self, without: Collection[str] = ()) -> float | None:
        """The median over all chips but ``without``; None if that leaves nothing."""
        kept = [figure for chip, figure in self.estimates.items() if chip not in without]
        return median(kept) if kept else self.otherwise


class RuntimeClass(Strict):
    """What a class is, and what it costs.

    ``call``: once per inference. ``layer``: before each layer. ``token``: the least that a run of a
    language model costs with call and layers (sampling, bookkeeping of the cache, copies).
    ``crossing``: for each change between accelerator and host within a network.
    ``prefetches``: whether the first weights of a layer can come while the layer before it still
    runs.
    """

    about: str = Field(min_length=1)
    prefetches: bool
    call: Cost
    layer: Cost
    token: Cost
    crossing: Cost


class _File(Strict):
    schema_version: Literal[1]
    about: str
    classes: dict[str, RuntimeClass]


@cached(1)
def runtime_classes() -> Mapping[str, RuntimeClass]:
    """Every class by name."""
    text = resources.files("dse.hardware").joinpath("data/runtimes.json").read_text("utf-8")
    return _File.model_validate(json.loads(text)).classes


def check_runtime(
    name: str, without: Collection[str], stated: Collection[str] = frozenset()
) -> None:
    """Refuse a class that does not exist, or one of which nothing is left.

    Args:
        name: the class.
        without: chips that are left out.
        stated: costs that the chip's file states itself, so that the class is not asked.

    Raises:
        ValueError: which it is, and what to write instead.
    """
    known = runtime_classes()
    if name not in known:
        raise ValueError(
            f"runtime: there is no class {name!r}; "
            f"use one of: {', '.join(known)}{nearest(name, list(known))}"
        )
    of = known[name]
    chips = {chip for cost in COSTS for chip in getattr(of, cost).estimates}
    for chip in without:
        if chip not in chips:
            raise ValueError(
                f"runtime_without: class {name} knows nothing of {chip!r}; "
                f"name some of: {', '.join(sorted(chips)) or '(none)'}"
            )
    for cost in COSTS:
        if cost not in stated and getattr(of, cost).value(without) is None:
            raise ValueError(
                f"runtime_without: nothing is left of the cost {cost} of class {name}; "
                "name fewer chips"
            )
