"""The program of a network that runs pipelined in space, in the terms of layers in turn.

All cores work at once, on different rows and frames. The program says for how long a call holds
them: its layers one after the other, each for its share of the work (its time times its cores), so
that together they take what the pipeline takes: frames times the slowest stage. What goes in and
out moves meanwhile. The results are out ``drain_cycles`` after the cores are free for the next
call. A network in several contexts holds them until the last frame has left: weights of a context
are loaded before its first layer, and nothing hides them.

Energy is that of the layers, each with all that it reads in the buffer of its core, and

* of what does not fit the buffers of its own cores: the wires from others, as for all that is read,
* of what a stage is given: the wires, once for each of its cores, and each further core's write,
* of what comes from outside and goes there, and of weights that are loaded: as layers in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.homes import READ_ACTIONS, WRITE_ACTIONS
from dse.mapping.ir.schedule import NO_BYTES, Bytes, LayerSchedule, Phase, Program, unroll
from dse.mapping.ir.starting import invoke_s
from dse.mapping.network.contexts import Context
from dse.mapping.network.laying import Layout, lay_out, seconds_of
from dse.mapping.network.stages import Share
from dse.workload.layer import Workload


def map_in_space(
    workload: Workload,
    chip: Chip,
    objective: Objective = "edp",
    *,
    cores: int = 0,
    keeps: float | None = None,
    legal: bool = False,
) -> Program:
    """One call of a network whose layers lie side by side on the cores.

    Args:
        cores: that it may use; all of the chip's if 0.
        keeps: bytes of weights that may stay from call to call (None: as many as fit).

    Raises:
        UnmappableError, InputError: as :func:`dse.mapping.network.laying.lay_out`.
    """
    made = lay_out(workload, chip, objective, cores=cores, keeps=keeps, legal=legal)
    return program_of(made, workload, chip, legality="legal" if legal else "ideal")


def program_of(made: Layout, workload: Workload, chip: Chip, legality: str = "ideal") -> Program:
    """The program of a layout."""
    schedules = tuple(
        schedule.renamed(layer.name, layer.op, legality)
        for schedule, layer in zip(
            (one for context in made.contexts for one in _in_context(made, context, chip)),
            made.frame.layers,
            strict=True,
        )
    )
    drain = 0.0
    if made.stays:
        (context,) = made.contexts
        drain = (context.depth - 1.0) * context.interval_s * chip.f_hz
    resident = {"buffer": sum(made.ground.weights)} if made.stays else {}
    return Program(
        name=workload.name,
        schedules=schedules,
        segments=unroll(schedules, prefetch=False),
        cores=made.cores,
        invoke_s=invoke_s(chip, len(schedules), language=workload.language),
        resident_bytes=resident,
        notes=_notes(made),
        legality=legality,
        activation_bytes={"buffer": sum(made.held), "dram": _waiting(made)},
        language=workload.language,
        contexts=len(made.contexts),
        drain_cycles=drain,
    )


def _waiting(made: Layout) -> float:
    """The most that waits outside the chip: what a context is given and makes, bytes."""
    return made.batch * max(one.in_bytes + one.out_bytes for one in made.contexts)


def _notes(made: Layout) -> tuple[str, ...]:
    shares = [share for context in made.contexts for share in context.shares]
    most = max(sum(share.cores for share in context.shares) for context in made.contexts)
    text = f"pipelined in space: {len(shares)} stages on {most} cores"
    if len(made.contexts) == 1:
        kept = "whose weights stay" if made.stays else "loaded at each call"
        text += f", one context {kept}; a frame every {made.contexts[0].interval_s * 1e6:.4g} us"
    else:
        loaded = sum(context.load_bytes for context in made.contexts)
        text += (
            f", {len(made.contexts)} contexts in turn, {loaded / 1e6:.3g} MB loaded at each call"
        )
    hosted = [layer.op for layer in made.frame.layers if layer.kind == "host"]
    return (text, f"on the host: {', '.join(dict.fromkeys(hosted))}") if hosted else (text,)


def _in_context(made: Layout, context: Context, chip: Chip) -> list[LayerSchedule]:
    """The schedules of a context's layers in one call."""
    frames = made.batch if made.stays else made.batch + context.depth - 1.0
    cycles = frames * context.stage_s * chip.f_hz
    own = {
        layer: (share, made.made(layer, 1 if share.last > share.first else share.cores))
        for share in context.shares
        for layer in range(share.first, share.last + 1)
    }
    work = {n: seconds_of(one, chip) * share.cores for n, (share, one) in own.items()}
    total = sum(work.values())
    moved = made.batch * (context.in_bytes + context.out_bytes)
    out = []
    for number, (share, one) in own.items():
        part = work[number] / total if total else 1.0 / len(own)
        bytes_ = _on_dram(part * moved) if moved and made.ground.rate else NO_BYTES
        counts = {name: amount * made.batch for name, amount in one.counts.items()}
        counts.pop("launch", None)
        _add(counts, {"noc.bit": _afar(made, context, share) * counts.get("buffer.read_bit", 0.0)})
        if number == share.first:
            _add(counts, _handed(made, share))
        if number == context.first:
            _add(counts, _outside(made, context))
        out.append(
            replace(
                one,
                macs=one.macs * made.batch,
                cores=share.cores,
                launch_cycles=0.0,
                fill_weight=NO_BYTES,
                fill_other=NO_BYTES,
                drain=NO_BYTES,
                phases=_paced(one, part * cycles, bytes_),
                counts=counts,
                ideal_cycles=one.ideal_cycles * one.cores / made.cores * made.batch,
            )
        )
    if not made.stays:
        first, starts = out[0], chip.overheads.launch_cycles * len(out)
        load = _on_dram(context.load_bytes) if made.ground.rate else NO_BYTES
        counts = {**first.counts, "launch": float(len(out))} if starts else dict(first.counts)
        out[0] = replace(first, launch_cycles=starts, fill_other=load, counts=counts)
    return out


