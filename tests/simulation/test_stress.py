"""Invariants under everything at once: preemption in tiles, groups, chains, gating, contention."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.mapping import Program
from dse.simulation import Periodic, Poisson, Policy, Release, Task, Trace, Triggered
from dse.simulation.engine import Engine
from dse.simulation.run import timeline

from .conftest import make_chip, make_layer, make_program


def small_program(name: str, size: int, *, cores: int = 1, prefetch: bool = True) -> Program:
    layers = [
        make_layer(
            f"{name}{k}",
            steps=3 + (size + k) % 5,
            cycles=700.0 + 90.0 * size,
            dram=[0.0, 500.0, 1300.0][(size + k) % 3],
            l2=[0.0, 2500.0][k % 2],
            launch=200.0 * (k % 2),
            fill_weight=150.0,
            fill_other=90.0,
            drain=60.0 * (size % 2),
            cores=cores,
        )
        for k in range(1 + size % 4)
    ]
    return make_program(name, layers, cores=cores, invoke_s=1e-6 * (size % 2), prefetch=prefetch)


@settings(max_examples=150)
@given(
    cores=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 9), min_size=2, max_size=5),
    scheduler=st.sampled_from(["edf", "fifo", "fixed", "rm"]),
    preemption=st.sampled_from(["segment", "layer", "none"]),
    gating=st.booleans(),
    wide=st.booleans(),
    prefetch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_step_of_every_job_is_played_once(
    cores: int,
    sizes: list[int],
    scheduler: str,
    preemption: str,
    gating: bool,
    wide: bool,
    prefetch: bool,
    seed: int,
) -> None:
    chip = make_chip(cores=cores, power_gating=gating)
    allowed = tuple(range(cores))
    tasks = []
    for number, size in enumerate(sizes):
        width = cores if wide and number == 1 else 1
        program = small_program(f"p{number}", size, cores=width, prefetch=prefetch)
        releases: tuple[Release, ...] = (
            Trace(tuple(k * 3.1e-5 for k in range(8))),
            Periodic(2e4, jitter_s=2e-5),
            Poisson(2e4),
            Triggered("t0", 0.5),
        )
        release = releases[number % 4]
        late = "drop" if number == 2 else "keep"
        tasks.append(
            Task(
                f"t{number}",
                program,
                release,
                deadline_s=1e-5 * (1 + size),
                priority=size,
                cores=allowed if number % 2 == 0 or width > 1 else allowed[::-1],
                late=late,  # type: ignore[arg-type]
            )
        )
    policy = Policy(scheduler, preemption, horizon_s=4e-4, seed=seed)  # type: ignore[arg-type]
    engine = Engine(chip, tasks, policy, trace=True)
    engine.play()
    result = timeline(engine)
    finished = {task.name: result.completed[task.name] for task in tasks}
    for task in tasks:
        plan = engine.works[task.name].plans[0]
        begun = sum(job.start_s is not None for job in result.jobs if job.task == task.name)
        for seg in plan.segs:
            whole = finished[task.name] * seg.count
            assert whole - 1e-6 <= seg.steps <= begun * seg.count + 1e-6
            assert seg.elapsed_s >= seg.steps * seg.step_s * (1 - 1e-9) - 1e-15
    for job in result.jobs:
        if job.finish_s is not None:
            assert job.start_s is not None
            assert not job.dropped
            service = engine.works[job.task].service_s
            assert job.release_s <= job.start_s
            assert job.finish_s - job.start_s >= service * (1 - 1e-9)
    for spans in engine.spans:
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    moved = {
        name: sum(
            seg.steps * seg.link_bytes[k]
            for plan in engine.works.values()
            for seg in plan.all_segs()
        )
        for k, name in enumerate(("dram", "l2"))
    }
    for name, amount in moved.items():
        assert result.link_bytes[name] == pytest.approx(amount)
        assert result.busy_s[name] <= policy.horizon_s * (1 + 1e-9)
    dynamic = sum(
        seg.steps
        * seg.step_s
        * sum(engine.table.rows[seg.row][0].values())
        / engine.table.rows[seg.row][1]
        for plan in engine.works.values()
        for seg in plan.all_segs()
        if seg.row >= 0
    )
    counted = sum(j for name, j in result.energy_j.items() if not name.startswith("static."))
    assert counted == pytest.approx(dynamic, rel=1e-9, abs=1e-18)
    by_core: dict[int, list[tuple[float, float]]] = {}
    for interval in result.intervals:
        by_core.setdefault(interval.core, []).append((interval.start_s, interval.end_s))
    for pieces in by_core.values():
        pieces.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))


def test_urgent_work_never_waits_while_a_core_it_may_use_is_free() -> None:
    chip = make_chip(cores=2, static=())
    tasks = [
        Task(f"t{k}", small_program(f"p{k}", k + 3), Poisson(6e4), 1e-4, cores=(0, 1))
        for k in range(3)
    ]
    engine = Engine(chip, tasks, Policy("edf", "segment", horizon_s=2e-3), trace=False)
    engine.play()
    result = timeline(engine)
    waits = [job for job in result.jobs if job.start_s is not None and job.start_s > job.release_s]
    assert len(waits) > 20
    for job in waits:
        assert job.start_s is not None
        middle = (job.release_s + job.start_s) / 2.0
        for spans in engine.spans:
            assert any(start <= middle <= end for start, end in spans)
