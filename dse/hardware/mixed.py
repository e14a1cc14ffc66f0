"""A chip whose cores are of several kinds: each kind resolved by itself, and all put together.

A kind sees the whole chip with its own cores in place of all others: its array, buffer and vector
unit at its own clock and voltage, with its own prices and leakage; and the memories, links, host,
wires and the rest of the die that all cores share, at the prices of the chip's first kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dse.errors import InputError
from dse.hardware.area import AreaNode
from dse.hardware.chip import Chip, CoreKind, StaticPower
from dse.hardware.dynamics import core_network
from dse.hardware.floorplan import seen_by
from dse.hardware.modes import Thermal
from dse.hardware.spec import ChipSpec
from dse.schema import digest
from dse.technology import Technology

#: Groups of actions that belong to what all cores share.
SHARED_GROUPS = ("l2", "nvm", "dram", "phy", "noc", "host")


def mixed(
    spec: ChipSpec,
    tech: Technology,
    area: AreaNode,
    identity: str,
    one: Callable[[ChipSpec, AreaNode], Chip],
) -> Chip:
    """The whole chip of a spec that has several kinds of cores.

    Args:
        spec: the chip with its ``kinds``.
        area: its floorplan.
        identity: its digest.
        one: resolves a chip of equal cores with the floorplan that they see.
    """
    first = one(spec.of_kind(spec.kind), area)
    whole = replace(
        first,
        cores=spec.total_cores,
        digest=identity,
        spec=spec,
        network=core_network(spec, tech, first.f_hz, first.prices),
    )
    shared = tuple(part for part in first.static if not part.per_core)
    kinds, static, start = [], list(shared), 0
    scale = dict(first.thermal.scale) if first.thermal else {}
    for name in spec.kind_names:
        own_spec = spec.of_kind(name)
        view = first if name == spec.kind else _view(own_spec, seen_by(area, name), one)
        own = tuple(part for part in view.static if part.per_core)
        for part in own:
            labelled = replace(part, component=_label(part, name, spec.kind), kind=name)
            static.append(labelled)
            if view.thermal is not None:
                scale[labelled.component] = view.thermal.scale[part.component]
        view = replace(
            view,
            links=first.links,
            host=first.host,
            prices=_prices(view, first),
            static=(*own, *shared),
            thermal=None,
            digest=digest([whole.digest, name]),
        )
        cores = tuple(range(start, start + own_spec.cores))
        kinds.append(CoreKind(name, cores, view))
        start += own_spec.cores
    heat: Thermal | None = replace(first.thermal, scale=scale) if first.thermal else None
    return replace(whole, kinds=tuple(kinds), static=tuple(static), thermal=heat)


def _view(spec: ChipSpec, seen: AreaNode, one: Callable[[ChipSpec, AreaNode], Chip]) -> Chip:
    try:
        return one(spec, seen)
    except InputError as error:
        field = f"kinds.{spec.kind}.{error.field}" if error.field else f"kinds.{spec.kind}"
        raise type(error)(error.message, file=error.file, field=field, mend=error.mend) from None


def _label(part: StaticPower, name: str, first: str) -> str:
    return part.component if name == first else f"{part.component}.{name}"


def _prices(view: Chip, first: Chip) -> dict[str, float]:
    """A kind's own prices, and those of what all cores share."""
    shared = {
        action: joules
        for action, joules in first.prices.items()
        if action.partition(".")[0] in SHARED_GROUPS
    }
    return {**view.prices, **shared}