def _paced(one: LayerSchedule, cycles: float, moved: Bytes) -> tuple[Phase, ...]:
    """A layer's phases at the pace of the pipeline: so many cycles together, and bytes."""
    own = sum(phase.count * max(phase.cycles) for phase in one.phases)
    if not own:
        return (Phase(1, array_cycles=cycles, link_bytes=moved),) if cycles or any(moved) else ()
    out = []
    for phase in one.phases:
        share = max(phase.cycles) / own
        array, vector, port, dma, host = (c * cycles / own for c in phase.cycles)
        link = tuple(amount * share for amount in moved)
        out.append(Phase(phase.count, array, vector, port, dma, host, link))
    return tuple(out)


def _on_dram(amount: float) -> Bytes:
    return (amount, *NO_BYTES[1:])


def _add(counts: dict[str, float], more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        if amount:
            counts[name] = counts.get(name, 0.0) + amount


def _afar(made: Layout, context: Context, share: Share) -> float:
    """Share of what a stage holds that lies in buffers of other cores."""
    first = context.first
    need = sum(context.needs[share.first - first : share.last - first + 1])
    return max(0.0, 1.0 - share.cores * made.ground.room / need) if need else 0.0


def _handed(made: Layout, share: Share) -> dict[str, float]:
    """What handing a stage its inputs takes in a call: wires to each of its cores, and a write in
    each but the first, which is the write of the layer that makes them."""
    bits = 8.0 * made.batch * made.ground.passing(share.first, share.last)[0]
    return {"noc.bit": bits * share.cores, "buffer.write_bit": bits * (share.cores - 1)}


def _outside(made: Layout, context: Context) -> dict[str, float]:
    """What crosses the link outside in a call: inputs, results, and weights that are loaded."""
    if not made.ground.rate:
        return {}
    taken, given = 8.0 * made.batch * context.in_bytes, 8.0 * made.batch * context.out_bytes
    loaded = 0.0 if made.stays else 8.0 * context.load_bytes
    counts = {"buffer.write_bit": taken + loaded, "buffer.read_bit": given}
    for name in READ_ACTIONS["dram"]:
        # The wires of what comes in are those to the stages that read it.
        _add(counts, {name: loaded + (taken if name != "noc.bit" else 0.0)})
    for name in WRITE_ACTIONS["dram"]:
        _add(counts, {name: given})
    return counts
