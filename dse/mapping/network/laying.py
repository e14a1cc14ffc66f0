"""A network laid out over the cores of a chip: layers mapped, stages and contexts chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.kinds import one_kind
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.homes import Homes, has_link, spills, stored_bytes
from dse.mapping.ir.schedule import LayerSchedule, link_rates
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.contexts import (
    Context,
    Ground,
    best_contexts,
    needs_of,
    one_context,
    passing_bytes,
)
from dse.mapping.network.fallback import on_chip
from dse.mapping.network.lines import rows_of
from dse.mapping.network.stages import SPLITS, Task
from dse.mapping.space.shape import layer_number
from dse.workload.layer import Layer, Workload
from dse.workload.parts import batch_of, in_parts

#: Everything is where the core works.
RESIDENT = Homes("buffer", "buffer", "buffer", "buffer")

Maps = Mapping[int, LayerSchedule]


@dataclass(frozen=True)
class Layout:
    """A network over ``cores`` cores of a chip.

    Attributes:
        frame: the network of one frame of a batch.
        batch: frames of a call.
        maps: of each layer, its schedule on each number of cores that was tried.
        contexts: what is on the chip together, in turn.
        stays: whether the weights are loaded once for all calls, not at each.
    """

    frame: Workload
    batch: int
    cores: int
    ground: Ground
    maps: tuple[Maps, ...]
    contexts: tuple[Context, ...]
    stays: bool

    @property
    def held(self) -> tuple[float, ...]:
        """Bytes of activations that each layer holds."""
        needs = [need for context in self.contexts for need in context.needs]
        return tuple(n - w for n, w in zip(needs, self.ground.weights, strict=True))

    def made(self, layer: int, cores: int) -> LayerSchedule:
        """The schedule of a layer on at most so many cores: the fastest."""
        fitting = [number for number in self.maps[layer] if number <= cores]
        seconds = dict(self.ground.tasks[layer].seconds)
        return self.maps[layer][min(fitting, key=lambda number: seconds[number])]


def lay_out(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    *,
    cores: int = 0,
    room_share: float = 1.0,
    keeps: float | None = None,
    legal: bool = False,
) -> Layout:
    """The layout with the shortest time from call to call.

    Args:
        cores: of the chip that it may use; all of them if 0.
        room_share: part of a core's buffer for weights and rows.
        keeps: bytes of weights that may stay on the chip from call to call, because others run
            there too (None: as many as fit).
        legal: keep each layer to what the chip's compiler can express.

    Raises:
        UnmappableError: a layer that no unit runs, or that does not fit the chip.
        InputError: no layers, or a chip with several kinds of cores.
    """
    one_kind(chip)
    if not workload.layers:
        raise InputError(
            f"network {workload.name} has no layers", mend="give a network that computes something"
        )
    batch = batch_of(workload)
    frame = in_parts(workload, batch)
    if frame is None:
        frame, batch = workload, 1
    frame = on_chip(frame, chip)
    cores = cores or chip.cores
    maps = _maps(frame, chip, objective, cores, legal)
    weights = tuple(_stored(layer) for layer in frame.layers)
    ground = Ground(
        tasks=tuple(_task(made, chip) for made in maps),
        rows=rows_of(frame),
        weights=weights,
        passing=passing_bytes(frame),
        cores=cores,
        room=chip.buffer.capacity_bytes * room_share,
        rate=link_rates(chip)[0] if has_link(chip, "dram") else 0.0,
        start_s=chip.overheads.launch_cycles / chip.f_hz,
    )
    _check(frame, ground)
    stays = keeps is None or sum(weights) <= keeps
    contexts = _contexts(frame, chip, ground, batch, stays)
    return Layout(frame, batch, cores, ground, maps, contexts, stays and len(contexts) == 1)


def _contexts(
    frame: Workload, chip: Chip, ground: Ground, batch: int, stays: bool
) -> tuple[Context, ...]:
    """One context whose weights stay, or what is faster."""
    whole = one_context(ground)
    found: tuple[Context, ...] | None = None
    if spills(chip) and (whole is None or not stays):
        found = best_contexts(ground, batch)
    if whole is not None and (stays or found is None):
        return (whole,)
    if found is None:
        need = sum(needs_of(ground, 0))
        raise UnmappableError(
            f"{frame.name} needs {need:.0f} bytes for weights and rows; "
            f"{ground.cores} cores of {ground.room:.0f} bytes do not hold them at once, and there "
            "is no memory outside to load them from in turn",
            field="cores",
            mend="add cores, enlarge their buffers, use fewer weight bits, or add a DRAM",
        )
    return found


def _check(frame: Workload, ground: Ground) -> None:
    """Every layer alone must fit the chip."""
    for number, (layer, weight) in enumerate(zip(frame.layers, ground.weights, strict=True)):
        if (need := needs_of(ground, number)[0]) > ground.room * ground.cores:
            raise UnmappableError(
                f"layer {layer.name}: weights of {weight:.0f} and rows of "
                f"{need - weight:.0f} bytes take {need / ground.cores:.0f} on each of "
                f"{ground.cores} cores, the room is {ground.room:.0f}",
                layer=layer.name,
                field="buffer.bytes",
                mend="enlarge the buffer, add cores, or use fewer weight bits",
            )


def _stored(layer: Layer) -> float:
    return 0.0 if layer.w_is_activation else stored_bytes(layer)


def _maps(
    frame: Workload, chip: Chip, objective: Objective, cores: int, legal: bool
) -> tuple[Maps, ...]:
    """Every layer on one core, and split as far as it could be the slowest stage otherwise.

    No stage is shorter than the work of all layers shared out evenly, so a layer is split until it
    is no longer than that.
    """
    known: dict[int, dict[int, LayerSchedule]] = {}

    def mapped(layer: Layer, number: int) -> float:
        made = known.setdefault(layer_number(layer), {})
        if number not in made:
            made[number] = map_layer(
                layer, chip, objective, homes=RESIDENT, cores=number, legal=legal,
                room_bytes=float(chip.buffer.capacity_bytes), spread=1,
            )  # fmt: skip
        return seconds_of(made[number], chip)

    least = sum(mapped(layer, 1) for layer in frame.layers) / cores
    for layer in frame.layers:
        best = mapped(layer, 1)
        for number in SPLITS[1:]:
            if number > cores or best <= least or layer.kind == "host":
                break
            best = min(best, mapped(layer, number))
    return tuple(known[layer_number(layer)] for layer in frame.layers)


def seconds_of(made: LayerSchedule, chip: Chip) -> float:
    """Time of a layer whose operands are at hand, s."""
    return sum(phase.count * max(phase.cycles) for phase in made.phases) / chip.f_hz


def _task(made: Maps, chip: Chip) -> Task:
    seconds = tuple((number, seconds_of(one, chip)) for number, one in sorted(made.items()))
    return Task(seconds)
