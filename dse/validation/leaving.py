"""What a chip is without anything that was fitted on its own family.

Three things are left out: figures of the runtime class that were estimated on members
(``overhead.runtime_without``); constants that were fitted on rows of members, which
``table_chips.yaml`` replaces (``instead``); and, where a class then knows nothing of a cost any
more, the cost is that of other classes which start layers in the same way: prepared for the whole
network (``prefetches``), or each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from dse.hardware.library import load_spec
from dse.hardware.runtimes import COSTS, RuntimeClass, runtime_classes
from dse.hardware.starting import FIELD_OF_COST
from dse.validation.chip_files import chip_file
from dse.validation.families import Family, families, family_of
from dse.validation.public import Value, table_chips


@dataclass(frozen=True)
class Left:
    """Parameters by path that leave a family out, and what each rests on, in words."""

    values: dict[str, Value]
    told: tuple[str, ...]


def left_out_of(chip: str, conditions: dict[str, Value] | None = None) -> Left:
    """What to set on a chip to judge it by rows of its own family.

    Args:
        chip: a chip of the table.
        conditions: parameters that a measurement sets; they win.
    """
    entry, family = table_chips()[chip], family_of(chip)
    overhead = load_spec(chip_file(chip)).overhead
    values: dict[str, Value] = dict(entry.instead)
    told = [f"{path}: {_shown(value)}" for path, value in entry.instead.items()]
    if entry.why:
        told.append(entry.why)
    values |= conditions or {}
    runtime = values.get("overhead.runtime", overhead.runtime)
    if not isinstance(runtime, str):
        return Left(values, tuple(told))
    of = runtime_classes()[runtime]
    figures = dict.fromkeys(name for cost in COSTS for name in getattr(of, cost).estimates)
    own = [name for name in figures if name in family.runtime]
    if own:
        told.append(f"class {runtime} without {', '.join(own)}")
    values["overhead.runtime_without"] = tuple(own)
    for cost in COSTS:
        path = f"overhead.{FIELD_OF_COST[cost]}"
        stated = values[path] if path in values else getattr(overhead, FIELD_OF_COST[cost])
        if stated is not None or getattr(of, cost).value(own) is not None:
            continue
        figure, number = of_other_classes(of, cost, family)
        values[path] = figure
        told.append(f"{cost}: {figure:.3g} of {number} other families, as the class has no other")
    return Left(values, tuple(told))


def of_other_classes(of: RuntimeClass, cost: str, family: Family) -> tuple[float, int]:
    """A cost of classes that start layers alike, and of how many other families it is the median.

    Calls, tokens and crossings are seconds, layers cycles of the accelerator: figures in another
    unit do not speak. Each family has one voice.
    """
    unit = "cycles" if cost == "layer" else "s"
    names: dict[str, float] = {}
    for other in runtime_classes().values():
        fact = getattr(other, cost)
        if other.prefetches == of.prefetches and fact.unit == unit:
            names |= fact.estimates
    voices = [
        median(own)
        for known in families().values()
        if known is not family and (own := [names[n] for n in known.runtime if n in names])
    ]
    return (median(voices) if voices else 0.0), len(voices)


def _shown(value: Value) -> str:
    return "of the class" if value is None else str(value)
