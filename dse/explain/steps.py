"""One step in app, model or chip: what could be changed next to a given design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.apps import App
from dse.evaluation.design import Value
from dse.hardware.chip import Chip
from dse.technology import load_technology


@dataclass(frozen=True)
class Step:
    """A change of one parameter from what it is (``before``) to ``after``."""

    path: str
    before: Value
    after: Value

    @property
    def group(self) -> str:
        return self.path.split(".")[0]


def shown(path: str, value: Value) -> str:
    """A parameter value as a person would write it: MHz for clocks, KiB or MiB for sizes."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    name = path.rpartition(".")[2]
    if name == "f_hz":
        return f"{value / 1e6:.4g} MHz"
    if name == "bytes" or name.endswith("_bytes"):
        mib = value / (1 << 20)
        return f"{mib:.4g} MiB" if mib >= 1 else f"{value / 1024:.4g} KiB"
    return f"{value:.4g}"


def ladder_steps(
    values: Mapping[str, Value], ladders: Mapping[str, Sequence[Value]], ordered: set[str]
) -> list[Step]:
    """Neighbours of a design on the ladders of its experiment.

    One step up and down for an ordered parameter, every alternative for an unordered one.
    """
    steps: list[Step] = []
    for path, alternatives in ladders.items():
        here = list(alternatives).index(values[path])
        if path in ordered:
            near = [index for index in (here - 1, here + 1) if 0 <= index < len(alternatives)]
        else:
            near = [index for index in range(len(alternatives)) if index != here]
        steps.extend(Step(path, values[path], alternatives[index]) for index in near)
    return steps


def natural_steps(app: App | None, chip: Chip, precisions: Mapping[str, str]) -> list[Step]:
    """Steps of a chip and an app that need no experiment: the next node, clock, size, precision.

    Args:
        app: its streams' rates are varied within what it allows; None for a single model.
        chip: node, clock, array, buffer, DRAM and cores are varied.
        precisions: the present precision by stream (``model`` for a single model).
    """
    spec: Any = chip.spec
    steps = [*_node_steps(chip), *_scaled("chip.f_hz", chip.f_hz, (0.8, 1.25))]
    for path, value in (
        ("chip.array.rows", spec.array.rows),
        ("chip.array.cols", spec.array.cols),
        ("chip.buffer.bytes", spec.buffer.bytes),
        ("chip.dram.channels", spec.dram.channels),
        ("chip.vector.lanes", spec.vector.lanes),
        ("chip.cores", spec.cores),
    ):
        steps.extend(_halved_doubled(path, value))
    for stream, name in precisions.items():
        path = f"model.{stream}.precision"
        others = ("w8a8", "w8a8-qat", "w4a8-qat", "w8a16")
        steps.extend(Step(path, name, other) for other in others if other != name)
    for stream_ in app.streams if app else ():
        if stream_.rate_hz is not None:
            path, rate = f"app.{stream_.id}.rate_hz", stream_.rate_hz
            steps.extend(Step(path, rate, r) for r in _within(rate, stream_.rate_range_hz))
    return steps


def _node_steps(chip: Chip) -> list[Step]:
    nodes = sorted(load_technology().nodes, reverse=True)
    if chip.node_nm not in nodes:
        nodes = sorted({*nodes, chip.node_nm}, reverse=True)
    here = nodes.index(chip.node_nm)
    near = [index for index in (here - 1, here + 1) if 0 <= index < len(nodes)]
    return [Step("chip.node", f"{chip.node_nm}nm", f"{nodes[index]}nm") for index in near]


def _scaled(path: str, value: float, factors: Sequence[float]) -> list[Step]:
    return [Step(path, value, float(f"{value * factor:.4g}")) for factor in factors]


def _halved_doubled(path: str, value: int) -> list[Step]:
    out = [Step(path, value, value * 2)] if value else []
    if value >= 2 and value % 2 == 0:
        out.append(Step(path, value, value // 2))
    return out


def _within(rate: float, limits: tuple[float, float] | None) -> list[float]:
    if limits is None:
        return []
    wanted = (max(limits[0], rate / 2), min(limits[1], rate * 2))
    return [float(value) for value in wanted if value != rate]
