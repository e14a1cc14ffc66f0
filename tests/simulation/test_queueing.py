"""Known answers: waiting with random service, response times with blocking, and anomalies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dse.simulation import Periodic, Poisson, Policy, Task, Trace, simulate

from .conftest import fixed, make_chip, make_layer, make_program


def exponential_mixture(mean_s: float, parts: int) -> list[float]:
    """Means of equally likely slices of an exponential distribution."""
    shares = np.arange(parts + 1) / parts
    # Mean of the exponential between quantiles a and b: mean + (q(a) (1-a) - q(b) (1-b)) / (b - a)
    survival = 1.0 - shares
    quantile = -mean_s * np.log(np.maximum(survival, 1e-300))
    mass = quantile * survival
    return [float(mean_s + (mass[k] - mass[k + 1]) * parts) for k in range(parts)]


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_mean_wait_of_m_m_1(load: float) -> None:
    """Exponential service as a mixture of 40 programs: mean wait = load / (1 - load) of a service.

    By Pollaczek and Khinchine the mixture waits for load (1 + c2) / (2 (1 - load)), c2 its squared
    coefficient of variation, which is 1 for the exponential and a little less for its slices.
    """
    mean_s, parts = 1e-3, 40
    times = exponential_mixture(mean_s, parts)
    assert np.mean(times) == pytest.approx(mean_s, rel=1e-9)
    c2 = float(np.var(times)) / mean_s**2
    assert 0.93 < c2 < 1.0
    programs = [fixed(f"p{k}", time) for k, time in enumerate(times)]
    tasks = [
        Task(f"t{k}", program, Poisson(load / mean_s / parts)) for k, program in enumerate(programs)
    ]
    waits = []
    for seed in range(6):
        jobs = simulate(
            make_chip(static=()), tasks, Policy("fifo", "none", horizon_s=6.0, seed=seed)
        ).jobs
        waits.append(
            float(np.mean([j.start_s - j.release_s for j in jobs if j.start_s is not None]))
        )
    theory = load * mean_s / (1.0 - load)
    mixture = theory * (1.0 + c2) / 2.0
    error = float(np.std(waits, ddof=1)) / math.sqrt(len(waits))
    assert abs(np.mean(waits) - mixture) < 4.0 * error
    assert error < 0.1 * theory
    assert np.mean(waits) == pytest.approx(theory, rel=0.15)


#: Tasks of Liu and Layland's kind: (compute ms, period ms, tiles), shortest period first.
RM_SET = ((1.0, 4.0, 10), (1.5, 6.0, 5), (3.0, 13.0, 3))


def response_time_ms(index: int) -> float:
    """Worst response with the longest tile of a lower priority as blocking (Joseph and Pandya;
    Buttazzo, Hard Real-Time Systems, limited preemption)."""
    compute, _, _ = RM_SET[index]
    blocking = max([c / tiles for c, _, tiles in RM_SET[index + 1 :]], default=0.0)
    # A task's last tile is not preempted: what arrives after it has begun does not interfere.
    response = 0.0
    after = compute + blocking
    while after > response + 1e-12:
        response = after
        after = (
            compute
            + blocking
            + sum(math.ceil(response / period - 1e-12) * c for c, period, _ in RM_SET[:index])
        )
    return response


@pytest.mark.parametrize("seed", range(8))
def test_rate_monotonic_responses_stay_below_the_bound_with_blocking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tasks = [
        Task(
            f"t{k}",
            fixed(f"t{k}", c * 1e-3, tiles=tiles),
            Periodic(1e3 / period, phase_s=float(rng.uniform(0.0, period)) * 1e-3),
            period * 1e-3,
        )
        for k, (c, period, tiles) in enumerate(RM_SET)
    ]
    timeline = simulate(make_chip(static=()), tasks, Policy("rm", "segment", horizon_s=0.6))
    for k, task in enumerate(tasks):
        worst = max(
            job.finish_s - job.release_s
            for job in timeline.jobs
            if job.task == task.name and job.finish_s is not None
        )
        assert worst <= response_time_ms(k) * 1e-3 * (1 + 1e-9)
    assert not any(job.missed for job in timeline.jobs)


def test_the_blocking_bound_is_reached() -> None:
    """The lowest begins a tile of 1 ms just before both others arrive: t0 waits for all of it."""
    tasks = [
        Task("t2", fixed("t2", 3e-3, tiles=3), Trace((0.0,)), priority=3),
        Task("t0", fixed("t0", 1e-3, tiles=10), Trace((1e-9,)), priority=1),
        Task("t1", fixed("t1", 1.5e-3, tiles=5), Trace((1e-9,)), priority=2),
    ]
    timeline = simulate(make_chip(static=()), tasks, Policy("fixed", "segment", horizon_s=0.1))
    ends = {job.task: (job.finish_s or 0.0) - job.release_s for job in timeline.jobs}
    assert ends["t0"] == pytest.approx(2e-3, abs=2e-9)  # blocking 1 ms + its own
    assert ends["t1"] == pytest.approx(3.5e-3, abs=2e-9)
    assert response_time_ms(0) == pytest.approx(1.0 + 1.0)


@pytest.mark.parametrize(("load", "meets"), [(0.95, True), (1.05, False)])
def test_edf_meets_any_set_up_to_full_load(load: float, meets: bool) -> None:
    periods = (4e-3, 6e-3, 10e-3, 15e-3)
    tasks = [
        Task(f"t{k}", fixed(f"t{k}", load * p / 4, tiles=400), Periodic(1.0 / p), p)
        for k, p in enumerate(periods)
    ]
    timeline = simulate(make_chip(static=()), tasks, Policy("edf", "segment", horizon_s=0.6))
    assert any(job.missed for job in timeline.jobs) != meets
    assert bool(timeline.reasons) != meets


# Anomalies: real, and kept as examples. Better hardware for one can be worse for another.


def test_anomaly_a_faster_chip_misses_a_deadline_without_preemption() -> None:
    """At 1 GHz the long job ends later than the urgent one arrives; at 1.1 GHz an earlier short job
    ends sooner, the long one starts before the urgent one arrives, and that one waits for it."""

    def late(f_hz: float) -> bool:
        tasks = [
            Task("short", fixed("s", 1e-3), Trace((0.0,)), deadline_s=1e-2),
            Task("long", fixed("l", 5e-3), Trace((0.0,)), deadline_s=5e-2),
            Task("urgent", fixed("u", 1e-3), Trace((0.95e-3,)), deadline_s=3e-3),
        ]
        policy = Policy("edf", "none", horizon_s=0.1)
        return simulate(make_chip(static=(), f_hz=f_hz), tasks, policy).jobs[2].missed

    assert not late(1.0e9)
    assert late(1.1e9)


def test_anomaly_more_bandwidth_misses_a_deadline() -> None:
    """As above, with a short job that waits for DRAM. Alone, none of them is ever slower."""

    def late(bytes_per_s: float) -> bool:
        stream = make_program("s", [make_layer("s", steps=100, cycles=1.0, dram=1e4)])
        tasks = [
            Task("short", stream, Trace((0.0,)), deadline_s=1e-2),
            Task("long", fixed("l", 5e-3), Trace((0.0,)), deadline_s=5e-2),
            Task("urgent", fixed("u", 1e-3), Trace((0.95e-3,)), deadline_s=3e-3),
        ]
        chip = make_chip(static=(), dram_bytes_per_s=bytes_per_s)
        return simulate(chip, tasks, Policy("edf", "none", horizon_s=0.1)).jobs[2].missed

    assert not late(1.0e9)
    assert late(1.2e9)


def test_anomaly_a_second_core_delays_a_program_that_shares_the_dram() -> None:
    """A stream that could wait moves to the second core, and slows the urgent one by sharing."""

    def urgent_s(cores: int) -> float:
        stream = make_program("s", [make_layer("s", steps=100, cycles=1.0, dram=1e4)])
        tasks = [
            Task("urgent", stream, Trace((0.0,)), deadline_s=1.5e-3, cores=tuple(range(cores))),
            Task("other", stream, Trace((0.0,)), deadline_s=9e-3, cores=tuple(range(cores))),
        ]
        jobs = simulate(make_chip(cores=cores, static=()), tasks, Policy(horizon_s=0.1)).jobs
        assert jobs[0].finish_s is not None
        return jobs[0].finish_s

    assert urgent_s(1) == pytest.approx(1e-3, rel=1e-6)
    assert urgent_s(2) == pytest.approx(2e-3, rel=1e-3)
