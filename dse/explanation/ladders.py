"""What each parameter of a design could be instead: the ladders that joint steps are taken on.

A ladder has the values beside the present one, each with how many rungs away it is: the cost of
that change. Nothing is on a ladder that would ease the task by itself: rates, deadlines, models,
precisions and resolutions are those that the app allows. Another width or input size of a network
is tried only where its stream states an absolute floor of quality (``min_value``), which then
decides; a floor on the loss against float holds at any width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dse.apps import App, Stream
from dse.errors import InputError
from dse.evaluation.design import Value
from dse.explanation.steps import Step, natural_steps, written_resolution
from dse.hardware.chip import Chip
from dse.hardware.spec import ChipSpec
from dse.technology import load_technology
from dse.workload.zoo import list_models, resolve

#: Ratios on the ladders of sizes (array, lanes, buffer, L2, channels) and of the clock.
SIZES = (0.25, 0.5, 2.0, 4.0)
CLOCKS = (0.64, 0.8, 1.25, 1.5625)
#: Differences on the ladder of a voltage that a chip pins, V.
VOLTAGES = (-0.1, -0.05, 0.05, 0.1)
#: Ratios of the production quantity where an app lists no further ones.
VOLUMES = (2.0, 5.0, 10.0)
#: Input sizes are tried in steps of so many pixels, so many of them, down to the least.
PIXELS, SMALLER, LEAST_PIXELS = 32, 3, 96


@dataclass(frozen=True)
class Move:
    """One step and its cost: the rungs from what is to what would be."""

    step: Step
    rungs: int

    @property
    def path(self) -> str:
        return self.step.path


def natural_moves(
    app: App,
    chip: Chip,
    precisions: Mapping[str, str],
    models: Mapping[str, str],
    *,
    reaches_cloud: bool = False,
) -> list[Move]:
    """Every move of an app and a chip, those of one path together, the nearest first.

    Args: as :func:`dse.explanation.steps.natural_steps`.
    """
    found = [*_chip_moves(chip), *_volumes(app)]
    natural = natural_steps(app, chip, precisions, models=models, reaches_cloud=reaches_cloud)
    by_path: dict[str, list[Step]] = {}
    for step in natural:
        if not step.path.startswith("chip."):
            by_path.setdefault(step.path, []).append(step)
    for path, steps in by_path.items():
        own = [step.after for step in steps]
        if path.endswith(".res"):
            before = steps[0].before
            if before is None:
                before = _size_of(models[path.split(".")[1]])
            found += _ordered(path, before, own)
        else:
            found += [Move(step, 1) for step in steps]
    for stream in app.streams:
        found += _variants(stream, models.get(stream.id, stream.model), by_path)
    return _distinct(found)


def ladder_moves(steps: Iterable[Step], values: Mapping[str, Sequence[Value]]) -> list[Move]:
    """Moves to ``steps`` on ladders given as values in order: rungs are counted on them."""
    out = []
    for step in steps:
        ladder = list(values[step.path])
        out.append(Move(step, abs(ladder.index(step.after) - ladder.index(step.before))))
    return sorted(out, key=lambda move: move.rungs)


def _distinct(moves: Sequence[Move]) -> list[Move]:
    """Each change once, paths in the order of their first move."""
    first: dict[tuple[str, Value], Move] = {}
    for move in moves:
        if move.step.after != move.step.before:
            first.setdefault((move.path, move.step.after), move)
    paths = list(dict.fromkeys(move.path for move in first.values()))
    return sorted(first.values(), key=lambda move: (paths.index(move.path), move.rungs))


def _chip_moves(chip: Chip) -> Iterator[Move]:
    spec = chip.spec
    nodes = sorted({*load_technology().nodes, chip.node_nm}, reverse=True)
    yield from _ordered("chip.node", f"{chip.node_nm}nm", [f"{node}nm" for node in nodes])
    yield from _core_moves("chip", spec, chip.f_hz)
    if spec.voltage_v is not None:
        volts = [round(spec.voltage_v + more, 3) for more in VOLTAGES]
        yield from _ordered("chip.voltage_v", spec.voltage_v, volts)
    yield from _sizes("chip.l2.bytes", spec.l2.bytes)
    yield from _sizes("chip.dram.channels", spec.dram.channels)
    if spec.dram.channels:
        technology = load_technology()
        for memory in technology.dram_kinds:
            if technology.dram(memory).usd_per_gib > 0.0:  # else a link to somebody's memory
                yield Move(Step("chip.dram.kind", spec.dram.kind, memory), 1)
        yield from _sizes("chip.dram.capacity_bytes", spec.dram.capacity_bytes)
    for kind in chip.kinds[1:]:
        clock = kind.chip.f_hz if spec.kinds[kind.name].own_point else None
        yield from _core_moves(f"chip.kinds.{kind.name}", kind.chip.spec, clock)


def _core_moves(at: str, spec: ChipSpec, f_hz: float | None) -> Iterator[Move]:
    """Moves of one kind of core, whose paths begin with ``at``; its clock if it has its own."""
    if f_hz is not None:
        clocks = [float(f"{f_hz * ratio:.4g}") for ratio in CLOCKS]
        yield from _ordered(f"{at}.f_hz", f_hz, clocks)
    near = {spec.cores + more for more in (-2, -1, 1, 2)}
    counts = [*near, spec.cores * 2, *([spec.cores // 2] if spec.cores % 2 == 0 else [])]
    yield from _ordered(f"{at}.cores", spec.cores, [count for count in counts if count >= 1])
    for path, value in (
        ("array.rows", spec.array.rows),
        ("array.cols", spec.array.cols),
        ("buffer.bytes", spec.buffer.bytes),
        ("vector.lanes", spec.vector.lanes),
    ):
        if value is not None:  # else it follows the array, whose size is turned above
            yield from _sizes(f"{at}.{path}", value)


def _sizes(path: str, value: int) -> Iterator[Move]:
    """Quarter, half, double and four times a whole number, where that is one."""
    sizes = [value * ratio for ratio in SIZES]
    yield from _ordered(path, value, [int(size) for size in sizes if size >= 1 and size % 1 == 0])


def _ordered(path: str, before: Value, values: Iterable[Value]) -> Iterator[Move]:
    """Moves on a ladder of values that have an order, the present one among them."""
    rungs = sorted({*values, *(() if before is None else (before,))}, key=_size)
    here = rungs.index(before) if before is not None else len(rungs)
    for value in sorted(rungs, key=lambda value: abs(rungs.index(value) - here)):
        if value != before:
            yield Move(Step(path, before, value), max(1, abs(rungs.index(value) - here)))


def _size(value: Value) -> float:
    """Place of a value on its ladder: a number, also of a node such as ``16nm``."""
    return float(str(value).removesuffix("nm"))


def side(step: Step) -> int | Value:
    """Where a step leads on its ladder: -1 down, 1 up; of plain choices the value itself."""
    try:
        return 1 if _size(step.after) > _size(step.before) else -1
    except ValueError:
        return step.after


def _volumes(app: App) -> Iterator[Move]:
    """Larger production quantities: those that the app lists, else some ratios of its own."""
    budgets = app.budgets
    if budgets.unit_cost_usd is None:
        return
    listed = [volume for volume in budgets.volumes if volume > budgets.volume]
    more = listed or [budgets.volume * ratio for ratio in VOLUMES]
    yield from _ordered("app.budgets.volume", budgets.volume, more)


def _variants(stream: Stream, model: str, taken: Mapping[str, Sequence[Step]]) -> Iterator[Move]:
    """Widths and smaller inputs of a stream's network that an absolute floor can judge."""
    floor = stream.quality
    if floor is None or floor.min_value is None or stream.request is not None:
        return
    try:
        found = resolve(model)
    except InputError:
        return
    if found.info is None:
        return  # a file says nothing of its family
    info, written = found.info, _written(model)  # what the app writes into the name is meant
    if info.width is not None and "width" not in written:
        same = [one.width for one in list_models() if one.family == info.family and one.width]
        yield from _ordered(f"model.{stream.id}.width", info.width, same)
    path = f"model.{stream.id}.res"
    if info.resizable and info.resolution and path not in taken and "res" not in written:
        sizes = [info.resolution - PIXELS * (n + 1) for n in range(SMALLER)]
        sizes = [size for size in sizes if size >= LEAST_PIXELS and size % PIXELS == 0]
        yield from _ordered(path, info.resolution, sizes)


def _written(model: str) -> set[str]:
    """Settings that stand in a model's name."""
    return {part.partition("=")[0].strip() for part in model.partition("@")[2].split(",")}


def _size_of(model: str) -> int | None:
    """Height and width of a model's input, as its name or the manifest says it."""
    written = written_resolution(model)
    if written is not None:
        return written
    try:
        info = resolve(model).info
    except InputError:
        return None
    return None if info is None else info.resolution
