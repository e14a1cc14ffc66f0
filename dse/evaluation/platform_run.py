"""A whole app on a device with a data centre behind it: latency, energy, cost, carbon of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dse.apps import App
from dse.apps.tasks import Pipeline, policy_of, stream_task, task_name
from dse.errors import InputError, UnmappableError
from dse.evaluation.allotments import allotments
from dse.evaluation.app_figures import (
    app_frame,
    common,
    concluded,
    die_watts,
    expected,
    heated,
    played,
    poor,
)
from dse.evaluation.app_rows import chain_rows, isolated_chains, task_row
from dse.evaluation.causes import Cause
from dse.evaluation.company import covered
from dse.evaluation.economics import HOURS_PER_YEAR
from dse.evaluation.frame import unmappable
from dse.evaluation.heat import settled
from dse.evaluation.loads import utilization
from dse.evaluation.placement import Placed, Placer
from dse.evaluation.platform_play import PlatformPlay, play
from dse.evaluation.record import Evaluation, TaskRow
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip, Platform
from dse.hardware.cost import carbon, unit_cost
from dse.mapping import Objective
from dse.simulation.repricing import reprice
from dse.simulation.run import timeline as timeline_of
from dse.simulation.stats import TaskStats, task_stats
from dse.simulation.task import Task, Timeline
from dse.workload import Workload

_J_PER_KWH = 3.6e6


def evaluate_on_platform(
    app: App,
    workloads: Mapping[str, Workload],
    platform: Platform,
    fidelity: Fidelity,
    objective: Objective,
    seed: int,
    *,
    trace: bool,
    mapped_on: Platform | None,
) -> tuple[Evaluation, Timeline | None]:
    """See :func:`dse.evaluation.app_run.evaluate_app`; plain metrics are the device's.

    Power, energy, cost and area of the plain names are of the device's module with its radio;
    ``system_energy_j``, ``total_cost_usd`` and ``carbon_kg`` count the device's share of network
    and data centre, whose parts are in ``platform``.
    """
    device = platform.chip
    _no_pipelines(app)
    base = app_frame(app, workloads, device, fidelity)
    mapped = mapped_on or platform
    room = {} if fidelity == "roofline" else allotments(app, workloads, mapped.chip)
    placer = Placer(app, workloads, platform, mapped, objective, fidelity, room)
    try:
        placed = [placer.place(stream) for stream in app.streams]
    except UnmappableError as error:
        return unmappable(base, error), None
    local = [place.local for place in placed if place.local is not None]
    usage = {**utilization(local, device), **_link_usage(placed, platform)}
    timeline: Timeline | None = None
    whole: Timeline | None = None
    stats: dict[str, TaskStats] = {}
    happened: PlatformPlay | None = None
    if fidelity == "simulate":
        policy = policy_of(app, seed, max(place.isolated_s(placer.link) for place in placed))
        happened = play(app, placed, platform, policy, trace=trace)
    company = covered(app, local)

    def figures(at: Chip) -> Evaluation:
        nonlocal timeline
        here = replace(base, f_hz=at.f_hz, voltage_v=at.voltage_v)
        if happened is None:
            return expected(here, app, heated(local, device, at), at, usage, company)
        reprice(happened.engine, at)
        timeline = timeline_of(happened.engine)
        return played(here, timeline, at)

    engine = happened.engine if happened else None
    watts = die_watts(local, device, usage, engine, company)
    record, junction = settled(app, device, watts, figures)
    hot = iter(heated(local, device, junction.chip))
    placed = [p if p.local is None else replace(p, local=next(hot)) for p in placed]
    local, device = [p.local for p in placed if p.local is not None], junction.chip
    flow = _flows(placed, usage, app.observed_s, happened)
    if happened is not None and timeline is not None:
        whole = replace(timeline, jobs=happened.jobs)
        if whole.mean is not None and any(place.leg for place in placed):  # luck of the link
            whole = replace(whole, mean=replace(whole.mean, exact=False))
        stats = {entry.name: entry for entry in task_stats(whole, _judged(app, placed))}
        chains = chain_rows(app, happened.jobs, timeline.horizon_s)
        record = replace(
            record, resource_utilization={**record.resource_utilization, **_link_only(usage)}
        )
    else:
        times = {place.stream.id: place.isolated_s(placer.link) for place in placed}
        chains = isolated_chains(app, times)
    exact = whole is not None and whole.mean is not None and whole.mean.exact
    rows = tuple(
        _row(place, task_name(place.stream, index), stats, platform, exact=exact)
        for place in placed
        for index in range(place.stream.instances)
    )
    record = _with_radio(record, platform, flow, app.observed_s, any(p.leg for p in placed))
    judged = [replace(place.load, verdict=place.verdict) for place in placed]
    record = common(record, app, judged, rows, chains, device)
    record = _with_cloud(record, app, platform, flow)
    macs = sum(load.rate_hz * load.macs for load in local)
    record = replace(record, utilization=macs / device.peak_macs_per_s)
    known = [
        *poor([place.verdict for place in placed]),
        *(Cause(p.forbidden, "placement", p.stream.id) for p in placed if p.forbidden),
    ]
    record = concluded(
        record, app, local, junction, usage, known, timeline, jobs=timeline, whole=whole
    )
    return record, timeline


def _no_pipelines(app: App) -> None:
    """Device and link are played in turn, job by job: parts of jobs on several cores, and pins that
    follow the load, are not."""
    if app.partition:
        raise InputError(
            "streams are pinned by their load, which replies over the link change as it is played",
            field="app.partition",
            mend="name cores in the streams, or take the device alone",
        )
    for stream in app.streams:
        if stream.pipeline is not None:
            raise InputError(
                f"stream {stream.id!r} is a pipeline over cores",
                field=f"app.{stream.id}.pipeline",
                mend="leave it out on a platform with a data centre, or take the device alone",
            )


def _link_usage(placed: Sequence[Placed], platform: Platform) -> dict[str, float]:
    """Share of time in which the link is busy in each direction."""
    link = platform.link
    assert link is not None
    up = sum(p.load.rate_hz * p.leg.up_bytes for p in placed if p.leg)
    down = sum(p.load.rate_hz * p.leg.reply_bytes for p in placed if p.leg)
    shares = {"uplink": up / link.up_bytes_per_s, "downlink": down / link.down_bytes_per_s}
    return {name: share for name, share in shares.items() if share > 0.0}


def _link_only(usage: Mapping[str, float]) -> dict[str, float]:
    return {name: share for name, share in usage.items() if name in ("uplink", "downlink")}


def _judged(app: App, placed: Sequence[Placed]) -> list[Task]:
    """Tasks that stand for whole streams, to sum up their jobs by."""
    out: list[Task] = []
    for place in placed:
        runs = place.load.runs
        assert runs is not None
        assert not isinstance(runs, Pipeline)
        out.extend(
            stream_task(app, place.stream, index, runs, (0,))
            for index in range(place.stream.instances)
        )
    return out


def _flows(
    placed: Sequence[Placed],
    usage: Mapping[str, float],
    horizon_s: float,
    happened: PlatformPlay | None,
) -> dict[str, float]:
    """Bytes, joules and chip-seconds beyond the device that as long a time as the horizon holds:
    of the jobs that are asked for those that are sent and answered, as far as the link carries."""
    carried = min(1.0, 1.0 / max([1e-12, *_link_only(usage).values()]))
    out = dict.fromkeys(("up_bytes", "down_bytes", "cloud_energy_j", "cloud_chip_s"), 0.0)
    for place in placed:
        leg, name = place.leg, place.stream.id
        if leg is None:
            continue
        jobs = place.load.rate_hz * horizon_s * carried
        sent = happened.sent.get(name, 1.0) if happened else 1.0
        answered = happened.answered.get(name, 1.0) if happened else 1.0
        out["up_bytes"] += jobs * sent * leg.up_bytes
        out["down_bytes"] += jobs * answered * leg.reply_bytes
        out["cloud_energy_j"] += jobs * answered * leg.energy_j
        out["cloud_chip_s"] += jobs * answered * leg.chip_s
    return out


def _with_radio(
    record: Evaluation,
    platform: Platform,
    flow: Mapping[str, float],
    horizon_s: float,
    used: bool,
) -> Evaluation:
    """The device's radio in its module's energy and power; off if nothing leaves."""
    link = platform.link
    assert link is not None
    if not used or record.energy_j is None:
        return record
    bits = 8.0 * (flow["up_bytes"] + flow["down_bytes"])
    radio = bits * link.device_j_per_bit + link.idle_w * horizon_s
    peak = record.peak_power_w
    if peak is not None:
        rate = max(link.up_bytes_per_s, link.down_bytes_per_s)
        peak += link.idle_w + min(8.0 * rate, bits / 1e-3) * link.device_j_per_bit
    energy = record.energy_j + radio
    module = {
        **record.by_scope["module"],
        "energy_j": energy,
        "average_power_w": energy / horizon_s,
        "peak_power_w": peak,
    }
    return replace(
        record,
        energy_j=energy,
        average_power_w=energy / horizon_s,
        peak_power_w=peak,
        by_scope={**record.by_scope, "module": module},
        energy_breakdown_j={**record.energy_breakdown_j, "radio": radio},
    )


def _row(
    place: Placed, name: str, stats: Mapping[str, TaskStats], platform: Platform, *, exact: bool
) -> TaskRow:
    """A stream instance's row, wherever it runs; energy is the device's part."""
    link = platform.link
    assert link is not None
    row = task_row(place.load, name, stats.get(name), exact=exact and place.leg is None)
    if place.leg is None:
        return row
    alone, due = place.isolated_s(link), place.stream.due_s
    meets = row.meets_deadline
    if name not in stats:
        meets = False if due is not None and alone > due else None
    first = row.isolated_ttft_s
    if first is not None:
        first += place.leg.up_bytes / link.up_bytes_per_s + link.rtt_s
    return replace(
        row,
        isolated_latency_s=alone,
        isolated_ttft_s=first,
        energy_per_inference_j=place.device_energy_j(link),
        meets_deadline=meets,
        placement=place.where,
        core_kind=place.local.kind if place.local else "",
        cores=place.local.allowed if place.local else (),
    )


def _with_cloud(
    record: Evaluation, app: App, platform: Platform, flow: Mapping[str, float]
) -> Evaluation:
    """The device's share of network and data centre in energy, cost and carbon."""
    link, terms, chip = platform.link, platform.cloud, platform.chips[1]
    assert link is not None
    assert terms is not None
    budgets, horizon = app.budgets, app.observed_s
    hours = budgets.lifetime_years * budgets.duty * HOURS_PER_YEAR
    network_j = 8.0 * (flow["up_bytes"] + flow["down_bytes"]) * link.network_j_per_bit
    beyond_w = (flow["cloud_energy_j"] + network_j) / horizon
    kwh = beyond_w * hours * 3600.0 / _J_PER_KWH
    share = flow["cloud_chip_s"] / horizon / terms.utilization
    spent = share * hours / (terms.lifetime_years * HOURS_PER_YEAR)
    cost = spent * (unit_cost(chip, terms.volume).unit_cost_usd + terms.server_cost_usd)
    cost += kwh * terms.electricity_usd_per_kwh
    made = carbon(chip, energy_j=kwh * _J_PER_KWH, grid=terms.grid)
    kilograms = spent * made.embodied_kg + made.operation_kg
    return replace(
        record,
        system_energy_j=(record.energy_j or 0.0) + flow["cloud_energy_j"] + network_j,
        total_cost_usd=record.unit_cost_usd + cost,
        carbon_kg=(record.carbon_kg or 0.0) + kilograms,
        platform={
            **flow,
            "network_energy_j": network_j,
            "radio_energy_j": record.energy_breakdown_j.get("radio", 0.0),
            "cloud_chip_share": share,
            "cloud_cost_usd": cost,
            "cloud_carbon_kg": kilograms,
        },
    )
