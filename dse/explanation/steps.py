"""One step in app, model or chip: what could be changed next to a given design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.apps import App, Stream
from dse.evaluation.design import Value
from dse.hardware.chip import Chip
from dse.hardware.kinds import core_kinds
from dse.hardware.spec import ChipSpec
from dse.hardware.widths import widths_of
from dse.technology import load_technology

#: Precisions tried for a stream that names none itself.
PRECISIONS = ("w8a8", "w8a8-qat", "w4a8-qat", "w8a16")
#: Sparsity patterns tried on a chip whose array makes use of them.
SPARSITY = ("2:4",)


@dataclass(frozen=True)
class Step:
    """A change of one parameter from what it is (``before``) to ``after``."""

    path: str
    before: Value
    after: Value

    @property
    def group(self) -> str:
        """``app``, ``model`` or ``chip``: who would take the step (a resolution is the app's)."""
        if self.path.startswith("model.") and self.path.endswith(".res"):
            return "app"
        head = self.path.split(".")[0]
        return "chip" if head in ("link", "cloud") else head


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


def natural_steps(
    app: App | None,
    chip: Chip,
    precisions: Mapping[str, str],
    *,
    models: Mapping[str, str] | None = None,
    reaches_cloud: bool = False,
) -> list[Step]:
    """Steps of a chip and an app that need no experiment.

    Args:
        app: rates, deadlines, resolutions, models and precisions are varied within what it
            allows; None for a single model.
        chip: node, clock, array, memories, DRAM, vector unit and cores are varied.
        precisions: the present precision by stream (``model`` for a single model).
        models: the present model name by stream, with its settings.
        reaches_cloud: whether streams may be placed elsewhere than on the device.
    """
    spec: ChipSpec = chip.spec
    steps = [*_node_steps(chip), *_core_steps("chip", spec, chip.f_hz)]
    for path, value in (
        ("chip.l2.bytes", spec.l2.bytes),
        ("chip.dram.channels", spec.dram.channels),
    ):
        steps.extend(_halved_doubled(path, value))
    for kind in chip.kinds[1:]:
        clock = kind.chip.f_hz if spec.kinds[kind.name].own_point else None
        steps.extend(_core_steps(f"chip.kinds.{kind.name}", kind.chip.spec, clock))
    streams = {stream.id: stream for stream in app.streams} if app else {}
    for name, precision in precisions.items():
        stream = streams.get(name)
        others = (stream.precisions if stream else ()) or PRECISIONS
        path = f"model.{name}.precision"
        steps.extend(Step(path, precision, other) for other in others if other != precision)
    for stream in streams.values():
        steps.extend(_stream_steps(stream, chip, (models or {}).get(stream.id, stream.model)))
        if reaches_cloud:
            path = f"app.{stream.id}.placement"
            places = ("device", "cloud", "auto")
            steps.extend(Step(path, stream.placement, p) for p in places if p != stream.placement)
    return steps


def _core_steps(at: str, spec: ChipSpec, f_hz: float | None) -> list[Step]:
    """Steps of one kind of core, whose paths begin with ``at``; its clock if it has its own."""
    steps = [] if f_hz is None else _scaled(f"{at}.f_hz", f_hz, (0.8, 1.25))
    for path, value in (
        ("array.rows", spec.array.rows),
        ("array.cols", spec.array.cols),
        ("buffer.bytes", spec.buffer.bytes),
        ("vector.lanes", widths_of(spec).lanes),
        ("cores", spec.cores),
    ):
        steps.extend(_halved_doubled(f"{at}.{path}", value))
    return steps


def _stream_steps(stream: Stream, chip: Chip, model: str) -> list[Step]:
    """Steps in one stream's demands and model, within what the app allows."""
    steps: list[Step] = []
    if stream.rate_hz is not None:
        path, rate = f"app.{stream.id}.rate_hz", stream.rate_hz
        steps.extend(Step(path, rate, r) for r in _within(rate, stream.rate_range_hz))
    if stream.deadline_s is not None:
        path, due = f"app.{stream.id}.deadline_s", stream.deadline_s
        steps.extend(Step(path, due, d) for d in _within(due, stream.deadline_range_s))
    present = written_resolution(model)
    path = f"model.{stream.id}.res"
    steps.extend(Step(path, present, size) for size in stream.resolutions if size != present)
    path = f"model.{stream.id}.name"
    steps.extend(Step(path, model, other) for other in stream.choices if other != model)
    arrays = [kind.chip.spec.array for kind in core_kinds(chip)]
    if any(array.sparsity.kind not in ("none", "gating") for array in arrays):
        steps.extend(Step(f"model.{stream.id}.sparsity", None, pattern) for pattern in SPARSITY)
    return steps


def written_resolution(model: str) -> int | None:
    for part in model.partition("@")[2].split(","):
        key, _, value = part.partition("=")
        if key == "res" and value.isdigit():
            return int(value)
    return None


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


def _within(value: float, limits: tuple[float, float] | None) -> list[float]:
    """Half and double, as far as the limits allow."""
    if limits is None:
        return []
    wanted = (max(limits[0], value / 2), min(limits[1], value * 2))
    return [float(other) for other in dict.fromkeys(wanted) if other != value]
